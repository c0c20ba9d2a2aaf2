#!/bin/sh
# SPDX-License-Identifier: MIT
#
# async_client_gets_the_answers_of_those_that_are_there, at the same time as it waits for others.
set -eu
[ "${PIPC_TEST_PLATFORM:-}" != posix ] || {
    echo "skipped: nobody vouches for the clients of local_server here"
    exit 77
}
LC_ALL=C
export LC_ALL
work=$(mktemp -d)
servers=
client=
trap 'kill $servers $client 2>/dev/null || :; rm -rf "$work"' EXIT
mkfifo "$work/ready" "$work/answers"

start_server() # $1 name
{
    "$BUILD_DIR/examples/local_server" "$work/$1" "$(id -u)" >"$work/ready" &
    server=$!
    servers="$servers $server"
    read -r line <"$work/ready"
    [ "$line" = ready ]
}

ask() # $1 milliseconds, $2... names; the answers go to $work/output, without their directory
{
    milliseconds=$1
    shift
    names=$*
    set --
    for name in $names; do set -- "$@" "$work/$name"; done
    "$BUILD_DIR/examples/async_client" "$milliseconds" hello "$@"
}

answers() # $1... lines, in any order, with the words of glibc for an errno
{
    printf '%s\n' "$@" | sort >"$work/expected"
    sed "s|^$work/||; s/: Operation timed out/: Connection timed out/" "$work/output" |
        sort | diff "$work/expected" -
}

# Three servers, one of which is down: it left its socket.
start_server two
kill -9 "$server"
wait "$server" 2>/dev/null || :
servers=
start_server one
start_server three
ask 300 one two three >"$work/output" && exit 1
answers 'one: 1 hello' 'two: Connection timed out' 'three: 1 hello'

# It comes while the client waits: the others have answered by then.
ask 60000 two one three >"$work/answers" &
client=$!
{
    read -r first
    read -r second
    start_server two
    read -r third
} <"$work/answers"
wait "$client"
client=
printf '%s\n' "$first" "$second" "$third" >"$work/output"
answers 'one: 2 hello' 'three: 2 hello' 'two: 1 hello'
case $third in *two:*) ;; *) echo "it did not wait for the last one: $third" >&2; exit 1 ;; esac

# What no wait would change is reported at once.
ask 60000 one ready >"$work/output" || :
grep -qE 'ready: (Socket operation on non-socket|Not a socket)' "$work/output"
grep -q 'one: 3 hello' "$work/output"
