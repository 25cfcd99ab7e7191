/* See etag.h. What is no list of tags matches as far as it is one: a condition that cannot
 * be read must not hold by accident. */
#include "etag.h"

#include <string.h>

static const char *skip_blank(const char *p)
{
	return p + strspn(p, " \t,");
}

bool etag_match(const char *header, const char *etag, bool weak)
{
	size_t n = strlen(etag);
	const char *p = skip_blank(header);

	if (*p == '*')
		return skip_blank(p + 1)[0] == '\0';
	while (*p) {
		bool is_weak = strncmp(p, "W/", 2) == 0;
		const char *end;

		if (is_weak)
			p += 2;
		end = *p == '"' ? strchr(p + 1, '"') : NULL;
		if (!end)
			return false;
		end++;
		if ((size_t)(end - p) == n && memcmp(p, etag, n) == 0 && (weak || !is_weak))
			return true;
		p = skip_blank(end);
	}
	return false;
}
