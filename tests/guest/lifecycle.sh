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

# A process waits for a lock that the host has.
start_waiter() {
	lock "$1" wait /mnt/file &
	waiter=$!
	[ "$(ask waiting 1)" = yes ]
}

# Gone, with that status, and its request too.
has_ended() {
	wait "$1"
	status=$?
	echo "status $status"
	[ "$status" = "$2" ]
}

killed_waiter() {
	[ "$(ask hold)" = held ] && start_waiter "$1" && kill -KILL "$waiter" && has_ended "$waiter" 137 &&
		[ "$(ask waiting 0)" = yes ] && [ "$(ask release)" = 0 ] || return
	# It would have come by now.
	sleep 0.2
	[ "$(ask locks)" = 0 ] && lock "$1" try /mnt/file && [ "$(ask locks)" = 0 ]
}

# In the same guest they wait for each other, so the second asks the host when the first is dead.
next_waiter() {
	[ "$(ask hold)" = held ] && start_waiter "$1" || return
	first=$waiter
	lock "$1" wait /mnt/file &
	waiter=$!
	kill -KILL "$first" && has_ended "$first" 137 && [ "$(ask waiting 1)" = yes ] &&
		[ "$(ask release)" -le 1 ] && has_ended "$waiter" 0 && [ "$(ask locks)" = 0 ]
}

killed_holder() {
	: >/tmp/holder
	lock "$1" hold /mnt/file >>/tmp/holder &
	waiter=$!
	while ! [ -s /tmp/holder ]; do sleep 0.1; done
	[ "$(ask locks)" = 1 ] && [ "$(ask hold)" = refused ] && kill -KILL "$waiter" && has_ended "$waiter" 137 &&
		[ "$(ask locks)" = 0 ] && [ "$(ask hold)" = held ] && [ "$(ask release)" = 0 ]
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

locks)
	mount_share share /mnt cache=none
	for kind in fcntl flock; do
		one "a process that waits by $kind for the host's lock is killed" killed_waiter "$kind"
		one "the next one gets the lock by $kind" next_waiter "$kind"
		one "a process that has a lock by $kind is killed" killed_holder "$kind"
	done
	one "the share is unmounted" umount /mnt
	;;

# Killed with its emulator.
waiting)
	mount_share share /mnt cache=none
	ask hold >/dev/null
	start_waiter fcntl
	tell busy
	sleep 300
	;;

idle)
	mount_share share /mnt
	cat /mnt/* >/dev/null 2>&1
	ask idle >/dev/null
	;;
esac
