/* The request object: its text, its pool, and what a handler may ask of it. */
#include "exchange.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "ceilings.h"
#include "mailbox.h"

#define POOL_MAX        256             /* exchanges kept per thread                 */
#define KEPT_TEXT_BYTES 4096            /* larger buffers are not worth keeping      */
#define KEPT_BODY_BYTES 8192

_Static_assert(offsetof(struct exchange, rq) == 0, "exchange_of() relies on it");

struct exchange *exchange_take(struct exchange **pool, int *pooled, struct mailbox *box)
{
	struct exchange *x = *pool;

	if (x) {
		*pool = x->next;
		--*pooled;
	} else {
		x = xcalloc(1, sizeof *x);
		buf_init(&x->text, HEAD_TEXT_MAX_BYTES);
		buf_init(&x->body, 0);
		link_init(&x->held);
	}
	x->box = box;
	return x;
}

/* Everything but the kept buffers and the big reply, whose count says what is valid. */
static void reset(struct exchange *x)
{
	free(x->reply.body);
	free(x->reply.link);
	if (x->instead) {
		free(x->instead->body);
		free(x->instead->link);
	}
	free(x->instead);
	x->instead = NULL;
	x->reply.status = 0;
	x->reply.content_type = NULL;
	x->reply.body = x->reply.link = NULL;
	x->reply.body_len = 0;
	x->reply.header_count = 0;
	if (x->text.size > KEPT_TEXT_BYTES)
		buf_done(&x->text);
	buf_clear(&x->text);
	if (x->body.size > KEPT_BODY_BYTES)
		buf_done(&x->body);
	buf_clear(&x->body);
	x->rq = (struct http_request){ 0 };
	x->next = NULL;
	x->stage = EXCHANGE_READING;
	x->report = x->chunked = false;
	x->status = 0;
	x->conn = NULL;
	x->connection = NULL;
	x->headers_at = x->queries_at = 0;
}

void exchange_put(struct exchange **pool, int *pooled, struct exchange *x)
{
	assert(!x->with_app && !x->with_wire && link_alone(&x->held));
	if (*pooled >= POOL_MAX) {
		exchange_free(x);
		return;
	}
	reset(x);
	x->next = *pool;
	*pool = x;
	++*pooled;
}

void exchange_free(struct exchange *x)
{
	if (!x)
		return;
	reset(x);
	buf_done(&x->body);
	buf_done(&x->text);
	free(x);
}

static void add_string(struct buf *b, const char *s, size_t len)
{
	buf_add(b, s, len);
	buf_char(b, '\0');
}

void exchange_add_line(struct exchange *x, const char *method, const char *path)
{
	add_string(&x->text, method, strlen(method));
	add_string(&x->text, path, strlen(path));
	x->headers_at = x->text.len;
}

void exchange_add_pair(struct exchange *x, const char *name, size_t name_len,
                       const char *value, size_t value_len)
{
	add_string(&x->text, name, name_len);
	add_string(&x->text, value ? value : "", value ? value_len : 0);
}

void exchange_end_headers(struct exchange *x)
{
	x->queries_at = x->text.len;
}

bool exchange_end_text(struct exchange *x)
{
	bool all = !x->text.over;

	if (!all) {
		buf_clear(&x->text);
		exchange_add_line(x, "-", "-");
		exchange_end_headers(x);
	}
	x->rq.method = x->text.data;
	x->rq.path = x->text.data + strlen(x->text.data) + 1;
	x->rq.body = "";
	return all;
}

/* The next name at or after *at that is `name`, its value; NULL past `end`. A request
 * has about ten headers, and a handler asks for two or three: no index pays. */
static const char *find(const struct exchange *x, size_t *at, size_t end, const char *name,
                        bool any_case)
{
	const char *p = x->text.data + *at;
	const char *stop = x->text.data + end;

	while (p < stop) {
		const char *value = p + strlen(p) + 1;
		bool same = any_case ? str_case_eq(p, name) : str_eq(p, name);

		p = value + strlen(value) + 1;
		*at = (size_t)(p - x->text.data);
		if (same)
			return value;
	}
	return NULL;
}

const char *http_header(const struct http_request *rq, const char *name)
{
	const struct exchange *x = (const struct exchange *)(const void *)rq;
	size_t at = x->headers_at;

	return find(x, &at, x->queries_at, name, true);
}

const char *http_query(const struct http_request *rq, const char *name)
{
	const struct exchange *x = (const struct exchange *)(const void *)rq;
	size_t at = x->queries_at;

	return find(x, &at, x->text.len, name, false);
}

bool http_query_next(const struct http_request *rq, size_t *at, const char **name, const char **value)
{
	const struct exchange *x = (const struct exchange *)(const void *)rq;

	if (x->queries_at + *at >= x->text.len)
		return false;
	*name = x->text.data + x->queries_at + *at;
	*value = *name + strlen(*name) + 1;
	*at += (size_t)(*value - *name) + strlen(*value) + 1;
	return true;
}

void http_reply_header(struct http_reply *r, const char *name, const char *fmt, ...)
{
	char *value;
	va_list ap;

	assert(r->header_count < HTTP_REPLY_HEADERS);
	if (r->header_count >= HTTP_REPLY_HEADERS)
		return;
	value = r->headers[r->header_count].value;
	va_start(ap, fmt);
	vsnprintf(value, sizeof r->headers[0].value, fmt, ap);
	va_end(ap);
	/* A line end in a value would let whoever chose the value write headers. */
	for (char *c = value; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	r->headers[r->header_count++].name = name;
}

/* Only what is set: the headers' room is most of the struct. */
static void copy_reply(struct http_reply *to, const struct http_reply *from)
{
	to->status = from->status;
	to->content_type = from->content_type;
	to->body = from->body;
	to->body_len = from->body_len;
	to->link = from->link;
	to->header_count = from->header_count;
	memcpy(to->headers, from->headers, (size_t)from->header_count * sizeof from->headers[0]);
}

void http_reply(struct http_request *rq, struct http_reply *r)
{
	struct exchange *x = exchange_of(rq);

	copy_reply(&x->reply, r);
	r->body = r->link = NULL;
	r->body_len = 0;
	if (!mailbox_answers_at_once(x->box, x))
		mailbox_post(x->box, x);
}
