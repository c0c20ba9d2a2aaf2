# SPDX-License-Identifier: MIT
"""The same work as cell.c, with multiprocessing.Pipe: send_bytes and recv_bytes.

These do not pickle. Prints nanoseconds per message, or per round trip: by the clock, and of
processor time. The numbers and sums are checked as in cell.c, but for a word in each 4,096 bytes
only the first and the last, since Python would do little else.
Usage: with_python.py roundtrip|oneway CORES SIZE SECONDS
"""
import multiprocessing
import os
import sys
import time
import zlib


class Messages:
    def __init__(self, size):
        self.size = size
        self.rest = bytes((i * 31 + 7) & 255 for i in range(256)) * (size // 256 + 1)
        self.rest = self.rest[:size - 8]
        self.last = self.rest[-8:]
        self.sum = zlib.crc32(self.rest)

    def make(self, number):
        return number.to_bytes(8, 'little') + self.rest

    def check(self, message, number, whole):
        good = len(message) == self.size and message[:8] == number.to_bytes(8, 'little')
        if not good or message[-8:] != self.last or whole and zlib.crc32(message[8:]) != self.sum:
            sys.exit('with_python.py: a message arrived with another content')


def lead(pipe, roundtrip, messages, count, whole):
    if not roundtrip:
        for number in range(count):
            pipe.send_bytes(messages.make(number))
        messages.check(pipe.recv_bytes(), 0, whole)
        return
    for number in range(count):
        pipe.send_bytes(messages.make(number))
        messages.check(pipe.recv_bytes(), number, whole)


def follow(pipe, roundtrip, messages, count, whole):
    if not roundtrip:
        for number in range(count):
            messages.check(pipe.recv_bytes(), number, whole)
        pipe.send_bytes(messages.make(0))
        return
    for number in range(count):
        pipe.send_bytes(pipe.recv_bytes())


def follow_bursts(pipe, roundtrip, messages):
    while True:
        count, whole = pipe.recv()
        if count == 0:
            return
        cpu = time.process_time_ns()
        follow(pipe, roundtrip, messages, count, whole)
        pipe.send(time.process_time_ns() - cpu)


def burst(pipe, roundtrip, messages, count, whole=False):
    pipe.send((count, whole))
    cpu, start = time.process_time_ns(), time.monotonic_ns()
    lead(pipe, roundtrip, messages, count, whole)
    taken, cpu = time.monotonic_ns() - start, time.process_time_ns() - cpu
    return taken, cpu + pipe.recv()


def measure(pipe, roundtrip, messages, seconds):
    count = max(2, min(16, (4 << 20) // messages.size))
    burst(pipe, roundtrip, messages, count, True)
    while True:
        taken, cpu = burst(pipe, roundtrip, messages, count)
        if taken >= seconds * 1e9 * 0.6:
            pipe.send((0, False))
            return taken / count, cpu / count
        count = int(count * min(20, seconds * 1e9 / (taken + 1) * 1.05)) + 1


def main():
    work, cores, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    seconds = float(sys.argv[4])
    allowed = sorted(os.sched_getaffinity(0))
    ends = multiprocessing.Pipe()
    messages = Messages(size)
    child = os.fork()
    side = 1 if child == 0 else 0
    ends[1 - side].close()
    os.sched_setaffinity(0, {allowed[side if cores == 2 else 0]})
    if child == 0:
        follow_bursts(ends[1], work == 'roundtrip', messages)
        os._exit(0)
    print(*measure(ends[0], work == 'roundtrip', messages, seconds))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


main()
