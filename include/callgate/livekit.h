/* The livekit driver: telephone calls through LiveKit's server API, one room for each
 * attempt. All of its work is done on one thread (net.h), however many calls wait.
 *
 * A trunk's settings (trunks.config) may name another LiveKit project; the one given here
 * serves the others. Without it their calls end as `configuration`. */
#ifndef CALLGATE_LIVEKIT_H
#define CALLGATE_LIVEKIT_H

#include <stddef.h>

#include "callgate/provider.h"

/* How long things take; 0 means the usual. Tests are in a hurry. */
struct livekit_pace {
	int first_poll_ms;      /* from the dial to the first look whether it rings  */
	int ring_poll_ms;       /* between further looks                             */
	int talk_poll_ms;       /* between looks whether an answered call is over    */
	int agent_poll_ms;      /* between looks whether the agent is in the room    */
	int close_ms;           /* from hanging up to the look whether it helped     */
	int stale_ms;           /* a room seen empty for so long has nobody in it, whatever else is said */
	int word_ms;            /* for LiveKit to tell how a leg ended that is gone */
	int proof_ms;           /* for LiveKit to tell that a leg which was refused never rang */
	int polls_per_s;        /* of one project, at most                           */
	int departure_s;        /* a room stays so long without its phone; more than a round of looks takes */
	int server_slack_s;     /* LiveKit's deadline for a dial, past the ring timeout; ours is 10 s later */
};

struct livekit_config {
	const char         *url, *api_key, *api_secret;     /* the default project; all or none */
	const char         *ca_file;                        /* or NULL */
	int                 max_calls;                      /* alive at once */
	struct livekit_pace pace;
	/* Reads a secret by the name a trunk's settings give; malloc'ed, or NULL if there is none. */
	char             *(*secret)(void *arg, const char *name);
	void               *secret_arg;
};

enum err livekit_new(const struct livekit_config *c, provider_event_fn *on_event, void *arg, struct provider **out,
                     struct errinfo *e) MUST_USE;

/* The circuit breakers one by one, for tests; the log tells each change, and provider_ops.breakers
 * how many are not closed. */
enum livekit_breaker { LIVEKIT_CLOSED, LIVEKIT_HALF_OPEN, LIVEKIT_OPEN };

struct livekit_state {
	char                 url[128];
	char                 trunk[64];     /* "" for the project itself   */
	enum livekit_breaker breaker;
	int                  failures;      /* in a row                    */
};
/* Fills at most `max`; returns how many there are. From any thread. */
size_t livekit_states(struct provider *p, struct livekit_state *out, size_t max);

/* Whether a trunk's config is one that calls can be placed with, as far as its text tells. ERR_INVALID
 * and words that name the member. */
enum err livekit_check_trunk(const char *config, struct errinfo *e) MUST_USE;

/* "https://host/", "wss://host": what can be asked, without a slash at the end; NULL and words if it
 * is none. The caller frees it. */
char *livekit_url(const char *url, struct errinfo *e);

#endif
