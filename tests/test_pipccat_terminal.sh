#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pipccat_behaves_in_a_terminal: see pipccat_terminal.py.
set -eu
command -v python3 >/dev/null 2>&1 || { echo "no python3 here: skipped"; exit 77; }
exec python3 -B "$SOURCE_DIR/tests/pipccat_terminal.py" "$BUILD_DIR/tools"
