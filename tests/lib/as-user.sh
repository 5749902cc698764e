#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# as-user.sh PROGRAM [ARGUMENT...]: run a test as an ordinary user, with a directory of its own for what it makes.
user=54321
as_user="setpriv --reuid=$user --regid=$user --clear-groups"

if ! $as_user test -x "$1"; then
	echo "1..0 # SKIP an ordinary user cannot reach $1"
	exit 0
fi
TMPDIR=$(mktemp -d /tmp/virtfs-user.XXXXXX) || exit 1
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
chown "$user:$user" "$TMPDIR"
$as_user "$@"
