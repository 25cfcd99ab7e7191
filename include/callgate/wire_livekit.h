/* LiveKit's JSON: what is asked of its server API and what comes back. Requests are written
 * in snake_case. Answers come in snake_case with every field, webhooks in camelCase without
 * the empty ones, 64-bit numbers as text: the readers take both spellings, both kinds of
 * numbers and enums, and do with whatever is missing. */
#ifndef CALLGATE_WIRE_LIVEKIT_H
#define CALLGATE_WIRE_LIVEKIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/buf.h"
#include "callgate/err.h"

/* ── requests ───────────────────────────────────────────────────────────────────── */

struct wire_livekit_room {
	const char *name;
	int         empty_timeout_s, departure_timeout_s;
	const char *metadata;           /* NULL: "{}" */
	const char *agent;              /* NULL or "": none is dispatched */
};
void wire_livekit_create_room(struct buf *b, const struct wire_livekit_room *r);

void wire_livekit_name_room(struct buf *b, const char *room);           /* DeleteRoom, ListParticipants */
void wire_livekit_name_leg(struct buf *b, const char *room, const char *identity);      /* GetParticipant */
void wire_livekit_name_rooms(struct buf *b, const char *room);          /* ListRooms */

#define WIRE_LIVEKIT_HEADERS_MAX 8

/* A trunk's settings, trunks.config. Texts are owned. */
struct wire_livekit_trunk {
	char *url, *api_key, *api_secret_name;  /* another LiveKit project; all or none */
	char *hostname;                         /* an inline trunk; NULL: a stored one  */
	char *transport;                        /* "SIP_TRANSPORT_UDP"; NULL: LiveKit chooses */
	char *auth_username, *auth_password_name;
	char *from_host, *destination_country;
	char *display_name;                     /* NULL: the number; "": none */
	char *media_encryption;                 /* "SIP_MEDIA_ENCRYPT_REQUIRE"; NULL: not said */
	char *header_names[WIRE_LIVEKIT_HEADERS_MAX], *header_values[WIRE_LIVEKIT_HEADERS_MAX];
	int   n_headers;
	int   wait_for_agent_s;                 /* 0: the phone is dialed at once */
};

struct wire_livekit_leg {
	const struct wire_livekit_trunk *trunk;
	const char *trunk_id;           /* a stored trunk; NULL: the inline one */
	const char *auth_password;      /* of the inline one, or NULL */
	const char *to, *from;
	const char *room, *identity, *attempt;
	int         ringing_timeout_s, max_duration_s;
};
void wire_livekit_create_leg(struct buf *b, const struct wire_livekit_leg *l);

/* {"url", "apiKey", "apiSecretEnv", "waitForAgentSeconds", …}, see docs/livekit.md. ERR_INVALID with
 * words that name the member. `out` is to be done in both cases. */
enum err wire_livekit_trunk_read(const char *json, struct wire_livekit_trunk *out, struct errinfo *e) MUST_USE;
void     wire_livekit_trunk_done(struct wire_livekit_trunk *t);

/* ── answers ────────────────────────────────────────────────────────────────────── */

struct wire_livekit_error {
	bool json;              /* it was LiveKit's own error; otherwise somebody else's, or plain text */
	bool broken;            /* it began as JSON and does not end so: what it said is not known */
	char code[32];          /* "resource_exhausted" */
	char msg[200];
	int  sip_code;          /* 0: none */
	char sip_status[128];
};
void wire_livekit_error_read(const char *body, size_t len, struct wire_livekit_error *out);

enum wire_livekit_status {
	LIVEKIT_STATUS_NONE,            /* absent or new to us */
	LIVEKIT_STATUS_DIALING,
	LIVEKIT_STATUS_RINGING,
	LIVEKIT_STATUS_ACTIVE,          /* "automation" too: it was answered */
	LIVEKIT_STATUS_HANGUP,
};

/* livekit.DisconnectReason, by its numbers. */
enum wire_livekit_reason {
	LIVEKIT_REASON_UNKNOWN = 0, LIVEKIT_CLIENT_INITIATED, LIVEKIT_DUPLICATE_IDENTITY, LIVEKIT_SERVER_SHUTDOWN,
	LIVEKIT_PARTICIPANT_REMOVED, LIVEKIT_ROOM_DELETED, LIVEKIT_STATE_MISMATCH, LIVEKIT_JOIN_FAILURE,
	LIVEKIT_MIGRATION, LIVEKIT_SIGNAL_CLOSE, LIVEKIT_ROOM_CLOSED, LIVEKIT_USER_UNAVAILABLE,
	LIVEKIT_USER_REJECTED, LIVEKIT_SIP_TRUNK_FAILURE, LIVEKIT_CONNECTION_TIMEOUT, LIVEKIT_MEDIA_FAILURE,
	LIVEKIT_AGENT_ERROR, LIVEKIT_REASON_COUNT
};

struct wire_livekit_participant {
	char                     identity[128];
	bool                     agent;                 /* kind AGENT */
	bool                     active, disconnected;  /* its state */
	enum wire_livekit_status status;
	enum wire_livekit_reason reason;
	char                     sip_call_id[64];
};

/* False: not what it should be (a proxy's page, say). */
bool wire_livekit_room_made(const char *body, size_t len, const char *name) MUST_USE;   /* of CreateRoom */
bool wire_livekit_leg_read(const char *body, size_t len, char *sip_call_id, size_t size) MUST_USE;
bool wire_livekit_participant_read(const char *body, size_t len, struct wire_livekit_participant *out) MUST_USE;
bool wire_livekit_agent_active(const char *body, size_t len, bool *active) MUST_USE;    /* of ListParticipants */
/* Of ListRooms: how many rooms, and how many are in them, agents not counted. */
bool wire_livekit_rooms_read(const char *body, size_t len, size_t *rooms, int64_t *participants) MUST_USE;

/* A webhook's body. */
struct wire_livekit_event {
	char                            name[48];       /* "participant_left" */
	char                            id[64];
	char                            room[256];
	int64_t                         created_s;
	struct wire_livekit_participant participant;    /* all empty when there is none */
};
bool wire_livekit_event_read(const char *body, size_t len, struct wire_livekit_event *out) MUST_USE;

/* The two parts of a token (RFC 7519) that say something, decoded. Nobody has looked at its
 * signature yet. */
struct wire_livekit_claims {
	char    iss[128];
	char    sha256[64];
	bool    expires;
	int64_t exp, nbf;       /* seconds since 1970; nbf 0: none */
};
bool wire_livekit_token_alg(const char *json, size_t len, char *alg, size_t size) MUST_USE;
bool wire_livekit_claims_read(const char *json, size_t len, struct wire_livekit_claims *out) MUST_USE;

#endif
