# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Running tests in guests, and counting what they say. Sourced by scripts/test
# and scripts/soak.

# The node sizes for random operations: one node, two, and four unlike ones.
# Memory is plenty: where it runs out, two runs of hugetlb itself would differ.
# shellcheck disable=SC2034 # for those who source this
readonly TOPOLOGIES=("2G" "1G,1G" "512M,1G,384M,640M")

# start_counting FOLDER: logs go there.
start_counting() {
	out=$1
	rm -rf "$out"
	mkdir -p "$out"
	passed=0 failed=0
}

# count PASSED FAILED
count() {
	passed=$((passed + $1)) failed=$((failed + $2))
}

# wrong WHAT: one failure that no test reported.
wrong() {
	printf 'FAILED %s\n' "$*" >&2
	count 0 1
}

# The last line, and the status.
give_count() {
	echo "$passed passed, $failed failed"
	((failed == 0))
}

# count_ktap WHERE FILE
count_ktap() {
	local counted
	counted=$(awk -v where="$1" -f scripts/ktap.awk "$2")
	# shellcheck disable=SC2086 # two numbers
	count $counted
}

# guest_tests RELEASE NODES: all guest programs in one boot.
guest_tests() {
	local release=$1 nodes=$2 where="kernel $1, $2 node(s)" log=$out/$1-nodes$2 status=0
	step "guest tests: $where"
	qemu/run --kernel "$release" --nodes "$nodes" --mem 2G --disk 64M --time-limit 1200 --log "$log.kernel" \
		--add build/user/tests:/tests --add scripts/guest-programs.sh:/guest-programs.sh \
		-- /guest-programs.sh </dev/null >"$log.ktap" || status=$?
	count_ktap "$where" "$log.ktap"
	((status == 0)) || wrong "$where: qemu/run ended with $status: see $log.ktap and $log.kernel"
}

# scenarios FOLDER RELEASE: scripts that boot guests of their own and print KTAP.
scenarios() {
	local scenario name log status release=$2
	for scenario in "$1"/*; do
		[[ -f $scenario && -x $scenario ]] || continue
		name=${scenario##*/}
		log=$out/$release-$name.ktap
		step "scenario $name: kernel $release"
		status=0
		{
			echo "##begin $name"
			RELEASE=$release "$scenario" </dev/null || status=$?
			# A last line without its end must not swallow the mark.
			printf '\n##end %s\n' "$status"
		} >"$log"
		count_ktap "kernel $release" "$log"
	done
}

# differential RELEASE NODE-SIZES STEPS [OPTION]: random operations on both pools, and what
# an operator does to the files; with four nodes, the scenario that needs them.
differential() {
	local release=$1 sizes=$2 steps=$3 status=0 log
	local where="kernel $release, nodes of $sizes, $steps random steps"
	local programs=("differential --steps $steps ${4:-}" operator)
	[[ $sizes != *,*,*,* ]] || programs+=(four-nodes)
	log=$out/$release-differential-${sizes//,/-}
	step "differential tests: $where"
	qemu/run --kernel "$release" --nodes "$sizes" --time-limit "$((900 + steps))" --log "$log.kernel" \
		--add build/user/differential:/tests --add scripts/guest-programs.sh:/guest-programs.sh \
		-- /guest-programs.sh "${programs[@]}" </dev/null >"$log.ktap" || status=$?
	count_ktap "$where" "$log.ktap"
	((status == 0)) || wrong "$where: qemu/run ended with $status: see $log.ktap and $log.kernel"
}
