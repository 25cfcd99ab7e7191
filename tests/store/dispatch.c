/* The way of a call after accept: lease, claim, intent, progress, end; and what crashes,
 * zombies, repetitions and late words may not do. */
#include "scratch.h"

static struct store *s;
static int64_t gw;

#define TTL_MS 30000
#define MARGIN_MS 30000

static struct errinfo e;
#define DO(call) do { \
	enum err err_ = (call); \
	if (err_) { \
		print_error("%s: %s\n", #call, e.text); \
		fail(); \
	} \
} while (0)

static struct id accept_call(const char *to)
{
	struct admission a = make_admission(to);

	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	return a.call_id;
}

static struct inflight *claim(int64_t gateway, int take, size_t *n)
{
	struct claim_want want = { .lane = { 1, 1, 1, 1 }, .take = take };
	struct inflight *out = NULL;

	DO(store_claim(s, gateway, &want, 1, MARGIN_MS, &out, n, &e));
	return out;
}

static struct call_ref ref(struct id id, int attempt)
{
	return (struct call_ref){ 1, id, attempt };
}

static bool intend(int64_t gateway, struct id id, int attempt)
{
	struct call_ref r = ref(id, attempt);
	const char *name = "room-1";
	bool may;

	DO(store_intent(s, gateway, &r, &name, 1, &may, &e));
	return may;
}

/* A call claimed and intended by gw. */
static struct id dialed_call(const char *to)
{
	struct id id = accept_call(to);
	size_t n;
	struct inflight *f = claim(gw, 1, &n);

	assert_int_equal(1, n);
	inflight_free_all(f, n);
	assert_true(intend(gw, id, 1));
	return id;
}

static void progress(struct id id, bool ringing, bool answered, bool uncertain)
{
	struct call_progress p = { .call = ref(id, 1), .ringing = ringing, .answered = answered, .uncertain = uncertain,
	                           .provider_ref = "ref-1" };

	DO(store_progress(s, &p, 1, &e));
}

static bool finish(struct id id, int attempt, enum call_reason reason)
{
	struct call_end end = { .call = ref(id, attempt), .outcome = { .reason = reason, .sip_code = 486 } };

	DO(store_finish(s, &end, 1, &e));
	return end.ended;
}

static int setup(void **state)
{
	(void)state;
	clear_calls();
	DO(store_gateway_open(s, "g1", "test", TTL_MS, &gw, &e));
	return 0;
}

static void a_call_goes_its_way(void **state)
{
	struct id id = accept_call("+12025550100");
	size_t n;
	struct inflight *f = claim(gw, 10, &n);
	struct call_read read = { .key_org = 1, .call_id = id }, *reads[] = { &read };

	(void)state;
	assert_int_equal(1, n);
	assert_int_equal(0, id_cmp(&id, &f->call_id));
	assert_string_equal("+12025550100", f->to);
	assert_string_equal(FROM, f->from);
	assert_string_equal("agent-1", f->agent);
	assert_string_equal("simulator", f->driver);
	assert_int_equal(1, f->attempt);
	assert_in_range(f->left_ms, (60 + 3600) * 1000 + MARGIN_MS - 2000, (60 + 3600) * 1000 + MARGIN_MS);
	inflight_free_all(f, n);
	f = claim(gw, 10, &n);
	assert_int_equal(0, n);
	inflight_free_all(f, n);
	assert_true(intend(gw, id, 1));
	assert_false(intend(gw, id, 1));                        /* an intent is given once */
	progress(id, true, false, false);
	progress(id, false, true, false);
	progress(id, true, false, false);                       /* late */
	sql("update call_inflight set answered_at = answered_at - interval '61.5 s'");
	assert_true(finish(id, 1, REASON_CALLEE_HANGUP));
	assert_false(finish(id, 1, REASON_BUSY));               /* said again, and otherwise */
	sha256(KEY_TEXT, strlen(KEY_TEXT), read.key_hash);
	DO(store_calls_read(s, reads, 1, &e));
	assert_int_equal(READ_FOUND, read.outcome);
	assert_int_equal(CALL_COMPLETED, read.call.state);
	assert_int_equal(REASON_CALLEE_HANGUP, read.call.outcome.reason);
	assert_true(read.call.initiated_ms && read.call.ringing_ms && read.call.answered_ms && read.call.ended_ms);
	assert_int_equal(62, read.call.billed_s);
	assert_int_equal(620, read.call.charged_mc);            /* 600 a minute */
	assert_string_equal("ref-1", read.call.provider_ref);
	call_record_done(&read.call);
	assert_int_equal(1000000 - 620, sql("select balance_mc from credit_accounts"));
	assert_int_equal(5, sql("select count(*) from call_events"));
	check_books();
}

/* It is told so late, and was talked for no longer than that: nor before the answer. */
static void an_end_is_when_it_was_and_its_event_when_it_was_told(void **state)
{
	static const struct { int ago_ms, billed_s; } rows[] = { { 25000, 37 }, { 0, 62 }, { 3600000, 1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct id id = dialed_call("+12025550104");
		struct call_end end = { .call = ref(id, 1), .outcome = { .reason = REASON_CALLEE_HANGUP }, .ago_ms = rows[i].ago_ms };
		char text[ID_TEXT_SIZE];

		id_format(&id, text);
		progress(id, false, true, false);
		sql("update call_inflight set initiated_at = initiated_at - interval '62 s', answered_at = answered_at - interval '61.5 s'");
		DO(store_finish(s, &end, 1, &e));
		assert_true(end.ended);
		assert_int_equal(rows[i].billed_s, sql("select billed_s from calls where call_id = '%s'", text));
		assert_int_equal(1, sql("select count(*) from calls where call_id = '%s' and ended_at >= answered_at and ended_at <= now()", text));
		assert_int_equal(1, sql("select count(*) from call_events where call_id = '%s' and kind = 4 and at > now() - interval '5 s'", text));
		check_books();
	}
}

/* The wait is the project's as it stands when the call is claimed, and the bound is later by it. */
static void a_claimed_call_knows_how_long_its_agent_is_waited_for(void **state)
{
	struct inflight *f;
	size_t n;

	(void)state;
	accept_call("+12025550103");
	sql("update projects set wait_for_agent_s = 40 where org_id = 1 and project_id = 1");
	f = claim(gw, 1, &n);
	sql("update projects set wait_for_agent_s = 0 where org_id = 1 and project_id = 1");
	assert_int_equal(1, n);
	assert_int_equal(40, f->wait_for_agent_s);
	assert_in_range(f->left_ms, (40 + 60 + 3600) * 1000 + MARGIN_MS - 2000, (40 + 60 + 3600) * 1000 + MARGIN_MS);
	inflight_free_all(f, n);
	check_books();
}

static void a_busy_call_costs_nothing(void **state)
{
	struct id id = dialed_call("+12025550101");

	(void)state;
	progress(id, true, false, false);
	assert_true(finish(id, 1, REASON_BUSY));
	assert_int_equal(1000000, sql("select balance_mc from credit_accounts"));
	assert_int_equal(0, sql("select held_mc from credit_accounts"));
	check_books();
}

static void claims_take_the_oldest_first_and_no_more_than_asked(void **state)
{
	struct id first = accept_call("+12025550110"), second = accept_call("+12025550111"), third = accept_call("+12025550112");
	struct inflight *f;
	struct claim_want want = { .lane = { 1, 1, 1, 1 }, .take = 5, .low = second };
	size_t n;

	(void)state;
	f = claim(gw, 1, &n);
	assert_int_equal(1, n);
	assert_int_equal(0, id_cmp(&first, &f->call_id));
	inflight_free_all(f, n);
	DO(store_claim(s, gw, &want, 1, MARGIN_MS, &f, &n, &e));
	assert_int_equal(1, n);
	assert_int_equal(0, id_cmp(&third, &f->call_id));       /* above the lower bound only */
	inflight_free_all(f, n);
	check_books();
}

static void without_a_lease_nothing_is_claimed_or_dialed(void **state)
{
	struct id id = accept_call("+12025550120");
	struct inflight *f = claim(gw, 1, &(size_t){ 0 });
	size_t n;

	(void)state;
	inflight_free_all(f, 1);
	accept_call("+12025550121");
	sql("update gateways set expires_at = clock_timestamp() - interval '1 s'");
	assert_false(intend(gw, id, 1));
	f = claim(gw, 1, &n);
	assert_int_equal(0, n);
	inflight_free_all(f, n);
	assert_int_equal(ERR_CONFLICT, store_gateway_renew(s, gw, TTL_MS, &e));
	assert_int_equal(1, sql("select count(*) from call_queue"));
	check_books();
}

static void after_a_crash_what_was_claimed_waits_again_and_what_was_intended_is_asked_about(void **state)
{
	struct id dialed = dialed_call("+12025550130"), claimed = accept_call("+12025550131"), ringing;
	struct inflight *f;
	struct lane_key *lanes;
	size_t n, n_lanes, i;
	uint64_t owned;
	int64_t heir;
	int live;

	(void)state;
	inflight_free_all(claim(gw, 1, &n), 1);
	ringing = dialed_call("+12025550132");
	progress(ringing, true, false, false);
	DO(store_gateway_open(s, "g2", "test", TTL_MS, &heir, &e));
	DO(store_adopt(s, heir, 100, &f, &n, &lanes, &n_lanes, &e));
	assert_int_equal(0, n);                                 /* the owner lives */
	inflight_free_all(f, n);
	free(lanes);
	sql("update gateways set expires_at = clock_timestamp() - interval '1 s' where gateway_id = %lld", (long long)gw);
	DO(store_shards_balance(s, heir, &owned, &live, &e));
	assert_int_equal(1, live);
	assert_true(owned == UINT64_MAX);
	DO(store_adopt(s, heir, 100, &f, &n, &lanes, &n_lanes, &e));
	assert_int_equal(2, n);
	assert_int_equal(1, n_lanes);
	for (i = 0; i < n; i++) {
		bool is_dialed = !id_cmp(&f[i].call_id, &dialed);

		assert_int_equal(is_dialed ? 2 : 3, f[i].phase);
		assert_true(is_dialed || !id_cmp(&f[i].call_id, &ringing));
		assert_true(f[i].since_ms >= 0);
		assert_string_equal(is_dialed ? "room-1" : "ref-1", f[i].provider_ref ? f[i].provider_ref : "");
	}
	inflight_free_all(f, n);
	free(lanes);
	/* The zombie wakes up: it may neither dial what went back nor what it had intended. */
	assert_false(intend(gw, claimed, 1));
	assert_false(intend(gw, dialed, 1));
	assert_false(intend(heir, dialed, 1));                  /* nobody ever dials it again */
	assert_int_equal(1, sql("select count(*) from call_queue"));
	assert_true(finish(dialed, 1, REASON_OUTCOME_UNKNOWN));
	assert_true(finish(ringing, 1, REASON_NO_ANSWER));
	check_books();
}

static void shards_are_shared_by_the_living(void **state)
{
	uint64_t a, b, c;
	int64_t gw2, gw3;
	int live;

	(void)state;
	DO(store_shards_balance(s, gw, &a, &live, &e));
	assert_true(a == UINT64_MAX);
	DO(store_gateway_open(s, "g2", "test", TTL_MS, &gw2, &e));
	DO(store_gateway_open(s, "g3", "test", TTL_MS, &gw3, &e));
	DO(store_shards_balance(s, gw2, &b, &live, &e));
	assert_true(b == 0);                                    /* all taken: the owner has to give first */
	DO(store_shards_balance(s, gw, &a, &live, &e));
	DO(store_shards_balance(s, gw2, &b, &live, &e));
	DO(store_shards_balance(s, gw3, &c, &live, &e));
	assert_int_equal(3, live);
	assert_true((a & b) == 0 && (a & c) == 0 && (b & c) == 0);
	assert_true((a | b | c) == UINT64_MAX);
	DO(store_gateway_close(s, gw2, &e));
	DO(store_shards_balance(s, gw, &a, &live, &e));
	DO(store_shards_balance(s, gw3, &c, &live, &e));
	assert_int_equal(2, live);
	assert_true((a | c) == UINT64_MAX && (a & c) == 0);
}

/* As after a take that committed while its gateway was being buried. */
static void a_shard_of_a_gateway_that_is_no_more_finds_an_owner(void **state)
{
	uint64_t owned;
	int live;

	(void)state;
	sql("update shards set gateway_id = 999999999 where shard in (1, 2)");
	DO(store_shards_balance(s, gw, &owned, &live, &e));
	assert_true(owned == UINT64_MAX);
}

static void another_attempt_waits_and_comes_back(void **state)
{
	struct id id = dialed_call("+12025550140");
	struct call_retry r = { .call = ref(id, 1), .outcome = { .reason = REASON_CARRIER_UNAVAILABLE, .sip_code = 503 },
	                        .delay_ms = 3600000 };
	struct lane_key *lanes;
	struct inflight *f;
	size_t n;

	(void)state;
	DO(store_retry(s, gw, &r, 1, &e));
	check_books();
	DO(store_promote(s, gw, UINT64_MAX, 100, &lanes, &n, &e));
	assert_int_equal(0, n);
	free(lanes);
	sql("update call_schedule set run_at = clock_timestamp()");
	DO(store_promote(s, gw, UINT64_MAX & ~(UINT64_C(1) << 1), 100, &lanes, &n, &e));
	assert_int_equal(0, n);                                 /* not our shard */
	free(lanes);
	DO(store_promote(s, gw, UINT64_MAX, 100, &lanes, &n, &e));
	assert_int_equal(1, n);
	free(lanes);
	f = claim(gw, 5, &n);
	assert_int_equal(1, n);
	assert_int_equal(2, f->attempt);
	inflight_free_all(f, n);
	assert_true(intend(gw, id, 2));
	assert_false(finish(id, 1, REASON_BUSY));               /* a late word about the first attempt */
	assert_true(finish(id, 2, REASON_CALLEE_HANGUP));
	check_books();
}

/* Nothing was dialed, for want of a provider: before the intent the attempt keeps its number,
 * after it there is another one, and neither counts. */
static void an_attempt_that_was_not_dialed_does_not_count(void **state)
{
	struct id id;
	struct call_retry r = { .outcome = { .reason = REASON_PROVIDER_ERROR, .provider_code = "unreachable", .undialed = true },
	                        .same = true };
	struct lane_key *lanes;
	struct inflight *f;
	size_t n;

	(void)state;
	accept_call("+12025550141");
	for (int number = 1; number <= 3; number++) {
		f = claim(gw, 5, &n);
		assert_int_equal(1, n);
		assert_int_equal(number < 3 ? 1 : 2, f->attempt);
		assert_int_equal(0, f->spent);
		id = f->call_id;
		r.call = ref(id, f->attempt);
		inflight_free_all(f, n);
		if (number == 2)
			assert_true(intend(gw, id, 1));
		DO(store_retry(s, gw + 1000, &r, 1, &e));       /* not its own */
		assert_int_equal(1, sql("select count(*) from call_inflight"));
		DO(store_retry(s, gw, &r, 1, &e));              /* only claimed; the second time it is intended */
		assert_int_equal(number == 2, sql("select count(*) from call_inflight"));
		r.same = number != 2;
		DO(store_retry(s, gw, &r, 1, &e));
		r.same = true;
		assert_int_equal(0, sql("select count(*) from call_inflight"));
		assert_int_equal(number == 1 ? 0 : 1, sql("select attempts from calls"));
		check_books();
		sql("update call_schedule set run_at = clock_timestamp()");
		DO(store_promote(s, gw, UINT64_MAX, 100, &lanes, &n, &e));
		assert_int_equal(1, n);
		free(lanes);
	}
	assert_int_equal(1, sql("select count(*) from call_events where kind = 32"));
	f = claim(gw, 5, &n);
	assert_int_equal(2, f->attempt);
	r = (struct call_retry){ .call = ref(id, 2), .outcome = { .reason = REASON_CARRIER_UNAVAILABLE } };
	inflight_free_all(f, n);
	assert_true(intend(gw, id, 2));
	DO(store_retry(s, gw, &r, 1, &e));
	sql("update call_schedule set run_at = clock_timestamp()");
	DO(store_promote(s, gw, UINT64_MAX, 100, &lanes, &n, &e));
	free(lanes);
	f = claim(gw, 5, &n);
	assert_int_equal(3, f->attempt);
	assert_int_equal(1, f->spent);                          /* that one did */
	inflight_free_all(f, n);
	assert_true(intend(gw, id, 3));
	assert_true(finish(id, 3, REASON_CALLEE_HANGUP));
	check_books();
}

static void what_waits_too_long_expires(void **state)
{
	struct lane_key lane = { 1, 1, 1, 1 };
	size_t expired;

	(void)state;
	accept_call("+12025550150");
	DO(store_expire_queued(s, gw, &lane, 1, 3600000, 100, &expired, &e));
	assert_int_equal(0, expired);
	usleep(20000);
	DO(store_expire_queued(s, gw, &lane, 1, 10, 100, &expired, &e));
	assert_int_equal(1, expired);
	assert_int_equal(REASON_QUEUE_EXPIRED, sql("select reason from calls"));
	check_books();
}

static void uncertain_is_remembered_and_overdue_is_found(void **state)
{
	struct id id = dialed_call("+12025550160");
	struct overdue *o;
	size_t n;

	(void)state;
	progress(id, false, false, true);
	assert_int_equal(2, sql("select phase from call_inflight"));
	DO(store_overdue(s, gw, 10, &o, &n, &e));
	assert_int_equal(0, n);
	free(o);
	sql("update call_inflight set deadline_at = clock_timestamp() - interval '1 s'");
	DO(store_overdue(s, gw, 10, &o, &n, &e));
	assert_int_equal(1, n);
	assert_int_equal(2, o->phase);
	free(o);
	progress(id, false, true, false);                       /* after all it was answered */
	assert_int_equal(3, sql("select phase from call_inflight"));
	assert_true(finish(id, 1, REASON_OVERDUE));
	check_books();
}

static void what_was_claimed_can_be_put_back(void **state)
{
	struct id id = accept_call("+12025550170");
	struct call_ref r = ref(id, 1);
	size_t n;

	(void)state;
	inflight_free_all(claim(gw, 1, &n), 1);
	DO(store_unclaim(s, gw, &r, 1, &e));
	check_books();
	inflight_free_all(claim(gw, 1, &n), 1);
	assert_int_equal(1, n);
	assert_true(intend(gw, id, 1));
	DO(store_unclaim(s, gw, &r, 1, &e));                    /* intended: stays */
	assert_int_equal(1, sql("select count(*) from call_inflight"));
	check_books();
}

static void lanes_limits_and_counts_are_read(void **state)
{
	struct lane_key *lanes;
	struct limit_row *rows;
	struct count_row *counts;
	size_t n, i, seen = 0;

	(void)state;
	dialed_call("+12025550180");
	accept_call("+12025550181");
	DO(store_lanes_find(s, UINT64_MAX, &lanes, &n, &e));
	assert_int_equal(1, n);
	assert_true(lanes[0].org_id == 1 && lanes[0].project_id == 1 && lanes[0].trunk_id == 1 && lanes[0].prio == 1);
	free(lanes);
	DO(store_lanes_find(s, UINT64_C(1), &lanes, &n, &e));   /* organization 1 is in shard 1 */
	assert_int_equal(0, n);
	free(lanes);
	DO(store_limits_load(s, UINT64_MAX, &rows, &n, &e));
	for (i = 0; i < n; i++)
		seen += rows[i].org_id == 1 && rows[i].trunk_id == 1 && rows[i].limits.cps_milli == 100000 && rows[i].enabled;
	assert_int_equal(3, n);
	assert_int_equal(1, seen);
	free(rows);
	DO(store_counts_load(s, UINT64_MAX, gw, &counts, &n, &e));
	assert_int_equal(0, n);
	free(counts);
	DO(store_counts_load(s, UINT64_MAX, gw + 1, &counts, &n, &e));
	assert_int_equal(1, n);
	assert_int_equal(1, counts[0].count);
	free(counts);
}

static void another_listener_hears_that_something_was_queued(void **state)
{
	struct store *other = store_new(scratch_url, "other");
	int i;

	(void)state;
	DO(store_listen(other, &e));
	assert_false(store_notified(other));
	DO(store_notify_queued(s, &e));
	for (i = 0; i < 100 && !store_notified(other); i++)
		usleep(10000);
	assert_true(i < 100);
	store_free(other);
}

static void an_empty_batch_is_nothing_to_do(void **state)
{
	size_t expired;

	(void)state;
	DO(store_progress(s, NULL, 0, &e));
	DO(store_finish(s, NULL, 0, &e));
	DO(store_retry(s, gw, NULL, 0, &e));
	DO(store_expire_queued(s, gw, NULL, 0, 1, 1, &expired, &e));
	assert_int_equal(0, expired);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_call_goes_its_way, setup),
		cmocka_unit_test_setup(an_end_is_when_it_was_and_its_event_when_it_was_told, setup),
		cmocka_unit_test_setup(a_claimed_call_knows_how_long_its_agent_is_waited_for, setup),
		cmocka_unit_test_setup(a_busy_call_costs_nothing, setup),
		cmocka_unit_test_setup(claims_take_the_oldest_first_and_no_more_than_asked, setup),
		cmocka_unit_test_setup(without_a_lease_nothing_is_claimed_or_dialed, setup),
		cmocka_unit_test_setup(after_a_crash_what_was_claimed_waits_again_and_what_was_intended_is_asked_about, setup),
		cmocka_unit_test_setup(shards_are_shared_by_the_living, setup),
		cmocka_unit_test_setup(a_shard_of_a_gateway_that_is_no_more_finds_an_owner, setup),
		cmocka_unit_test_setup(another_attempt_waits_and_comes_back, setup),
		cmocka_unit_test_setup(an_attempt_that_was_not_dialed_does_not_count, setup),
		cmocka_unit_test_setup(what_waits_too_long_expires, setup),
		cmocka_unit_test_setup(uncertain_is_remembered_and_overdue_is_found, setup),
		cmocka_unit_test_setup(what_was_claimed_can_be_put_back, setup),
		cmocka_unit_test_setup(lanes_limits_and_counts_are_read, setup),
		cmocka_unit_test_setup(an_empty_batch_is_nothing_to_do, setup),
		cmocka_unit_test_setup(another_listener_hears_that_something_was_queued, setup),
	};
	int failed;

	scratch_open();
	seed_tenant();
	s = store_new(scratch_url, "scheduler");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	store_free(s);
	scratch_close();
	return failed;
}
