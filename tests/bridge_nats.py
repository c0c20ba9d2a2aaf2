# SPDX-License-Identifier: MIT
"""
The bridge to NATS (examples/bridge_nats.c): two hosts, which are two bridges, each at its own of
two servers of a cluster on loopback. The servers choose their ports. See abuse.py.
"""
import collections
import json
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading

from abuse import *

ANSWER_MS = 1000 * SLOWNESS


class Server:
    """A nats-server, which writes its ports to a file."""

    def __init__(self, *arguments):
        self.folder = tempfile.mkdtemp(dir=WORK)
        self.process = subprocess.Popen(
            ["nats-server", "-a", "127.0.0.1", "-p", "-1", "--cluster_name", "c", "--cluster",
             "nats://127.0.0.1:-1", "--ports_file_dir", self.folder, *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.read_ports, "the ports of a server")

    def read_ports(self):
        for name in os.listdir(self.folder):
            with open(os.path.join(self.folder, name)) as file, contextlib.suppress(ValueError):
                ports = json.load(file)
                self.client, self.cluster = ports["nats"][0], ports["cluster"][0]
                return True
        return False

    def kill(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def bridge(urls):
    path = tempfile.mktemp(dir=WORK)
    with Program("bridge_nats", path, urls) as program:
        wait_until(program.printed, "a bridge")
        program.path = path
        yield program


class Local:
    """A program of one host: its pipe to the bridge there."""

    def __init__(self, host):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(host.path)

    def send(self, line, data=b""):
        self.socket.sendall(frame(line.encode() + b"\n" + data))

    def receive(self):
        """The words of the line, and the data behind it."""
        size = struct.unpack("!i", receive(self.socket, 4))[0]
        assert size >= 0, "a goodbye"
        line, _, data = receive(self.socket, size).partition(b"\n")
        return line.decode().split(" "), data

    def is_silent(self):
        return not select.select([self.socket], [], [], 0)[0]

    def ask(self, number, subject, data=b"", patience=ANSWER_MS):
        self.send("request %d %s %d" % (number, subject, patience), data)
        return self.receive()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR) # a thread may be reading
        self.socket.close()


class Worker(threading.Thread):
    """One of the group. It does not answer what begins with `keep`."""

    def __init__(self, host, name):
        super().__init__(daemon=True)
        self.name, self.done = name, []
        self.pipe = Local(host)
        self.pipe.send("subscribe 1 tasks workers")
        self.start()

    def run(self):
        with contextlib.suppress(OSError, AssertionError):
            while True:
                words, data = self.pipe.receive()
                if words[0] == "message" and not data.startswith(b"keep"):
                    self.done.append(data)
                    self.pipe.send("publish 2 " + words[2], self.name.encode() + b" " + data)


def wait_for_workers(asker, names):
    """The servers tell each other of subscriptions after a while."""
    seen = set()

    def all_seen():
        words, data = asker.ask(1, "tasks", b"who")
        seen.update(data.decode().split()[:1])
        return seen == set(names)
    wait_until(all_seen, "an answer of each worker")


def wait_for_subscription(publisher, subject, subscriber):
    def has_come():
        publisher.send("publish 1 " + subject, b"first")
        return select.select([subscriber.socket], [], [], 0.05)[0]
    wait_until(has_come, "a message from another host")
    publisher.send("publish 1 " + subject, b"last of these")
    while subscriber.receive()[1] != b"last of these":
        pass


def published_messages_reach_other_hosts_in_order(here, there):
    subscriber, publisher = Local(there), Local(here)
    subscriber.send("subscribe 1 news.*")
    wait_for_subscription(publisher, "news.x", subscriber)
    texts = [b"", b"\0\n\xff" * 100, b"x" * 900000] + [b"%d" % i for i in range(500)]
    for text in texts:
        publisher.send("publish 3 news.today", text)
    for text in texts:
        assert subscriber.receive() == (["message", "news.today", "-"], text)
    publisher.send("publish 4 news.today", b"x" * 2000000) # over the server's limit
    assert publisher.receive()[0][:2] == ["fail", "4"]
    publisher.send("publish 5 news.today", b"the last words are sent, too")
    publisher.close()
    assert subscriber.receive()[1] == b"the last words are sent, too"
    subscriber.close()


def a_program_that_does_not_read_loses_nothing_and_delays_nobody(here, there):
    lazy, publisher = Local(there), Local(here)
    lazy.send("subscribe 1 much")
    wait_for_subscription(publisher, "much", lazy)
    for i in range(1000):
        publisher.send("publish 2 much", b"%d " % i + b"x" * 1000)
    worker = Worker(there, "quick")
    wait_for_workers(publisher, ["quick"])
    worker.pipe.close()
    for i in range(1000):
        assert lazy.receive()[1].startswith(b"%d " % i)
    lazy.close()


def what_is_no_request_is_refused_and_garbage_ends_its_program_alone(here):
    asker = Local(here)
    for line in ("", "publish", "publish x", "request 0 tasks 100", "request 1 tasks", "x 1 y z",
                 "request 1 tasks 0", "subscribe 1 " + "s" * 2000, "publish 1 " + "\n"):
        asker.send(line)
        assert asker.receive()[0][0] == "fail", line
    assert asker.ask(7, "nobody.serves.this") == (["fail", "7", "nobody", "is", "there"], b"")
    strangers = [Local(here) for _ in GARBAGE + [GOODBYE, b""]]
    for stranger, text in zip(strangers, GARBAGE + [GOODBYE, b""]):
        stranger.socket.sendall(text)
        end_writing(stranger.socket)
    for stranger in strangers:
        must_close(stranger.socket)
    assert asker.ask(8, "nobody.serves.this")[0][:2] == ["fail", "8"]
    wait_until(lambda: len(here.children()) == 1, "the others' processes end")
    asker.close()
    wait_until(lambda: not here.children(), "its process ends, too")


class Asker:
    """Asks, at most 50 at a time. Each request has one outcome, and no answer is lost."""

    def __init__(self, host):
        self.pipe = Local(host)
        self.waiting, self.answered, self.failed = {}, set(), []
        self.last_id = self.news = 0

    def ask(self, task):
        self.last_id += 1
        self.waiting[self.last_id] = task
        self.pipe.send("request %d tasks %d" % (self.last_id, ANSWER_MS), task)

    def hear(self):
        words, data = self.pipe.receive()
        if words[0] == "news":
            self.news += 1
            return
        task = self.waiting.pop(int(words[1])) # a second outcome fails here
        if words[0] == "answer":
            assert data.endswith(b" " + task)
            self.answered.add(task)
        else:
            assert words[0] == "fail"
            self.failed.append(task)


def nothing_acknowledged_is_lost_when_a_server_dies(here, there, server):
    workers = [Worker(here, "a"), Worker(here, "b"), Worker(there, "c"), Worker(there, "d")]
    asker = Asker(here)
    wait_for_workers(asker.pipe, "abcd")
    tasks = collections.deque(b"task %d" % i for i in range(400))
    asker.ask(b"keep this")
    while len(asker.answered) < 200:
        while tasks and len(asker.waiting) < 50:
            asker.ask(tasks.popleft())
        asker.hear()
    server.process.send_signal(signal.SIGSTOP) # what goes to it now is lost with it
    on_its_way = [tasks.popleft() for _ in range(20)]
    for task in on_its_way:
        asker.ask(task)
    server.kill()
    while asker.waiting or tasks or asker.failed != [b"keep this"]:
        while tasks and len(asker.waiting) < 50:
            asker.ask(tasks.popleft())
        for task in set(asker.failed) - {b"keep this"}:
            asker.failed.remove(task)
            asker.ask(task)
        asker.hear()
    done = collections.Counter(task for worker in workers for task in worker.done)
    assert asker.answered == {b"task %d" % i for i in range(400)}
    assert asker.answered <= set(done), "an answer of nobody"
    assert all(any(task.startswith(b"task") for task in worker.done) for worker in workers)
    assert asker.news >= 2, "no news of the server that died, and of the other"
    assert asker.pipe.is_silent()


@test
def programs_of_two_hosts_meet_and_acknowledged_tasks_survive_a_killed_server():
    first = Server()
    second = Server("--routes", first.cluster)
    try:
        with bridge(first.client) as here, bridge(second.client) as there:
            published_messages_reach_other_hosts_in_order(here, there)
            a_program_that_does_not_read_loses_nothing_and_delays_nobody(here, there)
            what_is_no_request_is_refused_and_garbage_ends_its_program_alone(here)
            nothing_acknowledged_is_lost_when_a_server_dies(here, there, first)
    finally:
        first.kill()
        second.kill()


@test
def without_a_server_a_program_is_told_so():
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0)) # and does not listen
    with bridge("nats://127.0.0.1:%d" % nobody.getsockname()[1]) as here:
        pipe = Local(here)
        text = b"BYEno server of NATS is there"
        expected = struct.pack("!ii", -2, len(text)) + text
        assert receive(pipe.socket, len(expected)) == expected
        must_close(pipe.socket)
    nobody.close()


run_tests()
