# SPDX-License-Identifier: GPL-2.0
# Reads the KTAP of one or more programs and counts. Each program's lines stand
# between `##begin NAME` and `##end STATUS`. A program counts one failure more
# when it planned another number of results than it gave, gave no plan, or ended
# with a status that its results do not explain; so one that dies early fails.
# A skipped test has not passed. Failures go to standard error with the variable
# `where`; the last line is `PASSED FAILED`.

function fail(what) {
	failed++
	printf "FAILED %s: %s: %s\n", where, name, what >"/dev/stderr"
}

function finish(status,    bad) {
	bad = failed - before
	if (planned == "")
		fail("no plan: is it a program that prints KTAP?")
	else if (planned != given)
		fail("gave " given " of " planned " results")
	if (status != 0 && bad == 0)
		fail("ended with status " status)
	if (status == 0 && bad > 0)
		fail("ended with status 0 after a failure")
	name = ""
}

{ sub(/\r$/, "") }

/^##begin / {
	if (name != "")
		finish("none")
	name = $2
	planned = ""
	given = 0
	before = failed
	programs++
	next
}

/^##end / {
	finish($2)
	next
}

name == "" { next }

/^1\.\.[0-9]+/ { planned = substr($1, 4) + 0 }

/^(not )?ok [0-9]+/ {
	given++
	number = ($1 == "ok") ? $2 : $3
	if (number != given)
		fail("result " number " where " given " was due")
	else if ($1 == "not")
		fail($0)
	else if ($0 ~ /# *SKIP/)
		fail("skipped: " $0)
	else
		passed++
}

/^Bail out!/ { fail($0) }

END {
	if (name != "")
		finish("none")
	if (!programs)
		fail("no program ran")
	print passed + 0, failed + 0
}
