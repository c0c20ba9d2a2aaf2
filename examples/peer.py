#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The peer of a pipe in Python, which speaks the same as it is: multiprocessing.connection.

    peer.py call HOST PORT [KEY]      connects, e.g. to tcp_echo_server or tcp_pair
    peer.py wait PORT [KEY]           waits for one connection, e.g. from tcp_pair

Sends each line of standard input as a message and prints each message that comes, until the other
side ends. A libpipc side with a key needs PIPC_KEY_MD5 for Python 3.11 and older.
"""
import os
import sys
import threading
from multiprocessing.connection import Client, Listener

LIMIT = 1 << 26  # bytes in a message, as libpipc has it by default


def send_lines(connection):
    for line in sys.stdin.buffer:
        try:
            connection.send_bytes(line.rstrip(b"\n"))
        except OSError:
            return  # receiving says why


def main(how, *rest):
    host = "127.0.0.1" if how == "wait" else rest[0]
    port, *key = rest if how == "wait" else rest[1:]
    address, key = (host, int(port)), key[0].encode() if key else None
    if how == "call":
        connection = Client(address, authkey=key)
    else:
        with Listener(address, authkey=key) as listener:
            print(listener.address[1], file=sys.stderr, flush=True)
            connection = listener.accept()
    threading.Thread(target=send_lines, args=(connection,), daemon=True).start()
    try:
        while True:
            sys.stdout.buffer.write(connection.recv_bytes(LIMIT) + b"\n")
            sys.stdout.buffer.flush()
    except EOFError:
        os._exit(0)  # whatever may still be typed
    except OSError as error:  # it was killed, or speaks something else
        print(error, file=sys.stderr, flush=True)
        os._exit(1)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
