/* Who is served next: each organization in turn, and none with all the clerks or the room. */
#include "api_fixture.h"

#include "lineup.h"

static struct waiter w[8];

static void check_next(struct lineup *l, int i)
{
	assert_ptr_equal(lineup_take(l), &w[i]);
}

static void organizations_take_turns(void **state)
{
	struct lineup *l = lineup_new(8, 8, 2);

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_true(lineup_push(l, &w[i], 7));
	assert_true(lineup_push(l, &w[5], 8));
	assert_true(lineup_push(l, &w[6], INT64_C(7) << 32));
	check_next(l, 0);
	check_next(l, 5);
	check_next(l, 6);
	check_next(l, 1);
	lineup_served(l, 7);
	check_next(l, 2);
	for (int i = 0; i < 2; i++) {
		lineup_served(l, 7);
		check_next(l, 3 + i);
	}
	lineup_served(l, 7);
	lineup_served(l, 7);
	lineup_served(l, 8);
	lineup_served(l, INT64_C(7) << 32);
	lineup_free(l);
}

static void *take_one(void *l)
{
	return lineup_take(l);
}

/* Its second one waits though a clerk is free, and who comes later is served. */
static void one_organization_never_has_all_the_clerks(void **state)
{
	struct lineup *l = lineup_new(8, 8, 1);
	pthread_t clerk;
	void *got;

	(void)state;
	assert_true(lineup_push(l, &w[0], 7));
	assert_true(lineup_push(l, &w[1], 7));
	check_next(l, 0);
	assert_int_equal(pthread_create(&clerk, NULL, take_one, l), 0);
	assert_true(lineup_push(l, &w[2], 8));
	pthread_join(clerk, &got);
	assert_ptr_equal(got, &w[2]);
	lineup_served(l, 7);
	check_next(l, 1);
	lineup_served(l, 7);
	lineup_served(l, 8);
	lineup_free(l);
}

static void one_organization_never_has_all_the_room(void **state)
{
	struct lineup *l = lineup_new(4, 2, 1);

	(void)state;
	assert_true(lineup_push(l, &w[0], 7));
	assert_true(lineup_push(l, &w[1], 7));
	assert_false(lineup_push(l, &w[2], 7));
	assert_true(lineup_push(l, &w[3], 8));
	assert_true(lineup_push(l, &w[4], 9));
	assert_false(lineup_push(l, &w[5], 10));
	check_next(l, 0);
	assert_true(lineup_push(l, &w[2], 7));          /* who is served waits no more */
	check_next(l, 3);
	check_next(l, 4);
	for (int i = 7; i < 10; i++)
		lineup_served(l, i);
	check_next(l, 1);
	lineup_served(l, 7);
	check_next(l, 2);
	lineup_served(l, 7);
	lineup_free(l);
}

static void what_waits_when_it_closes_is_still_served(void **state)
{
	struct lineup *l = lineup_new(4, 4, 1);
	pthread_t clerk;
	void *got;

	(void)state;
	assert_true(lineup_push(l, &w[0], 7));
	assert_true(lineup_push(l, &w[1], 7));
	check_next(l, 0);
	lineup_close(l);
	assert_false(lineup_push(l, &w[2], 8));
	assert_int_equal(pthread_create(&clerk, NULL, take_one, l), 0);
	lineup_served(l, 7);
	pthread_join(clerk, &got);
	assert_ptr_equal(got, &w[1]);
	assert_null(lineup_take(l));
	lineup_served(l, 7);
	lineup_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(organizations_take_turns),
		cmocka_unit_test(one_organization_never_has_all_the_clerks),
		cmocka_unit_test(one_organization_never_has_all_the_room),
		cmocka_unit_test(what_waits_when_it_closes_is_still_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
