#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In the guest: runs every program of the folder $1, each between two marks that
# scripts/ktap.awk reads.

for program in "$1"/*; do
	echo "##begin ${program##*/}"
	"$program" </dev/null
	echo "##end $?"
done
