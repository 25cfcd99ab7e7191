/* The whole life of calls against a small reference (model/book.h): thousands of random
 * steps by several gateways that claim, dial, hear, crash, wake up and adopt, while clients
 * post, repeat, cancel and change calls and time passes. After each step what the store
 * answered must be what the book expects; every so often everything that is stored must be
 * what the book knows.
 *
 *     CALLGATE_TEST_MODEL_SEED   which run; the same seed gives the same run
 *     CALLGATE_TEST_MODEL_STEPS  how many steps
 *
 * Nothing waits here. Moments that have to pass (a call is due, its last moment is over, a
 * lease has run out) are steps that move the stored moment into the past, so that a run is
 * the same on a slow machine. */
#include "scratch.h"

#include <inttypes.h>
#include <time.h>

#include "callgate/clock.h"
#include "callgate/store_life.h"
#include "callgate/store_money.h"
#include "model/book.h"
#include "model/compare.h"
#include "model/seed.h"

#define GATES      3
#define INTAKES    2
#define STEPS      4000
#define COMPARE_AT 40
#define BATCH      4
#define LIVE_MAX   40
#define TTL_MS     3600000
#define OLD_MS     7200000
#define DAY_MS     86400000
#define TRACE      40
#define REFERENCES 20           /* of invoices, for each account */

enum gate_is { LIVES, LAPSED, BURIED };

struct gate {
	struct store *s;
	int64_t       id;
	enum gate_is  is;
};

static struct book book;
static struct gate gates[GATES];
static struct store *intakes[INTAKES];
static struct errinfo e;
static uint64_t seed, dice;
static int steps, step, requests, keys_used = 1;
static char trace[TRACE][160];

/* ── chance, and what is said when something is wrong ─────────────────────────── */

/* splitmix64 */
static uint64_t roll(void)
{
	uint64_t z = dice += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static int pick(int n)
{
	return (int)(roll() % (uint64_t)n);
}

static bool chance(int percent)
{
	return pick(100) < percent;
}

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	char *line = trace[step % TRACE];
	va_list ap;
	int n;

	n = snprintf(line, sizeof trace[0], "%5d ", step);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof trace[0] - (size_t)n, fmt, ap);
	va_end(ap);
}

static _Noreturn void wrong(const char *what)
{
	int i;

	print_error("%s\nCALLGATE_TEST_MODEL_SEED=%" PRIu64 ", step %d; the last steps:\n", what, seed, step);
	for (i = step < TRACE ? 0 : step - TRACE + 1; i <= step; i++)
		print_error("%s\n", trace[i % TRACE]);
	fail();
	abort();
}

#define MUST(condition) do { if (!(condition)) wrong("not as expected: " #condition); } while (0)
#define DO(call) do { if (call) { print_error("%s\n", e.text); wrong(#call); } } while (0)

static const char *name_of(const struct book_call *c)
{
	static char names[8][24];
	static int next;
	char id[ID_TEXT_SIZE], *out = names[next++ % 8];

	id_format(&c->id, id);
	snprintf(out, sizeof names[0], "#%d(%.13s)", (int)(c - book.calls), id);
	return out;
}

/* ── choosing ─────────────────────────────────────────────────────────────────── */

static bool any(const struct book_call *c)         { return book_is_live(c); }
static bool in_flight(const struct book_call *c)   { return c->place == IN_FLIGHT; }
static bool is_claimed(const struct book_call *c)  { return c->place == IN_FLIGHT && c->phase == 0; }
static bool is_dialed(const struct book_call *c)   { return c->place == IN_FLIGHT && c->phase > 0; }
static bool is_waiting(const struct book_call *c)  { return c->place == IN_SCHEDULE && !c->due; }
static bool has_a_last_moment(const struct book_call *c) { return book_is_live(c) && c->timed && !c->late; }

/* One of the calls for which it holds, or NULL. */
static struct book_call *choose(bool (*holds)(const struct book_call *))
{
	int i, n = 0, nth;

	for (i = 0; i < book.n_calls; i++)
		n += holds(&book.calls[i]);
	if (n == 0)
		return NULL;
	nth = pick(n);
	for (i = 0; ; i++)
		if (holds(&book.calls[i]) && nth-- == 0)
			return &book.calls[i];
}

static int count(bool (*holds)(const struct book_call *))
{
	int i, n = 0;

	for (i = 0; i < book.n_calls; i++)
		n += holds(&book.calls[i]);
	return n;
}

static struct call_ref ref_of(const struct book_call *c)
{
	return (struct call_ref){ c->org, c->id, c->attempt };
}

static struct gate *choose_gate(void)
{
	return &gates[pick(GATES)];
}

static const char *text_of(const struct book_call *c)
{
	static char id[ID_TEXT_SIZE];

	id_format(&c->id, id);
	return id;
}

/* ── accepting ────────────────────────────────────────────────────────────────── */

static struct id id_of_then(int64_t ago_ms)
{
	struct id id = id_new();
	int64_t ms = id_ms(&id) - ago_ms;
	int i;

	for (i = 5; i >= 0; i--, ms >>= 8)
		id.b[i] = (uint8_t)ms;
	return id;
}

/* A day ahead, and no two the same. */
static int64_t make_time(void)
{
	return wall_ms() + DAY_MS + ++requests;
}

static void make_ask(struct book_ask *a)
{
	*a = (struct book_ask){
		.key = chance(3) ? book_n_keys - 1 : pick(book_n_keys - 1), .project = pick(book_n_projects),
		.number = pick(book_n_numbers + 1), .dest = pick(book_n_dests), .prio = pick(3), .body_ok = !chance(2),
		.ring_s = chance(20) ? 5 + pick(76) : 0, .max_s = chance(25) ? 1 + pick(700) : 0,
		.scheduled_ms = chance(15) ? make_time() : 0, .expires = chance(20), .old = chance(8), .text = ++requests,
	};
	/* Mostly what can succeed. */
	if (chance(85)) {
		while (book_projects[a->project].org != book_keys[a->key].org)
			a->project = pick(book_n_projects);
		a->number = book_keys[a->key].org == 1 ? pick(2) : 4;
	}
	if (a->scheduled_ms)
		a->old = false;
	if (chance(35)) {
		a->idem = keys_used > 8 && chance(60) ? keys_used - pick(8) : ++keys_used;
		a->print = chance(85) ? 0 : 1;
	}
	a->id = a->old ? id_of_then(OLD_MS) : id_new();
	snprintf(a->request_id, sizeof a->request_id, "r%d", requests);
}

struct posted {
	struct admission a;
	char    text[32];
	uint8_t key[SHA256_SIZE], print[SHA256_SIZE];
};

static void make_admission_of(const struct book_ask *ask, struct posted *p)
{
	const struct org_key *k = &book_keys[ask->key];
	int64_t now = wall_ms();

	*p = (struct posted){ .key = { (uint8_t)(ask->idem >> 8), (uint8_t)ask->idem }, .print = { (uint8_t)ask->print } };
	snprintf(p->text, sizeof p->text, "{\"n\":%d}", ask->text);
	p->a = (struct admission){
		.key_org = k->org, .body_ok = ask->body_ok, .project = book_projects[ask->project].id,
		.from = ask->number < book_n_numbers ? book_numbers[ask->number].e164 : "+19995550000",
		.to = book_dests[ask->dest], .variables = p->text, .prio = (int16_t)ask->prio, .ring_timeout_s = ask->ring_s,
		.max_duration_s = ask->max_s, .scheduled_ms = ask->scheduled_ms, .expires_ms = ask->expires ? now + 3 * DAY_MS : 0, .request_id = ask->request_id, .call_id = ask->id,
	};
	if (ask->idem) {
		p->a.idem_key = p->key;
		p->a.idem_print = p->print;
	}
	sha256(k->text, strlen(k->text), p->a.key_hash);
}

static void take_answer(const struct admission *a, struct book_answer *out)
{
	*out = (struct book_answer){ .outcome = a->outcome, .replayed = a->replayed, .id = a->call_id };
	if (a->replayed)
		memcpy(out->request_id, a->first_request_id, sizeof out->request_id - 1);
}

static bool step_accept(void)
{
	struct book_ask asks[BATCH];
	struct posted posted[BATCH];
	struct admission *items[BATCH];
	struct book_answer answers[BATCH];
	struct store *s = intakes[pick(INTAKES)];
	int i, n = 1 + pick(BATCH), accepted = 0;

	if (count(any) > LIVE_MAX)
		return false;
	for (i = 0; i < n; i++) {
		make_ask(&asks[i]);
		make_admission_of(&asks[i], &posted[i]);
		items[i] = &posted[i].a;
	}
	DO(store_admit(s, items, (size_t)n, &rules, &e));
	DO(store_admit_flush(s, items, (size_t)n, &rules, &e));
	for (i = 0; i < n; i++) {
		take_answer(items[i], &answers[i]);
		accepted += answers[i].outcome == ADMIT_ACCEPTED;
	}
	note("accept %d of %d", accepted, n);
	if (book_admit(&book, asks, answers, n))
		return true;
	for (i = 0; i < n; i++) {
		struct book_answer would;
		int64_t hold;

		book_would_admit(&book, &asks[i], &would, &hold);
		print_error("  key %d project %d number %d to %s%s%s idem %d/%d: outcome %d%s; alone it would be %d%s\n", asks[i].key,
		            asks[i].project, asks[i].number, book_dests[asks[i].dest], asks[i].scheduled_ms ? " scheduled" : "",
		            asks[i].expires ? " expires" : "", asks[i].idem, asks[i].print, answers[i].outcome,
		            answers[i].replayed ? " replayed" : "", would.outcome, would.replayed ? " replayed" : "");
	}
	wrong("in no order do these requests have these answers");
}

/* ── out of the queue ─────────────────────────────────────────────────────────── */

static int cmp_inflight(const void *a, const void *b)
{
	return id_cmp(&((const struct inflight *)a)->call_id, &((const struct inflight *)b)->call_id);
}

static int cmp_index(const void *a, const void *b)
{
	return id_cmp(&book.calls[*(const int *)a].id, &book.calls[*(const int *)b].id);
}

static size_t make_wants(struct claim_want *want)
{
	size_t n = 0;
	int p, t, prio;

	for (p = 0; p < book_n_projects; p++)
		for (t = 0; t < 3; t++)
			for (prio = 0; prio < 3; prio++)
				if (chance(60))
					want[n++] = (struct claim_want){
						.lane = { book_projects[p].org, book_projects[p].number, t, (int16_t)prio }, .take = 1 + pick(3) };
	return n;
}

static int project_of(const struct lane_key *lane)
{
	int p;

	for (p = 0; book_projects[p].org != lane->org_id || book_projects[p].number != lane->project_id; p++)
		;
	return p;
}

static void check_claimed(const struct inflight *f, const struct book_call *c)
{
	MUST(id_cmp(&f->call_id, &c->id) == 0);
	MUST(f->attempt == c->attempt && f->phase == c->phase && f->state == c->state);
	MUST(!strcmp(f->to, book_dests[c->dest]));
	MUST(f->lane.org_id == c->org && f->lane.trunk_id == c->trunk && f->lane.prio == c->prio);
	MUST(f->cancel == c->cancel);
	MUST((f->expires_ms != INT64_MAX) == c->timed && (f->expires_ms <= 0) == c->late);
}

static bool step_claim(void)
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

static bool step_intent(void)
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

static bool step_unclaim(void)
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

static bool step_progress(void)
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

	sql("update call_inflight set initiated_at = initiated_at - %d * interval '1 ms', ringing_at = ringing_at - %d * interval"
	    " '1 ms', answered_at = answered_at - %d * interval '1 ms' where org_id = %d and call_id = '%s'", ms, ms, ms, c->org,
	    text_of(c));
}

static int64_t talked_ms(const struct book_call *c)
{
	return sql("select ceil(extract(epoch from ended_at - answered_at) * 1000)::bigint from calls"
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

static bool step_finish(void)
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

/* What waits for a moment soon to come waits for a step instead. */
static void stop_the_clock(void)
{
	sql("update call_schedule set run_at = run_at + interval '1 day'"
	    " where run_at > clock_timestamp() and run_at < clock_timestamp() + interval '2 hours'");
}

static bool step_retry(void)
{
	struct book_call *c = choose(in_flight);
	struct gate *g = choose_gate();
	struct call_retry r = { .outcome = { .reason = REASON_CARRIER_UNAVAILABLE, .sip_code = 503 } };
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
		book_retry(c, r.same, due);
	return true;
}

/* ── time passes ──────────────────────────────────────────────────────────────── */

static bool step_comes_due(void)
{
	struct book_call *c = choose(is_waiting);

	if (!c)
		return false;
	sql("update call_schedule set run_at = clock_timestamp() - interval '1 s' where org_id = %d and call_id = '%s'", c->org,
	    text_of(c));
	c->due = true;
	note("%s comes due", name_of(c));
	return true;
}

static bool step_promote(void)
{
	struct gate *g = choose_gate();
	struct lane_key *lanes = NULL;
	size_t n;
	int i, moved = 0;

	if (g->is == BURIED)
		return false;
	DO(store_promote(g->s, g->id, UINT64_MAX, 100, &lanes, &n, &e));
	free(lanes);
	stop_the_clock();
	for (i = 0; i < book.n_calls && g->is == LIVES; i++)
		if (book.calls[i].place == IN_SCHEDULE && book.calls[i].due)
			moved += book_promote(&book, &book.calls[i]);
	note("promote %d by %lld", moved, (long long)g->id);
	return true;
}

static bool is_expired_by_age(const struct book_call *c)
{
	return c->place == IN_QUEUE && c->old && !c->timed;
}

static bool step_expire_by_age(void)
{
	struct gate *g = choose_gate();
	struct claim_want want[64];
	struct lane_key lanes[64];
	size_t n = make_wants(want), i, expired;
	int k, expected = 0;

	if (g->is == BURIED || n == 0)
		return false;
	for (i = 0; i < n; i++)
		lanes[i] = want[i].lane;
	DO(store_expire_queued(g->s, g->id, lanes, n, TTL_MS, 100, &expired, &e));
	for (k = 0; k < book.n_calls && g->is == LIVES; k++) {
		struct book_call *c = &book.calls[k];

		for (i = 0; i < n && is_expired_by_age(c); i++) {
			if (project_of(&lanes[i]) != c->project || lanes[i].trunk_id != c->trunk || lanes[i].prio != c->prio)
				continue;
			book_end(&book, c, REASON_QUEUE_EXPIRED, 0);
			expected++;
		}
	}
	note("expire by age: %d by %lld", expected, (long long)g->id);
	MUST((int)expired == expected);
	return true;
}

static bool step_last_moment(void)
{
	struct book_call *c = choose(has_a_last_moment);

	if (!c)
		return false;
	sql("update calls set expires_at = clock_timestamp() - interval '1 s' where org_id = %d and call_id = '%s';"
	    "update call_expiry set at = clock_timestamp() - interval '1 s' where org_id = %d and call_id = '%s'", c->org, text_of(c),
	    c->org, text_of(c));
	c->late = c->own_bound = true;
	note("the last moment of %s passes", name_of(c));
	return true;
}

/* What is in flight is looked at again some seconds later: here, at the next step of this kind. */
static bool step_expire_due(void)
{
	struct gate *g = choose_gate();
	size_t expired, seen;
	int i, expected = 0;

	if (g->is == BURIED)
		return false;
	sql("update call_expiry set at = clock_timestamp() - interval '1 s' where at < clock_timestamp() + interval '1 hour'");
	DO(store_expire_due(g->s, g->id, UINT64_MAX, 1000, &expired, &seen, &e));
	for (i = 0; i < book.n_calls && g->is == LIVES; i++) {
		struct book_call *c = &book.calls[i];

		if (!c->late || (c->place != IN_QUEUE && c->place != IN_SCHEDULE))
			continue;
		book_end(&book, c, REASON_QUEUE_EXPIRED, 0);
		expected++;
	}
	note("expire what is due: %d by %lld", expected, (long long)g->id);
	MUST((int)expired == expected);
	return true;
}

/* ── what clients do with their calls ─────────────────────────────────────────── */

static struct caller caller_of(const struct org_key *k)
{
	struct caller out = { .org = k->org };

	sha256(k->text, strlen(k->text), out.hash);
	return out;
}

static struct book_call *choose_recent(void)
{
	int n = book.n_calls < 60 ? book.n_calls : 60;

	if (chance(70))
		return choose(any);
	return n ? &book.calls[book.n_calls - 1 - pick(n)] : NULL;
}

static const struct org_key *choose_key(const struct book_call *c)
{
	int i = pick(book_n_keys);

	while (c && chance(80) && (book_keys[i].org != c->org || book_keys[i].user != c->user))
		i = pick(book_n_keys);
	return &book_keys[i];
}

static bool step_cancel(void)
{
	struct book_call *calls[3] = { choose_recent(), choose_recent(), chance(10) ? NULL : choose_recent() };
	struct cancel items[3];
	enum cancel_outcome expected;
	const struct org_key *k = choose_key(calls[0]);
	struct caller caller = caller_of(k);
	int i, n = calls[0] == calls[1] || chance(60) ? 1 : calls[2] == calls[1] || calls[2] == calls[0] ? 2 : 3;

	for (i = 0; i < n; i++)
		items[i] = (struct cancel){ .call_id = calls[i] ? calls[i]->id : id_new() };
	DO(store_calls_cancel(intakes[pick(INTAKES)], &caller, items, (size_t)n, &e));
	for (i = 0; i < n; i++) {
		expected = book_cancel(&book, calls[i], k);
		note("cancel %d of %d, %s: %d, expected %d", i + 1, n, calls[i] ? name_of(calls[i]) : "nothing", items[i].outcome,
		     expected);
		MUST(items[i].outcome == expected);
		MUST(expected >= CANCEL_NOT_FOUND || items[i].state == calls[i]->state);
	}
	return true;
}

static void make_edit(struct book_edit *x, const struct book_call *c)
{
	*x = (struct book_edit){
		.text = chance(50) ? ++requests : 0, .prio = chance(40) ? pick(3) : -1, .set_scheduled = chance(40), .edits = -1,
	};
	if (x->set_scheduled && chance(70)) {
		x->past_bound = chance(20);
		x->scheduled_ms = c && chance(10) ? c->scheduled_ms : make_time() + (x->past_bound ? 4 * DAY_MS : 0);
	}
	if (c && chance(40))
		x->edits = c->edits - chance(20);
}

static bool step_edit(void)
{
	struct book_call *c = choose_recent();
	const struct org_key *k = choose_key(c);
	struct caller caller = caller_of(k);
	struct book_edit x;
	struct call_edit edit;
	enum edit_outcome expected;
	char text[32];

	make_edit(&x, c);
	snprintf(text, sizeof text, "{\"n\":%d}", x.text);
	edit = (struct call_edit){
		.call_id = c ? c->id : id_new(), .set_variables = x.text > 0, .variables = text, .set_prio = x.prio >= 0,
		.prio = (int16_t)x.prio, .set_scheduled = x.set_scheduled, .scheduled_ms = x.scheduled_ms, .edits = x.edits,
	};
	DO(store_call_edit(intakes[pick(INTAKES)], &caller, &edit, rules.queue_ttl_s, &e));
	expected = book_edit(&book, c, k, &x);
	note("edit %s%s%s%s edits %d: %d, expected %d", c ? name_of(c) : "nothing", x.text ? " text" : "",
	     x.prio >= 0 ? " prio" : "", !x.set_scheduled ? "" : x.scheduled_ms ? " later" : " now", x.edits, edit.outcome, expected);
	MUST(edit.outcome == expected);
	MUST(expected != EDIT_DONE || (edit.lane.prio == c->prio && edit.queued == (c->place == IN_QUEUE)));
	return true;
}

/* ── keys ─────────────────────────────────────────────────────────────────────── */

static bool step_prune(void)
{
	struct book_idem *k;
	char id[ID_TEXT_SIZE];
	int gone, expected;

	if (book.n_idem == 0)
		return false;
	k = &book.idem[pick(book.n_idem)];
	id_format(&k->call_id, id);
	k->aged = true;
	sql("update idempotency_keys set counts_from = now() - interval '8 days' where org_id = %d and call_id = '%s'", k->org, id);
	DO(store_idempotency_prune(gates[0].s, 7, 100, &gone, &e));
	expected = book_prune(&book);
	note("prune: %d keys", gone);
	MUST(gone == expected);
	return true;
}

/* What a request would be answered, said before: nothing may come of it. */
static bool step_dry_run(void)
{
	struct book_ask ask;
	struct book_answer would;
	struct posted posted;
	struct dry_run out = { 0 };
	int64_t hold_mc;

	make_ask(&ask);
	ask.idem = 0;
	ask.body_ok = true;
	make_admission_of(&ask, &posted);
	DO(store_dry_run(intakes[0], &posted.a, &rules, &out, &e));
	book_would_admit(&book, &ask, &would, &hold_mc);
	note("dry run: %d, %zu refusals, first %d", would.outcome, out.n_refusals, out.n_refusals ? (int)out.refusals[0] : 0);
	MUST((out.n_refusals == 0) == (would.outcome == ADMIT_ACCEPTED));
	MUST(out.n_refusals == 0 || out.refusals[0] == would.outcome);
	MUST(out.n_refusals > 0 || (out.priced && out.hold_mc == hold_mc));
	dry_run_done(&out);
	return true;
}

/* ── money ────────────────────────────────────────────────────────────────────── */

/* A reference is booked once: said again it is remembered, said otherwise it is refused. */
static bool step_top_up(void)
{
	static int64_t booked[BOOK_ACCOUNTS * REFERENCES];
	int account = pick(BOOK_ACCOUNTS), at = account * REFERENCES + pick(REFERENCES);
	int64_t amount = booked[at] && chance(70) ? booked[at] : 1 + pick(20000);
	bool named = chance(70);
	char name[8], reference[32];
	struct credit_receipt out = { 0 };
	struct credit_order order = {
		.org = book_account_org(account) == 1 ? "one" : "two", .account = name, .kind = LEDGER_TOP_UP, .amount_mc = amount,
		.reference = named ? reference : NULL,
	};
	enum err err;

	if (book.balance[account] > 2 * START_MC)
		return false;
	snprintf(name, sizeof name, "a%d", account);
	snprintf(reference, sizeof reference, "invoice-%d", at);
	err = store_credits_book(intakes[pick(INTAKES)], &order, &out, &e);
	note("top up account %d by %lld%s%s: %d", account, (long long)amount, named ? " as " : "", named ? reference : "", (int)err);
	if (named && booked[at]) {
		MUST(booked[at] == amount ? err == OK && out.already : err == ERR_INVALID);
	} else {
		MUST(err == OK && !out.already);
		book.balance[account] += amount;
	}
	if (named && !booked[at])
		booked[at] = amount;
	MUST(err || (out.balance_mc == book.balance[account] && out.held_mc == book.held[account]));
	free(out.account);
	return true;
}

/* ── crashes ──────────────────────────────────────────────────────────────────── */

static int living(void)
{
	int i, n = 0;

	for (i = 0; i < GATES; i++)
		n += gates[i].is == LIVES;
	return n;
}

static bool step_crash(void)
{
	struct gate *g = choose_gate();

	if (g->is != LIVES || living() == 1)
		return false;
	sql("update gateways set expires_at = clock_timestamp() - interval '1 s' where gateway_id = %lld", (long long)g->id);
	g->is = LAPSED;
	note("the lease of %lld runs out", (long long)g->id);
	return true;
}

static bool step_bury(void)
{
	struct gate *g = choose_gate();
	uint64_t owned;
	int i, live;

	if (g->is != LIVES)
		return false;
	DO(store_shards_balance(g->s, g->id, &owned, &live, &e));
	for (i = 0; i < GATES; i++)
		if (gates[i].is == LAPSED)
			gates[i].is = BURIED;
	note("%lld buries the dead", (long long)g->id);
	MUST(live == living());
	return true;
}

static void open_gate(struct gate *g)
{
	DO(store_gateway_open(g->s, "model", "test", DAY_MS, &g->id, &e));
	g->is = LIVES;
}

static bool step_come_back(void)
{
	struct gate *g = choose_gate();

	if (g->is != BURIED)
		return false;
	open_gate(g);
	note("a gateway comes back as %lld", (long long)g->id);
	return true;
}

static bool is_orphan(const struct book_call *c)
{
	int i;

	for (i = 0; i < GATES; i++)
		if (gates[i].id == c->gateway && gates[i].is != BURIED)
			return false;
	return c->place == IN_FLIGHT;
}

static bool step_adopt(void)
{
	struct gate *g = choose_gate();
	struct inflight *out = NULL;
	struct lane_key *lanes = NULL;
	size_t n, n_lanes, kept = 0, back = 0;
	int i;

	if (g->is == BURIED)
		return false;
	DO(store_adopt(g->s, g->id, 500, &out, &n, &lanes, &n_lanes, &e));
	for (i = 0; i < book.n_calls && g->is == LIVES; i++) {
		if (!is_orphan(&book.calls[i]))
			continue;
		kept += book.calls[i].phase > 0;
		back += book.calls[i].phase == 0;
		book_adopt(&book.calls[i], g->id);
	}
	note("%lld adopts %zu, puts %zu back", (long long)g->id, kept, back);
	MUST(n == kept && n_lanes == back);
	for (size_t k = 0; k < n; k++)
		check_claimed(&out[k], book_find(&book, &out[k].call_id));
	inflight_free_all(out, n);
	free(lanes);
	return true;
}

/* ── all of it ────────────────────────────────────────────────────────────────── */

static const struct { int weight; bool (*run)(void); } kinds[] = {
	{ 16, step_accept }, { 10, step_claim }, { 16, step_intent }, { 2, step_unclaim }, { 14, step_progress },
	{ 12, step_finish }, { 5, step_retry }, { 4, step_comes_due }, { 5, step_promote }, { 2, step_expire_by_age },
	{ 3, step_top_up }, { 3, step_crash }, { 3, step_bury }, { 3, step_come_back }, { 4, step_adopt },
	{ 5, step_cancel }, { 6, step_edit }, { 3, step_last_moment }, { 3, step_expire_due }, { 2, step_prune }, { 3, step_dry_run },
};

static void take_step(void)
{
	int i, sum = 0, at;

	for (i = 0; i < (int)ARRAY_LEN(kinds); i++)
		sum += kinds[i].weight;
	do {
		at = pick(sum);
		for (i = 0; at >= kinds[i].weight; i++)
			at -= kinds[i].weight;
	} while (!kinds[i].run());
}

static void compare(void)
{
	if (!compare_all(db, &book))
		wrong("what is stored is not what should be");
}

static void every_step_has_the_outcome_that_the_promises_give_it(void **state)
{
	(void)state;
	for (step = 0; step < steps; step++) {
		take_step();
		if (step % COMPARE_AT == COMPARE_AT - 1)
			compare();
	}
	step--;
	compare();
	print_message("%d steps, %d calls, %d requests, seed %" PRIu64 "\n", steps, book.n_calls, requests, seed);
}

/* Everything that is under way ends, and nothing is left of it. */
static void at_the_end_nothing_is_held_and_no_destination_is_taken(void **state)
{
	(void)state;
	for (int tries = 0; count(any) > 0 && tries < 5000; tries++) {
		step_comes_due();
		step_promote();
		step_come_back();
		step_claim();
		step_intent();
		step_bury();
		step_adopt();
		step_finish();
		step_expire_due();
	}
	MUST(count(any) == 0);
	compare();
	assert_int_equal(0, sql("select (select count(*) from destination_locks) + (select count(*) from call_inflight)"
	                        " + (select count(*) from call_queue) + (select count(*) from call_schedule)"));
	assert_int_equal(0, sql("select sum(held_mc) from credit_accounts"));
	check_books();
}

static int64_t setting(const char *name, int64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoll(text, NULL, 10) : otherwise;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_has_the_outcome_that_the_promises_give_it),
		cmocka_unit_test(at_the_end_nothing_is_held_and_no_destination_is_taken),
	};
	int failed, i;

	seed = dice = (uint64_t)setting("CALLGATE_TEST_MODEL_SEED", (int64_t)time(NULL));
	steps = (int)setting("CALLGATE_TEST_MODEL_STEPS", STEPS);
	print_message("CALLGATE_TEST_MODEL_SEED=%" PRIu64 " CALLGATE_TEST_MODEL_STEPS=%d\n", seed, steps);
	scratch_open();
	book_init(&book, (steps + 1) * BATCH);
	seed_world(&book);
	for (i = 0; i < INTAKES; i++)
		intakes[i] = store_new(scratch_url, "model intake");
	for (i = 0; i < GATES; i++) {
		gates[i].s = store_new(scratch_url, "model gateway");
		if (store_gateway_open(gates[i].s, "model", "test", DAY_MS, &gates[i].id, &e))
			return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (i = 0; i < INTAKES; i++)
		store_free(intakes[i]);
	for (i = 0; i < GATES; i++)
		store_free(gates[i].s);
	book_done(&book);
	scratch_close();
	return failed;
}
