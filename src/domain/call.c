/* What a call may do and what became of it, as tables. Every room asks these, none keeps
 * a list of its own: a new state or reason is a row here, and the compiler or the
 * assertions below name what was forgotten. */
#include "callgate/call.h"

#include <assert.h>
#include <stddef.h>

#include "callgate/mem.h"
#include "callgate/text.h"

#define BIT(n)   (1u << (n))
#define UNANSWERED \
	(BIT(CALL_NO_ANSWER) | BIT(CALL_BUSY) | BIT(CALL_CANCELED) | BIT(CALL_FAILED))

/* Providers skip steps (no 18x, an answer seen only in the final report), so each state
 * leads to all that lie ahead. Two exceptions. `initiated` is not skipped: it is our own
 * commit of the intent to dial, and a phone that rings without it would be a phone that
 * may ring twice. And once answered, a call was answered: busy, no answer and canceled
 * can only be late reports, and must not turn a conversation into something unbilled. */
static const struct { const char *name; unsigned next; } states[] = {
	[CALL_QUEUED]      = { "queued",      BIT(CALL_INITIATED) | UNANSWERED },
	[CALL_INITIATED]   = { "initiated",   BIT(CALL_RINGING) | BIT(CALL_IN_PROGRESS) |
	                                      BIT(CALL_COMPLETED) | UNANSWERED },
	[CALL_RINGING]     = { "ringing",     BIT(CALL_IN_PROGRESS) | BIT(CALL_COMPLETED) |
	                                      UNANSWERED },
	[CALL_IN_PROGRESS] = { "in_progress", BIT(CALL_COMPLETED) | BIT(CALL_FAILED) },
	[CALL_COMPLETED]   = { "completed",   0 },
	[CALL_NO_ANSWER]   = { "no_answer",   0 },
	[CALL_BUSY]        = { "busy",        0 },
	[CALL_CANCELED]    = { "canceled",    0 },
	[CALL_FAILED]      = { "failed",      0 },
};
_Static_assert(sizeof states / sizeof *states == CALL_STATE_COUNT, "a state lacks its row");

bool call_can_move(enum call_state from, enum call_state to)
{
	assert((unsigned)from < CALL_STATE_COUNT && (unsigned)to < CALL_STATE_COUNT);
	return states[from].next & BIT(to);
}

bool call_is_final(enum call_state s)
{
	assert((unsigned)s < CALL_STATE_COUNT);
	return states[s].next == 0;
}

const char *call_state_name(enum call_state s)
{
	assert((unsigned)s < CALL_STATE_COUNT);
	return states[s].name;
}

bool call_state_parse(const char *name, enum call_state *out)
{
	for (size_t i = 0; name && i < ARRAY_LEN(states); i++) {
		if (str_eq(name, states[i].name)) {
			*out = (enum call_state)i;
			return true;
		}
	}
	return false;
}

static const char *const faults[] = {
	[FAULT_NONE]          = "none",
	[FAULT_CALLEE]        = "callee",
	[FAULT_CARRIER]       = "carrier",
	[FAULT_PLATFORM]      = "platform",
	[FAULT_CONFIGURATION] = "configuration",
	[FAULT_POLICY]        = "policy",
};
_Static_assert(sizeof faults / sizeof *faults == FAULT_COUNT, "a fault lacks its name");

const char *call_fault_name(enum call_fault f)
{
	assert((unsigned)f < FAULT_COUNT);
	return faults[f];
}

/* `retryable` answers the client's program: will the same request, posted again later and
 * unchanged, have a fair chance, and do no harm? So it is false where a person must act
 * first (credits, trunk) and where the phone may already have rung (unknown, overdue). */
static const struct call_reason_info reasons[] = {
	[REASON_NONE] =
		{ "none", "The call has not ended.",
		  CALL_QUEUED, FAULT_NONE, false },
	[REASON_CALLEE_HANGUP] =
		{ "callee_hangup", "The call was answered and the callee hung up.",
		  CALL_COMPLETED, FAULT_NONE, false },
	[REASON_AGENT_HANGUP] =
		{ "agent_hangup", "The call was answered and our side hung up.",
		  CALL_COMPLETED, FAULT_NONE, false },
	[REASON_MAX_DURATION] =
		{ "max_duration", "The call was answered and ended at its maximum duration.",
		  CALL_COMPLETED, FAULT_NONE, false },
	[REASON_VOICEMAIL] =
		{ "voicemail", "The call was answered by a machine.",
		  CALL_COMPLETED, FAULT_CALLEE, true },
	[REASON_BUSY] =
		{ "busy", "The callee's line was busy.",
		  CALL_BUSY, FAULT_CALLEE, true },
	[REASON_NO_ANSWER] =
		{ "no_answer", "Nobody answered.",
		  CALL_NO_ANSWER, FAULT_CALLEE, true },
	[REASON_DECLINED] =
		{ "declined", "The callee declined the call.",
		  CALL_FAILED, FAULT_CALLEE, false },
	[REASON_INVALID_NUMBER] =
		{ "invalid_number", "The carrier says that the number does not exist.",
		  CALL_FAILED, FAULT_CONFIGURATION, false },
	[REASON_CARRIER_UNAVAILABLE] =
		{ "carrier_unavailable", "The carrier could not place the call.",
		  CALL_FAILED, FAULT_CARRIER, true },
	[REASON_CARRIER_LIMIT] =
		{ "carrier_limit", "The trunk's calls per second or channels were exceeded.",
		  CALL_FAILED, FAULT_CARRIER, true },
	[REASON_CARRIER_BLOCKED] =
		{ "carrier_blocked", "The carrier blocks this call for good.",
		  CALL_FAILED, FAULT_CARRIER, false },
	[REASON_INSUFFICIENT_CREDITS] =
		{ "insufficient_credits", "The credits did not suffice when the call was due.",
		  CALL_FAILED, FAULT_POLICY, false },
	[REASON_SUPPRESSED] =
		{ "suppressed", "The destination must not be called.",
		  CALL_FAILED, FAULT_POLICY, false },
	[REASON_CANCELED] =
		{ "canceled", "The client canceled the call before it was answered.",
		  CALL_CANCELED, FAULT_NONE, false },
	[REASON_QUEUE_EXPIRED] =
		{ "queue_expired", "The call waited longer than a call may wait and was not dialed.",
		  CALL_FAILED, FAULT_PLATFORM, true },
	[REASON_PROVIDER_ERROR] =
		{ "provider_error", "The provider refused or failed; the phone was not dialed.",
		  CALL_FAILED, FAULT_PLATFORM, true },
	[REASON_CONFIGURATION] =
		{ "configuration", "The trunk, its credentials or the caller number are wrong.",
		  CALL_FAILED, FAULT_CONFIGURATION, false },
	[REASON_OUTCOME_UNKNOWN] =
		{ "outcome_unknown", "The phone may have rung; nobody can tell, so it is not dialed again.",
		  CALL_FAILED, FAULT_PLATFORM, false },
	[REASON_OVERDUE] =
		{ "overdue", "No word of the call came within its bound, so it was ended.",
		  CALL_FAILED, FAULT_PLATFORM, false },
	[REASON_CLIENT_HANGUP] =
		{ "client_hangup", "The call was answered and ended because the client canceled it.",
		  CALL_COMPLETED, FAULT_NONE, false },
};
_Static_assert(sizeof reasons / sizeof *reasons == REASON_COUNT, "a reason lacks its row");

const struct call_reason_info *call_reason_info(enum call_reason r)
{
	assert((unsigned)r < REASON_COUNT);
	return &reasons[r];
}

/* Not (v + step - 1) / step: that overflows at the top of the range. */
static int64_t started_steps(int64_t v, int64_t step)
{
	return v / step + (v % step != 0);
}

int64_t call_billable_seconds(int64_t talk_ms, int minimum_s, int increment_s)
{
	int64_t seconds;

	assert(minimum_s > 0 && increment_s > 0);
	if (talk_ms <= 0)
		return 0;
	/* No overflow: a thousandth of the range leaves room for any int increment. */
	seconds = started_steps(talk_ms, 1000);
	seconds = started_steps(seconds, increment_s) * increment_s;
	return seconds > minimum_s ? seconds : minimum_s;
}
