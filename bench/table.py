# SPDX-License-Identifier: MIT
"""Prints the results as tables for people. Usage: table.py CSV"""
import sys

from results import Results, in_order, label, size_name

RAW = {'anonymous': 'pipe', 'pair': 'pipe', 'fifo': 'pipe', 'pipe': 'pipe', 'pipe 1M': 'pipe', 'tcp': 'tcp', 'tcp fds': 'tcp',
       'socketpair': 'socketpair', 'ipc': 'socketpair', 'Pipe': 'socketpair'}


def times(ratio):
    return '%8.2f  %5.2f-%-5.2f' % ratio if ratio else '%8s  %11s' % ('', '')


def amount(key, ns):
    if key.work == 'roundtrip':
        return '%12.2f' % (ns / 1e3)
    return '%12.3f %9.3f' % (1e3 / ns, key.bytes / ns)


def speed_line(results, key):
    median, low, high = results.spread(key)
    raw = results.faster(key, key._replace(library='raw', transport=RAW[key.transport], style='plain'))
    zmq = results.faster(key, key._replace(library='ZeroMQ', transport='ipc', style='plain'))
    cpu = results.spread(key, 'cpu ns')
    print('  %-34s %s  %5.2f-%-5.2f %s  %s %10.2f' % (
        label(key), amount(key, median), low / median, high / median, times(raw), times(zmq), cpu[0] / 1e3))


def speed_table(results, work, cores, size):
    keys = [k for k in results.keys() if (k.work, k.cores, k.bytes) == (work, cores, size)]
    name = 'Round trip, %s' % ('one core' if cores == 1 else 'two cores') if work == 'roundtrip' else 'One way'
    unit = '%12s' % 'us' if work == 'roundtrip' else '%12s %9s' % ('M msg/s', 'GB/s')
    print('%s, %s' % (name, size_name(size)))
    print('  %-34s %s  %11s %8s  %-11s  %8s  %-11s %10s' % (
        '', unit, 'time spread', 'x raw', ' spread', 'x 0MQ', ' spread', 'CPU us'))
    for key in in_order(keys, results):
        speed_line(results, key)
    print()


def plain_table(results, title, work, columns):
    keys = list(dict.fromkeys(k for _, metric in columns for k in results.keys(metric) if k.work == work))
    if not keys:
        return
    print(title)
    print('  %-34s' % '' + ''.join('%18s' % name for name, _ in columns))
    for key in keys:
        cells = [results.spread(key, metric) for _, metric in columns]
        print('  %-34s' % label(key) + ''.join('%18.1f' % c[0] if c else '%18s' % '-' for c in cells))
    print()


def main():
    results = Results(sys.argv[1])
    print('Medians of %d rounds. "spread": lowest and highest, of the time as a part of its median, and of the\n'
          'ratios within a round. "x raw": times as fast as plain system calls on the same kind of descriptor\n'
          '(anonymous, pair, fifo: a pipe; ipc: a socketpair). "x 0MQ": as ZeroMQ ipc. "CPU": processor time of\n'
          'both processes, for a message or a round trip.\n' % results.rounds())
    for work, cores, size in sorted({(k.work, k.cores, k.bytes) for k in results.keys()},
                                    key=lambda w: (w[0] == 'oneway', w)):
        speed_table(results, work, cores, size)
    counts = [('system calls', 'syscalls'), ('instructions', 'instructions')]
    plain_table(results, 'For each round trip of 16 B: both processes; instructions outside the kernel',
                'roundtrip', counts)
    plain_table(results, 'For each message of 16 B one way, likewise', 'oneway', counts)
    plain_table(results, 'Resident memory, bytes for each idle handle', 'idle',
                [('opened', 'bytes opened'), ('used', 'bytes used'), ('after 1 MiB', 'bytes after 1 MiB')])


main()
