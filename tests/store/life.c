/* What clients may still do with a call, and times of its own: cancels, changes, schedules
 * and bounds, against every place in which a call can stand. */
#include "callgate/clock.h"
#include "callgate/store_life.h"
#include "scratch.h"

#include <pthread.h>

#define MARGIN_MS 30000
#define DAY_S 86400

static struct store *s;
static struct errinfo e;
static int64_t gw;
static struct caller owner, stranger;

#define DO(call) do { \
	if ((call) != OK) { \
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

static const char *text(struct id id)
{
	static char out[4][ID_TEXT_SIZE];
	static int turn;

	turn = (turn + 1) % 4;
	id_format(&id, out[turn]);
	return out[turn];
}

/* As admission leaves a call that is to be dialed later. */
static struct id schedule_call(const char *to, int in_ms, int ttl_ms)
{
	struct id id = accept_call(to);

	sql("with d as (delete from call_queue where call_id = '%s' returning *), l as (delete from destination_locks"
	    " where call_id = '%s'), k as (update calls set scheduled_at = now() + %d * interval '1 ms',"
	    " expires_at = now() + %d * interval '1 ms' where call_id = '%s'), x as (insert into call_expiry"
	    " select org_id, call_id, org_id %% 64, now() + %d * interval '1 ms' from d)"
	    " insert into call_schedule (org_id, call_id, shard, run_at, project_id, trunk_id, prio, attempt, timed, locked)"
	    " select org_id, call_id, org_id %% 64, now() + %d * interval '1 ms', project_id, trunk_id, prio, 1, true, false from d",
	    text(id), text(id), in_ms, in_ms + ttl_ms, text(id), in_ms + ttl_ms, in_ms);
	check_books();
	return id;
}

static struct inflight *claim(int take, size_t *n)
{
	struct claim_want want = { .lane = { 1, 1, 1, 1 }, .take = take };
	struct inflight *out;

	DO(store_claim(s, gw, &want, 1, MARGIN_MS, &out, n, &e));
	return out;
}

static void claim_one(void)
{
	size_t n;

	inflight_free_all(claim(1, &n), 1);
	assert_int_equal(1, n);
}

static bool intend(struct id id, int attempt)
{
	struct call_ref r = { 1, id, attempt };
	bool may;

	DO(store_intent(s, gw, &r, NULL, 1, &may, &e));
	return may;
}

static void progress(struct id id, bool ringing, bool answered)
{
	struct call_progress p = { .call = { 1, id, 1 }, .ringing = ringing, .answered = answered, .provider_ref = "ref" };

	DO(store_progress(s, &p, 1, &e));
}

static enum call_reason finish(struct id id, enum call_reason reason)
{
	struct call_end end = { .call = { 1, id, 1 }, .outcome = { .reason = reason } };

	DO(store_finish(s, &end, 1, &e));
	assert_true(end.ended);
	return end.outcome.reason;
}

static enum cancel_outcome cancel_by(const struct caller *caller, struct id id)
{
	struct cancel c = { .call_id = id };

	DO(store_calls_cancel(s, caller, &c, 1, &e));
	return c.outcome;
}

static enum cancel_outcome cancel(struct id id)
{
	return cancel_by(&owner, id);
}

static size_t promote(void)
{
	struct lane_key *lanes;
	size_t n;

	DO(store_promote(s, gw, UINT64_MAX, 100, &lanes, &n, &e));
	free(lanes);
	return n;
}

static size_t expire(void)
{
	size_t expired, seen;

	DO(store_expire_due(s, gw, UINT64_MAX, 100, &expired, &seen, &e));
	return expired;
}

static enum edit_outcome edit_of(struct call_edit x)
{
	DO(store_call_edit(s, &owner, &x, DAY_S, &e));
	return x.outcome;
}

static int setup(void **state)
{
	(void)state;
	clear_calls();
	DO(store_gateway_open(s, "g1", "test", 60000, &gw, &e));
	return 0;
}

/* ── cancel ───────────────────────────────────────────────────────────────────── */

static void what_waits_ends_at_once_and_a_second_time_changes_nothing(void **state)
{
	struct id queued = accept_call("+12025550100"), later = schedule_call("+12025550101", 60000, 60000);

	(void)state;
	assert_int_equal(CANCEL_DONE, cancel(queued));
	assert_int_equal(CANCEL_DONE, cancel(later));
	check_books();
	assert_int_equal(CANCEL_BEFORE, cancel(queued));
	assert_int_equal(2, sql("select count(*) from calls where state = 7 and reason = 14 and charged_mc = 0"));
	assert_int_equal(2, sql("select count(*) from call_events where kind = 7"));
	assert_int_equal(0, sql("select held_mc from credit_accounts"));
	accept_call("+12025550100");                            /* its destination is free */
	check_books();
}

static void a_claimed_call_that_was_canceled_is_never_dialed(void **state)
{
	struct id id = accept_call("+12025550100");
	struct call_ref r = { 1, id, 1 };
	bool gone;

	(void)state;
	claim_one();
	DO(store_claims_gone(s, gw, &r, 1, &gone, &e));
	assert_false(gone);
	assert_int_equal(CANCEL_DONE, cancel(id));
	check_books();
	DO(store_claims_gone(s, gw, &r, 1, &gone, &e));
	assert_true(gone);
	assert_false(intend(id, 1));
	DO(store_unclaim(s, gw, &r, 1, &e));                    /* nor does it come back */
	check_books();
}

static void what_may_have_been_dialed_is_marked_for_its_gateway(void **state)
{
	struct id id = accept_call("+12025550100");
	struct call_ref *found;
	struct inflight *f;
	struct lane_key *lanes;
	size_t n, n_lanes;

	(void)state;
	claim_one();
	assert_true(intend(id, 1));
	assert_int_equal(CANCEL_REQUESTED, cancel(id));
	assert_int_equal(CANCEL_REQUESTED, cancel(id));
	assert_int_equal(1, sql("select count(*) from call_events where kind = 34 and seq = 16 + 12"));
	DO(store_cancels_find(s, gw, 10, &found, &n, &e));
	assert_int_equal(1, n);
	assert_int_equal(0, id_cmp(&id, &found->call_id));
	free(found);
	/* Whoever takes it over knows it too. */
	sql("delete from gateways where gateway_id = %lld", (long long)gw);
	DO(store_gateway_open(s, "g2", "test", 60000, &gw, &e));
	DO(store_adopt(s, gw, 10, &f, &n, &lanes, &n_lanes, &e));
	assert_int_equal(1, n);
	assert_true(f->cancel);
	inflight_free_all(f, n);
	free(lanes);
	DO(store_cancels_find(s, gw, 10, &found, &n, &e));
	assert_int_equal(1, n);
	free(found);
	assert_int_equal(REASON_CANCELED, finish(id, REASON_CANCELED));
	check_books();
	assert_int_equal(CANCEL_BEFORE, cancel(id));
}

static void the_end_after_a_cancel_says_what_happened(void **state)
{
	const struct { bool answered; enum call_reason told, stands; enum call_state state; } ends[] = {
		{ false, REASON_CANCELED,            REASON_CANCELED,      CALL_CANCELED },
		{ false, REASON_BUSY,                REASON_BUSY,          CALL_BUSY },
		{ false, REASON_CARRIER_UNAVAILABLE, REASON_CANCELED,      CALL_CANCELED },
		{ false, REASON_OUTCOME_UNKNOWN,     REASON_OUTCOME_UNKNOWN, CALL_FAILED },
		{ true,  REASON_AGENT_HANGUP,        REASON_CLIENT_HANGUP, CALL_COMPLETED },
		{ true,  REASON_CANCELED,            REASON_CLIENT_HANGUP, CALL_COMPLETED },
		{ true,  REASON_CALLEE_HANGUP,       REASON_CALLEE_HANGUP, CALL_COMPLETED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct id id = accept_call("+12025550100");

		claim_one();
		assert_true(intend(id, 1));
		progress(id, true, ends[i].answered);
		assert_int_equal(CANCEL_REQUESTED, cancel(id));
		assert_int_equal(ends[i].stands, finish(id, ends[i].told));
		assert_int_equal(ends[i].state, sql("select state from calls where call_id = '%s'", text(id)));
		assert_int_equal(ends[i].answered, sql("select (charged_mc > 0)::int from calls where call_id = '%s'", text(id)));
		assert_int_equal(ends[i].state == CALL_CANCELED ? CANCEL_BEFORE : CANCEL_TOO_LATE, cancel(id));
		check_books();
	}
}

static void without_a_cancel_an_end_is_what_was_told(void **state)
{
	struct id id = accept_call("+12025550100");

	(void)state;
	claim_one();
	assert_true(intend(id, 1));
	progress(id, true, true);
	assert_int_equal(REASON_AGENT_HANGUP, finish(id, REASON_AGENT_HANGUP));
	assert_int_equal(CANCEL_TOO_LATE, cancel(id));
	assert_int_equal(0, sql("select count(*) from call_events where kind = 34"));
}

static void a_call_whose_end_was_asked_for_gets_no_other_attempt(void **state)
{
	struct id id = accept_call("+12025550100");
	struct call_retry r = { .call = { 1, id, 1 }, .outcome = { .reason = REASON_CARRIER_UNAVAILABLE, .never_rang = true } };

	(void)state;
	claim_one();
	assert_true(intend(id, 1));
	assert_int_equal(CANCEL_REQUESTED, cancel(id));
	DO(store_retry(s, gw, &r, 1, &e));
	assert_false(r.done);
	assert_int_equal(0, sql("select count(*) from call_schedule"));
	assert_int_equal(REASON_CANCELED, finish(id, REASON_CARRIER_UNAVAILABLE));
	check_books();
}

static void a_call_that_waits_for_another_attempt_can_be_canceled(void **state)
{
	struct id id = accept_call("+12025550100");
	struct call_retry r = { .call = { 1, id, 1 }, .delay_ms = 60000,
	                        .outcome = { .reason = REASON_CARRIER_UNAVAILABLE, .never_rang = true, .sip_code = 503,
	                                     .sip_phrase = "Service Unavailable", .provider_code = "x" } };

	(void)state;
	claim_one();
	assert_true(intend(id, 1));
	progress(id, false, false);
	DO(store_retry(s, gw, &r, 1, &e));
	assert_true(r.done);
	assert_int_equal(1, sql("select count(*) from call_events where kind = 32 and data @> '{\"sipCode\":503,"
	                        "\"sipPhrase\":\"Service Unavailable\",\"providerCode\":\"x\",\"providerRef\":\"ref\"}'"));
	assert_int_equal(CANCEL_DONE, cancel(id));
	assert_int_equal(1, sql("select attempts from calls"));
	check_books();
}

static void others_calls_and_unknown_keys_find_nothing(void **state)
{
	struct id id = accept_call("+12025550100");
	struct caller unknown = owner;

	(void)state;
	unknown.hash[0] ^= 1;
	assert_int_equal(CANCEL_NOT_FOUND, cancel_by(&stranger, id));
	assert_int_equal(CANCEL_NOT_FOUND, cancel(id_new()));
	assert_int_equal(CANCEL_KEY_UNKNOWN, cancel_by(&unknown, id));
	sql("delete from project_members where org_id = 1");
	assert_int_equal(CANCEL_NOT_FOUND, cancel(id));
	sql("insert into project_members values (1, 1, '00000000-0000-4000-8000-000000000001')");
	assert_int_equal(1, sql("select count(*) from call_queue"));
	check_books();
}

static void a_batch_has_an_answer_for_each(void **state)
{
	struct cancel items[4] = { { .call_id = accept_call("+12025550100") }, { .call_id = id_new() },
	                           { .call_id = accept_call("+12025550102") }, { .call_id = accept_call("+12025550103") } };
	const enum cancel_outcome expected[] = { CANCEL_REQUESTED, CANCEL_NOT_FOUND, CANCEL_DONE, CANCEL_DONE };

	(void)state;
	claim_one();
	assert_true(intend(items[0].call_id, 1));
	progress(items[0].call_id, true, false);
	DO(store_calls_cancel(s, &owner, items, 4, &e));
	for (int i = 0; i < 4; i++)
		assert_int_equal(expected[i], items[i].outcome);
	assert_int_equal(CALL_RINGING, items[0].state);
	assert_int_equal(CALL_CANCELED, items[2].state);
	check_books();
}

struct racer {
	pthread_t   thread;
	struct id  *ids;
	int         n, done, asked, moved;
	bool        claims;
};

static void *race(void *arg)
{
	struct racer *me = arg;
	struct store *mine = store_new(scratch_url, "racer");
	struct errinfo words;

	for (int i = 0; i < me->n; i++) {
		struct cancel c = { .call_id = me->ids[i] };
		struct claim_want want = { .lane = { 1, 1, 1, 1 }, .take = 1 };
		struct inflight *f;
		size_t n;
		bool may = false;

		if (!me->claims) {
			if (store_calls_cancel(mine, &owner, &c, 1, &words) == OK) {
				me->done += c.outcome == CANCEL_DONE;
				me->asked += c.outcome == CANCEL_REQUESTED;
			}
			continue;
		}
		if (store_claim(mine, gw, &want, 1, MARGIN_MS, &f, &n, &words) != OK)
			continue;
		for (size_t j = 0; j < n; j++) {
			struct call_ref r = { 1, f[j].call_id, f[j].attempt };

			if (store_intent(mine, gw, &r, NULL, 1, &may, &words) == OK)
				me->moved += may;
		}
		inflight_free_all(f, n);
	}
	store_free(mine);
	return NULL;
}

/* Each call is either ended or asked to end, by exactly one word, however it moves meanwhile. */
static void two_cancels_and_a_claim_at_once_agree(void **state)
{
	enum { CALLS = 60 };
	struct id ids[CALLS];
	struct racer racers[3] = { { .ids = ids, .n = CALLS }, { .ids = ids, .n = CALLS }, { .ids = ids, .n = CALLS, .claims = true } };
	char to[32];

	(void)state;
	for (int i = 0; i < CALLS; i++) {
		snprintf(to, sizeof to, "+4930000%03d", i);
		ids[i] = accept_call(to);
	}
	for (int i = 0; i < 3; i++)
		pthread_create(&racers[i].thread, NULL, race, &racers[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(racers[i].thread, NULL);
	assert_int_equal(racers[0].done + racers[1].done, sql("select count(*) from calls where state = 7"));
	assert_int_equal(racers[2].moved, sql("select count(*) from call_inflight where phase = 1 and cancel_at is not null"));
	assert_int_equal(CALLS, sql("select (select count(*) from calls where state = 7) + (select count(*) from call_inflight)"));
	check_books();
}

/* ── schedule and bounds ──────────────────────────────────────────────────────── */

static void a_scheduled_call_takes_its_destination_when_it_is_due(void **state)
{
	struct id later = schedule_call("+12025550100", 3600000, 3600000), now = accept_call("+12025550100");

	(void)state;
	assert_int_equal(0, promote());
	sql("update call_schedule set run_at = now() - interval '1 ms'");
	assert_int_equal(0, promote());                         /* the other call has it */
	assert_int_equal(1, sql("select count(*) from call_schedule where run_at between now() + interval '0.5 s' and now() + interval '1 s'"));
	check_books();
	assert_int_equal(CANCEL_DONE, cancel(now));
	sql("update call_schedule set run_at = now() - interval '1 ms'");
	assert_int_equal(1, promote());
	check_books();
	assert_int_equal(1, sql("select count(*) from destination_locks where call_id = '%s'", text(later)));
	assert_int_equal(1, sql("select timed::int from call_queue"));
	claim_one();
	assert_true(intend(later, 1));
	check_books();
}

static void of_two_that_are_due_for_one_destination_one_goes(void **state)
{
	(void)state;
	schedule_call("+12025550100", -10, 3600000);
	schedule_call("+12025550100", -10, 3600000);
	assert_int_equal(1, promote());
	assert_int_equal(1, sql("select count(*) from call_queue"));
	assert_int_equal(1, sql("select count(*) from call_schedule"));
	check_books();
}

static void make_due(struct id id)
{
	sql("update call_schedule set run_at = now() - interval '1 ms' where call_id = '%s'", text(id));
}

/* Whoever asks at the right moment would otherwise get it each time. */
static void nobody_gets_the_destination_that_a_due_call_waits_for(void **state)
{
	struct id due = schedule_call("+12025550100", 3600000, 3600000), now = accept_call("+12025550100");
	struct admission a = make_admission("+12025550100"), key = a, other = make_admission("+12025550101");
	uint8_t digest[SHA256_SIZE];
	struct dry_run dry;

	(void)state;
	make_due(due);
	assert_int_equal(0, promote());
	assert_int_equal(CANCEL_DONE, cancel(now));
	sha256("k", 1, digest);
	key.call_id = id_new();
	key.idem_key = key.idem_print = digest;
	assert_int_equal(ADMIT_BUSY, admit_one(s, &a));
	assert_int_equal(ADMIT_BUSY, admit_one(s, &key));       /* the statement's other form */
	DO(store_dry_run(s, &a, &rules, &dry, &e));
	assert_int_equal(1, dry.n_refusals);
	assert_int_equal(ADMIT_BUSY, dry.refusals[0]);
	dry_run_done(&dry);
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &other));
	check_books();
	make_due(due);
	assert_int_equal(1, promote());
	assert_int_equal(1, sql("select count(*) from destination_locks where call_id = '%s'", text(due)));
	assert_int_equal(CANCEL_DONE, cancel(due));
	a.call_id = id_new();
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	sql("truncate idempotency_keys, idempotency_refusals");
	check_books();
}

static void of_those_that_wait_for_a_destination_the_first_gets_it(void **state)
{
	struct id second = schedule_call("+12025550100", 3600000, 3600000), first = schedule_call("+12025550100", 3600000, 3600000);
	struct id now = accept_call("+12025550100");

	(void)state;
	make_due(first);
	make_due(second);
	assert_int_equal(0, promote());
	assert_int_equal(CANCEL_DONE, cancel(now));
	make_due(second);
	assert_int_equal(0, promote());
	assert_int_equal(1, sql("select count(*) from call_schedule where call_id = '%s' and run_at > now() + interval '4 s'", text(second)));
	assert_int_equal(CANCEL_DONE, cancel(first));           /* leaves the line wherever it stands in it */
	make_due(second);
	assert_int_equal(1, promote());
	check_books();
}

/* Other words for it change nothing; another time does. */
static void a_place_in_the_line_is_kept_unless_the_call_is_put_off(void **state)
{
	struct id due = schedule_call("+12025550100", 3600000, 3600000), now = accept_call("+12025550100");
	struct call_edit x = { .call_id = due, .set_metadata = true, .metadata = "{\"n\":1}", .set_prio = true, .prio = 2, .edits = -1 };
	struct admission a = make_admission("+12025550100");

	(void)state;
	make_due(due);
	assert_int_equal(0, promote());
	assert_int_equal(CANCEL_DONE, cancel(now));
	assert_int_equal(EDIT_DONE, edit_of(x));
	assert_int_equal(ADMIT_BUSY, admit_one(s, &a));
	x.set_scheduled = true;
	x.scheduled_ms = wall_ms() + 60000;
	assert_int_equal(EDIT_DONE, edit_of(x));
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	check_books();
}

static enum call_wait waits_for(struct id id)
{
	struct call_read read = { .key_org = 1, .call_id = id }, *reads[] = { &read };
	enum call_wait waiting;

	memcpy(read.key_hash, owner.hash, sizeof read.key_hash);
	DO(store_calls_read(s, reads, 1, &e));
	assert_int_equal(READ_FOUND, read.outcome);
	waiting = read.call.waiting;
	call_record_done(&read.call);
	return waiting;
}

/* What it says does not hang on parts of a millisecond. */
static void a_call_waits_for_its_destination_once_it_was_looked_for(void **state)
{
	struct id due = schedule_call("+12025550100", 3600000, 3600000), now = accept_call("+12025550100");

	(void)state;
	assert_int_equal(WAIT_TURN, waits_for(now));
	sql("update call_schedule set run_at = date_trunc('milliseconds', now()) + interval '900 us';"
	    "update calls set scheduled_at = (select run_at from call_schedule) where call_id = '%s'", text(due));
	assert_int_equal(WAIT_SCHEDULE, waits_for(due));
	make_due(due);
	assert_int_equal(0, promote());
	assert_int_equal(WAIT_DESTINATION, waits_for(due));
	check_books();
}

/* As when its row changed at the moment in which it was to leave. */
static void a_lock_of_its_own_does_not_keep_a_call_waiting(void **state)
{
	struct id id = schedule_call("+12025550100", -10, 3600000);

	(void)state;
	sql("insert into destination_locks values ('+12025550100', 0, 1, '%s')", text(id));
	assert_int_equal(1, promote());
	check_books();
}

static void what_has_a_bound_of_its_own_ends_there_wherever_it_waits(void **state)
{
	struct lane_key lane = { 1, 1, 1, 1 };
	size_t expired;

	(void)state;
	schedule_call("+12025550100", -20, 10);                 /* due, and past */
	promote();
	schedule_call("+12025550101", -20, 10);
	schedule_call("+12025550102", 3600000, 10);             /* not yet */
	usleep(20000);
	DO(store_expire_queued(s, gw, &lane, 1, 1, 100, &expired, &e));
	assert_int_equal(0, expired);                           /* age is not for them */
	assert_int_equal(2, expire());
	assert_int_equal(2, sql("select count(*) from calls where reason = 15 and state = 8"));
	assert_int_equal(1, sql("select count(*) from call_expiry"));
	assert_int_equal(0, expire());
	check_books();
}

/* One attempt, dialed or not, and another that is waited for. */
static struct id tried_before(const char *to, bool undialed, int ttl_ms)
{
	struct id id = schedule_call(to, -20, ttl_ms);
	struct call_retry r = { .call = { 1, id, 1 }, .delay_ms = 0,
	                        .outcome = { .reason = REASON_CARRIER_LIMIT, .never_rang = true, .sip_code = 503, .sip_phrase = "Full",
	                                     .provider_code = "x", .undialed = undialed } };

	assert_int_equal(1, promote());
	claim_one();
	assert_true(intend(id, 1));
	progress(id, false, false);
	DO(store_retry(s, gw, &r, 1, &e));
	assert_true(r.done);
	return id;
}

#define ENDED_AS_IT_WAS \
	"reason = 10 and state = 8 and sip_code = 503 and sip_phrase = 'Full' and provider_code = 'x' and attempts = 1 and charged_mc = 0"

/* Whether on the schedule or in the queue again: "never dialed" would be untrue. */
static void what_was_dialed_and_waits_too_long_ends_as_its_last_attempt(void **state)
{
	struct lane_key lane = { 1, 1, 1, 1 };
	size_t expired;

	(void)state;
	tried_before("+12025550100", false, 30);
	usleep(20000);
	assert_int_equal(1, expire());
	assert_int_equal(1, sql("select count(*) from calls where provider_ref = 'ref' and " ENDED_AS_IT_WAS));
	assert_int_equal(1, sql("select count(*) from call_events where kind = 8 and data = '{\"reason\": 10, \"sipCode\": 503}'"));
	check_books();
	tried_before("+12025550101", false, 60000);
	assert_int_equal(1, promote());
	sql("update call_queue set timed = false; update calls set expires_at = null where ended_at is null; truncate call_expiry");
	usleep(20000);
	DO(store_expire_queued(s, gw, &lane, 1, 10, 100, &expired, &e));
	assert_int_equal(1, expired);
	assert_int_equal(2, sql("select count(*) from calls where " ENDED_AS_IT_WAS));
	check_books();
}

static void what_expires_when_it_is_claimed_ends_as_its_last_attempt(void **state)
{
	struct id id = tried_before("+12025550100", false, 60000), fresh = accept_call("+12025550101");
	struct call_end ends[] = { { .call = { 1, id, 2 }, .outcome = { .reason = REASON_QUEUE_EXPIRED } },
	                           { .call = { 1, fresh, 1 }, .outcome = { .reason = REASON_QUEUE_EXPIRED } } };

	(void)state;
	assert_int_equal(1, promote());
	claim_one();
	claim_one();
	DO(store_finish(s, ends, 2, &e));
	assert_true(ends[0].ended && ends[1].ended);
	assert_int_equal(REASON_CARRIER_LIMIT, ends[0].outcome.reason);
	assert_int_equal(1, sql("select count(*) from calls where call_id = '%s' and " ENDED_AS_IT_WAS, text(id)));
	assert_int_equal(1, sql("select count(*) from calls where reason = 15 and attempts = 0"));
	assert_int_equal(1, sql("select count(*) from call_events where kind = 8 and data = '{\"reason\": 15, \"sipCode\": null}'"));
	check_books();
}

static void what_found_no_provider_was_never_dialed(void **state)
{
	(void)state;
	tried_before("+12025550100", true, 30);
	usleep(20000);
	assert_int_equal(1, expire());
	assert_int_equal(1, sql("select count(*) from calls where reason = 15 and sip_code is null"));
	check_books();
}

static void a_claim_knows_what_time_is_left(void **state)
{
	struct inflight *f;
	struct call_ref r;
	size_t n;

	(void)state;
	accept_call("+12025550100");
	f = claim(1, &n);
	assert_true(f->expires_ms == INT64_MAX);
	inflight_free_all(f, n);
	schedule_call("+12025550101", -5000, 65000);
	sql("update calls set created_at = created_at - interval '1 hour'");
	promote();
	f = claim(1, &n);
	assert_in_range(f->expires_ms, 59000, 60000);
	assert_in_range(f->waited_ms, 5000, 6000);
	r = (struct call_ref){ 1, f->call_id, 1 };
	inflight_free_all(f, n);
	assert_int_equal(1, sql("select count(*) from call_inflight where timed"));
	DO(store_unclaim(s, gw, &r, 1, &e));
	assert_int_equal(1, sql("select count(*) from call_queue where timed"));
	check_books();
}

/* In flight it is not the sweep's; should it come back to wait, the sweep is still there. */
static void a_bound_outlives_a_flight(void **state)
{
	struct id id = schedule_call("+12025550100", -20, 3600000);
	struct call_retry r = { .call = { 1, id, 1 }, .outcome = { .reason = REASON_CARRIER_UNAVAILABLE }, .delay_ms = 60000 };

	(void)state;
	promote();
	claim_one();
	assert_true(intend(id, 1));
	sql("update calls set expires_at = now() - interval '1 s'; update call_expiry set at = now() - interval '1 s'");
	assert_int_equal(0, expire());
	assert_int_equal(1, sql("select count(*) from call_expiry where at > now() + interval '10 s'"));
	DO(store_retry(s, gw, &r, 1, &e));
	sql("update call_expiry set at = now() - interval '1 s'");
	assert_int_equal(1, expire());
	assert_int_equal(31, sql("select max(seq) - 16 from call_events where kind = 8"));
	check_books();
}

/* ── changes ──────────────────────────────────────────────────────────────────── */

static void a_change_is_written_once_and_with_an_event(void **state)
{
	struct call_edit x = { .call_id = accept_call("+12025550100"), .set_variables = true, .variables = "{\"a\":1}",
	                       .set_metadata = true, .metadata = "{}", .edits = -1 };

	(void)state;
	assert_int_equal(EDIT_DONE, edit_of(x));
	check_books();
	assert_int_equal(EDIT_SAME, edit_of(x));
	assert_int_equal(1, sql("select edits from calls where variables = '{\"a\":1}' and metadata = '{}'"));
	assert_int_equal(1, sql("select count(*) from call_events where kind = 35 and seq = 1"
	                        " and data = '{\"changed\":[\"dynamicVariables\",\"metadata\"]}'"));
	x.variables = NULL;
	x.edits = 0;
	assert_int_equal(EDIT_STALE, edit_of(x));
	x.edits = 1;
	assert_int_equal(EDIT_DONE, edit_of(x));
	assert_int_equal(1, sql("select count(*) from calls where variables is null and edits = 2"));
}

static void another_priority_is_another_lane(void **state)
{
	struct call_edit x = { .call_id = accept_call("+12025550100"), .set_prio = true, .prio = 0, .edits = -1 };

	(void)state;
	DO(store_call_edit(s, &owner, &x, DAY_S, &e));
	assert_int_equal(EDIT_DONE, x.outcome);
	assert_true(x.queued);
	assert_int_equal(0, x.lane.prio);
	assert_int_equal(1, sql("select count(*) from call_queue q join calls c using (call_id) where q.prio = 0 and c.prio = 0"));
	assert_int_equal(CANCEL_DONE, cancel(x.call_id));       /* and is found there */
	check_books();
}

static void a_call_that_is_put_off_gives_its_destination_free(void **state)
{
	struct call_edit x = { .call_id = accept_call("+12025550100"), .set_scheduled = true, .scheduled_ms = wall_ms() + 3600000,
	                       .edits = -1 };

	(void)state;
	DO(store_call_edit(s, &owner, &x, DAY_S, &e));
	assert_int_equal(EDIT_DONE, x.outcome);
	assert_false(x.queued);
	check_books();
	assert_int_equal(0, sql("select count(*) from destination_locks"));
	assert_int_equal(1, sql("select count(*) from calls where expires_at = scheduled_at + interval '1 day'"));
	assert_int_equal(EDIT_SAME, edit_of(x));
	x.scheduled_ms += 1000;
	assert_int_equal(EDIT_DONE, edit_of(x));
	assert_int_equal(1, sql("select count(*) from calls c join call_expiry x using (call_id) join call_schedule s using (call_id)"
	                        " where expires_at = scheduled_at + interval '1 day' and x.at = c.expires_at and s.run_at = scheduled_at"));
	x.scheduled_ms = 0;                                     /* after all: now */
	assert_int_equal(EDIT_DONE, edit_of(x));
	assert_int_equal(EDIT_SAME, edit_of(x));
	check_books();
	assert_int_equal(1, promote());
	assert_int_equal(EDIT_SAME, edit_of(x));
	check_books();
	claim_one();
}

static void what_was_never_put_off_cannot_be_called_back(void **state)
{
	struct call_edit x = { .call_id = accept_call("+12025550100"), .set_scheduled = true, .edits = -1 };

	(void)state;
	assert_int_equal(EDIT_SAME, edit_of(x));
	assert_int_equal(1, sql("select count(*) from calls where scheduled_at is null and expires_at is null and edits = 0"));
}

static void a_bound_that_the_client_set_stays(void **state)
{
	struct id id = schedule_call("+12025550100", 60000, 60000);
	struct call_edit x = { .call_id = id, .set_scheduled = true, .scheduled_ms = wall_ms() + 90000, .edits = -1 };
	int64_t before = sql("select extract(epoch from expires_at)::bigint from calls");

	(void)state;
	assert_int_equal(EDIT_DONE, edit_of(x));
	x.scheduled_ms = wall_ms() + 130000;
	assert_int_equal(EDIT_EXPIRES_FIRST, edit_of(x));
	x.scheduled_ms = 0;
	assert_int_equal(EDIT_DONE, edit_of(x));
	assert_int_equal(before, sql("select extract(epoch from expires_at)::bigint from calls"));
	check_books();
}

static void what_was_claimed_or_has_ended_is_not_changed(void **state)
{
	struct id id = accept_call("+12025550100");
	struct call_edit x = { .call_id = id, .set_variables = true, .variables = "{}", .edits = -1 };
	struct call_retry r = { .call = { 1, id, 1 }, .outcome = { .reason = REASON_CARRIER_UNAVAILABLE } };
	struct caller unknown = owner;

	(void)state;
	claim_one();
	assert_int_equal(EDIT_TOO_LATE, edit_of(x));
	assert_true(intend(id, 1));
	assert_int_equal(EDIT_TOO_LATE, edit_of(x));
	DO(store_retry(s, gw, &r, 1, &e));
	assert_int_equal(1, sql("select count(*) from call_events where kind = 32 and not data ? 'sipCode'"));  /* none was told */
	assert_int_equal(EDIT_TOO_LATE, edit_of(x));            /* its first attempt had the old ones */
	assert_int_equal(CANCEL_DONE, cancel(id));
	assert_int_equal(EDIT_TOO_LATE, edit_of(x));
	x.call_id = id_new();
	assert_int_equal(EDIT_NOT_FOUND, edit_of(x));
	x.call_id = accept_call("+12025550100");
	DO(store_call_edit(s, &stranger, &x, DAY_S, &e));
	assert_int_equal(EDIT_NOT_FOUND, x.outcome);
	unknown.hash[0] ^= 1;
	DO(store_call_edit(s, &unknown, &x, DAY_S, &e));
	assert_int_equal(EDIT_KEY_UNKNOWN, x.outcome);
	assert_int_equal(0, sql("select count(*) from call_events where kind = 35"));
	check_books();
}

static void there_is_an_end_to_changes(void **state)
{
	struct call_edit x = { .call_id = accept_call("+12025550100"), .set_metadata = true, .edits = -1 };
	char meta[32];

	(void)state;
	for (int i = 0; i < EDITS_MAX; i++) {
		snprintf(meta, sizeof meta, "{\"n\":%d}", i);
		x.metadata = meta;
		assert_int_equal(EDIT_DONE, edit_of(x));
	}
	x.metadata = "{}";
	assert_int_equal(EDIT_LIMIT, edit_of(x));
	assert_int_equal(EDITS_MAX, sql("select count(*) from call_events where kind = 35"));
	claim_one();
	assert_true(intend(x.call_id, 1));                      /* whose first event comes after them */
	assert_int_equal(EDITS_MAX + 2, sql("select count(*) from call_events"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_waits_ends_at_once_and_a_second_time_changes_nothing, setup),
		cmocka_unit_test_setup(a_claimed_call_that_was_canceled_is_never_dialed, setup),
		cmocka_unit_test_setup(what_may_have_been_dialed_is_marked_for_its_gateway, setup),
		cmocka_unit_test_setup(the_end_after_a_cancel_says_what_happened, setup),
		cmocka_unit_test_setup(without_a_cancel_an_end_is_what_was_told, setup),
		cmocka_unit_test_setup(a_call_whose_end_was_asked_for_gets_no_other_attempt, setup),
		cmocka_unit_test_setup(a_call_that_waits_for_another_attempt_can_be_canceled, setup),
		cmocka_unit_test_setup(others_calls_and_unknown_keys_find_nothing, setup),
		cmocka_unit_test_setup(a_batch_has_an_answer_for_each, setup),
		cmocka_unit_test_setup(two_cancels_and_a_claim_at_once_agree, setup),
		cmocka_unit_test_setup(a_scheduled_call_takes_its_destination_when_it_is_due, setup),
		cmocka_unit_test_setup(of_two_that_are_due_for_one_destination_one_goes, setup),
		cmocka_unit_test_setup(nobody_gets_the_destination_that_a_due_call_waits_for, setup),
		cmocka_unit_test_setup(of_those_that_wait_for_a_destination_the_first_gets_it, setup),
		cmocka_unit_test_setup(a_place_in_the_line_is_kept_unless_the_call_is_put_off, setup),
		cmocka_unit_test_setup(a_call_waits_for_its_destination_once_it_was_looked_for, setup),
		cmocka_unit_test_setup(what_was_dialed_and_waits_too_long_ends_as_its_last_attempt, setup),
		cmocka_unit_test_setup(what_expires_when_it_is_claimed_ends_as_its_last_attempt, setup),
		cmocka_unit_test_setup(what_found_no_provider_was_never_dialed, setup),
		cmocka_unit_test_setup(a_lock_of_its_own_does_not_keep_a_call_waiting, setup),
		cmocka_unit_test_setup(what_has_a_bound_of_its_own_ends_there_wherever_it_waits, setup),
		cmocka_unit_test_setup(a_claim_knows_what_time_is_left, setup),
		cmocka_unit_test_setup(a_bound_outlives_a_flight, setup),
		cmocka_unit_test_setup(a_change_is_written_once_and_with_an_event, setup),
		cmocka_unit_test_setup(another_priority_is_another_lane, setup),
		cmocka_unit_test_setup(a_call_that_is_put_off_gives_its_destination_free, setup),
		cmocka_unit_test_setup(what_was_never_put_off_cannot_be_called_back, setup),
		cmocka_unit_test_setup(a_bound_that_the_client_set_stays, setup),
		cmocka_unit_test_setup(what_was_claimed_or_has_ended_is_not_changed, setup),
		cmocka_unit_test_setup(there_is_an_end_to_changes, setup),
	};
	int failed;

	scratch_open();
	seed_tenant();
	sql("insert into organizations (name) values ('two');"
	    "insert into memberships (org_id, user_id) values (2, '00000000-0000-4000-8000-000000000001');"
	    "insert into api_keys (org_id, key_hash, user_id, kind, test, hint)"
	    "  values (2, sha256('dk_2_test'), '00000000-0000-4000-8000-000000000001', 0, false, 'dk_')");
	owner.org = 1;
	sha256(KEY_TEXT, strlen(KEY_TEXT), owner.hash);
	stranger.org = 2;
	sha256("dk_2_test", 9, stranger.hash);
	s = store_new(scratch_url, "life");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	store_free(s);
	scratch_close();
	return failed;
}
