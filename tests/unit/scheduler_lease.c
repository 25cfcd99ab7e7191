/* The small pure parts of the scheduler: lease, inbox, nudges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "inbox.h"
#include "lease.h"
#include "nudge.h"

static void nothing_is_dialed_without_or_past_a_lease(void **state)
{
	struct lease l;

	(void)state;
	lease_init(&l, 9000);
	assert_false(lease_valid(&l, 0));
	lease_granted(&l, 5, 1000);
	assert_true(lease_valid(&l, 1000));
	assert_true(lease_valid(&l, 8199));
	assert_false(lease_valid(&l, 8200));    /* well before 1000 + 9000 */
	assert_int_equal(l.renew_at, 4000);
	lease_lost(&l, 5000);
	assert_false(lease_valid(&l, 5000));
}

static void a_failed_renewal_does_not_prolong_and_is_repeated_soon(void **state)
{
	struct lease l;

	(void)state;
	lease_init(&l, 9000);
	lease_granted(&l, 5, 1000);
	lease_failed(&l, 4000);
	assert_int_equal(l.valid_until, 8200);
	assert_in_range(l.renew_at, 4001, 5000);
	assert_int_equal(l.gateway_id, 5);
}

static void *push_three(void *arg)
{
	for (int i = 1; i <= 3; i++)
		inbox_push(arg, &(struct provider_event){ .attempt = i });
	return NULL;
}

static void a_full_inbox_makes_the_provider_wait_and_loses_nothing(void **state)
{
	struct inbox b;
	pthread_t thread;
	int seen = 0;

	(void)state;
	inbox_init(&b, 1);
	assert_int_equal(pthread_create(&thread, NULL, push_three, &b), 0);
	while (seen < 3) {
		size_t n;
		struct provider_event *ev = inbox_take(&b, &n);

		assert_true(n <= 1);
		if (n)
			assert_int_equal(ev[0].attempt, ++seen);
		free(ev);
	}
	pthread_join(thread, NULL);
	inbox_done(&b);
}

static void a_closed_inbox_lets_nobody_wait(void **state)
{
	struct inbox b;
	struct provider_event ev = { 0 };

	(void)state;
	inbox_init(&b, 1);
	assert_true(inbox_push(&b, &ev));
	inbox_close(&b);
	inbox_push(&b, &ev);
	inbox_done(&b);
}

static void nudges_of_one_lane_are_one_word(void **state)
{
	static struct nudges s;
	static struct lane_key out[NUDGES_MAX];
	struct lane_key a = { 1, 1, 1, 1 }, b = { 1, 1, 1, 2 };
	bool overflow;

	(void)state;
	nudges_init(&s);
	for (int i = 0; i < 5000; i++)
		nudges_add(&s, i % 2 ? &a : &b);
	assert_int_equal(nudges_take(&s, out, &overflow), 2);
	assert_false(overflow);
	assert_int_equal(nudges_take(&s, out, &overflow), 0);
	nudges_done(&s);
}

static void too_many_lanes_are_said_to_be_too_many(void **state)
{
	static struct nudges s;
	static struct lane_key out[NUDGES_MAX];
	bool overflow;

	(void)state;
	nudges_init(&s);
	for (int i = 0; i < 3 * NUDGES_MAX; i++)
		nudges_add(&s, &(struct lane_key){ i, 1, 1, 1 });
	assert_int_equal(nudges_take(&s, out, &overflow), NUDGES_MAX);
	assert_true(overflow);
	assert_int_equal(nudges_take(&s, out, &overflow), 0);
	assert_false(overflow);
	nudges_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_dialed_without_or_past_a_lease),
		cmocka_unit_test(a_failed_renewal_does_not_prolong_and_is_repeated_soon),
		cmocka_unit_test(a_full_inbox_makes_the_provider_wait_and_loses_nothing),
		cmocka_unit_test(a_closed_inbox_lets_nobody_wait),
		cmocka_unit_test(nudges_of_one_lane_are_one_word),
		cmocka_unit_test(too_many_lanes_are_said_to_be_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
