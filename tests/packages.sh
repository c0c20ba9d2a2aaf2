#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes the packages as a distribution would, twice in different folders, and uses them: the same
# bytes, Debian's hardening, lintian, and a program of somebody else in a clean root, with packages
# for dpkg and for rpm. `./dev packages` runs it on Debian or Ubuntu, with the tools that it names.
# The clean root is kept in FOLDER, since making it takes a minute or two.
# usage: packages.sh FOLDER    a folder for all that it makes
set -eu
mkdir -p "$1"
work=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
source=$PWD
root=$work/root
one=$work/one
two=$work/another/folder
jobs=$(getconf _NPROCESSORS_ONLN)

fail()
{
    echo "packages: $*" >&2
    exit 1
}

quiet() # a command whose output matters only when it fails
{
    "$@" >"$work/log" 2>&1 </dev/null || { tail -n 40 "$work/log" >&2; fail "$*"; }
}

say()
{
    echo "packages: $*"
}

debian_flags() # as a package of Debian is compiled, with all of its hardening
{
    export DEB_BUILD_MAINT_OPTIONS=hardening=+all
    CFLAGS="$(dpkg-buildflags --get CFLAGS) $(dpkg-buildflags --get CPPFLAGS)"
    LDFLAGS=$(dpkg-buildflags --get LDFLAGS)
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 1700000000)
    export CFLAGS LDFLAGS SOURCE_DATE_EPOCH LC_ALL=C.UTF-8
    umask 022
}

make_packages() # $1 folder
{
    rm -rf "$1"
    mkdir -p "$1/source" "$1/packages"
    tar -C "$source" --exclude=./build --exclude='./build-*' --exclude=./.git -cf - . |
        tar -C "$1/source" -xf -
    quiet cmake -S "$1/source" -B "$1/build" -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_BUILD_TYPE=None \
        -DPIPC_BUILD_TESTS=OFF -DPIPC_BUILD_EXAMPLES=OFF -DPIPC_WERROR=ON
    quiet cmake --build "$1/build" -j "$jobs"
    (cd "$1/build" && quiet cpack -G DEB -B "$1/packages")
    # Where distributions with rpm have their libraries. Nothing is compiled anew.
    quiet cmake -DCMAKE_INSTALL_LIBDIR=lib64 "$1/build"
    (cd "$1/build" && quiet cpack -G RPM -B "$1/packages")
    quiet cmake -UCMAKE_INSTALL_LIBDIR "$1/build"
    rm -rf "$1/packages/_CPack_Packages"
}

check_same()
{
    for file in libpipc.a "libpipc.so.$version"; do
        cmp "$one/build/$file" "$two/build/$file" || fail "$file depends on its folder"
    done
    [ "$(ls "$one/packages")" = "$(ls "$two/packages")" ] || fail "other packages in another folder"
    for file in "$one"/packages/*; do
        cmp "$file" "$two/packages/$(basename "$file")" || fail "the packages differ"
    done
    say "two folders, the same bytes: $(ls "$one/packages" | wc -l) packages, both libraries"
}

check_hardening()
{
    hardening-check --nocfprotection "$one/build/libpipc.so.$version" >"$work/hardening" || :
    for what in 'Stack protected' 'Fortify Source functions' 'Read-only relocations' \
        'Immediate binding'; do
        grep -q "^ $what: yes" "$work/hardening" || {
            cat "$work/hardening" >&2
            fail "$what: no"
        }
    done
    readelf -lW "$one/build/libpipc.so.$version" | grep 'GNU_STACK' | grep -q 'RW ' ||
        fail "the stack is executable"
    say "hardened: stack protector, fortified calls, read-only relocations, immediate binding"
}

check_lintian()
{
    lintian --allow-root --fail-on error "$one"/packages/*.deb >"$work/lintian" 2>&1 || {
        cat "$work/lintian" >&2
        fail "lintian found errors"
    }
    say "lintian: no errors, $(grep -c '^W:' "$work/lintian" || :) warnings"
}

make_root() # with a compiler; once
{
    [ ! -e "$root/made" ] || return 0
    rm -rf "$root"
    say "making a clean root"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
    # shellcheck source=/dev/null
    . /etc/os-release
    quiet debootstrap --variant=minbase --include=gcc,libc6-dev,pkg-config,cmake,make \
        "$VERSION_CODENAME" "$root" "$mirror"
    mkdir -p "$root/etc/ld.so.conf.d"
    echo /usr/lib64 >"$root/etc/ld.so.conf.d/zz-rpm.conf"
    touch "$root/made"
}

inside() # a command in the clean root
{
    quiet env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin PKG_CONFIG_PATH="/usr/lib64/pkgconfig" \
        chroot "$root" "$@"
}

left() # files of libpipc in the clean root
{
    find "$root" -xdev \( -path "$root/tmp" -o -path "$root/var" \) -prune -o -name '*pipc*' -print
}

use() # $1 kind of package, $2 option for CMake: compiles and runs a program with what is installed
{
    inside sh -c 'cd /tmp/consumer && cc main.c -o shared $(pkg-config --cflags --libs libpipc)'
    readelf -d "$root/tmp/consumer/shared" | grep -q 'NEEDED.*libpipc\.so\.0' ||
        fail "not linked with the shared library"
    inside /tmp/consumer/shared
    inside sh -c 'cd /tmp/consumer && rm -rf build &&
        cc -static main.c -o static $(pkg-config --static --cflags --libs libpipc) && ./static &&
        cmake -S . -B build $0 && cmake --build build && cd build && ctest --no-tests=error' "$2"
    [ -s "$root/usr/include/pipc.hpp" ] || fail "no header for C++"
    [ -s "$root/usr/share/man/man3/pipc_write.3.gz" ] || fail "no manual page"
    [ ! -e "$root/usr/bin/pipccat" ] || inside pipccat --help
    [ ! -e "$root/usr/bin/pipc-inspect" ] || inside pipc-inspect --help
    say "$1: compiled and ran a program in the clean root: shared, static, with CMake"
}

gone() # $1 kind of package
{
    [ -z "$(left)" ] || { left >&2; fail "$1 left these"; }
    if chroot "$root" /tmp/consumer/shared >"$work/log" 2>&1; then
        fail "$1: the program finds a library that was removed"
    fi
    say "$1: removed, nothing is left"
}

check_packages()
{
    make_root
    chroot "$root" dpkg --purge pipc-tools libpipc-dev libpipc0 >"$work/log" 2>&1 || : # left over
    rm -rf "$root/tmp/consumer" "$root/tmp/packages" "$root/var/lib/rpm"
    left | xargs -r rm -rf
    cp -R tests/consumer "$root/tmp/consumer"
    cp -R "$one/packages" "$root/tmp/packages"

    inside sh -c 'dpkg -i /tmp/packages/*.deb'
    use dpkg -Wdev
    inside sh -c 'dpkg --purge $(dpkg-query -W -f "\${Package} " "*pipc*")'
    gone dpkg

    # The root is Debian's, so it has what the packages need under other names.
    set -- --root "$root" --dbpath /var/lib/rpm
    quiet rpm "$@" --initdb
    set -- "$@" --nodeps --force-debian
    quiet rpm "$@" -i "$one"/packages/*.rpm
    use rpm -Dpipc_DIR=/usr/lib64/cmake/pipc # where Debian's CMake does not look
    rpm --root "$root" --dbpath /var/lib/rpm -qa '*pipc*' >"$work/names"
    # shellcheck disable=SC2046  # a list
    quiet rpm "$@" -e $(cat "$work/names")
    gone rpm
}

check_libraries() # those that were packaged
{
    export SOURCE_DIR="$source" BUILD_DIR="$one/build"
    quiet sh tests/check_install.sh tree
    quiet sh tests/check_symbols.sh "$BUILD_DIR/libpipc.so.$version"
    quiet sh tests/check_abi.sh compare
    quiet sh tests/check_meson.sh full
    say "the symbols and the ABI of the reference; Meson makes the same libraries"
}

version=$(sed -nE 's/^#define PIPC_VERSION_(MAJOR|MINOR|PATCH) +//p' include/pipc.h | paste -sd .)
(
    debian_flags
    make_packages "$one"
    make_packages "$two"
    check_libraries
)
check_same
check_hardening
check_lintian
if [ "$(id -u)" = 0 ]; then
    check_packages
else
    say "skipped: a clean root needs the rights of root"
fi
say "all passed: $one/packages"
