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
void health_live(struct api *a, struct http_request *rq, const struct route_args *args);
void health_ready(struct api *a, struct http_request *rq, const struct route_args *args);

/* Behind the first three: answer a batch of what they have queued. */
crew_work intake_work, reader_work, notices_work;

#endif
