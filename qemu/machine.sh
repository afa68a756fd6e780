# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # options.sh, kernel.sh, initramfs.sh; boot.sh reads machine
# The machine the guest runs on, as QEMU arguments.

# Memory is split at the size of a memory block, which is what can be taken
# offline, or at that of a huge page where a node is smaller than that.
readonly MEMORY_BLOCK_MIB=128 HUGE_PAGE_MIB=2

# Of the 2048 bytes that x86 takes as its command line (COMMAND_LINE_SIZE), what
# the harness leaves.
readonly KERNEL_LINE=1900

# Commas separate QEMU's options; in a value they are doubled.
escaped() {
	printf '%s' "${1//,/,,}"
}

# Refuses what QEMU would refuse only after minutes, or would take silently.
check_machine() {
	local arguments="${append[*]}"
	((${#arguments} < KERNEL_LINE)) ||
		die "--append: the kernel takes no more than $KERNEL_LINE bytes: leave some out"
	cpus=${cpus:-$((${#icount} ? 1 : 2))}
	if ((${#node_mib[@]})); then
		local size
		mem_mib=0
		for size in "${node_mib[@]}"; do
			mem_mib=$((mem_mib + size))
		done
	else
		mem_mib=${mem_mib:-2048}
		((node_count == 0)) || split_memory
	fi
}

# Fills node_mib: equal shares, the remainder on the last node.
split_memory() {
	local unit=$MEMORY_BLOCK_MIB share node
	((mem_mib / node_count >= unit)) || unit=$HUGE_PAGE_MIB
	share=$((mem_mib / node_count / unit * unit))
	((share > 0)) || die "--nodes $node_count: $mem_mib MiB are too little for so many: give more --mem"
	for ((node = 1; node < node_count; node++)); do
		node_mib+=("$share")
	done
	node_mib+=("$((mem_mib - share * (node_count - 1)))")
}

# Sets machine.
machine_arguments() {
	local node cpu disk

	# Each CPU is a socket: the kernel warns of a topology where one socket
	# spans two nodes.
	machine=(
		-machine q35 -nodefaults -no-user-config -display none -no-reboot
		-cpu "$cpu_model" -m "${mem_mib}M"
		-smp "cpus=$cpus,sockets=$cpus,cores=1,threads=1"
		-kernel "$workdir/vmlinuz" -initrd "$initrd"
	)
	for node in "${!node_mib[@]}"; do
		machine+=(
			-object "memory-backend-ram,id=node$node,size=${node_mib[node]}M"
			-numa "node,nodeid=$node,memdev=node$node"
		)
	done
	if ((node_count)); then
		for ((cpu = 0; cpu < cpus; cpu++)); do
			machine+=(-numa "cpu,node-id=$((cpu % node_count)),socket-id=$cpu")
		done
	fi
	if [[ -n $disk_mib$disk_image ]]; then
		disk=$workdir/disk
		if [[ -n $disk_image ]]; then
			cp --sparse=always -- "$disk_image" "$disk"
		else
			truncate --size "${disk_mib}M" "$disk"
		fi || die "--disk: cannot make $disk: is there room?"
		machine+=(
			-drive "file=$(escaped "$disk"),format=raw,if=none,id=disk,cache=unsafe"
			-device "nvme,drive=disk,serial=disk"
		)
	fi
}
