#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""walls_out.py --check: each row of the threat model has an entry of walls_out/*.toml, and each entry's change can be made.
walls_out.py BUILD [WORD]: makes each change (of WORD's entries), in a copy of the tree under BUILD, and sees the tests fail.

A promise of docs/threat-model.md is worth what its tests are worth: each must fail when the wall it stands on is taken out.
An entry is

    [[out]]
    row = "the beginning of the row's promise"
    wall = "what is taken out"
    change = [["file", "text that is in it once", "what stands there instead"]]
    fails = ["FILE:TEST", ...]     # as in the table; of each at least one test must fail

or, for a row whose wall is no single place, `row` and `why`. Output is TAP.
"""
import filecmp
import fnmatch
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MODEL = 'docs/threat-model.md'
PROGRAMS = ('helper/virtfs-proxy-helper', 'virtio-9p/virtfs-device', 'launcher/virtfs')
BUILD_S, TEST_S = 600, 400  # seconds that one of them may take


def text(path, root=ROOT):
    with open(os.path.join(root, path), encoding='utf-8') as f:
        return f.read()


def entries():
    for path in sorted(glob.glob(f'{HERE}/walls_out/*.toml')):
        with open(path, 'rb') as f:
            for entry in tomllib.load(f)['out']:
                yield entry | {'file': os.path.basename(path)}


def promises():
    """The rows' promises, each with the tests that it names."""
    for line in text(MODEL).split('\n'):
        cells = [c.strip() for c in line.strip('|').split('|')] if line.startswith('|') else []
        if len(cells) == 5 and cells[0] != 'process' and not re.fullmatch('-+', cells[0]):
            yield cells[2], cells[4].split()


def check():
    rows, problems, seen = list(promises()), [], set()
    for entry in entries():
        at = f'{entry["file"]}: {entry.get("wall", entry["row"])}'
        own = [(p, tests) for p, tests in rows if p.startswith(entry['row'])]
        if len(own) != 1:
            problems.append(f'{at}: {len(own)} rows of {MODEL} begin with "{entry["row"]}", not one')
            continue
        promise, tests = own[0]
        seen.add(promise)
        if 'why' in entry:
            continue
        for path, old, new in entry['change']:
            if text(path).count(old) != 1 or old == new:
                problems.append(f'{at}: {path} has what is to change {text(path).count(old)} times, not once')
        problems += [f'{at}: {t} is no test of that row' for t in entry['fails']
                     if not any(fnmatch.fnmatch(t, n) or t.startswith(n + ':') or fnmatch.fnmatch(n, t) for n in tests)]
    problems += [f'no wall is taken out for: {promise}' for promise, _ in rows if promise not in seen]
    print(f'{"not ok" if problems else "ok"} 1 - each promise of the threat model has a wall that can be taken out')
    for p in problems:
        print(f'# {p}')
    print('1..1')
    return bool(problems)


def copy_changed(old, new):
    """Leaves a file alone that is the same, so that it is not compiled again."""
    if not os.path.isfile(old) or (os.path.isfile(new) and filecmp.cmp(old, new, shallow=False)):
        return
    os.makedirs(os.path.dirname(new), exist_ok=True)
    shutil.copy(old, new)


class Copy:
    """A copy of the tree, built anew after each change."""

    def __init__(self, top):
        self.source, self.build = f'{top}/source', f'{top}/build'
        os.makedirs(self.source, exist_ok=True)
        files = subprocess.run(['git', '-C', ROOT, 'ls-files', '-z'], capture_output=True, text=True, check=True).stdout
        for path in files.strip('\0').split('\0'):
            copy_changed(os.path.join(ROOT, path), os.path.join(self.source, path))
        if not os.path.exists(f'{self.build}/build.ninja'):
            shutil.rmtree(self.build, ignore_errors=True)
            subprocess.run(['meson', 'setup', self.build, self.source], stdout=subprocess.DEVNULL, check=True)
        self.programs = {}  # a source under tests/: what runs it
        tests = {t['cmd'][0]: t for t in reversed(self.introspect('tests'))}
        for target in self.introspect('targets'):
            for path in target['filename']:
                if path in tests:
                    for group in target['target_sources']:
                        for source in group['sources']:
                            self.programs[os.path.relpath(source, f'{self.source}/tests')] = tests[path]

    def introspect(self, what):
        return json.loads(subprocess.run(['meson', 'introspect', f'--{what}', self.build], capture_output=True, check=True).stdout)

    def make(self, tests):
        """Return: what is wrong, or None. What a fuzz target is given is a target itself: its seeds."""
        cmds = [self.programs[t.partition(':')[0]]['cmd'] for t in tests]
        targets = {os.path.relpath(c[0], self.build) for c in cmds} | {a for c in cmds for a in c[1:] if '/seeds-' in a}
        r = subprocess.run(['ninja', '-C', self.build, *PROGRAMS, *sorted(targets)],
                           capture_output=True, text=True, timeout=BUILD_S, check=False)
        return 'it does not build: ' + r.stdout[-2000:] if r.returncode else None

    def fails(self, which):
        """Whether at least one test of FILE:TEST fails."""
        name, _, pattern = which.partition(':')
        program = self.programs[name]
        args = ['--filter', f'*/{pattern}'] if pattern else []
        try:
            r = subprocess.run(program['cmd'] + args, env=os.environ | program['env'], stdin=subprocess.DEVNULL, cwd=self.build,
                               capture_output=True, text=True, errors='replace', timeout=TEST_S, check=False)
        except subprocess.TimeoutExpired:
            return True
        if program['protocol'] != 'tap' or r.returncode < 0:
            return r.returncode not in (0, 77)
        if not re.search(r'^(not )?ok\b(?!.*# SKIP)', r.stdout, re.M | re.I):
            sys.exit(f'{which}: no test of that name ran: {r.stdout}{r.stderr}')
        return re.search(r'^not ok\b', r.stdout, re.M) is not None

    def put(self, path, content):
        with open(os.path.join(self.source, path), 'w', encoding='utf-8') as f:
            f.write(content)


def take_out(copy, entry):
    """Return: what is wrong, or None."""
    for path, old, new in entry['change']:
        copy.put(path, text(path, copy.source).replace(old, new))
    try:
        wrong = copy.make(entry['fails'])
        passed = [] if wrong else [t for t in entry['fails'] if not copy.fails(t)]
        return wrong or (f'passes all the same: {" ".join(passed)}' if passed else None)
    finally:
        for path, _, _ in entry['change']:
            copy.put(path, text(path))


def main():
    if sys.argv[1] == '--check':
        return check()
    copy = Copy(os.path.abspath(sys.argv[1]))
    count = bad = 0
    for entry in entries():
        if 'why' in entry or not all(w in entry['row'] + entry['wall'] + entry['file'] for w in sys.argv[2:]):
            continue
        count += 1
        wrong = take_out(copy, entry)
        bad += wrong is not None
        print(f'{"ok" if wrong is None else "not ok"} {count} - {entry["wall"]}', flush=True)
        if wrong:
            print('# ' + wrong.replace('\n', '\n# '), flush=True)
    print(f'1..{count}')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
