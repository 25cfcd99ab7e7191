/* The HTTP API: routes, and what stands behind each. These ways lead on from a complete
 * request, all bounded, each with its own threads and connections:
 *
 *   intake   admissions: everything that waits is committed together (group commit)
 *   reader   look-ups by id: everything that waits is read together
 *   notices  what providers tell: everything that waits is stored together
 *   desk     all else: one request after the other, each read from top to bottom
 *
 * What asks no database (health) is answered on the I/O thread itself.
 * Parsing and refusing need no database and are done before. A full queue is answered
 * 503 with Retry-After; nothing is ever dropped silently. */
#ifndef CALLGATE_API_H
#define CALLGATE_API_H

#include <stdbool.h>

#include "callgate/err.h"
#include "callgate/http.h"
#include "callgate/store_calls.h"
#include "callgate/store_events.h"

struct api;

struct api_config {
	const char *database_url;
	int         intake_batches, reader_batches;
	int         queue_limit;        /* requests waiting, per way                            */
	struct admit_rules rules;
	bool        access_log;
};

struct api_readiness {
	bool        ready;
	bool        database, schema, scheduler;        /* which of them are well */
	int         breakers_open, breakers_half_open;  /* says nothing of being ready */
	char        text[160];                          /* what is wrong          */
};

/* What app lends: the scheduler's ear and its health, without the rooms knowing each other. */
struct api_hooks {
	void  *arg;
	void (*queued)(void *arg, const struct lane_key *lane);         /* after the commit */
	void (*readiness)(void *arg, struct api_readiness *out);        /* quick; no SQL    */
	/* A provider's message: whether it is genuine, and about what (provider.h, check; also
	 * ERR_UNAVAILABLE: cannot be told yet). Quick; no SQL. */
	enum err (*check_notice)(void *arg, const char *driver, const char *authorization, const char *body, size_t len,
	                         struct provider_note *out, char event_id[PROVIDER_EVENT_ID_SIZE],
	                         char sender[PROVIDER_EVENT_SENDER_SIZE], struct errinfo *e);
	void (*noticed)(void *arg);     /* messages were stored */
	void (*canceled)(void *arg);    /* the end of calls in flight was asked for; after the commit */
};

enum err api_start(const struct api_config *c, const struct api_hooks *hooks, struct api **out, struct errinfo *e) MUST_USE;

/* The half of the http contract that the API fills; its `arg` is the api. */
extern const struct http_ops api_http_ops;

/* From now on new work is answered 503 `shutting_down`; what is in hand goes on. */
void api_quiesce(struct api *a);
/* After http_stop(): ends the threads, frees. */
void api_free(struct api *a);

#endif
