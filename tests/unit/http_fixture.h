/* A server with a small set of paths, and clients that speak bare bytes, for the tests of
 * the HTTP edge. Every wait is bounded.
 *
 *   /now        answered from inside ops.request       /later   from a second thread
 *   /hold       kept until hold_release()              /none    404 before the body
 *   /small      at most 16 bytes of body               others   as /now */
#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "callgate/buf.h"
#include "callgate/clock.h"
#include "callgate/http.h"
#include "callgate/mem.h"
#include "callgate/queue.h"

#define UNUSED_OK __attribute__((unused))
#define HELD_MAX 1024
#define WAIT_MS  5000

struct fixture {
	struct http_server  *server;
	struct http_config   config;
	struct queue        *queue;
	pthread_t            replier;

	pthread_mutex_t      mutex;
	struct http_request *held[HELD_MAX];
	int                  held_count;

	_Atomic int          heads;
	_Atomic int          requests;
	_Atomic int          dones;
	_Atomic int          timeouts;
	_Atomic int          last_status;
	_Atomic bool         last_unknown;      /* done's path was "-" */
};

/* ---- the server ------------------------------------------------------------------ */

static void fill(struct http_reply *r, int status, const char *text)
{
	r->status = status;
	r->body = xstrdup(text);
	r->body_len = strlen(text);
}

/* As long as the request's x-link says, or that itself. */
static char *link_for(const struct http_request *rq)
{
	const char *said = http_header(rq, "x-link");
	size_t n = said ? strtoul(said, NULL, 10) : 0;
	char *link;

	if (n == 0)
		return said ? xstrdup("</a>\r\nX-Injected: no") : NULL;
	link = xmalloc(n + 1);
	memset(link, 'l', n);
	link[n] = '\0';
	return link;
}

/* "METHOD path?q=… header-x body", so that a test sees what came in. */
static void echo(struct http_request *rq)
{
	struct http_reply r = { .status = 200, .content_type = "text/plain" };
	const char *q = http_query(rq, "q");
	const char *x = http_header(rq, "x-test");
	struct buf b;

	buf_init(&b, 4 << 20);
	buf_printf(&b, "%s %s q=%s x=%s %zu:", rq->method, rq->path, q ? q : "-", x ? x : "-",
	           rq->body_len);
	buf_add(&b, rq->body, rq->body_len);
	r.body = buf_take(&b, &r.body_len);
	r.link = link_for(rq);
	http_reply_header(&r, "X-Echo", "%s", "yes\r\nX-Injected: no");
	http_reply(rq, &r);
}

static int64_t on_head(void *arg, struct http_request *rq, struct http_reply *refusal)
{
	struct fixture *f = arg;

	f->heads++;
	if (strcmp(rq->path, "/none") == 0) {
		fill(refusal, 404, "none");
		return -1;
	}
	return strcmp(rq->path, "/small") == 0 ? 16 : 1 << 20;
}

static void on_too_large(void *arg, struct http_request *rq, int64_t limit, struct http_reply *r)
{
	(void)arg;
	(void)rq;
	fill(r, 413, limit == 16 ? "more than 16" : "too large");
}

static void hold(struct fixture *f, struct http_request *rq)
{
	pthread_mutex_lock(&f->mutex);
	if (f->held_count >= HELD_MAX)
		abort();
	f->held[f->held_count++] = rq;
	pthread_mutex_unlock(&f->mutex);
}

static void on_request(void *arg, struct http_request *rq)
{
	struct fixture *f = arg;

	f->requests++;
	if (strcmp(rq->path, "/hold") == 0)
		hold(f, rq);
	else if (strcmp(rq->path, "/later") != 0 || !queue_push(f->queue, rq))
		echo(rq);
}

static void on_done(void *arg, const struct http_request *rq, int status)
{
	struct fixture *f = arg;

	if (!rq->path || !rq->request_id[0])
		abort();
	f->last_status = status;
	f->last_unknown = strcmp(rq->path, "-") == 0;
	f->dones++;
}

static void on_timed_out(void *arg, struct http_request *rq, struct http_reply *r)
{
	struct fixture *f = arg;

	(void)rq;
	f->timeouts++;
	fill(r, 503, "timed out");
}

static void on_stopping(void *arg, struct http_request *rq, struct http_reply *r)
{
	(void)arg;
	(void)rq;
	fill(r, 503, "stopping");
}

static void *replier_main(void *arg)
{
	struct fixture *f = arg;
	void *batch[64];
	size_t n;

	while ((n = queue_take(f->queue, batch, 64, -1)) > 0)
		for (size_t i = 0; i < n; i++)
			echo(batch[i]);
	return NULL;
}

static const struct http_ops fixture_ops = {
	.head = on_head, .too_large = on_too_large, .request = on_request,
	.done = on_done, .timed_out = on_timed_out, .stopping = on_stopping,
};

static void fixture_start(struct fixture *f, struct http_config c)
{
	struct errinfo e = { "" };

	memset(f, 0, sizeof *f);
	f->config = (struct http_config){
		.listen = c.listen ? c.listen : "127.0.0.1:0",
		.threads = c.threads ? c.threads : 1,
		.max_connections = c.max_connections ? c.max_connections : 2000,
		.idle_timeout_ms = c.idle_timeout_ms ? c.idle_timeout_ms : 20000,
		.answer_timeout_ms = c.answer_timeout_ms ? c.answer_timeout_ms : 20000,
	};
	pthread_mutex_init(&f->mutex, NULL);
	f->queue = queue_new(4096);
	if (http_start(&f->config, &fixture_ops, f, &f->server, &e))
		fail_msg("http_start: %s", e.text);
	if (pthread_create(&f->replier, NULL, replier_main, f) != 0)
		abort();
}

UNUSED_OK static int hold_release(struct fixture *f)
{
	struct http_request *all[HELD_MAX];
	int n;

	pthread_mutex_lock(&f->mutex);
	n = f->held_count;
	memcpy(all, f->held, sizeof all[0] * (size_t)n);
	f->held_count = 0;
	pthread_mutex_unlock(&f->mutex);
	for (int i = 0; i < n; i++)
		echo(all[i]);
	return n;
}

static void fixture_end(struct fixture *f)
{
	queue_close(f->queue);
	pthread_join(f->replier, NULL);
	queue_free(f->queue);
	pthread_mutex_destroy(&f->mutex);
}

UNUSED_OK static void fixture_stop(struct fixture *f)
{
	http_stop(f->server, 2000);
	fixture_end(f);
}

/* Waits until *n is at least `want`. */
UNUSED_OK static void await(const _Atomic int *n, int want)
{
	for (int64_t end = mono_ms() + WAIT_MS; *n < want; usleep(500))
		if (mono_ms() > end)
			fail_msg("waited for %d, saw %d", want, *n);
}

/* ---- a client ---------------------------------------------------------------------- */

struct client {
	int    fd;
	char  *in;              /* read, not yet consumed */
	size_t len;
};

struct answer {
	int    status;
	char   head[4096];
	char  *body;
	size_t body_len;
};

static struct client client_open(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval wait = { .tv_sec = WAIT_MS / 1000 };
	struct client c = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };

	setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
	if (connect(c.fd, (struct sockaddr *)&a, sizeof a) < 0)
		fail_msg("connect");
	return c;
}

static void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->in);
	*c = (struct client){ .fd = -1 };
}

static bool client_send_bytes(struct client *c, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

UNUSED_OK static bool client_send(struct client *c, const char *text)
{
	return client_send_bytes(c, text, strlen(text));
}

/* False at the end of the stream, on a reset, or after WAIT_MS. */
static bool client_fill(struct client *c)
{
	char piece[16384];
	ssize_t n = recv(c->fd, piece, sizeof piece, 0);

	if (n <= 0)
		return false;
	c->in = xrealloc(c->in, c->len + (size_t)n + 1, 1);
	memcpy(c->in + c->len, piece, (size_t)n);
	c->len += (size_t)n;
	c->in[c->len] = '\0';
	return true;
}

static void client_consume(struct client *c, size_t n)
{
	memmove(c->in, c->in + n, c->len - n + 1);
	c->len -= n;
}

UNUSED_OK static bool answer_has(const struct answer *a, const char *line)
{
	return strcasestr(a->head, line) != NULL;
}

static void answer_done(struct answer *a)
{
	free(a->body);
	a->body = NULL;
}

/* Reads one answer; status 0 when none comes. */
static struct answer client_read(struct client *c, bool of_head)
{
	struct answer a = { 0 };
	const char *end = NULL, *length;
	size_t head;

	while (!(end = c->in ? strstr(c->in, "\r\n\r\n") : NULL))
		if (!client_fill(c))
			return a;
	head = (size_t)(end - c->in) + 4;
	if (head >= sizeof a.head)
		fail_msg("the answer's head is long");
	memcpy(a.head, c->in, head);
	client_consume(c, head);
	if (sscanf(a.head, "HTTP/1.1 %d", &a.status) != 1)
		fail_msg("no status line: %s", a.head);
	length = strcasestr(a.head, "\r\ncontent-length:");
	a.body_len = length && !of_head && a.status >= 200 ? strtoul(length + 17, NULL, 10) : 0;
	while (c->len < a.body_len)
		if (!client_fill(c))
			fail_msg("the answer's body is cut: %zu of %zu", c->len, a.body_len);
	a.body = xstrndup(c->in, a.body_len);
	client_consume(c, a.body_len);
	return a;
}

/* True when the server closes within ms, whatever it sends before. */
UNUSED_OK static bool client_sees_end(struct client *c, int ms)
{
	struct timeval wait = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	int64_t end = mono_ms() + ms;
	char piece[4096];
	ssize_t n;

	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	do
		n = recv(c->fd, piece, sizeof piece, 0);
	while (n > 0 && mono_ms() < end);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* Sends, expects one answer with this status. */
UNUSED_OK static struct answer exchange_bytes(struct client *c, const char *text, int status)
{
	struct answer a;

	if (!client_send(c, text))
		fail_msg("could not send");
	a = client_read(c, strncmp(text, "HEAD", 4) == 0);
	if (a.status != status)
		fail_msg("expected %d, got %d: %s%s", status, a.status, a.head, a.body ? a.body : "");
	return a;
}

UNUSED_OK static void expect(struct client *c, const char *text, int status, const char *body)
{
	struct answer a = exchange_bytes(c, text, status);

	assert_string_equal(a.body, body);
	answer_done(&a);
}

#endif
