/* Inside `provider`: what callgate's things are called at LiveKit.
 *
 *     cg2n9-0192f0c1d2e37abc8def0123456789ab-1                the leg's identity, the attempt's mark
 *     cg2n9-0192f0c1d2e37abc8def0123456789ab-1-Zk3v9Qx0aB4    its room
 *
 * The organization (base 36), the call's id and the attempt: a message from LiveKit names the
 * room, and from that alone follows which call it is about. The noise at the end is nobody's
 * to guess: who knows a call's id, as its client does, cannot join its room, and who may sign
 * for another LiveKit project cannot speak of it. */
#ifndef PROVIDER_LIVEKIT_NAME_H
#define PROVIDER_LIVEKIT_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "callgate/id.h"

#define LIVEKIT_NAME_SIZE 64    /* as a provider_event's ref */

struct livekit_name {
	int64_t   org_id;
	struct id call_id;
	int       attempt;              /* 1 … 99 */
};

/* False when it does not fit. */
bool livekit_name_identity(const struct livekit_name *n, char out[LIVEKIT_NAME_SIZE]);
/* Another one each time. */
bool livekit_name_room(const struct livekit_name *n, char out[LIVEKIT_NAME_SIZE]);

/* Of a room; exactly what livekit_name_room() writes, and nothing else. */
bool livekit_name_parse(const char *room, struct livekit_name *out);
/* Is that the phone's leg in that room of ours? */
bool livekit_name_within(const char *room, const char *identity);

#endif
