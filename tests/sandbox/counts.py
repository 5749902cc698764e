#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""counts.py BUILD: how many system calls the filters let through as they are compiled, and that the manual names them. TAP.

A filter is followed down every way that some arguments lead, for each number: what ends in "allow" counts.
"""
import re
import sys

BUILD = sys.argv[1]
ROOT = __file__.rsplit('/', 3)[0]
X86_64 = 0xc000003e
ALLOW = 0x7fff0000
# A filter, the most it may allow, the page that names them.
LIMITS = {('helper', 'serve'): 80, ('helper', 'native'): 80, ('helper', 'accept'): 80,
          ('device', 'serve'): 45, ('device', 'threads'): 45, ('device', 'disks'): 45}
PAGES = {'helper': 'docs/man/virtfs-proxy-helper.8.pod', 'device': 'docs/man/virtfs-device.8.pod'}
JUMPS = {0x15: lambda a, k: a == k, 0x25: lambda a, k: a > k, 0x35: lambda a, k: a >= k, 0x45: lambda a, k: bool(a & k)}


def filters(name):
    """The arrays of a generated header, and the names of the numbers."""
    with open(f'{BUILD}/seccomp/{name}_filter.h', encoding='utf-8') as f:
        text = f.read()
    arrays = {n: [tuple(int(v, 0) for v in row) for row in re.findall(r'\{(0x\w+), (\d+), (\d+), (0x\w+)\}', body)]
              for n, body in re.findall(rf'sock_filter {name}_(\w+)\[\] = \{{(.*?)\}};', text, flags=re.S)}
    return arrays, {int(n): c for n, c in re.findall(r'\{(\d+), "(\w+)"\}', text)}


def allows(code, number):
    """Whether the call is allowed with some arguments."""
    ways, seen = [(0, None)], set()
    while ways:
        at, a = ways.pop()
        if (at, a) in seen:
            continue
        seen.add((at, a))
        op, yes, no, k = code[at]
        if op == 0x06:
            if k == ALLOW:
                return True
        elif op == 0x20:  # only the call's number and the architecture are known
            ways.append((at + 1, {0: number, 4: X86_64}.get(k)))
        elif op == 0x54:
            ways.append((at + 1, None if a is None else a & k))
        elif op == 0x05:
            ways.append((at + 1 + k, a))
        elif op in JUMPS:
            ways += [(at + 1 + to, a) for to, taken in ((yes, True), (no, False)) if a is None or JUMPS[op](a, k) == taken]
        else:
            raise ValueError(f'an instruction that is not known here: {op:#x}')
    return False


def told(page):
    """What the page's chapter SYSTEM CALLS names, by filter: "I<filter> (how many): calls.", "those of I<other>" among them."""
    with open(f'{ROOT}/{page}', encoding='utf-8') as f:
        chapter = re.search(r'^=head1 SYSTEM CALLS$(.*?)^=head1', f.read(), flags=re.S | re.M)
    found = re.findall(r'I<(\w+)> \((\d+)\):\s+(.*?)\.\n', chapter.group(1) if chapter else '', flags=re.S)
    pages = {}
    for name, count, calls in found:
        other = re.match(r'those of I<(\w+)>,\s*', calls)
        words = set(re.split(r'[,\s]+', calls[other.end() if other else 0:]))
        pages[name] = int(count), words | (pages[other.group(1)][1] if other and other.group(1) in pages else set())
    return pages


def main():
    bad = []
    for name, page in PAGES.items():
        arrays, names = filters(name)
        pages = told(page)
        for section, code in arrays.items():
            calls = {c for n, c in names.items() if allows(code, n)}
            most = LIMITS.get((name, section), 0)
            if len(calls) > most:
                bad.append(f'{name} [{section}] allows {len(calls)} calls, at most {most} are promised')
            if pages.get(section) != (len(calls), calls):
                bad.append(f'{page} must say under SYSTEM CALLS:\n#   I<{section}> ({len(calls)}): {", ".join(sorted(calls))}.')
            print(f'# {name} [{section}]: {len(calls)} system calls')
    print(f'{"not ok" if bad else "ok"} 1 - the filters allow no more than is promised, and what the manual names')
    for b in bad:
        print(f'# {b}')
    print('1..1')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
