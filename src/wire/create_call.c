/* The body of POST /v1/calls/outbound. Its JSON is judged by jansson, once the nesting has
 * been measured; the three texts are taken from the parsed tree, the variables from the
 * body itself, so that the agent gets the client's own tokens. Each rule adds its problem
 * and the next goes on: a client mends a body once, not five times. */
#include "callgate/wire.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "raw.h"

#define VARIABLES "dynamicVariables"

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

static const char *type_name(const json_t *v)
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

/* The tree of the body, or NULL and its one problem. The caller owns it. */
static json_t *parse(const char *body, size_t len, struct wire_problems *ps)
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
		wire_problem_add(ps, "", "the body must be a JSON object, not %s", type_name(root));
		json_decref(root);
		return NULL;
	}
	return root;
}

/* A required text, borrowed from the tree; NULL and a problem when it is none. */
static const char *need_text(const json_t *root, const char *pointer, struct wire_problems *ps)
{
	const json_t *v = json_object_get(root, pointer + 1);

	if (!v)
		wire_problem_add(ps, pointer, "%s is required", pointer + 1);
	else if (!json_is_string(v))
		wire_problem_add(ps, pointer, "%s must be a string, not %s", pointer + 1, type_name(v));
	else if (json_string_length(v) == 0)
		wire_problem_add(ps, pointer, "%s must not be empty", pointer + 1);
	else
		return json_string_value(v);
	return NULL;
}

static void read_project(const json_t *root, struct wire_create_call *out, struct wire_problems *ps)
{
	const char *s = need_text(root, "/projectId", ps);

	if (s && strlen(s) > WIRE_PROJECT_MAX)
		wire_problem_add(ps, "/projectId", "projectId is longer than %d bytes", WIRE_PROJECT_MAX);
	else if (s)
		str_copy(out->project, sizeof out->project, s);
}

static void read_number(const json_t *root, const char *pointer, char out[E164_SIZE], struct wire_problems *ps)
{
	const char *s = need_text(root, pointer, ps);
	struct errinfo e;

	if (!s)
		return;
	if (e164_check(s, &e))
		wire_problem_add(ps, pointer, "%s: %s", pointer + 1, e.text);
	else
		str_copy(out, E164_SIZE, s);
}

/* null is refused like every other wrong type: whoever has no variables leaves them out,
 * and whoever meant to send some learns that they were lost on the way. */
static void read_variables(const json_t *root, const char *body, struct wire_create_call *out,
                           struct wire_problems *ps)
{
	const json_t *v = json_object_get(root, VARIABLES);
	const char *text;
	size_t len;

	if (!v)
		return;
	if (!json_is_object(v)) {
		wire_problem_add(ps, "/" VARIABLES, VARIABLES " must be an object, not %s%s", type_name(v),
		                 json_is_null(v) ? "; leave it out to send none" : "");
		return;
	}
	if (!raw_member(body, VARIABLES, &text, &len))
		return;         /* cannot be: jansson has just found it */
	out->variables = xmalloc(len + 1);
	len = raw_compact(text, len, out->variables);
	if (len > WIRE_VARIABLES_MAX)
		wire_problem_add(ps, "/" VARIABLES, VARIABLES " takes %zu bytes as compact JSON; at most %d are allowed",
		                 len, WIRE_VARIABLES_MAX);
}

enum err wire_create_call_read(const char *body, size_t len, struct wire_create_call *out,
                               struct wire_problems *problems)
{
	json_t *root;

	*out = (struct wire_create_call){ .variables = NULL };
	problems->count = 0;
	root = parse(body, len, problems);
	if (!root)
		return ERR_INVALID;
	read_project(root, out, problems);
	read_number(root, "/fromNumber", out->from, problems);
	read_number(root, "/toNumber", out->to, problems);
	if (out->to[0] && str_eq(out->from, out->to))
		wire_problem_add(problems, "/toNumber", "toNumber must differ from fromNumber");
	read_variables(root, body, out, problems);
	json_decref(root);
	if (problems->count == 0)
		return OK;
	wire_create_call_done(out);
	return ERR_INVALID;
}

void wire_create_call_done(struct wire_create_call *c)
{
	free(TAKE(c->variables));
}
