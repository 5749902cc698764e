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
mount_share() {
	mkdir -p "$2"
	mount -t 9p -o "trans=virtio,version=9p2000.L,${3:-msize=512000}" "$1" "$2"
	tell mounted "$1"
}
