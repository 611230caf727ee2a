#!/usr/bin/env python3
"""Measures twoport side by side with its peers, and writes a table and a picture of ratios.

  ./bench                        every row, five rounds
  ./bench --quick                two rounds
  ./bench --rows retr1,stor1     some of them (--list names all)
  ./bench --rows beyond          files that are together larger than memory: minutes, and as much room on the disk
  ./bench --floor                the least servers that there can be, too: which targets this machine allows
  ./bench --profile              where twoport's time goes in each row, by perf, and nothing else

Each round runs a row on every server in turn, in a fresh order. A ratio is taken within a round, of
what twoport needs to what the peer needs, and shown is the median of the rounds: below 1, twoport
needs less. CPU is that of the server's control group, in seconds for each GiB or microseconds for each
operation; other programs on the machine move it least. Rates are turned round, so that less is better
there, too.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import floors
import servers
from picture import picture
from profile_rows import profile
from rounds import play

GIB = 1 << 30
CPU, RATE = ('cpu_s_per_gib', 'CPU s/GiB', 'low'), ('mib_s', 'MiB/s', 'high')
EACH, PER_SECOND = ('cpu_us_per_op', 'CPU us each', 'low'), ('per_s', '/s', 'high')
WALL, TIME = ('wall_s', 's', 'low'), ('ms', 'ms', 'low')
MEMORY = ('pss_per_session', 'bytes each', 'low')
P99, UP = ('noop.p99_ms', 'NOOP p99 ms', 'low'), ('established', 'sessions', 'high')


class Row:
    def __init__(self, name, title, arguments, figures, peers, user=servers.BENCH, more=(), disk=False):
        self.name, self.title, self.arguments, self.figures = name, title, arguments.split(), figures
        self.peers, self.user, self.tls = peers, user, '--tls' in arguments
        self.more, self.disk = more, disk  # arguments of twoport; whether the files lie on a disk


SMALL = '--files 100 --size 1024 --secs 1'
# What the peers promise: nothing is flushed.
AS_PEERS = ('--durable=false',)
NOT_DURABLE = 'twoport --durable=false'
ROWS = [
    Row('retr1', 'RETR 1 GiB', 'retr --path big.bin --streams 1 --repeat 2', [CPU, RATE], ['vsftpd', 'proftpd']),
    Row('retr4', 'RETR 1 GiB, 4 at a time', 'retr --path big.bin --streams 4', [CPU, RATE], ['vsftpd', 'proftpd']),
    Row('stor1', 'STOR 1 GiB', f'stor --path up/big --streams 1 --size {GIB}', [CPU], ['vsftpd', 'pure-ftpd']),
    Row('stor4', 'STOR 512 MiB, 4 at a time', f'stor --path up/big --streams 4 --size {GIB >> 1}', [CPU],
        ['vsftpd', 'pure-ftpd']),
    Row('retr300', '300 clients, RETR 10 MiB', 'mixed --path 10m.bin --streams 300', [WALL, CPU], ['vsftpd']),
    Row('stor300', '300 clients, STOR 10 MiB', f'mixed --op stor --path up/mix --streams 300 --size {10 << 20}',
        [WALL, CPU], ['vsftpd']),
    Row('login', 'log-ins, 8 at a time, anonymous', 'login --streams 8 --secs 1', [PER_SECOND, EACH],
        ['vsftpd', 'libunftp'], servers.ANYBODY),
    Row('password', 'log-ins, 8 at a time, password', 'login --streams 8 --secs 1', [PER_SECOND, EACH],
        ['pure-ftpd', 'pyftpdlib']),
    Row('r1k', 'RETR 1 KiB, 32 sessions', f'small --path k1 --streams 32 {SMALL}', [EACH, PER_SECOND],
        ['pure-ftpd', 'vsftpd']),
    Row('s1k', 'STOR 1 KiB, 32 sessions', f'small --op stor --path up --streams 32 {SMALL}', [EACH, PER_SECOND],
        ['vsftpd', 'pure-ftpd'], more=AS_PEERS),
    Row('port', 'RETR 1 KiB by PORT, 32 sessions', f'small --path k1 --streams 32 --mode port {SMALL}', [PER_SECOND],
        ['pure-ftpd']),
    Row('epsv', 'RETR 1 KiB by EPSV, 32 sessions', f'small --path k1 --streams 32 --mode epsv {SMALL}', [PER_SECOND],
        ['pure-ftpd']),
    Row('list', 'LIST of 100,000', 'list --path d100k --cmd LIST', [TIME, EACH], ['pure-ftpd']),
    Row('mlsd', 'MLSD of 100,000', 'list --path d100k --cmd MLSD', [TIME, EACH], ['pure-ftpd']),
    Row('idle', 'memory of an idle session', 'idle --streams 1000 --path k1/f0', [MEMORY], ['pyftpdlib', 'vsftpd']),
    Row('idle-tls', 'the same under TLS', 'idle --tls --streams 1000 --path k1/f0', [MEMORY],
        ['libunftp', 'pyftpdlib', 'vsftpd']),
    Row('idle19k', '19,000 idle sessions', 'idle --streams 19000 --path k1/f0', [P99, UP], ['pyftpdlib']),
    Row('ftps-retr', 'RETR 1 GiB under TLS', 'retr --tls --path big.bin --streams 1', [CPU, RATE], ['pure-ftpd']),
    Row('ftps-stor', 'STOR 1 GiB under TLS', f'stor --tls --path up/big --streams 1 --size {GIB}', [CPU],
        ['pure-ftpd']),
    Row('ftps-full', 'TLS sessions with a transfer', 'login --tls --transfer --resume none --path k1/f0 --streams 4 '
        '--secs 1', [PER_SECOND, EACH], ['pyftpdlib']),
    Row('s1k-disk', 'STOR 1 KiB, 32 sessions, on a disk', f'small --op stor --path up --streams 32 {SMALL}',
        [EACH, PER_SECOND], [NOT_DURABLE, 'vsftpd'], disk=True),
    Row('stor4-disk', 'STOR 256 MiB, 4 at a time, on a disk', f'stor --path up/big --streams 4 --size {GIB >> 2}',
        [CPU, RATE], [NOT_DURABLE, 'vsftpd'], disk=True),
]
CHURN, COLD, BEYOND = 'churn', 'cold', 'beyond'  # the last of them takes minutes, and must be asked for
COLD_FILES, COLD_LIMIT = 2, 256 << 20  # GiB files, and the memory that the server and its page cache get
WARM = 2000  # sessions until a server has all that it keeps
CLIENT = [('get', 'client: get of 1 GiB'), ('put', 'client: put of 1 GiB')]


def tree(work, loadgen):
    """What is served; in memory, so that no disk is measured."""
    root = work / 'root'
    root.mkdir()
    for name, size in (('big.bin', GIB), ('10m.bin', 10 << 20), ('k1/f0', 1024)):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        subprocess.run([loadgen, 'make', '--path', path, '--size', str(size)], check=True, capture_output=True)
    for number in range(1, 100):
        shutil.copyfile(root / 'k1/f0', root / f'k1/f{number}')
    (root / 'd100k').mkdir()
    for number in range(100_000):
        (root / f'd100k/document-{number:06}.txt').touch()
    return opened(root)


def opened(root):
    """Room for uploads, and everybody may come in."""
    (root / 'up').mkdir()
    (root / 'up').chmod(0o777)
    root.chmod(0o755)
    root.parent.chmod(0o755)
    return root


def figure(result, name):
    for part in name.split('.'):
        result = result.get(part) if isinstance(result, dict) else None
    return result if isinstance(result, (int, float)) and result > 0 else None


class Bench:
    def __init__(self, options, work, loadgen):
        self.options, self.work, self.loadgen = options, work, loadgen
        self.root = tree(work, loadgen)
        self.running, self.port, self.raw, self.disk = {}, options.port, [], None

    def served(self, row):
        """The files of a row; those on a disk are beside the results."""
        if not row.disk:
            return self.root
        if not self.disk:
            out = Path(self.options.out)
            out.mkdir(parents=True, exist_ok=True)
            self.disk = Path(tempfile.mkdtemp(prefix='twoport-bench-', dir=out)) / 'root'
            self.disk.mkdir()
            opened(self.disk)
        return self.disk

    def launch(self, name, row):
        if name in servers.PEERS:
            return servers.PEERS[name]
        return servers.twoport(self.options.binary, row.user, *(AS_PEERS if name == NOT_DURABLE else row.more))

    def server(self, name, row):
        key = (name, row.tls, row.disk, (row.user, row.more) if name == 'twoport' else None)
        if key not in self.running:
            self.port += 1
            log = self.work / f'{name}-{self.port}.log'
            launched = self.launch(name, row)(self.work, self.served(row), self.port, row.tls)
            self.running[key] = servers.Server(name.split()[0], self.port, launched, log)
        return key, self.running[key]

    def once(self, name, row):
        key, server = self.server(name, row)
        self.clear(row)
        command = self.command(server, row)
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        try:
            result = json.loads(done.stdout)
        except ValueError:
            result = {'error': done.stderr[-300:]}
        if row.name.startswith('idle'):
            self.running.pop(key).stop()  # memory is measured on a fresh server
        return result

    def clear(self, row):
        for left in (self.served(row) / 'up').iterdir():
            left.unlink()

    def command(self, server, row):
        return [self.loadgen, row.arguments[0], *server.arguments(), *row.arguments[1:]]

    def row(self, row):
        names = ['twoport', *row.peers]
        results = play(row, names, self.options.rounds, self.once, self.raw, 'server')
        return [self.compared(row, what, results, peer) for what in row.figures for peer in row.peers]

    @staticmethod
    def compared(row, what, results, peer):
        name, unit, better = what
        ours = [figure(result, name) for result in results['twoport']]
        theirs = [figure(result, name) for result in results[peer]]
        pairs = [(a, b) for a, b in zip(ours, theirs) if a and b]
        if not pairs:
            return dict(title=row.title, unit=unit, peer=peer, ratio=None)
        ratios = [a / b if better == 'low' else b / a for a, b in pairs]
        return dict(title=row.title, unit=unit, peer=peer, ratio=statistics.median(ratios),
                    low=min(ratios), high=max(ratios), ours=statistics.median(a for a, _ in pairs),
                    theirs=statistics.median(b for _, b in pairs))

    def client(self, op, title):
        """The client as a whole process against curl; vsftpd serves both."""
        row = Row(op, title, 'x', [], ['vsftpd'])
        _, server = self.server('vsftpd', row)
        base = f'ftp://127.0.0.1:{server.port}'
        remote, local = ('big.bin', self.work / 'got') if op == 'get' else ('up/put', self.root / 'big.bin')
        commands = {
            'twoport': [self.options.binary, op, *((f'{base}/{remote}', local) if op == 'get' else (local, f'{base}/{remote}'))],
            'curl': ['curl', '-s', *(('-o', local) if op == 'get' else ('-T', local)), f'{base}/{remote}'],
        }
        used = {name: [] for name in commands}
        for _ in range(self.options.rounds):
            for name in random.sample(list(commands), 2):
                (self.work / 'got').unlink(missing_ok=True)
                for left in (self.root / 'up').iterdir():
                    left.unlink()
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                done = subprocess.run([str(word) for word in commands[name]], stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, timeout=600)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                arrived = self.work / 'got' if op == 'get' else self.root / 'up/put'
                if done.returncode or not arrived.exists() or arrived.stat().st_size != GIB:
                    print(f'# {op}: {name}: exit {done.returncode}: {done.stderr[-300:]}', file=sys.stderr)
                    return dict(title=title, unit='CPU s', peer='curl', ratio=None)
                used[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        (self.work / 'got').unlink(missing_ok=True)
        ratios = [a / b for a, b in zip(used['twoport'], used['curl'])]
        return dict(title=title, unit='CPU s', peer='curl', ratio=statistics.median(ratios), low=min(ratios),
                    high=max(ratios), ours=statistics.median(used['twoport']), theirs=statistics.median(used['curl']))

    def churn(self):
        """What the server holds after many sessions with a download came and went, beside what it
        held after the first."""
        row = Row(CHURN, '', 'x', [], [])
        key, server = self.server('twoport', row)

        def pss():
            text = Path(f'/proc/{server.process.pid}/smaps_rollup').read_text()
            return next(int(line.split()[1]) for line in text.splitlines() if line.startswith('Pss:')) / 1024

        held, done = {}, 0
        for until in (WARM, WARM + self.options.churn):
            while done < until:
                command = [self.loadgen, 'login', *server.arguments(), '--transfer', '--path', 'k1/f0',
                           '--streams', '8', '--secs', '1']
                ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
                done += json.loads(ran.stdout)['n']
            time.sleep(2)
            held[until] = pss()
        self.running.pop(key).stop()
        before, after = held.values()
        self.raw.append({'row': CHURN, 'server': 'twoport', 'sessions': done, 'mib': held})
        return dict(title=f'memory after {done:,} sessions', unit='MiB', peer=f'after {WARM:,}', ours=after,
                    theirs=before, ratio=after / before, low=after / before, high=after / before)

    def cold(self):
        """What a session hears of NOOP while others download files that do not fit into the memory
        that the server and its page cache have, beside what it hears when they do not."""
        row = Row(COLD, '', f'retr --path cold0 --streams {COLD_FILES}', [], [], disk=True)
        self.make_cold(row, GIB)
        idle, busy, _ = self.read_cold('twoport', row, 2, COLD_LIMIT)
        title = f'NOOP while {COLD_FILES} cold GiB files are sent, {COLD_LIMIT >> 20} MiB of memory'
        return [ratio(title, 'p99 ms', busy, 'when idle', idle)]

    def beyond(self):
        """The same with files that are together larger than the memory of the machine, and vsftpd beside it."""
        row = Row(BEYOND, '', f'retr --path cold0 --streams {COLD_FILES}', [], [], disk=True)
        pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
        size = (pages // COLD_FILES // GIB + 1) * GIB
        self.make_cold(row, size)
        found = {}
        for name in ('twoport', 'vsftpd'):
            _, busy, results = self.read_cold(name, row, 1, None)
            rate = COLD_FILES * (size >> 20) / max(result['wall_s'] for result in results)
            # Both generators see the server's whole time; the last to end sees all of it.
            cpu = max(result['server_cpu_s'] for result in results) / (COLD_FILES * size / GIB)
            found[name] = busy, rate, cpu
        title = f'{COLD_FILES} cold files of {size // GIB} GiB, beyond memory'
        (busy, rate, cpu), (their_busy, their_rate, their_cpu) = found['twoport'], found['vsftpd']
        return [ratio(title, 'MiB/s', rate, 'vsftpd', their_rate, their_rate / rate),
                ratio(title, 'CPU s/GiB', cpu, 'vsftpd', their_cpu),
                ratio('NOOP meanwhile', 'p99 ms', busy, 'vsftpd', their_busy)]

    def make_cold(self, row, size):
        root = self.served(row)
        for number in range(COLD_FILES):
            path = root / f'cold{number}'
            subprocess.run([self.loadgen, 'make', '--path', path, '--size', str(size)], check=True, capture_output=True)
            with open(path, 'rb') as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def read_cold(self, name, row, times, limit):
        """NOOP when nothing happens and while all cold files are sent, and what was said of their transfers."""
        key, server = self.server(name, row)
        if limit:
            server.group.limit(limit)
        idle = noop_p99(server, lambda taken: len(taken) < 1000)
        transfers = [subprocess.Popen([self.loadgen, 'retr', *server.arguments(), '--path', f'cold{number}',
                                       '--streams', '1', '--repeat', str(times)], stdout=subprocess.PIPE)
                     for number in range(COLD_FILES)]
        busy = noop_p99(server, lambda _: any(transfer.poll() is None for transfer in transfers))
        results = [json.loads(transfer.stdout.read()) for transfer in transfers]
        self.running.pop(key).stop()
        self.raw.append({'row': row.name, 'server': name, 'noop_p99_ms': busy, 'idle_ms': idle, 'transfers': results})
        return idle, busy, results

    def close(self):
        for server in self.running.values():
            server.stop()
        if self.disk:
            shutil.rmtree(self.disk.parent)


def noop_p99(server, more):
    """Milliseconds; one NOOP each millisecond or so, as long as there are more to be asked."""
    taken = []
    with socket.create_connection(('127.0.0.1', server.port), 20) as control:
        control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = control.makefile('rb')
        replies.readline()
        user, password = server.user
        for command in (f'USER {user}', f'PASS {password}'):
            control.sendall(f'{command}\r\n'.encode())
            replies.readline()
        while more(taken):
            began = time.perf_counter()
            control.sendall(b'NOOP\r\n')
            if not replies.readline().startswith(b'200'):
                raise RuntimeError('NOOP was not answered 200')
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(0.001)
    return statistics.quantiles(taken, n=100)[98]


def ratio(title, unit, ours, peer, theirs, quotient=None):
    """A row of one measurement."""
    quotient = quotient or ours / theirs
    return dict(title=title, unit=unit, peer=peer, ours=ours, theirs=theirs, ratio=quotient, low=quotient, high=quotient)


def short(number):
    return f'{number:,.0f}' if number >= 100 else f'{number:.3g}'


def table(rows, circumstances):
    out = ['# What twoport costs beside its peers', '',
           'Made by `./bench`; how it measures is said at the top of `benches/run.py`. ' + circumstances, '',
           'A ratio is twoport\'s figure to the peer\'s, the other way round for rates: below 1, twoport needs less.',
           '', '| what | figure | twoport | peer | its figure | ratio | least to most |',
           '|---|---|---:|---|---:|---:|---|']
    for row in rows:
        if row['ratio'] is None:
            out.append(f'| {row["title"]} | {row["unit"]} | | {row["peer"]} | | not measured | |')
        else:
            out.append(f'| {row["title"]} | {row["unit"]} | {short(row["ours"])} | {row["peer"]} | '
                       f'{short(row["theirs"])} | **{row["ratio"]:.2f}** | {row["low"]:.2f} to {row["high"]:.2f} |')
    return '\n'.join(out) + '\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--binary', default=str(servers.ROOT / 'target/release/twoport'))
    parser.add_argument('--loadgen', default=str(servers.HERE / 'loadgen/target/release/loadgen'))
    parser.add_argument('--rows', default='')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--churn', type=int, default=20_000, help='how many sessions come and go in that row')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--floor', action='store_true')
    parser.add_argument('--profile', action='store_true')
    parser.add_argument('--port', type=int, default=22000)
    parser.add_argument('--out', default=str(servers.ROOT / 'target/bench'), help='where the results are written')
    options = parser.parse_args()
    if options.quick:
        options.rounds = 2
    names = floors.ROWS if options.floor else [row.name for row in ROWS] + [CHURN, COLD] + [op for op, _ in CLIENT]
    known = names if options.floor else [*names, BEYOND]
    if options.list:
        return print('\n'.join(known))
    wanted = options.rows.split(',') if options.rows else names
    unknown = set(wanted) - set(known)
    if unknown:
        parser.error(f'no such rows: {", ".join(sorted(unknown))}')
    memory = '/dev/shm' if os.path.isdir('/dev/shm') else None
    work = Path(tempfile.mkdtemp(prefix='twoport-bench-', dir=memory))
    # So that a stop from outside takes the servers along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    bench, rows, loads = None, [], [os.getloadavg()[0]]
    try:
        bench = Bench(options, work, options.loadgen)
        if options.profile:
            return profile(bench, [row for row in ROWS if row.name in wanted], Path(options.out))
        if options.floor:
            rows = floors.measured(bench, [row for row in ROWS if row.name in wanted], figure)
            said = circumstances(options, loads)
            return written(options, bench, 'floor.json', {'floor.md': floors.table(rows, said)})
        for row in ROWS:
            if row.name in wanted:
                add(rows, bench.row(row))
                loads.append(os.getloadavg()[0])
        if CHURN in wanted:
            add(rows, [bench.churn()])
        if COLD in wanted:
            add(rows, bench.cold())
        if BEYOND in wanted:
            add(rows, bench.beyond())
        for op, title in CLIENT:
            if op in wanted:
                add(rows, [bench.client(op, title)])
    finally:
        if bench:
            bench.close()
        shutil.rmtree(work)
    said = circumstances(options, loads)
    written(options, bench, 'raw.json', {'benchmark.md': table(rows, said), 'benchmark.svg': picture(rows, said)})


def circumstances(options, loads):
    loads = [*loads, os.getloadavg()[0]]
    return (f'{time.strftime("%Y-%m-%d", time.gmtime())}, Linux {".".join(os.uname().release.split(".")[:2])}, {os.cpu_count()} cores, '
            f'loopback, files in memory, {options.rounds} rounds, medians; load of the machine '
            f'{min(loads):.1f} to {max(loads):.1f}.')


def written(options, bench, raw, files):
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    files[raw] = json.dumps(bench.raw)
    for name, text in files.items():
        (out / name).write_text(text)
    print(f'written: {out}/{", ".join(files)}')


def add(rows, more):
    rows += more
    for row in more:
        ratio = 'not measured' if row['ratio'] is None else (
            f'{row["ratio"]:.2f} [{row["low"]:.2f}..{row["high"]:.2f}]  {short(row["ours"])} to {short(row["theirs"])}')
        print(f'{row["title"]:36} {row["unit"]:12} {row["peer"]:10} {ratio}', flush=True)


if __name__ == '__main__':
    main()
