/* The values of a provisioning document: each shape has its rule, and the words for when it
 * is broken. */
#include "provision_value.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "callgate/e164.h"
#include "callgate/id.h"
#include "callgate/mem.h"
#include "callgate/money.h"

#define CPS_MAX 100000

void provision_tell(struct parser *p, const struct place *at, const char *fmt, ...)
{
	char words[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(words, sizeof words, fmt, args);
	va_end(args);
	p->failed = true;
	p->mistake(p->arg, at->pointer, words);
}

/* ── text ─────────────────────────────────────────────────────────────────────────── */

static bool is_symbol(const char *s)
{
	return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == '\0';
}

static bool has_control(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	}
	return false;
}

/* A name with a blank at its end looks like another one, and is not. */
static const char *text_wrong(const char *s, size_t max)
{
	size_t n = strlen(s);

	if (n == 0)
		return "must not be empty";
	if (n > max)
		return "is too long";
	if (s[0] == ' ' || s[n - 1] == ' ')
		return "must not begin or end with a blank";
	return has_control(s) ? "must not have control characters" : NULL;
}

static const char *prefix_wrong(const char *s)
{
	size_t digits = s[0] == '+' ? strspn(s + 1, "0123456789") : 0;

	if (s[0] != '+' || s[1 + digits] != '\0' || digits > 15)
		return "must be '+' and the first digits of the numbers it is for, at most 15; '+' alone is for all";
	return s[1] == '0' ? "no country's numbers begin with 0" : NULL;
}

static const char *email_wrong(const char *s)
{
	const char *at = strchr(s, '@');

	if (text_wrong(s, 254))
		return text_wrong(s, 254);
	if (!at || at == s || at[1] == '\0' || strchr(at + 1, '@') || strchr(s, ' '))
		return "must be an e-mail address";
	return NULL;
}

static char *lower(const char *s)
{
	char *copy = xstrdup(s);

	for (char *c = copy; *c; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	return copy;
}

/* The text as it is kept, or NULL after telling what is wrong with it. */
static char *read_text(struct parser *p, const struct member *m, const json_t *j, const struct place *at)
{
	const char *s = json_string_value(j), *wrong = NULL;
	struct errinfo e;
	struct id id;
	char word[80];

	if (!s) {
		provision_tell(p, at, "must be a string");
		return NULL;
	}
	switch (m->shape) {
	case TEXT:
		wrong = text_wrong(s, (size_t)m->max);
		break;
	case SYMBOL:
		wrong = text_wrong(s, (size_t)m->max);
		if (!wrong && !is_symbol(s))
			wrong = "may have letters, digits, '.', '_' and '-' only";
		break;
	case EMAIL:
	case EMAILS:
		wrong = email_wrong(s);
		if (!wrong)
			return lower(s);
		break;
	case NUMBER:
	case NUMBERS:
		wrong = e164_check(s, &e) == OK ? NULL : e.text;
		break;
	case PREFIX:
		wrong = prefix_wrong(s);
		break;
	case UUID:
		wrong = id_parse(s, &id) ? NULL : "must be a UUID";
		if (!wrong)
			return lower(s);
		break;
	case CHOICE:
		snprintf(word, sizeof word, " %.60s ", s);
		if (strchr(s, ' ') || *s == '\0' || !strstr(m->choices, word)) {
			provision_tell(p, at, "must be one of:%.*s", (int)strlen(m->choices) - 1, m->choices);
			return NULL;
		}
		break;
	case INTEGER: case BOOLEAN: case OBJECT: case RATE: case MONEY: case CHILDREN:
		break;
	}
	if (wrong) {
		provision_tell(p, at, "%s", wrong);
		return NULL;
	}
	return xstrdup(s);
}

/* ── numbers ──────────────────────────────────────────────────────────────────────── */

static char *integer_text(int64_t v)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRId64, v);
	return xstrdup(text);
}

static char *read_integer(struct parser *p, const struct member *m, const json_t *j, const struct place *at)
{
	int64_t v = json_integer_value(j);

	if (json_is_integer(j) && v >= m->min && v <= m->max)
		return integer_text(v);
	provision_tell(p, at, "must be a whole number from %" PRId64 " to %" PRId64, m->min, m->max);
	return NULL;
}

static char *read_rate(struct parser *p, const json_t *j, const struct place *at)
{
	double v = json_number_value(j) * 1000;

	if (json_is_number(j) && v >= 0 && v <= CPS_MAX * 1000.0) {
		int64_t nearest = (int64_t)(v + 0.5);

		if (v - (double)nearest < 1e-6 && (double)nearest - v < 1e-6)
			return integer_text(nearest);
	}
	provision_tell(p, at, "must be a number from 0 to %d with at most three decimals", CPS_MAX);
	return NULL;
}

static char *read_money(struct parser *p, const struct member *m, const json_t *j, const struct place *at)
{
	const char *s = json_string_value(j);
	char max[MONEY_TEXT_SIZE];
	int64_t mc;

	if (s && money_parse(s, m->max, &mc) && mc >= m->min)
		return integer_text(mc);
	money_format(m->max, max);
	provision_tell(p, at, "must be an amount as a string, like \"12.50\", with at most five decimals, %sup to %s",
	     m->min ? "above zero and " : "", max);
	return NULL;
}

static char *read_object_text(struct parser *p, const json_t *j, const struct place *at)
{
	if (json_is_object(j))
		return json_dumps(j, JSON_COMPACT);
	provision_tell(p, at, "must be an object");
	return NULL;
}

static char *read_boolean(struct parser *p, const json_t *j, const struct place *at)
{
	if (json_is_boolean(j))
		return xstrdup(json_is_true(j) ? "true" : "false");
	provision_tell(p, at, "must be true or false");
	return NULL;
}

char *provision_read_value(struct parser *p, const struct member *m, const json_t *j, const struct place *at)
{
	switch (m->shape) {
	case INTEGER:
		return read_integer(p, m, j, at);
	case RATE:
		return read_rate(p, j, at);
	case MONEY:
		return read_money(p, m, j, at);
	case BOOLEAN:
		return read_boolean(p, j, at);
	case OBJECT:
		return read_object_text(p, j, at);
	case TEXT: case SYMBOL: case EMAIL: case NUMBER: case PREFIX: case UUID: case CHOICE: case EMAILS: case NUMBERS:
	case CHILDREN:
		break;
	}
	return read_text(p, m, j, at);
}
