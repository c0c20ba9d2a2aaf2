# SPDX-License-Identifier: MIT
"""Message pipes between threads, processes and hosts: libpipc, with the API of pIPC.

    import pipc
    pipe = pipc.Pipe()            # open it, then fork or start a thread: both sides use it alike
    pipe.write(b"hello")          # a message arrives whole, or not at all
    data = pipe.read()            # waits, see settimeout
    len(pipe), pipe.pending()     # how many have arrived; all of them, as a list
    select.select([pipe], [], [], 1)

    pipc.Pipe("name")             # two programs of one user that use the same name
    pipc.Pipe("host", 7000)       # two hosts: each names the other, and the same port
    pipc.PipeServer(7000)         # many clients

The manual of libpipc (man pipc) is the manual of these classes too: their methods have the names of
its functions, without pipc_. A failure is an OSError with the errno that the manual names, so
BrokenPipeError is a peer that has gone, BlockingIOError and TimeoutError a timeout, PermissionError
a wrong key. Goodbye is the peer's goodbye. Closed pipes raise ValueError, as closed files do."""
from ._library import (ACCEPT_FDS, ASYNC, CONNECT_ONLY, DUPLEX, GATHER, KEY_MD5, NO_SHARED_MEMORY,
                       WANT_READ, WANT_WRITE)
from ._library import version as _version
from ._pipe import Goodbye, Pipe
from ._server import PipeServer

__version__ = "0.1.0"
__all__ = ["ACCEPT_FDS", "ASYNC", "CONNECT_ONLY", "DUPLEX", "GATHER", "Goodbye", "KEY_MD5",
           "NO_SHARED_MEMORY", "Pipe", "PipeServer", "WANT_READ", "WANT_WRITE", "version"]


def version():
    """The version of the library, such as "0.1.0"."""
    return _version().decode()
