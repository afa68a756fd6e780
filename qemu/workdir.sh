# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # command, log_copy: options.sh
# The folder of one run, and the kernel logs that outlive it.

readonly LOGS_KEPT=50

workdir=
log=

# Each run holds a lock on its folder, so the folders of runs that were killed
# are those nobody holds. The lock around it keeps a folder from being taken
# for one of those before its owner has locked it.
make_workdir() {
	local all=$TOP/build/guest old guard hold name
	mkdir -p "$all" "$TOP/build/log" || die "cannot write to $TOP/build: make room or free the folder"
	exec {guard}>"$all/.lock"
	flock "$guard"
	for old in "$all"/run-*; do
		[[ ! -d $old ]] || flock --nonblock "$old" rm -rf "$old" || :
	done
	workdir=$(mktemp -d "$all/run-XXXXXX") || die "no room in $all: make some"
	exec {hold}<"$workdir"
	flock "$hold"
	exec {guard}>&-

	name=${command[0]##*/}
	name=${name//[^A-Za-z0-9._-]/_}
	printf -v name '%(%Y%m%d-%H%M%S)T-%.40s-XXXXXX' -1 "$name"
	log=$(mktemp --suffix .log "$TOP/build/log/$name") || die "no room in $TOP/build/log: make some"
	chmod 644 "$log"
	prune_logs
}

prune_logs() {
	local logs=() old
	# Names begin with the time, so the oldest come first.
	for old in "$TOP"/build/log/*.log; do
		logs+=("$old")
	done
	((${#logs[@]} <= LOGS_KEPT)) || rm -f -- "${logs[@]:0:${#logs[@]}-LOGS_KEPT}"
}

remove_workdir() {
	[[ -n $workdir ]] || return 0
	[[ -z $log_copy ]] || cp -- "$log" "$log_copy" || :
	rm -rf "$workdir"
	workdir=
}
