# SPDX-License-Identifier: MIT
"""Draws the results: DIR/roundtrip.svg and DIR/oneway.svg. Usage: chart.py CSV DIR [NOTE]

One panel for each setting: a line for each contender, a column for each size of message. A field
has the median of the rounds; it is the darker, the nearer it is to the best plain contender of its
column, which is framed. A batch may be faster than that.
"""
import os
import sys
from xml.sax.saxutils import escape

from results import (NAMES, SETTINGS, TRANSPORTS, WORKS, Results, in_order, label, size_name)

ROW, NAME, FIELD, TOP = 19, 205, 68, 62
HINTS = {'roundtrip': 'time until the echo is there, shorter is better',
         'oneway': 'messages or bytes a second, more is better'}
PLACES = {'one core': 'both processes on one core', 'two cores': 'two idle cores',
          'busy cores': 'two cores, each with a busy loop as well'}


def text(x, y, words, size=11, anchor='start', weight='normal', colour='#222'):
    return ('<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" font-weight="%s" '
            'fill="%s">%s</text>' % (x, y, size, anchor, weight, colour, escape(words)))


def short(number):
    """Three digits, with k or M."""
    for unit, name in ((1e6, 'M'), (1e3, 'k')):
        if number >= unit:
            return '%.3g%s' % (number / unit, name)
    return '%.3g' % number


def figure(key, ns):
    if key.work == 'roundtrip':
        return '%.3g µs' % (ns / 1e3) if ns < 1e6 else '%.3g ms' % (ns / 1e6)
    if key.bytes >= 65536:
        return '%.3g G' % (key.bytes / ns) if key.bytes >= ns else '%.2f G' % (key.bytes / ns)
    return short(1e9 / ns)


def unit(work, size):
    if work == 'roundtrip':
        return ''
    return 'bytes/s' if size >= 65536 else 'msg/s'


def colours(part, ours):
    """Of the field and its text; part: the speed, as a part of the best."""
    part = min(part, 1) ** 0.7
    dark = (11, 110, 79) if ours else (70, 84, 103)
    field = tuple(round(255 + (c - 255) * part) for c in dark)
    return '#%02x%02x%02x' % field, '#fff' if part > 0.55 else '#222'


def field(x, y, key, ns, best):
    fill, ink = colours(best / ns, key.library == 'libpipc')
    is_best = key.style == 'plain' and ns == best
    frame = ' stroke="#000" stroke-width="2"' if is_best else ''
    return ['<rect x="%.1f" y="%.1f" width="%d" height="%d" fill="%s"%s/>' % (
                x + 1.5, y + 1.5, FIELD - 3, ROW - 3, fill, frame),
            text(x + FIELD / 2, y + ROW - 5, figure(key, ns), 11, 'middle',
                 'bold' if is_best else 'normal', ink)]


def lines_of(results, work):
    """Each contender without its size and setting; libpipc first, then in the order of the file."""
    keys = [k._replace(setting='', bytes=0) for k in results.keys() if k.work == work]
    keys = list(dict.fromkeys(keys))

    def place(key):
        ours = key.library == 'libpipc'
        return (0 if ours else 1 if key.library == 'raw' else 2, key.style != 'plain',
                TRANSPORTS.index(key.transport) if ours and key.transport in TRANSPORTS else 0)
    return sorted(keys, key=place)


def name(key):
    if key.library != 'libpipc':
        return label(key).replace('raw ', 'bare ')
    return label(key).replace(key.library + ' ' + key.transport,
                              NAMES.get(key.transport, 'pipc_open_' + key.transport))


def column(results, keys, x, y, heading):
    best = results.spread(in_order([k for k in keys if k.style == 'plain'] or keys, results)[0])[0]
    size, how = size_name(keys[0].bytes), unit(keys[0].work, keys[0].bytes)
    parts = [text(x + FIELD / 2, heading, size, 11, 'middle', 'bold'),
             text(x + FIELD / 2, heading + 13, how, 10, 'middle', colour='#555')]
    for key in keys:
        parts += field(x, y[key._replace(setting='', bytes=0)], key,
                       results.spread(key)[0], best)
    return parts


def panel(results, work, setting, lines, top):
    sizes = [size for w, s, size in results.cells() if (w, s) == (work, setting)]
    heading = top + 26
    y = {key: heading + 20 + i * ROW for i, key in enumerate(lines)}
    parts = [text(10, top + 8, PLACES[setting], 13, weight='bold')]
    parts += [text(NAME - 6, y[key] + ROW - 5, name(key), 11, 'end',
                   'bold' if key.library == 'libpipc' else 'normal') for key in lines]
    for i, size in enumerate(sizes):
        keys = [k for k in results.keys() if (k.work, k.setting, k.bytes) == (work, setting, size)]
        parts += column(results, keys, NAME + i * FIELD, y, heading)
    return parts, heading + 20 + len(lines) * ROW + 24


def draw(results, work, note):
    lines, parts, top = lines_of(results, work), [], TOP
    for setting in SETTINGS:
        if any((w, s) == (work, setting) for w, s, _ in results.cells()):
            drawn, top = panel(results, work, setting, lines, top)
            parts += drawn
    width = max(NAME + len(results.sizes()) * FIELD + 10, 720)
    head = [text(10, 22, '%s: %s' % (WORKS[work], HINTS[work]), 15, weight='bold'),
            text(10, 40, note, 11, colour='#555')]
    return '\n'.join(['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
                      'viewBox="0 0 %d %d" font-family="sans-serif">' % (width, top, width, top),
                      '<rect width="100%" height="100%" fill="#fff"/>'] + head + parts
                     + ['</svg>', ''])


def main():
    results, folder = Results(sys.argv[1]), sys.argv[2]
    note = 'Medians of %d rounds; darker: nearer to the best of the column (framed). %s' % (
        results.rounds(), sys.argv[3] if len(sys.argv) > 3 else '')
    for work in WORKS:
        if any(cell[0] == work for cell in results.cells()):
            with open(os.path.join(folder, work + '.svg'), 'w') as file:
                file.write(draw(results, work, note))


main()
