/* Asking over HTTP, many at once: one thread over one libcurl multi handle. Requests and
 * timers are started from any thread; every callback runs on the net's own thread, one at
 * a time, so that whoever builds on it needs no lock of its own. libcurl's codes end here.
 *
 * What matters most is told apart: a request that certainly never left (ERR_UNAVAILABLE)
 * and one that may have been carried out (ERR_UNCERTAIN). */
#ifndef CALLGATE_NET_H
#define CALLGATE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/err.h"

struct net;

struct net_config {
	const char *ca_file;            /* PEM bundle instead of the system's; NULL: the system's */
	const char *user_agent;
	int         max_requests;       /* under way at once; past it net_send() is ERR_LIMIT     */
	int         idle_connections;   /* kept open for reuse                                    */
};

enum err net_new(const struct net_config *c, struct net **out, struct errinfo *e) MUST_USE;
/* Ends the thread; callbacks of what was under way are not called any more. */
void     net_free(struct net *n);

struct net_answer {
	enum err    err;        /* OK: an HTTP answer arrived whole, whatever its status            */
	int         status;
	const char *body;       /* NUL-terminated, borrowed until the callback returns              */
	size_t      body_len;
	bool        cut;        /* the body was longer than max_body_bytes                          */
	char        words[160]; /* what went wrong, for people; no secrets, no URL                  */
};
typedef void net_done_fn(void *arg, const struct net_answer *a);

struct net_request {
	const char        *method;              /* "POST", …                                     */
	const char        *url;
	const char *const *headers;             /* "Name: value", …, NULL; copied                */
	const char        *body;                /* copied                                        */
	size_t             body_len;
	int                connect_timeout_ms;  /* to find the host's address, and again to connect */
	int                timeout_ms;          /* the whole of it                               */
	size_t             max_body_bytes;      /* of the answer                                 */
	/* Send on a fresh connection and never again. libcurl repeats a request by itself when a
	 * reused connection turns out to be dead; for a request that dials that may be once too
	 * often. */
	bool               once;
	net_done_fn       *done;                /* exactly once, unless net_free() comes first   */
	void              *arg;
};
/* Everything is copied. ERR_LIMIT: too many under way; nothing was sent, done() will not come. */
enum err net_send(struct net *n, const struct net_request *rq, struct errinfo *e) MUST_USE;

/* Runs fn on the net's thread, as soon as it can or after a while. */
typedef void net_task_fn(void *arg);
void net_run(struct net *n, net_task_fn *fn, void *arg);
void net_after(struct net *n, int delay_ms, net_task_fn *fn, void *arg);

#endif
