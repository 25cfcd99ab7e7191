/* Three walks over JSON text. None of them checks JSON: the first may see anything and
 * stays within its bounds, the others only see what jansson has found sound. */
#include "raw.h"

#include <string.h>

/* After the string that begins at p, or `end` when it does not end. */
static const char *string_end(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '\\')
			p++;
		else if (*p == '"')
			return p + 1;
	}
	return end;
}

struct raw_position raw_position_of(const char *s, const char *at)
{
	struct raw_position pos = { .line = 1, .column = 1 };

	for (; s < at; s++) {
		if (*s == '\n') {
			pos.line++;
			pos.column = 1;
		} else if (((unsigned char)*s & 0xc0) != 0x80) {
			pos.column++;
		}
	}
	return pos;
}

bool raw_too_deep(const char *s, size_t len, int max, struct raw_position *at)
{
	const char *end = s + len;
	const char *p = s;
	int depth = 0;

	while (p < end) {
		char c = *p;

		if (c == '"') {
			p = string_end(p, end);
			continue;
		}
		if ((c == '{' || c == '[') && ++depth > max) {
			*at = raw_position_of(s, p);
			return true;
		}
		if (c == '}' || c == ']')
			depth--;
		p++;
	}
	return false;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_space(const char *p)
{
	while (is_space(*p))
		p++;
	return p;
}

/* In sound JSON every string ends, so no end of the buffer need be known. */
static const char *skip_string(const char *p)
{
	for (p++; *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p + 1;
}

static const char *skip_nested(const char *p)
{
	int depth = 0;

	do {
		if (*p == '"') {
			p = skip_string(p);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		p++;
	} while (depth > 0);
	return p;
}

static const char *skip_value(const char *p)
{
	if (*p == '"')
		return skip_string(p);
	if (*p == '{' || *p == '[')
		return skip_nested(p);
	while (*p != ',' && *p != '}' && !is_space(*p))
		p++;
	return p;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return (c | 0x20) - 'a' + 10;
}

/* Letters can be escaped in one way only, as \u0041: the short escapes stand for others. */
static bool key_is(const char *p, const char *end, const char *name)
{
	for (; p < end && *name; name++) {
		int c = (unsigned char)*p;
		int step = 1;

		if (c == '\\') {
			if (p[1] != 'u')
				return false;
			c = hex_digit(p[2]) << 12 | hex_digit(p[3]) << 8 |
			    hex_digit(p[4]) << 4 | hex_digit(p[5]);
			step = 6;
		}
		if (c != *name)
			return false;
		p += step;
	}
	return p == end && !*name;
}

bool raw_member(const char *json, const char *name, const char **value, size_t *len)
{
	const char *p = skip_space(json) + 1;

	for (;; p++) {
		const char *key, *key_end;
		const char *from;

		key = skip_space(p);
		if (*key != '"')
			return false;           /* the empty object */
		key_end = skip_string(key);
		from = skip_space(skip_space(key_end) + 1);
		p = skip_value(from);
		if (key_is(key + 1, key_end - 1, name)) {
			*value = from;
			*len = (size_t)(p - from);
			return true;
		}
		p = skip_space(p);
		if (*p != ',')
			return false;
	}
}

size_t raw_compact(const char *value, size_t len, char *out)
{
	const char *end = value + len;
	const char *p = value;
	char *to = out;

	while (p < end) {
		const char *next = p + 1;

		if (*p == '"')
			next = skip_string(p);
		if (!is_space(*p)) {
			memcpy(to, p, (size_t)(next - p));
			to += next - p;
		}
		p = next;
	}
	*to = '\0';
	return (size_t)(to - out);
}
