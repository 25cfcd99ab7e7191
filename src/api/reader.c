/* Group read: all look-ups that wait are one statement. */
#include <stdlib.h>

#include "calls.h"
#include "errors.h"
#include "etag.h"
#include "handlers.h"

/* A read changes nothing, so "perhaps done" is as good as not done: it may be repeated. */
static enum api_error error_of(const struct read_item *item, enum err batch)
{
	if (batch == ERR_UNCERTAIN)
		return API_DATABASE_AWAY;
	return batch ? api_error_of_err(batch) : api_error_of_read(item->read.outcome);
}

static void reply_found(struct read_item *item)
{
	const char *known = http_header(item->rq, "If-None-Match");
	struct http_reply r = { .status = 200 };
	char etag[CALL_ETAG_SIZE];
	struct buf b;

	wire_call_etag(&item->read.call, etag);
	http_reply_header(&r, "ETag", "%s", etag);
	if (known && etag_match(known, etag, true)) {
		r.status = 304;
		http_reply(item->rq, &r);
		return;
	}
	buf_init(&b, WIRE_CALL_RECORD_MAX);
	wire_call_record_write(&b, &item->read.call);
	if (b.over) {
		buf_done(&b);
		error_reply(item->rq, API_INTERNAL);
		return;
	}
	r.body = buf_take(&b, &r.body_len);
	http_reply(item->rq, &r);
}

static void answer(struct read_item *item, enum err batch)
{
	enum api_error error = error_of(item, batch);

	if (error)
		error_reply(item->rq, error);
	else
		reply_found(item);
	if (!batch && item->read.outcome == READ_FOUND)
		call_record_done(&item->read.call);
	free(item);
}

void reader_work(struct crew_member *m, void **items, size_t n)
{
	struct call_read *batch[READ_BATCH_MAX];
	struct errinfo e;
	enum err err;

	for (size_t i = 0; i < n; i++)
		batch[i] = &((struct read_item *)items[i])->read;
	err = store_calls_read(m->store, batch, n, &e);
	if (err)
		crew_failed(m, err, &e, n);
	crew_pass_turn(m);
	for (size_t i = 0; i < n; i++)
		answer(items[i], err);
}
