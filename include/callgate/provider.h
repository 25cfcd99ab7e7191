/* A provider places calls. Every driver fills the same table of functions. Each starts
 * its work and returns at once; what becomes of it arrives later as events, from a
 * thread of the driver's own. A driver keeps no truth: whatever must survive a crash is
 * in the database before the driver is asked.
 *
 * A phone never rings twice for one attempt: dial() is called at most once for an
 * attempt, after its intent is committed. What is uncertain is asked about by lookup(),
 * never dialed again. */
#ifndef CALLGATE_PROVIDER_H
#define CALLGATE_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/call.h"
#include "callgate/e164.h"
#include "callgate/err.h"
#include "callgate/id.h"

struct provider;

/* One attempt of one call. Everything is borrowed until the function returns. */
struct dial_request {
	struct id   call_id;
	int64_t     org_id;
	int         attempt;            /* 1 for the first                                  */
	const char *from;               /* E.164, the caller number, always given           */
	const char *to;
	const char *variables;          /* JSON text for the agent, or NULL                 */
	const char *agent;
	int         ring_timeout_s;
	int         max_duration_s;
	int         wait_for_agent_s;   /* not dialed before the agent is there, and not at all after so
	                                 * long; 0: dialed at once. A driver without agents ignores it */
	const char *trunk_ref;          /* the provider's name of the trunk, or NULL        */
	const char *trunk_config;       /* JSON text, "{}" if none                          */
	const char *provider_ref;       /* for lookup and hangup: as last reported, or NULL */
	int64_t     since_ms;           /* for lookup: since the intent was committed       */
	int         phase;              /* 0 not intended yet, 1 intended; for lookup: 2 never
	                                 * confirmed, 3 the provider had it                  */
	bool        answered;           /* for lookup: it was, as far as is known            */
};

enum provider_event_kind {
	PROVIDER_READY,         /* prepare() is done: the intent may be committed, then dial()   */
	PROVIDER_ACCEPTED,      /* the provider has the attempt; `ref` is its name of it         */
	PROVIDER_RINGING,
	PROVIDER_ANSWERED,
	PROVIDER_ENDED,         /* `outcome` says how; nothing but repetitions may follow        */
	PROVIDER_UNCERTAIN,     /* after dial(): perhaps dialed; after lookup(): cannot be told
	                         * yet, ask again after `retry_ms`                               */
};

/* Events may come late, twice and in any order; whoever receives them copes. */
struct provider_event {
	enum provider_event_kind kind;
	struct id                call_id;
	int64_t                  org_id;
	int                      attempt;
	char                     ref[64];       /* "" when there is nothing new            */
	int                      retry_ms;
	int64_t                  ago_ms;        /* of ENDED: so long ago, as far as is known; 0: now */
	struct call_outcome      outcome;
};

typedef void provider_event_fn(void *arg, const struct provider_event *ev);

/* What a message is about that a provider sent of its own accord (a webhook). */
#define PROVIDER_NOTICE_ID_SIZE 128
#define PROVIDER_SENDER_SIZE    48
struct provider_notice {
	int64_t   org_id;
	struct id call_id;
	int       attempt;
	char      event_id[PROVIDER_NOTICE_ID_SIZE];    /* the provider's own, for telling repetitions */
	char      sender[PROVIDER_SENDER_SIZE];         /* who signed it; a driver's own word, no secret */
};

/* How many parts of a provider are given a rest because they failed again and again, and how many
 * of them are being tried again. */
struct provider_breakers {
	int open, half_open;
};

struct provider_ops {
	const char *name;       /* trunks.driver */

	/* NULL when nothing has to be done before the intent (creating a room, waiting for an
	 * agent). Ends in READY, or in ENDED with never_rang. ERR_UNAVAILABLE, here and from dial():
	 * the provider is not there at the moment; the trunk is left alone for a while. */
	enum err (*prepare)(struct provider *p, const struct dial_request *rq, struct errinfo *e);

	/* Dials. Anything but OK means: certainly not dialed, and no event will follow. */
	enum err (*dial)(struct provider *p, const struct dial_request *rq, struct errinfo *e);

	/* Asks what became of an attempt this process did not dial, or lost sight of. If it is
	 * alive the driver follows it from there (ACCEPTED, RINGING, ANSWERED, ENDED); if the
	 * provider cannot tell and never will: ENDED with REASON_OUTCOME_UNKNOWN. */
	enum err (*lookup)(struct provider *p, const struct dial_request *rq, struct errinfo *e);

	/* Asks for the end; ENDED follows, with what really happened. Of an attempt that was
	 * prepared and never dialed nothing follows: it goes back to the queue. */
	enum err (*hangup)(struct provider *p, const struct dial_request *rq, struct errinfo *e);

	/* NULL when the provider never speaks first. Is this message really the provider's, and
	 * about which attempt? From any thread, at once. OK; ERR_DENIED: not the provider's;
	 * ERR_INVALID: not what it should be; ERR_NOT_FOUND: genuine, and about no call of ours. */
	enum err (*check)(struct provider *p, const char *authorization, const char *body, size_t len,
	                  struct provider_notice *out, struct errinfo *e);
	/* Messages may reach a gateway that never dials over their trunk. So each is told of every trunk
	 * that is switched on and has all these members in its config, again and again: the object of
	 * just these, on the thread of dial(). NULL: there is nothing to learn. */
	const char *const *sender_members;      /* up to NULL */
	void (*learn)(struct provider *p, const char *config);
	/* Such a message, stored meanwhile, about an attempt that is being followed. A hint that may
	 * come late, twice, in any order or never; what follows from it are events like any other.
	 * Whoever may speak for one trunk may not for another: `sender`, as check() told it, decides. */
	void (*hear)(struct provider *p, const struct dial_request *rq, const char *sender, const char *body, size_t len);

	/* NULL when there are none. Adds to `sum`. From any thread, at once. */
	void (*breakers)(struct provider *p, struct provider_breakers *sum);

	/* Ends the driver's threads; no event comes any more when it returns. */
	void (*free)(struct provider *p);
};

/* Base of every driver's own struct (first member). */
struct provider {
	const struct provider_ops *ops;
};

/* ── the built-in simulator ─────────────────────────────────────────────────────── */

struct simulator_config {
	/* Simulated seconds pass this many times faster; 1 is real time. */
	double      speed;
	/* Append-only file that gets one line per dial, "CALL_ID ATTEMPT FROM TO\n", written
	 * before anything else happens: what a callee would count. NULL: none. */
	const char *dial_ledger;
	/* Every destination is answered and ended at once, without timers: for measuring. */
	bool        instant;
};

enum err simulator_new(const struct simulator_config *c, provider_event_fn *on_event, void *arg,
                       struct provider **out, struct errinfo *e) MUST_USE;

#endif
