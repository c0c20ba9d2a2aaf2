#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tcp_pair_carries_lines_both_ways: started in both orders, whatever one side types the other
# prints.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
examples=$BUILD_DIR/examples

free_port() # one that was free a moment ago
{
    mkfifo "$work/port"
    "$examples/tcp_echo_server" 0 >"$work/port" &
    read -r port <"$work/port"
    kill $!
    wait $! || :
    rm "$work/port"
}

awk 'BEGIN { for (i = 0; i < 20000; i++) print i, "typed here" }' >"$work/here"
awk 'BEGIN { for (i = 0; i < 30000; i++) print i, "typed there"; printf "an unfinished line" }' \
    >"$work/there"
for key in '' secret; do
    free_port
    [ -z "$key" ] || export TCP_KEY="$key"
    "$examples/tcp_pair" localhost "$port" <"$work/here" >"$work/from_there" &
    "$examples/tcp_pair" localhost "$port" <"$work/there" >"$work/from_here"
    wait $!
    cmp "$work/here" "$work/from_here"
    { cat "$work/there"; echo; } | cmp - "$work/from_there"
done
