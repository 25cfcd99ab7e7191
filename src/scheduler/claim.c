/* From the queue to the provider: plan, claim, prepare, intent, dial. A batch each, never
 * a statement per call. The intent is committed before the driver is asked, and the lease
 * is looked at again before every dial: the database cannot call back a request that is
 * already leaving. */
#include "loop.h"

#include <stdlib.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"

#define LATE_COMMIT_MS 5000     /* a call may become visible so long after its id was made */

const struct driver *driver_find(struct scheduler *s, const char *name)
{
	for (int i = 0; i < s->n_drivers; i++)
		if (str_eq(s->drivers[i].name, name))
			return &s->drivers[i];
	return NULL;
}

/* ── claim ──────────────────────────────────────────────────────────────────────── */

static void prepare(struct scheduler *s, struct flight *f, int64_t now)
{
	const struct provider_ops *ops = f->driver->provider->ops;
	struct dial_request rq = flight_request(f, now);
	struct errinfo e = { "" };
	enum err err;

	f->stage = STAGE_PREPARING;
	/* Preparing goes at the trunk's pace too, or rooms would pile up before slow trunks. */
	flight_spend(f, mono_us());
	err = ops->prepare(f->driver->provider, &rq, &e);
	if (!err)
		return;
	LOG_WARN("call.prepare_failed", LOG_ID("call", &f->node.id), LOG_INT("attempt", f->attempt),
	         LOG_STR("error", e.text));
	if (err == ERR_UNAVAILABLE) {
		trunk_rests(f->trunk, mono_us());
		flight_end_undialed(s, f);
	} else {
		flight_end_reason(s, f, err == ERR_LIMIT || err == ERR_INTERNAL ? REASON_PROVIDER_ERROR : REASON_CONFIGURATION,
		                  true);
	}
}

static void enter(struct scheduler *s, struct inflight *in, int64_t now)
{
	bool planned = fair_got(&s->tenants, &s->plan, &in->lane, now * 1000);
	struct flight *f;

	f = flight_find(&s->flights, &in->call_id);
	if (f && !flight_overtaken(s, f, in)) {
		LOG_ERROR("call.claimed_twice", LOG_ID("call", &in->call_id), LOG_INT("attempt", in->attempt));
		return;
	}
	f = flight_new(&s->flights, &s->tenants, in, now);
	f->paced = planned;
	if (f->attempt == 1)            /* others have waited for something else, too */
		fair_waited(&s->tenants, &in->lane, f->due_at * 1000, now * 1000);
	f->driver = driver_find(s, in->driver);
	f->stage = STAGE_READY;
	if (!flight_may_dial(s, f, now))
		return;
	trunk_tries(f->trunk, mono_us());
	if (!f->driver) {
		LOG_WARN("call.no_driver", LOG_ID("call", &f->node.id), LOG_STR("driver", in->driver));
		flight_end_reason(s, f, REASON_CONFIGURATION, true);
	} else if (f->driver->provider->ops->prepare) {
		prepare(s, f, now);
	} else {
		flight_work(&s->flights.ready, f);
	}
}

/* Ids below what was claimed need not be looked at again, which spares the claim the dead
 * rows at the head of the index; but only where nothing can become visible any more. */
static void raise_low(struct scheduler *s, const struct inflight *in, const struct id *settled)
{
	struct lane *lane = tenants_lane(&s->tenants, &in->lane, mono_us());

	if (id_cmp(&in->call_id, settled) < 0 && id_cmp(&in->call_id, &lane->low) > 0)
		lane->low = in->call_id;
}

void claim(struct scheduler *s)
{
	struct id settled = id_floor(wall_ms() + store_clock_offset_ms(s->store) - LATE_COMMIT_MS);
	int64_t now = mono_ms(), room = (int64_t)s->config.max_inflight - (int64_t)s->flights.map.n;
	struct inflight *got = NULL;
	struct errinfo e;
	size_t n = 0;
	enum err err;

	if (room <= 0 || !lease_valid(&s->lease, now) || !db_rested(s, now))
		return;
	if (!s->replan && mono_us() < s->plan.ready_us)
		return;
	fair_plan(&s->tenants, room < DISPATCH_BATCH_MAX ? (int)room : DISPATCH_BATCH_MAX, mono_us(), &s->plan);
	s->replan = s->plan.n > 0;
	if (s->plan.n == 0)
		return;
	err = store_claim(s->store, s->lease.gateway_id, s->plan.want, s->plan.n, s->config.margin_ms, &got, &n, &e);
	if (!db_went(s, err, "claim", &e)) {
		fair_cancel(&s->plan);
		if (err == ERR_UNCERTAIN)
			doubt_identity(s);
		return;
	}
	now = mono_ms();
	for (size_t i = 0; i < n; i++) {
		raise_low(s, &got[i], &settled);
		enter(s, &got[i], now);
	}
	fair_settle(&s->tenants, &s->plan);
	inflight_free_all(got, n);
}

/* ── intent ─────────────────────────────────────────────────────────────────────── */

/* A prepared call was paced when its preparation began; how long that took varies, so the
 * dial has a bucket of its own. */
static bool gate_open(struct flight *f)
{
	if (f->paced || f->gated)
		return true;
	if (pace_room(&f->trunk->gate, mono_us()) == 0)
		return false;
	pace_reserve(&f->trunk->gate, 1);
	f->gated = true;
	return true;
}

static size_t pick_ready(struct scheduler *s, struct flight **picked)
{
	int64_t now = mono_ms();
	struct flight *f, *next;
	size_t n = 0;

	for (f = TAILQ_FIRST(&s->flights.ready); f && n < DISPATCH_BATCH_MAX; f = next) {
		next = TAILQ_NEXT(f, work);
		if (flight_may_dial(s, f, now) && gate_open(f))
			picked[n++] = f;
	}
	return n;
}

static void intended(struct scheduler *s, struct flight *f, bool may_dial, int64_t now)
{
	flight_unwork(&s->flights, f);
	if (may_dial) {
		f->stage = STAGE_INTENDED;
		f->phase = 1;
		f->state = CALL_INITIATED;
		f->intent_at = now;
		f->intent_lost = false;         /* the earlier one was not done */
		flight_work(&s->flights.dial, f);
	} else if (f->intent_lost) {
		/* The first answer got lost, so this may be our own intent; but nobody dialed. */
		flight_end_reason(s, f, REASON_PROVIDER_ERROR, true);
	} else {
		/* Canceled while it got ready, or no longer ours. Its room, if it has one, is named
		 * after the attempt: whoever claims it next may use the same, and makes it anew. */
		LOG_INFO("call.not_ours", LOG_ID("call", &f->node.id), LOG_INT("attempt", f->attempt));
		if (f->driver->provider->ops->prepare)
			hang_up(f, now);
		flight_free(&s->flights, f);
		s->replan |= s->plan.capped;
	}
}

static bool commit_intents(struct scheduler *s)
{
	struct flight *picked[DISPATCH_BATCH_MAX];
	struct call_ref calls[DISPATCH_BATCH_MAX];
	const char *refs[DISPATCH_BATCH_MAX];
	bool may_dial[DISPATCH_BATCH_MAX];
	size_t n = pick_ready(s, picked);
	struct errinfo e;
	enum err err;

	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		calls[i] = flight_ref(picked[i]);
		refs[i] = picked[i]->provider_ref;
	}
	err = store_intent(s->store, s->lease.gateway_id, calls, refs, n, may_dial, &e);
	for (size_t i = 0; err == ERR_UNCERTAIN && i < n; i++)
		picked[i]->intent_lost = true;
	if (!db_went(s, err, "intent", &e))
		return false;
	for (size_t i = 0; i < n; i++)
		intended(s, picked[i], may_dial[i], mono_ms());
	return n == DISPATCH_BATCH_MAX;
}

/* ── dial ───────────────────────────────────────────────────────────────────────── */

static void not_dialed(struct scheduler *s, struct flight *f, enum err err, const struct errinfo *e)
{
	LOG_WARN("call.dial_failed", LOG_ID("call", &f->node.id), LOG_INT("attempt", f->attempt),
	         LOG_STR("outcome", err_name(err)), LOG_STR("error", e->text));
	flight_release(f);
	switch (err) {
	case ERR_INVALID:
	case ERR_DENIED:
	case ERR_NOT_FOUND:
		flight_end_reason(s, f, REASON_CONFIGURATION, true);
		break;
	case ERR_LIMIT:
		flight_end_reason(s, f, REASON_CARRIER_LIMIT, true);
		break;
	case ERR_CONFLICT:      /* it is dialed, once, and its events will come */
		break;
	case ERR_UNAVAILABLE:
		trunk_rests(f->trunk, mono_us());
		flight_end_undialed(s, f);
		break;
	case OK:
	case ERR_UNCERTAIN:
	case ERR_INTERNAL:
	case ERR_COUNT:
		flight_end_reason(s, f, REASON_PROVIDER_ERROR, true);
		break;
	}
}

static void dial(struct scheduler *s, struct flight *f, int64_t now)
{
	struct dial_request rq = flight_request(f, now);
	struct errinfo e = { "" };
	enum err err;

	flight_unwork(&s->flights, f);
	f->stage = STAGE_FOLLOWED;
	err = f->driver->provider->ops->dial(f->driver->provider, &rq, &e);
	if (err) {
		not_dialed(s, f, err, &e);
	} else {
		flight_spend(f, mono_us());
		trunk_serves(f->trunk);
		LOG_DEBUG("call.initiated", LOG_ID("call", &f->node.id), LOG_INT("attempt", f->attempt),
		          LOG_TEL("to", f->to), LOG_STR("driver", f->driver->name));
	}
	free(TAKE(f->variables));
	free(TAKE(f->agent));
}

void dial_ready(struct scheduler *s)
{
	bool more = true;

	while (more) {
		struct flight *f;

		more = db_rested(s, mono_ms()) && lease_valid(&s->lease, mono_ms()) && commit_intents(s);
		while ((f = TAILQ_FIRST(&s->flights.dial))) {
			int64_t now = mono_ms();

			if (!lease_valid(&s->lease, now))
				return;         /* a renewal may still come; nobody has taken them over before */
			dial(s, f, now);
		}
	}
}
