# SPDX-License-Identifier: MIT
"""
What abuse_*.py are made of. They do to the examples what happens in use: the peer is killed, says
goodbye, sends garbage, never reads, or no descriptor is left. Whatever happens, an example does not
crash, hang or burn the processor. Servers go on; the others end, and say so if something failed.
usage: abuse_NAME.py EXAMPLES [PATTERN]     EXAMPLES: where the programs are; PATTERN: tests to run
"""
import atexit
import concurrent.futures
import contextlib
import fnmatch
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

EXAMPLES = sys.argv[1]
PATIENCE = 60  # seconds that nothing may take
SLOWNESS = int(os.environ.get("PIPC_TIME_FACTOR", "1"))  # of this build, under a sanitizer say
GOODBYE = struct.pack("!ii", -2, 9) + b"BYE so it"
WORK = tempfile.mkdtemp(prefix="pipc-abuse-")


def leave_nothing():
    """Also after a failure: a program that still ran would keep the runner waiting for its output.
    A Program has a group of its own, and ends with its `with`."""
    shutil.rmtree(WORK, ignore_errors=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)


if os.getpgrp() != os.getpid(): # under limited.py it leads its group already
    os.setpgid(0, 0)
atexit.register(leave_nothing)


def frame(data):
    return struct.pack("!i", len(data)) + data


# Each is followed by silence, or by the end.
GARBAGE = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"SSH-2.0-OpenSSH\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",  # TLS
    b"\xff" * 64,
    b"\x80\x00\x00\x00",
    b"\x7f\xff\xff\xffx",
    b"\xff\xff\xff\xff\0\0\0\0\0\0\0\1x",  # a long form that is short
    b"\0\0",
    b"\0\0\0\5abc",
    b"\xff\xff\xff\xfe\0\0\0\4data",  # a goodbye that is none
    b"\xff\xff\xff\xfe",
    bytes(1000),
    os.urandom(5000),
]


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("never: " + what)
        time.sleep(0.002)


def read_stat(pid):
    """State, parent, process group and so on: proc(5), from the third field on."""
    with open("/proc/%d/stat" % pid, errors="replace") as stat: # a name may be any bytes
        return stat.read().rpartition(")")[2].split()


def living():
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            fields = read_stat(pid)
            if fields[0] not in "ZX":
                yield pid, fields


class Program:
    """An example that runs, in a process group of its own. What it prints goes to files."""

    def __init__(self, name, *arguments, descriptors=None, stdin=subprocess.PIPE, environment=None):
        self.files = [tempfile.mkstemp(dir=WORK) for _ in range(2)]
        self.name = name
        command = [os.path.join(EXAMPLES, name), *map(str, arguments)]
        if descriptors is not None:
            command = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(descriptors), *command]
        self.process = subprocess.Popen(command, stdin=stdin, stdout=self.files[0][0],
                                        stderr=self.files[1][0], start_new_session=True,
                                        env=dict(os.environ, **(environment or {})))
        self.pid = self.process.pid
        for file in self.files:
            os.close(file[0])

    def printed(self):
        with open(self.files[0][1], "rb") as file:
            return file.read()

    def complained(self):
        with open(self.files[1][1], "rb") as file:
            return file.read()

    def type(self, text):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text)
            self.process.stdin.flush()

    def end_input(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def children(self):
        with contextlib.suppress(OSError): # quick, where the kernel has it
            with open("/proc/%d/task/%d/children" % (self.pid, self.pid)) as children:
                return [int(pid) for pid in children.read().split()]
        return [pid for pid, fields in living() if int(fields[1]) == self.pid]

    def processor_time(self):
        fields = read_stat(self.pid)
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def must_be_idle(self):
        """Something may still be under way, for long on a slow machine; then nothing is."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            before = self.processor_time()
            time.sleep(0.3)
            assert not self.has_ended(), self.complained()
            if self.processor_time() - before < 0.05:
                return
        raise AssertionError("it burns the processor")

    def has_ended(self):
        return self.process.poll() is not None

    def must_end(self, *codes):
        """Ends by itself, its children too, and if it failed, says why. Returns the exit code."""
        code = self.process.wait(PATIENCE)
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        wait_until(self.group_is_empty, "its children end")
        assert code in (codes or (0, 1)), (code, self.complained())
        assert code == 0 or self.complained() or self.name == "hello"
        return code

    def group_is_empty(self):
        return all(int(fields[2]) != self.pid for _, fields in living())

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            print("stderr:", self.complained()[-2000:])
        self.kill()


# ---- Sockets ----

def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def listen():
    """At a loopback address that nobody else calls: a port may have been somebody else's before,
    whose clients still call it."""
    listener = socket.socket()
    try:
        listener.bind(("127.%d.%d.%d" % tuple(random.randint(1, 254) for _ in range(3)), 0))
    except OSError: # a system with one loopback address
        listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.settimeout(PATIENCE)
    return (listener, *listener.getsockname())


def accept(listener):
    connection = listener.accept()[0]
    connection.settimeout(PATIENCE)
    return connection


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def receive(connection, size):
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(min(1 << 20, size - len(data)))
        if not piece:
            raise AssertionError("the end after %d bytes of %d" % (len(data), size))
        data += piece
    return bytes(data)


def end_writing(connection):
    """Who was sent garbage may have reset the connection by now."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


def must_close(connection):
    """The peer ends the connection, whatever it still sends."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(1 << 16):
            pass
    connection.close()


def must_echo(connection, data=b"is anybody there"):
    connection.sendall(frame(data))
    assert receive(connection, len(data) + 4) == frame(data)


def fill(connection, message):
    """Sends whole messages until nothing more goes for a while. Returns what has been sent."""
    sent = bytearray()
    connection.settimeout(0.3)
    stream = frame(message) * (1 + (1 << 20) // len(message))
    with contextlib.suppress(socket.timeout):
        while True:
            at = len(sent) % len(stream)
            sent += stream[at:at + connection.send(stream[at:at + (1 << 16)])]
    connection.settimeout(PATIENCE)
    return bytes(sent)


def make_files():
    folder = tempfile.mkdtemp(dir=WORK)
    for i in range(30):
        with open(os.path.join(folder, "%02d" % i), "wb") as file:
            file.write(b"%d," % i * i * i * 100)
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


# ---- Servers ----


@contextlib.contextmanager
def echo_server(*arguments, program="tcp_echo_server", **more):
    arguments = (0, *arguments) if program == "tcp_echo_server" else arguments
    with Program(program, *arguments, **more) as server:
        wait_until(lambda: server.printed().endswith(b"\n"), "the port")
        server.port = int(server.printed())
        yield server


# ---- Tests ----

def side_by_side(function, arguments):
    """For what mostly waits. The results, in order; the first exception, if there is one."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(function, arguments))


TESTS = []


def test(function):
    TESTS.append(function)
    return function


def is_posix():
    """The library is built with POSIX alone: see the manual, 12, "What differs where"."""
    return os.environ.get("PIPC_TEST_PLATFORM") == "posix"


def test_unless_posix(reason):
    def choose(function):
        if not is_posix():
            return test(function)
        print("%s skipped: %s" % (function.__name__, reason))
        return function
    return choose


def run_tests():
    pattern = sys.argv[2] if len(sys.argv) > 2 else "*"
    for function in TESTS:
        if fnmatch.fnmatch(function.__name__, pattern):
            start = time.monotonic()
            print(function.__name__, end=" ", flush=True)
            function()
            print("%.1f s" % (time.monotonic() - start), flush=True)
