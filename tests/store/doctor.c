/* What `callgate doctor` finds in the books: each fault is planted, named with what to do
 * about it, and nothing else is found. A database without faults is without findings. */
#include "scratch.h"

#include "callgate/store_admin.h"

#define CALL_A "00000000-0000-7000-8000-00000000000a"

static char told[8192];
static int counts[FINDING_FAIL + 1];

static void on_found(void *arg, enum finding_level level, const char *check, const char *text)
{
	size_t n = strlen(told);

	(void)arg;
	counts[level]++;
	if (level != FINDING_OK)
		snprintf(told + n, sizeof told - n, "%d %s: %s\n", level, check, text);
}

static void examine(void)
{
	static const char *const drivers[] = { "simulator", "livekit" };
	const struct finding_listener l = { NULL, on_found };
	struct store *s = store_new(scratch_url, "doctor");
	struct errinfo e;

	memset(counts, 0, sizeof counts);
	told[0] = '\0';
	assert_int_equal(store_examine(s, drivers, 2, &l, &e), OK);
	store_free(s);
}

static void assert_found(enum finding_level level, const char *words)
{
	examine();
	if (!strstr(told, words)) {
		print_error("\"%s\" is not in what was told:\n%s", words, told);
		fail();
	}
	assert_int_equal(counts[FINDING_SKIP] + counts[FINDING_WARN] + counts[FINDING_FAIL], 1);
	assert_int_equal(counts[level], 1);
}

static void assert_well(void)
{
	examine();
	assert_string_equal(told, "");
}

/* A call as admission and claim leave it: its record, its place, its lock, its hold. Its id
 * is as old as the oldest partition. */
static void plant_call(void)
{
	sql("insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s,"
	    "  rate_mc, hold_mc, lock_scope, from_e164, to_e164, request_id)"
	    " select 1, overlay(uuid7_floor(now())::text placing '-8000-00000000000a' from 19)::uuid, 1, 1, 1, user_id, 30, 60,"
	    "  600, 600, 0, '" FROM "', '+12025550100', 'r' from users;"
	    "insert into call_queue select org_id, project_id, trunk_id, 1, call_id, 1 from calls;"
	    "insert into destination_locks select to_e164, lock_scope, org_id, call_id from calls;"
	    "update credit_accounts set held_mc = 600");
}

static int setup(void **state)
{
	(void)state;
	clear_calls();
	sql("truncate provider_events");
	plant_call();
	return 0;
}

static void a_sound_database_has_no_findings(void **state)
{
	(void)state;
	assert_well();
	assert_int_equal(0, counts[FINDING_SKIP]);
	assert_true(counts[FINDING_OK] > 10);
}

static void a_lock_without_a_call_is_found(void **state)
{
	(void)state;
	sql("insert into destination_locks values ('+12025550177', 0, 1, '" CALL_A "')");
	assert_found(FINDING_FAIL, "call " CALL_A ", which does not exist; set it free: delete from destination_locks"
	             " where org_id = 1 and call_id = '" CALL_A "'");
	assert_null(strstr(told, "0177"));
}

static void a_lock_of_a_call_that_has_ended_is_found(void **state)
{
	(void)state;
	sql("delete from call_queue; update calls set ended_at = now(); update credit_accounts set held_mc = 0");
	assert_found(FINDING_FAIL, "which has ended; set it free");
}

static void a_call_that_waits_nowhere_is_found(void **state)
{
	(void)state;
	sql("delete from call_queue; update credit_accounts set held_mc = 0");
	assert_found(FINDING_FAIL, "which has not ended and waits nowhere");
}

static void a_hold_that_is_no_living_calls_is_found(void **state)
{
	(void)state;
	sql("update credit_accounts set held_mc = 777");
	assert_found(FINDING_FAIL, "credits: one / main: 777 are held and its living calls hold 600");
	sql("update credit_accounts set held_mc = 600 where org_id = 1 and account_id = 1");
	assert_well();
}

static void a_queued_row_without_a_call_is_found(void **state)
{
	(void)state;
	sql("insert into call_queue values (1, 1, 1, 1, '" CALL_A "', 1)");
	assert_found(FINDING_FAIL, "call " CALL_A " does not exist, and is still in call_queue; take it out (no gateway running):"
	             " delete from call_queue where org_id = 1 and call_id = '" CALL_A "'");
}

static void a_scheduled_row_of_a_call_that_has_ended_is_found(void **state)
{
	(void)state;
	sql("delete from call_queue; delete from destination_locks; update calls set ended_at = now();"
	    "update credit_accounts set held_mc = 0;"
	    "insert into call_schedule select 1, call_id, 1, now(), 1, 1, 1, 1 from calls");
	assert_found(FINDING_FAIL, "has ended, and is still in call_schedule");
}

static void claim(const char *gateway, const char *deadline)
{
	sql("delete from call_queue;"
	    "insert into call_inflight (org_id, call_id, gateway_id, project_id, trunk_id, prio, attempt, deadline_at, agent)"
	    " select 1, call_id, %s, 1, 1, 1, 1, %s, 'a' from calls", gateway, deadline);
}

static void calls_past_their_bound_without_a_gateway_are_found(void **state)
{
	(void)state;
	claim("4711", "now() - interval '1 day'");
	assert_found(FINDING_FAIL, "gateways: 1 calls are past their bound by up to 1 day");
	assert_non_null(strstr(told, "gateway 4711 is gone; start one (`callgate serve`)"));
}

static void calls_past_their_bound_with_a_gateway_are_found_too(void **state)
{
	(void)state;
	sql("insert into gateways (name, version, expires_at) values ('slow', '0', now() + interval '1 hour')");
	claim("(select gateway_id from gateways)", "now() - interval '2 minutes'");
	assert_found(FINDING_FAIL, "(slow)");
	sql("update call_inflight set deadline_at = now() - interval '5 seconds'");
	assert_well();
}

static void a_day_without_its_partition_is_found(void **state)
{
	char part[64];

	(void)state;
	for (int day = 0; day < 2; day++) {
		snprintf(part, sizeof part, "to_char(current_date + %d, 'YYYYMMDD')", day);
		setup(NULL);
		sql("do $$ begin execute 'drop table call_events_p' || %s; end $$", part);
		examine();
		assert_non_null(strstr(told, "partitions: missing: call_events "));
		assert_non_null(strstr(told, "`callgate migrate`"));
		sql("select ensure_partitions(1, 4)");
		assert_well();
	}
}

static void a_server_that_forgets_is_found(void **state)
{
	(void)state;
	sql("alter database %s set synchronous_commit = off", scratch_name);
	assert_found(FINDING_WARN, "durability: off in PostgreSQL: synchronous_commit");
	sql("alter database %s reset synchronous_commit", scratch_name);
}

/* Here it waits for a lock; a ledger of a billion rows takes too long in the same way. */
static void what_takes_too_long_is_skipped_and_the_rest_is_looked_at(void **state)
{
	(void)state;
	sql("begin; lock table credit_ledger in access exclusive mode");
	assert_found(FINDING_SKIP, "credits: not looked at, whether every balance is the sum of its ledger: ");
	sql("rollback");
}

static void calls_over_livekit_without_any_webhook_are_found(void **state)
{
	(void)state;
	sql("delete from call_queue; delete from destination_locks; update credit_accounts set held_mc = 0;"
	    "update calls set answered_at = now(), ended_at = now()");
	assert_well();
	sql("update trunks set driver = 'livekit'");
	assert_found(FINDING_WARN, "webhooks: one: no webhook came about any of its last 1 answered calls");
	assert_non_null(strstr(told, "/v1/providers/livekit/webhook"));
	sql("insert into provider_events (org_id, call_id, event_id, attempt, provider, body)"
	    " select 1, call_id, 'EV_1', 1, 'livekit', '{}' from calls");
	assert_well();
	sql("update trunks set driver = 'simulator'");
}

static void the_doctor_can_only_read(void **state)
{
	static const char *const drivers[] = { "simulator" };
	const struct finding_listener l = { NULL, on_found };
	struct store *s = store_new(scratch_url, "doctor");
	struct errinfo e;

	(void)state;
	assert_int_equal(store_examine(s, drivers, 1, &l, &e), OK);
	assert_int_not_equal(pg_exec(s, "update organizations set weight = 2", NULL, &e), OK);
	assert_non_null(strstr(e.text, "read-only"));
	store_free(s);
}

static void trunks_of_a_driver_come_with_their_numbers(void **state)
{
	struct trunk_row *rows;
	struct errinfo e;
	size_t n;

	(void)state;
	sql("update trunks set driver = 'livekit', provider_ref = 'ST_1', config = '{\"waitForAgentSeconds\": 5}'");
	assert_int_equal(store_trunks_of(db, "livekit", 10, &rows, &n, &e), OK);
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].org, "one");
	assert_string_equal(rows[0].name, "t");
	assert_string_equal(rows[0].ref, "ST_1");
	assert_string_equal(rows[0].config, "{\"waitForAgentSeconds\": 5}");
	assert_string_equal(rows[0].numbers, FROM);
	trunk_rows_free(rows, n);
	sql("update trunks set driver = 'simulator', provider_ref = null, config = '{}'");
	assert_int_equal(store_trunks_of(db, "livekit", 10, &rows, &n, &e), OK);
	assert_int_equal(n, 0);
	trunk_rows_free(rows, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_sound_database_has_no_findings, setup),
		cmocka_unit_test_setup(a_lock_without_a_call_is_found, setup),
		cmocka_unit_test_setup(a_lock_of_a_call_that_has_ended_is_found, setup),
		cmocka_unit_test_setup(a_call_that_waits_nowhere_is_found, setup),
		cmocka_unit_test_setup(a_hold_that_is_no_living_calls_is_found, setup),
		cmocka_unit_test_setup(a_queued_row_without_a_call_is_found, setup),
		cmocka_unit_test_setup(a_scheduled_row_of_a_call_that_has_ended_is_found, setup),
		cmocka_unit_test_setup(calls_past_their_bound_without_a_gateway_are_found, setup),
		cmocka_unit_test_setup(calls_past_their_bound_with_a_gateway_are_found_too, setup),
		cmocka_unit_test_setup(a_day_without_its_partition_is_found, setup),
		cmocka_unit_test_setup(a_server_that_forgets_is_found, setup),
		cmocka_unit_test_setup(what_takes_too_long_is_skipped_and_the_rest_is_looked_at, setup),
		cmocka_unit_test_setup(calls_over_livekit_without_any_webhook_are_found, setup),
		cmocka_unit_test_setup(the_doctor_can_only_read, setup),
		cmocka_unit_test_setup(trunks_of_a_driver_come_with_their_numbers, setup),
	};
	int failed;

	scratch_open();
	seed_tenant();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	scratch_close();
	return failed;
}
