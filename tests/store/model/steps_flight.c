/* Gateways claim and dial, and hear what became of it. */
#include "steps.h"

#include <stdlib.h>

#include "run.h"

/* ── out of the queue ─────────────────────────────────────────────────────────── */

static int cmp_inflight(const void *a, const void *b)
{
	return id_cmp(&((const struct inflight *)a)->call_id, &((const struct inflight *)b)->call_id);
}

static int cmp_index(const void *a, const void *b)
{
	return id_cmp(&book.calls[*(const int *)a].id, &book.calls[*(const int *)b].id);
}

bool step_claim(void)
{
	struct gate *g = choose_gate();
	struct claim_want want[64];
	struct inflight *out = NULL;
	int expected[256], n_expected = 0, i;
	size_t n_want = make_wants(want), n, k;

	if (g->is == BURIED)
		return false;
	DO(store_claim(g->s, g->id, want, n_want, 30000, &out, &n, &e));
	for (k = 0; k < n_want && g->is == LIVES; k++)
		n_expected += book_claim(&book, g->id, project_of(&want[k].lane), want[k].lane.trunk_id, want[k].lane.prio,
		                         want[k].take, expected + n_expected);
	note("claim %d by %lld", n_expected, (long long)g->id);
	MUST((int)n == n_expected);
	qsort(out, n, sizeof *out, cmp_inflight);
	qsort(expected, (size_t)n_expected, sizeof *expected, cmp_index);
	for (i = 0; i < n_expected; i++)
		check_claimed(&out[i], &book.calls[expected[i]]);
	inflight_free_all(out, n);
	return true;
}

bool step_intent(void)
{
	struct book_call *c = choose(chance(85) ? is_claimed : in_flight);
	struct gate *g = choose_gate();
	struct call_ref ref;
	const char *name = "room";
	bool may, expected;
	int i;

	for (i = 0; c && i < GATES && chance(80); i++)
		if (gates[i].id == c->gateway)
			g = &gates[i];
	/* A claimed call says that its last moment has passed: the scheduler does not dial it. */
	if (!c || g->is == BURIED || c->late)
		return false;
	ref = ref_of(c);
	ref.attempt -= chance(5);
	DO(store_intent(g->s, g->id, &ref, &name, 1, &may, &e));
	expected = g->is == LIVES && book_may_dial(c, g->id, ref.attempt);
	note("intent %s attempt %d by %lld: %s", name_of(c), ref.attempt, (long long)g->id, may ? "may dial" : "no");
	MUST(may == expected);
	if (may)
		book_intent(c);
	return true;
}

bool step_unclaim(void)
{
	struct book_call *c = choose(is_claimed);
	struct gate *g = choose_gate();
	struct call_ref ref;

	if (!c)
		return false;
	ref = ref_of(c);
	DO(store_unclaim(g->s, g->id, &ref, 1, &e));
	note("unclaim %s by %lld", name_of(c), (long long)g->id);
	if (c->gateway == g->id)
		book_unclaim(c);
	return true;
}

/* ── what the provider says ───────────────────────────────────────────────────── */

bool step_progress(void)
{
	struct book_call *c = choose(is_dialed);
	struct call_progress p = { .ringing = chance(50), .provider_ref = "ref" };

	if (!c)
		return false;
	p.uncertain = !p.ringing && chance(15);
	p.answered = !p.ringing && !p.uncertain;
	p.call = ref_of(c);
	p.call.attempt -= chance(10);           /* a late word about an earlier attempt */
	DO(store_progress(choose_gate()->s, &p, 1, &e));
	note("progress %s attempt %d%s%s%s", name_of(c), p.call.attempt, p.ringing ? " ringing" : "", p.answered ? " answered" : "",
	     p.uncertain ? " uncertain" : "");
	if (p.call.attempt == c->attempt)
		book_progress(c, p.ringing, p.answered, p.uncertain);
	return true;
}

/* Seconds of talk, without talking so long. */
static void let_talk(const struct book_call *c)
{
	int ms = pick(200000);

	run_sql("update call_inflight set initiated_at = initiated_at - %d * interval '1 ms', ringing_at = ringing_at - %d * interval"
	    " '1 ms', answered_at = answered_at - %d * interval '1 ms' where org_id = %d and call_id = '%s'", ms, ms, ms, c->org,
	    text_of(c));
}

static int64_t talked_ms(const struct book_call *c)
{
	return run_sql("select ceil(extract(epoch from ended_at - answered_at) * 1000)::bigint from calls"
	           " where org_id = %d and call_id = '%s'", c->org, text_of(c));
}

static enum call_reason make_reason(const struct book_call *c)
{
	static const enum call_reason talked[] = { REASON_CALLEE_HANGUP, REASON_AGENT_HANGUP, REASON_MAX_DURATION, REASON_VOICEMAIL };
	static const enum call_reason silent[] = { REASON_BUSY, REASON_NO_ANSWER, REASON_DECLINED, REASON_CARRIER_BLOCKED,
	                                           REASON_OUTCOME_UNKNOWN, REASON_OVERDUE, REASON_CARRIER_UNAVAILABLE,
	                                           REASON_PROVIDER_ERROR };

	if (c->late && c->phase == 0)
		return REASON_QUEUE_EXPIRED;
	if (c->cancel && chance(60))
		return c->answered ? REASON_AGENT_HANGUP : REASON_CANCELED;
	return c->answered ? talked[pick(ARRAY_LEN(talked))] : silent[pick(ARRAY_LEN(silent))];
}

bool step_finish(void)
{
	struct book_call *c = chance(90) ? choose(in_flight) : book.n_calls ? &book.calls[pick(book.n_calls)] : NULL;
	struct call_end end;
	bool expected;

	if (!c)
		return false;
	if (c->place == IN_FLIGHT && c->answered)
		let_talk(c);
	end = (struct call_end){ .call = ref_of(c), .outcome = { .reason = make_reason(c), .sip_code = 200 } };
	end.call.attempt -= chance(5);
	expected = c->place == IN_FLIGHT && end.call.attempt == c->attempt;
	DO(store_finish(choose_gate()->s, &end, 1, &e));
	note("finish %s attempt %d: %s", name_of(c), end.call.attempt, call_reason_info(end.outcome.reason)->code);
	MUST(end.ended == expected);
	if (expected)
		book_end(&book, c, end.outcome.reason, c->answered ? talked_ms(c) : 0);
	return true;
}

bool step_retry(void)
{
	struct book_call *c = choose(in_flight);
	struct gate *g = choose_gate();
	struct call_retry r = { .outcome = { .reason = REASON_CARRIER_UNAVAILABLE, .sip_code = 503, .undialed = chance(30) } };
	bool due = chance(50), done;

	if (!c || c->answered || c->attempt > 2)
		return false;
	r.call = ref_of(c);
	r.same = c->phase == 0;
	r.delay_ms = due ? 0 : TTL_MS;
	DO(store_retry(g->s, g->id, &r, 1, &e));
	stop_the_clock();
	done = !c->cancel && (!r.same || c->gateway == g->id);
	MUST(r.done == done);
	note("retry %s%s%s by %lld: %s", name_of(c), r.same ? " same" : "", due ? " now" : "", (long long)g->id, done ? "done" : "no");
	if (done)
		book_retry(c, r.outcome.reason, r.same, r.outcome.undialed, due);
	return true;
}
