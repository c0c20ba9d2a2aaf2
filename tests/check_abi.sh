#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Guards what a program that was compiled with an older libpipc relies on: exported symbols with
# their version nodes, the functions' types, and the public structs. abigail-tools compares them
# with tests/libpipc.abi. A change fails unless src/libpipc.map has a node that this file does not
# know, takes nothing away, and puts new functions into the new node.
#
# The values of constants are not compared. The public functions are all in src/api, so these files
# alone make the library that is looked at.
# usage: check_abi.sh compare   with tests/libpipc.abi
#        check_abi.sh planted   changes on purpose are found
#        check_abi.sh update    writes tests/libpipc.abi
# Environment: SOURCE_DIR, CC.
set -eu
way=${1:-}
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
: "${CC:=cc}"
reference=tests/libpipc.abi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail()
{
    echo "abi: $*" >&2
    exit 1
}

describe() # $1 folder of pipc.h, $2 version script, $3 output, $@ more sources
{
    headers=$1
    map=$2
    to=$3
    shift 3
    "$CC" -std=c11 -g -O0 -fPIC -fvisibility=hidden -D_GNU_SOURCE= -shared -I"$headers" -Isrc \
        "-Wl,--version-script=$map" -Wl,-soname,libpipc.so.0 -o "$work/libpipc.so" \
        src/api/*.c "$@" || fail "does not compile"
    abidw --headers-dir "$headers" --drop-private-types --exported-interfaces-only \
        --drop-undefined-syms --no-corpus-path --no-comp-dir-path --no-show-locs \
        --no-parameter-names --no-elf-needed --no-write-default-sizes "$work/libpipc.so" |
        sed "s,path='$PWD/,path=',; s,path='$work/,path=',; s/ language='[^']*'//" >"$to"
    grep -q "<function-decl name='pipc_open'" "$to" || fail "abidw does not see pipc_open"
}

nodes() # $1 reference or version script
{
    grep -oE 'LIBPIPC_[0-9.]+' "$1" | sort -u
}

compare() # $1 version script, $2 description. Status 0: no change, or one with a new node
{
    abidiff --no-redundant "$reference" "$2" >"$work/changes" 2>&1 && return
    status=$?
    [ $((status & 3)) = 0 ] || { cat "$work/changes" >&2; fail "abidiff failed: $status"; }
    nodes "$reference" >"$work/old"
    nodes "$1" | comm -13 "$work/old" - | grep -q . || return 1 # no new node
    [ $((status & 8)) = 0 ] || return 1                         # something is taken away
    ! grep -oE '@@LIBPIPC_[0-9.]+' "$work/changes" | tr -d @ | grep -qxFf "$work/old"
}

plant() # $1 what, $2 file in $work, $3 sed command, $4 the same file before
{
    rm -rf "$work/include"
    cp -R include "$work/include"
    cp src/libpipc.map "$work/libpipc.map"
    sed -i "$3" "$work/$2"
    ! cmp -s "$work/$2" "$4" || fail "'$1' could not be planted"
}

planted() # $1 fails|passes, $2 what; the rest as for describe
{
    expected=$1
    what=$2
    shift 2
    describe "$work/include" "$work/libpipc.map" "$work/changed" "$@"
    if compare "$work/libpipc.map" "$work/changed"; then found=passes; else found=fails; fi
    [ $found = "$expected" ] || { cat "$work/changes" >&2; fail "'$what' $found"; }
    echo "abi: planted: $what: $found"
}

command -v abidw >/dev/null || { echo "abi: no abidw here (abigail-tools): skipped"; exit 77; }
case $way in
update)
    describe include src/libpipc.map "$work/abi"
    cp "$work/abi" $reference
    ;;
compare)
    describe include src/libpipc.map "$work/abi"
    machine=$(sed -n "1s/.*architecture='\([^']*\)'.*/\1/p" $reference)
    grep -q "architecture='$machine'" "$work/abi" ||
        { echo "abi: $reference is for $machine: skipped"; exit 77; }
    compare src/libpipc.map "$work/abi" || {
        cat "$work/changes" >&2
        fail "changed. If that is meant, run: sh tests/check_abi.sh update"
    }
    ;;
planted)
    header=include/pipc.h
    plant "a longer struct" $header 's/^    pipc_kind_t kind;$/& int planted;/' $header
    planted fails "a longer struct"
    echo 'LIBPIPC_9.9 { global: pipc_planted; } LIBPIPC_0.1;' >>"$work/libpipc.map"
    echo '__attribute__((visibility("default"))) int pipc_planted;' >"$work/planted.c"
    planted passes "a longer struct, with a new node" "$work/planted.c"
    sed -i '/pipc_version;/d' "$work/libpipc.map"
    planted fails "a symbol less, with a new node" "$work/planted.c"
    plant "another type" $header 's/^    size_t struct_size;/    unsigned struct_size;/' $header
    planted fails "a member of another type"
    plant "a symbol less" libpipc.map '/pipc_version;/d' src/libpipc.map
    planted fails "a symbol less"
    plant "a symbol more" libpipc.map 's/ pipc_version;/& pipc_planted;/' src/libpipc.map
    planted fails "a symbol more" "$work/planted.c"
    echo 'LIBPIPC_9.9 { } LIBPIPC_0.1;' >>"$work/libpipc.map"
    planted fails "a symbol more in the old node" "$work/planted.c"
    ;;
*)
    fail "what is $way?"
    ;;
esac
echo "abi: $way: done"
