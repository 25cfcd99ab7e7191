/* The lease: until when this process may dial. Pure timing; the monotonic clock of this
 * machine is only used to stop early, the database's decides who owns what.
 *
 * A renewal counts from before it was sent: the database cannot have started the new term
 * earlier than that, whatever the network did with the answer. */
#ifndef SCHEDULER_LEASE_H
#define SCHEDULER_LEASE_H

#include <stdbool.h>
#include <stdint.h>

struct lease {
	int64_t gateway_id;     /* 0: none */
	int     ttl_ms;
	int64_t valid_until;    /* mono ms */
	int64_t renew_at;
};

void lease_init(struct lease *l, int ttl_ms);
void lease_granted(struct lease *l, int64_t gateway_id, int64_t asked_at_ms);  /* opened or renewed */
void lease_failed(struct lease *l, int64_t now_ms);     /* no answer: ask again soon */
void lease_lost(struct lease *l, int64_t now_ms);
bool lease_valid(const struct lease *l, int64_t now_ms);

#endif
