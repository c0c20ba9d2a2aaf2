#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Starts a test program where something of a usual system is missing: a launcher for ./dev roots.
# usage: root.sh NAME PROGRAM [ARGUMENT...]
#   network    a network namespace of its own, in which no interface is up
#   proc       nothing in /proc
#   container  namespaces and a root of its own: /usr to read, a small /dev and /etc, an empty /tmp
#   user       the rights of an ordinary user; nobody is whom a namespace does not know
#   stacks     threads have stacks of 16 KiB
# 77: it cannot be had here, and says why.
set -eu
name=$1
shift

skip()
{
    echo "skipped: $*"
    exit 77
}

need_root()
{
    [ "$(id -u)" = 0 ] || skip "root $name needs a superuser"
    unshare "$@" true 2>/dev/null || skip "unshare $* is refused"
}

make_dev() # $1 the new root
{
    mkdir "$1/dev"
    for file in null zero full random urandom; do
        : >"$1/dev/$file"
        mount --bind "/dev/$file" "$1/dev/$file"
    done
    ln -s /proc/self/fd "$1/dev/fd"
    mkdir -m 1777 "$1/dev/shm"
    mkdir "$1/dev/pts"
    mount -t devpts -o newinstance,ptmxmode=666 pts "$1/dev/pts"
    ln -s pts/ptmx "$1/dev/ptmx"
}

bind() # $1 the new root, $2 a folder
{
    mkdir -p "$1$2"
    mount --bind "$2" "$1$2"
}

make_root() # $1 where
{
    mount -t tmpfs -o mode=755 root "$1"
    bind "$1" /usr
    mount -o remount,bind,ro "$1/usr"
    for folder in /bin /sbin /lib /lib64; do
        if [ -L "$folder" ]; then
            cp -P "$folder" "$1$folder"
        elif [ -d "$folder" ]; then
            bind "$1" "$folder"
        fi
    done
    mkdir "$1/etc" "$1/proc" "$1/var"
    mkdir -m 1777 "$1/tmp" "$1/var/tmp"
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$1/etc/hosts"
    echo 'multi on' >"$1/etc/host.conf" # a name may have several lines
    echo 'root:x:0:0::/:/bin/sh' >"$1/etc/passwd"
    make_dev "$1"
    mount -t proc proc "$1/proc"
    bind "$1" "$SOURCE_DIR"
    bind "$1" "$BUILD_DIR"
}

case $name in
network)
    need_root --net
    exec unshare --net -- "$@"
    ;;
proc)
    need_root --mount
    # shellcheck disable=SC2016  # for the inner shell
    exec unshare --mount -- sh -c 'mount -t tmpfs none /proc && exec "$@"' sh "$@"
    ;;
container)
    need_root --mount --pid --fork --ipc --uts --net
    exec unshare --mount --pid --fork --kill-child --ipc --uts --net -- sh "$0" inside "$@"
    ;;
inside) # what becomes process 1, and waits
    root=$(mktemp -d)
    make_root "$root"
    cd "$root"
    TMPDIR=/tmp HOME=/ chroot "$root" "$@" && result=0 || result=$?
    exit "$result"
    ;;
user)
    need_root --mount
    exec setpriv --reuid=65533 --regid=65533 --clear-groups --no-new-privs -- "$@"
    ;;
stacks)
    LD_PRELOAD=$BUILD_DIR/tests/libsmall_stacks.so exec "$@"
    ;;
*)
    echo "root.sh: no root $name" >&2
    exit 2
    ;;
esac
