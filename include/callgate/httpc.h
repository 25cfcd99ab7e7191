/* Asking over HTTP, over libcurl. */
#ifndef CALLGATE_HTTPC_H
#define CALLGATE_HTTPC_H

#include "callgate/buf.h"
#include "callgate/err.h"

struct httpc_request {
	const char        *method;      /* "GET" or "POST"                                    */
	const char        *url;
	const char *const *headers;     /* "Name: value", …, NULL; NULL: none                 */
	const char        *body;        /* of a POST                                          */
	const char        *ca_file;     /* PEM bundle instead of the system's; NULL: its own  */
	int                timeout_ms;
};
/* As httpc_get(). */
enum err httpc_ask(const struct httpc_request *rq, int *status, struct buf *body, struct errinfo *e) MUST_USE;

/* GET, straight: no redirects, no proxy. `body` is cleared and filled up to its ceiling
 * (what is past it is thrown away). OK whatever the status; ERR_UNAVAILABLE when no whole
 * answer came within timeout_ms. */
enum err httpc_get(const char *url, int timeout_ms, int *status, struct buf *body, struct errinfo *e) MUST_USE;

#endif
