/* The error tables. Order of trust: the SIP status code, then LiveKit's own code, then
 * known words in its message, else unknown. The HTTP status lies: 429 is a busy line, 403 a
 * callee who declined, 404 may be a telephone number. */
#include "livekit_outcome.h"

#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"

/* ── by SIP status code ─────────────────────────────────────────────────────────── */

static const struct sip_row {
	int              code;
	enum call_reason reason;
	bool             never_rang;
	bool             trunk;         /* the trunk is at fault; not who it is that calls, and whom */
} sip_rows[] = {
	{ 400, REASON_CONFIGURATION,       true,  false },
	{ 401, REASON_CONFIGURATION,       true,  false },
	{ 402, REASON_CONFIGURATION,       true,  false },
	{ 403, REASON_CONFIGURATION,       true,  false },
	{ 404, REASON_INVALID_NUMBER,      true,  false },
	{ 407, REASON_CONFIGURATION,       true,  false },
	{ 408, REASON_NO_ANSWER,           false, false },
	{ 410, REASON_INVALID_NUMBER,      true,  false },
	{ 428, REASON_CONFIGURATION,       true,  false },     /* caller identity (STIR) */
	{ 433, REASON_CONFIGURATION,       true,  false },
	{ 436, REASON_CONFIGURATION,       true,  false },
	{ 437, REASON_CONFIGURATION,       true,  false },
	{ 438, REASON_CONFIGURATION,       true,  false },
	{ 480, REASON_NO_ANSWER,           false, false },
	{ 484, REASON_INVALID_NUMBER,      true,  false },
	{ 486, REASON_BUSY,                false, false },
	{ 487, REASON_NO_ANSWER,           false, false },
	{ 488, REASON_CONFIGURATION,       false, false },     /* no common codec */
	{ 500, REASON_CARRIER_UNAVAILABLE, false, true  },
	{ 503, REASON_CARRIER_UNAVAILABLE, true,  true  },     /* refused before it was routed, usually */
	{ 504, REASON_CARRIER_UNAVAILABLE, false, true  },
	{ 600, REASON_BUSY,                false, false },
	{ 603, REASON_DECLINED,            false, false },
	{ 604, REASON_INVALID_NUMBER,      true,  false },
	{ 606, REASON_CONFIGURATION,       false, false },
	{ 607, REASON_DECLINED,            false, false },
	{ 608, REASON_DECLINED,            false, false },
};

static bool has_words(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasestr(text, words[i]))
			return true;
	return false;
}

/* A carrier that will not have more calls at once says so in words only. */
static bool is_limit(const char *phrase)
{
	static const char *const words[] = { "cps limit", "call limit", "limit exceeded", "channel limit", "too many calls",
	                                     "rate limit" };

	return has_words(phrase, words, ARRAY_LEN(words));
}

static bool is_blocked(const char *phrase)
{
	static const char *const words[] = { "network blocked", "blocked", "32203" };

	return has_words(phrase, words, ARRAY_LEN(words));
}

static struct sip_row sip_row_of(int code, const char *phrase)
{
	if (code >= 500 && code < 600 && is_limit(phrase))
		return (struct sip_row){ code, REASON_CARRIER_LIMIT, true, false };
	if ((code == 603 || code == 608) && is_blocked(phrase))
		return (struct sip_row){ code, REASON_CARRIER_BLOCKED, true, false };
	for (size_t i = 0; i < ARRAY_LEN(sip_rows); i++)
		if (sip_rows[i].code == code)
			return sip_rows[i];
	if (code >= 600)
		return (struct sip_row){ code, REASON_DECLINED, false, false };
	return (struct sip_row){ code, REASON_CARRIER_UNAVAILABLE, false, code >= 500 };
}

static void judge_sip(const struct wire_livekit_error *e, const struct livekit_context *c, struct livekit_verdict *out)
{
	struct sip_row row = sip_row_of(e->sip_code, e->sip_status);

	out->fate = LIVEKIT_FATE_FINISHED;
	out->blame = row.trunk ? LIVEKIT_BLAME_TRUNK : LIVEKIT_BLAME_NOBODY;
	out->outcome.reason = row.reason;
	out->outcome.never_rang = row.never_rang && !c->ringing;
	/* Our own end of it: the trunk confirms the CANCEL with 487. */
	if (e->sip_code == 487 && c->hung_up)
		out->outcome.reason = REASON_CANCELED;
	out->outcome.sip_code = e->sip_code;
	str_copy(out->outcome.sip_phrase, sizeof out->outcome.sip_phrase, e->sip_status);
}

/* ── by LiveKit's code and words ────────────────────────────────────────────────── */

/* The first row that fits decides. A status of 0 fits any, words of "" fit any. */
static const struct word_row {
	int                status;
	const char        *code;        /* NULL: any, also an answer that is not LiveKit's own */
	const char        *words;       /* in the message */
	enum livekit_fate  fate;
	enum call_reason   reason;
	bool               never_rang;
	enum livekit_blame blame;
	const char        *name;        /* the outcome's provider_code */
} word_rows[] = {
#define NOT_DIALED LIVEKIT_FATE_NOT_DIALED
#define FINISHED   LIVEKIT_FATE_FINISHED
#define UNKNOWN    LIVEKIT_FATE_UNKNOWN
#define SERVER     LIVEKIT_BLAME_SERVER
#define NOBODY     LIVEKIT_BLAME_NOBODY
#define TRUNK      LIVEKIT_BLAME_TRUNK
#define SIP        LIVEKIT_BLAME_SIP
	/* 408: a ring timeout and a dead trunk differ in their words only */
	{ 408, "canceled", "sip request timed out",          FINISHED, REASON_NO_ANSWER,           false, NOBODY, "ring_timeout" },
	{ 408, "canceled", "0 intermediate responses",       FINISHED, REASON_CARRIER_UNAVAILABLE, false, TRUNK,  "trunk_silent" },
	{ 408, "canceled", "transaction failed to complete", FINISHED, REASON_CARRIER_UNAVAILABLE, false, TRUNK,  "trunk_fell_silent" },
	{ 408, "canceled", "service shutting down",          FINISHED, REASON_OUTCOME_UNKNOWN,     false, SIP,    "sip_service_stopped" },
	{ 408, NULL,       "",                               UNKNOWN,  REASON_OUTCOME_UNKNOWN,     false, NOBODY, "deadline_exceeded" },
	/* 412: LiveKit after the INVITE, or a trunk that cannot be */
	{ 412, "failed_precondition", "no numbers on outbound trunk", NOT_DIALED, REASON_CONFIGURATION, true, NOBODY, "trunk_without_number" },
	{ 412, "failed_precondition", "context deadline exceeded", FINISHED, REASON_NO_ANSWER, false, NOBODY, "answered_too_late" },
	{ 412, "failed_precondition", "max auth retry attempts",   FINISHED, REASON_CONFIGURATION, true, NOBODY, "trunk_auth_failed" },
	{ 412, "failed_precondition", "server required auth",      FINISHED, REASON_CONFIGURATION, true, NOBODY, "trunk_auth_missing" },
	{ 412, "failed_precondition", "larger than MTU",           FINISHED, REASON_CONFIGURATION, true, NOBODY, "invite_too_large" },
	{ 412, "failed_precondition", "connection refused",        FINISHED, REASON_CARRIER_UNAVAILABLE, true, TRUNK, "trunk_refused" },
	{ 412, "failed_precondition", "no route to host",          FINISHED, REASON_CARRIER_UNAVAILABLE, true, TRUNK, "trunk_unreachable" },
	{ 412, "failed_precondition", "network is unreachable",    FINISHED, REASON_CARRIER_UNAVAILABLE, true, TRUNK, "trunk_unreachable" },
	{ 412, "failed_precondition", "dial tcp",                  FINISHED, REASON_CARRIER_UNAVAILABLE, true, TRUNK, "trunk_unreachable" },
	{ 412, "failed_precondition", "x509:",                     FINISHED, REASON_CONFIGURATION, true, TRUNK, "trunk_certificate" },
	{ 412, "failed_precondition", "tls:",                      FINISHED, REASON_CONFIGURATION, true, TRUNK, "trunk_tls" },
	{ 412, "failed_precondition", "codec",                     FINISHED, REASON_CONFIGURATION, false, NOBODY, "media_refused" },
	{ 412, "failed_precondition", "sdp",                       FINISHED, REASON_CONFIGURATION, false, NOBODY, "media_refused" },
	{ 412, "failed_precondition", "encrypt",                   FINISHED, REASON_CONFIGURATION, false, NOBODY, "media_refused" },
	{ 412, "failed_precondition", "",                          FINISHED, REASON_CARRIER_UNAVAILABLE, false, TRUNK, "failed_precondition" },
	/* before any INVITE */
	{ 503, "unavailable", "no response from servers",  NOT_DIALED, REASON_PROVIDER_ERROR, true, SIP, "no_sip_service" },
	{ 503, "unavailable", "no servers available",      NOT_DIALED, REASON_PROVIDER_ERROR, true, SIP, "no_sip_service" },
	{ 503, "unavailable", "cpu exhausted",             NOT_DIALED, REASON_PROVIDER_ERROR, true, SIP, "sip_service_overloaded" },
	{ 500, "internal",    "update room failed",        NOT_DIALED, REASON_PROVIDER_ERROR, true, SIP, "room_join_failed" },
	{ 500, NULL,          "sip not connected",         NOT_DIALED, REASON_CONFIGURATION,  true, NOBODY, "livekit_without_redis" },
	{ 404, "not_found",   "sip trunk does not exist",  NOT_DIALED, REASON_CONFIGURATION,  true, NOBODY, "trunk_not_found" },
	{ 404, "not_found",   "object cannot be found",    NOT_DIALED, REASON_CONFIGURATION,  true, NOBODY, "trunk_not_found" },
	{ 404, "bad_route",   "",                          NOT_DIALED, REASON_CONFIGURATION,  true, NOBODY, "bad_route" },
	{ 404, NULL,          "",                          NOT_DIALED, REASON_CONFIGURATION,  true, NOBODY, "not_found" },
	{ 400, "invalid_argument", "no such host",         NOT_DIALED, REASON_CONFIGURATION,  true, TRUNK,  "trunk_name_unknown" },
	{ 400, "invalid_argument", "lookup ",              NOT_DIALED, REASON_CARRIER_UNAVAILABLE, true, TRUNK, "trunk_name_lookup" },
	{ 400, NULL,          "",                          NOT_DIALED, REASON_CONFIGURATION,  true, NOBODY, "invalid_argument" },
	{ 401, NULL,          "",                          NOT_DIALED, REASON_CONFIGURATION,  true, NOBODY, "unauthenticated" },
	{ 403, "permission_denied", "",                    NOT_DIALED, REASON_CONFIGURATION,  true, NOBODY, "permission_denied" },
	{ 413, NULL,          "",                          NOT_DIALED, REASON_CONFIGURATION,  true, NOBODY, "request_too_large" },
	/* Old versions said busy this way without evidence, the hosted service says it has had enough of us. */
	{ 429, NULL,          "INVITE",                    FINISHED,   REASON_OUTCOME_UNKNOWN, false, NOBODY, "resource_exhausted" },
	{ 429, "resource_exhausted", "",                  NOT_DIALED, REASON_PROVIDER_ERROR, true, SERVER, "rate_limited" },
	{ 501, "unimplemented", "",                        NOT_DIALED, REASON_CONFIGURATION,  true, NOBODY, "unimplemented" },
	{ 0,   NULL,          "",                          UNKNOWN,    REASON_OUTCOME_UNKNOWN, false, SERVER, "" },
};

static bool row_fits(const struct word_row *r, int status, const struct wire_livekit_error *e)
{
	return (r->status == 0 || (r->status == status && !e->broken)) && (!r->code || str_eq(r->code, e->code)) &&
	       (!r->words[0] || strcasestr(e->msg, r->words));
}

static void judge_words(int status, const struct wire_livekit_error *e, const struct livekit_context *c,
                        struct livekit_verdict *out)
{
	const struct word_row *r = word_rows;

	while (!row_fits(r, status, e))
		r++;
	out->fate = r->fate;
	out->blame = r->blame;
	out->outcome.reason = r->reason;
	out->outcome.never_rang = r->never_rang && !c->ringing;
	str_copy(out->outcome.provider_code, sizeof out->outcome.provider_code, r->name[0] ? r->name : e->code);
	/* The same words when somebody ended it while it rang: we, or the agent by deleting the
	 * room, or an operator. */
	if (str_eq(r->name, "ring_timeout") && (c->hung_up || !c->rang_out)) {
		out->outcome.reason = REASON_CANCELED;
		str_copy(out->outcome.provider_code, sizeof out->outcome.provider_code, c->hung_up ? "canceled" : "removed");
	} else if (str_eq(r->name, "ring_timeout") && c->mute && !c->ringing) {
		/* And the same words when nobody is at the other end of the trunk, which LiveKit finds
		 * out by itself only after 32 s. Not held against the trunk: some never say that it
		 * rings, and this may be the first that is heard of it. */
		out->outcome.reason = REASON_CARRIER_UNAVAILABLE;
		str_copy(out->outcome.provider_code, sizeof out->outcome.provider_code, "trunk_silent");
	}
}

/* Where nothing was dialed because LiveKit could not, it need not be the call's end. */
static void mark_undialed(struct livekit_verdict *v)
{
	v->outcome.undialed = v->fate == LIVEKIT_FATE_NOT_DIALED && v->outcome.reason == REASON_PROVIDER_ERROR &&
	                      v->outcome.never_rang;
}

/* Where LiveKit had no connection to the trunk, no INVITE went out. */
static void doubt_refusal(const struct wire_livekit_error *e, struct livekit_verdict *v)
{
	bool again = v->outcome.reason == REASON_CARRIER_UNAVAILABLE || v->outcome.reason == REASON_CARRIER_LIMIT;

	if (v->fate != LIVEKIT_FATE_FINISHED || !again || (!e->sip_code && strcasestr(e->msg, "dial ")))
		return;
	v->may_be_shown = v->outcome.never_rang;
	v->outcome.never_rang = false;
}

void livekit_judge_dial(int status, const struct wire_livekit_error *e, const struct livekit_context *c,
                        struct livekit_verdict *out)
{
	*out = (struct livekit_verdict){ 0 };
	if (e->json && e->sip_code)
		judge_sip(e, c, out);
	else
		judge_words(status, e, c, out);
	doubt_refusal(e, out);
	mark_undialed(out);
}

/* ── rooms ──────────────────────────────────────────────────────────────────────── */

void livekit_judge_room(int status, const struct wire_livekit_error *e, struct livekit_verdict *out)
{
	bool ours = status >= 300 && status < 500 && status != 408 && status != 429;

	*out = (struct livekit_verdict){
		.fate = LIVEKIT_FATE_NOT_DIALED, .blame = ours ? LIVEKIT_BLAME_NOBODY : LIVEKIT_BLAME_SERVER,
		.outcome = { .reason = ours ? REASON_CONFIGURATION : REASON_PROVIDER_ERROR, .never_rang = true },
	};
	str_copy(out->outcome.provider_code, sizeof out->outcome.provider_code,
	         status == 401 ? "unauthenticated" : status == 404 && !e->json ? "bad_route" : e->code[0] ? e->code : "http_error");
	mark_undialed(out);
}

/* ── legs that are gone ─────────────────────────────────────────────────────────── */

static struct call_outcome outcome(enum call_reason reason, const char *code)
{
	struct call_outcome o = { .reason = reason };

	str_copy(o.provider_code, sizeof o.provider_code, code);
	return o;
}

static struct call_outcome ended_talk(enum wire_livekit_status last, enum wire_livekit_reason reason, bool hung_up)
{
	if (hung_up)
		return outcome(REASON_AGENT_HANGUP, "");
	switch (reason) {
	case LIVEKIT_PARTICIPANT_REMOVED:
	case LIVEKIT_ROOM_DELETED:
	case LIVEKIT_ROOM_CLOSED:
	case LIVEKIT_AGENT_ERROR:
		return outcome(REASON_AGENT_HANGUP, reason == LIVEKIT_AGENT_ERROR ? "agent_error" : "removed");
	case LIVEKIT_MEDIA_FAILURE:
		return outcome(REASON_CALLEE_HANGUP, "media_failure");
	case LIVEKIT_CONNECTION_TIMEOUT:
	case LIVEKIT_SIGNAL_CLOSE:
	case LIVEKIT_SERVER_SHUTDOWN:
		return outcome(REASON_CALLEE_HANGUP, "connection_lost");
	default:
		/* No "hangup" before the end: RTP ran dry, or the last word was missed. */
		return outcome(REASON_CALLEE_HANGUP, last == LIVEKIT_STATUS_ACTIVE && reason == LIVEKIT_CLIENT_INITIATED
		               ? "media_timeout" : "");
	}
}

struct call_outcome livekit_judge_left(enum wire_livekit_status last, enum wire_livekit_reason reason, bool answered,
                                       bool hung_up)
{
	if (answered || last == LIVEKIT_STATUS_ACTIVE || last == LIVEKIT_STATUS_HANGUP)
		return ended_talk(last, reason, hung_up);
	if (hung_up)
		return outcome(REASON_CANCELED, "canceled");
	switch (reason) {
	/* 486, 603, 403, 488: which of them is not told. A busy callee has not declined; what is certain
	 * is that nobody answered. */
	case LIVEKIT_USER_REJECTED:
		return outcome(REASON_NO_ANSWER, "user_rejected");
	case LIVEKIT_USER_UNAVAILABLE:
		return outcome(REASON_NO_ANSWER, "user_unavailable");
	case LIVEKIT_SIP_TRUNK_FAILURE:
	case LIVEKIT_CLIENT_INITIATED:          /* never answered, and nobody here ended it */
		return outcome(REASON_CARRIER_UNAVAILABLE, "trunk_failure");
	case LIVEKIT_PARTICIPANT_REMOVED:
	case LIVEKIT_ROOM_DELETED:
	case LIVEKIT_ROOM_CLOSED:
		return outcome(REASON_CANCELED, "removed");
	default:
		return outcome(REASON_OUTCOME_UNKNOWN, "gone");
	}
}
