/* Developer keys as text. The shape is unambiguous although organizations are written in
 * letters: a secret has no '_' and exactly 40 characters, so "dk_test_" is the prefix of
 * test keys in one key and organization `test` in another, and only one reading fits. */
#include "callgate/key.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "callgate/digest.h"
#include "callgate/mem.h"
#include "callgate/text.h"

#define SECRET_CHARS 40
#define HINT_CHARS   4

static const struct { const char *name, *live, *test; } kinds[] = {
	[KEY_DK]     = { "dk",     "dk_",        "dk_test_"     },
	[KEY_KROS]   = { "kros",   "kros_live_", "kros_test_"   },
	[KEY_SK_CAR] = { "sk_car", "sk_car_",    "sk_car_test_" },
	[KEY_SK]     = { "sk",     "sk_live_",   "sk_test_"     },
};
_Static_assert(sizeof kinds / sizeof *kinds == KEY_KIND_COUNT, "a kind lacks its prefixes");

const char *key_prefix(enum key_kind kind, bool test)
{
	assert((unsigned)kind < KEY_KIND_COUNT);
	return test ? kinds[kind].test : kinds[kind].live;
}

bool key_kind_parse(const char *name, enum key_kind *out)
{
	for (size_t i = 0; name && i < ARRAY_LEN(kinds); i++) {
		if (str_eq(name, kinds[i].name)) {
			*out = (enum key_kind)i;
			return true;
		}
	}
	return false;
}

static char *put_base36(char *p, int64_t v)
{
	char digits[13];
	size_t n = 0;

	for (; v > 0; v /= 36)
		digits[n++] = "0123456789abcdefghijklmnopqrstuvwxyz"[v % 36];
	while (n > 0)
		*p++ = digits[--n];
	return p;
}

/* 248 is the largest multiple of 62 in a byte: throwing away what lies above keeps every
 * character equally likely. */
static char *put_secret(char *p)
{
	static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint8_t bytes[64];
	size_t n = 0;

	while (n < SECRET_CHARS) {
		random_bytes(bytes, sizeof bytes);
		for (size_t i = 0; i < sizeof bytes && n < SECRET_CHARS; i++) {
			if (bytes[i] < 248) {
				*p++ = letters[bytes[i] % 62];
				n++;
			}
		}
	}
	explicit_bzero(bytes, sizeof bytes);
	return p;
}

void key_new(enum key_kind kind, bool test, int64_t org_id, char out[KEY_TEXT_SIZE])
{
	const char *prefix = key_prefix(kind, test);
	char *p = out;

	assert(org_id > 0);
	memcpy(p, prefix, strlen(prefix));
	p = put_base36(p + strlen(prefix), org_id);
	*p++ = '_';
	p = put_secret(p);
	*p = '\0';
}

/* ORG: no sign, no capitals, no leading zero; one organization has one spelling. */
static bool parse_org(const char *s, size_t n, int64_t *out)
{
	int64_t v = 0;

	if (n == 0 || s[0] == '0')
		return false;
	for (size_t i = 0; i < n; i++) {
		int digit;

		if (s[i] >= '0' && s[i] <= '9')
			digit = s[i] - '0';
		else if (s[i] >= 'a' && s[i] <= 'z')
			digit = s[i] - 'a' + 10;
		else
			return false;
		if (__builtin_mul_overflow(v, 36, &v) || __builtin_add_overflow(v, digit, &v))
			return false;
	}
	*out = v;
	return true;
}

static bool is_secret(const char *s)
{
	for (size_t i = 0; i < SECRET_CHARS; i++) {
		char c = s[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z'))
			return false;
	}
	return true;
}

static bool fits(const char *prefix, const char *text, size_t len, int64_t *org_id)
{
	size_t n = strlen(prefix);
	size_t tail = 1 + SECRET_CHARS;

	if (len < n + 1 + tail || len >= KEY_TEXT_SIZE || memcmp(text, prefix, n) != 0)
		return false;
	return text[len - tail] == '_' && is_secret(text + len - SECRET_CHARS) &&
	       parse_org(text + n, len - n - tail, org_id);
}

/* The prefix that fits, or NULL. At most one does, so the order does not matter. */
static const char *find_prefix(const char *text, size_t len, enum key_kind *kind, int64_t *org_id)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const char *prefix = fits(kinds[i].live, text, len, org_id) ? kinds[i].live
		                   : fits(kinds[i].test, text, len, org_id) ? kinds[i].test
		                   : NULL;

		if (prefix) {
			*kind = (enum key_kind)i;
			return prefix;
		}
	}
	return NULL;
}

bool key_parse(const char *text, size_t len, enum key_kind *kind, int64_t *org_id)
{
	enum key_kind k;
	int64_t org;

	if (!find_prefix(text, len, &k, &org))
		return false;
	*kind = k;
	*org_id = org;
	return true;
}

/* Of what is not the shape of a key nothing is shown: it may be a password in the wrong
 * field. */
void key_hint(const char *key, char out[KEY_HINT_SIZE])
{
	size_t len = strlen(key);
	const char *prefix;
	enum key_kind kind;
	int64_t org;

	prefix = find_prefix(key, len, &kind, &org);
	str_copy(out, KEY_HINT_SIZE, prefix ? prefix : "");
	len = strlen(out);
	str_copy(out + len, KEY_HINT_SIZE - len, "…");
	if (prefix) {
		len = strlen(out);
		str_copy(out + len, KEY_HINT_SIZE - len, key + strlen(key) - HINT_CHARS);
	}
}
