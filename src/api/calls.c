/* POST /v1/calls/outbound and GET /v1/calls/{id}, as far as no database is needed: what is
 * certain is refused here, the rest is queued and answered by intake.c and reader.c. */
#include "calls.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "errors.h"
#include "handlers.h"

void create_item_free(struct create_item *item)
{
	wire_create_call_done(&item->call);
	free(item->problems);
	free(item);
}

static bool is_json(const char *content_type)
{
	static const char json[] = "application/json";
	size_t n = strlen(json);

	if (!content_type)
		return false;
	content_type += strspn(content_type, " \t");
	if (strncasecmp(content_type, json, n) != 0)
		return false;
	content_type += n;
	content_type += strspn(content_type, " \t");
	return *content_type == '\0' || *content_type == ';';
}

static enum err read_body(const struct http_request *rq, struct wire_create_call *call,
                          struct wire_problems *problems)
{
	if (is_json(http_header(rq, "Content-Type")))
		return wire_create_call_read(rq->body, rq->body_len, wall_ms(), call, problems);
	problems->count = 0;
	wire_problem_add(problems, "", "the header Content-Type must be application/json");
	return ERR_INVALID;
}

static struct wire_problems *problems_copy(const struct wire_problems *from)
{
	struct wire_problems *to = xmalloc(sizeof *to);

	to->count = from->count;
	memcpy(to->items, from->items, from->count * sizeof *from->items);
	return to;
}

/* A body that is no good goes to the database all the same: with a key that is no good
 * either, the answer is 401 and tells nothing about the body. */
static struct create_item *create_item_new(struct http_request *rq, const struct caller *key)
{
	struct create_item *item = xcalloc(1, sizeof *item);
	struct wire_problems problems;

	item->rq = rq;
	if (read_body(rq, &item->call, &problems))
		item->problems = problems_copy(&problems);
	item->admission = (struct admission){
		.key_org    = key->org,
		.body_ok    = !item->problems,
		.project    = item->call.project,
		.from       = item->call.from,
		.to         = item->call.to,
		.variables  = item->call.variables,
		.prio       = 1,
		.request_id = rq->request_id,
	};
	memcpy(item->admission.key_hash, key->hash, sizeof key->hash);
	return item;
}

void calls_create(struct api *a, struct http_request *rq, const struct route_args *args)
{
	struct create_item *item = create_item_new(rq, &args->key);

	if (!crew_push(a->intake, item)) {
		create_item_free(item);
		error_reply(rq, API_OVERLOADED);
	}
}

/* What is no UUID becomes the id that no call has, so that it is answered as any unknown
 * call is: 401 or 404 by the key, and 404 for a good one. */
static struct id call_id_of(const struct route_args *args)
{
	char text[ID_TEXT_SIZE];
	struct id id;

	memset(&id, 0, sizeof id);
	if (args->id_len == sizeof text - 1) {
		memcpy(text, args->id, args->id_len);
		text[args->id_len] = '\0';
		if (!id_parse(text, &id))
			memset(&id, 0, sizeof id);
	}
	return id;
}

void calls_get(struct api *a, struct http_request *rq, const struct route_args *args)
{
	struct read_item *item = xcalloc(1, sizeof *item);

	item->rq = rq;
	item->read.key_org = args->key.org;
	memcpy(item->read.key_hash, args->key.hash, sizeof args->key.hash);
	item->read.call_id = call_id_of(args);
	if (!crew_push(a->reader, item)) {
		free(item);
		error_reply(rq, API_OVERLOADED);
	}
}
