"""Plays a row of a bench: each round runs it on everybody in turn, in a fresh order."""

import random
import subprocess
import sys


def play(row, names, rounds, once, raw, called):
    """The results by name, a list of the rounds each; `raw` gets all of them, who ran as `called`."""
    results = {}
    for number in range(rounds):
        for name in random.sample(names, len(names)):
            try:
                result = once(name, row)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                result = {'error': str(error)}
            if 'error' in result:
                print(f'# {row.name}: {name}: {result["error"]}', file=sys.stderr)
            results.setdefault(name, []).append(result)
            raw.append({**result, 'row': row.name, called: name, 'round': number})
    return results
