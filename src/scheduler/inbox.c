/* The inbox: an array that the producers fill and the consumer takes away whole. */
#include "inbox.h"

#include <stdlib.h>

#include "callgate/mem.h"

void inbox_init(struct inbox *b, size_t max)
{
	*b = (struct inbox){ .max = max };
	pthread_mutex_init(&b->mutex, NULL);
	pthread_cond_init(&b->room, NULL);
}

void inbox_done(struct inbox *b)
{
	free(b->in);
	pthread_cond_destroy(&b->room);
	pthread_mutex_destroy(&b->mutex);
}

bool inbox_push(struct inbox *b, const struct provider_event *ev)
{
	bool first;

	pthread_mutex_lock(&b->mutex);
	while (b->n >= b->max && !b->closed)
		pthread_cond_wait(&b->room, &b->mutex);
	first = b->n == 0;
	if (b->n < b->max) {
		if (b->n == b->size) {
			b->size = b->size ? b->size * 2 : 16;
			b->in = xrealloc(b->in, b->size, sizeof *b->in);
		}
		b->in[b->n++] = *ev;
	}
	pthread_mutex_unlock(&b->mutex);
	return first;
}

struct provider_event *inbox_take(struct inbox *b, size_t *n)
{
	struct provider_event *taken;

	pthread_mutex_lock(&b->mutex);
	taken = TAKE(b->in);
	*n = b->n;
	b->n = b->size = 0;
	pthread_cond_broadcast(&b->room);
	pthread_mutex_unlock(&b->mutex);
	return taken;
}

void inbox_close(struct inbox *b)
{
	pthread_mutex_lock(&b->mutex);
	b->closed = true;
	pthread_cond_broadcast(&b->room);
	pthread_mutex_unlock(&b->mutex);
}
