# SPDX-License-Identifier: MIT
"""limited.py SECONDS COMMAND...: runs it in a session of its own. When it takes longer, shows what
each of its processes is doing, ends them all and fails."""
import glob
import os
import shutil
import signal
import subprocess
import sys


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError as error:
        return error.strerror


def link(path):
    try:
        return os.readlink(path)
    except OSError as error:
        return error.strerror


def members(session):
    """Its processes: the session is the fourth field behind the name, which may have spaces."""
    for path in glob.glob("/proc/[0-9]*"):
        fields = read(path + "/stat").rpartition(")")[2].split()
        if len(fields) > 3 and fields[3] == str(session):
            yield path


def show(path):
    print(f"--- {os.path.basename(path)}: {read(path + '/cmdline')}")
    for task in glob.glob(path + "/task/*"):
        state = read(task + "/stat").rpartition(")")[2][:2]
        print(f"task {os.path.basename(task)}:{state} in {read(task + '/wchan')}, "
              f"call {read(task + '/syscall')}")
    for fd in sorted(glob.glob(path + "/fd/*")):
        print(f"fd {os.path.basename(fd)} -> {link(fd)}")
    if shutil.which("gdb"):
        command = ["gdb", "-p", os.path.basename(path), "-batch", "-ex", "thread apply all bt"]
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                stdin=subprocess.DEVNULL, timeout=60, check=False).stdout
        print(output.decode(errors="replace")[-4000:])


def main():
    limit, command = float(sys.argv[1]), sys.argv[2:]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        code = process.wait(limit)
        sys.exit(code if code >= 0 else 128 - code)
    except subprocess.TimeoutExpired:
        print(f"not over after {limit:g} seconds; what is there:")
        for path in list(members(process.pid)):
            show(path)
        sys.stdout.flush()
        for path in list(members(process.pid)):
            os.kill(int(os.path.basename(path)), signal.SIGKILL)
        sys.exit(1)


main()
