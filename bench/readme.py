# SPDX-License-Identifier: MIT
"""Writes the table of figures into the README, between its two marks.

Usage: readme.py CSV README
"""
import sys

from results import Key, Results

BEGIN, END = '<!-- figures: bench/readme.py -->\n', '<!-- end of figures -->\n'
KIB, MIB = 1 << 10, 1 << 20
GATHER, BATCH = 'gather', 'batch'
# What the README calls it, the library, its transport, its style, and, where it differs, the
# transport of the large message.
ROWS = (
    ('`pipc_open`', 'libpipc', 'anonymous', 'plain'),
    ('`pipc_open`, batches of 256', 'libpipc', 'anonymous', BATCH),
    ('`pipc_open_pair`', 'libpipc', 'pair', 'plain'),
    ('`pipc_open_unix`, moved into shared memory', 'libpipc', 'unix', 'plain'),
    ('`pipc_open_unix`, `PIPC_NO_SHARED_MEMORY`', 'libpipc', 'unix socket', 'plain'),
    ('`pipc_open_unix`, `PIPC_GATHER`', 'libpipc', 'unix socket', GATHER),
    ('`pipc_open_fds` on two pipes', 'libpipc', 'pipe', 'plain'),
    ('`pipc_open_pair`, `PIPC_GATHER` (two pipes)', 'libpipc', 'pair', GATHER),
    ('`pipc_open_fifo`', 'libpipc', 'fifo', 'plain'),
    ('`pipc_open_fifo`, `PIPC_GATHER`', 'libpipc', 'fifo', GATHER),
    ('`pipc_open_fifo`, batches of 256', 'libpipc', 'fifo', BATCH),
    ('`pipc_open_tcp`, loopback', 'libpipc', 'tcp', 'plain'),
    ('`pipc_open_tcp`, `PIPC_GATHER`', 'libpipc', 'tcp', GATHER),
    ('`pipc_open_tcp`, batches of 256', 'libpipc', 'tcp', BATCH),
    ('bare pipe (for 1 MiB: enlarged to 1 MiB)', 'raw', 'pipe', 'plain', 'pipe 1M'),
    ('bare FIFO', 'raw', 'fifo', 'plain'),
    ('bare socketpair', 'raw', 'socketpair', 'plain'),
    ('bare TCP', 'raw', 'tcp', 'plain'),
    ('ZeroMQ PAIR, ipc', 'ZeroMQ', 'ipc', 'plain'),
    ('nng pair0, ipc', 'nng', 'ipc', 'plain'),
    ('nanomsg PAIR, ipc', 'nanomsg', 'ipc', 'plain'),
    ('Python `multiprocessing.Pipe`', 'Python', 'Pipe', 'plain'),
)
COLUMNS = (
    ('16 B, round trip on one core', 'roundtrip', 'one core', 16, ' µs'),
    ('the same on two', 'roundtrip', 'two cores', 16, ' µs'),
    ('16 B, one way', 'oneway', 'two cores', 16, ' million a second'),
    ('1 MiB, one way', 'oneway', 'two cores', MIB, ' GB/s'),
)


def figure(results, row, column):
    _, library, transport, style = row[:4]
    _, work, setting, size, _ = column
    if size == MIB and len(row) > 4:
        transport = row[4]
    if style != 'plain' and (work, size) != ('oneway', 16):
        return ''
    found = results.spread(Key(library, transport, style, work, setting, size))
    if not found:
        return ''
    ns = found[0]
    value = ns / 1e3 if work == 'roundtrip' else size / ns if size == MIB else 1e3 / ns
    if work == 'roundtrip' and 1 <= value < 10:
        return '%.1f' % value
    return '%.0f' % value if value >= 10 else '%.2g' % value


def table(results):
    lines = ['| | ' + ' | '.join(c[0] for c in COLUMNS) + ' |', '| --- |' + ' --- |' * len(COLUMNS)]
    units = [c[4] for c in COLUMNS]
    for row in ROWS:
        figures = [figure(results, row, c) for c in COLUMNS]
        lines.append('| ' + row[0] + ' | ' + ' | '.join(f + (u if f else '')
                                                        for f, u in zip(figures, units)) + ' |')
        units = [''] * len(COLUMNS) # the first row has them
    return '\n'.join(lines) + '\n'


def main():
    results, path = Results(sys.argv[1]), sys.argv[2]
    with open(path, encoding='utf-8') as file:
        before, mark, rest = file.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        sys.exit('%s: no marks' % path)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(before + BEGIN + table(results) + END + after)


main()
