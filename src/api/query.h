/* Query arguments: a route names those it takes, and refuses all others. A mistyped filter
 * that is silently ignored lists too much, and a bulk tool acts on it. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include <stddef.h>

#include "callgate/buf.h"
#include "callgate/http.h"
#include "callgate/wire.h"

/* Problems for every argument that is not among `names`, or is there twice. */
void query_only(const struct http_request *rq, const char *const *names, size_t n, struct wire_problems *ps);

/* Of one argument: that it is there only once; else a problem. */
bool query_once(const struct http_request *rq, const char *name, const char *value, struct wire_problems *ps);
void query_unknown(const char *name, struct wire_problems *ps);

/* A whole number, or `def` where it is not given; else a problem. */
int64_t query_int(const struct http_request *rq, const char *name, int64_t min, int64_t max, int64_t def,
                  struct wire_problems *ps);

/* Adds `text` as it may stand in a query, or in one part of a path. */
void query_escape(struct buf *b, const char *text);

#endif
