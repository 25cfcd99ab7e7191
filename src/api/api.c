/* The API as the http room sees it: five functions; and its life from start to end. */
#include "callgate/api.h"

#include <stdlib.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "errors.h"
#include "handlers.h"
#include "inside.h"
#include "router.h"

/* ── for http ───────────────────────────────────────────────────────────────────── */

/* `state` is the route, for the request, the timeout and the access log. Where the method
 * is wrong it is some route of that path, for the access log only. */
static int64_t on_head(void *arg, struct http_request *rq, struct http_reply *refusal)
{
	struct route_found f;

	(void)arg;
	router_find(rq->method, rq->path, &f);
	if (f.route)
		f.route = router_aside(f.route, rq);
	rq->state = (void *)(f.route ? f.route : f.place);
	if (f.route)
		return f.route->body_limit;
	if (!f.place) {
		error_fill(refusal, rq, API_ROUTE_UNKNOWN, NULL, NULL);
		return -1;
	}
	if (str_eq(rq->method, "OPTIONS"))
		refusal->status = 204;
	else
		error_fill(refusal, rq, API_METHOD_WRONG, NULL, NULL);
	http_reply_header(refusal, "Allow", "%s", f.allow);
	return -1;
}

static enum api_error auth_route(const struct route *route, const struct http_request *rq, struct caller *out)
{
	return route->keys ? auth_key(rq, route->keys, out) : API_OK;
}

/* A missing or malformed key comes before the body here as everywhere. */
static void on_too_large(void *arg, struct http_request *rq, int64_t limit, struct http_reply *refusal)
{
	const struct route *route = rq->state;
	struct wire_problems problems = { .count = 0 };
	struct caller key;
	enum api_error error = auth_route(route, rq, &key);

	(void)arg;
	if (error) {
		error_fill(refusal, rq, error, NULL, NULL);
		return;
	}
	wire_problem_add(&problems, "", "at most %lld bytes are allowed", (long long)limit);
	error_fill(refusal, rq, API_BODY_TOO_LARGE, &problems, NULL);
}

static void on_request(void *arg, struct http_request *rq)
{
	struct api *a = arg;
	const struct route *route = rq->state;
	struct route_args args;
	enum api_error refusal;

	refusal = auth_route(route, rq, &args.key);
	if (!refusal && route->way != WAY_DIRECT && atomic_load(&a->quiet))
		refusal = API_SHUTTING_DOWN;
	if (refusal) {
		error_reply(rq, refusal);
		return;
	}
	args.route = route;
	router_match(route->pattern, rq->path, &args);
	route->handle(a, rq, &args);
}

static void on_done(void *arg, const struct http_request *rq, int status)
{
	const struct api *a = arg;
	const struct route *route = rq->state;

	if (!a->access_log)
		return;
	LOG_INFO("http.request", LOG_STR("method", rq->method), LOG_STR("path", route ? route->pattern : "-"),
	         LOG_INT("status", status), LOG_INT("ms", (mono_us() - rq->received_us) / 1000),
	         LOG_STR("request_id", rq->request_id));
}

/* A read or a probe can simply be sent again. An admission may still be committed after
 * this answer, so "try again" would be a lie. */
static void on_timed_out(void *arg, struct http_request *rq, struct http_reply *answer)
{
	const struct route *route = rq->state;

	(void)arg;
	error_fill(answer, rq, route->way == WAY_INTAKE ? API_OUTCOME_UNKNOWN : API_TIMED_OUT, NULL, NULL);
}

static void on_stopping(void *arg, struct http_request *rq, struct http_reply *answer)
{
	(void)arg;
	error_fill(answer, rq, API_SHUTTING_DOWN, NULL, NULL);
}

const struct http_ops api_http_ops = {
	.head      = on_head,
	.too_large = on_too_large,
	.request   = on_request,
	.done      = on_done,
	.timed_out = on_timed_out,
	.stopping  = on_stopping,
};

/* ── life ───────────────────────────────────────────────────────────────────────── */

enum err api_start(const struct api_config *c, const struct api_hooks *hooks, struct api **out, struct errinfo *e)
{
	struct api *a = xcalloc(1, sizeof *a);
	enum err err;

	a->database_url = xstrdup(c->database_url);
	a->rules = c->rules;
	a->access_log = c->access_log;
	a->hooks = *hooks;
	atomic_init(&a->quiet, false);
	err = crew_start(a, "intake", c->intake_batches, (size_t)c->queue_limit, CREW_BATCH_MAX, intake_work, &a->intake, e);
	if (!err)
		err = crew_start(a, "reader", c->reader_batches, (size_t)c->queue_limit, CREW_BATCH_MAX, reader_work, &a->reader, e);
	if (!err)
		err = crew_start(a, "notices", 1, (size_t)c->queue_limit, CREW_BATCH_MAX, notices_work, &a->notices, e);
	if (!err)
		err = desk_open(a, "desk", DESK_CLERKS, DESK_AT_ONCE, (size_t)c->queue_limit, &a->desk, e);
	if (!err)
		err = desk_open(a, "lists", LISTS_CLERKS, LISTS_AT_ONCE, (size_t)c->queue_limit, &a->lists, e);
	if (err) {
		api_free(a);
		return err;
	}
	*out = a;
	return OK;
}

void api_quiesce(struct api *a)
{
	atomic_store(&a->quiet, true);
}

void api_free(struct api *a)
{
	if (!a)
		return;
	crew_free(a->intake);
	crew_free(a->reader);
	crew_free(a->notices);
	desk_close(a->desk);
	desk_close(a->lists);
	free(a->database_url);
	free(a);
}
