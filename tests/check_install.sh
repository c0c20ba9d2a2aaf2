#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs libpipc, moves the tree, and builds and runs somebody else's program against it.
# usage: check_install.sh tree      install, and look at what was installed
#        check_install.sh pkgconfig_shared|pkgconfig_static|pkgconfig_cxx|rpath
#        check_install.sh other_compiler|plugin
#        check_install.sh find_package|add_subdirectory|fetch_content
#        check_install.sh uninstall what DESTDIR and each component get, and its removal
# ctest runs `tree` before the others. Environment: SOURCE_DIR, BUILD_DIR, CC, CXX, CMAKE.
set -eu
way=$1
: "${SOURCE_DIR:?}" "${BUILD_DIR:?}" "${CMAKE:=cmake}" "${CC:=cc}"
case $CC in *clang*) : "${CXX:=clang++}" ;; *) : "${CXX:=c++}" ;; esac
consumer=$SOURCE_DIR/tests/consumer
tree=$BUILD_DIR/installed
work=$(mktemp -d)
trap leave EXIT

leave()
{
    restore_manifests
    rm -rf "$work"
}

# An install writes its manifest into the build folder, where that of the developer's own install
# may be. The target `uninstall` reads it.
keep_manifests()
{
    mkdir "$work/manifests"
    find "$BUILD_DIR" -maxdepth 1 -name 'install_manifest*.txt' -exec mv {} "$work/manifests" \;
}

restore_manifests()
{
    [ -d "$work/manifests" ] || return 0
    rm -f "$BUILD_DIR"/install_manifest*.txt
    find "$work/manifests" -type f -exec mv {} "$BUILD_DIR" \;
}

fail()
{
    echo "install: $*" >&2
    exit 1
}

quiet() # a command whose output matters only when it fails
{
    "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$*"; }
}

find_libdir() # where the libraries are, below the prefix: lib, lib64, lib/x86_64-linux-gnu
{
    libdir=$(dirname "$(find "$tree" -name libpipc.a)")
    export PKG_CONFIG_PATH="$libdir/pkgconfig"
}

install_tree()
{
    keep_manifests
    rm -rf "$tree" "$tree.before"
    quiet "$CMAKE" --install "$BUILD_DIR" --prefix "$tree.before"
    mv "$tree.before" "$tree" # nothing in it may remember where it was
    # The debugging information of a Debug build leads to the sources.
    text=-a
    ! grep -q '^CMAKE_BUILD_TYPE:.*=Debug$' "$BUILD_DIR/CMakeCache.txt" || text=-I
    if grep -rl $text -e "$tree.before" -e "$SOURCE_DIR" "$tree" >&2; then
        fail "these remember where they were made"
    fi
    find_libdir
    [ "$(cd "$tree/include" && echo *)" = "pipc.h pipc.hpp" ] || fail "other headers than two"
    [ "$(find "$tree" -name '*.h*' | wc -l)" = 2 ] || fail "headers in another folder"
    version=$(pkg-config --modversion libpipc)
    [ "$(readlink "$libdir/libpipc.so")" = libpipc.so.0 ] ||
        fail "libpipc.so does not lead to libpipc.so.0"
    [ "$(readlink "$libdir/libpipc.so.0")" = "libpipc.so.$version" ] ||
        fail "libpipc.so.0 does not lead to $version"
    readelf -d "$libdir/libpipc.so" >"$work/dynamic"
    grep -q 'SONAME.*\[libpipc\.so\.0\]' "$work/dynamic" || fail "the soname is not libpipc.so.0"
    grep -q NODELETE "$work/dynamic" || fail "the shared library can be unloaded"
    ! grep -q STATIC_TLS \
        "$work/dynamic" || fail "the shared library takes static thread-local storage"
    check_archive
}

check_archive() # objects for any linker, not for the optimiser of one compiler's version
{
    readelf -hW "$libdir/libpipc.a" >"$work/headers"
    [ "$(grep -c '^ELF Header' "$work/headers")" = "$(ar t "$libdir/libpipc.a" | wc -l)" ] ||
        fail "in libpipc.a is something that is no ELF object"
    readelf -SW "$libdir/libpipc.a" >"$work/sections"
    ! grep 'gnu\.lto_' "$work/sections" >&2 ||
        fail "libpipc.a has sections for the link-time optimiser"
}

run_consumer() # $1 program
{
    "$1" || fail "$way: the program failed"
}

pkgconfig() # $1 compiler and its options, $2 options for pkg-config, $3 source, $4 its suffix
{
    find_libdir
    export LD_LIBRARY_PATH="$libdir"
    compile=$1
    source=$work/program.$4
    cp "$consumer/$3".c* "$source"
    # shellcheck disable=SC2086  # $2 may be nothing
    eval "set -- $(pkg-config $2 --cflags --libs libpipc)" # it quotes for the shell
    # shellcheck disable=SC2086  # a command and its options
    quiet $compile -Wall -Wextra -Wpedantic -Werror -o "$work/consumer" "$source" "$@"
}

hide_shared() # a tree without shared library: the linker would take it
{
    cp -R "$tree" "$work/static"
    tree=$work/static
    find "$tree" -name 'libpipc.so*' -exec rm -f {} +
}

linked() # is the program linked with libpipc.so?
{
    readelf -d "$work/consumer" | grep -q 'NEEDED.*libpipc'
}

build_consumer() # $@ options for cmake
{
    quiet "$CMAKE" -S "$consumer" -B "$work/build" -DCMAKE_C_COMPILER="$CC" "$@"
    quiet "$CMAKE" --build "$work/build"
    for library in pipc pipc_shared pipc_static; do
        run_consumer "$work/build/consumer_$library"
    done
}

files() # $1 folder: what is in it
{
    (cd "$1" && find . ! -type d | sort)
}

only() # $1 folder, $2 what each file in it must match
{
    files "$1" >"$work/files"
    grep -vE "$2" "$work/files" >&2 && fail "$1 has what belongs elsewhere"
    [ -s "$work/files" ] || fail "nothing is in $1"
}

check_components() # their files differ, and make the whole tree
{
    for component in runtime development tools documentation; do
        quiet "$CMAKE" --install "$BUILD_DIR" --prefix "$work/$component" --component $component
    done
    only "$work/runtime" '/libpipc\.so\.[0-9.]+$'
    only "$work/development" '/pipc\.h(pp)?$|/libpipc\.(a|so|pc)$|/cmake/pipc/[a-zA-Z-]+\.cmake$'
    only "$work/documentation" '/doc/|/man[37]/'
    for component in runtime development tools documentation; do
        [ ! -d "$work/$component" ] || files "$work/$component"
    done | sort >"$work/parts"
    files "$tree" | diff - "$work/parts" >&2 || fail "the components are not the whole"
}

# Below /usr, pkg-config names no folder that compilers search anyway; in a sysroot, those there.
check_prefix() # $1 root, $2 prefix; the folder of the libraries in libdir
{
    pc="$1$2/${libdir#"$tree"/}/pkgconfig"
    here=$(PKG_CONFIG_PATH=$pc PKG_CONFIG_SYSTEM_INCLUDE_PATH=$2/include \
        PKG_CONFIG_SYSTEM_LIBRARY_PATH=$2/${libdir#"$tree"/} pkg-config --cflags --libs libpipc)
    there=$(PKG_CONFIG_PATH=$pc PKG_CONFIG_SYSROOT_DIR=$1 PKG_CONFIG_SYSTEM_INCLUDE_PATH=/none \
        pkg-config --cflags libpipc)
    [ "${here% }" = -lpipc ] || fail "below $2, pkg-config says $here"
    [ "${there% }" = "-I$1$2/include" ] || fail "in a sysroot, pkg-config says $there"
}

check_uninstall() # nothing is left but what was there before
{
    export DESTDIR="$work/root"
    mkdir -p "$DESTDIR/usr/include"
    echo mine >"$DESTDIR/usr/include/mine.h"
    quiet "$CMAKE" --install "$BUILD_DIR" --prefix /usr
    (files "$tree" && echo ./include/mine.h) | sort >"$work/expected"
    files "$DESTDIR/usr" | diff "$work/expected" - >&2 || fail "DESTDIR got something else"
    find_libdir
    check_prefix "$DESTDIR" /usr
    quiet "$CMAKE" --build "$BUILD_DIR" --target uninstall
    [ "$(files "$DESTDIR")" = ./usr/include/mine.h ] || fail "left: $(files "$DESTDIR")"
    find "$DESTDIR" -type d -name '*pipc*' | grep . >&2 && fail "left these folders"
    if "$CMAKE" --build "$BUILD_DIR" --target uninstall >"$work/log" 2>&1; then
        fail "uninstalled twice"
    fi
}

case $way in
tree)
    install_tree
    ;;
pkgconfig_shared)
    pkgconfig "$CC -std=c99" "" main c
    linked || fail "not linked with the shared library"
    run_consumer "$work/consumer"
    ;;
rpath) # a prefix where the loader does not look
    find_libdir
    pkgconfig "$CC -std=c99 -Wl,-rpath,$(pkg-config --variable=libdir libpipc)" "" main c
    unset LD_LIBRARY_PATH
    run_consumer "$work/consumer"
    ;;
pkgconfig_static)
    hide_shared
    pkgconfig "$CC -std=c99" --static main c
    linked && fail "linked with the shared library"
    run_consumer "$work/consumer"
    pkgconfig "$CC -std=c99 -static" --static main c # and nothing shared at all
    run_consumer "$work/consumer"
    ;;
other_compiler) # than the one that made the archive
    case $CC in *clang*) other=gcc ;; *) other=clang ;; esac
    command -v $other >/dev/null || { echo "no $other here: skipped"; exit 77; }
    hide_shared
    pkgconfig "$other -std=c99" --static main c
    run_consumer "$work/consumer"
    ;;
plugin) # that contains the library exports nothing of it, and takes nothing of it from elsewhere
    hide_shared
    pkgconfig "$CC -std=c99 -shared -fPIC -Wl,-z,defs" --static main c
    nm -DP "$work/consumer" | grep '^pipc_' >&2 &&
        fail "the library's symbols are seen in the plug-in"
    ! readelf -d "$work/consumer" | grep -q STATIC_TLS ||
        fail "the plug-in takes static thread-local storage"
    nm -DP --defined-only "$work/consumer" | grep -q '^main ' ||
        fail "the plug-in's own symbols are not seen"
    tree=$BUILD_DIR/installed # and beside the shared library, as README.md shows
    find_libdir
    # shellcheck disable=SC2046  # options
    quiet "$CC" -std=c99 -shared -fPIC -Wl,-z,defs -o "$work/consumer" "$work/program.c" \
        $(pkg-config --cflags --libs-only-L libpipc) -l:libpipc.a -pthread -lrt
    ! linked || fail "the plug-in needs the shared library"
    ;;
pkgconfig_cxx) # pipc.h, and pipc.hpp
    pkgconfig "$CXX -std=c++11" "" main cc
    run_consumer "$work/consumer"
    pkgconfig "$CXX -std=c++17" "" main_cxx cpp
    run_consumer "$work/consumer"
    ;;
uninstall)
    keep_manifests
    check_components
    rm -f "$BUILD_DIR"/install_manifest*.txt
    check_uninstall
    ;;
find_package)
    build_consumer -DCMAKE_PREFIX_PATH="$tree"
    ;;
add_subdirectory)
    build_consumer -DPIPC_SUBDIRECTORY="$SOURCE_DIR"
    "$CMAKE" --install "$work/build" --prefix "$work/nothing" >/dev/null 2>&1
    [ ! -e "$work/nothing" ] || fail "libpipc installed itself with its parent"
    find "$work/build/libpipc" -type f -perm -100 ! -name '*.so*' | grep . >&2 &&
        fail "libpipc built its programs"
    ;;
fetch_content) # an archive of the sources, as from a web page
    tar -C "$SOURCE_DIR" -cf "$work/libpipc.tar" CMakeLists.txt cmake docs examples include src
    quiet "$CMAKE" -S "$consumer" -B "$work/build" -DCMAKE_C_COMPILER="$CC" \
        -DPIPC_URL="file://$work/libpipc.tar" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG=-O0
    quiet "$CMAKE" --build "$work/build" -j 2
    run_consumer "$work/build/consumer_pipc"
    find "$work/build" -name 'libpipc.so*' | grep . >&2 && fail "built what nothing links"
    # The consumer looks at which library it is given.
    quiet "$CMAKE" -S "$consumer" -B "$work/shared" -DCMAKE_C_COMPILER="$CC" \
        -DPIPC_SUBDIRECTORY="$SOURCE_DIR" -DBUILD_SHARED_LIBS=ON
    ;;
*)
    fail "what is $way?"
    ;;
esac
echo "install: $way works"
