/* Inside `provider`: the tokens LiveKit wants, one for each request, with no more rights
 * than that request needs. */
#ifndef PROVIDER_LIVEKIT_TOKEN_H
#define PROVIDER_LIVEKIT_TOKEN_H

#include <stdint.h>

#include "callgate/buf.h"

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

#endif
