/* The upkeep: a question to the database every second, the partitions every hour. The
 * answer is kept with its time, because a server that hangs answers nothing at all: then
 * the thread is still waiting, and only the age of the last answer tells. */
#include "upkeep.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/store.h"
#include "callgate/text.h"

#define ASK_EVERY_MS 1000
#define STALE_MS 5000
#define PARTITIONS_EVERY_MS (60 * 60 * 1000)
#define PARTITIONS_AGAIN_MS (60 * 1000)         /* after a failure */

struct upkeep {
	struct store   *store;
	int             retention_days;
	int64_t         partitions_at_ms;
	pthread_t       thread;
	pthread_mutex_t lock;           /* of all below */
	pthread_cond_t  wake;
	bool            stop;
	enum err        last;
	int64_t         answered_ms;    /* when `last` came from the server; mono */
	struct errinfo  words;
};

static void note(struct upkeep *u, enum err err, const struct errinfo *e)
{
	enum err before;

	pthread_mutex_lock(&u->lock);
	before = u->last;
	u->last = err;
	if (err == OK || err == ERR_INVALID)
		u->answered_ms = mono_ms();
	if (err)
		u->words = *e;
	pthread_mutex_unlock(&u->lock);

	if (err && err != before)
		LOG_WARN("database.unwell", LOG_STR("error", e->text));
	else if (!err && before)
		LOG_INFO("database.well");
}

static void keep_partitions(struct upkeep *u)
{
	struct errinfo e;
	int created, dropped;

	if (mono_ms() < u->partitions_at_ms)
		return;
	if (store_partitions_keep(u->store, u->retention_days, &created, &dropped, &e) != OK) {
		LOG_WARN("partitions.not_kept", LOG_STR("error", e.text));
		u->partitions_at_ms = mono_ms() + PARTITIONS_AGAIN_MS;
		return;
	}
	if (created || dropped)
		LOG_INFO("partitions.kept", LOG_INT("created", created), LOG_INT("dropped", dropped));
	u->partitions_at_ms = mono_ms() + PARTITIONS_EVERY_MS;
}

/* False: it is time to end. */
static bool pause_until_next(struct upkeep *u)
{
	struct timespec at;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ASK_EVERY_MS / 1000;
	pthread_mutex_lock(&u->lock);
	while (!u->stop && pthread_cond_timedwait(&u->wake, &u->lock, &at) == 0)
		;
	stop = u->stop;
	pthread_mutex_unlock(&u->lock);
	return !stop;
}

static void *run(void *arg)
{
	struct upkeep *u = arg;

	do {
		struct errinfo e = { "" };
		int version;
		enum err err = store_schema_check(u->store, &version, &e);

		note(u, err, &e);
		if (!err)
			keep_partitions(u);
	} while (pause_until_next(u));
	return NULL;
}

struct upkeep *upkeep_start(const char *database_url, int retention_days)
{
	struct upkeep *u = xcalloc(1, sizeof *u);
	pthread_condattr_t attr;

	u->store = store_new(database_url, "callgate upkeep");
	u->retention_days = retention_days;
	u->answered_ms = mono_ms();     /* whoever starts us has just heard from it */
	pthread_mutex_init(&u->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&u->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&u->thread, NULL, run, u) != 0)
		abort();        /* no thread at start: there is no memory for anything */
	return u;
}

void upkeep_status(struct upkeep *u, struct upkeep_status *out)
{
	*out = (struct upkeep_status){ 0 };
	pthread_mutex_lock(&u->lock);
	out->database = (u->last == OK || u->last == ERR_INVALID) && mono_ms() - u->answered_ms < STALE_MS;
	out->schema = out->database && u->last == OK;
	if (u->last)
		str_copy(out->text, sizeof out->text, u->words.text);
	else if (!out->database)
		str_copy(out->text, sizeof out->text, "the database does not answer");
	pthread_mutex_unlock(&u->lock);
}

void upkeep_stop(struct upkeep *u)
{
	if (!u)
		return;
	pthread_mutex_lock(&u->lock);
	u->stop = true;
	pthread_cond_signal(&u->wake);
	pthread_mutex_unlock(&u->lock);
	pthread_join(u->thread, NULL);
	pthread_cond_destroy(&u->wake);
	pthread_mutex_destroy(&u->lock);
	store_free(u->store);
	free(u);
}
