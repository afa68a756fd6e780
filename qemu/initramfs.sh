# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # options.sh, kernel.sh, workdir.sh
# The guest's file system: a base archive, made once, and an archive of this
# run's files behind it. The kernel unpacks both.

# pack FOLDER FILE: FOLDER as a cpio archive, everything owned by root.
pack() {
	# shellcheck disable=SC2016 # expanded by the shell inside
	"$TOP/scripts/in-kit" sh -c \
		'cd "$1" && find . -print0 | sort -z | cpio --quiet --null --create --format=newc --owner=0:0 >"$2"' \
		sh "$1" "$2" || die "cannot pack $1: is there room in $TOP/build?"
}

# Sets base to an archive with busybox, its applets and init.
make_base() {
	local key tree applet old busybox=$KIT/root/usr/bin/busybox
	[[ -x $busybox ]] || "$TOP/scripts/kit" root >/dev/null || exit "$STATUS_HARNESS"
	key=$(cat "$busybox" "$QEMU_DIR/initramfs.sh" "$QEMU_DIR"/guest/* | sha256sum)
	base=$TOP/build/guest/base-${key:0:16}.cpio
	[[ ! -f $base ]] || return 0

	tree=$workdir/base
	mkdir -p "$tree"/{bin,dev,etc,home/user,lib/modules,proc,root,run,sbin,sys,tmp,usr/bin,usr/sbin}
	cp "$busybox" "$tree/bin/busybox" || die "no room in $TOP/build: make some"
	"$busybox" --list-full >"$workdir/applets"
	while read -r applet; do
		[[ $applet == bin/busybox ]] || ln -s /bin/busybox "$tree/$applet"
	done <"$workdir/applets"
	cp "$QEMU_DIR/guest/init" "$tree/init"
	chmod 755 "$tree/init"
	chmod 1777 "$tree/tmp"
	printf '%s\n' root:x:0:0:root:/root:/bin/sh user:x:1000:1000:user:/home/user:/bin/sh \
		nobody:x:65534:65534:nobody:/:/bin/sh >"$tree/etc/passwd"
	printf '%s\n' root:x:0: user:x:1000: nogroup:x:65534: >"$tree/etc/group"
	pack "$tree" "$workdir/base.cpio"
	rm -rf "$tree"
	mv "$workdir/base.cpio" "$base"
	# Not this one's own name: another run may be reading it.
	for old in "$TOP"/build/guest/base-*.cpio; do
		[[ $old == "$base" ]] || rm -f "$old"
	done
}

# add_to_tree FILE[:PATH]: what --add means.
add_to_tree() {
	local file=$1 path=
	if [[ ! -e $file && $file == *:* ]]; then
		path=${file##*:} file=${file%:*}
	fi
	[[ -e $file ]] || die "--add $1: no such file: give FILE or FILE:PATH"
	path=${path:-/$(basename -- "$(realpath --no-symlinks -- "$file")")}
	[[ $path == /?* && $path/ != */../* && $path != */ ]] ||
		die "--add $1: give the file's full path in the guest, for example :/bin/name"
	case $path/ in
	/dev/* | /proc/* | /sys/* | /init/)
		die "--add $1: the guest puts its own things at $path: choose another path"
		;;
	esac
	mkdir -p "$tree$(dirname -- "$path")"
	if [[ -d $file ]]; then
		mkdir -p "$tree$path"
		cp -pR -- "$file/." "$tree$path/"
	else
		cp -pL -- "$file" "$tree$path"
	fi || die "--add $1: cannot copy it to $TOP/build: is there room?"
}

# quoted WORD...: the words as ash reads them back.
quoted() {
	local word quote="'\\''"
	for word; do
		printf " '%s'" "${word//\'/$quote}"
	done
}

# The job that init is to do, as an ash script that it sources.
write_job() {
	local size=
	{
		printf 'load_module=%s\n' "$load_module"
		printf 'load_module() { insmod /lib/modules/rust_hugetlb.ko%s; }\n' \
			"$(quoted "${params[@]}")"
		printf 'terminal=%s\n' "${terminal:+1}"
		if [[ -n $terminal ]]; then
			size=$(stty size)
			printf 'rows=%s columns=%s\n' "${size% *}" "${size#* }"
			printf 'export%s\n' "$(quoted "TERM=${TERM:-linux}")"
		fi
		printf 'set --%s\n' "$(quoted "${command[@]}")"
	} >"$1"
}

# Sets initrd to the two archives in one file.
make_initramfs() {
	local base item tree=$workdir/tree

	make_base
	mkdir -p "$tree/run/guest"
	if [[ -n $module ]]; then
		mkdir -p "$tree/lib/modules"
		cp -L -- "$module" "$tree/lib/modules/rust_hugetlb.ko" || die "cannot copy $module: is there room?"
	fi
	for item in "${add[@]}"; do
		add_to_tree "$item"
	done
	write_job "$tree/run/guest/job"
	[[ -z $interactive || -n $terminal ]] || cat >"$tree/run/guest/stdin"

	initrd=$workdir/initrd
	pack "$tree" "$workdir/overlay.cpio"
	cat "$base" "$workdir/overlay.cpio" >"$initrd" || die "no room in $TOP/build: make some"
	rm -rf "$tree" "$workdir/overlay.cpio"

	# The image may lie where the kit's root does not reach.
	cp -L -- "$image" "$workdir/vmlinuz" || die "cannot copy $image: is there room?"
}
