/* The handlers that the table of routes names. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "inside.h"
#include "router.h"

#define CREATE_BODY_MAX 65536
#define CANCEL_BODY_MAX 1024            /* nothing is read of it; many clients send "{}" */
#define FILTER_BODY_MAX 8192
#define NOTICE_BODY_MAX (256 * 1024)    /* LiveKit's carry the room's metadata, our variables */

void calls_create(struct api *a, struct http_request *rq, const struct route_args *args);
void calls_get(struct api *a, struct http_request *rq, const struct route_args *args);
void notices_livekit(struct api *a, struct http_request *rq, const struct route_args *args);
void problems_get(struct api *a, struct http_request *rq, const struct route_args *args);
void health_live(struct api *a, struct http_request *rq, const struct route_args *args);
void health_ready(struct api *a, struct http_request *rq, const struct route_args *args);

/* Of the desk. */
void calls_dry_run(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);
void calls_cancel(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);
void calls_cancel_many(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);
void calls_edit(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);
void calls_list(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);
void call_events_get(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);
void events_get(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);
void credits_get(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);
void credits_ledger(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);

/* The handler of every route of the desks: queues the request for route->serve. */
void desk_handle(struct api *a, struct http_request *rq, const struct route_args *args);

/* Behind them: answer a batch of what was queued. */
crew_work intake_work, reader_work, notices_work;

/* What a handler of the desk works with. */
struct desk {
	struct api   *api;
	struct store *store;
};
/* Answers with what an error of the store means there: what was perhaps done (ERR_UNCERTAIN)
 * may be repeated on every route of the desks, and the answer says so. Tells the log. */
void desk_failed(struct desk *d, struct http_request *rq, enum err err, const struct errinfo *e,
                 struct http_reply *out);

/* Refuses what is wrong whatever the database says, but for the key, which comes before:
 * with one that is no good either, the answer is 401 and tells nothing about the rest. */
void desk_refuse(struct desk *d, struct http_request *rq, const struct route_args *args, enum api_error error,
                 const struct wire_problems *problems, struct http_reply *out);

#endif
