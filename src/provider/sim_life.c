/* The lives of simulated calls. A reserved destination (+1 NPA 555 01xx and the drama
 * ranges) has the life of its last digits; everybody else answers and talks a little. */
#include "sim_life.h"

#include "callgate/e164.h"
#include "callgate/mem.h"

enum {
	ACCEPTED_MS = 50,
	RINGING_MS  = 100,
	FAILED_MS   = 300,              /* a carrier's refusal comes without ringing */
	RING_MS     = 2000,
	TALK_MS     = 20000,
	VOICEMAIL_MS = 5000,
	SHORT_TALK_MS = 1000,
	UNCERTAIN_MS = 1000,
	HIDDEN_MS   = 10000,
	HIDDEN_TALK_MS = 5000,
};

static const struct call_outcome callee_hangup = { .reason = REASON_CALLEE_HANGUP, .sip_code = 200, .sip_phrase = "OK" };
static const struct call_outcome max_duration  = { .reason = REASON_MAX_DURATION, .sip_code = 200, .sip_phrase = "OK" };
static const struct call_outcome voicemail     = { .reason = REASON_VOICEMAIL, .sip_code = 200, .sip_phrase = "OK" };
static const struct call_outcome no_answer = {
	.reason = REASON_NO_ANSWER, .sip_code = 480, .sip_phrase = "Temporarily Unavailable" };
static const struct call_outcome declined = {
	.reason = REASON_DECLINED, .sip_code = 603, .sip_phrase = "Decline" };

static void step(struct life *l, int32_t at_ms, enum provider_event_kind kind,
                 const struct call_outcome *outcome)
{
	l->steps[l->n++] = (struct life_step){ at_ms, kind, outcome };
}

/* Rings for `ring_ms` if the ring timeout allows; true when that is over and nobody gave up. */
static bool ring(struct life *l, int ring_ms, int ring_timeout_s)
{
	step(l, RINGING_MS, PROVIDER_RINGING, NULL);
	if (ring_ms <= ring_timeout_s * 1000)
		return true;
	step(l, RINGING_MS + ring_timeout_s * 1000, PROVIDER_ENDED, &no_answer);
	return false;
}

static void answer(struct life *l, int ring_timeout_s, int max_duration_s, int talk_ms,
                   const struct call_outcome *outcome)
{
	if (!ring(l, RING_MS, ring_timeout_s))
		return;
	step(l, RINGING_MS + RING_MS, PROVIDER_ANSWERED, NULL);
	if (talk_ms >= max_duration_s * 1000) {
		talk_ms = max_duration_s * 1000;
		outcome = &max_duration;
	}
	step(l, RINGING_MS + RING_MS + talk_ms, PROVIDER_ENDED, outcome);
}

static void like_everybody(struct life *l, int ring_timeout_s, int max_duration_s)
{
	answer(l, ring_timeout_s, max_duration_s, TALK_MS, &callee_hangup);
}

/* Everything is true, nothing is in order, and all is said twice. */
static void confused(struct life *l, int max_duration_s)
{
	int talk_ms = max_duration_s * 1000 < TALK_MS ? max_duration_s * 1000 : TALK_MS;
	int end_ms = RINGING_MS + RING_MS + talk_ms;

	step(l, RINGING_MS + RING_MS, PROVIDER_ANSWERED, NULL);
	step(l, RINGING_MS + RING_MS + 100, PROVIDER_RINGING, NULL);
	step(l, RINGING_MS + RING_MS + 150, PROVIDER_ANSWERED, NULL);
	step(l, end_ms, PROVIDER_ENDED, talk_ms < TALK_MS ? &max_duration : &callee_hangup);
	step(l, end_ms + 50, PROVIDER_ENDED, talk_ms < TALK_MS ? &max_duration : &callee_hangup);
	step(l, end_ms + 100, PROVIDER_RINGING, NULL);
	step(l, end_ms + 150, PROVIDER_ANSWERED, NULL);
}

/* The answer to the dial gets lost; the call itself is well. */
static void hidden(struct life *l, int max_duration_s)
{
	bool cut = max_duration_s * 1000 <= HIDDEN_TALK_MS;

	l->hidden_until_ms = HIDDEN_MS;
	step(l, UNCERTAIN_MS, PROVIDER_UNCERTAIN, NULL);
	step(l, HIDDEN_MS, PROVIDER_ANSWERED, NULL);
	step(l, HIDDEN_MS + (cut ? max_duration_s * 1000 : HIDDEN_TALK_MS), PROVIDER_ENDED,
	     cut ? &max_duration : &callee_hangup);
}

/* Destinations at which nothing rings. */
static const struct refusal {
	int                 suffix;
	int                 attempts;   /* the first so many are refused; 0: all */
	struct call_outcome outcome;
} refusals[] = {
	{ 101, 0, { REASON_BUSY, 486, "Busy Here", "", false } },
	{ 104, 0, { REASON_INVALID_NUMBER, 404, "Not Found", "", true } },
	{ 106, 1, { REASON_CARRIER_UNAVAILABLE, 503, "Service Unavailable", "", true } },
	{ 107, 0, { REASON_CARRIER_LIMIT, 503, "CPS limit exceeded", "", true } },
	{ 109, 0, { REASON_CARRIER_BLOCKED, 603, "Blocked", "", true } },
	{ 113, 0, { REASON_INSUFFICIENT_CREDITS, 0, "", "insufficient_credits", true } },
	{ 114, 0, { REASON_SUPPRESSED, 0, "", "suppressed", true } },
};

static const struct refusal *refusal_of(int suffix, int attempt)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		if (refusals[i].suffix == suffix &&
		    (!refusals[i].attempts || attempt <= refusals[i].attempts))
			return &refusals[i];
	return NULL;
}

void life_of(const char *to, int attempt, int ring_timeout_s, int max_duration_s, struct life *out)
{
	int suffix = e164_reserved_suffix(to);
	const struct refusal *refusal = refusal_of(suffix, attempt);

	*out = (struct life){ 0 };
	if (suffix == 108) {
		hidden(out, max_duration_s);
		return;
	}
	step(out, ACCEPTED_MS, PROVIDER_ACCEPTED, NULL);
	if (refusal) {
		step(out, FAILED_MS, PROVIDER_ENDED, &refusal->outcome);
		return;
	}
	switch (suffix) {
	case 102:
		ring(out, INT32_MAX, ring_timeout_s);
		break;
	case 103:
		if (ring(out, RING_MS, ring_timeout_s))
			step(out, RINGING_MS + RING_MS, PROVIDER_ENDED, &declined);
		break;
	case 105:
		answer(out, ring_timeout_s, max_duration_s, VOICEMAIL_MS, &voicemail);
		break;
	case 110:
		answer(out, ring_timeout_s, max_duration_s, SHORT_TALK_MS, &callee_hangup);
		break;
	case 111:
		answer(out, ring_timeout_s, max_duration_s, INT32_MAX, &max_duration);
		break;
	case 112:
		confused(out, max_duration_s);
		break;
	default:
		like_everybody(out, ring_timeout_s, max_duration_s);
	}
}
