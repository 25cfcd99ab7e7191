/* What is asked of LiveKit, and what it answers. The contract says how tolerant the
 * readers are; the writers send nothing they do not have to. */
#include "callgate/wire_livekit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/jsonw.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "raw.h"

/* ── writing ────────────────────────────────────────────────────────────────────── */

static void put_name(struct buf *b, const char *name)
{
	if (b->len && b->data[b->len - 1] != '{')
		buf_char(b, ',');
	jsonw_str(b, name);
	buf_char(b, ':');
}

/* NULL: the member is left out. */
static void put_text(struct buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	put_name(b, name);
	jsonw_str(b, value);
}

static void put_int(struct buf *b, const char *name, int value)
{
	put_name(b, name);
	buf_int(b, value);
}

/* google.protobuf.Duration: text, in seconds. */
static void put_duration(struct buf *b, const char *name, int seconds)
{
	put_name(b, name);
	buf_printf(b, "\"%ds\"", seconds);
}

/* Agents are not counted among the participants: one is the phone, and a second phone leg
 * is refused by LiveKit itself, should anybody ever send one. */
void wire_livekit_create_room(struct buf *b, const struct wire_livekit_room *r)
{
	buf_char(b, '{');
	put_text(b, "name", r->name);
	put_int(b, "empty_timeout", r->empty_timeout_s);
	put_int(b, "departure_timeout", r->departure_timeout_s);
	put_int(b, "max_participants", 1);
	put_text(b, "metadata", r->metadata ? r->metadata : "{}");
	if (r->agent && *r->agent) {
		put_name(b, "agents");
		JSONW_LIT(b, "[{");
		put_text(b, "agent_name", r->agent);
		put_text(b, "metadata", r->metadata ? r->metadata : "{}");
		JSONW_LIT(b, "}]");
	}
	buf_char(b, '}');
}

void wire_livekit_name_room(struct buf *b, const char *room)
{
	buf_char(b, '{');
	put_text(b, "room", room);
	buf_char(b, '}');
}

void wire_livekit_name_leg(struct buf *b, const char *room, const char *identity)
{
	buf_char(b, '{');
	put_text(b, "room", room);
	put_text(b, "identity", identity);
	buf_char(b, '}');
}

void wire_livekit_name_rooms(struct buf *b, const char *room)
{
	JSONW_LIT(b, "{\"names\":[");
	jsonw_str(b, room);
	JSONW_LIT(b, "]}");
}

static void put_inline_trunk(struct buf *b, const struct wire_livekit_leg *l)
{
	put_name(b, "trunk");
	buf_char(b, '{');
	put_text(b, "hostname", l->trunk->hostname);
	put_text(b, "transport", l->trunk->transport);
	put_text(b, "auth_username", l->trunk->auth_username);
	put_text(b, "auth_password", l->auth_password);
	put_text(b, "destination_country", l->trunk->destination_country);
	put_text(b, "from_host", l->trunk->from_host);
	buf_char(b, '}');
}

void wire_livekit_create_leg(struct buf *b, const struct wire_livekit_leg *l)
{
	const struct wire_livekit_trunk *t = l->trunk;

	buf_char(b, '{');
	put_text(b, "sip_trunk_id", l->trunk_id);
	if (!l->trunk_id)
		put_inline_trunk(b, l);
	put_text(b, "sip_call_to", l->to);
	put_text(b, "sip_number", l->from);
	put_text(b, "room_name", l->room);
	put_text(b, "participant_identity", l->identity);
	put_name(b, "participant_attributes");
	buf_char(b, '{');
	put_text(b, "gw.attempt", l->attempt);
	buf_char(b, '}');
	put_name(b, "headers");
	buf_char(b, '{');
	put_text(b, "X-Gw-Attempt", l->attempt);
	for (int i = 0; i < t->n_headers; i++)
		put_text(b, t->header_names[i], t->header_values[i]);
	buf_char(b, '}');
	put_text(b, "include_headers", "SIP_X_HEADERS");
	put_duration(b, "ringing_timeout", l->ringing_timeout_s);
	put_duration(b, "max_call_duration", l->max_duration_s);
	put_name(b, "wait_until_answered");
	jsonw_bool(b, true);
	put_text(b, "display_name", t->display_name);
	put_text(b, "media_encryption", t->media_encryption);
	buf_char(b, '}');
}

/* ── reading: the tree ──────────────────────────────────────────────────────────── */

static void decref(json_t **v)
{
	json_decref(*v);
}

static json_t *load_object(const char *body, size_t len)
{
	struct raw_position at;
	json_t *root;

	if (len == 0 || raw_too_deep(body, len, 32, &at))
		return NULL;
	root = json_loadb(body, len, JSON_ALLOW_NUL, NULL);
	if (root && !json_is_object(root)) {
		json_decref(root);
		return NULL;
	}
	return root;
}

/* By either spelling; NULL and JSON's null are the same. */
static json_t *member(const json_t *o, const char *snake, const char *camel)
{
	json_t *v = json_object_get(o, snake);

	if (!v && camel)
		v = json_object_get(o, camel);
	return json_is_null(v) ? NULL : v;
}

static const char *text_of(const json_t *v)
{
	return json_is_string(v) ? json_string_value(v) : "";
}

static int64_t number_of(const json_t *v)
{
	int64_t n = 0;

	if (json_is_integer(v))
		return json_integer_value(v);
	if (json_is_string(v) && parse_int(json_string_value(v), INT64_MIN, INT64_MAX, &n))
		return n;
	return 0;
}

/* An enum comes as its name or its number. */
static bool enum_is(const json_t *v, const char *name, int number)
{
	return json_is_string(v) ? str_eq(json_string_value(v), name) : json_is_integer(v) && json_integer_value(v) == number;
}

/* ── reading: answers ───────────────────────────────────────────────────────────── */

void wire_livekit_error_read(const char *body, size_t len, struct wire_livekit_error *out)
{
	CLEANUP(decref) json_t *root = load_object(body, len);
	json_t *meta = member(root, "meta", NULL);
	int64_t sip = number_of(member(meta, "sip_status_code", "sipStatusCode"));

	*out = (struct wire_livekit_error){ 0 };
	if (!root) {
		out->broken = len > 0 && body[strspn(body, " \t\r\n")] == '{';
		str_copy(out->msg, sizeof out->msg, utf8_ok(body, len) ? body : "");
		return;
	}
	out->json = json_is_string(member(root, "code", NULL));
	str_copy(out->code, sizeof out->code, text_of(member(root, "code", NULL)));
	str_copy(out->msg, sizeof out->msg, text_of(member(root, "msg", NULL)));
	out->sip_code = sip >= 100 && sip <= 699 ? (int)sip : 0;
	str_copy(out->sip_status, sizeof out->sip_status, text_of(member(meta, "sip_status", "sipStatus")));
}

static enum wire_livekit_status status_of(const json_t *attributes)
{
	static const struct { const char *name; enum wire_livekit_status status; } known[] = {
		{ "dialing", LIVEKIT_STATUS_DIALING }, { "ringing", LIVEKIT_STATUS_RINGING },
		{ "automation", LIVEKIT_STATUS_ACTIVE }, { "active", LIVEKIT_STATUS_ACTIVE },
		{ "hangup", LIVEKIT_STATUS_HANGUP },
	};
	const char *s = text_of(json_object_get(attributes, "sip.callStatus"));

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (str_eq(s, known[i].name))
			return known[i].status;
	return LIVEKIT_STATUS_NONE;
}

static enum wire_livekit_reason reason_of(const json_t *v)
{
	static const char *const names[LIVEKIT_REASON_COUNT] = {
		"UNKNOWN_REASON", "CLIENT_INITIATED", "DUPLICATE_IDENTITY", "SERVER_SHUTDOWN", "PARTICIPANT_REMOVED",
		"ROOM_DELETED", "STATE_MISMATCH", "JOIN_FAILURE", "MIGRATION", "SIGNAL_CLOSE", "ROOM_CLOSED",
		"USER_UNAVAILABLE", "USER_REJECTED", "SIP_TRUNK_FAILURE", "CONNECTION_TIMEOUT", "MEDIA_FAILURE",
		"AGENT_ERROR",
	};

	for (int i = 0; i < LIVEKIT_REASON_COUNT; i++)
		if (enum_is(v, names[i], i))
			return (enum wire_livekit_reason)i;
	return LIVEKIT_REASON_UNKNOWN;
}

static void read_participant(const json_t *p, struct wire_livekit_participant *out)
{
	json_t *state = member(p, "state", NULL), *attributes = member(p, "attributes", NULL);

	*out = (struct wire_livekit_participant){ 0 };
	str_copy(out->identity, sizeof out->identity, text_of(member(p, "identity", NULL)));
	out->agent = enum_is(member(p, "kind", NULL), "AGENT", 4);
	out->active = enum_is(state, "ACTIVE", 2);
	out->disconnected = enum_is(state, "DISCONNECTED", 3);
	out->status = status_of(attributes);
	out->reason = reason_of(member(p, "disconnect_reason", "disconnectReason"));
	str_copy(out->sip_call_id, sizeof out->sip_call_id, text_of(json_object_get(attributes, "sip.callID")));
}

bool wire_livekit_room_made(const char *body, size_t len, const char *name)
{
	CLEANUP(decref) json_t *root = load_object(body, len);

	return str_eq(text_of(member(root, "name", NULL)), name);
}

bool wire_livekit_leg_read(const char *body, size_t len, char *sip_call_id, size_t size)
{
	CLEANUP(decref) json_t *root = load_object(body, len);

	str_copy(sip_call_id, size, text_of(member(root, "sip_call_id", "sipCallId")));
	return root != NULL;
}

bool wire_livekit_participant_read(const char *body, size_t len, struct wire_livekit_participant *out)
{
	CLEANUP(decref) json_t *root = load_object(body, len);

	read_participant(root, out);
	return root && out->identity[0];
}

bool wire_livekit_agent_active(const char *body, size_t len, bool *active)
{
	CLEANUP(decref) json_t *root = load_object(body, len);
	struct wire_livekit_participant p;
	json_t *item;
	size_t i;

	*active = false;
	json_array_foreach(member(root, "participants", NULL), i, item) {
		read_participant(item, &p);
		*active |= p.agent && p.active;
	}
	return root != NULL;
}

bool wire_livekit_rooms_read(const char *body, size_t len, size_t *rooms, int64_t *participants)
{
	CLEANUP(decref) json_t *root = load_object(body, len);
	json_t *room;
	size_t i;

	*participants = 0;
	json_array_foreach(member(root, "rooms", NULL), i, room)
		*participants += number_of(member(room, "num_participants", "numParticipants"));
	*rooms = i;
	return root != NULL;
}

bool wire_livekit_event_read(const char *body, size_t len, struct wire_livekit_event *out)
{
	CLEANUP(decref) json_t *root = load_object(body, len);

	*out = (struct wire_livekit_event){ 0 };
	str_copy(out->name, sizeof out->name, text_of(member(root, "event", NULL)));
	str_copy(out->id, sizeof out->id, text_of(member(root, "id", NULL)));
	str_copy(out->room, sizeof out->room, text_of(member(member(root, "room", NULL), "name", NULL)));
	out->created_s = number_of(member(root, "created_at", "createdAt"));
	read_participant(member(root, "participant", NULL), &out->participant);
	return out->name[0] != '\0';
}

/* ── tokens ─────────────────────────────────────────────────────────────────────── */

bool wire_livekit_token_alg(const char *json, size_t len, char *alg, size_t size)
{
	CLEANUP(decref) json_t *root = load_object(json, len);

	return str_copy(alg, size, text_of(member(root, "alg", NULL))) && root;
}

/* RFC 7519 allows fractions. False: no time, or none that a clock will show. */
static bool read_time(const json_t *v, int64_t *out)
{
	double t = json_number_value(v);

	*out = t >= 0 && t < 1e15 ? (int64_t)t : 0;
	return json_is_number(v) && t >= 0 && t < 1e15;
}

/* A name that does not fit is nobody's. */
bool wire_livekit_claims_read(const char *json, size_t len, struct wire_livekit_claims *out)
{
	CLEANUP(decref) json_t *root = load_object(json, len);
	json_t *exp = member(root, "exp", NULL), *nbf = member(root, "nbf", NULL);

	*out = (struct wire_livekit_claims){ 0 };
	out->expires = read_time(exp, &out->exp);
	return root && (!nbf || read_time(nbf, &out->nbf)) &&
	       str_copy(out->iss, sizeof out->iss, text_of(member(root, "iss", NULL))) &&
	       str_copy(out->sha256, sizeof out->sha256, text_of(member(root, "sha256", NULL)));
}
