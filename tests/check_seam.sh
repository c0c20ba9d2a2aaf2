#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Checks the seam: of all objects of the library, sys alone may call the system or the allocator,
# and the tests can make each such call fail: wrapped.txt names it for the linker, and a
# wrapper in fault_*.c has it. Reads the objects' symbols, which neither a macro nor a function
# pointer can hide.
# usage: check_seam.sh object...  those of the library and of the tests' harness
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"

# Functions of the C library (extended regular expressions) that touch neither the system nor the
# heap, and what compilers and their sanitizers put in.
pure='mem[a-z]+|bcmp|str(n?len|n?cmp|chr|rchr|n?cpy|spn|cspn|str|error_r|error)|v?snprintf|abs
pthread_self|pthread_mutex_(init|destroy|lock|trylock|unlock)
__errno_location|__libc_single_threaded|_GLOBAL_OFFSET_TABLE_|__tls_get_addr|__stack_chk_.*
__(asan|ubsan|tsan|sanitizer|gcov|llvm|profile)_.*|__atomic_.*|_?_?aeabi_.*
__u?(div|mod|divmod)[dt]i[34]|__(ash|lsh|ashr|lshr)[dt]i3|__mul[dt]i3|__x86[._].*'

# More, by file. (__fxstat is fstat in glibc before 2.33, whose failures the tests cannot inject.)
# `cleanup` is what pthread_cleanup_push and _pop are made of.
cleanup='__pthread_(un)?register_cancel|__pthread_unwind_next|_*(sig)?setjmp'
cleanup=$cleanup'|_pthread_cleanup_(push|pop)'
own="
anonymous: pthread_setcancelstate
async: $cleanup
channel: $cleanup
open: $cleanup
rendezvous: $cleanup
self: pthread_[a-z_]+|__register_atfork
sys_cpu: sched_(getcpu|yield)
sys_cancel: gnu_get_libc_version|__libc_single_threaded
sys_environment: getenv|gete?[ug]id
sys_environment_linux: getauxval
sys_file: __fxstat(at)?(64)?|__xmknodat|geteuid
sys_kind: __fxstat(64)?
sys_life: __fxstat(at)?(64)?|getppid
sys_log: __fxstat(at)?(64)?|isatty|tcgetpgrp
sys_memory: sysconf|getpid
sys_net: (hton|ntoh)[sl]
sys_poll: pthread_testcancel
sys_pipe: __fxstat(64)?
sys_process: getpid|geteuid
sys_signal: sig(add|empty|fill|is)[a-z]*
trace_function: pthread_setcancelstate
"

# What POSIX or a C library makes a cancellation point, or may make one. The seam calls it through
# sys_cancel.h; a line that says "a wait" does not, and those are the cancellation points of the
# library.
points='accept4?|access|close|closedir|connect|creat|dup[23]?|epoll_p?wait2?|fchmod(at)?|fchown(at)?
fcntl|fdatasync|fdopendir|futimens|fpathconf|fstat(at)?|fsync
getaddrinfo|getnameinfo|getrandom|ioctl|linkat?
lockf|lseek|lstat|mkdir(at)?|mkfifo(at)?|mknod(at)?|msync|(clock_)?nanosleep|open(at|dir)?|pathconf
pause|p?poll|posix_fadvise|posix_fallocate|pread(v2?)?|pselect|pthread_cond_[a-z]*wait|pthread_join
pwrite(v2?)?|read(v|dir|link|linkat)?|recv(from|m?msg)?|remove|renameat2?|rmdir
select|send(to|m?msg|file)?
shm_open|sig(suspend|wait|waitinfo|timedwait)|u?sleep|splice|stat|symlink(at)?|tee
unlink(at)?|utimensat|wait(id|pid|[34])?
write(v)?'

# The C library's symbols for these functions may be others: fstat64 is fstat here.
known=${BUILD_DIR:-build}/tests/wrapped_symbols.txt
names() # symbols, one a line
{
    awk -v known="$known" 'BEGIN { while ((getline <known) > 0) name[$1] = $2 }
        { print $1 in name ? name[$1] : $1 }'
}

[ $# -gt 0 ] || { echo "usage: $0 object..." >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for object; do
    shift
    case $object in
    */pipc_harness.dir/fault*) nm -gP --defined-only "$object" |
        sed -n 's/^__wrap_\([^ ]*\) T.*/\1/p' | names >>"$work/wrappers" ;;
    */pipc_harness.dir/*) ;;
    *) set -- "$@" "$object" ;;
    esac
done
failed=0
grep -E '^[a-z]' tests/wrapped.txt | sort >"$work/wrapped"
if [ -e "$work/wrappers" ] && ! sort "$work/wrappers" | diff "$work/wrapped" - >"$work/diff"; then
    sed -n 's/^</only in wrapped.txt:/p; s/^>/only in fault_*.c:/p' "$work/diff" >&2
    failed=1
fi

# $work/calls: file, "sys" or "-", symbol that no object defines.
nm -gP --defined-only "$@" | awk 'NF > 1 { print $1 }' | sort -u >"$work/defined"
nm -AP "$@" | sed -nE 's|^.*/src/([^ ]*)[.]c[.]o: ([^ ]+) [Uw][[:space:]]*$|\1 \2|p' >"$work/uses"
cut -d' ' -f2 "$work/uses" | names | paste -d' ' "$work/uses" - |
    awk 'NR == FNR { defined[$1] = 1; next } !($3 in defined) {
        n = split($1, part, "/")
        print part[n], $1 ~ /^sys\/(.*\/)?sys_[^\/]*$/ ? "sys" : "-", $3 }' "$work/defined" - |
    sort -u >"$work/calls"
[ -s "$work/calls" ] || { echo "the objects call nothing" >&2 && failed=1; }

printf '%s\n' "$own" | sed -nE 's/^([a-z_]+): (.*)/own \1 ^(\2)$/p' >"$work/allowed"
printf '%s\n' "$pure" | sed -E 's/(.*)/all - ^(\1)$/' >>"$work/allowed"
sed 's/.*/sys - ^&$/' "$work/wrapped" >>"$work/allowed"
echo 'sys - ^pthread_setcancelstate$' >>"$work/allowed"
awk 'NR == FNR { of[NR] = $1; file[NR] = $2; pattern[NR] = $3; count = NR; next }
    {
        for (i = 1; i <= count; i++)
            if ((of[i] == "all" || of[i] == $2 || file[i] == $1) && $3 ~ pattern[i])
                next
        why = $2 == "sys" ? ", which tests/wrapped.txt does not name" : ": that is for sys"
        print $1 " calls " $3 why
    }' "$work/allowed" "$work/calls" >"$work/wrong"
[ ! -s "$work/wrong" ] || { cat "$work/wrong" >&2 && failed=1; }

points=$(echo "$points" | paste -sd'|')
if grep -nE "(^|[^A-Za-z0-9_.>\"])($points)\([^)0-9]" src/sys/*.c src/sys/*/*.c |
    grep -v '/\* a wait \*/'; then
    echo "these may be cancellation points: call them through sys_cancel.h" >&2
    failed=1
fi
[ "$failed" = 0 ] && echo "seam: tight"
exit "$failed"
