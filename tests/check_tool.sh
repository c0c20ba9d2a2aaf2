#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each option of pipccat and of pipc-inspect is in its help, its manual page and its completions,
# and no other is. The same holds for its exit codes. pipccat includes nothing of the library but
# pipc.h. pipc-inspect includes headers of its memory too, and links nothing.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

same() # $1 where; the words there are on standard input, those of the source in $work/expected
{
    sort -u >"$work/found"
    diff -u --label "$source" --label "$1" "$work/expected" "$work/found" >&2 || failed=1
}

long() # the long options in a text
{
    grep -oE -- '--[a-z][a-z0-9-]*'
}

check() # $1 tool, $2 source with its options, $3 header with its exit codes
{
    tool=$1
    source=$2
    sed -n 's/^    {"\([a-z0-9-]*\)", .*/--\1/p' "$source" | sort -u >"$work/expected"
    [ -s "$work/expected" ] || { echo "tool: $source has no options" >&2; exit 1; }
    sed -n '/^static const char help_text/,/;$/p' "$source" | grep -v Exit | long | same help
    sed -n 's/^\.It.* Fl Fl \([a-z0-9-]*\).*/--\1/p' "tools/$tool.1" | same "$tool.1"
    sed -n "/local options=/,/'\$/p" "tools/completion/$tool.bash" | long | same "$tool.bash"
    sed -n '/^_arguments -s -S/,$p' "tools/completion/_$tool" |
        grep -oE -- "(\{|,|'|\*|\))--[a-z0-9-]+(=|\[|\}|,)" | long | same "_$tool"

    sed -n '/^enum code/,/^}/s/.* = \([0-9]*\),.*/\1/p' "$3" | sort -u \
        >"$work/expected"
    sed -n '/^\.Sh EXIT STATUS/,/^\.Sh EXAMPLES/s/^\.It \([0-9]*\)$/\1/p' "tools/$tool.1" |
        same "exit codes of $tool.1"
    sed -n '/^    "Exit codes/,/;$/p' "$source" | grep -oE '[0-9]+ [a-z]' | cut -d' ' -f1 |
        same "exit codes of help"
}

check pipccat tools/options.c tools/pipccat.h
check pipc-inspect tools/inspect/main.c tools/inspect/inspect.h

if grep -nE '#include "' tools/*.[ch] | grep -vE '"(pipccat|session)\.h"' >&2; then
    failed=1
fi
if grep -nE '#include "' tools/inspect/*.[ch] |
    grep -vE '"(inspect|peer/ends|peer/shared|transport/share_memory)\.h"' >&2; then
    failed=1
fi
[ "$failed" = 0 ] && echo "tool: help, manual pages and completions agree"
exit "$failed"
