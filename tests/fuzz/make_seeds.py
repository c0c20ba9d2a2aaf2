#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Writes inputs from which a fuzzer begins: make_seeds.py DIRECTORY makes DIRECTORY/NAME/seed-N for
each harness. In corpus/ is a part of these and of what libFuzzer has found from there on;
tests/README.md says how it was chosen.
"""
import os
import struct
import sys


def frame(payload):
    return struct.pack(">i", len(payload)) + payload


def goodbye(text):
    return struct.pack(">i", -2) + frame(b"BYE" + text)


# ---- frames: kind, max_message, max_pending, ending; steps; the stream ----

SEND_ONE, SEND_THREE, SEND_ALL = 0x00, 0x20, 0x0E
READ, READ_MSG, READ_PENDING, PEEK, SKIP, PENDING = 0x03, 0x05, 0xF6, 0x07, 0x08, 0x09
FLUSH, STATS, POLL, LONG = 0x0A, 0x0B, 0x0C, 0x0D
HUGE, OVER, LIMIT_4, LIMIT_16 = 14, 15, 4, 5  # numbers of max_message

STREAMS = [
    frame(b"one") + frame(b"") + frame(b"three"),
    frame(b"a") * 20,
    frame(b"one")[:-1],
    frame(b"one") + b"\0",
    frame(b"one") + b"\0\0\0",
    frame(b"last") + goodbye(b""),
    goodbye(b"text") + frame(b"behind"),
    goodbye(b"text")[:-1],
    struct.pack(">i", -2),
    struct.pack(">i", -2) + frame(b"BY"),
    struct.pack(">i", -2) + frame(b"BYX"),
    struct.pack(">iq", -1, 5) + b"hello",
    struct.pack(">iq", -1, 0x7FFFFFFF),
    struct.pack(">iq", -1, 0x80000000) + b"x",
    struct.pack(">iq", -1, 0x80000001) + b"x",
    struct.pack(">iq", -1, -1),
    b"\x80\0\0\0",
    b"\x7f\xff\xff\xffx",
    b"\xff\xff\xff\xfd",
    frame(b"BYE") + frame(b"BYE bye"),
    b"GET / HTTP/1.1\r\nHost: pipe\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
]

STEPS = [
    [SEND_ALL, READ_MSG],
    [SEND_ONE, READ, POLL],
    [SEND_THREE, PENDING, STATS, READ_PENDING],
    [SEND_ALL, POLL, PEEK, SKIP, POLL],
    [LONG | 0x40, SEND_ALL, FLUSH, READ_PENDING],
]


def frames():
    for i, stream in enumerate(STREAMS):
        for limit in (0, HUGE, OVER) if i in (12, 13, 14, 15, 17) else (0,):
            steps = STEPS[i % len(STEPS)]
            yield bytes([i % 2, limit, i % 4, 1 + 4 * (i % 2), len(steps), *steps]) + stream
    for size in (3, 4, 5):  # at max_message 4, and one more
        yield bytes([0, LIMIT_4, 0, 1, 1, SEND_ALL]) + frame(b"x" * size)
        yield bytes([1, LIMIT_4, 0, 1, 1, SEND_ALL]) + goodbye(b"x" * size)
    for pending in (1, 3, 5):  # more than max_pending
        steps = [SEND_ALL, PENDING, STATS, POLL, READ, PENDING, STATS]
        yield bytes([0, LIMIT_16, pending, 1, len(steps), *steps]) + frame(b"0123456789") * 12


# ---- large: kind, max_message, max_pending, ending; messages of 3 bytes; steps ----

LARGE_STEPS = [
    [SEND_ALL, READ_MSG],
    [0x20, PENDING, POLL, SEND_ALL, PEEK, READ],  # the header apart
    [0x01, 0x00, 0x0D, SKIP, POLL, 0x00, FLUSH],
    [0x31, STATS, READ_PENDING, 0x41, 0x04, READ_PENDING],
    [0x61, PEEK, 0x0D, 0x81, READ_MSG, 0xC1, SKIP, POLL],
    [0x02, 0x21, 0x22, 0x0D, 0x42, 0x01, 0x12, 0x82, POLL],
]


def large():
    for i in range(24):
        messages = bytes([i, i % 12, i % 8]) + bytes([i + 14, 12, 1]) + bytes([i, i // 2, 5])
        steps = LARGE_STEPS[i % len(LARGE_STEPS)] * 6
        for limit, pending in ((0, i % 8), (2 + i % 5, (i + 3) % 8)):
            yield bytes([i, limit, pending, i // 3, 2]) + messages + bytes(steps)


# ---- calls: kind, limits; each step: bit 0 the side, bits 1 to 4 the call, its parameters ----


def call(side, number, *parameters):
    return bytes([side | number << 1, *parameters])


WRITE, FLUSH_CALL, READ_CALL, POLL_CALL, STATS_CALL, LAST = 0, 3, 4, 11, 12, 15
CLOSE, SHUT, LEAVE = 2 << 5, 0 << 5, 1 << 5


def calls():
    for kind in range(15):
        for last in (CLOSE, SHUT, LEAVE):
            script = call(0, WRITE, 10) + call(1, POLL_CALL) + call(1, READ_CALL)
            script += call(0, WRITE, 254, 0) + call(0, WRITE, 5) + call(0, POLL_CALL)
            script += call(1, READ_CALL) + call(0, FLUSH_CALL) + call(1, STATS_CALL)
            script += bytes([LAST << 1 | last]) + call(1, READ_CALL) * 3 + call(1, POLL_CALL)
            yield bytes([kind, 0]) + script
    for below in range(8):  # a pipe_open that is filled to a few bytes
        yield bytes([2, 0, 0, 253, below, *call(0, WRITE, 0), *call(1, READ_CALL) * 3])


# ---- fds: flags and buffers, limits; each step: bit 0 the side, bits 1 to 4 the step ----


def fds():
    write, wrong, take, plain = 0, 0xE6, 8, 10
    read, read_msg, peek, skip = 12, 16, 18, 20
    flush, read_many, pending, poll, end = 22, 24, 26, 28, 30
    for how in range(32):
        for count in (0, 1, 16):
            script = bytes([write, count, 10, 2, 1, 5, write, 16, 254, 0, plain, 3, wrong, 17])
            script += bytes([poll | 1, peek | 1, read | 1, take | 1, 1, take | 1, 19, pending | 1])
            script += bytes([read_many | 1, 16, take | 1, 16, skip | 1, flush, read_msg | 1] * 2)
            script += bytes([end | how % 3 << 5, read | 1, poll | 1])
            yield bytes([how if count != 1 else how | 0x40, count % 16]) + script
    full = bytes([write, 16, 0] * 6 + [write, 3, 254, 0] * 2)
    for how in (0, 1, 2, 0x10):
        yield bytes([how, 0]) + full + bytes([pending | 1, read_many | 1, 16, poll | 1] * 4)
        yield bytes([how, 0]) + full + bytes([read | 1, take | 1, 18, flush] * 9 + [end | 0x40])


# ---- memory: the peer; each step: call and kind, a number ----


def memory():
    for peer in (0, 1):
        publish = bytes([0, 16, 1, 0, 0, 200])
        reads = bytes([0x09, 0, 0x39, 20, 0x29, 1])
        yield bytes([peer]) + publish + reads
        for which in range(12):
            for how in range(8):
                forged = bytes([4 | which << 4, how << 5 | 7])
                yield bytes([peer]) + publish + forged + reads + bytes([0x49, 5, 0x79, 0, 0x79, 3])
        for seed in range(4):
            attack = b"".join(bytes([8 | c << 4, 9, 0, 0, 0, seed]) for c in range(11))
            yield bytes([peer]) + publish + attack


# ---- rights: flags, max_pending; steps ----

COUNTS = {0: 0, 1: 2, 2: 4, 15: 7, 16: 8, 17: 10, 32: 12, 253: 15}


def send(payload, count):
    """Up to 14 bytes with so many descriptors."""
    return bytes([len(payload) << 4, COUNTS[count]]) + payload


def rights():
    read, take, poll, pending = 0x05, 0xFA, 0x0C, 0x09
    for flags in range(4):
        for count in (1, 16, 17, 253):
            yield bytes([flags, 0]) + send(frame(b"abc"), count) + bytes([read, take, poll])
        for at in range(1, 8):
            text = frame(b"abc")
            script = send(text[:at], 2) + send(text[at:], 15) + bytes([poll, pending, read, take])
            yield bytes([flags, 0]) + script
        yield bytes([flags, 0]) + send(goodbye(b"")[:11], 1) + bytes([read, take])
        yield bytes([flags, 1]) + send(frame(b"") * 3, 16) * 6 + bytes([0xF8, take, pending, 0x4D])
        yield bytes([flags, 0]) + send(frame(b"a"), 1) + bytes([0xFE, 0, read, poll])


# ---- server: how; each step and its number: the client, and a parameter ----


def server():
    connect, auth, accept, read = 0, 3, 9, 11
    for how in range(64):
        script = bytes([connect, (how % 3) << 3])
        for _ in range(4):
            script += bytes([accept, 0, auth, 15 << 3])
        script += bytes([accept, 0, 1, 5 << 3]) + frame(b"x") + bytes([read, 0])
        yield bytes([how]) + script


# ---- client: how, its timeout; each step and its number: the server, and a parameter ----


def client():
    say, auth, hear, echo, word, end, hang_up, accept = range(8)
    connect, listen, flush, read, write, poll = 9, 10, 11, 12, 13, 14
    for how in range(256):
        kind, has_key, blocks = how % 4, how & 4, how & 32
        if kind == 3 or (how & 0xC0 and how % 5):
            continue
        for limits in (4, 7, 12) if blocks else (0, 6, 24):
            script = bytes([accept, 0, connect, 0])
            if has_key:
                script += bytes([poll, 0, auth, 15 << 2]) * 5
            elif not blocks:
                script += bytes([flush, 0])
            script += bytes([say, 5 << 2]) + frame(b"x") + bytes([read, 0, write, 9 << 2])
            yield bytes([how, limits]) + script
    for how in (4, 5, 6):  # what the client sent comes back; words; ends
        start = bytes([how, 16, accept, 0])
        yield start + bytes([hear, 0, echo, 0, flush, 0] * 6)
        yield start + b"".join(bytes([word, n << 2, flush, 0]) for n in (0, 4, 2, 1, 5, 3))
        yield start + bytes([end, 1 << 2, flush, 0, hang_up, 0, flush, 0, listen, 31 << 2, poll, 0])


def main(directory):
    for make in (calls, client, fds, frames, large, memory, rights, server):
        folder = os.path.join(directory, make.__name__)
        os.makedirs(folder, exist_ok=True)
        for i, seed in enumerate(make()):
            with open(os.path.join(folder, "seed-%d" % i), "wb") as file:
                file.write(seed)


if __name__ == "__main__":
    main(sys.argv[1])
