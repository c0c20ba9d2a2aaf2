#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hello_reads_what_the_child_sent_and_its_goodbye, and the manual's first example is that program.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf '%s\n' '5 bytes: hello' 'the child left: bye now' >"$work/expected"
"$BUILD_DIR/examples/hello" >"$work/output"
diff "$work/expected" "$work/output"

# In the header the program stands in a comment, indented, from its first #include to its last
# brace.
sed -n '/^\/\* \[readme\]/,/^\/\* \[\/readme\]/p' "$SOURCE_DIR/examples/hello.c" |
    sed '1d;$d' >"$work/program"
sed -n '/^ \*     #include <errno\.h>$/,/^ \*     }$/p' "$SOURCE_DIR/include/pipc.h" |
    sed 's/^ \* \{0,5\}//' >"$work/manual"
[ -s "$work/program" ]
diff "$work/program" "$work/manual"
