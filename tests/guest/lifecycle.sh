#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What tests/guest/lifecycle does in the guest: /settings names the part.

# shellcheck source=/dev/null
. /lib/guest.sh
# shellcheck source=/dev/null
. /settings # PART

# A file is written, read back through a new mount, and removed.
works() {
	mount_share share /mnt && echo "$1" >/mnt/note && umount /mnt && mount_share share /mnt &&
		[ "$(cat /mnt/note)" = "$1" ] && rm /mnt/note && umount /mnt
}

# Work that never ends, on the mounted share.
endless() {
	mkdir "/mnt/$1"
	while :; do
		echo "$1" >"/mnt/$1/file"
		mv "/mnt/$1/file" "/mnt/$1/other"
		cat "/mnt/$1/other"
		ls -l "/mnt/$1"
	done >/dev/null
}

case $PART in
works) one "the share works" works "$PART" ;;

# QEMU's guest pulls the plug on itself while the share is in use; a User-Mode Linux must leave it first.
reboot)
	mount_share share /mnt
	if ! [ -e /mnt/rebooted ]; then
		: >/mnt/rebooted
		if [ -e /sys/class/virtio-ports ]; then
			for worker in a b c d; do
				endless "$worker" &
			done
			sleep 1
		else
			umount /mnt
		fi
		reboot -f
		exit 1
	fi
	(cd /mnt && rm -r -- *)
	umount /mnt
	one "the share works after a reboot" works again
	tell exit 0
	poweroff -f
	;;

bind)
	driver=/sys/bus/virtio/drivers/9pnet_virtio
	rounds() {
		round=0
		while [ "$round" -lt 20 ]; do
			for device in "$driver"/virtio*; do
				id=${device##*/}
				echo "$id" >"$driver/unbind" && [ ! -e "$driver/$id" ] &&
					echo "$id" >"$driver/bind" || return
			done
			works "round $round" || return
			round=$((round + 1))
		done
	}
	one "the driver is unbound and bound again 20 times" rounds
	;;

busy)
	mount_share share /mnt
	for worker in a b c d; do
		endless "$worker" &
	done
	sleep 1
	tell busy
	sleep 300
	;;

idle)
	mount_share share /mnt
	cat /mnt/* >/dev/null 2>&1
	ask idle >/dev/null
	;;
esac
