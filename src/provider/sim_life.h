/* What becomes of a simulated call: a pure function of its destination, the attempt and
 * its limits. Whoever knows when an attempt was dialed can therefore say where it stands,
 * as a real carrier's call goes on when the gateway that placed it is gone. */
#ifndef PROVIDER_SIM_LIFE_H
#define PROVIDER_SIM_LIFE_H

#include <stdint.h>

#include "callgate/provider.h"

#define LIFE_STEPS_MAX 10

struct life_step {
	int32_t                    at_ms;       /* simulated, since the dial        */
	enum provider_event_kind   kind;
	const struct call_outcome *outcome;     /* of ENDED; static                 */
};

struct life {
	int              n;
	struct life_step steps[LIFE_STEPS_MAX]; /* in the order in which they are told */
	/* Not 0: the dial's answer got lost. Nothing is told after UNCERTAIN until somebody
	 * asks, and before this time there is no answer. */
	int32_t          hidden_until_ms;
};

void life_of(const char *to, int attempt, int ring_timeout_s, int max_duration_s, struct life *out);

#define SIM_RETRY_MS 2000       /* simulated: ask again after */

#endif
