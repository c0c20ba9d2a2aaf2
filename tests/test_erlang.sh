#!/bin/sh
# SPDX-License-Identifier: MIT
#
# erlang_speaks_the_same: gen_tcp with {packet, 4} in both roles, and a port program.
set -eu
command -v escript >/dev/null 2>&1 || { echo "no Erlang here: skipped"; exit 77; }
ERL_CRASH_DUMP=/dev/null
export ERL_CRASH_DUMP
escript "$SOURCE_DIR/tests/test_erlang.escript" "$BUILD_DIR/examples"
