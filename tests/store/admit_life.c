/* Admission of calls with a time, bounds and a price of their own. */
#include "scratch.h"

static struct store *s;

static void reset(void)
{
	clear_calls();
	sql("truncate rates, call_expiry;"
	    "update projects set rate_mc = 600, hold_s = 60, ring_timeout_s = 60, max_duration_s = 3600, increment_s = 1, minimum_s = 1");
}

static int64_t in_ms(const char *interval)
{
	return sql("select (extract(epoch from date_trunc('milliseconds', now() + interval '%s')) * 1000)::bigint", interval);
}

/* ── what decided it stands with it ───────────────────────────────────────────── */

static void what_decides_a_call_is_kept_with_it(void **state)
{
	struct admission a = make_admission("+12025550100");

	(void)state;
	reset();
	a.metadata = "{\"order\":\"17\"}";
	a.prio = 2;
	a.ring_timeout_s = 25;
	a.max_duration_s = 1800;
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	assert_int_equal(2, a.lane.prio);
	sql("update projects set ring_timeout_s = 70, max_duration_s = 10, rate_mc = 1; update trunks set name = 'other', driver = 'x'");
	assert_int_equal(1, sql("select count(*) from calls where metadata = '{\"order\":\"17\"}' and prio = 2 and ring_timeout_s = 25"
	                        " and max_duration_s = 1800 and rate_mc = 600 and trunk_name = 't' and driver = 'simulator'"
	                        " and rate_prefix is null and scheduled_at is null and expires_at is null"));
	assert_int_equal(1, sql("select count(*) from call_queue where prio = 2 and not timed"));
	sql("update trunks set name = 't', driver = 'simulator'");
	check_books();
}

static void without_a_word_the_projects_bounds_hold(void **state)
{
	struct admission a = make_admission("+12025550100");

	(void)state;
	reset();
	sql("update projects set ring_timeout_s = 33, max_duration_s = 44");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	assert_int_equal(1, sql("select count(*) from calls where ring_timeout_s = 33 and max_duration_s = 44 and prio = 1"
	                        " and metadata is null"));
}

/* Calls of one batch that ask for different things do not get one another's. */
static void each_call_of_a_batch_keeps_its_own_bounds(void **state)
{
	struct admission a[4] = { make_admission("+12025550100"), make_admission("+12025550101"),
	                          make_admission("+12025550102"), make_admission("+12025550103") };
	struct admission *items[] = { &a[0], &a[1], &a[2], &a[3] };
	struct errinfo e;

	(void)state;
	reset();
	a[1].max_duration_s = 3601;
	a[2].ring_timeout_s = 11;
	a[3].prio = 0;
	assert_int_equal(OK, store_admit(s, items, 4, &rules, &e));
	assert_int_equal(ADMIT_ACCEPTED, a[0].outcome);
	assert_int_equal(ADMIT_TOO_LONG, a[1].outcome);
	assert_int_equal(ADMIT_ACCEPTED, a[2].outcome);
	assert_int_equal(ADMIT_ACCEPTED, a[3].outcome);
	assert_int_equal(1, a[2].lane.prio);
	assert_int_equal(0, a[3].lane.prio);
	assert_int_equal(1, sql("select count(*) from calls where to_e164 = '+12025550102' and ring_timeout_s = 11 and prio = 1"));
	assert_int_equal(1, sql("select count(*) from calls where to_e164 = '+12025550103' and ring_timeout_s = 60 and prio = 0"));
	check_books();
}

static void longer_than_the_project_allows_is_refused_after_the_project(void **state)
{
	struct admission a = make_admission("+12025550100");

	(void)state;
	reset();
	a.max_duration_s = 3601;
	a.from = "+19995550000";
	assert_int_equal(ADMIT_TOO_LONG, admit_one(s, &a));
	a.project = "nobody";
	assert_int_equal(ADMIT_PROJECT_DENIED, admit_one(s, &a));
	a = make_admission("+12025550100");
	a.max_duration_s = 3600;
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
}

/* ── a time of its own ────────────────────────────────────────────────────────── */

static void a_scheduled_call_waits_without_locking_its_destination(void **state)
{
	struct admission a = make_admission("+12025550100"), b = make_admission("+12025550100"), c = b;

	(void)state;
	reset();
	a.scheduled_ms = in_ms("2 days");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	assert_false(a.queued);
	assert_int_equal(0, sql("select count(*) from destination_locks"));
	assert_int_equal(0, sql("select count(*) from call_queue"));
	assert_int_equal(1, sql("select count(*) from call_schedule s, calls c, call_expiry x where s.call_id = c.call_id"
	                        " and x.call_id = c.call_id and s.run_at = c.scheduled_at and s.timed and not s.locked and s.attempt = 1"
	                        " and s.shard = 1 and x.shard = 1 and x.at = c.expires_at"
	                        " and c.expires_at = c.scheduled_at + interval '86400 s'"
	                        " and extract(epoch from c.scheduled_at) * 1000 = %lld", (long long)a.scheduled_ms));
	assert_int_equal(600, sql("select held_mc from credit_accounts"));
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &b));             /* the person is not blocked until then */
	assert_true(b.queued);
	c.call_id = id_new();
	c.scheduled_ms = in_ms("3 days");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &c));             /* nor is another date while he talks */
	assert_int_equal(1800, sql("select held_mc from credit_accounts"));
}

static void what_was_due_already_is_queued_at_once(void **state)
{
	struct admission a = make_admission("+12025550100");

	(void)state;
	reset();
	a.scheduled_ms = in_ms("-1 minute");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	assert_true(a.queued);
	assert_int_equal(1, sql("select count(*) from call_queue where not timed"));
	assert_int_equal(0, sql("select count(*) from call_schedule"));
	assert_int_equal(0, sql("select count(*) from call_expiry"));
	assert_int_equal(1, sql("select count(*) from destination_locks"));
	assert_int_equal(1, sql("select count(*) from calls where scheduled_at is null and expires_at is null"));
	check_books();
}

static void a_bound_of_its_own_is_kept_and_marked(void **state)
{
	struct admission a = make_admission("+12025550100"), b = make_admission("+12025550101");

	(void)state;
	reset();
	a.expires_ms = in_ms("1 hour");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	assert_true(a.queued);
	assert_int_equal(1, sql("select count(*) from call_queue q, call_expiry x, calls c where q.timed and x.call_id = q.call_id"
	                        " and c.call_id = q.call_id and x.at = c.expires_at and extract(epoch from x.at) * 1000 = %lld",
	                        (long long)a.expires_ms));
	b.scheduled_ms = in_ms("1 hour");
	b.expires_ms = in_ms("2 hours");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &b));
	assert_int_equal(1, sql("select count(*) from calls c, call_expiry x where x.call_id = c.call_id and c.scheduled_at is not null"
	                        " and x.at = c.expires_at and extract(epoch from x.at) * 1000 = %lld", (long long)b.expires_ms));
}

static void of_one_destination_a_batch_takes_one_call_for_now_and_any_for_later(void **state)
{
	struct admission a[4] = { make_admission("+12025550100"), make_admission("+12025550100"),
	                          make_admission("+12025550100"), make_admission("+12025550100") };
	struct admission *items[] = { &a[0], &a[1], &a[2], &a[3] };
	struct errinfo e;

	(void)state;
	reset();
	a[0].scheduled_ms = a[2].scheduled_ms = in_ms("1 hour");
	assert_int_equal(OK, store_admit(s, items, 4, &rules, &e));
	assert_int_equal(ADMIT_ACCEPTED, a[0].outcome);
	assert_int_equal(ADMIT_ACCEPTED, a[1].outcome);
	assert_int_equal(ADMIT_ACCEPTED, a[2].outcome);
	assert_int_equal(ADMIT_BUSY, a[3].outcome);
	assert_int_equal(1800, sql("select held_mc from credit_accounts"));
}

static void a_scheduled_call_is_not_accepted_without_credits(void **state)
{
	struct admission a = make_admission("+12025550100");

	(void)state;
	reset();
	sql("update credit_accounts set balance_mc = 599");
	a.scheduled_ms = in_ms("1 day");
	assert_int_equal(ADMIT_NO_CREDITS, admit_one(s, &a));
	assert_int_equal(0, sql("select count(*) from call_schedule"));
	assert_int_equal(0, sql("select count(*) from call_expiry"));
}

/* ── the price ────────────────────────────────────────────────────────────────── */

/* Admits a call to `to` and says what is held for it. */
static int64_t held_for(const char *to, int max_duration_s)
{
	struct admission a = make_admission(to);

	a.max_duration_s = max_duration_s;
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	check_books();
	return sql("select hold_mc from calls where to_e164 = '%s'", to);
}

static void the_longest_prefix_decides(void **state)
{
	(void)state;
	reset();
	sql("insert into rates values (1, '+49', 1200, 6, 30), (1, '+4915', 6000, 60, 60), (1, '+49151', 3000, 1, 1),"
	    " (1, '+4915112345678', 60, 1, 1), (1, '+4', 1, 1, 1)");
	assert_int_equal(3000, held_for("+4915199999999", 0));
	assert_int_equal(60, held_for("+4915112345678", 0));
	assert_int_equal(6000, held_for("+4915299999999", 0));
	assert_int_equal(1200, held_for("+4930999999", 0));
	assert_int_equal(600, held_for("+12025550100", 0));             /* none of them: the project's */
	assert_int_equal(1, sql("select count(*) from calls where rate_prefix = '+4915' and rate_mc = 6000 and increment_s = 60"
	                        " and minimum_s = 60"));
	assert_int_equal(1, sql("select count(*) from calls where rate_prefix is null and rate_mc = 600 and increment_s = 1"));
	sql("insert into rates values (1, '+', 120, 1, 1)");
	assert_int_equal(120, held_for("+12025550101", 0));             /* the empty prefix is everybody's */
}

static void another_organizations_rates_are_not_ours(void **state)
{
	(void)state;
	reset();
	sql("insert into organizations (name) values ('two') on conflict do nothing");
	sql("insert into rates select org_id, '+1', 9000, 1, 1 from organizations where name = 'two'");
	assert_int_equal(600, held_for("+12025550100", 0));
}

static void a_hold_is_of_whole_increments_and_not_below_the_minimum(void **state)
{
	(void)state;
	reset();
	sql("update projects set increment_s = 50");
	assert_int_equal(1000, held_for("+12025550100", 0));            /* 60 s: two times 50 */
	sql("update projects set increment_s = 1, minimum_s = 90");
	assert_int_equal(900, held_for("+12025550101", 0));
	sql("update projects set minimum_s = 1, rate_mc = 601");
	assert_int_equal(301, held_for("+12025550102", 30));            /* shorter than the hold; rounded up */
	sql("update projects set hold_s = null");
	assert_int_equal(601 * 60, held_for("+12025550103", 0));        /* the whole bound */
	assert_int_equal(601 * 2, held_for("+12025550104", 120));
	sql("update projects set hold_s = 0, minimum_s = 60");
	assert_int_equal(0, held_for("+12025550105", 0));
}

/* The cheap ones fit, the dear ones do not, in one batch and at one account. */
static void prices_of_one_batch_share_one_account(void **state)
{
	static const char *const to[] = { "+4930111111", "+12025550100", "+4930111112", "+12025550101", "+33111111111" };
	struct admission a[5], *items[5];
	struct errinfo e;
	size_t i;

	(void)state;
	reset();
	sql("insert into rates values (1, '+49', 1200, 1, 1), (1, '+33', 0, 1, 1);"
	    "update credit_accounts set balance_mc = 2399; update credit_ledger set amount_mc = 2399");
	for (i = 0; i < 5; i++) {
		a[i] = make_admission(to[i]);
		items[i] = &a[i];
	}
	assert_int_equal(OK, store_admit(s, items, 5, &rules, &e));
	assert_int_equal(ADMIT_ACCEPTED, a[0].outcome);
	assert_int_equal(ADMIT_ACCEPTED, a[1].outcome);
	assert_int_equal(ADMIT_NO_CREDITS, a[2].outcome);
	assert_int_equal(ADMIT_NO_CREDITS, a[3].outcome);
	assert_int_equal(ADMIT_ACCEPTED, a[4].outcome);                 /* costs nothing */
	assert_int_equal(1800, sql("select held_mc from credit_accounts"));
	check_books();
	sql("update credit_ledger set amount_mc = 1000000");
}

static void where_only_the_rates_cost_the_account_is_kept_too(void **state)
{
	struct admission a = make_admission("+4930111111");

	(void)state;
	reset();
	sql("update projects set rate_mc = 0; insert into rates values (1, '+49', 1200, 1, 1); update credit_accounts set balance_mc = 1199");
	assert_int_equal(ADMIT_NO_CREDITS, admit_one(s, &a));
	sql("update credit_accounts set balance_mc = 1000000");
	assert_int_equal(1200, held_for("+4930111111", 0));
	assert_int_equal(1200, sql("select held_mc from credit_accounts"));
	assert_int_equal(0, held_for("+12025550100", 0));
}

static void a_test_key_pays_no_rate(void **state)
{
	struct admission a = make_admission("+4930111111");

	(void)state;
	reset();
	sql("insert into rates values (1, '+', 1200, 6, 30); update credit_accounts set balance_mc = 0");
	sha256(KEY_TEXT "t", strlen(KEY_TEXT) + 1, a.key_hash);
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	assert_int_equal(1, sql("select count(*) from calls where rate_mc = 0 and hold_mc = 0 and rate_prefix is null"
	                        " and increment_s = 1 and minimum_s = 1 and driver = 'simulator' and trunk_name is null"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_decides_a_call_is_kept_with_it),
		cmocka_unit_test(without_a_word_the_projects_bounds_hold),
		cmocka_unit_test(each_call_of_a_batch_keeps_its_own_bounds),
		cmocka_unit_test(longer_than_the_project_allows_is_refused_after_the_project),
		cmocka_unit_test(a_scheduled_call_waits_without_locking_its_destination),
		cmocka_unit_test(what_was_due_already_is_queued_at_once),
		cmocka_unit_test(a_bound_of_its_own_is_kept_and_marked),
		cmocka_unit_test(of_one_destination_a_batch_takes_one_call_for_now_and_any_for_later),
		cmocka_unit_test(a_scheduled_call_is_not_accepted_without_credits),
		cmocka_unit_test(the_longest_prefix_decides),
		cmocka_unit_test(another_organizations_rates_are_not_ours),
		cmocka_unit_test(a_hold_is_of_whole_increments_and_not_below_the_minimum),
		cmocka_unit_test(prices_of_one_batch_share_one_account),
		cmocka_unit_test(where_only_the_rates_cost_the_account_is_kept_too),
		cmocka_unit_test(a_test_key_pays_no_rate),
	};
	int failed;

	scratch_open();
	seed_tenant();
	s = store_new(scratch_url, "intake");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	store_free(s);
	scratch_close();
	return failed;
}
