/* What the measuring programs share: the tenant that scripts/bench seeds, a clock,
 * percentiles, and dying with words. Each program prints one line of JSON. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "callgate/clock.h"
#include "callgate/digest.h"
#include "callgate/err.h"
#include "callgate/id.h"
#include "callgate/mem.h"
#include "callgate/store.h"
#include "callgate/store_calls.h"
#include "callgate/store_dispatch.h"

/* As tests/bench/tenant.sql has them. */
#define BENCH_ORG     1
#define BENCH_TENANTS 50
#define BENCH_PROJECT "proj_bench"
#define BENCH_FROM    "+14155550199"
#define BENCH_KEY     "dk_1_benchbenchbenchbenchbenchbenchbenchbench"
#define BENCH_VARS    "{\"customerName\":\"Jane Doe\",\"appointment\":\"2026-11-20T10:30:00Z\",\"reason\":\"follow-up\"}"

#define MARGIN_MS 30000

static inline _Noreturn void die(const char *what, const struct errinfo *e)
{
	fprintf(stderr, "%s: %s\n", what, e ? e->text : "");
	exit(1);
}

#define TRY(call) do { \
	if (call) \
		die(#call, &e); \
} while (0)

static inline int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static inline int cmp_int64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Sorts v. */
static inline double percentile_ms(int64_t *v, size_t n, double p)
{
	if (n == 0)
		return 0;
	qsort(v, n, sizeof *v, cmp_int64);
	return (double)v[(size_t)((double)(n - 1) * p)] / 1000.0;
}

static inline long number(const char *text, long min, long max)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (*end || v < min || v > max) {
		fprintf(stderr, "'%s' is not a number from %ld to %ld\n", text, min, max);
		exit(2);
	}
	return v;
}

/* A gateway with every shard, so that what it claims is not somebody else's. */
static inline int64_t bench_gateway(struct store *s)
{
	struct errinfo e;
	uint64_t owned;
	int64_t id;
	int live = 0;

	TRY(store_gateway_open(s, "bench", "bench", 600000, &id, &e));
	TRY(store_shards_balance(s, id, &owned, &live, &e));
	return id;
}

#endif
