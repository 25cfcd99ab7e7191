/* What a call costs: billed seconds by increment and minimum, the hold that bounds the
 * charge, and a ledger that sums to the balance whatever ends a call. */
#include "callgate/store_life.h"
#include "callgate/store_money.h"
#include "scratch.h"

static struct store *s;
static int64_t gw;
static struct errinfo e;
#define DO(call) do { \
	enum err err_ = (call); \
	if (err_) { \
		print_error("%s: %s\n", #call, e.text); \
		fail(); \
	} \
} while (0)

static int setup(void **state)
{
	(void)state;
	clear_calls();
	sql("update projects set rate_mc = 600, hold_s = 60, max_duration_s = 3600, increment_s = 1, minimum_s = 1;"
	    "delete from rates; delete from credit_ledger where reference is not null");
	DO(store_gateway_open(s, "g1", "test", 30000, &gw, &e));
	return 0;
}

static struct id accept_call(const char *to)
{
	struct admission a = make_admission(to);

	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	return a.call_id;
}

static void claim_one(void)
{
	struct claim_want want = { .lane = { 1, 1, 1, 1 }, .take = 1 };
	struct inflight *f = NULL;
	size_t n = 0;

	DO(store_claim(s, gw, &want, 1, 30000, &f, &n, &e));
	assert_int_equal(1, n);
	inflight_free_all(f, n);
}

static struct call_ref ref(struct id id)
{
	return (struct call_ref){ 1, id, 1 };
}

static void intend(struct id id)
{
	struct call_ref r = ref(id);
	bool may = false;

	DO(store_intent(s, gw, &r, NULL, 1, &may, &e));
	assert_true(may);
}

static void finish(struct id id, enum call_reason reason)
{
	struct call_end end = { .call = ref(id), .outcome = { .reason = reason } };

	DO(store_finish(s, &end, 1, &e));
	assert_true(end.ended);
}

/* An answered call of `ms`, ended; what it was billed as is left in the database. */
static void talk(const char *to, int ms, int rate, int increment, int minimum, int max_duration)
{
	struct id id = accept_call(to);
	struct call_progress p = { .call = ref(id), .answered = true };

	sql("update calls set rate_mc = %d, increment_s = %d, minimum_s = %d, max_duration_s = %d where ended_at is null", rate,
	    increment, minimum, max_duration);
	claim_one();
	intend(id);
	DO(store_progress(s, &p, 1, &e));
	sql("update call_inflight set answered_at = answered_at - %d * interval '1 ms'", ms);
	finish(id, REASON_CALLEE_HANGUP);
}

/* ── the charge ───────────────────────────────────────────────────────────────── */

struct priced {
	const char *to;
	int         ms, rate, increment, minimum, max_duration;
	int         billed, charged;
};

/* Half a second below the edge, so that what the test itself takes does not matter. */
static void talk_is_billed_in_whole_increments_and_not_below_the_minimum(void **state)
{
	static const struct priced rows[] = {
		{ "+12025550100",  61500,  600,  1,  1, 3600,  62,  620 },
		{ "+12025550101",    500,  600,  6, 30, 3600,  30,  300 },
		{ "+12025550102",  29500,  600,  6, 30, 3600,  30,  300 },
		{ "+12025550103",  30500,  600,  6, 30, 3600,  36,  360 },
		{ "+12025550104",  59500,  600, 60,  1, 3600,  60,  600 },
		{ "+12025550105",  60500,  600, 60,  1, 3600, 120, 1200 },
		{ "+12025550106",    500,    1,  1,  1, 3600,   1,    1 },       /* rounded up, once */
		{ "+12025550107", 120500,    1, 60,  1, 3600, 180,    3 },
		{ "+12025550108",   9500,    0,  6,  1, 3600,  12,    0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct priced *p = &rows[i];

		talk(p->to, p->ms, p->rate, p->increment, p->minimum, p->max_duration);
		assert_int_equal(p->billed, sql("select billed_s from calls where to_e164 = '%s'", p->to));
		assert_int_equal(p->charged, sql("select charged_mc from calls where to_e164 = '%s'", p->to));
		check_books();
	}
}

/* The hang-up comes when it comes: a hold of the whole duration is always enough. */
static void talk_past_the_maximum_duration_is_not_billed(void **state)
{
	(void)state;
	talk("+12025550100", 65500, 600, 1, 1, 60);
	assert_int_equal(60, sql("select billed_s from calls"));
	assert_int_equal(600, sql("select charged_mc from calls"));
	talk("+12025550101", 65500, 600, 60, 1, 60);
	assert_int_equal(60, sql("select billed_s from calls where to_e164 = '+12025550101'"));
	check_books();
}

static void a_call_that_nobody_answered_is_billed_nothing_whatever_the_minimum(void **state)
{
	struct id id = accept_call("+12025550100");

	(void)state;
	sql("update calls set minimum_s = 30, increment_s = 60");
	claim_one();
	intend(id);
	finish(id, REASON_NO_ANSWER);
	assert_int_equal(1, sql("select (billed_s = 0 and charged_mc = 0)::int from calls"));
	assert_int_equal(0, sql("select held_mc from credit_accounts"));
	check_books();
}

/* ── the hold ─────────────────────────────────────────────────────────────────── */

static struct caller caller(void)
{
	struct caller c = { .org = 1 };

	sha256(KEY_TEXT, strlen(KEY_TEXT), c.hash);
	return c;
}

static struct id claimed(void)
{
	struct id id = accept_call("+12025550100");

	claim_one();
	return id;
}

static struct id dialed(void)
{
	struct id id = claimed();

	intend(id);
	return id;
}

static void cancel(struct id id, enum cancel_outcome want)
{
	struct cancel c = { .call_id = id };
	struct caller who = caller();

	DO(store_calls_cancel(s, &who, &c, 1, &e));
	assert_int_equal(want, c.outcome);
}

static void retry(struct id id, bool same)
{
	struct call_retry r = { .call = ref(id), .outcome = { .reason = REASON_CARRIER_UNAVAILABLE }, .same = same };

	DO(store_retry(s, gw, &r, 1, &e));
}

static void expire_queued(void)
{
	struct lane_key lane = { 1, 1, 1, 1 };
	size_t expired;

	usleep(2000);
	DO(store_expire_queued(s, gw, &lane, 1, 1, 10, &expired, &e));
	assert_int_equal(1, expired);
}

/* Another gateway takes over what this one leaves. */
static void crash(size_t want_asked_about)
{
	struct lane_key *lanes;
	struct inflight *f;
	size_t n, n_lanes;

	sql("delete from gateways");
	DO(store_gateway_open(s, "g2", "test", 30000, &gw, &e));
	DO(store_adopt(s, gw, 10, &f, &n, &lanes, &n_lanes, &e));
	assert_int_equal(want_asked_about, n);
	inflight_free_all(f, n);
	free(lanes);
}

static void by_age(void)
{
	accept_call("+12025550100");
	expire_queued();
}

static void by_its_own_bound(void)
{
	size_t expired, seen;

	accept_call("+12025550100");
	sql("update calls set expires_at = now(); update call_queue set timed = true;"
	    "insert into call_expiry select org_id, call_id, org_id %% 64, now() from call_queue");
	usleep(2000);
	DO(store_expire_due(s, gw, UINT64_MAX, 10, &expired, &seen, &e));
	assert_int_equal(1, expired);
}

static void by_the_client_while_it_waits(void)
{
	cancel(accept_call("+12025550100"), CANCEL_DONE);
}

static void by_the_client_while_it_is_claimed(void)
{
	cancel(claimed(), CANCEL_DONE);
}

static void by_the_client_in_flight(void)
{
	struct id id = dialed();

	cancel(id, CANCEL_REQUESTED);
	finish(id, REASON_CANCELED);
}

static void by_the_client_before_another_attempt(void)
{
	struct id id = dialed();

	retry(id, false);
	cancel(id, CANCEL_DONE);
}

static void by_age_after_it_was_put_back(void)
{
	struct id id = claimed();
	struct call_ref r = ref(id);

	DO(store_unclaim(s, gw, &r, 1, &e));
	expire_queued();
}

static void by_age_after_a_crash_before_it_was_dialed(void)
{
	claimed();
	crash(0);
	expire_queued();
}

static void by_a_crash_of_which_nobody_knows_more(void)
{
	struct id id = dialed();

	crash(1);
	finish(id, REASON_OUTCOME_UNKNOWN);
}

static void by_the_reaper(void)
{
	struct id id = dialed();
	struct overdue *late;
	size_t n;

	sql("update call_inflight set deadline_at = now() - interval '1 s'");
	DO(store_overdue(s, gw, 10, &late, &n, &e));
	assert_int_equal(1, n);
	free(late);
	finish(id, REASON_OVERDUE);
}

static void a_hold_ends_with_its_call_however_it_ends(void **state)
{
	static void (*const ends[])(void) = {
		by_age, by_its_own_bound, by_the_client_while_it_waits, by_the_client_while_it_is_claimed,
		by_the_client_in_flight, by_the_client_before_another_attempt, by_age_after_it_was_put_back,
		by_age_after_a_crash_before_it_was_dialed, by_a_crash_of_which_nobody_knows_more, by_the_reaper,
	};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		setup(state);
		ends[i]();
		if (!sql("select (balance_mc = 1000000 and held_mc = 0 and (select count(*) from calls where ended_at is not null"
		         " and hold_mc = 600) = 1)::int from credit_accounts"))
			fail_msg("way %zu", i);
		check_books();
	}
}

/* Every reason there is, answered or not. */
static void no_reason_leaves_a_hold(void **state)
{
	for (int reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
		setup(state);
		finish(dialed(), (enum call_reason)reason);
		assert_int_equal(0, sql("select held_mc from credit_accounts"));
		check_books();
	}
}

/* ── paying in ────────────────────────────────────────────────────────────────── */

static enum err book(struct credit_order order, struct credit_receipt *out)
{
	enum err err;

	order.org = "one";
	if (!order.kind)
		order.kind = LEDGER_TOP_UP;
	err = store_credits_book(s, &order, out, &e);
	if (!err)
		free(out->account);
	return err;
}

static void a_reference_is_booked_once(void **state)
{
	struct credit_receipt r;

	(void)state;
	DO(book((struct credit_order){ .account = "main", .amount_mc = 500, .reference = "r1", .note = "n" }, &r));
	assert_false(r.already);
	assert_int_equal(1000500, r.balance_mc);
	DO(book((struct credit_order){ .project = "p1", .amount_mc = 500, .reference = "r1" }, &r));
	assert_true(r.already);
	assert_int_equal(1000500, r.balance_mc);
	assert_int_equal(ERR_INVALID, book((struct credit_order){ .account = "main", .amount_mc = 501, .reference = "r1" }, &r));
	assert_int_equal(ERR_INVALID, book((struct credit_order){ .account = "main", .amount_mc = 500, .reference = "r1",
	                                                          .kind = LEDGER_CORRECTION }, &r));
	DO(book((struct credit_order){ .account = "main", .amount_mc = -500, .kind = LEDGER_CORRECTION, .note = "why" }, &r));
	assert_int_equal(1000000, r.balance_mc);
	check_books();
	sql("update credit_accounts set balance_mc = 1000000; delete from credit_ledger where note is not null");
}

static void what_is_not_there_cannot_be_paid_into(void **state)
{
	struct credit_receipt r;

	(void)state;
	assert_int_equal(ERR_NOT_FOUND, book((struct credit_order){ .account = "x", .amount_mc = 1 }, &r));
	assert_int_equal(ERR_NOT_FOUND, book((struct credit_order){ .project = "x", .amount_mc = 1 }, &r));
	assert_int_equal(ERR_NOT_FOUND, book((struct credit_order){ .amount_mc = 1 }, &r));      /* no default */
	sql("update organizations set default_account = 1");
	DO(book((struct credit_order){ .amount_mc = 1, .note = "n" }, &r));
	assert_int_equal(1000001, r.balance_mc);
	sql("update organizations set default_account = null; update credit_accounts set balance_mc = 1000000;"
	    "delete from credit_ledger where note = 'n'");
}

/* ── the ledger ───────────────────────────────────────────────────────────────── */

static size_t page(struct ledger_place *at, size_t limit, struct ledger_entry **out, bool *more)
{
	struct caller who = caller();
	enum read_outcome outcome;
	size_t n;

	DO(store_ledger_page(s, &who, "p1", at, limit, out, &n, more, &outcome, &e));
	assert_int_equal(READ_FOUND, outcome);
	if (n > 0)
		*at = (struct ledger_place){ (*out)[n - 1].at_us, (*out)[n - 1].id };
	return n;
}

/* Entries of one moment too. */
static void a_ledger_is_read_newest_first_and_to_its_end(void **state)
{
	struct ledger_place at = { 0 };
	struct ledger_entry *l;
	int64_t sum = 0, last = INT64_MAX;
	int seen = 0;
	bool more = true;

	(void)state;
	sql("insert into credit_ledger (org_id, account_id, kind, amount_mc, at) select 1, 1, 3, n, now() + n / 3 * interval '1 us'"
	    " from generate_series(1, 20) n");
	while (more) {
		size_t n = page(&at, 3, &l, &more);

		for (size_t i = 0; i < n; i++) {
			assert_true(l[i].at_us <= last);
			last = l[i].at_us;
			sum += l[i].amount_mc;
			seen++;
		}
		ledger_free(l, n);
	}
	assert_int_equal(21, seen);
	assert_int_equal(1000210, sum);
	sql("delete from credit_ledger where kind = 3");
}

/* Of another project on the same account the amount is seen, and not the call. */
static void the_ledger_names_only_calls_that_the_caller_may_see(void **state)
{
	struct ledger_place at = { 0 };
	struct ledger_entry *l;
	bool more;

	(void)state;
	talk("+12025550100", 10500, 600, 1, 1, 3600);
	talk("+12025550101", 10500, 600, 1, 1, 3600);
	sql("update calls set project_id = 2 where to_e164 = '+12025550101'");
	assert_int_equal(3, page(&at, 10, &l, &more));
	assert_false(more);
	assert_int_equal(LEDGER_CALL, l[0].kind);
	assert_int_equal(-110, l[0].amount_mc);
	assert_false(l[0].has_call);
	assert_true(l[1].has_call);
	assert_int_equal(LEDGER_TOP_UP, l[2].kind);
	ledger_free(l, 3);
}

static void credits_are_shown_to_members_alone(void **state)
{
	struct caller who = caller();
	struct project_credits c;
	struct ledger_entry *l;
	struct ledger_place at = { 0 };
	enum read_outcome outcome;
	size_t n;
	bool more;

	(void)state;
	accept_call("+12025550100");
	DO(store_project_credits(s, &who, "p1", &c, &e));
	assert_int_equal(READ_FOUND, c.outcome);
	assert_string_equal("main", c.account);
	assert_int_equal(1000000, c.balance_mc);
	assert_int_equal(600, c.held_mc);
	free(c.account);
	DO(store_project_credits(s, &who, "p2", &c, &e));
	assert_int_equal(READ_NOT_FOUND, c.outcome);
	sql("delete from project_members");
	DO(store_project_credits(s, &who, "p1", &c, &e));
	assert_int_equal(READ_NOT_FOUND, c.outcome);
	assert_null(c.account);
	DO(store_ledger_page(s, &who, "p1", &at, 10, &l, &n, &more, &outcome, &e));
	assert_int_equal(READ_NOT_FOUND, outcome);
	assert_int_equal(0, n);
	ledger_free(l, n);
	sql("insert into project_members values (1, 1, '00000000-0000-4000-8000-000000000001')");
	who.hash[0] ^= 1;
	DO(store_project_credits(s, &who, "p1", &c, &e));
	assert_int_equal(READ_KEY_UNKNOWN, c.outcome);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(talk_is_billed_in_whole_increments_and_not_below_the_minimum, setup),
		cmocka_unit_test_setup(talk_past_the_maximum_duration_is_not_billed, setup),
		cmocka_unit_test_setup(a_call_that_nobody_answered_is_billed_nothing_whatever_the_minimum, setup),
		cmocka_unit_test_setup(a_hold_ends_with_its_call_however_it_ends, setup),
		cmocka_unit_test_setup(no_reason_leaves_a_hold, setup),
		cmocka_unit_test_setup(a_reference_is_booked_once, setup),
		cmocka_unit_test_setup(what_is_not_there_cannot_be_paid_into, setup),
		cmocka_unit_test_setup(a_ledger_is_read_newest_first_and_to_its_end, setup),
		cmocka_unit_test_setup(the_ledger_names_only_calls_that_the_caller_may_see, setup),
		cmocka_unit_test_setup(credits_are_shown_to_members_alone, setup),
	};
	int failed;

	scratch_open();
	seed_tenant();
	s = store_new(scratch_url, "money");
	failed = cmocka_run_group_tests_name("store_money", tests, NULL, NULL);
	store_free(s);
	scratch_close();
	return failed;
}
