/* Tokens for LiveKit. That another implementation accepts them is tested with the official
 * one; here, that they say what they should and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/digest.h"
#include "livekit_token.h"

static struct buf token;

static int begin(void **state)
{
	(void)state;
	buf_init(&token, 4096);
	return 0;
}

static int end(void **state)
{
	(void)state;
	buf_done(&token);
	return 0;
}

/* Claims as text, and the signature checked on the way. */
static const char *claims(const char *secret)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	static char text[2048];
	char *first = strchr(token.data, '.'), *second = strrchr(token.data, '.'), mac[BASE64URL_SIZE(SHA256_SIZE)];
	uint8_t digest[SHA256_SIZE];
	unsigned bits = 0, n = 0;
	size_t len = 0;

	assert_ptr_not_equal(first, second);
	hmac_sha256(secret, strlen(secret), token.data, (size_t)(second - token.data), digest);
	base64url_encode(digest, sizeof digest, mac);
	assert_string_equal(second + 1, mac);
	for (const char *p = first + 1; p < second; p++) {
		bits = bits << 6 | (unsigned)(strchr(letters, *p) - letters);
		n += 6;
		if (n >= 8)
			text[len++] = (char)(bits >> (n -= 8) & 255);
	}
	text[len] = '\0';
	return text;
}

static void a_token_says_who_asks_and_for_how_long(void **state)
{
	(void)state;
	livekit_token(&token, "key\"1", "secret", LIVEKIT_GRANT_SIP_CALL, NULL, 1700000000, 100);
	assert_memory_equal(token.data, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.", 37);
	assert_string_equal(claims("secret"),
	                    "{\"iss\":\"key\\\"1\",\"nbf\":1699999970,\"exp\":1700000600,\"sip\":{\"call\":true}}");
}

static void a_token_outlives_the_longest_wait(void **state)
{
	(void)state;
	livekit_token(&token, "k", "s", LIVEKIT_GRANT_ROOM_CREATE, NULL, 1700000000, 7000);
	assert_string_equal(claims("s"), "{\"iss\":\"k\",\"nbf\":1699999970,\"exp\":1700007060,\"video\":{\"roomCreate\":true}}");
}

static void rights_are_for_one_room_and_one_kind_of_question(void **state)
{
	(void)state;
	livekit_token(&token, "k", "s", LIVEKIT_GRANT_ROOM_ADMIN, "cg-1", 1700000000, 1);
	assert_non_null(strstr(claims("s"), "\"video\":{\"roomAdmin\":true,\"room\":\"cg-1\"}}"));
	buf_clear(&token);
	livekit_token(&token, "k", "s", LIVEKIT_GRANT_ROOM_LIST | LIVEKIT_GRANT_ROOM_CREATE, "cg-1", 1700000000, 1);
	assert_non_null(strstr(claims("s"), "\"video\":{\"roomCreate\":true,\"roomList\":true}}"));
	buf_clear(&token);
	livekit_token(&token, "k", "s", LIVEKIT_GRANT_SIP_ADMIN, NULL, 1700000000, 1);
	assert_non_null(strstr(claims("s"), ",\"sip\":{\"admin\":true}}"));
	assert_null(strstr(claims("s"), "video"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_token_says_who_asks_and_for_how_long),
		TEST(a_token_outlives_the_longest_wait),
		TEST(rights_are_for_one_room_and_one_kind_of_question),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
