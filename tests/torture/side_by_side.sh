#!/bin/sh
# SPDX-License-Identifier: MIT
#
# One mode of torture, in as many processes at a time as there are processors; then their sums.
# usage: side_by_side.sh TORTURE FOLDER MODE COUNT SEED   FOLDER: for their outputs
set -eu
torture=$1 folder=$2 mode=$3 count=$4 seed=$5
jobs=$(getconf _NPROCESSORS_ONLN) running= failed=
trap 'trap - TERM; kill 0' INT # what runs in the background ignores the keyboard
rm -f "$folder/$mode"-*.out
for job in $(seq "$jobs"); do
    "$torture" "$mode" "$((seed * 1000 + job))" "$((count / jobs))" \
        >"$folder/$mode-$job.out" 2>&1 </dev/null &
    running="$running $job:$!"
done
for one in $running; do
    wait "${one#*:}" || failed="$failed $folder/$mode-${one%:*}.out"
done
awk -v what="$mode" '/^all/ { next } $NF == "second" && match($0, / +[0-9]+ [a-z]+,/) {
        kind = substr($0, 1, RSTART - 1); split(substr($0, RSTART), part, " ")
        sum[kind] += part[1]; total += part[1] }
    END { for (kind in sum) printf "  %-20s %9d\n", kind, sum[kind] | "sort"
        close("sort"); printf "%s in all: %d\n", what, total }' "$folder/$mode"-*.out
[ -z "$failed" ] || { tail -n 4 $failed >&2 && echo "a find, see:$failed" >&2 && exit 1; }
