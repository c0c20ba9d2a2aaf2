# SPDX-License-Identifier: MIT
"""What test_python_package.py stands on: it runs each function of the module as a test, which fails
when it raises, takes too long, or leaves a descriptor. The first argument is a pattern of names."""
import contextlib
import faulthandler
import fnmatch
import gc
import os
import sys
import time

import pipc

PATIENCE = 60 * int(os.environ.get("PIPC_TIME_FACTOR", "1"))  # seconds that nothing may take


@contextlib.contextmanager
def fails(kind, number=None):
    try:
        yield
    except kind as error:
        assert number is None or error.errno == number, error
    else:
        raise AssertionError("no {}".format(kind.__name__))


@contextlib.contextmanager
def child(function, *arguments, status=0):
    """A forked process that runs the function, and ends with this status, or by this signal."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            function(*arguments)
            code = 0
        except BaseException as error:  # it must not go on as the parent
            print("in the child:", repr(error), file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    try:
        yield pid
    finally:
        _, ended = os.waitpid(pid, 0)
    assert ended == status, ended


def open_descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def threads():
    return set(os.listdir("/proc/self/task"))


def await_end_of_threads(others):
    """One that was started without a way to join it frees what it holds at its very end."""
    deadline = time.monotonic() + PATIENCE
    while threads() - others and time.monotonic() < deadline:
        os.sched_yield()


def run(module, helpers):
    pattern = sys.argv[1] if len(sys.argv) > 1 else "*"
    tests = [(name, value) for name, value in vars(module).items()
             if getattr(value, "__module__", "") == module.__name__ and callable(value)
             and value not in helpers and fnmatch.fnmatch(name, pattern)]
    for name, test in tests:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        before, others = open_descriptors(), threads()
        try:
            test()
            await_end_of_threads(others)
            gc.collect()
            assert open_descriptors() == before, "descriptors are left"
        except BaseException:
            print("python package: failed:", name, file=sys.stderr, flush=True)
            raise
    print("python package: {} tests with {} and libpipc {}".format(
        len(tests), sys.version.split()[0], pipc.version()))
