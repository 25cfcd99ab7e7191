/* Asking about a call: everything that says no is told at once, and nothing changes. */
#include "scratch.h"

static struct store *s;

static struct dry_run ask(const struct admission *a)
{
	struct dry_run d;
	struct errinfo e;

	if (store_dry_run(s, a, &rules, &d, &e)) {
		print_error("%s\n", e.text);
		fail();
	}
	return d;
}

/* `expected` ends with ADMIT_ACCEPTED. */
static void refusals_are(const struct admission *a, const enum admit_outcome *expected)
{
	struct dry_run d = ask(a);
	size_t i;

	for (i = 0; expected[i] != ADMIT_ACCEPTED; i++)
		assert_int_equal(expected[i], i < d.n_refusals ? d.refusals[i] : ADMIT_ACCEPTED);
	assert_int_equal(i, d.n_refusals);
	dry_run_done(&d);
}

#define REFUSALS_ARE(a, ...) refusals_are((a), (const enum admit_outcome[]){ __VA_ARGS__ ADMIT_ACCEPTED })

static void reset(void)
{
	clear_calls();
	sql("truncate rates, call_expiry; update projects set hold_s = 60, max_duration_s = 3600, increment_s = 1, minimum_s = 1;"
	    "update phone_numbers set status = 'active', trunk_id = 1, outbound = true;"
	    "update trunks set enabled = true, cps_milli = 2000, max_concurrent = 10;"
	    "insert into pool_members values (1, '00000000-0000-4000-8000-000000000001', 1) on conflict do nothing");
}

static int64_t now_ms(void)
{
	return sql("select (extract(epoch from clock_timestamp()) * 1000)::bigint");
}

static void what_would_be_accepted_is_told_with_its_price_and_nothing_changes(void **state)
{
	struct admission a = make_admission("+12025550100");
	int64_t now = now_ms();
	struct dry_run d;

	(void)state;
	reset();
	d = ask(&a);
	assert_int_equal(0, d.n_refusals);
	assert_string_equal("t", d.trunk);
	assert_true(d.priced);
	assert_int_equal(600, d.rate_mc);
	assert_int_equal(600, d.hold_mc);
	assert_int_equal(3600, d.max_duration_s);
	assert_int_equal(60, d.ring_timeout_s);
	assert_string_equal("", d.rate_prefix);
	assert_true(d.earliest_ms >= now - 1000 && d.earliest_ms <= now + 5000);
	dry_run_done(&d);
	assert_int_equal(0, sql("select count(*) from calls"));
	assert_int_equal(0, sql("select count(*) from destination_locks"));
	assert_int_equal(0, sql("select held_mc from credit_accounts"));
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
}

static void a_bad_key_is_told_nothing_else(void **state)
{
	struct admission a = make_admission("+12025550100");
	struct dry_run d;

	(void)state;
	reset();
	a.key_hash[0] ^= 1;
	a.from = "+19995550000";
	d = ask(&a);
	assert_int_equal(1, d.n_refusals);
	assert_int_equal(ADMIT_KEY_UNKNOWN, d.refusals[0]);
	assert_null(d.trunk);
	assert_false(d.priced);
	assert_int_equal(0, d.earliest_ms);
	dry_run_done(&d);
}

static void all_that_says_no_is_told_at_once_in_its_order(void **state)
{
	struct admission a = make_admission("+12025550100");

	(void)state;
	reset();
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	sql("update credit_accounts set balance_mc = held_mc; update phone_numbers set status = 'inactive', outbound = false;"
	    "delete from pool_members");
	a.max_duration_s = 3601;
	REFUSALS_ARE(&a, ADMIT_TOO_LONG, ADMIT_POOL_DENIED, ADMIT_NUMBER_INACTIVE, ADMIT_NO_TRUNK, ADMIT_NO_CREDITS, ADMIT_BUSY,);
	a.from = "+19995550000";
	REFUSALS_ARE(&a, ADMIT_TOO_LONG, ADMIT_NUMBER_UNKNOWN, ADMIT_NO_CREDITS, ADMIT_BUSY,);
	/* Another's project: neither its bounds nor its money are told. */
	a.project = "nobody";
	REFUSALS_ARE(&a, ADMIT_PROJECT_DENIED, ADMIT_NUMBER_UNKNOWN, ADMIT_BUSY,);
	sql("delete from project_members");
	a.project = "p1";
	REFUSALS_ARE(&a, ADMIT_PROJECT_DENIED, ADMIT_NUMBER_UNKNOWN, ADMIT_BUSY,);
	sql("insert into project_members values (1, 1, '00000000-0000-4000-8000-000000000001')");
}

static void what_is_not_valid_is_left_out(void **state)
{
	struct admission a = make_admission(NULL);
	struct dry_run d;

	(void)state;
	reset();
	a.body_ok = false;
	d = ask(&a);
	assert_int_equal(0, d.n_refusals);
	assert_false(d.priced);
	dry_run_done(&d);
	a.project = a.from = NULL;
	d = ask(&a);
	assert_int_equal(0, d.n_refusals);
	assert_null(d.trunk);
	assert_int_equal(0, d.earliest_ms);
	dry_run_done(&d);
}

static void the_longest_prefix_prices_it(void **state)
{
	struct admission a = make_admission("+4915112345678");
	struct dry_run d;

	(void)state;
	reset();
	sql("insert into rates values (1, '+49', 1200, 6, 30), (1, '+4915', 6000, 60, 60), (1, '+4916', 1, 1, 1)");
	d = ask(&a);
	assert_string_equal("+4915", d.rate_prefix);
	assert_int_equal(6000, d.rate_mc);
	assert_int_equal(60, d.increment_s);
	assert_int_equal(60, d.minimum_s);
	assert_int_equal(6000, d.hold_mc);
	dry_run_done(&d);
}

static void those_who_wait_before_it_take_their_time(void **state)
{
	struct admission a = make_admission("+12025550100");
	int64_t now = now_ms();
	struct dry_run d;

	(void)state;
	reset();
	sql("insert into call_queue (org_id, project_id, trunk_id, prio, call_id, attempt)"
	    " select 1, 1, 1, i %% 3, gen_random_uuid(), 1 from generate_series(1, 30) i");
	d = ask(&a);                    /* twenty of its class or the one above, two a second */
	assert_true(d.earliest_ms >= now + 10000 && d.earliest_ms < now + 14000);
	dry_run_done(&d);
	a.prio = 0;
	d = ask(&a);
	assert_true(d.earliest_ms >= now + 5000 && d.earliest_ms < now + 9000);
	dry_run_done(&d);
	a.scheduled_ms = now + 3600000;
	d = ask(&a);
	assert_int_equal(a.scheduled_ms, d.earliest_ms);
	dry_run_done(&d);
	sql("update trunks set enabled = false");
	d = ask(&a);
	assert_int_equal(0, d.earliest_ms);
	dry_run_done(&d);
	sql("truncate call_queue");
}

static void blocked_by(enum call_wait what, const char *break_sql, const char *mend_sql)
{
	struct admission a = make_admission("+12025550100");
	struct dry_run d;

	sql("%s", break_sql);
	d = ask(&a);
	assert_int_equal(what, d.blocked);
	assert_int_equal(0, d.n_refusals);
	assert_int_equal(0, d.earliest_ms);
	dry_run_done(&d);
	sql("%s", mend_sql);
	d = ask(&a);
	assert_int_equal(WAIT_NONE, d.blocked);
	assert_true(d.earliest_ms > 0);
	dry_run_done(&d);
}

static void what_nothing_would_dial_says_so(void **state)
{
	struct admission a = make_admission("+12025550100");
	struct dry_run d;

	(void)state;
	reset();
	blocked_by(WAIT_TRUNK, "update trunks set enabled = false", "update trunks set enabled = true");
	blocked_by(WAIT_CAPACITY, "update trunks set max_concurrent = 0", "update trunks set max_concurrent = 10");
	blocked_by(WAIT_CAPACITY, "update projects set max_concurrent = 0", "update projects set max_concurrent = null");
	blocked_by(WAIT_CAPACITY, "update projects set cps_milli = 0", "update projects set cps_milli = null");
	blocked_by(WAIT_CAPACITY, "update organizations set max_concurrent = 0", "update organizations set max_concurrent = null");
	/* A test key's call needs no trunk. */
	sql("update trunks set enabled = false");
	sha256(KEY_TEXT "t", strlen(KEY_TEXT) + 1, a.key_hash);
	d = ask(&a);
	assert_int_equal(WAIT_NONE, d.blocked);
	dry_run_done(&d);
	sql("update trunks set enabled = true");
}

static void a_scheduled_call_does_not_mind_who_is_called_now(void **state)
{
	struct admission a = make_admission("+12025550100");

	(void)state;
	reset();
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	REFUSALS_ARE(&a, ADMIT_BUSY,);
	a.scheduled_ms = now_ms() + 3600000;
	REFUSALS_ARE(&a, );
}

static void a_test_key_is_not_charged_and_has_no_trunk(void **state)
{
	struct admission a = make_admission("+12025550100");
	struct dry_run d;

	(void)state;
	reset();
	sql("update credit_accounts set balance_mc = 0; insert into rates values (1, '+', 6000, 1, 1)");
	REFUSALS_ARE(&a, ADMIT_NO_CREDITS,);
	sha256(KEY_TEXT "t", strlen(KEY_TEXT) + 1, a.key_hash);
	d = ask(&a);
	assert_int_equal(0, d.n_refusals);
	assert_null(d.trunk);
	assert_int_equal(0, d.rate_mc);
	assert_int_equal(0, d.hold_mc);
	assert_true(d.earliest_ms > 0);
	dry_run_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_would_be_accepted_is_told_with_its_price_and_nothing_changes),
		cmocka_unit_test(a_bad_key_is_told_nothing_else),
		cmocka_unit_test(all_that_says_no_is_told_at_once_in_its_order),
		cmocka_unit_test(what_is_not_valid_is_left_out),
		cmocka_unit_test(the_longest_prefix_prices_it),
		cmocka_unit_test(those_who_wait_before_it_take_their_time),
		cmocka_unit_test(what_nothing_would_dial_says_so),
		cmocka_unit_test(a_scheduled_call_does_not_mind_who_is_called_now),
		cmocka_unit_test(a_test_key_is_not_charged_and_has_no_trunk),
	};
	int failed;

	scratch_open();
	seed_tenant();
	s = store_new(scratch_url, "ask");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	store_free(s);
	scratch_close();
	return failed;
}
