/* Which calls a client means: the same nine names as arguments of a query and as members of
 * a body, read by one table. Everything is text here; a body may also list the states. */
#include "callgate/wire_lists.h"

#include <jansson.h>
#include <string.h>

#include "body.h"
#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/text.h"

/* Where a value comes from, for the words about it. */
struct place {
	const char           *name, *pointer;
	struct wire_problems *problems;
};

static void set_text(char *out, size_t size, const char *value, const struct place *at)
{
	size_t n = strlen(value);

	if (n == 0)
		wire_problem_add(at->problems, at->pointer, "%s must not be empty", at->name);
	else if (n >= size)
		wire_problem_add(at->problems, at->pointer, "%s is longer than %zu bytes", at->name, size - 1);
	else if (!utf8_ok(value, n))
		wire_problem_add(at->problems, at->pointer, "%s is not valid UTF-8", at->name);
	else
		str_copy(out, size, value);
}

static void set_project(struct call_filter *f, const char *value, const struct place *at)
{
	set_text(f->project, sizeof f->project, value, at);
}

static void add_state(struct call_filter *f, const char *name, const struct place *at)
{
	enum call_state state;

	if (call_state_parse(name, &state))
		f->states |= STATE_BIT(state);
	else
		wire_problem_add(at->problems, at->pointer, "%s: there is no such state; they are queued, initiated, ringing, "
		                 "in_progress, completed, no_answer, busy, canceled and failed", at->name);
}

static void set_states(struct call_filter *f, const char *value, const struct place *at)
{
	size_t problems = at->problems->count, n;
	char name[32];

	for (;; value += n + 1) {
		n = strcspn(value, ",");
		name[0] = '\0';
		if (n < sizeof name) {
			memcpy(name, value, n);
			name[n] = '\0';
		}
		add_state(f, name, at);
		if (value[n] == '\0' || at->problems->count > problems)
			return;         /* one mistake is enough said */
	}
}

static void set_outcome(struct call_filter *f, const char *value, const struct place *at)
{
	for (int r = REASON_NONE + 1; r < REASON_COUNT; r++) {
		if (str_eq(value, call_reason_info((enum call_reason)r)->code)) {
			f->reason = (enum call_reason)r;
			return;
		}
	}
	wire_problem_add(at->problems, at->pointer, "%s: there is no such reason; docs/errors.md lists them", at->name);
}

static void set_number(char out[E164_SIZE], const char *value, const struct place *at)
{
	struct errinfo e;

	if (e164_check(value, &e))
		wire_problem_add(at->problems, at->pointer, "%s: %s", at->name, e.text);
	else
		str_copy(out, E164_SIZE, value);
}

static void set_from(struct call_filter *f, const char *value, const struct place *at)
{
	set_number(f->from, value, at);
}

static void set_to(struct call_filter *f, const char *value, const struct place *at)
{
	set_number(f->to, value, at);
}

/* 0 would ask for nothing; no call is as old as that. */
static void set_time(int64_t *out, const char *value, const struct place *at)
{
	int64_t ms;

	if (!time_parse(value, &ms))
		wire_problem_add(at->problems, at->pointer, "%s must be a time as RFC 3339 has it, with its offset, such as "
		                 "2026-11-20T08:30:00Z", at->name);
	else
		*out = ms > 0 ? ms : 1;
}

static void set_created_after(struct call_filter *f, const char *value, const struct place *at)
{
	set_time(&f->created_from_ms, value, at);
}

static void set_created_before(struct call_filter *f, const char *value, const struct place *at)
{
	set_time(&f->created_to_ms, value, at);
}

static void set_metadata_key(struct call_filter *f, const char *value, const struct place *at)
{
	set_text(f->metadata_key, sizeof f->metadata_key, value, at);
}

static void set_metadata_value(struct call_filter *f, const char *value, const struct place *at)
{
	f->has_value = true;
	if (value[0])
		set_text(f->metadata_value, sizeof f->metadata_value, value, at);
}

static const struct filter_name {
	const char *name, *pointer;
	bool        plus;       /* a value may hold a "+", which in a query reads as a blank */
	void      (*set)(struct call_filter *f, const char *value, const struct place *at);
} names[] = {
	{ "projectId",     "/filter/projectId",     false, set_project        },
	{ "state",         "/filter/state",         false, set_states         },
	{ "outcome",       "/filter/outcome",       false, set_outcome        },
	{ "from",          "/filter/from",          true,  set_from           },
	{ "to",            "/filter/to",            true,  set_to             },
	{ "createdAfter",  "/filter/createdAfter",  true,  set_created_after  },
	{ "createdBefore", "/filter/createdBefore", true,  set_created_before },
	{ "metadataKey",   "/filter/metadataKey",   false, set_metadata_key   },
	{ "metadataValue", "/filter/metadataValue", false, set_metadata_value },
};

static const struct filter_name *find_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq(name, names[i].name))
			return &names[i];
	return NULL;
}

/* ── of a query ─────────────────────────────────────────────────────────────────── */

/* Nearly everybody writes ?to=+49… and sends a blank by that; neither a number nor a time
 * of RFC 3339 has one. */
static const char *mend_plus(const char *value, char *out, size_t size)
{
	if (!str_copy(out, size, value))
		return value;
	for (char *p = out; *p; p++)
		if (*p == ' ')
			*p = '+';
	return out;
}

bool wire_filter_argument(struct call_filter *f, const char *name, const char *value, struct wire_problems *ps)
{
	const struct filter_name *n = find_name(name);
	char mended[64];

	if (!n)
		return false;
	n->set(f, n->plus ? mend_plus(value, mended, sizeof mended) : value, &(struct place){ name, "", ps });
	return true;
}

static void check_whole(const struct call_filter *f, const char *value_at, const char *time_at, struct wire_problems *ps)
{
	if (f->has_value && !f->metadata_key[0])
		wire_problem_add(ps, value_at, "metadataValue is only of use with metadataKey");
	if (f->created_from_ms && f->created_to_ms && f->created_from_ms >= f->created_to_ms)
		wire_problem_add(ps, time_at, "createdBefore must be later than createdAfter");
}

void wire_filter_end(const struct call_filter *f, struct wire_problems *ps)
{
	check_whole(f, "", "", ps);
}

/* ── of a body ──────────────────────────────────────────────────────────────────── */

static void read_state_list(const json_t *list, struct call_filter *f, const struct place *at)
{
	const json_t *one;
	size_t i, problems = at->problems->count;

	if (json_array_size(list) == 0)
		wire_problem_add(at->problems, at->pointer, "%s must not be empty", at->name);
	json_array_foreach(list, i, one) {
		add_state(f, json_is_string(one) ? json_string_value(one) : "", at);
		if (at->problems->count > problems)
			return;
	}
}

static void read_member(const char *name, const json_t *v, struct call_filter *f, struct wire_problems *ps)
{
	const struct filter_name *n = find_name(name);
	struct place at;

	if (!n) {
		wire_problem_add(ps, "/filter", "there is no filter named \"%.64s\"", name);
		return;
	}
	at = (struct place){ n->name, n->pointer, ps };
	if (json_is_array(v) && n->set == set_states)
		read_state_list(v, f, &at);
	else if (json_is_string(v))
		n->set(f, json_string_value(v), &at);
	else
		wire_problem_add(ps, n->pointer, "%s must be a string, not %s", n->name, body_type(v));
}

static void read_filter(const json_t *root, struct call_filter *f, struct wire_problems *ps)
{
	json_t *filter = json_object_get(root, "filter"), *v;
	const char *name;

	if (!json_is_object(filter)) {
		wire_problem_add(ps, filter ? "/filter" : "", "filter %s an object",
		                 filter ? "must be" : "is required:");
		return;
	}
	if (json_object_size(filter) == 0)
		wire_problem_add(ps, "/filter", "filter must say something: nothing means every call");
	json_object_foreach(filter, name, v)
		read_member(name, v, f, ps);
	check_whole(f, "/filter/metadataValue", "/filter/createdBefore", ps);
}

static void read_cursor(const json_t *root, char cursor[WIRE_CURSOR_SIZE], struct wire_problems *ps)
{
	const json_t *v = json_object_get(root, "cursor");

	cursor[0] = '\0';
	if (!v)
		return;
	if (!json_is_string(v))
		wire_problem_add(ps, "/cursor", "cursor must be a string, not %s", body_type(v));
	else if (json_string_length(v) == 0 || !str_copy(cursor, WIRE_CURSOR_SIZE, json_string_value(v)))
		str_copy(cursor, WIRE_CURSOR_SIZE, "-");        /* there is one, and it is no good */
}

enum err wire_filter_body(const char *body, size_t len, struct call_filter *f, char cursor[WIRE_CURSOR_SIZE],
                          struct wire_problems *ps)
{
	json_t *root, *v;
	const char *name;

	memset(f, 0, sizeof *f);
	cursor[0] = '\0';
	ps->count = 0;
	root = body_parse(body, len, ps);
	if (!root)
		return ERR_INVALID;
	json_object_foreach(root, name, v)
		if (!str_eq(name, "filter") && !str_eq(name, "cursor"))
			wire_problem_add(ps, "", "there is no member named \"%.64s\" here", name);
	read_filter(root, f, ps);
	read_cursor(root, cursor, ps);
	json_decref(root);
	return ps->count ? ERR_INVALID : OK;
}
