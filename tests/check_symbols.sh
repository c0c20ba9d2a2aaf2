#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The functions that pipc.h declares, those that libpipc.map names and those that the shared library
# exports are the same.
# usage: check_symbols.sh libpipc.so
set -eu
library=$1
cd "${SOURCE_DIR:-$(dirname "$0")/..}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${CC:-cc} -E -P include/pipc.h | grep -oE '\bpipc_[a-z0-9_]+ *\(' | tr -d ' (' |
    sort -u >"$work/pipc.h"
sed -nE 's/^ *(pipc_[a-z0-9_]+);.*/\1/p' src/libpipc.map | sort -u >"$work/libpipc.map"
nm -DP --defined-only "$library" | awk '$2 != "A" { sub("@.*", "", $1); print $1 }' |
    sort -u >"$work/library"

failed=0
[ -s "$work/pipc.h" ] || { echo "pipc.h declares nothing?" >&2; failed=1; }
for other in libpipc.map library; do
    if ! diff "$work/pipc.h" "$work/$other" >"$work/diff"; then
        sed -n "s/^</only in pipc.h:/p; s/^>/only in $other:/p" "$work/diff" >&2
        failed=1
    fi
done
[ "$failed" = 0 ] && echo "symbols: $(wc -l <"$work/pipc.h") functions, all alike"
exit "$failed"
