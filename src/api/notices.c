/* POST /v1/providers/{name}/webhook: what a provider tells of its own accord. Whether it is
 * genuine is said at once, by whoever knows the provider; then all that waits is stored as
 * one statement and answered. A provider repeats what is answered 5xx and nothing else, so
 * that is the answer whenever it was not kept, and 2xx is never sent before it was. */
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "errors.h"
#include "handlers.h"

struct notice_item {
	struct http_request *rq;
	struct provider_note note;              /* borrows from rq and what follows */
	char                 event_id[PROVIDER_EVENT_ID_SIZE], sender[PROVIDER_EVENT_SENDER_SIZE];
};

static void reply_kept(struct http_request *rq)
{
	struct http_reply r = { .status = 200, .body = xstrdup("{}"), .body_len = 2 };

	http_reply(rq, &r);
}

static enum api_error error_of_check(enum err err)
{
	switch (err) {
	case ERR_DENIED:      return API_NOTICE_FORGED;
	case ERR_INVALID:     return API_NOTICE_MALFORMED;
	case ERR_UNAVAILABLE: return API_DATABASE_AWAY;
	default:              return API_INTERNAL;
	}
}

void notices_livekit(struct api *a, struct http_request *rq, const struct route_args *args)
{
	struct notice_item *item = xcalloc(1, sizeof *item);
	struct errinfo e;
	enum err err;

	(void)args;
	item->rq = rq;
	err = utf8_ok(rq->body, rq->body_len)
	      ? a->hooks.check_notice(a->hooks.arg, "livekit", http_header(rq, "Authorization"), rq->body, rq->body_len,
	                              &item->note, item->event_id, item->sender, &e)
	      : ERR_INVALID;
	item->note.provider = "livekit";
	item->note.event_id = item->event_id;
	item->note.sender = item->sender;
	item->note.body = rq->body;
	if (!err && crew_push(a->notices, item))
		return;
	free(item);
	if (err == ERR_NOT_FOUND)       /* genuine and not ours: nothing to keep, nothing to repeat */
		reply_kept(rq);
	else
		error_reply(rq, err ? error_of_check(err) : API_OVERLOADED);
}

void notices_work(struct crew_member *m, void **items, size_t n)
{
	struct api *api = crew_api(m->crew);
	struct provider_note notes[NOTES_BATCH_MAX];
	struct errinfo e;
	enum err err;

	for (size_t i = 0; i < n; i++)
		notes[i] = ((struct notice_item *)items[i])->note;
	err = store_notes_keep(m->store, notes, n, &e);
	if (err)
		crew_failed(m, err, &e, n);
	else
		api->hooks.noticed(api->hooks.arg);
	crew_pass_turn(m);
	for (size_t i = 0; i < n; i++) {
		struct notice_item *item = items[i];

		if (err)
			error_reply(item->rq, API_DATABASE_AWAY);
		else
			reply_kept(item->rq);
		free(item);
	}
}
