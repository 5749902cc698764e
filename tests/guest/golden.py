#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""golden.py LOG CACHE: the 9P requests of each operation with that cache mode, out of the device's log at level debug.

golden.py --table [--write]: the table of docs/requests.md out of golden.d/. Prints nothing and exits with 0 if the page has it
already; --write puts it in.

Between the log's lines there are "mark prepare CACHE", "mark begin NAME", "mark end RESULT" and "mark later". Fids, times and
inode numbers are left out: they are other ones each time, or say nothing.
"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(os.path.dirname(os.path.dirname(HERE)), 'docs/requests.md')
BEGIN, END = '<!-- table of tests/guest/golden.d -->\n', '<!-- end of table -->\n'
CACHES = ['none', 'mmap', 'loose']

HEAD = """# SPDX-License-Identifier: GPL-2.0-or-later
# Each file operation and how it ended, its 9P requests and what came back, and what came later when all was
# written back (+). Made by tests/guest/golden --update.
"""
# Fields that are shown.
ASKED = {'version': ['msize', 'version'], 'attach': ['uname', 'n_uname'], 'walk': ['names'], 'lopen': ['flags'],
         'lcreate': ['name', 'flags', 'mode'], 'symlink': ['name', 'target'], 'mknod': ['name', 'mode', 'major', 'minor'],
         'rename': ['name'], 'getattr': ['request_mask'], 'setattr': ['valid', 'mode', 'size'], 'xattrwalk': ['name'],
         'xattrcreate': ['name', 'attr_size', 'flags'], 'readdir': ['offset', 'count'], 'fsync': ['datasync'],
         'lock': ['type', 'flags', 'start', 'length'], 'getlock': ['type', 'start', 'length'], 'link': ['name'],
         'mkdir': ['name', 'mode'], 'renameat': ['oldname', 'newname'], 'unlinkat': ['name', 'flags'],
         'read': ['offset', 'count'], 'write': ['offset', 'count']}
ANSWERED = {'lerror': ['ecode'], 'version': ['msize'], 'read': ['count'], 'write': ['count'], 'readdir': ['count'],
            'lock': ['status'], 'getlock': ['type'], 'xattrwalk': ['size'], 'readlink': ['target']}
VALID_MODE, VALID_SIZE = 1, 8 # of Tsetattr


def shown(name, text, which):
    """A message in one line."""
    fields = re.findall(r' (\w+)=(\[[^]]*\]|"(?:\\.|[^"\\])*"|\S+)', text)
    values = dict(fields)
    wanted = which.get(name, [])
    if name == 'setattr' and which is ASKED:
        valid = int(values['valid'], 0)
        wanted = ['valid'] + ['mode'] * bool(valid & VALID_MODE) + ['size'] * bool(valid & VALID_SIZE)
    if name == 'readdir' and which is ASKED and values['offset'] != '0x0':
        values['offset'] = 'on' # whatever the host's file system has for it
    return ' '.join([('T' if which is ASKED else 'R') + name] + [f'{f}={values[f]}' for f in wanted])


def exchanges(lines):
    """Requests in their order, each with its reply."""
    found, waiting = [], {}
    for line in lines:
        match = re.match(r'virtfs-device: debug: tag (\d+) (?:([TR])(\w+)(.*)|(.*))$', line)
        if not match:
            continue
        tag, kind, name, text, other = match.groups()
        if kind == 'T':
            waiting[tag] = [shown(name, text, ASKED), None]
            found.append(waiting[tag])
        elif tag in waiting:
            waiting.pop(tag)[1] = other or shown(name, text, ANSWERED)
        else:
            found.append([f'tag {tag}', other or shown(name, text, ANSWERED)])
    return [f'{asked} -> {answered or "nothing yet"}' for asked, answered in found]


def render(log, cache):
    out, part, name, now = [HEAD], [], '', None
    for line in log:
        if not line.startswith('mark '):
            part.append(line.rstrip('\n'))
            continue
        _, word, rest = line.rstrip('\n').split(' ', 2) if line.count(' ') > 1 else (*line.split(), '')
        if word == 'prepare':
            now = rest
        elif word == 'begin':
            name = rest
        elif word == 'end' and now == cache:
            out.append(f'\n{name}: {rest}\n' + ''.join(f'  {e}\n' for e in exchanges(part)))
        elif word == 'later' and now == cache:
            out.append(''.join(f'+ {e}\n' for e in exchanges(part)))
        part = []
    return ''.join(out)


# ---- the table ----

def stored():
    """{kernel: {cache: {operation: [result, requests, requests later]}}}, operations in their order."""
    kernels = {}
    for file in sorted(os.listdir(os.path.join(HERE, 'golden.d'))):
        kernel, cache = re.fullmatch(r'linux-(.+)-(\w+)', file).groups()
        operations = kernels.setdefault(kernel, {}).setdefault(cache, {})
        with open(os.path.join(HERE, 'golden.d', file), encoding='utf-8') as f:
            name = None
            for line in f:
                if line.startswith('  '):
                    operations[name][1].append(line.split()[0])
                elif line.startswith('+ '):
                    operations[name][2].append(line.split()[1])
                elif line.strip() and not line.startswith('#'):
                    before, (name, result) = name, line.strip().rsplit(': ', 1)
                    if name.endswith(' again'):
                        name = f'{before.removesuffix(", again")}, again'
                    operations[name] = [result, [], []]
    return kernels


def counted(requests):
    """Twalk 2, Tclunk: in the order of their first ones."""
    counts = {}
    for r in requests:
        counts[r] = counts.get(r, 0) + 1
    return ', '.join(r + (f' {n}' if n > 1 else '') for r, n in counts.items())


def cell(operation):
    result, requests, later = operation
    return (str(len(requests)) + (f' + {len(later)}' if later else '') + (f': {counted(requests + later)}' if requests + later else '')
            + (f' ({result})' if result != 'ok' else ''))


def table():
    out = ''
    for kernel, modes in stored().items():
        caches = [c for c in CACHES if c in modes]
        out += f'\n### Linux {kernel}\n\n| operation | {" | ".join("cache=" + c for c in caches)} |\n|---|{"---|" * len(caches)}\n'
        for name in modes[caches[0]]:
            out += f'| {name} | {" | ".join(cell(modes[c][name]) for c in caches)} |\n'
    return out + '\n'


def keep_page(write):
    with open(PAGE, encoding='utf-8') as f:
        text = f.read()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    wanted = before + BEGIN + table() + END + after
    if wanted == text:
        return 0
    if not write:
        print('docs/requests.md: tests/guest/golden.py --table --write makes it what golden.d/ has')
        return 1
    with open(PAGE, 'w', encoding='utf-8') as f:
        f.write(wanted)
    return 0


def main():
    if sys.argv[1] == '--table':
        return keep_page('--write' in sys.argv)
    with open(sys.argv[1], encoding='utf-8', errors='replace') as log:
        sys.stdout.write(render(log, sys.argv[2]))
    return 0


if __name__ == '__main__':
    sys.exit(main())
