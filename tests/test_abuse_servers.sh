#!/bin/sh
# SPDX-License-Identifier: MIT
#
# the_servers_go_on, whatever happens to them: see abuse.py.
set -eu
command -v python3 >/dev/null 2>&1 || { echo "no python3 here: skipped"; exit 77; }
exec python3 -B "$SOURCE_DIR/tests/abuse_servers.py" "$BUILD_DIR/examples"
