#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""lint.py BUILD: the rules of the house, as TAP.

Layers and single owners (DESIGN in docs/architecture.md), headers that compile alone, SPDX lines, the seccomp policies
against the functions they name, options against the manual pages, and the tools clang-format and shellcheck.
"""
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv[1])

# What a folder may include besides itself.
LAYERS = {
    'common': [],
    'wire': ['common'],
    'helper': ['common', 'wire', 'seccomp'],
    'seccomp': ['common'],
    'launcher': ['common', 'wire'],
    'proxy-client': ['common', 'wire'],
    'virtio': ['common', 'wire'],
    'control': ['common'],
    'virtio-blk': ['common', 'wire', 'virtio', 'control'],
    'virtio-9p': ['common', 'wire', 'proxy-client', 'virtio', 'control', 'virtio-blk', 'seccomp'],
}
LGPL = ['common', 'wire', 'proxy-client']

# What only one file may use: pattern, files, and where it is looked for.
OWNERS = [
    (r'\b(recvmsg|sendmsg|recvmmsg|sendmmsg|SCM_RIGHTS)\b', ['common/usock.c'], None),
    (r'\b(SYS_openat2|openat2\()', ['helper/node.c'], None),
    (r'\bopenat\(', ['helper/node.c'], 'helper'),
    (r'\b(open_by_handle_at|name_to_handle_at)\(', ['helper/handle.c'], None),
    (r'\b(SYS_)?(setfsuid|setfsgid|capset)\b', ['helper/cred.c'], None),
    (r'proc/self/fd', ['helper/jail.c', 'helper/lockdown.c'], None),
    (r'\b(open_tree|move_mount|chroot|umount2|mount)\(|SYS_pivot_root', ['common/confine.c', 'helper/jail.c'], None),
    (r'\b(l|f)?(get|set|list|remove)xattr\(', ['helper/node.c'], None),
    (r'#include "seccomp/load.h"', ['helper/lockdown.c', 'seccomp/load.c', 'virtio-9p/lockdown.c'], None),
    (r'\bSYS_landlock_|linux/landlock\.h', ['common/landlock.c'], None),
    (r'liburing\.h', ['common/ring.c'], None),
    (r'jansson\.h', ['control/control.h'], None),
    (r'\bmmap\(', ['virtio/memory.c'], 'virtio'),
    (r'->host\b', ['virtio/memory.c'], 'virtio'),
    (r'\biov_base\b', ['virtio/memory.c', 'virtio/memory.h'], 'virtio'),
    (r'\b(fork|execve|execvp|execv)\(', ['common/daemon.c', 'common/userns.c', 'helper/idmap.c', 'launcher/spawn.c'], None),
]
LINES_MAX = 800

# Calls that make a descriptor: what their arguments must have for exec to close it (None: there is a better call).
MAKE_DESCRIPTORS = [
    (r'open|openat|sys_openat2|open_by_handle_at|open_tree|fsopen|fsmount|socket|socketpair|accept4|pipe2|epoll_create1|'
     r'eventfd|signalfd|timerfd_create|memfd_create|inotify_init1|mkostemp|dup3', r'CLOEXEC'),
    (r'recvmsg|recvmmsg', r'MSG_CMSG_CLOEXEC'),
    (r'fopen|fdopen', r'"\w*e\w*"'),
    (r'creat|accept|pipe|dup|epoll_create|inotify_init|mkstemp|tmpfile|popen', None),
    (r'F_DUPFD', None),
]
# Descriptors that are to outlive an exec.
KEPT_DESCRIPTORS = [('common/confine.c', 'open("/dev/null", O_RDWR)')]

count = failed = skipped = 0


def report(name, problems, skip=None):
    """Prints one TAP line and what is wrong."""
    global count, failed, skipped
    count += 1
    if skip:
        skipped += 1
        print(f'ok {count} - {name} # SKIP {skip}')
        return
    failed += bool(problems)
    print(f'{"not ok" if problems else "ok"} {count} - {name}')
    for p in problems:
        print(f'# {p}')


def tracked(*suffixes):
    """Files of the tree, by git where there is one."""
    try:
        out = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True,
                             check=True).stdout.split('\n')
    except (OSError, subprocess.CalledProcessError):
        out = [os.path.relpath(os.path.join(d, f), ROOT) for d, _, fs in os.walk(ROOT) for f in fs]
    return sorted(f for f in out if f and (not suffixes or f.endswith(suffixes)) and os.path.isfile(os.path.join(ROOT, f)))


def text(path):
    """The text of a file of the tree."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read()


def without_comments(code):
    """Code with its comments blanked, its strings kept, and its lines where they were."""
    def blank(match):
        return match.group(0) if match.group(0)[0] == '"' else re.sub(r'[^\n]', ' ', match.group(0))
    return re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', blank, code, flags=re.S)


def check_layers(sources):
    problems = []
    for path in sources:
        folder = path.split('/')[0]
        if folder not in LAYERS:
            continue
        for line, included in re.findall(r'^(#include "([^"]+)")', text(path), flags=re.M):
            other = included.split('/')[0]
            if other != folder and other not in LAYERS[folder]:
                problems.append(f'{path}: {line}: {folder}/ may include {", ".join(LAYERS[folder]) or "nothing"}')
    report('each folder includes only what its layer may', problems)


def check_owners(sources):
    problems = []
    for pattern, owners, folder in OWNERS:
        used = False
        for path in sources:
            if path.split('/')[0] not in LAYERS or (folder and not path.startswith(folder + '/')):
                continue
            if not re.search(pattern, without_comments(text(path))):
                continue
            used = True
            if path not in owners:
                problems.append(f'{path} uses {pattern}, which belongs to {", ".join(owners) or "nobody"}')
        if owners and not used:
            problems.append(f'{pattern}: no file uses it; take the rule out')
    report('each dangerous thing has one owner', problems)


def arguments(code, start):
    """The text from an opening parenthesis to its closing one."""
    depth = 0
    for i in range(start, len(code)):
        depth += {'(': 1, ')': -1}.get(code[i], 0)
        if depth == 0:
            return code[start:i + 1]
    return code[start:]


def check_descriptors(sources):
    problems = []
    for path in sources:
        if path.split('/')[0] not in LAYERS or not path.endswith('.c'):
            continue
        code = without_comments(text(path))
        for names, need in MAKE_DESCRIPTORS:
            for call in re.finditer(rf'(?<![\w>.])({names})\b(?=\(|\W)', code):
                rest = code[call.end():]
                if not rest.startswith('(') and call.group(1) != 'F_DUPFD':
                    continue
                # What a function's own name is followed by.
                if re.match(r'static|int|void', code[code.rfind('\n', 0, call.start()) + 1:]):
                    continue
                told = arguments(code, call.end())
                if (path, call.group(1) + told) not in KEPT_DESCRIPTORS and not (need and re.search(need, told)):
                    line = code.count('\n', 0, call.start()) + 1
                    problems.append(f'{path}:{line}: {call.group(1)}: must have {need or "another call in its place"}')
    report('each descriptor is closed by exec', problems)


def check_heads(files):
    problems = []
    for path in files:
        if not path.endswith(('.c', '.h', '.def', '.py', '.sh', '.policy', 'meson.build', 'meson_options.txt', '.pod')):
            continue
        want = 'LGPL-2.1-or-later' if path.split('/')[0] in LGPL else 'GPL-2.0-or-later'
        head = '\n'.join(text(path).split('\n')[:4])
        if f'SPDX-License-Identifier: {want}\n' not in head.replace(' */', '\n') + '\n':
            problems.append(f'{path}: no line SPDX-License-Identifier: {want}')
    report('each file names its licence', problems)


def check_sizes(sources):
    report(f'no file has more than {LINES_MAX} lines',
           [p for p in sources if text(p).count('\n') > LINES_MAX])


def check_headers(sources):
    problems = []
    compiler = os.environ.get('CC', 'cc').split()
    flags = ['-std=gnu17', '-D_GNU_SOURCE', '-DVIRTFS_VERSION=""', '-I', ROOT, '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-x', 'c', '-']
    for path in sources:
        if not path.endswith('.h') or re.search(r'/expand_\w+\.h$', path):
            continue
        got = subprocess.run(compiler + flags, input=f'#include "{path}"\n#include "{path}"\n', text=True, capture_output=True)
        if got.returncode:
            problems.append(f'{path}: {got.stderr.splitlines()[0]}')
    report('each header compiles alone, and twice', problems)


# How C says a system call that it does not call by its name.
MADE_BY = {
    'brk': r'(m|c|re)alloc\w*|free', 'munmap': r'munmap|(m|c)alloc|free', 'mremap': r'(m|c|re)alloc\w*|free',
    'capset': r'SYS_capset', 'epoll_pwait': r'epoll_wait', 'exit_group': r'return|_exit', 'fstat': r'fstat\w*',
    'getdents64': r'SYS_getdents64', 'futex': r'pthread_(mutex|cond)_\w+|sem_\w+', 'getcpu': r'sched_getcpu', 'io_uring_enter': r'io_uring_submit',
    'io_uring_register': r'io_uring_register\w*', 'newfstatat': r'(f|l)?stat(at)?', 'openat2': r'SYS_openat2',
    'pread64': r'pread', 'restart_syscall': r'epoll_wait|sem_\w+', 'rt_sigreturn': r'siginfo_t', 'seccomp': r'SYS_seccomp',
    'setfsgid': r'SYS_setfsgid', 'setfsuid': r'SYS_setfsuid',
}
# What stands in a test of the policy, but in the C library's code.
NOT_OURS = re.compile(r'FUTEX_\w+|MREMAP_MAYMOVE|IORING_REGISTER_FILES_UPDATE|\d+|AT_EMPTY_PATH')


def with_callees(path, name, seen):
    """The body of a function and of what it calls in the same file; '' if there is no such function."""
    code = without_comments(text(path))
    start = re.search(rf'^\w[^;{{}}=]*\b{name}\([^;{{}}]*\)\s*\{{', code, flags=re.M)
    if not start:
        return ''
    depth, end = 1, start.end()
    while depth and end < len(code):
        depth += {'{': 1, '}': -1}.get(code[end], 0)
        end += 1
    seen.add(name)
    body = code[start.start():end]
    for other in re.findall(r'^\w[^;{}=\n]*?\b(\w+)\([^;{}]*\)\s*\{', code, flags=re.M):
        if other not in seen and re.search(rf'\b{other}\b', body[start.end() - start.start():]):
            body += with_callees(path, other, seen)
    return body


def check_policies():
    """The function that a line of a policy names is there, and makes the call, with the values that are allowed."""
    problems = []
    for path in tracked('.policy'):
        for number, line in enumerate(text(path).split('\n'), 1):
            where = re.search(r'(\S+/\S+\.(?:c|md)):(\w+)', line)
            if line.startswith('#') or not where:
                continue
            name, function = where.groups()
            at = f'{path}:{number}: {name}'
            if name.endswith('.md') and re.search(rf'\b{function}\b', text(name)):
                continue
            body = with_callees(name, function, set()) if os.path.isfile(os.path.join(ROOT, name)) else ''
            if not body:
                problems.append(f'{at} has no function {function}')
                continue
            for call in line.split()[0].replace('~', '').split(','):
                if not re.search(rf'\b({MADE_BY.get(call, call)})\b', body):
                    problems.append(f'{at}: {function} does not make the call {call}')
            values = re.findall(r'== (\S+)', line[:where.start()])
            for value in [v for each in values for v in each.split('|') if not NOT_OURS.fullmatch(v)]:
                if not re.search(rf'\b{value}\b', body):
                    problems.append(f'{at}: {function} has no {value}')
    report('each allowed system call is made by the function that its line names', problems)


# Tables whose last column names the tests: the document, its columns, and whether "none: why" may stand there.
TABLES = [
    ('docs/threat-model.md', ['process', 'asset', 'promise', 'wall', 'test'], False),
    ('docs/block-requirements.md', ['row', 'what is so here', 'test'], True),
]
# The rows of the second: letter and how many there are.
REQUIREMENTS = {'F': 13, 'T': 11, 'R': 9, 'P': 9, 'D': 9}


def has_test(where):
    """Whether FILE:TEST (a star stands for any ending) or FILE is there, under tests/."""
    name, _, test = where.partition(':')
    path = 'tests/' + name
    if not os.path.isfile(os.path.join(ROOT, path)):
        return False
    return not test or re.search(rf'\bTest\(\s*\w+,\s*{test.replace("*", "[a-z0-9_]*")}\b', text(path)) is not None


def check_tests_of_tables():
    """Every row of the tables names tests that are there."""
    problems, first_cells = [], set()
    for path, head, may_lack in TABLES:
        rows, wanted = 0, False
        for number, line in enumerate(text(path).split('\n'), 1):
            cells = [c.strip() for c in line.strip('|').split('|')] if line.startswith('|') else []
            if not cells:
                wanted = False
            elif cells == head:
                wanted = True
            elif wanted and not re.fullmatch(r'[|-]+', line):
                rows += 1
                first_cells |= set(cells[0].split())
                if len(cells) != len(head) or not all(cells):
                    problems.append(f'{path}:{number}: a row is {", ".join(head)}')
                elif not (may_lack and re.match(r'none: \w', cells[-1])):
                    problems += [f'{path}:{number}: there is no test {t}' for t in cells[-1].split() if not has_test(t)]
        if rows == 0:
            problems.append(f'{path}: no table of {", ".join(head)}')
    wanted = {f'{letter}{i}' for letter, count in REQUIREMENTS.items() for i in range(1, count + 1)}
    problems += [f'{TABLES[1][0]}: no row {r}' for r in sorted(wanted - first_cells)]
    report('each promise of the threat model and each requirement of disks has a test', problems)


def check_confinement():
    """Each rule of AppArmor and SELinux names, in a comment behind it, a function that exists."""
    problems = []
    for path in [f for f in tracked() if re.match(r'launcher/(apparmor/|selinux/.*\.te$)', f)]:
        for number, line in enumerate(text(path).split('\n'), 1):
            rule = line.split('#')[0].strip()
            if not re.match(r'(allow|type_transition)\b', rule) and not (path.startswith('launcher/apparmor/') and rule.endswith(',')):
                continue
            where = re.search(r'# (\S+/\S+\.c):(\w+)$', line)
            if rule.startswith('abi ') or rule.startswith('include '):
                continue
            if not where:
                problems.append(f'{path}:{number}: no FILE:FUNCTION says who needs it')
            elif not os.path.isfile(os.path.join(ROOT, where.group(1))) or not re.search(rf'\b{where.group(2)}\(', text(where.group(1))):
                problems.append(f'{path}:{number}: {where.group(1)} has no {where.group(2)}')
    report('each rule of AppArmor and SELinux names a function that exists', problems)
    check_tool('AppArmor takes its profiles', ['apparmor_parser', '--skip-kernel-load', '--skip-cache'],
               [f for f in tracked() if f.startswith('launcher/apparmor/')])
    check_tool('SELinux takes its module', ['checkmodule', '-M', '-m', '-o', os.path.join(BUILD, 'virtfs.mod')],
               ['launcher/selinux/virtfs.te'])


def check_manual():
    """Every option that --help shows is an =item of the manual page, and the other way round."""
    problems = []
    pages = {'virtfs-proxy-helper': ('helper/virtfs-proxy-helper', [[]], 'docs/man/virtfs-proxy-helper.8.pod'),
             'virtfs-device': ('virtio-9p/virtfs-device', [[]], 'docs/man/virtfs-device.8.pod'),
             'virtfs': ('launcher/virtfs', [['proxy'], ['serve']], 'docs/man/virtfs.1.pod')}
    for name, (program, commands, page) in pages.items():
        shown = set()
        for command in commands:
            out = subprocess.run([os.path.join(BUILD, program)] + command + ['--help'], capture_output=True, text=True)
            if out.returncode:
                problems.append(f'{name} --help exits with {out.returncode}')
            shown |= set(re.findall(r'^\s+(?:-\w, )?(--[a-z-]+)', out.stdout, flags=re.M))
        told = set(re.findall(r'B<(--[a-z-]+)', ''.join(re.findall(r'^=item .*$', text(page), flags=re.M))))
        problems += [f'{page}: {o} is not told of' for o in sorted(shown - told)]
        problems += [f'{page}: {o} is no option' for o in sorted(told - shown)]
    report('each option stands in the manual page', problems)


def check_tool(name, command, files, skip_rc=None):
    if not shutil.which(command[0]):
        report(name, [], skip=f'{command[0]} is not installed')
        return
    got = subprocess.run(command + files, cwd=ROOT, capture_output=True, text=True)
    report(name, (got.stdout + got.stderr).split('\n')[:40] if got.returncode else [])


def check_links(files):
    """Relative links of the documentation lead to files."""
    problems = []
    for path in files:
        if path.endswith('.md'):
            for link in re.findall(r'\]\(([^)#]+)(?:#[^)]*)?\)', text(path)):
                if '://' not in link and not os.path.exists(os.path.join(ROOT, os.path.dirname(path), link)):
                    problems.append(f'{path}: {link} does not exist')
    report('links in the documentation lead somewhere', problems)


def main():
    files = tracked()
    sources = [f for f in files if f.endswith(('.c', '.h'))]
    scripts = [f for f in files if not f.endswith('.c') and os.path.getsize(os.path.join(ROOT, f)) < 200000 and
               f.split('/')[-1] not in ('COPYING', 'COPYING.LIB') and 'corpus/' not in f and
               re.match(r'#!.*\b(ba|da)?sh\b', text(f).split('\n', 1)[0])]
    check_layers(sources)
    check_owners(sources)
    check_descriptors(sources)
    check_heads([f for f in files if 'corpus/' not in f])
    check_sizes(sources)
    check_headers(sources)
    check_policies()
    check_tests_of_tables()
    check_confinement()
    check_manual()
    check_links(files)
    check_tool('the table of docs/protocol-rpc.md is that of wire/rpc.def', ['python3', 'docs/rpc_table.py'], [])
    check_tool('the table of docs/requests.md is that of tests/guest/golden.d', ['python3', 'tests/guest/golden.py', '--table'], [])
    check_tool('clang-format has nothing to change', ['clang-format', '--dry-run', '-Werror'],
               [f for f in sources])
    check_tool('shellcheck has nothing to say', ['shellcheck', '-x'], scripts)
    print(f'1..{count}')
    return bool(failed)


if __name__ == '__main__':
    sys.exit(main())
