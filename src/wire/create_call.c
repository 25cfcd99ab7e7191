/* The body of POST /v1/calls/outbound. What is wrong with one member does not keep the
 * others from being read: a dry run asks about what there is. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "callgate/mem.h"
#include "callgate/text.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MS    (24 * 60 * MINUTE_MS)

static void read_project(const json_t *root, struct wire_create_call *out, struct wire_problems *ps)
{
	const char *s = body_need_text(root, "/projectId", ps);

	if (s && strlen(s) > WIRE_PROJECT_MAX)
		wire_problem_add(ps, "/projectId", "projectId is longer than %d bytes", WIRE_PROJECT_MAX);
	else if (s)
		str_copy(out->project, sizeof out->project, s);
}

static void read_number(const json_t *root, const char *pointer, char out[E164_SIZE], struct wire_problems *ps)
{
	const char *s = body_need_text(root, pointer, ps);
	struct errinfo e;

	if (!s)
		return;
	if (e164_check(s, &e))
		wire_problem_add(ps, pointer, "%s: %s", pointer + 1, e.text);
	else
		str_copy(out, E164_SIZE, s);
}

static void read_numbers(const json_t *root, struct wire_create_call *out, struct wire_problems *ps)
{
	read_number(root, "/fromNumber", out->from, ps);
	read_number(root, "/toNumber", out->to, ps);
	if (!out->to[0] || !str_eq(out->from, out->to))
		return;
	wire_problem_add(ps, "/toNumber", "toNumber must differ from fromNumber");
	out->to[0] = '\0';
}

/* Of what time makes wrong: nothing was wrong with it when it was first sent. */
static void too_late(struct wire_create_call *out, struct wire_problems *ps, const char *pointer, const char *what)
{
	wire_problem_add(ps, pointer, "%s %s", pointer + 1, what);
	out->late++;
}

/* A little in the past is what a slow network or clock makes of "now". */
static void read_schedule(const json_t *root, int64_t now_ms, struct wire_create_call *out, struct wire_problems *ps)
{
	static const char pointer[] = "/scheduledAt";
	int64_t at;

	if (!body_time(root, pointer, &at, ps))
		return;
	if (at > now_ms + WIRE_SCHEDULE_DAYS * DAY_MS)
		wire_problem_add(ps, pointer, "scheduledAt is more than %d days ahead", WIRE_SCHEDULE_DAYS);
	else if (at < now_ms - WIRE_SCHEDULE_LATE_MINUTES * MINUTE_MS)
		too_late(out, ps, pointer, "is in the past; leave it out to call at once");
	else
		out->scheduled_ms = at;
}

static void read_expiry(const json_t *root, int64_t now_ms, struct wire_create_call *out, struct wire_problems *ps)
{
	static const char pointer[] = "/expiresAt";
	int64_t at;

	if (!body_time(root, pointer, &at, ps))
		return;
	if (at > now_ms + WIRE_EXPIRY_DAYS * DAY_MS)
		wire_problem_add(ps, pointer, "expiresAt is more than %d days ahead", WIRE_EXPIRY_DAYS);
	else if (at <= now_ms)
		too_late(out, ps, pointer, "is in the past");
	else if (at <= out->scheduled_ms)
		wire_problem_add(ps, pointer, "expiresAt must be after scheduledAt");
	else
		out->expires_ms = at;
}

static void read_idem_key(const json_t *root, struct wire_create_call *out, struct wire_problems *ps)
{
	static const char pointer[] = "/idempotencyKey";
	const char *s = body_text(root, pointer, ps);

	if (s && wire_idem_key_ok(s, strlen(s)))
		str_copy(out->idem_key, sizeof out->idem_key, s);
	else if (s)
		wire_problem_add(ps, pointer, "idempotencyKey must be 1 to %d visible ASCII characters", WIRE_IDEM_KEY_MAX);
}

static void read_members(const json_t *root, const char *body, int64_t now_ms, struct wire_create_call *out,
                         struct wire_problems *ps)
{
	read_project(root, out, ps);
	read_numbers(root, out, ps);
	out->variables = body_object(root, body, "/dynamicVariables", WIRE_VARIABLES_MAX, ps);
	out->metadata = body_object(root, body, "/metadata", WIRE_METADATA_MAX, ps);
	body_int(root, "/ringTimeoutSeconds", WIRE_RING_MIN, WIRE_RING_MAX, &out->ring_timeout_s, ps);
	body_int(root, "/maxDurationSeconds", 1, WIRE_DURATION_MAX, &out->max_duration_s, ps);
	read_schedule(root, now_ms, out, ps);
	read_expiry(root, now_ms, out, ps);
	body_priority(root, "/priority", &out->prio, ps);
	read_idem_key(root, out, ps);
}

enum err wire_create_call_read(const char *body, size_t len, int64_t now_ms, struct wire_create_call *out,
                               struct wire_problems *problems)
{
	json_t *root;

	*out = (struct wire_create_call){ .prio = WIRE_PRIO_NORMAL };
	problems->count = 0;
	root = body_parse(body, len, problems);
	if (!root)
		return ERR_INVALID;
	read_members(root, body, now_ms, out, problems);
	json_decref(root);
	return problems->count == 0 ? OK : ERR_INVALID;
}

void wire_create_call_done(struct wire_create_call *c)
{
	free(TAKE(c->variables));
	free(TAKE(c->metadata));
}

/* ── keys ───────────────────────────────────────────────────────────────────────── */

bool wire_idem_key_ok(const char *key, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (key[i] <= ' ' || key[i] >= 0x7f)
			return false;
	return len >= 1 && len <= WIRE_IDEM_KEY_MAX;
}

/* The inside of a String of RFC 8941, which has two escapes; false: it is none, or does not
 * end where the header ends. */
static bool unquote(const char *s, size_t len, char *out, size_t *n)
{
	*n = 0;
	for (size_t i = 1; i < len && *n <= WIRE_IDEM_KEY_MAX; i++) {
		if (s[i] == '"')
			return i == len - 1;
		if (s[i] == '\\' && (i + 1 == len || (s[++i] != '"' && s[i] != '\\')))
			return false;
		out[(*n)++] = s[i];
	}
	return false;
}

bool wire_idem_header(const char *header, char out[WIRE_IDEM_KEY_SIZE])
{
	char text[WIRE_IDEM_KEY_SIZE + 1];
	size_t len;

	header += strspn(header, " \t");
	len = strlen(header);
	while (len > 0 && (header[len - 1] == ' ' || header[len - 1] == '\t'))
		len--;
	if (*header == '"') {
		if (!unquote(header, len, text, &len))
			return false;
		header = text;
	}
	if (!wire_idem_key_ok(header, len))
		return false;
	memcpy(out, header, len);
	out[len] = '\0';
	return true;
}
