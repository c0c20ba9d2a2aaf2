#!/bin/sh
# SPDX-License-Identifier: MIT
#
# No line of code is longer than 100 columns, comments too, and no file of it longer than 500 lines,
# but for the manual. A program of examples has at most 100 lines, the bridge 150.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
find . '(' -path './build*' -o -path ./.git ')' -prune -o -type f -print |
    grep -E -e '(^|/)(dev|run|meson\.build|_pipc[a-z-]*)$' \
        -e '\.(c|cpp|h|hpp|sh|txt|cmake|py|awk|yml|escript|bash)$' |
    xargs awk 'length > 100 { print FILENAME ":" FNR ": longer than 100 columns"; long = 1 }
        FNR == 501 && FILENAME != "./include/pipc.h" {
            print FILENAME ": longer than 500 lines"
            long = 1
        }
        FNR == (FILENAME ~ "/bridge_nats\\.c$" ? 151 : 101) &&
        FILENAME ~ "^\\./examples/.*\\.(c|cpp|sh|py)$" {
            print FILENAME ": an example that is too long"
            long = 1
        }
        END { exit long }' >&2
[ -f examples/hello.c ] # the place that is meant
echo "lines: none is longer than 100 columns, and no file longer than 500 lines"
