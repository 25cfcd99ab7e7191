/* The loop against a database and a provider of the test's own: both do what they are told,
 * lose answers on request, and remember what they were asked. The functions of the store
 * are defined here, so the linker does not take the real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/scheduler.h"
#include "callgate/store_dispatch.h"
#include "callgate/store_events.h"

/* ── the database ───────────────────────────────────────────────────────────────── */

enum place { QUEUED, SCHEDULED, INFLIGHT, ENDED };

struct row {
	struct id           id;
	enum place          where;
	int                 attempt, spent, phase;
	int64_t             gateway;
	enum call_state     state;
	int64_t             due_ms, left_ms;
	int64_t             expires_ms;     /* mono; 0: none of its own */
	bool                cancel;         /* its client has asked for its end */
	const char         *driver;
	struct call_outcome outcome;
	int64_t             ago_ms;
	char                ref[32];        /* as the intent has it */
};

enum step { CLAIM, INTENT, PROGRESS, FINISH, RETRY, RENEW, STEPS };

static struct {
	pthread_mutex_t mutex;
	struct row      rows[16];
	int             n;
	int64_t         gateway;        /* living, 0: none */
	int64_t         gateways;
	enum err        fail[STEPS];    /* once */
	bool            commit[STEPS];  /* and yet it was done */
	int             finishes, retries;
	const struct row *poison;       /* words on it are refused, and the batch with them */
} base = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static const struct lane_key lane = { 1, 1, 1, 1 };

static void lock(void)
{
	pthread_mutex_lock(&base.mutex);
}

static void unlock(void)
{
	pthread_mutex_unlock(&base.mutex);
}

/* The failure asked for; *done says whether the step takes place all the same. */
static enum err failure(enum step step, bool *done)
{
	enum err err = base.fail[step];

	*done = !err || base.commit[step];
	base.fail[step] = OK;
	return err;
}

static struct row *find(const struct call_ref *c)
{
	for (int i = 0; i < base.n; i++)
		if (id_cmp(&base.rows[i].id, &c->call_id) == 0 && base.rows[i].where == INFLIGHT &&
		    base.rows[i].attempt == c->attempt)
			return &base.rows[i];
	return NULL;
}

struct store *store_new(const char *url, const char *role)
{
	(void)url, (void)role;
	return (struct store *)xcalloc(1, 1);
}

void store_free(struct store *s)
{
	free(s);
}

int64_t store_clock_offset_ms(const struct store *s)
{
	(void)s;
	return 0;
}

enum err store_gateway_open(struct store *s, const char *name, const char *version, int ttl_ms, int64_t *id,
                            struct errinfo *e)
{
	(void)s, (void)name, (void)version, (void)ttl_ms, (void)e;
	lock();
	*id = base.gateway = ++base.gateways;
	unlock();
	return OK;
}

enum err store_gateway_renew(struct store *s, int64_t id, int ttl_ms, struct errinfo *e)
{
	bool done;
	enum err err;

	(void)s, (void)id, (void)ttl_ms;
	lock();
	err = failure(RENEW, &done);
	unlock();
	return err ? err_set(e, err, "as asked") : OK;
}

enum err store_gateway_close(struct store *s, int64_t id, struct errinfo *e)
{
	(void)s, (void)id, (void)e;
	return OK;
}

enum err store_shards_balance(struct store *s, int64_t id, uint64_t *owned, int *live, struct errinfo *e)
{
	(void)s, (void)id, (void)e;
	*owned = UINT64_MAX;
	*live = 1;
	return OK;
}

enum err store_limits_load(struct store *s, uint64_t shards, struct limit_row **out, size_t *n, struct errinfo *e)
{
	static const struct limit_row rows[] = { { 1, 0, 0, true, { 1, -1, -1, 1 } }, { 1, 1, 0, true, { 1, -1, -1, 1 } },
	                                         { 1, 0, 1, true, { 1, 10, -1, 1 } } };

	(void)s, (void)shards, (void)e;
	*out = xmalloc(sizeof rows);
	memcpy(*out, rows, sizeof rows);
	*n = ARRAY_LEN(rows);
	return OK;
}

enum err store_counts_load(struct store *s, uint64_t shards, int64_t not_gateway, struct count_row **out, size_t *n,
                           struct errinfo *e)
{
	(void)s, (void)shards, (void)not_gateway, (void)e;
	*out = NULL;
	*n = 0;
	return OK;
}

static bool any(enum place where)
{
	for (int i = 0; i < base.n; i++)
		if (base.rows[i].where == where)
			return true;
	return false;
}

static enum err one_lane(bool there, struct lane_key **out, size_t *n)
{
	*out = xmalloc(sizeof **out);
	**out = lane;
	*n = there;
	return OK;
}

enum err store_lanes_find(struct store *s, uint64_t shards, struct lane_key **out, size_t *n, struct errinfo *e)
{
	(void)s, (void)shards, (void)e;
	return one_lane(any(QUEUED), out, n);
}

enum err store_promote(struct store *s, int64_t id, uint64_t shards, int max, struct lane_key **out, size_t *n,
                       struct errinfo *e)
{
	bool some = false;

	(void)s, (void)id, (void)shards, (void)max, (void)e;
	lock();
	for (int i = 0; i < base.n; i++) {
		if (base.rows[i].where != SCHEDULED || base.rows[i].due_ms > mono_ms())
			continue;
		base.rows[i].where = QUEUED;
		some = true;
	}
	unlock();
	return one_lane(some, out, n);
}

static void fill(struct inflight *f, const struct row *r)
{
	*f = (struct inflight){ .lane = lane, .call_id = r->id, .attempt = r->attempt, .spent = r->spent, .state = r->state,
	                        .phase = r->phase, .ring_timeout_s = 5, .max_duration_s = 5, .left_ms = r->left_ms,
	                        .since_ms = r->phase ? 10 : -1, .cancel = r->cancel,
	                        .expires_ms = r->expires_ms ? r->expires_ms - mono_ms() : INT64_MAX, .from = "+12025550199", .to = "+12025550100",
	                        .agent = xstrdup("agent"), .driver = xstrdup(r->driver), .trunk_config = xstrdup("{}") };
}

void inflight_done(struct inflight *f)
{
	free(f->variables);
	free(f->agent);
	free(f->driver);
	free(f->trunk_ref);
	free(f->trunk_config);
	free(f->provider_ref);
}

void inflight_free_all(struct inflight *f, size_t n)
{
	for (size_t i = 0; f && i < n; i++)
		inflight_done(&f[i]);
	free(f);
}

enum err store_claim(struct store *s, int64_t id, const struct claim_want *want, size_t n_want, int margin_ms,
                     struct inflight **out, size_t *n, struct errinfo *e)
{
	struct inflight *got = xcalloc(16, sizeof *got);
	bool done;
	enum err err;
	int take = 0;

	(void)s, (void)margin_ms;
	for (size_t i = 0; i < n_want; i++)
		take += want[i].take;
	*n = 0;
	lock();
	err = failure(CLAIM, &done);
	for (int i = 0; done && i < base.n && take > 0; i++) {
		struct row *r = &base.rows[i];

		if (r->where != QUEUED)
			continue;
		r->where = INFLIGHT;
		r->phase = 0;
		r->gateway = id;
		take--;
		fill(&got[(*n)++], r);
	}
	unlock();
	if (!err) {
		*out = got;
		return OK;
	}
	inflight_free_all(got, *n);
	return err_set(e, err, "as asked");
}

enum err store_intent(struct store *s, int64_t id, const struct call_ref *calls, const char *const *refs, size_t n,
                      bool *may_dial, struct errinfo *e)
{
	bool done;
	enum err err;

	(void)s;
	lock();
	err = failure(INTENT, &done);
	for (size_t i = 0; i < n; i++) {
		struct row *r = find(&calls[i]);

		may_dial[i] = done && r && r->gateway == id && r->phase == 0;
		if (may_dial[i])
			r->phase = 1;
		if (may_dial[i] && refs[i])
			str_copy(r->ref, sizeof r->ref, refs[i]);
	}
	unlock();
	return err ? err_set(e, err, "as asked") : OK;
}

enum err store_unclaim(struct store *s, int64_t id, const struct call_ref *calls, size_t n, struct errinfo *e)
{
	(void)s, (void)id, (void)e;
	lock();
	for (size_t i = 0; i < n; i++) {
		struct row *r = find(&calls[i]);

		if (r && r->phase == 0)
			r->where = QUEUED;
	}
	unlock();
	return OK;
}

enum err store_progress(struct store *s, const struct call_progress *items, size_t n, struct errinfo *e)
{
	bool done;
	enum err err;

	(void)s;
	lock();
	err = failure(PROGRESS, &done);
	for (size_t i = 0; !err && i < n; i++)
		if (base.poison && find(&items[i].call) == base.poison)
			err = ERR_INTERNAL;
	for (size_t i = 0; done && err != ERR_INTERNAL && i < n; i++) {
		struct row *r = find(&items[i].call);

		if (!r)
			continue;
		r->phase = items[i].uncertain ? 2 : 3;
		if (items[i].answered)
			r->state = CALL_IN_PROGRESS;
	}
	unlock();
	return err ? err_set(e, err, "as asked") : OK;
}

enum err store_finish(struct store *s, struct call_end *items, size_t n, struct errinfo *e)
{
	bool done;
	enum err err;

	(void)s;
	lock();
	err = failure(FINISH, &done);
	for (size_t i = 0; done && i < n; i++) {
		struct row *r = find(&items[i].call);

		items[i].ended = r != NULL;
		if (!r)
			continue;
		r->where = ENDED;
		r->outcome = items[i].outcome;
		r->ago_ms = items[i].ago_ms;
		base.finishes++;
	}
	unlock();
	return err ? err_set(e, err, "as asked") : OK;
}

enum err store_retry(struct store *s, int64_t id, struct call_retry *items, size_t n, struct errinfo *e)
{
	bool done;
	enum err err;

	(void)s;
	lock();
	err = failure(RETRY, &done);
	for (size_t i = 0; done && i < n; i++) {
		struct row *r = find(&items[i].call);

		items[i].done = r && !r->cancel && (!items[i].same || (r->phase == 0 && r->gateway == id));
		if (!items[i].done)
			continue;
		r->where = SCHEDULED;
		r->attempt += !items[i].same;
		r->spent += !items[i].outcome.undialed;
		r->outcome = items[i].outcome;
		base.retries++;
		r->due_ms = mono_ms() + items[i].delay_ms;
	}
	unlock();
	return err ? err_set(e, err, "as asked") : OK;
}

enum err store_expire_queued(struct store *s, int64_t id, const struct lane_key *lanes, size_t n_lanes, int64_t ttl_ms,
                             int max, size_t *expired, struct errinfo *e)
{
	(void)s, (void)id, (void)lanes, (void)n_lanes, (void)ttl_ms, (void)max, (void)e;
	*expired = 0;
	return OK;
}

enum err store_expire_due(struct store *s, int64_t id, uint64_t shards, int max, size_t *expired, size_t *seen,
                          struct errinfo *e)
{
	(void)s, (void)id, (void)shards, (void)max, (void)e;
	*expired = *seen = 0;
	return OK;
}

enum err store_idempotency_prune(struct store *s, int days, int max, int *gone, struct errinfo *e)
{
	(void)s, (void)days, (void)max, (void)e;
	*gone = 0;
	return OK;
}

enum err store_cancels_find(struct store *s, int64_t id, int max, struct call_ref **out, size_t *n, struct errinfo *e)
{
	(void)s, (void)max, (void)e;
	*out = xcalloc(16, sizeof **out);
	*n = 0;
	lock();
	for (int i = 0; i < base.n; i++)
		if (base.rows[i].where == INFLIGHT && base.rows[i].gateway == id && base.rows[i].cancel)
			(*out)[(*n)++] = (struct call_ref){ 1, base.rows[i].id, base.rows[i].attempt };
	unlock();
	return OK;
}

enum err store_claims_gone(struct store *s, int64_t id, const struct call_ref *calls, size_t n, bool *gone,
                           struct errinfo *e)
{
	(void)s, (void)e;
	lock();
	for (size_t i = 0; i < n; i++) {
		const struct row *r = find(&calls[i]);

		gone[i] = !r || r->gateway != id;
	}
	unlock();
	return OK;
}

enum err store_adopt(struct store *s, int64_t id, int max, struct inflight **out, size_t *n, struct lane_key **lanes,
                     size_t *n_lanes, struct errinfo *e)
{
	bool back = false;

	(void)s, (void)max, (void)e;
	*out = xcalloc(16, sizeof **out);
	*n = 0;
	lock();
	for (int i = 0; i < base.n; i++) {
		struct row *r = &base.rows[i];

		if (r->where != INFLIGHT || r->gateway == base.gateway)
			continue;
		if (r->phase == 0) {
			r->where = QUEUED;
			back = true;
			continue;
		}
		r->gateway = id;
		r->phase = r->phase == 1 ? 2 : r->phase;
		fill(&(*out)[(*n)++], r);
	}
	unlock();
	*n_lanes = 0;
	return one_lane(back, lanes, n_lanes);
}

enum err store_overdue(struct store *s, int64_t id, int max, struct overdue **out, size_t *n, struct errinfo *e)
{
	(void)s, (void)id, (void)max, (void)e;
	*out = NULL;
	*n = 0;
	return OK;
}

enum err store_notes_take(struct store *s, int64_t id, int max, struct taken_note **out, size_t *n, struct errinfo *e)
{
	(void)s, (void)id, (void)max, (void)e;
	*out = NULL;
	*n = 0;
	return OK;
}

void taken_notes_free(struct taken_note *notes, size_t n)
{
	(void)notes, (void)n;
}

enum err store_notes_senders(struct store *s, const char *driver, const char *const *members, size_t n_members, int max,
                             char ***out, size_t *n, struct errinfo *e)
{
	(void)s, (void)driver, (void)members, (void)n_members, (void)max, (void)e;
	*out = NULL;
	*n = 0;
	return OK;
}

void notes_senders_free(char **texts, size_t n)
{
	(void)texts, (void)n;
}

enum err store_notes_prune(struct store *s, int seconds, int max, int *gone, struct errinfo *e)
{
	(void)s, (void)seconds, (void)max, (void)e;
	*gone = 0;
	return OK;
}

enum err store_notify_queued(struct store *s, struct errinfo *e)
{
	(void)s, (void)e;
	return OK;
}

enum err store_listen(struct store *s, struct errinfo *e)
{
	(void)s, (void)e;
	return OK;
}

bool store_notified(struct store *s)
{
	(void)s;
	return false;
}

int store_fd(const struct store *s)
{
	(void)s;
	return -1;
}

/* ── the provider ───────────────────────────────────────────────────────────────── */

static struct {
	struct provider           base;
	provider_event_fn        *on_event;
	void                     *arg;
	atomic_int                prepares, dials, lookups, hangups;  /* read while the loop still runs */
	int                       dialed_attempt;
	_Atomic enum err          dial_result, prepare_result;
	atomic_int                unprepared;
	bool                      obedient;     /* a hang-up ends the call */
	bool                      answered;
	_Atomic enum err          hangup_result;
	bool                      silent;       /* neither ready nor any word after the dial */
	bool                      intended_first;       /* at every dial the intent was committed */
	enum provider_event_kind  dial_says, lookup_says;
} carrier;

static void say(const struct dial_request *rq, enum provider_event_kind kind, enum call_reason reason)
{
	struct provider_event ev = { .kind = kind, .call_id = rq->call_id, .org_id = rq->org_id, .attempt = rq->attempt,
	                             .retry_ms = 20, .outcome = { .reason = reason } };

	if (kind == PROVIDER_READY)
		str_copy(ev.ref, sizeof ev.ref, "room-1");
	carrier.on_event(carrier.arg, &ev);
}

static enum err fake_prepare(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	(void)p, (void)e;
	carrier.prepares++;
	if (carrier.prepare_result)
		return err_set(e, carrier.prepare_result, "as asked");
	if (carrier.unprepared-- > 0) {
		struct provider_event ev = { .kind = PROVIDER_ENDED, .call_id = rq->call_id, .org_id = rq->org_id,
		                             .attempt = rq->attempt, .outcome = { .reason = REASON_PROVIDER_ERROR,
		                             .never_rang = true, .undialed = true } };

		carrier.on_event(carrier.arg, &ev);
		return OK;
	}
	if (!carrier.silent)
		say(rq, PROVIDER_READY, REASON_NONE);
	return OK;
}

static enum err fake_dial(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	struct call_ref ref = { rq->org_id, rq->call_id, rq->attempt };
	struct row *r;

	(void)p;
	lock();
	r = find(&ref);
	carrier.intended_first &= r && r->phase == 1;
	if (r && rq->provider_ref)      /* what was prepared is what is dialed, and stands with the intent */
		carrier.intended_first &= str_eq(rq->provider_ref, r->ref);
	unlock();
	carrier.dials++;
	carrier.dialed_attempt = rq->attempt;
	if (carrier.dial_result)
		return err_set(e, carrier.dial_result, "as asked");
	if (carrier.silent)
		return OK;
	say(rq, carrier.dial_says, REASON_CALLEE_HANGUP);
	return OK;
}

static enum err fake_lookup(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	(void)p, (void)e;
	if (++carrier.lookups < 3)
		say(rq, PROVIDER_UNCERTAIN, REASON_NONE);
	else
		say(rq, carrier.lookup_says, REASON_CALLEE_HANGUP);
	return OK;
}

static enum err fake_hangup(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	(void)p;
	carrier.hangups++;
	if (carrier.hangup_result)
		return err_set(e, carrier.hangup_result, "as asked");
	if (carrier.obedient)
		say(rq, PROVIDER_ENDED, carrier.answered ? REASON_AGENT_HANGUP : REASON_CANCELED);
	return OK;
}

static void fake_free(struct provider *p)
{
	(void)p;
}

static const struct provider_ops plain_ops = { .name = "plain", .dial = fake_dial, .lookup = fake_lookup,
                                               .hangup = fake_hangup, .free = fake_free };
static const struct provider_ops careful_ops = { .name = "careful", .prepare = fake_prepare, .dial = fake_dial,
                                                 .lookup = fake_lookup, .hangup = fake_hangup, .free = fake_free };

static enum err make(void *arg, provider_event_fn *on_event, void *event_arg, struct provider **out, struct errinfo *e)
{
	(void)e;
	carrier.base.ops = arg;
	carrier.on_event = on_event;
	carrier.arg = event_arg;
	*out = &carrier.base;
	return OK;
}

/* ── the tests ──────────────────────────────────────────────────────────────────── */

static struct scheduler *sched;
static const struct provider_ops *driver_ops;

static void start(void)
{
	struct scheduler_config c = { .database_url = "", .name = "test", .lease_ttl_ms = 300, .margin_ms = 100,
	                              .queue_ttl_ms = 60000, .max_inflight = 100, .max_attempts = 3, .retry_base_ms = 10,
	                              .drain_ms = 100 };
	struct scheduler_driver d = { driver_ops->name, make, (void *)(uintptr_t)driver_ops };
	struct errinfo e;

	assert_int_equal(scheduler_start(&c, &d, 1, &sched, &e), OK);
}

static int set_up(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_ERROR, false);    /* one test is about an error, and shows it */
	memset(base.rows, 0, sizeof base.rows);
	memset(base.fail, 0, sizeof base.fail);
	memset(base.commit, 0, sizeof base.commit);
	base.n = base.finishes = base.retries = 0;
	base.gateway = 0;
	base.poison = NULL;
	memset(&carrier, 0, sizeof carrier);
	carrier.dial_says = carrier.lookup_says = PROVIDER_ENDED;
	carrier.intended_first = true;
	driver_ops = &plain_ops;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scheduler_stop(sched);
	sched = NULL;
	return 0;
}

static struct row *add(enum place where, int phase)
{
	struct row *r = &base.rows[base.n++];

	*r = (struct row){ .id = id_new(), .where = where, .attempt = 1, .phase = phase, .left_ms = 60000,
	                   .driver = driver_ops->name, .gateway = -1 };
	return r;
}

/* Waits for the row to get there; the lock makes the answer a moment's. */
static void until(const struct row *r, enum place where)
{
	int64_t end = mono_ms() + 5000;
	enum place now;

	do {
		lock();
		now = r->where;
		unlock();
		if (now == where)
			return;
		usleep(1000);
	} while (mono_ms() < end);
	fail_msg("the call is %d, not %d", (int)now, (int)where);
}

static void a_call_is_intended_then_dialed_once_then_ended(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	start();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 1);
	assert_true(carrier.intended_first);
	assert_int_equal(r->outcome.reason, REASON_CALLEE_HANGUP);
	assert_int_equal(r->state, CALL_IN_PROGRESS);   /* completed means answered */
}

static void a_nudge_starts_a_call_at_once(void **state)
{
	struct row *r;
	int64_t began;

	(void)state;
	start();
	usleep(50000);
	lock();
	r = add(QUEUED, 0);
	unlock();
	began = mono_ms();
	scheduler_nudge(sched, &lane);
	until(r, ENDED);
	assert_true(mono_ms() - began < 200);
}

static void a_driver_that_prepares_is_ready_before_the_intent(void **state)
{
	struct row *r;

	(void)state;
	driver_ops = &careful_ops;
	r = add(QUEUED, 0);
	start();
	until(r, ENDED);
	assert_int_equal(carrier.prepares, 1);
	assert_string_equal(base.rows[0].ref, "room-1");
	assert_int_equal(carrier.dials, 1);
	assert_true(carrier.intended_first);
}

static void a_lost_answer_to_the_intent_dials_nothing_and_costs_an_attempt(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	base.fail[INTENT] = ERR_UNCERTAIN;
	base.commit[INTENT] = true;
	start();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 1);
	assert_int_equal(carrier.dialed_attempt, 2);
	assert_true(carrier.intended_first);
}

static void a_lost_intent_that_was_not_done_is_sent_again(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	base.fail[INTENT] = ERR_UNCERTAIN;
	start();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 1);
	assert_int_equal(carrier.dialed_attempt, 1);
}

static void a_lost_answer_to_a_claim_loses_no_call(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	base.fail[CLAIM] = ERR_UNCERTAIN;
	base.commit[CLAIM] = true;
	start();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 1);
	assert_int_equal(carrier.dialed_attempt, 1);
	assert_true(r->gateway > 1);
}

static void words_that_did_not_arrive_are_said_again(void **state)
{
	static const enum step steps[] = { PROGRESS, FINISH };
	static const enum err errs[] = { ERR_UNAVAILABLE, ERR_UNCERTAIN, ERR_CONFLICT };

	(void)state;
	start();
	for (size_t i = 0; i < ARRAY_LEN(steps) * ARRAY_LEN(errs); i++) {
		struct row *r;

		lock();
		base.fail[steps[i % 2]] = errs[i / 2];
		base.commit[steps[i % 2]] = errs[i / 2] == ERR_UNCERTAIN;
		r = add(QUEUED, 0);
		unlock();
		scheduler_nudge(sched, &lane);
		until(r, ENDED);
	}
	assert_int_equal(carrier.dials, 6);
	assert_int_equal(base.finishes, 6);
}

static void words_the_database_refuses_hold_nobody_else_up(void **state)
{
	struct row *r[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		r[i] = add(QUEUED, 0);
	base.poison = r[2];
	start();
	for (int i = 0; i < 5; i++)
		until(r[i], ENDED);
}

static void a_dial_that_cannot_be_made_is_tried_again_and_given_up(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.dial_result = ERR_INTERNAL;
	start();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 3);
	assert_int_equal(r->outcome.reason, REASON_PROVIDER_ERROR);
	assert_true(r->outcome.never_rang);
}

/* Said to have been refused, and yet done: the next attempt comes before the words of the one
 * before it are said again. */
static void an_attempt_overtakes_what_is_still_to_be_said_of_the_last(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.dial_result = ERR_INTERNAL;
	base.fail[RETRY] = ERR_INTERNAL;
	base.commit[RETRY] = true;
	start();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 3);
	assert_int_equal(r->outcome.reason, REASON_PROVIDER_ERROR);
}

static int retries(void)
{
	int n;

	lock();
	n = base.retries;
	unlock();
	return n;
}

static void until_retried(int n)
{
	int64_t end = mono_ms() + 8000;

	while (retries() < n && mono_ms() < end)
		usleep(1000);
	assert_true(retries() >= n);
}

/* An attempt that was intended has a number of its own, and yet does not count. */
static void without_a_provider_a_call_waits_and_that_does_not_count(void **state)
{
	struct row *r = add(QUEUED, 0);
	int64_t began = mono_ms();

	(void)state;
	carrier.dial_result = ERR_UNAVAILABLE;
	start();
	until_retried(4);
	assert_true(mono_ms() - began > 1500);  /* 250, 500 and 1000 ms of rest in between */
	assert_int_equal(r->spent, 0);
	carrier.dial_result = OK;
	until(r, ENDED);
	assert_int_equal(r->outcome.reason, REASON_CALLEE_HANGUP);
	assert_int_equal(carrier.dialed_attempt, retries() + 1);
}

static void what_cannot_be_prepared_waits_for_the_same_attempt(void **state)
{
	struct row *first, *second;

	(void)state;
	driver_ops = &careful_ops;
	first = add(QUEUED, 0);
	second = add(QUEUED, 0);
	carrier.prepare_result = ERR_UNAVAILABLE;
	start();
	until_retried(4);
	assert_true(carrier.prepares <= retries() + 1);
	carrier.prepare_result = OK;
	until(first, ENDED);
	until(second, ENDED);
	assert_int_equal(carrier.dials, 2);
	assert_int_equal(carrier.dialed_attempt, 1);
	assert_int_equal(first->attempt + second->attempt, 2);
}

/* Nor does a provider that says so only later. */
static void a_preparation_that_found_nobody_waits_for_the_same_attempt(void **state)
{
	struct row *r;

	(void)state;
	driver_ops = &careful_ops;
	r = add(QUEUED, 0);
	carrier.unprepared = 5;                 /* more than a call may be dialed */
	start();
	until(r, ENDED);
	assert_int_equal(r->attempt, 1);
	assert_int_equal(r->outcome.reason, REASON_CALLEE_HANGUP);
	assert_int_equal(carrier.prepares, 6);
	assert_int_equal(carrier.dials, 1);
}

static void a_wrong_trunk_is_not_tried_again(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.dial_result = ERR_DENIED;
	start();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 1);
	assert_int_equal(r->outcome.reason, REASON_CONFIGURATION);
}

static void a_driver_nobody_has_is_a_matter_of_configuration(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	r->driver = "pigeon";
	start();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 0);
	assert_int_equal(r->outcome.reason, REASON_CONFIGURATION);
}

static void an_uncertain_dial_is_asked_about_and_never_repeated(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.dial_says = PROVIDER_UNCERTAIN;
	start();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 1);
	assert_int_equal(carrier.lookups, 3);
}

static void what_a_dead_gateway_may_have_dialed_is_asked_about(void **state)
{
	struct row *claimed = add(INFLIGHT, 0), *intended = add(INFLIGHT, 1);

	(void)state;
	start();
	until(claimed, ENDED);
	until(intended, ENDED);
	assert_int_equal(carrier.dials, 1);
	assert_int_equal(carrier.lookups, 3);
}

static void a_lost_lease_gives_calls_up_and_adopts_them_as_uncertain(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.silent = true;
	start();
	until(r, INFLIGHT);
	usleep(50000);
	lock();
	base.fail[RENEW] = ERR_CONFLICT;
	unlock();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 1);
	assert_int_equal(carrier.lookups, 3);
}

/* That its first intent got lost says nothing any more once the second was heard. */
static void a_call_dialed_after_a_lost_intent_is_not_dialed_again_when_the_lease_goes(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.silent = true;
	base.fail[INTENT] = ERR_UNCERTAIN;
	start();
	until(r, INFLIGHT);
	usleep(150000);
	assert_int_equal(carrier.dials, 1);
	lock();
	base.fail[RENEW] = ERR_CONFLICT;
	unlock();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 1);
	assert_int_equal(carrier.dialed_attempt, 1);
	assert_true(carrier.lookups > 0);
}

static void last_word_not_in_memory(struct row **out, enum call_reason reason)
{
	struct dial_request rq = { .org_id = 1, .attempt = 1 };
	struct row *r;

	start();
	usleep(50000);
	lock();
	r = add(INFLIGHT, 3);
	r->gateway = base.gateway;
	rq.call_id = r->id;
	unlock();
	say(&rq, PROVIDER_ENDED, reason);
	until(r, ENDED);
	assert_int_equal(r->outcome.reason, reason);
	*out = r;
}

static void the_last_word_of_a_call_not_in_memory_counts(void **state)
{
	struct row *r;

	(void)state;
	last_word_not_in_memory(&r, REASON_BUSY);
	assert_int_equal(r->state, CALL_QUEUED);
}

static void a_call_not_in_memory_that_completed_was_answered(void **state)
{
	struct row *r;

	(void)state;
	last_word_not_in_memory(&r, REASON_CALLEE_HANGUP);
	assert_int_equal(r->state, CALL_IN_PROGRESS);
}

/* ── cancels ────────────────────────────────────────────────────────────────────── */

static void ask_for_the_end(struct row *r)
{
	lock();
	r->cancel = true;
	unlock();
	scheduler_canceled(sched);
}

static void until_dialed(int n)
{
	int64_t end = mono_ms() + 8000;

	while (carrier.dials < n && mono_ms() < end)
		usleep(1000);
	assert_int_equal(carrier.dials, n);
	usleep(20000);
}

static void a_call_whose_end_is_asked_for_is_hung_up(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.dial_says = PROVIDER_RINGING;
	carrier.obedient = true;
	start();
	until_dialed(1);
	ask_for_the_end(r);
	until(r, ENDED);
	assert_int_equal(carrier.hangups, 1);
	assert_int_equal(r->outcome.reason, REASON_CANCELED);
}

/* What was asked of another gateway stands in the row, and is found without a word. */
static void a_cancel_is_found_though_nobody_tells_of_it(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.dial_says = PROVIDER_RINGING;
	carrier.obedient = true;
	start();
	until_dialed(1);
	lock();
	r->cancel = true;
	unlock();
	until(r, ENDED);
	assert_int_equal(carrier.hangups, 1);
}

static void an_end_that_is_heard_of_late_was_then(void **state)
{
	struct row *known = add(QUEUED, 0), *other;
	struct provider_event ev = { .kind = PROVIDER_ENDED, .org_id = 1, .attempt = 1, .ago_ms = 4000,
	                             .outcome = { .reason = REASON_CALLEE_HANGUP } };

	(void)state;
	carrier.dial_says = PROVIDER_ACCEPTED;
	start();
	until_dialed(1);
	ev.call_id = known->id;
	carrier.on_event(carrier.arg, &ev);
	until(known, ENDED);
	assert_in_range(known->ago_ms, 4000, 6000);
	lock();
	other = add(INFLIGHT, 3);
	other->gateway = base.gateway;
	ev.call_id = other->id;
	unlock();
	carrier.on_event(carrier.arg, &ev);
	until(other, ENDED);
	assert_in_range(other->ago_ms, 4000, 6000);
}

static void after_a_cancel_there_is_no_other_attempt(void **state)
{
	struct row *r = add(QUEUED, 0);
	struct provider_event ev = { .kind = PROVIDER_ENDED, .org_id = 1, .attempt = 1,
	                             .outcome = { .reason = REASON_CARRIER_UNAVAILABLE, .never_rang = true } };

	(void)state;
	carrier.dial_says = PROVIDER_ACCEPTED;
	start();
	until_dialed(1);
	ev.call_id = r->id;
	lock();
	r->cancel = true;               /* the scheduler has not heard of it */
	unlock();
	carrier.on_event(carrier.arg, &ev);
	until(r, ENDED);
	assert_int_equal(retries(), 0);
	assert_int_equal(carrier.dials, 1);
}

/* A word of the provider's that comes after the hang-up was not its answer. */
static void a_hang_up_without_an_end_is_asked_for_again(void **state)
{
	struct row *r = add(QUEUED, 0);
	struct provider_event ev = { .kind = PROVIDER_ANSWERED, .org_id = 1, .attempt = 1 };
	int64_t end;

	(void)state;
	carrier.dial_says = PROVIDER_RINGING;
	start();
	until_dialed(1);
	ask_for_the_end(r);
	for (end = mono_ms() + 2000; carrier.hangups == 0 && mono_ms() < end;)
		usleep(1000);
	ev.call_id = r->id;
	carrier.on_event(carrier.arg, &ev);
	for (end = mono_ms() + 8000; carrier.hangups < 2 && mono_ms() < end;)
		usleep(10000);
	assert_int_equal(carrier.hangups, 2);
}

/* A hang-up while nobody knows whether it was dialed: asked again when the provider has it. */
static void an_uncertain_call_is_hung_up_once_it_is_found(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.dial_says = PROVIDER_UNCERTAIN;
	carrier.lookup_says = PROVIDER_ANSWERED;
	carrier.hangup_result = ERR_NOT_FOUND;
	carrier.answered = carrier.obedient = true;
	start();
	until_dialed(1);
	ask_for_the_end(r);
	usleep(30000);
	carrier.hangup_result = OK;
	until(r, ENDED);
	assert_true(carrier.hangups >= 2);
	assert_int_equal(r->outcome.reason, REASON_AGENT_HANGUP);       /* the row makes of it what it was */
	assert_int_equal(r->state, CALL_IN_PROGRESS);
}

/* The owner died after it had promised to hang up. */
static void an_adopted_call_whose_end_was_asked_for_is_hung_up(void **state)
{
	struct row *r = add(INFLIGHT, 3);

	(void)state;
	r->cancel = true;
	carrier.lookup_says = PROVIDER_RINGING;
	carrier.lookups = 2;                    /* the next one finds it */
	carrier.obedient = true;
	start();
	until(r, ENDED);
	assert_int_equal(carrier.lookups, 3);
	assert_int_equal(carrier.hangups, 1);
	assert_int_equal(carrier.dials, 0);
	assert_int_equal(r->outcome.reason, REASON_CANCELED);
}

/* Its row is gone when the room is ready: nobody is dialed, and the room does not stay. */
static void a_claimed_call_that_was_canceled_leaves_no_room(void **state)
{
	struct row *r;
	struct dial_request rq = { .org_id = 1, .attempt = 1 };
	int64_t end = mono_ms() + 8000;

	driver_ops = &careful_ops;
	r = add(QUEUED, 0);
	carrier.silent = true;
	start();
	until(r, INFLIGHT);
	while (carrier.prepares == 0 && mono_ms() < end)
		usleep(1000);
	lock();
	r->where = ENDED;
	rq.call_id = r->id;
	unlock();
	if (*state == NULL)
		say(&rq, PROVIDER_READY, REASON_NONE);
	else
		scheduler_canceled(sched);      /* the agent never comes */
	while (carrier.hangups == 0 && mono_ms() < end)
		usleep(1000);
	assert_int_equal(carrier.hangups, 1);
	assert_int_equal(carrier.dials, 0);
}

static void nor_does_it_wait_for_its_agent(void **state)
{
	char never[] = "it never comes";
	void *waiting = never;

	(void)state;
	a_claimed_call_that_was_canceled_leaves_no_room(&waiting);
}

/* ── bounds ─────────────────────────────────────────────────────────────────────── */

static void a_call_past_its_last_moment_is_not_dialed(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	r->expires_ms = mono_ms() - 1;
	start();
	until(r, ENDED);
	assert_int_equal(carrier.dials, 0);
	assert_int_equal(r->outcome.reason, REASON_QUEUE_EXPIRED);
}

static void nor_if_that_moment_came_while_it_got_ready(void **state)
{
	struct row *r;
	struct dial_request rq = { .org_id = 1, .attempt = 1 };

	(void)state;
	driver_ops = &careful_ops;
	r = add(QUEUED, 0);
	r->expires_ms = mono_ms() + 300;
	rq.call_id = r->id;
	carrier.silent = true;
	start();
	until(r, INFLIGHT);
	usleep(350000);
	say(&rq, PROVIDER_READY, REASON_NONE);
	until(r, ENDED);
	assert_int_equal(carrier.dials, 0);
	assert_int_equal(carrier.hangups, 1);
	assert_int_equal(r->outcome.reason, REASON_QUEUE_EXPIRED);
}

static void without_a_provider_a_call_waits_to_its_own_bound_at_most(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	r->expires_ms = mono_ms() + 400;
	carrier.dial_result = ERR_UNAVAILABLE;
	start();
	until(r, ENDED);
	assert_int_equal(r->outcome.reason, REASON_QUEUE_EXPIRED);
}

static void no_call_lives_past_its_bound(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.silent = true;
	r->left_ms = 100;
	start();
	until(r, ENDED);
	assert_int_equal(r->outcome.reason, REASON_OVERDUE);
	assert_int_equal(carrier.hangups, 1);
}

static void a_stop_puts_back_what_was_only_claimed(void **state)
{
	struct row *r;

	(void)state;
	driver_ops = &careful_ops;
	carrier.silent = true;          /* never ready */
	r = add(QUEUED, 0);
	start();
	until(r, INFLIGHT);
	usleep(20000);
	scheduler_stop(sched);
	sched = NULL;
	assert_int_equal(r->where, QUEUED);
	assert_int_equal(carrier.dials, 0);
}

static void a_stop_leaves_living_calls_to_the_next(void **state)
{
	struct row *r = add(QUEUED, 0);

	(void)state;
	carrier.silent = true;
	start();
	until(r, INFLIGHT);
	usleep(20000);
	scheduler_stop(sched);
	sched = NULL;
	assert_int_equal(r->where, INFLIGHT);
	assert_int_equal(r->phase, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_call_is_intended_then_dialed_once_then_ended),
		TEST(a_nudge_starts_a_call_at_once),
		TEST(a_driver_that_prepares_is_ready_before_the_intent),
		TEST(a_lost_answer_to_the_intent_dials_nothing_and_costs_an_attempt),
		TEST(a_lost_intent_that_was_not_done_is_sent_again),
		TEST(a_lost_answer_to_a_claim_loses_no_call),
		TEST(words_that_did_not_arrive_are_said_again),
		TEST(words_the_database_refuses_hold_nobody_else_up),
		TEST(a_dial_that_cannot_be_made_is_tried_again_and_given_up),
		TEST(an_attempt_overtakes_what_is_still_to_be_said_of_the_last),
		TEST(without_a_provider_a_call_waits_and_that_does_not_count),
		TEST(what_cannot_be_prepared_waits_for_the_same_attempt),
		TEST(a_preparation_that_found_nobody_waits_for_the_same_attempt),
		TEST(a_wrong_trunk_is_not_tried_again),
		TEST(a_driver_nobody_has_is_a_matter_of_configuration),
		TEST(an_uncertain_dial_is_asked_about_and_never_repeated),
		TEST(what_a_dead_gateway_may_have_dialed_is_asked_about),
		TEST(a_lost_lease_gives_calls_up_and_adopts_them_as_uncertain),
		TEST(a_call_dialed_after_a_lost_intent_is_not_dialed_again_when_the_lease_goes),
		TEST(an_end_that_is_heard_of_late_was_then),
		TEST(the_last_word_of_a_call_not_in_memory_counts),
		TEST(a_call_not_in_memory_that_completed_was_answered),
		TEST(a_call_whose_end_is_asked_for_is_hung_up),
		TEST(a_cancel_is_found_though_nobody_tells_of_it),
		TEST(after_a_cancel_there_is_no_other_attempt),
		TEST(a_hang_up_without_an_end_is_asked_for_again),
		TEST(an_uncertain_call_is_hung_up_once_it_is_found),
		TEST(an_adopted_call_whose_end_was_asked_for_is_hung_up),
		TEST(a_claimed_call_that_was_canceled_leaves_no_room),
		TEST(nor_does_it_wait_for_its_agent),
		TEST(a_call_past_its_last_moment_is_not_dialed),
		TEST(nor_if_that_moment_came_while_it_got_ready),
		TEST(without_a_provider_a_call_waits_to_its_own_bound_at_most),
		TEST(no_call_lives_past_its_bound),
		TEST(a_stop_puts_back_what_was_only_claimed),
		TEST(a_stop_leaves_living_calls_to_the_next),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
