/* Two at once: everything that may happen to a call in some place is done twice over, by two
 * connections in the same instant, in all pairs and many times. Whoever was first, what both
 * were told must fit together, and the books must balance. The model test (model.c) does one
 * thing after another and knows what comes of each; here nobody knows who wins, but there
 * has to be a winner. */
#include "scratch.h"

#include <pthread.h>

#include "callgate/call.h"
#include "callgate/clock.h"
#include "callgate/store_life.h"

#define ROUNDS    8
#define TTL_MS    600000
#define OLD_TEXT  "{\"n\":1}"
#define NEW_TEXT  "{\"n\":2}"

enum place { WAITS, IS_DUE, IS_LATE, IS_CLAIMED, IS_DIALED, WAS_CLAIMED, WAS_DIALED, PLACES };
enum act { CLAIM, UNCLAIM, INTENT, PROMOTE, FINISH, RETRY, ADOPT, CANCEL, EDIT, POSTPONE, EXPIRE, ACTS };

static const char *const place_names[] = { "waits", "is due", "is late", "is claimed", "is dialed", "was claimed by the dead",
                                           "was dialed by the dead" };
static const char *const act_names[] = { "claim", "unclaim", "intent", "promote", "finish", "retry", "adopt", "cancel", "edit",
                                         "postpone", "expire" };

#define BIT(n) (1u << (n))
static const unsigned may_meet[PLACES] = {
	[WAITS]       = BIT(CLAIM) | BIT(CANCEL) | BIT(EDIT) | BIT(POSTPONE),
	[IS_DUE]      = BIT(PROMOTE) | BIT(CLAIM) | BIT(CANCEL) | BIT(EDIT) | BIT(POSTPONE),
	[IS_LATE]     = BIT(EXPIRE) | BIT(CLAIM) | BIT(CANCEL) | BIT(EDIT),
	[IS_CLAIMED]  = BIT(INTENT) | BIT(UNCLAIM) | BIT(FINISH) | BIT(CANCEL) | BIT(EDIT),
	[IS_DIALED]   = BIT(FINISH) | BIT(RETRY) | BIT(CANCEL) | BIT(EDIT),
	[WAS_CLAIMED] = BIT(ADOPT) | BIT(CANCEL) | BIT(EDIT) | BIT(FINISH),
	[WAS_DIALED]  = BIT(ADOPT) | BIT(CANCEL) | BIT(FINISH) | BIT(RETRY),
};

/* What one of the two did and was told. */
struct deed {
	struct store       *s;
	int64_t             gateway;
	enum act            act;
	struct id           call;
	pthread_barrier_t  *start;
	enum err            err;
	struct errinfo      e;
	bool                won;        /* claimed it, may dial it, ended it, … */
	bool                new_text;   /* of a claimed call                    */
	enum cancel_outcome cancel;
	enum edit_outcome   edit;
};

static struct store *stores[2];
static int64_t gateways[2];

static struct caller caller(void)
{
	struct caller c = { .org = 1 };

	sha256(KEY_TEXT, strlen(KEY_TEXT), c.hash);
	return c;
}

/* ── the deeds ────────────────────────────────────────────────────────────────── */

static enum err do_claim(struct deed *d)
{
	struct claim_want want = { .lane = { 1, 1, 1, 1 }, .take = 5 };
	struct inflight *out = NULL;
	size_t n = 0;
	enum err err = store_claim(d->s, d->gateway, &want, 1, 30000, &out, &n, &d->e);

	d->won = n > 0;
	d->new_text = n > 0 && !strcmp(out->variables, NEW_TEXT);
	if (!err)
		inflight_free_all(out, n);
	return err;
}

static enum err do_adopt(struct deed *d)
{
	struct inflight *out = NULL;
	struct lane_key *lanes = NULL;
	size_t n = 0, n_lanes = 0;
	enum err err = store_adopt(d->s, d->gateway, 10, &out, &n, &lanes, &n_lanes, &d->e);

	d->won = n + n_lanes > 0;
	if (!err) {
		inflight_free_all(out, n);
		free(lanes);
	}
	return err;
}

static enum err do_promote(struct deed *d)
{
	struct lane_key *lanes = NULL;
	size_t n = 0;
	enum err err = store_promote(d->s, d->gateway, UINT64_MAX, 10, &lanes, &n, &d->e);

	d->won = n > 0;
	if (!err)
		free(lanes);
	return err;
}

static enum err do_finish(struct deed *d)
{
	struct call_end end = { .call = { 1, d->call, 1 }, .outcome = { .reason = REASON_BUSY, .sip_code = 486 } };
	enum err err = store_finish(d->s, &end, 1, &d->e);

	d->won = end.ended;
	return err;
}

static enum err do_retry(struct deed *d)
{
	struct call_retry retry = { .call = { 1, d->call, 1 }, .outcome = { .reason = REASON_CARRIER_UNAVAILABLE },
	                            .delay_ms = TTL_MS };
	enum err err = store_retry(d->s, d->gateway, &retry, 1, &d->e);

	d->won = retry.done;
	return err;
}

static enum err do_cancel(struct deed *d)
{
	struct cancel item = { .call_id = d->call };
	struct caller who = caller();
	enum err err = store_calls_cancel(d->s, &who, &item, 1, &d->e);

	d->cancel = item.outcome;
	d->won = item.outcome == CANCEL_DONE;
	return err;
}

static enum err do_edit(struct deed *d)
{
	struct call_edit edit = { .call_id = d->call, .set_variables = true, .variables = NEW_TEXT, .edits = -1 };
	struct caller who = caller();
	enum err err;

	if (d->act == POSTPONE) {
		edit.set_variables = false;
		edit.set_scheduled = true;
		edit.scheduled_ms = wall_ms() + 3600000;
	}
	err = store_call_edit(d->s, &who, &edit, rules.queue_ttl_s, &d->e);
	d->edit = edit.outcome;
	d->won = edit.outcome == EDIT_DONE;
	return err;
}

static enum err do_act(struct deed *d)
{
	struct call_ref ref = { 1, d->call, 1 };
	size_t expired = 0, seen;
	enum err err;

	switch (d->act) {
	case CLAIM:    return do_claim(d);
	case UNCLAIM:  return store_unclaim(d->s, d->gateway, &ref, 1, &d->e);
	case INTENT:   return store_intent(d->s, d->gateway, &ref, NULL, 1, &d->won, &d->e);
	case PROMOTE:  return do_promote(d);
	case FINISH:   return do_finish(d);
	case RETRY:    return do_retry(d);
	case ADOPT:    return do_adopt(d);
	case CANCEL:   return do_cancel(d);
	case EDIT:
	case POSTPONE: return do_edit(d);
	case EXPIRE:
		err = store_expire_due(d->s, d->gateway, UINT64_MAX, 10, &expired, &seen, &d->e);
		d->won = expired > 0;
		return err;
	case ACTS:
		break;
	}
	return ERR_INTERNAL;
}

static void *run_deed(void *arg)
{
	struct deed *d = arg;

	pthread_barrier_wait(d->start);
	d->err = do_act(d);
	return NULL;
}

/* ── the place ────────────────────────────────────────────────────────────────── */

static void must(enum err err, const struct errinfo *e)
{
	if (err) {
		print_error("%s\n", e->text);
		fail();
	}
}

static void put_in_flight(enum place p, struct id call)
{
	struct deed d = { .s = stores[0], .gateway = gateways[0], .act = CLAIM, .call = call };

	must(do_act(&d), &d.e);
	assert_true(d.won);
	if (p == IS_DIALED || p == WAS_DIALED) {
		d.act = INTENT;
		must(do_act(&d), &d.e);
		assert_true(d.won);
	}
	if (p == WAS_CLAIMED || p == WAS_DIALED)
		sql("update call_inflight set gateway_id = 0");
}

/* As clear_calls() does, but for tables with one call in them: truncating takes longer than a race. */
static void clear_one(void)
{
	sql("delete from calls; delete from call_events; delete from call_queue; delete from call_schedule;"
	    "delete from call_inflight; delete from destination_locks; delete from call_expiry; delete from gateways;"
	    "update shards set gateway_id = null where gateway_id is not null; delete from credit_ledger where kind <> 1;"
	    "update credit_accounts set balance_mc = 1000000, held_mc = 0");
}

static struct id put_call(enum place p)
{
	struct admission a = make_admission("+12025550100");
	struct errinfo e;
	int i;

	clear_one();
	for (i = 0; i < 2; i++)
		must(store_gateway_open(stores[i], "racer", "test", TTL_MS, &gateways[i], &e), &e);
	a.variables = OLD_TEXT;
	if (p == IS_DUE)
		a.scheduled_ms = wall_ms() + 3600000;
	if (p == IS_LATE)
		a.expires_ms = wall_ms() + 3600000;
	assert_int_equal(ADMIT_ACCEPTED, admit_one(stores[0], &a));
	if (p == IS_DUE)
		sql("update call_schedule set run_at = now() - interval '1 s'");
	if (p == IS_LATE)
		sql("update calls set expires_at = now() - interval '1 s'; update call_expiry set at = now() - interval '1 s'");
	if (p >= IS_CLAIMED)
		put_in_flight(p, a.call_id);
	return a.call_id;
}

/* ── what must fit together ───────────────────────────────────────────────────── */

static bool ends_it(const struct deed *d)
{
	return d->won && (d->act == FINISH || d->act == CANCEL || d->act == EXPIRE);
}

static bool did(const struct deed *d, enum act act)
{
	return d->act == act && d->won;
}

static int changes(const struct deed *d)
{
	return did(d, EDIT) + did(d, POSTPONE);
}

/* Of two that did the same only one can have done it; but putting it off has a time of its own
 * each time. */
static const char *look_at_both(const struct deed *a, const struct deed *b)
{
	if (ends_it(a) && ends_it(b))
		return "it ended twice";
	if (a->act == b->act && a->act != POSTPONE && a->won && b->won)
		return "both did it";
	if (did(a, CANCEL) && did(b, INTENT))
		return "canceled, and may be dialed";
	if (did(a, CANCEL) && did(b, RETRY) && sql("select count(*) from call_schedule"))
		return "canceled, and waits for another attempt";
	if (a->act == CANCEL && a->cancel == CANCEL_REQUESTED && did(b, RETRY))
		return "its end was asked for, and it is tried again";
	if (a->act == CANCEL && a->cancel == CANCEL_REQUESTED && !ends_it(b) &&
	    !sql("select count(*) from call_inflight where cancel_at is not null"))
		return "its end was asked for, and nobody knows";
	if (did(a, EDIT) && did(b, CLAIM) && !b->new_text)
		return "changed, and claimed as it was";
	if (did(a, POSTPONE) && (did(b, CLAIM) || sql("select count(*) from destination_locks")))
		return "put off, and not";
	if (changes(a) + changes(b) != sql("select edits from calls"))
		return "changed, and not counted";
	if (did(a, EDIT) && !sql("select count(*) from calls where variables = '" NEW_TEXT "'"))
		return "changed, and as it was";
	if (a->act == CANCEL && a->cancel >= CANCEL_NOT_FOUND)
		return "a cancel did not find it";
	return NULL;
}

static void check_pair(enum place p, const struct deed *d)
{
	const char *wrong;
	int i;

	for (i = 0; i < 2; i++)
		if (d[i].err)
			print_error("%s: %s beside %s: %s\n", place_names[p], act_names[d[i].act], act_names[d[!i].act], d[i].e.text);
	assert_int_equal(OK, d[0].err);
	assert_int_equal(OK, d[1].err);
	wrong = look_at_both(&d[0], &d[1]);
	if (!wrong)
		wrong = look_at_both(&d[1], &d[0]);
	if (wrong) {
		print_error("%s: %s (%s, %d/%d) and %s (%s, %d/%d): %s\n", place_names[p], act_names[d[0].act], d[0].won ? "did" : "did not",
		            d[0].cancel, d[0].edit, act_names[d[1].act], d[1].won ? "did" : "did not", d[1].cancel, d[1].edit, wrong);
		fail();
	}
	assert_in_range(sql("select count(*) from call_events where kind between 4 and 8"), 0, 1);
	check_books();
}

static void race(enum place p, enum act one, enum act other)
{
	struct deed d[2] = { { .act = one }, { .act = other } };
	pthread_barrier_t start;
	pthread_t thread;
	struct id call = put_call(p);
	int i;

	pthread_barrier_init(&start, NULL, 2);
	for (i = 0; i < 2; i++) {
		d[i].s = stores[i];
		d[i].gateway = gateways[d[i].act == CLAIM || d[i].act == ADOPT || d[i].act == PROMOTE || d[i].act == EXPIRE ? i : 0];
		d[i].call = call;
		d[i].start = &start;
	}
	assert_int_equal(0, pthread_create(&thread, NULL, run_deed, &d[1]));
	run_deed(&d[0]);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&start);
	check_pair(p, d);
}

static void whatever_two_do_to_a_call_at_once_fits_together(void **state)
{
	int p, a, b, round;

	(void)state;
	for (round = 0; round < ROUNDS; round++)
		for (p = 0; p < PLACES; p++)
			for (a = 0; a < ACTS; a++)
				for (b = a; b < ACTS; b++)
					if (may_meet[p] & BIT(a) && may_meet[p] & BIT(b))
						race((enum place)p, (enum act)a, (enum act)b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(whatever_two_do_to_a_call_at_once_fits_together) };
	int failed, i;

	scratch_open();
	seed_tenant();
	for (i = 0; i < 2; i++)
		stores[i] = store_new(scratch_url, "racer");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (i = 0; i < 2; i++)
		store_free(stores[i]);
	scratch_close();
	return failed;
}
