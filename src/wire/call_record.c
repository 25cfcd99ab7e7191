/* The answer of GET /v1/calls/{id}, in camelCase as the request is. A member that is not
 * known (yet) is null and never missing, so that a client can rely on the shape. */
#include "callgate/wire.h"

#include "callgate/jsonw.h"

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
	JSONW_LIT(b, ",\"agent\":");
	jsonw_str(b, r->agent);
	JSONW_LIT(b, ",\"attempts\":");
	buf_int(b, r->attempts);
	JSONW_LIT(b, ",\"ringTimeoutSeconds\":");
	buf_int(b, r->ring_timeout_s);
	JSONW_LIT(b, ",\"maxDurationSeconds\":");
	buf_int(b, r->max_duration_s);
}

static void write_timeline(struct buf *b, const struct call_record *r)
{
	JSONW_LIT(b, ",\"timeline\":{\"createdAt\":");
	jsonw_time(b, r->created_ms);
	JSONW_LIT(b, ",\"initiatedAt\":");
	jsonw_time(b, r->initiated_ms);
	JSONW_LIT(b, ",\"ringingAt\":");
	jsonw_time(b, r->ringing_ms);
	JSONW_LIT(b, ",\"answeredAt\":");
	jsonw_time(b, r->answered_ms);
	JSONW_LIT(b, ",\"endedAt\":");
	jsonw_time(b, r->ended_ms);
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

static void write_money(struct buf *b, const struct call_record *r)
{
	JSONW_LIT(b, ",\"money\":{\"heldMilliCents\":");
	buf_int(b, r->held_mc);
	JSONW_LIT(b, ",\"chargedMilliCents\":");
	buf_int(b, r->charged_mc);
	JSONW_LIT(b, ",\"billableSeconds\":");
	buf_int(b, r->billed_s);
	buf_char(b, '}');
}

void wire_call_record_write(struct buf *b, const struct call_record *r)
{
	write_head(b, r);
	write_settings(b, r);
	write_timeline(b, r);
	write_durations(b, r);
	write_outcome(b, &r->outcome);
	write_money(b, r);
	JSONW_LIT(b, ",\"providerRef\":");
	jsonw_str(b, r->provider_ref);
	buf_char(b, '}');
}
