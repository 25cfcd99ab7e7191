/* Which handler stands behind a method and a path, and what may come in there. */
#ifndef API_ROUTER_H
#define API_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth.h"
#include "callgate/http.h"

struct api;
struct route;
struct desk;

/* What a handler leads to; decides what may be said when it does not answer in time, and
 * whether it goes on while the gateway shuts down. */
enum route_way { WAY_DIRECT, WAY_INTAKE, WAY_READER, WAY_NOTICES, WAY_DESK, WAY_LISTS };

/* What is known of a request before its handler runs. */
struct route_args {
	const char          *id;        /* in the place of {id}; borrowed from the path, where
	                                 * it is not NUL-terminated */
	size_t               id_len;
	struct caller key;       /* where the route asks for one */
	const struct route  *route;
};

struct route {
	const char    *method;
	const char    *pattern;         /* segments are literal or "{id}" */
	unsigned       keys;            /* a bit for each kind of key that is taken; 0: none needed */
	int64_t        body_limit;
	enum route_way way;
	/* Answers, now or through a queue. On the I/O thread: never waits. */
	void         (*handle)(struct api *a, struct http_request *rq, const struct route_args *args);
	/* Behind `desk_handle`: fills the answer, in a thread of a desk, where it may wait for
	 * the database; its errors by error_fill(). */
	void         (*serve)(struct desk *d, struct http_request *rq, const struct route_args *args,
	                      struct http_reply *out);
	/* NULL, or an argument that leads here from the route with the same method and pattern,
	 * whenever it is sent and is not "false". */
	const char    *argument;
};

struct route_found {
	const struct route *route;      /* NULL: no such path, or not with this method          */
	const struct route *place;      /* some route of the path, whatever its method, or NULL */
	char                allow[64];  /* the methods of the path, for the Allow header        */
};

/* The first pattern of the table that fits the path decides: literal paths stand before
 * patterns that would swallow them. HEAD is found where GET is. */
void router_find(const char *method, const char *path, struct route_found *out);

/* The route that the request's arguments choose: `r` itself, or one with the same method and
 * pattern. */
const struct route *router_aside(const struct route *r, const struct http_request *rq);

/* Whether a path fits a pattern, and what stands in the place of {id}. */
bool router_match(const char *pattern, const char *path, struct route_args *args);

#endif
