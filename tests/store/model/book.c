/* See book.h. */
#include "book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"

/* Two organizations that share nothing but the telephone network. One account is shared by
 * two projects, one project is free of charge, one holds nothing in advance. */
const struct org_key book_keys[] = {
	{ 1, 1, false, true,  "dk_1_one" },
	{ 1, 1, true,  true,  "dk_1_onetest" },
	{ 1, 2, false, true,  "dk_1_two" },
	{ 2, 3, false, true,  "dk_2_three" },
	{ 1, 1, false, false, "dk_1_nobody" },
};
const struct org_project book_projects[] = {
	{ 1, 1, "p1", 0, 600,  60, 3600, 1,  1,  1u << 1 | 1u << 2 },
	{ 1, 2, "p2", 1, 900,  -1, 300,  6,  30, 1u << 1 },
	{ 1, 3, "p3", 1, 0,    60, 600,  1,  1,  1u << 1 },
	{ 2, 1, "q1", 2, 1200, 0,  600,  1,  1,  1u << 3 },
};
const struct org_number book_numbers[] = {
	{ 1, "+14155550199", 1, true,  1u << 1 | 1u << 2 },
	{ 1, "+14155550198", 2, true,  1u << 1 },
	{ 1, "+14155550197", 0, true,  1u << 1 },
	{ 1, "+14155550196", 1, false, 1u << 1 },
	{ 2, "+14155550195", 1, true,  1u << 3 },
	{ 2, "+14155550194", 1, true,  0 },
};
const struct org_rate book_rates[] = {
	{ 1, "+49",   300,  1,  1 },
	{ 1, "+4930", 2400, 60, 60 },
	{ 2, "+1",    500,  10, 20 },
};
const char *const book_dests[] = {
	"+493011100001", "+493011100002", "+498911100001", "+498911100002", "+4911100001", "+12025551001",
	"+12025551002", "+12025551003", "+33111000001", "+33111000002", "+33111000003", "+4411100001",
};
const int book_n_keys = ARRAY_LEN(book_keys), book_n_projects = ARRAY_LEN(book_projects),
          book_n_numbers = ARRAY_LEN(book_numbers), book_n_rates = ARRAY_LEN(book_rates),
          book_n_dests = ARRAY_LEN(book_dests);
_Static_assert(ARRAY_LEN(book_dests) == BOOK_DESTS, "a lock for each destination");

int book_account_org(int account)
{
	return account < 2 ? 1 : 2;
}

int book_account_number(int account)
{
	return account < 2 ? account + 1 : 1;
}

void book_init(struct book *b, int max_calls)
{
	*b = (struct book){ .max_calls = max_calls, .max_idem = max_calls };
	b->calls = xcalloc((size_t)max_calls, sizeof *b->calls);
	b->idem = xcalloc((size_t)max_calls, sizeof *b->idem);
}

void book_done(struct book *b)
{
	free(b->calls);
	free(b->idem);
}

void book_event(struct book_call *c, int seq, int kind)
{
	int i;

	for (i = 0; i < c->n_events; i++)
		if (c->events[i].seq == seq)
			return;                 /* said before */
	if (c->n_events == BOOK_EVENTS)
		abort();
	for (i = c->n_events++; i > 0 && c->events[i - 1].seq > seq; i--)
		c->events[i] = c->events[i - 1];
	c->events[i] = (struct book_event){ seq, kind };
}

bool book_is_live(const struct book_call *c)
{
	return c->place != IN_NONE;
}

struct book_call *book_find(struct book *b, const struct id *id)
{
	int i;

	for (i = b->n_calls - 1; i >= 0; i--)
		if (id_cmp(&b->calls[i].id, id) == 0)
			return &b->calls[i];
	return NULL;
}

/* ── what it costs ────────────────────────────────────────────────────────────── */

static void find_rate(int org, const struct org_project *p, const char *to, int64_t *rate_mc, int *increment_s, int *minimum_s)
{
	size_t longest = 0;
	int i;

	*rate_mc = p->rate_mc;
	*increment_s = p->increment_s;
	*minimum_s = p->minimum_s;
	for (i = 0; i < book_n_rates; i++) {
		const struct org_rate *r = &book_rates[i];

		if (r->org != org || strncmp(to, r->prefix, strlen(r->prefix)) || strlen(r->prefix) <= longest)
			continue;
		longest = strlen(r->prefix);
		*rate_mc = r->rate_mc;
		*increment_s = r->increment_s;
		*minimum_s = r->minimum_s;
	}
}

static int billable(int64_t seconds, int increment_s, int minimum_s)
{
	int64_t rounded = (seconds + increment_s - 1) / increment_s * increment_s;

	return (int)(rounded > minimum_s ? rounded : minimum_s);
}

static int64_t cost(int64_t rate_mc, int seconds)
{
	return (rate_mc * seconds + 59) / 60;
}

static void price(struct book_call *c, const struct org_project *p, int max_s)
{
	int hold_s = p->hold_s < 0 || p->hold_s > max_s ? max_s : p->hold_s;

	c->max_s = max_s;
	c->increment_s = c->minimum_s = 1;
	if (c->test)
		return;
	find_rate(c->org, p, book_dests[c->dest], &c->rate_mc, &c->increment_s, &c->minimum_s);
	/* Who holds for no second holds nothing. */
	c->hold_mc = hold_s ? cost(c->rate_mc, billable(hold_s, c->increment_s, c->minimum_s)) : 0;
}

/* ── accepting ────────────────────────────────────────────────────────────────── */

static const struct org_number *find_number(const struct book_ask *a)
{
	const struct org_number *n = a->number < book_n_numbers ? &book_numbers[a->number] : NULL;

	return n && n->org == book_keys[a->key].org ? n : NULL;
}

/* What the request itself says, whatever else is under way. */
static enum admit_outcome look_at_request(const struct book_ask *a)
{
	const struct org_key *k = &book_keys[a->key];
	const struct org_project *p = &book_projects[a->project];
	const struct org_number *n = find_number(a);

	if (!k->known)
		return ADMIT_KEY_UNKNOWN;
	if (!a->body_ok)
		return ADMIT_BODY_INVALID;
	if (p->org != k->org || !(p->members & 1u << k->user))
		return ADMIT_PROJECT_DENIED;
	if (a->max_s > p->max_s)
		return ADMIT_TOO_LONG;
	if (!n)
		return ADMIT_NUMBER_UNKNOWN;
	if (!(n->users & 1u << k->user))
		return ADMIT_POOL_DENIED;
	if (!n->active)
		return ADMIT_NUMBER_INACTIVE;
	return n->trunk ? ADMIT_ACCEPTED : ADMIT_NO_TRUNK;
}

static bool is_of_the_call(enum admit_outcome o)
{
	return o == ADMIT_ACCEPTED || o == ADMIT_NUMBER_UNKNOWN || o == ADMIT_NO_TRUNK || o == ADMIT_NO_CREDITS ||
	       o == ADMIT_BUSY;
}

static const struct book_idem *find_idem(const struct book *b, const struct book_ask *a)
{
	const struct org_key *k = &book_keys[a->key];
	int i;

	for (i = b->n_idem - 1; a->idem && i >= 0; i--)
		if (b->idem[i].key == a->idem && b->idem[i].org == k->org && b->idem[i].user == k->user &&
		    b->idem[i].test == k->test)
			return &b->idem[i];
	return NULL;
}

static void make_call(struct book_call *c, const struct book_ask *a)
{
	const struct org_key *k = &book_keys[a->key];
	const struct org_project *p = &book_projects[a->project];
	const struct org_number *n = find_number(a);

	*c = (struct book_call){
		.id = a->id, .org = k->org, .project = a->project, .account = p->account, .user = k->user, .test = k->test,
		.trunk = k->test || !n ? 0 : n->trunk, .dest = a->dest, .scope = k->test ? k->org : 0, .prio = a->prio,
		.attempt = 1, .place = a->scheduled_ms ? IN_SCHEDULE : IN_QUEUE, .locks = !a->scheduled_ms,
		.scheduled_ms = a->scheduled_ms, .timed = a->scheduled_ms || a->expires, .own_bound = a->expires, .old = a->old,
		.text = a->text,
	};
	price(c, p, a->max_s ? a->max_s : p->max_s);
	book_event(c, 0, 0);
}

static enum admit_outcome look_at_call(const struct book *b, const struct book_call *c)
{
	int64_t left = b->balance[c->account] - b->held[c->account];

	if (c->rate_mc > 0 && (left <= 0 || c->hold_mc > left))
		return ADMIT_NO_CREDITS;
	if (c->locks && b->lock[c->dest][c->scope])
		return ADMIT_BUSY;
	return ADMIT_ACCEPTED;
}

static void remember(struct book *b, const struct book_ask *a, enum admit_outcome outcome)
{
	const struct org_key *k = &book_keys[a->key];
	struct book_idem *i;

	if (!a->idem || !is_of_the_call(outcome))
		return;
	if (b->n_idem == b->max_idem)
		abort();
	i = &b->idem[b->n_idem++];
	*i = (struct book_idem){ .org = k->org, .user = k->user, .test = k->test, .key = a->idem, .print = a->print,
	                         .outcome = outcome, .call_id = a->id };
	memcpy(i->request_id, a->request_id, sizeof i->request_id);
}

static void admit(struct book *b, const struct book_ask *a, struct book_answer *out)
{
	enum admit_outcome outcome = look_at_request(a);
	const struct book_idem *prior = is_of_the_call(outcome) ? find_idem(b, a) : NULL;
	struct book_call c = { 0 };

	*out = (struct book_answer){ .id = a->id };
	if (prior) {
		out->outcome = prior->print == a->print ? prior->outcome : ADMIT_KEY_REUSED;
		out->replayed = prior->print == a->print;
		out->id = prior->call_id;
		memcpy(out->request_id, prior->request_id, sizeof out->request_id);
		return;
	}
	if (outcome == ADMIT_ACCEPTED) {
		make_call(&c, a);
		outcome = look_at_call(b, &c);
	}
	out->outcome = outcome;
	remember(b, a, outcome);
	if (outcome != ADMIT_ACCEPTED)
		return;
	if (b->n_calls == b->max_calls)
		abort();
	b->calls[b->n_calls++] = c;
	b->held[c.account] += c.hold_mc;
	if (c.locks)
		b->lock[c.dest][c.scope] = b->n_calls;
}

/* Accepting only adds at the end and to these. */
struct mark {
	int64_t held[BOOK_ACCOUNTS];
	int     lock[BOOK_DESTS][BOOK_SCOPES];
	int     n_calls, n_idem;
};

static void take_mark(const struct book *b, struct mark *m)
{
	memcpy(m->held, b->held, sizeof m->held);
	memcpy(m->lock, b->lock, sizeof m->lock);
	m->n_calls = b->n_calls;
	m->n_idem = b->n_idem;
}

static void go_back(struct book *b, const struct mark *m)
{
	memcpy(b->held, m->held, sizeof b->held);
	memcpy(b->lock, m->lock, sizeof b->lock);
	b->n_calls = m->n_calls;
	b->n_idem = m->n_idem;
}

static bool same_answer(const struct book_answer *a, const struct book_answer *b)
{
	if (a->outcome != b->outcome || a->replayed != b->replayed)
		return false;
	if (a->outcome == ADMIT_ACCEPTED && id_cmp(&a->id, &b->id))
		return false;
	return !a->replayed || a->outcome == ADMIT_ACCEPTED || !strcmp(a->request_id, b->request_id);
}

static bool explain(struct book *b, const struct book_ask *asks, const struct book_answer *answers, int n, unsigned done)
{
	struct book_answer out;
	struct mark m;
	int i;

	if (done == (1u << n) - 1)
		return true;
	for (i = 0; i < n; i++) {
		if (done & 1u << i)
			continue;
		take_mark(b, &m);
		admit(b, &asks[i], &out);
		if (same_answer(&out, &answers[i]) && explain(b, asks, answers, n, done | 1u << i))
			return true;
		go_back(b, &m);
	}
	return false;
}

bool book_admit(struct book *b, const struct book_ask *asks, const struct book_answer *answers, int n)
{
	return explain(b, asks, answers, n, 0);
}

void book_would_admit(struct book *b, const struct book_ask *ask, struct book_answer *out, int64_t *hold_mc)
{
	struct book_call c = { 0 };
	struct mark m;

	take_mark(b, &m);
	admit(b, ask, out);
	go_back(b, &m);
	if (look_at_request(ask) == ADMIT_ACCEPTED)
		make_call(&c, ask);
	*hold_mc = c.hold_mc;
}

/* ── the way of a call ────────────────────────────────────────────────────────── */

static bool may_be_claimed(const struct book_call *c, int project, int trunk, int prio)
{
	return c->place == IN_QUEUE && c->project == project && c->trunk == trunk && c->prio == prio;
}

int book_claim(struct book *b, int64_t gateway, int project, int trunk, int prio, int take, int *out)
{
	int i, best, n = 0;

	while (n < take) {
		for (i = 0, best = -1; i < b->n_calls; i++)
			if (may_be_claimed(&b->calls[i], project, trunk, prio) &&
			    (best < 0 || id_cmp(&b->calls[i].id, &b->calls[best].id) < 0))
				best = i;
		if (best < 0)
			break;
		b->calls[best].place = IN_FLIGHT;
		b->calls[best].phase = 0;
		b->calls[best].gateway = gateway;
		b->calls[best].state = CALL_QUEUED;
		b->calls[best].answered = b->calls[best].rang = false;
		out[n++] = best;
	}
	return n;
}

void book_unclaim(struct book_call *c)
{
	c->place = IN_QUEUE;
}

bool book_may_dial(const struct book_call *c, int64_t gateway, int attempt)
{
	return c->place == IN_FLIGHT && c->phase == 0 && c->gateway == gateway && c->attempt == attempt;
}

void book_intent(struct book_call *c)
{
	c->phase = 1;
	c->state = CALL_INITIATED;
	book_event(c, c->attempt * 16 + 1, 1);
}

/* Words only lead ahead: a late "ringing" after the answer is none. */
void book_progress(struct book_call *c, bool ringing, bool answered, bool uncertain)
{
	if (uncertain) {
		if (c->phase < 3) {
			c->phase = 2;
			book_event(c, c->attempt * 16 + 13, 33);
		}
	} else {
		c->phase = 3;
	}
	if (ringing && !c->rang && !c->answered) {
		c->rang = true;
		c->state = CALL_RINGING;
		book_event(c, c->attempt * 16 + 2, 2);
	}
	if (answered && !c->answered) {
		c->answered = true;
		c->state = CALL_IN_PROGRESS;
		book_event(c, c->attempt * 16 + 3, 3);
	}
}

static void unlock(struct book *b, struct book_call *c)
{
	if (c->locks)
		b->lock[c->dest][c->scope] = 0;
	c->locks = false;
}

/* When a client has asked for the end, a hang-up of ours was the client's, and an attempt that
 * failed would have been the last. Everything else really happened, and is told. */
static enum call_reason reason_of(const struct book_call *c, enum call_reason said)
{
	bool ours = said == REASON_AGENT_HANGUP || said == REASON_CANCELED;
	bool another = said == REASON_CARRIER_UNAVAILABLE || said == REASON_CARRIER_LIMIT || said == REASON_PROVIDER_ERROR;

	if (c->cancel && c->answered && ours)
		return REASON_CLIENT_HANGUP;
	return c->cancel && !c->answered && another ? REASON_CANCELED : said;
}

void book_end(struct book *b, struct book_call *c, enum call_reason reason, int64_t talk_ms)
{
	bool flew = c->place == IN_FLIGHT;

	c->reason = reason_of(c, reason);
	c->state = call_reason_info(c->reason)->state;
	if (flew)
		c->attempts = c->attempt;
	/* Talk past the maximum is not the client's. */
	if (talk_ms > c->max_s * INT64_C(1000))
		talk_ms = c->max_s * INT64_C(1000);
	c->billed_s = flew && c->answered ? billable((talk_ms + 999) / 1000, c->increment_s, c->minimum_s) : 0;
	c->charged_mc = cost(c->rate_mc, c->billed_s);
	b->balance[c->account] -= c->charged_mc;
	b->held[c->account] -= c->hold_mc;
	unlock(b, c);
	c->place = IN_NONE;
	book_event(c, c->attempt * 16 + 15, (int)c->state);
}

void book_retry(struct book_call *c, bool same, bool due)
{
	c->place = IN_SCHEDULE;
	c->due = due;
	c->state = CALL_QUEUED;
	if (same)
		return;
	c->attempts = c->attempt;
	book_event(c, c->attempt * 16 + 14, 32);
	c->attempt++;
}

bool book_promote(struct book *b, struct book_call *c)
{
	int *lock = &b->lock[c->dest][c->scope];

	if (!c->locks && *lock) {
		c->due = false;
		return false;
	}
	c->locks = true;
	*lock = (int)(c - b->calls) + 1;
	c->place = IN_QUEUE;
	return true;
}

void book_adopt(struct book_call *c, int64_t gateway)
{
	if (c->phase == 0) {
		c->place = IN_QUEUE;
		return;
	}
	c->gateway = gateway;
	if (c->phase == 1)
		c->phase = 2;
	if (c->phase == 2)
		book_event(c, c->attempt * 16 + 13, 33);
}

/* ── what a client may do with it ─────────────────────────────────────────────── */

static bool may_see(const struct org_key *k, const struct book_call *c)
{
	return c && c->org == k->org && book_projects[c->project].members & 1u << k->user;
}

enum cancel_outcome book_cancel(struct book *b, struct book_call *c, const struct org_key *k)
{
	if (!k->known)
		return CANCEL_KEY_UNKNOWN;
	if (!may_see(k, c))
		return CANCEL_NOT_FOUND;
	if (c->place == IN_NONE)
		return c->reason == REASON_CANCELED ? CANCEL_BEFORE : CANCEL_TOO_LATE;
	if (c->place == IN_FLIGHT && c->phase > 0) {
		c->cancel = true;
		book_event(c, c->attempt * 16 + 12, 34);
		return CANCEL_REQUESTED;
	}
	c->place = IN_QUEUE;            /* what was only claimed was no attempt */
	book_end(b, c, REASON_CANCELED, 0);
	return CANCEL_DONE;
}

/* Another time: the destination is free until then, and the bound follows unless it is the
 * client's own. */
static void reschedule(struct book *b, struct book_call *c, int64_t scheduled_ms)
{
	c->scheduled_ms = scheduled_ms ? scheduled_ms : BOOK_PAST;
	c->timed = true;
	if (scheduled_ms) {
		unlock(b, c);
		c->place = IN_SCHEDULE;
		c->due = false;
	} else {
		c->due = true;          /* where it waits in the schedule */
	}
}

enum edit_outcome book_edit(struct book *b, struct book_call *c, const struct org_key *k, const struct book_edit *x)
{
	bool later = c && x->set_scheduled && x->scheduled_ms > 0 && x->scheduled_ms != c->scheduled_ms;
	bool moves = later || (c && x->set_scheduled && x->scheduled_ms == 0 && c->scheduled_ms > 0);

	if (!k->known)
		return EDIT_KEY_UNKNOWN;
	if (!may_see(k, c))
		return EDIT_NOT_FOUND;
	if (c->place == IN_NONE || c->place == IN_FLIGHT)
		return EDIT_TOO_LATE;
	if (x->edits >= 0 && x->edits != c->edits)
		return EDIT_STALE;
	if (c->attempt > 1)
		return EDIT_TOO_LATE;
	if (!moves && (!x->text || x->text == c->text) && (x->prio < 0 || x->prio == c->prio))
		return EDIT_SAME;
	if (c->edits == EDITS_MAX)
		return EDIT_LIMIT;
	if (later && c->own_bound && (c->late || x->past_bound))
		return EDIT_EXPIRES_FIRST;
	if (x->text)
		c->text = x->text;
	if (x->prio >= 0)
		c->prio = x->prio;
	if (moves)
		reschedule(b, c, x->scheduled_ms);
	c->edits++;
	book_event(c, c->edits, 35);
	return EDIT_DONE;
}

int book_prune(struct book *b)
{
	struct book_call *c;
	int i, kept = 0, gone;

	for (i = 0; i < b->n_idem; i++) {
		c = b->idem[i].outcome == ADMIT_ACCEPTED ? book_find(b, &b->idem[i].call_id) : NULL;
		if (!b->idem[i].aged || (c && book_is_live(c)))
			b->idem[kept++] = b->idem[i];
	}
	gone = b->n_idem - kept;
	b->n_idem = kept;
	return gone;
}
