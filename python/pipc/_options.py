# SPDX-License-Identifier: MIT
"""What pipes and servers are opened with, and calls that wait."""
import ctypes
import os
import time

from . import _library as lib


def make_options(max_message=0, max_pending=0, key=None, directory=None, flags=0, mode=0):
    if isinstance(key, str):
        key = key.encode()
    if directory is not None:
        directory = name_bytes(directory)
    # A signal ends a wait, so that Python's handlers run and Ctrl-C works. Then the wait goes on.
    return lib.Options(ctypes.sizeof(lib.Options), max_message, max_pending, key,
                       0 if key is None else len(key), directory, flags | lib.INTERRUPTIBLE, mode)


def name_bytes(name):
    name = os.fsencode(name)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    return name


def milliseconds(seconds):
    """For the library: None waits without limit, and no time that is left becomes none."""
    if seconds is None:
        return -1
    if seconds < 0:
        raise ValueError("a timeout is not negative")
    return min(int(-(-seconds * 1000 // 1)), 0x7fffffff)


class Deadline:
    """The end of a wait that signals may interrupt (PEP 475)."""

    def __init__(self, seconds):
        self.waits = seconds != 0
        self.end = None if seconds is None else time.monotonic() + seconds

    def left(self):
        """Milliseconds, at least 1 of a wait that has begun, so that it ends with ETIMEDOUT."""
        if self.end is None or not self.waits:
            return milliseconds(None if self.waits else 0)
        return max(milliseconds(max(self.end - time.monotonic(), 0)), 1)


def opened(function, seconds, *arguments, options, filename=None):
    """The handle of a constructor that waits: function(*arguments, timeout, options)."""
    deadline = Deadline(seconds)
    while True:
        handle = function(*arguments, deadline.left(), options)
        if handle is not None:
            return handle
        if not lib.interrupted():
            raise lib.failure(filename)
