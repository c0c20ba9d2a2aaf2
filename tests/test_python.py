# SPDX-License-Identifier: MIT
"""Python's multiprocessing.connection against tcp_echo_server and tcp_pair, in both roles.
usage: test_python.py EXAMPLES PEER_PY"""
import multiprocessing
import os
import random
import subprocess
import sys
from multiprocessing.connection import Client, Listener

EXAMPLES, PEER = sys.argv[1:]
# What this Python's keys are shown by.
OLD = sys.version_info < (3, 12)
# Around the sizes at which either side changes how it sends.
SIZES = [0, 1, 2, 100, 16383, 16384, 16385, 65535, 65536, 65537, 1000000, 3000000]


def start(name, *arguments, key=None, md5=OLD, **more):
    environment = os.environ if key is None else dict(os.environ, TCP_KEY=key.decode())
    arguments += ("md5",) if key is not None and md5 else ()
    return subprocess.Popen([os.path.join(EXAMPLES, name), *map(str, arguments)], env=environment,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more)


def start_server(**more):
    server = start("tcp_echo_server", 0, **more)
    return server, int(server.stdout.readline())


def stop(process):
    process.kill()
    process.communicate()


def echo(connection):
    for size in SIZES:
        data = random.randbytes(size) if hasattr(random, "randbytes") else os.urandom(size)
        connection.send_bytes(data)
        assert connection.recv_bytes() == data, size
    connection.send({"any": ("object", 1)})
    assert connection.recv() == {"any": ("object", 1)}


def python_calls_the_server(key):
    server, port = start_server(key=key)
    with Client(("127.0.0.1", port), authkey=key) as first:
        with Client(("127.0.0.1", port), authkey=key) as second:
            echo(first)
            echo(second)
    stop(server)


def a_wrong_key_is_refused_by_the_server():
    server, port = start_server(key=b"secret")
    try:
        Client(("127.0.0.1", port), authkey=b"Secret")
        raise SystemExit("a wrong key was let in")
    except multiprocessing.AuthenticationError:
        pass
    with Client(("127.0.0.1", port), authkey=b"secret") as connection:
        echo(connection)
    stop(server)


def python_waits_for_a_caller(key):
    with Listener(("127.0.0.1", 0), authkey=key) as listener:
        caller = start("tcp_pair", "127.0.0.1", listener.address[1], key=key)
        with listener.accept() as connection:
            for text in b"hello", b"", b"x" * 100000:
                connection.send_bytes(text)
                assert caller.stdout.readline() == text + b"\n"
                caller.stdin.write(text[:1000] + b"\n")
                caller.stdin.flush()
                assert connection.recv_bytes() == text[:1000]
    caller.stdin.close()
    assert caller.wait() == 0


def a_wrong_key_is_refused_by_python():
    with Listener(("127.0.0.1", 0), authkey=b"secret") as listener:
        caller = start("tcp_pair", "127.0.0.1", listener.address[1], key=b"Secret",
                       stderr=subprocess.PIPE)
        try:
            listener.accept()
            raise SystemExit("a wrong key was let in")
        except multiprocessing.AuthenticationError:
            pass
        output, error = caller.communicate()
        assert caller.returncode == 1 and b"Permission denied" in error, error


def the_older_digest_is_refused_unless_asked_for():
    if not OLD:
        return
    server, port = start_server(key=b"secret", md5=False)
    try:
        Client(("127.0.0.1", port), authkey=b"secret")
        raise SystemExit("MD5 was let in")
    except multiprocessing.AuthenticationError:
        pass
    stop(server)


def the_example_talks():
    server, port = start_server()
    peer = subprocess.Popen([sys.executable, PEER, "call", "127.0.0.1", str(port)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    peer.stdin.write(b"one\n\ntwo\n")
    peer.stdin.flush()
    assert [peer.stdout.readline() for _ in range(3)] == [b"one\n", b"\n", b"two\n"]
    stop(server)
    assert peer.wait() == 0
    peer.communicate()
    peer = subprocess.Popen([sys.executable, PEER, "wait", "0"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    caller = start("tcp_pair", "127.0.0.1", int(peer.stderr.readline()))
    caller.stdin.write(b"from C\n")
    caller.stdin.flush()
    assert peer.stdout.readline() == b"from C\n"
    peer.stdin.write(b"from Python\n")
    peer.stdin.flush()
    assert caller.stdout.readline() == b"from Python\n"
    caller.stdin.close()
    assert peer.wait() == 0
    assert caller.wait() == 0


for key in None, b"secret", b"k" * 100:
    python_calls_the_server(key)
    python_waits_for_a_caller(key)
a_wrong_key_is_refused_by_the_server()
a_wrong_key_is_refused_by_python()
the_older_digest_is_refused_unless_asked_for()
the_example_talks()
