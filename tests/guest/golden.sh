#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What tests/guest/golden does in the guest.

# shellcheck source=/dev/null
. /lib/guest.sh
# shellcheck source=/dev/null
. /settings # CACHES

tell kernel "$(uname -r)"
# What is dirty is written back when golden says so, and not after some time. That time is not 0: then each page that
# becomes dirty wakes the kernel's thread at once, which finds a new share to have too many of them.
echo 360000 >/proc/sys/vm/dirty_writeback_centisecs
echo 360000 >/proc/sys/vm/dirty_expire_centisecs
for cache in $CACHES; do
	ask prepare "$cache" >/dev/null
	golden share /mnt "$cache" || exit
done
