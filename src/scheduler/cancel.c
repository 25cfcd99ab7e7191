/* The ends that clients ask for. The row has it before anybody is told: the API marks it and
 * wakes us, other gateways are notified, and all of them look once a second. */
#include "loop.h"

#include <stdlib.h>

#include "callgate/clock.h"
#include "callgate/log.h"

#define CANCELS_MS  1000
#define CANCELS_MAX 100000      /* more than one process follows */

void flight_cancel(struct scheduler *s, struct flight *f, int64_t now)
{
	f->canceled = true;
	if (f->ended)
		return;
	switch (f->stage) {
	case STAGE_PREPARING:
	case STAGE_READY:
		if (f->driver && f->driver->provider->ops->prepare)
			hang_up(f, now);
		flight_end_reason(s, f, REASON_CANCELED, true);
		return;
	case STAGE_INTENDED:
		flight_end_reason(s, f, REASON_CANCELED, true);
		return;
	case STAGE_FOLLOWED:
		break;
	}
	/* The end comes as an event. Should it not, it is asked for again. A provider that was away
	 * or does not know of the call is asked about the call first; so it is for what is uncertain. */
	f->unheard = !hang_up(f, now);
	f->ask_at = f->unheard ? now : now + HANG_UP_AGAIN_MS;
	flight_set_timer(&s->flights, f);
}

bool flight_may_dial(struct scheduler *s, struct flight *f, int64_t now)
{
	if (now < f->expires_at || f->intent_lost)
		return true;
	if (f->stage == STAGE_READY && f->provider_ref)         /* its room is there already */
		hang_up(f, now);
	flight_end_reason(s, f, REASON_QUEUE_EXPIRED, true);
	return false;
}

static size_t preparing(struct scheduler *s, struct flight **out)
{
	size_t n = 0;

	for (size_t i = 0; i < s->flights.map.size; i++) {
		for (struct idnode *node = s->flights.map.heads[i]; node && n < DISPATCH_BATCH_MAX; node = node->next) {
			struct flight *f = (struct flight *)(void *)node;

			if (f->stage == STAGE_PREPARING && !f->ended)
				out[n++] = f;
		}
	}
	return n;
}

/* What is claimed and canceled has no row any more. That would show when its room is ready; but
 * for a room that waits long for its agent, that is late. */
static void let_go(struct scheduler *s, int64_t now)
{
	struct flight *f[DISPATCH_BATCH_MAX];
	struct call_ref calls[DISPATCH_BATCH_MAX];
	bool gone[DISPATCH_BATCH_MAX];
	size_t n = preparing(s, f);
	struct errinfo e;

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		calls[i] = flight_ref(f[i]);
	if (!db_went(s, store_claims_gone(s->store, s->lease.gateway_id, calls, n, gone, &e), "claims", &e))
		return;
	for (size_t i = 0; i < n; i++) {
		if (!gone[i])
			continue;
		LOG_INFO("call.let_go", LOG_ID("call", &f[i]->node.id), LOG_INT("attempt", f[i]->attempt));
		hang_up(f[i], now);
		flight_free(&s->flights, f[i]);
		s->replan |= s->plan.capped;
	}
}

void take_cancels(struct scheduler *s, int64_t now)
{
	struct call_ref *calls = NULL;
	struct errinfo e;
	size_t n = 0;

	s->due.cancels = now + jitter(s, CANCELS_MS);
	if (!db_went(s, store_cancels_find(s->store, s->lease.gateway_id, CANCELS_MAX, &calls, &n, &e), "cancels", &e))
		return;
	for (size_t i = 0; i < n; i++) {
		struct flight *f = flight_find(&s->flights, &calls[i].call_id);

		if (!f || f->attempt != calls[i].attempt || f->canceled)
			continue;
		LOG_INFO("call.cancel_requested", LOG_ID("call", &f->node.id), LOG_INT("attempt", f->attempt),
		         LOG_STR("state", call_state_name(f->state)));
		flight_cancel(s, f, now);
	}
	free(calls);
	let_go(s, now);
}

void scheduler_canceled(struct scheduler *s)
{
	if (!atomic_exchange(&s->canceled, true))
		scheduler_wake(s);
}
