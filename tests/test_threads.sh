#!/bin/sh
# SPDX-License-Identifier: MIT
#
# threads_hear_each_others_sentences_in_order, however they take turns.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for speaker in Ann Bob; do
    for i in 1 2 3; do
        echo "$speaker: sentence $i of $(case $speaker in Ann) echo Bob ;; *) echo Ann ;; esac)"
    done
done >"$work/expected"
round=0
while [ $round -lt 20 ]; do
    round=$((round + 1))
    "$BUILD_DIR/examples/threads" >"$work/output"
    # `Ann read "..."` and `Ann found "..." pending`: each one's lines stay in order
    sed -E 's/^(Ann|Bob) (read|found) "(.*)"( pending)?$/\1: \3/' "$work/output" |
        sort -s -k 1,1 >"$work/heard"
    diff "$work/expected" "$work/heard"
done
