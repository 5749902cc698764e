#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The first process of a guest whose root is the share: uses Debian's programs, as they are mapped from
# there, and leaves the root in the end. TAP goes to standard output, descriptor 9 to the host's script. ROUNDS tells how often
# what is done often: with cache=mmap each page of a program is a request each time it runs.

export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin

number=0
is() {
	local name=$1 start=$SECONDS
	shift
	number=$((number + 1))
	if "$@" >&2; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
	fi
	echo "# that took $((SECONDS - start)) s"
}

root_is_9p() {
	local device dir type rest

	while read -r device dir type rest; do
		[ "$dir" != / ] || [ "$type" = rootfs ] || break
	done </proc/mounts
	echo "$device $type $rest"
	[ "$type" = 9p ]
}

many_programs() {
	local i

	for ((i = 0; i < ROUNDS; i++)); do
		[ "$(echo "$i" | sed 's/$/ x/' | tr x y)" = "$i y" ] || return
	done
}

perl_works() {
	perl -MPOSIX -e 'my %seen; $seen{$_ % 97}++ for 1 .. 20000; exit(keys(%seen) == 97 ? 0 : 1)'
}

# Its pages are still read when the name is gone.
runs_after_unlink() {
	cp /bin/bash /tmp/copy && { /tmp/copy -c 'sleep 1; type cd; printf "%d\n" 7' & } && rm /tmp/copy && wait $!
}

# A new program is run as soon as it is written, again and again with another content.
new_programs_run() {
	local i

	for ((i = 0; i < (ROUNDS + 4) / 5; i++)); do
		printf '#!/bin/sh\nexit %d\n' "$i" >/tmp/script && chmod 755 /tmp/script || return
		/tmp/script
		[ $? = "$i" ] || return
		cp "/bin/$([ $((i % 2)) = 0 ] && echo true || echo false)" /tmp/program.new &&
			mv /tmp/program.new /tmp/program || return
		/tmp/program
		[ $? = $((i % 2)) ] || return
	done
}

tree_is_copied() {
	cp -a /usr/share /tmp/share && diff -r /usr/share /tmp/share &&
		tar -C / -cf /tmp/tar usr/lib && mkdir /tmp/lib && tar -C /tmp/lib -xf /tmp/tar &&
		diff -r --no-dereference /usr/lib /tmp/lib/usr/lib && rm -r /tmp/share /tmp/lib /tmp/tar
}

log_is_appended() {
	local i writers=()

	for i in 1 2 3 4; do
		perl -e 'open(F, ">>", "/tmp/log") or die; for (1 .. 2 * $ENV{ROUNDS}) { syswrite(F, "line\n") == 5 or die }' &
		writers+=($!)
	done
	for i in "${writers[@]}"; do
		wait "$i" || return
	done
	[ "$(grep -c '^line$' /tmp/log)" = $((8 * ROUNDS)) ] && [ "$(stat -c %s /tmp/log)" = $((40 * ROUNDS)) ]
}

echo "section root"
echo 1..8
is "the root is a 9p file system" root_is_9p
is "every file has the content that the host gave it" sha256sum --quiet --strict -c /sums
is "many programs start one after the other" many_programs
is "perl runs with its modules" perl_works
is "a program runs on when its name is gone" runs_after_unlink
is "what was just written can be run" new_programs_run
is "trees are copied and packed" tree_is_copied
is "lines that four writers append are all there" log_is_appended

# Leave the root, or it could not be unmounted.
busybox mount -t tmpfs none /mnt
cp /bin/busybox /mnt/
mkdir /mnt/{old,dev}
busybox mount --move /dev /mnt/dev
cd /mnt || exit
/mnt/busybox pivot_root . old
# shellcheck disable=SC2016 # the inner shell expands
exec /busybox chroot . /busybox sh -c '
	for dir in proc sys; do /busybox umount "/old/$dir"; done
	echo "section leaving"
	echo 1..1
	if /busybox umount /old; then echo "ok 1 - the root is unmounted"; else echo "not ok 1 - the root is unmounted"; fi
	exec >/dev/null 2>&1 </dev/null
	echo exit 0 >&9
	/busybox "${GUEST_END:-reboot}" -f' </dev/null
