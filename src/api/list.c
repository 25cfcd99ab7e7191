/* GET /v1/calls: the calls that a filter fits, newest first, page by page. */
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_lists.h"
#include "errors.h"
#include "handlers.h"
#include "query.h"

#define LIMIT_MAX 100
#define LIMIT_DEFAULT 20

_Static_assert(LIMIT_MAX <= READ_BATCH_MAX, "a page is one read");

struct query {
	struct call_filter   filter;
	size_t               limit;
	struct id            before;
	bool                 goes_on;   /* from `before` */
	bool                 lost;      /* there was a cursor, and it was none */
	struct wire_problems problems;
};

static void read_query(const struct http_request *rq, int64_t org, struct query *q)
{
	const char *name, *value, *cursor = http_query(rq, "cursor");
	size_t at = 0;

	memset(q, 0, sizeof *q);
	while (http_query_next(rq, &at, &name, &value)) {
		if (!query_once(rq, name, value, &q->problems) || str_eq(name, "limit") || str_eq(name, "cursor"))
			continue;
		if (!wire_filter_argument(&q->filter, name, value, &q->problems))
			query_unknown(name, &q->problems);
	}
	wire_filter_end(&q->filter, &q->problems);
	q->limit = (size_t)query_int(rq, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &q->problems);
	q->goes_on = cursor && wire_cursor_read(org, &q->filter, cursor, &q->before);
	q->lost = cursor && !q->goes_on;
}

/* The same request with another cursor, as a reference relative to the server. */
static char *next_link(const struct http_request *rq, const char *cursor)
{
	const char *name, *value;
	struct buf b;
	size_t at = 0;

	buf_init(&b, HTTP_LINK_MAX + 1);
	buf_str(&b, "</v1/calls?");
	while (http_query_next(rq, &at, &name, &value)) {
		if (str_eq(name, "cursor"))
			continue;
		query_escape(&b, name);
		buf_char(&b, '=');
		query_escape(&b, value);
		buf_char(&b, '&');
	}
	buf_printf(&b, "cursor=%s>; rel=\"next\"", cursor);
	if (!b.over)
		return buf_take(&b, &(size_t){ 0 });
	buf_done(&b);
	return NULL;            /* the body has the cursor */
}

static void fill_page(const struct http_request *rq, int64_t org, const struct query *q, const struct call_read *items,
                      size_t n, const struct list_page *page, struct http_reply *out)
{
	char cursor[WIRE_CURSOR_SIZE];
	struct buf b;

	if (page->more) {
		wire_cursor_write(org, &q->filter, &page->last, cursor);
		out->link = next_link(rq, cursor);
	}
	buf_init(&b, LIMIT_MAX * (size_t)WIRE_CALL_RECORD_MAX);
	wire_call_list_write(&b, items, n, page->more ? cursor : NULL);
	out->status = 200;
	out->body = buf_take(&b, &out->body_len);
}

void calls_list(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out)
{
	CLEANUP(freep) struct call_read *items = NULL;
	CLEANUP(freep) struct query *q = xmalloc(sizeof *q);
	struct list_page page;
	struct errinfo e;
	enum err err;
	size_t n = 0;

	read_query(rq, args->key.org, q);
	if (q->problems.count || q->lost) {
		desk_refuse(d, rq, args, q->problems.count ? API_VALIDATION_FAILED : API_CURSOR_INVALID, &q->problems, out);
		return;
	}
	items = xcalloc(q->limit, sizeof *items);
	err = store_calls_list(d->store, &args->key, &q->filter, q->goes_on ? &q->before : NULL, q->limit, items, &n, &page, &e);
	if (err)
		desk_failed(d, rq, err, &e, out);
	else if (page.outcome)
		error_fill(out, rq, api_error_of_read(page.outcome), NULL, NULL);
	else
		fill_page(rq, args->key.org, q, items, n, &page, out);
	while (n > 0)
		call_record_done(&items[--n].call);
}
