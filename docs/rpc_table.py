#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""rpc_table.py [--write]: the table of docs/protocol-rpc.md out of wire/rpc.def.

Prints nothing and exits with 0 if the page has it already; --write puts it in.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, 'docs/protocol-rpc.md')
BEGIN, END = '<!-- table of wire/rpc.def -->\n', '<!-- end of table -->\n'


def fields(text):
    """F(u64, node) F(name, name) as `node[8] name[s]`."""
    sizes = {'u8': '1', 'u16': '2', 'u32': '4', 'u64': '8'}
    return ' '.join(f'{n}[{sizes.get(t, t)}]' for t, n in re.findall(r'F\((\w+), (\w+)\)', text)) or '–'


def table():
    with open(os.path.join(ROOT, 'wire/rpc.def'), encoding='utf-8') as f:
        text = re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)
    rows = ['| # | name | policy | request | reply |', '|---|---|---|---|---|']
    for message in re.split(r'^MSG\(', text, flags=re.M)[1:]:
        number, name, _, policy, rest = [s.strip() for s in message.split(',', 4)]
        depth = at = 0
        for at, c in enumerate(rest):
            depth += (c == '(') - (c == ')')
            if c == ',' and depth == 0:
                break
        words = policy.replace('RPC_', '').replace('_', ' ').replace(' | ', ', ').lower()
        rows.append(f'| {number} | {name} | {words if policy != "0" else ""} | {fields(rest[:at])} | {fields(rest[at:])} |')
    return '\n'.join(rows) + '\n'


def main():
    with open(PAGE, encoding='utf-8') as f:
        page = f.read()
    head, rest = page.split(BEGIN)
    wanted = head + BEGIN + table() + END + rest.split(END)[1]
    if '--write' in sys.argv:
        with open(PAGE, 'w', encoding='utf-8') as f:
            f.write(wanted)
    elif wanted != page:
        print('docs/protocol-rpc.md does not have the table of wire/rpc.def: run docs/rpc_table.py --write')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
