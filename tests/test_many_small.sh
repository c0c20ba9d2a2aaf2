#!/bin/sh
# SPDX-License-Identifier: MIT
#
# many_small_sends_each_message_once.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo '100000 messages, the sum is 5000050000' >"$work/expected"
"$BUILD_DIR/examples/many_small" >"$work/output"
diff "$work/expected" "$work/output"
