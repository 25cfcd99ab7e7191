/* GET /v1/calls/{id}/events and GET /v1/events: what happened to one call, and to all. */
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_lists.h"
#include "calls.h"
#include "errors.h"
#include "handlers.h"
#include "query.h"

#define CALL_LIMIT_MAX 100
#define FEED_LIMIT_MAX 1000
#define LIMIT_DEFAULT 100
#define EVENT_MAX 4096          /* bytes of one as JSON; its texts are the provider's, and bounded */

static void fill(struct http_request *rq, const struct call_event *events, size_t n, bool more, const char *position,
                 struct http_reply *out)
{
	struct buf b;

	buf_init(&b, (n + 1) * EVENT_MAX);
	wire_events_write(&b, events, n, more, position);
	if (b.over) {
		buf_done(&b);
		error_fill(out, rq, API_INTERNAL, NULL, NULL);
		return;
	}
	out->status = 200;
	out->body = buf_take(&b, &out->body_len);
}

void call_events_get(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out)
{
	static const char *const names[] = { "after", "limit" };
	struct wire_problems problems = { .count = 0 };
	struct id call = route_call_id(args);
	struct call_event *events = NULL;
	enum read_outcome outcome;
	size_t n = 0, limit;
	struct errinfo e;
	bool more;
	enum err err;
	int after;

	query_only(rq, names, ARRAY_LEN(names), &problems);
	after = (int)query_int(rq, "after", 0, INT16_MAX, -1, &problems);
	limit = (size_t)query_int(rq, "limit", 1, CALL_LIMIT_MAX, LIMIT_DEFAULT, &problems);
	if (problems.count) {
		desk_refuse(d, rq, args, API_VALIDATION_FAILED, &problems, out);
		return;
	}
	err = store_call_events(d->store, &args->key, &call, after, limit, &events, &n, &more, &outcome, &e);
	if (err)
		desk_failed(d, rq, err, &e, out);
	else if (outcome)
		error_fill(out, rq, api_error_of_read(outcome), NULL, NULL);
	else
		fill(rq, events, n, more, NULL, out);
	call_events_free(events, n);
}

/* ── all of them ──────────────────────────────────────────────────────────────────── */

struct feed_query {
	struct feed_position at;
	size_t               limit;
	bool                 latest, lost;
	struct wire_problems problems;
};

static void read_query(const struct http_request *rq, int64_t org, struct feed_query *q)
{
	static const char *const names[] = { "after", "limit" };
	const char *after = http_query(rq, "after");

	memset(q, 0, sizeof *q);
	query_only(rq, names, ARRAY_LEN(names), &q->problems);
	q->limit = (size_t)query_int(rq, "limit", 1, FEED_LIMIT_MAX, LIMIT_DEFAULT, &q->problems);
	q->latest = after && str_eq(after, "latest");
	q->lost = after && !q->latest && !wire_position_read(org, after, &q->at);
}

void events_get(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out)
{
	CLEANUP(freep) struct feed_query *q = xmalloc(sizeof *q);
	char position[WIRE_CURSOR_SIZE];
	struct call_event *events = NULL;
	enum read_outcome outcome;
	struct errinfo e;
	bool more;
	enum err err;
	size_t n = 0;

	read_query(rq, args->key.org, q);
	if (q->problems.count || q->lost) {
		desk_refuse(d, rq, args, q->problems.count ? API_VALIDATION_FAILED : API_CURSOR_INVALID, &q->problems, out);
		return;
	}
	err = store_feed(d->store, &args->key, q->latest, &q->at, q->limit, &events, &n, &more, &outcome, &e);
	if (err) {
		desk_failed(d, rq, err, &e, out);
	} else if (outcome) {
		error_fill(out, rq, api_error_of_read(outcome), NULL, NULL);
	} else {
		wire_position_write(args->key.org, &q->at, position);
		fill(rq, events, n, more, position, out);
	}
	call_events_free(events, n);
}
