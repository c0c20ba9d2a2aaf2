#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what the tests reach with the list of what they need not.

usage: coverage.py coverage.lcov coverage.json coverage.txt BRANCHES [LINES]

The first two are what `llvm-cov export` writes, of lines and of branches. Fails for a line of the
sources that is neither reached nor in the list (its head says what one is), beyond LINES (0), and
if fewer branches than BRANCHES per cent are taken. Prints listed lines that are reached now.
"""
import bisect
import json
import os
import re
import sys

COLUMNS = 100  # of a line of the list; longer ones are cut
NO_CODE = re.compile(r'[{}\s]*(else)?[{}\s]*')


class File:
    """What lcov says of one source."""

    def __init__(self, path):
        self.path = os.path.relpath(path)
        self.functions = []  # of each the line and the name
        self.lines = []  # of each its number, and whether it was reached

    def entries(self):
        """For each line with code: its entry in the list, its place, and whether it was reached."""
        with open(self.path) as source:
            text = source.read().split('\n')
        functions = sorted(self.functions)
        starts = [at for at, _ in functions]
        for number, is_reached in self.lines:
            if NO_CODE.fullmatch(text[number - 1]):
                continue
            before = bisect.bisect_right(starts, number)
            if before == 0:  # data, and macros for it
                continue
            entry = '%s %s: %s' % (self.path, functions[before - 1][1], text[number - 1].strip())
            yield entry[:COLUMNS].rstrip(), '%s:%d' % (self.path, number), is_reached


def files(report):
    """A File for each source of the library in the report."""
    found = []
    for line in report:
        kind, _, value = line.strip().partition(':')
        fields = value.split(',')
        if kind == 'SF':
            found.append(File(value))
        elif kind == 'FN':  # a static function's name is "FILE:NAME"
            found[-1].functions.append((int(fields[0]), fields[1].rpartition(':')[2]))
        elif kind == 'DA':
            found[-1].lines.append((int(fields[0]), int(fields[1]) > 0))
    return [file for file in found if file.path.startswith('src/')]


def branches_of(report):
    """For each branch of the library, by its place: whether it was taken in any copy of it."""
    taken = {}
    for file in report['data'][0]['files']:
        path = os.path.relpath(file['filename'])
        if path.startswith('src/'):
            for branch in file['branches']:  # a function of a header is in many sources
                for way in (4, 5):
                    place = (path, *branch[:4], way)
                    taken[place] = taken.get(place, False) or branch[way] > 0
    return taken.values()


def main(lines_report, branches_report, known, least, tolerated):
    with open(lines_report) as report:
        sources = files(report)
    with open(branches_report) as report:
        branches = branches_of(json.load(report))
    with open(known) as source:
        listed = {line.rstrip('\n') for line in source if line.strip() and line[0] != '#'}
    lines = [line for file in sources for line in file.entries()]
    missing = {entry for entry, _, is_reached in lines if not is_reached}
    unknown = [(entry, place) for entry, place, is_reached in lines
               if not is_reached and entry not in listed]
    taken = 100.0 * sum(branches) / len(branches)
    for entry in sorted(listed - missing):
        print('reached now, or gone: ' + entry)
    for entry, place in unknown:
        print('%s is reached by no test: %s' % (place, entry))
    print('%d lines, %d not reached, %d of them not in %s; %d branches, %.1f %% taken'
          % (len(lines), sum(not r for _, _, r in lines), len(unknown), known, len(branches),
             taken))
    return 1 if len(unknown) > tolerated or taken < least else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:4], float(sys.argv[4]),
                  int(sys.argv[5]) if len(sys.argv) > 5 else 0))
