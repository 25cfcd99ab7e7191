/* Pace: time is an argument, so a minute of dialing is simulated in microseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>

#include "callgate/mem.h"
#include "pace.h"

#define SECOND INT64_C(1000000)

/* Dials whatever may be dialed, at every step, and reports the fullest sliding second. */
static int fullest_second(int cps_milli, int burst, int64_t step_us, int jitter_us, int *total)
{
	static int64_t at[400000];
	struct pace p;
	unsigned seed = 3;
	int n = 0, first = 0, most = 0;
	int64_t now = SECOND;

	pace_init(&p, 1, now);
	pace_limit(&p, cps_milli, burst, now);
	for (; now < 61 * SECOND; now += step_us + (jitter_us ? rand_r(&seed) % jitter_us : 0)) {
		int room = pace_room(&p, now);

		pace_reserve(&p, room);
		/* the database takes its time between claim and dial, now and then very long */
		now += rand_r(&seed) % 100 == 0 ? jitter_us * 20 : 0;
		pace_spend(&p, room, now);
		for (int i = 0; i < room; i++)
			at[n++] = now;
		while (n > first && at[first] <= now - SECOND)
			first++;
		if (n - first > most)
			most = n - first;
	}
	*total = n;
	return most;
}

static void no_sliding_second_exceeds_pace_and_burst(void **state)
{
	static const struct { int cps_milli, burst; } cases[] = {
		{ 1000, 1 }, { 1500, 1 }, { 10000, 1 }, { 10000, 5 }, { 100000, 1 }, { 100000, 20 }, { 300, 1 },
	};
	int total;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int allowed = (cases[i].cps_milli + 1000 * cases[i].burst) / 1000;

		assert_true(fullest_second(cases[i].cps_milli, cases[i].burst, 1000, 0, &total) <= allowed);
		assert_true(fullest_second(cases[i].cps_milli, cases[i].burst, 500, 40000, &total) <= allowed);
	}
}

static void the_pace_is_reached_by_a_scheduler_that_wakes_a_little_late(void **state)
{
	int total;

	(void)state;
	fullest_second(10000, 1, 3000, 0, &total);
	assert_in_range(total, 597, 602);
	fullest_second(100000, 1, 3000, 0, &total);
	assert_in_range(total, 5950, 6002);
}

static void a_new_owner_starts_with_one_token_at_most(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 1, 0);
	pace_limit(&p, 10000, 50, 0);
	assert_int_equal(pace_room(&p, 0), 1);
	pace_init(&p, 0, 0);
	pace_limit(&p, 10000, 50, 0);
	assert_int_equal(pace_room(&p, 0), 0);
	assert_in_range(pace_ready_us(&p, 0), 100000, 100002);
	assert_int_equal(pace_room(&p, pace_ready_us(&p, 0)), 1);
	assert_int_equal(pace_room(&p, 60 * SECOND), 50);
}

static void what_is_reserved_is_not_given_twice_and_comes_back(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 0, 0);
	pace_limit(&p, 1000, 5, 0);
	assert_int_equal(pace_room(&p, 10 * SECOND), 5);
	pace_reserve(&p, 5);
	assert_int_equal(pace_room(&p, 10 * SECOND), 0);
	pace_release(&p, 2);
	assert_int_equal(pace_room(&p, 10 * SECOND), 2);
	pace_spend(&p, 3, 10 * SECOND);
	assert_int_equal(pace_room(&p, 10 * SECOND), 2);
}

static void no_limit_is_no_limit_and_zero_is_never(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 1, 0);
	assert_int_equal(pace_room(&p, 0), INT_MAX);
	pace_limit(&p, 0, 1, 0);
	assert_int_equal(pace_room(&p, 100 * SECOND), 0);
	assert_true(pace_ready_us(&p, 0) == INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_sliding_second_exceeds_pace_and_burst),
		cmocka_unit_test(the_pace_is_reached_by_a_scheduler_that_wakes_a_little_late),
		cmocka_unit_test(a_new_owner_starts_with_one_token_at_most),
		cmocka_unit_test(what_is_reserved_is_not_given_twice_and_comes_back),
		cmocka_unit_test(no_limit_is_no_limit_and_zero_is_never),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
