# SPDX-License-Identifier: MIT
"""
What pipccat_*.py are made of: they run pipccat, and look at what it prints and how it ends. All
that waits has a limit that only a hanging program reaches.
usage: pipccat_NAME.py TOOLS [PATTERN]     TOOLS: where pipccat is; PATTERN: tests to run
"""
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile

from abuse import PATIENCE, WORK, frame, is_posix, run_tests, test, wait_until  # noqa: F401

PIPCCAT = os.path.join(os.path.abspath(sys.argv[1]), "pipccat")
EVERY_BYTE = bytes(range(256))

# What a sanitizer finds must not look like an exit code of pipccat.
for options in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"):
    os.environ[options] = os.environ.get(options, "") + ":exitcode=99"

OK, LOCAL, USAGE, NO_PEER, TIMEOUT, KEY, BROKEN, GARBAGE_CAME, TOO_LARGE, PROGRAM = range(10)
OUTPUT_CLOSED = 141


def new_path():
    """Nothing is there, nor was before."""
    return os.path.join(tempfile.mkdtemp(dir=WORK), "p")


def new_file(data):
    path = new_path()
    with open(path, "wb") as file:
        file.write(data)
    return path


def environment(**more):
    return dict(os.environ, **more)


class Started:
    """A pipccat that runs. Standard output and error go to files unless others are given."""

    def __init__(self, *arguments, stdin=b"", stdout=None, stderr=None, pass_fds=(), env=None):
        self.out, self.error = new_path(), new_path()
        if "-w" not in arguments and ("tcp" in arguments or "unix" in arguments):
            arguments = ("-w", PATIENCE, *arguments) # five seconds are little on a busy machine
        with contextlib.ExitStack() as files:
            if isinstance(stdin, bytes):
                stdin = files.enter_context(open(new_file(stdin), "rb"))
            self.process = subprocess.Popen(
                [PIPCCAT, *map(str, arguments)], stdin=stdin, pass_fds=pass_fds, env=env,
                stdout=stdout or files.enter_context(open(self.out, "wb")),
                stderr=stderr or files.enter_context(open(self.error, "wb")))

    def printed(self):
        if not os.path.exists(self.out): # it goes elsewhere
            return b""
        with open(self.out, "rb") as file:
            return file.read()

    def complained(self):
        if not os.path.exists(self.error):
            return b""
        with open(self.error, "rb") as file:
            return file.read()

    def port(self):
        wait_until(lambda: b"listening on port" in self.complained() and
                   self.complained().endswith(b"\n"), "the port")
        return int(self.complained().partition(b"listening on port ")[2].split()[0])

    def ends(self, code=OK):
        got = self.process.wait(PATIENCE)
        assert got == code, (got, code, self.complained())
        return self.printed()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            print("stderr:", self.complained()[-2000:])
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout):
            if file:
                with contextlib.suppress(OSError):
                    file.close()


def run(*arguments, code=OK, **more):
    """Runs to the end. Returns what it printed, and what it complained of."""
    with Started(*arguments, **more) as started:
        printed = started.ends(code)
        complained = started.complained()
        assert code in (OK, OUTPUT_CLOSED) or complained, "it fails without a word"
        return printed, complained


class Plain:
    """One end of a socket whose other end pipccat has: bytes of the test's own."""

    def __init__(self):
        self.socket, self.theirs = socket.socketpair()
        self.socket.settimeout(PATIENCE)

    def start(self, *arguments, **more):
        fd = self.theirs.fileno()
        started = Started(*arguments, "fd", fd, fd, pass_fds=(fd,), **more)
        self.theirs.close()
        return started

    def send(self, data):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def receive(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            assert piece, (data, size)
            data += piece
        return data

    def end(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.socket.close()
        self.theirs.close()


def records(*messages):
    return b"".join(map(frame, messages))


def interrupt(started, number=signal.SIGTERM):
    """Ends it with a signal. The thread sanitizer keeps a signal that comes just before poll(2)
    until poll has returned, so there it is sent until one comes at another time."""
    started.process.send_signal(number)
    for _ in range(PATIENCE if "TSAN_OPTIONS" in os.environ else 0):
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.process.wait(1)
            break
        started.process.send_signal(number)
    code = started.process.wait(PATIENCE)
    assert code == -number, code
