# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# A kernel to build for and to boot: Debian's own image, and a build folder with
# the Rust metadata that Debian's header packages lack. Sourced by scripts/kit.

SOURCE_MIB=2200
KERNEL_MIB=350

# kernel [RELEASE]: make it if needed and print its release.
kernel() {
	local release=$1 series
	if [[ -z $release ]]; then
		check_flavour
		make_root
		for series in "${SUPPORTED_SERIES[@]}"; do
			if release=$(newest "$series"); then
				break
			fi
		done
		[[ -n $release ]] || none_supported
	fi
	make_kernel "$release"
	echo "$release"
}

kernels() {
	local series release found=()
	check_flavour
	make_root
	for series in "${SUPPORTED_SERIES[@]}"; do
		if release=$(newest "$series"); then
			make_kernel "$release"
			found+=("$release")
		fi
	done
	((${#found[@]})) || none_supported
	printf '%s\n' "${found[@]}"
}

# lookup RELEASE: print its line of the archive's list; fail if it has none.
lookup() {
	awk -v release="$1" '$1 == release { print; found = 1 } END { exit !found }' "$KIT/archive"
}

make_kernel() {
	local release=$1 line series version
	[[ ! -f $KIT/kernel/$release/vmlinuz ]] || return 0
	for series in "${SUPPORTED_SERIES[@]}"; do
		[[ $release != "$series".* ]] || break
	done
	[[ $release == "$series".* ]] ||
		die "$release is not of a supported series: take one of ${SUPPORTED_SERIES[*]}"
	make_root
	lock
	[[ ! -f $KIT/kernel/$release/vmlinuz ]] || return 0
	# The kept list may be older than the release.
	lookup "$release" >/dev/null || update
	line=$(lookup "$release") ||
		die "the archive does not hold $release: take one of $(held | paste -s -d ' ' -)"
	read -r _ _ _ version <<<"$line"

	make_source "$series" "$version"
	make_build "$release" "$KIT/source/$version"
}

# fetch FOLDER PACKAGE=VERSION...: download packages; a version that the archive
# has dropped since it was asked is not there any more.
fetch() {
	local dir=$1
	shift
	mkdir -p "$dir"
	(cd "$dir" && logged fetch "$TOP/scripts/enter-root" "$KIT/root" apt-get download "$@") ||
		die "cannot fetch $*: $(why fetch): check the network; if the archive has newer" \
			"kernels by now, run scripts/kit update; then run this again"
}

# make_source SERIES VERSION: unpack the source package.
make_source() {
	local dir=$KIT/source/$2 debs=$KIT/downloads/source-$2
	[[ ! -d $dir ]] || return 0
	need_space "$SOURCE_MIB" "the kernel source"
	step "kernel source $2: fetching"
	fetch "$debs" "linux-source-$1=$2"
	step "kernel source $2: unpacking"
	mkdir "$dir.part"
	# shellcheck disable=SC2016 # expanded by the shell inside
	logged unpack "$TOP/scripts/enter-root" "$KIT/root" bash -c '
		set -euo pipefail
		dpkg-deb --fsys-tarfile "$1"/*.deb | tar -x -O --wildcards "./usr/src/*.tar.xz" |
			xz -d -T 0 | tar -x -C "$2" --strip-components=1
	' unpack "$debs" "$dir.part" ||
		die "cannot unpack the kernel source: $(why unpack): remove $debs and run this again"
	mv -T "$dir.part" "$dir"
	discard "$debs"
}

# make_build RELEASE SOURCE
make_build() {
	local release=$1 source=$2 final=$KIT/kernel/$1 part=$KIT/kernel/$1.part
	local debs=$KIT/downloads/kernel-$1 version=${2##*/}
	need_space "$KERNEL_MIB" "kernel $release"
	step "kernel $release: fetching headers and image"
	fetch "$debs" "linux-headers-$release=$version" "linux-binary-unsigned-$release=$version"

	step "kernel $release: Rust metadata"
	mkdir -p "$part/build" "$part/deb"
	for deb in "$debs"/*.deb; do
		dpkg-deb -x "$deb" "$part/deb"
	done
	ln -s "$source" "$part/source"
	# Debian's vmlinux here holds its type information alone.
	cp "$part/deb/usr/src/linux-headers-$release/"{.config,Module.symvers,vmlinux} "$part/build/"
	# Debian's part of the release string, in the way Kconfig's tools add one.
	echo "${release#"${release%%+*}"}" >"$part/build/localversion"
	# The build folder names itself in its files, so it is made at its final
	# path, where it is mounted for as long as that takes.
	mkdir -p "$final"
	# shellcheck disable=SC2016 # expanded by the shells inside
	logged metadata bash -c '
		mount --bind "$1" "$2" && shift 2 && exec "$@"
	' mount "$part" "$final" "$TOP/scripts/enter-root" "$KIT/root" sh -c '
		set -e
		export LOCALVERSION=
		make -C "$1/source" O="$1/build" olddefconfig
		make -C "$1/source" O="$1/build" -j "$(nproc)" modules_prepare
	' metadata "$final" ||
		die "cannot make the Rust metadata of $release: $(why metadata): read the log"
	check_build "$release" "$part"
	mv "$part/deb/usr/lib/modules/$release"/vmlinuz* "$part/vmlinuz"
	discard "$part/deb"
	mv -T "$part" "$final"
	discard "$debs"
	step "kernel $release: done"
}

# check_build RELEASE FOLDER: a module built there must be one the image loads:
# the same release, and the same mangled name for each symbol.
check_build() {
	local release=$1 part=$2 got missing
	got=$(cat "$part/build/include/config/kernel.release")
	[[ $got == "$release" ]] || die "the metadata of $release says $got: raise an issue"
	missing=$(sed -n 's/^EXPORT_SYMBOL_RUST_GPL(\(.*\));$/\1/p' "$part"/build/rust/exports_*_generated.h |
		sort -u | comm -23 - <(cut -f 2 "$part/build/Module.symvers" | sort -u) | wc -l)
	((missing == 0)) ||
		die "$missing Rust symbols of $release differ from the image's: the toolchain of $KIT_SUITE" \
			"is not the one that built it; run scripts/kit remove and this again"
}
