# SPDX-License-Identifier: MIT
"""The publisher and its subscribers, and requests with deadlines: see abuse.py."""
import contextlib
import itertools
import os
import re
import socket
import struct

from abuse import *

numbers = itertools.count()


def path():
    return os.path.join(WORK, "socket%d" % next(numbers))


@contextlib.contextmanager
def serving(name, *arguments, **more):
    with Program(name, *arguments, **more) as server:
        wait_until(lambda: server.printed() or server.has_ended(), "it is ready")
        yield server


def call(where):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(where)
    return connection


def frame_of(connection):
    size, = struct.unpack("!i", receive(connection, 4))
    if size == -2:
        size, = struct.unpack("!i", receive(connection, 4))
    return receive(connection, size)


def numbered(number, text):
    return struct.pack("!Q", number) + text


# ---- The publisher ----

def sockets(server):
    """What else a subscriber costs depends on how much was sent to it. Copies count once."""
    found = set()
    for fd in os.listdir("/proc/%d/fd" % server.pid):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink("/proc/%d/fd/%s" % (server.pid, fd)))
    return sum(name.startswith("socket:") for name in found)


@contextlib.contextmanager
def publisher(way, subscribers):
    """Its number of sockets says how many it has accepted."""
    where = path()
    with serving("publisher", where, way) as server:
        server.before = sockets(server)
        server.where = where
        connections = [call(where) for _ in range(subscribers)]
        must_have(server, subscribers)
        yield server, connections
        for connection in connections:
            connection.close()


def must_have(server, subscribers):
    wait_until(lambda: sockets(server) == server.before + subscribers,
               "%d subscribers are left" % subscribers)


@test
def a_hundred_subscribers_get_every_message_and_the_goodbye():
    with publisher("drop", 100) as (server, connections):
        server.type(b"one\ntwo\n")
        server.end_input()
        for connection in connections:
            assert frame_of(connection) == numbered(1, b"one\n")
            assert frame_of(connection) == numbered(2, b"two\n")
            assert frame_of(connection) == b"BYEthat was all"
            assert connection.recv(1) == b""
        server.must_end(0)


@test
def one_more_than_a_hundred_is_told_why_it_is_turned_away():
    with publisher("skip", 100) as (server, connections):
        with call(server.where) as late:
            assert frame_of(late) == b"BYEthere are too many subscribers"
        connections.pop().close()
        must_have(server, 99)
        connections.append(call(server.where))
        must_have(server, 100)
        server.type(b"text\n")
        assert frame_of(connections[-1]) == numbered(1, b"text\n")


@test
def the_publisher_forgets_those_who_leave_or_speak():
    with publisher("skip", 1) as (server, (honest,)):
        for text in GARBAGE + [GOODBYE, b"", frame(b"hello")]:
            for leave in end_writing, reset:
                connection = call(server.where)
                connection.sendall(text)
                leave(connection)
                connection.close()
        for _ in range(3):
            with Program("subscriber", server.where) as killed:
                must_have(server, 2)
            must_have(server, 1)
        must_have(server, 1)
        server.type(b"still here\n")
        assert frame_of(honest).endswith(b"still here\n")
        server.must_be_idle()


def flood(server, honest, first=1):
    """More than a lazy subscriber has room for. Returns how many there were."""
    text = b"x" * 4000 + b"\n"
    for number in range(first, first + 200):
        server.type(text)
        assert frame_of(honest) == numbered(number, text)
    return 200


@test
def a_slow_subscriber_is_dropped_and_delays_nobody():
    with publisher("drop", 2) as (server, (honest, lazy)):
        flood(server, honest)
        must_have(server, 1)
        server.must_be_idle()
        with contextlib.suppress(ConnectionResetError, AssertionError):
            for number in itertools.count(1): # whole messages in order, then the end
                assert frame_of(lazy)[:8] == numbered(number, b"")
        assert number < 200


@test
def a_slow_subscriber_misses_messages_and_learns_how_many():
    with publisher("skip", 2) as (server, (honest, lazy)):
        sent = flood(server, honest)
        server.must_be_idle()
        must_have(server, 2)
        arrived = bytearray(receive(lazy, 40 * 4013))
        server.must_be_idle() # there is room again, and nothing to send
        lazy.settimeout(0.02)
        for number in itertools.count(sent + 1): # until there is room for a message again
            server.type(b"again\n")
            assert frame_of(honest) == numbered(number, b"again\n")
            with contextlib.suppress(socket.timeout):
                while True:
                    arrived += lazy.recv(1 << 20)
            found = numbers_in(arrived)
            if found[-1] > sent:
                break
        whole = next(i for i, number in enumerate(found) if number != i + 1)
        assert whole < sent and found[whole:] == list(range(found[whole], found[-1] + 1))
        server.must_be_idle()


def numbers_in(stream):
    found = []
    while len(stream) >= 12:
        size, number = struct.unpack("!iQ", stream[:12])
        if len(stream) < 4 + size:
            break
        found.append(number)
        stream = stream[4 + size:]
    return found


@test
def a_subscriber_counts_what_it_has_missed_and_survives_what_is_no_publisher():
    for text, code in [(GOODBYE, 0), (b"", 1), (frame(b"short"), 1)] + [(g, 1) for g in GARBAGE]:
        where = path()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(where)
            listener.listen()
            with Program("subscriber", where) as subscriber:
                connection = accept(listener)
                connection.sendall(frame(numbered(5, b"five\n")) + frame(numbered(9, b"nine\n")) +
                                   text)
                end_writing(connection)
                subscriber.must_end(code)
                assert subscriber.printed() == b"5 five\nmissed 3\n9 nine\n"
                connection.close()


# ---- Requests ----

@contextlib.contextmanager
def asking(*arguments):
    """A client, and a stranger in the server's place."""
    where = path()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(where)
        listener.listen()
        listener.settimeout(PATIENCE)
        with Program("request_client", where, *arguments) as client:
            connection = accept(listener)
            yield client, connection
            connection.close()


def reply(number, text):
    return frame(struct.pack("!I", number) + text)


LONG = 1000 * PATIENCE


@test
def answers_in_any_order_find_their_questions():
    with asking(LONG, "one", LONG, "two") as (client, connection):
        assert frame_of(connection) == struct.pack("!I", 0) + b"one"
        assert frame_of(connection) == struct.pack("!I", 1) + b"two"
        connection.sendall(reply(1, b"TWO") + reply(7, b"?") + frame(b"x") + reply(0, b""))
        client.must_end(0)
        assert client.printed() == b"two: TWO\none: \n"
        assert client.complained().count(b"no question") == 2


@test
def an_answer_after_its_deadline_is_dropped():
    with asking(1, "soon", LONG, "later") as (client, connection):
        wait_until(lambda: client.printed() == b"soon: no answer in time\n", "the deadline")
        connection.sendall(reply(0, b"SOON") + reply(1, b"LATER"))
        client.must_end(0)
        assert client.printed() == b"soon: no answer in time\nlater: LATER\n"
        assert client.complained() == b"soon: a late answer is dropped\n"


@test
def a_client_ends_when_its_server_has_gone_or_is_none():
    for text in GARBAGE + [GOODBYE, b"", frame(b"x" * 100000)]:
        with asking(LONG, "one") as (client, connection):
            frame_of(connection)
            connection.sendall(text)
            end_writing(connection)
            client.must_end(1)
            assert client.printed() == b""


@test
def the_request_server_goes_on_whatever_its_clients_do():
    where = path()
    with serving("request_server", where) as server:
        before = server.descriptors()
        slow = call(where)
        slow.sendall(reply(3, b"%d slow" % LONG)) # delays nobody else
        for text in GARBAGE + [GOODBYE, b"", reply(1, b"x" * 5000), reply(1, b"x") + b"\0"]:
            for leave in end_writing, reset:
                connection = call(where)
                connection.sendall(text)
                leave(connection)
                connection.close()
        with Program("request_client", where, LONG, "hello", LONG, "1 there") as client:
            client.must_end(0)
            assert client.printed() == b"hello: HELLO\n1 there: 1 THERE\n"
        wait_until(lambda: len(server.children()) == 1, "the processes of all others end")
        assert server.descriptors() == before
        slow.close()
        server.must_be_idle()


@test
def a_client_learns_that_its_server_was_killed():
    where = path()
    with serving("request_server", where) as server:
        with Program("request_client", where, LONG, "%d slow" % LONG) as client:
            wait_until(server.children, "the client's process")
            server.kill()
            client.must_end(1)


run_tests()
