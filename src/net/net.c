/* The thread over libcurl. It sleeps in epoll and tells libcurl which sockets are ready
 * (curl_multi_socket_action): with ten thousand requests waiting, curl_multi_poll and
 * curl_multi_perform would look at every one of them each time a single answer arrives.
 *
 * Two multi handles, because libcurl walks all connections to a host when it looks for one
 * to reuse: the ones that wait for minutes (`once`, never reused) are not in the way of the
 * short ones. They share addresses and TLS sessions, nothing else. */
#include "callgate/net.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "callgate/clock.h"
#include "callgate/heap.h"
#include "callgate/mem.h"
#include "host.h"
#include "names.h"

enum { LANE_REUSE, LANE_ONCE, LANE_COUNT };

#define EVENTS_MAX   256
#define WAKE_DATA    UINT64_MAX
#define SLEEP_MAX_MS 60000
#define EXPIRE_MS    250       /* how often waiting requests are looked through */
#define LEAST_MS     100       /* with less left a request is not begun */

struct task {
	struct heap_node timer;         /* first; mono ms. Used by those for later, `next` by the others */
	struct task     *next;
	int64_t          at;
	net_task_fn     *fn;
	void            *arg;
};

struct lane {
	struct net *net;
	CURLM      *multi;
	int64_t     due;                /* libcurl's timer, mono ms; INT64_MAX: none */
	int         running;
};

struct net {
	struct net_config    config;
	char                *ca_file, *user_agent;
	pthread_t            thread;
	int                  epoll, wake;
	CURLSH              *share;
	struct lane          lanes[LANE_COUNT];
	struct transfer_list transfers;         /* begun */
	struct host_list     hosts;
	struct names        *names;
	bool                 expiring;          /* a look at those that wait is due */
	struct heap          timers;

	pthread_mutex_t      mutex;             /* everything below */
	struct task         *first, **last;
	bool                 woken;
	bool                 stopping;
	int                  under_way;         /* queued ones included */
};

/* ── tasks ──────────────────────────────────────────────────────────────────────── */

static void wake(struct net *n)
{
	uint64_t one = 1;

	/* It can only fail when the counter is full, and then the thread is awake. */
	if (write(n->wake, &one, sizeof one) < 0)
		return;
}

static void push(struct net *n, int64_t at, net_task_fn *fn, void *arg)
{
	struct task *t = xcalloc(1, sizeof *t);
	bool sleeping;

	t->at = at;
	t->fn = fn;
	t->arg = arg;
	pthread_mutex_lock(&n->mutex);
	*n->last = t;
	n->last = &t->next;
	sleeping = !n->woken;
	n->woken = true;
	pthread_mutex_unlock(&n->mutex);
	if (sleeping && !pthread_equal(pthread_self(), n->thread))
		wake(n);
}

void net_run(struct net *n, net_task_fn *fn, void *arg)
{
	push(n, 0, fn, arg);
}

void net_after(struct net *n, int delay_ms, net_task_fn *fn, void *arg)
{
	push(n, mono_ms() + (delay_ms > 0 ? delay_ms : 0), fn, arg);
}

static struct task *take_tasks(struct net *n, bool *stopping)
{
	struct task *tasks;

	pthread_mutex_lock(&n->mutex);
	tasks = TAKE(n->first);
	n->last = &n->first;
	n->woken = false;
	*stopping = n->stopping;
	pthread_mutex_unlock(&n->mutex);
	return tasks;
}

static void run_tasks(struct task *t)
{
	for (struct task *next; t; t = next) {
		next = t->next;
		t->fn(t->arg);
		free(t);
	}
}

/* Those for now run in their order; those for later go to the heap. */
static void sort_tasks(struct net *n, struct task *t)
{
	struct task *now = NULL, **end = &now;

	for (struct task *next; t; t = next) {
		next = t->next;
		t->next = NULL;
		if (t->at) {
			heap_set(&n->timers, &t->timer, t->at);
			continue;
		}
		*end = t;
		end = &t->next;
	}
	run_tasks(now);
}

static void run_timers(struct net *n)
{
	int64_t now = mono_ms();
	struct heap_node *first;

	while ((first = heap_first(&n->timers)) && first->key <= now) {
		struct task *t = (struct task *)(void *)first;  /* its first member */

		heap_remove(&n->timers, first);
		t->next = NULL;
		run_tasks(t);
	}
}

/* ── libcurl ────────────────────────────────────────────────────────────────────── */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct lane *l = arg;
	struct net *n = l->net;
	struct epoll_event ev = { .data.u64 = (uint64_t)(l - n->lanes) << 32 | (uint32_t)fd };

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(n->epoll, EPOLL_CTL_DEL, fd, &ev);
		return 0;
	}
	if (what & CURL_POLL_IN)
		ev.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		ev.events |= EPOLLOUT;
	if (epoll_ctl(n->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) < 0 &&
	    epoll_ctl(n->epoll, errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &ev) < 0)
		return -1;
	curl_multi_assign(l->multi, fd, l);
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct lane *l = arg;

	(void)multi;
	l->due = timeout_ms < 0 ? INT64_MAX : mono_ms() + timeout_ms;
	return 0;
}

/* The pool keeps `idle_connections` beside the busy ones: libcurl counts both, and would
 * otherwise shut the idle ones as soon as many are busy. */
static void settle_pool(struct lane *l)
{
	curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)(l->running + l->net->config.idle_connections + 1));
}

/* Tells, and frees. */
static void conclude(struct net *n, struct transfer *t, CURLcode rc)
{
	struct net_answer a;

	pthread_mutex_lock(&n->mutex);
	n->under_way--;
	pthread_mutex_unlock(&n->mutex);
	transfer_judge(t, rc, &a);
	t->done(t->arg, &a);
	transfer_free(t);
}

/* False: it has ended at once. */
static bool begin(struct net *n, struct transfer *t)
{
	struct lane *l = &n->lanes[t->lane];
	int64_t left = t->until_ms - mono_ms();

	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)(left > 0 ? left : 1));
	curl_easy_setopt(t->easy, CURLOPT_SHARE, n->share);
	l->running++;
	settle_pool(l);
	if (curl_multi_add_handle(l->multi, t->easy) == CURLM_OK) {
		LIST_INSERT_HEAD(&n->transfers, t, link);
		return true;
	}
	l->running--;
	settle_pool(l);
	conclude(n, t, CURLE_FAILED_INIT);
	return false;
}

static void expire_soon(struct net *n);

/* Its turn has come: it is begun once it is known where its host is. False: it has ended at once,
 * and its place is free. */
static bool go(struct net *n, struct transfer *t)
{
	switch (names_ask(n->names, t)) {
	case NAMES_KNOWN:
		return begin(n, t);
	case NAMES_WAITS:
		t->name_until_ms = mono_ms() + t->connect_timeout_ms;
		expire_soon(n);
		return true;
	case NAMES_FULL:
		break;
	}
	conclude(n, t, CURLE_COULDNT_RESOLVE_HOST);
	return false;
}

/* Gives a place to the next. With no time left that would be sent only to be given up. */
static void pass_on(struct net *n, struct host *h)
{
	struct transfer *next;

	while (h && (next = host_leave(h))) {
		if (next->until_ms - mono_ms() < LEAST_MS)
			conclude(n, next, CURLE_OPERATION_TIMEDOUT);
		else if (go(n, next))
			break;
	}
}

static void finish(struct net *n, struct transfer *t, CURLcode rc)
{
	struct lane *l = &n->lanes[t->lane];

	LIST_REMOVE(t, link);
	curl_multi_remove_handle(l->multi, t->easy);
	l->running--;
	settle_pool(l);
	pass_on(n, t->host);
	conclude(n, t, rc);
}

static void named(void *arg, struct transfer *t, bool found)
{
	struct net *n = arg;
	struct host *h = t->host;

	if (found && begin(n, t))
		return;
	if (!found)
		conclude(n, t, CURLE_COULDNT_RESOLVE_HOST);
	pass_on(n, h);
}

/* What waits does so within its own time, whoever is in its way. It never left. */
static void expire(void *arg)
{
	struct net *n = arg;
	struct host *h;
	struct transfer *t;
	bool some_wait = false;

	n->expiring = false;
	LIST_FOREACH(h, &n->hosts, link) {
		while ((t = host_expired(h, mono_ms())))
			conclude(n, t, CURLE_OPERATION_TIMEDOUT);
		some_wait |= !STAILQ_EMPTY(&h->waiting);
	}
	while ((t = names_expired(n->names, mono_ms())))
		named(n, t, false);
	if (some_wait || names_awaited(n->names))
		expire_soon(n);
}

static void expire_soon(struct net *n)
{
	if (!n->expiring)
		net_after(n, EXPIRE_MS, expire, n);
	n->expiring = true;
}

static void collect(struct net *n, struct lane *l)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(l->multi, &left))) {
		struct transfer *t = NULL;

		if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t) == CURLE_OK)
			finish(n, t, m->data.result);
	}
}

struct start {
	struct net      *net;
	struct transfer *transfer;
};

static void start(void *arg)
{
	struct start *s = arg;
	struct net *n = s->net;
	struct transfer *t = s->transfer;
	struct host *h;

	free(s);
	if (t->lane == LANE_REUSE)
		t->host = host_of(&n->hosts, t->url);
	h = t->host;
	if (h && !host_enter(h, t))
		expire_soon(n);
	else if (!go(n, t))
		pass_on(n, h);
}

static void kick(struct net *n, int64_t now)
{
	int running;

	for (struct lane *l = n->lanes; l < n->lanes + LANE_COUNT; l++) {
		if (l->due > now)
			continue;
		l->due = INT64_MAX;
		curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		collect(n, l);
	}
}

/* ── the loop ───────────────────────────────────────────────────────────────────── */

static int sleep_ms(const struct net *n)
{
	int64_t due = mono_ms() + SLEEP_MAX_MS, now = mono_ms();
	struct heap_node *first = heap_first(&n->timers);

	if (first && first->key < due)
		due = first->key;
	for (const struct lane *l = n->lanes; l < n->lanes + LANE_COUNT; l++)
		if (l->due < due)
			due = l->due;
	return due > now ? (int)(due - now) : 0;
}

static void socket_ready(struct net *n, const struct epoll_event *ev)
{
	struct lane *l = &n->lanes[ev->data.u64 >> 32];
	int running, what = 0;

	if (ev->events & (EPOLLIN | EPOLLHUP))
		what |= CURL_CSELECT_IN;
	if (ev->events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (ev->events & EPOLLERR)
		what |= CURL_CSELECT_ERR;
	curl_multi_socket_action(l->multi, (curl_socket_t)(uint32_t)ev->data.u64, what, &running);
	collect(n, l);
}

static bool tasks_wait(struct net *n)
{
	bool waiting;

	pthread_mutex_lock(&n->mutex);
	waiting = n->first != NULL || n->stopping;
	pthread_mutex_unlock(&n->mutex);
	return waiting;
}

static void wait_and_serve(struct net *n)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(n->epoll, events, EVENTS_MAX, tasks_wait(n) ? 0 : sleep_ms(n));
	uint64_t woken;

	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 != WAKE_DATA)
			socket_ready(n, &events[i]);
		else if (read(n->wake, &woken, sizeof woken) < 0)
			continue;       /* somebody else's wake; nothing lost */
	}
}

static void *run(void *arg)
{
	struct net *n = arg;
	bool stopping = false;
	sigset_t pipe;

	/* A library may write to a socket that is gone; that is an error, not our end. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	while (!stopping) {
		sort_tasks(n, take_tasks(n, &stopping));
		if (stopping)
			break;
		run_timers(n);
		kick(n, mono_ms());
		wait_and_serve(n);
	}
	return NULL;
}

/* ── public ─────────────────────────────────────────────────────────────────────── */

static void init_libcurl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool open_lane(struct net *n, int which)
{
	struct lane *l = &n->lanes[which];

	l->net = n;
	l->due = INT64_MAX;
	l->multi = curl_multi_init();
	if (!l->multi)
		return false;
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
	settle_pool(l);
	return true;
}

/* Both lanes run in one thread: no locks. */
static bool open_share(struct net *n)
{
	n->share = curl_share_init();
	return n->share &&
	       curl_share_setopt(n->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
	       curl_share_setopt(n->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK;
}

static void release(struct net *n)
{
	struct transfer *t;
	struct task *task;
	struct host *h;

	LIST_FOREACH(h, &n->hosts, link)
		while ((t = host_take(h)))
			transfer_free(t);
	while ((t = names_take(n->names))) {
		if (t->host)
			host_leave(t->host);
		transfer_free(t);
	}
	names_free(n->names);
	while ((t = LIST_FIRST(&n->transfers))) {
		LIST_REMOVE(t, link);
		curl_multi_remove_handle(n->lanes[t->lane].multi, t->easy);
		if (t->host)
			host_leave(t->host);
		transfer_free(t);
	}
	while ((task = TAKE(n->first))) {
		n->first = task->next;
		if (task->fn == start) {
			transfer_free(((struct start *)task->arg)->transfer);
			free(task->arg);
		} else if (task->fn == names_told) {
			names_forget(task->arg);
		}
		free(task);
	}
	while (heap_first(&n->timers)) {
		task = (struct task *)(void *)heap_first(&n->timers);
		heap_remove(&n->timers, &task->timer);
		free(task);
	}
	heap_done(&n->timers);
	for (int i = 0; i < LANE_COUNT; i++)
		curl_multi_cleanup(n->lanes[i].multi);
	curl_share_cleanup(n->share);
	if (n->epoll >= 0)
		close(n->epoll);
	if (n->wake >= 0)
		close(n->wake);
	pthread_mutex_destroy(&n->mutex);
	free(n->ca_file);
	free(n->user_agent);
	free(n);
}

static bool open_all(struct net *n)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = WAKE_DATA };

	n->epoll = epoll_create1(EPOLL_CLOEXEC);
	n->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return n->epoll >= 0 && n->wake >= 0 && epoll_ctl(n->epoll, EPOLL_CTL_ADD, n->wake, &ev) == 0 &&
	       open_share(n) && open_lane(n, LANE_REUSE) && open_lane(n, LANE_ONCE);
}

enum err net_new(const struct net_config *c, struct net **out, struct errinfo *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct net *n = xcalloc(1, sizeof *n);
	int rc;

	pthread_once(&once, init_libcurl);
	n->config = *c;
	n->config.ca_file = n->ca_file = c->ca_file ? xstrdup(c->ca_file) : NULL;
	n->config.user_agent = n->user_agent = c->user_agent ? xstrdup(c->user_agent) : NULL;
	n->last = &n->first;
	n->epoll = n->wake = -1;
	n->names = names_new(n, named, n);
	LIST_INIT(&n->transfers);
	LIST_INIT(&n->hosts);
	pthread_mutex_init(&n->mutex, NULL);
	if (!open_all(n)) {
		release(n);
		return err_set(e, ERR_INTERNAL, "asking over HTTP cannot start: %s", strerror(errno));
	}
	rc = pthread_create(&n->thread, NULL, run, n);
	if (rc) {
		release(n);
		return err_set(e, ERR_INTERNAL, "the net's thread: %s", strerror(rc));
	}
	*out = n;
	return OK;
}

void net_free(struct net *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->mutex);
	n->stopping = true;
	pthread_mutex_unlock(&n->mutex);
	wake(n);
	pthread_join(n->thread, NULL);
	release(n);
}

static bool take_place(struct net *n)
{
	bool room;

	pthread_mutex_lock(&n->mutex);
	room = n->under_way < n->config.max_requests;
	n->under_way += room;
	pthread_mutex_unlock(&n->mutex);
	return room;
}

enum err net_send(struct net *n, const struct net_request *rq, struct errinfo *e)
{
	struct transfer *t;
	struct start *s;

	if (!take_place(n))
		return err_set(e, ERR_LIMIT, "%d requests are under way already", n->config.max_requests);
	t = transfer_new(rq, &n->config);
	if (!t) {
		pthread_mutex_lock(&n->mutex);
		n->under_way--;
		pthread_mutex_unlock(&n->mutex);
		return err_set(e, ERR_LIMIT, "libcurl has no memory for a request");
	}
	t->lane = rq->once ? LANE_ONCE : LANE_REUSE;
	s = xmalloc(sizeof *s);
	*s = (struct start){ n, t };
	net_run(n, start, s);
	return OK;
}
