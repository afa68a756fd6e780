# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # options.sh, boot.sh; boot.sh reads accelerator
# KVM where it runs a guest, QEMU's emulation elsewhere.

# Seconds that a guest gets to reach its init under KVM. It takes about one.
readonly PROBE_LIMIT=20

# Why KVM is out of the question, without trying; nothing if it is not.
kvm_obstacle() {
	if [[ ! -e /dev/kvm ]]; then
		echo "there is no /dev/kvm"
	elif [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
		echo "/dev/kvm may not be opened by this user"
	fi
}

# Whether the guest's own kernel reaches its init under KVM. /dev/kvm can be
# there, open, and yet run no guest: then QEMU often stays, with the machine
# halted and a message.
kvm_runs() {
	local ended
	accelerator=(-accel kvm)
	start_qemu "$workdir/probe.log" "$workdir/probe.status" guest_probe=1
	tail --bytes +1 --follow --sleep-interval 0.1 --pid "$qemu" "$workdir/qemu.err" 2>/dev/null |
		grep --quiet "KVM internal error" &
	wait_for "$PROBE_LIMIT" "$qemu" $!
	stop_guest
	[[ $(<"$workdir/probe.status") == boot* ]]
}

# Sets accelerator. The answer of a probe holds until the machine is booted
# again or the obstacle changes; it is found, key and, for tcg, the obstacle.
choose_accelerator() {
	local answer=$KIT/accelerator obstacle key known='' found='' why='' lock
	if [[ -n $icount ]]; then
		accelerator=(-accel "tcg,thread=single" -icount "shift=0,sleep=off")
		[[ -z $plugin ]] || accelerator+=(-plugin "$plugin")
		return
	fi
	accelerator=(-accel "tcg,thread=multi")
	[[ $accel != tcg ]] || return 0

	obstacle=$(kvm_obstacle)
	key="$(</proc/sys/kernel/random/boot_id) ${obstacle:-/dev/kvm}"
	exec {lock}>"$answer.lock"
	flock "$lock"
	[[ ! -f $answer ]] || { read -r found && read -r known && read -r why; } <"$answer" || :
	if [[ $known != "$key" ]]; then
		if [[ -n $obstacle ]]; then
			found=tcg
		elif kvm_runs; then
			found=kvm
		else
			found=tcg obstacle="a guest did not boot with it"
			[[ ! -s $workdir/qemu.err ]] || obstacle+=" ($(head -n 1 "$workdir/qemu.err"))"
		fi
		[[ $found == kvm ]] || printf '%s: KVM is not used, guests are emulated: %s\n' \
			"$PROG" "$obstacle" >&2
		why=$obstacle
		printf '%s\n' "$found" "$key" "$why" >"$answer"
	fi
	exec {lock}>&-

	if [[ $found == kvm ]]; then
		accelerator=(-accel kvm)
	else
		accelerator=(-accel "tcg,thread=multi")
		[[ $accel != kvm ]] || die "--accel kvm: ${why:-a guest did not boot with it}"
	fi
}
