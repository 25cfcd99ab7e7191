/* Reading on after an early answer. Few and short: plain loops over the slots. */
#include "linger.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void linger_init(struct lingering *l)
{
	for (int i = 0; i < LINGER_MAX; i++)
		l->one[i].fd = -1;
	l->count = 0;
}

static void drop(struct lingering *l, struct linger_one *one)
{
	close(one->fd);         /* leaves the epoll set with its last descriptor */
	one->fd = -1;
	l->count--;
}

void linger_done(struct lingering *l)
{
	for (int i = 0; i < LINGER_MAX; i++)
		if (l->one[i].fd >= 0)
			drop(l, &l->one[i]);
}

static struct linger_one *free_slot(struct lingering *l)
{
	for (int i = 0; i < LINGER_MAX; i++)
		if (l->one[i].fd < 0)
			return &l->one[i];
	return NULL;
}

void linger_add(struct lingering *l, int epoll_fd, int fd, int64_t now_ms)
{
	struct linger_one *one = l->count < LINGER_MAX ? free_slot(l) : NULL;
	struct epoll_event ev = { .events = EPOLLIN };

	if (!one)
		return;
	one->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (one->fd < 0)
		return;
	l->count++;
	one->until_ms = now_ms + LINGER_MS;
	one->bytes = 0;
	ev.data.ptr = one;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, one->fd, &ev) < 0)
		drop(l, one);
}

bool linger_has(const struct lingering *l, const void *one)
{
	const uintptr_t at = (uintptr_t)one;

	return at >= (uintptr_t)l->one && at < (uintptr_t)(l->one + LINGER_MAX);
}

void linger_read(struct lingering *l, struct linger_one *one)
{
	char scratch[16384];
	ssize_t n;

	if (one->fd < 0)
		return;
	n = recv(one->fd, scratch, sizeof scratch, MSG_DONTWAIT);
	if (n > 0)
		one->bytes += n;
	if (n <= 0 || one->bytes > LINGER_BYTES)
		drop(l, one);
}

void linger_expire(struct lingering *l, int64_t now_ms)
{
	for (int i = 0; i < LINGER_MAX && l->count > 0; i++)
		if (l->one[i].fd >= 0 && l->one[i].until_ms <= now_ms)
			drop(l, &l->one[i]);
}

int64_t linger_next_ms(const struct lingering *l)
{
	int64_t next = INT64_MAX;

	for (int i = 0; i < LINGER_MAX && l->count > 0; i++)
		if (l->one[i].fd >= 0 && l->one[i].until_ms < next)
			next = l->one[i].until_ms;
	return next;
}
