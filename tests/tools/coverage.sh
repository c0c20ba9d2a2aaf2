#!/bin/sh
# SPDX-License-Identifier: MIT
#
# coverage.sh begin DIR: before the tests of a build with PIPC_COVERAGE
# coverage.sh report DIR PERCENT LINES: what they have reached, and whether so many of the branches,
# and all lines but so many and those of tests/coverage.txt
set -eu
dir=$2
counts=$dir/counts

export_as() # $1 format; each of the programs has the whole library
{
    llvm-cov export --format="$1" --instr-profile="$counts/all" "$dir/tests/test_ends"
}

case $1 in
begin)
    rm -rf "$counts"
    mkdir -p "$counts"
    chmod a+rwx "$counts" # some tests are other users
    ;;
report)
    {
        llvm-profdata merge --failure-mode=all -o "$counts/all" "$counts"/*.profraw &&
            export_as lcov >"$dir/coverage.lcov" && export_as text >"$dir/coverage.json"
    } 2>"$dir/coverage.log" || {
        cat "$dir/coverage.log" >&2
        exit 1
    }
    exec python3 tests/tools/coverage.py "$dir/coverage.lcov" "$dir/coverage.json" \
        tests/coverage.txt "$3" "$4"
    ;;
esac
