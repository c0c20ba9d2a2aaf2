# SPDX-License-Identifier: MIT
"""What libpipc is meant to reach, what it reached, and whether that holds. It fails nothing.

Usage: targets.py CSV
"""
import collections
import itertools
import sys

from results import (NAMES, SETTINGS, WORKS, Key, Results, amount, in_order, markdown,
                     short_label, size_name)

KIB, MIB = 1 << 10, 1 << 20

# In each cell, from a size on: a pipe of libpipc against the fastest of some bare mechanisms.
Rule = collections.namedtuple('Rule', 'transport others at_least from_size')
RULES = (
    Rule('anonymous', ('pipe', 'pipe 1M', 'socketpair'), 1.0, 0),
    Rule('anonymous', ('ring',), 0.7, 64 * KIB),
    # The others: a bare pipe that holds as much.
    Rule('unix socket', ('socketpair',), 0.95, 0),
    Rule('pair', ('pipe',), 1.0, 0),
    Rule('fifo', ('pipe 1M',), 1.0, 0),
    Rule('pipe', ('pipe',), 1.0, 0),
    Rule('pair', ('pipe', 'pipe 1M'), 0.9, 64 * KIB),
    Rule('fifo', ('pipe', 'pipe 1M'), 0.9, 64 * KIB),
    Rule('pipe', ('pipe', 'pipe 1M'), 0.9, 64 * KIB),
)
# The same bare mechanism whose messages carry their size: what is possible for any library.
FRAMED = {'unix socket': 'socketpair', 'fifo': 'pipe 1M', 'pipe': 'pipe'}


# ---- every cell ----

def compare(results, rule, cell):
    """Our key, the fastest of the others, and the ratio; None where that was not measured."""
    ours = Key('libpipc', rule.transport, 'plain', *cell)
    others = [Key('raw', other, 'plain', *cell) for other in rule.others]
    others = in_order([k for k in others if results.spread(k)], results)
    found = results.faster(ours, others[0]) if others and cell[2] >= rule.from_size else None
    return (ours, others[0], found) if found else None


def rule_table(results, rule):
    """Prints the ratios; returns the cells that miss."""
    sizes = [size for size in results.sizes() if size >= rule.from_size]
    rows, missed = [], []
    for work in WORKS:
        for setting in SETTINGS:
            cells = [compare(results, rule, (work, setting, size)) for size in sizes]
            missed += [c for c in cells if c and c[2][0] < rule.at_least]
            if any(cells):
                shown = ['%.2f%s' % (c[2][0], ' !' if c[2][0] < rule.at_least else '')
                         if c else '-' for c in cells]
                rows.append(['%s, %s' % (WORKS[work], setting)] + shown)
    if rows:
        print('### %s >= %g x %s%s\n' % (
            NAMES.get(rule.transport, rule.transport), rule.at_least,
            ('the best of ' if len(rule.others) > 1 else '') + ', '.join(rule.others),
            ', from %s on' % size_name(rule.from_size) if rule.from_size else ''))
        print(markdown([''] + [size_name(size) for size in sizes], rows))
    return missed


def framing_alone(results, ours, other):
    """How fast framing without a library is, of the other; and ours, of that."""
    framed = Key('raw', FRAMED.get(ours.transport), 'framed', *ours[3:])
    alone, of_it = results.faster(framed, other), results.faster(ours, framed)
    return ['%.2f' % alone[0], '%.2f' % of_it[0]] if alone else ['-', '-']


def missed_row(results, rule, ours, other, found):
    return ['%s, %s, %s' % (WORKS[ours.work], ours.setting, size_name(ours.bytes)),
            '%s, %s' % (short_label(ours), amount(ours, results.spread(ours)[0])),
            '>= %g x %s, %s' % (rule.at_least, short_label(other),
                                amount(other, results.spread(other)[0])),
            '%.2f (%.2f-%.2f)' % found] + framing_alone(results, ours, other)


def all_cells(results):
    rows = []
    for rule in RULES:
        rows += [missed_row(results, rule, *m) for m in rule_table(results, rule)]
    print('### Cells that miss: %d\n' % len(rows))
    if rows:
        print('framed: the same mechanism, each message with its size, and no library (see\n'
              'with_framed.c), as a part of what is wanted; of it: what libpipc reaches of that.\n')
        print(markdown(['cell', 'reached', 'wanted', 'ratio (lowest-highest)', 'framed',
                        'of it'], rows))


# ---- single figures ----

def line(what, wanted, got, holds):
    return [what, wanted, got, '-' if holds is None else 'holds' if holds else 'MISSED']


def ratio(results, what, ours, theirs, wanted, in_time=False):
    """In speed, at least; or in time, at most."""
    found = results.faster(ours, theirs)
    named = '%s %g x %s %s' % ('<=' if in_time else '>=', wanted, theirs.library,
                               theirs.transport)
    if not found:
        return line(what, named, 'not measured', None)
    median, low, high = (1 / found[0], 1 / found[2], 1 / found[1]) if in_time else found
    holds = median <= wanted if in_time else median >= wanted
    return line(what, named, '%.2f (%.2f-%.2f)' % (median, low, high), holds)


def one_way(results, transport, style, library, other, at_least):
    """16 bytes on two cores."""
    cell = 'oneway', 'two cores', 16
    return ratio(results, '%s, 16 B one way, %s' % (transport, style),
                 Key('libpipc', transport, style, *cell), Key(library, other, 'plain', *cell),
                 at_least)


def round_trip(results, transport, other, at_most):
    cell = 'roundtrip', 'one core', 16
    return ratio(results, '%s, 16 B round trip on one core' % transport,
                 Key('libpipc', transport, 'plain', *cell), Key('raw', other, 'plain', *cell),
                 at_most, in_time=True)


def at_most(results, what, key, metric, most, unit):
    found = results.spread(key, metric)
    wanted = '<= %d %s' % (most, unit)
    if not found:
        return line(what, wanted, 'not measured', None)
    return line(what, wanted, '%.4g %s' % (found[0], unit), found[0] <= most)


def memory(results, transport, metric, most):
    key = Key('libpipc', transport, 'plain', 'idle', '-', 0)
    what = '%s, resident, %s' % (transport, metric.replace('bytes ', ''))
    return at_most(results, what, key, metric, most, 'B')


def small_messages(results):
    rows = [one_way(results, 'anonymous', 'plain', 'ZeroMQ', 'ipc', 5),
            one_way(results, 'anonymous', 'plain', 'raw', 'pipe', 10),
            round_trip(results, 'anonymous', 'pipe', 1.05)]
    for transport, other, peer in ('fifo', 'fifo', 'ipc'), ('tcp', 'tcp', 'tcp'):
        rows += [round_trip(results, transport, other, 1.10),
                 one_way(results, transport, 'plain', 'raw', other, 0.95)]
        rows += [one_way(results, transport, style, 'ZeroMQ', peer, 5)
                 for style in ('batch', 'batch, read', 'gather')]
    rows += [one_way(results, transport, 'gather', 'ZeroMQ', 'ipc', 5)
             for transport in ('pair', 'unix socket')]
    return rows


def moved(results):
    """A Unix socket that has moved into shared memory."""
    rows = [ratio(results, 'unix, moved, %s %s' % (size_name(size), WORKS['oneway'].lower()),
                  Key('libpipc', 'unix', 'plain', 'oneway', 'two cores', size),
                  Key('ZeroMQ', 'ipc', 'plain', 'oneway', 'two cores', size), wanted)
            for size, wanted in ((16, 5), (MIB, 1.5))]
    for work, setting in itertools.product(WORKS, SETTINGS[:2]):
        for size in 16, 64 * KIB, MIB:
            key = Key('libpipc', 'unix', 'plain', work, setting, size)
            what = 'unix, moved, %s %s on %s' % (size_name(size), WORKS[work].lower(), setting)
            rows.append(ratio(results, what, key, key._replace(transport='anonymous'), 0.9))
    return rows


def connections(results):
    rows = []
    for key in [k for k in results.keys() if k.work == 'many' and k.library == 'libpipc']:
        what = '%s, server of %d connections' % (key.transport, key.bytes)
        nested = key._replace(library='raw', transport=key.transport + ' nested')
        rows += [ratio(results, what, key, key._replace(library='raw'), 0.9),
                 ratio(results, what + ' (nested: each socket in a set of its own)', key, nested,
                       0.97),
                 at_most(results, what + ', memory of each', key, 'bytes used', 3072, 'B'),
                 at_most(results, what + ', descriptors of each', key, 'descriptors', 2, '')]
    tcp = Key('libpipc', 'tcp', 'plain', 'open', 'one core', 0)
    rows += [ratio(results, 'anonymous, open, first use, close',
                   tcp._replace(transport='anonymous'), tcp._replace(transport='pair'), 2,
                   in_time=True),
             ratio(results, 'tcp, connect, accept, use, close', tcp, tcp._replace(library='raw'),
                   0.85)]
    unix = tcp._replace(transport='unix')
    rows.append(ratio(results, 'unix, connect, accept, use, close', unix,
                      unix._replace(library='raw'), 0.8))
    return rows


def idle(results):
    rows = []
    for transport in 'anonymous', 'pair', 'fifo', 'unix', 'tcp', 'socketpair':
        most = 16384 if transport == 'anonymous' else 4096
        rows += [memory(results, transport, metric, most)
                 for metric in ('bytes opened', 'bytes used')]
        rows.append(memory(results, transport, 'bytes after 1 MiB', MIB - 1))
    return rows


def main():
    results = Results(sys.argv[1])
    print('Medians of the ratios of speed within each of %d rounds. !: less than wanted.\n'
          % results.rounds())
    all_cells(results)
    print('### Single figures\n')
    print(markdown(['work', 'wanted', 'measured (lowest-highest)', ''],
                   small_messages(results) + moved(results) + connections(results)
                   + idle(results)))


main()
