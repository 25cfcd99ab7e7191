/* What has to be done again and again: keep the lease and a fair share of the shards, take
 * over what dead gateways left, read limits, find lanes, promote, reap, expire. Waking by
 * nudges makes things fast; these make them certain. */
#include "loop.h"

#include <stdlib.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/version.h"

#define LIMITS_MS      2000
#define LIMITS_SOON_MS 50       /* when somebody's were missing */
#define COUNTS_MS      1000
#define LANES_MS       5000
#define PROMOTE_MS     250
#define OVERDUE_MS     1000
#define EXPIRE_MS      10000
#define PRUNE_MS       60000
#define NOTIFY_MS      20
#define PROMOTE_MAX    1000     /* a shard and time */
#define OVERDUE_MAX    256
#define EXPIRE_MAX     1000
#define EXPIRE_DUE_MS  1000
#define KEYS_MS        60000
#define KEYS_SOON_MS   200      /* while there are more */
#define KEYS_MAX       2000
#define EXPIRE_DUE_MAX 100      /* a shard and time */
#define ADOPT_MAX      1000

int64_t jitter(struct scheduler *s, int64_t ms)
{
	return ms * 3 / 4 + rand_r(&s->seed) % (ms / 2 + 1);
}

/* ── the database's health ──────────────────────────────────────────────────────── */

bool db_rested(const struct scheduler *s, int64_t now)
{
	return now >= s->pause_until;
}

bool db_went(struct scheduler *s, enum err err, const char *step, const struct errinfo *e)
{
	if (!err) {
		if (s->pause_ms)
			LOG_INFO("scheduler.database_back", LOG_STR("step", step));
		s->pause_ms = 0;
		return true;
	}
	if (err == ERR_CONFLICT) {      /* a deadlock or a timeout: nothing was done, nothing is wrong */
		s->pause_until = mono_ms() + 20;
		return false;
	}
	if (!s->pause_ms)
		LOG_WARN("scheduler.database_failed", LOG_STR("step", step), LOG_STR("outcome", err_name(err)),
		         LOG_STR("error", e->text));
	s->pause_ms = s->pause_ms ? s->pause_ms * 2 : 50;
	if (s->pause_ms > 2000)
		s->pause_ms = 2000;
	s->pause_until = mono_ms() + jitter(s, s->pause_ms);
	return false;
}

/* ── who we are ─────────────────────────────────────────────────────────────────── */

void doubt_identity(struct scheduler *s)
{
	s->doubtful = true;
}

/* The rows of the old identity are, or will be, adopted. What was not dialed for certain
 * says so, whoever has its row by now; ends that were not yet said are kept. */
static void forget_flight(struct scheduler *s, struct flight *f, bool keep_followed, int64_t now)
{
	if (f->ended || (keep_followed && f->stage == STAGE_FOLLOWED))
		return;
	if (f->stage == STAGE_INTENDED || f->intent_lost) {
		flight_end_reason(s, f, REASON_PROVIDER_ERROR, true);
		return;
	}
	if (f->stage != STAGE_FOLLOWED)
		flight_put_back(s, f, now);
	else
		flight_free(&s->flights, f);
}

static void give_up_identity(struct scheduler *s, bool keep_followed, int64_t now)
{
	struct idmap *map = &s->flights.map;

	for (size_t i = 0; i < map->size; i++) {
		for (struct idnode *node = map->heads[i], *next; node; node = next) {
			next = node->next;
			forget_flight(s, (struct flight *)(void *)node, keep_followed, now);
		}
	}
	s->n_put_back = 0;      /* adoption puts back what was only claimed */
	s->owned = 0;
	tenants_prune(&s->tenants, 0);
	lease_lost(&s->lease, now);
	s->doubtful = false;
}

static void asked_of(struct scheduler *s, struct inflight *in, int64_t now, size_t nth)
{
	struct flight *f = flight_find(&s->flights, &in->call_id);

	if (f && f->attempt == in->attempt)
		return;                 /* ours all the time; the row only changed its gateway */
	if (f && !flight_overtaken(s, f, in)) {
		LOG_ERROR("call.adopted_twice", LOG_ID("call", &in->call_id), LOG_INT("attempt", in->attempt));
		return;
	}
	f = flight_new(&s->flights, &s->tenants, in, now);
	f->driver = driver_find(s, in->driver);
	f->stage = STAGE_FOLLOWED;
	/* Where its end was asked for, hanging up waits for the answer: before that the provider
	 * may know of no such call.
	 *
	 * A dead gateway may leave thousands: a question each 0.2 ms, not all at once. */
	f->ask_at = now + (int64_t)(nth / 5);
	flight_set_timer(&s->flights, f);
	free(TAKE(f->variables));
	LOG_INFO("call.adopted", LOG_ID("call", &f->node.id), LOG_INT("attempt", f->attempt),
	         LOG_INT("phase", f->phase), LOG_STR("state", call_state_name(f->state)));
}

/* Other gateways have queued calls to claim: tell them, now or a little after the last time. */
void want_notify(struct scheduler *s, int64_t now)
{
	int64_t at = s->notified_at + NOTIFY_MS;

	if (s->live > 1 && s->due.notify == INT64_MAX)
		s->due.notify = at > now ? at : now;
}

/* False when there may be more. max_inflight does not count here: these calls are alive
 * already, and somebody has to see to their end; it is claiming that waits for room. */
static bool adopt_some(struct scheduler *s, int64_t now)
{
	struct inflight *calls = NULL;
	struct lane_key *lanes = NULL;
	size_t n = 0, n_lanes = 0;
	struct errinfo e;
	enum err err;

	err = store_adopt(s->store, s->lease.gateway_id, ADOPT_MAX, &calls, &n, &lanes, &n_lanes, &e);
	if (!db_went(s, err, "adopt", &e)) {
		s->doubtful |= err == ERR_UNCERTAIN;
		return true;
	}
	for (size_t i = 0; i < n; i++)
		asked_of(s, &calls[i], now, i);
	for (size_t i = 0; i < n_lanes; i++)
		if (shard_owned(s->owned, lanes[i].org_id))
			tenants_wait(&s->tenants, &lanes[i], now * 1000);
	s->replan |= n_lanes > 0;
	if (n_lanes)
		want_notify(s, now);
	inflight_free_all(calls, n);
	free(lanes);
	return n + n_lanes < ADOPT_MAX;
}

/* A takeover: the others may have dialed a moment ago, so new buckets start empty. */
static void shards_changed(struct scheduler *s, uint64_t owned, int live, int64_t now)
{
	uint64_t lost = s->owned & ~owned;

	LOG_INFO("shards.changed", LOG_INT("gateway", s->lease.gateway_id),
	         LOG_INT("shards", __builtin_popcountll(owned)), LOG_INT("live", live));
	s->owned = owned;
	if (lost)
		tenants_prune(&s->tenants, owned);
	s->due.limits = s->due.counts = s->due.lanes = now;
	s->tenants.start_tokens = live > 1 ? 0 : 1;
}

static void listen_to_others(struct scheduler *s)
{
	struct errinfo e;
	bool deaf;

	if (!s->ears)
		s->ears = store_new(s->url, "callgate ears");
	deaf = store_listen(s->ears, &e) != OK;
	if (deaf && !s->deaf)
		LOG_WARN("scheduler.deaf", LOG_STR("error", e.text));
	s->deaf = deaf;         /* polling goes on */
}

static void balance(struct scheduler *s, int64_t now)
{
	uint64_t owned = s->owned;
	int live = s->live;
	struct errinfo e;

	if (!db_went(s, store_shards_balance(s->store, s->lease.gateway_id, &owned, &live, &e), "balance", &e))
		return;
	if (live != s->live)
		s->due.counts = now;
	if (owned != s->owned)
		shards_changed(s, owned, live, now);
	s->live = live;
	if (live > 1 && !atomic_load(&s->stopping))
		listen_to_others(s);
	while (!adopt_some(s, now))
		;
}

static void open_gateway(struct scheduler *s, int64_t now)
{
	struct errinfo e;
	int64_t id = 0;
	enum err err;

	err = store_gateway_open(s->store, s->name, CALLGATE_VERSION, s->config.lease_ttl_ms, &id, &e);
	if (!db_went(s, err, "open", &e)) {
		lease_failed(&s->lease, now);
		return;
	}
	lease_granted(&s->lease, id, now);
	LOG_INFO("lease.opened", LOG_INT("gateway", id), LOG_INT("ttl_ms", s->config.lease_ttl_ms));
	if (s->old_gateway) {
		if (store_gateway_close(s->store, s->old_gateway, &e))
			LOG_WARN("lease.close_failed", LOG_INT("gateway", s->old_gateway), LOG_STR("error", e.text));
		s->old_gateway = 0;     /* not closed: it runs out by itself */
	}
	balance(s, now);
}

static void renew(struct scheduler *s, int64_t now)
{
	struct errinfo e;
	enum err err = store_gateway_renew(s->store, s->lease.gateway_id, s->config.lease_ttl_ms, &e);

	if (err == ERR_CONFLICT) {
		LOG_WARN("lease.lost", LOG_INT("gateway", s->lease.gateway_id), LOG_INT("inflight", (int64_t)s->flights.map.n));
		give_up_identity(s, false, now);
		return;
	}
	if (!db_went(s, err, "renew", &e)) {
		lease_failed(&s->lease, mono_ms());
		return;
	}
	lease_granted(&s->lease, s->lease.gateway_id, now);
	balance(s, now);
}

void keep_lease(struct scheduler *s, int64_t now)
{
	if (s->doubtful && s->lease.gateway_id) {
		LOG_WARN("lease.doubtful", LOG_INT("gateway", s->lease.gateway_id));
		s->old_gateway = s->lease.gateway_id;
		give_up_identity(s, true, now);
	}
	if (now < s->lease.renew_at)
		return;
	if (!s->lease.gateway_id && atomic_load(&s->stopping))
		lease_failed(&s->lease, now);
	else if (s->lease.gateway_id)
		renew(s, now);
	else
		open_gateway(s, now);
}

/* ── lanes ──────────────────────────────────────────────────────────────────────── */

void take_nudges(struct scheduler *s, int64_t now)
{
	struct lane_key lanes[NUDGES_MAX];
	bool overflow, foreign = false;
	size_t n = nudges_take(&s->nudges, lanes, &overflow);

	for (size_t i = 0; i < n; i++) {
		if (!shard_owned(s->owned, lanes[i].org_id)) {
			foreign = true;
			continue;
		}
		tenants_wait(&s->tenants, &lanes[i], now * 1000);
		s->replan = true;
	}
	if (overflow)
		s->due.lanes = now;
	if (foreign)
		want_notify(s, now);
}

static void find_lanes(struct scheduler *s, int64_t now)
{
	struct lane_key *lanes = NULL;
	struct errinfo e;
	size_t n = 0;

	s->lanes_at = now;
	s->due.lanes = now + jitter(s, LANES_MS);
	if (!db_went(s, store_lanes_find(s->store, s->owned, &lanes, &n, &e), "lanes", &e)) {
		s->due.lanes = now;
		return;
	}
	tenants_reset_lows(&s->tenants);
	for (size_t i = 0; i < n; i++)
		tenants_wait(&s->tenants, &lanes[i], now * 1000);
	s->replan |= n > 0;
	free(lanes);
}

static void promote(struct scheduler *s, int64_t now)
{
	struct lane_key *lanes = NULL;
	struct errinfo e;
	size_t n = 0;
	enum err err;

	s->due.promote = now + jitter(s, PROMOTE_MS);
	err = store_promote(s->store, s->lease.gateway_id, s->owned, PROMOTE_MAX, &lanes, &n, &e);
	if (!db_went(s, err, "promote", &e)) {
		s->due.lanes = now;     /* if it was done after all, the lanes are found */
		return;
	}
	for (size_t i = 0; i < n; i++)
		tenants_wait(&s->tenants, &lanes[i], now * 1000);
	s->replan |= n > 0;
	free(lanes);
}

static void tell_others(struct scheduler *s)
{
	struct errinfo e;

	s->due.notify = INT64_MAX;      /* they poll, should this fail */
	s->notified_at = mono_ms();
	db_went(s, store_notify_queued(s->store, &e), "notify", &e);
}

/* Somebody queued a call, or canceled one: nobody says which. */
static void look_soon(struct scheduler *s)
{
	if (s->due.lanes > s->lanes_at + NOTIFY_MS)
		s->due.lanes = s->lanes_at + NOTIFY_MS;
	s->due.cancels = 0;
}

static void hear_others(struct scheduler *s)
{
	if (!s->heard)
		return;
	s->heard = false;
	if (!store_notified(s->ears))
		s->deaf = true;         /* a broken connection stays readable: not before it is mended */
	else
		look_soon(s);
}

/* ── limits and counts ──────────────────────────────────────────────────────────── */

static void load_limits(struct scheduler *s, int64_t now)
{
	struct limit_row *rows = NULL;
	struct errinfo e;
	size_t n = 0;

	s->limits_at = now;
	s->due.limits = now + jitter(s, LIMITS_MS);
	if (!db_went(s, store_limits_load(s->store, s->owned, &rows, &n, &e), "limits", &e)) {
		s->due.limits = now;
		return;
	}
	tenants_limits(&s->tenants, rows, n, mono_us());
	s->tenants.start_tokens = 1;
	s->replan = true;
	free(rows);
}

static void load_counts(struct scheduler *s, int64_t now)
{
	struct count_row *rows = NULL;
	struct errinfo e;
	size_t n = 0;

	s->due.counts = now + COUNTS_MS;
	if (s->live > 1 &&
	    !db_went(s, store_counts_load(s->store, s->owned, s->lease.gateway_id, &rows, &n, &e), "counts", &e)) {
		s->due.counts = now;
		return;
	}
	if (s->live <= 1)
		s->due.counts = INT64_MAX;      /* until somebody joins */
	tenants_counts(&s->tenants, rows, n, mono_us());
	s->replan = true;
	free(rows);
}

/* ── bounds ─────────────────────────────────────────────────────────────────────── */

/* What this process follows has a timer of its own; this finds what slipped through. */
static void reap_one(struct scheduler *s, const struct overdue *o, int64_t now)
{
	struct flight *f = flight_find(&s->flights, &o->call.call_id);
	struct call_outcome outcome = { .reason = REASON_OVERDUE };

	if (f && f->attempt == o->call.attempt) {
		flight_overdue(s, f, now);
		return;
	}
	if (o->phase == 0) {
		put_back(s, &o->call, &o->lane);
		return;
	}
	if (o->state == CALL_IN_PROGRESS)
		outcome.reason = REASON_MAX_DURATION;
	else if (o->phase <= 2)
		outcome.reason = REASON_OUTCOME_UNKNOWN;
	LOG_WARN("call.reaped", LOG_ID("call", &o->call.call_id), LOG_INT("attempt", o->call.attempt),
	         LOG_STR("reason", call_reason_info(outcome.reason)->code));
	stray_end(s, &o->call, &outcome, 0);
}

static void reap(struct scheduler *s, int64_t now)
{
	struct overdue *calls = NULL;
	struct errinfo e;
	size_t n = 0;

	s->due.overdue = now + OVERDUE_MS;
	if (s->n_strays || s->n_put_back)       /* the last ones are not done yet */
		return;
	if (!db_went(s, store_overdue(s->store, s->lease.gateway_id, OVERDUE_MAX, &calls, &n, &e), "overdue", &e))
		return;
	for (size_t i = 0; i < n; i++)
		reap_one(s, &calls[i], now);
	free(calls);
}

/* False when the step failed. */
static bool expire_some(struct scheduler *s, const struct lane_key *lanes, size_t n)
{
	size_t expired = 0;
	struct errinfo e;

	if (n == 0)
		return true;
	if (!db_went(s, store_expire_queued(s->store, s->lease.gateway_id, lanes, n, s->config.queue_ttl_ms,
	                                    EXPIRE_MAX, &expired, &e), "expire", &e))
		return false;
	if (expired)
		LOG_INFO("queue.expired", LOG_INT("calls", (int64_t)expired));
	if (expired >= EXPIRE_MAX)
		s->due.expire = 0;      /* more is waiting: next turn */
	return true;
}

static void expire(struct scheduler *s, int64_t now)
{
	struct lane_key lanes[DISPATCH_BATCH_MAX];
	struct org *org;
	struct lane *lane;
	size_t n = 0;

	/* Nobody should wait for much longer than the time to wait. */
	s->due.expire = now + jitter(s, s->config.queue_ttl_ms < EXPIRE_MS ? s->config.queue_ttl_ms : EXPIRE_MS);
	TAILQ_FOREACH(org, &s->tenants.ring, link) {
		TAILQ_FOREACH(lane, &org->waiting, link) {
			lanes[n++] = lane->place.key;
			if (n < DISPATCH_BATCH_MAX)
				continue;
			if (!expire_some(s, lanes, n))
				return;
			n = 0;
		}
	}
	expire_some(s, lanes, n);
}

/* Those with a bound of their own. */
static void expire_due(struct scheduler *s, int64_t now)
{
	size_t expired = 0, seen = 0;
	struct errinfo e;

	s->due.expire_due = now + jitter(s, EXPIRE_DUE_MS);
	if (!db_went(s, store_expire_due(s->store, s->lease.gateway_id, s->owned, EXPIRE_DUE_MAX, &expired, &seen, &e),
	             "expire_due", &e))
		return;
	if (expired)
		LOG_INFO("queue.expired", LOG_INT("calls", (int64_t)expired));
	if (seen >= EXPIRE_DUE_MAX)
		s->due.expire_due = now;        /* a shard may have more */
}

/* ── keys of repeated requests ──────────────────────────────────────────────────── */

static void forget_keys(struct scheduler *s, int64_t now)
{
	struct errinfo e;
	int gone = 0;

	s->due.keys = s->config.idempotency_days ? now + jitter(s, KEYS_MS) : INT64_MAX;
	if (!s->config.idempotency_days ||
	    !db_went(s, store_idempotency_prune(s->store, s->config.idempotency_days, KEYS_MAX, &gone, &e), "keys", &e))
		return;
	if (gone >= KEYS_MAX)
		s->due.keys = now + KEYS_SOON_MS;
}

/* ── all of them ────────────────────────────────────────────────────────────────── */

void do_duties(struct scheduler *s, int64_t now)
{
	const struct { int64_t due; void (*step)(struct scheduler *s, int64_t now); } steps[] = {
		{ s->due.counts,  load_counts },
		{ s->due.lanes,   find_lanes },
		{ s->due.promote, promote },
		{ s->due.overdue, reap },
		{ s->due.expire,  expire },
		{ s->due.expire_due, expire_due },
		{ s->due.cancels, take_cancels },
		{ s->due.keys,    forget_keys },
		{ s->due.notices, take_notices },
		{ s->due.forget,  forget_notices },
		{ s->due.senders, learn_senders },
	};

	hear_others(s);
	if (atomic_exchange(&s->noticed, false))
		s->due.notices = now;
	if (atomic_exchange(&s->canceled, false)) {
		s->due.cancels = now;
		want_notify(s, now);
	}
	if (!lease_valid(&s->lease, now) || !db_rested(s, now))
		return;
	if (s->tenants.unknown) {
		s->tenants.unknown = false;
		s->due.limits = s->limits_at + LIMITS_SOON_MS;
	}
	if (now >= s->due.limits)
		load_limits(s, now);
	for (size_t i = 0; i < ARRAY_LEN(steps) && db_rested(s, now); i++)
		if (now >= steps[i].due)
			steps[i].step(s, now);
	if (now >= s->due.notify)
		tell_others(s);
	if (now >= s->due.prune) {
		s->due.prune = now + PRUNE_MS;
		tenants_prune(&s->tenants, s->owned);
	}
}
