# SPDX-License-Identifier: GPL-2.0
# What a user types. The work is in scripts/ and qemu/; `make help` documents
# every target and variable. The kernel's make reads Kbuild, not this file.

# Variables of the kernel's build that are handed on when given.
KBUILD_VARS := $(foreach v,V W C CLIPPY LLVM,$(if $($v),'$v=$($v)'))

# Elapsed time in the progress lines counts from here, whichever script prints it.
RUST_HUGETLB_START ?= $(shell date +%s)
export RUST_HUGETLB_START := $(RUST_HUGETLB_START)

export KREL KDIR KERNELS FLAVOUR MIRROR RUST_HUGETLB_CACHE

ifneq ($(KDIR),)
ifneq ($(filter run shell test soak bench bench-quick profile check,$(MAKECMDGOALS)),)
$(error KDIR is for building the module only: leave it out, or use qemu/run --kernel and --module)
endif
endif

.PHONY: all module user kit run shell test soak bench bench-quick profile check help clean distclean

all: module

module:
	@scripts/build-module $(KBUILD_VARS)

user:
	@scripts/build-user

kit:
	@scripts/kit kernels
	@scripts/kit kernel debug

run: module user
	@scripts/tour

shell: module user
	@qemu/run --kernel "$${KREL:-stock}" --add build/user:/user --interactive

test:
	@scripts/test

soak:
	@scripts/soak

bench:
	@scripts/bench

bench-quick:
	@scripts/bench --quick

profile: module
	@scripts/profile

check:
	@scripts/check

clean:
	rm -rf build

distclean: clean
	@scripts/kit remove

help:
	@scripts/help
