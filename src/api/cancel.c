/* POST /v1/calls/{id}/cancel, and POST /v1/calls/cancel for all that a filter fits. The
 * answer is what is certain: canceled, or asked for, or too late. */
#include <stdlib.h>
#include <string.h>

#include "callgate/jsonw.h"
#include "callgate/mem.h"
#include "callgate/store_life.h"
#include "callgate/wire_lists.h"
#include "calls.h"
#include "errors.h"
#include "handlers.h"

#define BULK_MAX 1000           /* calls of one request       */
#define LOOKS_MAX 10            /* for them; the rest is more */

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
	bool   more;
	bool   news;            /* for whoever follows them */
};

static void count(struct counts *counts, const struct cancel *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		switch (items[i].outcome) {
		case CANCEL_DONE:
		case CANCEL_BEFORE:
			counts->canceled++;
			break;
		case CANCEL_REQUESTED:
			counts->requested++;
			break;
		case CANCEL_TOO_LATE:
			counts->too_late++;
			break;
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

/* Only what lives can be canceled: with that a look costs nothing for a long past, and the
 * same request again goes on with what is left. */
static enum err cancel_all(struct desk *d, const struct caller *key, struct call_filter *f, struct counts *counts,
                           enum read_outcome *outcome, struct errinfo *e)
{
	struct list_page page = { .outcome = READ_FOUND };
	struct id ids[LIST_MAX], before;
	size_t n, found = 0;
	enum err err;

	_Static_assert(BULK_MAX <= LIST_MAX, "one look has to hold them");
	f->states = (f->states ? f->states : STATES_OPEN) & STATES_OPEN;
	if (!f->states) {
		bool known = false;

		err = store_key_check(d->store, key, &known, e);
		*outcome = known ? READ_FOUND : READ_KEY_UNKNOWN;
		return err;
	}
	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		err = store_calls_match(d->store, key, f, looks ? &before : NULL, BULK_MAX - found, ids, &n, &page, e);
		if (!err && !page.outcome)
			err = cancel_ids(d, key, ids, n, counts, e);
		*outcome = page.outcome;
		counts->more = page.more;
		found += n;
		if (err || page.outcome || !page.more || found >= BULK_MAX)
			return err;
		before = page.last;
	}
	return OK;
}

static void fill_counts(const struct counts *c, struct http_reply *out)
{
	struct buf b;

	buf_init(&b, 512);
	buf_printf(&b, "{\"success\":true,\"matched\":%zu,\"canceled\":%zu,\"requested\":%zu,\"tooLate\":%zu,\"more\":%s}",
	           c->matched, c->canceled, c->requested, c->too_late, c->more ? "true" : "false");
	out->status = 200;
	out->body = buf_take(&b, &out->body_len);
}

static enum err read_filter(const struct http_request *rq, struct call_filter *f, struct wire_problems *ps)
{
	if (request_is_json(rq))
		return wire_filter_body(rq->body, rq->body_len, f, ps);
	ps->count = 0;
	wire_problem_add(ps, "", "the header Content-Type must be application/json");
	return ERR_INVALID;
}

void calls_cancel_many(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out)
{
	struct call_filter f = { .states = 0 };
	struct counts counts = { .matched = 0 };
	enum read_outcome outcome;
	struct wire_problems problems;
	struct errinfo e;
	enum err err;

	if (read_filter(rq, &f, &problems)) {
		desk_refuse(d, rq, args, API_VALIDATION_FAILED, &problems, out);
		return;
	}
	err = cancel_all(d, &args->key, &f, &counts, &outcome, &e);
	if (counts.news)
		tell_scheduler(d);
	if (err)
		desk_failed(d, rq, err, &e, out);
	else if (outcome)
		error_fill(out, rq, api_error_of_read(outcome), NULL, NULL);
	else
		fill_counts(&counts, out);
}
