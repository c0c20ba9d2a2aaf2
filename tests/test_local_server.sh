#!/bin/sh
# SPDX-License-Identifier: MIT
#
# local_server_and_activated_server_serve_their_clients: see local_client.py.
set -eu
[ "${PIPC_TEST_PLATFORM:-}" != posix ] || {
    echo "skipped: nobody vouches for the clients of local_server here"
    exit 77
}
command -v python3 >/dev/null 2>&1 || { echo "no python3 here: skipped"; exit 77; }
exec python3 -B "$SOURCE_DIR/tests/local_client.py" "$BUILD_DIR/examples"
