/* The lease's timing. */
#include "lease.h"

void lease_init(struct lease *l, int ttl_ms)
{
	*l = (struct lease){ .ttl_ms = ttl_ms };
}

/* Dialing stops a fifth of the term early: a request that leaves in the last moment still
 * has to be written before somebody else may take over. */
void lease_granted(struct lease *l, int64_t gateway_id, int64_t asked_at_ms)
{
	l->gateway_id = gateway_id;
	l->valid_until = asked_at_ms + l->ttl_ms - l->ttl_ms / 5;
	l->renew_at = asked_at_ms + l->ttl_ms / 3;
}

void lease_failed(struct lease *l, int64_t now_ms)
{
	int wait_ms = l->ttl_ms / 20;

	l->renew_at = now_ms + (wait_ms < 20 ? 20 : wait_ms > 1000 ? 1000 : wait_ms);
}

void lease_lost(struct lease *l, int64_t now_ms)
{
	l->gateway_id = 0;
	l->valid_until = 0;
	l->renew_at = now_ms;
}

bool lease_valid(const struct lease *l, int64_t now_ms)
{
	return l->gateway_id != 0 && now_ms < l->valid_until;
}
