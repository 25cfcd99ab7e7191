/* The bounded queue: a ring under one mutex. A lock-free ring would save little (a
 * consumer takes whole batches, a producer holds the lock for a few instructions), and
 * sleeping without losing a wake-up is what a condition variable is for. */
#include "callgate/queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "callgate/mem.h"

struct queue {
	pthread_mutex_t mutex;
	pthread_cond_t  filled;         /* an item came, or the queue was closed */
	size_t          capacity;
	size_t          head;           /* the oldest item                       */
	size_t          len;
	size_t          waiting;        /* consumers asleep: a push without any needs no signal */
	bool            closed;
	void           *items[];
};

struct queue *queue_new(size_t capacity)
{
	pthread_condattr_t attr;
	struct queue *q;

	assert(capacity > 0 && capacity < SIZE_MAX / sizeof(void *) / 2);
	q = xcalloc(1, sizeof *q + capacity * sizeof *q->items);
	q->capacity = capacity;
	pthread_mutex_init(&q->mutex, NULL);
	/* A wait must not stretch or end because somebody sets the wall clock. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->filled, &attr);
	pthread_condattr_destroy(&attr);
	return q;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	pthread_cond_destroy(&q->filled);
	pthread_mutex_destroy(&q->mutex);
	free(q);
}

bool queue_push(struct queue *q, void *item)
{
	bool pushed;

	pthread_mutex_lock(&q->mutex);
	pushed = !q->closed && q->len < q->capacity;
	if (pushed) {
		q->items[(q->head + q->len) % q->capacity] = item;
		q->len++;
		if (q->waiting > 0)
			pthread_cond_signal(&q->filled);
	}
	pthread_mutex_unlock(&q->mutex);
	return pushed;
}

static struct timespec deadline_after(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* With the mutex held: returns when something is there, the queue is closed, or the
 * time is up. */
static void wait_for_items(struct queue *q, int timeout_ms)
{
	struct timespec deadline;
	int err = 0;

	if (q->len > 0 || q->closed || timeout_ms == 0)
		return;
	if (timeout_ms > 0)
		deadline = deadline_after(timeout_ms);
	q->waiting++;
	while (q->len == 0 && !q->closed && err != ETIMEDOUT) {
		if (timeout_ms < 0)
			pthread_cond_wait(&q->filled, &q->mutex);
		else
			err = pthread_cond_timedwait(&q->filled, &q->mutex, &deadline);
	}
	q->waiting--;
}

size_t queue_take(struct queue *q, void **out, size_t max, int timeout_ms)
{
	size_t n;

	pthread_mutex_lock(&q->mutex);
	wait_for_items(q, timeout_ms);
	n = q->len < max ? q->len : max;
	for (size_t i = 0; i < n; i++) {
		out[i] = q->items[q->head];
		q->head = (q->head + 1) % q->capacity;
	}
	q->len -= n;
	pthread_mutex_unlock(&q->mutex);
	return n;
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	q->closed = true;
	pthread_cond_broadcast(&q->filled);
	pthread_mutex_unlock(&q->mutex);
}

bool queue_closed(struct queue *q)
{
	bool closed;

	pthread_mutex_lock(&q->mutex);
	closed = q->closed && q->len == 0;
	pthread_mutex_unlock(&q->mutex);
	return closed;
}

size_t queue_len(struct queue *q)
{
	size_t len;

	pthread_mutex_lock(&q->mutex);
	len = q->len;
	pthread_mutex_unlock(&q->mutex);
	return len;
}
