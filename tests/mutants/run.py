#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants each bug of this folder in a copy of the tree, and sees whether the tests notice.

    run.py --check               each patch applies, and names tests that there are
    run.py FOLDER [NAME...]      build and test the mutants (all), in FOLDER

The head of NAME.patch says what is wrong, and `caught by:` which tests find it: words TEST, a
program of ctest's, or TEST:PATTERN, those of its tests that match the pattern of the shell. One
of them has to fail. First all of them have to pass without a bug. A mutant that no test catches,
a patch that does not apply and a build that fails are errors.
"""
import ctypes
import fnmatch
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PARTS = ['CMakeLists.txt', 'cmake', 'include', 'src', 'tests']
LIMIT = 60     # seconds of one test; one that hangs is caught as well
SHORTEST = 10  # likewise, where it takes a tenth of that without a mutant
CONFIGURE = ['-DPIPC_BUILD_TESTS=ON', '-DPIPC_BUILD_EXAMPLES=OFF', '-DPIPC_BUILD_TOOLS=OFF',
             '-DPIPC_BUILD_MANUAL=OFF', '-DPIPC_BUILD_STATIC=OFF', '-DPIPC_INSTALL=OFF',
             '-DCMAKE_BUILD_TYPE=Debug', '-DCMAKE_C_FLAGS_DEBUG=-O1 -w']


class Mutant:
    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)[:-len('.patch')]
        with open(path, encoding='utf-8') as file:
            text = file.read()
        head = text.partition('--- a/')[0]
        caught = re.search(r'^caught by: (.+)$', head, re.M)
        self.tests = caught.group(1).split() if caught else []
        self.files = re.findall(r'^\+\+\+ b/(\S+)', text, re.M)


def mutants(names):
    paths = [os.path.join(HERE, name + '.patch') for name in names]
    return [Mutant(path) for path in paths or sorted(glob.glob(os.path.join(HERE, '*.patch')))]


def program_of(test):
    return test.partition(':')[0]


def has_test(test):
    program, _, pattern = test.partition(':')
    source = os.path.join(ROOT, 'tests', 'test_%s.c' % program)
    if not os.path.exists(source):
        return False
    with open(source, encoding='utf-8') as file:
        names = re.findall(r'^TEST(?:_[A-Z_]+)?\((\w+)', file.read(), re.M)
    return any(fnmatch.fnmatchcase(name, pattern or '*') for name in names)


def apply(tree, patch, *options):
    """By git, where it is: it knows no fuzz. The tree may be inside another one's repository."""
    if shutil.which('git'):
        command = ['git', 'apply', *options, patch]
    else:
        command = ['patch', '-p1', '-s', *(['--dry-run'] if options else []), '-i', patch]
    environment = dict(os.environ, GIT_CEILING_DIRECTORIES=os.path.dirname(tree))
    environment.pop('GIT_DIR', None)
    if options and os.path.exists(os.path.join(tree, '.git')):
        environment.pop('GIT_CEILING_DIRECTORIES')
    return subprocess.run(command, cwd=tree, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def check():
    bad = []
    for mutant in mutants([]):
        result = apply(ROOT, mutant.path, '--check')
        if result.returncode != 0:
            bad.append('%s does not apply: %s' % (mutant.name, result.stdout.strip()))
        if not mutant.tests:
            bad.append('%s: no line "caught by: TEST"' % mutant.name)
        bad += ['%s: there is no test %s' % (mutant.name, test)
                for test in mutant.tests if not has_test(test)]
    print('\n'.join(bad) or 'all mutants apply')
    return 1 if bad else 0


def same(a, b):
    with open(a, 'rb') as first, open(b, 'rb') as second:
        return first.read() == second.read()


def sources():
    for part in PARTS:
        top = os.path.join(ROOT, part)
        if os.path.isfile(top):
            yield part
        for folder, _, names in os.walk(top):
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), ROOT)


def copy_file(name, tree):
    """What is equal keeps its time, so that it is not built again; the rest is new."""
    target = os.path.join(tree, name)
    if os.path.exists(target) and same(os.path.join(ROOT, name), target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(os.path.join(ROOT, name), target)


def copy_tree(tree):
    wanted = set(sources())
    for name in wanted:
        copy_file(name, tree)
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, tree) not in wanted:
                os.remove(path)


class Build:
    def __init__(self, folder):
        self.tree = os.path.join(os.path.abspath(folder), 'tree')
        self.folder = os.path.join(os.path.abspath(folder), 'build')
        self.log = os.path.join(os.path.abspath(folder), 'mutants.log')
        self.limit = {}

    def run(self, *command):
        with open(self.log, 'a', encoding='utf-8') as log:
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def configure(self):
        generator = ['-G', 'Ninja'] if shutil.which('ninja') else []
        if os.path.exists(os.path.join(self.folder, 'CMakeCache.txt')):
            generator = []
        return self.run('cmake', '-S', self.tree, '-B', self.folder, *generator,
                        *CONFIGURE).returncode == 0

    def make(self, tests):
        targets = sorted({'test_' + program_of(test) for test in tests})
        return self.run('cmake', '--build', self.folder, '-j', str(os.cpu_count()), '--target',
                        *targets).returncode == 0

    def fails(self, test):
        """What failed of it, or None."""
        program, _, pattern = test.partition(':')
        path = os.path.join(self.folder, 'tests', 'test_' + program)
        environment = dict(os.environ, SOURCE_DIR=self.tree, BUILD_DIR=self.folder)
        environment.pop('PIPC_TEST_FILTER', None)
        filters = ['*' + pattern] if pattern else []  # a kind stands before the name
        process = subprocess.Popen([path, *filters], cwd=self.folder, env=environment, text=True,
                                   errors='replace', stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        timer = threading.Timer(self.limit.get(test, LIMIT), end_all, [process])
        timer.start()
        found, text = None, ''
        for line in process.stdout:  # ends with the last process that has a copy
            text += line
            failed = re.match(r'\[  FAILED  \] (.+)', line)
            if failed:  # one is enough
                found = failed.group(1)
                break
        timer.cancel()
        timer.join()
        end_all(process)
        process.stdout.close()
        process.wait()
        with open(self.log, 'a', encoding='utf-8') as log:
            log.write(text)
        if found is None and process.returncode not in (0, 77):
            found = 'hung' if process.returncode == -signal.SIGKILL else \
                'ended with %d' % process.returncode
        if found is None and pattern and '[       OK ]' not in text and process.returncode == 0:
            found = 'no test matches'
        return found


def adopt_orphans():
    """Processes that a killed test leaves behind become ours, to be ended."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def children():
    with open('/proc/self/task/%d/children' % os.getpid(), encoding='ascii') as file:
        return [int(child) for child in file.read().split()]


def end_all(process):
    """A test's own process dies with the harness. What that one has forked comes to us."""
    if process.returncode is None:  # so its number is still its own
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        orphans = [child for child in children() if child != process.pid]
        if not orphans:
            return
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, 0)


def test_all(build, tests):
    passed = True
    for test in sorted(tests):
        start = time.monotonic()
        found = build.fails(test)
        build.limit[test] = min(max(10 * (time.monotonic() - start), SHORTEST), LIMIT)
        if found is not None:
            print('without a mutant, %s fails: %s' % (test, found), flush=True)
            passed = False
    return passed


def try_mutant(build, mutant):
    """'' and what caught it, or the error."""
    result = apply(build.tree, mutant.path)
    if result.returncode != 0:
        return 'does not apply', None
    try:
        if not build.make(mutant.tests):
            return 'does not build', None
        for test in mutant.tests:
            found = build.fails(test)
            if found is not None:
                return '', '%s: %s' % (program_of(test), found)
        return 'is not caught', None
    finally:
        for name in mutant.files:
            copy_file(name, build.tree)


def run(folder, names):
    chosen = mutants(names)
    build = Build(folder)
    os.makedirs(folder, exist_ok=True)
    open(build.log, 'w', encoding='utf-8').close()
    adopt_orphans()
    copy_tree(build.tree)
    tests = {test for mutant in chosen for test in mutant.tests}
    began = time.monotonic()
    if not build.configure() or not build.make(tests):
        print('the build failed; all of it: ' + build.log)
        return 1
    if not test_all(build, tests):
        return 1
    print('without a mutant: %d tests pass, %d s' % (len(tests), time.monotonic() - began),
          flush=True)
    bad = []
    for mutant in chosen:
        start = time.monotonic()
        error, caught = try_mutant(build, mutant)
        if error:
            bad.append('%s %s' % (mutant.name, error))
        print('%s %s, %d s' % (mutant.name, error or 'caught by ' + caught,
                               time.monotonic() - start), flush=True)
    print('%d of %d mutants are caught, %d s' % (len(chosen) - len(bad), len(chosen),
                                                 time.monotonic() - began))
    for line in bad:
        print('FAILED: ' + line)
    return 1 if bad else 0


if __name__ == '__main__':
    if sys.argv[1:] == ['--check']:
        sys.exit(check())
    if len(sys.argv) < 2 or sys.argv[1].startswith('-'):
        sys.exit(__doc__)
    sys.exit(run(sys.argv[1], sys.argv[2:]))
