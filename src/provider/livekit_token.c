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
