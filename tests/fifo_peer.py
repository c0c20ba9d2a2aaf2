# SPDX-License-Identifier: MIT
"""
Meets a libpipc program by name without libpipc, from what pipc.h says of it (11), then answers each
message with itself in capitals, and ends when the other does.
usage: fifo_peer.py DIRECTORY NAME wait|claim|any
"""
import errno
import os
import select
import struct
import sys
import time

MISSING = (errno.ENOENT, errno.ENXIO)


def open_at(name, flags, directory):
    return os.open(name, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)


def remove(name, directory, step=os.unlink):
    try:
        step(name, dir_fd=directory)
        return True
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False


def stands(opened, name, directory=None):
    """Whether an open file still has that name."""
    try:
        named = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(opened), named)


def open_home(path):
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def remove_rest(home, directory, name):
    remove("in", directory)
    remove("out", directory)
    remove(name, home, os.rmdir)


def claim(home, name):
    """What to read and what to write, or None when nobody waits."""
    try:
        directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=home)
    except FileNotFoundError:
        return None
    opened = []
    try:
        for fifo, flags in (("door", os.O_WRONLY), ("in", os.O_WRONLY), ("out", os.O_RDONLY)):
            opened.append(open_at(fifo, flags, directory))
    except OSError as error:
        if error.errno not in MISSING:
            raise
        if remove("door", directory) or not opened:
            remove_rest(home, directory, name)
        for fd in opened + [directory]:
            os.close(fd)
        return None
    door, to_write, to_read = opened
    is_ours = remove("door", directory)
    if is_ours:
        remove_rest(home, directory, name)
        try:
            os.write(door, b"!")
        except BrokenPipeError:
            is_ours = False
    for fd in (door, directory) if is_ours else (door, directory, to_read, to_write):
        os.close(fd)
    return (to_read, to_write) if is_ours else None


def offer(path, home, name):
    """What to read and what to write, or None when somebody else waits already."""
    private = ".pipc-%d-%x-py" % (os.getpid(), time.monotonic_ns())
    os.mkdir(private, 0o700, dir_fd=home)
    directory = os.open(private, os.O_RDONLY | os.O_DIRECTORY, dir_fd=home)
    for fifo in ("door", "in", "out"):
        os.mkfifo(fifo, 0o600, dir_fd=directory)
    door = open_at("door", os.O_RDONLY, directory)
    to_read = open_at("in", os.O_RDONLY, directory)
    own_reader = open_at("out", os.O_RDONLY, directory)
    to_write = open_at("out", os.O_WRONLY, directory)
    try:
        os.rename(private, name, src_dir_fd=home, dst_dir_fd=home)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        remove("door", directory)
        remove_rest(home, directory, private)
        for fd in (door, to_read, own_reader, to_write, directory):
            os.close(fd)
        return None

    def is_whole():
        return (stands(home, path) and stands(directory, name, home)
                and stands(door, "door", directory) and stands(to_read, "in", directory)
                and stands(to_write, "out", directory))

    def is_met(milliseconds):
        """None: nothing has happened. False: who had the door open has gone."""
        poll = select.poll()
        poll.register(door, select.POLLIN)
        events = poll.poll(milliseconds)
        return bool(events[0][1] & select.POLLIN) if events else None

    claimed = False
    while True:
        met = is_met(750)
        if met is None:
            if is_whole():
                continue
            met = not remove("door", directory) and is_met(50)
            claimed = True
        if met:
            break
        if claimed:
            os.close(door)
            remove("door", directory)
            remove_rest(home, directory, name)
            for fd in (to_read, own_reader, to_write, directory):
                os.close(fd)
            return None
        try:
            again = open_at("door", os.O_RDONLY, directory)
            os.close(door)
            door = again
        except FileNotFoundError:
            claimed = True
    for fd in (door, own_reader, directory):
        os.close(fd)
    return to_read, to_write


def read_exactly(stream, size):
    data = stream.read(size)
    if len(data) != size:
        sys.exit("the end, inside a message" if data else 0)
    return data


def main():
    os.umask(0)
    path, name, role = sys.argv[1:4]
    met = None
    while met is None:
        home = open_home(path)
        if role != "wait":
            met = claim(home, name)
        if met is None and role != "claim":
            met = offer(path, home, name)
        os.close(home)
        if met is None:
            time.sleep(0.001)
    for fd in met:
        os.set_blocking(fd, True)
    reader, writer = os.fdopen(met[0], "rb"), os.fdopen(met[1], "wb", buffering=0)
    while True:
        size = struct.unpack("!i", read_exactly(reader, 4))[0]
        if size == -2:  # a goodbye follows
            bye = read_exactly(reader, struct.unpack("!i", read_exactly(reader, 4))[0])
            assert bye.startswith(b"BYE"), bye
            continue
        answer = read_exactly(reader, size).upper()
        writer.write(struct.pack("!i", len(answer)) + answer)


if __name__ == "__main__":
    main()
