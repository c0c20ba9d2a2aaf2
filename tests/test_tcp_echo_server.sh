#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tcp_echo_server_sends_everything_back: to several clients at once, and only to those with its key.
set -eu
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
examples=$BUILD_DIR/examples

start_server()
{
    [ -z "$server" ] || { kill "$server"; wait "$server" || :; }
    mkfifo "$work/port"
    "$examples/tcp_echo_server" 0 >"$work/port" &
    server=$!
    read -r port <"$work/port"
    rm "$work/port"
}

awk 'BEGIN { for (i = 0; i < 20000; i++) print i, "a line of the text" }' >"$work/text"

start_server
pids=
for client in 1 2 3 4; do
    "$examples/tcp_pair" 127.0.0.1 "$port" <"$work/text" >"$work/output$client" &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
for client in 1 2 3 4; do cmp "$work/text" "$work/output$client"; done

export TCP_KEY=secret
start_server
"$examples/tcp_pair" 127.0.0.1 "$port" <"$work/text" | cmp "$work/text" -
! TCP_KEY=Secret "$examples/tcp_pair" 127.0.0.1 "$port" <"$work/text" >"$work/output" \
    2>"$work/error"
grep -q 'Permission denied' "$work/error"
[ ! -s "$work/output" ]
echo 'still there' | "$examples/tcp_pair" 127.0.0.1 "$port" | grep -qx 'still there'
