# SPDX-License-Identifier: MIT
"""Reads what bench and count.py write, for the scripts that show it."""
import collections
import csv
import statistics

Key = collections.namedtuple('Key', 'library transport style work setting bytes')
SETTINGS = 'one core', 'two cores', 'busy cores'
WORKS = {'roundtrip': 'Round trip', 'oneway': 'One way'}
TRANSPORTS = ('anonymous', 'pair', 'fifo', 'unix', 'unix socket', 'pipe', 'socketpair',
              'tcp')  # libpipc's
NAMES = {'anonymous': 'pipc_open', 'unix': 'unix, moved', 'unix socket': 'unix, not moved',
         'pipe': 'adopted pipe', 'socketpair': 'adopted socketpair'}


class Results:
    def __init__(self, path):
        self.values = collections.defaultdict(dict)  # (key, metric): round: value
        with open(path, newline='') as file:
            for row in csv.DictReader(file):
                key = Key(row['library'], row['transport'], row['style'], row['work'],
                          row['setting'], int(row['bytes']))
                self.values[key, row['metric']][int(row['round'])] = float(row['value'])

    def keys(self, metric='ns'):
        return [key for key, name in self.values if name == metric]

    def cells(self):
        """Work, setting and size, in the order of the tables."""
        found = {(k.work, k.setting, k.bytes) for k in self.keys() if k.work in WORKS}
        return sorted(found, key=lambda c: (list(WORKS).index(c[0]), SETTINGS.index(c[1]), c[2]))

    def sizes(self):
        return sorted({size for _, _, size in self.cells()})

    def rounds(self):
        return max((len(rounds) for rounds in self.values.values()), default=0)

    def spread(self, key, metric='ns'):
        """Median, lowest and highest of the rounds; None without any."""
        return summary(self.values.get((key, metric), {}).values())

    def faster(self, key, other, metric='ns'):
        """How many times faster key is than other: median, lowest and highest in a round."""
        ours, theirs = self.values.get((key, metric), {}), self.values.get((other, metric), {})
        return summary(theirs[n] / ours[n] for n in ours if n in theirs and ours[n] > 0)


def summary(values):
    values = sorted(values)
    return (statistics.median(values), values[0], values[-1]) if values else None


def size_name(size):
    for unit, name in ((1 << 20, ' MiB'), (1 << 10, ' KiB')):
        if size >= unit and size % unit == 0:
            return str(size // unit) + name
    return str(size) + ' B'


def label(key):
    """Library and transport, and the style where it is not the plain one."""
    style = '' if key.style == 'plain' else ' (' + key.style + ')'
    return key.library + ' ' + key.transport + style


def short_label(key):
    """What the tables of ratios call it."""
    if key.library == 'libpipc':
        return NAMES.get(key.transport, 'pipc ' + key.transport)
    return key.transport if key.library == 'raw' else key.library + ' ' + key.transport


def amount(key, ns):
    """A figure with its unit."""
    if key.work == 'roundtrip':
        return ('%.0f µs' if ns >= 1e5 else '%.3g µs') % (ns / 1e3)
    if key.bytes >= 65536:
        return '%.2f GB/s' % (key.bytes / ns)
    return '%.3g M/s' % (1e3 / ns)


def in_order(keys, results, metric='ns'):
    """Fastest first."""
    return sorted(keys, key=lambda key: results.spread(key, metric)[0])


def markdown(header, rows):
    """A table that is readable as plain text too."""
    rows = [header] + rows
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ['| ' + ' | '.join(c.ljust(w) for c, w in zip(row, widths)) + ' |' for row in rows]
    lines.insert(1, '|' + '|'.join('-' * (w + 2) for w in widths) + '|')
    return '\n'.join(lines) + '\n'
