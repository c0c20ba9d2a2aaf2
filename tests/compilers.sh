#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Compiles everything with each gcc and clang that is here, with several optimisers and standards,
# and has gcc's analyser, cppcheck and clang-tidy read the library. A warning fails it.
# `./dev compilers` runs it. The table is left in FOLDER/table.
# What is not warned of, and why: .clang-tidy, tests/cppcheck.txt, and analyse() below.
# usage: compilers.sh FOLDER [quick | NAME...]
#   NAME: a compiler of the list below, cc, or analysers; then those alone
set -eu
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
all='gcc-11 gcc-12 gcc-13 gcc-14 gcc-15 gcc-16 clang-13 clang-14 clang-15 clang-16 clang-17 clang-18
clang-19 clang-20 cc analysers'
cd "$(dirname "$0")/.."
jobs=${PIPC_JOBS:-$(getconf _NPROCESSORS_ONLN)}
library='src/*/*.c src/sys/linux/*.c'
posix='src/sys/*.c src/sys/other/*.c src/sys/posix/*.c'
around='tests/*.c tests/fuzz/*.c tests/torture/*.c tests/plugin/*.c tests/tools/*.c tools/*.c'
around="$around examples/*.c"
defines='-D_GNU_SOURCE= -D_FILE_OFFSET_BITS=64'
warnings='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes'

# The examples of loops are compiled where their libraries are, by the build of ./dev test.
needs_library='event2|<uv[.]h|<ev[.]h|glib|json[.]h|liburing'

fail()
{
    echo "compilers: $*" >&2
    exit 1
}

note() # $1 what, $2 result
{
    printf '%-58s %s\n' "$1" "$2" | tee -a "$work/table"
}

row() # $1 what, $2 files, $3 how many at a time, $@ a command: prints a row of the table
{
    what=$1 files=$2 batch=$3
    shift 3
    # shellcheck disable=SC2086  # patterns
    if ls $files | xargs grep -LE "include.*($needs_library)" |
        xargs -P "$jobs" -n "$batch" "$@" >"$work/out" 2>&1 && ! grep -q 'warning:' "$work/out"
    then
        result='no warning'
    else
        result=FAILED
        grep -E 'warning:|error:|style:|portability:|performance:' "$work/out" | sort -u |
            head -n 40 >&2
        failed="$failed; $what"
    fi
    note "$what" "$result"
}

compile() # $1 what, $2 files, $@ compiler and its options
{
    what=$1 files=$2
    shift 2
    # shellcheck disable=SC2086  # options
    row "$*: $what" "$files" 1 "$@" $warnings $defines -I"$work" -Iinclude -Isrc -Itests \
        "-DPLUGIN_DIR=\"\"" -S -o /dev/null
}

analyse() # by those whose versions the lists of exceptions were made for
{
    # gcc 12 takes what a caller is sure of (an end that it holds, a place that is free) for NULL;
    # clang's analyser, which clang-tidy runs, looks for the same.
    ! has gcc || row "gcc -fanalyzer: src" "$library" 1 gcc -std=c11 -O2 -fanalyzer \
        -Wno-analyzer-null-dereference $defines -Iinclude -Isrc -S -o /dev/null
    ! has cppcheck || row "cppcheck: src" "$library" 100 cppcheck -q --std=c11 --error-exitcode=1 \
        --enable=warning,performance,portability --suppressions-list=tests/cppcheck.txt \
        -D__GNUC__=12 -D__x86_64__ $defines -Iinclude -Isrc -j "$jobs"
    ! has clang-tidy || row "clang-tidy: src" "$library" 4 sh -c \
        "clang-tidy --quiet \"\$@\" -- -std=c11 $defines -Iinclude -Isrc" -
}

has()
{
    command -v "$1" >/dev/null
}

cmocka()
{
    pkg-config --exists cmocka
}

each_way() # $1 compiler: what a library is built with, and what a program is
{
    compile library "$library" "$1" -std=c11 -O0
    compile library "$library" "$1" -std=c2x -O3
    compile library "$library" "$1" -std=c11 -Os -DNDEBUG
    compile 'what POSIX has alone' "$posix" "$1" -std=c11 -O2 -DPIPC_OTHER_SYSTEM
    ! cmocka || compile 'tests, examples, tools' "$around" "$1" -std=c11 -O2
}

# What CMake makes of tests/wrapped.txt; the names are enough here.
sed -nE 's/^([a-z]\w*)$/#define SYMBOL_\1 "\1"/p' tests/wrapped.txt >"$work/wrapped_symbols.h"
: >"$work/table"
failed=
# shellcheck disable=SC2086  # a list
case ${1:-} in
quick) set -- library analysers ;;
'') set -- $all ;;
esac
for name; do
    case $name in
    library)
        compile library "$library" cc -std=c2x -O3 -DNDEBUG
        ! has clang || compile library "$library" clang -std=c2x -O3 -DNDEBUG
        ;;
    cc) ! cmocka || compile 'tests, examples, tools' "$around" cc -std=c2x -O3 -DNDEBUG ;;
    analysers) analyse ;;
    *)
        case " $(echo $all) " in *" $name "*) ;; *) fail "no such name: $name" ;; esac
        if has "$name"; then each_way "$name"; else note "$name" 'not here'; fi
        ;;
    esac
done
[ -z "$failed" ] || fail "warnings${failed}"
echo "compilers: no warning"
