/* A call: its states, how it may move, and what became of it. Pure: no I/O, no clock.
 *
 *     queued -> initiated -> ringing -> in_progress -> completed
 *        |         |            |            |
 *        +---------+------------+--> no_answer, busy, canceled, failed
 *                                            +--> failed
 *
 * A state may be skipped forward (a trunk need not report ringing), except initiated:
 * nothing rings before the intent to dial is committed. An answered call completes or
 * fails; a final state is never left. The numbers are stored in the database: append
 * only. */
#ifndef CALLGATE_CALL_H
#define CALLGATE_CALL_H

#include <stdbool.h>
#include <stdint.h>

enum call_state {
	CALL_QUEUED = 0,
	CALL_INITIATED,         /* the intent to dial is committed             */
	CALL_RINGING,           /* the callee's side said 18x                  */
	CALL_IN_PROGRESS,       /* answered                                    */
	CALL_COMPLETED,         /* was answered, and has ended                 */
	CALL_NO_ANSWER,
	CALL_BUSY,
	CALL_CANCELED,          /* ended by the client before it was answered  */
	CALL_FAILED,
	CALL_STATE_COUNT
};

bool        call_can_move(enum call_state from, enum call_state to);
bool        call_is_final(enum call_state s);
const char *call_state_name(enum call_state s);                         /* "in_progress" */
bool        call_state_parse(const char *name, enum call_state *out);

/* Who would have to change something for the call to go better. */
enum call_fault {
	FAULT_NONE = 0,         /* nothing went wrong               */
	FAULT_CALLEE,           /* busy, away, declined             */
	FAULT_CARRIER,          /* the trunk or the network beyond  */
	FAULT_PLATFORM,         /* callgate or the provider         */
	FAULT_CONFIGURATION,    /* wrong trunk, number, credentials */
	FAULT_POLICY,           /* a rule said no                   */
	FAULT_COUNT
};
const char *call_fault_name(enum call_fault f);

/* Why a call ended. The code is stable and documented in docs/errors.md; each reason
 * carries the final state it leads to, whose fault it is, and whether trying again
 * later is sensible for the client. Stored by number: append only. */
enum call_reason {
	REASON_NONE = 0,
	REASON_CALLEE_HANGUP,           /* answered; the callee hung up                       */
	REASON_AGENT_HANGUP,            /* answered; our side hung up                         */
	REASON_MAX_DURATION,            /* answered; ended at the maximum duration            */
	REASON_VOICEMAIL,               /* answered by a machine                              */
	REASON_BUSY,                    /* SIP 486, 600                                       */
	REASON_NO_ANSWER,               /* rang out; SIP 480, 408, 487                        */
	REASON_DECLINED,                /* SIP 603, 607, 608                                  */
	REASON_INVALID_NUMBER,          /* SIP 404, 410, 484, 604                             */
	REASON_CARRIER_UNAVAILABLE,     /* SIP 5xx from the trunk                             */
	REASON_CARRIER_LIMIT,           /* the trunk's calls per second or channels exceeded  */
	REASON_CARRIER_BLOCKED,         /* the carrier will never place this call             */
	REASON_INSUFFICIENT_CREDITS,    /* at dial time                                       */
	REASON_SUPPRESSED,              /* the destination must not be called                 */
	REASON_CANCELED,                /* by the client                                      */
	REASON_QUEUE_EXPIRED,           /* waited longer than a call may wait                 */
	REASON_PROVIDER_ERROR,          /* the provider refused or broke; not dialed          */
	REASON_CONFIGURATION,           /* trunk, credentials or caller number are wrong      */
	REASON_OUTCOME_UNKNOWN,         /* perhaps dialed; nobody can tell; never dialed again */
	REASON_OVERDUE,                 /* no word until the published bound; ended by us     */
	REASON_CLIENT_HANGUP,           /* answered; ended because the client asked for it    */
	REASON_COUNT
};

struct call_reason_info {
	const char     *code;           /* "busy"                                   */
	const char     *text;           /* one sentence for people                  */
	enum call_state state;          /* the final state it leads to              */
	enum call_fault fault;
	bool            retryable;      /* a new call later may go better           */
};
const struct call_reason_info *call_reason_info(enum call_reason r);

/* What is known of an ended attempt. */
struct call_outcome {
	enum call_reason reason;
	int              sip_code;              /* 0: none                                     */
	char             sip_phrase[64];        /* "Busy Here"                                 */
	char             provider_code[48];     /* the provider's own word; "" if none         */
	bool             never_rang;            /* certain: no phone rang, so the same call may
	                                         * be dialed again within its own bound         */
	bool             undialed;              /* more than that: nothing was dialed at all, for want
	                                         * of a provider; the attempt does not count    */
};

/* Seconds that are charged for `talk_ms`: rounded up to `increment_s`, at least
 * `minimum_s` (both > 0); 0 when nothing was talked. Money is milli-cents. */
int64_t call_billable_seconds(int64_t talk_ms, int minimum_s, int increment_s);

#endif
