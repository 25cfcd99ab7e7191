/* A call as JSON, the answer of GET /v1/calls/{id}, in camelCase as the request is. A member that is not
 * known (yet) is null and never missing, so that a client can rely on the shape. */
#include "callgate/wire.h"

#include "callgate/jsonw.h"
#include "callgate/mem.h"
#include "callgate/text.h"

static void write_head(struct buf *b, const struct call_record *r)
{
	char id[ID_TEXT_SIZE];
	const char *state = call_state_name(r->state);

	id_format(&r->id, id);
	JSONW_LIT(b, "{\"id\":\"");
	buf_add(b, id, ID_TEXT_SIZE - 1);
	JSONW_LIT(b, "\",\"callId\":\"");
	buf_add(b, id, ID_TEXT_SIZE - 1);
	JSONW_LIT(b, "\",\"object\":\"call\",\"projectId\":");
	jsonw_str(b, r->project);
	JSONW_LIT(b, ",\"from\":");
	jsonw_str(b, r->from);
	JSONW_LIT(b, ",\"to\":");
	jsonw_str(b, r->to);
	JSONW_LIT(b, ",\"state\":");
	jsonw_str(b, state);
	JSONW_LIT(b, ",\"status\":");
	jsonw_str(b, state);
	JSONW_LIT(b, ",\"test\":");
	jsonw_bool(b, r->test);
}

static void write_settings(struct buf *b, const struct call_record *r)
{
	/* stored as sent, and checked then: it is JSON */
	JSONW_LIT(b, ",\"dynamicVariables\":");
	buf_str(b, r->variables ? r->variables : "{}");
	JSONW_LIT(b, ",\"metadata\":");
	buf_str(b, r->metadata ? r->metadata : "{}");
	JSONW_LIT(b, ",\"agent\":");
	jsonw_str(b, r->agent);
	JSONW_LIT(b, ",\"attempts\":");
	buf_int(b, r->attempts);
	JSONW_LIT(b, ",\"ringTimeoutSeconds\":");
	buf_int(b, r->ring_timeout_s);
	JSONW_LIT(b, ",\"maxDurationSeconds\":");
	buf_int(b, r->max_duration_s);
}

static void write_plan(struct buf *b, const struct call_record *r)
{
	static const char *const prios[] = { "high", "normal", "low" };
	static const char *const waits[] = {
		[WAIT_TURN] = "turn", [WAIT_SCHEDULE] = "schedule", [WAIT_DESTINATION] = "destination", [WAIT_RETRY] = "retry",
		[WAIT_TRUNK] = "trunk", [WAIT_CAPACITY] = "capacity",
	};
	_Static_assert(ARRAY_LEN(waits) == WAIT_COUNT, "a wait lacks its name");

	JSONW_LIT(b, ",\"priority\":");
	jsonw_str(b, (unsigned)r->prio < ARRAY_LEN(prios) ? prios[r->prio] : NULL);
	/* nearly all that are read; this is the hot way of GET */
	if (!r->scheduled_ms && !r->expires_ms && !r->cancel_ms && !r->waiting) {
		JSONW_LIT(b, ",\"scheduledAt\":null,\"expiresAt\":null,\"cancelRequestedAt\":null,\"waiting\":null");
		return;
	}
	JSONW_LIT(b, ",\"scheduledAt\":");
	jsonw_time(b, r->scheduled_ms);
	JSONW_LIT(b, ",\"expiresAt\":");
	jsonw_time(b, r->expires_ms);
	JSONW_LIT(b, ",\"cancelRequestedAt\":");
	jsonw_time(b, r->cancel_ms);
	JSONW_LIT(b, ",\"waiting\":");
	if (r->waiting == WAIT_NONE) {
		JSONW_LIT(b, "null");
		return;
	}
	JSONW_LIT(b, "{\"for\":");
	jsonw_str(b, waits[r->waiting]);
	/* when the destination will be free nobody knows: what is stored is when it is tried again */
	JSONW_LIT(b, ",\"until\":");
	jsonw_time(b, r->waiting == WAIT_DESTINATION ? 0 : r->wait_until_ms);
	buf_char(b, '}');
}

static void write_times(struct buf *b, int64_t initiated_ms, int64_t ringing_ms, int64_t answered_ms, int64_t ended_ms)
{
	JSONW_LIT(b, ",\"initiatedAt\":");
	jsonw_time(b, initiated_ms);
	JSONW_LIT(b, ",\"ringingAt\":");
	jsonw_time(b, ringing_ms);
	JSONW_LIT(b, ",\"answeredAt\":");
	jsonw_time(b, answered_ms);
	JSONW_LIT(b, ",\"endedAt\":");
	jsonw_time(b, ended_ms);
}

static void write_timeline(struct buf *b, const struct call_record *r)
{
	JSONW_LIT(b, ",\"timeline\":{\"createdAt\":");
	jsonw_time(b, r->created_ms);
	write_times(b, r->initiated_ms, r->ringing_ms, r->answered_ms, r->ended_ms);
	buf_char(b, '}');
}

static void write_span(struct buf *b, int64_t from_ms, int64_t to_ms)
{
	if (from_ms && to_ms)
		jsonw_seconds(b, to_ms - from_ms);
	else
		JSONW_LIT(b, "null");
}

/* A call that ended unanswered has talked for exactly 0 s; how long it rang is only known
 * when the trunk said that it rang. */
static void write_durations(struct buf *b, const struct call_record *r)
{
	JSONW_LIT(b, ",\"durations\":{\"ringSeconds\":");
	write_span(b, r->ringing_ms, r->answered_ms ? r->answered_ms : r->ended_ms);
	JSONW_LIT(b, ",\"talkSeconds\":");
	if (r->ended_ms && !r->answered_ms)
		jsonw_seconds(b, 0);
	else
		write_span(b, r->answered_ms, r->ended_ms);
	buf_char(b, '}');
}

static const char *or_null(const char *s)
{
	return s[0] ? s : NULL;
}

static void write_outcome(struct buf *b, const struct call_outcome *o)
{
	const struct call_reason_info *why;

	JSONW_LIT(b, ",\"outcome\":");
	if (o->reason == REASON_NONE) {
		JSONW_LIT(b, "null");
		return;
	}
	why = call_reason_info(o->reason);
	JSONW_LIT(b, "{\"reason\":");
	jsonw_str(b, why->code);
	JSONW_LIT(b, ",\"faultOwner\":");
	jsonw_str(b, call_fault_name(why->fault));
	JSONW_LIT(b, ",\"retryable\":");
	jsonw_bool(b, why->retryable);
	JSONW_LIT(b, ",\"sipCode\":");
	if (o->sip_code)
		buf_int(b, o->sip_code);
	else
		JSONW_LIT(b, "null");
	JSONW_LIT(b, ",\"sipPhrase\":");
	jsonw_str(b, or_null(o->sip_phrase));
	JSONW_LIT(b, ",\"providerCode\":");
	jsonw_str(b, or_null(o->provider_code));
	JSONW_LIT(b, ",\"text\":");
	jsonw_str(b, why->text);
	buf_char(b, '}');
}

/* What the provider said of an attempt. An end without a word about dialing was dialed. */
static void write_attempt(struct buf *b, const struct call_attempt *a)
{
	const struct call_outcome *o = &a->outcome;

	JSONW_LIT(b, "{\"attempt\":");
	buf_int(b, a->number);
	write_times(b, a->initiated_ms, a->ringing_ms, a->answered_ms, a->ended_ms);
	JSONW_LIT(b, ",\"reason\":");
	jsonw_str(b, o->reason ? call_reason_info(o->reason)->code : NULL);
	JSONW_LIT(b, ",\"sipCode\":");
	if (o->sip_code)
		buf_int(b, o->sip_code);
	else
		JSONW_LIT(b, "null");
	JSONW_LIT(b, ",\"sipPhrase\":");
	jsonw_str(b, or_null(o->sip_phrase));
	JSONW_LIT(b, ",\"providerCode\":");
	jsonw_str(b, or_null(o->provider_code));
	JSONW_LIT(b, ",\"providerRef\":");
	jsonw_str(b, or_null(a->provider_ref));
	JSONW_LIT(b, ",\"uncertain\":");
	jsonw_bool(b, a->uncertain);
	JSONW_LIT(b, ",\"undialed\":");
	jsonw_bool(b, o->undialed);
	buf_char(b, '}');
}

/* The attempt that goes on, or the last: the record itself is its evidence. */
static struct call_attempt present_attempt(const struct call_record *r)
{
	struct call_attempt a = {
		.number = r->attempts,
		.initiated_ms = r->initiated_ms, .ringing_ms = r->ringing_ms, .answered_ms = r->answered_ms,
		.ended_ms = r->ended_ms, .outcome = r->outcome,
		.uncertain = r->ended_ms ? r->outcome.reason == REASON_OUTCOME_UNKNOWN : r->phase == 2,
	};

	str_copy(a.provider_ref, sizeof a.provider_ref, r->provider_ref ? r->provider_ref : "");
	return a;
}

static void write_attempts(struct buf *b, const struct call_record *r)
{
	JSONW_LIT(b, ",\"attemptLog\":[");
	for (size_t i = 0; i < r->n_earlier; i++) {
		if (i > 0)
			buf_char(b, ',');
		write_attempt(b, &r->earlier[i]);
	}
	if (r->initiated_ms) {
		struct call_attempt a = present_attempt(r);

		if (r->n_earlier > 0)
			buf_char(b, ',');
		write_attempt(b, &a);
	}
	buf_char(b, ']');
}

static void write_trunk(struct buf *b, const struct call_record *r)
{
	JSONW_LIT(b, ",\"trunk\":");
	if (!r->trunk) {
		JSONW_LIT(b, "null");
		return;
	}
	JSONW_LIT(b, "{\"name\":");
	jsonw_str(b, r->trunk);
	JSONW_LIT(b, ",\"driver\":");
	jsonw_str(b, r->driver);
	buf_char(b, '}');
}

static void write_money(struct buf *b, const struct call_record *r)
{
	JSONW_LIT(b, ",\"money\":{\"heldMilliCents\":");
	buf_int(b, r->held_mc);
	JSONW_LIT(b, ",\"chargedMilliCents\":");
	buf_int(b, r->charged_mc);
	JSONW_LIT(b, ",\"billableSeconds\":");
	buf_int(b, r->billed_s);
	JSONW_LIT(b, "},\"rate\":{\"prefix\":");
	jsonw_str(b, or_null(r->rate_prefix));
	JSONW_LIT(b, ",\"milliCentsPerMinute\":");
	buf_int(b, r->rate_mc);
	JSONW_LIT(b, ",\"incrementSeconds\":");
	buf_int(b, r->increment_s);
	JSONW_LIT(b, ",\"minimumSeconds\":");
	buf_int(b, r->minimum_s);
	buf_char(b, '}');
}

void wire_call_record_write(struct buf *b, const struct call_record *r)
{
	write_head(b, r);
	write_settings(b, r);
	write_plan(b, r);
	write_timeline(b, r);
	write_durations(b, r);
	write_outcome(b, &r->outcome);
	write_money(b, r);
	write_trunk(b, r);
	write_attempts(b, r);
	JSONW_LIT(b, ",\"providerRef\":");
	jsonw_str(b, r->provider_ref);
	buf_char(b, '}');
}

/* A number that is never negative, and what stands behind it. By hand: every GET has one of
 * these tags, and printf takes longer than half of the record. */
static char *put_number(char *p, int64_t v, char end)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (n > 0)
		*p++ = digits[--n];
	*p++ = end;
	return p;
}

/* Everything that changes the record changes one of these numbers, but for the words of the
 * provider that come with a change of state. */
void wire_call_etag(const struct call_record *r, char out[CALL_ETAG_SIZE])
{
	char *p = out;

	*p++ = '"';
	p = put_number(p, r->edits, '-');
	p = put_number(p, r->state, '-');
	p = put_number(p, r->attempts, '-');
	p = put_number(p, r->waiting, '-');
	p = put_number(p, r->cancel_ms ? 1 : 0, '-');
	p = put_number(p, r->phase, '-');
	p = put_number(p, r->waiting == WAIT_RETRY ? r->wait_until_ms % 1000000000 : 0, '"');
	*p = '\0';
}
