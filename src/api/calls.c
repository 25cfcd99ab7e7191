/* POST /v1/calls/outbound and GET /v1/calls/{id}, as far as no database is needed: what is
 * certain is refused here, the rest is queued and answered by intake.c, dry_run.c and
 * reader.c. */
#include "calls.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "handlers.h"
#include "query.h"

void create_item_free(struct create_item *item)
{
	wire_create_call_done(&item->call);
	free(item->problems);
	free(item);
}

bool request_is_json(const struct http_request *rq)
{
	static const char json[] = "application/json";
	const char *content_type = http_header(rq, "Content-Type");
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

static void read_body(const struct http_request *rq, struct wire_create_call *call, struct wire_problems *problems)
{
	/* An error has left its words among the problems, which are counted at the end. */
	if (request_is_json(rq) &&
	    wire_create_call_read(rq->body, rq->body_len, wall_ms(), call, problems) == OK)
		return;
	if (problems->count == 0)
		wire_problem_add(problems, "", "the header Content-Type must be application/json");
}

/* The key of the request, from the header or the body; where both have one they must agree. */
static enum api_error read_idem_key(const struct http_request *rq, struct wire_create_call *call,
                                    struct wire_problems *problems)
{
	const char *header = http_header(rq, "Idempotency-Key");
	char key[WIRE_IDEM_KEY_SIZE];
	bool differ;

	if (!header)
		return API_OK;
	if (!wire_idem_header(header, key)) {
		wire_problem_add(problems, "", "the header Idempotency-Key must be 1 to %d visible ASCII characters, in "
		                 "double quotes or without", WIRE_IDEM_KEY_MAX);
		return API_VALIDATION_FAILED;
	}
	differ = call->idem_key[0] && !str_eq(call->idem_key, key);
	str_copy(call->idem_key, sizeof call->idem_key, key);
	if (!differ)
		return API_OK;
	wire_problem_add(problems, "/idempotencyKey", "idempotencyKey differs from the header Idempotency-Key");
	return problems->count == 1 ? API_KEY_CONFLICT : API_VALIDATION_FAILED;
}

/* Route and key: the same key may be used on another route for something else. */
static void print_idem(struct create_item *item)
{
	char text[sizeof "POST /v1/calls/outbound\n" + WIRE_IDEM_KEY_SIZE];
	int n = snprintf(text, sizeof text, "POST /v1/calls/outbound\n%s", item->call.idem_key);

	sha256(text, (size_t)n, item->idem_key);
	wire_body_print(item->rq->body, item->rq->body_len, item->idem_print);
	item->admission.idem_key = item->idem_key;
	item->admission.idem_print = item->idem_print;
}

static struct wire_problems *problems_copy(const struct wire_problems *from)
{
	struct wire_problems *to = xmalloc(sizeof *to);

	to->count = from->count;
	memcpy(to->items, from->items, from->count * sizeof *from->items);
	return to;
}

static void fill_admission(struct create_item *item, const struct caller *key)
{
	item->admission = (struct admission){
		.key_org        = key->org,
		.body_ok        = !item->problems,
		.project        = item->call.project,
		.from           = item->call.from,
		.to             = item->call.to,
		.variables      = item->call.variables,
		.metadata       = item->call.metadata,
		.ring_timeout_s = item->call.ring_timeout_s,
		.max_duration_s = item->call.max_duration_s,
		.prio           = item->call.prio,
		.scheduled_ms   = item->call.scheduled_ms,
		.expires_ms     = item->call.expires_ms,
		.request_id     = item->rq->request_id,
	};
	memcpy(item->admission.key_hash, key->hash, sizeof key->hash);
}

/* Nothing is wrong but that its time has passed, maybe since it was sent for the first time:
 * who asks again what became of it must not be told of the clock instead. As something that
 * has expired it cannot be more than a replay. */
static void allow_replay(struct create_item *item)
{
	if (item->call.late == 0 || item->call.late < item->problems->count)
		return;
	item->admission.body_ok = true;
	item->admission.expires_ms = 1;
}

/* "dry_run", "dryrun", "DRY-RUN", " dryRun", "dryRun[]" */
static bool resembles_dry_run(const char *name)
{
	const char *wanted = "dryrun";

	for (; *name; name++)
		if (isalnum((unsigned char)*name) && tolower((unsigned char)*name) != *wanted++)
			return false;
	return *wanted == '\0';
}

/* Arguments that mean nothing here are ignored, but of a mistyped dryRun a phone would ring. */
static void read_query(const struct http_request *rq, struct wire_problems *problems)
{
	const char *name, *value;
	size_t at = 0;

	while (http_query_next(rq, &at, &name, &value)) {
		if (str_eq(name, "dryRun"))
			query_once(rq, name, value, problems);
		else if (resembles_dry_run(name))
			query_unknown(name, problems);
	}
}

/* A body that is no good goes to the database all the same: with a key that is no good
 * either, the answer is 401 and tells nothing about the body. */
struct create_item *create_item_new(struct http_request *rq, const struct caller *key)
{
	struct create_item *item = xcalloc(1, sizeof *item);
	struct wire_problems problems = { .count = 0 };

	item->rq = rq;
	read_body(rq, &item->call, &problems);
	read_query(rq, &problems);
	item->body_error = read_idem_key(rq, &item->call, &problems);
	if (problems.count > 0) {
		item->problems = problems_copy(&problems);
		if (!item->body_error)
			item->body_error = API_VALIDATION_FAILED;
	}
	fill_admission(item, key);
	if (item->call.idem_key[0] && item->problems)
		allow_replay(item);
	if (item->call.idem_key[0] && item->admission.body_ok)
		print_idem(item);
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

struct id route_call_id(const struct route_args *args)
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
	item->read.call_id = route_call_id(args);
	if (!crew_push(a->reader, item)) {
		free(item);
		error_reply(rq, API_OVERLOADED);
	}
}
