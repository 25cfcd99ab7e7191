/* The threads behind a queue. While one is in the database its queue fills, and the next
 * take gets all of that at once: batches grow with the load and are one item when it is
 * quiet, without a timer that would delay anybody.
 *
 * Two batches that write at once mostly meet on one row, the account of whoever calls
 * most: the second then waits for the first inside the database, with half of what it
 * could have carried. So by default there is one turn, and who waits, waits here, where
 * its batch still grows. */
#include "inside.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/queue.h"
#include "callgate/store.h"

#define TELL_EVERY_MS 1000

_Static_assert(CREW_BATCH_MAX <= ADMIT_BATCH_MAX && CREW_BATCH_MAX <= READ_BATCH_MAX &&
               CREW_BATCH_MAX <= NOTES_BATCH_MAX,
               "a batch must fit its statement");

struct crew {
	struct api   *api;
	const char   *name;             /* static */
	crew_work    *work;
	struct queue *queue;
	size_t        batch;            /* items of one take */
	sem_t         turns;
	int           count;            /* threads running */
	pthread_t    *threads;
};

struct api *crew_api(const struct crew *c)
{
	return c->api;
}

bool crew_push(struct crew *c, void *item)
{
	return queue_push(c->queue, item);
}

void crew_failed(struct crew_member *m, enum err err, const struct errinfo *e, size_t items)
{
	int64_t now = mono_ms();

	if (m->logged_ms && now - m->logged_ms < TELL_EVERY_MS) {
		m->untold++;
		return;
	}
	LOG_ERROR("api.batch_failed", LOG_STR("crew", m->crew->name), LOG_STR("error", err_name(err)),
	          LOG_STR("text", e->text), LOG_INT("requests", (int64_t)items),
	          LOG_INT("batches_untold", m->untold));
	m->logged_ms = now;
	m->untold = 0;
}

void connect_early(struct store *s, const char *name)
{
	struct errinfo e;

	if (store_connect(s, &e))
		LOG_WARN("api.database_away", LOG_STR("crew", name), LOG_STR("text", e.text));
}

static void take_turn(struct crew_member *m)
{
	while (sem_wait(&m->crew->turns) != 0 && errno == EINTR)
		;
	m->has_turn = true;
}

void crew_pass_turn(struct crew_member *m)
{
	if (m->has_turn)
		sem_post(&m->crew->turns);
	m->has_turn = false;
}

static void *member_main(void *arg)
{
	struct crew_member m = { .crew = arg };
	void *items[CREW_BATCH_MAX];
	char role[64];
	size_t n;

	snprintf(role, sizeof role, "callgate %s", m.crew->name);
	m.store = store_new(m.crew->api->database_url, role);
	connect_early(m.store, m.crew->name);
	do {
		take_turn(&m);
		n = queue_take(m.crew->queue, items, m.crew->batch, -1);
		if (n > 0)
			m.crew->work(&m, items, n);
		crew_pass_turn(&m);
	} while (n > 0 || !queue_closed(m.crew->queue));
	store_free(m.store);
	return NULL;
}

enum err crew_start(struct api *a, const char *name, int turns, size_t queue_limit, size_t batch, crew_work *work,
                    struct crew **out, struct errinfo *e)
{
	struct crew *c = xcalloc(1, sizeof *c);
	int threads = turns + 1, failed = 0;

	*c = (struct crew){ .api = a, .name = name, .work = work, .queue = queue_new(queue_limit),
	                     .batch = batch };
	sem_init(&c->turns, 0, (unsigned)turns);
	c->threads = xcalloc((size_t)threads, sizeof *c->threads);
	while (c->count < threads && !failed) {
		failed = pthread_create(&c->threads[c->count], NULL, member_main, c);
		if (!failed)
			pthread_setname_np(c->threads[c->count++], name);
	}
	if (failed) {
		crew_free(c);
		return err_set(e, ERR_UNAVAILABLE, "cannot start the %s threads: %s", name, strerror(failed));
	}
	*out = c;
	return OK;
}

void crew_free(struct crew *c)
{
	if (!c)
		return;
	queue_close(c->queue);
	for (int i = 0; i < c->count; i++)
		pthread_join(c->threads[i], NULL);
	queue_free(c->queue);
	sem_destroy(&c->turns);
	free(c->threads);
	free(c);
}
