/* A request for a call or about one, on its way through a queue to the database. */
#ifndef API_CALLS_H
#define API_CALLS_H

#include "callgate/http.h"
#include "callgate/store_calls.h"
#include "callgate/wire.h"

struct create_item {
	struct http_request    *rq;
	struct admission        admission;      /* borrows from `call` and `rq`              */
	struct wire_create_call call;
	struct wire_problems   *problems;       /* owned; NULL when the body is good         */
};
void create_item_free(struct create_item *item);

struct read_item {
	struct http_request *rq;
	struct call_read     read;
};

#endif
