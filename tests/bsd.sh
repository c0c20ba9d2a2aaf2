#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds src/sys/bsd on Linux, over an emulation of kqueue (tests/kqueue), and runs tests of the
# descriptor, of FIFOs, of servers and of who is there.
# usage: bsd.sh folder
set -eu
dir=$PWD/$1
tests='credentials descriptor descriptor_flush descriptor_fork descriptor_want fifo_stream'
tests="$tests server_fd server_shortage"
jobs=$(getconf _NPROCESSORS_ONLN)
"${CC:-cc}" -O2 -g -fPIC -Itests/kqueue -c tests/kqueue/kqueue.c -o "$dir/kqueue.o"
echo "./dev bsd: building in $1"
{
    cmake -S . -B "$dir" -DPIPC_PLATFORM=bsd -DPIPC_LAUNCHER= -DPIPC_BUILD_TESTS=ON \
        -DPIPC_WERROR=ON -DCMAKE_BUILD_TYPE=Debug \
        "-DCMAKE_C_FLAGS=-I$PWD/tests/kqueue -include sys/event.h -Wno-cpp" \
        "-DCMAKE_C_STANDARD_LIBRARIES=$dir/kqueue.o"
    for name in $tests; do echo "test_$name"; done |
        xargs cmake --build "$dir" -j "$jobs" --target
} >"$dir/dev.log" 2>&1 || {
    tail -n 30 "$dir/dev.log" >&2
    exit 1
}
cd "$dir"
ctest -j "$((jobs * 3))" --output-on-failure -R "^($(echo "$tests" | tr ' ' '|'))\$"
