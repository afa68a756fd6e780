#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In the guest: runs each of its arguments, a program of /tests with its options,
# between two marks that scripts/ktap.awk reads. Without arguments: all programs.

if [ $# -eq 0 ]; then
	cd /tests || exit
	set -- *
fi
for program; do
	echo "##begin $program"
	# shellcheck disable=SC2086 # options are words
	/tests/$program </dev/null
	echo "##end $?"
done
