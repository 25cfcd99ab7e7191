/* LiveKit projects and the trunks in them: whose failures are held against whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "livekit_project.h"

static struct projects projects;
static struct project *project, *other;

static int begin(void **state)
{
	struct errinfo e;

	(void)state;
	projects_init(&projects);
	assert_int_equal(projects_get(&projects, "http://one", "k", "s", &project, &e), OK);
	assert_int_equal(projects_get(&projects, "http://two", "k", "s", &other, &e), OK);
	return 0;
}

static int end(void **state)
{
	(void)state;
	projects_done(&projects);
	return 0;
}

static struct trunk *trunk_of(struct project *p, int64_t org)
{
	struct trunk *t = projects_trunk(&projects, p, org, "sip.carrier.example");

	assert_non_null(t);
	return t;
}

static void goes_wrong(struct project *p, struct trunk *t, int times)
{
	while (times-- > 0)
		projects_trunk_went(&projects, p, t, false);
}

static void a_carrier_that_fails_one_organization_is_left_to_the_others(void **state)
{
	struct errinfo e;

	(void)state;
	goes_wrong(project, trunk_of(project, 1), 20);
	assert_int_equal(projects_admit(&projects, project, trunk_of(project, 1), &e), ERR_UNAVAILABLE);
	assert_int_equal(projects_admit(&projects, project, trunk_of(project, 2), &e), OK);
	assert_int_equal(projects_admit(&projects, other, trunk_of(other, 1), &e), OK);
}

static void a_trunk_is_the_same_one_each_time(void **state)
{
	(void)state;
	assert_ptr_equal(trunk_of(project, 1), trunk_of(project, 1));
	assert_ptr_not_equal(trunk_of(project, 1), trunk_of(project, 2));
}

static void check_breakers(int open, int half_open)
{
	struct provider_breakers sum = { 0 };

	projects_breakers(&projects, &sum);
	assert_int_equal(sum.open, open);
	assert_int_equal(sum.half_open, half_open);
}

/* Open, tried, open again, tried, closed; and one that closes by the word of a call that was under
 * way before. */
static void what_is_given_a_rest_is_counted(void **state)
{
	struct trunk *one = trunk_of(project, 1), *two = trunk_of(project, 2);
	struct errinfo e;

	(void)state;
	check_breakers(0, 0);
	goes_wrong(project, one, 9);
	check_breakers(0, 0);
	goes_wrong(project, one, 1);
	goes_wrong(project, two, 15);
	check_breakers(2, 0);
	projects_trunk_went(&projects, project, two, true);
	check_breakers(1, 0);
	for (int round = 0; round < 2; round++) {
		one->breaker.until = 0;
		assert_int_equal(projects_admit(&projects, project, one, &e), OK);
		check_breakers(0, 1);
		projects_trunk_went(&projects, project, one, round == 1);
		check_breakers(round == 0, 0);
	}
	for (int i = 0; i < 7; i++)
		projects_project_went(&projects, other, false);
	check_breakers(1, 0);
	projects_project_went(&projects, other, true);
	check_breakers(0, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_carrier_that_fails_one_organization_is_left_to_the_others),
		TEST(what_is_given_a_rest_is_counted),
		TEST(a_trunk_is_the_same_one_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
