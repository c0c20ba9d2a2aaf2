# SPDX-License-Identifier: MIT
"""Pipe: one object that both sides use alike."""
import collections
import contextlib
import ctypes
import errno
import os
import threading

from . import _library as lib
from ._options import Deadline, make_options, milliseconds, name_bytes, opened

Credentials = collections.namedtuple("Credentials", "pid uid gid")
READING, WRITING = 0, 1


class Goodbye(BrokenPipeError):
    """The peer has said goodbye, with this text. It was taken from the pipe, as a message is."""

    def __init__(self, number, words, text):
        super().__init__(number, words)
        self.text = text


class _State:
    """What a handle knows of its user."""
    used = closed = False
    timeouts = (None, None)
    pid = None


class _ThreadState(threading.local, _State):
    """The same on an anonymous pipe, where each thread is a user of its own."""


def _decode(data):
    return data.decode("utf-8", "surrogateescape")


class Pipe:
    """Pipe() is an anonymous one, for two threads, or a parent and a child: the first two that
    use it have an end each. Pipe("name") is one with another process of this user that uses the
    name, Pipe("host", port) one with a program on that host, Pipe(path="/path") one with a server
    on this host. Pipe(fds=(r, w)) takes over two descriptors. Pipe.pair() returns two pipes.

    timeout is that of opening, in seconds; None waits as long as it takes. The options of pipc.h:
    max_message, max_pending, key, directory, flags."""

    text = False  # messages are bytes; in the module IPC they are str

    def __init__(self, name=None, port=None, *, path=None, fds=None, timeout=None, **options):
        self._handle = None
        how = make_options(**options)
        anonymous = False
        if fds is not None:
            handle = lib.open_fds(*fds, how)
        elif path is not None:
            handle = opened(lib.open_unix, timeout, name_bytes(path), options=how, filename=path)
        elif port is not None:
            handle = opened(lib.open_tcp, timeout, name_bytes(name), port, options=how,
                            filename=name)
        elif name is not None:
            handle = opened(lib.open_fifo, timeout, name_bytes(name), options=how, filename=name)
        else:
            handle, anonymous = lib.open_(how), True
        if handle is None:
            raise lib.failure()
        self._begin(handle, how.flags, anonymous)

    def _begin(self, handle, flags=0, anonymous=False):
        self._handle = handle
        self._flags = flags
        self._state = _ThreadState() if anonymous else _State()
        self._state.used = True
        self._state.pid = os.getpid()
        self._left = False  # a thread has closed an anonymous pipe: it may be gone for newcomers
        one = contextlib.nullcontext() if anonymous else threading.RLock()
        two = threading.RLock() if flags & lib.DUPLEX and not anonymous else one
        self._locks = one, two

    @classmethod
    def _adopt(cls, handle, flags=0):
        pipe = cls.__new__(cls)
        pipe._begin(handle, flags)
        return pipe

    @classmethod
    def pair(cls, **options):
        """Two pipes, each with one end."""
        how = make_options(**options)
        handles = (ctypes.c_void_p * 2)()
        if lib.open_pair(handles, how) == -1:
            raise lib.failure()
        return tuple(cls._adopt(handle, how.flags) for handle in handles)

    # ---- Calls ----

    def _use(self):
        state = self._state
        if self._handle is None or state.closed or (self._left and not state.used):
            raise ValueError("the pipe is closed")
        state.used = True
        if isinstance(state, _ThreadState) and state.pid != os.getpid():
            state.pid, state.timeouts = os.getpid(), (None, None)  # a child is a new user
        return self._handle

    def _call(self, which, function, *arguments):
        """A call that never waits."""
        with self._locks[which]:
            result = function(self._use(), *arguments)
            if lib.failed(result):
                raise lib.failure()
            return result

    def _wait(self, which, function, *arguments):
        """A call that may wait, and goes on for the time that is left after a signal."""
        with self._locks[which]:
            handle = self._use()
            seconds = self._state.timeouts[which]
            deadline = Deadline(seconds)
            result = function(handle, *arguments)
            if lib.failed(result) and lib.interrupted():
                result = self._go_on(which, deadline, function, arguments)
            if lib.failed(result):
                raise lib.failure()
            return result

    def _go_on(self, which, deadline, function, arguments):
        try:
            while True:
                if deadline.end is not None:
                    self._limit(which, deadline.left())
                result = function(self._use(), *arguments)
                if not lib.failed(result) or not lib.interrupted():
                    return result
        finally:
            number = ctypes.get_errno()
            if deadline.end is not None:
                self._limit(which, milliseconds(self._state.timeouts[which]))
            ctypes.set_errno(number)

    # ---- Messages ----

    def _words(self, data):
        return _decode(data) if self.text else data

    def _taken(self, message, free=True):
        try:
            data = lib.content(message)
        finally:
            if free:
                lib.msg_free(message)
        if message.kind != lib.BYE:
            return self._words(data)
        words = lib.strerror(errno.ESHUTDOWN).decode()
        raise Goodbye(errno.ESHUTDOWN, words, _decode(data[3:]))

    def write(self, data, fds=()):
        """Sends one message, with descriptors if the pipe carries them. Returns its size."""
        if self.text and isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        elif not isinstance(data, bytes):
            data = bytes(memoryview(data))
        if fds:
            size = self._wait(WRITING, lib.write_fds, data, len(data),
                              (ctypes.c_int * len(fds))(*fds), len(fds))
        else:
            size = self._wait(WRITING, lib.write, data, len(data))
        # A signal may have ended the wait while a part was held.
        if (self._state.timeouts[WRITING] is None and not self._flags & lib.GATHER and
                self.stats()["bytes_held"]):
            self.flush()
        return size

    def read(self):
        """Takes the next message. Goodbye, or BrokenPipeError at the end, when none comes."""
        message = lib.Message()
        self._wait(READING, lib.read_msg, message)
        return self._taken(message)

    def peek(self):
        """The next message, which stays there."""
        message = lib.Message()
        with self._locks[READING]:
            self._wait(READING, lib.peek, message)
            return self._taken(message, free=False)

    def skip(self):
        """Drops the next message, or goodbye."""
        self._wait(READING, lib.skip)

    def pending(self):
        """All messages that have arrived, as a list. It never waits. What ends them, a goodbye or
        an error, is raised by the next call."""
        messages = []
        with self._locks[READING]:
            for _ in range(len(self)):
                message = lib.Message()
                self._call(READING, lib.peek, message)
                if message.kind == lib.BYE and messages:
                    return messages
                messages.append(self.read())
            if not messages:
                message = lib.Message()
                if self._call(READING, lib.read_pending, message, 1) == 1:
                    messages.append(self._taken(message))
        return messages

    def __len__(self):
        """How many messages have arrived, goodbyes too."""
        return self._call(READING, lib.pending)

    def __bool__(self):
        return True  # also when no message is there

    def __iter__(self):
        """Messages, until the peer leaves."""
        while True:
            try:
                message = self.read()
            except BrokenPipeError:
                return
            yield message

    def flush(self):
        """Sends what is held. Deletes nothing. Returns how many messages have arrived."""
        return self._wait(WRITING, lib.flush)

    def take_fds(self, most=lib.MOST_FDS):
        """The descriptors of the message that was read last, which are the caller's to close."""
        array = (ctypes.c_int * most)()
        return list(array[:self._call(READING, lib.take_fds, array, most)])

    # ---- The end ----

    def shutdown(self):
        """Sends no more; reading goes on."""
        self._call(WRITING, lib.shutdown)

    def disconnect(self, text=None):
        """Says goodbye. On an anonymous pipe, the end is free for another user then."""
        if text is not None:
            text = name_bytes(text)
        self._wait(WRITING, lib.disconnect, text)
        if isinstance(self._state, _ThreadState):
            self._state.timeouts = None, None

    def detach(self):
        """Closes the pipe, but keeps its descriptors: that to read from, and that to write to."""
        fds = (ctypes.c_int * 2)()
        self._call(READING, lib.detach, fds)
        self._handle = None
        return tuple(fds)

    def close(self):
        """On an anonymous pipe, for this thread: each one that has used it closes for itself."""
        if self._handle is None:
            return
        with self._locks[READING], self._locks[WRITING]:
            state = self._state
            if isinstance(state, _ThreadState):
                if state.used and not state.closed:
                    lib.close(self._handle)
                    self._left = True
                state.closed = True
            else:
                handle, self._handle = self._handle, None
                lib.close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None) is None:
            return
        if not self._left:
            self._state.used = True  # the last one that knows of it
        self.close()

    def __reduce__(self):
        raise TypeError("a pipe goes to another process by fork, not by pickle")

    # ---- State ----

    def settimeout(self, read, write=...):
        """How many seconds reading and writing wait; None without limit, 0 not at all."""
        seconds = read, read if write is ... else write
        self._call(READING, lib.set_timeout, *map(milliseconds, seconds))
        self._state.timeouts = seconds

    def _limit(self, which, ms):
        both = [milliseconds(seconds) for seconds in self._state.timeouts]
        both[which] = ms
        lib.set_timeout(self._use(), *both)

    def fileno(self):
        """For select and poll, to be polled for input alone."""
        return self._call(READING, lib.fd)

    def want(self, events):
        """What makes fileno() readable: WANT_READ, WANT_WRITE."""
        self._call(READING, lib.want, events)

    def peer(self):
        """The peer, for a line in a log."""
        room = ctypes.create_string_buffer(1024)
        self._call(READING, lib.peer, room, len(room))
        return _decode(room.value)

    def credentials(self):
        """The process at the other end of a Unix socket: pid, uid, gid."""
        who = lib.Credentials(ctypes.sizeof(lib.Credentials))
        self._call(READING, lib.credentials, who)
        return Credentials(who.pid, who.uid, who.gid)

    def stats(self):
        """The counts of pipc_stats_t, as a dict."""
        counts = lib.Stats(ctypes.sizeof(lib.Stats))
        self._call(READING, lib.stats, counts)
        return {name: getattr(counts, name) for name, _ in lib.Stats._fields_[1:]}
