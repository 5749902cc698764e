#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""summary.py NAME=LOG...: counts single tests over meson's testlog.json files and prints `N passed, N failed`.
summary.py --failed LOG: the names of the programs that failed, a line each, if it is worth running them once more.

A program that broke without a failed line of its own counts as one failure, and so does a report that a sanitizer left
beside the log (sanitizer.PID). What a program that was run once more did then stands in LOG with `-again` before `.json`;
what it said the first time is shown all the same. Exits with 1 if anything failed or nothing passed.
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


AGAIN_MAX = 4  # programs: if more fail, it is not for a moment's noise


def entries(log):
    """What meson wrote of each program, by its name."""
    if not os.path.exists(log):
        return {}
    with open(log, encoding='utf-8') as f:
        return {entry['name']: entry for entry in map(json.loads, f)}


def reports(log):
    return glob.glob(os.path.join(os.path.dirname(log), 'sanitizer.*'))


def print_failed(log):
    """A sanitizer's report is never noise: then there is nothing to run again."""
    failed = [name.split(' / ')[-1] for name, entry in entries(log).items() if count(entry)[1]]
    if len(failed) <= AGAIN_MAX and not reports(log):
        for name in failed:
            print(name)


def show(title, entry):
    print(f'--- {title}: {entry["result"]}')
    print(entry.get('stdout', '')[-6000:])
    print(entry.get('stderr', '')[-6000:])


def main():
    if sys.argv[1:2] == ['--failed']:
        print_failed(sys.argv[2])
        return 0
    totals = [0, 0, 0]
    passed_again = []
    for argument in sys.argv[1:]:
        name, log = argument.split('=', 1)
        sums = {}
        if not os.path.exists(log):
            print(f'{name}: no {log}: the tests did not run')
            totals[1] += 1
            continue
        again = entries(log.replace('.json', '-again.json'))
        for title, entry in entries(log).items():
            got = count(entry)
            if got[1]:
                show(f'{name}: {title}', entry)
            if got[1] and title in again:
                got = count(again[title])
                if got[1]:
                    show(f'{name}: {title}, once more', again[title])
                else:
                    passed_again.append(f'{name}: {title}')
            suite = title.split(' / ')[0].split(':')[-1]
            sums[suite] = [a + b for a, b in zip(sums.get(suite, [0, 0, 0]), got)]
        for report in reports(log):
            with open(report, encoding='utf-8', errors='replace') as f:
                print(f'--- {name}: {report}\n{f.read()[:6000]}')
            sums.setdefault('sanitizer', [0, 0, 0])[1] += 1
        for suite, (passed, failed, skipped) in sorted(sums.items()):
            print(f'{name:10} {suite:10} {passed:5} passed {failed:3} failed {skipped:3} skipped')
            totals = [a + b for a, b in zip(totals, (passed, failed, skipped))]
    for title in passed_again:
        print(f'failed at first, and passed when it was run once more: {title}')
    tail = f', {totals[2]} skipped' if totals[2] else ''
    print(f'{totals[0]} passed, {totals[1]} failed{tail}')
    return 1 if totals[1] or not totals[0] else 0


if __name__ == '__main__':
    sys.exit(main())
