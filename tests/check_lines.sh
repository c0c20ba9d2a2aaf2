#!/bin/sh
# SPDX-License-Identifier: MIT
#
# No line is longer than 100 columns, comments too.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
# Not yet: the top folder.
find bench examples include src tests -type f |
    grep -E '\.(c|h|sh|txt|cmake)$|^bench/.*\.(py|cpp)$' |
    xargs awk 'length > 100 { print FILENAME ":" FNR ": longer than 100 columns"; long = 1 }
        END { exit long }' >&2
echo "lines: none is longer than 100 columns"
