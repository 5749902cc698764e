#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""conventions.py MESON BUILD: what management software expects of a vhost-user back end (QEMU's docs/interop/vhost-user.rst,
"Backend program conventions", and vhost-user.json) and a service manager of a service (sd_listen_fds(3)), as TAP.

The programs are $VIRTFS_HELPER and $VIRTFS_DEVICE.
"""
import glob
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

MESON, BUILD = sys.argv[1:3]
HELPER, DEVICE = os.environ['VIRTFS_HELPER'], os.environ['VIRTFS_DEVICE']
PATIENCE = 200  # seconds, on a busy machine

GET_FEATURES = 1
MOUNT_TAG, VERSION_1 = 1 << 0, 1 << 32


class Failure(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


# ---- the descriptor file ----

def installed_file_of_type_9p(tmp):
    subprocess.run([MESON, 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--tags', 'runtime', '--destdir', tmp],
                   check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
    files = glob.glob(tmp + '/**/share/qemu/vhost-user/*.json', recursive=True)
    check(files, 'no file is installed in share/qemu/vhost-user')
    types = []
    for path in files:
        name = os.path.basename(path)
        check(name[:2].isdigit() and name[2] == '-', f'{name}: no priority is in its name')
        with open(path, encoding='utf-8') as f:
            told = json.load(f)
        check(isinstance(told.get('description'), str), f'{name}: no description')
        check(isinstance(told.get('type'), str), f'{name}: no type')
        check(set(told) <= {'description', 'type', 'binary', 'tags'}, f'{name}: has {sorted(told)}')
        check(os.path.isabs(told['binary']), f'{name}: {told["binary"]} is no absolute path')
        program = tmp + told['binary']
        check(os.access(program, os.X_OK), f'{name}: {told["binary"]} is not where the device is installed')
        check(os.path.basename(program) == os.path.basename(DEVICE), f'{name}: {told["binary"]} is another program')
        types.append(told['type'])
        answer = subprocess.run([program, '--print-capabilities'], stdout=subprocess.PIPE, check=True, timeout=PATIENCE)
        check(told['type'] in json.loads(answer.stdout)['types'], f'{name}: the device does not say that it is {told["type"]}')
    check(types.count('9p') == 1, f'types are {types}')


# ---- what it can do ----

def capabilities_whatever_else_is_asked(tmp):
    where = tmp + '/socket'
    for more in ([], ['--socket-path', where, '--tag', 't'], ['--fd', '99'], ['--no-such-option'], ['--tag', ''], ['argument'],
                 ['--poll-us', 'x', '--max-fids', '0'], ['--help']):
        for args in (['--print-capabilities'] + more, more + ['--print-capabilities']):
            r = subprocess.run([DEVICE] + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=PATIENCE)
            check(r.returncode == 0, f'{args}: status {r.returncode}, {r.stderr}')
            check(json.loads(r.stdout)['type'] == '9p', f'{args}: {r.stdout}')
            check(r.stderr == b'', f'{args}: {r.stderr}')
    check(not os.path.exists(where), 'it begins to listen')


# ---- a socket of the service manager's ----

class Service:
    """A helper, and a device that finds these sockets from descriptor 3 on, as a service manager starts it."""

    def __init__(self, tmp, sockets, pid='$$', count=None, args=()):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ready, ready_end = os.pipe()
        os.makedirs(tmp + '/export', exist_ok=True)
        self.log = tempfile.TemporaryFile(dir=tmp)
        self.helper = subprocess.Popen([HELPER, '-n', '-p', tmp + '/export', '-f', str(theirs.fileno())],
                                       pass_fds=[theirs.fileno()], stderr=self.log)
        # High numbers, so that 3 and 4 are free for the sockets.
        high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]
        helper_fd, ready_fd = os.dup2(ours.fileno(), 110), os.dup2(ready_end, 111)
        places = ' '.join(f'{3 + i}<&{fd} {fd}<&-' for i, fd in enumerate(high))
        script = (f'exec {places}; LISTEN_PID={pid} LISTEN_FDS={len(sockets) if count is None else count} exec "$0" "$@"')
        self.device = subprocess.Popen(['bash', '-c', script, DEVICE, '--helper-fd', str(helper_fd), '--ready-fd', str(ready_fd),
                                        '--tag', 'share', *args], pass_fds=high + [helper_fd, ready_fd], stderr=self.log)
        for fd in high + [helper_fd, ready_fd, ready_end]:
            os.close(fd)
        ours.close()
        theirs.close()
        with os.fdopen(ready, 'rb') as f:
            self.ready = f.read(1)

    def text(self):
        self.log.seek(0)
        return self.log.read().decode()

    def end(self):
        """SIGTERM ends it well, and the helper with it."""
        self.device.send_signal(signal.SIGTERM)
        status = self.device.wait(PATIENCE)
        check(status == 0, f'status {status} after SIGTERM: {self.text()}')
        status = self.helper.wait(PATIENCE)
        check(status == 0, f'the helper\'s status is {status}: {self.text()}')


def features(sock):
    """GET_FEATURES over a vhost-user socket."""
    sock.settimeout(PATIENCE)
    sock.sendall(struct.pack('=III', GET_FEATURES, 1, 0))
    answer = b''
    while len(answer) < 20:
        more = sock.recv(20 - len(answer))
        check(more, 'the device closes the connection')
        answer += more
    request, flags, size, value = struct.unpack('=IIIQ', answer)
    check((request, flags, size) == (GET_FEATURES, 5, 8), f'the reply is {request}, {flags:#x}, {size}')
    return value


def serves(tmp, path):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(path)
        value = features(client)
        check(value & MOUNT_TAG and value & VERSION_1, f'features are {value:#x}')


def listening_socket_of_the_service_manager(tmp):
    path = tmp + '/activated'
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        service = Service(tmp, [listener])
        check(service.ready == b'\n', f'it is never ready: {service.text()}')
        for _ in range(3):
            serves(tmp, path)
        service.end()
        check(os.path.exists(path), 'it removes a socket that is not its own')


def connected_socket_of_the_service_manager(tmp):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    service = Service(tmp, [theirs])
    theirs.close()
    check(service.ready == b'\n', f'it is never ready: {service.text()}')
    check(features(ours) & MOUNT_TAG, 'it offers no mount tag')
    # Its emulator's end is its own.
    ours.close()
    check(service.device.wait(PATIENCE) == 0, service.text())
    check(service.helper.wait(PATIENCE) == 0, service.text())


def only_the_first_of_several(tmp):
    path = tmp + '/first'
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.bind(path)
        first.listen()
        second.bind(tmp + '/second')
        second.listen()
        service = Service(tmp, [first, second])
        check(service.ready == b'\n', f'it is never ready: {service.text()}')
        serves(tmp, path)
        check('only the first' in service.text(), 'it does not say that one is left out')
        service.end()


def an_option_goes_before_it(tmp):
    path = tmp + '/option'
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(tmp + '/unused')
        listener.listen()
        service = Service(tmp, [listener], args=('--socket-path', path))
        check(service.ready == b'\n', f'it is never ready: {service.text()}')
        serves(tmp, path)
        service.end()


def refused(tmp, **how):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(tempfile.mktemp(dir=tmp))
        listener.listen()
        service = Service(tmp, [listener], **how)
        check(service.device.wait(PATIENCE) == 1, f'{how}: {service.text()}')
        check('LISTEN_FDS' in service.text(), f'{how}: {service.text()}')
        check(service.ready == b'', f'{how}: it is ready all the same')
        service.helper.wait(PATIENCE)


def sockets_that_are_for_another_process_or_none(tmp):
    refused(tmp, pid='1')
    refused(tmp, pid='x')
    refused(tmp, count=0)
    refused(tmp, count='-1')


def main():
    tests = [installed_file_of_type_9p, capabilities_whatever_else_is_asked, listening_socket_of_the_service_manager,
             connected_socket_of_the_service_manager, only_the_first_of_several, an_option_goes_before_it,
             sockets_that_are_for_another_process_or_none]
    failed = 0
    print(f'1..{len(tests)}')
    for number, test in enumerate(tests, 1):
        tmp = tempfile.mkdtemp(prefix='virtfs.')
        try:
            test(tmp)
            print(f'ok {number} - {test.__name__}', flush=True)
        except (Failure, OSError, ValueError, KeyError, subprocess.SubprocessError) as e:
            failed += 1
            print(f'not ok {number} - {test.__name__}: {e!r}', flush=True)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)
    sys.exit(failed > 0)


main()
