#!/bin/sh
# SPDX-License-Identifier: MIT
#
# wordcount_counts_what_tr_sort_and_uniq_count: of the README, and of texts that are no texts.
set -eu
LC_ALL=C
export LC_ALL
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wordcount=$BUILD_DIR/examples/wordcount

same_table() # $1 file; leaves in output and summary what was printed
{
    tr -cs A-Za-z '\n' <"$1" | tr A-Z a-z | sort | uniq -c |
        awk 'NF == 2 { print $1, $2 }' >"$work/expected"
    "$wordcount" "$1" >"$work/output" 2>"$work/summary"
    awk '{ print $1, $2 }' "$work/output" >"$work/table"
    diff "$work/expected" "$work/table" >"$work/diff" || {
        echo "$1: what differs:" >&2
        head -n 20 "$work/diff" >&2
        exit 1
    }
}

fails() # $@ arguments with which it ends with a message and no success, and leaves no worker behind
{
    # cat ends when nobody has the pipe open any more: no worker either.
    { "$wordcount" "$@" 2>&1 >"$work/output" || echo failed; } | cat >"$work/error"
    grep -qx failed "$work/error" && [ "$(wc -l <"$work/error")" -gt 1 ] || {
        echo "wordcount $*: no failure, or no message" >&2
        exit 1
    }
    [ ! -s "$work/output" ]
}

same_table "$SOURCE_DIR/README.md"
[ "$(wc -l <"$work/expected")" -gt 100 ]
(cd "$SOURCE_DIR" && "$wordcount" 2>/dev/null) | diff - "$work/output" # the README is the default

: >"$work/empty"
same_table "$work/empty"
printf '\n\n\n' >"$work/lines" # empty messages
same_table "$work/lines"
printf 'no newline at the end' >"$work/unfinished"
same_table "$work/unfinished"
printf "Don't mix CAPITALS and capitals\0a nul\r\n" >"$work/odd"
same_table "$work/odd"
awk 'BEGIN { for (i = 0; i < 200000; i++) printf "%c%c ", 97 + i % 26, 97 + i % 25 }' \
    >"$work/long" # one line
same_table "$work/long"
head -c 1000000 /dev/urandom >"$work/bytes"
same_table "$work/bytes"

printf 'the end of the line\nand the rest\n' >"$work/text"
same_table "$work/text"
grep -qx '2 lines went to a worker, 6 different words came back' "$work/summary"

fails "$work/missing"
fails "$work" # a folder
fails "$work/text" "$work/text"
