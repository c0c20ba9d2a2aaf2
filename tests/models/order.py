#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares order.txt with the sources; and takes each order of memory out, to see a scene fail.

usage: order.py            each atomic call that orders memory is in the list, and nothing else is
       order.py OUT.inc    and writes what order.cpp includes
       order.py ./ORDER    and runs that program without each of them, as the list says
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, '..', '..', 'src')
LIST = os.path.join(HERE, 'order.txt')

SIMULATED = ['transport/ring_area.h', 'transport/ring_pace.h', 'transport/ring_copy.h',
             'transport/ring.h', 'transport/ring_wrap.h', 'peer/shared.h', 'peer/ends.h',
             'transport/ring.c', 'transport/ring_wrap.c', 'peer/ends.c']
LISTED = ['peer/monitor.c', 'transport/share.c', 'transport/share_doorbell.c',
          'transport/share_life.c', 'transport/share_wait.c', 'transport/transport_share.c']

# Small, so that few steps fill a ring. The asserts of ring.c hold for these too.
SMALLER = [('RING_SIZE  ((size_t)256 * 1024)', 'RING_SIZE ((size_t)256)'),
           ('RING_GROWN ((size_t)1024 * 1024)', 'RING_GROWN ((size_t)1024)'),
           ('RING_PIECE_SIZE (RING_SIZE / 32)', 'RING_PIECE_SIZE (RING_SIZE / 4)'),
           ('STEP_SIZE (RING_SIZE / 256)', 'STEP_SIZE (RING_SIZE / 16)'),
           ('RING_LONG       ((size_t)2048)', 'RING_LONG ((size_t)64)')]

CALL = re.compile(r'\batomic_(load|store|exchange|fetch_or|fetch_add|compare_exchange_strong|'
                  r'thread_fence)(_explicit)?\(')
WORD = re.compile(r'^[^,(]*?((?:\b(?:in|out)->)?\w+)(?:\(|,|$)')
FUNCTION = re.compile(r'^(?:[\w*]+ )+\**(\w+)\(', re.M)

RUNS = '3000'         # of each scene, with all orders
RUNS_WITHOUT = '30000'  # at most, without one of them


def closing(text, at):
    depth = 1
    while depth:
        depth += {'(': 1, ')': -1}.get(text[at], 0)
        at += 1
    return at


class Site:
    """One atomic call of a source."""

    def __init__(self, path, text, match):
        self.begin, self.end = match.start(), closing(text, match.end())
        arguments = ' '.join(text[match.end():self.end - 1].split())
        self.call, self.rest, asked = match.group(1), arguments, 'memory_order_seq_cst'
        if self.call == 'thread_fence':
            self.rest, asked = '', arguments
        elif match.group(2):
            self.rest, asked = arguments.rsplit(', ', 1)
        self.asked = asked[len('memory_order_'):]
        function = [f.group(1) for f in FUNCTION.finditer(text, 0, self.begin)][-1]
        word = WORD.search(self.rest)
        self.name = ' '.join([os.path.basename(path), function, self.call,
                              word.group(1) if word else '-', self.asked])


def read(path):
    """The text without comments, and its sites."""
    with open(os.path.join(SOURCES, path)) as source:
        text = re.sub(r'/\*.*?\*/', lambda m: '\n' * m.group().count('\n'), source.read(),
                      flags=re.S)
    return text, [Site(path, text, match) for match in CALL.finditer(text)]


def changed(text, sites, first):
    """As order.cpp takes it: each order asks for itself, by its number."""
    out, at = '', 0
    for number, site in enumerate(sites, first):
        order = 'order(%d, memory_order_%s)' % (number, site.asked)
        call = site.call.replace('_strong', '')
        new = ('fence(%s)' % order if call == 'thread_fence' else
               'atomic_%s_explicit(%s, %s)' % (call, site.rest, order))
        out, at = out + text[at:site.begin] + new, site.end
    out = re.sub(r'_Atomic\s+(\w+)', r'word<\1>', out + text[at:])
    out = re.sub(r'^#include .*$', '', out, flags=re.M)
    return re.sub(r'\batomic_uint\b', 'word<unsigned>', out)


def smaller(text):
    for old, new in SMALLER:
        if old not in text:
            sys.exit('not in the sources any more: ' + old)
        text = text.replace(old, new)
    return text


def verdicts():
    """(name, verdict) of each line."""
    with open(LIST) as lines:
        return [tuple(part.strip() for part in line.split(':', 1))
                for line in lines if line.strip() and line[0] != '#']


def compare(sites, listed):
    ordering = [site.name for site in sites if site.asked != 'relaxed']
    names = [name for name, _ in listed]
    for name in ordering:
        if ordering.count(name) != names.count(name):
            print('not in order.txt, or not as often: ' + name)
    for name in names:
        if name not in ordering:
            print('not in the sources: ' + name)
    with open(os.path.join(HERE, 'share.pml')) as model:
        mutants = model.read()
    unknown = [verdict for _, verdict in listed if verdict.startswith('share.pml') and
               'mutant: %s ' % verdict.split()[1].rstrip(',') not in mutants]
    for verdict in unknown:
        print('no such mutant: ' + verdict)
    return sorted(ordering) == sorted(names) and not unknown


def fails(program, runs, *site):
    out = subprocess.run([program, runs, *site], stdout=subprocess.PIPE, text=True,
                         errors='replace').stdout
    scenes = [line for line in out.split('\n') if line.startswith('scene ')]
    return [line for line in scenes if 'SUCCESS' not in line] or not scenes


def run(program, sites, listed):
    failed = fails(program, RUNS)
    if failed:
        print('FAILED with all orders: %s' % failed)
        return False
    good, left, found = True, list(listed), 0
    for number, site in enumerate(sites):
        if site.asked == 'relaxed':
            continue
        verdict = next(pair for pair in left if pair[0] == site.name)
        left.remove(verdict)
        if not verdict[1].startswith('found'):
            continue
        failed = fails(program, RUNS_WITHOUT, str(number))
        found += bool(failed)
        good = good and bool(failed)
        if not failed or os.environ.get('VERBOSE'):
            print('%s: without %s: %s' % ('found' if failed else 'NOT FOUND', site.name, failed))
    print('order: %d orders of memory, each found when it is taken out' % found)
    return good


def main(what=None):
    files = [(path, *read(path)) for path in SIMULATED]
    sites = [site for _, _, some in files for site in some]
    others = [site for path in LISTED for site in read(path)[1]]
    listed = verdicts()
    if not compare(sites + others, listed):
        return 1
    if what is not None and what.endswith('.inc'):
        text, first = '', 0
        for _, part, some in files:
            text += changed(part, some, first)
            first += len(some)
        with open(what, 'w') as out:
            out.write(smaller(text))
        return 0
    return 0 if what is None or run(what, sites, listed) else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
