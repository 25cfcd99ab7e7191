/* What `callgate doctor` can learn about LiveKit by asking: it creates nothing there and rings
 * nobody. One question at a time, each with an end. */
#ifndef CALLGATE_LIVEKIT_EXAMINE_H
#define CALLGATE_LIVEKIT_EXAMINE_H

#include <stddef.h>

#include "callgate/finding.h"
#include "callgate/livekit.h"

struct livekit_trunk {
	const char *org, *name;
	const char *ref;                /* ST_…, or NULL                            */
	const char *config;             /* JSON text                                */
	const char *numbers;            /* that may call over it, spaces between    */
};

/* Looks at the default project, if there is one, and at every trunk. */
void livekit_examine(const struct livekit_config *c, const struct livekit_trunk *trunks, size_t n,
                     const struct finding_listener *l);

#endif
