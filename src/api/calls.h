/* A request for a call or about one, on its way to the database. */
#ifndef API_CALLS_H
#define API_CALLS_H

#include "callgate/http.h"
#include "callgate/store_calls.h"
#include "callgate/wire.h"
#include "errors.h"
#include "router.h"

struct create_item {
	struct http_request    *rq;
	struct admission        admission;      /* borrows from `call` and `rq`              */
	struct wire_create_call call;
	struct wire_problems   *problems;       /* owned; NULL when the body is good         */
	enum api_error          body_error;     /* what to say when the body is not good     */
	uint8_t                 idem_key[SHA256_SIZE], idem_print[SHA256_SIZE];
};
/* A request for a call, read as far as it is valid. */
struct create_item *create_item_new(struct http_request *rq, const struct caller *key);
void create_item_free(struct create_item *item);

/* The {id} of a call's path. What is no UUID becomes the id that no call has, so that it is
 * answered as any unknown call is: 401 or 404 by the key, and 404 for a good one. */
struct id route_call_id(const struct route_args *args);
bool request_is_json(const struct http_request *rq);

struct read_item {
	struct http_request *rq;
	struct call_read     read;
};

#endif
