# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The debug kernel: built from the source of the newest supported kernel with
# qemu/debug.config. Sourced by scripts/kit.

DEBUG_MIB=1500

# debug_kernel: make it if needed and print its release, which names the
# configuration too: another one is another kernel.
debug_kernel() {
	local stock series version sum release
	stock=$(kernel "")
	read -r _ series _ version < <(lookup "$stock")
	sum=$(grep -v -e '^#' -e '^$' "$TOP/qemu/debug.config" | sha256sum)
	release=${version%%-*}-debug-${sum:0:8}
	if [[ ! -f $KIT/kernel/$release/vmlinuz ]]; then
		lock
		[[ -f $KIT/kernel/$release/vmlinuz ]] || build_debug "$release" "$series" "$version"
	fi
	echo "$release"
}

# build_debug RELEASE SERIES VERSION
build_debug() {
	local release=$1 source=$KIT/source/$3 final=$KIT/kernel/$1 part=$KIT/kernel/$1.part
	make_source "$2" "$3"
	need_space "$DEBUG_MIB" "the debug kernel"
	step "kernel $release: building it, which takes a while (log: $KIT/log/debug)"
	mkdir -p "$part/build" "$final"
	ln -s "$source" "$part/source"
	echo "LLVM=1" >"$part/make-flags"
	{
		cat "$TOP/qemu/debug.config"
		echo "CONFIG_LOCALVERSION=\"-${release#*-}\""
	} >"$part/fragment"
	# At its final path, as in make_build. Objects are only in the way later.
	# shellcheck disable=SC2016 # expanded by the shells inside
	logged debug unshare --mount bash -c '
		mount --bind "$1" "$2" && shift 2 && exec "$@"
	' mount "$part" "$final" "$TOP/scripts/enter-root" "$KIT/root" sh -c '
		set -e
		export LOCALVERSION=
		cd "$1"
		make -C source O="$1/build" LLVM=1 KCONFIG_ALLCONFIG="$1/fragment" allnoconfig
		sed -n "s/^\(CONFIG_[A-Z0-9_]*=[^n]\)/\1/p" fragment | while read -r line; do
			grep -qxF "$line" build/.config || { echo "ERROR: not set: $line"; exit 1; }
		done
		make -C source O="$1/build" -j "$(nproc)" LLVM=1 bzImage modules modules_prepare
		find build -name "*.o" -not -path "*/scripts/*" -not -path "*/tools/*" -delete
		rm -f build/vmlinux.unstripped
	' debug "$final" ||
		die "cannot build the debug kernel: $(why debug): read the log"
	[[ $(cat "$part/build/include/config/kernel.release") == "$release" ]] ||
		die "the debug kernel calls itself $(cat "$part/build/include/config/kernel.release"), not $release: raise an issue"
	mv "$part/build/arch/x86/boot/bzImage" "$part/vmlinuz"
	mv -T "$part" "$final"
	step "kernel $release: done"
}
