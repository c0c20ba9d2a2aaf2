# SPDX-License-Identifier: MIT
"""The echo servers in loops of other libraries, all in the same way: see abuse.py."""
import contextlib
import os
import struct
import sys

from abuse import *

# The others have epoll, or the like, which does not serve for the descriptor with POSIX alone.
NAMES = ["glib_server"]
if not is_posix():
    NAMES += ["libev_server", "libevent_server", "libuv_server", "uring_server"]


def is_usable(name):
    """A system may refuse io_uring."""
    if not os.path.exists(os.path.join(EXAMPLES, name)):
        print(name, "is not built here: skipped")
        return False
    with Program(name) as server:
        wait_until(lambda: server.printed().endswith(b"\n") or server.has_ended(), "a port")
        if server.has_ended() and server.process.returncode == 77:
            print(server.complained().decode().strip() + ": skipped")
            return False
    return True


USABLE = list(filter(is_usable, NAMES))


def with_each_server(play):
    def one(name):
        with echo_server(program=name) as server:
            must_echo(connect(server.port)) # whatever it opens only now, it has
            server.must_be_idle()
            before = server.descriptors()
            play(server)
            wait_until(lambda: server.descriptors() == before, name + ": all descriptors back")
            server.must_be_idle()
    side_by_side(one, USABLE)


@test
def a_loop_forgets_those_who_leave():
    def play(server):
        for leave in GOODBYE, GOODBYE[:9], frame(b"x")[:3], b"":
            connection = connect(server.port)
            must_echo(connection)
            connection.sendall(leave)
            end_writing(connection)
            must_close(connection)
        for last_words in b"", frame(b"x"), frame(b"x" * 1000)[:500]:
            connection = connect(server.port)
            must_echo(connection)
            connection.sendall(last_words)
            reset(connection)
    with_each_server(play)


@test
def a_loop_survives_garbage():
    def play(server):
        honest = connect(server.port)
        must_echo(honest)
        for garbage in GARBAGE:
            connection = connect(server.port)
            connection.sendall(garbage)
            end_writing(connection)
            must_close(connection)
            must_echo(honest)
        honest.close()
    with_each_server(play)


@test
def a_loop_survives_killed_clients():
    def play(server):
        for round in range(4):
            with Program("tcp_pair", "127.0.0.1", server.port) as client:
                client.type(b"a line to come back\n" * 3000)
                if round % 2 == 0:
                    wait_until(client.printed, "an answer")
        honest = connect(server.port)
        must_echo(honest)
        honest.close()
    with_each_server(play)


@test
def a_loop_sleeps_while_clients_do_not_read_and_loses_nothing():
    def play(server):
        lazy = [connect(server.port) for _ in range(2)]
        sent = [fill(lazy[0], b"x" * 2900), fill(lazy[1], b"large" * 300000)]
        server.must_be_idle()
        for connection, bytes_sent in zip(lazy, sent):
            rest = len(bytes_sent) % (4 + struct.unpack("!i", bytes_sent[:4])[0])
            whole = bytes_sent[:len(bytes_sent) - rest]
            assert receive(connection, len(whole)) == whole
            connection.close()
        late = [connect(server.port) for _ in range(2)] # have ended when the answers are read
        for connection, ending in zip(late, (b"", GOODBYE)):
            connection.sendall(frame(b"y" * 20000000) + ending)
            end_writing(connection)
        server.must_be_idle()
        for connection in late:
            assert receive(connection, 20000004) == frame(b"y" * 20000000)
            assert connection.recv(1) == b""
            connection.close()
    with_each_server(play)


if not USABLE:
    sys.exit(77)
run_tests()
