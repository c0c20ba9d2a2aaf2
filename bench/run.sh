#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs the benchmark and shows it: run.sh BENCH DIR [OPTION of bench]... Leaves results.csv,
# table.txt (all figures), ratios.md (what is shown) and the charts in DIR.
set -eu
export PYTHONDONTWRITEBYTECODE=1
here=$(dirname "$0")
bench=$1
dir=$2
shift 2
case " $* " in *' --list '* | *' --help '*) exec "$bench" "$@" ;; esac

only='*'
quick=
previous=
for option; do
    [ "$previous" != --only ] || only=$option
    [ "$option" != --quick ] || quick=yes
    previous=$option
done

csv=$dir/results.csv
"$bench" --python "$here/with_python.py" "$@" >"$csv"
if [ -z "$quick" ]; then
    echo "bench: counting instructions and system calls" >&2
    python3 "$here/count.py" "$bench" "$only" >>"$csv"
fi

machine=$(awk -F': *' '/^model name/ { print $2; exit }' /proc/cpuinfo)
note="$machine, $(getconf _NPROCESSORS_ONLN) cores, Linux $(uname -r | sed 's/-.*//')"
title="$note, load $(cut -d ' ' -f 1-3 /proc/loadavg) at the end"
{
    printf '%s\n\n' "$title"
    python3 "$here/table.py" "$csv"
} >"$dir/table.txt"
{
    printf '%s\n\n' "$title"
    python3 "$here/ratios.py" "$csv"
    python3 "$here/targets.py" "$csv"
} >"$dir/ratios.md"
python3 "$here/chart.py" "$csv" "$dir" "$note"
cat "$dir/ratios.md"
echo "bench: $csv, $dir/table.txt, $dir/ratios.md, $dir/roundtrip.svg and oneway.svg"
