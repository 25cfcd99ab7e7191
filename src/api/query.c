/* See query.h. */
#include "query.h"

#include <string.h>

#include "callgate/text.h"

void query_unknown(const char *name, struct wire_problems *ps)
{
	wire_problem_add(ps, "", "there is no query argument \"%.64s\" here", name);
}

bool query_once(const struct http_request *rq, const char *name, const char *value, struct wire_problems *ps)
{
	if (http_query(rq, name) == value)
		return true;
	wire_problem_add(ps, "", "%.64s is there more than once", name);
	return false;
}

void query_only(const struct http_request *rq, const char *const *names, size_t n, struct wire_problems *ps)
{
	const char *name, *value;
	size_t at = 0, i;

	while (http_query_next(rq, &at, &name, &value)) {
		for (i = 0; i < n && !str_eq(name, names[i]); i++)
			;
		if (i == n)
			query_unknown(name, ps);
		else
			query_once(rq, name, value, ps);
	}
}

int64_t query_int(const struct http_request *rq, const char *name, int64_t min, int64_t max, int64_t def,
                  struct wire_problems *ps)
{
	const char *text = http_query(rq, name);
	int64_t v = def;

	if (text && !parse_int(text, min, max, &v))
		wire_problem_add(ps, "", "%s must be a whole number from %lld to %lld", name, (long long)min, (long long)max);
	return v;
}

void query_escape(struct buf *b, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *text; text++) {
		if (strchr(plain, *text))
			buf_char(b, *text);
		else
			buf_printf(b, "%%%02X", (unsigned char)*text);
	}
}
