/* Accepting and reading calls: the two statements behind the HTTP edge. Both take
 * whatever waits and answer each item by its own outcome; a refusal is never an error. */
#ifndef CALLGATE_STORE_CALLS_H
#define CALLGATE_STORE_CALLS_H

#include "callgate/call.h"
#include "callgate/digest.h"
#include "callgate/e164.h"
#include "callgate/id.h"
#include "callgate/store.h"
#include "callgate/store_read.h"

/* Who asks, on the ways where one request is served at a time. */
struct caller {
	int64_t org;
	uint8_t hash[SHA256_SIZE];
};

/* In the order in which they are decided (design: order of refusals). */
enum admit_outcome {
	ADMIT_ACCEPTED = 0,
	ADMIT_KEY_UNKNOWN,      /* 401 no such key, revoked or expired                */
	ADMIT_BODY_INVALID,     /* 400 the key is good and body_ok was false, or it has
	                         * expired                                            */
	ADMIT_PROJECT_DENIED,   /* 403 unknown project, or the user is not a member   */
	ADMIT_NUMBER_UNKNOWN,   /* 404 the organization has no such number            */
	ADMIT_POOL_DENIED,      /* 403 the number is in no pool of the user           */
	ADMIT_NUMBER_INACTIVE,  /* 400                                                */
	ADMIT_NO_TRUNK,         /* 404 no outbound trunk, or outbound switched off    */
	ADMIT_NO_CREDITS,       /* 402                                                */
	ADMIT_BUSY,             /* 409 a call to this destination is not yet final    */
	ADMIT_TOO_LONG,         /* 400 max_duration_s above the project's; decided after
	                         * ADMIT_PROJECT_DENIED                               */
	ADMIT_KEY_REUSED,       /* 422 idem_key was used with another body; like the answer
	                         * of the first, decided after ADMIT_PROJECT_DENIED   */
	ADMIT_KEY_RUNNING,      /* 409 the first request with idem_key is not settled yet */
	ADMIT_FAILED,           /* 500 this item alone made the statement fail        */
	ADMIT_PENDING,          /* not settled: what the returned error says holds for it */
	ADMIT_OUTCOME_COUNT
};

/* Where a new call waits: what the scheduler is told. */
struct lane_key {
	int64_t org_id;
	int32_t project_id;
	int32_t trunk_id;       /* 0: test */
	int16_t prio;           /* 0 high, 1 normal, 2 low */
};

struct admission {
	/* in; strings are borrowed */
	int64_t       key_org;
	uint8_t       key_hash[SHA256_SIZE];
	bool          body_ok;          /* false: only the key is looked at           */
	const char   *project;
	const char   *from;             /* E.164                                      */
	const char   *to;               /* E.164                                      */
	const char   *variables;        /* JSON text, or NULL                         */
	const char   *metadata;         /* JSON text, or NULL                         */
	int           ring_timeout_s;   /* 0: the project's                           */
	int           max_duration_s;   /* 0: the project's                           */
	int16_t       prio;             /* 0 high, 1 normal, 2 low                    */
	int64_t       scheduled_ms;     /* UTC; 0, or not later than now: at once     */
	int64_t       expires_ms;       /* UTC; 0: none of its own; where it has passed, the
	                                 * body is invalid, unless idem_key was used before */
	/* A digest of route and key, and one of the body; NULL: no Idempotency-Key. What
	 * is stored, in the same commit, are accepted calls and the refusals 402, 404 and
	 * 409 of the call itself; a request refused otherwise may be sent again. */
	const uint8_t *idem_key, *idem_print;   /* SHA256_SIZE each                   */
	const char   *request_id;
	struct id     call_id;          /* fresh, from id_new(); when replayed, the first's */
	/* out */
	enum admit_outcome outcome;     /* when replayed, the first's                 */
	bool               replayed;
	char               first_request_id[65];        /* of a replayed refusal      */
	struct lane_key    lane;        /* when accepted                              */
	bool               queued;      /* newly accepted and due: its lane has something to claim */
	unsigned           session;     /* the store's own: on which connection       */
};

#define ADMIT_BATCH_MAX 256

struct admit_rules {
	bool lock_per_org;      /* the destination lock holds within an organization only */
	int  queue_ttl_s;       /* how long after scheduled_ms a call may wait            */
};

/* Admits n calls in one statement and one commit. Every item gets its outcome; those that
 * could not be settled are ADMIT_PENDING, and the error returned is theirs alone. An item
 * that makes the statement fail is found by halving and gets ADMIT_FAILED. A broken
 * connection is healed inside: the ids are looked up, and what did not commit is sent
 * again. A scheduled call locks its destination when it is due, all others at once.
 *
 * What is accepted is committed and visible, but nobody may be told before
 * store_admit_flush() has made it durable: the flush to disk is a step of its own, so that
 * the accounts are not locked while the disk works, and the next batch can run meanwhile
 * on another connection. */
enum err store_admit(struct store *s, struct admission **items, size_t n, const struct admit_rules *rules,
                     struct errinfo *e) MUST_USE;
/* Returns when everything accepted is on disk (as the server's synchronous_commit has it).
 * On error the accepted items have become ADMIT_PENDING. */
enum err store_admit_flush(struct store *s, struct admission **items, size_t n, const struct admit_rules *rules,
                           struct errinfo *e) MUST_USE;

/* Forgets keys that were used more than `days` ago (a scheduled call's: after it was due)
 * and whose call has ended, at most `max` of them. Those of calls that live are looked at again a day later. */
enum err store_idempotency_prune(struct store *s, int days, int max, int *gone, struct errinfo *e) MUST_USE;

/* ── what would become of a call ────────────────────────────────────────────────── */

/* Every rule that says no, in their order; what is not known is left at 0 or NULL. */
struct dry_run {
	enum admit_outcome refusals[ADMIT_OUTCOME_COUNT];       /* KEY_UNKNOWN stands alone */
	size_t             n_refusals;
	char              *trunk;       /* owned; NULL: none, or a test key's               */
	bool               priced;      /* the price and the bounds below are known         */
	int                ring_timeout_s, max_duration_s;
	int64_t            rate_mc, hold_mc;            /* the rate is per minute           */
	int                increment_s, minimum_s;
	char               rate_prefix[E164_SIZE];      /* "": the project's own rate       */
	enum call_wait     blocked;     /* WAIT_TRUNK, WAIT_CAPACITY: it would wait for that */
	int64_t            earliest_ms; /* UTC; 0: not known, or blocked                    */
};
void dry_run_done(struct dry_run *d);

/* Asks all the rules of store_admit about one call at once and changes nothing. What of
 * the request is not valid is NULL (project, from, to) or 0, and its rules are left out;
 * body_ok, idem_key and call_id are not looked at. */
enum err store_dry_run(struct store *s, const struct admission *rq, const struct admit_rules *rules, struct dry_run *out,
                       struct errinfo *e) MUST_USE;

#endif
