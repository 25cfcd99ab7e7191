/* What becomes of a call after it was accepted: the way it goes, and what a client may still do
 * with it. See book.h. */
#include "book.h"

#include <stdlib.h>

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

	/* Waited too long: what was dialed before ends as that did. */
	if (said == REASON_QUEUE_EXPIRED && c->last)
		return c->last;
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
		c->attempts = c->phase > 0 ? c->attempt : c->attempt - 1;
	/* Talk past the maximum is not the client's. */
	if (talk_ms > c->max_s * INT64_C(1000))
		talk_ms = c->max_s * INT64_C(1000);
	c->billed_s = flew && c->answered ? book_billable((talk_ms + 999) / 1000, c->increment_s, c->minimum_s) : 0;
	c->charged_mc = book_cost(c->rate_mc, c->billed_s);
	b->balance[c->account] -= c->charged_mc;
	b->held[c->account] -= c->hold_mc;
	unlock(b, c);
	c->place = IN_NONE;
	book_event(c, c->attempt * 16 + 15, (int)c->state);
}

void book_retry(struct book_call *c, enum call_reason reason, bool same, bool undialed, bool due)
{
	c->place = IN_SCHEDULE;
	c->due = due;
	c->state = CALL_QUEUED;
	if (same)
		return;
	c->attempts = c->attempt;
	if (!undialed)
		c->last = reason;
	book_event(c, c->attempt * 16 + 14, 32);
	c->attempt++;
}

static bool waits_before(const struct book_call *x, const struct book_call *c, int64_t since)
{
	return x->since < since || (x->since == since && id_cmp(&x->id, &c->id) < 0);
}

bool book_line(const struct book *b, const struct book_call *c, int64_t since)
{
	int i;

	for (i = 0; i < b->n_calls; i++) {
		const struct book_call *x = &b->calls[i];

		if (x->place == IN_SCHEDULE && x->in_line && x->dest == c->dest && x->scope == c->scope && waits_before(x, c, since))
			return true;
	}
	return false;
}

static bool promote_one(struct book *b, struct book_call *c, bool first)
{
	int *lock = &b->lock[c->dest][c->scope];

	c->due = false;
	if (!c->locks && (*lock || !first)) {
		c->in_line = true;
		return false;
	}
	c->in_line = false;
	c->locks = true;
	*lock = (int)(c - b->calls) + 1;
	c->place = IN_QUEUE;
	return true;
}

static const struct book *sorting;

static int cmp_since(const void *a, const void *b)
{
	const struct book_call *x = &sorting->calls[*(const int *)a], *y = &sorting->calls[*(const int *)b];

	return waits_before(x, y, y->since) ? -1 : waits_before(y, x, x->since);
}

/* Who waits is what it was before any of them goes. */
int book_promote(struct book *b)
{
	int *due = calloc((size_t)b->n_calls + 1, sizeof *due), n = 0, i, moved = 0;
	bool *first = calloc((size_t)b->n_calls + 1, sizeof *first);

	if (!due || !first)
		abort();
	for (i = 0; i < b->n_calls; i++)
		if (b->calls[i].place == IN_SCHEDULE && b->calls[i].due)
			due[n++] = i;
	sorting = b;
	qsort(due, (size_t)n, sizeof *due, cmp_since);
	for (i = 0; i < n; i++)
		first[i] = !book_line(b, &b->calls[due[i]], b->calls[due[i]].since);
	for (i = 0; i < n; i++)
		moved += promote_one(b, &b->calls[due[i]], first[i]);
	free(due);
	free(first);
	return moved;
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
	c->in_line = false;
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
