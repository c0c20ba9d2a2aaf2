#!/bin/sh
# SPDX-License-Identifier: MIT
#
# No line of code is longer than 100 columns, comments too.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
find .ci bench dev examples include src tests CMakeLists.txt -type f |
    grep -E '(^|/)(dev|run)$|\.(c|cpp|h|sh|txt|cmake|py|escript)$' |
    xargs awk 'length > 100 { print FILENAME ":" FNR ": longer than 100 columns"; long = 1 }
        END { exit long }' >&2
echo "lines: none is longer than 100 columns"
