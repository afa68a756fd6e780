/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What a program can ask of an open /dev/rust_hugetlb*, beside mmap.
 *
 * All sizes and offsets are in bytes and multiples of the file's huge page size
 * (rust_hugetlb_info.page_size); anything else is EINVAL. The calls do what
 * ftruncate(2), fallocate(2) and fstat(2) do to a file of hugetlbfs, which the
 * kernel does not offer on a device node.
 *
 * errno, of every call:
 *   EFAULT   the argument cannot be read or written
 *   ENOTTY   no such call
 * of those that change the file, also:
 *   EBADF    the descriptor is not open for writing
 *   EINVAL   an offset or a length is no multiple of the huge page size, or a
 *            length is 0
 *   EFBIG    an offset, a size or the end of a range is past the end of any file
 *            (2^63 - 1 bytes), or a file that is to grow would exceed RLIMIT_FSIZE
 *            (and SIGXFSZ is sent)
 */
#ifndef _UAPI_RUST_HUGETLB_H
#define _UAPI_RUST_HUGETLB_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The state of a file. Other calls may change it while it is looked at. */
struct rust_hugetlb_info {
	/* The huge page size. */
	__u64 page_size;
	/* Touching a mapping at or past this offset is SIGBUS. */
	__u64 size;
	/* Pages the file has, shared ones, in bytes. */
	__u64 allocated;
	/* Pages it may still take for certain, in bytes. */
	__u64 reserved;
};

/* A range of a file. */
struct rust_hugetlb_range {
	__u64 offset;
	__u64 length;
};

#define RUST_HUGETLB_IOC_TYPE 0xE6

/* Reads the state of the file. */
#define RUST_HUGETLB_INFO \
	_IOR(RUST_HUGETLB_IOC_TYPE, 0, struct rust_hugetlb_info)

/*
 * Sets the size: ftruncate(2). Pages past the end go back to the pool, their
 * mappings, private copies included, and their reservations end.
 */
#define RUST_HUGETLB_SET_SIZE _IOW(RUST_HUGETLB_IOC_TYPE, 1, __u64)

/*
 * Takes the pages of a range out of the file, mapped or not, private copies
 * included: fallocate(2) with FALLOC_FL_PUNCH_HOLE. The next touch finds zeros,
 * in a page that is not reserved. Reservations for pages that were not there stay.
 *   ENOMEM   no memory for the file's bookkeeping; what is before is out
 */
#define RUST_HUGETLB_PUNCH_HOLE \
	_IOW(RUST_HUGETLB_IOC_TYPE, 2, struct rust_hugetlb_range)

/*
 * Puts pages into a range, zeroed where there were none, and makes the file at
 * least as large as its end: fallocate(2) with mode 0. Pages that were put in
 * before an error stay; the size does not change then.
 *   ENOSPC   no more pages
 *   EINTR    a signal came
 *   ENOMEM   no memory for the file's page map
 */
#define RUST_HUGETLB_PREALLOCATE \
	_IOW(RUST_HUGETLB_IOC_TYPE, 3, struct rust_hugetlb_range)

#endif /* _UAPI_RUST_HUGETLB_H */
