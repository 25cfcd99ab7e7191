/* The desks: requests that need no speed. A clerk, a thread with a connection of its own, takes
 * one request, asks the database what it has to, and answers; the handlers read from top to
 * bottom. A statement that waits keeps one clerk and nobody on the other ways.
 *
 * There are two, because a look through many calls may take long and the end of one call must
 * not wait for it; and at each, no organization has all the clerks (lineup.h). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/store_lists.h"
#include "errors.h"
#include "handlers.h"
#include "lineup.h"

#define CLERKS_MAX 8
#define PART 4                  /* an organization may have this part of those who wait */

struct desk_room {
	struct api    *api;
	const char    *name;            /* static */
	struct lineup *lineup;
	pthread_t      clerks[CLERKS_MAX];
	int            count;           /* of them, running */
};

struct desk_item {
	struct waiter        waiter;    /* first */
	struct http_request *rq;
	struct route_args    args;
};

/* ── the room ───────────────────────────────────────────────────────────────────── */

static void serve(struct desk *d, struct desk_item *item)
{
	struct http_reply r = { .status = 0 };

	item->args.route->serve(d, item->rq, &item->args, &r);
	http_reply(item->rq, &r);
}

static void *clerk_main(void *arg)
{
	struct desk_room *room = arg;
	struct desk d = { .api = room->api };
	struct waiter *w;
	char role[64];

	snprintf(role, sizeof role, "callgate %s", room->name);
	d.store = store_new(room->api->database_url, role);
	connect_early(d.store, room->name);
	while ((w = lineup_take(room->lineup))) {
		int64_t org = w->org;

		serve(&d, (struct desk_item *)(void *)w);
		free(w);
		lineup_served(room->lineup, org);
	}
	store_free(d.store);
	return NULL;
}

enum err desk_open(struct api *a, const char *name, int clerks, int at_once, size_t limit, struct desk_room **out,
                   struct errinfo *e)
{
	struct desk_room *room = xcalloc(1, sizeof *room);
	int failed = 0;

	room->api = a;
	room->name = name;
	room->lineup = lineup_new(limit, (limit + PART - 1) / PART, at_once);
	while (room->count < clerks && room->count < CLERKS_MAX && !failed) {
		failed = pthread_create(&room->clerks[room->count], NULL, clerk_main, room);
		if (!failed)
			pthread_setname_np(room->clerks[room->count++], name);
	}
	if (failed) {
		desk_close(room);
		return err_set(e, ERR_UNAVAILABLE, "cannot start the threads of %s: %s", name, strerror(failed));
	}
	*out = room;
	return OK;
}

void desk_close(struct desk_room *room)
{
	if (!room)
		return;
	lineup_close(room->lineup);
	for (int i = 0; i < room->count; i++)
		pthread_join(room->clerks[i], NULL);
	lineup_free(room->lineup);
	free(room);
}

/* ── its work ───────────────────────────────────────────────────────────────────── */

void desk_handle(struct api *a, struct http_request *rq, const struct route_args *args)
{
	struct desk_room *room = args->route->way == WAY_LISTS ? a->lists : a->desk;
	struct desk_item *item = xcalloc(1, sizeof *item);

	item->rq = rq;
	item->args = *args;
	if (!lineup_push(room->lineup, &item->waiter, args->key.org)) {
		free(item);
		error_reply(rq, API_OVERLOADED);
	}
}

void desk_refuse(struct desk *d, struct http_request *rq, const struct route_args *args, enum api_error error,
                 const struct wire_problems *problems, struct http_reply *out)
{
	bool known = false;
	struct errinfo e;
	enum err err = store_key_check(d->store, &args->key, &known, &e);

	if (err)
		desk_failed(d, rq, err, &e, out);
	else
		error_fill(out, rq, known ? error : API_CREDENTIALS_INVALID, known && problems->count ? problems : NULL, NULL);
}

void desk_failed(struct desk *d, struct http_request *rq, enum err err, const struct errinfo *e,
                 struct http_reply *out)
{
	(void)d;
	LOG_ERROR("api.request_failed", LOG_STR("path", rq->path), LOG_STR("error", err_name(err)),
	          LOG_STR("text", e->text), LOG_STR("request_id", rq->request_id));
	error_fill(out, rq, err == ERR_UNCERTAIN ? API_RESULT_UNKNOWN : api_error_of_err(err), NULL, NULL);
}
