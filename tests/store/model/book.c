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

int book_billable(int64_t seconds, int increment_s, int minimum_s)
{
	int64_t rounded = (seconds + increment_s - 1) / increment_s * increment_s;

	return (int)(rounded > minimum_s ? rounded : minimum_s);
}

int64_t book_cost(int64_t rate_mc, int seconds)
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
	c->hold_mc = hold_s ? book_cost(c->rate_mc, book_billable(hold_s, c->increment_s, c->minimum_s)) : 0;
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

/* What has been provisioned otherwise since a key was used does not hide what came of that. */
static bool asks_for_the_key(enum admit_outcome o)
{
	return is_of_the_call(o) || o == ADMIT_TOO_LONG || o == ADMIT_POOL_DENIED || o == ADMIT_NUMBER_INACTIVE;
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
	if (c->locks && (b->lock[c->dest][c->scope] || book_line(b, c, INT64_MAX)))
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
	const struct book_idem *prior = asks_for_the_key(outcome) ? find_idem(b, a) : NULL;
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

int book_prune(struct book *b)
{
	struct book_call *c;
	int i, kept = 0, gone;

	for (i = 0; i < b->n_idem; i++) {
		c = b->idem[i].outcome == ADMIT_ACCEPTED ? book_find(b, &b->idem[i].call_id) : NULL;
		if (b->idem[i].aged && !(c && book_is_live(c)))
			continue;
		b->idem[kept] = b->idem[i];
		b->idem[kept++].aged = false;   /* that of a call that lives is put off */
	}
	gone = b->n_idem - kept;
	b->n_idem = kept;
	return gone;
}
