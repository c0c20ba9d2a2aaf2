#!/bin/sh
# SPDX-License-Identifier: MIT
#
# subscribers_and_requests_stop_nobody_else, whatever happens to them: see abuse.py.
set -eu
command -v python3 >/dev/null 2>&1 || { echo "no python3 here: skipped"; exit 77; }
exec python3 -B "$SOURCE_DIR/tests/abuse_subscribers.py" "$BUILD_DIR/examples"
