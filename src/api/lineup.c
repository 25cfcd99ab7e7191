/* Lines under one mutex: a table of them by organization, and the ring of those whose first
 * may be taken. A line exists while somebody of it waits or is served, so there are never
 * more of them than requests. */
#include "lineup.h"

#include <pthread.h>
#include <stdlib.h>

#include "callgate/mem.h"

#define BUCKETS 256             /* a power of two */

struct line {
	LIST_ENTRY(line)     chain;
	TAILQ_ENTRY(line)    turn;
	TAILQ_HEAD(, waiter) waiters;
	int64_t              org;
	size_t               waiting;
	int                  served;
	bool                 in_ring;
};
LIST_HEAD(line_chain, line);
TAILQ_HEAD(line_ring, line);

struct lineup {
	pthread_mutex_t   mutex;
	pthread_cond_t    changed;
	size_t            room, each, waiting;
	int               at_once;
	bool              closed;
	struct line_ring  ring;
	struct line_chain lines[BUCKETS];
};

struct lineup *lineup_new(size_t room, size_t each, int at_once)
{
	struct lineup *l = xcalloc(1, sizeof *l);

	l->room = room;
	l->each = each;
	l->at_once = at_once;
	pthread_mutex_init(&l->mutex, NULL);
	pthread_cond_init(&l->changed, NULL);
	TAILQ_INIT(&l->ring);
	return l;
}

void lineup_free(struct lineup *l)
{
	if (!l)
		return;
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->mutex);
	free(l);
}

static struct line_chain *chain_of(struct lineup *l, int64_t org)
{
	return &l->lines[((uint64_t)org * UINT64_C(0x9e3779b97f4a7c15)) >> 56 & (BUCKETS - 1)];
}

static struct line *find(struct lineup *l, int64_t org)
{
	struct line *one;

	LIST_FOREACH(one, chain_of(l, org), chain)
		if (one->org == org)
			return one;
	return NULL;
}

static struct line *find_or_make(struct lineup *l, int64_t org)
{
	struct line *one = find(l, org);

	if (one)
		return one;
	one = xcalloc(1, sizeof *one);
	one->org = org;
	TAILQ_INIT(&one->waiters);
	LIST_INSERT_HEAD(chain_of(l, org), one, chain);
	return one;
}

/* Its turn comes after that of all others whose first may be taken now. */
static void line_changed(struct lineup *l, struct line *one)
{
	if (one->waiting == 0 && one->served == 0) {
		LIST_REMOVE(one, chain);
		free(one);
	} else if (one->waiting > 0 && one->served < l->at_once && !one->in_ring) {
		one->in_ring = true;
		TAILQ_INSERT_TAIL(&l->ring, one, turn);
		pthread_cond_signal(&l->changed);
	}
}

bool lineup_push(struct lineup *l, struct waiter *w, int64_t org)
{
	struct line *one;
	bool pushed;

	pthread_mutex_lock(&l->mutex);
	one = find_or_make(l, org);
	pushed = !l->closed && l->waiting < l->room && one->waiting < l->each;
	if (pushed) {
		w->org = org;
		TAILQ_INSERT_TAIL(&one->waiters, w, link);
		one->waiting++;
		l->waiting++;
	}
	line_changed(l, one);
	pthread_mutex_unlock(&l->mutex);
	return pushed;
}

struct waiter *lineup_take(struct lineup *l)
{
	struct waiter *w = NULL;
	struct line *one;

	pthread_mutex_lock(&l->mutex);
	/* What is not in the ring waits for one of its organization to be served. */
	while (TAILQ_EMPTY(&l->ring) && (!l->closed || l->waiting > 0))
		pthread_cond_wait(&l->changed, &l->mutex);
	one = TAILQ_FIRST(&l->ring);
	if (one) {
		TAILQ_REMOVE(&l->ring, one, turn);
		one->in_ring = false;
		w = TAILQ_FIRST(&one->waiters);
		TAILQ_REMOVE(&one->waiters, w, link);
		one->waiting--;
		l->waiting--;
		one->served++;
		line_changed(l, one);
		if (l->closed && l->waiting == 0)
			pthread_cond_broadcast(&l->changed);
	}
	pthread_mutex_unlock(&l->mutex);
	return w;
}

void lineup_served(struct lineup *l, int64_t org)
{
	struct line *one;

	pthread_mutex_lock(&l->mutex);
	one = find(l, org);
	one->served--;
	line_changed(l, one);
	pthread_mutex_unlock(&l->mutex);
}

void lineup_close(struct lineup *l)
{
	pthread_mutex_lock(&l->mutex);
	l->closed = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->mutex);
}
