#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the library and its test programs for other machines, and runs them under qemu; and for
# musl, on this machine. `./dev machines` runs it on Debian or Ubuntu, with the tools that it needs.
# cmocka is compiled for each of them from Debian's source, and a qemu that knows the flags of
# preadv2 comes from a newer Debian if this one's is older: both stay in FOLDER.
# usage: machines.sh FOLDER [quick | build] [MACHINE...]
#        build: nothing is run; then ctest --test-dir FOLDER/MACHINE -R NAME runs one test
#        machines.sh compiler MACHINE    prints the compiler that it needs
#   PIPC_TEST_SCALE: how much longer tests may take, and how many rounds fewer they make (2; 10)
#   PIPC_QEMU=old: this system's qemu, whatever its age
#   PIPC_JOBS: how many compilers at a time, and a third of the tests
set -eu
jobs=${PIPC_JOBS:-$(getconf _NPROCESSORS_ONLN)}
all='i386 armhf arm64 riscv64 s390x musl musl-static'
newer=trixie # where a newer qemu is, without dependencies
mirror=http://deb.debian.org/debian

fail()
{
    echo "machines: $*" >&2
    exit 1
}

quiet() # a command whose output matters only when it fails
{
    "$@" >"$work/log" 2>&1 </dev/null || { tail -n 40 "$work/log" >&2; fail "$*"; }
}

triplet() # $1 machine
{
    case $1 in
    i386) echo i686-linux-gnu ;;
    armhf) echo arm-linux-gnueabihf ;;
    arm64) echo aarch64-linux-gnu ;;
    riscv64 | s390x) echo "$1-linux-gnu" ;;
    esac
}

compiler_of() # $1 machine
{
    case $1 in
    musl*) echo musl-gcc ;;
    *) echo "$(triplet "$1")-gcc" ;;
    esac
}

qemu_name() # $1 machine
{
    case $1 in
    armhf) echo qemu-arm ;;
    arm64) echo qemu-aarch64 ;;
    *) echo "qemu-$1" ;;
    esac
}

[ "$1" != compiler ] || { compiler_of "$2"; exit; }
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."

from_debian() # $1 release, $2 deb or deb-src, $3... for apt-get: into the working folder
{
    apt=$work/apt-$1-$2
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    echo "$2 $mirror $1 main" >"$apt/sources.list"
    shift 2
    set -- -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root "$@"
    (cd "$work" && apt-get -q -o Dir::State::status=/dev/null "$@")
}

get_cmocka() # its source
{
    [ ! -e "$work/cmocka/src/cmocka.c" ] || return 0
    # shellcheck source=/dev/null
    . /etc/os-release
    release=${VERSION_CODENAME:-bookworm}
    quiet from_debian "$release" deb-src update
    quiet from_debian "$release" deb-src source --download-only cmocka
    mkdir -p "$work/cmocka"
    quiet tar -C "$work/cmocka" --strip-components=1 -xf "$work"/cmocka_*.orig.tar.?z
}

make_cmocka() # $1 machine: a static one, so that nothing has to find it
{
    root=$work/root-$1
    [ ! -e "$root/lib/libcmocka.a" ] || return 0
    get_cmocka
    mkdir -p "$root/lib" "$root/include"
    cp "$work"/cmocka/include/cmocka*.h "$root/include"
    printf '%s\n' 'Name: cmocka' 'Description: for tests' "Version: 1" \
        "Libs: -L$root/lib -lcmocka" "Cflags: -I$root/include" >"$root/lib/cmocka.pc"
    quiet "$compiler" -O1 -w -DHAVE_INTTYPES_H -DHAVE_MALLOC_H -DHAVE_SIGNAL_H -DHAVE_STRINGS_H \
        -DHAVE_STRSIGNAL -DHAVE_SIGLONGJMP -DHAVE_STRUCT_TIMESPEC -DHAVE_CLOCK_REALTIME \
        -DHAVE_GCC_THREAD_LOCAL_STORAGE -D_GNU_SOURCE -I"$root/include" \
        -c "$work/cmocka/src/cmocka.c" -o "$root/lib/cmocka.o"
    ar=${compiler%gcc}ar # one that knows the machine's objects
    command -v "$ar" >/dev/null || ar=ar
    quiet "$ar" rcs "$root/lib/libcmocka.a" "$root/lib/cmocka.o"
}

get_qemu() # $1 its name: sets $qemu
{
    qemu=$(command -v "$1" || :)
    case $("${qemu:-false}" --version | sed 's/.*version //; q') in
    [1-7].*) [ "${PIPC_QEMU:-}" = old ] || qemu= ;;
    esac
    [ -z "$qemu" ] || return 0
    qemu=$work/qemu/usr/bin/$1
    [ ! -x "$qemu" ] || return 0
    quiet from_debian "$newer" deb update
    quiet from_debian "$newer" deb download qemu-user
    mkdir -p "$work/qemu"
    dpkg --fsys-tarfile "$work"/qemu-user_*.deb | tar -C "$work/qemu" -xf - ./usr/bin/qemu-i386 \
        ./usr/bin/qemu-arm ./usr/bin/qemu-aarch64 ./usr/bin/qemu-riscv64 ./usr/bin/qemu-s390x
    rm "$work"/qemu-user_*.deb
}

# What qemu or the C library there cannot do: a pattern of names of tests, each with its reason.
left_out()
{
    # qemu leaves descriptors open that were not asked for.
    [ -z "$launcher" ] || echo fuzz_rights
    # Python is of this machine, and of its C library.
    [ -n "$launcher" ] || echo 'python_install|python_package'
}

runs_here() # $1 compiler, $@ its options: whether this kernel runs what it makes
{
    echo 'int main(void) { return 0; }' >"$work/runs.c"
    "$@" "$work/runs.c" -o "$work/runs" 2>/dev/null && "$work/runs" 2>/dev/null
}

musl_headers() # a folder with the headers of the kernel, which a compiler for musl has not
{
    mkdir -p "$work/kernel"
    ln -sfn /usr/include/linux "$work/kernel/linux"
    ln -sfn /usr/include/asm-generic "$work/kernel/asm-generic"
    ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$work/kernel/asm"
    echo "$work/kernel"
}

# Sets $compiler, $cflags, $ldflags, $launcher and $factor for machine $1.
set_up()
{
    # A note about gcc 10, whose _Atomic fields of 64 bits were aligned otherwise on i386.
    compiler=$(compiler_of "$1")
    ldflags='' cflags=-Wno-psabi launcher='' factor=${PIPC_TEST_SCALE:-2}
    case $1 in
    musl*)
        cflags="$cflags -isystem $(musl_headers)"
        [ "$1" = musl ] || ldflags=-static
        return
        ;;
    esac
    root=/usr/$(triplet "$1")
    loader=$root/lib/ld-linux.so.2
    here="-Wl,--dynamic-linker=$loader,-rpath=$root/lib"
    # shellcheck disable=SC2086  # an option each
    if [ "$1" = i386 ] && runs_here "$compiler" $here; then
        ldflags=$here
        return
    fi
    get_qemu "$(qemu_name "$1")"
    launcher="$qemu;-L;$root"
    factor=${PIPC_TEST_SCALE:-10}
}

configure() # $1 machine
{
    set_up "$1"
    set -- "$1" -DCMAKE_SYSTEM_NAME=Linux "-DCMAKE_C_COMPILER=$compiler" \
        -DCMAKE_CXX_COMPILER=NOTFOUND "-DCMAKE_C_FLAGS=$cflags" -DCMAKE_C_FLAGS_RELWITHDEBINFO=-O2
    make_cmocka "$1"
    build=$work/$1
    around=ON # without a launcher the tests of the examples and tools run as well
    [ -z "$launcher" ] || around=OFF
    export PKG_CONFIG_LIBDIR="$work/root-$1/lib"
    quiet cmake -S . -B "$build" "$@" "-DCMAKE_EXE_LINKER_FLAGS=$ldflags" -DPIPC_BUILD_TESTS=ON \
        "-DPIPC_BUILD_EXAMPLES=$around" "-DPIPC_BUILD_TOOLS=$around" -DPIPC_WERROR=ON \
        -DPIPC_BUILD_MANUAL=OFF "-DPIPC_INSTALL=$around" \
        "-DPIPC_TIME_FACTOR=$factor" "-DPIPC_LAUNCHER=$launcher" \
        "-DPIPC_BUILD_SHARED=$([ "$1" = musl-static ] && echo OFF || echo ON)"
}

build() # $@ targets; none: all
{
    quiet cmake --build "$build" -j "$jobs" ${1:+--target "$@"}
}

row() # $1 machine, $2 log of ctest
{
    awk -v name="$1" -v without="$(left_out)" '
        / Test +#.* Passed / { passed++ }
        /\*\*\*Skipped/ { skipped = skipped " " $4 }
        /\*\*\*(Failed|Timeout|Exception)/ { failed = failed " " $4 }
        END { gsub("[|]", " ", without)
            printf "%-12s %3d passed", name, passed
            if (failed != "") printf "; failed:%s", failed
            if (skipped != "") printf "; skipped:%s", skipped
            if (without != "") printf "; left out: %s", without
            print "" }' "$2" | tee -a "$work/table"
}

run() # $1 machine, $2 quick, build or all
{
    machine=$1
    configure "$machine"
    [ "$2" != build ] || { build; return; }
    if [ "$2" = quick ]; then
        # shellcheck disable=SC2046  # a list
        build $(echo "$some" | sed 's/[a-z_]*/test_&/g; y/|/ /')
        set -- -R "^($some)\$"
    elif [ -n "$launcher" ]; then
        build
        set -- -L unit
    else
        build
        set -- -LE 'lint|model'
    fi
    without=$(left_out)
    [ -z "$without" ] || set -- "$@" -E "^($without)\$"
    set -- -j $((jobs * 3)) --output-on-failure --no-tests=error "$@"
    [ -z "$launcher" ] || export PIPC_TEST_QEMU=1
    PIPC_TEST_SCALE=$factor ctest --test-dir "$build" "$@" \
        >"$work/$machine.log" 2>&1 </dev/null && status=0 || status=$?
    row "$machine" "$work/$machine.log"
    [ "$status" = 0 ] || failed="$failed $machine"
}

some='adopted|byte_ring|credentials|digest|ends|fds_wire|fifo_stream|frame_and_queue|framing'
some="$some|handshake_states|moving_steps|outbound|pending|ring|unix_server|strerror"

how=all
case ${1:-} in
quick | build)
    how=$1
    shift
    [ "$how$#" != quick0 ] || set -- s390x
    ;;
esac
# shellcheck disable=SC2086  # a list
[ $# -gt 0 ] || set -- $all
: >"$work/table"
failed=
for name; do
    echo " $all " | grep -q " $name " || fail "no such machine: $name; there are: $all"
    run "$name" "$how"
done
[ -z "$failed" ] || fail "tests failed on$failed; see $work/MACHINE.log"
[ "$how" != build ] || { echo "machines: built"; exit; }
echo "machines: all passed"
