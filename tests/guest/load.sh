#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# load NAME DIR ARGUMENT…: one of the loads of stress.sh, whose settings are in the environment.

# models DIR CACHE SEED: random operations, several at once, by root and by a user.
models() {
	options="--operations $OPERATIONS"
	case $2 in
	loose) options="$options --shared-maps --cached" ;;
	mmap) options="$options --shared-maps" ;;
	esac
	mkdir "$1/user" && chown 1000:1000 "$1/user" || return
	seed=$3
	children=
	failed=0
	run=0
	while [ "$run" -lt "$RUNS" ]; do
		echo "${1#/mnt/}/root-$run $seed 0 $options" >>/mnt/models
		# shellcheck disable=SC2086
		model $options --seed "$seed" "$1/root-$run" >"/tmp/model-root-$run" 2>&1 &
		children="$children $!"
		echo "${1#/mnt/}/user/$run $((seed + 1)) 1000 $options" >>/mnt/models
		# shellcheck disable=SC2086
		model $options --seed "$((seed + 1))" --uid 1000 --gid 1000 "$1/user/$run" >"/tmp/model-user-$run" 2>&1 &
		children="$children $!"
		seed=$((seed + 2))
		run=$((run + 1))
	done
	for child in $children; do
		wait "$child" || failed=1
	done
	cat /tmp/model-*
	rm /tmp/model-*
	return "$failed"
}

# mixed DIR ENGINE OPTION…: random reads and writes of all sizes, verified.
mixed() {
	dir=$1
	engine=$2
	shift 2
	/tools/bin/fio --directory="$dir" --name=mix --rw=randrw --bsrange=4k-64k --size="$FIO_SIZE" --numjobs=3 \
		--verify=crc32c --verify_fatal=1 --fsync=32 --ioengine="$engine" --group_reporting \
		--output-format=terse --random_generator=tausworthe64 "$@"
}

# clients DIR: what file servers are measured with.
clients() {
	/tools/bin/dbench -c /tools/client.txt -D "$1" -t "$TIME" 3
}

# stressors DIR: every kind of work on names and data that stress-ng has and a 9P client allows.
stressors() {
	set -- --temp-path "$1" --timeout "${TIME}s" --verify --metrics-brief
	for name in access chdir chmod chown dentry dir dirdeep dirmany fcntl filename flock fstat \
		getdent hdd io iomix link locka lockf lockofd open rename seek symlink sync-file touch utime \
		xattr; do
		set -- "$@" "--$name" 1
	done
	/tools/bin/stress-ng "$@" --hdd-bytes 4m --iomix-bytes 4m --dentries 200 \
		--dirdeep-bytes 1m --dirdeep-inodes 300 --seek-size 1m --sync-file-bytes 1m
}

# each_file PROCESSES COMMAND: COMMAND with forty files at a time, whose names, each with a NUL, are the input.
# xargs is executed anew: as a part of busybox's shell it keeps that one's handler of SIGCHLD, so that the end of a child
# interrupts its read(2) of an empty pipe, and it takes EINTR for the end of a name, which arrives in two pieces then.
each_file() {
	busybox xargs -0 -r -n 40 -P "$1" sh -c "$2" sh
}

# build DIR UID: like a kernel's source, unpacked, compiled by several processes at once, changed and compiled again.
build() {
	list=/tmp/build-$2
	tar -C "$1" -xf /mnt/tree.tar &&
		workload --verify-tree "$1/tree" --tree-files "$TREE_FILES" --uid "$2" --gid "$2" || return
	# Directories are read while files appear there.
	# shellcheck disable=SC2016 # for the inner shell
	{
		find "$1/tree" -type f -name '*.c' -print0
		echo "$?" >"$list.status"
	} | each_file 4 'for f; do sha1sum <"$f" >"$f.o" && cat "$f" >>"$f.o" || exit 255; done' &&
		[ "$(cat "$list.status")" = 0 ] || return
	touch "$1/stamp" && sleep 1 && find "$1/tree" -type f -name '*7.c' -print0 >"$list" || return
	# shellcheck disable=SC2016
	each_file 1 'for f; do echo changed >>"$f" || exit 255; done' <"$list" || return
	# What is new takes the place of what was there.
	find "$1/tree" -type f -name '*.c' -newer "$1/stamp" -print0 >"$list.newer" && cmp "$list" "$list.newer" || return
	# shellcheck disable=SC2016
	each_file 4 'for f; do sha1sum <"$f" >"$f.new" && cat "$f" >>"$f.new" && mv "$f.new" "$f.o" || exit 255; done' \
		<"$list.newer" || return
	# Each source has its object, and there is no other.
	find "$1/tree" -type f -name '*.c' >"$list" && find "$1/tree" -type f -name '*.[on]*' >"$list.objects" &&
		sed 's/$/.o/' "$list" | sort >"$list.names" && [ -s "$list.names" ] &&
		sort "$list.objects" | cmp "$list.names" - || return
	tr '\n' '\0' <"$list.names" | busybox xargs -0 cat >"$1/image" && [ -s "$1/image" ]
}
"$@"
