/* Telling the database what became of calls: progress, ends, further attempts, and what
 * goes back to the queue; whole batches, once a turn. All of it may be repeated safely, so
 * what fails stays where it is and is said again; there is never more of it than calls in
 * flight. */
#include "loop.h"

#include <assert.h>

#include "callgate/clock.h"
#include "callgate/log.h"

#define REFUSED_AGAIN_MS 5000
#define RETRY_MAX_MS     300000
#define UNDIALED_MAX_MS  30000

static bool has_progress(const struct flight *f)
{
	return f->say_ref || f->say_ringing || f->say_answered || f->say_uncertain;
}

static bool retries(const struct scheduler *s, const struct flight *f)
{
	return f->ended && !f->canceled && may_retry(s, f->attempt, f->spent, &f->outcome);
}

static void said_progress(struct flight *f)
{
	f->say_ref = f->say_ringing = f->say_answered = f->say_uncertain = false;
}

/* Leaves the dirty list; a timer brings it back if its words were refused. */
static void undirty(struct scheduler *s, struct flight *f)
{
	f->dirty = false;
	TAILQ_REMOVE(&s->flights.dirty, f, dirty_link);
}

/* The database refused the words themselves, which a repetition will not mend at once. */
static void refused(struct scheduler *s, struct flight *f, const char *what, const struct errinfo *e)
{
	LOG_ERROR("call.words_refused", LOG_ID("call", &f->node.id), LOG_STR("step", what), LOG_STR("error", e->text));
	if (has_progress(f)) {
		said_progress(f);       /* given up, so that the end can be said */
		return;
	}
	undirty(s, f);
	f->ask_at = mono_ms() + REFUSED_AGAIN_MS;
	flight_set_timer(&s->flights, f);
}

/* ── the three kinds of words, for a batch of flights ───────────────────────────── */

typedef enum err send_fn(struct scheduler *s, struct flight **f, size_t n, struct errinfo *e);

static enum err send_progress(struct scheduler *s, struct flight **f, size_t n, struct errinfo *e)
{
	struct call_progress items[DISPATCH_BATCH_MAX];
	enum err err;

	assert(n > 0 && n <= DISPATCH_BATCH_MAX);
	for (size_t i = 0; i < n; i++)
		items[i] = (struct call_progress){
			.call = flight_ref(f[i]), .ringing = f[i]->say_ringing, .answered = f[i]->say_answered,
			.uncertain = f[i]->say_uncertain, .provider_ref = f[i]->provider_ref,
		};
	err = store_progress(s->store, items, n, e);
	for (size_t i = 0; !err && i < n; i++)
		said_progress(f[i]);
	return err;
}

static void log_end(const struct flight *f, const char *event)
{
	LOG_INFO(event, LOG_ID("call", &f->node.id), LOG_INT("org", f->lane.org_id), LOG_INT("attempt", f->attempt),
	         LOG_TEL("to", f->to), LOG_STR("reason", call_reason_info(f->outcome.reason)->code),
	         LOG_INT("sip", f->outcome.sip_code));
}

static void slot_freed(struct scheduler *s, struct flight *f)
{
	flight_free(&s->flights, f);
	s->replan |= s->plan.capped;
}

static enum err send_ends(struct scheduler *s, struct flight **f, size_t n, struct errinfo *e)
{
	struct call_end items[DISPATCH_BATCH_MAX];
	int64_t now = mono_ms();
	enum err err;

	assert(n > 0 && n <= DISPATCH_BATCH_MAX);
	for (size_t i = 0; i < n; i++)
		items[i] = (struct call_end){ .call = flight_ref(f[i]), .outcome = f[i]->outcome, .ago_ms = now - f[i]->ended_at };
	err = store_finish(s->store, items, n, e);
	for (size_t i = 0; !err && i < n; i++) {
		f[i]->outcome.reason = items[i].outcome.reason;
		if (items[i].ended)     /* otherwise somebody else said it before us */
			log_end(f[i], "call.ended");
		slot_freed(s, f[i]);
	}
	return err;
}

static int retry_delay(const struct scheduler *s, int attempt)
{
	int64_t ms = s->config.retry_base_ms;

	for (int i = 1; i < attempt && ms < RETRY_MAX_MS; i++)
		ms *= 2;
	return (int)(ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS);
}

/* For want of a provider: a wait in proportion to what the call has waited already, so that a
 * moment's trouble costs a moment, and hours of it a few questions a minute. */
static int undialed_delay(struct scheduler *s, const struct flight *f)
{
	int64_t ms = (mono_ms() - f->due_at) / 4, left = time_to_wait_ms(s, f);

	if (ms > UNDIALED_MAX_MS)
		ms = UNDIALED_MAX_MS;
	if (ms < s->config.retry_base_ms)
		ms = s->config.retry_base_ms;
	ms = jitter(s, ms);
	return (int)(ms < left ? ms : left > 0 ? left : 0);
}

static struct call_retry retry_of(struct scheduler *s, const struct flight *f)
{
	bool undialed = f->outcome.undialed;

	return (struct call_retry){ .call = flight_ref(f), .outcome = f->outcome, .same = undialed && f->phase == 0,
	                            .delay_ms = undialed ? undialed_delay(s, f) : retry_delay(s, f->spent + 1) };
}

static enum err send_retries(struct scheduler *s, struct flight **f, size_t n, struct errinfo *e)
{
	struct call_retry items[DISPATCH_BATCH_MAX];
	enum err err;

	assert(n > 0 && n <= DISPATCH_BATCH_MAX);
	for (size_t i = 0; i < n; i++)
		items[i] = retry_of(s, f[i]);
	err = store_retry(s->store, s->lease.gateway_id, items, n, e);
	for (size_t i = 0; !err && i < n; i++) {
		if (!items[i].done && !items[i].same) {
			/* Its client has asked for its end, which is said now; or it had ended, and
			 * what is said then changes nothing. (A claim that is gone was canceled with
			 * its row, and that number may be claimed again.) */
			f[i]->canceled = true;
			continue;
		}
		if (items[i].done)
			log_end(f[i], "call.retry");
		slot_freed(s, f[i]);
	}
	return err;
}

/* Says a batch; when the database refuses it for its contents, the one it means is found
 * by halving, so that only that one waits. */
static bool say(struct scheduler *s, send_fn *send, const char *what, struct flight **f, size_t n)
{
	struct errinfo e;
	enum err err;

	if (n == 0)
		return true;
	err = send(s, f, n, &e);
	if (err == OK || (err != ERR_INTERNAL && err != ERR_INVALID))
		return db_went(s, err, what, &e);
	if (n == 1) {
		refused(s, f[0], what, &e);
		return true;
	}
	return say(s, send, what, f, n / 2) && say(s, send, what, f + n / 2, n - n / 2);
}

/* ── the flush ──────────────────────────────────────────────────────────────────── */

enum words { PROGRESS, RETRY, END };

static bool wants(const struct scheduler *s, const struct flight *f, enum words which)
{
	switch (which) {
	case PROGRESS:
		return has_progress(f) && !retries(s, f);
	case RETRY:
		return retries(s, f);
	case END:
		return f->ended && !retries(s, f);
	}
	return false;
}

static bool flush_words(struct scheduler *s, enum words which, send_fn *send, const char *what)
{
	struct flight *batch[DISPATCH_BATCH_MAX], *f, *next;
	size_t n = 0;

	for (f = TAILQ_FIRST(&s->flights.dirty); f; f = next) {
		next = TAILQ_NEXT(f, dirty_link);
		if (wants(s, f, which))
			batch[n++] = f;
		if (n == DISPATCH_BATCH_MAX || (n && !next)) {
			if (!say(s, send, what, batch, n))
				return false;
			n = 0;
		}
	}
	return n == 0 || say(s, send, what, batch, n);
}

static void drop_clean(struct scheduler *s)
{
	struct flight *f, *next;

	for (f = TAILQ_FIRST(&s->flights.dirty); f; f = next) {
		next = TAILQ_NEXT(f, dirty_link);
		if (!f->ended && !has_progress(f))
			undirty(s, f);
	}
}

/* A completed call was answered, also when that word came while nobody was listening: a
 * conversation without it would cost nothing. What the row knows better stays. */
static enum err answer_completed(struct scheduler *s, const struct call_end *ends, size_t n, struct errinfo *e)
{
	struct call_progress items[DISPATCH_BATCH_MAX];
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (call_reason_info(ends[i].outcome.reason)->state == CALL_COMPLETED)
			items[count++] = (struct call_progress){ .call = ends[i].call, .answered = true };
	return store_progress(s->store, items, count, e);
}

/* What was not to be tried again has ended, or its client has asked for its end. */
static enum err end_canceled(struct scheduler *s, const struct call_retry *again, size_t n, struct errinfo *e)
{
	struct call_end ends[DISPATCH_BATCH_MAX];
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (!again[i].done)
			ends[count++] = (struct call_end){ .call = again[i].call, .outcome = again[i].outcome };
	return store_finish(s->store, ends, count, e);
}

/* Ends of calls that are not in memory; a batch at most, the rest next turn. */
static void flush_strays(struct scheduler *s)
{
	struct call_end ends[DISPATCH_BATCH_MAX];
	struct call_retry again[DISPATCH_BATCH_MAX];
	size_t n = s->n_strays < DISPATCH_BATCH_MAX ? s->n_strays : DISPATCH_BATCH_MAX;
	size_t n_ends = 0, n_again = 0;
	struct errinfo e;
	enum err err;

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct stray *x = &s->strays[s->n_strays - n + i];

		if (may_retry(s, x->call.attempt, x->call.attempt - 1, &x->outcome))
			again[n_again++] = (struct call_retry){ .call = x->call, .outcome = x->outcome,
			                                        .delay_ms = retry_delay(s, x->call.attempt) };
		else
			ends[n_ends++] = (struct call_end){ .call = x->call, .outcome = x->outcome, .ago_ms = mono_ms() - x->ended_at };
	}
	err = answer_completed(s, ends, n_ends, &e);
	if (!err)
		err = store_finish(s->store, ends, n_ends, &e);
	if (!err)
		err = store_retry(s->store, s->lease.gateway_id, again, n_again, &e);
	if (!err)
		err = end_canceled(s, again, n_again, &e);
	/* Refused words are dropped here: the reaper ends what they were about. */
	if (db_went(s, err, "strays", &e) || err == ERR_INTERNAL || err == ERR_INVALID)
		s->n_strays -= n;
}

static void flush_put_back(struct scheduler *s)
{
	struct call_ref refs[DISPATCH_BATCH_MAX];
	size_t n = s->n_put_back < DISPATCH_BATCH_MAX ? s->n_put_back : DISPATCH_BATCH_MAX;
	struct put_back *from = s->put_back + (s->n_put_back - n);
	struct errinfo e;

	if (n == 0 || !s->lease.gateway_id)
		return;
	for (size_t i = 0; i < n; i++)
		refs[i] = from[i].call;
	if (!db_went(s, store_unclaim(s->store, s->lease.gateway_id, refs, n, &e), "unclaim", &e))
		return;
	for (size_t i = 0; i < n; i++)
		if (shard_owned(s->owned, from[i].lane.org_id))
			tenants_wait(&s->tenants, &from[i].lane, mono_us());
	s->n_put_back -= n;
	s->replan = true;
}

void flush(struct scheduler *s)
{
	if (!db_rested(s, mono_ms()))
		return;
	if (!flush_words(s, PROGRESS, send_progress, "progress") ||
	    !flush_words(s, RETRY, send_retries, "retry") ||
	    !flush_words(s, END, send_ends, "finish"))
		return;
	drop_clean(s);
	flush_strays(s);
	flush_put_back(s);
}
