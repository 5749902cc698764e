#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# on-fs.sh ext4|xfs|btrfs|tmpfs COMMAND [ARGUMENT...]: run COMMAND with $TMPDIR on such a file system, of its own.
set -e
kind=$1
shift
dir=$(mktemp -d /tmp/virtfs-fs.XXXXXX)
trap 'umount "$dir/mnt" 2>/dev/null || umount -l "$dir/mnt" 2>/dev/null; rm -rf "$dir"' EXIT
mkdir "$dir/mnt"
[ "$kind" = tmpfs ] || truncate -s 400M "$dir/image"
case $kind in
ext4) mkfs.ext4 -q -b 4096 "$dir/image" ;;
xfs) mkfs.xfs -q "$dir/image" ;;
btrfs) mkfs.btrfs -q "$dir/image" ;;
tmpfs) mount -t tmpfs -o size=400M none "$dir/mnt" ;;
*)
	echo "on-fs.sh: $kind: must be ext4, xfs, btrfs or tmpfs" >&2
	exit 2
	;;
esac
[ "$kind" = tmpfs ] || mount -o loop "$dir/image" "$dir/mnt"
chmod 1777 "$dir/mnt"
VIRTFS_FS=$kind TMPDIR=$dir/mnt "$@"
