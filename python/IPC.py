# SPDX-License-Identifier: MIT
"""pIPC's module by its old name: Pipe and PipeServer of the package pipc, whose messages are text.

    import IPC
    pipe = IPC.Pipe()

The text of Python 2 was bytes. Here, text goes as UTF-8, and bytes that are no UTF-8 come as lone
surrogates, as in the names of files: they are the same bytes again when they are written."""
import pipc
from pipc import Goodbye

__all__ = ["Goodbye", "Pipe", "PipeServer"]


class Pipe(pipc.Pipe):
    text = True


class PipeServer(pipc.PipeServer):
    pipe_class = Pipe
