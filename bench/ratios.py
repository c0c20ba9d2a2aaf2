# SPDX-License-Identifier: MIT
"""Prints which mechanism is best in each cell, and how near libpipc is. Usage: ratios.py CSV

A cell is a kind of work, in a setting, with a size of message. Only plain calls are compared.
"""
import sys

from results import (NAMES, SETTINGS, TRANSPORTS, WORKS, Key, Results, amount, in_order, markdown,
                     short_label, size_name)


def plain(results, cell):
    return [k for k in results.keys() if (k.work, k.setting, k.bytes) == cell
            and k.style == 'plain']


def best_text(results, key):
    return '%s, %s' % (short_label(key), amount(key, results.spread(key)[0])) if key else '-'


def first(results, keys):
    return in_order(keys, results)[0] if keys else None


def row(results, cell):
    keys = plain(results, cell)
    best = first(results, keys)
    others = [k for k in keys if k.library != 'libpipc' and k.transport != 'ring']
    texts = [size_name(cell[2]), best_text(results, best),
             best_text(results, first(results, others))]
    for transport in TRANSPORTS:
        ours = Key('libpipc', transport, 'plain', *cell)
        found = results.faster(ours, best)
        texts.append('%.2f' % found[0] if found else '-')
    return texts


def main():
    results = Results(sys.argv[1])
    print('Which mechanism is best, which is the best that is neither libpipc nor the ring, and\n'
          'the speed of each kind of pipe of libpipc as a part of the best: medians of %d rounds,\n'
          'plain calls. ring: bare shared memory and futexes, the line of what is possible.\n'
          % results.rounds())
    header = ['size', 'best', 'best of the others']
    header += [NAMES.get(t, t) for t in TRANSPORTS]
    for work in WORKS:
        for setting in SETTINGS:
            cells = [c for c in results.cells() if c[:2] == (work, setting)]
            if cells:
                print('### %s, %s\n' % (WORKS[work], setting))
                print(markdown(header, [row(results, cell) for cell in cells]))


main()
