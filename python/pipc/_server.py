# SPDX-License-Identifier: MIT
"""PipeServer: a socket that makes a Pipe of each client."""
from . import _library as lib
from ._options import Deadline, make_options, name_bytes
from ._pipe import Pipe


class PipeServer:
    """PipeServer(7000): on loopback. PipeServer("host", 7000): at the addresses of the host, "*"
    for all. PipeServer("/path"), PipeServer("@name"): on this host alone. Port 0 is a free one.

    Options as of Pipe, also for the pipes to come; mode is the access of a path, as in chmod. A
    server belongs to the process that opened it, and one thread uses it at a time."""

    pipe_class = Pipe

    def __init__(self, address=None, port=None, *, fd=None, **options):
        self._handle = None
        how = make_options(**options)
        if isinstance(address, int):
            address, port = None, address
        if fd is not None:
            handle = lib.server_open_fd(fd, how)
        elif port is not None:
            handle = lib.server_open(None if address is None else name_bytes(address), port, how)
        elif address is not None:
            handle = lib.server_open_unix(name_bytes(address), how)
        else:
            raise TypeError("a server needs a port, a path or a descriptor")
        if handle is None:
            raise lib.failure(address)
        self._handle = handle

    def _use(self):
        if self._handle is None:
            raise ValueError("the server is closed")
        return self._handle

    def accept(self, timeout=None):
        """The next client, as a Pipe, when it has shown the key if there is one. TimeoutError or,
        with timeout 0, BlockingIOError: nobody came."""
        deadline = Deadline(timeout)
        while True:
            handle = lib.server_accept(self._use(), deadline.left())
            if handle is not None:
                return self.pipe_class._adopt(handle)
            if not lib.interrupted():
                raise lib.failure()

    def fileno(self):
        """For select and poll: readable when accept(0) is worth a try."""
        return lib.server_fd(self._use())

    @property
    def port(self):
        return lib.server_port(self._use())

    def close(self):
        handle, self._handle = self._handle, None
        lib.server_close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None) is not None:
            self.close()
