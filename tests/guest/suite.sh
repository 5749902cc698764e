#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What tests/guest/run does in the guest. Each part prints TAP with its own numbers and plan, after a
# line "section NAME"; the host joins them.

# shellcheck source=/dev/null
. /lib/guest.sh
# shellcheck source=/dev/null
. /settings # BIG_MB, MANY, TREE_FILES, READONLY, RING

# The sizes are whole words on purpose.
load="--big-mb $BIG_MB --many $MANY --tree-files $TREE_FILES"

section "mount"
one "the share is mounted" mount_share share /mnt
[ -z "$RING" ] || one "the device's ring is a $RING one" ring_is "$RING"

section "guest reads host's"
workload --check-marks /mnt/from-host

section "root"
mkdir /mnt/root
# shellcheck disable=SC2086
workload --dir /mnt/root $load
one "an object of each kind is left for the host" workload --make-marks /mnt/marks

section "user"
mkdir /mnt/user /mnt/home
chown 1000:1000 /mnt/home
# shellcheck disable=SC2086
workload --dir /mnt/user --uid 1000 --gid 1000 --keep $load
one "an object of each kind is left for the host" \
	workload --make-marks /mnt/home/marks --uid 1000 --gid 1000

# The host looks at what is there, then the guest removes it.
checksum=$(sha256sum /mnt/user/kept/big)
ask host-checks "${checksum%% *}" >/dev/null
section "user removes"
one "the tree" workload --remove /mnt/user/kept/tree --uid 1000 --gid 1000
one "the big file" workload --remove /mnt/user/kept/big --uid 1000 --gid 1000

if [ "$READONLY" = yes ]; then
	section "read-only"
	one "the share is mounted" mount_share readonly /ro
	workload --readonly /ro/from-host
	workload --check-marks /ro/from-host
	one "the share is unmounted" umount /ro
fi

section "unmount"
one "the share is unmounted" umount /mnt
