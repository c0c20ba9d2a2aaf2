#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The sources compile by themselves, without what CMake defines: with the compiler at hand and,
# where these are installed, for 32 bits and with musl; with the folder of Linux, and with that for
# other systems, then with nothing but what POSIX.1-2008 declares. One command makes a program of
# them, as the README says. A machine whose 64-bit atomics need a lock is refused, with a sentence
# that says so. Nothing needs libatomic.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
CC=${CC:-cc}
failed=0

compile() # $@ compiler and options
{
    "$@" -std=c11 -Wall -Wextra -Werror -Iinclude -Isrc -fsyntax-only src/*/*.c src/sys/linux/*.c ||
        failed=1
    "$@" -std=c11 -DPIPC_OTHER_SYSTEM -D_POSIX_C_SOURCE=200809L -D_XOPEN_SOURCE=700 -Wall -Wextra \
        -Werror -Iinclude -Isrc -fsyntax-only src/*/*.c src/sys/other/*.c src/sys/posix/*.c ||
        failed=1
    echo "plain: $*"
}

program() # $@ files of folders of src/sys, options
{
    { "$CC" -pthread -Iinclude -Isrc -o "$work/hello" examples/hello.c src/*/*.c "$@" -lrt &&
        "$work/hello" >"$work/out" && grep -q hello "$work/out"; } || failed=1
}

has() # $@ compiler and options: can it compile anything?
{
    command -v "$1" >/dev/null && echo '#include <stdio.h>' | "$@" -x c -fsyntax-only - 2>/dev/null
}

lock_free() # $@ compiler and options: are 64-bit atomics? (clang says no for 32-bit x86)
{
    echo 'char test[__GCC_ATOMIC_LLONG_LOCK_FREE == 2 ? 1 : -1];' |
        "$@" -x c -fsyntax-only - 2>/dev/null
}

refuse() # $@ compiler and options for a machine whose 64-bit atomics need a lock
{
    if has "$@" && ! "$@" -std=c11 -Iinclude -Isrc -fsyntax-only -x c src/sys/sys.h 2>&1 |
        grep -q 'needs 64-bit atomics without locks'; then
        echo "not refused: $*" >&2
        failed=1
    fi
}

# Some machines (riscv64) change no single byte at once: compilers call libatomic for it.
words()
{
    for name in $(grep -rhoE 'atomic_bool [a-z_, ]+' src | sed 's/atomic_bool//; s/,/ /g'); do
        grep -rnE "atomic_(exchange|compare|fetch)[a-z_]*\([^,]*[^a-z_]$name," src || continue
        echo "$name is a byte: libatomic would be needed" >&2
        failed=1
    done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
words
compile "$CC"
program src/sys/linux/*.c
program src/sys/other/*.c src/sys/posix/*.c -DPIPC_OTHER_SYSTEM
program src/sys/*/*.c # but for Linux, they are empty then
! has musl-gcc || compile musl-gcc
case $(uname -m) in
x86_64 | i?86)
    ! has "$CC" -m32 || ! lock_free "$CC" -m32 || compile "$CC" -m32
    refuse "$CC" -m32 -march=i486
    ;;
esac
refuse i686-linux-gnu-gcc -march=i386
refuse arm-linux-gnueabi-gcc -march=armv5te
exit "$failed"
