#!/bin/sh
# SPDX-License-Identifier: MIT
#
# local_server_and_activated_server_serve_their_clients: see local_client.py.
set -eu
command -v python3 >/dev/null 2>&1 || { echo "no python3 here: skipped"; exit 77; }
exec python3 -B "$SOURCE_DIR/tests/local_client.py" "$BUILD_DIR/examples"
