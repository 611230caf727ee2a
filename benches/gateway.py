#!/usr/bin/env python3
"""Measures `twoport gateway` side by side with its peers, and writes a table of ratios.

  ./bench-gateway                          every row, five rounds
  ./bench-gateway --rows retr,small32      some of them (--list names all)

Client, router and server are three network namespaces with veth between them. vsftpd, and under TLS
Pure-FTPd, serves files of memory, and one gateway at a time stands in the router, started anew for each run, in a fresh order each
round. A ratio is taken within a round, and shown is the median of the rounds; above 1 twoport is better: its
rate to the peer's, or the peer's CPU to its own. The CPU of the gateway is that of its control group;
the CPU of the whole is that of client, server and gateway together, and of the kernel's work for them,
which is where a gateway in the kernel has its own.
"""

import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gateway_parts as parts
import servers
from rounds import play

GIB = 1 << 30
RATE, OPS = ('mib_s', 'MiB/s', 'high'), ('per_s', 'files/s', 'high')
GATEWAY, WHOLE = ('cpu_s_per_gib', 'gateway\'s CPU s/GiB', 'low'), ('whole_s_per_gib', 'whole CPU s/GiB', 'low')
EACH, WHOLE_EACH = ('cpu_us_per_op', 'gateway\'s CPU us each', 'low'), ('whole_us_per_op', 'whole CPU us each', 'low')
CLIENT_SEAT, REVERSE, HELPER = 'twoport --seat client', 'twoport --seat reverse', 'kernel\'s helper'
HAPROXY, MOD_PROXY = 'haproxy, splicing', 'mod_proxy'
# What stands in the router, and whom clients dial.
GATEWAYS = {
    CLIENT_SEAT: (parts.seat_client, parts.PLAIN),
    HELPER: (None, parts.PLAIN),
    REVERSE: (parts.seat_reverse, parts.ROUTER_LAN),
    HAPROXY: (parts.haproxy, parts.ROUTER_LAN),
    MOD_PROXY: (parts.mod_proxy, parts.ROUTER_LAN),
}


class Row:
    """What is asked of the load generator, through which gateways, and the least ratio of rates that is wanted."""

    def __init__(self, name, title, arguments, ours, figures, peers):
        self.name, self.title, self.arguments, self.ours = name, title, arguments.split(), ours
        self.figures, self.peers, self.tls = figures, peers, '--tls' in arguments


RETR, STOR = 'retr --path big.bin --repeat 2', f'stor --path up/big --size {GIB}'
UNDER_TLS = f'--tls --user {servers.BENCH[0]} --pass {servers.BENCH[1]}'
SMALL = 'small --path k1 --files 100 --size 1024 --secs 2 --streams'
ROWS = [
    Row('retr', 'RETR 1 GiB', RETR, CLIENT_SEAT, [RATE, WHOLE], {HELPER: 0.95}),
    Row('stor', 'STOR 1 GiB', STOR, CLIENT_SEAT, [RATE, WHOLE], {HELPER: 0.95}),
    Row('small1', 'RETR 1 KiB, 1 session', f'{SMALL} 1', CLIENT_SEAT, [OPS, EACH, WHOLE_EACH], {HELPER: 0.8, MOD_PROXY: 2}),
    Row('small32', 'RETR 1 KiB, 32 sessions', f'{SMALL} 32', CLIENT_SEAT, [OPS, EACH, WHOLE_EACH],
        {HELPER: 0.8, MOD_PROXY: 2}),
    Row('splice-retr', 'relay, RETR 1 GiB', RETR, REVERSE, [RATE, GATEWAY, WHOLE], {HAPROXY: 0.9, MOD_PROXY: None}),
    Row('splice-stor', 'relay, STOR 1 GiB', STOR, REVERSE, [RATE, GATEWAY, WHOLE], {HAPROXY: 0.9, MOD_PROXY: None}),
    Row('relay-small32', 'relay, RETR 1 KiB, 32 sessions', f'{SMALL} 32', REVERSE, [OPS, EACH], {MOD_PROXY: None}),
    Row('tls-retr', 'TLS relay, RETR 1 GiB', f'retr --path big.bin {UNDER_TLS}', REVERSE, [RATE, GATEWAY, WHOLE], {MOD_PROXY: 2}),
    Row('tls-stor', 'TLS relay, STOR 1 GiB', f'{STOR} {UNDER_TLS}', REVERSE, [RATE, GATEWAY, WHOLE], {MOD_PROXY: 2}),
]
# Sessions that are held at once, and their memory in the gateway.
HELD = [
    Row('held-client', 'held, client seat', 'idle --path k1/f0', CLIENT_SEAT, [], {}),
    Row('held-reverse', 'held, relay', 'idle --path k1/f0', REVERSE, [], {}),
    Row('held-tls', 'held, TLS on both sides', f'idle --path k1/f0 {UNDER_TLS}', REVERSE, [], {}),
]


class Bench:
    def __init__(self, options, work):
        self.options, self.work, self.raw = options, work, []
        self.networks, self.programs = parts.Networks(), []
        self.whole = servers.Group(f'gwbench-{os.getpid()}')
        self.mine = servers.Group(f'gwbench-{os.getpid()}/client')

    def prepare(self):
        root = self.work / 'root'
        root.mkdir()
        for name, size in [('big.bin', GIB)] + [(f'k1/f{number}', 1024) for number in range(100)]:
            (root / name).parent.mkdir(exist_ok=True)
            parts.run(self.options.loadgen, 'make', '--path', root / name, '--size', size)
        (root / 'up').mkdir()
        (root / 'up').chmod(0o777)
        root.chmod(0o755)
        self.work.chmod(0o755)
        self.networks.make()
        launched = {
            'vsftpd': parts.vsftpd(self.work, root, parts.PLAIN, (61000, 63999)),
            'few-ports': parts.vsftpd(self.work, root, parts.BEHIND_HAPROXY, parts.FEW_PORTS, parts.ROUTER_LAN),
            'pure-ftpd': parts.pure(self.work, root, parts.SECURE),
        }
        for name, (command, environment) in launched.items():
            self.start('server', name, command, environment)

    def start(self, host, name, command, environment):
        program = parts.Program(self.networks.inside(host, *command), f'gwbench-{os.getpid()}/{name}',
                                self.work / f'{name}.log', environment)
        self.programs.append(program)
        return program

    def load(self, arguments, address, program=None):
        known = ['--addr', f'{address}:21']
        if program:
            known += ['--pid', program.process.pid]
            if program.group.cpu:
                known += ['--cg-cpu', program.group.cpu, '--cg-mem', program.group.memory]
        command = self.networks.inside('client', self.options.loadgen, *arguments, *known)
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, preexec_fn=self.mine.enter)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {'error': done.stderr[-300:]}

    def once(self, name, row):
        make, address = GATEWAYS[name]
        self.networks.rules(parts.HELPER if name == HELPER else '')
        program = None
        try:
            if make:
                command, environment = make(self.options.binary, self.work, row.tls)
                program = self.start('router', 'gateway', command, environment)
                if name.startswith('twoport'):
                    program.said('ready')
            self.until_it_serves(address, UNDER_TLS.split() if row.tls else [])
            before = cpu(self.whole)
            result = self.load(row.arguments, address, program)
            if before is not None:
                used = cpu(self.whole) - before
                result['whole_s_per_gib'] = used * GIB / result['bytes'] if result.get('bytes') else None
                result['whole_us_per_op'] = used * 1e6 / result['n'] if result.get('n') else None
            return result
        finally:
            if program:
                self.programs.remove(program)
                program.stop()

    def until_it_serves(self, address, how):
        """A download through it, which also makes it warm."""
        deadline = time.time() + 20
        warm = ['login', '--transfer', '--path', 'k1/f0', '--secs', '0.1', *how]
        while 'error' in (result := self.load(warm, address)):
            if time.time() > deadline:
                raise RuntimeError(f'no download through it: {result["error"]}')
            time.sleep(0.1)

    def row(self, row):
        names = [row.ours, *row.peers]
        results = play(row, names, self.options.rounds, self.once, self.raw, 'gateway')
        # What the kernel does itself has no process whose CPU could be told.
        return [compared(row, what, results, peer) for peer in row.peers for what in row.figures
                if what not in (GATEWAY, EACH) or GATEWAYS[peer][0]]

    def held(self, row):
        row.arguments += ['--streams', str(self.options.held)]
        result = self.once(row.ours, row)
        self.raw.append({**result, 'row': row.name})
        if 'error' in result:
            print(f'# {row.name}: {result["error"]}', file=sys.stderr)
        return result

    def close(self):
        for program in reversed(self.programs):
            program.stop()
        self.networks.close()
        self.mine.remove()
        self.whole.remove()


def cpu(group):
    """Seconds that a control group and those below it have used."""
    if not group.cpu:
        return None
    old = group.cpu / 'cpuacct.usage'
    if old.exists():
        return int(old.read_text()) / 1e9
    return int((group.cpu / 'cpu.stat').read_text().split()[1]) / 1e6


def compared(row, what, results, peer):
    name, unit, better = what
    pairs = [(a[name], b[name]) for a, b in zip(results[row.ours], results[peer]) if a.get(name) and b.get(name)]
    out = dict(title=row.title, unit=unit, ours=row.ours, peer=peer, ratio=None,
               target=row.peers[peer] if what in (RATE, OPS) else None)
    if pairs:
        ratios = [a / b if better == 'high' else b / a for a, b in pairs]
        out.update(ratio=statistics.median(ratios), low=min(ratios), high=max(ratios),
                   figure=statistics.median(a for a, _ in pairs), theirs=statistics.median(b for _, b in pairs))
    return out


def short(number):
    return f'{number:,.0f}' if number >= 100 else f'{number:.3g}'


def line(row):
    if row['ratio'] is None:
        return f'| {row["title"]} | {row["unit"]} | | {row["peer"]} | | not measured | | |'
    return (f'| {row["title"]} | {row["unit"]} | {short(row["figure"])} | {row["peer"]} | {short(row["theirs"])} | '
            f'**{row["ratio"]:.2f}** | {row["low"]:.2f} to {row["high"]:.2f} | {row["target"] or ""} |')


def held_line(row, result):
    each, noop = result.get('pss_per_session'), result.get('noop', {}).get('p99_ms')
    return (f'| {row.title} | {result.get("established", 0):,} | {short(each) if each else "not measured"} | '
            f'{short(noop) if noop else ""} |')


def report(rows, held, circumstances):
    out = ['# The gateway beside its peers', '',
           'Made by `./bench-gateway`; how it measures is said at the top of `benches/gateway.py`. ' + circumstances]
    if rows:
        out += ['', 'Above 1 twoport is better.', '',
                '| what | figure | twoport | peer | its figure | ratio | least to most | target |',
                '|---|---|---:|---|---:|---:|---|---|', *map(line, rows)]
    if held:
        out += ['', '| what | sessions established | bytes of memory each | NOOP p99 ms |', '|---|---:|---:|---:|',
                *(held_line(row, result) for row, result in held)]
    return '\n'.join(out) + '\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--binary', default=str(servers.ROOT / 'target/release/twoport'))
    parser.add_argument('--loadgen', default=str(servers.HERE / 'loadgen/target/release/loadgen'))
    parser.add_argument('--rows', default='')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--held', type=int, default=5000, help='how many sessions are held at once')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--out', default=str(servers.ROOT / 'target/bench'), help='where the results are written')
    options = parser.parse_args()
    names = [row.name for row in ROWS + HELD]
    if options.list:
        return print('\n'.join(names))
    wanted = options.rows.split(',') if options.rows else names
    if unknown := set(wanted) - set(names):
        parser.error(f'no such rows: {", ".join(sorted(unknown))}')
    # So that a stop from outside takes networks and servers along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    work = Path(tempfile.mkdtemp(prefix='twoport-gateway-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None))
    bench, rows, held, loads = None, [], [], [os.getloadavg()[0]]
    try:
        bench = Bench(options, work)
        bench.prepare()
        for row in (row for row in ROWS if row.name in wanted):
            rows += (more := bench.row(row))
            print('\n'.join(map(line, more)), flush=True)
            loads.append(os.getloadavg()[0])
        for row in (row for row in HELD if row.name in wanted):
            held.append((row, bench.held(row)))
            print(held_line(*held[-1]), flush=True)
            loads.append(os.getloadavg()[0])
    finally:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_IGN)
        if bench:
            bench.close()
        subprocess.run(['rm', '-rf', str(work)], check=True)
    circumstances = (f'{time.strftime("%Y-%m-%d", time.gmtime())}, Linux {".".join(os.uname().release.split(".")[:2])}, '
                     f'{os.cpu_count()} cores, {options.rounds} rounds, medians; load of the machine '
                     f'{min(loads):.1f} to {max(loads):.1f}.')
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / 'gateway.md').write_text(report(rows, held, circumstances))
    (out / 'gateway.json').write_text(json.dumps(bench.raw))
    print(f'written: {out}/gateway.md, gateway.json')


if __name__ == '__main__':
    main()
