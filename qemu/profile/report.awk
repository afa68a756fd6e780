# SPDX-License-Identifier: GPL-2.0
# report.awk CASES COUNTS SYMBOLS: see scripts/profile. Hexadecimal addresses of
# one length compare as strings; COUNTS is sorted by case and address, SYMBOLS by
# address.

FNR == 1 { file++ }

file == 1 {
	cases++
	pages[cases] = $2
	side[cases] = $3
	what[cases] = $0
	sub(/^case [^ ]+ [^ ]+ /, "", what[cases])
	next
}

file == 2 {
	lines++
	of[lines] = $1
	address[lines] = "x" $2
	ran[lines] = $3
	next
}

{
	symbols++
	at[symbols] = "x" $1
	name[symbols] = $3 ($4 ? " " $4 : "")
	if (name[symbols] ~ / \[rust_hugetlb\]$/)
		name[symbols] = demangled(name[symbols])
}

# What is legible of a mangled name (v0): its identifiers.
function demangled(mangled, rest, out, length_) {
	rest = mangled
	if (rest !~ /^_R/)
		return mangled
	sub(/ .*/, "", rest)
	while (match(rest, /[0-9]+_?[A-Za-z_]/)) {
		length_ = substr(rest, RSTART) + 0
		rest = substr(rest, RSTART)
		sub(/^[0-9]+_?/, "", rest)
		if (length_ > 2 && length_ <= length(rest))
			out = out (out ? "::" : "") substr(rest, 1, length_)
		rest = substr(rest, length_ + 1)
	}
	return out " [rust_hugetlb]"
}

END {
	last = 0
	for (i = 1; i <= lines; i++) {
		if (of[i] != last) {
			last = of[i]
			symbol = 1
		}
		if (address[i] == "x0000000000000000")
			function_ = "(user)"
		else {
			while (symbol < symbols && at[symbol + 1] <= address[i])
				symbol++
			function_ = name[symbol]
		}
		# What runs so often is a string instruction, which counts once a byte.
		if (ran[i] / pages[last] < 100000) {
			sum[last] += ran[i]
			by[last, function_] += ran[i]
			seen[function_]
		}
	}
	printf "%-40s %10s %10s\n", "instructions a page, without clearing", "hugetlb", "module"
	for (i = 1; i <= cases; i++)
		if (side[i] == "hugetlb")
			theirs[what[i]] = sum[i] / pages[i]
	for (i = 1; i <= cases; i++) {
		if (side[i] != "module")
			continue
		printf "%-40s %10.0f %10.0f\n", what[i], theirs[what[i]], sum[i] / pages[i]
		if (!functions)
			continue
		sorted = "sort -rn | head -n " functions
		for (function_ in seen)
			if (by[i, function_] >= pages[i])
				printf "    %8.0f %s\n", by[i, function_] / pages[i], function_ | sorted
		close(sorted)
	}
}
