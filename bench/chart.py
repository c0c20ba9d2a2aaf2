# SPDX-License-Identifier: MIT
"""Draws the results: DIR/roundtrip.svg and DIR/oneway.svg. Usage: chart.py CSV DIR [NOTE]

Each panel is one size of message; each bar a contender, its length the median of the rounds, the thin line
on it from the lowest to the highest round. All bars start at 0.
"""
import os
import sys
from xml.sax.saxutils import escape

from results import Results, in_order, label, size_name

COLOURS = {'libpipc': '#0b6e4f', 'raw': '#9a9a9a', 'ZeroMQ': '#c75146', 'nng': '#d98e32', 'nanomsg': '#b5a642',
           'Python': '#4a6fa5'}
BAR, GAP, NAMES, WIDTH, VALUES = 13, 5, 185, 230, 100
PANEL = NAMES + WIDTH + VALUES


def text(x, y, words, size=11, anchor='start', weight='normal', colour='#222'):
    return '<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" font-weight="%s" fill="%s">%s</text>' % (
        x, y, size, anchor, weight, colour, escape(words))


def bar(x, y, name, library, spread, longest, shown):
    median, low, high = spread
    scale = WIDTH / longest
    bold = 'bold' if library == 'libpipc' else 'normal'
    middle = y + BAR / 2
    return [text(x + NAMES - 6, y + BAR - 3, name, 11, 'end', bold),
            '<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>' % (
                x + NAMES, y, max(median * scale, 0.5), BAR, COLOURS.get(library, '#666')),
            '<path d="M%.1f %.1fH%.1f" stroke="#000" stroke-opacity=".55"/>' % (
                x + NAMES + low * scale, middle, x + NAMES + high * scale),
            text(x + NAMES + max(median, high) * scale + 5, y + BAR - 3, shown, 11, 'start', bold)]


def panel(x, y, title, rows):
    """rows: name, library, (median, lowest, highest), value as text."""
    longest = max(row[2][2] for row in rows)
    parts = [text(x + NAMES, y + 12, title, 12, 'start', 'bold')]
    for i, (name, library, spread, shown) in enumerate(rows):
        parts += bar(x, y + 22 + i * (BAR + GAP), name, library, spread, longest, shown)
    return parts, 22 + len(rows) * (BAR + GAP) + 18


def speed(key, ns):
    """What the bar is as long as, and how it is written."""
    if key.work == 'roundtrip':
        return ns / 1e3, ('%.0f µs' if ns >= 1e6 else '%.3g µs') % (ns / 1e3)
    if key.bytes >= 65536:
        return key.bytes / ns, '%.2f GB/s' % (key.bytes / ns)
    return 1e3 / ns, '%.3g M/s' % (1e3 / ns)


def row(results, key):
    spread = results.spread(key)
    lengths = sorted(speed(key, ns)[0] for ns in spread[1:])
    length, shown = speed(key, spread[0])
    return label(key), key.library, (length, lengths[0], lengths[1]), shown


def is_shown(key):
    """Batches of large messages differ little from plain calls."""
    return key.style == 'plain' or key.style == 'batch' and key.bytes < 65536


def draw(results, work, cores, title, note):
    shown = [k for k in results.keys() if (k.work, k.cores) == (work, cores) and is_shown(k)]
    sizes = sorted({k.bytes for k in shown})
    parts, tops = [], [58, 58]
    for i, size in enumerate(sizes):
        keys = in_order([k for k in shown if k.bytes == size], results)
        rows = [row(results, k) for k in keys]
        drawn, height = panel(10 + i % 2 * PANEL, tops[i % 2], size_name(size), rows)
        parts += drawn
        tops[i % 2] += height
        if i % 2 == 1:
            tops = [max(tops)] * 2
    width, height = 20 + PANEL * min(2, len(sizes)), max(tops)
    head = [text(10, 22, title, 15, weight='bold'), text(10, 40, note, 11, colour='#555')]
    return '\n'.join(['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
                      'font-family="sans-serif">' % (width, height, width, height),
                      '<rect width="100%" height="100%" fill="#fff"/>'] + head + parts + ['</svg>', ''])


def main():
    results, folder = Results(sys.argv[1]), sys.argv[2]
    note = sys.argv[3] if len(sys.argv) > 3 else ''
    rounds = 'median of %d rounds; the thin line: lowest to highest. ' % results.rounds()
    for work, cores, name, title in (
            ('roundtrip', 1, 'roundtrip.svg', 'Round trip, two processes on one core (shorter is better)'),
            ('oneway', 2, 'oneway.svg', 'One way, two processes on two cores (longer is better)')):
        if any((k.work, k.cores) == (work, cores) for k in results.keys()):
            with open(os.path.join(folder, name), 'w') as file:
                file.write(draw(results, work, cores, title, rounds + note))


main()
