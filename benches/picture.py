"""Draws the ratios as bars on a logarithmic scale: an SVG without scripts or fonts of its own."""

import math
from html import escape

LEFT, WIDTH, STEP, TOP = 330, 420, 18, 64
LEAST, MOST = 1 / 128, 4


def place(ratio):
    ratio = min(max(ratio, LEAST), MOST)
    return LEFT + WIDTH * math.log(ratio / LEAST) / math.log(MOST / LEAST)


def picture(rows, circumstances):
    rows = [row for row in rows if row['ratio'] is not None]
    height = TOP + STEP * len(rows) + 24
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 70} {height}" '
           'font-family="sans-serif" font-size="11">', '<rect width="100%" height="100%" fill="#fff"/>',
           '<text x="8" y="18" font-size="14" font-weight="bold">twoport beside its peers: less is better</text>',
           f'<text x="8" y="34" fill="#555">{escape(circumstances)}</text>']
    for power in range(-7, 3):
        ratio = 2.0 ** power
        x = place(ratio)
        label = f'1/{2 ** -power}' if power < 0 else str(2 ** power)
        line = '#000' if power == 0 else '#ddd'
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 20}" stroke="{line}"/>')
        out.append(f'<text x="{x:.1f}" y="{TOP - 10}" text-anchor="middle" fill="#555">{label}</text>')
    one = place(1)
    for number, row in enumerate(rows):
        y, x = TOP + STEP * number, place(row['ratio'])
        colour = '#2a7d4f' if row['ratio'] <= 1 else '#b5472f'
        label = f'{row["title"]}, {row["unit"].removesuffix(" each")}: {row["peer"]}'
        out.append(f'<text x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(label)}</text>')
        out.append(f'<rect x="{min(x, one):.1f}" y="{y + 2}" width="{abs(one - x):.1f}" height="11" fill="{colour}"/>')
        out.append(f'<line x1="{place(row["low"]):.1f}" y1="{y + 7.5}" x2="{place(row["high"]):.1f}" y2="{y + 7.5}" '
                   'stroke="#000" stroke-opacity="0.45"/>')
        out.append(f'<text x="{LEFT + WIDTH + 8}" y="{y + 11}">{row["ratio"]:.2f}</text>')
    return '\n'.join(out) + '\n</svg>\n'
