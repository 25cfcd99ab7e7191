/* The library's callbacks: how a request comes in and how its answer goes out.
 *
 *   started → line → first → (body …) → last → [suspended] → resumed → completed → closed
 *
 * An answer given in `first` makes the library close the connection after it, because a
 * body may follow. So a refusal waits for `last` wherever nothing (or little) follows. */
#include "thread.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "answer.h"
#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "ceilings.h"
#include "complaint.h"
#include "head.h"
#include "mailbox.h"

/* ---- connections ------------------------------------------------------------------ */

/* All times are equally long, so appending keeps the ring in order. */
void handler_wait(struct io_thread *t, struct conn *c)
{
	link_remove(&c->link);
	c->deadline_ms = t->now_ms + t->server->idle_timeout_ms;
	if (!c->cut)
		link_append(&t->waiting, &c->link);
	if (c->left)
		handler_left(t, c);
}

/* The library can miss an end that arrives together with data: it takes both for one
 * event and stops reading after the data. Then the connection would stay for the whole
 * idle time. So every socket is in our own epoll set too, for this one event, and a
 * connection that is still there a little later is pointed out (see nudge()). */
void handler_left(struct io_thread *t, struct conn *c)
{
	link_remove(&c->leaving);
	c->left = true;
	c->nudge_ms = t->now_ms + NUDGE_MS;
	if (!link_alone(&c->link))      /* with a request in hand its end can wait */
		link_append(&t->leaving, &c->leaving);
}

static void started(struct io_thread *t, struct MHD_Connection *m, void **socket_context)
{
	struct conn *c = xcalloc(1, sizeof *c);
	struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLET, .data.ptr = c };

	link_init(&c->link);
	link_init(&c->leaving);
	link_init(&c->reading);
	c->connection = m;
	c->fd = MHD_get_connection_info(m, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev);
	handler_wait(t, c);
	t->connections++;
	*socket_context = c;
}

static bool has_unread(int fd)
{
	int n = 0;

	return ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/* Called before the library closes the socket. */
static void closed(struct io_thread *t, struct conn *c)
{
	complaint_closed(t, c);
	if (!t->ending && !c->cut && (c->early || has_unread(c->fd)))
		linger_add(&t->lingering, t->epoll_fd, c->fd, t->now_ms);
	epoll_ctl(t->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
	link_remove(&c->link);
	link_remove(&c->leaving);
	link_remove(&c->reading);
	if (t->splitting == c)
		t->splitting = NULL;
	free(c);
	t->connections--;
	t->closed_one = true;
}

static void on_connection(void *arg, struct MHD_Connection *m, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		started(arg, m, socket_context);
	} else if (*socket_context) {
		closed(arg, *socket_context);
		*socket_context = NULL;
	}
}

static struct conn *conn_of(struct MHD_Connection *m)
{
	return MHD_get_connection_info(m, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void *on_line(void *arg, const char *uri, struct MHD_Connection *m)
{
	struct io_thread *t = arg;
	struct conn *c = conn_of(m);

	c->line_us = mono_us();
	c->refused = false;
	c->uri = uri;
	c->bad_line = !head_uri_valid(uri, &c->uri_end);
	link_append(&t->heads, &c->reading);
	t->splitting = c;
	return NULL;
}

/* The library decodes the arguments one by one and then, last, the path. */
static size_t on_unescape(void *arg, struct MHD_Connection *m, char *text)
{
	struct io_thread *t = arg;

	(void)m;
	if (t->splitting && t->splitting->uri == text)
		t->splitting = NULL;
	return MHD_http_unescape(text);
}

/* ---- answers ---------------------------------------------------------------------- */

void handler_release(struct io_thread *t, struct exchange *x)
{
	if (!x->with_app && !x->with_wire)
		exchange_put(&t->pool, &t->pooled, x);
}

static struct http_reply *reply_of(struct exchange *x)
{
	struct http_reply *r = x->instead ? x->instead : &x->reply;

	if (r->status < 200 || r->status > 599)
		r->status = 500;
	return r;
}

static bool closing(const struct io_thread *t)
{
	return atomic_load_explicit(&t->server->phase, memory_order_relaxed) != PHASE_RUN;
}

static enum MHD_Result queue(struct io_thread *t, struct exchange *x)
{
	struct http_reply *r = reply_of(x);
	struct MHD_Response *m = answer_response(r, x->rq.request_id, closing(t));
	enum MHD_Result result;

	x->stage = EXCHANGE_SENT;
	x->status = r->status;
	if (!m)
		return MHD_NO;
	result = MHD_queue_response(x->connection, (unsigned)r->status, m);
	MHD_destroy_response(m);
	return result;
}

/* By ourselves, for where the library cannot; returning MHD_NO then closes. */
static enum MHD_Result write_and_close(struct exchange *x)
{
	struct http_reply *r = reply_of(x);

	x->stage = EXCHANGE_SENT;
	x->status = r->status;
	x->conn->early = true;
	answer_write(x->conn->fd, r, x->rq.request_id, str_eq(x->rq.method, "HEAD"));
	return MHD_NO;
}

static void on_completed(void *arg, struct MHD_Connection *m, void **req_cls,
                         enum MHD_RequestTerminationCode how)
{
	struct io_thread *t = arg;
	struct exchange *x = *req_cls;

	if (how == MHD_REQUEST_TERMINATED_WITH_ERROR)
		complaint_completed(t, conn_of(m), x);
	link_remove(&conn_of(m)->reading);
	conn_of(m)->served_round = t->round;
	if (!x)
		return;
	/* The answer is here, but a client that has closed its sending half is taken for
	 * gone by the library. It may well be listening. */
	if (x->stage == EXCHANGE_ANSWERED)
		write_and_close(x);
	if (x->report)
		t->server->ops.done(t->server->arg, &x->rq, x->status);
	handler_wait(t, x->conn);
	x->conn->exchange = NULL;
	x->conn = NULL;
	x->connection = NULL;
	x->with_wire = false;
	*req_cls = NULL;
	handler_release(t, x);
}

/* ---- the access handler, in its four meanings -------------------------------------- */

/* Now, and close, since a body may follow it. */
static enum MHD_Result refuse_early(struct io_thread *t, struct exchange *x)
{
	x->conn->early = true;
	return queue(t, x);
}

static enum MHD_Result refuse(struct io_thread *t, struct exchange *x, int64_t length)
{
	bool asks = http_header(&x->rq, "Expect") != NULL;

	if (length < 0 || length > DISCARD_BODY_BYTES || (length > 0 && asks))
		return refuse_early(t, x);
	x->stage = EXCHANGE_DISCARDING;
	return MHD_YES;
}

/* By ourselves and for good: where it is unclear where the next request begins. */
static enum MHD_Result refuse_and_close(struct exchange *x, enum refusal why)
{
	answer_refuse(&x->reply, why, &x->rq);
	return write_and_close(x);
}

static struct exchange *begin(struct io_thread *t, struct MHD_Connection *m)
{
	struct exchange *x = exchange_take(&t->pool, &t->pooled, t->box);

	x->with_wire = true;
	x->connection = m;
	x->conn = conn_of(m);
	x->conn->exchange = x;
	x->rq.received_us = x->conn->line_us;
	link_remove(&x->conn->reading);
	return x;
}

/* The body may come: in chunks it is the library that judges it. */
static enum MHD_Result await_body(struct io_thread *t, struct exchange *x, int64_t limit)
{
	x->body.max = (size_t)limit;
	if (x->chunked)
		link_append(&t->chunks, &x->conn->reading);
	return MHD_YES;
}

static enum MHD_Result first(struct io_thread *t, struct exchange *x, const struct head_text *text)
{
	struct http_server *s = t->server;
	int64_t length = 0, limit;
	enum refusal why = head_copy(t, x, text, &length);

	x->report = true;
	if (why == REFUSE_ENCODING) {
		answer_refuse(&x->reply, why, &x->rq);
		return refuse(t, x, length);
	}
	if (why)
		return refuse_and_close(x, why);
	x->chunked = length < 0;
	limit = s->ops.head(s->arg, &x->rq, &x->reply);
	if (limit < 0)
		return refuse(t, x, length);
	if (t->stopping) {
		s->ops.stopping(s->arg, &x->rq, &x->reply);
		return refuse(t, x, length);
	}
	if (length > limit) {
		s->ops.too_large(s->arg, &x->rq, limit, &x->reply);
		return refuse_early(t, x);
	}
	return await_body(t, x, limit);
}

static enum MHD_Result body(struct io_thread *t, struct exchange *x, const char *data, size_t *len)
{
	size_t n = *len;

	*len = 0;
	if (x->stage == EXCHANGE_DISCARDING)
		return MHD_YES;
	buf_add(&x->body, data, n);
	if (!x->body.over)
		return MHD_YES;
	t->server->ops.too_large(t->server->arg, &x->rq, (int64_t)x->body.max, &x->reply);
	return write_and_close(x);
}

static void hand_out(struct io_thread *t, struct exchange *x)
{
	x->stage = EXCHANGE_HANDED;
	x->with_app = true;
	x->rq.body = x->body.data;
	x->rq.body_len = x->body.len;
	x->deadline_ms = t->now_ms + t->server->answer_timeout_ms;
	link_remove(&x->conn->link);    /* its idle time stands still */
	link_remove(&x->conn->leaving);
	link_append(&t->held, &x->held);
	t->out++;
	atomic_fetch_add_explicit(&t->in_hand, 1, memory_order_relaxed);
}

static void take_back(struct io_thread *t, struct exchange *x)
{
	x->stage = EXCHANGE_ANSWERED;
	x->with_app = false;
	link_remove(&x->held);
	handler_wait(t, x->conn);
	t->out--;
	atomic_fetch_sub_explicit(&t->in_hand, 1, memory_order_relaxed);
}

static enum MHD_Result last(struct io_thread *t, struct exchange *x)
{
	struct http_server *s = t->server;

	link_remove(&x->conn->reading);
	if (x->stage == EXCHANGE_DISCARDING)
		return queue(t, x);
	if (t->stopping) {
		s->ops.stopping(s->arg, &x->rq, &x->reply);
		return queue(t, x);
	}
	hand_out(t, x);
	mailbox_calling(t->box, x);
	s->ops.request(s->arg, &x->rq);
	if (!mailbox_called(t->box)) {
		/* Another thread may have answered already; we see that only after this. */
		MHD_suspend_connection(x->connection);
		return MHD_YES;
	}
	take_back(t, x);
	return queue(t, x);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *m, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **req_cls)
{
	struct io_thread *t = arg;
	struct exchange *x = *req_cls;

	if (!x) {
		const struct head_text text = { .method = method, .path = path, .version = version };

		if (conn_of(m)->refused)
			return MHD_NO;
		x = begin(t, m);
		*req_cls = x;
		return first(t, x, &text);
	}
	if (*data_len > 0)
		return body(t, x, data, data_len);
	return x->stage == EXCHANGE_ANSWERED ? queue(t, x) : last(t, x);
}

/* ---- the daemon ------------------------------------------------------------------- */

static void on_panic(void *arg, const char *file, unsigned int line, const char *reason)
{
	(void)arg;
	LOG_ERROR("http.panic", LOG_STR("file", file), LOG_INT("line", line), LOG_STR("reason", reason));
	abort();
}

struct MHD_Daemon *handler_daemon(struct io_thread *t, int max_connections)
{
	MHD_set_panic_func(on_panic, NULL);
	return MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
		NULL, NULL, on_request, t,
		MHD_OPTION_EXTERNAL_LOGGER, complaint_log, t,
		MHD_OPTION_LISTEN_SOCKET, t->listen_fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)max_connections,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_POOL_BYTES,
		MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)CONNECTION_GROW_BYTES,
		/* Timeouts are ours: the library's begin anew with every byte. */
		MHD_OPTION_CONNECTION_TIMEOUT, 0U,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, t,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, t,
		MHD_OPTION_URI_LOG_CALLBACK, on_line, t,
		MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, t,
		/* What strictness adds we check ourselves: the library's own refusal of a
		 * missing Host writes its head twice. */
		MHD_OPTION_STRICT_FOR_CLIENT, 0,
		MHD_OPTION_END);
}
