/* Inside `provider`: what LiveKit's words mean. Pure. The hard question is not what to tell
 * the client but whether a phone can have rung: only where that is certain not to be so may
 * the call be dialed again. */
#ifndef PROVIDER_LIVEKIT_OUTCOME_H
#define PROVIDER_LIVEKIT_OUTCOME_H

#include <stdbool.h>

#include "callgate/call.h"
#include "callgate/wire_livekit.h"

enum livekit_fate {
	LIVEKIT_FATE_NOT_DIALED,        /* certainly; the phone was never asked    */
	LIVEKIT_FATE_FINISHED,          /* dialed, and no leg is left              */
	LIVEKIT_FATE_UNKNOWN,           /* perhaps a phone rings: ask, never dial  */
};

/* Whom the circuit breakers should hold it against. */
enum livekit_blame { LIVEKIT_BLAME_NOBODY, LIVEKIT_BLAME_TRUNK, LIVEKIT_BLAME_SIP, LIVEKIT_BLAME_SERVER };

struct livekit_verdict {
	enum livekit_fate   fate;
	enum livekit_blame  blame;
	struct call_outcome outcome;    /* of no meaning where the fate is unknown */
	/* An INVITE went out and was refused in words that usually come before a phone is asked. They
	 * also come after it rang, when a carrier tries one way after the other: it counts as
	 * never_rang only if that is shown. */
	bool                may_be_shown;
};

/* What else is known when a dial fails. */
struct livekit_context {
	bool ringing;           /* it was seen ringing         */
	bool hung_up;           /* we asked for the end        */
	bool rang_out;          /* the ring timeout had passed */
	bool mute;              /* seen shortly before that, and it was not ringing; nor is there another sign
	                         * that somebody is at the other end of the trunk */
};

/* An answer to CreateSIPParticipant in wait mode that is not 200. */
void livekit_judge_dial(int status, const struct wire_livekit_error *e, const struct livekit_context *c,
                        struct livekit_verdict *out);

/* An answer to CreateRoom that is not 200: no phone was asked, whatever it says. */
void livekit_judge_room(int status, const struct wire_livekit_error *e, struct livekit_verdict *out);

/* How a leg that is gone has ended, from what was last seen of it or its participant_left.
 * `answered`: it had been answered before. */
struct call_outcome livekit_judge_left(enum wire_livekit_status last, enum wire_livekit_reason reason, bool answered,
                                       bool hung_up);

#endif
