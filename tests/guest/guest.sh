# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What jobs in the test guest use: . /lib/guest.sh

# Tell the host's script that something has happened: a word, and what goes with it.
tell() {
	echo "$@" >&9
}

# Tell it, and wait for its answer, which is printed.
ask() {
	tell "$@"
	read -r answer <&9
	echo "$answer"
}

# mount_share TAG DIR [OPTION,…]
# The share is a virtio-9p device of that tag, or a 9P server behind a port "9p-TAG".
mount_share() {
	mkdir -p "$2"
	if [ -e "/dev/9p-$1" ]; then
		bridge "/dev/9p-$1" mount -t 9p \
			-o "trans=fd,rfdno=3,wfdno=3,version=9p2000.L,${3:-msize=512000}" "$1" "$2"
	else
		mount -t 9p -o "trans=virtio,version=9p2000.L,${3:-msize=512000}" "$1" "$2"
	fi
	tell mounted "$1"
}

# ring_is packed|split [TYPE]: whether each virtio-9p device, or each of another type, has such a ring.
ring_is() {
	found=0
	for device in /sys/bus/virtio/devices/*; do
		[ "$(cat "$device/device")" = "${2:-0x0009}" ] || continue
		found=1
		# VIRTIO_F_RING_PACKED is bit 34.
		case $1$(cut -c 35 "$device/features") in
		packed1 | split0) ;;
		*) return 1 ;;
		esac
	done
	[ "$found" = 1 ]
}

# Results are lines of TAP; the host joins the parts. A part begins with its name.
section() {
	echo "section $1"
}

# A part that is one command and one result: one NAME COMMAND…
one() {
	name=$1
	shift
	echo "1..1"
	if "$@" >/tmp/one 2>&1; then
		echo "ok 1 - $name"
	else
		sed 's/^/# /' /tmp/one
		echo "not ok 1 - $name"
	fi
}

# as_user COMMAND…: as user and group 1000. The words go through a shell once more.
as_user() {
	[ -e /etc/passwd ] || {
		mkdir -p /etc
		echo "root:x:0:0::/:/bin/sh" >/etc/passwd
		echo "user:x:1000:1000::/:/bin/sh" >>/etc/passwd
		echo "user:x:1000:" >/etc/group
	}
	su -s /bin/sh user -c "$*"
}
