/* What all bodies have in common. Their JSON is judged by jansson, once the nesting has been
 * measured; objects that are handed on are cut out of the body itself, so that whoever gets
 * them gets the client's own tokens. Each rule adds its problem and the next goes on: a
 * client mends a body once, not five times. */
#include "body.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "raw.h"

void wire_problem_add(struct wire_problems *ps, const char *pointer, const char *fmt, ...)
{
	struct wire_problem *p;
	va_list ap;

	if (ps->count == WIRE_PROBLEMS_MAX)
		return;
	p = &ps->items[ps->count++];
	p->pointer = pointer;
	va_start(ap, fmt);
	vsnprintf(p->message, sizeof p->message, fmt, ap);
	va_end(ap);
}

const char *body_type(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:  return "an object";
	case JSON_ARRAY:   return "an array";
	case JSON_STRING:  return "a string";
	case JSON_INTEGER:
	case JSON_REAL:    return "a number";
	case JSON_TRUE:
	case JSON_FALSE:   return "a boolean";
	case JSON_NULL:    return "null";
	}
	return "something else";
}

/* ── the body as a whole ────────────────────────────────────────────────────────── */

/* What jansson found, in words for someone who did not choose jansson. The library's own
 * text is kept where it names the place better than we could. */
static const char *fault_text(const json_error_t *e)
{
	switch (json_error_code(e)) {
	case json_error_premature_end_of_input: return "the JSON ends too early";
	case json_error_end_of_input_expected:  return "there is something after the end of the JSON value";
	case json_error_invalid_utf8:           return "the text is not valid UTF-8";
	case json_error_null_character:
	case json_error_null_byte_in_key:       return "the character \\u0000 is not allowed";
	case json_error_duplicate_key:          return "an object has the same key twice";
	case json_error_numeric_overflow:       return "a number does not fit into 64 bits; send it as a string";
	default:
		if (str_has_prefix(e->text, "invalid Unicode"))
			return "a \\u escape is half of a surrogate pair";
		return e->text;
	}
}

static bool is_blank(const char *s, size_t len)
{
	return strspn(s, " \t\r\n") >= len;
}

/* What must not reach jansson: it recurses into what is nested, and it passes over a zero
 * byte that stands behind a number. */
static bool fit_to_parse(const char *body, size_t len, struct wire_problems *ps)
{
	const char *nul = memchr(body, '\0', len);
	struct raw_position at;

	if (nul) {
		at = raw_position_of(body, nul);
		wire_problem_add(ps, "", "line %d, column %d: a zero byte is not JSON", at.line, at.column);
		return false;
	}
	if (is_blank(body, len)) {
		wire_problem_add(ps, "", "the body is empty; send a JSON object");
		return false;
	}
	if (raw_too_deep(body, len, WIRE_NESTING_MAX, &at)) {
		wire_problem_add(ps, "", "line %d, column %d: nested deeper than %d levels",
		                 at.line, at.column, WIRE_NESTING_MAX);
		return false;
	}
	return true;
}

json_t *body_parse(const char *body, size_t len, struct wire_problems *ps)
{
	json_error_t error;
	json_t *root;

	if (!fit_to_parse(body, len, ps))
		return NULL;
	root = json_loadb(body, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!root) {
		wire_problem_add(ps, "", "line %d, column %d: %s", error.line, error.column, fault_text(&error));
		return NULL;
	}
	if (!json_is_object(root)) {
		wire_problem_add(ps, "", "the body must be a JSON object, not %s", body_type(root));
		json_decref(root);
		return NULL;
	}
	return root;
}

void wire_body_print(const char *body, size_t len, uint8_t out[SHA256_SIZE])
{
	char *compact = xmalloc(len + 1);

	sha256(compact, raw_compact(body, len, compact), out);
	free(compact);
}

/* ── its members ────────────────────────────────────────────────────────────────── */

static const json_t *member(const json_t *root, const char *pointer)
{
	return json_object_get(root, pointer + 1);
}

bool body_has(const json_t *root, const char *pointer)
{
	return member(root, pointer) != NULL;
}

/* null is refused like every other wrong type: whoever has no value leaves the member out,
 * and whoever meant to send one learns that it was lost on the way. */
static void wrong_type(const json_t *v, const char *pointer, const char *wanted, struct wire_problems *ps)
{
	wire_problem_add(ps, pointer, "%s must be %s, not %s%s", pointer + 1, wanted, body_type(v),
	                 json_is_null(v) ? "; leave it out to send none" : "");
}

const char *body_text(const json_t *root, const char *pointer, struct wire_problems *ps)
{
	const json_t *v = member(root, pointer);

	if (!v)
		return NULL;
	if (!json_is_string(v))
		wrong_type(v, pointer, "a string", ps);
	else if (json_string_length(v) == 0)
		wire_problem_add(ps, pointer, "%s must not be empty", pointer + 1);
	else
		return json_string_value(v);
	return NULL;
}

const char *body_need_text(const json_t *root, const char *pointer, struct wire_problems *ps)
{
	if (!body_has(root, pointer))
		wire_problem_add(ps, pointer, "%s is required", pointer + 1);
	return body_text(root, pointer, ps);
}

char *body_object(const json_t *root, const char *body, const char *pointer, size_t max, struct wire_problems *ps)
{
	const json_t *v = member(root, pointer);
	const char *text;
	char *compact;
	size_t len;

	if (v && !json_is_object(v))
		wrong_type(v, pointer, "an object", ps);
	if (!v || !json_is_object(v) || !raw_member(body, pointer + 1, &text, &len))
		return NULL;
	compact = xmalloc(len + 1);
	len = raw_compact(text, len, compact);
	if (len <= max)
		return compact;
	wire_problem_add(ps, pointer, "%s takes %zu bytes as compact JSON; at most %zu are allowed", pointer + 1, len, max);
	free(compact);
	return NULL;
}

void body_int(const json_t *root, const char *pointer, int min, int max, int *out, struct wire_problems *ps)
{
	const json_t *v = member(root, pointer);

	if (!v)
		return;
	if (!json_is_number(v))
		wrong_type(v, pointer, "a number", ps);
	else if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		wire_problem_add(ps, pointer, "%s must be a whole number from %d to %d", pointer + 1, min, max);
	else
		*out = (int)json_integer_value(v);
}

bool body_time(const json_t *root, const char *pointer, int64_t *out_ms, struct wire_problems *ps)
{
	const char *s = body_text(root, pointer, ps);

	if (s && time_parse(s, out_ms))
		return true;
	if (s)
		wire_problem_add(ps, pointer, "%s must be a date and time with its offset (RFC 3339), like "
		                 "2026-11-20T08:32:00Z or 2026-11-20T16:32:00+08:00", pointer + 1);
	return false;
}

void body_priority(const json_t *root, const char *pointer, int16_t *out, struct wire_problems *ps)
{
	static const char *const names[] = { "high", "normal", "low" };
	const char *s = body_text(root, pointer, ps);

	for (size_t i = 0; s && i < ARRAY_LEN(names); i++)
		if (str_eq(s, names[i])) {
			*out = (int16_t)i;
			return;
		}
	if (s)
		wire_problem_add(ps, pointer, "%s must be \"high\", \"normal\" or \"low\"", pointer + 1);
}
