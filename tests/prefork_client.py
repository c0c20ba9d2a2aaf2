# SPDX-License-Identifier: MIT
"""prefork, driven by plain TCP clients: who gets which worker, and what is left open.
usage: prefork_client.py EXAMPLES"""
import contextlib
import os
import socket
import struct
import subprocess

from abuse import EXAMPLES, GARBAGE, GOODBYE, PATIENCE, frame, living, wait_until

WORKERS = 4


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def receive(client):
    def exactly(size):
        data = b""
        while len(data) < size:
            piece = client.recv(size - len(data))
            if not piece:
                raise EOFError("the connection ended")
            data += piece
        return data
    return exactly(struct.unpack("!i", exactly(4))[0])


def ask(client, text):
    client.sendall(frame(text))
    pid, answer = receive(client).split(b" ", 1)
    assert answer == text, answer
    return int(pid)


def is_served(port, text):
    with connect(port) as client:
        try:
            ask(client, text)
        except (EOFError, ConnectionError):
            return False
        return True


def must_end(client):
    with contextlib.suppress(ConnectionError):
        assert client.recv(1) == b""


def descriptors(pids):
    return [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]


def clients_get_the_worker_of_their_first_byte(port):
    pids = {}
    for text in (b"a1", b"b2", b"c3", b"d" * 3000, b"a5", b"e6", b"i7"):
        with connect(port) as client:
            pid = ask(client, text)
            assert pids.setdefault(text[0] % WORKERS, pid) == pid
            assert ask(client, b"") == pid
            assert ask(client, b"z more") == pid  # only the first message decides
    assert len(set(pids.values())) == WORKERS
    return list(pids.values())


def silent_and_slow_clients_are_no_obstacle(port):
    silent = [connect(port) for _ in range(20)]
    slow = connect(port)
    slow.sendall(frame(b"slow")[:3])
    with connect(port) as client:
        ask(client, b"quick")
    slow.sendall(frame(b"slow")[3:])
    assert receive(slow).endswith(b" slow")
    slow.close()
    ask(silent[7], b"at last")
    for client in silent:
        client.close()


def silent_clients_of_one_worker_are_no_obstacle_to_others(port):
    silent = []
    with connect(port) as first:
        ask(first, b"a: its worker serves nobody else")
        for _ in range(600):  # more than may be on their way to it
            silent.append(connect(port))
            silent[-1].sendall(frame(b"a"))
        with connect(port) as client:
            ask(client, b"b: to another worker")
        must_end(silent[-1])
    for client in silent:
        client.close()
    # Until their worker has seen them all out, the next ones are turned away.
    wait_until(lambda: is_served(port, b"a"), "that worker serves again")


def clients_that_do_not_wait_or_send_garbage_are_turned_away(port):
    for data in (frame(b"one") + frame(b"two"), frame(b"x" * 5000), GOODBYE, *GARBAGE):
        with connect(port) as client:
            client.sendall(data)
            with contextlib.suppress(OSError):  # it may have closed already
                client.shutdown(socket.SHUT_WR)
            must_end(client)


def main():
    server = subprocess.Popen([os.path.join(EXAMPLES, "prefork"), "0"], stdout=subprocess.PIPE)
    port = int(server.stdout.readline())
    workers = clients_get_the_worker_of_their_first_byte(port)
    processes = [server.pid, *workers]
    wait_until(lambda: len(set(descriptors(workers))) == 1, "all workers have closed their clients")
    before = descriptors(processes)
    for _ in range(3):
        silent_and_slow_clients_are_no_obstacle(port)
        silent_clients_of_one_worker_are_no_obstacle_to_others(port)
        clients_that_do_not_wait_or_send_garbage_are_turned_away(port)
        clients_get_the_worker_of_their_first_byte(port)
    # The server may have had one more at first: it closes its own a moment after it handed it over.
    wait_until(lambda: all(now <= then for now, then in zip(descriptors(processes), before)),
               "all descriptors back")
    server.kill()
    server.communicate()
    wait_until(lambda: not set(workers) & {pid for pid, _ in living()}, "the workers end")


main()
