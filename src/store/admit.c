/* Accepting calls: rounds of the statement that admits (admit_batch.c), what is done when
 * its answer is lost, and the disk.
 *
 * The next round decides what has to wait for others of this one. Holds of one size need two
 * rounds, three at most; a key that somebody else is just using needs one more. If it takes
 * many, somebody else is at the account or the key. */
#include <string.h>
#include <time.h>

#include "admit_batch.h"
#include "callgate/clock.h"
#include "callgate/log.h"

#define ROUNDS_MAX  12

/* After a lost answer: how long to try to learn what became of the batch. */
#define HEAL_MS 8000
#define CONFLICT_RETRIES 5

/* ── when the answer was lost ─────────────────────────────────────────────────── */

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L }, NULL);
}

static size_t pick_absent(struct admission **items, size_t n, const int *outcomes, struct admission **out)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		if (outcomes[i] == ADMIT_AGAIN)
			out[count++] = items[i];
	return count;
}

/* The batch may or may not have committed. The connection mends itself only after the lost
 * one's backend is gone, so what is absent now will not appear by itself, and is sent again
 * under the same ids; a key that finds its own item there was stored by the lost batch.
 * (Behind a pooler that backend may be out of reach: whatever is refused is therefore looked
 * up once more.) */
static enum err heal(const struct round *rd, struct admission **items, size_t n, int *outcomes)
{
	struct admission *absent[ADMIT_BATCH_MAX];
	int again[ADMIT_BATCH_MAX];
	int64_t until = mono_ms() + HEAL_MS;
	enum err err;
	size_t i, j, k;

	for (;;) {
		for (i = 0; i < n; i++)
			outcomes[i] = ADMIT_AGAIN;
		err = admit_look(rd->store, items, n, outcomes, rd->e);
		k = err ? 0 : pick_absent(items, n, outcomes, absent);
		if (!err && k)
			err = admit_run(rd, absent, k, again);
		if (!err) {
			for (i = 0, j = 0; i < n && k; i++)
				if (outcomes[i] == ADMIT_AGAIN)
					outcomes[i] = again[j++];
			err = admit_look(rd->store, items, n, outcomes, rd->e);
		}
		if (!err)
			return OK;
		if (err == ERR_INTERNAL || err == ERR_INVALID || mono_ms() >= until)
			return err_set(rd->e, ERR_UNCERTAIN, "the database did not say in time what became of the calls");
		pause_ms(50);
	}
}

/* ── all of it ────────────────────────────────────────────────────────────────── */

static enum err admit_part(const struct round *rd, struct admission **items, size_t n);

/* The statement failed for a reason of its own, which validation should have made
 * impossible: halve, so that only the item at fault pays for it. */
static enum err halve(const struct round *rd, struct admission **items, size_t n)
{
	enum err err;

	if (n == 1) {
		LOG_ERROR("admit.failed", LOG_ID("call", &items[0]->call_id), LOG_STR("sqlstate", rd->store->sqlstate),
		          LOG_STR("error", rd->e->text));
		items[0]->outcome = ADMIT_FAILED;
		return OK;
	}
	err = admit_part(rd, items, n / 2);
	return err ? err : admit_part(rd, items + n / 2, n - n / 2);
}

/* One round. Items that have to wait for the next stay ADMIT_PENDING. */
static enum err admit_part(const struct round *rd, struct admission **items, size_t n)
{
	int outcomes[ADMIT_BATCH_MAX], tries = 0;
	enum err err;
	size_t i;

	/* Not done for certain: because of others, or of a connection that ended before. */
	while (((err = admit_run(rd, items, n, outcomes)) == ERR_CONFLICT || (err == ERR_UNAVAILABLE && tries == 0)) &&
	       ++tries < CONFLICT_RETRIES)
		pause_ms(tries * 2);
	if (err == ERR_UNCERTAIN)
		err = heal(rd, items, n, outcomes);
	if (err == ERR_INVALID || err == ERR_INTERNAL)
		return halve(rd, items, n);
	if (err == ERR_CONFLICT)
		return err_set(rd->e, ERR_UNAVAILABLE, "the database is too contended");
	for (i = 0; !err && i < n; i++)
		if (outcomes[i] != ADMIT_AGAIN)
			items[i]->outcome = outcomes[i] == ADMIT_KEY_AGAIN ? ADMIT_KEY_RUNNING : (enum admit_outcome)outcomes[i];
	return err;
}

/* The items of the next round; `waiting` counts those that do not wait for a key. */
static size_t pick_pending(struct admission **items, size_t n, struct admission **out, size_t *waiting)
{
	size_t i, count = 0;

	*waiting = 0;
	for (i = 0; i < n; i++) {
		if (items[i]->outcome != ADMIT_PENDING && items[i]->outcome != ADMIT_KEY_RUNNING)
			continue;
		*waiting += items[i]->outcome == ADMIT_PENDING;
		out[count++] = items[i];
	}
	return count;
}

static void start_item(struct admission *a)
{
	a->outcome = ADMIT_PENDING;
	a->replayed = false;
	a->queued = false;
	a->first_request_id[0] = '\0';
}

enum err store_admit(struct store *s, struct admission **items, size_t n, const struct admit_rules *rules, struct errinfo *e)
{
	struct errinfo words;
	struct round rd = { .store = s, .e = e ? e : &words, .rules = rules };
	struct admission *pending[ADMIT_BATCH_MAX];
	size_t i, k, waiting;
	enum err err;
	int round;

	if (n > ADMIT_BATCH_MAX)
		return err_set(e, ERR_INTERNAL, "a batch of %zu admissions", n);
	for (i = 0; i < n; i++)
		start_item(items[i]);
	for (round = 0; (k = pick_pending(items, n, pending, &waiting)) > 0; round++) {
		if (round == ROUNDS_MAX)
			return waiting ? err_set(e, ERR_UNAVAILABLE, "an account is too contended") : OK;
		rd.probe = round > 0;
		for (i = 0; i < k; i++)
			pending[i]->outcome = ADMIT_PENDING;
		err = admit_part(&rd, pending, k);
		if (err)
			return err;
	}
	return OK;
}

/* ── durable ──────────────────────────────────────────────────────────────────── */

/* Admissions commit without waiting for the disk (the end of admit_sql says so). A commit that
 * waits, and has something of its own to write, returns when the log is on disk up to it,
 * and so with everything before it. Whoever dials such a call has by then committed in the
 * usual way, after it in the same log: no crash can keep the dial and lose the call. */
static enum err flush_log(struct store *s, struct errinfo *e)
{
	return pg_exec(s, "select pg_logical_emit_message(true, 'callgate', '')", NULL, e);
}

/* A server that crashed has ended every session. So if an answer was seen and the log was
 * flushed by one and the same, the server lived through both, and what it told is on disk. */
static bool all_seen_by(const struct store *s, struct admission **kept, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (kept[i]->session != s->session)
			return false;
	return true;
}

/* What was only committed may be lost with the server: then it is absent now, and is sent
 * again. A replay becomes a request of its own again, for what it repeated may be lost too. */
static enum err recover(const struct round *rd, struct admission **kept, size_t n)
{
	int64_t until = mono_ms() + HEAL_MS;
	int outcomes[ADMIT_BATCH_MAX];
	bool durable;
	enum err err;
	size_t i;

	for (i = 0; i < n; i++) {
		if (kept[i]->replayed)
			kept[i]->call_id = id_new();
		start_item(kept[i]);
	}
	do {
		pause_ms(20);
		err = heal(rd, kept, n, outcomes);
		if (!err)
			err = flush_log(rd->store, rd->e);
		durable = !err && all_seen_by(rd->store, kept, n);
	} while (!durable && mono_ms() < until);
	for (i = 0; i < n; i++)
		kept[i]->outcome = !durable || outcomes[i] < 0 ? ADMIT_PENDING : (enum admit_outcome)outcomes[i];
	return durable ? OK : err_set(rd->e, ERR_UNCERTAIN, "the database did not say in time that the calls are on disk");
}

enum err store_admit_flush(struct store *s, struct admission **items, size_t n, const struct admit_rules *rules, struct errinfo *e)
{
	struct errinfo words;
	const struct round rd = { .store = s, .e = e ? e : &words, .rules = rules, .probe = true };
	struct admission *kept[ADMIT_BATCH_MAX];
	size_t i, k = 0;

	for (i = 0; i < n; i++)
		if (items[i]->outcome == ADMIT_ACCEPTED || admit_kept(items[i], items[i]->outcome))
			kept[k++] = items[i];
	if (k == 0 || (flush_log(s, rd.e) == OK && all_seen_by(s, kept, k)))
		return OK;
	return recover(&rd, kept, k);
}
