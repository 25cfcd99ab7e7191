/* Digests and randomness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>

#include "callgate/digest.h"

static void assert_sha256(const char *data, size_t len, const char *expected)
{
	uint8_t digest[SHA256_SIZE];
	char text[2 * SHA256_SIZE + 1];

	sha256(data, len, digest);
	hex_encode(digest, sizeof digest, text);
	assert_string_equal(text, expected);
}

/* The examples of FIPS 180-4. */
static void sha256_gives_the_published_values(void **state)
{
	(void)state;
	assert_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void assert_hmac(const void *key, size_t key_len, const char *data, size_t len, const char *expected)
{
	uint8_t mac[SHA256_SIZE];
	char text[2 * SHA256_SIZE + 1];

	hmac_sha256(key, key_len, data, len, mac);
	hex_encode(mac, sizeof mac, text);
	assert_string_equal(text, expected);
}

/* The test cases 1, 2, 3 and 6 of RFC 4231: short and long keys, and one past the block. */
static void hmac_gives_the_published_values(void **state)
{
	char key[131], data[50];

	(void)state;
	memset(key, 0x0b, 20);
	assert_hmac(key, 20, "Hi There", 8, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	assert_hmac("Jefe", 4, "what do ya want for nothing?", 28,
	            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	memset(data, 0xdd, sizeof data);
	assert_hmac(key, 20, data, sizeof data, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	assert_hmac(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
	            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	assert_hmac("", 0, "", 0, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* The values of RFC 4648 §10 without their padding, and the two letters that differ. */
static void base64url_has_no_padding_and_letters_fit_for_addresses(void **state)
{
	static const char *const expected[] = { "", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy" };
	char out[BASE64URL_SIZE(6)];

	(void)state;
	for (size_t n = 0; n <= 6; n++) {
		assert_int_equal(base64url_encode("foobar", n, out), strlen(expected[n]));
		assert_string_equal(out, expected[n]);
		assert_true(strlen(out) < BASE64URL_SIZE(n));
	}
	base64url_encode("\xfb\xff\xfe", 3, out);
	assert_string_equal(out, "-__-");
}

static void *hash_often(void *arg)
{
	uint8_t first[SHA256_SIZE], again[SHA256_SIZE];
	int *wrong = arg;

	sha256(wrong, sizeof *wrong, first);
	for (int i = 0; i < 500; i++) {
		sha256("other", 5, again);
		sha256(&(int){ 0 }, sizeof(int), again);
		*wrong += memcmp(first, again, sizeof first) != 0;
		if (*wrong)
			break;
	}
	return NULL;
}

static void threads_hash_side_by_side(void **state)
{
	pthread_t threads[4];
	int wrong[4] = { 0 };

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_often, &wrong[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(wrong[i], 0);
}

static void random_bytes_fill_all_that_was_asked_for_and_no_more(void **state)
{
	static uint8_t bytes[1002];
	int zeros = 0;

	(void)state;
	random_bytes(bytes + 1, sizeof bytes - 2);
	for (size_t i = 1; i + 1 < sizeof bytes; i++)
		zeros += bytes[i] == 0;
	assert_true(zeros < 100);
	assert_int_equal(bytes[0], 0);
	assert_int_equal(bytes[sizeof bytes - 1], 0);
	random_bytes(bytes, 0);
	assert_int_equal(bytes[0], 0);
}

static void hex_is_small_and_ends(void **state)
{
	char out[9] = "xxxxxxxx";

	(void)state;
	hex_encode("\x00\x9f\xff", 3, out);
	assert_string_equal(out, "009fff");
	hex_encode("", 0, out);
	assert_string_equal(out, "");
}

static void base64_is_padded_and_has_the_other_letters(void **state)
{
	static const struct { const char *bytes; size_t len; const char *text; } rows[] = {
		{ "", 0, "" }, { "f", 1, "Zg==" }, { "fo", 2, "Zm8=" }, { "foo", 3, "Zm9v" }, { "foobar", 6, "Zm9vYmFy" },
		{ "\xfb\xff\xfe", 3, "+//+" },
	};
	char out[BASE64_SIZE(6)];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(base64_encode(rows[i].bytes, rows[i].len, out), strlen(rows[i].text));
		assert_string_equal(out, rows[i].text);
	}
}

static void base64url_is_read_back_and_nothing_else_is(void **state)
{
	static const char *const wrong[] = { "A", "AAAAA", "Zg==", "Zm8=", "Zh", "Zm9", "+//+", "Zm9v\n", "Zm 9v" };
	uint8_t bytes[64], again[64];
	char text[BASE64URL_SIZE(64)];
	size_t len;

	(void)state;
	random_bytes(bytes, sizeof bytes);
	for (size_t n = 0; n <= sizeof bytes; n++) {
		assert_true(base64url_decode(text, base64url_encode(bytes, n, text), again, &len));
		assert_int_equal(len, n);
		assert_memory_equal(bytes, again, n);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (base64url_decode(wrong[i], strlen(wrong[i]), again, &len))
			fail_msg("%s", wrong[i]);
	assert_false(base64url_decode("Z\0m9", 4, again, &len));
}

static void bytes_are_equal_only_when_all_are(void **state)
{
	(void)state;
	assert_true(bytes_equal("abc", "abc", 3));
	assert_false(bytes_equal("abc", "abd", 3));
	assert_true(bytes_equal("abc", "abd", 2));
	assert_true(bytes_equal("", "x", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_gives_the_published_values),
		cmocka_unit_test(hmac_gives_the_published_values),
		cmocka_unit_test(base64url_has_no_padding_and_letters_fit_for_addresses),
		cmocka_unit_test(threads_hash_side_by_side),
		cmocka_unit_test(random_bytes_fill_all_that_was_asked_for_and_no_more),
		cmocka_unit_test(hex_is_small_and_ends),
		cmocka_unit_test(base64_is_padded_and_has_the_other_letters),
		cmocka_unit_test(base64url_is_read_back_and_nothing_else_is),
		cmocka_unit_test(bytes_are_equal_only_when_all_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
