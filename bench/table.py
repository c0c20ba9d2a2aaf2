# SPDX-License-Identifier: MIT
"""Prints the results as tables for people. Usage: table.py CSV"""
import sys

from results import WORKS, Results, in_order, label, size_name

# Plain system calls on the same kind of descriptor.
RAW = {'anonymous': 'pipe', 'pair': 'pipe', 'ipc': 'socketpair', 'unix': 'socketpair',
       'unix socket': 'socketpair', 'Pipe': 'socketpair'}


def times(ratio):
    return '%8.2f  %5.2f-%-5.2f' % ratio if ratio else '%8s  %11s' % ('', '')


def columns(key, ns):
    if key.work == 'roundtrip':
        return '%12.2f' % (ns / 1e3)
    return '%12.3f %9.3f' % (1e3 / ns, key.bytes / ns)


def speed_line(results, key):
    median, low, high = results.spread(key)
    transport = key.transport if key.library == 'raw' else RAW.get(key.transport, key.transport)
    raw = results.faster(key, key._replace(library='raw', transport=transport, style='plain'))
    zmq = results.faster(key, key._replace(library='ZeroMQ', transport='ipc', style='plain'))
    cpu = results.spread(key, 'cpu ns')
    print('  %-34s %s  %5.2f-%-5.2f %s  %s %10.2f' % (
        label(key), columns(key, median), low / median, high / median, times(raw), times(zmq),
        cpu[0] / 1e3))


def speed_table(results, cell):
    keys = [k for k in results.keys() if (k.work, k.setting, k.bytes) == cell]
    work, setting, size = cell
    unit = '%12s' % 'us' if work == 'roundtrip' else '%12s %9s' % ('M msg/s', 'GB/s')
    print('%s, %s, %s' % (WORKS[work], setting, size_name(size)))
    print('  %-34s %s  %11s %8s  %-11s  %8s  %-11s %10s' % (
        '', unit, 'time spread', 'x raw', ' spread', 'x 0MQ', ' spread', 'CPU us'))
    for key in in_order(keys, results):
        speed_line(results, key)
    print()


def plain_table(results, title, work, shown):
    keys = [k for _, metric, _ in shown for k in results.keys(metric) if k.work == work]
    keys = list(dict.fromkeys(keys))
    if not keys:
        return
    print(title)
    print('  %-34s' % '' + ''.join('%18s' % name for name, _, _ in shown))
    for key in keys:
        cells = [(results.spread(key, metric), unit) for _, metric, unit in shown]
        print('  %-34s' % label(key)
              + ''.join('%18.1f' % (c[0] / unit) if c else '%18s' % '-' for c, unit in cells))
    print()


def main():
    results = Results(sys.argv[1])
    print('Medians of %d rounds. "spread": lowest and highest, of the time as a part of its\n'
          'median, and of the ratios within a round. "x raw": times as fast as plain system calls\n'
          'on the same kind of descriptor (anonymous, pair: a pipe; ipc: a socketpair).\n'
          '"x 0MQ": as ZeroMQ ipc. "CPU": processor time of both processes, for a message or a\n'
          'round trip. Busy cores: two, with a busy loop on each.\n' % results.rounds())
    for cell in results.cells():
        speed_table(results, cell)
    counts = [('system calls', 'syscalls', 1), ('instructions', 'instructions', 1)]
    plain_table(results, 'For each round trip of 16 B: both processes; instructions outside the '
                'kernel', 'roundtrip', counts)
    plain_table(results, 'For each message of 16 B one way, likewise', 'oneway', counts)
    plain_table(results, 'Opening, first use and closing', 'open', [('us', 'ns', 1e3)])
    plain_table(results, 'A server of many connections: for each echo, for each connection',
                'many', [('us', 'ns', 1e3), ('bytes', 'bytes used', 1),
                         ('descriptors', 'descriptors', 1)])
    plain_table(results, 'Resident memory, bytes for each idle handle', 'idle',
                [('opened', 'bytes opened', 1), ('used', 'bytes used', 1),
                 ('after 1 MiB', 'bytes after 1 MiB', 1)])


main()
