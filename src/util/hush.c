/* What others say, fit to be logged: providers quote what they were sent, and that was a
 * token or a telephone number. Hidden is what has the look of one; so a word too many may be
 * hidden, and an error stays readable all the same. */
#include <string.h>
#include <strings.h>

#include "callgate/mem.h"
#include "callgate/text.h"

#define NUMBER_DIGITS_MIN 7     /* without a '+' before or an '@' behind */
#define SECRET_MIN        20
#define HEX_MIN           32

struct said {
	char  *out;
	size_t size, len;
};

static void put(struct said *s, const char *bytes, size_t n)
{
	if (n > s->size - 1 - s->len)
		n = s->size - 1 - s->len;
	memcpy(s->out + s->len, bytes, n);
	s->len += n;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ── secrets ────────────────────────────────────────────────────────────────────── */

/* The letters of base64, either alphabet. */
static bool is_piece(char c)
{
	return is_digit(c) || is_letter(c) || (c && strchr("_-+=~", c));
}

static size_t piece_len(const char *p)
{
	size_t n = 0;

	while (is_piece(p[n]))
		n++;
	return n;
}

/* Pieces and what stands between those of a token or a path. */
static size_t word_len(const char *p)
{
	size_t n = 0;

	while (is_piece(p[n]) || p[n] == '.' || p[n] == '/')
		n++;
	return n;
}

/* The header of every token in JSON begins so (RFC 7519), cut short or not; and whatever stands
 * behind "Bearer" is one. */
static bool is_token(const char *start, const char *p, size_t n)
{
	static const char bearer[] = "bearer ";

	return memmem(p, n, "eyJ", 3) ||
	       (p - start >= (ptrdiff_t)sizeof bearer - 1 && strncasecmp(p - (sizeof bearer - 1), bearer, sizeof bearer - 1) == 0);
}

/* Long, and nobody would call a host or an error that. */
static bool is_secret(const char *p, size_t n)
{
	bool upper = false, lower = false, digit = false;
	size_t hex = 0;

	for (size_t i = 0; i < n; i++) {
		digit |= is_digit(p[i]);
		upper |= p[i] >= 'A' && p[i] <= 'Z';
		lower |= p[i] >= 'a' && p[i] <= 'z';
		hex += is_digit(p[i]) || (p[i] >= 'a' && p[i] <= 'f') || (p[i] >= 'A' && p[i] <= 'F');
	}
	return (n >= SECRET_MIN && upper && lower && digit) || (n >= HEX_MIN && hex == n);
}

/* 0: nothing to hide here. */
static size_t secret_len(const char *start, const char *p)
{
	size_t n;

	if (p > start && is_piece(p[-1]))
		return 0;
	n = word_len(p);
	if (is_token(start, p, n))
		return n;
	n = piece_len(p);
	return is_secret(p, n) ? n : 0;
}

/* ── telephone numbers ──────────────────────────────────────────────────────────── */

/* As people write them too: "(415) 555-0123". */
static size_t number_len(const char *start, const char *p)
{
	size_t n = *p == '+', len = 0, digits = 0;

	if (p > start && is_digit(p[-1]))
		return 0;
	for (; p[n]; n++) {
		if (is_digit(p[n])) {
			digits++;
			len = n + 1;
		} else if (digits == 0 || n - len >= 2 || !strchr(" -()", p[n])) {
			break;
		}
	}
	return digits >= NUMBER_DIGITS_MIN || (digits >= 2 && (*p == '+' || p[len] == '@')) ? len : 0;
}

/* ── all ────────────────────────────────────────────────────────────────────────── */

void str_hush(char *dst, size_t size, const char *src)
{
	struct said s = { .out = dst, .size = size };
	size_t n;

	for (const char *p = src; *p && s.len < size - 1; p += n) {
		if ((n = secret_len(src, p)) > 0) {
			put(&s, "***", 3);
		} else if ((n = number_len(src, p)) > 0) {
			put(&s, "***", 3);
			put(&s, n >= NUMBER_DIGITS_MIN ? p + n - 2 : "", n >= NUMBER_DIGITS_MIN ? 2 : 0);
		} else {
			n = 1;
			put(&s, p, 1);
		}
	}
	dst[s.len] = '\0';
}
