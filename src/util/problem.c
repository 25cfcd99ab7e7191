/* Problem details: when they are wanted, and the members that only they have. An Accept
 * header (RFC 9110, 12.5.1) is judged for two types alone, so it is walked once, and each
 * range is held against both. */
#include "callgate/problem.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* What a header says of one type: by its most specific range (3: itself, 2: its main type,
 * 1: anything, 0: none speaks of it), in thousandths. */
struct liking {
	const char *type;
	int         specific;
	int         q;
};

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* To the delimiter or the end; commas and semicolons in quoted strings are none. */
static const char *skip_to(const char *p, const char *delimiters)
{
	bool quoted = false;

	for (; *p && (quoted || !strchr(delimiters, *p)); p++) {
		if (quoted && *p == '\\' && p[1])
			p++;
		else if (*p == '"')
			quoted = !quoted;
	}
	return p;
}

/* 0 to 1 with three digits at most. What is none counts as 0: a range that is not understood
 * asks for nothing. */
static int weight(const char *p, const char *end)
{
	int q, scale = 100;

	if (p == end || (*p != '0' && *p != '1'))
		return 0;
	q = (*p++ - '0') * 1000;
	if (p < end && *p == '.')
		for (p++; p < end && scale > 0 && isdigit((unsigned char)*p); p++, scale /= 10)
			q += (*p - '0') * scale;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p == end && q <= 1000 ? q : 0;
}

/* The q among the parameters of one range; *p is at its end or at a semicolon. */
static int range_weight(const char *p, const char *end)
{
	int q = 1000;

	while (p < end) {
		p = skip_blanks(p + 1);
		if (strncasecmp(p, "q=", 2) == 0)
			q = weight(p + 2, skip_to(p, ";,"));
		p = skip_to(p, ";,");
	}
	return q;
}

static int fits(const char *range, size_t len, const char *type)
{
	size_t main_len = strcspn(type, "/") + 1;

	if (len == strlen(type) && strncasecmp(range, type, len) == 0)
		return 3;
	if (len == main_len + 1 && range[main_len] == '*' && strncasecmp(range, type, main_len) == 0)
		return 2;
	return len == 3 && strncmp(range, "*/*", 3) == 0 ? 1 : 0;
}

static void judge(struct liking *l, const char *range, size_t len, int q)
{
	int specific = fits(range, len, l->type);

	if (specific == 0 || specific < l->specific)
		return;
	l->specific = specific;
	l->q = q;
}

bool problem_wanted(const char *accept)
{
	struct liking problem = { .type = PROBLEM_CONTENT_TYPE }, plain = { .type = "application/json" };

	while (accept && *accept) {
		const char *range = skip_blanks(accept), *end = skip_to(range, ",");
		const char *type_end = skip_to(range, ";,");
		size_t len = (size_t)(type_end - range);
		int q = range_weight(type_end, end);

		while (len > 0 && (range[len - 1] == ' ' || range[len - 1] == '\t'))
			len--;
		judge(&problem, range, len, q);
		judge(&plain, range, len, q);
		accept = *end ? end + 1 : end;
	}
	return problem.specific == 3 && problem.q > 0 && problem.q >= plain.q;
}

void problem_members(struct buf *b, int status, const char *code)
{
	buf_str(b, "\"type\":\"" PROBLEM_PATH);
	buf_str(b, code);
	buf_str(b, "\",\"title\":\"");
	for (const char *c = code; *c; c++)
		buf_char(b, *c == '_' ? ' ' : c == code ? (char)toupper((unsigned char)*c) : *c);
	buf_str(b, "\",\"status\":");
	buf_int(b, status);
}
