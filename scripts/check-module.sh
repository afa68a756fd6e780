# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The gates of the module. Sourced by scripts/check.

# A lint speaks only when a file is compiled, so this build starts from nothing.
lint_module() {
	local release=$1 dir=$TOP/build/check/$1
	rm -rf "$dir"
	mkdir -p "$dir"
	scripts/in-kit make -s -C "$KIT/kernel/$release/build" -j "$(nproc)" \
		M="$TOP" MO="$dir" W=e CLIPPY=1 modules
}

# rustfmt follows `mod` from the root, with and without #[path].
rustfmt_module() {
	scripts/in-kit rustfmt --check --config-path "$1/source/.rustfmt.toml" rust_hugetlb.rs \
		tests/kunit/rust_hugetlb_kunit.rs
}

# Out of tree the kernel has no rustdoc target: give rustdoc the flags with which
# kbuild compiled the module a moment ago.
rustdoc_module() {
	local release=$1 dir=$TOP/build/check/$1 line=
	[[ ! -f $dir/.rust_hugetlb.o.cmd ]] || line=$(sed -n 's/^savedcmd_[^ ]*rust_hugetlb\.o := //p' "$dir/.rust_hugetlb.o.cmd")
	[[ -n $line ]] || {
		echo "the module for $release was not compiled"
		return 1
	}
	line=${line%%;*}
	# Written by kbuild for a shell, with quotes.
	eval "set -- $line"
	local env=() flags=()
	while (($#)); do
		case $1 in
		[A-Z]*=*) env+=("$1") ;;
		rustc | */rustc | clippy-driver | */clippy-driver) ;;
		--out-dir) shift ;;
		--emit=* | -Zbinary_dep_depinfo=*) ;;
		*) flags+=("$1") ;;
		esac
		shift
	done
	# The documentation shows private items, so links to them resolve.
	(
		cd "$dir" || exit
		"$TOP/scripts/in-kit" env RUSTC_BOOTSTRAP=1 "${env[@]}" rustdoc "${flags[@]}" \
			--crate-name rust_hugetlb --document-private-items --output "$dir/doc" -D warnings \
			-A rustdoc::private_intra_doc_links
	)
}
