# SPDX-License-Identifier: MIT
"""The examples that fork: see abuse.py."""
import contextlib
import os
import random
import signal
import time

from abuse import *

# The leak checker has a child too, and waits for ever when that one is killed.
NO_LEAK_CHECK = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def with_children_killed(name, *arguments, text=b"", early=2, rounds=24):
    """At every moment. If the child dies before its first call, the parent has to time out."""
    def one_round(round):
        with Program(name, *arguments, environment=NO_LEAK_CHECK) as program:
            program.type(text)
            while not program.children() and not program.has_ended():
                pass
            time.sleep(max(0, round - early) * 0.001)
            for pid in program.children()[:1 + round % 2]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            program.type(text)
            program.end_input()
            program.must_end()
    for round in range(early):
        one_round(round)
    side_by_side(one_round, range(early, rounds))


def large_text():
    path = os.path.join(WORK, "text")
    if not os.path.exists(path):
        with open(path, "w") as file:
            for i in range(100000):
                file.write("%x line of words and w%x\n" % (random.getrandbits(20), i))
    return path


@test
def a_killed_child_ends_its_parent_or_the_parent_goes_on():
    side_by_side(lambda play: play(), [
        lambda: with_children_killed("wordcount", large_text()),
        lambda: with_children_killed("poll_loop", text=b"a line of text\n" * 1000),
        lambda: with_children_killed("hello", rounds=10)])


@test
def no_child_outlives_a_killed_parent():
    for name, arguments in ("wordcount", [large_text()]), ("poll_loop", []), ("hello", []):
        for round in range(10):
            with Program(name, *arguments) as program:
                program.type(b"hello\n")
                wait_until(lambda: program.children() or program.has_ended(), "a child")
                time.sleep(round * 0.001)
                program.process.kill()
                program.process.wait()
                wait_until(program.group_is_empty, "its children end")


run_tests()
