/* Inside `provider`: the tokens LiveKit wants, one for each request, with no more rights
 * than that request needs; and the ones it sends with its webhooks. */
#ifndef PROVIDER_LIVEKIT_TOKEN_H
#define PROVIDER_LIVEKIT_TOKEN_H

#include <stdint.h>

#include "callgate/buf.h"
#include "callgate/wire_livekit.h"

enum livekit_grant {
	LIVEKIT_GRANT_ROOM_CREATE = 1,  /* CreateRoom, DeleteRoom         */
	LIVEKIT_GRANT_ROOM_LIST   = 2,  /* ListRooms                      */
	LIVEKIT_GRANT_ROOM_ADMIN  = 4,  /* participants of `room`, only   */
	LIVEKIT_GRANT_SIP_CALL    = 8,  /* CreateSIPParticipant           */
	LIVEKIT_GRANT_SIP_ADMIN   = 16, /* looking at trunks              */
};

/* Adds the token's text to `out`. It is valid for at least `timeout_s` after now. */
void livekit_token(struct buf *out, const char *key, const char *secret, unsigned grants, const char *room,
                   int64_t now_s, int timeout_s);

/* A webhook's, in this order: read it (false: no token, or not signed by HS256), find the secret
 * of claims.iss, see whether it is signed with that, and whether it is about that body and now. */
bool livekit_token_read(const char *token, struct wire_livekit_claims *out) MUST_USE;
bool livekit_token_signed(const char *token, const char *secret) MUST_USE;
bool livekit_token_fits(const struct wire_livekit_claims *c, const char *body, size_t len, int64_t now_s) MUST_USE;

#endif
