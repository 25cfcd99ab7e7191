/* See livekit_name.h. */
#include "livekit_name.h"

#include <stdio.h>
#include <string.h>

#include "callgate/digest.h"
#include "callgate/text.h"

#define NOISE_BYTES 8
#define NOISE_CHARS 11          /* in base64url */
#define BASE36_MAX  14          /* of 63 bits, and NUL */

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static const char *put_base36(int64_t n, char out[BASE36_MAX])
{
	char *p = out + BASE36_MAX - 1;

	*p = '\0';
	do
		*--p = digits[n % 36];
	while (n /= 36);
	return p;
}

bool livekit_name_identity(const struct livekit_name *n, char out[LIVEKIT_NAME_SIZE])
{
	char org[BASE36_MAX], call[2 * sizeof n->call_id.b + 1];

	hex_encode(n->call_id.b, sizeof n->call_id.b, call);
	return n->org_id > 0 && n->attempt > 0 && n->attempt < 100 &&
	       snprintf(out, LIVEKIT_NAME_SIZE, "cg%s-%s-%d", put_base36(n->org_id, org), call, n->attempt) < LIVEKIT_NAME_SIZE;
}

bool livekit_name_room(const struct livekit_name *n, char out[LIVEKIT_NAME_SIZE])
{
	char identity[LIVEKIT_NAME_SIZE], noise[BASE64URL_SIZE(NOISE_BYTES)];
	uint8_t bytes[NOISE_BYTES];

	random_bytes(bytes, sizeof bytes);
	base64url_encode(bytes, sizeof bytes, noise);
	return livekit_name_identity(n, identity) &&
	       snprintf(out, LIVEKIT_NAME_SIZE, "%s-%s", identity, noise) < LIVEKIT_NAME_SIZE;
}

/* ── reading ────────────────────────────────────────────────────────────────────── */

/* Each moves on behind what it has read, and the '-' after it. */
static bool take_number(const char **at, int base, int64_t max, int64_t *out)
{
	const char *p = *at, *digit;
	int64_t n = 0;

	for (; *p && *p != '-'; p++) {
		digit = memchr(digits, *p, (size_t)base);
		if (!digit || n > (max - (digit - digits)) / base)
			return false;
		n = n * base + (digit - digits);
	}
	/* "0" and leading zeros are never written. */
	if (p == *at || **at == '0' || *p != '-')
		return false;
	*at = p + 1;
	*out = n;
	return true;
}

static bool take_id(const char **at, struct id *out)
{
	for (size_t i = 0; i < 2 * sizeof out->b; i++) {
		const char *digit = (*at)[i] ? memchr(digits, (*at)[i], 16) : NULL;

		if (!digit)
			return false;
		out->b[i / 2] = (uint8_t)(out->b[i / 2] << 4 | (digit - digits));
	}
	if ((*at)[2 * sizeof out->b] != '-')
		return false;
	*at += 2 * sizeof out->b + 1;
	return true;
}

bool livekit_name_parse(const char *room, struct livekit_name *out)
{
	struct livekit_name n = { 0 };
	uint8_t noise[NOISE_BYTES + 1];
	int64_t attempt = 0;
	size_t len;

	if (!str_has_prefix(room, "cg"))
		return false;
	room += 2;
	if (!take_number(&room, 36, INT64_MAX, &n.org_id) || !take_id(&room, &n.call_id) ||
	    !take_number(&room, 10, 99, &attempt) || strlen(room) != NOISE_CHARS ||
	    !base64url_decode(room, NOISE_CHARS, noise, &len))
		return false;
	n.attempt = (int)attempt;
	*out = n;
	return true;
}

bool livekit_name_within(const char *room, const char *identity)
{
	return strlen(room) == strlen(identity) + 1 + NOISE_CHARS && str_has_prefix(room, identity);
}
