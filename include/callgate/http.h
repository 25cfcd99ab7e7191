/* The HTTP edge: libmicrohttpd behind a contract of two halves. `http` takes whole
 * requests off the wire and hands each to `ops.request`; whoever got it answers it
 * exactly once, from any thread, with http_reply(). Nothing here knows a route.
 *
 * Each I/O thread owns one daemon in external epoll mode on a shared port
 * (SO_REUSEPORT), with its own epoll set and one eventfd for finished answers; it
 * never waits for anything but its sockets. (The library's internal epoll loop stalls
 * at multiples of 128 ready connections, measured on 0.9.75.) */
#ifndef CALLGATE_HTTP_H
#define CALLGATE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/err.h"

struct http_server;

#define HTTP_REQUEST_ID_SIZE 65

/* A complete request. Borrowed pointers live until http_reply(). */
struct http_request {
	const char *method;             /* "GET", "POST", …                              */
	const char *path;               /* percent-decoded by the library, without query */
	const char *body;               /* NUL-terminated; "" when there is none         */
	size_t      body_len;
	char        request_id[HTTP_REQUEST_ID_SIZE];   /* X-Request-Id as sent when it is 1-64 of
	                                                 * [A-Za-z0-9._-], else a fresh one; sent back */
	int64_t     received_us;        /* mono_us() when the request line was read      */
	void       *state;              /* ops.head's, handed on to ops.request          */
};

/* First value of a request header / query argument, or NULL. Thread-safe until the reply. */
const char *http_header(const struct http_request *rq, const char *name);
const char *http_query(const struct http_request *rq, const char *name);
/* Every query argument in turn; *at begins as 0. False: there are no more. */
bool        http_query_next(const struct http_request *rq, size_t *at, const char **name, const char **value);

#define HTTP_REPLY_HEADERS 6
#define HTTP_LINK_MAX      1536 /* with this, all headers fit into what is kept free for them */

/* An answer. `body` and `link` are taken (malloc'ed; NULL for none); header values are copied. */
struct http_reply {
	int         status;
	const char *content_type;       /* static; NULL: "application/json"            */
	char       *body;               /* taken                                       */
	size_t      body_len;
	struct {
		const char *name;       /* static                                      */
		char        value[160];
	} headers[HTTP_REPLY_HEADERS];
	int         header_count;
	char       *link;               /* taken; sent as Link, for what is too long for a header
	                                 * above; left out past HTTP_LINK_MAX bytes */
};

/* Adds one header; ignored past HTTP_REPLY_HEADERS (an assertion in debug builds). */
__attribute__((format(printf, 3, 4)))
void http_reply_header(struct http_reply *r, const char *name, const char *fmt, ...);

/* Answers. Exactly once per request; never blocks; the request is gone afterwards. */
void http_reply(struct http_request *rq, struct http_reply *r);

struct http_ops {
	/* What is not well-formed HTTP never comes here: http refuses it itself, with the
	 * same body as every other error and the codes `request_malformed`, `head_too_large`,
	 * `body_too_large` and `encoding_unsupported`.
	 *
	 * Before any body is read, on the I/O thread: may this request come in at all?
	 * Return the number of body bytes allowed (0 is fine), or -1 after filling
	 * `refusal` (404, 405, …). A larger Content-Length is answered by http with what
	 * `too_large` fills, before reading; a chunked body as soon as it has grown past.
	 * `rq->state` may be set here for ops.request. */
	int64_t (*head)(void *arg, struct http_request *rq, struct http_reply *refusal);
	void    (*too_large)(void *arg, struct http_request *rq, int64_t limit, struct http_reply *refusal);
	/* The whole request, on the I/O thread: must not block; ownership until http_reply(),
	 * which may be called from here. */
	void    (*request)(void *arg, struct http_request *rq);
	/* The answer has been handed to the wire (or the peer is gone): for the access log.
	 * Exactly once for every request that `head` has seen, and for each that http refused
	 * by itself before that: then `state` is NULL, and where too little was read of the
	 * request, method and path are "-". Status 0: the client left before its request was
	 * whole. After `timed_out` it may come before the late http_reply(), so
	 * it frees nothing that a handler may still read. */
	void    (*done)(void *arg, const struct http_request *rq, int status);
	/* A request that nobody answered within `answer_timeout_ms` is answered by http with
	 * what this fills (503); a late http_reply() is then swallowed. */
	void    (*timed_out)(void *arg, struct http_request *rq, struct http_reply *answer);
	/* A request that came while the server stops; `request` has not seen it and will not. */
	void    (*stopping)(void *arg, struct http_request *rq, struct http_reply *answer);
};

struct http_config {
	const char *listen;             /* "127.0.0.1:8080", "[::]:8080", ":8080"; port 0 picks one */
	int         threads;            /* I/O threads                                   */
	int         max_connections;    /* in all; past it the kernel's backlog waits     */
	int         idle_timeout_ms;    /* a connection without a complete request for this
	                                 * long is shut, however slowly bytes drip in      */
	int         answer_timeout_ms;
};

/* What http refuses by itself, for those who tell clients about errors; NULL: not that code. */
struct http_refusal {
	int         status;
	const char *code, *text;
};
const struct http_refusal *http_refusal_find(const char *code);

enum err http_start(const struct http_config *c, const struct http_ops *ops, void *arg,
                    struct http_server **out, struct errinfo *e) MUST_USE;
int      http_port(const struct http_server *s);        /* the one really bound */
int64_t  http_in_hand(struct http_server *s);           /* requests handed out and not yet answered */

/* Stops accepting (existing connections are told "close" with their next answer). */
void http_quiesce(struct http_server *s);
/* Waits for the answers in hand (at most grace_ms; what is left is answered by timed_out),
 * writes them out, ends the threads, frees. */
void http_stop(struct http_server *s, int grace_ms);

#endif
