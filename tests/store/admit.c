/* Admission: the order of refusals, and that nothing is half done. */
#include "scratch.h"

static struct store *s;

static void refused(struct admission a, enum admit_outcome expected)
{
	assert_int_equal(expected, admit_one(s, &a));
	assert_int_equal(0, sql("select count(*) from calls where to_e164 = '%s'", a.to));
	assert_int_equal(0, sql("select count(*) from destination_locks where dest = '%s'", a.to));
	check_books();
}

static void an_accepted_call_is_stored_queued_locked_and_held(void **state)
{
	struct admission a = make_admission("+12025550100");

	(void)state;
	clear_calls();
	a.variables = "{\"n\":1.10}";
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	assert_int_equal(1, a.lane.project_id);
	assert_int_equal(1, a.lane.trunk_id);
	assert_int_equal(1, sql("select count(*) from calls where variables = '{\"n\":1.10}' and to_e164 = '+12025550100'"));
	assert_int_equal(1, sql("select count(*) from call_queue"));
	assert_int_equal(1, sql("select count(*) from call_events where seq = 0"));
	assert_int_equal(600, sql("select held_mc from credit_accounts"));
	check_books();
}

static void refusals_come_in_their_order(void **state)
{
	struct admission a;

	(void)state;
	clear_calls();
	a = make_admission("+12025550101"), a.key_org = 2;
	refused(a, ADMIT_KEY_UNKNOWN);
	a = make_admission("+12025550101"), a.key_hash[0] ^= 1, a.body_ok = false;
	refused(a, ADMIT_KEY_UNKNOWN);
	a = make_admission("+12025550101"), a.body_ok = false, a.project = a.from = a.to = NULL;
	assert_int_equal(ADMIT_BODY_INVALID, admit_one(s, &a));
	a = make_admission("+12025550101"), a.project = "nobody", a.from = "+19995550000";
	refused(a, ADMIT_PROJECT_DENIED);
	a = make_admission("+12025550101"), a.from = "+19995550000";
	refused(a, ADMIT_NUMBER_UNKNOWN);
	sql("delete from pool_members; update phone_numbers set status = 'inactive', trunk_id = null;"
	    "update credit_accounts set balance_mc = 0; delete from credit_ledger");
	refused(make_admission("+12025550101"), ADMIT_POOL_DENIED);
	sql("insert into pool_members values (1, '00000000-0000-4000-8000-000000000001', 1)");
	refused(make_admission("+12025550101"), ADMIT_NUMBER_INACTIVE);
	sql("update phone_numbers set status = 'active'");
	refused(make_admission("+12025550101"), ADMIT_NO_TRUNK);
	sql("update phone_numbers set trunk_id = 1, outbound = false");
	refused(make_admission("+12025550101"), ADMIT_NO_TRUNK);
	sql("update phone_numbers set outbound = true");
	refused(make_admission("+12025550101"), ADMIT_NO_CREDITS);
	sql("insert into credit_ledger (org_id, account_id, kind, amount_mc) values (1, 1, 1, 1000000)");
	clear_calls();
	a = make_admission("+12025550101");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	a = make_admission("+12025550101");
	assert_int_equal(ADMIT_BUSY, admit_one(s, &a));
	check_books();
}

static void revoked_and_expired_keys_are_unknown(void **state)
{
	struct admission a = make_admission("+12025550102");

	(void)state;
	clear_calls();
	sql("update api_keys set revoked_at = now() where not test");
	assert_int_equal(ADMIT_KEY_UNKNOWN, admit_one(s, &a));
	sql("update api_keys set revoked_at = null, expires_at = now() - interval '1 s' where not test");
	assert_int_equal(ADMIT_KEY_UNKNOWN, admit_one(s, &a));
	sql("update api_keys set expires_at = now() + interval '1 h' where not test");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	assert_int_equal(1, sql("select count(*) from api_keys where last_used_on = current_date"));
}

static void of_one_destination_in_one_batch_the_first_wins(void **state)
{
	struct admission a[3] = { make_admission("+12025550103"), make_admission("+12025550103"),
	                          make_admission("+12025550104") };
	struct admission *items[] = { &a[0], &a[1], &a[2] };
	struct errinfo e;

	(void)state;
	clear_calls();
	assert_int_equal(OK, store_admit(s, items, 3, &rules, &e));
	assert_int_equal(ADMIT_ACCEPTED, a[0].outcome);
	assert_int_equal(ADMIT_BUSY, a[1].outcome);
	assert_int_equal(ADMIT_ACCEPTED, a[2].outcome);
	check_books();
}

static void credits_are_spent_to_the_last_and_not_beyond(void **state)
{
	struct admission a[8], *items[8];
	char to[8][32];
	struct errinfo e;
	int i, accepted = 0;

	(void)state;
	clear_calls();
	sql("update credit_accounts set balance_mc = 1900; update credit_ledger set amount_mc = 1900");
	for (i = 0; i < 8; i++) {
		snprintf(to[i], sizeof to[i], "+1202555011%d", i == 1 ? 0 : i);         /* the second is busy */
		a[i] = make_admission(to[i]);
		items[i] = &a[i];
	}
	assert_int_equal(OK, store_admit(s, items, 8, &rules, &e));
	for (i = 0; i < 8; i++)
		accepted += a[i].outcome == ADMIT_ACCEPTED;
	assert_int_equal(3, accepted);
	assert_int_equal(ADMIT_ACCEPTED, a[0].outcome);
	assert_int_equal(ADMIT_BUSY, a[1].outcome);
	assert_int_equal(ADMIT_ACCEPTED, a[3].outcome);
	assert_int_equal(ADMIT_NO_CREDITS, a[7].outcome);
	assert_int_equal(1800, sql("select held_mc from credit_accounts"));
	check_books();
	sql("update credit_ledger set amount_mc = 1000000");
}

static void a_test_key_costs_nothing_and_blocks_only_test_calls(void **state)
{
	struct admission live = make_admission("+12025550105"), test = make_admission("+12025550105");
	struct admission again = make_admission("+12025550105");

	(void)state;
	clear_calls();
	sha256(KEY_TEXT "t", strlen(KEY_TEXT) + 1, test.key_hash);
	sha256(KEY_TEXT "t", strlen(KEY_TEXT) + 1, again.key_hash);
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &test));
	assert_int_equal(0, test.lane.trunk_id);
	assert_int_equal(0, sql("select held_mc from credit_accounts"));
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &live));
	assert_int_equal(ADMIT_BUSY, admit_one(s, &again));
	check_books();
}

static void a_poisoned_item_fails_alone(void **state)
{
	struct admission a[9], *items[9];
	char to[9][32];
	struct errinfo e;
	int i;

	(void)state;
	clear_calls();
	for (i = 0; i < 9; i++) {
		snprintf(to[i], sizeof to[i], "+1202555012%d", i);
		a[i] = make_admission(to[i]);
		items[i] = &a[i];
	}
	a[4].variables = "{\"x\":\"\xff\"}";            /* what validation keeps out */
	assert_int_equal(OK, store_admit(s, items, 9, &rules, &e));
	for (i = 0; i < 9; i++)
		assert_int_equal(i == 4 ? ADMIT_FAILED : ADMIT_ACCEPTED, a[i].outcome);
	assert_int_equal(8, sql("select count(*) from calls"));
	check_books();
}

static void a_broken_connection_is_healed(void **state)
{
	struct admission a = make_admission("+12025550130");

	(void)state;
	clear_calls();
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'intake'");
	a = make_admission("+12025550131");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	check_books();
}

static void a_batch_that_is_cut_off_half_way_is_sent_again(void **state)
{
	struct admission a = make_admission("+12025550134"), b = make_admission("+12025550135");
	struct admission *items[] = { &a, &b };
	struct errinfo e;

	(void)state;
	clear_calls();
	sql("create sequence cuts;"
	    "create function cut() returns trigger language plpgsql as $$ begin"
	    "  if nextval('cuts') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if; return new; end $$;"
	    "create trigger cut after insert on destination_locks for each row execute function cut()");
	assert_int_equal(OK, store_admit(s, items, 2, &rules, &e));
	sql("drop trigger cut on destination_locks; drop function cut");
	assert_int_equal(ADMIT_ACCEPTED, a.outcome);
	assert_int_equal(ADMIT_ACCEPTED, b.outcome);
	assert_true(sql("select nextval('cuts')") > 2);         /* it was cut off, and run again */
	assert_int_equal(2, sql("select count(*) from calls"));
	check_books();
}

/* A proxy or a stalled backend may hold a statement back while the client gives up on it:
 * it must not be carried out after we have looked and found nothing. */
static void what_a_lost_connection_left_under_way_does_not_happen_later(void **state)
{
	struct store *blocker = store_new(scratch_url, "blocker");
	struct admission a = make_admission("+12025550136");
	struct errinfo e;

	(void)state;
	clear_calls();
	assert_int_equal(OK, pg_exec(blocker, "begin; select from credit_accounts for update", NULL, &e));
	s->answer_ms = 300;                     /* gives up while its statement waits for the lock */
	a.outcome = ADMIT_ACCEPTED;
	assert_int_equal(ERR_UNCERTAIN, store_admit(s, &(struct admission *){ &a }, 1, &rules, &e));
	assert_int_equal(ADMIT_PENDING, a.outcome);
	s->answer_ms = 15000;
	assert_int_equal(OK, store_connect(s, &e));
	assert_int_equal(OK, pg_exec(blocker, "rollback", NULL, &e));
	assert_int_equal(1, sql("select count(*) from pg_stat_activity where application_name = 'intake'"));
	assert_int_equal(0, sql("select count(*) from calls"));
	store_free(blocker);
	check_books();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_accepted_call_is_stored_queued_locked_and_held),
		cmocka_unit_test(refusals_come_in_their_order),
		cmocka_unit_test(revoked_and_expired_keys_are_unknown),
		cmocka_unit_test(of_one_destination_in_one_batch_the_first_wins),
		cmocka_unit_test(credits_are_spent_to_the_last_and_not_beyond),
		cmocka_unit_test(a_test_key_costs_nothing_and_blocks_only_test_calls),
		cmocka_unit_test(a_poisoned_item_fails_alone),
		cmocka_unit_test(a_broken_connection_is_healed),
		cmocka_unit_test(a_batch_that_is_cut_off_half_way_is_sent_again),
		cmocka_unit_test(what_a_lost_connection_left_under_way_does_not_happen_later),
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
