#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""unused.py BUILD TESTS...: which allowed system calls nothing uses, as TAP.

Runs the test programs (paths below BUILD) on a helper and a device whose filters tell each allowed call to a tracer
(record.c), line by line of their policies. A line without a use is to go, or to say by a ~ before the call that no test can
make it, and why. What the tests themselves say is not looked at: they run slowly so.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CALLS_MAX = 16  # as seccomp/compile.c has it
PROGRAMS = {'helper': 'VIRTFS_HELPER', 'device': 'VIRTFS_DEVICE'}


def policy(name):
    """Each call of a policy: (its number, its line's number, section, its text)."""
    section = None
    with open(f'{ROOT}/seccomp/{name}.policy', encoding='utf-8') as f:
        for number, line in enumerate(f, 1):
            head = re.match(r'\[(\w+)', line)
            if head:
                section = head.group(1)
            elif line.strip() and not line.startswith('#'):
                for place, call in enumerate(line.split()[0].split(',')):
                    yield number * CALLS_MAX + place, number, section, call


def run(build, program, without):
    """One test program, to its end."""
    env = dict(os.environ, VIRTFS_SANITIZED='1', VIRTFS_FIDS='40000', VIRTFS_LAUNCHER=f'{build}/launcher/virtfs',
               **{variable: f'{build}/tests/sandbox/record-{name}' for name, variable in PROGRAMS.items()})
    if without:
        env['VIRTFS_HIDE'] = without
    subprocess.run([f'{build}/{program}', '-j1', '--timeout', '120'], env=env, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False)


def main():
    build, programs = os.path.abspath(sys.argv[1]), sys.argv[2:]
    with tempfile.NamedTemporaryFile(mode='r', prefix='virtfs-record.') as record:
        os.environ['VIRTFS_RECORD'] = record.name
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for program in programs:
                path, _, without = program.partition(':')
                pool.submit(run, build, path, without)
        used = {tuple(line.split()) for line in record.read().split('\n') if line}
    bad = 0
    for count, name in enumerate(PROGRAMS, 1):
        own = {int(told) for program, told in used if program == name}
        rest = [f'{name}.policy:{line}: [{section}] {call}' for told, line, section, call in policy(name)
                if section != 'sanitize' and call[0] != '~' and told not in own]
        bad += bool(rest or not own)
        print(f'{"not ok" if rest or not own else "ok"} {count} - each call that {name}.policy allows is made by some test')
        print(f'# {len(own)} of the policy\'s calls were made')
        for r in rest:
            print(f'# nothing makes {r}')
    print(f'1..{len(PROGRAMS)}')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
