# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Running tests in guests, and counting what they say. Sourced by scripts/test
# and scripts/soak.

# The node sizes for random operations: one node, two, and four unlike ones.
# Memory is plenty, on the first node also beside all that a debug kernel keeps
# there: where it runs out, two runs of hugetlb itself would differ.
# shellcheck disable=SC2034 # for those who source this
readonly TOPOLOGIES=("2G" "1G,1G" "768M,1G,384M,640M")

# Guests at a time. One that is emulated keeps one of its processors busy, and
# waits often: for delayed work, for a scan for leaks.
readonly LANES=2
running=()

# start_counting FOLDER: logs go there, and each count is a line of a file,
# because what runs beside the script cannot change its variables.
start_counting() {
	out=$1
	rm -rf "$out"
	mkdir -p "$out"
	: >"$out/counts"
	trap stop_running EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
}

# count PASSED FAILED
count() {
	echo "$1 $2" >>"$out/counts"
}

# wrong WHAT: one failure that no test reported.
wrong() {
	printf 'FAILED %s\n' "$*" >&2
	count 0 1
}

# The last line, and the status.
give_count() {
	local passed failed
	await_all
	read -r passed failed < <(awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' "$out/counts")
	echo "$passed passed, $failed failed"
	((failed == 0))
}

# beside COMMAND...: run it beside the script, as soon as there is a lane for it.
# A process group of its own lets it be ended with all it started.
beside() {
	((${#running[@]} < LANES)) || await_one
	set -m
	"$@" </dev/null &
	set +m
	running[$!]=$*
}

# await_one: until one of those ends.
await_one() {
	local ended status=0
	wait -n -p ended "${!running[@]}" || status=$?
	((status == 0)) || wrong "${running[ended]}: ended with $status, unforeseen"
	unset "running[$ended]"
}

await_all() {
	while ((${#running[@]})); do
		await_one
	done
}

# However the script ends, no guest stays.
stop_running() {
	local group
	for group in "${!running[@]}"; do
		kill -TERM -- "-$group" 2>/dev/null || :
	done
	wait
}

# count_ktap WHERE FILE
count_ktap() {
	local counted
	counted=$(awk -v where="$1" -f scripts/ktap.awk "$2")
	# shellcheck disable=SC2086 # two numbers
	count $counted
}

# guest_tests RELEASE NODES NAME [PROGRAM...]: guest programs in one boot, all of
# them unless some are named. NAME tells this boot from others.
guest_tests() {
	local release=$1 nodes=$2 name=$3 status=0
	local where="kernel $release, $nodes node(s), $name" log=$out/$release-nodes$nodes-$name
	shift 3
	step "guest tests: $where"
	qemu/run --kernel "$release" --nodes "$nodes" --mem 2G --disk 64M --time-limit 3600 --log "$log.kernel" \
		--add build/user/tests:/tests --add scripts/guest-programs.sh:/guest-programs.sh \
		-- /guest-programs.sh "$@" </dev/null >"$log.ktap" || status=$?
	count_ktap "$where" "$log.ktap"
	((status == 0)) || wrong "$where: qemu/run ended with $status: see $log.ktap and $log.kernel"
}

# scenarios FOLDER RELEASE: each script there, in a lane.
scenarios() {
	local scenario
	for scenario in "$1"/*; do
		[[ ! -f $scenario || ! -x $scenario ]] || beside scenario "$scenario" "$2"
	done
}

# large_scenarios RELEASE STEPS SCRIPT...: those with guests of many GiB, one after
# the other, all in one lane; random operations in so many steps.
large_scenarios() {
	local release=$1 steps=$2 scenario
	shift 2
	for scenario; do
		STEPS_1G=$steps scenario "$scenario" "$release"
	done
}

# scenario SCRIPT RELEASE [ARGUMENT...]: a script that boots guests of its own and
# prints KTAP.
scenario() {
	local script=$1 release=$2 name log status=0
	shift 2
	name=${script##*/}${*:+ $*}
	log=$out/$release-${name//[ \/]/-}.ktap
	step "scenario $name: kernel $release"
	{
		echo "##begin $name"
		RELEASE=$release "$script" "$@" </dev/null || status=$?
		# A last line without its end must not swallow the mark.
		printf '\n##end %s\n' "$status"
	} >"$log"
	count_ktap "kernel $release" "$log"
}

# differential RELEASE NODE-SIZES STEPS [OPTION]: random operations on both pools, once with shared
# mappings only and once with private ones among them, and what an operator does to the files; with
# four nodes, the scenario that needs them.
differential() {
	local release=$1 sizes=$2 steps=$3 status=0 log
	local where="kernel $release, nodes of $sizes, $steps random steps"
	local programs=("differential --steps $steps ${4:-}" "differential --private --steps $steps ${4:-}" operator)
	[[ $sizes != *,*,*,* ]] || programs+=(four-nodes)
	log=$out/$release-differential-${sizes//,/-}
	step "differential tests: $where"
	qemu/run --kernel "$release" --nodes "$sizes" --time-limit "$((900 + 2 * steps))" --log "$log.kernel" \
		--add build/user/differential:/tests --add scripts/guest-programs.sh:/guest-programs.sh \
		-- /guest-programs.sh "${programs[@]}" </dev/null >"$log.ktap" || status=$?
	count_ktap "$where" "$log.ktap"
	((status == 0)) || wrong "$where: qemu/run ended with $status: see $log.ktap and $log.kernel"
}

# for_long RELEASE NAME SECONDS PROGRAM [OPTION...]: a guest program that runs for about so long, with its
# options; the others are the guest's, two nodes unless told.
for_long() {
	local release=$1 name=$2 seconds=$3 program=$4 status=0
	local where="kernel $release, $program" log=$out/$release-$name
	shift 4
	step "$name: $where"
	qemu/run --kernel "$release" --nodes 1G,1G "$@" --time-limit "$((900 + 2 * seconds))" \
		--log "$log.kernel" --add build/user/tests:/tests --add scripts/guest-programs.sh:/guest-programs.sh \
		-- /guest-programs.sh "$program" </dev/null >"$log.ktap" || status=$?
	count_ktap "$where" "$log.ktap"
	((status == 0)) || wrong "$where: qemu/run ended with $status: see $log.ktap and $log.kernel"
}
