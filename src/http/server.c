/* The server as a whole: its threads, its start and its end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "listen.h"
#include "mailbox.h"
#include "thread.h"

static enum err check(const struct http_config *c, struct errinfo *e)
{
	if (c->threads < 1 || c->threads > THREADS_MAX)
		return err_set(e, ERR_INVALID, "I/O threads: 1 to %d", THREADS_MAX);
	if (c->max_connections < c->threads)
		return err_set(e, ERR_INVALID, "connections: at least one per I/O thread");
	if (c->idle_timeout_ms < 1 || c->answer_timeout_ms < 1)
		return err_set(e, ERR_INVALID, "timeouts must be positive");
	return OK;
}

/* Every connection is a descriptor. What the process may raise it raises; where that is
 * not enough, fewer connections are better than accept() failing for ever. */
static int fit_descriptors(int connections)
{
	struct rlimit lim;
	int64_t room;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return connections;
	if (lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
			getrlimit(RLIMIT_NOFILE, &lim);
	}
	if (lim.rlim_cur >= (rlim_t)connections + RESERVED_DESCRIPTORS)
		return connections;
	room = (int64_t)lim.rlim_cur - RESERVED_DESCRIPTORS;
	if (room < 64)
		room = 64;
	if (room >= connections)
		return connections;
	LOG_WARN("http.connections_capped", LOG_INT("wanted", connections), LOG_INT("possible", room),
	         LOG_INT("descriptors", (int64_t)lim.rlim_cur));
	return (int)room;
}

static void server_free(struct http_server *s)
{
	for (int i = 0; i < s->thread_count; i++)
		thread_close(&s->thread[i]);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static void server_freep(struct http_server **s)
{
	if (*s)
		http_stop(*s, 0);
}

static struct http_server *server_new(const struct http_config *c, const struct http_ops *ops,
                                      void *arg, const int *listen_fds)
{
	struct http_server *s = xcalloc(1, sizeof *s + (size_t)c->threads * sizeof s->thread[0]);

	s->ops = *ops;
	s->arg = arg;
	s->idle_timeout_ms = c->idle_timeout_ms;
	s->answer_timeout_ms = c->answer_timeout_ms;
	s->thread_count = c->threads;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->changed, NULL);
	for (int i = 0; i < c->threads; i++)
		thread_init(&s->thread[i], s, listen_fds[i]);
	return s;
}

enum err http_start(const struct http_config *c, const struct http_ops *ops, void *arg,
                    struct http_server **out, struct errinfo *e)
{
	CLEANUP(server_freep) struct http_server *s = NULL;
	int fds[THREADS_MAX];
	int connections, port;
	enum err err;

	err = check(c, e);
	if (err)
		return err;
	err = listen_open(c->listen, c->threads, fds, &port, e);
	if (err)
		return err;
	connections = fit_descriptors(c->max_connections);
	s = server_new(c, ops, arg, fds);
	s->port = port;
	for (int i = 0; i < c->threads && !err; i++)
		err = thread_open(&s->thread[i], (connections + c->threads - 1) / c->threads, e);
	for (int i = 0; i < c->threads && !err; i++)
		err = thread_start(&s->thread[i], e);
	if (err)
		return err;
	*out = TAKE(s);
	return OK;
}

int http_port(const struct http_server *s)
{
	return s->port;
}

int64_t http_in_hand(struct http_server *s)
{
	int64_t n = 0;

	for (int i = 0; i < s->thread_count; i++)
		n += atomic_load_explicit(&s->thread[i].in_hand, memory_order_relaxed);
	return n;
}

static int running(const struct http_server *s)
{
	int n = 0;

	for (int i = 0; i < s->thread_count; i++)
		n += s->thread[i].started;
	return n;
}

static void enter(struct http_server *s, enum server_phase phase)
{
	atomic_store_explicit(&s->phase, phase, memory_order_release);
	for (int i = 0; i < s->thread_count; i++)
		if (s->thread[i].started)
			mailbox_wake(s->thread[i].box);
}

void http_quiesce(struct http_server *s)
{
	if (atomic_load(&s->phase) != PHASE_RUN)
		return;
	enter(s, PHASE_QUIESCE);
	/* The threads never wait for anything, so neither do we for long. */
	pthread_mutex_lock(&s->mutex);
	while (s->quiesced < running(s))
		pthread_cond_wait(&s->changed, &s->mutex);
	pthread_mutex_unlock(&s->mutex);
}

void http_stop(struct http_server *s, int grace_ms)
{
	if (!s)
		return;
	http_quiesce(s);
	s->grace_end_ms = mono_ms() + (grace_ms > 0 ? grace_ms : 0);
	enter(s, PHASE_STOP);
	for (int i = 0; i < s->thread_count; i++)
		if (s->thread[i].started)
			pthread_join(s->thread[i].tid, NULL);
	server_free(s);
}
