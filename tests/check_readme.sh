#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each ```c block of README.md and docs/*.md is text of a file that is compiled and run. The line
# before the block names it: <!-- examples/NAME.c --> for what stands between the comments [readme]
# and [/readme] in that file, or all of it if it has none; <!-- examples/NAME.c:PART --> for
# [readme:PART] ... [/readme:PART]. Indentation that the whole part shares with its first line is
# left out. Their links lead to files that are there, and README.md lists each option of CMake.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"

part() # $1 file, $2 "" or :PART
{
    if grep -qF "/* [readme$2] */" "$1"; then
        awk -v from="/* [readme$2] */" -v to="/* [/readme$2] */" '
            index($0, to) { inside = 0 }
            inside { print }
            index($0, from) { inside = 1 }' "$1"
    elif [ -z "$2" ]; then
        cat "$1"
    fi | awk '
        NR == 1 { match($0, /^ */); indent = substr($0, 1, RLENGTH) }
        { if (index($0, indent) == 1) $0 = substr($0, length(indent) + 1); print }'
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Blocks go to files 1, 2, ...; each one's source (or nothing) is a line of `sources`, with the
# block's place.
awk -v work="$work" '
    /^```/ && inside { inside = 0; close(file); next }
    inside { print > file }
    /^```[cC] *$/ {
        inside = 1
        file = work "/" ++blocks
        printf "" > file
        source = "-"
        if (previous ~ /^<!-- .* -->$/) { split(previous, word, " "); source = word[2] }
        print FILENAME ":" FNR, blocks, source > (work "/sources")
    }
    /^```/ && !inside { inside = 1; file = "/dev/null" } # another language
    { previous = $0 }' README.md docs/*.md

failed=0
checked=0
[ -e "$work/sources" ] || { echo "README.md shows no code" >&2; exit 1; }
while read -r place block source; do
    file=${source%%:*}
    case $source in *:*) name=:${source#*:} ;; *) name= ;; esac
    if [ "$source" = - ] || [ ! -f "$file" ]; then
        echo "$place: this block names no source that is there" >&2
        failed=1
    elif part "$file" "$name" >"$work/part" &&
        ! diff -u --label "$source" --label "$place" "$work/part" "$work/$block" >&2; then
        failed=1
    fi
    checked=$((checked + 1))
done <"$work/sources"

for document in *.md docs/*.md; do
    grep -oE '\]\([^)#:]+[)#]' "$document" | sed 's/^](//; s/[)#]$//' >"$work/links" || :
    while read -r link; do
        [ -e "$(dirname "$document")/$link" ] && continue
        echo "$document: nothing is at $link" >&2
        failed=1
    done <"$work/links"
done

sed -nE 's/^ *(option|set)\((PIPC_[A-Z_]+) .*/\2/p' CMakeLists.txt | sort -u >"$work/options"
while read -r option; do
    grep -qF "| \`$option\`" README.md && continue
    echo "README.md: its table of options lacks $option" >&2
    failed=1
done <"$work/options"
[ "$failed" = 0 ] && echo "readme: $checked blocks, all from their files"
exit "$failed"
