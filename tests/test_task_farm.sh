#!/bin/sh
# SPDX-License-Identifier: MIT
#
# task_farm_prints_what_cksum_prints: with three workers, with one that dies in the middle of a
# task, and with one that comes late.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
farm=$BUILD_DIR/examples/task_farm
worker_program=$BUILD_DIR/examples/task_worker

mkdir "$work/files"
i=0
while [ $i -lt 40 ]; do
    awk -v n=$i 'BEGIN { for (i = 0; i < n * n * 10; i++) printf "%d,", i * n }' \
        >"$work/files/$i" # the first is empty
    i=$((i + 1))
done
cksum "$work/files/"* >"$work/expected"

start_farm() # $@ files; leaves its port in $port, and what it reports in error
{
    rm -f "$work/progress"
    mkfifo "$work/progress"
    "$farm" 0 "$@" >"$work/output" 2>"$work/progress" &
    server=$!
    exec 3<"$work/progress"
    read -r word port <&3
    [ "$word" = port ]
    cat <&3 >"$work/error" &
}

start_farm "$work/files/"*
for worker in 1 2 3; do "$worker_program" 127.0.0.1 "$port" & done
wait "$server"
cmp "$work/expected" "$work/output"
wait

"$farm" 0 >"$work/output" 2>"$work/error" # nothing to do
[ ! -s "$work/output" ]

start_farm "$work/files/"*
"$worker_program" 127.0.0.1 "$port" 5 && exit 1
kill -0 "$server" # it waits for somebody else
"$worker_program" 127.0.0.1 "$port"
wait "$server"
cmp "$work/expected" "$work/output"
wait
grep -q '4 of 40 done, 0 workers: one has gone' "$work/error"
grep -q '40 of 40 done' "$work/error"
