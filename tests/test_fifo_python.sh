#!/bin/sh
# SPDX-License-Identifier: MIT
#
# a_program_without_the_library_meets_and_talks, waiting and claiming, from what pipc.h says alone.
set -eu
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
work=$(mktemp -d)
other_pid=
chat_pid=
trap 'kill $other_pid $chat_pid 2>/dev/null || :; rm -rf "$work"' EXIT
names=$work/names
mkdir -m 700 "$names"
chat="$BUILD_DIR/examples/fifo_chat"
other="python3 $SOURCE_DIR/tests/fifo_other_side.py"
printf 'hello\n' >"$work/typed"
printf 'HELLO\n' >"$work/expected"

meet() # $1 the script's role, which comes $2
{
    if [ "$2" = first ]; then
        $other "$names" x "$1" >"$work/other" 2>&1 &
        other_pid=$!
        [ "$1" = claim ] || until [ -p "$names/x/door" ]; do sleep 0.02; done
        "$chat" x "$names" <"$work/typed" >"$work/heard" 2>"$work/chat"
        wait $other_pid || { cat "$work/other" >&2; exit 1; }
    else
        "$chat" x "$names" <"$work/typed" >"$work/heard" 2>"$work/chat" &
        chat_pid=$!
        until [ -p "$names/x/door" ]; do sleep 0.02; done
        $other "$names" x "$1" >"$work/other" 2>&1 || { cat "$work/other" >&2; exit 1; }
        wait $chat_pid
    fi
    cmp "$work/expected" "$work/heard"
    [ -z "$(ls -A "$names")" ]
}

meet wait first
meet claim first
meet claim second
meet any first
meet any second

# What a killed script leaves is no obstacle.
$other "$names" x wait &
other_pid=$!
until [ -p "$names/x/door" ]; do sleep 0.02; done
kill -9 $other_pid
wait $other_pid || :
meet any first
