# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the archive holds. Sourced by scripts/kit.
#
# $KIT/archive keeps the answer, one release a line, newest first, of all series:
#	RELEASE SERIES FLAVOUR SOURCE-VERSION

# refresh_lists ROOT
refresh_lists() {
	logged lists "$TOP/scripts/enter-root" "$1" apt-get update --error-on=any ||
		die "cannot read the package lists: $(why lists): check the network, or set MIRROR to an archive" \
			"that holds $KIT_SUITE and $KIT_SUITE-backports, and run this again"
}

# write_archive ROOT: from the package lists of ROOT. A release counts when its
# headers and its source are there.
write_archive() {
	# Read as they are: apt would show the newest version of linux-source only.
	"$TOP/scripts/enter-root" "$1" sh -c 'cat /var/lib/apt/lists/*_Packages' |
		awk '
			/^Package: / { name = $2 }
			/^Version: / { version = $2 }
			/^$/ { take() }
			END { take(); for (r in series) if ((series[r], of[r]) in source) print r, series[r], flavour[r], of[r] }
			function take(release, rest) {
				if (name ~ /^linux-source-[0-9.]+$/)
					source[substr(name, 14), version] = 1
				if (name ~ /^linux-headers-[0-9.]+\+deb[0-9]+.*-amd64$/) {
					release = rest = substr(name, 15)
					match(release, /^[0-9]+\.[0-9]+/)
					series[release] = substr(release, 1, RLENGTH)
					of[release] = version
					sub(/^[^-]*-/, "", rest)
					flavour[release] = rest
				}
				name = version = ""
			}' | sort -r -V >"$KIT/archive.part"
	mv -T "$KIT/archive.part" "$KIT/archive"
}

update() {
	make_root
	lock
	step "asking the archive which kernels it holds"
	refresh_lists "$KIT/root"
	write_archive "$KIT/root"
}

# held: print the releases of the supported series that the archive holds.
held() {
	awk -v supported=" ${SUPPORTED_SERIES[*]} " 'index(supported, " " $2 " ") { print $1 }' "$KIT/archive"
}

# newest SERIES: print the newest release of SERIES in $FLAVOUR; fail if none.
newest() {
	awk -v series="$1" -v flavour="$FLAVOUR" '
		$2 == series && $3 == flavour { print $1; found = 1; exit }
		END { exit !found }' "$KIT/archive"
}

# Ask for a flavour that exists before anything is fetched for it.
check_flavour() {
	case $FLAVOUR in
	cloud-amd64 | amd64) ;;
	*) die "unknown FLAVOUR '$FLAVOUR': use cloud-amd64 or amd64" ;;
	esac
}

none_supported() {
	die "the archive holds no $FLAVOUR kernel of the supported series (${SUPPORTED_SERIES[*]}):" \
		"set MIRROR to one whose $KIT_SUITE-backports does, then run scripts/kit remove and this again"
}
