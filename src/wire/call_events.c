/* What happened, as clients read it. Stored events are small and hold a reason by number;
 * here it gets the name that the record has for it. */
#include "callgate/wire_lists.h"

#include <jansson.h>
#include <stdlib.h>

#include "callgate/jsonw.h"
#include "callgate/mem.h"

static const char *const types[] = {
	[CALL_QUEUED]      = "call.queued",
	[CALL_INITIATED]   = "call.initiated",
	[CALL_RINGING]     = "call.ringing",
	[CALL_IN_PROGRESS] = "call.answered",
	[CALL_COMPLETED]   = "call.completed",
	[CALL_NO_ANSWER]   = "call.no_answer",
	[CALL_BUSY]        = "call.busy",
	[CALL_CANCELED]    = "call.canceled",
	[CALL_FAILED]      = "call.failed",
	[32]               = "call.retrying",
	[33]               = "call.uncertain",
	[34]               = "call.cancel_requested",
	[35]               = "call.edited",
};

const char *wire_event_type(int kind)
{
	return kind >= 0 && (size_t)kind < ARRAY_LEN(types) ? types[kind] : NULL;
}

static void name_reason(json_t *data)
{
	const json_t *v = json_object_get(data, "reason");
	json_int_t n = json_integer_value(v);

	if (json_is_integer(v))
		json_object_set_new(data, "reason", n > REASON_NONE && n < REASON_COUNT ?
		                    json_string(call_reason_info((enum call_reason)n)->code) : json_null());
}

/* Our own statements wrote it; if it is no object all the same, it says nothing. */
static void write_data(struct buf *b, const char *text)
{
	json_t *data = text ? json_loads(text, 0, NULL) : NULL;
	char *out;

	if (!json_is_object(data)) {
		json_decref(data);
		JSONW_LIT(b, "{}");
		return;
	}
	name_reason(data);
	out = json_dumps(data, JSON_COMPACT);
	buf_str(b, out ? out : "{}");
	free(out);
	json_decref(data);
}

static void write_event(struct buf *b, const struct call_event *v, bool in_feed)
{
	char id[ID_TEXT_SIZE];

	id_format(&v->call_id, id);
	JSONW_LIT(b, "{\"callId\":\"");
	buf_add(b, id, ID_TEXT_SIZE - 1);
	buf_char(b, '"');
	if (in_feed) {
		JSONW_LIT(b, ",\"projectId\":");
		jsonw_str(b, v->project);
	}
	JSONW_LIT(b, ",\"seq\":");
	buf_int(b, v->seq);
	JSONW_LIT(b, ",\"type\":");
	jsonw_str(b, wire_event_type(v->kind));
	JSONW_LIT(b, ",\"at\":");
	jsonw_time(b, v->at_us / 1000);
	JSONW_LIT(b, ",\"attempt\":");
	buf_int(b, v->seq / 16);
	JSONW_LIT(b, ",\"data\":");
	write_data(b, v->data);
	buf_char(b, '}');
}

void wire_events_write(struct buf *b, const struct call_event *events, size_t n, bool more, const char *position)
{
	JSONW_LIT(b, "{\"data\":[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_char(b, ',');
		write_event(b, &events[i], position != NULL);
	}
	JSONW_LIT(b, "],\"hasMore\":");
	jsonw_bool(b, more);
	if (position) {
		JSONW_LIT(b, ",\"position\":");
		jsonw_str(b, position);
	}
	buf_char(b, '}');
}
