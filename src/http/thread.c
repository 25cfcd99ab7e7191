/* The loop of an I/O thread. It sleeps in its own epoll set and nowhere else; the daemon
 * is only ever run with timeout 0, so the library never waits (its own loop would stall
 * at 128 ready connections). The order matters: run the daemon, look into the mailbox,
 * sleep only if both have nothing. */
#include "thread.h"

#include <errno.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "callgate/clock.h"
#include "callgate/digest.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "complaint.h"
#include "mailbox.h"

#define EVENTS 32

static int daemon_fd(const struct io_thread *t)
{
	return MHD_get_daemon_info(t->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

static bool watch(const struct io_thread *t, int fd, unsigned events, void *data)
{
	struct epoll_event ev = { .events = events, .data.ptr = data };

	return epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0;
}

void thread_init(struct io_thread *t, struct http_server *s, int listen_fd)
{
	t->server = s;
	t->listen_fd = listen_fd;
	t->epoll_fd = -1;
	link_init(&t->waiting);
	link_init(&t->held);
	link_init(&t->leaving);
	link_init(&t->heads);
	link_init(&t->chunks);
	linger_init(&t->lingering);
	random_bytes(t->id_seed, sizeof t->id_seed);
}

enum err thread_open(struct io_thread *t, int max_connections, struct errinfo *e)
{
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	t->box = mailbox_new();
	if (t->epoll_fd < 0 || !t->box)
		return err_set(e, ERR_UNAVAILABLE, "no epoll descriptor: %s", strerror(errno));
	t->daemon = handler_daemon(t, max_connections);
	if (!t->daemon)
		return err_set(e, ERR_UNAVAILABLE, "the HTTP daemon did not start");
	/* The mailbox is edge-triggered: every write is an event, and none needs reading. */
	if (!watch(t, daemon_fd(t), EPOLLIN, t) ||
	    !watch(t, mailbox_fd(t->box), EPOLLIN | EPOLLET, t->box))
		return err_set(e, ERR_UNAVAILABLE, "epoll: %s", strerror(errno));
	return OK;
}

/* True: the daemon has more to do at once. */
static bool run_daemon(struct io_thread *t)
{
	MHD_UNSIGNED_LONG_LONG ms;

	t->closed_one = false;
	t->round++;
	MHD_run(t->daemon);
	complaint_end_round(t);
	/* After a close the daemon may accept again where it was at its limit, but it only
	 * notices in its next run. */
	return t->closed_one || (MHD_get_timeout(t->daemon, &ms) == MHD_YES && ms == 0);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t next_deadline(const struct io_thread *t)
{
	int64_t next = linger_next_ms(&t->lingering);

	if (!link_alone(&t->waiting))
		next = earlier(next, LINK_OWNER(t->waiting.next, struct conn, link)->deadline_ms);
	if (!link_alone(&t->held))
		next = earlier(next, LINK_OWNER(t->held.next, struct exchange, held)->deadline_ms);
	if (!link_alone(&t->leaving))
		next = earlier(next, LINK_OWNER(t->leaving.next, struct conn, leaving)->nudge_ms);
	if (t->stopping && !link_alone(&t->held))
		next = earlier(next, t->server->grace_end_ms);
	if (t->drain_ms)
		next = earlier(next, t->drain_ms);
	return next;
}

static int sleep_ms(const struct io_thread *t)
{
	int64_t next = next_deadline(t);
	int64_t ms = next - mono_ms();

	if (next == INT64_MAX)
		return -1;
	if (ms <= 0)
		return 0;
	return ms < 60000 ? (int)ms : 60000;
}

static void look(struct io_thread *t, int timeout_ms)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(t->epoll_fd, ev, EVENTS, timeout_ms);

	t->now_ms = mono_ms();
	for (int i = 0; i < n; i++) {
		void *what = ev[i].data.ptr;

		if (what == t || what == t->box)
			continue;       /* looked after in every round anyway */
		if (linger_has(&t->lingering, what))
			linger_read(&t->lingering, what);
		else
			handler_left(t, what);
	}
}

/* The request is answered: back into the library's hands. */
static void resume(struct io_thread *t, struct exchange *x)
{
	link_remove(&x->held);
	atomic_fetch_sub_explicit(&t->in_hand, 1, memory_order_relaxed);
	x->stage = EXCHANGE_ANSWERED;
	handler_wait(t, x->conn);
	MHD_resume_connection(x->connection);
}

static void settle(struct io_thread *t, struct exchange *x)
{
	while (x) {
		struct exchange *next = x->next;

		t->out--;
		x->with_app = false;
		if (x->stage == EXCHANGE_HANDED)
			resume(t, x);
		else
			handler_release(t, x);  /* it came after its timeout */
		x = next;
	}
}

static void time_out_requests(struct io_thread *t)
{
	int64_t all_until = t->stopping ? t->server->grace_end_ms : INT64_MAX;

	while (!link_alone(&t->held)) {
		struct exchange *x = LINK_OWNER(t->held.next, struct exchange, held);

		if (t->now_ms < x->deadline_ms && t->now_ms < all_until)
			break;
		/* Not into x->reply: the handler may be writing there at this moment. */
		x->instead = xcalloc(1, sizeof *x->instead);
		t->server->ops.timed_out(t->server->arg, &x->rq, x->instead);
		resume(t, x);
	}
}

static void cut_idle_connections(struct io_thread *t)
{
	while (!link_alone(&t->waiting)) {
		struct conn *c = LINK_OWNER(t->waiting.next, struct conn, link);

		if (t->now_ms < c->deadline_ms)
			break;
		link_remove(&c->link);
		c->cut = true;
		shutdown(c->fd, SHUT_RDWR);     /* the library sees it and closes */
	}
}

/* Makes a new event of an old one, for the library: nothing else changes, since the
 * client sends no more. Again and again, as an event can be missed again. */
static void nudge(struct io_thread *t)
{
	while (!link_alone(&t->leaving)) {
		struct conn *c = LINK_OWNER(t->leaving.next, struct conn, leaving);

		if (t->now_ms < c->nudge_ms)
			break;
		shutdown(c->fd, SHUT_RD);
		handler_left(t, c);
	}
}

/* Connections that the kernel had completed already are still served: closing the
 * socket would reset them. */
static void quiesce(struct io_thread *t)
{
	struct http_server *s = t->server;
	int fd = MHD_quiesce_daemon(t->daemon);

	while (fd >= 0) {
		struct sockaddr_storage from;
		socklen_t len = sizeof from;
		int c = accept4(fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (c < 0)
			break;
		MHD_add_connection(t->daemon, c, (struct sockaddr *)&from, len);
	}
	if (fd >= 0)
		close(fd);
	t->listen_fd = -1;
	t->quiesced = true;
	pthread_mutex_lock(&s->mutex);
	s->quiesced++;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->mutex);
}

/* No more requests: what a connection has not sent yet will not be read. */
static void stop_reading(struct io_thread *t)
{
	for (struct link *l = t->waiting.next; l != &t->waiting; l = l->next)
		shutdown(LINK_OWNER(l, struct conn, link)->fd, SHUT_RD);
	t->stopping = true;
}

/* False: the thread is through. */
static bool go_on(struct io_thread *t)
{
	int phase = atomic_load_explicit(&t->server->phase, memory_order_acquire);

	if (phase >= PHASE_QUIESCE && !t->quiesced)
		quiesce(t);
	if (phase < PHASE_STOP)
		return true;
	if (!t->stopping)
		stop_reading(t);
	if (!link_alone(&t->held))
		return true;
	if (!t->drain_ms)
		t->drain_ms = t->now_ms + DRAIN_MS;
	return t->connections > 0 && t->now_ms < t->drain_ms;
}

static void loop(struct io_thread *t)
{
	bool busy, again = true;

	for (unsigned round = 0; again; round++) {
		struct exchange *answered;

		busy = run_daemon(t);
		answered = mailbox_take(t->box, !busy);
		if (!answered && !busy) {
			look(t, sleep_ms(t));
			answered = mailbox_take(t->box, false);
		} else if (t->lingering.count > 0 || round % 64 == 0) {
			look(t, 0);     /* what only our own set tells, under steady load too */
		}
		t->now_ms = mono_ms();
		/* Before answers are put back: what is resumed has to see one more run of the
		 * daemon, and the loop may only end when nothing is suspended. */
		again = go_on(t);
		settle(t, answered);
		time_out_requests(t);
		cut_idle_connections(t);
		nudge(t);
		linger_expire(&t->lingering, t->now_ms);
	}
}

static void *thread_main(void *arg)
{
	struct io_thread *t = arg;

	mailbox_adopt(t->box);
	t->now_ms = mono_ms();
	loop(t);
	t->ending = true;
	MHD_stop_daemon(t->daemon);
	t->daemon = NULL;
	return NULL;
}

enum err thread_start(struct io_thread *t, struct errinfo *e)
{
	sigset_t all, before;
	char name[16];
	int rc;

	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&t->tid, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return err_set(e, ERR_UNAVAILABLE, "no thread: %s", strerror(rc));
	t->started = true;
	snprintf(name, sizeof name, "http-%d", (int)(t - t->server->thread));
	pthread_setname_np(t->tid, name);
	return OK;
}

void thread_close(struct io_thread *t)
{
	struct exchange *x;

	if (t->daemon) {                        /* never started */
		MHD_stop_daemon(t->daemon);     /* closes the listening socket too */
		t->listen_fd = -1;
	}
	if (t->listen_fd >= 0)
		close(t->listen_fd);
	x = t->box ? mailbox_close(t->box, t->out) : NULL;
	while (x) {
		struct exchange *next = x->next;

		x->with_app = false;
		handler_release(t, x);
		x = next;
	}
	while (t->pool) {
		x = t->pool;
		t->pool = x->next;
		exchange_free(x);
	}
	linger_done(&t->lingering);
	if (t->epoll_fd >= 0)
		close(t->epoll_fd);
}
