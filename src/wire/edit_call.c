/* The body of PATCH /v1/calls/{id}. Unlike that of a new call it is refused for a member
 * that it does not know: who thinks to have changed something should not be let believe it. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_life.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MS    (24 * 60 * MINUTE_MS)

static const char *const takes[] = { "/dynamicVariables", "/metadata", "/scheduledAt", "/priority" };
/* Of a new call: what was accepted with them cannot be changed. */
static const char *const fixed[] = { "/projectId", "/fromNumber", "/toNumber", "/ringTimeoutSeconds",
                                     "/maxDurationSeconds", "/expiresAt", "/idempotencyKey" };

static bool among(const char *const *pointers, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(pointers[i] + 1, name))
			return true;
	return false;
}

static void refuse_others(json_t *root, struct wire_problems *ps)
{
	const char *name;
	json_t *v;

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (body_has(root, fixed[i]))
			wire_problem_add(ps, fixed[i], "%s cannot be changed; cancel the call and make a new one", fixed[i] + 1);
	json_object_foreach(root, name, v) {
		if (!among(takes, ARRAY_LEN(takes), name) && !among(fixed, ARRAY_LEN(fixed), name))
			wire_problem_add(ps, "", "a call has no member '%.60s' to change", name);
	}
	if (json_object_size(root) == 0)
		wire_problem_add(ps, "", "say what to change: dynamicVariables, metadata, scheduledAt or priority");
}

/* Null: at once. */
static void read_schedule(json_t *root, int64_t now_ms, struct call_edit *out, struct wire_problems *ps)
{
	static const char pointer[] = "/scheduledAt";
	int64_t at;

	out->set_scheduled = body_has(root, pointer);
	if (!out->set_scheduled || json_is_null(json_object_get(root, pointer + 1)))
		return;
	if (!body_time(root, pointer, &at, ps))
		return;
	if (at > now_ms + WIRE_SCHEDULE_DAYS * DAY_MS)
		wire_problem_add(ps, pointer, "scheduledAt is more than %d days ahead", WIRE_SCHEDULE_DAYS);
	else if (at < now_ms - WIRE_SCHEDULE_LATE_MINUTES * MINUTE_MS)
		wire_problem_add(ps, pointer, "scheduledAt is in the past; send null to call at once");
	else
		out->scheduled_ms = at;
}

static void read_members(json_t *root, const char *body, int64_t now_ms, struct call_edit *out,
                         struct wire_problems *ps)
{
	refuse_others(root, ps);
	out->set_variables = body_has(root, "/dynamicVariables");
	out->variables = body_object(root, body, "/dynamicVariables", WIRE_VARIABLES_MAX, ps);
	out->set_metadata = body_has(root, "/metadata");
	out->metadata = body_object(root, body, "/metadata", WIRE_METADATA_MAX, ps);
	read_schedule(root, now_ms, out, ps);
	out->set_prio = body_has(root, "/priority");
	body_priority(root, "/priority", &out->prio, ps);
}

enum err wire_edit_read(const char *body, size_t len, int64_t now_ms, struct call_edit *out,
                        struct wire_problems *problems)
{
	json_t *root;

	*out = (struct call_edit){ .edits = -1 };
	problems->count = 0;
	root = body_parse(body, len, problems);
	if (!root)
		return ERR_INVALID;
	read_members(root, body, now_ms, out, problems);
	json_decref(root);
	return problems->count == 0 ? OK : ERR_INVALID;
}

void wire_edit_done(struct call_edit *x)
{
	free((char *)(uintptr_t)x->variables);
	free((char *)(uintptr_t)x->metadata);
	x->variables = x->metadata = NULL;
}
