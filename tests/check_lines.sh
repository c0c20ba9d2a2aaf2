#!/bin/sh
# SPDX-License-Identifier: MIT
#
# No line of code is longer than 100 columns, comments too, and no file of it longer than 500 lines,
# but for the manual. The examples of servers and loops fit on two pages: 100 lines.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
find . '(' -path './build*' -o -path ./.git ')' -prune -o -type f -print |
    grep -E -e '(^|/)(dev|run|meson\.build|_pipccat)$' \
        -e '\.(c|cpp|h|hpp|sh|txt|cmake|py|awk|yml|escript|bash)$' |
    xargs awk 'length > 100 { print FILENAME ":" FNR ": longer than 100 columns"; long = 1 }
        FNR == 501 && FILENAME != "./include/pipc.h" {
            print FILENAME ": longer than 500 lines"
            long = 1
        }
        FNR == 101 && FILENAME ~ "/examples/(activated_server|async_client|local_server|prefork)" {
            print FILENAME ": longer than 100 lines"
            long = 1
        }
        END { exit long }' >&2
for example in activated_server async_client local_server prefork; do
    [ -f "examples/$example.c" ] || { echo "lines: no examples/$example.c" >&2; exit 1; }
done
echo "lines: none is longer than 100 columns, and no file longer than 500 lines"
