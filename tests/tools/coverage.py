#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what the tests reach with the list of what they need not.

usage: coverage.py gcovr.json coverage.txt BRANCHES

gcovr.json is what `gcovr --json` writes. Fails for a line of the sources that is neither reached
nor in the list (its head says what one is), and if fewer branches than BRANCHES per cent are taken.
Prints listed lines that are reached now.
"""
import bisect
import json
import sys

COLUMNS = 100  # of a line of the list; longer ones are cut


def entries(file):
    """For each line: its entry in the list, its place, and whether it was reached."""
    with open(file['file']) as source:
        text = source.read().split('\n')
    functions = sorted((f['lineno'], f['name']) for f in file.get('functions', []))
    starts = [at for at, _ in functions]
    for line in file['lines']:
        if line.get('gcovr/noncode'):
            continue
        number = line['line_number']
        before = bisect.bisect_right(starts, number)
        function = functions[before - 1][1] if before > 0 else '-'
        entry = '%s %s: %s' % (file['file'], function, text[number - 1].strip())
        yield entry[:COLUMNS].rstrip(), '%s:%d' % (file['file'], number), line['count'] > 0


def main(report, known, least):
    with open(report) as source:
        files = json.load(source)['files']
    with open(known) as source:
        listed = {line.rstrip('\n') for line in source if line.strip() and line[0] != '#'}
    lines = [line for file in files for line in entries(file)]
    branches = [b['count'] > 0 for file in files for line in file['lines']
                for b in line['branches']]
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
    return 1 if unknown or taken < least else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
