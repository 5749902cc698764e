#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""summary.py NAME=LOG...: counts single tests over meson's testlog.json files and prints `N passed, N failed`.

A program that broke without a failed line of its own counts as one failure, and so does a report that a sanitizer left
beside the log (sanitizer.PID). Exits with 1 if anything failed or nothing passed.
"""
import glob
import json
import os
import re
import sys


def count(entry):
    """Passed, failed and skipped lines of one test program."""
    passed = failed = skipped = 0
    for line in entry.get('stdout', '').split('\n'):
        match = re.match(r'\s*(not )?ok\b([^#]*)(#\s*skip\b)?', line, flags=re.I)
        if not match:
            continue
        if match.group(3):
            skipped += 1
        elif match.group(1):
            failed += 1
        else:
            passed += 1
    if entry['result'] in ('SKIP',) and not skipped:
        skipped += 1
    elif entry['result'] not in ('OK', 'SKIP', 'EXPECTEDFAIL') and not failed:
        failed += 1
    return passed, failed, skipped


def main():
    totals = [0, 0, 0]
    for argument in sys.argv[1:]:
        name, log = argument.split('=', 1)
        sums = {}
        if not os.path.exists(log):
            print(f'{name}: no {log}: the tests did not run')
            totals[1] += 1
            continue
        with open(log, encoding='utf-8') as f:
            for line in f:
                entry = json.loads(line)
                suite = entry['name'].split(' / ')[0].split(':')[-1]
                got = count(entry)
                sums[suite] = [a + b for a, b in zip(sums.get(suite, [0, 0, 0]), got)]
                if got[1]:
                    print(f'--- {name}: {entry["name"]}: {entry["result"]}')
                    print(entry.get('stdout', '')[-6000:])
                    print(entry.get('stderr', '')[-6000:])
        for report in glob.glob(os.path.join(os.path.dirname(log), 'sanitizer.*')):
            with open(report, encoding='utf-8', errors='replace') as f:
                print(f'--- {name}: {report}\n{f.read()[:6000]}')
            sums.setdefault('sanitizer', [0, 0, 0])[1] += 1
        for suite, (passed, failed, skipped) in sorted(sums.items()):
            print(f'{name:10} {suite:10} {passed:5} passed {failed:3} failed {skipped:3} skipped')
            totals = [a + b for a, b in zip(totals, (passed, failed, skipped))]
    tail = f', {totals[2]} skipped' if totals[2] else ''
    print(f'{totals[0]} passed, {totals[1]} failed{tail}')
    return 1 if totals[1] or not totals[0] else 0


if __name__ == '__main__':
    sys.exit(main())
