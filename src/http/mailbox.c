/* Finished answers on their way to the I/O thread. */
#include "mailbox.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "callgate/mem.h"
#include "exchange.h"

struct mailbox {
	pthread_mutex_t  mutex;
	struct exchange *first;
	struct exchange *last;
	int              count;
	bool             sleeping;      /* the owner needs the eventfd          */
	bool             closed;
	int              orphans;       /* once closed: answers still to come   */
	int              fd;

	pthread_t        owner;
	struct exchange *calling;       /* owner only: inside ops.request       */
};

struct mailbox *mailbox_new(void)
{
	struct mailbox *m;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return NULL;
	m = xcalloc(1, sizeof *m);
	pthread_mutex_init(&m->mutex, NULL);
	m->fd = fd;
	return m;
}

static void mailbox_free(struct mailbox *m)
{
	pthread_mutex_destroy(&m->mutex);
	free(m);
}

int mailbox_fd(const struct mailbox *m)
{
	return m->fd;
}

void mailbox_adopt(struct mailbox *m)
{
	m->owner = pthread_self();
}

void mailbox_calling(struct mailbox *m, struct exchange *x)
{
	m->calling = x;
}

bool mailbox_called(struct mailbox *m)
{
	bool answered = m->calling == NULL;

	m->calling = NULL;
	return answered;
}

bool mailbox_answers_at_once(struct mailbox *m, struct exchange *x)
{
	if (!pthread_equal(m->owner, pthread_self()) || m->calling != x)
		return false;
	m->calling = NULL;
	return true;
}

static struct exchange *take_all(struct mailbox *m)
{
	struct exchange *x = m->first;

	m->first = m->last = NULL;
	m->count = 0;
	return x;
}

struct exchange *mailbox_take(struct mailbox *m, bool may_sleep)
{
	struct exchange *x;

	pthread_mutex_lock(&m->mutex);
	x = take_all(m);
	m->sleeping = !x && may_sleep;
	pthread_mutex_unlock(&m->mutex);
	return x;
}

/* Inside the mutex: after it, the owner might have ended and closed the descriptor. */
static void ring(struct mailbox *m)
{
	uint64_t one = 1;
	ssize_t n;

	m->sleeping = false;
	n = write(m->fd, &one, sizeof one);
	(void)n;                /* it can only fail when it already counts 2^64 - 2 */
}

/* With the mutex held, which it lets go: nobody waits for this answer any more. */
static void bury(struct mailbox *m, struct exchange *x)
{
	bool last = --m->orphans == 0;

	pthread_mutex_unlock(&m->mutex);
	exchange_free(x);
	if (last)
		mailbox_free(m);
}

void mailbox_post(struct mailbox *m, struct exchange *x)
{
	x->next = NULL;
	pthread_mutex_lock(&m->mutex);
	if (m->closed) {
		bury(m, x);
		return;
	}
	if (m->last)
		m->last->next = x;
	else
		m->first = x;
	m->last = x;
	m->count++;
	if (m->sleeping)
		ring(m);
	pthread_mutex_unlock(&m->mutex);
}

void mailbox_wake(struct mailbox *m)
{
	pthread_mutex_lock(&m->mutex);
	ring(m);
	pthread_mutex_unlock(&m->mutex);
}

struct exchange *mailbox_close(struct mailbox *m, int out)
{
	struct exchange *x;
	bool unused;

	pthread_mutex_lock(&m->mutex);
	m->orphans = out - m->count;
	x = take_all(m);
	m->closed = true;
	unused = m->orphans == 0;
	close(m->fd);
	pthread_mutex_unlock(&m->mutex);
	if (unused)
		mailbox_free(m);
	return x;
}
