#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What tests/guest/disk does in the guest: /dev/vda may be written, /dev/vdb and /dev/vdc (tools) may not.

# shellcheck source=/dev/null
. /lib/guest.sh
# shellcheck source=/dev/null
. /settings # RING

while read -r module; do
	insmod "/disk-modules/$module.ko"
done </disk-modules/list

can_not() {
	! "$@"
}

size_is() {
	[ "$(cat "/sys/block/$1/size")" = "$2" ]
}

# What is written while the device is killed again and again is there: fio reads it back itself.
under_fire() {
	/tools/bin/fio --directory=/mnt --name=fire --rw=randrw --bsrange=4k-64k --size=24m --numjobs=2 --iodepth=16 \
		--ioengine="$1" --direct="$2" --fsync=64 --verify=crc32c --verify_fatal=1 --loops="$3" --group_reporting \
		--output-format=terse --random_generator=tausworthe64 >/tmp/fire 2>&1 &
	fire=$!
	for i in 1 2 3 4; do
		sleep 2
		[ "$(ask kill "$i")" = ready ] || return
	done
	wait "$fire" || { cat /tmp/fire && return 1; }
}

section disk
one "its ring is a $RING one" ring_is "$RING" 0x0002
one "it has its size" size_is vda $((192 * 2048))
one "it has its serial number" [ "$(cat /sys/block/vda/serial)" = the-disk ]
one "a file system is made" /mke2fs/ld-linux-x86-64.so.2 --library-path /mke2fs /mke2fs/mke2fs -q -t ext4 /dev/vda
mkdir -p /tools
mount -t ext4 -o ro /dev/vdc /tools
export LD_LIBRARY_PATH=/tools/lib
mkdir -p /lib64
ln -s /tools/lib/ld-linux-x86-64.so.2 /lib64/ld-linux-x86-64.so.2
one "it is mounted" mount -t ext4 -o discard /dev/vda /mnt
one "what fio writes is there, though the device is killed" under_fire libaio 1 6
one "likewise by the page cache of the guest" under_fire psync 0 12
rm -f /mnt/fire*
one "it is unmounted" umount /mnt
one "what was discarded can be written" sh -c 'mount -t ext4 /dev/vda /mnt && echo again >/mnt/file && umount /mnt'
section read-only
one "the guest knows" [ "$(cat /sys/block/vdb/ro)" = 1 ]
one "it cannot be written" can_not dd if=/dev/zero of=/dev/vdb bs=4096 count=1 conv=fsync
one "it can be read" sh -c 'dd if=/dev/vdb of=/dev/null bs=65536'
umount /tools
