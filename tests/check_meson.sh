#!/bin/sh
# SPDX-License-Identifier: MIT
#
# meson.build makes the library that CMake makes. Skipped where meson is missing.
# usage: check_meson.sh library     the shared library alone, unoptimised, which is quick
#        check_meson.sh full        both, as an installation has them
#        check_meson.sh subproject  a project that has libpipc as its part builds the library alone
# What CMake has installed is in BUILD_DIR/installed. Environment: SOURCE_DIR, BUILD_DIR, CC.
set -eu
way=$1
: "${SOURCE_DIR:?}" "${BUILD_DIR:?}"
export CC="${CC:-cc}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset DESTDIR

fail()
{
    echo "meson: $*" >&2
    exit 1
}

quiet() # a command whose output matters only when it fails
{
    "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$*"; }
}

build() # $1 source folder, $2 build folder, $@ options
{
    from=$1
    to=$2
    shift 2
    quiet meson setup "$to" "$from" --prefix /usr "$@"
    quiet ninja -C "$to"
    quiet env DESTDIR="$work/root" meson install -C "$to" --no-rebuild
}

same() # $1 what it is; compares the files cmake and meson
{
    [ -s "$work/cmake" ] || fail "no $1 from CMake"
    diff -u "$work/cmake" "$work/meson" >&2 || fail "another $1"
}

symbols()
{
    nm -D --with-symbol-versions --defined-only "$1" | sed 's/^[0-9a-f]* //' | sort
}

dynamic() # soname, flags, and what is needed
{
    readelf -dW "$1" | sed -nE 's/.*\((SONAME|FLAGS_1|NEEDED)\)/\1/p' | sort
}

compare_shared()
{
    ours=$work/root/usr/$libdir
    [ "$(cd "$theirs" && ls -d libpipc.so*)" = "$(cd "$ours" && ls -d libpipc.so*)" ] ||
        fail "other names: $(ls "$ours")"
    for what in symbols dynamic; do
        $what "$theirs/libpipc.so" >"$work/cmake"
        $what "$ours/libpipc.so" >"$work/meson"
        same "$what"
    done
    sed 's|^prefix=.*|prefix=/usr|' "$theirs/pkgconfig/libpipc.pc" >"$work/cmake"
    cp "$ours/pkgconfig/libpipc.pc" "$work/meson"
    same libpipc.pc
    diff -r "$BUILD_DIR/installed/include" "$work/root/usr/include" || fail "other headers"
}

compare_sources()
{
    ar t "$theirs/libpipc.a" | sed 's/\.o$//' | sort >"$work/cmake"
    meson introspect "$1" --targets | tr ' ' '\n' |
        sed -nE 's,.*/([a-z_0-9]+\.c)".*,\1,p' | sort -u >"$work/meson"
    same "list of sources"
}

compare_static()
{
    for kind in cmake meson; do
        case $kind in cmake) archive=$theirs ;; *) archive=$ours ;; esac
        nm -gP "$archive/libpipc.a" | awk 'NF > 1 { print $1, $2 }' | sort -u |
            grep -vE '__|_GLOBAL_' >"$work/$kind"
    done
    same "archive"
}

consume() # the installed tree, as somebody else's Meson project finds it
{
    PKG_CONFIG_PATH=$work/root/usr/$libdir/pkgconfig
    export PKG_CONFIG_PATH LD_LIBRARY_PATH="$work/root/usr/$libdir"
    export PKG_CONFIG_SYSROOT_DIR="$work/root"
    quiet meson setup "$work/consumer" "$SOURCE_DIR/tests/consumer" --wrap-mode=nofallback
    quiet ninja -C "$work/consumer"
    "$work/consumer/consumer" || fail "the program failed"
}

for tool in meson ninja pkg-config; do
    command -v $tool >/dev/null || { echo "meson: no $tool here: skipped"; exit 77; }
done
theirs=$(dirname "$(find "$BUILD_DIR/installed" -name libpipc.a)")
libdir=${theirs#"$BUILD_DIR"/installed/}
case $way in
library)
    build "$SOURCE_DIR" "$work/build" -Dlibdir="$libdir" -Ddefault_library=shared \
        -Doptimization=0 -Ddebug=false
    compare_shared
    compare_sources "$work/build"
    consume
    ;;
full)
    build "$SOURCE_DIR" "$work/build" -Dlibdir="$libdir" -Dwerror=true
    compare_shared
    compare_sources "$work/build"
    compare_static
    consume
    ;;
subproject)
    mkdir -p "$work/parent/subprojects"
    cp "$SOURCE_DIR/tests/consumer/main.c" "$SOURCE_DIR/tests/consumer/meson.build" "$work/parent"
    ln -s "$SOURCE_DIR" "$work/parent/subprojects/libpipc"
    build "$work/parent" "$work/build" -Doptimization=0 --wrap-mode=forcefallback
    "$work/build/consumer" || fail "the program failed"
    built=$(find "$work/build" -name 'libpipc.*' -type f)
    [ "$built" = "$work/build/subprojects/libpipc/libpipc.a" ] || fail "built $built"
    [ "$(find "$work/root" ! -type d)" = "$work/root/usr/bin/consumer" ] ||
        fail "it installed itself with its parent"
    ;;
*)
    fail "what is $way?"
    ;;
esac
echo "meson: $way works"
