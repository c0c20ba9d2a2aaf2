#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each option of pipccat is in its help, its manual page and its completions, and no other is. The
# same holds for its exit codes. pipccat includes nothing of the library but
# pipc.h.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

same() # $1 where; the words there are on standard input, those of options.c in $work/expected
{
    sort -u >"$work/found"
    diff -u --label options.c --label "$1" "$work/expected" "$work/found" >&2 || failed=1
}

long() # the long options in a text
{
    grep -oE -- '--[a-z][a-z0-9-]*'
}

sed -n 's/^    {"\([a-z0-9-]*\)", .*/--\1/p' tools/options.c | sort -u >"$work/expected"
[ -s "$work/expected" ] || { echo "tool: options.c has no options" >&2; exit 1; }
sed -n '/^static const char help_text/,/;$/p' tools/options.c | grep -v Exit | long | same help
sed -n 's/^\.It.* Fl Fl \([a-z0-9-]*\).*/--\1/p' tools/pipccat.1 | same pipccat.1
sed -n "/local options=/,/'\$/p" tools/completion/pipccat.bash | long | same pipccat.bash
sed -n '/^_arguments -s -S/,$p' tools/completion/_pipccat |
    grep -oE -- "(\{|,|'|\*|\))--[a-z0-9-]+(=|\[|\}|,)" | long | same _pipccat

sed -n '/^enum code/,/^}/s/.* = \([0-9]*\),.*/\1/p' tools/pipccat.h | sort -u >"$work/expected"
sed -n '/^\.Sh EXIT STATUS/,/^\.Sh EXAMPLES/s/^\.It \([0-9]*\)$/\1/p' tools/pipccat.1 |
    same "exit codes of pipccat.1"
sed -n '/^    "Exit codes/,/;$/p' tools/options.c | grep -oE '[0-9]+ [a-z]' | cut -d' ' -f1 |
    same "exit codes of help"

if grep -nE '#include "' tools/*.[ch] | grep -vE '"(pipccat|session)\.h"' >&2; then
    failed=1
fi
[ "$failed" = 0 ] && echo "tool: help, manual page and completions agree"
exit "$failed"
