/* The scheduler's life and its loop. A turn: lease, nudges, events, timers, words to the
 * database, duties, claim, dial; then asleep until something is due or somebody wakes us. */
#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"

#define SLEEP_MAX_MS 1000       /* health is fresh at least so often */

/* ── waking ─────────────────────────────────────────────────────────────────────── */

void scheduler_wake(struct scheduler *s)
{
	uint64_t one = 1;

	/* It can only fail when the counter is full, and then we are awake. */
	if (write(s->wake_fd, &one, sizeof one) < 0)
		return;
}

static void on_event(void *arg, const struct provider_event *ev)
{
	struct scheduler *s = arg;

	if (inbox_push(&s->inbox, ev))
		scheduler_wake(s);
}

void scheduler_nudge(struct scheduler *s, const struct lane_key *lane)
{
	if (nudges_add(&s->nudges, lane))
		scheduler_wake(s);
}

void scheduler_noticed(struct scheduler *s)
{
	if (!atomic_exchange(&s->noticed, true))
		scheduler_wake(s);
}

/* ── sleeping ───────────────────────────────────────────────────────────────────── */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool work_waits(const struct scheduler *s)
{
	return !TAILQ_EMPTY(&s->flights.dirty) || s->n_strays || s->n_put_back || !TAILQ_EMPTY(&s->flights.dial);
}

static int64_t duties_due(const struct scheduler *s)
{
	int64_t due = earlier(s->due.limits, s->due.counts);

	due = earlier(due, earlier(s->due.lanes, s->due.promote));
	due = earlier(due, earlier(s->due.overdue, s->due.expire));
	due = earlier(due, earlier(s->due.notices, s->due.forget));
	due = earlier(due, earlier(s->due.senders, s->due.cancels));
	due = earlier(due, earlier(s->due.expire_due, s->due.keys));
	if (s->tenants.unknown)
		due = 0;
	return earlier(due, s->due.notify);
}

/* A plan that said "not before" in microseconds, and prepared calls before their gate. */
static int64_t claim_due(const struct scheduler *s, int64_t now)
{
	int64_t due = INT64_MAX;

	if (!TAILQ_EMPTY(&s->flights.ready))
		due = now + 2;
	if (atomic_load(&s->stopping) || (int64_t)s->flights.map.n >= s->config.max_inflight)
		return due;
	if (s->replan)
		return now;
	if (s->plan.ready_us < INT64_MAX)
		due = earlier(due, (s->plan.ready_us + 999) / 1000);
	return due;
}

static int64_t next_due(const struct scheduler *s, int64_t now)
{
	int64_t due = earlier(now + SLEEP_MAX_MS, s->lease.renew_at);
	struct heap_node *timer = heap_first(&s->flights.timers);
	int64_t db = work_waits(s) ? now + 1 : INT64_MAX;

	if (timer)
		due = earlier(due, timer->key);
	if (lease_valid(&s->lease, now))
		db = earlier(db, earlier(duties_due(s), claim_due(s, now)));
	if (db < s->pause_until)
		db = s->pause_until;
	return earlier(due, db);
}

static void sleep_until(struct scheduler *s, int64_t due)
{
	struct pollfd fds[2] = { { .fd = s->wake_fd, .events = POLLIN },
	                         { .fd = s->ears && !s->deaf ? store_fd(s->ears) : -1, .events = POLLIN } };
	int64_t wait_ms = due - mono_ms();
	uint64_t count;

	if (wait_ms < 0)
		wait_ms = 0;
	if (poll(fds, 2, (int)wait_ms) <= 0)
		return;
	s->heard = fds[1].revents != 0;
	while (fds[0].revents && read(s->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
		;
}

/* ── a turn ─────────────────────────────────────────────────────────────────────── */

static void report(struct scheduler *s, int64_t now)
{
	atomic_store(&s->leading, lease_valid(&s->lease, now));
	atomic_store(&s->shards, __builtin_popcountll(s->owned));
	atomic_store(&s->inflight, (int)s->flights.map.n);
	atomic_store(&s->live_gateways, s->live);
	atomic_store(&s->last_tick_ms, now);
}

static void turn(struct scheduler *s)
{
	int64_t now = mono_ms();

	report(s, now);
	keep_lease(s, now);
	take_nudges(s, now);
	take_events(s);
	run_timers(s, mono_ms());
	flush(s);
	if (!atomic_load(&s->stopping)) {
		do_duties(s, mono_ms());
		claim(s);
	}
	dial_ready(s);
}

/* ── stopping ───────────────────────────────────────────────────────────────────── */

static void put_back_claimed(struct scheduler *s)
{
	struct idmap *map = &s->flights.map;
	int64_t now = mono_ms();

	for (size_t i = 0; i < map->size; i++) {
		for (struct idnode *node = map->heads[i], *next; node; node = next) {
			struct flight *f = (struct flight *)(void *)node;

			next = node->next;
			if (!f->ended && !f->intent_lost && (f->stage == STAGE_PREPARING || f->stage == STAGE_READY))
				flight_put_back(s, f, now);
		}
	}
}

static void free_drivers(struct scheduler *s)
{
	inbox_close(&s->inbox);         /* or a driver's thread might wait for us for ever */
	for (int i = 0; i < s->n_drivers; i++)
		s->drivers[i].provider->ops->free(s->drivers[i].provider);
	s->n_drivers = 0;
}

/* Calls still alive stay with their rows; another gateway, or the next start, adopts them. */
static void wind_down(struct scheduler *s)
{
	int64_t until = mono_ms() + s->config.drain_ms;
	struct errinfo e;

	put_back_claimed(s);
	while (s->flights.map.n > 0 && mono_ms() < until) {
		turn(s);
		sleep_until(s, earlier(next_due(s, mono_ms()), until));
	}
	free_drivers(s);
	take_events(s);
	s->pause_until = 0;
	flush(s);
	if (s->flights.map.n)
		LOG_INFO("scheduler.left", LOG_INT("calls", (int64_t)s->flights.map.n));
	if (s->lease.gateway_id && store_gateway_close(s->store, s->lease.gateway_id, &e))
		LOG_WARN("lease.close_failed", LOG_INT("gateway", s->lease.gateway_id), LOG_STR("error", e.text));
}

static void *run(void *arg)
{
	struct scheduler *s = arg;

	while (!atomic_load(&s->stopping)) {
		turn(s);
		sleep_until(s, next_due(s, mono_ms()));
	}
	wind_down(s);
	return NULL;
}

/* ── the contract ───────────────────────────────────────────────────────────────── */

static void scheduler_free(struct scheduler *s)
{
	free_drivers(s);
	flights_done(&s->flights);
	tenants_done(&s->tenants);
	inbox_done(&s->inbox);
	nudges_done(&s->nudges);
	store_free(s->store);
	store_free(s->ears);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	free(s->put_back);
	free(s->name);
	free(s->url);
	free(s);
}

static void scheduler_freep(struct scheduler **s)
{
	if (*s)
		scheduler_free(*s);
}

static struct scheduler *scheduler_new(const struct scheduler_config *c)
{
	struct scheduler *s = xcalloc(1, sizeof *s);

	s->config = *c;
	s->url = xstrdup(c->database_url);
	s->name = xstrdup(c->name);
	s->config.database_url = s->url;
	s->config.name = s->name;
	s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	inbox_init(&s->inbox, INBOX_MAX);
	nudges_init(&s->nudges);
	tenants_init(&s->tenants);
	flights_init(&s->flights);
	lease_init(&s->lease, c->lease_ttl_ms);
	s->tenants.ageing_us = (int64_t)c->ageing_ms * 1000;
	s->live = 1;
	s->due.notify = INT64_MAX;
	s->plan.ready_us = INT64_MAX;
	s->seed = (unsigned)(mono_us() ^ getpid());
	s->store = store_new(c->database_url, "callgate scheduler");
	return s;
}

static enum err make_drivers(struct scheduler *s, const struct scheduler_driver *drivers, int n, struct errinfo *e)
{
	if (n > DRIVERS_MAX)
		return err_set(e, ERR_INVALID, "at most %d provider drivers", DRIVERS_MAX);
	for (int i = 0; i < n; i++) {
		struct driver *d = &s->drivers[s->n_drivers];
		enum err err = drivers[i].make(drivers[i].arg, on_event, s, &d->provider, e);

		if (err) {
			err_prefix(e, "provider %s: ", drivers[i].name);
			return err;
		}
		d->name = drivers[i].name;
		s->n_drivers++;
	}
	return OK;
}

enum err scheduler_start(const struct scheduler_config *c, const struct scheduler_driver *drivers, int n_drivers,
                         struct scheduler **out, struct errinfo *e)
{
	CLEANUP(scheduler_freep) struct scheduler *s = scheduler_new(c);
	enum err err;
	int rc;

	if (s->wake_fd < 0)
		return err_set(e, ERR_INTERNAL, "eventfd: %s", strerror(errno));
	err = make_drivers(s, drivers, n_drivers, e);
	if (err)
		return err;
	atomic_store(&s->last_tick_ms, mono_ms());
	rc = pthread_create(&s->thread, NULL, run, s);
	if (rc)
		return err_set(e, ERR_INTERNAL, "the scheduler's thread: %s", strerror(rc));
	*out = TAKE(s);
	return OK;
}

void scheduler_health(struct scheduler *s, struct scheduler_health *out)
{
	*out = (struct scheduler_health){
		.leading = atomic_load(&s->leading),
		.shards = atomic_load(&s->shards),
		.inflight = atomic_load(&s->inflight),
		.live_gateways = atomic_load(&s->live_gateways),
		.last_tick_ms = atomic_load(&s->last_tick_ms),
	};
	for (int i = 0; i < s->n_drivers; i++)
		if (s->drivers[i].provider->ops->breakers)
			s->drivers[i].provider->ops->breakers(s->drivers[i].provider, &out->breakers);
}

void scheduler_stop(struct scheduler *s)
{
	if (!s)
		return;
	atomic_store(&s->stopping, true);
	scheduler_wake(s);
	pthread_join(s->thread, NULL);
	scheduler_free(s);
}
