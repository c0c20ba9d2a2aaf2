# SPDX-License-Identifier: MIT
"""The examples that serve many: see abuse.py."""
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time

from abuse import *

@test
def the_echo_server_forgets_those_who_leave():
    with echo_server() as server:
        server.must_be_idle()
        before = server.descriptors()
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
        stays = connect(server.port)
        must_echo(stays)
        stays.sendall(GOODBYE)
        must_close(stays)
        wait_until(lambda: server.descriptors() == before, "all descriptors back")
        server.must_be_idle()


@test
def the_echo_server_survives_garbage():
    with echo_server() as server:
        before = server.descriptors()
        honest = connect(server.port)
        must_echo(honest)
        silent = []
        for garbage in GARBAGE:
            connection = connect(server.port)
            connection.sendall(garbage)
            silent.append(connection)
            connection = connect(server.port)
            connection.sendall(garbage)
            end_writing(connection)
            must_close(connection)
            must_echo(honest)
        server.must_be_idle()
        for connection in silent + [honest]:
            connection.close()
        wait_until(lambda: server.descriptors() == before, "all descriptors back")


@test
def the_echo_server_survives_killed_clients():
    with echo_server() as server:
        before = server.descriptors()
        for round in range(20):
            with Program("tcp_pair", "127.0.0.1", server.port) as client:
                client.type(b"a line to come back\n" * 3000)
                if round % 2 == 0:
                    wait_until(client.printed, "an answer")
        wait_until(lambda: server.descriptors() == before, "all descriptors back")
        must_echo(connect(server.port))
        server.must_be_idle()


@test_unless_posix("epoll does not serve for the descriptor here")
def the_echo_server_is_idle_while_clients_do_not_read():
    with echo_server() as server:
        lazy = [connect(server.port) for _ in range(3)]
        sent = [fill(lazy[0], b"x" * 2900), fill(lazy[1], b"large" * 300000),
                fill(lazy[2], b"small" * 20)]
        server.must_be_idle()
        must_echo(connect(server.port))
        for connection, bytes_sent in zip(lazy, sent):
            rest = len(bytes_sent) % (4 + struct.unpack("!i", bytes_sent[:4])[0])
            whole = bytes_sent[:len(bytes_sent) - rest]
            assert receive(connection, len(whole)) == whole
        server.must_be_idle()


@test
def the_echo_server_forgets_those_who_did_not_read_and_are_killed():
    with echo_server() as server:
        before = server.descriptors()
        for leave in reset, socket.socket.close:
            lazy = [connect(server.port) for _ in range(4)]
            for connection, message in zip(lazy, (b"x" * 2900, b"large" * 300000, b"small", b"")):
                if message:
                    fill(connection, message)
                else:  # the answer is on its way, and nothing else
                    connection.sendall(frame(b"y" * 20000000))
            for connection in lazy:
                leave(connection)
            wait_until(lambda: server.descriptors() == before, "all descriptors back")
            server.must_be_idle()


@test
def the_echo_server_answers_those_who_have_ended_and_read_late():
    with echo_server() as server:
        before = server.descriptors()
        lazy = []
        for ending in b"", GOODBYE:
            for size, count in (10, 1000), (3000, 100), (3000000, 1), (20000000, 1):
                connection = connect(server.port)
                messages = frame(b"y" * size) * count
                connection.sendall(messages + ending)
                end_writing(connection)
                lazy.append((connection, messages))
        server.must_be_idle()
        for connection, messages in lazy:
            assert receive(connection, len(messages)) == messages
            assert connection.recv(1) == b""
            connection.close()
        wait_until(lambda: server.descriptors() == before, "all descriptors back")


@test
def the_echo_server_goes_on_when_descriptors_run_out():
    of_first = 6 if is_posix() else 3 # descriptors
    for limit in 20, 21, 22, 23, 24, 25, 40:
        with echo_server(descriptors=limit) as server:
            before = server.descriptors()
            first = connect(server.port)
            must_echo(first)
            crowd = [connect(server.port) for _ in range(40)]
            for connection in crowd:
                with contextlib.suppress(OSError):
                    connection.sendall(frame(b"hello"))
            server.must_be_idle()
            must_echo(first)
            for connection in crowd:
                connection.close()
            wait_until(lambda: server.descriptors() <= before + of_first, "descriptors back")
            must_echo(connect(server.port))


@test
def the_echo_server_with_a_key_survives_strangers():
    key = {"TCP_KEY": "secret"}
    with echo_server(environment=key, descriptors=30) as server:
        crowd = []
        for garbage in GARBAGE * 3:
            connection = connect(server.port)
            with contextlib.suppress(OSError):
                connection.sendall(garbage)
            crowd.append(connection)
        with Program("tcp_pair", "127.0.0.1", server.port, environment=key) as client:
            client.type(b"hello\n")
            client.end_input()
            client.must_end(0)
            assert client.printed() == b"hello\n"
        server.must_be_idle()


# ---- The task farm ----

def sums(files):
    return subprocess.run(["cksum", *files], stdout=subprocess.PIPE, check=True).stdout


@contextlib.contextmanager
def farm(files, **more):
    with Program("task_farm", 0, *files, **more) as server:
        def port():
            found = re.search(rb"^port (\d+)\n", server.complained(), re.MULTILINE)
            return found and int(found[1])
        wait_until(lambda: port() or server.has_ended(), "the port")
        server.port = port()
        yield server


def has_one_file(server):
    """A client without which the farm does not end."""
    silent = connect(server.port)
    silent.sendall(frame(b""))
    assert silent.recv(1)
    return silent


def must_finish(server, files, **more):
    with Program("task_worker", "127.0.0.1", server.port, **more) as worker:
        server.must_end(0)
        assert server.printed() == sums(files)
        worker.must_end(0)


@test
def the_farm_survives_garbage_and_goodbyes():
    files = make_files()
    with farm(files) as server:
        before = server.descriptors()
        here = frame(b"")
        for text in GARBAGE + [GOODBYE, here, here * 2, frame(b"1 2"), here + frame(b"x" * 100),
                               here + GOODBYE, here + frame(b"\x1b[2J")]:
            connection = connect(server.port)
            connection.sendall(text)
            end_writing(connection)
            must_close(connection)
        for text in GARBAGE + [b"", frame(b"")]:
            connection = connect(server.port)
            connection.sendall(text)
            reset(connection)
        wait_until(lambda: server.descriptors() == before, "all descriptors back")
        server.must_be_idle()
        must_finish(server, files)


@test
def the_farm_survives_killed_workers():
    files = make_files()
    for patience in 0, 0.001, 0.003, 0.01:
        with farm(files) as server:
            silent = has_one_file(server)
            for _ in range(3):
                with Program("task_worker", "127.0.0.1", server.port):
                    time.sleep(patience)
            silent.close()
            must_finish(server, files)


@test
def workers_of_a_killed_farm_end():
    with farm(make_files()) as server:
        before = server.descriptors()
        of_each = 4 if is_posix() else 2
        silent = has_one_file(server)
        with Program("task_worker", "127.0.0.1", server.port) as worker:
            wait_until(lambda: server.descriptors() == before + 2 * of_each, "two clients")
            server.kill()
            worker.must_end(1)
        silent.close()


@test
def a_worker_survives_what_is_no_server():
    for text in GARBAGE + [GOODBYE, b""]:
        listener, host, port = listen()
        with Program("task_worker", host, port) as worker:
            connection = accept(listener)
            connection.sendall(text)
            end_writing(connection)
            worker.must_end()
            connection.close()
        listener.close()


@test
def the_farm_goes_on_when_descriptors_run_out():
    files = make_files()
    for limit in 14, 15, 16, 17, 18, 25:
        with farm(files, descriptors=limit) as server:
            before = server.descriptors()
            crowd = [connect(server.port) for _ in range(20)]
            for connection in crowd:
                with contextlib.suppress(OSError):
                    connection.sendall(frame(b""))
            server.must_be_idle()
            for connection in crowd:
                connection.close()
            wait_until(lambda: server.descriptors() <= before + 1, "descriptors back")
            must_finish(server, files)


@test
def the_farm_is_open_to_the_world_only_with_a_key():
    def listens_at(server):
        lines = []
        for family in "tcp", "tcp6":
            with open("/proc/net/" + family) as table:
                lines += [line.split()[1:4] for line in table]
        places = [place.split(":") for place, _, state in lines if state == "0A"]  # listening
        return {address for address, port in places if port == "%04X" % server.port}
    files = make_files()
    with farm(files) as server:
        assert listens_at(server) <= {"0100007F", "00000000000000000000000001000000"}
    key = {"TASK_FARM_KEY": "secret"}
    with farm(files, environment=key) as server:
        assert listens_at(server) & {"00000000", "0" * 32}
        with Program("task_worker", "127.0.0.1", server.port,
                     environment={"TASK_FARM_KEY": "Secret"}) as other:
            other.must_end(1)
        must_finish(server, files, environment=key)


run_tests()
