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
