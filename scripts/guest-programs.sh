#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In the guest: runs each of its arguments, a program of /tests with its options,
# between two marks that scripts/ktap.awk reads, and says how long it took. Without
# arguments: all programs.

if [ $# -eq 0 ]; then
	cd /tests || exit
	set -- *
fi
uptime() {
	cut -d. -f1 /proc/uptime
}

for program; do
	start=$(uptime)
	echo "##begin $program"
	# shellcheck disable=SC2086 # options are words
	/tests/$program </dev/null
	echo "##end $?"
	echo "# $program: $(($(uptime) - start)) s"
done
