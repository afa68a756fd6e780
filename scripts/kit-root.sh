# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The toolchain root: a small Debian in a folder, entered with chroot. Sourced
# by scripts/kit.

ROOT_MIB=3000

# This machine's apt-get; and the same with package lists kept in the kit, for a
# machine that has thrown its own away, as container images do.
MACHINE_APT=(apt-get -o APT::Sandbox::User=root)
OWN_LISTS_APT=("${MACHINE_APT[@]}" -o "Dir::State::lists=$KIT/lists")

# debian_uri APT-GET...: print the archive which that apt-get takes the main part
# of this machine's release from; Debian's own before others of the same name.
debian_uri() {
	local codename
	codename=$(. /etc/os-release && [[ $ID == debian ]] && echo "${VERSION_CODENAME:-}") || return 0
	# shellcheck disable=SC2016 # expanded by apt-get
	"$@" indextargets --format '$(REPO_URI) $(COMPONENT) $(RELEASE) $(CODENAME) $(ORIGIN)' \
		'Created-By: Packages' 2>/dev/null |
		awk -v name="$codename" '
			$1 ~ /^https?:/ && $2 == "main" && ($3 == name || $4 == name) {
				if ($5 == "Debian") { print $1; found = 1; exit }
				other = $1
			}
			END { if (!found) print other }' | sed 's,/$,,'
}

# mirror: print the archive this machine's own apt takes its release from, or
# nothing, which leaves the choice to debootstrap.
mirror() {
	local uri=${MIRROR:-}
	if [[ -z $uri ]] && command -v apt-get >/dev/null; then
		uri=$(debian_uri "${MACHINE_APT[@]}") || true
		if [[ -z $uri ]]; then
			step "reading the package lists of this machine's archives"
			logged machine-lists "${OWN_LISTS_APT[@]}" update || true
			uri=$(debian_uri "${OWN_LISTS_APT[@]}") || true
		fi
	fi
	echo "$uri"
}

# apt_settings: print the parts of this machine's apt configuration that say how
# to reach an archive: proxies, certificates, retries, time-outs.
apt_settings() {
	apt-config dump |
		grep -E '^Acquire::(http|https|Retries|Check-Valid-Until|ForceIPv[46])(::| )' |
		grep -v -i -E 'Proxy-Auto-Detect|ProxyAutoDetect|CaInfo' || true
}

# A proxy that the machine finds with a program of its own is asked for once,
# and written down.
apt_detected_proxy() {
	local uri=$1 proxy
	proxy=$(/usr/lib/apt/apt-helper auto-detect-proxy "$uri" 2>/dev/null | sed -n 's/^Using proxy .\(http[^ ]*\). for.*/\1/p') || true
	[[ -z $proxy ]] || echo "Acquire::${uri%%:*}::Proxy \"$proxy\";"
}

# fetch_debootstrap: print the program, taken from the archive and unpacked in
# the kit where the machine has none.
fetch_debootstrap() {
	local dir=$KIT/debootstrap
	if command -v debootstrap; then
		return
	fi
	if [[ ! -d $dir ]]; then
		command -v apt-get >/dev/null || die "this machine has neither debootstrap nor apt-get: install debootstrap"
		step "debootstrap: fetching it"
		discard "$dir.part"
		mkdir -p "$dir.part/deb"
		(cd "$dir.part/deb" && {
			logged debootstrap-fetch "${MACHINE_APT[@]}" download debootstrap || {
				logged machine-lists "${OWN_LISTS_APT[@]}" update || true
				logged debootstrap-fetch "${OWN_LISTS_APT[@]}" download debootstrap
			}
		}) ||
			die "cannot fetch debootstrap: $(why debootstrap-fetch): check the network and this machine's apt, or install debootstrap"
		dpkg-deb -x "$dir.part"/deb/*.deb "$dir.part"
		mv -T "$dir.part" "$dir"
	fi
	echo "$dir/usr/sbin/debootstrap"
}

make_root() {
	local part=$KIT/root.part uri program
	[[ ! -d $KIT/root ]] || return 0
	lock
	[[ ! -d $KIT/root ]] || return 0
	need_space "$ROOT_MIB" "the toolchain root"
	uri=$(mirror)
	program=$(fetch_debootstrap)

	step "toolchain root: $KIT_SUITE base system"
	mkdir -p "$KIT/downloads/base" "$KIT/downloads/apt/partial"
	make_base "$program" "$part" "$uri" ||
		die "cannot make the $KIT_SUITE base system from ${uri:-the default archive}: $(why_base):" \
			"check the network, or set MIRROR to an archive that holds $KIT_SUITE"

	step "toolchain root: package lists"
	configure_apt "$part" "$uri"
	refresh_lists "$part"

	step "toolchain root: packages"
	# shellcheck disable=SC2046 # one word a package
	logged packages "$TOP/scripts/enter-root" "$part" \
		apt-get install -y --no-install-recommends -o Dir::Cache::archives="$KIT/downloads/apt" \
		$(grep -v '^#' "$TOP/scripts/packages.txt") ||
		die "cannot install the toolchain: $(why packages): check the network and run this again"

	rm -f "$part/usr/sbin/policy-rc.d"
	write_archive "$part"
	mv -T "$part" "$KIT/root"
	discard "$KIT/downloads/base" "$KIT/downloads/apt"
	step "toolchain root: done"
}

# make_base DEBOOTSTRAP ROOT [URI]: debootstrap fetches through apt's helper, which knows the machine's proxies
# and certificates, and does not need wget.
make_base() {
	local program=$1 part=$2 uri=$3 shim=$KIT/shim
	mkdir -p "$shim"
	: >"$KIT/log/base-fetch"
	if [[ -x /usr/lib/apt/apt-helper ]]; then
		install -m 755 "$TOP/scripts/apt-wget" "$shim/wget"
	fi
	[[ $program != "$KIT"/* ]] || export DEBOOTSTRAP_DIR=${program%/sbin/*}/share/debootstrap
	PATH=$shim:$PATH logged debootstrap \
		sh "$program" --variant=minbase --force-check-gpg --cache-dir="$KIT/downloads/base" \
		"$KIT_SUITE" "$part" ${uri:+"$uri"}
}

# why_base: debootstrap does not say why it could not fetch; its fetcher does.
why_base() {
	if tail -n 1 "$KIT/log/debootstrap" | grep -q -E "Failed getting|Couldn't download"; then
		why base-fetch
	else
		why debootstrap
	fi
}

# configure_apt ROOT [URI]: the backports lie beside the suite itself.
configure_apt() {
	local part=$1 uri=$2 conf=$1/etc/apt/apt.conf.d/90kit
	[[ -n $uri ]] || uri=$(awk '$1 == "deb" { print $2; exit }' "$part/etc/apt/sources.list")
	printf 'deb %s %s main\n' "$uri" "$KIT_SUITE" "$uri" "$KIT_SUITE-backports" >"$part/etc/apt/sources.list"
	{
		apt_settings
		apt_detected_proxy "$uri"
		echo 'APT::Sandbox::User "root";'
		echo 'APT::Install-Recommends "false";'
		echo 'Acquire::Languages "none";'
	} >"$conf"
	if [[ -e /etc/ssl/certs/ca-certificates.crt ]]; then
		mkdir -p "$part/etc/ssl"
		cp /etc/ssl/certs/ca-certificates.crt "$part/etc/ssl/machine.crt"
		echo 'Acquire::https::CaInfo "/etc/ssl/machine.crt";' >>"$conf"
	fi
	# The root is thrown away and made again rather than repaired, so it need
	# not survive a power cut half way; nor does anybody read manuals in it.
	printf '%s\n' force-unsafe-io 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' \
		'path-exclude=/usr/share/locale/*' >"$part/etc/dpkg/dpkg.cfg.d/kit"
	printf '#!/bin/sh\nexit 101\n' >"$part/usr/sbin/policy-rc.d"
	chmod +x "$part/usr/sbin/policy-rc.d"
}
