/* Where providers put their events, from threads of their own. Bounded: when the scheduler
 * cannot keep up (its database is away) a provider waits, and with it only its own calls.
 * The scheduler takes everything at once. */
#ifndef SCHEDULER_INBOX_H
#define SCHEDULER_INBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "callgate/provider.h"

#define INBOX_MAX 65536

struct inbox {
	pthread_mutex_t        mutex;
	pthread_cond_t         room;
	struct provider_event *in;
	size_t                 n, size;
	size_t                 max;
	bool                   closed;
};

void inbox_init(struct inbox *b, size_t max);
void inbox_done(struct inbox *b);
/* True when it was empty before: somebody may have to be woken. */
bool inbox_push(struct inbox *b, const struct provider_event *ev);
/* Takes all; the array is the caller's to free, NULL when there is none. */
struct provider_event *inbox_take(struct inbox *b, size_t *n);
/* From now on nobody waits; what comes is kept up to the bound, then dropped. */
void inbox_close(struct inbox *b);

#endif
