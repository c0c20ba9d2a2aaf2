#!/bin/sh
# SPDX-License-Identifier: MIT
#
# All of pipc.h is behind pipc.hpp: it calls each function, and its options set each field. It
# compiles without a warning with each C++ compiler that is here, as C++20, and as C++17 without
# exceptions. It allocates nothing.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

${CC:-cc} -E -P include/pipc.h >"$work/header"
sed -e 's,/\*.*\*/,,' -e 's,^ \*.*,,' include/pipc.hpp >"$work/code" # no comments

grep -oE '\bpipc_[a-z0-9_]+ *\(' "$work/header" | tr -d ' (' | sort -u >"$work/functions"
[ -s "$work/functions" ] || { echo "cpp: pipc.h declares nothing" >&2; exit 1; }
while read -r name; do
    grep -qE "(\\b$name\\(|<.*, $name>)" "$work/code" && continue
    echo "cpp: pipc.hpp does not call $name" >&2
    failed=1
done <"$work/functions"

tr '\n' ' ' <"$work/header" | grep -oE '\{[^{}]*\} *pipc_options_t;' | tr ';' '\n' |
    sed -nE 's/.*[ *]([a-z_]+)$/\1/p' | grep -vxE 'struct_size|pipc_options_t' >"$work/fields"
[ -s "$work/fields" ] || { echo "cpp: pipc_options_t has no fields" >&2; exit 1; }
while read -r name; do
    grep -qE "set\\(value_\\.$name," "$work/code" && continue
    echo "cpp: options of pipc.hpp do not set $name" >&2
    failed=1
done <"$work/fields"

cat >"$work/use.cpp" <<'END'
#include "pipc.hpp"
void use(libpipc::pipe &pipe, std::error_code &code);
void use(libpipc::pipe &pipe, std::error_code &code)
{
    char room[8];
    pipe.write("x", code);
    pipe.read(room, code);
    pipe.write(libpipc::bytes(room, sizeof room));
}
END
compilers=
for compiler in g++ clang++; do
    echo 'int x;' | "$compiler" -x c++ -fsyntax-only - 2>/dev/null || continue
    compilers="$compilers $compiler"
    for options in '-std=c++20 -fsyntax-only' "-std=c++17 -fno-exceptions -c -o $work/use.o"; do
        # shellcheck disable=SC2086  # a list
        "$compiler" $options -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wold-style-cast \
            -Werror -Iinclude "$work/use.cpp" || failed=1
    done
    ! nm -u "$work/use.o" | grep -E '_Zn[wa]|malloc' >&2 || {
        echo "cpp: pipc.hpp allocates memory ($compiler)" >&2
        failed=1
    }
done
[ "$failed" = 0 ] &&
    echo "cpp: $(wc -l <"$work/functions") functions, $(wc -l <"$work/fields") options;$compilers"
exit "$failed"
