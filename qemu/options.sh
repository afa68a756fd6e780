# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034 # the options are read by the other files of qemu/run
# The command line of qemu/run.

usage() {
	cat <<'EOF'
Usage: qemu/run [OPTION]... [--] COMMAND [ARG]...

Boots Debian's own kernel in QEMU, loads rust_hugetlb.ko, runs COMMAND as root
and exits with its status. The guest has nothing but busybox and what --add
brings. Arguments arrive as they are, whatever bytes they hold; nothing is
expanded, so for a shell line write: qemu/run -- sh -c 'free; uname -a'

Standard output and standard error of COMMAND both come out on standard output,
byte for byte, as they are written (its terminal is a raw one). Its standard
input is empty unless --interactive. Messages of the harness go to standard
error, the kernel's console to a log in build/log/.

  --kernel WHICH       stock (default): the newest supported Debian kernel;
                       debug: the kernel with all checks on; a release such as
                       7.3.4+deb13-cloud-amd64; or the path of a bzImage
  --cpus N             virtual CPUs (2)
  --mem SIZE           memory (2G); K, M, G, T; without a letter MiB
  --cpu MODEL          QEMU's -cpu (max); max,-pdpe1gb takes 1 GiB pages away
  --nodes N            N NUMA nodes, the memory split evenly
  --nodes SIZE,SIZE... a node of each size; together they are the memory.
                       CPUs are dealt out in turn; more nodes than CPUs leave
                       nodes without CPU
  --icount             count instructions instead of time: one CPU, emulated,
                       a nanosecond of the guest is one instruction
  --accel kvm|tcg      run the guest with KVM or fail; or emulate it, also where KVM
                       works (KVM where it runs a guest)
  --plugin FILE[,K=V]  with --icount: a TCG plugin for QEMU, and its arguments
  --disk SIZE|FILE     an NVMe disk, /dev/nvme0n1: an empty one, or a copy of
                       FILE, whose name has a slash in it; ends with the guest
  --append ARGS        more kernel command line (repeatable)
  --add FILE[:PATH]    put a file or a folder into the guest, at /NAME unless
                       told; modes are kept, the owner is root (repeatable)
  --time-limit S       seconds until the guest is killed (300; interactive: none);
                       three times as many on the debug kernel
  --module FILE        the module to load (build/RELEASE/rust_hugetlb.ko)
  --param NAME=VALUE   a parameter for the module (repeatable)
  --no-module          load no module
  -i, --interactive    connect the terminal to COMMAND (sh unless given);
                       without a terminal, COMMAND reads standard input.
                       Ctrl-A X ends the guest
  --log FILE           copy the kernel log to FILE at the end
  --help               this text

Exit status: that of COMMAND, 128+N if signal N killed it, or
   70  COMMAND passed, but the kernel log shows a warning, an error or a leak
  124  the time limit was reached
  125  wrong options, something missing, the boot failed, the kernel panicked,
       or the module refused to load
Ctrl-C ends the guest (130).
EOF
}

# size_in_mib OPTION TEXT: TEXT, a size, in MiB.
size_in_mib() {
	local number unit
	[[ $2 =~ ^([0-9]{1,9})([KkMmGgTt]?)(i?[Bb])?$ ]] ||
		die "$1 $2: not a size: write for example 512M or 2G"
	number=$((10#${BASH_REMATCH[1]})) unit=${BASH_REMATCH[2]}
	case $unit in
	[Kk]) number=$((number / 1024)) ;;
	[Gg]) number=$((number * 1024)) ;;
	[Tt]) number=$((number * 1024 * 1024)) ;;
	esac
	((number > 0)) || die "$1 $2: smaller than 1 MiB: write for example 512M or 2G"
	echo "$number"
}

# count_of OPTION TEXT MAX: TEXT, a number from 1 to MAX.
count_of() {
	if [[ ! $2 =~ ^[0-9]{1,9}$ ]] || ((10#$2 < 1 || 10#$2 > $3)); then
		die "$1 $2: give a number from 1 to $3"
	fi
	echo $((10#$2))
}

# parse_nodes TEXT: sets node_count, or node_mib where sizes are given.
parse_nodes() {
	local size sizes
	if [[ $1 =~ ^[0-9]+$ ]]; then
		node_count=$(count_of --nodes "$1" 64)
		return
	fi
	node_mib=()
	IFS=, read -r -a sizes <<<"$1,"
	for size in "${sizes[@]}"; do
		node_mib+=("$(size_in_mib --nodes "$size")")
	done
	node_count=${#node_mib[@]}
	((node_count <= 64)) || die "--nodes $1: give 64 sizes at most"
}

# parse_disk TEXT: sets disk_image to a file, or disk_mib.
parse_disk() {
	disk_image='' disk_mib=''
	case $1 in
	*/*)
		[[ -f $1 ]] || die "--disk $1: no such file: give the image of a disk, or a size"
		disk_image=$1
		;;
	*) disk_mib=$(size_in_mib --disk "$1") ;;
	esac
}

# Sets a variable for each option, command, and terminal.
parse_options() {
	local option value
	kernel=stock cpus='' mem_mib='' cpu_model=max node_count=0 node_mib=() icount=''
	disk_mib='' disk_image='' append=() add=() time_limit='' module='' params=() load_module=1
	interactive='' log_copy='' plugin='' accel=''

	while (($#)); do
		option=$1
		shift
		case $option in
		--) break ;;
		--help)
			usage
			finish 0
			;;
		--icount) icount=1 ;;
		--no-module) load_module= ;;
		-i | --interactive) interactive=1 ;;
		--*=*)
			set -- "${option%%=*}" "${option#*=}" "$@"
			;;
		--kernel | --cpus | --mem | --cpu | --nodes | --disk | --append | --add | \
			--time-limit | --module | --param | --log | --plugin | --accel)
			[[ -n ${1:-} ]] || die "$option needs a value: see qemu/run --help"
			value=$1
			shift
			set_option "$option" "$value"
			;;
		-*) die "$option: no such option: see qemu/run --help" ;;
		*)
			set -- "$option" "$@"
			break
			;;
		esac
	done
	command=("$@")
	check_options
}

set_option() {
	case $1 in
	--kernel) kernel=$2 ;;
	--cpus) cpus=$(count_of --cpus "$2" 255) ;;
	--mem) mem_mib=$(size_in_mib --mem "$2") ;;
	--cpu) cpu_model=$2 ;;
	--nodes) parse_nodes "$2" ;;
	--disk) parse_disk "$2" ;;
	--append) append+=("$2") ;;
	--add) add+=("$2") ;;
	--time-limit) time_limit=$(count_of --time-limit "$2" 999999) ;;
	--module) module=$2 ;;
	--param)
		[[ $2 =~ ^[A-Za-z0-9_]+=. ]] || die "--param $2: write NAME=VALUE"
		params+=("$2")
		;;
	--log) log_copy=$2 ;;
	--plugin) plugin=$2 ;;
	--accel)
		[[ $2 == kvm || $2 == tcg ]] || die "--accel $2: write kvm or tcg"
		accel=$2
		;;
	esac
}

# Completes the options, and sets terminal: if there is one to connect, how it
# was set.
check_options() {
	terminal=
	if [[ -n $interactive ]]; then
		((${#command[@]})) || command=(sh)
		[[ ! -t 0 ]] || terminal=$(stty --save)
	else
		((${#command[@]})) || die "no command given: see qemu/run --help"
		time_limit=${time_limit:-300}
	fi
	[[ -z $icount || ${cpus:-1} == 1 ]] ||
		die "--icount counts the instructions of one CPU: leave --cpus out"
	[[ -z $icount || $accel != kvm ]] || die "--icount counts what is emulated: leave --accel out"
	[[ -z $plugin || -n $icount ]] || die "--plugin counts what --icount makes countable: give both"
	[[ -z $mem_mib ]] || ((!${#node_mib[@]})) ||
		die "--mem beside sizes in --nodes: the sizes are the memory, leave --mem out"
	[[ -n $load_module || -z $module ]] || die "--module and --no-module: give one of them"
	[[ -n $load_module ]] || ((!${#params[@]})) || die "--param and --no-module: give one of them"
	[[ -z $log_copy || (-d $(dirname -- "$log_copy") && ! -d $log_copy) ]] ||
		die "--log $log_copy: no such folder: make it first"
}
