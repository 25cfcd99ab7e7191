/* The routes. A handful, so a walk over the table is quicker than any index of it. */
#include "router.h"

#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "handlers.h"

static const struct route routes[] = {
	{ "POST", "/v1/calls/outbound", KEY_BIT(KEY_DK), CREATE_BODY_MAX, WAY_INTAKE, calls_create },
	{ "POST", "/v1/calls/cancel",   ANY_KEY,         FILTER_BODY_MAX, WAY_LISTS, desk_handle, calls_cancel_many },
	{ "GET",  "/v1/calls/{id}",     ANY_KEY,         0,               WAY_READER, calls_get    },
	{ "PATCH", "/v1/calls/{id}",    ANY_KEY,         CREATE_BODY_MAX, WAY_DESK, desk_handle, calls_edit },
	{ "POST", "/v1/calls/{id}/cancel", ANY_KEY,      CANCEL_BODY_MAX, WAY_DESK, desk_handle, calls_cancel },
	{ "GET",  "/v1/calls",          ANY_KEY,         0,               WAY_LISTS, desk_handle, calls_list },
	{ "GET",  "/v1/calls/{id}/events", ANY_KEY,      0,               WAY_DESK, desk_handle, call_events_get },
	{ "GET",  "/v1/events",         ANY_KEY,         0,               WAY_LISTS, desk_handle, events_get },
	{ "GET",  "/v1/projects/{id}/credits", ANY_KEY,  0,               WAY_DESK, desk_handle, credits_get },
	{ "GET",  "/v1/projects/{id}/credits/ledger", ANY_KEY, 0,         WAY_LISTS, desk_handle, credits_ledger },
	{ "POST", "/v1/providers/livekit/webhook", 0, NOTICE_BODY_MAX, WAY_NOTICES, notices_livekit },
	{ "POST", "/v1/calls/outbound", KEY_BIT(KEY_DK), CREATE_BODY_MAX, WAY_LISTS, desk_handle, calls_dry_run, "dryRun" },
	{ "GET",  "/problems/{id}",     0,               0,               WAY_DIRECT, problems_get },
	{ "GET",  "/healthz",           0,               0,               WAY_DIRECT, health_live  },
	{ "GET",  "/readyz",            0,               0,               WAY_DIRECT, health_ready },
};

bool router_match(const char *pattern, const char *path, struct route_args *args)
{
	static const char id[] = "{id}";

	args->id = NULL;
	args->id_len = 0;
	for (;;) {
		if (str_has_prefix(pattern, id)) {
			args->id = path;
			args->id_len = strcspn(path, "/");
			if (args->id_len == 0)
				return false;
			path += args->id_len;
			pattern += strlen(id);
		}
		if (*pattern != *path)
			return false;
		if (*path == '\0')
			return true;
		pattern++;
		path++;
	}
}

static void allow_add(struct route_found *f, const char *method)
{
	size_t n = strlen(f->allow);

	if (n > 0) {
		str_copy(f->allow + n, sizeof f->allow - n, ", ");
		n = strlen(f->allow);
	}
	str_copy(f->allow + n, sizeof f->allow - n, method);
}

static bool takes(const struct route *r, const char *method)
{
	return str_eq(r->method, method) || (str_eq(method, "HEAD") && str_eq(r->method, "GET"));
}

/* Only for those who need them: most requests come with the right method. */
static void list_methods(struct route_found *f)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (routes[i].argument || !str_eq(routes[i].pattern, f->place->pattern))
			continue;
		allow_add(f, routes[i].method);
		if (str_eq(routes[i].method, "GET"))
			allow_add(f, "HEAD");
	}
	allow_add(f, "OPTIONS");
}

const struct route *router_aside(const struct route *r, const struct http_request *rq)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const char *value;

		if (!routes[i].argument || !str_eq(routes[i].pattern, r->pattern) || !str_eq(routes[i].method, r->method))
			continue;
		value = http_query(rq, routes[i].argument);
		if (value && !str_eq(value, "false"))
			return &routes[i];
	}
	return r;
}

void router_find(const char *method, const char *path, struct route_found *out)
{
	struct route_args args;

	out->route = out->place = NULL;
	out->allow[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(routes) && !out->route; i++) {
		const struct route *r = &routes[i];

		if (r->argument)
			continue;
		if (!out->place && router_match(r->pattern, path, &args))
			out->place = r;
		if (out->place && str_eq(r->pattern, out->place->pattern) && takes(r, method))
			out->route = r;
	}
	if (out->place && !out->route)
		list_methods(out);
}
