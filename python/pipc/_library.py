# SPDX-License-Identifier: MIT
"""The functions of pipc.h, by ctypes. Section numbers in comments are those of pipc.h.

The library is the file that PIPC_LIBRARY names, or the one that the system finds as "pipc"."""
import ctypes
import ctypes.util
import errno
import os

# The flags of options, and the kinds of messages.
INTERRUPTIBLE, DUPLEX, KEY_MD5, CONNECT_ONLY, GATHER, ACCEPT_FDS, NO_SHARED_MEMORY, ASYNC = (
    1 << bit for bit in range(8))
WANT_READ, WANT_WRITE = 1, 2
DATA, BYE = 0, 1
MOST_FDS = 16  # in a message


class Message(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("kind", ctypes.c_int)]


class Options(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("max_message", ctypes.c_size_t),
                ("max_pending", ctypes.c_size_t), ("key", ctypes.c_char_p),
                ("key_size", ctypes.c_size_t), ("directory", ctypes.c_char_p),
                ("flags", ctypes.c_uint), ("mode", ctypes.c_uint)]  # mode_t of Linux


class Stats(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t)] + [(name, ctypes.c_uint64) for name in (
        "messages_read", "bytes_read", "messages_written", "bytes_written", "messages_pending",
        "bytes_pending", "bytes_held", "kernel_read", "kernel_written", "shared_read",
        "shared_written", "shared_unread", "shared_unread_by_peer", "waits", "wakeups")]


class Credentials(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("pid", ctypes.c_int), ("uid", ctypes.c_uint),
                ("gid", ctypes.c_uint)]


def load():
    named = os.environ.get("PIPC_LIBRARY")
    for name in [named] if named else [ctypes.util.find_library("pipc"), "libpipc.so.0"]:
        try:
            if name:
                return ctypes.CDLL(name, use_errno=True)
        except OSError as error:
            reason = error
    raise ImportError("libpipc is not found: install it, or set PIPC_LIBRARY ({})".format(reason))


_loaded = load()
_handle, _size, _int, _text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p
_count, _port, _pointer = ctypes.c_ssize_t, ctypes.c_uint16, ctypes.POINTER
_options = _pointer(Options)


def _function(name, result, *arguments):
    function = getattr(_loaded, name)
    function.restype, function.argtypes = result, arguments
    return function


open_ = _function("pipc_open", _handle, _options)
open_pair = _function("pipc_open_pair", _int, _pointer(_handle), _options)
open_fds = _function("pipc_open_fds", _handle, _int, _int, _options)
open_fifo = _function("pipc_open_fifo", _handle, _text, _int, _options)
open_tcp = _function("pipc_open_tcp", _handle, _text, _port, _int, _options)
open_unix = _function("pipc_open_unix", _handle, _text, _int, _options)
close = _function("pipc_close", None, _handle)
detach = _function("pipc_detach", _int, _handle, _pointer(_int))
write = _function("pipc_write", _count, _handle, _text, _size)
write_fds = _function("pipc_write_fds", _count, _handle, _text, _size, _pointer(_int), _int)
read_msg = _function("pipc_read_msg", _int, _handle, _pointer(Message))
read_pending = _function("pipc_read_pending", _count, _handle, _pointer(Message), _size)
peek = _function("pipc_peek", _int, _handle, _pointer(Message))
skip = _function("pipc_skip", _int, _handle)
take_fds = _function("pipc_take_fds", _int, _handle, _pointer(_int), _int)
msg_free = _function("pipc_msg_free", None, _pointer(Message))
pending = _function("pipc_pending", _count, _handle)
flush = _function("pipc_flush", _count, _handle)
shutdown = _function("pipc_shutdown", _int, _handle)
disconnect = _function("pipc_disconnect", _int, _handle, _text)
fd = _function("pipc_fd", _int, _handle)
want = _function("pipc_want", _int, _handle, ctypes.c_uint)
set_timeout = _function("pipc_set_timeout", _int, _handle, _int, _int)
peer = _function("pipc_peer", _int, _handle, _text, _size)
credentials = _function("pipc_credentials", _int, _handle, _pointer(Credentials))
stats = _function("pipc_stats", _int, _handle, _pointer(Stats))
server_open = _function("pipc_server_open", _handle, _text, _port, _options)
server_open_unix = _function("pipc_server_open_unix", _handle, _text, _options)
server_open_fd = _function("pipc_server_open_fd", _handle, _int, _options)
server_accept = _function("pipc_server_accept", _handle, _handle, _int)
server_fd = _function("pipc_server_fd", _int, _handle)
server_port = _function("pipc_server_port", _port, _handle)
server_close = _function("pipc_server_close", None, _handle)
version = _function("pipc_version", _text)
strerror = _function("pipc_strerror", _text, _int)


def failure(filename=None):
    """The exception for the errno of the last call: an OSError, of the class that Python has for
    this errno, with the library's words."""
    number = ctypes.get_errno()
    more = () if filename is None else (filename,)
    return OSError(number, strerror(number).decode(), *more)


def failed(result):
    """Whether a call failed: -1, or no handle."""
    return result is None or result == -1


def interrupted():
    return ctypes.get_errno() == errno.EINTR


def content(message):
    if message.size < 1 << 30:  # string_at takes an int
        return ctypes.string_at(message.data, message.size)
    return bytes((ctypes.c_char * message.size).from_address(message.data))
