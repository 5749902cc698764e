#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# in-userns.sh IN-USERNS PROGRAM [ARGUMENT...]: run a test as an ordinary user's root (in_userns.c), with a directory of its own.
TMPDIR=$(mktemp -d /tmp/virtfs-user.XXXXXX) || exit 1
export TMPDIR VIRTFS_ROOTLESS=1
trap 'rm -rf "$TMPDIR"' EXIT
chown 700000:700000 "$TMPDIR"
if ! "$1" test -x "$2"; then
	echo "1..0 # SKIP there are no user namespaces, or an ordinary user cannot reach $2"
	exit 0
fi
"$@"
