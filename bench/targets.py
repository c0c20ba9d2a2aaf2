# SPDX-License-Identifier: MIT
"""What libpipc is meant to reach, what it reached, and whether that holds. It reports; it fails nothing.

Usage: targets.py CSV
"""
import sys

from results import Key, Results, size_name

MIB = 1 << 20
# The same kind of descriptor, where the transport itself has not been measured.
STAND_IN = {'fifo': 'pair', 'tcp': 'tcp fds'}


def key(results, library, transport, style, work, cores, size):
    there = Key(library, transport, style, work, cores, size)
    if library == 'libpipc' and transport in STAND_IN and not results.spread(there):
        return there._replace(transport=STAND_IN[transport])
    return there


def verdict(holds):
    return 'holds' if holds else 'MISSED'


def show(what, wanted, got, holds, cpu=''):
    print('%-44s %-28s %-24s %-8s %s' % (what, wanted, got, holds, cpu))


def ratio(results, what, ours, theirs, wanted, in_time=False):
    """In speed, at least; or in time, at most."""
    ours, theirs = key(results, *ours), key(results, *theirs)
    found = results.faster(ours, theirs)
    named = '%s %g x %s %s' % ('<=' if in_time else '>=', wanted, theirs.library, theirs.transport)
    if ours.transport != what.split(',')[0]:
        what += ' [' + ours.transport + ']'
    if not found:
        show(what, named, 'not measured', '-')
        return
    median, low, high = (1 / found[0], 1 / found[2], 1 / found[1]) if in_time else found
    holds = median <= wanted if in_time else median >= wanted
    best = results.spread(theirs)[1] / results.spread(ours)[1]
    cpu = results.faster(ours, theirs, 'cpu ns')[0]
    show(what, named, '%.2f  (%.2f-%.2f)' % (median, low, high), verdict(holds),
         '%5.2f  %5.2f' % ((1 / best, 1 / cpu) if in_time else (best, cpu)))


def one_way(results, transport, style, size, *wanted):
    what = '%s, %s one way, %s' % (transport, size_name(size), style)
    for library, other, at_least in wanted:
        ratio(results, what, ('libpipc', transport, style, 'oneway', 2, size),
              (library, other, 'plain', 'oneway', 2, size), at_least)


def round_trip(results, transport, other, at_most):
    ratio(results, '%s, 16 B round trip on one core' % transport,
          ('libpipc', transport, 'plain', 'roundtrip', 1, 16), ('raw', other, 'plain', 'roundtrip', 1, 16),
          at_most, in_time=True)


def memory(results, transport, metric, at_most):
    found = results.spread(key(results, 'libpipc', transport, 'plain', 'idle', 0, 0), metric)
    what = '%s, resident, %s' % (transport, metric.replace('bytes ', ''))
    if found:
        show(what, '<= %d B' % at_most, '%.0f B' % found[0], verdict(found[0] <= at_most))
    else:
        show(what, '<= %d B' % at_most, 'not measured', '-')


def main():
    results = Results(sys.argv[1])
    show('work', 'wanted', 'measured', '', ' best  CPU')
    one_way(results, 'anonymous', 'plain', 16, ('ZeroMQ', 'ipc', 5), ('raw', 'pipe', 10))
    round_trip(results, 'anonymous', 'pipe', 1.05)
    one_way(results, 'anonymous', 'plain', 65536, ('raw', 'socketpair', 1.5))
    one_way(results, 'anonymous', 'plain', MIB, ('raw', 'socketpair', 1.2))
    for transport, others, peer in (('fifo', ('pipe', 'fifo'), 'ipc'), ('tcp', ('tcp',), 'tcp')):
        for other in others:
            round_trip(results, transport, other, 1.10)
            one_way(results, transport, 'plain', 16, ('raw', other, 0.95))
        for style in 'batch', 'batch, read':
            one_way(results, transport, style, 16, ('ZeroMQ', peer, 5))
    one_way(results, 'fifo', 'plain', MIB, ('raw', 'pipe 1M', 1.0))
    one_way(results, 'tcp', 'plain', MIB, ('raw', 'tcp', 0.95))
    for transport in 'anonymous', 'pair', 'fifo', 'tcp', 'socketpair':
        most = 16384 if transport == 'anonymous' else 4096
        for metric in 'bytes opened', 'bytes used':
            memory(results, transport, metric, most)
        memory(results, transport, 'bytes after 1 MiB', MIB - 1)
    print('Measured: median (lowest-highest) of the ratios within a round. Best: the best round of the one against\n'
          'the best of the other. CPU: the ratio of processor time, both processes. These two mind other load on\n'
          'the machine less. A row whose transport is named in brackets was measured on that one.')


main()
