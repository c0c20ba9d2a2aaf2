#!/bin/sh
# SPDX-License-Identifier: MIT
#
# poll_loop_delivers_every_answer_of_both_workers: what was typed in capitals, and its size.
set -eu
LC_ALL=C
export LC_ALL
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

loop() # $1 file; each run sees it in pieces of its own
{
    cat "$1" | "$BUILD_DIR/examples/poll_loop" >"$work/output" # cat: standard input is to be a pipe
    # Only one of the workers sends anything in lower case.
    grep -oE '\([0-9]+ bytes\)' "$work/output" | tr -dc '0-9\n' |
        awk '{ sum += $1 } END { print sum + 0 }' >"$work/sizes"
    tr -d '\n' <"$work/output" | sed -E 's/\([0-9]+ bytes\)//g' >"$work/capitals"
    wc -c <"$1" | tr -d ' ' >"$work/size"
    tr a-z A-Z <"$1" | tr -d '\n' >"$work/expected"
    diff "$work/size" "$work/sizes"
    cmp "$work/expected" "$work/capitals"
}

: >"$work/empty"
loop "$work/empty"

printf 'hello\n' >"$work/line"
loop "$work/line"
printf '(6 bytes)\nHELLO\n' >"$work/expected"
sort "$work/output" | diff "$work/expected" -

# More than any pipe holds.
awk 'BEGIN { for (i = 0; i < 40000; i++) print i, "Line of the text" }' >"$work/text"
loop "$work/text"
