/* A call as its project's members see it, and reading many of them by id. */
#ifndef CALLGATE_STORE_READ_H
#define CALLGATE_STORE_READ_H

#include "callgate/call.h"
#include "callgate/digest.h"
#include "callgate/e164.h"
#include "callgate/id.h"
#include "callgate/store.h"

enum read_outcome { READ_FOUND = 0, READ_KEY_UNKNOWN, READ_NOT_FOUND };

/* What a queued call waits for. The numbers are part of the ETag. */
enum call_wait {
	WAIT_NONE = 0,          /* it does not wait                                  */
	WAIT_TURN,              /* its trunk's pace and those before it              */
	WAIT_SCHEDULE,          /* the time it is planned for                        */
	WAIT_DESTINATION,       /* it is due, but another call to the number lives   */
	WAIT_RETRY,             /* the time of its next attempt                      */
	WAIT_TRUNK,             /* somebody who switches its trunk on                */
	WAIT_CAPACITY,          /* … or makes a limit of 0 larger: its trunk's, its
	                         * project's or its organization's                   */
	WAIT_COUNT
};

/* One attempt: its times, 0 when not reached, and how it ended. */
struct call_attempt {
	int                 number;             /* from 1                                       */
	int64_t             initiated_ms, ringing_ms, answered_ms, ended_ms;
	struct call_outcome outcome;            /* reason NONE while it goes on                 */
	char                provider_ref[129];  /* "": none                                     */
	bool                uncertain;          /* the provider's answer is missing; being asked for */
};

#define ATTEMPTS_TOLD 20        /* earlier attempts that a record tells of, the latest */

/* Times are UTC ms, 0 when not (yet) reached. What decided the call (trunk, rate, limits)
 * is what it was at accept, the agent at dispatch. */
struct call_record {
	struct id           id;
	char                project[65];
	char                from[E164_SIZE];
	char                to[E164_SIZE];
	bool                test;
	char               *variables;  /* owned; JSON text or NULL                   */
	char               *metadata;   /* owned; JSON text or NULL                   */
	char               *agent;      /* owned; NULL before dispatch                */
	char               *provider_ref;       /* owned; NULL                        */
	enum call_state     state;
	struct call_outcome outcome;    /* reason NONE until final                    */
	int                 attempts;
	int                 ring_timeout_s, max_duration_s;
	int64_t             created_ms, initiated_ms, ringing_ms, answered_ms, ended_ms;
	int64_t             billed_s, charged_mc, held_mc;
	int                 prio;       /* 0 high, 1 normal, 2 low                    */
	int                 edits;      /* how often a client has changed it          */
	int                 phase;      /* 0 none or claimed, 1 intent committed, 2 uncertain, 3 the provider has it */
	int64_t             scheduled_ms, expires_ms, cancel_ms;
	enum call_wait      waiting;
	int64_t             wait_until_ms;      /* where that is known                */
	char               *trunk, *driver;     /* owned; NULL: not known             */
	int64_t             rate_mc;    /* per minute                                 */
	int                 increment_s, minimum_s;
	char                rate_prefix[E164_SIZE];     /* "": the project's own rate */
	struct call_attempt *earlier;   /* owned; those before the present one, rising */
	size_t              n_earlier;
};
void call_record_done(struct call_record *r);

struct call_read {
	/* in */
	int64_t   key_org;
	uint8_t   key_hash[SHA256_SIZE];
	struct id call_id;
	/* out */
	enum read_outcome  outcome;
	struct call_record call;        /* when found; call_record_done() by the caller */
};

#define READ_BATCH_MAX 256

/* Reads n calls in one statement, and in a second the earlier attempts of those that have
 * any. A call of another organization, or of a project the key's user is no member of, is
 * not found. */
enum err store_calls_read(struct store *s, struct call_read **items, size_t n, struct errinfo *e) MUST_USE;

#endif
