#!/bin/sh
# SPDX-License-Identifier: MIT
#
# what_is_typed_in_one_terminal_appears_in_the_other, whoever comes first, and each learns that the
# other has left; nothing stays behind.
set -eu
work=$(mktemp -d)
pid_a=
pid_b=
trap 'kill $pid_a $pid_b 2>/dev/null || :; rm -rf "$work"' EXIT
mkdir -m 700 "$work/names"
chat="$BUILD_DIR/examples/fifo_chat"

heard() # $1 file, $2 text: waits until it is there
{
    until grep -qxF -e "$2" "$1"; do
        sleep 0.02
    done
}

for round in 1 2 3; do
    for side in a b; do
        rm -f "$work/$side.in"
        mkfifo "$work/$side.in"
        : >"$work/$side.out"
        : >"$work/$side.err"
        "$chat" "two words" "$work/names" <"$work/$side.in" >"$work/$side.out" \
            2>"$work/$side.err" 3>&- 4>&- &
        eval "pid_$side=$!"
        case $side in a) exec 3>"$work/a.in" ;; b) exec 4>"$work/b.in" ;; esac
        [ $side$round != a1 ] || heard "$work/a.err" "-- waiting for the other"
    done
    heard "$work/a.err" "-- here we are"
    heard "$work/b.err" "-- here we are"
    [ -z "$(ls -A "$work/names")" ]
    echo "hello from a" >&3
    heard "$work/b.out" "hello from a"
    echo "hello from b" >&4
    heard "$work/a.out" "hello from b"
    echo "last words" >&3
    exec 3>&-
    heard "$work/b.err" "-- the other has left"
    heard "$work/b.out" "last words"
    exec 4>&-
    wait "$pid_a"
    wait "$pid_b"
done

"$chat" 2>"$work/error" && exit 1 || [ $? = 2 ]
"$chat" a/b "$work/names" 2>"$work/error" && exit 1
grep -q 'Invalid argument' "$work/error"
