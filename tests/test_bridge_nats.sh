#!/bin/sh
# SPDX-License-Identifier: MIT
#
# the_bridge_loses_nothing_that_was_acknowledged, with two servers of NATS of which one is killed:
# see bridge_nats.py.
set -eu
command -v python3 >/dev/null 2>&1 || { echo "no python3 here: skipped"; exit 77; }
command -v nats-server >/dev/null 2>&1 || { echo "no nats-server here: skipped"; exit 77; }
[ -x "$BUILD_DIR/examples/bridge_nats" ] || { echo "no libnats here: skipped"; exit 77; }
exec python3 -B "$SOURCE_DIR/tests/bridge_nats.py" "$BUILD_DIR/examples"
