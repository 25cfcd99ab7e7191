/* Refusals of the library: told apart, answered in its stead, reported. */
#include "complaint.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "answer.h"
#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/text.h"
#include "head.h"
#include "thread.h"

#define PAGE_FORMAT "Error processing request (HTTP response code is"

/* A request of which nothing is known but that it was refused. */
static struct exchange *unknown(struct io_thread *t, int64_t since_us)
{
	struct exchange *x = exchange_take(&t->pool, &t->pooled, t->box);

	exchange_add_line(x, "-", "-");
	exchange_end_headers(x);
	exchange_end_text(x);
	head_fresh_id(t, x->rq.request_id);
	x->rq.received_us = since_us;
	return x;
}

static void report(struct io_thread *t, struct exchange *x, int status)
{
	t->server->ops.done(t->server->arg, &x->rq, status);
	exchange_put(&t->pool, &t->pooled, x);
}

static struct conn *only(const struct link *ring)
{
	if (link_alone(ring) || ring->next != ring->prev)
		return NULL;
	return LINK_OWNER(ring->next, struct conn, reading);
}

/* Its head is whole, but not yet handed over, and it has no answer: the library passes
 * through that in one go, so at most one connection is there at a time. (One with an answer
 * has had its page and does not take it off.) The latest line is the likeliest. */
static struct conn *judged(const struct io_thread *t)
{
	for (struct link *l = t->heads.prev; l != &t->heads; l = l->prev) {
		struct conn *c = LINK_OWNER(l, struct conn, reading);

		if (MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE) &&
		    !MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_HTTP_STATUS))
			return c;
	}
	return NULL;
}

/* Whose refusal it is; NULL where that is not certain.
 *
 * While arguments are split, and while a whole head is judged (cookies, Content-Length),
 * it is certain, and those are all the places that write a head twice or never. A head
 * that outgrows the memory, or a bad chunk, can come from whoever is sending one. Bad
 * request lines and header lines can come from any connection at all. */
static struct conn *culprit(const struct io_thread *t, unsigned status, const char *page)
{
	struct conn *c = t->splitting;

	if (!c && (status == 400 || status == 413 || status == 431))
		c = judged(t);
	if (!c && status == 431 && link_alone(&t->chunks))
		c = only(&t->heads);
	else if (!c && ((status == 431 && link_alone(&t->heads)) || strstr(page, "chunk")))
		c = only(&t->chunks);
	return c;
}

static enum refusal refusal_of(unsigned status)
{
	return status == 431 ? REFUSE_HEAD_TOO_LARGE : status == 413 ? REFUSE_BODY_TOO_LARGE : REFUSE_MALFORMED;
}

/* The library finds the socket shut, gives its page up and closes. After arguments that
 * did not fit it waits for more instead, so there both halves are shut. */
static void answer_instead(struct io_thread *t, struct conn *c, enum refusal why)
{
	struct exchange *x = c->exchange ? c->exchange : unknown(t, c->line_us);

	answer_refuse(&x->reply, why, &x->rq);
	x->status = x->reply.status;
	answer_write(c->fd, &x->reply, x->rq.request_id, str_eq(x->rq.method, "HEAD"));
	shutdown(c->fd, t->splitting == c ? SHUT_RDWR : SHUT_WR);
	c->early = true;
	c->refused = true;
	link_remove(&c->reading);
	if (c->exchange)
		x->stage = EXCHANGE_SENT;       /* reported when it is completed */
	else
		report(t, x, x->status);
}

static void report_page(struct io_thread *t)
{
	if (t->page_status != 0)
		report(t, unknown(t, mono_us()), t->page_status);
	t->page_status = 0;
}

static void refused(struct io_thread *t, unsigned status, const char *page)
{
	struct conn *c = culprit(t, status, page);

	report_page(t);
	if (c && !c->refused) {
		answer_instead(t, c, refusal_of(status));
	} else if (!c) {
		t->page_status = (int)status;
		t->pages++;
	}
}

void complaint_log(void *arg, const char *fmt, va_list ap)
{
	char text[256];

	if (strncmp(fmt, PAGE_FORMAT, sizeof PAGE_FORMAT - 1) == 0) {
		va_list args;
		unsigned status;

		va_copy(args, ap);
		status = va_arg(args, unsigned);
		refused(arg, status, va_arg(args, const char *));
		va_end(args);
	}
	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	vsnprintf(text, sizeof text, fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	LOG_DEBUG("http.library", LOG_STR("text", text));
}

/* A page is nearly always written, and its request completed, before the library turns to
 * another connection. */
void complaint_completed(struct io_thread *t, struct conn *c, struct exchange *x)
{
	if (t->page_status == 0 || c->refused || (x && x->status != 0))
		return;
	if (x)
		x->status = t->page_status;
	else
		report(t, unknown(t, c->line_us), t->page_status);
	t->page_status = 0;
	t->pages--;
}

/* A first line that is none makes the library close without a word, in its log neither.
 * Then nothing was asked on this connection, and it is not the client that left. (One that
 * answers our end with its own within this round is not told from those: a line less.) */
void complaint_closed(struct io_thread *t, const struct conn *c)
{
	char byte;
	ssize_t n;

	if (t->ending || c->cut || c->left || c->refused || c->served_round == t->round)
		return;
	n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return;
	if (t->pages > 0)
		t->pages--;             /* it got a page */
	else
		report(t, unknown(t, mono_us()), 400);
}

void complaint_end_round(struct io_thread *t)
{
	report_page(t);
	t->pages = 0;
}
