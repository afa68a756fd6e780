// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * gigantic-c: maps all free 1 GiB pages, touches each base page of them, and keeps a part of one
 * alive through a pipe when mapping and file are gone. Everything printed is checked; the exit
 * status is that of the check.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "rust_hugetlb.h"

#define DEVICE "/dev/rust_hugetlb-1G"
#define POOL "/sys/kernel/rust_hugetlb/hugepages-1048576kB/"
#define PAGE ((size_t)1 << 30)
#define BASE_PAGE ((size_t)4096)

static const char usage[] =
	"Usage: gigantic-c [--help]\n"
	"Maps all free 1 GiB pages of " DEVICE ", writes to and reads from each 4 KiB of\n"
	"them, puts 4 KiB into a pipe (vmsplice), unmaps and closes all, and shows that\n"
	"only the page under the pipe is still in use, and no longer once it was read.\n"
	"Exit status: 0 when every number is as it must be, 1 when not, 2 for wrong arguments.\n";

static void die(const char *what, const char *remedy)
{
	fprintf(stderr, "gigantic-c: %s: %s: %s\n", what, strerror(errno), remedy);
	exit(1);
}

static unsigned long count(const char *file)
{
	long value = rust_hugetlb_count_in(POOL, file);

	if (value < 0)
		die(POOL, "load the module on a CPU with pdpe1gb: insmod rust_hugetlb.ko");
	return value;
}

static void expect(const char *file, unsigned long want)
{
	unsigned long seen = count(file);

	printf("gigantic-c: %s %lu\n", file, seen);
	if (seen != want) {
		fprintf(stderr, "gigantic-c: %s is not %lu: look at " POOL "\n", file, want);
		exit(1);
	}
}

/* What base page number `index` holds. */
static uint64_t stamp(size_t index)
{
	return (uint64_t)index * 2 + 1;
}

int main(int argc, char **argv)
{
	unsigned long free_pages;
	size_t base_pages;
	uint64_t read_back;
	struct iovec part;
	char *base;
	int fd, pipes[2];

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc != 1) {
		fputs(usage, stderr);
		return 2;
	}

	free_pages = count("free_hugepages");
	if (!free_pages) {
		fprintf(stderr, "gigantic-c: no free page: echo 1 > " POOL "nr_hugepages\n");
		return 1;
	}
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(DEVICE, "may you read and write it?");
	base = mmap(NULL, free_pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		die("mmap", "does somebody else use the pool?");
	expect("resv_hugepages", free_pages);

	base_pages = free_pages * (PAGE / BASE_PAGE);
	for (size_t i = 0; i < base_pages; i++) {
		volatile uint64_t *word = (volatile uint64_t *)(base + i * BASE_PAGE);

		if (*word) {
			fprintf(stderr, "gigantic-c: base page %zu is not zeroes\n", i);
			return 1;
		}
		*word = stamp(i);
	}
	for (size_t i = 0; i < base_pages; i++) {
		if (*(volatile uint64_t *)(base + i * BASE_PAGE) != stamp(i)) {
			fprintf(stderr, "gigantic-c: base page %zu is another one\n", i);
			return 1;
		}
	}
	printf("gigantic-c: %lu pages of 1 GiB written and read\n", free_pages);
	expect("free_hugepages", 0);

	/* The last base page of all is in the pipe, and with it its huge page. */
	part.iov_base = base + (base_pages - 1) * BASE_PAGE;
	part.iov_len = BASE_PAGE;
	if (pipe(pipes) || vmsplice(pipes[1], &part, 1, 0) != (ssize_t)BASE_PAGE)
		die("vmsplice", "is it in the kernel?");
	if (munmap(base, free_pages * PAGE) || close(fd))
		die("munmap or close", "raise an issue");
	expect("pinned_hugepages", 1);
	expect("free_hugepages", free_pages - 1);

	if (read(pipes[0], &read_back, sizeof(read_back)) != sizeof(read_back) ||
	    read_back != stamp(base_pages - 1)) {
		fprintf(stderr, "gigantic-c: the pipe holds %#" PRIx64 "\n", read_back);
		return 1;
	}
	close(pipes[0]);
	close(pipes[1]);
	expect("pinned_hugepages", 0);
	expect("free_hugepages", free_pages);
	return 0;
}
