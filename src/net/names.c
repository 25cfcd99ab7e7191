/* See names.h. A thread that looks a name up may outlive the net: it holds on to a guard, which
 * says whether anybody still listens. */
#include "names.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/text.h"

#define ADDRESSES_BYTES 512     /* eight of the longest and more; libcurl tries some of them */

struct guard {
	pthread_mutex_t mutex;
	struct names   *names;          /* NULL: nobody listens any more */
	int             refs;
};

struct name {
	char                 *host;
	char                 *addresses;        /* "192.0.2.1,[2001:db8::1]"; NULL: none are known */
	int64_t               found_ms;
	bool                  looking;
	struct transfer_queue waiting;
	LIST_ENTRY(name)      link;
};
LIST_HEAD(name_list, name);

struct names {
	struct net      *net;
	names_done_fn   *done;
	void            *arg;
	struct guard    *guard;
	struct name_list list;
	int              n, n_looking, n_waiting;
};

struct lookup {
	struct guard *guard;
	char         *host;
	int           rc;               /* of getaddrinfo() */
	char          addresses[ADDRESSES_BYTES];
};

/* ── the guard ──────────────────────────────────────────────────────────────────── */

static void guard_leave(struct guard *g)
{
	bool last;

	pthread_mutex_lock(&g->mutex);
	last = --g->refs == 0;
	pthread_mutex_unlock(&g->mutex);
	if (!last)
		return;
	pthread_mutex_destroy(&g->mutex);
	free(g);
}

static void guard_enter(struct guard *g)
{
	pthread_mutex_lock(&g->mutex);
	g->refs++;
	pthread_mutex_unlock(&g->mutex);
}

/* ── a lookup, on a thread of its own ───────────────────────────────────────────── */

static void add_address(struct lookup *l, const struct addrinfo *ai)
{
	char text[INET6_ADDRSTRLEN];
	size_t len = strlen(l->addresses);
	bool six = ai->ai_family == AF_INET6;
	const void *address = six ? (const void *)&((const struct sockaddr_in6 *)(const void *)ai->ai_addr)->sin6_addr
	                          : (const void *)&((const struct sockaddr_in *)(const void *)ai->ai_addr)->sin_addr;

	/* A comma, brackets and NUL. */
	if ((six || ai->ai_family == AF_INET) && inet_ntop(ai->ai_family, address, text, sizeof text) &&
	    len + strlen(text) + 4 <= sizeof l->addresses)
		sprintf(l->addresses + len, "%s%s%s%s", len ? "," : "", six ? "[" : "", text, six ? "]" : "");
}

static void *look_up(void *arg)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct lookup *l = arg;
	struct guard *g = l->guard;
	struct addrinfo *found = NULL;

	l->rc = getaddrinfo(l->host, NULL, &hints, &found);
	for (const struct addrinfo *ai = found; !l->rc && ai; ai = ai->ai_next)
		add_address(l, ai);
	if (!l->rc)
		freeaddrinfo(found);
	pthread_mutex_lock(&g->mutex);
	if (g->names)
		net_run(g->names->net, names_told, l);
	else
		names_forget(l);
	pthread_mutex_unlock(&g->mutex);
	guard_leave(g);
	return NULL;
}

void names_forget(void *lookup)
{
	struct lookup *l = lookup;

	free(l->host);
	free(l);
}

static bool begin_lookup(struct names *ns, struct name *name)
{
	struct lookup *l;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (ns->n_looking == LOOKUPS_MAX)
		return false;
	l = xcalloc(1, sizeof *l);
	l->guard = ns->guard;
	l->host = xstrdup(name->host);
	guard_enter(ns->guard);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, look_up, l);
	pthread_attr_destroy(&attr);
	if (rc) {
		guard_leave(ns->guard);
		names_forget(l);
		return false;
	}
	name->looking = true;
	ns->n_looking++;
	return true;
}

/* ── the list ───────────────────────────────────────────────────────────────────── */

static struct name *find(const struct names *ns, const char *host)
{
	struct name *name;

	LIST_FOREACH(name, &ns->list, link)
		if (str_eq(name->host, host))
			return name;
	return NULL;
}

static void drop(struct names *ns, struct name *name)
{
	LIST_REMOVE(name, link);
	ns->n--;
	free(name->host);
	free(name->addresses);
	free(name);
}

/* Is it of use to anybody? */
static bool is_idle(const struct name *name, int64_t now)
{
	return !name->looking && (!name->addresses || now - name->found_ms >= NAME_OLD_MS);
}

/* NULL: there is no room. */
static struct name *make(struct names *ns, const char *host)
{
	struct name *name, *next;

	for (name = LIST_FIRST(&ns->list); ns->n == NAMES_MAX && name; name = next) {
		next = LIST_NEXT(name, link);
		if (is_idle(name, mono_ms()))
			drop(ns, name);
	}
	if (ns->n == NAMES_MAX)
		return NULL;
	name = xcalloc(1, sizeof *name);
	name->host = xstrdup(host);
	STAILQ_INIT(&name->waiting);
	LIST_INSERT_HEAD(&ns->list, name, link);
	ns->n++;
	return name;
}

/* ── asking ─────────────────────────────────────────────────────────────────────── */

static enum names_answer refuse(struct transfer *t)
{
	snprintf(t->words, sizeof t->words, "Could not resolve host: too many names are being looked up");
	return NAMES_FULL;
}

enum names_answer names_ask(struct names *ns, struct transfer *t)
{
	struct name *name;
	int64_t age;

	if (!t->name)
		return NAMES_KNOWN;
	name = find(ns, t->name);
	if (!name && !(name = make(ns, t->name)))
		return refuse(t);
	age = name->addresses ? mono_ms() - name->found_ms : INT64_MAX;
	if (age >= NAME_FRESH_MS && !name->looking && !begin_lookup(ns, name) && age >= NAME_OLD_MS)
		return refuse(t);
	if (age < NAME_OLD_MS)
		return transfer_set_addresses(t, name->addresses) ? NAMES_KNOWN : refuse(t);
	STAILQ_INSERT_TAIL(&name->waiting, t, wait);
	ns->n_waiting++;
	return NAMES_WAITS;
}

/* What was known stays so, unless it is certain that there is no such name any more. */
static void learn(struct name *name, const struct lookup *l)
{
	if (l->rc == 0 && *l->addresses) {
		free(name->addresses);
		name->addresses = xstrdup(l->addresses);
		name->found_ms = mono_ms();
	} else if (l->rc == EAI_NONAME) {
		free(TAKE(name->addresses));
	}
}

void names_told(void *lookup)
{
	struct lookup *l = lookup;
	struct names *ns = l->guard->names;
	struct name *name = find(ns, l->host);
	struct transfer_queue waiting = STAILQ_HEAD_INITIALIZER(waiting);
	struct transfer *t;

	name->looking = false;
	ns->n_looking--;
	learn(name, l);
	STAILQ_CONCAT(&waiting, &name->waiting);
	/* From here on done() may ask again, and the name may go. */
	while ((t = STAILQ_FIRST(&waiting))) {
		bool found = l->rc == 0 && *l->addresses && transfer_set_addresses(t, l->addresses);

		STAILQ_REMOVE_HEAD(&waiting, wait);
		ns->n_waiting--;
		if (!found)
			snprintf(t->words, sizeof t->words, "Could not resolve host: %s: %.80s", l->host,
			         l->rc ? gai_strerror(l->rc) : "no address");
		ns->done(ns->arg, t, found);
	}
	names_forget(l);
}

struct transfer *names_take(struct names *ns)
{
	struct name *name;
	struct transfer *t;

	LIST_FOREACH(name, &ns->list, link)
		if ((t = STAILQ_FIRST(&name->waiting))) {
			STAILQ_REMOVE_HEAD(&name->waiting, wait);
			ns->n_waiting--;
			return t;
		}
	return NULL;
}

struct transfer *names_expired(struct names *ns, int64_t now_ms)
{
	struct name *name;
	struct transfer *t;

	if (!ns->n_waiting)
		return NULL;
	LIST_FOREACH(name, &ns->list, link)
		STAILQ_FOREACH(t, &name->waiting, wait) {
			if (t->name_until_ms > now_ms && t->until_ms > now_ms)
				continue;
			STAILQ_REMOVE(&name->waiting, t, transfer, wait);
			ns->n_waiting--;
			snprintf(t->words, sizeof t->words, "Could not resolve host: %s: no answer in time", name->host);
			return t;
		}
	return NULL;
}

bool names_awaited(const struct names *ns)
{
	return ns->n_waiting > 0;
}

/* ── all ────────────────────────────────────────────────────────────────────────── */

struct names *names_new(struct net *n, names_done_fn *done, void *arg)
{
	struct names *ns = xcalloc(1, sizeof *ns);

	ns->net = n;
	ns->done = done;
	ns->arg = arg;
	ns->guard = xcalloc(1, sizeof *ns->guard);
	*ns->guard = (struct guard){ .names = ns, .refs = 1 };
	pthread_mutex_init(&ns->guard->mutex, NULL);
	LIST_INIT(&ns->list);
	return ns;
}

void names_free(struct names *ns)
{
	struct name *name;

	pthread_mutex_lock(&ns->guard->mutex);
	ns->guard->names = NULL;
	pthread_mutex_unlock(&ns->guard->mutex);
	guard_leave(ns->guard);
	while ((name = LIST_FIRST(&ns->list)))
		drop(ns, name);
	free(ns);
}
