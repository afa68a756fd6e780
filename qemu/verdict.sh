# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # run, options.sh, workdir.sh, boot.sh
# What the run comes to: the exit status, and why.

readonly TAIL_LINES=20

say() {
	printf '%s: %s\n' "$PROG" "$*" >&2
}

show_tail() {
	say "the kernel log ends with:"
	tail --lines "$TAIL_LINES" "$log" | tr -d '\r' | sed 's/^/  /' >&2
}

# What the kernel says about the module. insmod tries twice, so each line once.
show_refusal() {
	awk '/rust_hugetlb: / && !/taint/ {
		sub(/\r$/, "")
		sub(/^\[[^]]*\] /, "")
		if (!seen[$0]++)
			print "  " $0
	}' "$log" >&2
}

# Ends the run; the log is named when anything but a success comes out of it.
conclude() {
	(($1 == 0)) || say "the kernel log is ${log#"$PWD/"}"
	finish "$1"
}

give_verdict() {
	local line status='' refusal='' clean=1 complaints

	# QEMU does not tell when it cannot write.
	echo >"$workdir/room" || die "no room in $TOP/build, output or log may be cut short: make some"

	while read -r line; do
		case $line in
		"exit "*) status=${line#exit } ;;
		"refused "*) refusal=${line#refused } ;;
		esac
	done <"$workdir/status"

	if ! complaints=$("$QEMU_DIR/log-check" "$log"); then
		clean=
		say "the kernel log complains:"
		head -n "$TAIL_LINES" <<<"$complaints" | sed 's/^/  /' >&2
	fi

	case $outcome in
	time)
		show_tail
		say "time limit of $time_limit s reached: give more with --time-limit"
		conclude "$STATUS_TIME"
		;;
	# As if the command itself had written to a closed pipe.
	unread) conclude $((128 + 13)) ;;
	esac

	if [[ -n $refusal ]]; then
		show_refusal
		say "the module was not loaded: $refusal"
		conclude "$STATUS_HARNESS"
	fi
	if [[ -z $status ]]; then
		tail --lines "$TAIL_LINES" "$workdir/qemu.err" | sed 's/^/  /' >&2
		[[ ! -s $log ]] || show_tail
		if ((qemu_status)); then
			say "QEMU failed with status $qemu_status: see its message above"
		else
			say "the guest ended before the command did: look for a panic in the log"
		fi
		conclude "$STATUS_HARNESS"
	fi
	if ((status == 0)) && [[ -z $clean ]]; then
		say "the command passed, the kernel log did not"
		conclude "$STATUS_LOG"
	fi
	conclude "$status"
}
