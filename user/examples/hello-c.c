// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * hello-c: maps four huge pages, writes a pattern to all of them, shows that the kernel maps them
 * huge and what is left in the pool, and hands the descriptor to hello-rust, which must find the
 * same pattern. Everything printed is checked; the exit status is that of the check.
 */
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "rust_hugetlb.h"

#define PAGES 4
#define WORDS (RUST_HUGETLB_PAGE_SIZE / sizeof(uint64_t))
#define KIB(pages) ((unsigned long)((pages) * (RUST_HUGETLB_PAGE_SIZE >> 10)))

static const char usage[] =
	"Usage: hello-c [--help]\n"
	"Maps 4 pages of 2 MiB of " RUST_HUGETLB_DEVICE_2M ", writes a pattern to them, shows their\n"
	"lines of /proc/self/smaps and the pool's free count, and lets hello-rust, which lies\n"
	"beside it, check the pattern through a passed descriptor.\n"
	"Exit status: 0 when every number is as it must be, 1 when not, 2 for wrong arguments.\n";

static void die(const char *what, const char *remedy)
{
	fprintf(stderr, "hello-c: %s: %s: %s\n", what, strerror(errno), remedy);
	exit(1);
}

static long count_free(void)
{
	long count = rust_hugetlb_count("free_hugepages");

	if (count < 0)
		die("read " RUST_HUGETLB_POOL "free_hugepages",
		    "load the module: insmod rust_hugetlb.ko");
	return count;
}

/* The pattern, which hello-rust knows too: the page from 1, and the word's index in it. */
static void write_pattern(volatile uint64_t *words)
{
	for (size_t page = 0; page < PAGES; page++)
		for (size_t word = 0; word < WORDS; word++)
			words[page * WORDS + word] = (uint64_t)(page + 1) << 32 | word;
}

struct smaps_field {
	const char *name;
	unsigned long want;
	int seen;
};

/* Prints one line of smaps when it holds one of the fields, and checks its number. */
static void check_smaps_line(const char *line, struct smaps_field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(fields[i].name);
		unsigned long kib;

		if (strncmp(line, fields[i].name, length) || line[length] != ':')
			continue;
		printf("hello-c: %s", line);
		if (sscanf(line + length + 1, "%lu kB", &kib) != 1 || kib != fields[i].want) {
			fprintf(stderr, "hello-c: %s is not %lu kB: look at the kernel log\n",
				fields[i].name, fields[i].want);
			exit(1);
		}
		fields[i].seen = 1;
	}
}

/* Finds the mapping's lines in smaps. */
static void check_smaps(const void *base)
{
	struct smaps_field fields[] = {
		{ "Rss", KIB(PAGES), 0 },
		{ "FilePmdMapped", KIB(PAGES), 0 },
		{ "KernelPageSize", KIB(1), 0 },
		{ "MMUPageSize", KIB(1), 0 },
	};
	const size_t count = sizeof(fields) / sizeof(fields[0]);
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[PATH_MAX + 128];
	int inside = 0;

	if (!smaps)
		die("read /proc/self/smaps", "mount /proc");
	while (fgets(line, sizeof(line), smaps)) {
		uintptr_t start, end;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
			inside = start == (uintptr_t)base;
		else if (inside)
			check_smaps_line(line, fields, count);
	}
	fclose(smaps);
	for (size_t i = 0; i < count; i++) {
		if (!fields[i].seen) {
			fprintf(stderr, "hello-c: no %s in /proc/self/smaps: is this kernel 7.x?\n",
				fields[i].name);
			exit(1);
		}
	}
}

/* The file itself says the same. */
static void check_file(int fd)
{
	struct rust_hugetlb_info info;
	const uint64_t bytes = PAGES * RUST_HUGETLB_PAGE_SIZE;

	if (rust_hugetlb_info(fd, &info))
		die("ask about the file", "see rust_hugetlb.h");
	printf("hello-c: the file has %llu kB, %llu kB of them allocated, %llu kB reserved\n",
	       info.size >> 10, info.allocated >> 10, info.reserved >> 10);
	if (info.size != bytes || info.allocated != bytes || info.reserved != 0) {
		fprintf(stderr, "hello-c: that is not %lu, %lu and 0 kB: look at the kernel log\n",
			KIB(PAGES), KIB(PAGES));
		exit(1);
	}
}

/* Replaces this (child) process by hello-rust, with the descriptor. */
static void exec_hello_rust(int fd)
{
	static char self[PATH_MAX], path[PATH_MAX], number[16], pages[16];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		die("readlink /proc/self/exe", "mount /proc");
	if (snprintf(path, sizeof(path), "%s/hello-rust", dirname(self)) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		die("find hello-rust", "put the two programs in a folder with a shorter name");
	}
	snprintf(number, sizeof(number), "%d", fd);
	snprintf(pages, sizeof(pages), "%d", PAGES);
	if (rust_hugetlb_keep_on_exec(fd))
		die("pass the descriptor on", "see fcntl(2)");
	execl(path, path, "--fd", number, "--pages", pages, (char *)NULL);
	die(path, "put hello-rust beside hello-c");
}

int main(int argc, char **argv)
{
	long before, now;
	void *base;
	pid_t child;
	int fd, status;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc != 1) {
		fprintf(stderr, "hello-c: unknown argument %s: see hello-c --help\n", argv[1]);
		return 2;
	}

	fd = rust_hugetlb_open();
	if (fd < 0)
		die("open " RUST_HUGETLB_DEVICE_2M, errno == EACCES ?
			"run as root, or let your group open the node with the udev rule" :
			"load the module: insmod rust_hugetlb.ko");
	before = count_free();
	base = rust_hugetlb_map(fd, PAGES);
	if (base == MAP_FAILED)
		die("map 4 pages", errno == ENOMEM ?
			"write a larger count to " RUST_HUGETLB_POOL "nr_hugepages" : "see mmap(2)");
	if (rust_hugetlb_populate(base, PAGES))
		die("take 4 pages from the pool",
		    "write a larger count to " RUST_HUGETLB_POOL "nr_hugepages");
	write_pattern(base);
	printf("hello-c: %d pages mapped at %p, pattern written\n", PAGES, base);
	check_smaps(base);
	check_file(fd);

	now = count_free();
	printf("hello-c: free_hugepages: %ld before, %ld now\n", before, now);
	if (before - now != PAGES) {
		fprintf(stderr, "hello-c: %ld pages left the pool, not %d: does another program use it?\n",
			before - now, PAGES);
		return 1;
	}

	fflush(stdout);
	child = fork();
	if (child < 0)
		die("fork", "see fork(2)");
	if (child == 0)
		exec_hello_rust(fd);
	if (waitpid(child, &status, 0) != child)
		die("wait for hello-rust", "see waitpid(2)");
	if (!WIFEXITED(status)) {
		fprintf(stderr, "hello-c: hello-rust died of signal %d: look at the kernel log\n",
			WTERMSIG(status));
		return 1;
	}
	return WEXITSTATUS(status);
}
