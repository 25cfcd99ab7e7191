/* Following calls: what providers say, what nobody says, and the bound. Events come late,
 * twice and in any order; a flight only moves forward, and its end is its end. */
#include "loop.h"

#include <stdlib.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"

bool may_retry(const struct scheduler *s, int attempt, int spent, const struct call_outcome *o)
{
	if (o->undialed)
		return attempt < ATTEMPT_MAX;
	return o->never_rang && spent + 1 < s->config.max_attempts &&
	       (o->reason == REASON_CARRIER_UNAVAILABLE || o->reason == REASON_CARRIER_LIMIT ||
	        o->reason == REASON_PROVIDER_ERROR);
}

int64_t call_age_ms(const struct scheduler *s, const struct id *call)
{
	return wall_ms() + store_clock_offset_ms(s->store) - id_ms(call);
}

int64_t time_to_wait_ms(const struct scheduler *s, const struct flight *f)
{
	if (f->expires_at != INT64_MAX)
		return f->expires_at - mono_ms();
	return s->config.queue_ttl_ms - call_age_ms(s, &f->node.id);
}

void flight_end(struct scheduler *s, struct flight *f, const struct call_outcome *outcome)
{
	if (f->ended)
		return;
	f->ended = true;
	f->ended_at = mono_ms();
	f->outcome = *outcome;
	f->outcome.undialed &= f->outcome.never_rang && !f->intent_lost;
	/* One that is claimed as soon as it comes back is never seen waiting too long. */
	if (f->outcome.undialed && time_to_wait_ms(s, f) <= 0) {
		f->outcome.undialed = false;
		f->outcome.reason = REASON_QUEUE_EXPIRED;
	}
	if (f->outcome.reason == REASON_NONE)
		f->outcome.reason = REASON_OUTCOME_UNKNOWN;
	/* A completed call was answered, even when that word got lost: its time is now. */
	if (call_reason_info(f->outcome.reason)->state == CALL_COMPLETED && f->state < CALL_IN_PROGRESS) {
		f->state = CALL_IN_PROGRESS;
		f->say_answered = true;
	}
	flight_unwork(&s->flights, f);
	flight_release(f);
	f->ask_at = 0;
	flight_set_timer(&s->flights, f);
	flight_mark(&s->flights, f);
}

void flight_end_undialed(struct scheduler *s, struct flight *f)
{
	struct call_outcome o = { .reason = REASON_PROVIDER_ERROR, .provider_code = "unavailable", .never_rang = true,
	                          .undialed = true };

	flight_end(s, f, &o);
}

void flight_end_reason(struct scheduler *s, struct flight *f, enum call_reason reason, bool never_rang)
{
	struct call_outcome o = { .reason = reason, .never_rang = never_rang };

	flight_end(s, f, &o);
}

/* ── events ─────────────────────────────────────────────────────────────────────── */

/* The provider has it: nothing is uncertain any more, nothing has to be asked. */
static void confirmed(struct scheduler *s, struct flight *f, const struct provider_event *ev)
{
	bool news = f->phase < 3;

	f->phase = 3;
	f->say_uncertain = false;
	if (ev->ref[0] && !str_eq(f->provider_ref, ev->ref)) {
		free(f->provider_ref);
		f->provider_ref = xstrdup(ev->ref);
		news = true;
	}
	f->say_ref |= news;
	if (!f->canceled)               /* a hang-up is asked for until the call has ended */
		f->ask_at = 0;
	flight_set_timer(&s->flights, f);
	if (f->canceled && (news || f->unheard))
		flight_cancel(s, f, mono_ms());         /* now there is somebody to ask */
	if (f->say_ref)
		flight_mark(&s->flights, f);
}

static void advance(struct scheduler *s, struct flight *f, enum call_state to, const char *event)
{
	if (f->state >= to)
		return;
	f->state = to;
	f->say_ringing |= to == CALL_RINGING;
	f->say_answered |= to == CALL_IN_PROGRESS;
	flight_mark(&s->flights, f);
	LOG_DEBUG(event, LOG_ID("call", &f->node.id), LOG_INT("attempt", f->attempt));
}

static void uncertain(struct scheduler *s, struct flight *f, int retry_ms)
{
	int wait_ms = retry_ms <= 0 ? 1000 : retry_ms > ASK_AGAIN_MS ? ASK_AGAIN_MS : retry_ms;

	if (f->phase < 2) {
		f->phase = 2;
		f->say_uncertain = true;
		flight_mark(&s->flights, f);
		LOG_INFO("call.uncertain", LOG_ID("call", &f->node.id), LOG_INT("attempt", f->attempt));
	}
	f->ask_at = mono_ms() + wait_ms;
	flight_set_timer(&s->flights, f);
}

/* The name the provider will know it by goes with the intent: should we be gone after that,
 * whoever adopts the call has something to ask for. */
static void prepared(struct scheduler *s, struct flight *f, const struct provider_event *ev)
{
	if (f->stage != STAGE_PREPARING)
		return;
	if (ev->ref[0]) {
		free(f->provider_ref);
		f->provider_ref = xstrdup(ev->ref);
	}
	f->stage = STAGE_READY;
	trunk_serves(f->trunk);
	flight_work(&s->flights.ready, f);
}

static void apply(struct scheduler *s, struct flight *f, const struct provider_event *ev)
{
	switch (ev->kind) {
	case PROVIDER_READY:
		prepared(s, f, ev);
		break;
	case PROVIDER_ACCEPTED:
		confirmed(s, f, ev);
		break;
	case PROVIDER_RINGING:
		confirmed(s, f, ev);
		advance(s, f, CALL_RINGING, "call.ringing");
		break;
	case PROVIDER_ANSWERED:
		confirmed(s, f, ev);
		advance(s, f, CALL_IN_PROGRESS, "call.answered");
		break;
	case PROVIDER_ENDED:
		if (ev->ref[0])
			confirmed(s, f, ev);
		f->say_uncertain = false;
		flight_end(s, f, &ev->outcome);
		f->ended_at -= ev->ago_ms;
		break;
	case PROVIDER_UNCERTAIN:
		uncertain(s, f, ev->retry_ms);
		break;
	}
}

void stray_end(struct scheduler *s, const struct call_ref *call, const struct call_outcome *outcome, int64_t ago_ms)
{
	if (s->n_strays == STRAYS_MAX) {
		LOG_WARN("call.end_dropped", LOG_ID("call", &call->call_id));
		return;
	}
	s->strays[s->n_strays++] = (struct stray){ *call, *outcome, mono_ms() - ago_ms };
}

static void take_event(struct scheduler *s, const struct provider_event *ev)
{
	struct flight *f = flight_find(&s->flights, &ev->call_id);
	struct call_ref call = { ev->org_id, ev->call_id, ev->attempt };

	if (f && f->attempt == ev->attempt) {
		/* The end may come while its words are on the way to the database: then it is the
		 * first one that counts. Words before the intent are about the preparation. */
		if (!f->ended && (f->stage == STAGE_FOLLOWED || ev->kind == PROVIDER_READY || ev->kind == PROVIDER_ENDED))
			apply(s, f, ev);
	} else if (ev->kind == PROVIDER_ENDED && !ev->outcome.undialed) {
		/* What was not dialed waits again already, perhaps under the same number. */
		stray_end(s, &call, &ev->outcome, ev->ago_ms);
	}
}

void take_events(struct scheduler *s)
{
	struct provider_event *events;
	size_t n;

	events = inbox_take(&s->inbox, &n);
	for (size_t i = 0; i < n; i++)
		take_event(s, &events[i]);
	free(events);
}

/* ── timers ─────────────────────────────────────────────────────────────────────── */

bool hang_up(struct flight *f, int64_t now)
{
	struct dial_request rq = flight_request(f, now);
	struct errinfo e = { "" };
	enum err err;

	if (!f->driver)
		return false;
	err = f->driver->provider->ops->hangup(f->driver->provider, &rq, &e);
	if (err && err != ERR_NOT_FOUND)
		LOG_WARN("call.hangup_failed", LOG_ID("call", &f->node.id), LOG_STR("error", e.text));
	return err == OK;
}

void put_back(struct scheduler *s, const struct call_ref *call, const struct lane_key *lane)
{
	if (s->n_put_back == s->put_back_size) {
		s->put_back_size = s->put_back_size ? s->put_back_size * 2 : 64;
		s->put_back = xrealloc(s->put_back, s->put_back_size, sizeof *s->put_back);
	}
	s->put_back[s->n_put_back++] = (struct put_back){ *call, *lane };
}

void flight_put_back(struct scheduler *s, struct flight *f, int64_t now)
{
	struct call_ref call = flight_ref(f);

	if (f->stage == STAGE_PREPARING || (f->driver && f->driver->provider->ops->prepare))
		hang_up(f, now);
	put_back(s, &call, &f->lane);
	flight_free(&s->flights, f);
}

bool flight_overtaken(struct scheduler *s, struct flight *f, const struct inflight *by)
{
	if (!f->ended && f->attempt >= by->attempt)
		return false;
	LOG_INFO("call.overtaken", LOG_ID("call", &f->node.id), LOG_INT("attempt", f->attempt),
	         LOG_INT("by", by->attempt));
	flight_free(&s->flights, f);
	return true;
}

void flight_overdue(struct scheduler *s, struct flight *f, int64_t now)
{
	if (f->ended)
		return;
	switch (f->stage) {
	case STAGE_PREPARING:
	case STAGE_READY:
		if (f->intent_lost)
			flight_end_reason(s, f, REASON_PROVIDER_ERROR, true);
		else
			flight_put_back(s, f, now);
		return;
	case STAGE_INTENDED:
		flight_end_reason(s, f, REASON_PROVIDER_ERROR, true);
		return;
	case STAGE_FOLLOWED:
		break;
	}
	LOG_WARN("call.overdue", LOG_ID("call", &f->node.id), LOG_INT("attempt", f->attempt),
	         LOG_STR("state", call_state_name(f->state)), LOG_INT("phase", f->phase));
	hang_up(f, now);
	if (f->state == CALL_IN_PROGRESS)
		flight_end_reason(s, f, REASON_MAX_DURATION, false);
	else
		flight_end_reason(s, f, f->phase == 2 ? REASON_OUTCOME_UNKNOWN : REASON_OVERDUE, false);
}

/* Asks the provider what became of it. A question that fails, or that nobody answers, is
 * asked again until the bound. */
static void ask(struct scheduler *s, struct flight *f, int64_t now)
{
	struct dial_request rq = flight_request(f, now);
	struct errinfo e = { "this gateway has no such driver" };
	enum err err = ERR_UNAVAILABLE;

	if (f->driver)
		err = f->driver->provider->ops->lookup(f->driver->provider, &rq, &e);
	if (err)
		LOG_DEBUG("call.lookup_failed", LOG_ID("call", &f->node.id), LOG_STR("error", e.text));
	f->ask_at = now + (err ? jitter(s, 2000) : f->canceled ? HANG_UP_AGAIN_MS : ASK_AGAIN_MS);
	flight_set_timer(&s->flights, f);
}

void run_timers(struct scheduler *s, int64_t now)
{
	struct heap_node *first;

	while ((first = heap_first(&s->flights.timers)) && first->key <= now) {
		struct flight *f = (struct flight *)(void *)((char *)first - offsetof(struct flight, timer));

		if (f->ended) {         /* its words were refused a while ago: once more */
			f->ask_at = 0;
			flight_set_timer(&s->flights, f);
			flight_mark(&s->flights, f);
		} else if (now >= f->bound_at) {
			flight_overdue(s, f, now);
		} else if (f->canceled && !f->unheard && f->phase > 2) {
			flight_cancel(s, f, now);
		} else {
			ask(s, f, now);
		}
	}
}
