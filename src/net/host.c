/* See host.h. There are as many hosts as projects of a provider: a list will do. */
#include "host.h"

#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"

static size_t origin_len(const char *url)
{
	const char *authority = strstr(url, "://");

	authority = authority ? authority + 3 : url;
	return (size_t)(authority - url) + strcspn(authority, "/?#");
}

struct host *host_of(struct host_list *hosts, const char *url)
{
	size_t len = origin_len(url);
	struct host *h;

	LIST_FOREACH(h, hosts, link)
		if (strlen(h->origin) == len && memcmp(h->origin, url, len) == 0)
			return h;
	h = xcalloc(1, sizeof *h);
	h->origin = xstrndup(url, len);
	STAILQ_INIT(&h->waiting);
	LIST_INSERT_HEAD(hosts, h, link);
	return h;
}

bool host_enter(struct host *h, struct transfer *t)
{
	if (h->running < HOST_REQUESTS_MAX) {
		h->running++;
		return true;
	}
	STAILQ_INSERT_TAIL(&h->waiting, t, wait);
	return false;
}

struct transfer *host_take(struct host *h)
{
	struct transfer *t = STAILQ_FIRST(&h->waiting);

	if (t)
		STAILQ_REMOVE_HEAD(&h->waiting, wait);
	return t;
}

struct transfer *host_leave(struct host *h)
{
	struct transfer *next = host_take(h);

	if (!next && --h->running == 0) {
		LIST_REMOVE(h, link);
		free(h->origin);
		free(h);
	}
	return next;
}

struct transfer *host_expired(struct host *h, int64_t now_ms)
{
	struct transfer *t;

	STAILQ_FOREACH(t, &h->waiting, wait)
		if (t->until_ms <= now_ms)
			break;
	if (t)
		STAILQ_REMOVE(&h->waiting, t, transfer, wait);
	return t;
}
