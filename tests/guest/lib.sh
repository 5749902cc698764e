# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# A small Linux guest for tests: its parts and the command that runs it. To be sourced.
#
# A caller sets GUEST_CACHE (where what recipes.sh fetches is kept) and then goes:
#
#   guest_prepare MACHINE                       what the guest is made of
#   guest_initramfs FILE JOB [SOURCE=TARGET…]   JOB is a shell script that runs in the guest
#   guest_command INITRAMFS WORK                fills the array GUEST_COMMAND
#   guest_share … guest_vhost … guest_port …    adds shares to it
#   guest_run WORK LIMIT COMMAND…               runs it, and gives the guest's exit status
#
# MACHINE is
#   old   the system's QEMU, with the 9P server of its own
#   new   a QEMU that takes vhost-user devices of any kind
#   uml   User-Mode Linux, an ordinary process; it takes them too
#
# WORK is a directory in which the guest's output, errors and console end up, and `log`, with what it
# told through its control port. For each such line, guest_run calls guest_event (if there is such a
# function) with the words of the line; what that prints to descriptor 4 is the guest's answer.

GUEST_LIB=$(dirname "${BASH_SOURCE[0]}")
GUEST_MEMORY=${GUEST_MEMORY:-512}
GUEST_CPUS=${GUEST_CPUS:-1}
# What the rings of a vhost-user device are: packed, or split.
GUEST_RING=${VIRTFS_RING:-packed}
# shellcheck source=tests/guest/recipes.sh
. "$GUEST_LIB/recipes.sh"

# Fetch what the cache lacks; sets GUEST_MACHINE, GUEST_KERNEL (a directory of kernel and modules) and
# GUEST_QEMU.
guest_prepare() {
	GUEST_MACHINE=$1
	case $1 in
	old) GUEST_QEMU=(qemu-system-x86_64) && guest_pc_kernel ;;
	new) guest_new_qemu && guest_pc_kernel ;;
	uml) guest_uml_kernel ;;
	*) guest_fail "there is no machine $1" ;;
	esac
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
		GUEST_COMMAND+=(-accel kvm -cpu max)
	fi
	GUEST_COMMAND+=(-accel "tcg,thread=multi")
}

# guest_command INITRAMFS WORK: fill GUEST_COMMAND. With GUEST_TERMINAL set, /dev/ttyS1 of a QEMU
# guest is the terminal that this runs in. GUEST_APPEND holds more words for the kernel's command line;
# the kernel hands those that it does not know to /init as environment.
guest_command() {
	if [ "$GUEST_MACHINE" = uml ]; then
		guest_uml_command "$@"
	else
		guest_qemu_command "$@"
	fi
}

guest_qemu_command() {
	local initramfs=$1 work=$2 port memory=$GUEST_MEMORY

	GUEST_COMMAND=("${GUEST_QEMU[@]}" -nodefaults -no-user-config -display none -m "$memory"
		-smp "$GUEST_CPUS")
	[ -n "${GUEST_REBOOTS:-}" ] || GUEST_COMMAND+=(-no-reboot)
	if [ "$GUEST_MACHINE" = new ] || [ -n "${GUEST_SHARED:-}" ]; then
		# A device in another process must see the guest's memory.
		GUEST_COMMAND+=(-object "memory-backend-memfd,id=memory,size=${memory}M,share=on"
			-machine "q35,memory-backend=memory")
	else
		GUEST_COMMAND+=(-machine q35)
	fi
	guest_choose_accelerator
	# cryptomgr.notests saves a quarter of a second; a panic ends QEMU instead of waiting.
	GUEST_COMMAND+=(-kernel "$GUEST_KERNEL/kernel" -initrd "$initramfs"
		-append "console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests ${GUEST_APPEND:-}"
		-chardev "file,id=console,path=$work/console" -serial chardev:console)
	if [ -n "${GUEST_TERMINAL:-}" ]; then
		GUEST_COMMAND+=(-chardev "stdio,id=terminal,signal=off" -serial chardev:terminal)
	fi
	GUEST_COMMAND+=(-device virtio-serial-pci -chardev "pipe,id=control,path=$work/control"
		-device "virtserialport,chardev=control,name=control")
	for port in output errors; do
		GUEST_COMMAND+=(-chardev "file,id=$port,path=$work/$port"
			-device "virtserialport,chardev=$port,name=$port")
	done
}

# Its consoles are descriptors; TMPDIR holds the guest's memory, uml_dir what it would leave in the home directory.
guest_uml_command() {
	local initramfs=$1 work=$2

	GUEST_COMMAND=(env TMPDIR=/dev/shm "$GUEST_LIB/uml-run" "$work" "$GUEST_KERNEL/kernel"
		"mem=${GUEST_MEMORY}M" "initrd=$initramfs" con=null con0=null,fd:13 con1=fd:10,fd:11
		con2=null,fd:12 con3=null,fd:14 ssl=null "uml_dir=$work/uml" quiet panic=-1 "GUEST_END=poweroff")
	# shellcheck disable=SC2206 # words
	GUEST_COMMAND+=(${GUEST_APPEND:-})
}

# guest_share ID: a share by QEMU's own server, whose helper's descriptor takes the place of {ID}.
guest_share() {
	GUEST_COMMAND+=(-fsdev "proxy,id=$1,sock_fd={$1}"
		-device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}

# guest_vhost TAG SOCKET: a share by the vhost-user device that listens at SOCKET.
guest_vhost() {
	if [ "$GUEST_MACHINE" = uml ]; then
		GUEST_COMMAND+=("virtio_uml.device=$2:9")
		return
	fi
	GUEST_COMMAND+=(-chardev "socket,id=vhost-$1,path=$2" -device
		"vhost-user-test-device-pci,chardev=vhost-$1,virtio-id=9,num_vqs=1,vq_size=128,config_size=$((2 + ${#1})),packed=on")
}

# guest_disk ID SOCKET [RING]: a block device /dev/vd* that connects to SOCKET, again and again. GUEST_SHARED must be set before
# guest_command.
guest_disk() {
	local again=reconnect=1 packed=off

	[ "${3:-split}" = split ] || packed=on
	[ "$GUEST_MACHINE" = old ] || again=reconnect-ms=1000
	GUEST_COMMAND+=(-chardev "socket,id=disk-$1,path=$2,$again"
		-device "vhost-user-blk-pci,chardev=disk-$1,num-queues=1,packed=$packed")
}

# guest_port ID SOCKET: a port "9p-ID" of a QEMU guest that is a connection to a 9P server at SOCKET.
guest_port() {
	GUEST_COMMAND+=(-chardev "socket,id=port-$1,path=$2"
		-device "virtserialport,chardev=port-$1,name=9p-$1")
}

# guest_serve WORK NAME DIR OPTION…: a launcher with helper and device; it is ready when this returns.
# A caller sets GUEST_LAUNCHER; what they say is in WORK/serve-NAME. guest_stop_serving ends them all.
# Their surroundings are chosen as in tests/lib/rig.h: VIRTFS_SANDBOX is the helper's --sandbox, VIRTFS_HIDE a system call
# that none of them has (GUEST_HIDE names the program that takes it away).
GUEST_SERVERS=()
guest_serve() {
	local work=$1 name=$2 ready around=()
	shift 2

	[ -z "${VIRTFS_HIDE:-}" ] || around=("$GUEST_HIDE" "$VIRTFS_HIDE")
	[ -z "${VIRTFS_SANDBOX:-}" ] || set -- "$@" --sandbox "$VIRTFS_SANDBOX"

	mkfifo "$work/ready-$name"
	exec 8<>"$work/ready-$name"
	"${around[@]}" "$GUEST_LAUNCHER" serve "$@" --foreground --ready-fd 8 >>"$work/serve-$name" 2>&1 4>&- 5>&- 6>&- 7>&- &
	GUEST_SERVERS+=($!)
	GUEST_SERVER=$!
	while ! read -r -t 1 ready <&8; do
		kill -0 "$GUEST_SERVER" 2>/dev/null || break
	done
	exec 8>&-
	rm "$work/ready-$name"
	kill -0 "$GUEST_SERVER" 2>/dev/null || guest_fail "the server of $name did not start" || return
}

guest_stop_serving() {
	local pid

	for pid in "${GUEST_SERVERS[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	GUEST_SERVERS=()
}

# guest_choose_way WAY: how a guest gets at its shares; sets GUEST_WAY and GUEST_MACHINE.
#   legacy   QEMU's own 9P server and our helper
#   socket   virtfs-device by a Unix socket, which is a serial port of the guest
#   qemu     virtfs-device as a vhost-user device of a QEMU that takes it
#   uml      the same of a User-Mode Linux
guest_choose_way() {
	GUEST_WAY=$1
	case $1 in
	legacy | socket)
		GUEST_MACHINE=old
		# It is not ours, or there is none.
		GUEST_RING=
		;;
	qemu) GUEST_MACHINE=new ;;
	uml)
		GUEST_MACHINE=uml
		guest_one_processor
		;;
	*) guest_fail "there is no way $1" ;;
	esac
}

# All of this shell's children on one processor. What comes while a User-Mode Linux is about to sleep wakes it
# at its next tick only (os_idle_sleep() of Linux 6.1), which takes milliseconds each time; on one processor
# nothing comes then.
guest_one_processor() {
	local processors

	processors=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
	taskset -cp "${processors%%[,-]*}" $$ >/dev/null || true
}

# guest_add_share WORK TAG DIR [OPTION…]: to GUEST_COMMAND, with a server of its own where the way needs
# one; `legacy` wants a `virtfs proxy` before the command.
guest_add_share() {
	local work=$1 tag=$2
	shift 2

	case $GUEST_WAY in
	legacy) guest_share "$tag" ;;
	socket) guest_serve "$work" "$tag" "$@" --listen "unix:$work/$tag.sock" &&
		guest_port "$tag" "$work/$tag.sock" ;;
	*)
		guest_serve "$work" "$tag" "$@" --vhost-user "$work/$tag.sock" --tag "$tag" || return
		[ "$GUEST_RING" != split ] || guest_split "$work" "$tag" || return
		guest_vhost "$tag" "$work/$tag.sock"
		;;
	esac
}

# guest_split WORK TAG: the device's socket is that of a program which hides from the guest that the device takes packed rings.
guest_split() {
	mv "$1/$2.sock" "$1/$2.device" || return
	"$GUEST_LIB/split" "$1/$2.sock" "$1/$2.device" >"$1/split-$2" 2>&1 4>&- 5>&- 6>&- 7>&- &
	GUEST_SERVERS+=($!)
	until [ -S "$1/$2.sock" ]; do
		kill -0 $! 2>/dev/null || guest_fail "$(cat "$1/split-$2")" || return
		sleep 0.1
	done
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

# guest_run WORK LIMIT COMMAND…: run GUEST_COMMAND, which is part of the command, for LIMIT seconds at
# most (0: no limit). Gives the status of the guest's job, or 125 if the guest did not report one.
# Whoever wants to end it early may kill the process whose number is in WORK/pid.
guest_run() {
	local work=$1 limit=$2 input=/dev/null start=$SECONDS follower status group=--foreground
	shift 2

	rm -f "$work"/control.{in,out}
	mkfifo "$work"/control.{in,out}
	: >"$work/log"
	# Both ends stay open here, so that neither the follower nor the guest waits for the other one.
	exec 5<>"$work/control.out" 6<>"$work/control.in"
	guest_follow "$work" 5>&- 6>&- &
	follower=$!
	[ -z "${GUEST_TERMINAL:-}" ] || input=/dev/tty
	# The processes that a User-Mode Linux consists of end together.
	[ "$GUEST_MACHINE" != uml ] || group=--
	# In the background, so that signals to this script can end it; for timeout, 0 is no limit.
	timeout --kill-after=10 "$group" "$limit" "$@" <"$input" 5>&- 6>&- &
	GUEST_PID=$!
	echo "$GUEST_PID" >"$work/pid"
	trap 'kill "$GUEST_PID" || true' INT TERM HUP
	GUEST_STATUS=0
	GUEST_HUNG=
	wait "$GUEST_PID" || GUEST_STATUS=$?
	# A signal ends the waiting, but not yet what is waited for.
	while kill -0 "$GUEST_PID" 2>/dev/null; do
		wait "$GUEST_PID" || GUEST_STATUS=$?
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
	elif [ "$GUEST_STATUS" = 0 ]; then
		echo "the guest stopped without a status"
	else
		echo "QEMU or another program of the host ended with status $GUEST_STATUS"
	fi
	echo "the last lines of its console:"
	tail -n 40 "$1/console" 2>/dev/null | tr -d '\r' || true
}
