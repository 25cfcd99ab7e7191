/* The scheduler: one thread that drains the queue, fairly between tenants and at each
 * trunk's pace, and follows every call to its end. It alone moves calls after accept.
 *
 * Fairness, pace and concurrency live in its memory, for the shards its gateway owns, and
 * are rebuilt from rows after a takeover; what it tells the database are numbers to take. */
#ifndef CALLGATE_SCHEDULER_H
#define CALLGATE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "callgate/err.h"
#include "callgate/provider.h"
#include "callgate/store_calls.h"

struct scheduler;

struct scheduler_config {
	const char *database_url;
	const char *name;               /* of this gateway, for people ("host:pid")           */
	int         lease_ttl_ms;       /* a gateway silent for so long is taken over; renewed at a third */
	int         margin_ms;          /* published margin of the reaper                     */
	int64_t     queue_ttl_ms;       /* a call waits at most so long                       */
	int         max_inflight;       /* calls followed by this process at once             */
	int         max_attempts;       /* dials of one call, counting only those that certainly rang nobody */
	int         retry_base_ms;      /* wait before the second attempt; doubles            */
	int         drain_ms;           /* scheduler_stop: wait so long for calls to end      */
	int         ageing_ms;          /* waiting so long raises a call's priority by one; 0: never */
	int         idempotency_days;   /* keys are forgotten after so long; 0: never         */
};

/* `drivers` makes the providers: called once each at start with the scheduler's event
 * function. The scheduler owns and frees them. */
struct scheduler_driver {
	const char *name;
	enum err  (*make)(void *arg, provider_event_fn *on_event, void *event_arg, struct provider **out, struct errinfo *e);
	void       *arg;
};

enum err scheduler_start(const struct scheduler_config *c, const struct scheduler_driver *drivers, int n_drivers,
                         struct scheduler **out, struct errinfo *e) MUST_USE;

/* Something was queued in that lane. From any thread; cheap; never blocks. */
void scheduler_nudge(struct scheduler *s, const struct lane_key *lane);

/* A message that the provider of that name sent of its own accord: is it genuine, and about
 * what? As provider_ops.check; ERR_NOT_FOUND also when there is no such driver. */
enum err scheduler_check_notice(struct scheduler *s, const char *driver, const char *authorization, const char *body,
                                size_t len, struct provider_notice *out, struct errinfo *e) MUST_USE;
/* Such messages have been stored. From any thread; cheap; never blocks. */
void scheduler_noticed(struct scheduler *s);

/* The end of calls in flight was asked for and stands in their rows. From any thread; cheap;
 * never blocks. */
void scheduler_canceled(struct scheduler *s);

struct scheduler_health {
	bool    leading;        /* holds a lease and renewed it in time                       */
	int     shards;
	int     inflight;
	int     live_gateways;
	int64_t last_tick_ms;   /* mono_ms() of the last turn of the loop                     */
	struct provider_breakers breakers;      /* of all drivers together */
};
void scheduler_health(struct scheduler *s, struct scheduler_health *out);

/* Claims nothing more, waits for calls to end (drain_ms at most), puts back what was only
 * claimed, gives the lease back, ends the thread, frees. */
void scheduler_stop(struct scheduler *s);

#endif
