# SPDX-License-Identifier: MIT
"""The examples that talk to one other program: see abuse.py."""
import contextlib
import os
import socket
import subprocess
import sys
import tempfile

from abuse import *


@test
def the_pair_survives_strangers():
    for text in GARBAGE + [GOODBYE, b"", frame(b"hello"), frame(b"hello") + GOODBYE]:
        for leave in "shutdown", "reset":
            listener, host, port = listen()
            with Program("tcp_pair", host, port) as pair:
                pair.type(b"hello\n")
                connection = accept(listener)
                assert receive(connection, 9) == frame(b"hello")
                connection.sendall(text)
                if leave == "reset":
                    reset(connection)
                else:
                    end_writing(connection)
                pair.end_input()
                pair.must_end()
                assert b"BYE" not in pair.printed() or text in GARBAGE
                connection.close()
            listener.close()


@test
def the_pair_detects_that_its_peer_was_killed():
    with echo_server() as server, Program("tcp_pair", "127.0.0.1", server.port) as pair:
        pair.type(b"hello\n")
        wait_until(pair.printed, "the echo")
        server.kill()
        wait_until(pair.complained, "a word about it")
        pair.end_input()
        pair.must_end()


@test
def a_goodbye_without_an_end_leaves_the_pair_idle():
    listener, host, port = listen()
    with Program("tcp_pair", host, port) as pair:
        connection = accept(listener)
        connection.sendall(GOODBYE)
        pair.must_be_idle()
        pair.type(b"hello\n")
        assert receive(connection, 9) == frame(b"hello")
        connection.close()
        pair.end_input()
        pair.must_end()
    listener.close()


@test
def the_python_peer_survives_strangers():
    def one(text):
        listener, host, port = listen()
        program = os.path.join(os.path.dirname(__file__), "..", "examples", "peer.py")
        peer = subprocess.Popen([sys.executable, program, "call", host, str(port)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        connection = accept(listener)
        connection.sendall(text)
        reset(connection) if text in GARBAGE[:4] else connection.close()
        output, errors = peer.communicate(timeout=PATIENCE)
        assert peer.returncode in (0, 1) and b"Traceback" not in errors, errors
        listener.close()
    side_by_side(one, GARBAGE + [GOODBYE, b"", frame(b"hello")])


@test
def the_port_program_survives_garbage_and_goodbyes():
    for text in GARBAGE + [GOODBYE, b"", frame(b"hello")]:
        with Program("port_program") as port:
            port.type(frame(b"abc") + text)
            port.end_input()
            code = port.must_end()
            assert port.printed().startswith(frame(b"ABC"))
            assert b"SO IT" not in port.printed()
            assert code == 0 or text in GARBAGE


@test
def the_port_program_ends_when_nobody_reads():
    reader, writer = os.pipe()
    process = subprocess.Popen([os.path.join(EXAMPLES, "port_program")], stdin=subprocess.PIPE,
                               stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    os.close(reader)
    process.stdin.write(frame(b"abc"))
    errors = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 1 and errors


# ---- By name ----

@contextlib.contextmanager
def chat_and_stranger():
    """A chat, and a stranger's two descriptors at the peer."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import fifo_peer
    names = tempfile.mkdtemp(dir=WORK)
    home = os.open(names, os.O_RDONLY)
    with Program("fifo_chat", "name", names) as chat:
        met = []
        wait_until(lambda: met.append(fifo_peer.claim(home, "name")) or met[-1], "the chat")
        for fd in met[-1]:
            os.set_blocking(fd, True)
        os.close(home)
        yield chat, met[-1][0], met[-1][1]


@test
def the_chat_survives_garbage_and_goodbyes():
    for text in GARBAGE + [GOODBYE, b"", frame(b"x" * 100000), frame(b"hello") + GOODBYE]:
        with chat_and_stranger() as (chat, reader, writer):
            chat.type(b"hello\n")
            assert os.read(reader, 100) == frame(b"hello\n")
            while text:
                text = text[os.write(writer, text):]
            os.close(writer)
            chat.must_end()
            os.close(reader)


@test
def the_chat_survives_a_killed_peer():
    for silent in True, False:
        names = tempfile.mkdtemp(dir=WORK)
        with Program("fifo_chat", "name", names) as one, \
                Program("fifo_chat", "name", names) as other:
            for chat in one, other:
                wait_until(lambda: b"here we are" in chat.complained(), "both are there")
            if not silent:
                one.type(b"hello\n")
                wait_until(other.printed, "hello")
            other.kill()
            one.type(b"" if silent else b"still there?\n")
            one.must_end()


run_tests()
