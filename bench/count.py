# SPDX-License-Identifier: MIT
"""Counts instructions and system calls for each message, and prints them as lines of the same CSV.

Each contender runs twice, with few messages and with more; what the second run has more is what
those messages cost. Instructions, of both processes and outside the kernel, come from valgrind's
callgrind. System calls come from perf, which does not slow the processes down, or from strace,
which does.
Usage: count.py BENCH [PATTERNS]
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

WORKS = (('roundtrip', 'one'), ('oneway', 'two'))
SETTINGS = {'one': 'one core', 'two': 'two cores'}


def run(command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          timeout=300)


def with_perf(command, _):
    done = run(['perf', 'stat', '-x,', '-e', 'raw_syscalls:sys_enter'] + command)
    found = re.search(r'^(\d+),,raw_syscalls', done.stderr, re.M)
    return int(found.group(1)) if found and done.returncode == 0 else None


def with_strace(command, folder):
    path = os.path.join(folder, 'strace')
    if run(['strace', '-f', '-c', '-o', path] + command).returncode != 0:
        return None
    with open(path) as file:
        found = re.search(r'^100\.00\s+\S+\s+(?:\d+\s+)?(\d+)\s.*total', file.read(), re.M)
    return int(found.group(1)) if found else None


def with_callgrind(command, folder):
    out = os.path.join(folder, 'callgrind')
    tool = ['valgrind', '-q', '--tool=callgrind', '--callgrind-out-file=' + out + '.%p']
    if run(tool + command).returncode:
        return None
    total = 0
    for path in glob.glob(out + '.*'):
        with open(path) as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith('totals:'))
        os.unlink(path)
    return total


def tools():
    """Metric, how it is counted, and with how many messages."""
    found = []
    if shutil.which('perf') and with_perf(['true'], None) is not None:
        found.append(('syscalls', with_perf, 20000))
    elif shutil.which('strace'):
        found.append(('syscalls', with_strace, 5000))
    if shutil.which('valgrind'):
        found.append(('instructions', with_callgrind, 5120))
    return found


def contenders(bench, patterns):
    listing = subprocess.run([bench, '--list', '--only', patterns], stdout=subprocess.PIPE,
                             text=True, check=True)
    names = [line.split('\t')[0] for line in listing.stdout.splitlines()]
    return [name for name in names
            if not name.startswith('Python/') and not name.endswith(', open')]


def difference(count, bench, name, work, setting, messages, folder):
    command = [bench, '--only', name, '--work', work, '--setting', setting, '--sizes', '16']
    results = [count(command + ['--count', str(n)], folder) for n in (messages // 5, messages)]
    return None if None in results else (results[1] - results[0]) / (messages - messages // 5)


def count_one(bench, name, folder):
    library, transport, style = name.split('/')
    for work, setting in WORKS:
        if work == 'roundtrip' and style != 'plain':
            continue
        for metric, count, messages in tools():
            value = difference(count, bench, name, work, setting, messages, folder)
            if value is not None:
                print('0,%s,%s,"%s",%s,%s,16,%s,%.4g' % (
                    library, transport, style, work, SETTINGS[setting], metric, value),
                    flush=True)


def main():
    bench, patterns = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else '*'
    with tempfile.TemporaryDirectory() as folder:
        for name in contenders(bench, patterns):
            count_one(bench, name, folder)


main()
