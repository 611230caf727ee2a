"""Where twoport's time goes in each row: what perf sees of the server while the load runs."""

import subprocess
import time


def profile(bench, rows, out):
    """Runs each row once on twoport alone under `perf record`, and writes a table."""
    lines = ['# Where twoport spends its time', '',
             'Made by `./bench --profile`: what `perf record` samples of the server while each row runs, without the '
             'peers.', '', '| row | in the program, in libc, in the kernel | the functions with most of it |',
             '|---|---|---|']
    for row in rows:
        where, functions = sampled(bench, row)
        lines.append(f'| {row.title} | {where} | {functions} |')
        print(lines[-1], flush=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / 'profile.md').write_text('\n'.join(lines) + '\n')
    print(f'written: {out}/profile.md')


def sampled(bench, row):
    key, server = bench.server('twoport', row)
    bench.clear(row)
    data = bench.work / 'perf.data'
    record = ['perf', 'record', '-q', '-F', '1999', '-o', str(data), '-p', str(server.process.pid)]
    perf = subprocess.Popen(record, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    done = subprocess.run(bench.command(server, row), capture_output=True, text=True, timeout=900)
    perf.send_signal(2)
    perf.wait(20)
    bench.running.pop(key).stop()
    if done.returncode:
        return f'the load failed: {done.stdout[-100:]}', ''
    return ', '.join(report(data, 'dso')[:3]), ', '.join(report(data, 'sym')[:6])


def report(data, by):
    """The shares that are worth a word, the largest first."""
    command = ['perf', 'report', '-i', str(data), '--no-children', '--sort', by, '--stdio', '--percent-limit', '1']
    text = subprocess.run(command, capture_output=True, text=True).stdout
    shares = []
    for line in text.splitlines():
        share, _, name = line.strip().partition('%')
        if line.startswith('#') or not name:
            continue
        name = name.strip().removeprefix('[k] ').removeprefix('[.] ')
        shares.append(f'{name} {float(share):.0f} %')
    return shares
