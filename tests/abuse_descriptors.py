# SPDX-License-Identifier: MIT
"""Each example, with so many descriptors and no more: see abuse.py."""
import contextlib
import os
import select
import socket
import tempfile

from abuse import *

def sanitized():
    with open(os.path.join(EXAMPLES, "hello"), "rb") as file:
        program = file.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def with_each_limit(run):
    """A program that lacks a descriptor says so and ends; with 40 it lacks none."""
    limits = list(range(4 if not sanitized() else 16, 30)) + [40]
    codes = side_by_side(run, limits)
    for limit, code in zip(limits, codes):
        assert code in (0, 1, 127), (limit, code) # 127: the loader lacks one
    assert codes[-1] == 0


def alone(name, *arguments, text=b""):
    def run(limit):
        with Program(name, *arguments, descriptors=limit) as program:
            program.type(text)
            program.end_input()
            return program.must_end(0, 1, 127)
    return run


@test
def any_number_of_descriptors_is_enough_or_a_failure():
    with_each_limit(alone("hello"))
    with_each_limit(alone("threads"))
    with_each_limit(alone("poll_loop", text=b"hello\n"))
    with_each_limit(alone("wordcount", os.path.abspath(__file__)))
    with_each_limit(alone("pipeline", text=b"one\ntwo\n"))
    with_each_limit(alone("worker_pool", text=b"one\ntwo\n"))
    with_each_limit(alone("port_program", text=frame(b"hello")))


@test
def the_chat_with_few_descriptors_talks_or_fails():
    def run(limit):
        names = tempfile.mkdtemp(dir=WORK)
        with Program("fifo_chat", "name", names) as peer:
            wait_until(lambda: os.listdir(names) == ["name"], "a peer")
            with Program("fifo_chat", "name", names, descriptors=limit) as chat:
                chat.type(b"hello\n")
                chat.end_input()
                wait_until(lambda: chat.has_ended() or peer.printed(), "either")
                peer.end_input()
                code = chat.must_end(0, 1, 127)
            return code
    with_each_limit(run)


@test
def the_pair_with_few_descriptors_talks_or_fails():
    def run(limit):
        listener, host, port = listen()
        with Program("tcp_pair", host, port, descriptors=limit) as pair:
            pair.type(b"hello\n")
            pair.end_input()
            wait_until(lambda: pair.has_ended() or select.select([listener], [], [], 0)[0],
                       "it connects")
            if not pair.has_ended():
                connection = accept(listener)
                with contextlib.suppress(AssertionError, OSError): # it may fail only now
                    receive(connection, 9)
                connection.close()
            listener.close()
            return pair.must_end(0, 1, 127)
    with_each_limit(run)


@test
def servers_with_few_descriptors_serve_or_fail():
    def run(limit):
        with Program("tcp_echo_server", 0, descriptors=limit) as server:
            wait_until(lambda: server.printed().endswith(b"\n") or server.has_ended(), "the port")
            if server.has_ended():
                return server.must_end(1, 127)
            connection = connect(int(server.printed()))
            with contextlib.suppress(OSError):  # perhaps it is turned away by now
                connection.sendall(frame(b"hello"))
                end_writing(connection)
            select.select([connection], [], [], 0.5)  # perhaps it is not even accepted
            server.must_be_idle()
            return 0
    with_each_limit(run)


run_tests()
