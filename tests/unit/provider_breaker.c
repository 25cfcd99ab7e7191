/* The circuit breaker, with time as an argument. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "breaker.h"

static enum breaker_change change;

static struct breaker opened(int64_t now)
{
	struct breaker b = { .threshold = 3 };

	assert_int_equal(breaker_went(&b, false, now), BREAKER_SAME);
	assert_int_equal(breaker_went(&b, false, now), BREAKER_SAME);
	assert_int_equal(breaker_went(&b, false, now), BREAKER_OPENED);
	return b;
}

static void only_failures_in_a_row_open_it(void **state)
{
	struct breaker b = { .threshold = 3 };

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(breaker_went(&b, i % 3 == 2, 0), BREAKER_SAME);
	assert_true(breaker_admit(&b, 0, &change));
	assert_false(breaker_blocks(&b));
}

static void open_lets_nobody_through_until_its_time_and_then_one(void **state)
{
	struct breaker b = opened(1000);

	(void)state;
	assert_false(breaker_admit(&b, 1000 + BREAKER_OPEN_MS - 1, &change));
	assert_true(breaker_blocks(&b));
	assert_true(breaker_admit(&b, 1000 + BREAKER_OPEN_MS, &change));
	assert_int_equal(change, BREAKER_HALF_OPENED);
	assert_false(breaker_blocks(&b));       /* the probe itself goes on */
	assert_false(breaker_admit(&b, 1000 + BREAKER_OPEN_MS, &change));
}

static void the_probe_decides(void **state)
{
	struct breaker good = opened(0), bad = opened(0);

	(void)state;
	breaker_admit(&good, BREAKER_OPEN_MS, &change);
	assert_int_equal(breaker_went(&good, true, 3000), BREAKER_CLOSED);
	assert_true(breaker_admit(&good, 3000, &change));
	breaker_admit(&bad, BREAKER_OPEN_MS, &change);
	assert_int_equal(breaker_went(&bad, false, 3000), BREAKER_OPENED);
	assert_false(breaker_admit(&bad, 3000 + 2 * BREAKER_OPEN_MS - 1, &change));
	assert_true(breaker_admit(&bad, 3000 + 2 * BREAKER_OPEN_MS, &change));
}

static void the_wait_doubles_to_a_ceiling(void **state)
{
	struct breaker b = opened(0);
	int64_t now = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		now = b.until;
		assert_true(breaker_admit(&b, now, &change));
		breaker_went(&b, false, now);
	}
	assert_int_equal(b.until - now, BREAKER_OPEN_MAX_MS);
}

static void failures_of_those_that_were_under_way_before_change_nothing(void **state)
{
	struct breaker b = opened(0);
	int64_t until = b.until;

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(breaker_went(&b, false, 100), BREAKER_SAME);
	assert_int_equal(b.until, until);
	assert_int_equal(breaker_went(&b, true, 100), BREAKER_CLOSED);  /* but good news is news */
}

static void a_probe_of_which_nothing_is_heard_is_followed_by_another(void **state)
{
	struct breaker b = opened(0);

	(void)state;
	assert_true(breaker_admit(&b, BREAKER_OPEN_MS, &change));
	assert_false(breaker_admit(&b, BREAKER_OPEN_MS + BREAKER_PROBE_MS - 1, &change));
	assert_true(breaker_admit(&b, BREAKER_OPEN_MS + BREAKER_PROBE_MS, &change));
	assert_int_equal(change, BREAKER_SAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_failures_in_a_row_open_it),
		cmocka_unit_test(open_lets_nobody_through_until_its_time_and_then_one),
		cmocka_unit_test(the_probe_decides),
		cmocka_unit_test(the_wait_doubles_to_a_ceiling),
		cmocka_unit_test(failures_of_those_that_were_under_way_before_change_nothing),
		cmocka_unit_test(a_probe_of_which_nothing_is_heard_is_followed_by_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
