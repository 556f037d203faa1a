// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver's command queue with threads for CPUs and SMMUs. queue.inc is cut out of
 * arm-smmu-v3.c when this is built, so it is the code of the driver, whichever that is.
 *
 *	cmdq list			names of the tests
 *	cmdq run TEST...		some of them; nothing named is all
 *	cmdq neighbour SHIFT MS MODE	syncs and worst latency on a healthy SMMU while
 *					another CPU has to do with a dead one as well;
 *					MODE: serial or parallel
 */

#include <pthread.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
#include <kunit/visibility.h>

#include "arm-smmu-v3.h"

#include "queue.inc"

void (*cmdq_atomic_read_hook)(const atomic_t *v, int value);

static unsigned int num_logged;

void cmdq_log(const char *format, ...)
{
	va_list args;

	__atomic_fetch_add(&num_logged, 1, __ATOMIC_RELAXED);
	if (!getenv("VERBOSE"))
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}

void invs_warn(const char *file, int line, const char *condition)
{
	printf("failed: %s:%d: WARN_ON(%s)\n", file, line, condition);
	fflush(stdout);
	_exit(1);
}

void *invs_zalloc(size_t size)
{
	return calloc(1, size);
}

#define CHECK(condition, ...)						\
	do {								\
		if (!(condition)) {					\
			printf("failed: " __VA_ARGS__);			\
			printf("\n");					\
			fflush(stdout);					\
			_exit(1);					\
		}							\
	} while (0)

static double ms_since(ktime_t start)
{
	return (ktime_get() - start) / 1e6;
}

static void sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

#define DMA		0x100000
#define MAX_POSTERS	4
#define MAX_LIST	(CMDQ_BATCH_ENTRIES - 1)

struct smmu {
	struct arm_smmu_device dev;
	u32 prod_reg __attribute__((aligned(64)));
	u32 cons_reg __attribute__((aligned(64)));
	pthread_t thread;
	bool alive;		/* takes commands out */
	bool gone;		/* and its thread ends */
	unsigned int latency_us; /* of a CMD_SYNC */
	bool check;		/* the commands are those of post_lists() */
	unsigned int num_lists[MAX_POSTERS];
	unsigned int in_list, poster;
	unsigned long num_taken;
};

static u32 pos(struct smmu *smmu, u64 total)
{
	return total & ((2U << smmu->dev.cmdq.q.llq.max_n_shift) - 1);
}

/* Says who has posted it, in which list of how many, and where it is in there */
static struct arm_smmu_cmd make_cmd(unsigned int poster, unsigned int list,
				    unsigned int n, unsigned int i)
{
	struct arm_smmu_cmd cmd = arm_smmu_make_cmd_op(CMDQ_OP_TLBI_NH_ASID);

	cmd.data[0] |= FIELD_PREP(CMDQ_TLBI_0_ASID, poster);
	cmd.data[1] = (u64)list << 32 | n << 16 | i;
	return cmd;
}

/* The SMMU */

static void take(struct smmu *smmu, const struct arm_smmu_cmd *cmd)
{
	unsigned int poster = FIELD_GET(CMDQ_TLBI_0_ASID, cmd->data[0]);
	unsigned int op = FIELD_GET(CMDQ_0_OP, cmd->data[0]);
	struct arm_smmu_cmd next;

	smmu->num_taken++;
	if (!smmu->check)
		return;
	CHECK(cmd->data[0], "a command that nobody has written");
	if (!smmu->in_list) {
		if (op == CMDQ_OP_CMD_SYNC)
			return;
		smmu->poster = poster;
	}
	CHECK(op != CMDQ_OP_CMD_SYNC, "a CMD_SYNC inside of a list");
	next = make_cmd(smmu->poster, smmu->num_lists[smmu->poster],
			cmd->data[1] >> 16 & 0xffff, smmu->in_list);
	CHECK(!memcmp(cmd, &next, sizeof(next)),
	      "list %u of CPU %u is not complete or not in order: command %u is %#llx %#llx",
	      smmu->num_lists[smmu->poster], smmu->poster, smmu->in_list,
	      (unsigned long long)cmd->data[0], (unsigned long long)cmd->data[1]);
	if (++smmu->in_list == (cmd->data[1] >> 16 & 0xffff)) {
		smmu->in_list = 0;
		__atomic_store_n(&smmu->num_lists[smmu->poster],
				 smmu->num_lists[smmu->poster] + 1,
				 __ATOMIC_RELAXED);
	}
}

static void *run_smmu(void *data)
{
	struct smmu *smmu = data;
	struct arm_smmu_queue *q = &smmu->dev.cmdq.q;
	bool msi = smmu->dev.options & ARM_SMMU_OPT_MSIPOLL;
	u32 cons = READ_ONCE(smmu->cons_reg), prod;
	struct arm_smmu_cmd cmd;
	__le64 *entry;

	while (!READ_ONCE(smmu->gone)) {
		prod = readl(q->prod_reg);
		if (!READ_ONCE(smmu->alive) || prod == cons) {
			sched_yield();
			continue;
		}
		entry = Q_ENT(q, cons);
		cmd.data[0] = le64_to_cpu(entry[0]);
		cmd.data[1] = le64_to_cpu(entry[1]);
		take(smmu, &cmd);
		cons = pos(smmu, cons + 1);
		if (FIELD_GET(CMDQ_0_OP, cmd.data[0]) == CMDQ_OP_CMD_SYNC) {
			if (smmu->latency_us)
				udelay(smmu->latency_us);
			if (msi)
				__atomic_store_n((u32 *)entry, 0, __ATOMIC_RELEASE);
		}
		writel(cons, q->cons_reg);
	}
	return NULL;
}

static struct smmu *add_smmu(unsigned int shift, u32 options)
{
	struct smmu *smmu = aligned_alloc(64, (sizeof(*smmu) + 63) & ~63UL);
	struct arm_smmu_cmdq *cmdq;
	size_t entries = 1UL << shift;

	memset(smmu, 0, sizeof(*smmu));
	cmdq = &smmu->dev.cmdq;
	smmu->dev.options = options;
	smmu->alive = true;
	cmdq->valid_map = calloc(entries / BITS_PER_LONG, sizeof(*cmdq->valid_map));
	cmdq->q.base = calloc(entries, sizeof(struct arm_smmu_cmd));
	cmdq->q.base_dma = DMA;
	cmdq->q.ent_dwords = CMDQ_ENT_DWORDS;
	cmdq->q.llq.max_n_shift = shift;
	cmdq->q.prod_reg = &smmu->prod_reg;
	cmdq->q.cons_reg = &smmu->cons_reg;
	return smmu;
}

static struct smmu *start_smmu(struct smmu *smmu)
{
	pthread_create(&smmu->thread, NULL, run_smmu, smmu);
	return smmu;
}

/* The CPUs, with what all drivers have: a list with a CMD_SYNC or without */

static int issue(struct smmu *smmu, struct arm_smmu_cmd *cmds, int n, bool sync)
{
#ifdef CMDQ_HAS_WAITS
	return arm_smmu_cmdq_issue_cmdlist(&smmu->dev, &smmu->dev.cmdq, cmds, n,
					   sync, NULL);
#else
	return arm_smmu_cmdq_issue_cmdlist(&smmu->dev, &smmu->dev.cmdq, cmds, n,
					   sync);
#endif
}

static int issue_one(struct smmu *smmu, bool sync)
{
	struct arm_smmu_cmd cmd = make_cmd(0, 0, 1, 0);

	return issue(smmu, &cmd, 1, sync);
}

static void fill(struct smmu *smmu, unsigned int total)
{
	while (total--)
		CHECK(!issue_one(smmu, false), "an empty queue has no space");
}

/* Post to all, then wait for all, as an invalidation does; @third may be NULL */
static void issue_to_all(struct smmu *first, struct smmu *second,
			 struct smmu *third, bool parallel)
{
#ifdef CMDQ_HAS_WAITS
	struct arm_smmu_cmdq_waits waits = {};
	struct arm_smmu_cmdq_batch cmds;

	if (parallel) {
		arm_smmu_cmdq_batch_init(&cmds, &waits);
		cmds.cmds[cmds.num++] = make_cmd(1, 0, 1, 0);
		arm_smmu_cmdq_batch_post(&first->dev, &cmds);
		arm_smmu_cmdq_batch_init(&cmds, &waits);
		cmds.cmds[cmds.num++] = make_cmd(1, 0, 1, 0);
		arm_smmu_cmdq_batch_post(&second->dev, &cmds);
		arm_smmu_cmdq_batch_init(&cmds, &waits);
		cmds.cmds[cmds.num++] = make_cmd(1, 0, 1, 0);
		if (third)
			arm_smmu_cmdq_batch_post(&third->dev, &cmds);
		if (waits.num)
			arm_smmu_cmdq_wait_all(&waits);
		return;
	}
#endif
	CHECK(!parallel, "this driver does not post without waiting");
	issue_one(first, true);
	issue_one(second, true);
	if (third)
		issue_one(third, true);
}

/* A dead SMMU and its neighbour */

static struct neighbour {
	struct smmu *dead, *healthy, *full;
	bool parallel, end;
} neighbour;

static void *run_x(void *data)
{
	while (!READ_ONCE(neighbour.end))
		issue_to_all(neighbour.dead, neighbour.healthy, neighbour.full,
			     neighbour.parallel);
	return NULL;
}

static void measure_neighbour(unsigned int shift, unsigned int ms, bool parallel,
			      unsigned long *syncs, double *worst)
{
	ktime_t start, one;
	double took;
	pthread_t x;

	neighbour.dead = add_smmu(shift, 0);
	neighbour.healthy = start_smmu(add_smmu(shift, 0));
	neighbour.parallel = parallel;
	WRITE_ONCE(neighbour.end, false);
	*syncs = 0;
	*worst = 0;
	pthread_create(&x, NULL, run_x, NULL);
	start = ktime_get();
	while (ms_since(start) < ms) {
		one = ktime_get();
		/* One that is given up is none */
		*syncs += !issue_one(neighbour.healthy, true);
		took = ms_since(one);
		*worst = took > *worst ? took : *worst;
	}
	WRITE_ONCE(neighbour.end, true);
	pthread_join(x, NULL);
	WRITE_ONCE(neighbour.healthy->gone, true);
	pthread_join(neighbour.healthy->thread, NULL);
}

/* Whoever else uses the machine is no reason to fail: the best of three counts. */
static void check_neighbour(void)
{
	unsigned long serial, parallel;
	double worst_serial, worst;
	int i;

#ifndef CMDQ_HAS_WAITS
	printf("one after the other only; ");
	return;
#endif
	for (i = 0; i != 3; i++) {
		measure_neighbour(8, 1500, false, &serial, &worst_serial);
		measure_neighbour(8, 2500, true, &parallel, &worst);
		parallel = parallel * 1500 / 2500;
		if (parallel >= serial / 10 && worst <= 500)
			return;
	}
	CHECK(false,
	      "with a dead neighbour %lu syncs, worst %.0f ms; one after the other %lu, %.0f ms",
	      parallel, worst, serial, worst_serial);
}

static void test_neighbour(void)
{
	check_neighbour();
}

/* And then there is no space in the queue of another dead one */
static void test_full_neighbour(void)
{
	neighbour.full = add_smmu(8, 0);
	fill(neighbour.full, 256);
	check_neighbour();
}

/* Several CPUs post lists of all lengths; what the SMMU gets is complete, in order */

static struct smmu *listed;
static unsigned int num_lists;
static void *(*flapping)(void *data);
static pthread_t flapping_thread;

static void *post_lists(void *data)
{
	unsigned int poster = (unsigned long)data, list, n, i;
	struct arm_smmu_cmd cmds[MAX_LIST];
	bool sync;

	for (list = 0; list != num_lists; list++) {
		n = 1 + list * (5 + 2 * poster) % MAX_LIST;
		sync = (list + poster) % 3;
		for (i = 0; i != n; i++)
			cmds[i] = make_cmd(poster, list, n, i);
		CHECK(!issue(listed, cmds, n, sync), "list %u of CPU %u: error",
		      list, poster);
		CHECK(!sync || READ_ONCE(listed->num_lists[poster]) == list + 1,
		      "list %u of CPU %u was not waited for", list, poster);
	}
	return NULL;
}

static void post_all(u32 options, unsigned int shift, unsigned int latency_us,
		     unsigned int lists)
{
	pthread_t posters[MAX_POSTERS];
	unsigned long i;

	listed = add_smmu(shift, options);
	listed->check = true;
	listed->latency_us = latency_us;
	num_lists = lists;
	start_smmu(listed);
	if (flapping)
		pthread_create(&flapping_thread, NULL, flapping, NULL);
	for (i = 0; i != MAX_POSTERS; i++)
		pthread_create(&posters[i], NULL, post_lists, (void *)i);
	for (i = 0; i != MAX_POSTERS; i++)
		pthread_join(posters[i], NULL);
	WRITE_ONCE(listed->gone, true);
	pthread_join(listed->thread, NULL);
	CHECK(!atomic_read(&listed->dev.cmdq.lock), "somebody still has the queue");
}

/* The SMMU stops again and again, for less than the time limit */
static void *run_flapping(void *data)
{
	unsigned int seed = 1;

	while (!READ_ONCE(listed->gone)) {
		WRITE_ONCE(listed->alive, false);
		usleep(rand_r(&seed) % 100000);
		WRITE_ONCE(listed->alive, true);
		usleep(rand_r(&seed) % 3000);
	}
	return NULL;
}

static void test_flapping(void)
{
	flapping = run_flapping;
	post_all(0, 7, 0, 300);
	pthread_join(flapping_thread, NULL);
	post_all(ARM_SMMU_OPT_MSIPOLL, 7, 0, 300);
	pthread_join(flapping_thread, NULL);
	CHECK(!num_logged, "%u messages", num_logged);
}

static void test_lists(void)
{
	post_all(0, 7, 0, 3000);
	post_all(0, 7, 100, 300);
	CHECK(!num_logged, "%u messages", num_logged);
}

static void test_lists_msi(void)
{
	post_all(ARM_SMMU_OPT_MSIPOLL, 7, 0, 3000);
	post_all(ARM_SMMU_OPT_MSIPOLL, 7, 100, 300);
	CHECK(!num_logged, "%u messages", num_logged);
}

/*
 * Two CPUs have finished and both see the lock at 2. A third one that waits for space
 * must not rely on either of them.
 */
static atomic_t *held_lock;
static __thread bool holder;
static unsigned int num_holders;

static void hold(const atomic_t *v, int value)
{
	if (v != held_lock || !holder || value != 2)
		return;
	__atomic_fetch_add(&num_holders, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&num_holders, __ATOMIC_SEQ_CST) < 2)
		sched_yield();
}

static void *run_holder(void *data)
{
	holder = true;
	issue_one(data, true);
	return NULL;
}

static void *run_poster(void *data)
{
	issue_one(data, false);
	return NULL;
}

static void test_left_alone(void)
{
	struct smmu *smmu = add_smmu(7, 0);
	pthread_t holders[2], poster;
	ktime_t start;
	double took;
	int i;

	smmu->alive = false;
	held_lock = &smmu->dev.cmdq.lock;
	cmdq_atomic_read_hook = hold;
	start_smmu(smmu);
	for (i = 0; i != 2; i++)
		pthread_create(&holders[i], NULL, run_holder, smmu);
	while (atomic_read(&smmu->dev.cmdq.lock) != 2 ||
	       READ_ONCE(smmu->prod_reg) != 4)
		sched_yield();
	fill(smmu, 124);
	pthread_create(&poster, NULL, run_poster, smmu);
	sleep_ms(20);
	start = ktime_get();
	WRITE_ONCE(smmu->alive, true);
	pthread_join(poster, NULL);
	took = ms_since(start);
	for (i = 0; i != 2; i++)
		pthread_join(holders[i], NULL);
	CHECK(READ_ONCE(num_holders) == 2, "not the interleaving that was wanted");
	CHECK(took < 500 && !num_logged,
	      "found space only after %.0f ms, %u messages", took, num_logged);
}

/* Space for one, two are needed, and nobody makes any */
static void test_stands_still(void)
{
	struct smmu *smmu = add_smmu(7, 0);
	ktime_t start = ktime_get();
	int ret;

	fill(smmu, 127);
	ret = issue_one(smmu, true);
	CHECK(ret == -ETIMEDOUT, "returned %d", ret);
	CHECK(ms_since(start) < 4000, "after %.0f ms", ms_since(start));
	CHECK(num_logged, "without a message");
}

/*
 * An SMMU with MSIs stops for more than the time limit, while four laps of commands
 * come. What it gets in the end is complete, in order, and nothing is written over.
 */
static void *wake_up_late(void *data)
{
	struct smmu *smmu = data;

	sleep_ms(1500);
	WRITE_ONCE(smmu->alive, true);
	return NULL;
}

static void resume(u32 options)
{
	struct smmu *smmu = add_smmu(7, options);
	struct arm_smmu_cmd cmds[31];
	unsigned int list, i;
	pthread_t waker;
	ktime_t start;

	smmu->alive = false;
	smmu->check = true;
	start_smmu(smmu);
	pthread_create(&waker, NULL, wake_up_late, smmu);
	/* The first CMD_SYNC times out, then nobody waits for one until it is back */
	for (list = 0; list != 20; list++) {
		for (i = 0; i != 31; i++)
			cmds[i] = make_cmd(0, list, 31, i);
		issue(smmu, cmds, 31, !list);
	}
	pthread_join(waker, NULL);
	for (start = ktime_get(); READ_ONCE(smmu->num_lists[0]) != 20; sleep_ms(1))
		CHECK(ms_since(start) < 3000, "got %u of 20 lists",
		      READ_ONCE(smmu->num_lists[0]));
}

static void test_resume(void)
{
	resume(0);
}

static void test_resume_msi(void)
{
	resume(ARM_SMMU_OPT_MSIPOLL);
}

/* Nobody waits for an SMMU that has been disabled */
static void test_disabled(void)
{
#ifdef CMDQ_PROD_STOP_FLAG
	struct smmu *smmu = add_smmu(7, 0);
	ktime_t start = ktime_get();
	int i;

	atomic_or(CMDQ_PROD_STOP_FLAG, &smmu->dev.cmdq.q.llq.atomic.prod);
	for (i = 0; i != 1000; i++)
		CHECK(!issue_one(smmu, true), "an error");
	CHECK(ms_since(start) < 500, "waits");
	CHECK(!smmu->prod_reg && !num_logged, "posts");
#else
	struct smmu *smmu = add_smmu(7, 0);
	ktime_t start = ktime_get();

	issue_one(smmu, true);
	CHECK(ms_since(start) < 500, "waits for an SMMU that is disabled");
#endif
}

static const struct test {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "lists", test_lists },
	{ "lists_msi", test_lists_msi },
	{ "flapping", test_flapping },
	{ "neighbour", test_neighbour },
	{ "full_neighbour", test_full_neighbour },
	{ "left_alone", test_left_alone },
	{ "stands_still", test_stands_still },
	{ "resume", test_resume },
	{ "resume_msi", test_resume_msi },
	{ "disabled", test_disabled },
};

/* A process for each, as some end in the middle of a wait that has no end */
static bool run_test(const struct test *test)
{
	ktime_t start = ktime_get();
	int status;
	pid_t pid;

	printf("%s: ", test->name);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(40);
		test->run();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("failed: does not end\n");
	else if (!status)
		printf("ok, %.1f s\n", ms_since(start) / 1000);
	else if (WEXITSTATUS(status) != 1)
		printf("failed: status %d\n", WEXITSTATUS(status));
	return !status;
}

int main(int argc, char **argv)
{
	unsigned int i, failed = 0, run = 0;
	unsigned long syncs;
	double worst;
	int arg;

	if (argc == 5 && !strcmp(argv[1], "neighbour")) {
		measure_neighbour(atoi(argv[2]), atoi(argv[3]),
				  !strcmp(argv[4], "parallel"), &syncs, &worst);
		printf("%lu %.0f\n", syncs, worst);
		return 0;
	}
	if (argc < 2 || (strcmp(argv[1], "run") && strcmp(argv[1], "list"))) {
		fprintf(stderr, "usage: cmdq list | run [TEST...] | neighbour SHIFT MS MODE\n");
		return 2;
	}
	for (i = 0; i != sizeof(tests) / sizeof(*tests); i++) {
		for (arg = 2; arg < argc; arg++)
			if (!strcmp(argv[arg], tests[i].name))
				break;
		if (argc > 2 && arg == argc)
			continue;
		run++;
		if (argv[1][0] == 'l')
			printf("%s\n", tests[i].name);
		else
			failed += !run_test(&tests[i]);
	}
	if (argv[1][0] == 'l')
		return 0;
	printf("%u of %u passed\n", run - failed, run);
	return failed || !run;
}
