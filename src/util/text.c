/* Small questions about text. UTF-8 is checked against the table of RFC 3629 section 4:
 * the first byte fixes the length and the range of the second, the rest are plain
 * continuations. Overlong forms, surrogates and values past U+10FFFF fall out of it. */
#include "callgate/text.h"

#include <string.h>

#include "utf8.h"

static bool between(uint8_t c, uint8_t lo, uint8_t hi)
{
	return c >= lo && c <= hi;
}

size_t utf8_char(const char *s, size_t n)
{
	const uint8_t *c = (const uint8_t *)s;
	uint8_t lo = 0x80, hi = 0xbf;
	size_t len;

	if (n == 0)
		return 0;
	if (c[0] < 0x80)
		return 1;
	if (between(c[0], 0xc2, 0xdf))
		len = 2;
	else if (between(c[0], 0xe0, 0xef))
		len = 3;
	else if (between(c[0], 0xf0, 0xf4))
		len = 4;
	else
		return 0;
	if (c[0] == 0xe0)
		lo = 0xa0;
	else if (c[0] == 0xed)
		hi = 0x9f;
	else if (c[0] == 0xf0)
		lo = 0x90;
	else if (c[0] == 0xf4)
		hi = 0x8f;
	if (len > n || !between(c[1], lo, hi))
		return 0;
	for (size_t i = 2; i < len; i++)
		if (!between(c[i], 0x80, 0xbf))
			return 0;
	return len;
}

/* Bodies are mostly ASCII: eight bytes at a time while none has its top bit set and
 * none is zero (the usual borrow trick finds a zero byte). */
static bool eight_plain(const char *s)
{
	uint64_t v;

	memcpy(&v, s, sizeof v);
	return ((v | (v - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080)) == 0;
}

bool utf8_ok(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t n;

		if (len - i >= 8 && eight_plain(s + i)) {
			i += 8;
			continue;
		}
		n = s[i] ? utf8_char(s + i, len - i) : 0;
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

bool str_eq(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a, b) == 0;
}

bool str_has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static int lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

bool str_case_eq(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower(*a) == lower(*b);
}

/* Where to cut so that no character is split: back from `end` over continuations to
 * the last beginning, and before it if that character is not whole. Text that is not
 * UTF-8 anyway is cut where it is. */
static size_t cut_at(const char *s, size_t len, size_t end)
{
	size_t start = end;

	for (int i = 0; i < 4 && start > 0; i++) {
		size_t n;

		start--;
		if (((uint8_t)s[start] & 0xc0) == 0x80)
			continue;
		n = utf8_char(s + start, len - start);
		return start + n > end ? start : end;
	}
	return end;
}

bool str_copy(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src);
	size_t n = len;

	if (size == 0)
		return false;
	if (len >= size)
		n = cut_at(src, len, size - 1);
	memcpy(dst, src, n);
	dst[n] = '\0';
	return n == len;
}

bool parse_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
	bool negative;
	int64_t v = 0;

	if (!s)
		return false;
	negative = *s == '-';
	if (negative)
		s++;
	if (!*s)
		return false;
	/* Counted on the negative side, which reaches one further. */
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *s - '0', &v))
			return false;
	}
	if (!negative && __builtin_sub_overflow(INT64_C(0), v, &v))
		return false;
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}
