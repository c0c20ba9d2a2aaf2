# SPDX-License-Identifier: MIT
"""Reads what bench and count.py write, for the scripts that show it."""
import collections
import csv
import statistics

Key = collections.namedtuple('Key', 'library transport style work cores bytes')


class Results:
    def __init__(self, path):
        self.values = collections.defaultdict(dict)  # (key, metric): round: value
        with open(path, newline='') as file:
            for row in csv.DictReader(file):
                key = Key(row['library'], row['transport'], row['style'], row['work'], int(row['cores']),
                          int(row['bytes']))
                self.values[key, row['metric']][int(row['round'])] = float(row['value'])

    def keys(self, metric='ns'):
        return [key for key, name in self.values if name == metric]

    def rounds(self):
        return max((len(rounds) for rounds in self.values.values()), default=0)

    def spread(self, key, metric='ns'):
        """Median, lowest and highest of the rounds; None without any."""
        return summary(self.values.get((key, metric), {}).values())

    def faster(self, key, other, metric='ns'):
        """How many times faster key is than other: median, lowest and highest of the rounds' ratios."""
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
    return key.library + ' ' + key.transport + ('' if key.style == 'plain' else ' (' + key.style + ')')


def in_order(keys, results, metric='ns'):
    """Fastest first."""
    return sorted(keys, key=lambda key: results.spread(key, metric)[0])
