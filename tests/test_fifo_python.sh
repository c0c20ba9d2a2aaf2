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
other="python3 $SOURCE_DIR/tests/fifo_peer.py"
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

clean_and_meet() # $1 the one who waits: script or chat, $2 what is deleted
{
    if [ "$1" = script ]; then
        $other "$names" x any >"$work/other" 2>&1 &
        other_pid=$!
    else
        "$chat" x "$names" <"$work/typed" >"$work/heard" 2>"$work/chat" &
        chat_pid=$!
    fi
    until [ -p "$names/x/door" ]; do sleep 0.02; done
    rm -rf "$2"
    if [ "$1" = script ]; then
        "$chat" x "$names" <"$work/typed" >"$work/heard" 2>"$work/chat"
        wait $other_pid || { cat "$work/other" >&2; exit 1; }
    else
        $other "$names" x any >"$work/other" 2>&1 || { cat "$work/other" >&2; exit 1; }
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

# Somebody deletes what the one who waits has made, all of it or a part.
for gone in "$names/x" "$names/x/door" "$names/x/in" "$names"; do
    for waiter in script chat; do
        clean_and_meet $waiter "$gone"
    done
done

# What a killed script leaves is no obstacle.
$other "$names" x wait &
other_pid=$!
until [ -p "$names/x/door" ]; do sleep 0.02; done
kill -9 $other_pid
wait $other_pid || :
meet any first
