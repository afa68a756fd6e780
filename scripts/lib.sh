# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What every host-side script starts with: where things are, how to fail, how
# to show progress. Sourced, after `set -euo pipefail`.

# The checkout.
TOP=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# The name that messages begin with.
PROG=${0##*/}

# die WHAT-WENT-WRONG: WHAT-TO-DO
die() {
	printf '%s: %s\n' "$PROG" "$*" >&2
	exit 1
}

# An administrator's programs are not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

# shellcheck source=scripts/kernels.conf
. "$TOP/scripts/kernels.conf"

# Two checkouts whose kits are made of the same things share one; a checkout
# with another list of packages gets its own.
kit_key() {
	local sum
	sum=$({
		echo "$KIT_FORMAT $KIT_SUITE"
		sed -e '/^#/d' -e '/^$/d' "$TOP/scripts/packages.txt" | sort
	} | sha256sum)
	echo "kit-${sum:0:12}"
}

# All kits with the lock they share, and the kit of this checkout.
CACHE=${RUST_HUGETLB_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/rust_hugetlb}
[[ $CACHE == /* ]] || CACHE=$PWD/$CACHE
# shellcheck disable=SC2034 # for those who source this
KIT=$CACHE/$(kit_key)
case $TOP$CACHE in
*[[:space:]:]*) die "the kernel's build takes no white space or colon in '$TOP' and '$CACHE':" \
	"move the checkout, or set RUST_HUGETLB_CACHE" ;;
esac

# The flavour of Debian kernel that is meant where no release is named.
FLAVOUR=${FLAVOUR:-cloud-amd64}

# Elapsed time counts from the command the user typed, not from the script
# that happens to print it.
export RUST_HUGETLB_START=${RUST_HUGETLB_START:-$EPOCHSECONDS}

# step NAME: say what happens now, and how long it took to get here.
step() {
	printf '[%4d s] %s\n' "$((EPOCHSECONDS - RUST_HUGETLB_START))" "$*" >&2
}

need_root() {
	((EUID == 0)) || die "needs root, to mount and to chroot in" \
		"namespaces of its own: run it as root, e.g. sudo make run"
	unshare --mount --pid --fork --mount-proc true 2>/dev/null || die "cannot make mount and process namespaces:" \
		"run on a machine, or in a container, whose root may (CAP_SYS_ADMIN)"
}
