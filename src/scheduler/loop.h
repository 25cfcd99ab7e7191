/* The scheduler from the inside: one struct, one thread, and the steps of a turn, each in
 * a file of its own. Only the inbox, the nudges, the stop flag and the health figures are
 * touched by other threads. */
#ifndef SCHEDULER_LOOP_H
#define SCHEDULER_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include "callgate/scheduler.h"
#include "fair.h"
#include "flight.h"
#include "inbox.h"
#include "lease.h"
#include "nudge.h"

#define DRIVERS_MAX 8
#define STRAYS_MAX  8192
/* What is not dialed for want of a provider is tried again at most so often; providers name
 * attempts by two digits. */
#define ATTEMPT_MAX 90
#define ASK_AGAIN_MS 30000      /* a lookup that was not answered at all */
#define HANG_UP_AGAIN_MS 5000   /* a hang-up that has not shown yet      */

/* When the next of the recurring duties is due, mono ms. */
struct duties {
	int64_t limits, counts, lanes, promote, overdue, expire, expire_due, prune, notices, forget, senders, cancels, keys;
	int64_t notify;         /* INT64_MAX: nobody has to be told */
};

/* The end of a call that is not in memory: adopted by somebody else, ended before, or
 * followed when the lease was lost. The row decides whether it is news. */
struct stray {
	struct call_ref     call;
	struct call_outcome outcome;
	int64_t             ended_at;   /* mono ms */
};

struct put_back {
	struct call_ref call;
	struct lane_key lane;
};

struct scheduler {
	struct scheduler_config config;
	char                   *name, *url;
	struct driver           drivers[DRIVERS_MAX];
	int                     n_drivers;

	/* shared */
	pthread_t               thread;
	int                     wake_fd;
	struct inbox            inbox;
	struct nudges           nudges;
	atomic_bool             stopping;
	atomic_bool             noticed;        /* providers' messages were stored */
	atomic_bool             canceled;       /* the end of calls in flight was asked for */
	atomic_bool             leading;
	atomic_int              shards, inflight, live_gateways;
	atomic_llong            last_tick_ms;

	/* the thread's own */
	struct store           *store;
	struct store           *ears;           /* listens, when other gateways live */
	struct lease            lease;
	bool                    doubtful;       /* see doubt_identity()                */
	int64_t                 old_gateway;    /* to be closed once there is a new one */
	uint64_t                owned;
	int                     live;
	struct tenants          tenants;
	struct flights          flights;
	struct plan             plan;
	bool                    replan;         /* something changed since a plan came out empty */
	struct duties           due;
	int64_t                 pause_until;    /* the database failed: not before, mono ms */
	int                     pause_ms;
	unsigned                seed;           /* jitter */
	int64_t                 limits_at, lanes_at, notified_at;       /* done last, mono ms */
	bool                    deaf;           /* `ears` is not to be waited for       */
	bool                    heard;          /* `ears` had something to read         */
	struct stray            strays[STRAYS_MAX];
	size_t                  n_strays;
	struct put_back        *put_back;       /* claimed, not to be dialed by us now */
	size_t                  n_put_back, put_back_size;
};

/* ── steps of a turn, in their order ────────────────────────────────────────────── */

void keep_lease(struct scheduler *s, int64_t now);      /* upkeep.c */
void take_nudges(struct scheduler *s, int64_t now);
void do_duties(struct scheduler *s, int64_t now);
void take_notices(struct scheduler *s, int64_t now);    /* notices.c, a duty */
void forget_notices(struct scheduler *s, int64_t now);
void learn_senders(struct scheduler *s, int64_t now);
void take_cancels(struct scheduler *s, int64_t now);    /* cancel.c, a duty */
void take_events(struct scheduler *s);                  /* follow.c */
void run_timers(struct scheduler *s, int64_t now);
void flush(struct scheduler *s);                        /* flush.c */
void claim(struct scheduler *s);                        /* claim.c */
void dial_ready(struct scheduler *s);

/* ── shared by the steps ────────────────────────────────────────────────────────── */

void scheduler_wake(struct scheduler *s);                /* from any thread */

/* False while the database is given a rest after a failure. */
bool db_rested(const struct scheduler *s, int64_t now);
/* Notes how a step went: logs an outage once, sets the pause. True if it went well. */
bool db_went(struct scheduler *s, enum err err, const char *step, const struct errinfo *e);

const struct driver *driver_find(struct scheduler *s, const char *name);

/* The call ended (perhaps); the database hears of it with the next flush. */
void flight_end(struct scheduler *s, struct flight *f, const struct call_outcome *outcome);
void flight_end_reason(struct scheduler *s, struct flight *f, enum call_reason reason, bool never_rang);
/* The provider was not there for it, and nothing was dialed. */
void flight_end_undialed(struct scheduler *s, struct flight *f);
/* Its client has asked for its end: the provider is asked to hang up, again and again until it
 * has ended; what was not dialed ends at once. */
void flight_cancel(struct scheduler *s, struct flight *f, int64_t now);
/* False: it may not be dialed any more, and has ended. */
bool flight_may_dial(struct scheduler *s, struct flight *f, int64_t now);
/* False: the provider could not be asked. */
bool hang_up(struct flight *f, int64_t now);
/* Past its bound: ended by us, with what is known. */
void flight_overdue(struct scheduler *s, struct flight *f, int64_t now);
/* The call became ours while we still hold an attempt of it: that one is over in the database, by
 * words of ours whose answer was lost. It leaves the memory. False: it is not over. */
bool flight_overtaken(struct scheduler *s, struct flight *f, const struct inflight *by);
/* Only claimed: goes back to the queue and leaves the memory. */
void flight_put_back(struct scheduler *s, struct flight *f, int64_t now);
void stray_end(struct scheduler *s, const struct call_ref *call, const struct call_outcome *outcome, int64_t ago_ms);
void put_back(struct scheduler *s, const struct call_ref *call, const struct lane_key *lane);
/* Other gateways have something to look for: tell them, soon. */
void want_notify(struct scheduler *s, int64_t now);
/* May a failed attempt be followed by another? `spent`: how many before it count. */
bool may_retry(const struct scheduler *s, int attempt, int spent, const struct call_outcome *outcome);

/* An answer of the database was lost that may have made calls ours without our knowing.
 * The next turn takes a new identity and adopts what the old one had: a call that was
 * claimed unseen would otherwise wait for its bound. */
void doubt_identity(struct scheduler *s);

/* How long the call may still wait for its dial. */
int64_t time_to_wait_ms(const struct scheduler *s, const struct flight *f);
int64_t call_age_ms(const struct scheduler *s, const struct id *call);
int64_t jitter(struct scheduler *s, int64_t ms);        /* 0.75 to 1.25 of it */

#endif
