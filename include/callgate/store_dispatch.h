/* What the scheduler asks of the database: leases, claim, intent, progress, the end.
 * Every step is one statement for a whole batch. Claim and intent are fenced by the
 * gateway's lease; progress and the end are bound to the attempt's row, which exists
 * once, so a repeated or late word changes nothing. */
#ifndef CALLGATE_STORE_DISPATCH_H
#define CALLGATE_STORE_DISPATCH_H

#include "callgate/call.h"
#include "callgate/store.h"
#include "callgate/store_calls.h"

#define SHARD_COUNT 64          /* an organization's shard is org_id % 64 */

/* ── leases ─────────────────────────────────────────────────────────────────────── */

/* Registers this process; the id is its epoch. */
enum err store_gateway_open(struct store *s, const char *name, const char *version, int ttl_ms,
                            int64_t *gateway_id, struct errinfo *e) MUST_USE;
/* Renews. ERR_CONFLICT: the lease is gone (taken over); nothing may be dialed any more. */
enum err store_gateway_renew(struct store *s, int64_t gateway_id, int ttl_ms, struct errinfo *e) MUST_USE;
/* Gives the lease and all shards back at once. Calls still in flight are adopted by others. */
enum err store_gateway_close(struct store *s, int64_t gateway_id, struct errinfo *e) MUST_USE;

/* Removes gateways whose lease has run out, and brings this one's shards to its fair
 * share of the living: takes free ones, gives back what is too many. `owned` gets one bit
 * per shard, `live` the number of living gateways. */
enum err store_shards_balance(struct store *s, int64_t gateway_id, uint64_t *owned, int *live,
                              struct errinfo *e) MUST_USE;

/* ── limits and counts ──────────────────────────────────────────────────────────── */

/* -1 is "no limit of its own". Rates are calls per 1000 seconds. */
struct limits {
	int weight;
	int max_concurrent;
	int cps_milli;
	int burst;
};
/* One row per organization (project_id = trunk_id = 0), project (trunk_id = 0) or trunk (project_id = 0). */
struct limit_row {
	int64_t       org_id;
	int32_t       project_id;
	int32_t       trunk_id;
	bool          enabled;          /* a disabled trunk is not claimed from */
	struct limits limits;
};
/* All limits of the organizations in `shards` (bit set). *out is malloc'ed, caller frees. */
enum err store_limits_load(struct store *s, uint64_t shards, struct limit_row **out, size_t *n,
                           struct errinfo *e) MUST_USE;

/* In-flight calls of those shards by (org, project, trunk) that other gateways follow. */
struct count_row {
	int64_t org_id;
	int32_t project_id;
	int32_t trunk_id;
	int32_t count;
};
enum err store_counts_load(struct store *s, uint64_t shards, int64_t not_gateway, struct count_row **out, size_t *n,
                           struct errinfo *e) MUST_USE;

/* ── the queue ──────────────────────────────────────────────────────────────────── */

/* Lanes of those shards with something queued: a skip scan, cheap at any depth. */
enum err store_lanes_find(struct store *s, uint64_t shards, struct lane_key **out, size_t *n,
                          struct errinfo *e) MUST_USE;

/* Moves due rows of call_schedule into the queue (at most `max` a shard); says which lanes got
 * some. A call that was scheduled by its client locks its destination only now; where another
 * call has it, it waits a few seconds more. */
enum err store_promote(struct store *s, int64_t gateway_id, uint64_t shards, int max, struct lane_key **out, size_t *n,
                       struct errinfo *e) MUST_USE;

struct claim_want {
	struct lane_key lane;
	struct id       low;            /* claim only ids above; all zero for "from the head" */
	int32_t         take;           /* at most so many, oldest first                      */
};

/* A call that is ours to follow: fresh from the queue, or adopted from a dead gateway. */
struct inflight {
	struct lane_key lane;
	struct id       call_id;
	int             attempt;
	int             spent;          /* earlier attempts that count                        */
	enum call_state state;
	int             phase;          /* 0 claimed, 1 intent, 2 uncertain, 3 the provider has it */
	int             ring_timeout_s, max_duration_s;
	int             wait_for_agent_s;       /* of the project; 0: dialed at once          */
	int64_t         left_ms;        /* until its bound                                    */
	int64_t         since_ms;       /* since the intent, -1 without one                   */
	int64_t         waited_ms;      /* since it was accepted, or was due                  */
	int64_t         expires_ms;     /* until it may not be dialed any more; INT64_MAX: the
	                                 * queue's own bound, by age                          */
	bool            cancel;         /* its client has asked for its end                   */
	char            from[E164_SIZE];
	char            to[E164_SIZE];
	char           *variables;      /* owned, or NULL                                     */
	char           *agent;          /* owned                                              */
	char           *driver;         /* owned; the trunk's driver name                     */
	char           *trunk_ref;      /* owned, or NULL; the provider's name of the trunk   */
	char           *trunk_config;   /* owned; JSON text                                   */
	char           *provider_ref;   /* owned, or NULL; of the attempt                     */
};
void inflight_done(struct inflight *f);
void inflight_free_all(struct inflight *f, size_t n);   /* the array too */

#define DISPATCH_BATCH_MAX 512

/* Claims from the wanted lanes; `margin_ms` is the published margin above the project's
 * wait for the agent, ring timeout and maximum duration. Nothing comes back when the lease has run out. */
enum err store_claim(struct store *s, int64_t gateway_id, const struct claim_want *want, size_t n_want, int margin_ms,
                     struct inflight **out, size_t *n, struct errinfo *e) MUST_USE;

struct call_ref {
	int64_t   org_id;
	struct id call_id;
	int       attempt;
};

/* Commits the intent to dial. may_dial[i] is set for exactly the calls that may now be
 * dialed, once. refs[i] is the name by which the provider will know the attempt, where it
 * is known before the dial, or NULL: with it whoever comes after a crash can ask. `refs`
 * itself may be NULL. */
enum err store_intent(struct store *s, int64_t gateway_id, const struct call_ref *calls, const char *const *refs,
                      size_t n, bool *may_dial, struct errinfo *e) MUST_USE;

/* Puts claimed calls that were not intended yet back into the queue (a stop, or a trunk
 * that went away). */
enum err store_unclaim(struct store *s, int64_t gateway_id, const struct call_ref *calls, size_t n,
                       struct errinfo *e) MUST_USE;

struct call_progress {
	struct call_ref call;
	bool            ringing;        /* now ringing                                        */
	bool            answered;       /* now answered                                       */
	bool            uncertain;      /* nobody can tell whether it was dialed              */
	const char     *provider_ref;   /* borrowed; NULL keeps what is there                 */
};
/* At most one item per call. What is not ahead of the stored state changes nothing. */
enum err store_progress(struct store *s, const struct call_progress *items, size_t n, struct errinfo *e) MUST_USE;

struct call_end {
	struct call_ref     call;
	struct call_outcome outcome;    /* out: the reason as it stands now                   */
	int64_t             ago_ms;     /* it ended so long ago; never before it was answered */
	bool                ended;      /* out: this word ended it (false: it had ended)      */
};
/* The end: final state, event, money settled, destination unlocked; each exactly once. Where the
 * client had asked for the end, the reason becomes what that made of it. */
enum err store_finish(struct store *s, struct call_end *items, size_t n, struct errinfo *e) MUST_USE;

struct call_retry {
	struct call_ref     call;
	struct call_outcome outcome;    /* of the attempt that ended                          */
	int                 delay_ms;
	/* It was never intended: it waits for the same attempt again. Only while it is merely claimed,
	 * and by this gateway: said a second time, it must not meet the same attempt being dialed. */
	bool                same;
	bool                done;       /* out: it waits. If not, it had ended, or its client has asked for its end */
};
/* The attempt ended, certainly without ringing a phone: the next waits in call_schedule. Where the
 * outcome is `undialed` it does not count. A call whose end its client asked for is left alone. */
enum err store_retry(struct store *s, int64_t gateway_id, struct call_retry *items, size_t n,
                     struct errinfo *e) MUST_USE;

/* Ends queued calls of those lanes older than `ttl_ms` as queue_expired; at most `max`. Those with a
 * bound of their own are left to store_expire_due(). */
enum err store_expire_queued(struct store *s, int64_t gateway_id, const struct lane_key *lanes, size_t n_lanes,
                             int64_t ttl_ms, int max, size_t *expired, struct errinfo *e) MUST_USE;

/* Ends what waits past a bound of its own as queue_expired; looks at `max` a shard at most and
 * says how many it looked at. */
enum err store_expire_due(struct store *s, int64_t gateway_id, uint64_t shards, int max, size_t *expired, size_t *seen,
                          struct errinfo *e) MUST_USE;

/* ── crashes and bounds ─────────────────────────────────────────────────────────── */

/* Calls in flight whose gateway is gone become ours. What was only claimed goes back to
 * the queue (those lanes are in *lanes); what may have been dialed comes in *out, with
 * phase 1 turned into 2: ask the provider, never dial. At most `max` a call. */
enum err store_adopt(struct store *s, int64_t gateway_id, int max, struct inflight **out, size_t *n,
                     struct lane_key **lanes, size_t *n_lanes, struct errinfo *e) MUST_USE;

/* Calls of ours past their bound. */
struct overdue {
	struct call_ref call;
	struct lane_key lane;
	enum call_state state;
	int             phase;
};
enum err store_overdue(struct store *s, int64_t gateway_id, int max, struct overdue **out, size_t *n,
                       struct errinfo *e) MUST_USE;

/* Calls of ours whose clients have asked for their end: all of them, each time. At most `max`. */
enum err store_cancels_find(struct store *s, int64_t gateway_id, int max, struct call_ref **out, size_t *n,
                            struct errinfo *e) MUST_USE;

/* Which of n claims of ours (at most DISPATCH_BATCH_MAX) are no more: canceled with their rows. */
enum err store_claims_gone(struct store *s, int64_t gateway_id, const struct call_ref *calls, size_t n, bool *gone,
                           struct errinfo *e) MUST_USE;

/* Tells the other gateways that something was queued or canceled. After the commit, coalesced, on a
 * connection of no other use in that moment; never from within an admission. */
enum err store_notify_queued(struct store *s, struct errinfo *e) MUST_USE;
/* Listens for it on this connection; `store_notified` is true when something came since
 * the last call; `store_fd` is readable when something may have come (-1: not connected). */
enum err store_listen(struct store *s, struct errinfo *e) MUST_USE;
bool     store_notified(struct store *s);
int      store_fd(const struct store *s);

#endif
