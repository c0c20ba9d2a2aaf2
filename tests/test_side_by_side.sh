#!/bin/sh
# SPDX-License-Identifier: MIT
#
# side_by_side_does_what_the_other_libraries_do
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/expected" <<'END'
read: one
read: one
read: one
read: one
answer: 7
socket: hello
END
"$BUILD_DIR/examples/from_pipc" >"$work/output"
"$BUILD_DIR/examples/side_by_side" >>"$work/output"
diff "$work/expected" "$work/output"
