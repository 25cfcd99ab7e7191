/* The handlers that the table of routes names. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "inside.h"
#include "router.h"

#define CREATE_BODY_MAX 65536
#define NOTICE_BODY_MAX (256 * 1024)    /* LiveKit's carry the room's metadata, our variables */

void calls_create(struct api *a, struct http_request *rq, const struct route_args *args);
void calls_get(struct api *a, struct http_request *rq, const struct route_args *args);
void notices_livekit(struct api *a, struct http_request *rq, const struct route_args *args);
void problems_get(struct api *a, struct http_request *rq, const struct route_args *args);
void health_live(struct api *a, struct http_request *rq, const struct route_args *args);
void health_ready(struct api *a, struct http_request *rq, const struct route_args *args);

/* Of the desk. */
void calls_dry_run(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);
void credits_get(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);
void credits_ledger(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out);

/* The handler of every route of the desk: queues the request for route->serve. */
void desk_handle(struct api *a, struct http_request *rq, const struct route_args *args);

/* Behind them: answer a batch of what was queued. */
crew_work intake_work, reader_work, notices_work, desk_work;

#define DESK_TURNS 2            /* requests of the desk that are in the database at once */

/* What a handler of the desk works with. */
struct desk {
	struct api   *api;
	struct store *store;
};
/* Answers with what an error of the store means there: what was perhaps done may be repeated
 * on every route of the desk. Tells the log. */
void desk_failed(struct desk *d, struct http_request *rq, enum err err, const struct errinfo *e,
                 struct http_reply *out);

#endif
