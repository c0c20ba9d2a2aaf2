#!/bin/sh
# SPDX-License-Identifier: MIT
#
# coverage.sh begin DIR: before the tests of a build for gcov
# coverage.sh report DIR PERCENT: what they have reached, and whether so many of the branches
set -eu
dir=$2
case $1 in
begin)
    # Each counts file is there before the tests, which are other users too.
    find "$dir" -name '*.gcda' -exec rm -f {} +
    find "$dir" -name '*.gcno' | sed 's/gcno$/gcda/' | xargs touch
    find "$dir" -name '*.gcda' -exec chmod a+rw {} +
    ;;
report)
    find "$dir" -name '*.gcda' -size 0 -exec rm -f {} +
    # Branches that the compiler adds on lines without code do not count. Threads that run while a
    # process ends leave counts that do not add up, and gcov then prints one below 0.
    gcovr --root . --filter src/ --exclude-unreachable-branches --gcov-ignore-parse-errors \
        --json "$dir/coverage.json" "$dir" 2>"$dir/gcovr.log" || {
        echo "coverage: see $dir/gcovr.log" >&2
        exit 1
    }
    exec python3 tests/tools/coverage.py "$dir/coverage.json" tests/coverage.txt "$3"
    ;;
esac
