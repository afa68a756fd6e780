/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Huge pages of the rust_hugetlb kernel module, for C programs.
 *
 * Every function returns what the system call under it returns and leaves its errno. Pages are
 * 2 MiB. A page is taken from the pool at the first touch. rust_hugetlb_map() reserves it before;
 * after rust_hugetlb_map_unreserved(), or where a memory policy or a cpuset keeps the task from the
 * nodes that have free pages, there may be none, and the touch is a SIGBUS: call
 * rust_hugetlb_populate() first where an error is wanted instead.
 *
 * <linux/rust_hugetlb.h> is include/uapi/linux/rust_hugetlb.h of the module's sources: compile with
 * -Iinclude/uapi, or install it beside this file.
 */
#ifndef RUST_HUGETLB_H
#define RUST_HUGETLB_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/rust_hugetlb.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define RUST_HUGETLB_PAGE_SIZE ((size_t)2 << 20)
/* Of the default page size, which the module's parameter default_1G makes 1 GiB. */
#define RUST_HUGETLB_DEVICE "/dev/rust_hugetlb"
#define RUST_HUGETLB_DEVICE_2M "/dev/rust_hugetlb-2M"
#define RUST_HUGETLB_POOL "/sys/kernel/rust_hugetlb/hugepages-2048kB/"

/*
 * Opens a new, empty huge file of RUST_HUGETLB_DEVICE_2M: a descriptor, or -1. It stays open across
 * exec only after rust_hugetlb_keep_on_exec().
 */
static inline int rust_hugetlb_open(void)
{
	return open(RUST_HUGETLB_DEVICE_2M, O_RDWR | O_CLOEXEC);
}

/* Lets the program that this process execs next have the descriptor: 0, or -1. */
static inline int rust_hugetlb_keep_on_exec(int fd)
{
	return fcntl(fd, F_SETFD, 0);
}

/* rust_hugetlb_map() with the flags for mmap. */
static inline void *rust_hugetlb_map_flags(int fd, size_t pages, int flags)
{
	size_t bytes;

	if (__builtin_mul_overflow(pages, RUST_HUGETLB_PAGE_SIZE, &bytes)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
}

/*
 * Maps the first pages of the huge file shared, readable and writable, and reserves those that
 * nobody reserved or touched yet: their address, or MAP_FAILED (ENOMEM: the pool has too few).
 */
static inline void *rust_hugetlb_map(int fd, size_t pages)
{
	return rust_hugetlb_map_flags(fd, pages, MAP_SHARED);
}

/* The same without a reservation: the pool may have fewer pages. */
static inline void *rust_hugetlb_map_unreserved(int fd, size_t pages)
{
	return rust_hugetlb_map_flags(fd, pages, MAP_SHARED | MAP_NORESERVE);
}

/*
 * The same private, with pages of its own reserved: it begins with what is in the file, and nobody
 * else sees what it writes. A forked process gets a copy; where the pool has no page for that, this
 * one takes its page away from the forked one, for which touching it is a SIGBUS from then on.
 */
static inline void *rust_hugetlb_map_private(int fd, size_t pages)
{
	return rust_hugetlb_map_flags(fd, pages, MAP_PRIVATE);
}

/*
 * Unmaps what rust_hugetlb_map() mapped: 0, or -1. The pages stay with the huge file until its
 * last descriptor and mapping are gone.
 */
static inline int rust_hugetlb_unmap(void *base, size_t pages)
{
	return munmap(base, pages * RUST_HUGETLB_PAGE_SIZE);
}

/* Takes all pages from the pool now: 0, or -1 (EFAULT: the pool has too few). */
static inline int rust_hugetlb_populate(void *base, size_t pages)
{
	return madvise(base, pages * RUST_HUGETLB_PAGE_SIZE, MADV_POPULATE_WRITE);
}

/* The file's size, and the pages it has and may still take: 0, or -1. */
static inline int rust_hugetlb_info(int fd, struct rust_hugetlb_info *info)
{
	return ioctl(fd, RUST_HUGETLB_INFO, info);
}

/*
 * Makes the file so large, as ftruncate(2) does: 0, or -1. Pages and reservations past the end are
 * given up, and touching a mapping there is a SIGBUS.
 */
static inline int rust_hugetlb_set_size(int fd, uint64_t bytes)
{
	__u64 size = bytes;

	return ioctl(fd, RUST_HUGETLB_SET_SIZE, &size);
}

/*
 * Gives the pages of the range back to the pool, mapped or not: 0, or -1. The next touch finds
 * zeros, in a page that nobody has promised.
 */
static inline int rust_hugetlb_punch_hole(int fd, uint64_t offset, uint64_t length)
{
	struct rust_hugetlb_range range = { .offset = offset, .length = length };

	return ioctl(fd, RUST_HUGETLB_PUNCH_HOLE, &range);
}

/*
 * Takes pages from the pool for what the range has none for, and makes the file at least as large
 * as its end: 0, or -1 (ENOSPC: the pool has too few; EINTR: a signal came. Those it did get stay).
 */
static inline int rust_hugetlb_preallocate(int fd, uint64_t offset, uint64_t length)
{
	struct rust_hugetlb_range range = { .offset = offset, .length = length };

	return ioctl(fd, RUST_HUGETLB_PREALLOCATE, &range);
}

/* The number in the file `name` of the folder `pool`, which ends with a slash, or -1. */
static inline long rust_hugetlb_count_in(const char *pool, const char *name)
{
	char path[256];
	FILE *file;
	long count;

	if (snprintf(path, sizeof(path), "%s%s", pool, name) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%ld", &count) != 1) {
		errno = EIO;
		count = -1;
	}
	fclose(file);
	return count;
}

/* The number in one of the 2 MiB pool's files, for example "free_hugepages", or -1. */
static inline long rust_hugetlb_count(const char *name)
{
	return rust_hugetlb_count_in(RUST_HUGETLB_POOL, name);
}

#endif /* RUST_HUGETLB_H */
