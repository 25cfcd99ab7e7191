/* JSON Web Tokens, HS256 (RFC 7515, 7519), with LiveKit's claims. LiveKit checks a token
 * once, when the request begins, with a leeway of a minute. */
#include "livekit_token.h"

#include <stdlib.h>
#include <string.h>

#include "callgate/digest.h"
#include "callgate/jsonw.h"
#include "callgate/mem.h"

#define EARLY_S    30           /* our clock may be ahead of theirs   */
#define LIFE_MIN_S 600
#define LATE_S     60
#define LEEWAY_S   60           /* their clock, too */
#define PART_MAX   4096         /* of a token; a webhook's has a few hundred bytes */

static void put_flag(struct buf *b, bool on, const char *member)
{
	if (!on)
		return;
	if (b->data[b->len - 1] != '{')
		buf_char(b, ',');
	jsonw_str(b, member);
	JSONW_LIT(b, ":true");
}

static void put_claims(struct buf *b, const char *key, unsigned grants, const char *room, int64_t now_s, int timeout_s)
{
	int life = timeout_s + LATE_S > LIFE_MIN_S ? timeout_s + LATE_S : LIFE_MIN_S;

	JSONW_LIT(b, "{\"iss\":");
	jsonw_str(b, key);
	JSONW_LIT(b, ",\"nbf\":");
	buf_int(b, now_s - EARLY_S);
	JSONW_LIT(b, ",\"exp\":");
	buf_int(b, now_s + life);
	if (grants & ~(unsigned)(LIVEKIT_GRANT_SIP_CALL | LIVEKIT_GRANT_SIP_ADMIN)) {
		JSONW_LIT(b, ",\"video\":{");
		put_flag(b, grants & LIVEKIT_GRANT_ROOM_CREATE, "roomCreate");
		put_flag(b, grants & LIVEKIT_GRANT_ROOM_LIST, "roomList");
		put_flag(b, grants & LIVEKIT_GRANT_ROOM_ADMIN, "roomAdmin");
		if (grants & LIVEKIT_GRANT_ROOM_ADMIN) {
			JSONW_LIT(b, ",\"room\":");
			jsonw_str(b, room);
		}
		buf_char(b, '}');
	}
	if (grants & (LIVEKIT_GRANT_SIP_CALL | LIVEKIT_GRANT_SIP_ADMIN)) {
		JSONW_LIT(b, ",\"sip\":{");
		put_flag(b, grants & LIVEKIT_GRANT_SIP_CALL, "call");
		put_flag(b, grants & LIVEKIT_GRANT_SIP_ADMIN, "admin");
		buf_char(b, '}');
	}
	buf_char(b, '}');
}

static void put_base64url(struct buf *out, const void *data, size_t len)
{
	CLEANUP(freep) char *text = xmalloc(BASE64URL_SIZE(len));

	buf_add(out, text, base64url_encode(data, len, text));
}

void livekit_token(struct buf *out, const char *key, const char *secret, unsigned grants, const char *room,
                   int64_t now_s, int timeout_s)
{
	static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	CLEANUP(buf_done) struct buf claims;
	uint8_t mac[SHA256_SIZE];
	size_t begin = out->len;

	buf_init(&claims, 2048);
	put_claims(&claims, key, grants, room, now_s, timeout_s);
	put_base64url(out, header, sizeof header - 1);
	buf_char(out, '.');
	put_base64url(out, claims.data, claims.len);
	hmac_sha256(secret, strlen(secret), out->data + begin, out->len - begin, mac);
	buf_char(out, '.');
	put_base64url(out, mac, sizeof mac);
}

/* ── tokens that come ───────────────────────────────────────────────────────────── */

/* One of the parts between the dots, decoded. */
static bool decode_part(const char *text, size_t len, char out[PART_MAX], size_t *out_len)
{
	return len > 0 && len <= PART_MAX && base64url_decode(text, len, out, out_len);
}

bool livekit_token_read(const char *token, struct wire_livekit_claims *out)
{
	const char *first = strchr(token, '.'), *second = first ? strchr(first + 1, '.') : NULL;
	char part[PART_MAX], alg[8];
	size_t len;

	/* Nothing but HS256 is ever computed here; a token that says otherwise is wrong all the same. */
	return second && !strchr(second + 1, '.') &&
	       decode_part(token, (size_t)(first - token), part, &len) &&
	       wire_livekit_token_alg(part, len, alg, sizeof alg) && strcmp(alg, "HS256") == 0 &&
	       decode_part(first + 1, (size_t)(second - first - 1), part, &len) &&
	       wire_livekit_claims_read(part, len, out);
}

bool livekit_token_signed(const char *token, const char *secret)
{
	const char *end = strrchr(token, '.');
	char text[BASE64URL_SIZE(SHA256_SIZE)];
	uint8_t mac[SHA256_SIZE];
	size_t len;

	if (!end)
		return false;
	hmac_sha256(secret, strlen(secret), token, (size_t)(end - token), mac);
	len = base64url_encode(mac, sizeof mac, text);
	return strlen(end + 1) == len && bytes_equal(end + 1, text, len);
}

bool livekit_token_fits(const struct wire_livekit_claims *c, const char *body, size_t len, int64_t now_s)
{
	char text[BASE64_SIZE(SHA256_SIZE)];
	uint8_t digest[SHA256_SIZE];
	size_t n;

	sha256(body, len, digest);
	n = base64_encode(digest, sizeof digest, text);
	return c->expires && now_s <= c->exp + LEEWAY_S && c->nbf <= now_s + LEEWAY_S &&
	       strlen(c->sha256) == n && bytes_equal(c->sha256, text, n);
}
