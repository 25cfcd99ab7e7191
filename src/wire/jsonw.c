/* The writer of JSON values. Strings come from the database, from providers and from
 * tables of ours; all should be UTF-8, but an answer that is no JSON would hurt a client
 * more than a replaced character, so what is not UTF-8 is replaced here. */
#include "callgate/jsonw.h"

#include <stddef.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/text.h"

static const char hex[] = "0123456789abcdef";

static void put_escape(struct buf *b, unsigned char c)
{
	char u[] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	switch (c) {
	case '"':  JSONW_LIT(b, "\\\""); return;
	case '\\': JSONW_LIT(b, "\\\\"); return;
	case '\n': JSONW_LIT(b, "\\n");  return;
	case '\r': JSONW_LIT(b, "\\r");  return;
	case '\t': JSONW_LIT(b, "\\t");  return;
	default:   buf_add(b, u, sizeof u);
	}
}

static bool is_plain(unsigned char c, bool sound)
{
	return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && (c < 0x80 || sound);
}

/* Runs of plain bytes are copied whole. `sound`: bytes past ASCII are good UTF-8. */
static void put_runs(struct buf *b, const char *s, size_t n, bool sound)
{
	size_t start = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (is_plain(c, sound))
			continue;
		buf_add(b, s + start, i - start);
		start = i + 1;
		if (c < 0x80)
			put_escape(b, c);
		else
			JSONW_LIT(b, "\\ufffd");
	}
	buf_add(b, s + start, n - start);
}

static void put_rest(struct buf *b, const char *s)
{
	size_t n = strlen(s);

	put_runs(b, s, n, utf8_ok(s, n));
}

void jsonw_str(struct buf *b, const char *s)
{
	size_t n;

	if (!s) {
		JSONW_LIT(b, "null");
		return;
	}
	for (n = 0; is_plain((unsigned char)s[n], false); n++)
		;
	buf_char(b, '"');
	buf_add(b, s, n);       /* mostly all of it */
	if (s[n] != '\0')
		put_rest(b, s + n);
	buf_char(b, '"');
}

void jsonw_bool(struct buf *b, bool v)
{
	if (v)
		JSONW_LIT(b, "true");
	else
		JSONW_LIT(b, "false");
}

void jsonw_time(struct buf *b, int64_t utc_ms)
{
	char text[RFC3339_SIZE];

	if (utc_ms == 0) {
		JSONW_LIT(b, "null");
		return;
	}
	time_format(utc_ms, text);
	buf_char(b, '"');
	buf_str(b, text);
	buf_char(b, '"');
}

void jsonw_seconds(struct buf *b, int64_t ms)
{
	char fraction[4] = { '.' };

	if (ms < 0)
		ms = 0;
	for (int i = 3, rest = (int)(ms % 1000); i > 0; i--, rest /= 10)
		fraction[i] = (char)('0' + rest % 10);
	buf_int(b, ms / 1000);
	buf_add(b, fraction, sizeof fraction);
}
