// SPDX-License-Identifier: GPL-2.0
/*
 * What scripts/profile looks at, run in the guest: each case on hugetlb and on
 * the module, between marks that the plugin (count.c) sees. Prints a line for
 * each case, in order: how many pages, who, what.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE (2ul << 20)
#define FILE_OF_POOL "/hugepages-2048kB/nr_hugepages"

/* nopl DISPLACEMENT(%rax): does nothing, for the plugin to find. */
#define BEGIN __asm__ volatile(".byte 0x0f, 0x1f, 0x80; .long 0x7c0d0001" : : : "memory")
#define END __asm__ volatile(".byte 0x0f, 0x1f, 0x80; .long 0x7c0d0002" : : : "memory")

/* Pages that are touched, and with one that is before, for the page tables. */
static int pages, all;

struct backend {
	const char *name, *pool;
	int (*open)(void);
};

static int open_hugetlb(void)
{
	return memfd_create("profile", MFD_HUGETLB);
}

static int open_module(void)
{
	return open("/dev/rust_hugetlb", O_RDWR);
}

static const struct backend backends[] = {
	{ "hugetlb", "/sys/kernel/mm/hugepages" FILE_OF_POOL, open_hugetlb },
	{ "module", "/sys/kernel/rust_hugetlb" FILE_OF_POOL, open_module },
};

/* The line of a case that is over. */
static void done(const struct backend *backend, int of, const char *what)
{
	printf("case %d %s %s\n", of, backend->name, what);
}

static int open_file(const struct backend *backend)
{
	int fd = backend->open();

	if (fd < 0 || (backend->open == open_hugetlb && ftruncate(fd, all * PAGE)))
		err(1, "%s: open", backend->name);
	return fd;
}

static volatile char *map(int fd, int flags)
{
	void *start = mmap(NULL, all * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (start == MAP_FAILED)
		err(1, "mmap");
	return start;
}

static void touch(volatile char *start)
{
	int i;

	for (i = 1; i < all; i++)
		start[i * PAGE] = 1;
}

static void set_pool(const struct backend *backend, int to)
{
	FILE *file = fopen(backend->pool, "w");

	if (!file || fprintf(file, "%d", to) < 0 || fclose(file))
		err(1, "%s", backend->pool);
}

static void shared(const struct backend *backend, const char *content)
{
	volatile char *start;
	char what[64];
	pid_t child;
	int fd;

	fd = open_file(backend);
	BEGIN;
	start = map(fd, MAP_SHARED);
	END;
	done(backend, 1, "mmap, shared");
	start[0] = 1;
	BEGIN;
	touch(start);
	END;
	snprintf(what, sizeof(what), "first touch, shared, %s", content);
	done(backend, pages, what);
	BEGIN;
	child = fork();
	if (!child)
		_exit(0);
	END;
	waitpid(child, NULL, 0);
	done(backend, 1, "fork, shared mapping");
	BEGIN;
	munmap((void *)start, all * PAGE);
	END;
	done(backend, all, "munmap, shared");
	start = map(fd, MAP_SHARED);
	start[0] = 1;
	BEGIN;
	touch(start);
	END;
	done(backend, pages, "touch of what the file has, shared");
	munmap((void *)start, all * PAGE);
	BEGIN;
	close(fd);
	END;
	done(backend, all, "close, shared");
}

static void private(const struct backend *backend)
{
	int fd = open_file(backend);
	volatile char *start;

	BEGIN;
	start = map(fd, MAP_PRIVATE);
	END;
	done(backend, 1, "mmap, private");
	start[0] = 1;
	BEGIN;
	touch(start);
	END;
	done(backend, pages, "first touch, private, dirty");
	BEGIN;
	munmap((void *)start, all * PAGE);
	END;
	done(backend, all, "munmap, private");
	close(fd);
}

/* work PAGES [BACKEND]: the cases of one of them, or of both. */
int main(int argc, char **argv)
{
	const struct backend *backend;

	pages = argc > 1 ? atoi(argv[1]) : 1;
	all = pages + 1;
	/* Until the kernel has done what it puts off when it boots. */
	sleep(10);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (backend = backends; backend < backends + 2; backend++) {
		if (argc > 2 && strcmp(argv[2], backend->name))
			continue;
		set_pool(backend, all);
		shared(backend, "known zero");
		shared(backend, "dirty");
		private(backend);
		set_pool(backend, 0);
	}
	return 0;
}
