/* One request and its answer. The object outlives its connection: a handler that is
 * later than the answer timeout still reads the path and the headers from it, so all
 * text is copied here once, when the request's head is complete.
 *
 * It is owned by its I/O thread; while `with_app` the fields of `rq` may be read, and
 * `reply` is written, by whoever holds the request. It goes back to the pool when
 * neither the handler (`with_app`) nor the library (`with_wire`) has it any more. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/buf.h"
#include "callgate/http.h"
#include "list.h"

struct conn;
struct mailbox;
struct MHD_Connection;

enum exchange_stage {
	EXCHANGE_READING,       /* the body is on its way                              */
	EXCHANGE_DISCARDING,    /* refused, but the body is small: read it, keep alive */
	EXCHANGE_HANDED,        /* with the handler; the connection is suspended       */
	EXCHANGE_ANSWERED,      /* the answer is here, not yet with the library        */
	EXCHANGE_SENT           /* handed to the library, or written by us             */
};

struct exchange {
	struct http_request    rq;              /* first: http_reply() turns it back */
	struct mailbox        *box;
	struct exchange       *next;            /* in the mailbox or in the pool     */

	enum exchange_stage    stage;
	bool                   with_app;
	bool                   with_wire;
	bool                   report;          /* ops.done is to hear of it         */
	bool                   chunked;
	int                    status;          /* what was answered; 0: nothing     */
	struct conn           *conn;            /* while with_wire                   */
	struct MHD_Connection *connection;
	struct link            held;            /* the thread's requests in hand     */
	int64_t                deadline_ms;     /* of the answer                     */

	struct buf             text;            /* method, path, headers, arguments  */
	size_t                 headers_at;
	size_t                 queries_at;
	struct buf             body;

	struct http_reply      reply;           /* the handler's, or our refusal     */
	struct http_reply     *instead;         /* ops.timed_out's                   */
};

/* A fresh one from the pool at *pool, or a new one. */
struct exchange *exchange_take(struct exchange **pool, int *pooled, struct mailbox *box);
void             exchange_put(struct exchange **pool, int *pooled, struct exchange *x);
void             exchange_free(struct exchange *x);

/* Text is added in this order: method and path, all headers, all arguments. */
void exchange_add_line(struct exchange *x, const char *method, const char *path);
void exchange_add_pair(struct exchange *x, const char *name, size_t name_len,
                       const char *value, size_t value_len);
void exchange_end_headers(struct exchange *x);
/* All text is in: pointers into it are fixed now. False: it was more than the ceiling,
 * and the request has no text at all. */
bool exchange_end_text(struct exchange *x);

static inline struct exchange *exchange_of(struct http_request *rq)
{
	return (struct exchange *)(void *)rq;
}

#endif
