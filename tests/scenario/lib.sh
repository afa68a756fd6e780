# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # for those who source this
# What scenarios share: where things are, a result, Debian's packages for the
# guest, turns of large guests. Sourced, after `set -euo pipefail`.

TOP=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
RELEASE=${RELEASE:-$("$TOP/scripts/kit" kernel)}
TOOLS=$TOP/build/tools
LOADER=lib64/ld-linux-x86-64.so.2
# For guests of many GiB: nobody but the pools fills pages. What a pool would leave
# uncleared shows, and most of the time is saved.
SPARING="init_on_alloc=0 page_poison=off"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

number=0
failures=0

# result NAME COMMAND...: one test, passed if COMMAND succeeds.
result() {
	local name=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number $name"
	else
		echo "not ok $number $name # see the guest's lines"
		sed 's/^/# /' "$tmp/output" "$tmp/err"
		failures=$((failures + 1))
	fi
}

# wait_for_room: until no other scenario has a guest of many GiB. Two would not
# fit into the memory of many a machine.
wait_for_room() {
	mkdir -p "$TOP/build"
	exec {room}>"$TOP/build/room.lock"
	flock "$room"
}

# fetch PACKAGE: unpacks Debian's package in build/tools, unless it is there.
# Only the first run needs the network.
fetch() {
	local part
	[[ ! -d $TOOLS/$1 ]] || return 0
	mkdir -p "$TOOLS"
	part=$(mktemp -d "$TOOLS/part.XXXXXX")
	(cd "$part" && "$TOP/scripts/in-kit" apt-get download "$1" >&2) ||
		{
			rm -rf "$part"
			echo "${0##*/}: cannot fetch $1: check the network and run this again" >&2
			exit 1
		}
	# shellcheck disable=SC2016 # expanded by the shell inside
	"$TOP/scripts/in-kit" sh -c 'dpkg-deb -x "$1"/*.deb "$1/tree"' sh "$part"
	mv "$part/tree" "$TOOLS/$1"
	rm -rf "$part"
}
