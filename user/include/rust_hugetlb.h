/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Huge pages of the rust_hugetlb kernel module, for C programs.
 *
 * Every function returns what the system call under it returns and leaves its errno. Pages are
 * 2 MiB. A page is taken from the pool at the first touch. rust_hugetlb_map() reserves it before;
 * after rust_hugetlb_map_unreserved(), or where a memory policy or a cpuset keeps the task from the
 * nodes that have free pages, there may be none, and the touch is a SIGBUS: call
 * rust_hugetlb_populate() first where an error is wanted instead.
 */
#ifndef RUST_HUGETLB_H
#define RUST_HUGETLB_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define RUST_HUGETLB_PAGE_SIZE ((size_t)2 << 20)
#define RUST_HUGETLB_DEVICE "/dev/rust_hugetlb"
#define RUST_HUGETLB_DEVICE_2M "/dev/rust_hugetlb-2M"
#define RUST_HUGETLB_POOL "/sys/kernel/rust_hugetlb/hugepages-2048kB/"

/*
 * Opens a new, empty huge file: a descriptor, or -1. It stays open across exec only after
 * rust_hugetlb_keep_on_exec().
 */
static inline int rust_hugetlb_open(void)
{
	return open(RUST_HUGETLB_DEVICE, O_RDWR | O_CLOEXEC);
}

/* Lets the program that this process execs next have the descriptor: 0, or -1. */
static inline int rust_hugetlb_keep_on_exec(int fd)
{
	return fcntl(fd, F_SETFD, 0);
}

/* rust_hugetlb_map() with more flags for mmap. */
static inline void *rust_hugetlb_map_flags(int fd, size_t pages, int flags)
{
	size_t bytes;

	if (__builtin_mul_overflow(pages, RUST_HUGETLB_PAGE_SIZE, &bytes)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);
}

/*
 * Maps the first pages of the huge file shared, readable and writable, and reserves those that
 * nobody reserved or touched yet: their address, or MAP_FAILED (ENOMEM: the pool has too few).
 */
static inline void *rust_hugetlb_map(int fd, size_t pages)
{
	return rust_hugetlb_map_flags(fd, pages, 0);
}

/* The same without a reservation: the pool may have fewer pages. */
static inline void *rust_hugetlb_map_unreserved(int fd, size_t pages)
{
	return rust_hugetlb_map_flags(fd, pages, MAP_NORESERVE);
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

/* The number in one of the pool's files, for example "free_hugepages", or -1. */
static inline long rust_hugetlb_count(const char *name)
{
	char path[256];
	FILE *file;
	long count;

	if (snprintf(path, sizeof(path), "%s%s", RUST_HUGETLB_POOL, name) >= (int)sizeof(path)) {
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

#endif /* RUST_HUGETLB_H */
