/* POST /v1/calls/{id}/cancel, and POST /v1/calls/cancel for all that a filter fits. The
 * answer is what is certain: canceled, or asked for, or too late. */
#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/jsonw.h"
#include "callgate/mem.h"
#include "callgate/store_life.h"
#include "callgate/wire_lists.h"
#include "calls.h"
#include "errors.h"
#include "handlers.h"

#define BULK_MAX 1000           /* calls of one request                               */
#define BULK_MS 500             /* after which it looks no further: the rest is more  */

static void tell_scheduler(struct desk *d)
{
	d->api->hooks.canceled(d->api->hooks.arg);
}

/* ── one ────────────────────────────────────────────────────────────────────────── */

static enum api_error error_of(enum cancel_outcome outcome)
{
	switch (outcome) {
	case CANCEL_DONE:
	case CANCEL_BEFORE:
	case CANCEL_REQUESTED:   return API_OK;
	case CANCEL_TOO_LATE:    return API_TOO_LATE;
	case CANCEL_NOT_FOUND:   return API_CALL_UNKNOWN;
	case CANCEL_KEY_UNKNOWN: return API_CREDENTIALS_INVALID;
	}
	return API_INTERNAL;
}

static void fill_one(const struct cancel *c, struct http_reply *out)
{
	char id[ID_TEXT_SIZE];
	struct buf b;

	buf_init(&b, 512);
	id_format(&c->call_id, id);
	buf_printf(&b, "{\"success\":true,\"callId\":\"%s\",\"status\":\"%s\"", id, call_state_name(c->state));
	if (c->outcome == CANCEL_REQUESTED)
		JSONW_LIT(&b, ",\"cancelRequested\":true");
	buf_char(&b, '}');
	out->status = c->outcome == CANCEL_REQUESTED ? 202 : 200;
	out->body = buf_take(&b, &out->body_len);
}

void calls_cancel(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out)
{
	struct cancel c = { .call_id = route_call_id(args) };
	enum api_error error;
	struct errinfo e;
	enum err err = store_calls_cancel(d->store, &args->key, &c, 1, &e);

	if (err) {
		desk_failed(d, rq, err, &e, out);
		return;
	}
	if (c.outcome == CANCEL_REQUESTED || c.claimed)
		tell_scheduler(d);
	error = error_of(c.outcome);
	if (error)
		error_fill(out, rq, error, NULL, error == API_TOO_LATE ? &c.call_id : NULL);
	else
		fill_one(&c, out);
}

/* ── many ───────────────────────────────────────────────────────────────────────── */

struct counts {
	size_t matched, canceled, requested, too_late;
	bool   news;            /* for whoever follows them */
};

struct bulk {
	struct call_filter   filter;    /* as sent */
	char                 cursor[WIRE_CURSOR_SIZE];
	struct id            before;
	bool                 goes_on;   /* from `before` */
	struct wire_problems problems;
	struct counts        counts;
	bool                 more;      /* behind `before` */
};

static void count(struct counts *counts, const struct cancel *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		switch (items[i].outcome) {
		case CANCEL_DONE:
			counts->canceled++;
			break;
		case CANCEL_REQUESTED:
			counts->requested++;
			break;
		case CANCEL_TOO_LATE:
			counts->too_late++;
			break;
		case CANCEL_BEFORE:             /* another was quicker, and counts it */
		case CANCEL_NOT_FOUND:          /* no longer the caller's */
		case CANCEL_KEY_UNKNOWN:
			continue;
		}
		counts->matched++;
		counts->news |= items[i].claimed || items[i].outcome == CANCEL_REQUESTED;
	}
}

static enum err cancel_ids(struct desk *d, const struct caller *key, const struct id *ids, size_t n, struct counts *counts,
                           struct errinfo *e)
{
	struct cancel items[CANCEL_MAX];
	enum err err = OK;
	size_t k;

	for (size_t i = 0; !err && i < n; i += k) {
		k = n - i < CANCEL_MAX ? n - i : CANCEL_MAX;
		for (size_t j = 0; j < k; j++)
			items[j] = (struct cancel){ .call_id = ids[i + j] };
		err = store_calls_cancel(d->store, key, items, k, e);
		if (!err)
			count(counts, items, k);
	}
	return err;
}

static enum err check_key(struct desk *d, const struct caller *key, enum read_outcome *outcome, struct errinfo *e)
{
	bool known = false;
	enum err err = store_key_check(d->store, key, &known, e);

	*outcome = known ? READ_FOUND : READ_KEY_UNKNOWN;
	return err;
}

/* Only what lives can be canceled, so the look is among what lives. There may be much of it that
 * does not fit, before what does; and what was asked to end still fits: so the next request goes
 * on where this one ends, and not from the newest again. */
static enum err cancel_all(struct desk *d, const struct caller *key, struct bulk *b, enum read_outcome *outcome,
                           struct errinfo *e)
{
	int64_t until = mono_ms() + BULK_MS;
	struct call_filter f = b->filter;
	struct id ids[LIST_MAX];
	struct list_page page;
	size_t n, found = 0;
	enum err err;

	_Static_assert(BULK_MAX <= LIST_MAX, "one look has to hold them");
	f.states = (f.states ? f.states : STATES_OPEN) & STATES_OPEN;
	if (!f.states)
		return check_key(d, key, outcome, e);
	do {
		err = store_calls_match(d->store, key, &f, b->goes_on ? &b->before : NULL, BULK_MAX - found, ids, &n, &page, e);
		if (!err && !page.outcome)
			err = cancel_ids(d, key, ids, n, &b->counts, e);
		if (err)
			return err;
		b->before = page.last;
		b->goes_on = b->more = page.more;
		found += n;
	} while (b->more && found < BULK_MAX && mono_ms() < until);
	*outcome = page.outcome;
	return OK;
}

static void fill_counts(int64_t org, const struct bulk *bulk, struct http_reply *out)
{
	const struct counts *c = &bulk->counts;
	char cursor[WIRE_CURSOR_SIZE];
	struct buf b;

	buf_init(&b, 512);
	buf_printf(&b, "{\"success\":true,\"matched\":%zu,\"canceled\":%zu,\"requested\":%zu,\"tooLate\":%zu,\"more\":%s",
	           c->matched, c->canceled, c->requested, c->too_late, bulk->more ? "true" : "false");
	if (bulk->more)
		wire_cursor_write(org, &bulk->filter, &bulk->before, cursor);
	JSONW_LIT(&b, ",\"nextCursor\":");
	jsonw_str(&b, bulk->more ? cursor : NULL);
	buf_char(&b, '}');
	out->status = 200;
	out->body = buf_take(&b, &out->body_len);
}

/* What keeps it from being carried out. */
static enum api_error read_bulk(const struct http_request *rq, int64_t org, struct bulk *b)
{
	memset(b, 0, sizeof *b);
	if (!request_is_json(rq))
		wire_problem_add(&b->problems, "", "the header Content-Type must be application/json");
	else if (wire_filter_body(rq->body, rq->body_len, &b->filter, b->cursor, &b->problems) == OK)
		b->goes_on = b->cursor[0] != '\0';
	if (b->problems.count)
		return API_VALIDATION_FAILED;
	return !b->goes_on || wire_cursor_read(org, &b->filter, b->cursor, &b->before) ? API_OK : API_CURSOR_INVALID;
}

void calls_cancel_many(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out)
{
	CLEANUP(freep) struct bulk *b = xmalloc(sizeof *b);
	enum api_error error = read_bulk(rq, args->key.org, b);
	enum read_outcome outcome = READ_FOUND;
	struct errinfo e;
	enum err err;

	if (error) {
		desk_refuse(d, rq, args, error, &b->problems, out);
		return;
	}
	err = cancel_all(d, &args->key, b, &outcome, &e);
	if (b->counts.news)
		tell_scheduler(d);
	if (err)        /* where some were canceled before, "nothing was done" would be untrue */
		desk_failed(d, rq, b->counts.matched ? ERR_UNCERTAIN : err, &e, out);
	else if (outcome)
		error_fill(out, rq, api_error_of_read(outcome), NULL, NULL);
	else
		fill_counts(args->key.org, b, out);
}
