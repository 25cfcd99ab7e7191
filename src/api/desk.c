/* The desk: requests that need no speed. One thread takes one request, asks the database
 * what it has to, and answers; the handlers read from top to bottom. A statement that waits
 * keeps one thread and nobody on the other ways. */
#include <stdlib.h>

#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/store_lists.h"
#include "errors.h"
#include "handlers.h"

struct desk_item {
	struct http_request *rq;
	struct route_args    args;
};

void desk_handle(struct api *a, struct http_request *rq, const struct route_args *args)
{
	struct desk_item *item = xcalloc(1, sizeof *item);

	*item = (struct desk_item){ rq, *args };
	if (!crew_push(a->desk, item)) {
		free(item);
		error_reply(rq, API_OVERLOADED);
	}
}

void desk_work(struct crew_member *m, void **items, size_t n)
{
	struct desk desk = { crew_api(m->crew), m->store };

	for (size_t i = 0; i < n; i++) {
		struct desk_item *item = items[i];
		struct http_reply r = { .status = 0 };

		item->args.route->serve(&desk, item->rq, &item->args, &r);
		http_reply(item->rq, &r);
		free(item);
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
	error_fill(out, rq, err == ERR_UNCERTAIN ? API_DATABASE_AWAY : api_error_of_err(err), NULL, NULL);
}
