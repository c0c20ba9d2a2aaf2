# SPDX-License-Identifier: MIT
"""The package in python/, against the library that PIPC_LIBRARY names: pIPC's API in use, and what
happens to its users. usage: test_python_package.py [PATTERN]     PATTERN: tests to run"""
import contextlib
import ctypes
import errno
import gc
import multiprocessing
import os
import pickle
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from _thread import start_new_thread

import IPC
import pipc
import python_tests
from pipc import _library
from python_tests import PATIENCE, child, fails

SOURCE = os.environ["SOURCE_DIR"]
is_posix = os.environ.get("PIPC_TEST_PLATFORM") == "posix"  # the library: the manual, 12


def raw(text=False):
    """A pipe, and a socket at its other end."""
    one, other = socket.socketpair()
    fd = one.detach()
    return (IPC if text else pipc).Pipe(fds=(fd, fd)), other


# ---- What pIPC's page does with a pipe: select, read, len, pending, write ----

WORDS = ["one", "two", "three"]


def listen(pipe):
    """One side: takes what comes, one by one or all at once, and answers."""
    heard = []
    while len(heard) < len(WORDS):
        r, w, x = select.select([pipe], [], [], 1)
        if r != []:
            if r[0] != pipe:
                raise IOError("another object is readable")
            data = pipe.read()
            heard.append(data)
            if len(pipe) > 0:
                moredata = pipe.pending()
                heard.extend(moredata)
            else:
                pipe.write("go on")
    pipe.write("enough")
    assert heard == WORDS, heard
    with fails(IPC.Goodbye):
        pipe.read()
    pipe.close()


def speak(pipe):
    """The other side, with the same object."""
    for word in WORDS:
        pipe.write(word)
    while pipe.read() != "enough":
        pass
    pipe.disconnect("done")
    pipe.close()


def as_on_the_page_with_a_thread():
    pipe = IPC.Pipe()
    start_new_thread(speak, (pipe,))
    listen(pipe)


def as_on_the_page_with_a_fork():
    pipe = IPC.Pipe()
    with child(speak, pipe):
        listen(pipe)


def as_on_the_page_with_a_name():
    name = "test-{}-{}".format(os.getpid(), os.urandom(8).hex())
    with child(lambda: speak(IPC.Pipe(name))):
        listen(IPC.Pipe(name))


def as_on_the_page_over_tcp():
    with IPC.PipeServer(0) as server:
        port = server.port
        with child(lambda: speak(IPC.Pipe("localhost", port, flags=pipc.CONNECT_ONLY))):
            r, w, x = select.select([server], [], [], PATIENCE)
            assert r == [server]
            listen(server.accept())


# ---- Messages ----

def pending_has_all_that_came_and_flush_deletes_nothing():
    here, there = pipc.Pipe.pair()
    for data in b"a", b"", bytearray(b"bc"), memoryview(b"d"):
        there.write(data)
    assert here.flush() == 4 and len(here) == 4 and here and here.peek() == b"a"
    assert here.pending() == [b"a", b"", b"bc", b"d"]
    assert here.pending() == [] and len(here) == 0 and here
    big = os.urandom(3000000)
    writer = threading.Thread(target=there.write, args=(big,))
    writer.start()
    assert here.read() == big
    writer.join()
    there.write(b"x")
    there.write(b"y")
    here.skip()
    assert here.read() == b"y" and here.stats()["messages_read"] == 7, here.stats()
    here.close()
    there.close()


def a_message_that_was_read_takes_no_memory():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    here, there = pipc.Pipe.pair()
    for number in range(500):
        there.write(b"x" * 100000)
        here.read()
        if number == 50:
            before = resident()
    assert resident() - before < 20 << 20
    here.close()
    there.close()


def a_goodbye_comes_after_all_messages_and_has_its_text():
    here, there = pipc.Pipe.pair()
    there.write(b"last")
    there.disconnect("see you")
    assert here.pending() == [b"last"]
    with fails(pipc.Goodbye, errno.ESHUTDOWN):
        here.peek()
    try:
        here.pending()
    except pipc.Goodbye as goodbye:
        assert goodbye.text == "see you"
    with fails(BrokenPipeError, errno.EPIPE):
        here.pending()
    here.write(b"still")
    here.shutdown()
    assert list(there) == [b"still"]
    here.close()
    there.close()


def disconnect_leaves_the_end_to_another_user():
    pipe = pipc.Pipe()
    pipe.settimeout(PATIENCE)

    def worker(number):
        pipe.write(b"%d" % number)
        pipe.disconnect()
    for number in range(3):
        with child(worker, number):
            assert pipe.read() == b"%d" % number
            with fails(pipc.Goodbye):
                pipe.read()
    pipe.close()


def text_is_the_same_bytes_and_bytes_are_no_text():
    pipe, other = raw(text=True)
    data = "Grüße".encode() + b"\xff\0"
    other.sendall(struct.pack("!i", len(data)) + data)
    text = pipe.read()
    assert text.startswith("Grüße") and pipe.write(text) == len(data)
    assert other.recv(100)[4:] == data
    pipe.write(b"bytes")
    pipe.close()
    other.close()
    here, there = pipc.Pipe.pair()
    with fails(TypeError):
        here.write("text")
    here.close()
    there.close()


def descriptors_come_with_their_message():
    here, there = pipc.Pipe.pair(flags=pipc.ACCEPT_FDS)
    r, w = os.pipe()
    there.write(b"both", fds=[r, w])
    assert here.read() == b"both"
    fds = here.take_fds()
    assert len(fds) == 2 and here.take_fds() == []
    os.write(fds[1], b"x")
    assert os.read(r, 1) == b"x"
    for fd in [r, w] + fds:
        os.close(fd)
    here.close()
    there.close()


# ---- What happens to peers ----

def a_killed_peer_is_the_end_after_its_messages():
    for pipe, mine in [(pipc.Pipe(), None), pipc.Pipe.pair()]:
        pipe.settimeout(PATIENCE)

        def die():
            if mine is not None:
                pipe.close()
            (mine or pipe).write(b"before")
            os.kill(os.getpid(), signal.SIGKILL)
        with child(die, status=signal.SIGKILL):
            if mine is not None:
                mine.close()
            assert pipe.read() == b"before"
            if mine is not None or not is_posix: # there a death on pipc_open ends no poll
                assert select.select([pipe], [], [], PATIENCE)[0] == [pipe]
            with fails(BrokenPipeError, errno.EPIPE):
                pipe.read()
        pipe.close()


def garbage_is_an_error_and_so_is_a_torn_message():
    for sent, kind, number in [(b"GET / HTTP/1.1\r\n\r\n", OSError, errno.EPROTO),
                               (b"\xff" * 4 + b"\0" * 8, OSError, errno.EPROTO),
                               (b"\0\0\0\5abc", ConnectionResetError, errno.ECONNRESET)]:
        pipe, other = raw()
        other.sendall(struct.pack("!i", 2) + b"ok" + sent)
        other.close()
        assert pipe.read() == b"ok"
        for _ in range(2):
            with fails(kind, number):
                pipe.read()
        pipe.close()


def a_wrong_key_is_refused_and_the_right_one_comes_in():
    with pipc.PipeServer(0, key="secret") as server:
        port = server.port

        def client(key):
            return pipc.Pipe("127.0.0.1", port, key=key, flags=pipc.CONNECT_ONLY)

        def both():
            with fails(PermissionError, errno.EACCES):
                client("Secret")
            client("secret").write(b"in")
        with child(both), server.accept() as pipe:
            assert pipe.read() == b"in"
            assert pipe.peer().startswith("127.0.0.1"), pipe.peer()


def a_server_on_a_path_has_many_clients_and_knows_them():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with fails(FileNotFoundError):
            pipc.PipeServer(os.path.join(path, "none"))
        with fails(BlockingIOError):
            pipc.Pipe(path=path, timeout=0)
        with pipc.PipeServer(path, mode=0o700) as server:
            assert os.stat(path).st_mode & 0o777 == 0o700 and server.port == 0
            with fails(TimeoutError):
                server.accept(0.01)
            clients = [pipc.Pipe(path=path) for _ in range(3)]
            pipes = [server.accept() for _ in clients]
            for number, (pipe, client) in enumerate(zip(pipes, clients)):
                client.write(b"%d" % number)
                assert pipe.read() == b"%d" % number
                if not is_posix: # there nobody vouches for a client
                    assert pipe.credentials() == (os.getpid(), os.getuid(), os.getgid())
            for pipe in pipes + clients:
                pipe.close()


# ---- Waiting ----

def a_timeout_is_an_exception_and_loses_nothing():
    here, there = pipc.Pipe.pair()
    here.settimeout(0, 0.01)
    with fails(BlockingIOError, errno.EAGAIN):
        here.read()
    here.settimeout(0.01)
    with fails(TimeoutError, errno.ETIMEDOUT):
        here.read()
    with fails(ValueError):
        here.settimeout(-1)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o700)
        with fails(TimeoutError):
            pipc.Pipe("nobody", directory=folder, timeout=0.01)
    there.write(b"late")
    assert here.read() == b"late"
    here.close()
    there.close()


@contextlib.contextmanager
def ticking(handler):
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def a_signal_runs_its_handler_and_the_wait_goes_on():
    here, there = pipc.Pipe.pair()
    ticks = []

    def tick(number, frame):
        ticks.append(number)
        if len(ticks) == 3:
            there.write(b"after three")
    with ticking(tick):
        assert here.read() == b"after three"
        here.settimeout(0.05)
        with fails(TimeoutError):
            here.read()

    class Stop(Exception):
        pass

    def stop(number, frame):
        raise Stop
    here.settimeout(None)
    with fails(Stop), ticking(stop):
        here.read()
    there.write(b"whole")
    assert here.read() == b"whole"
    here.close()
    there.close()


# ---- Processes, threads and ends ----

def square(pipe):
    for data in pipe:
        pipe.write(b"%d" % int(data) ** 2)


def a_process_of_multiprocessing_is_a_peer():
    pipe = pipc.Pipe()
    pipe.settimeout(PATIENCE)
    process = multiprocessing.get_context("fork").Process(target=square, args=(pipe,))
    process.start()
    for number in range(5):
        pipe.write(b"%d" % number)
        assert pipe.read() == b"%d" % number ** 2
    pipe.disconnect()
    process.join()
    assert process.exitcode == 0
    process.close()
    pipe.close()
    with fails(TypeError):
        pickle.dumps(pipe)


def a_third_thread_finds_no_end_and_none_after_the_close():
    pipe = pipc.Pipe()
    pipe.settimeout(None)
    results = []

    def use(expected, number=None):
        try:
            with fails(expected, number):
                pipe.write(b"x")
            results.append(expected)
        except BaseException as error:
            results.append(error)

    has_read, gate = threading.Event(), threading.Event()

    def second():
        pipe.read()
        has_read.set()
        gate.wait()
        pipe.close()
    other = threading.Thread(target=second)
    other.start()
    pipe.write(b"first")
    has_read.wait()
    for arguments in (OSError, errno.EBUSY), (ValueError,):
        third = threading.Thread(target=use, args=arguments)
        third.start()
        third.join()
        gate.set()
        other.join()
    assert results == [OSError, ValueError], results
    with fails(BrokenPipeError):
        pipe.read()
    pipe.close()
    with fails(ValueError):
        pipe.read()


def what_is_forgotten_is_closed_and_what_is_closed_is_refused():
    here, there = pipc.Pipe.pair()
    del there
    gc.collect()
    with fails(BrokenPipeError):
        here.read()
    here.close()
    here.close()
    for call in here.read, here.fileno, here.pending, here.peer, lambda: len(here):
        with fails(ValueError):
            call()
    with fails(OSError, errno.EBADF):
        pipc.Pipe(fds=(-1, -1))
    with fails(TypeError):
        pipc.PipeServer()
    with pipc.PipeServer(0) as server:
        pass
    with fails(ValueError):
        server.accept(0)


def a_detached_pipe_goes_on_as_descriptors():
    here, there = pipc.Pipe.pair()
    fds = here.detach()
    with fails(ValueError):
        here.read()
    with pipc.Pipe(fds=fds) as again, there:
        again.write(b"adopted")
        assert there.read() == b"adopted"


# ---- The binding ----

def structs_and_flags_are_those_of_the_header():
    pairs = [(_library.Options, "pipc_options_t"), (_library.Stats, "pipc_stats_t"),
             (_library.Message, "pipc_msg_t"), (_library.Credentials, "pipc_credentials_t")]
    lines, expected = [], []
    for kind, name in pairs:
        lines.append('printf("%zu ", sizeof({}));'.format(name))
        expected.append(ctypes.sizeof(kind))
        for field, _ in kind._fields_:
            lines.append('printf("%zu %zu ", offsetof({0}, {1}), sizeof((({0} *)0)->{1}));'.format(
                name, field))
            expected += [getattr(kind, field).offset, getattr(kind, field).size]
    with open(os.path.join(SOURCE, "include", "pipc.h")) as file:
        header = file.read()
    for flag in re.findall(r"^#define PIPC_([A-Z_0-9]+) +0x[0-9a-f]+u", header, re.M):
        lines.append('printf("%u ", PIPC_{});'.format(flag))
        expected.append(getattr(_library, flag))
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "program")
        with open(program + ".c", "w") as file:
            file.write("#include <pipc.h>\n#include <stdio.h>\nint main(void)\n{{\n{}\n}}\n".format(
                "\n".join(lines)))
        subprocess.run([os.environ.get("CC", "cc"), "-I", os.path.join(SOURCE, "include"), "-o",
                        program, program + ".c"], check=True)
        printed = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout
    assert list(map(int, printed.split())) == expected


def a_library_that_is_missing_is_an_import_error():
    code = "try:\n import pipc\nexcept ImportError as error:\n assert 'PIPC_LIBRARY' in str(error)"
    subprocess.run([sys.executable, "-c", code + "\nelse:\n raise SystemExit(1)"], check=True,
                   env=dict(os.environ, PIPC_LIBRARY="/nowhere/libpipc.so"))


python_tests.run(sys.modules[__name__], (raw, listen, speak, ticking, square))
