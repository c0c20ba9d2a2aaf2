#!/bin/sh
# SPDX-License-Identifier: MIT
#
# prefork_hands_each_client_to_its_worker: see prefork_client.py.
set -eu
command -v python3 >/dev/null 2>&1 || { echo "no python3 here: skipped"; exit 77; }
exec python3 -B "$SOURCE_DIR/tests/prefork_client.py" "$BUILD_DIR/examples"
