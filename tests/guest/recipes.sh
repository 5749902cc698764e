# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What a guest is made of, fetched from Debian once and kept in GUEST_CACHE. To be sourced by lib.sh.
#
#   guest_pc_kernel     the release's own kernel, for QEMU
#   guest_uml_kernel    a User-Mode Linux kernel with the 9P client over virtio
#   guest_new_qemu      a QEMU that takes a vhost-user device of any kind
#   guest_disk_modules  what a file system on a disk needs besides
#   guest_new_storage_daemon  QEMU's server of block devices, for comparison
#   guest_tools         fio, dbench and stress-ng, for a guest
#   guest_userland      a root file system of Debian's
#
# Nothing is installed: packages are unpacked into the cache, and apt checks their signatures.

# Order matters: each module comes after those that it needs.
GUEST_PC_MODULES=(
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
GUEST_UML_MODULES=(
	fs/netfs/netfs
	fs/fscache/fscache
	net/9p/9pnet
	net/9p/9pnet_virtio
	net/9p/9pnet_fd
	fs/9p/9p
)
# For a file system on a disk.
GUEST_DISK_MODULES=(
	crypto/crc32c_generic
	lib/libcrc32c
	lib/crc16
	fs/mbcache
	fs/jbd2/jbd2
	fs/ext4/ext4
)
# Where a tree of packages has its libraries.
GUEST_LIBRARIES=usr/lib/x86_64-linux-gnu

guest_fail() {
	echo "guest: $*" >&2
	return 1
}

# guest_cached NAME MAKE…: sets GUEST_FOUND to the directory NAME of the cache. If there is none,
# MAKE is run with a new directory to fill, which takes the name when that worked.
guest_cached() {
	local name=$1 partial
	shift

	GUEST_FOUND=$GUEST_CACHE/$name
	[ ! -d "$GUEST_FOUND" ] || return 0
	mkdir -p "$GUEST_CACHE"
	partial=$(mktemp -d "$GUEST_CACHE/partial.XXXXXX")
	chmod 755 "$partial"
	if "$@" "$partial" >&2 && mv -T "$partial" "$GUEST_FOUND"; then
		return
	fi
	rm -rf "$partial"
	guest_fail "there is no $name"
}

# apt would fetch as a user who may not write here.
guest_apt() {
	apt-get -q -o APT::Sandbox::User=root "$@"
}

# guest_download DIR PACKAGE[=VERSION]: one package file into the directory.
guest_download() {
	(cd "$1" && guest_apt download "$2")
}

# guest_copy_module FROM TO: unpack it if need be, and note its place in the order.
guest_copy_module() {
	local found

	found=$(echo "$1".ko*)
	case $found in
	*.ko) cp "$found" "$2/modules/" || return ;;
	*.ko.xz) xz -dc "$found" >"$2/modules/$(basename "$1").ko" || return ;;
	*) guest_fail "the kernel package has no module $1" || return ;;
	esac
	basename "$1" >>"$2/modules/list"
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

guest_make_pc_kernel() {
	local dir=$2 module

	guest_download "$dir" "$1" && dpkg-deb -x "$dir"/*.deb "$dir/root" && mkdir "$dir/modules" || return
	for module in "${GUEST_PC_MODULES[@]}"; do
		guest_copy_module "$(echo "$dir"/root/lib/modules/*/kernel)/$module" "$dir" || return
	done
	# Any other kind of kernel has to unpack itself.
	guest_unpack_kernel "$dir"/root/boot/vmlinuz-* "$dir/kernel" ||
		cp "$dir"/root/boot/vmlinuz-* "$dir/kernel" || return
	rm -r "$dir/root" "$dir"/*.deb
}

# Sets GUEST_KERNEL, a directory of the kernel and its modules.
guest_pc_kernel() {
	local package

	# A kernel that is there is as good as the newest one, and needs no network.
	for GUEST_KERNEL in "$GUEST_CACHE"/linux-image-*; do
		[ ! -e "$GUEST_KERNEL/kernel" ] || return 0
	done
	package=$(guest_kernel_package) || return
	guest_cached "$package" guest_make_pc_kernel "$package" || return
	GUEST_KERNEL=$GUEST_FOUND
}

guest_make_disk_modules() {
	local dir=$2 module

	guest_download "$dir" "$1" && dpkg-deb -x "$dir"/*.deb "$dir/root" && mkdir "$dir/modules" || return
	for module in "${GUEST_DISK_MODULES[@]}"; do
		guest_copy_module "$(echo "$dir"/root/lib/modules/*/kernel)/$module" "$dir" || return
	done
	rm -r "$dir/root" "$dir"/*.deb
}

# Sets GUEST_DISK, a directory of modules for the kernel that guest_pc_kernel found.
guest_disk_modules() {
	local package

	package=$(basename "$GUEST_KERNEL")
	guest_cached "disk-$package" guest_make_disk_modules "$package" || return
	# shellcheck disable=SC2034 # for those who source this
	GUEST_DISK=$GUEST_FOUND
}

# Debian's kernel has all but one module of ours, which its source has: build that one.
guest_make_uml_module() {
	local kernel=$1 source=$2 dir=$3

	"$kernel" --showconfig >"$source/.config" &&
		(cd "$source" && ./scripts/config -m NET_9P_VIRTIO -d LOCALVERSION_AUTO) &&
		make -s -C "$source" ARCH=um olddefconfig modules_prepare &&
		mkdir "$dir/9p" && cp "$source"/net/9p/trans_{virtio.c,common.h} "$dir/9p/" || return
	printf 'obj-m := 9pnet_virtio.o\n9pnet_virtio-y := trans_virtio.o\n' >"$dir/9p/Makefile"
	# It says of each symbol of the kernel that it does not know it: the kernel itself was not built here.
	make -s -C "$source" ARCH=um M="$dir/9p" KBUILD_MODPOST_WARN=1 modules >"$dir/log" 2>&1 || {
		cat "$dir/log"
		return 1
	}
}

guest_make_uml_kernel() {
	local dir=$1 program version package modules module

	for program in gcc make flex bison bc xz; do
		command -v "$program" >/dev/null || guest_fail "a UML kernel needs $program" || return
	done
	guest_download "$dir" user-mode-linux && dpkg-deb -x "$dir"/user-mode-linux_*.deb "$dir/root" || return
	version=$(basename "$dir"/root/usr/lib/uml/modules/*)
	# A module fits the source that its kernel was made from, and no other.
	package=$(apt-cache madison linux-source-6.1 | awk -v version="$version-" \
		'index($3, version) == 1 && !found { found = 1; print $1 "=" $3 }')
	[ -n "$package" ] || guest_fail "apt has no linux-source-6.1 of version $version" || return
	guest_download "$dir" "$package" && dpkg-deb -x "$dir"/linux-source-*.deb "$dir/source" &&
		tar -C "$dir/source" --strip-components=1 --exclude='*/drivers/*.[ch]' --exclude='*/sound/*.[ch]' \
			--exclude='*/fs/*.[ch]' --exclude='*/arch/[!ux]*.[chS]' --exclude='*/tools/testing' \
			--exclude='*.dts*' --exclude='*.rst' --exclude='*.yaml' \
			-xf "$dir"/source/usr/src/linux-source-6.1.tar.xz || return
	guest_make_uml_module "$dir/root/usr/bin/linux.uml" "$dir/source" "$dir" || return
	modules=$dir/root/usr/lib/uml/modules/$version/kernel
	cp "$dir/9p/9pnet_virtio.ko" "$modules/net/9p/" && mkdir "$dir/modules" || return
	for module in "${GUEST_UML_MODULES[@]}"; do
		guest_copy_module "$modules/$module" "$dir" || return
	done
	mv "$dir/root/usr/bin/linux.uml" "$dir/kernel" &&
		rm -r "$dir/root" "$dir/source" "$dir/9p" "$dir/log" "$dir"/*.deb
}

# Sets GUEST_KERNEL. VIRTFS_UML may name a kernel that has the 9P client over virtio built in.
guest_uml_kernel() {
	if [ -n "${VIRTFS_UML:-}" ]; then
		[ -x "$VIRTFS_UML" ] || guest_fail "VIRTFS_UML: there is no program $VIRTFS_UML" || return
		GUEST_KERNEL=$GUEST_CACHE/uml-given
		mkdir -p "$GUEST_KERNEL/modules" && : >"$GUEST_KERNEL/modules/list" &&
			ln -sfn "$(realpath "$VIRTFS_UML")" "$GUEST_KERNEL/kernel"
		return
	fi
	guest_cached uml guest_make_uml_kernel || return
	GUEST_KERNEL=$GUEST_FOUND
}

# guest_unpack_closure DIR PACKAGE… [-- APT-OPTION…]: the packages and all that they depend on, as if
# nothing were installed.
guest_unpack_closure() {
	local dir=$1 packages=() package
	shift

	while [ $# -gt 0 ]; do
		[ "$1" != -- ] || { shift && break; }
		packages+=("$1")
		shift
	done
	mkdir -p "$dir/archives/partial" && : >"$dir/status" || return
	guest_apt "$@" -o Dir::State::status="$dir/status" -o Dir::Cache::archives="$dir/archives" \
		-o APT::Keep-Downloaded-Packages=true --no-install-recommends -d -y install "${packages[@]}" || return
	for package in "$dir"/archives/*.deb; do
		dpkg-deb -x "$package" "$dir/root" || return
	done
	rm -r "$dir/archives" "$dir/status"
}

# guest_unpack_newest DIR PACKAGE: the newest that Debian builds for its stable release, with all that it depends on.
guest_unpack_newest() {
	local dir=$1 site options

	# The mirror that this system uses.
	site=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
		'Component: main' | grep -v security | head -n 1)
	mkdir -p "$dir"/state/lists/partial "$dir"/cache "$dir"/parts || return
	for suite in trixie trixie-backports; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
			"${site:-http://deb.debian.org/debian} $suite main"
	done >"$dir/sources.list"
	options=(-o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts="$dir/parts"
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$dir/parts"
		-o Dir::State="$dir/state" -o Dir::Cache="$dir/cache" -o Acquire::Languages=none)
	guest_apt "${options[@]}" -o Dir::State::status=/dev/null update &&
		guest_unpack_closure "$dir" "$2" -- "${options[@]}" -t trixie-backports || return
	mkdir -p "$dir/usr/share" "$dir/usr/bin" "$dir/usr/lib" "$dir/usr/lib64" &&
		mv "$dir/root/$GUEST_LIBRARIES" "$dir/usr/lib/"
}

# The newest QEMU; it runs beside any older system, because it brings its libraries and their loader.
guest_make_qemu() {
	local dir=$1

	guest_unpack_newest "$dir" qemu-system-x86 || return
	# Of the whole tree it needs these.
	mv "$dir/root/usr/bin/qemu-system-x86_64" "$dir/usr/bin/" &&
		mv "$dir"/root/usr/share/{qemu,seabios} "$dir/usr/share/" &&
		rm -r "$dir"/{root,state,cache,parts,sources.list}
}

guest_make_storage_daemon() {
	local dir=$1

	guest_unpack_newest "$dir" qemu-utils || return
	mv "$dir/root/usr/bin/qemu-storage-daemon" "$dir/usr/bin/" &&
		rm -r "$dir"/{root,state,cache,parts,sources.list}
}

# Sets GUEST_STORAGE_DAEMON, the words of a command: the newest qemu-storage-daemon.
guest_new_storage_daemon() {
	local root

	guest_cached qemu-storage-daemon guest_make_storage_daemon || return
	root=$GUEST_FOUND
	GUEST_STORAGE_DAEMON=(env QEMU_MODULE_DIR="$root/$GUEST_LIBRARIES/qemu"
		"$root/$GUEST_LIBRARIES/ld-linux-x86-64.so.2" --library-path "$root/$GUEST_LIBRARIES"
		"$root/usr/bin/qemu-storage-daemon")
	"${GUEST_STORAGE_DAEMON[@]}" --version >/dev/null ||
		guest_fail "the qemu-storage-daemon in $root does not start"
}

# An older QEMU says in its own way, and with status 0, that it has no such device.
guest_takes_vhost() {
	"$@" -device vhost-user-test-device-pci,help 2>&1 | grep -q '^ *virtio-id='
}

# Sets GUEST_QEMU, the words of a command: the system's, if it takes a vhost-user device of any kind
# (10.2 and later do), else one from the cache.
guest_new_qemu() {
	local root

	GUEST_QEMU=(qemu-system-x86_64)
	if guest_takes_vhost "${GUEST_QEMU[@]}"; then
		return
	fi
	guest_cached qemu guest_make_qemu || return
	root=$GUEST_FOUND
	GUEST_QEMU=(env QEMU_MODULE_DIR="$root/$GUEST_LIBRARIES/qemu"
		"$root/$GUEST_LIBRARIES/ld-linux-x86-64.so.2" --library-path "$root/$GUEST_LIBRARIES"
		"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios")
	guest_takes_vhost "${GUEST_QEMU[@]}" || guest_fail "the QEMU in $root does not start"
}

# guest_copy_program DIR PROGRAM: out of the tree DIR/root, with its libraries, to DIR/bin and DIR/lib.
guest_copy_program() {
	local root=$1/root path=$1/root/lib/x86_64-linux-gnu:$1/root/$GUEST_LIBRARIES

	cp "$root/$2" "$1/bin/" &&
		"$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" \
			--library-path "$path:$root/$GUEST_LIBRARIES/ceph" --list "$root/$2" |
		sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | xargs cp -L -u -t "$1/lib"
}

guest_make_tools() {
	local dir=$1 program

	guest_unpack_closure "$dir" fio dbench stress-ng && mkdir -p "$dir"/{bin,lib} || return
	for program in fio dbench stress-ng; do
		guest_copy_program "$dir" "usr/bin/$program" || return
	done
	cp "$dir/root/usr/share/dbench/client.txt" "$dir/" && rm -r "$dir/root"
}

# Sets GUEST_TOOLS, a directory of Debian's load programs (bin) and their libraries (lib).
guest_tools() {
	guest_cached tools guest_make_tools || return
	GUEST_TOOLS=$GUEST_FOUND
}

guest_make_userland() {
	guest_unpack_closure "$1" bash coreutils dash diffutils findutils grep gzip perl-base sed tar util-linux mount &&
		rm -r "$1"/root/usr/share/{doc,locale,man,info,bash-completion}
}

# Sets GUEST_USERLAND, a small Debian of which nothing was configured.
guest_userland() {
	guest_cached userland guest_make_userland || return
	GUEST_USERLAND=$GUEST_FOUND/root
}
