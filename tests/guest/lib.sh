# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A small Linux guest for tests: kernel, initramfs and QEMU's command line. To be sourced.
#
# A caller sets GUEST_CACHE (where the kernel is kept) and then goes:
#
#   guest_prepare                               the kernel, fetched once
#   guest_initramfs FILE JOB [SOURCE=TARGET…]   JOB is a shell script that runs in the guest
#   guest_command INITRAMFS WORK                fills the array GUEST_QEMU
#   guest_run WORK LIMIT COMMAND…               runs it, and gives the guest's exit status
#
# WORK is a directory in which the guest's output, errors and console end up, and `log`, with what it
# told through its control port. For each such line, guest_run calls guest_event (if there is such a
# function) with the words of the line; what that prints to descriptor 4 is the guest's answer.

# Order matters: each module comes after those that it needs.
GUEST_MODULES=(
	drivers/virtio/virtio_ring
	drivers/virtio/virtio
	drivers/virtio/virtio_pci_legacy_dev
	drivers/virtio/virtio_pci_modern_dev
	drivers/virtio/virtio_pci
	drivers/char/virtio_console
	drivers/block/virtio_blk
	fs/netfs/netfs
	fs/fscache/fscache
	net/9p/9pnet
	net/9p/9pnet_virtio
	net/9p/9pnet_fd
	fs/9p/9p
)

GUEST_LIB=$(dirname "${BASH_SOURCE[0]}")
GUEST_MEMORY=${GUEST_MEMORY:-512}
GUEST_CPUS=${GUEST_CPUS:-1}

guest_fail() {
	echo "guest: $*" >&2
	return 1
}

# The package of the newest kernel of this Debian release.
guest_kernel_package() {
	local package

	package=$(apt-cache depends linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1)
	[ -n "$package" ] || guest_fail "apt knows no linux-image-amd64; try apt-get update" || return
	echo "$package"
}

# The compressed kernel takes seconds to unpack itself when the guest's processor is emulated, so
# that is done here. QEMU starts the inner ELF file just as well (PVH).
guest_unpack_kernel() {
	python3 - "$1" "$2" <<'END'
import lzma
import sys

with open(sys.argv[1], "rb") as file:
    image = file.read()
start = image.find(b"\xfd7zXZ\0")
if start < 0:
    sys.exit(1)
kernel = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(image[start:])
if kernel[:4] != b"\x7fELF":
    sys.exit(1)
with open(sys.argv[2], "wb") as file:
    file.write(kernel)
END
}

# Put kernel and modules into a directory: guest_unpack_package DEB DIR.
guest_unpack_package() {
	local root=$2/root module found

	dpkg-deb -x "$1" "$root" && mkdir -p "$2/modules" || return
	for module in "${GUEST_MODULES[@]}"; do
		found=$(echo "$root"/lib/modules/*/kernel/"$module".ko*)
		case $found in
		*.ko) cp "$found" "$2/modules/" || return ;;
		*.ko.xz) xz -dc "$found" >"$2/modules/$(basename "$module").ko" || return ;;
		*) guest_fail "the kernel package has no module $module" || return ;;
		esac
		basename "$module" >>"$2/modules/list"
	done
	# Any other kind of kernel has to unpack itself.
	guest_unpack_kernel "$root"/boot/vmlinuz-* "$2/kernel" ||
		cp "$root"/boot/vmlinuz-* "$2/kernel" || return
	rm -r "$root"
}

# Fetch the kernel unless the cache has it; sets GUEST_KERNEL, the directory of kernel and modules.
guest_prepare() {
	local package partial

	# A kernel that is there is as good as the newest one, and needs no network.
	for GUEST_KERNEL in "$GUEST_CACHE"/linux-image-*; do
		[ ! -e "$GUEST_KERNEL/kernel" ] || return 0
	done
	package=$(guest_kernel_package) || return
	GUEST_KERNEL=$GUEST_CACHE/$package
	mkdir -p "$GUEST_CACHE"
	partial=$(mktemp -d "$GUEST_CACHE/partial.XXXXXX")
	# apt would fetch as a user who may not write here.
	(cd "$partial" && apt-get -q -o APT::Sandbox::User=root download "$package") >&2 &&
		guest_unpack_package "$partial"/*.deb "$partial" &&
		rm "$partial"/*.deb &&
		mv -T "$partial" "$GUEST_KERNEL" && return
	rm -rf "$partial"
	guest_fail "there is no kernel for the guest"
}

# guest_initramfs FILE JOB [SOURCE=TARGET…]: the targets are absolute paths in the guest.
guest_initramfs() {
	local file=$1 job=$2 root program pair target
	shift 2

	root=$(mktemp -d "$file.XXXXXX")
	mkdir -p "$root"/{bin,dev,lib,mnt,proc,sys,tmp}
	busybox --install -s "$root/bin"
	# The links name the program by its path on the host.
	program=$(readlink "$root/bin/sh")
	mkdir -p "$root$(dirname "$program")"
	if ldd "$program" 2>/dev/null | grep -q ' => '; then
		guest_fail "$program needs shared libraries; it must be that of busybox-static" || return
	fi
	cp --remove-destination "$program" "$root$program"
	cp "$GUEST_LIB/init" "$root/init"
	cp "$GUEST_LIB/guest.sh" "$root/lib/guest.sh"
	cp -r "$GUEST_KERNEL/modules" "$root/modules"
	cp "$job" "$root/job"
	for pair in "$@"; do
		target=$root${pair#*=}
		mkdir -p "$(dirname "$target")"
		cp "${pair%%=*}" "$target"
	done
	chmod 0755 "$root" "$root/init"
	(cd "$root" && find . -print0 | cpio --null --quiet --format newc --owner 0:0 -o) >"$file"
	rm -r "$root"
}

# The processor must have the feature and the device must open; else the guest is emulated.
guest_choose_accelerator() {
	if grep -Eqw 'vmx|svm' /proc/cpuinfo && (: <>/dev/kvm) 2>/dev/null; then
		GUEST_QEMU+=(-accel kvm -cpu max)
	fi
	GUEST_QEMU+=(-accel "tcg,thread=multi")
}

# guest_command INITRAMFS WORK: fill GUEST_QEMU. Callers append the devices of their shares.
# With GUEST_TERMINAL set, /dev/ttyS1 of the guest is the terminal that this runs in.
guest_command() {
	local initramfs=$1 work=$2 port

	GUEST_QEMU=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot
		-machine q35 -m "$GUEST_MEMORY" -smp "$GUEST_CPUS")
	guest_choose_accelerator
	# cryptomgr.notests saves a quarter of a second; a panic ends QEMU instead of waiting.
	GUEST_QEMU+=(-kernel "$GUEST_KERNEL/kernel" -initrd "$initramfs"
		-append "console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests"
		-chardev "file,id=console,path=$work/console" -serial chardev:console)
	if [ -n "${GUEST_TERMINAL:-}" ]; then
		GUEST_QEMU+=(-chardev "stdio,id=terminal,signal=off" -serial chardev:terminal)
	fi
	GUEST_QEMU+=(-device virtio-serial-pci -chardev "pipe,id=control,path=$work/control"
		-device "virtserialport,chardev=control,name=control")
	for port in output errors; do
		GUEST_QEMU+=(-chardev "file,id=$port,path=$work/$port"
			-device "virtserialport,chardev=$port,name=$port")
	done
}

# guest_share ID: the options of a share whose descriptor takes the place of {ID}.
guest_share() {
	GUEST_QEMU+=(-fsdev "proxy,id=$1,sock_fd={$1}"
		-device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}

# guest_port ID SOCKET: a port "9p-ID" of the guest that is a connection to a 9P server at SOCKET.
guest_port() {
	GUEST_QEMU+=(-chardev "socket,id=port-$1,path=$2"
		-device "virtserialport,chardev=port-$1,name=9p-$1")
}

# Read what the guest tells until guest_run says that it has ended.
guest_follow() {
	local work=$1 line

	while read -r line && [ "$line" != "guest_run ended" ]; do
		echo "$line" >>"$work/log"
		if declare -F guest_event >/dev/null; then
			# shellcheck disable=SC2086 # the line is words
			guest_event $line || true
		fi
	done <"$work/control.out" 4>"$work/control.in"
}

# guest_run WORK LIMIT COMMAND…: run GUEST_QEMU, which is part of the command, for LIMIT seconds at
# most (0: no limit). Gives the status of the guest's job, or 125 if the guest did not report one.
# Whoever wants to end it early may kill the process whose number is in WORK/pid.
guest_run() {
	local work=$1 limit=$2 input=/dev/null start=$SECONDS follower status
	shift 2

	rm -f "$work"/control.{in,out}
	mkfifo "$work"/control.{in,out}
	: >"$work/log"
	# Both ends stay open here, so that neither the follower nor QEMU waits for the other one.
	exec 5<>"$work/control.out" 6<>"$work/control.in"
	guest_follow "$work" 5>&- 6>&- &
	follower=$!
	[ -z "${GUEST_TERMINAL:-}" ] || input=/dev/tty
	# In the background, so that signals to this script can end it; for timeout, 0 is no limit.
	timeout --foreground --kill-after=10 "$limit" "$@" <"$input" 5>&- 6>&- &
	GUEST_PID=$!
	echo "$GUEST_PID" >"$work/pid"
	trap 'kill "$GUEST_PID" || true' INT TERM HUP
	GUEST_QEMU_STATUS=0
	GUEST_HUNG=
	wait "$GUEST_PID" || GUEST_QEMU_STATUS=$?
	# A signal ends the waiting, but not yet what is waited for.
	while kill -0 "$GUEST_PID" 2>/dev/null; do
		wait "$GUEST_PID" || GUEST_QEMU_STATUS=$?
	done
	trap - INT TERM HUP
	if [ "$limit" != 0 ] && [ $((SECONDS - start)) -ge "$limit" ]; then
		GUEST_HUNG=yes
	fi
	echo "guest_run ended" >&5
	wait "$follower" || true
	exec 5>&- 6>&-
	status=$(sed -n 's/^exit \([0-9]*\)$/\1/p' "$work/log")
	return "${status:-125}"
}

# What became of the guest, for those who read the results: guest_explain WORK.
guest_explain() {
	if grep -q '^exit ' "$1/log"; then
		echo "the guest's job ended with status $(sed -n 's/^exit //p' "$1/log")"
		return
	fi
	if [ -n "$GUEST_HUNG" ]; then
		echo "the guest took too long and was ended"
	elif [ "$GUEST_QEMU_STATUS" = 0 ]; then
		echo "the guest stopped without a status"
	else
		echo "QEMU or its helper ended with status $GUEST_QEMU_STATUS"
	fi
	echo "the last lines of its console:"
	tail -n 40 "$1/console" 2>/dev/null | tr -d '\r' || true
}
