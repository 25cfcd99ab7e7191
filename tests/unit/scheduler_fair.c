/* Fairness: a fake queue gives what a plan asks for; nothing else is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "callgate/mem.h"
#include "fair.h"

#define SECOND  INT64_C(1000000)
#define TENANTS 20

struct queue_of {
	struct lane_key lane;
	int64_t         backlog;
	int64_t         served;
};

static struct limit_row row(int64_t org, int project, int trunk, int weight, int max, int cps_milli)
{
	return (struct limit_row){ org, project, trunk, true, { weight, max, cps_milli, 1 } };
}

/* Tenant i is organization i + 1 with one project, one trunk and one lane. */
static void set_up(struct tenants *t, struct queue_of *q, int n, const int *weights)
{
	struct limit_row rows[3 * TENANTS];

	tenants_init(t);
	for (int i = 0; i < n; i++) {
		rows[3 * i] = row(i + 1, 0, 0, weights ? weights[i] : 1, -1, -1);
		rows[3 * i + 1] = row(i + 1, 1, 0, 1, -1, -1);
		rows[3 * i + 2] = row(i + 1, 0, 1, 1, -1, -1);
		q[i] = (struct queue_of){ .lane = { i + 1, 1, 1, 1 }, .backlog = 1000000 };
	}
	tenants_limits(t, rows, (size_t)(3 * n), 0);
	for (int i = 0; i < n; i++)
		tenants_wait(t, &q[i].lane, 0);
}

/* One claim. Calls come and end at once unless `hold` counts them as in flight. */
static int claim(struct tenants *t, struct queue_of *q, int n, int budget, int64_t now, bool hold)
{
	static struct plan plan;
	int total = 0;

	fair_plan(t, budget, now, &plan);
	for (size_t w = 0; w < plan.n; w++) {
		struct lane *lane = plan.lanes[w];
		struct queue_of *from = NULL;

		for (int i = 0; i < n; i++)
			if (memcmp(&q[i].lane, &plan.want[w].lane, sizeof q[i].lane) == 0)
				from = &q[i];
		assert_non_null(from);
		for (int k = 0; k < plan.want[w].take && from->backlog > 0; k++) {
			assert_true(fair_got(t, &plan, &from->lane, now));
			from->backlog--;
			from->served++;
			total++;
			pace_spend(&lane->org->node.pace, 1, now);
			pace_spend(&lane->project->pace, 1, now);
			pace_spend(&lane->trunk->pace, 1, now);
			lane->org->node.mine += hold;
			lane->project->mine += hold;
			lane->trunk->mine += hold;
		}
	}
	fair_settle(t, &plan);
	return total;
}

static double jain(const struct queue_of *q, int n)
{
	double sum = 0, squares = 0;

	for (int i = 0; i < n; i++) {
		sum += (double)q[i].served;
		squares += (double)q[i].served * (double)q[i].served;
	}
	return sum * sum / (n * squares);
}

static void equal_weights_share_equally_whatever_the_backlogs(void **state)
{
	struct tenants t;
	struct queue_of q[TENANTS];

	(void)state;
	set_up(&t, q, TENANTS, NULL);
	q[0].backlog = 1000000000;
	for (int i = 0; i < 50; i++)
		claim(&t, q, TENANTS, 37, 0, false);    /* a budget that no round fits into */
	assert_true(jain(q, TENANTS) >= 0.99);
	tenants_done(&t);
}

static void weights_are_respected(void **state)
{
	static const int weights[] = { 1, 2, 5 };
	struct tenants t;
	struct queue_of q[3];
	int64_t sum;

	(void)state;
	set_up(&t, q, 3, weights);
	for (int i = 0; i < 100; i++)
		claim(&t, q, 3, 100, 0, false);
	sum = q[0].served + q[1].served + q[2].served;
	assert_int_equal(sum, 10000);
	assert_in_range(q[0].served, 1240, 1260);
	assert_in_range(q[1].served, 2490, 2510);
	assert_in_range(q[2].served, 6240, 6260);
	tenants_done(&t);
}

static void projects_share_a_trunk_that_is_narrower_than_their_turns(void **state)
{
	static struct queue_of q[] = { { { 1, 1, 1, 1 }, 10000, 0 }, { { 1, 2, 1, 1 }, 10000, 0 } };
	struct tenants t;
	const struct limit_row rows[] = {
		row(1, 0, 0, 1, -1, -1), row(1, 1, 0, 1, -1, -1), row(1, 2, 0, 3, -1, -1), row(1, 0, 1, 1, 3, -1),
	};

	(void)state;
	tenants_init(&t);
	tenants_limits(&t, rows, ARRAY_LEN(rows), 0);
	for (int i = 0; i < 2; i++)
		tenants_wait(&t, &q[i].lane, 0);
	for (int i = 0; i < 400; i++)
		assert_int_equal(claim(&t, q, 2, 100, 0, false), 3);
	assert_in_range(q[0].served, 280, 320);
	assert_in_range(q[1].served, 880, 920);
	tenants_done(&t);
}

static void a_newcomer_waits_one_round_at_most(void **state)
{
	struct tenants t;
	struct queue_of q[TENANTS];

	(void)state;
	set_up(&t, q, TENANTS, NULL);
	lane_drained(&t, tenants_lane(&t, &q[7].lane, 0));
	for (int i = 0; i < 10; i++)
		claim(&t, q, TENANTS, 5, 0, false);
	assert_int_equal(q[7].served, 0);
	q[7].backlog = 1;
	tenants_wait(&t, &q[7].lane, 0);
	claim(&t, q, TENANTS, TENANTS, 0, false);
	assert_int_equal(q[7].served, 1);
	tenants_done(&t);
}

static void an_empty_lane_leaves_its_share_to_the_others(void **state)
{
	struct tenants t;
	struct queue_of q[2];

	(void)state;
	set_up(&t, q, 2, NULL);
	q[0].backlog = 3;
	claim(&t, q, 2, 100, 0, false);
	assert_int_equal(q[0].served, 3);
	assert_int_equal(claim(&t, q, 2, 100, 0, false), 100);
	assert_int_equal(tenants_org(&t, 1, 0)->node.planned, 0);
	assert_false(tenants_org(&t, 1, 0)->active);
	tenants_done(&t);
}

static void caps_hold_at_trunk_project_and_organization(void **state)
{
	for (int level = 0; level < 3; level++) {
		struct tenants t;
		struct queue_of q[2];
		struct limit_row rows[] = { row(1, 0, 0, 1, -1, -1), row(1, 1, 0, 1, -1, -1), row(1, 0, 1, 1, -1, -1),
		                            row(2, 0, 0, 1, -1, -1), row(2, 1, 0, 1, -1, -1), row(2, 0, 1, 1, -1, -1) };
		struct count_row elsewhere = { 1, 1, 1, 3 };

		(void)state;
		set_up(&t, q, 2, NULL);
		rows[level].limits.max_concurrent = 10;
		tenants_limits(&t, rows, ARRAY_LEN(rows), 0);
		tenants_counts(&t, &elsewhere, 1, 0);
		for (int i = 0; i < 5; i++)
			claim(&t, q, 2, 100, 0, true);
		assert_int_equal(q[0].served, 7);
		assert_int_equal(q[1].served, 493);
		tenants_org(&t, 1, 0)->node.mine--;
		tenants_project(&t, 1, 1, 0)->mine--;
		tenants_trunk(&t, 1, 1, 0)->mine--;
		claim(&t, q, 2, 100, 0, true);
		assert_int_equal(q[0].served, 8);
		tenants_done(&t);
	}
}

static void a_slow_trunk_holds_nobody_else_up_and_says_when(void **state)
{
	static struct plan plan;
	struct tenants t;
	struct queue_of q[2];
	struct limit_row rows[] = { row(1, 0, 0, 1, -1, -1), row(1, 1, 0, 1, -1, -1), row(1, 0, 1, 1, -1, 1000),
	                            row(2, 0, 0, 1, -1, -1), row(2, 1, 0, 1, -1, -1), row(2, 0, 1, 1, -1, -1) };

	(void)state;
	set_up(&t, q, 2, NULL);
	tenants_limits(&t, rows, ARRAY_LEN(rows), 0);
	for (int64_t now = 0; now < 10 * SECOND; now += SECOND / 100)
		claim(&t, q, 2, 10, now, false);
	assert_in_range(q[0].served, 10, 11);
	assert_int_equal(q[1].served, 10 * 1000 - q[0].served);
	fair_plan(&t, 10, 10 * SECOND - 1000, &plan);
	assert_true(plan.ready_us > 10 * SECOND - 1000 && plan.ready_us <= 11 * SECOND);
	fair_cancel(&plan);
	tenants_done(&t);
}

static void nothing_is_taken_where_limits_are_unknown_or_switched_off(void **state)
{
	struct tenants t;
	struct queue_of q[1];
	struct limit_row rows[] = { row(1, 0, 0, 1, -1, -1), row(1, 1, 0, 1, -1, -1), row(1, 0, 1, 1, -1, -1) };
	struct lane_key stranger = { 9, 1, 1, 1 }, test = { 1, 1, 0, 1 };
	static struct plan plan;

	(void)state;
	set_up(&t, q, 1, NULL);
	tenants_wait(&t, &stranger, 0);
	fair_plan(&t, 10, 0, &plan);
	assert_int_equal(plan.n, 1);
	assert_true(t.unknown);
	fair_cancel(&plan);
	rows[2].enabled = false;
	tenants_limits(&t, rows, 3, 0);
	fair_plan(&t, 10, 0, &plan);
	assert_int_equal(plan.n, 0);
	fair_cancel(&plan);
	tenants_wait(&t, &test, 0);     /* test keys need no trunk */
	fair_plan(&t, 10, 0, &plan);
	assert_int_equal(plan.n, 1);
	assert_int_equal(plan.want[0].lane.trunk_id, 0);
	fair_cancel(&plan);
	tenants_done(&t);
}

static void priorities_share_but_high_goes_first(void **state)
{
	struct tenants t;
	struct queue_of q[3];

	(void)state;
	set_up(&t, q, 1, NULL);
	q[1] = q[2] = q[0];
	q[1].lane.prio = 0;
	q[2].lane.prio = 2;
	tenants_wait(&t, &q[1].lane, 0);
	tenants_wait(&t, &q[2].lane, 0);
	for (int i = 0; i < 21; i++)
		claim(&t, q, 3, 100, 0, false);
	assert_in_range(q[1].served, 1580, 1620);
	assert_in_range(q[0].served, 390, 410);
	assert_in_range(q[2].served, 90, 110);
	tenants_done(&t);
}

/* What waited in a lane of low priority has the share of normal after a while, then of high. */
static void who_waits_long_has_the_share_of_a_higher_priority(void **state)
{
	static const struct { int64_t waited; int rounds; int64_t least, most; } shares[] = {
		{ 59, 17, 90, 110 }, { 61, 20, 390, 410 }, { 121, 20, 990, 1010 }, { 86400, 20, 990, 1010 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
		int64_t now = (i % 2 ? 60 : 100000) * SECOND;   /* the machine may be younger than its calls */
		struct tenants t;
		struct queue_of q[3];

		set_up(&t, q, 1, NULL);
		t.ageing_us = 60 * SECOND;
		q[1] = q[2] = q[0];
		q[0].backlog = 0;
		q[1].lane.prio = 2;
		q[2].lane.prio = 0;
		tenants_wait(&t, &q[1].lane, now);
		tenants_wait(&t, &q[2].lane, now);
		fair_waited(&t, &q[1].lane, now - shares[i].waited * SECOND, now);
		for (int n = 0; n < shares[i].rounds; n++)
			claim(&t, q, 3, 100, now, false);
		assert_in_range(q[1].served, shares[i].least, shares[i].most);
		tenants_done(&t);
	}
}

static void a_lane_that_was_emptied_begins_young(void **state)
{
	struct tenants t;
	struct queue_of q[1];

	(void)state;
	set_up(&t, q, 1, NULL);
	fair_waited(&t, &q[0].lane, 1, SECOND);
	q[0].backlog = 1;
	claim(&t, q, 1, 10, SECOND, false);
	assert_int_equal(tenants_lane(&t, &q[0].lane, SECOND)->since_us, INT64_MAX);
	tenants_done(&t);
}

static void lost_shards_are_forgotten_with_everything_in_them(void **state)
{
	struct tenants t;
	struct queue_of q[TENANTS];
	static struct plan plan;

	(void)state;
	set_up(&t, q, TENANTS, NULL);
	tenants_prune(&t, UINT64_C(1) << 5);
	fair_plan(&t, 100, 0, &plan);
	assert_int_equal(plan.n, 1);
	assert_int_equal(plan.want[0].lane.org_id, 5);
	fair_cancel(&plan);
	assert_int_equal(t.n, 4);
	tenants_done(&t);
}

static void a_lane_is_empty_only_when_its_head_was_looked_at(void **state)
{
	struct tenants t;
	struct queue_of q[1];
	struct lane *lane;

	(void)state;
	set_up(&t, q, 1, NULL);
	lane = tenants_lane(&t, &q[0].lane, 0);
	lane->low = id_floor(1000);
	q[0].backlog = 0;
	claim(&t, q, 1, 10, 0, false);
	assert_true(lane->waiting);
	claim(&t, q, 1, 10, 0, false);
	assert_false(lane->waiting);
	tenants_done(&t);
}

static void a_trunk_without_its_provider_rests_and_then_one_call_tries(void **state)
{
	static struct tenants t;
	static struct plan plan;
	struct queue_of q[2];
	struct node *trunk;
	int64_t now = SECOND, rest = SECOND / 4;

	(void)state;
	set_up(&t, q, 2, NULL);
	trunk = tenants_trunk(&t, 1, 1, 0);
	for (int i = 0; i < 20; i++)            /* what had been claimed is refused as well */
		trunk_rests(trunk, now);
	claim(&t, q, 2, 100, now, false);
	assert_int_equal(q[0].served, 0);
	assert_int_equal(q[1].served, 100);     /* nobody else notices */
	for (int i = 0; i < 10; i++) {
		fair_plan(&t, 100, now + rest - 1, &plan);
		assert_int_equal(plan.ready_us, now + rest);
		fair_cancel(&plan);
		now += rest;
		q[0].served = q[1].served = 0;
		claim(&t, q, 2, 100, now, false);
		assert_int_equal(q[0].served, 1);
		trunk_tries(trunk, now);
		claim(&t, q, 2, 100, now, false);
		assert_int_equal(q[0].served, 1);       /* nothing was heard of it yet */
		trunk_rests(trunk, now);
		rest = rest * 2 < 5 * SECOND ? rest * 2 : 5 * SECOND;
	}
	trunk_serves(trunk);
	q[0].served = 0;
	claim(&t, q, 2, 100, now, false);
	assert_true(q[0].served > 1);
	tenants_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_weights_share_equally_whatever_the_backlogs),
		cmocka_unit_test(weights_are_respected),
		cmocka_unit_test(projects_share_a_trunk_that_is_narrower_than_their_turns),
		cmocka_unit_test(a_newcomer_waits_one_round_at_most),
		cmocka_unit_test(an_empty_lane_leaves_its_share_to_the_others),
		cmocka_unit_test(caps_hold_at_trunk_project_and_organization),
		cmocka_unit_test(a_slow_trunk_holds_nobody_else_up_and_says_when),
		cmocka_unit_test(nothing_is_taken_where_limits_are_unknown_or_switched_off),
		cmocka_unit_test(priorities_share_but_high_goes_first),
		cmocka_unit_test(who_waits_long_has_the_share_of_a_higher_priority),
		cmocka_unit_test(a_lane_that_was_emptied_begins_young),
		cmocka_unit_test(lost_shards_are_forgotten_with_everything_in_them),
		cmocka_unit_test(a_lane_is_empty_only_when_its_head_was_looked_at),
		cmocka_unit_test(a_trunk_without_its_provider_rests_and_then_one_call_tries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
