/* Lanes in which something was queued, as intake tells: a small set, so that a thousand
 * calls of one lane are one word. When it is full the whole queue is looked through. */
#ifndef SCHEDULER_NUDGE_H
#define SCHEDULER_NUDGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "callgate/store_calls.h"

#define NUDGES_MAX 1024         /* a power of two */

struct nudges {
	pthread_mutex_t mutex;
	size_t          n;
	bool            overflow;
	struct lane_key lanes[NUDGES_MAX];
	short           slots[2 * NUDGES_MAX];  /* index + 1 into lanes */
};

void   nudges_init(struct nudges *s);
void   nudges_done(struct nudges *s);
/* True when it was empty before: somebody may have to be woken. */
bool   nudges_add(struct nudges *s, const struct lane_key *lane);
/* Takes all; out holds NUDGES_MAX. */
size_t nudges_take(struct nudges *s, struct lane_key *out, bool *overflow);

#endif
