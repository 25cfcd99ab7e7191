/* PATCH /v1/calls/{id}: read the call, compare it with what the client has seen, change it,
 * and answer with what it is then. Between the first and the second another may have been
 * quicker: the number of changes made so far goes along, so nobody's change is lost unseen. */
#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/wire_life.h"
#include "calls.h"
#include "errors.h"
#include "etag.h"
#include "handlers.h"

static enum api_error error_of(enum edit_outcome outcome)
{
	switch (outcome) {
	case EDIT_DONE:
	case EDIT_SAME:          return API_OK;
	case EDIT_TOO_LATE:      return API_TOO_LATE;
	case EDIT_STALE:         return API_STALE;
	case EDIT_LIMIT:         return API_EDIT_LIMIT;
	case EDIT_EXPIRES_FIRST: return API_VALIDATION_FAILED;
	case EDIT_NOT_FOUND:     return API_CALL_UNKNOWN;
	case EDIT_KEY_UNKNOWN:   return API_CREDENTIALS_INVALID;
	}
	return API_INTERNAL;
}

static void read_body(const struct http_request *rq, struct call_edit *x, struct wire_problems *ps)
{
	*x = (struct call_edit){ .edits = -1 };
	ps->count = 0;
	/* An error has left its words among the problems. */
	if (request_is_json(rq) && wire_edit_read(rq->body, rq->body_len, wall_ms(), x, ps) == OK)
		return;
	if (ps->count == 0)
		wire_problem_add(ps, "", "the header Content-Type must be application/json");
}

static enum err look(struct desk *d, const struct route_args *args, struct call_read *read, struct errinfo *e)
{
	struct call_read *one = read;

	*read = (struct call_read){ .key_org = args->key.org, .call_id = route_call_id(args) };
	memcpy(read->key_hash, args->key.hash, sizeof read->key_hash);
	return store_calls_read(d->store, &one, 1, e);
}

static void fill_record(const struct http_request *rq, const struct call_record *call, struct http_reply *out)
{
	char etag[CALL_ETAG_SIZE];
	struct buf b;

	buf_init(&b, WIRE_CALL_RECORD_MAX);
	wire_call_record_write(&b, call);
	if (b.over) {
		buf_done(&b);
		error_fill(out, rq, API_INTERNAL, NULL, NULL);
		return;
	}
	out->status = 200;
	out->body = buf_take(&b, &out->body_len);
	wire_call_etag(call, etag);
	http_reply_header(out, "ETag", "%s", etag);
}

/* What it is now. The change itself is done whatever comes of this, and may be sent again. */
static void answer_with_record(struct desk *d, struct http_request *rq, const struct route_args *args,
                               struct http_reply *out)
{
	struct call_read read;
	struct errinfo e;
	enum err err = look(d, args, &read, &e);

	if (err) {
		desk_failed(d, rq, ERR_UNCERTAIN, &e, out);
		return;
	}
	if (read.outcome) {
		error_fill(out, rq, api_error_of_read(read.outcome), NULL, NULL);
		return;
	}
	fill_record(rq, &read.call, out);
	call_record_done(&read.call);
}

static void refuse(struct http_request *rq, enum api_error error, struct wire_problems *ps, const struct id *call_id,
                   struct http_reply *out)
{
	if (error == API_VALIDATION_FAILED && ps->count == 0)
		wire_problem_add(ps, "/scheduledAt", "scheduledAt must be before the call's expiresAt");
	error_fill(out, rq, error, error == API_VALIDATION_FAILED ? ps : NULL,
	           error == API_TOO_LATE || error == API_EDIT_LIMIT ? call_id : NULL);
}

static void change(struct desk *d, struct http_request *rq, const struct route_args *args, struct call_edit *x,
                   struct wire_problems *ps, struct http_reply *out)
{
	struct errinfo e;
	enum err err = store_call_edit(d->store, &args->key, x, d->api->rules.queue_ttl_s, &e);
	enum api_error error;

	if (err) {
		desk_failed(d, rq, err, &e, out);
		return;
	}
	error = error_of(x->outcome);
	if (error) {
		refuse(rq, error, ps, &x->call_id, out);
		return;
	}
	/* It was away for a moment, and a claim may have passed over it. */
	if (x->outcome == EDIT_DONE && x->queued)
		d->api->hooks.queued(d->api->hooks.arg, &x->lane);
	answer_with_record(d, rq, args, out);
}

/* API_OK: the change may be tried. */
static enum api_error judge(const struct http_request *rq, const struct call_read *read, const struct wire_problems *ps,
                            struct call_edit *x)
{
	const char *if_match = http_header(rq, "If-Match");
	char etag[CALL_ETAG_SIZE];

	if (read->outcome == READ_KEY_UNKNOWN)
		return API_CREDENTIALS_INVALID;
	if (ps->count > 0)
		return API_VALIDATION_FAILED;
	if (read->outcome)
		return api_error_of_read(read->outcome);
	if (!if_match)
		return API_OK;
	wire_call_etag(&read->call, etag);
	x->edits = read->call.edits;
	return etag_match(if_match, etag, false) ? API_OK : API_STALE;
}

void calls_edit(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out)
{
	struct wire_problems problems;
	struct call_read read;
	struct call_edit x;
	enum api_error error;
	struct errinfo e;
	enum err err;

	read_body(rq, &x, &problems);
	err = look(d, args, &read, &e);
	if (err) {
		desk_failed(d, rq, err, &e, out);
		wire_edit_done(&x);
		return;
	}
	x.call_id = read.call_id;
	error = judge(rq, &read, &problems, &x);
	if (read.outcome == READ_FOUND)
		call_record_done(&read.call);
	if (error)
		refuse(rq, error, &problems, &x.call_id, out);
	else
		change(d, rq, args, &x, &problems, out);
	wire_edit_done(&x);
}
