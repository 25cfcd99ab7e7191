/* The whole life of calls against a small reference (model/book.h): thousands of random
 * steps by several gateways that claim, dial, hear, crash, wake up and adopt, while clients
 * post, repeat, cancel and change calls and time passes. After each step what the store
 * answered must be what the book expects; every so often everything that is stored must be
 * what the book knows.
 *
 *     CALLGATE_TEST_MODEL_SEED   which run; the same seed gives the same run
 *     CALLGATE_TEST_MODEL_STEPS  how many steps
 *
 * Nothing waits here. Moments that have to pass (a call is due, its last moment is over, a
 * lease has run out) are steps that move the stored moment into the past, so that a run is
 * the same on a slow machine. */
#include "scratch.h"

#include <inttypes.h>
#include <time.h>

#include "model/compare.h"
#include "model/run.h"
#include "model/seed.h"
#include "model/steps.h"

#define STEPS      4000
#define COMPARE_AT 40

int64_t run_sql(const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return sql("%s", text);
}

static const struct { int weight; bool (*run)(void); } kinds[] = {
	{ 16, step_accept }, { 10, step_claim }, { 16, step_intent }, { 2, step_unclaim }, { 14, step_progress },
	{ 12, step_finish }, { 5, step_retry }, { 4, step_comes_due }, { 5, step_promote }, { 2, step_expire_by_age },
	{ 3, step_top_up }, { 6, step_crash }, { 7, step_bury }, { 6, step_come_back }, { 8, step_adopt },
	{ 5, step_cancel }, { 6, step_edit }, { 3, step_last_moment }, { 3, step_expire_due }, { 2, step_prune },
	{ 3, step_dry_run },
};

static void take_step(void)
{
	int i, sum = 0, at;

	for (i = 0; i < (int)ARRAY_LEN(kinds); i++)
		sum += kinds[i].weight;
	do {
		at = pick(sum);
		for (i = 0; at >= kinds[i].weight; i++)
			at -= kinds[i].weight;
	} while (!kinds[i].run());
}

static void compare(void)
{
	if (!compare_all(db, &book))
		wrong("what is stored is not what should be");
}

static void every_step_has_the_outcome_that_the_promises_give_it(void **state)
{
	(void)state;
	for (step = 0; step < steps; step++) {
		take_step();
		if (step % COMPARE_AT == COMPARE_AT - 1)
			compare();
	}
	step--;
	compare();
	print_message("%d steps, %d calls, %d requests, seed %" PRIu64 "\n", steps, book.n_calls, requests, seed);
}

/* Everything that is under way ends, and nothing is left of it. */
static void at_the_end_nothing_is_held_and_no_destination_is_taken(void **state)
{
	(void)state;
	for (int tries = 0; count(any) > 0 && tries < 5000; tries++) {
		step_comes_due();
		step_promote();
		step_come_back();
		step_claim();
		step_intent();
		step_bury();
		step_adopt();
		step_finish();
		step_expire_due();
	}
	MUST(count(any) == 0);
	compare();
	assert_int_equal(0, sql("select (select count(*) from destination_locks) + (select count(*) from call_inflight)"
	                        " + (select count(*) from call_queue) + (select count(*) from call_schedule)"));
	assert_int_equal(0, sql("select sum(held_mc) from credit_accounts"));
	check_books();
}

static int64_t setting(const char *name, int64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoll(text, NULL, 10) : otherwise;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_has_the_outcome_that_the_promises_give_it),
		cmocka_unit_test(at_the_end_nothing_is_held_and_no_destination_is_taken),
	};
	int failed, i;

	seed = dice = (uint64_t)setting("CALLGATE_TEST_MODEL_SEED", (int64_t)time(NULL));
	steps = (int)setting("CALLGATE_TEST_MODEL_STEPS", STEPS);
	print_message("CALLGATE_TEST_MODEL_SEED=%" PRIu64 " CALLGATE_TEST_MODEL_STEPS=%d\n", seed, steps);
	scratch_open();
	book_init(&book, (steps + 1) * BATCH_MAX);
	seed_world(&book);
	for (i = 0; i < INTAKES; i++)
		intakes[i] = store_new(scratch_url, "model intake");
	for (i = 0; i < GATES; i++) {
		gates[i].s = store_new(scratch_url, "model gateway");
		if (store_gateway_open(gates[i].s, "model", "test", DAY_MS, &gates[i].id, &e))
			return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (i = 0; i < INTAKES; i++)
		store_free(intakes[i]);
	for (i = 0; i < GATES; i++)
		store_free(gates[i].s);
	book_done(&book);
	scratch_close();
	return failed;
}
