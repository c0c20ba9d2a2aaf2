#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pipccat_ends_with_a_code_that_tells_why, whatever goes wrong: see pipccat_ends.py.
set -eu
command -v python3 >/dev/null 2>&1 || { echo "no python3 here: skipped"; exit 77; }
exec python3 -B "$SOURCE_DIR/tests/pipccat_ends.py" "$BUILD_DIR/tools"
