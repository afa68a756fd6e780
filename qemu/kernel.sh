# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # kernel, module, load_module: options.sh
# Which kernel image, and which module belongs to it.

# The release string in a bzImage's header (Documentation/arch/x86/boot.rst:
# "HdrS" at 0x202, at 0x20e the string's offset less 0x200).
release_of_image() {
	local offset release
	[[ $(dd if="$1" bs=1 skip=$((0x202)) count=4 status=none | tr -d '\0') == HdrS ]] ||
		die "--kernel $1: not a bzImage: give arch/x86/boot/bzImage of a kernel tree"
	offset=$(od -A n -t u2 -j $((0x20e)) -N 2 "$1")
	release=$(dd if="$1" bs=1 skip=$((offset + 0x200)) count=128 status=none | tr '\0' '\n' | head -n 1)
	echo "${release%% *}"
}

# What the debug kernel watches only when told to, and the time that watching
# takes. While it looks at the CPU it forgets for a moment whether page tables
# have five levels (identify_cpu), and KASAN then takes what an interrupt touches
# for wild: four levels it is.
arm_debug() {
	append=("page_owner=on page_poison=on no5lvl" "${append[@]}")
	[[ -z $time_limit ]] || time_limit=$((time_limit * 3))
}

# Sets image and release.
resolve_kernel() {
	local folder
	case $kernel in
	debug)
		release=$("$TOP/scripts/kit" kernel debug) || exit "$STATUS_HARNESS"
		;;
	stock)
		release=$("$TOP/scripts/kit" kernel) || exit "$STATUS_HARNESS"
		;;
	*/*)
		[[ -f $kernel ]] || die "--kernel $kernel: no such file: give the path of a bzImage"
		image=$(realpath -- "$kernel")
		release=$(release_of_image "$image")
		return
		;;
	*) release=$kernel ;;
	esac
	[[ $release != *-debug-* ]] || arm_debug
	folder=$("$TOP/scripts/kit" path "$release") || exit "$STATUS_HARNESS"
	image=$folder/vmlinuz
}

# Sets module to an existing file, or to nothing.
resolve_module() {
	if [[ -z $load_module ]]; then
		module=
	elif [[ -n $module ]]; then
		[[ -f $module ]] || die "--module $module: no such file: build it first (make)"
	else
		module=$TOP/build/$release/rust_hugetlb.ko
		[[ -f $module ]] ||
			die "build/$release/rust_hugetlb.ko is missing: run make KREL=$release, or use --no-module"
	fi
}
