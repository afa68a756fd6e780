# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # options.sh, machine.sh, accel.sh; verdict.sh reads the outcome
# Starting QEMU, passing the command's output on, and ending QEMU again.
#
# The guest has three serial ports: the kernel's console (the log), the
# command's output, and the status, where init writes a line for each step that
# is over. All three are files to QEMU, which therefore never waits for a slow
# reader, so nothing that the guest has written is lost when it powers off.

# Seconds that QEMU gets to end by itself once told to.
readonly STOP_LIMIT=5

qemu=

# start_qemu CONSOLE STATUS [KERNEL-ARGUMENT]...
start_qemu() {
	local console=$1 status=$2 output input
	shift 2
	# There from the start, for whoever reads them while QEMU runs.
	: >"$status"
	: >"$workdir/qemu.err"
	if [[ -n $terminal ]]; then
		output=stdio,id=output,mux=on,signal=off
		exec {input}<&0
	else
		output=file,id=output,path=$(escaped "$workdir/output")
		exec {input}</dev/null
	fi
	# no_timer_check: an emulator that a busy host kept waiting does not bring as many timer
	# interrupts as the kernel counts on when it comes up, and it would panic.
	"$TOP/scripts/in-kit" qemu-system-x86_64 "${machine[@]}" "${accelerator[@]}" \
		-append "console=ttyS0 ignore_loglevel printk.devkmsg=on panic=-1 no_timer_check $* ${append[*]}" \
		-chardev "file,id=console,path=$(escaped "$console")" -serial chardev:console \
		-chardev "$output" -serial chardev:output \
		-chardev "file,id=status,path=$(escaped "$status")" -serial chardev:status \
		<&"$input" 2>"$workdir/qemu.err" &
	qemu=$!
	exec {input}<&-
}

# wait_for SECONDS PROCESS...: until the first of them ends, or the time is
# over; no SECONDS, no limit. Sets ended to that process, or to nothing.
wait_for() {
	local limit=$1 timer=
	shift
	if [[ -n $limit ]]; then
		setpriv --pdeathsig KILL sleep "$limit" &
		timer=$!
	fi
	ended=
	wait -n -p ended "$@" ${timer:+"$timer"} || :
	[[ -n $timer ]] || return 0
	if [[ $ended == "$timer" ]]; then
		ended=
	else
		kill "$timer" 2>/dev/null || :
		wait "$timer" || :
	fi
}

stop_guest() {
	local ended
	[[ -n $qemu ]] || return 0
	if kill "$qemu" 2>/dev/null; then
		wait_for "$STOP_LIMIT" "$qemu"
		[[ -n $ended ]] || kill -KILL "$qemu" 2>/dev/null || :
	fi
	wait "$qemu" 2>/dev/null || :
	qemu=
	[[ -z $terminal ]] || stty "$terminal"
}

# Whether the emulator broke the kernel before it ran anything from here: with a
# thread for each processor QEMU may run a breakpoint that the kernel had put over
# an instruction while it changed it and has taken away again ("int3").
emulation_failed() {
	[[ $outcome == over && ${accelerator[*]} == *thread=multi* && ! -s $workdir/status ]] &&
		grep --quiet 'Oops: int3: ' "$log"
}

# Boots and waits, and once more where the first try shows nothing.
boot_guest() {
	boot_once
	emulation_failed || return 0
	printf '%s: booting once more: QEMU ran a breakpoint that was gone, and the kernel died of it\n' \
		"$PROG" >&2
	boot_once
}

# Boots and waits. Sets outcome: over (QEMU ended by itself, with qemu_status),
# time (the limit was reached) or unread (nobody reads the output any more).
boot_once() {
	local ended follower=
	: >"$workdir/output"
	[[ -z $terminal ]] || step "boot Linux $release (exit or Ctrl-A X ends the guest)"
	start_qemu "$log" "$workdir/status"
	if [[ -z $terminal ]]; then
		tail --bytes +1 --follow --sleep-interval 0.1 --pid "$qemu" "$workdir/output" 2>/dev/null &
		follower=$!
	fi

	wait_for "$time_limit" "$qemu" ${follower:+"$follower"}
	case $ended in
	"$qemu") outcome=over ;;
	'') outcome='time' ;;
	# It ends by itself only after QEMU.
	"$follower")
		outcome=unread
		kill -0 "$qemu" 2>/dev/null || outcome=over
		;;
	esac
	qemu_status=0
	[[ $outcome != over ]] || wait "$qemu" || qemu_status=$?
	stop_guest
	[[ -z $follower ]] || wait "$follower" || :
}
