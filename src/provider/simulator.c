/* The built-in simulator: a driver like any other. One thread with a heap of timers tells
 * each call's life (sim_life.c), step by step, to whoever asked for the call.
 *
 * It plays the carrier too, and a carrier's calls outlive the gateway: a confirmed attempt
 * that another process dialed is followed from where its life has come to by now. Of an
 * attempt that was never confirmed it knows nothing, as a carrier without a call list. */
#include "callgate/provider.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "callgate/clock.h"
#include "callgate/heap.h"
#include "callgate/idmap.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "sim_life.h"

#define SIM_CALLS_MAX 262144    /* alive at once; past it a dial is refused  */
#define SIM_TOLD_MAX  262144    /* answers that wait for the thread          */
#define SIM_BATCH     64        /* events told between two looks at the lock */

struct sim_call {
	struct idnode    node;
	struct heap_node timer;         /* when the next step is due, mono µs */
	int64_t          org_id;
	int64_t          began_us;      /* when its life began, mono µs       */
	int              attempt;
	int              next;          /* the step told next                 */
	bool             hidden;        /* waits to be asked                  */
	bool             hung_up;
	struct life      life;
};

struct simulator {
	struct provider        base;
	double                 speed;
	bool                   instant;
	int                    ledger;          /* -1: none */
	provider_event_fn     *on_event;
	void                  *arg;

	pthread_t              thread;
	pthread_mutex_t        mutex;           /* everything below */
	pthread_cond_t         changed;
	bool                   stopping;
	bool                   asleep;
	struct idmap           calls;
	struct heap            timers;
	struct provider_event *told;            /* to be told at once, in order */
	size_t                 n_told, told_size;
};

static struct simulator *of(struct provider *p)
{
	return (struct simulator *)p;
}

static int64_t real_us(const struct simulator *s, int64_t simulated_ms)
{
	return (int64_t)((double)simulated_ms * 1000.0 / s->speed);
}

static int64_t simulated_ms(const struct simulator *s, int64_t us)
{
	return (int64_t)((double)us * s->speed / 1000.0);
}

/* ── what is told ───────────────────────────────────────────────────────────────── */

static struct provider_event event(const struct simulator *s, const struct id *call_id, int64_t org_id,
                                   int attempt, enum provider_event_kind kind,
                                   const struct call_outcome *outcome)
{
	struct provider_event ev = { .kind = kind, .call_id = *call_id, .org_id = org_id, .attempt = attempt };
	char text[ID_TEXT_SIZE];

	if (kind == PROVIDER_ACCEPTED || kind == PROVIDER_ANSWERED) {
		id_format(call_id, text);
		snprintf(ev.ref, sizeof ev.ref, "sim-%s-%d", text, attempt);
	}
	if (kind == PROVIDER_UNCERTAIN) {
		ev.retry_ms = (int)(real_us(s, SIM_RETRY_MS) / 1000);
		if (ev.retry_ms < 10)
			ev.retry_ms = 10;
	}
	if (outcome)
		ev.outcome = *outcome;
	return ev;
}

static void wake(struct simulator *s)
{
	if (s->asleep)
		pthread_cond_signal(&s->changed);
}

static void tell(struct simulator *s, const struct dial_request *rq, enum provider_event_kind kind,
                 const struct call_outcome *outcome)
{
	if (s->n_told == s->told_size) {
		s->told_size = s->told_size ? s->told_size * 2 : 64;
		s->told = xrealloc(s->told, s->told_size, sizeof *s->told);
	}
	s->told[s->n_told++] = event(s, &rq->call_id, rq->org_id, rq->attempt, kind, outcome);
	wake(s);
}

/* ── lives ──────────────────────────────────────────────────────────────────────── */

static struct sim_call *find(struct simulator *s, const struct dial_request *rq)
{
	struct idnode *node = idmap_get(&s->calls, &rq->call_id);
	struct sim_call *c = (struct sim_call *)(void *)node;

	return c && c->attempt == rq->attempt ? c : NULL;
}

static void forget(struct simulator *s, struct sim_call *c)
{
	heap_remove(&s->timers, &c->timer);
	idmap_remove(&s->calls, &c->node);
	free(c);
}

/* Sets the timer of the next step, or ends the life. */
static void go_on(struct simulator *s, struct sim_call *c)
{
	if (c->next >= c->life.n) {
		forget(s, c);
		return;
	}
	if (c->hidden && c->life.steps[c->next].at_ms >= c->life.hidden_until_ms) {
		heap_remove(&s->timers, &c->timer);
		return;
	}
	heap_set(&s->timers, &c->timer, c->began_us + real_us(s, c->life.steps[c->next].at_ms));
	if (heap_first(&s->timers) == &c->timer)
		wake(s);
}

static struct sim_call *begin(struct simulator *s, const struct dial_request *rq, int64_t began_us)
{
	struct sim_call *c = xcalloc(1, sizeof *c);

	c->node.id = rq->call_id;
	c->org_id = rq->org_id;
	c->attempt = rq->attempt;
	c->began_us = began_us;
	life_of(rq->to, rq->attempt, rq->ring_timeout_s, rq->max_duration_s, &c->life);
	c->hidden = c->life.hidden_until_ms > 0;
	idmap_add(&s->calls, &c->node);
	return c;
}

/* ── the thread ─────────────────────────────────────────────────────────────────── */

static size_t take_due(struct simulator *s, struct provider_event *out)
{
	int64_t now = mono_us();
	size_t n;

	for (n = 0; n < SIM_BATCH; n++) {
		struct heap_node *first = heap_first(&s->timers);
		struct sim_call *c;
		const struct life_step *step;

		if (!first || first->key > now)
			break;
		c = (struct sim_call *)(void *)((char *)first - offsetof(struct sim_call, timer));
		step = &c->life.steps[c->next++];
		out[n] = event(s, &c->node.id, c->org_id, c->attempt, step->kind, step->outcome);
		go_on(s, c);
	}
	return n;
}

static void sleep_until_due(struct simulator *s)
{
	struct heap_node *first = heap_first(&s->timers);

	s->asleep = true;
	if (first) {
		struct timespec t = { first->key / 1000000, first->key % 1000000 * 1000 };

		pthread_cond_timedwait(&s->changed, &s->mutex, &t);
	} else {
		pthread_cond_wait(&s->changed, &s->mutex);
	}
	s->asleep = false;
}

/* Without the lock: the receiver may wait, and may be in dial() meanwhile. */
static void deliver(struct simulator *s, const struct provider_event *events, size_t n)
{
	pthread_mutex_unlock(&s->mutex);
	for (size_t i = 0; i < n; i++)
		s->on_event(s->arg, &events[i]);
	pthread_mutex_lock(&s->mutex);
}

/* Takes all answers away at once; what is asked meanwhile gathers in a new array. */
static void deliver_told(struct simulator *s)
{
	struct provider_event *told = TAKE(s->told);
	size_t n = s->n_told;

	s->n_told = s->told_size = 0;
	deliver(s, told, n);
	free(told);
}

static void *run(void *arg)
{
	struct simulator *s = arg;
	struct provider_event due[SIM_BATCH];

	pthread_mutex_lock(&s->mutex);
	while (!s->stopping) {
		/* Answers first: they were asked for before the timers ran out. */
		if (s->n_told) {
			deliver_told(s);
			continue;
		}
		size_t n = take_due(s, due);

		if (n)
			deliver(s, due, n);
		else
			sleep_until_due(s);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

/* ── the driver ─────────────────────────────────────────────────────────────────── */

/* One write of a file opened with O_APPEND: lines of several processes never mix. */
static enum err write_ledger(struct simulator *s, const struct dial_request *rq, struct errinfo *e)
{
	char id[ID_TEXT_SIZE], line[128];
	int n;

	if (s->ledger < 0)
		return OK;
	id_format(&rq->call_id, id);
	n = snprintf(line, sizeof line, "%s %d %s %s\n", id, rq->attempt, rq->from, rq->to);
	if (n < 0 || (size_t)n >= sizeof line)
		return err_set(e, ERR_INVALID, "a number is too long for the ledger");
	if (write(s->ledger, line, (size_t)n) != n)
		return err_set(e, ERR_INTERNAL, "writing the dial ledger: %s", strerror(errno));
	return OK;
}

static enum err dial_locked(struct simulator *s, const struct dial_request *rq, struct errinfo *e)
{
	static const struct call_outcome at_once = { .reason = REASON_CALLEE_HANGUP };

	if (idmap_get(&s->calls, &rq->call_id) && find(s, rq))
		return err_set(e, ERR_CONFLICT, "attempt %d of this call is already dialed", rq->attempt);
	if (s->instant) {
		tell(s, rq, PROVIDER_ANSWERED, NULL);
		tell(s, rq, PROVIDER_ENDED, &at_once);
		return OK;
	}
	go_on(s, begin(s, rq, mono_us()));
	return OK;
}

static enum err sim_dial(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	struct simulator *s = of(p);
	enum err err;

	pthread_mutex_lock(&s->mutex);
	if (s->calls.n >= SIM_CALLS_MAX || s->n_told >= SIM_TOLD_MAX) {
		err = err_set(e, ERR_UNAVAILABLE, "the simulator has no free line");
	} else {
		err = write_ledger(s, rq, e);
		if (!err)
			err = dial_locked(s, rq, e);
	}
	pthread_mutex_unlock(&s->mutex);
	return err;
}

/* Tells where a call stands that is followed here. */
static void tell_standing(struct simulator *s, struct sim_call *c, const struct dial_request *rq)
{
	enum provider_event_kind standing = PROVIDER_ACCEPTED;

	if (c->hidden) {
		if (simulated_ms(s, mono_us() - c->began_us) < c->life.hidden_until_ms) {
			tell(s, rq, PROVIDER_UNCERTAIN, NULL);
			return;
		}
		/* Found at last. The rest of its life runs from now, so that its talk is heard
		 * however late the question came. */
		c->hidden = false;
		while (c->life.steps[c->next].at_ms < c->life.hidden_until_ms)
			c->next++;
		c->began_us = mono_us() - real_us(s, c->life.hidden_until_ms);
		go_on(s, c);
		return;
	}
	tell(s, rq, PROVIDER_ACCEPTED, NULL);
	for (int i = 0; i < c->next; i++)
		if (c->life.steps[i].kind == PROVIDER_RINGING || c->life.steps[i].kind == PROVIDER_ANSWERED)
			standing = c->life.steps[i].kind > standing ? c->life.steps[i].kind : standing;
	if (standing != PROVIDER_ACCEPTED)
		tell(s, rq, standing, NULL);
}

/* An attempt that another process dialed. */
static void take_up(struct simulator *s, const struct dial_request *rq)
{
	static const struct call_outcome unknown = { .reason = REASON_OUTCOME_UNKNOWN };
	int64_t since_us = (rq->since_ms > 0 ? rq->since_ms : 0) * 1000;
	struct sim_call *c;

	if (rq->phase < 3 && e164_reserved_suffix(rq->to) != 108) {
		tell(s, rq, PROVIDER_ENDED, &unknown);
		return;
	}
	c = begin(s, rq, mono_us() - since_us);
	if (rq->phase < 3) {
		tell_standing(s, c, rq);
		if (c->hidden)          /* the next question finds it by the same clock */
			forget(s, c);
		return;
	}
	if (c->hidden) {
		c->hidden = false;
		c->next = 1;
	}
	tell(s, rq, PROVIDER_ACCEPTED, NULL);
	go_on(s, c);
}

static enum err sim_lookup(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	struct simulator *s = of(p);
	struct sim_call *c;
	enum err err = OK;

	pthread_mutex_lock(&s->mutex);
	c = find(s, rq);
	if (s->n_told >= SIM_TOLD_MAX || (!c && s->calls.n >= SIM_CALLS_MAX))
		err = err_set(e, ERR_UNAVAILABLE, "the simulator is overloaded");
	else if (c)
		tell_standing(s, c, rq);
	else
		take_up(s, rq);
	pthread_mutex_unlock(&s->mutex);
	return err;
}

/* What had happened by now, told or not: a call that nobody asked about was answered all
 * the same. */
static bool had_come(const struct simulator *s, const struct sim_call *c, enum provider_event_kind kind)
{
	int64_t now_ms = simulated_ms(s, mono_us() - c->began_us);

	for (int i = 0; i < c->life.n; i++)
		if (c->life.steps[i].kind == kind && (i < c->next || c->life.steps[i].at_ms <= now_ms))
			return true;
	return false;
}

static void end_by_us(struct simulator *s, struct sim_call *c)
{
	static const struct call_outcome by_agent = { .reason = REASON_AGENT_HANGUP };
	static const struct call_outcome canceled = { .reason = REASON_CANCELED, .sip_code = 487,
	                                              .sip_phrase = "Request Terminated" };
	bool answered = had_come(s, c, PROVIDER_ANSWERED);

	c->hung_up = true;
	c->hidden = false;
	c->life.steps[c->next].kind = PROVIDER_ENDED;
	c->life.steps[c->next].at_ms = 0;
	c->life.steps[c->next].outcome = answered ? &by_agent : &canceled;
	c->life.n = c->next + 1;
	go_on(s, c);
}

static enum err sim_hangup(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	struct simulator *s = of(p);
	struct sim_call *c;

	pthread_mutex_lock(&s->mutex);
	c = find(s, rq);
	/* One that has ended has nothing left to end; if that was not told yet, it will be. */
	if (c && !c->hung_up && !had_come(s, c, PROVIDER_ENDED))
		end_by_us(s, c);
	pthread_mutex_unlock(&s->mutex);
	return c ? OK : err_set(e, ERR_NOT_FOUND, "the simulator has no such call");
}

static void simulator_done(struct simulator *s)
{
	for (size_t i = 0; i < s->calls.size; i++)
		while (s->calls.heads[i])
			forget(s, (struct sim_call *)(void *)s->calls.heads[i]);
	idmap_done(&s->calls);
	heap_done(&s->timers);
	free(s->told);
	if (s->ledger >= 0)
		close(s->ledger);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static void sim_free(struct provider *p)
{
	struct simulator *s = of(p);

	if (!s)
		return;
	pthread_mutex_lock(&s->mutex);
	s->stopping = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->mutex);
	pthread_join(s->thread, NULL);
	simulator_done(s);
}

static const struct provider_ops ops = {
	.name   = "simulator",
	.dial   = sim_dial,
	.lookup = sim_lookup,
	.hangup = sim_hangup,
	.free   = sim_free,
};

static void init_locks(struct simulator *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
}

enum err simulator_new(const struct simulator_config *c, provider_event_fn *on_event, void *arg,
                       struct provider **out, struct errinfo *e)
{
	struct simulator *s;
	int ledger = -1, rc;

	if (!(c->speed > 0 && c->speed <= 1e6))
		return err_set(e, ERR_INVALID, "the simulator's speed must be above 0 and at most 1000000");
	if (c->dial_ledger) {
		ledger = open(c->dial_ledger, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
		if (ledger < 0)
			return err_set(e, ERR_INVALID, "dial ledger %s: %s", c->dial_ledger, strerror(errno));
	}
	s = xcalloc(1, sizeof *s);
	s->base.ops = &ops;
	s->speed = c->speed;
	s->instant = c->instant;
	s->ledger = ledger;
	s->on_event = on_event;
	s->arg = arg;
	init_locks(s);
	rc = pthread_create(&s->thread, NULL, run, s);
	if (rc) {
		simulator_done(s);
		return err_set(e, ERR_INTERNAL, "the simulator's thread: %s", strerror(rc));
	}
	*out = &s->base;
	return OK;
}
