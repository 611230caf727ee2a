"""What the machine allows: the least FTP servers (floor/) beside twoport and the peer whose figure a target
is set by.

A target that neither twoport nor a floor reaches is forbidden here: by the protocol, the kernel or the
number of cores, not by what twoport does between. A floor that cannot run a row (19,000 threads have more
memory maps than a process may) says nothing about it.
"""

import statistics

from rounds import play

KINDS = ['floor tokio', 'floor threads']
WHOLE = [f'{kind} whole' for kind in KINDS]  # the promise that no half upload has the target's name
SIGNS = {'high': '≥', 'low': '≤'}
# A row of the bench, the unit of a figure of it, a peer, and what the figure shall be, times the peer's.
TARGETS = [
    ('login', '/s', 'libunftp', 1.3),
    ('login', '/s', 'vsftpd', 12),
    ('r1k', 'CPU us each', 'pure-ftpd', 0.75),
    ('r1k', '/s', 'pure-ftpd', 1.3),
    ('s1k', 'CPU us each', 'vsftpd', 0.65),
    ('port', '/s', 'pure-ftpd', 1.3),
    ('epsv', '/s', 'pure-ftpd', 1.3),
    ('list', 'ms', 'pure-ftpd', 0.75),
    ('mlsd', 'ms', 'pure-ftpd', 0.65),
    ('idle19k', 'NOOP p99 ms', 'pyftpdlib', 0.1),
]
ROWS = list(dict.fromkeys(name for name, *_ in TARGETS))


def measured(bench, rows, figure):
    """The lines of the table."""
    lines = []
    for row in rows:
        targets = [target for target in TARGETS if target[0] == row.name]
        # A transfer after the NOOPs would cost a floor, which gives no listener back, more descriptors than
        # there may be.
        row.arguments = [word for word in row.arguments if row.name != 'idle19k' or word not in ('--path', 'k1/f0')]
        ways = [KINDS, WHOLE] if row.name == 's1k' else [KINDS]
        peers = list(dict.fromkeys(peer for _, _, peer, _ in targets))
        names = ['twoport', *peers, *(name for way in ways for name in way)]
        results = play(row, names, bench.options.rounds, bench.once, bench.raw, 'server')
        for _, unit, peer, target in targets:
            name, _, better = next(what for what in row.figures if what[1] == unit)
            for way in ways:
                title = row.title + (', never half a file' if way is WHOLE else '')
                figures = {who: [figure(result, name) for result in results[who]] for who in ['twoport', peer, *way]}
                lines.append(judged(title, unit, better, target, peer, way, figures))
                print(as_line(lines[-1]), flush=True)
    return lines


def judged(title, unit, better, target, peer, floors, figures):
    """A line of the table. Ratios are to the peer within a round, and their median counts."""
    ratios = {}
    for name in ['twoport', *floors]:
        pairs = [(a, b) for a, b in zip(figures[name], figures[peer]) if a and b]
        ratios[name] = statistics.median(a / b for a, b in pairs) if pairs else None

    def reaches(ratio):
        return ratio is not None and (ratio >= target if better == 'high' else ratio <= target)

    if any(map(reaches, ratios.values())):
        verdict = 'possible'
    else:
        verdict = 'forbidden here' if any(ratios[name] for name in floors) else 'not measured'
    own = [value for value in figures[peer] if value]
    return dict(title=title, unit=unit, peer=peer, theirs=statistics.median(own) if own else None,
                ratios=[ratios[name] for name in ['twoport', *floors]], target=f'{SIGNS[better]} {target}', verdict=verdict)


def as_line(line):
    ratios = ' | '.join('not measured' if ratio is None else f'{ratio:.2f}' for ratio in line['ratios'])
    theirs = '' if line['theirs'] is None else f'{line["theirs"]:,.0f}' if line['theirs'] >= 100 else f'{line["theirs"]:.3g}'
    return (f'| {line["title"]} | {line["unit"]} | {line["peer"]} | {theirs} | {ratios} | {line["target"]} | '
            f'{line["verdict"]} |')


def table(lines, circumstances):
    out = ['# What this machine allows', '', 'Made by `./bench --floor`. ' + circumstances, '',
           'A ratio is a figure to the peer\'s within a round, the median of the rounds. A target that neither twoport nor '
           'a floor reaches is forbidden here.', '',
           '| what | figure | peer | its figure | twoport | floor (tokio) | floor (threads) | target | |',
           '|---|---|---|---:|---:|---:|---:|---|---|']
    return '\n'.join(out + [as_line(line) for line in lines]) + '\n'
