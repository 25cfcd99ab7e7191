/* Looking for calls that have not ended: wherever they stand, however many have ended, and
 * while they move. */
#include "callgate/store_lists.h"
#include "scratch.h"

#define USER "'00000000-0000-4000-8000-000000000001'"

static struct store *s;
static struct errinfo e;
static struct caller caller = { .org = 1 };

/* `n` calls of project 1 as the database has them, the newest last; temp table `made`. */
static void make_calls(int n, int state)
{
	sql("create temp table if not exists made (i int, call_id uuid)");
	sql("truncate made");
	sql("insert into made select i, (left(uuid7_floor(now() - (%d - i) * interval '10 ms')::text, 14) || '7'"
	    "  || right('000' || to_hex(i %% 4096), 3) || '-8000-' || lpad(to_hex(i), 12, '0'))::uuid"
	    " from generate_series(1, %d) i", n, n);
	sql("insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s,"
	    "  rate_mc, hold_mc, lock_scope, from_e164, to_e164, request_id, state, ended_at)"
	    " select 1, call_id, 1, 1, 1, " USER ", 60, 3600, 600, 0, 0, '" FROM "', '+44' || (7000000000 + i), '', %d,"
	    "  case when %d > 0 then now() end from made", state, state);
}

/* All that fit, look by look; their number. */
static size_t walk(const struct call_filter *f, size_t limit, struct id *out, size_t *looks)
{
	struct list_page page = { .more = true };
	size_t n = 0, got;

	for (*looks = 0; page.more; ++*looks) {
		struct id before = page.last;

		if (store_calls_match(s, &caller, f, *looks ? &before : NULL, limit, out + n, &got, &page, &e))
			fail_msg("%s", e.text);
		assert_int_equal(READ_FOUND, page.outcome);
		n += got;
	}
	return n;
}

static void check_falling(const struct id *ids, size_t n)
{
	for (size_t i = 1; i < n; i++)
		assert_true(id_cmp(&ids[i], &ids[i - 1]) < 0);
}

static void what_waits_is_found_behind_any_number_of_ended_calls(void **state)
{
	struct admission a = make_admission("+12025550100");
	struct call_filter f = { .states = STATES_OPEN };
	struct list_page page;
	struct id ids[10];
	size_t n;

	(void)state;
	clear_calls();
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	usleep(2000);
	make_calls(25000, 4);
	assert_int_equal(OK, store_calls_match(s, &caller, &f, NULL, 10, ids, &n, &page, &e));
	assert_int_equal(1, n);
	assert_false(page.more);
	assert_int_equal(0, id_cmp(&ids[0], &a.call_id));
	f.states = STATE_BIT(CALL_QUEUED);
	strcpy(f.to, "+12025550101");
	assert_int_equal(OK, store_calls_match(s, &caller, &f, NULL, 10, ids, &n, &page, &e));
	assert_int_equal(0, n);
	assert_false(page.more);
}

/* In several lanes, planned, and in flight. */
static void spread(void)
{
	sql("insert into call_queue (org_id, project_id, trunk_id, prio, call_id, attempt)"
	    " select 1, 1, 1 + i %% 2, i %% 3, call_id, 1 from made where i %% 7 < 5");
	sql("insert into call_schedule (org_id, call_id, shard, run_at, project_id, trunk_id, prio, attempt)"
	    " select 1, call_id, 1, now(), 1, 1, 1, 1 from made where i %% 7 = 5");
	sql("insert into call_inflight (org_id, call_id, gateway_id, project_id, trunk_id, prio, attempt, state, phase, deadline_at,"
	    " agent) select 1, call_id, 1, 1, 1, 1, 1, i %% 2, i %% 2, now(), 'a' from made where i %% 7 = 6");
}

static void a_walk_sees_each_call_once_wherever_it_stands(void **state)
{
	enum { ALL = 5000 };
	struct call_filter f = { .states = STATES_OPEN };
	struct id *ids = xcalloc(ALL + 1, sizeof *ids);
	size_t looks;

	(void)state;
	clear_calls();
	make_calls(ALL, 0);
	spread();
	assert_int_equal(ALL, walk(&f, 700, ids, &looks));
	check_falling(ids, ALL);
	f.states = STATE_BIT(CALL_QUEUED);
	assert_int_equal(sql("select count(*) from made where i %% 7 < 6 or i %% 2 = 0"), walk(&f, 1000, ids, &looks));
	/* What does not fit ends a look, too. */
	strcpy(f.to, "+447000000001");
	assert_int_equal(1, walk(&f, 1000, ids, &looks));
	assert_int_equal(3, looks);
	f.metadata_key[0] = 'k';
	assert_int_equal(0, walk(&f, 1000, ids, &looks));
	assert_int_equal(6, looks);
	free(ids);
}

/* The next look goes by what it has seen, not by where that stood. */
static void a_call_that_moves_between_two_looks_is_seen(void **state)
{
	struct call_filter f = { .states = STATES_OPEN };
	struct list_page page;
	struct id ids[20], before;
	size_t n, more;

	(void)state;
	clear_calls();
	make_calls(14, 0);
	spread();
	assert_int_equal(OK, store_calls_match(s, &caller, &f, NULL, 5, ids, &n, &page, &e));
	assert_int_equal(5, n);
	assert_true(page.more);
	before = page.last;
	sql("with d as (delete from call_queue returning *) insert into call_schedule (org_id, call_id, shard, run_at, project_id,"
	    " trunk_id, prio, attempt) select org_id, call_id, 1, now(), project_id, trunk_id, prio, attempt from d");
	sql("with d as (delete from call_inflight returning *) insert into call_queue select org_id, project_id, trunk_id, prio,"
	    " call_id, attempt from d");
	assert_int_equal(OK, store_calls_match(s, &caller, &f, &before, 15, ids + 5, &more, &page, &e));
	assert_int_equal(9, more);
	assert_false(page.more);
	check_falling(ids, 14);
}

static void calls_of_others_are_neither_seen_nor_walked(void **state)
{
	struct call_filter f = { .states = STATES_OPEN };
	struct id ids[100];
	size_t looks;

	(void)state;
	clear_calls();
	make_calls(100, 0);
	spread();
	sql("delete from project_members");
	assert_int_equal(0, walk(&f, 100, ids, &looks));
	sql("insert into project_members values (1, 1, " USER ")");
	strcpy(f.project, "p2");
	assert_int_equal(0, walk(&f, 100, ids, &looks));
	strcpy(f.project, "p1");
	assert_int_equal(100, walk(&f, 100, ids, &looks));
	caller.hash[0] ^= 1;
	assert_int_equal(OK, store_calls_match(s, &caller, &f, NULL, 1, ids, &looks, &(struct list_page){ 0 }, &e));
	assert_int_equal(0, looks);
	caller.hash[0] ^= 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waits_is_found_behind_any_number_of_ended_calls),
		cmocka_unit_test(a_walk_sees_each_call_once_wherever_it_stands),
		cmocka_unit_test(a_call_that_moves_between_two_looks_is_seen),
		cmocka_unit_test(calls_of_others_are_neither_seen_nor_walked),
	};
	int failed;

	scratch_open();
	seed_tenant();
	sha256(KEY_TEXT, strlen(KEY_TEXT), caller.hash);
	s = store_new(scratch_url, "lists");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	store_free(s);
	scratch_close();
	return failed;
}
