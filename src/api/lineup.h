/* Who waits at a desk, organization by organization: the next one served is the first of the
 * organization whose turn it is, and none has more than its part of the clerks or of the room.
 * However much one organization asks for, another waits for one of its requests at most, not
 * for all of them. */
#ifndef API_LINEUP_H
#define API_LINEUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* Stands in what waits; the lineup owns nothing. */
struct waiter {
	TAILQ_ENTRY(waiter) link;
	int64_t             org;
};

struct lineup;

/* At most `room` wait in all, `each` of one organization, of which `at_once` are served. */
struct lineup *lineup_new(size_t room, size_t each, int at_once);
void lineup_free(struct lineup *l);             /* NULL, or empty */
bool lineup_push(struct lineup *l, struct waiter *w, int64_t org);      /* false: full or closed */
/* Waits for the next; NULL: closed and empty. */
struct waiter *lineup_take(struct lineup *l);
void lineup_served(struct lineup *l, int64_t org);      /* one that was taken             */
void lineup_close(struct lineup *l);                    /* what waits is still handed out */

#endif
