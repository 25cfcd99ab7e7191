/* What a call costs: billed seconds by increment and minimum, the hold that bounds the
 * charge, and a ledger that sums to the balance whatever ends a call. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(talk_is_billed_in_whole_increments_and_not_below_the_minimum, setup),
		cmocka_unit_test_setup(talk_past_the_maximum_duration_is_not_billed, setup),
		cmocka_unit_test_setup(a_call_that_nobody_answered_is_billed_nothing_whatever_the_minimum, setup),
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
