#!/bin/sh
# SPDX-License-Identifier: MIT
#
# order.sh list: order.txt has each order of memory of the ring, the ends and the doorbells.
# order.sh: builds order.cpp with Relacy (Debian: relacy-dev), and sees that its scenes pass, and
# that one fails where an order is taken out. VERBOSE=1 shows which.
set -eu
cd "$(dirname "$0")"
CXX=${CXX:-c++}
skip()
{
    echo "skipped: $1 is missing"
    exit 77
}
command -v python3 >/dev/null || skip python3
[ "${1:-}" != list ] || exec python3 -B order.py
echo '#include <relacy/relacy.hpp>' | $CXX -w -x c++ -fsyntax-only - 2>/dev/null || skip relacy
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
python3 -B order.py "$work/order.inc"
# The code is C: what only C++ minds passes.
$CXX -std=gnu++20 -O1 -w -fpermissive -I"$work" -o "$work/order" order.cpp
python3 -B order.py "$work/order"
