#!/bin/sh
# SPDX-License-Identifier: MIT
#
# TLS without a line of it in a program: socat (Debian: socat, openssl) encrypts between two hosts;
# here both are this one. The program behind it speaks frames on standard input and output
# (port_program.c), and remote.c calls it through socat. Each side shows a certificate, and trusts
# the other's only. Lines on standard input come back in capitals.
# usage: tls.sh FOLDER        FOLDER: where remote and port_program are
set -eu
programs=$(cd "$1" && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || :; rm -rf "$work"' EXIT
cd "$work"

for name in server client; do # each has its own key; the certificate goes to the other host
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 \
        -subj "/CN=$name" -keyout "$name.key" -out "$name.crt" 2>/dev/null
done
cp client.crt trusted.crt
[ -z "${TLS_STRANGER:-}" ] || cp server.crt trusted.crt # to see a client refused

# On the server's host, for ever: each client gets a process of its own. Port 0: any, which socat
# names in its log.
: >log
tls=cert=server.crt,key=server.key,cafile=trusted.crt
socat -d -d "OPENSSL-LISTEN:0,bind=127.0.0.1,fork,$tls" "EXEC:$programs/port_program" 2>log &
server=$!
port=
while [ -z "$port" ] && kill -0 "$server"; do
    port=$(sed -n 's/.* listening on .*:\([0-9]*\)$/\1/p' log)
    [ -n "$port" ] || sleep 0.05
done

# On the client's host.
"$programs/remote" socat - \
    "OPENSSL:127.0.0.1:$port,commonname=server,cert=client.crt,key=client.key,cafile=server.crt"
