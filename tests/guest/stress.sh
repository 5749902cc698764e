#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What tests/guest/stress does in the guest: loads on the share, mounted in one way after the other.

# shellcheck source=/dev/null
. /lib/guest.sh
# shellcheck source=/dev/null
. /settings # MOUNTS, OPERATIONS, RUNS, FIO_SIZE, TIME, TREE_FILES, SEED, RING

# Debian's programs come by a share of their own.
section "tools"
one "they are mounted" mount_share tools /tools cache=loose,msize=512000
[ -z "$RING" ] || one "each device's ring is a $RING one" ring_is "$RING"
mkdir -p /lib64
ln -s /tools/lib/ld-linux-x86-64.so.2 /lib64/
export LD_LIBRARY_PATH=/tools/lib OPERATIONS RUNS FIO_SIZE TIME TREE_FILES
# shellcheck disable=SC3045
ulimit -n 4096

# one_load LOAD CACHE DIR
one_load() {
	mkdir "$3/$1" "$3/$1-user"
	chown 1000:1000 "$3/$1-user"
	case $1 in
	model)
		one "random operations agree with the model" load models "$3/model" "$2" "$SEED"
		SEED=$((SEED + 2 * RUNS))
		;;
	fio)
		if [ "$2" = none ]; then
			one "fio reads what it wrote" load mixed "$3/fio" psync --direct=1
		else
			one "fio reads what it wrote by mappings" load mixed "$3/fio" mmap
		fi
		one "fio reads what it wrote, by a user" as_user load mixed "$3/fio-user" psync
		;;
	dbench)
		one "dbench" load clients "$3/dbench"
		one "dbench, by a user" as_user load clients "$3/dbench-user"
		;;
	stress-ng)
		one "stress-ng" load stressors "$3/stress-ng"
		one "stress-ng, by a user" as_user load stressors "$3/stress-ng-user"
		;;
	build)
		one "a tree is unpacked and built" load build "$3/build" 0
		one "a tree is unpacked and built, by a user" as_user load build "$3/build-user" 1000
		;;
	esac
}

number=0
for how in $MOUNTS; do
	cache=${how%%:*}
	rest=${how#*:}
	section "cache=$cache,msize=${rest%%:*}"
	one "the share is mounted" mount_share share /mnt "cache=$cache,msize=${rest%%:*}"
	number=$((number + 1))
	mkdir "/mnt/load/$number"
	for load in $(echo "${rest#*:}" | tr , ' '); do
		section "cache=$cache,msize=${rest%%:*}"
		one_load "$load" "$cache" "/mnt/load/$number"
	done
	section "cache=$cache,msize=${rest%%:*}"
	one "the share is unmounted" umount /mnt
done

section "end"
one "the share is mounted" mount_share share /mnt cache=none
one "the tree is listed" sh -c "listing /mnt/load >/mnt/listing"
one "the share is unmounted" umount /mnt
one "the tools are unmounted" umount /tools
dmesg | grep -E 'WARNING|BUG|Oops|Call Trace|blocked for more|9p.*(rror|fail|ogus|too )' >/tmp/complaints
one "the kernel does not complain" sh -c "cat /tmp/complaints; ! [ -s /tmp/complaints ]"
