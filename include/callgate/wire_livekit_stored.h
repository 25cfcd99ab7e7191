/* The trunks that LiveKit has stored: asked about, never changed. */
#ifndef CALLGATE_WIRE_LIVEKIT_STORED_H
#define CALLGATE_WIRE_LIVEKIT_STORED_H

#include <stdbool.h>
#include <stddef.h>

#include "callgate/buf.h"
#include "callgate/err.h"

/* Nothing of the server API says which version LiveKit is. But every answer has all the fields
 * that its version knows, and those of a stored trunk became more. */
enum wire_livekit_age { LIVEKIT_AGE_UNKNOWN, LIVEKIT_BEFORE_1_10, LIVEKIT_BEFORE_1_13_2, LIVEKIT_SINCE_1_13_2 };

struct wire_livekit_stored {
	bool                  found;
	enum wire_livekit_age age;
	char                  address[128];
	int                   n_unlisted;       /* numbers that the trunk does not name */
	char                  unlisted[17];     /* the first of them                    */
};
/* Of ListSIPOutboundTrunk: the trunk with that id, or any if it is NULL. `numbers`: those that
 * are to call over it, spaces between. */
bool wire_livekit_stored_read(const char *body, size_t len, const char *trunk_id, const char *numbers,
                              struct wire_livekit_stored *out) MUST_USE;
/* The request for it. NULL: one trunk, whichever. */
void wire_livekit_list_trunks(struct buf *b, const char *trunk_id);

#endif
