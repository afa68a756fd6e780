// SPDX-License-Identifier: GPL-2.0
/*
 * A QEMU plugin: how often each instruction of the guest's kernel runs between
 * two marks. `to=PATH` says where to write it.
 *
 * A mark is an instruction that does nothing, in a user's program (work.c): a nop
 * whose operand says that a case begins or ends. At its end the plugin writes a
 * line for each instruction that ran: the number of the case, from 1, the
 * address, how often. All user instructions are one line, address 0.
 *
 * QEMU 10 or later, one CPU. Declared by hand, as Debian has no package with
 * qemu-plugin.h: what of it is used here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
typedef struct {
	struct qemu_plugin_scoreboard *score;
	size_t offset;
} qemu_plugin_u64;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
struct qemu_info;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*callback)(qemu_plugin_id_t,
							    struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t length);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*callback)(unsigned int, void *),
					    enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(struct qemu_plugin_insn *insn,
							 enum qemu_plugin_op op,
							 qemu_plugin_u64 entry, uint64_t by);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t size);
void *qemu_plugin_scoreboard_find(struct qemu_plugin_scoreboard *score, unsigned int vcpu);

int qemu_plugin_version = 4;

/* nopl DISPLACEMENT(%rax); see work.c. */
static const uint8_t MARK[3] = { 0x0f, 0x1f, 0x80 };
#define MARK_BEGIN 0x7c0d0001u
#define MARK_END 0x7c0d0002u

/* Addresses of the kernel's and the modules' code; slot 0 is for all others. */
#define KERNEL 0xffffffff80000000ull
#define SLOTS (1u << 21)

static struct qemu_plugin_scoreboard *counters;
static uint64_t addresses[SLOTS], before[SLOTS];
static unsigned int used, cases;
static FILE *out;

static uint64_t *counts(void)
{
	return qemu_plugin_scoreboard_find(counters, 0);
}

static unsigned int slot_of(uint64_t address)
{
	unsigned int slot;

	if (address < KERNEL)
		return 0;
	slot = (address * 0x61c8864680b583ebull) >> 43;
	while (!slot || (addresses[slot] && addresses[slot] != address))
		slot = (slot + 1) % SLOTS;
	if (!addresses[slot]) {
		if (++used > SLOTS / 2) {
			fputs("profile: too much code\n", stderr);
			abort();
		}
		addresses[slot] = address;
	}
	return slot;
}

static void begun(unsigned int vcpu, void *data)
{
	(void)vcpu;
	(void)data;
	memcpy(before, counts(), sizeof(before));
}

static void ended(unsigned int vcpu, void *data)
{
	unsigned int slot;

	(void)vcpu;
	(void)data;
	cases++;
	for (slot = 0; slot < SLOTS; slot++) {
		uint64_t ran = counts()[slot] - before[slot];

		if (ran)
			fprintf(out, "%u %016" PRIx64 " %" PRIu64 "\n", cases, addresses[slot],
				ran);
	}
	fflush(out);
}

static uint32_t mark_of(struct qemu_plugin_insn *insn, uint64_t address)
{
	uint8_t code[sizeof(MARK) + sizeof(uint32_t)];
	uint32_t mark;

	if (address >= KERNEL || qemu_plugin_insn_data(insn, code, sizeof(code)) != sizeof(code) ||
	    memcmp(code, MARK, sizeof(MARK)))
		return 0;
	memcpy(&mark, code + sizeof(MARK), sizeof(mark));
	return mark;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i;

	(void)id;
	for (i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn);
		qemu_plugin_u64 entry = { counters, slot_of(address) * sizeof(uint64_t) };
		uint32_t mark = mark_of(insn, address);

		if (mark == MARK_BEGIN || mark == MARK_END)
			qemu_plugin_register_vcpu_insn_exec_cb(insn,
							       mark == MARK_BEGIN ? begun : ended,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
		else
			qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
				insn, QEMU_PLUGIN_INLINE_ADD_U64, entry, 1);
	}
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "to=", 3)) {
		fputs("profile: say to=PATH\n", stderr);
		return -1;
	}
	out = fopen(argv[0] + 3, "w");
	if (!out) {
		perror(argv[0] + 3);
		return -1;
	}
	counters = qemu_plugin_scoreboard_new(sizeof(before));
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
