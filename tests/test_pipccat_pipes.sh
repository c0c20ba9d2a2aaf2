#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pipccat_carries_messages over every kind of pipe, in every format: see pipccat_pipes.py.
set -eu
command -v python3 >/dev/null 2>&1 || { echo "no python3 here: skipped"; exit 77; }
exec python3 -B "$SOURCE_DIR/tests/pipccat_pipes.py" "$BUILD_DIR/tools"
