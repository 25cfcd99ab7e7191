/* Developer keys: made, split, hinted at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>

#include "callgate/key.h"
#include "callgate/mem.h"
#include "callgate/text.h"

#define SECRET "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd"      /* 40 */

static void a_new_key_is_parsed_to_what_it_was_made_of(void **state)
{
	static const int64_t orgs[] = { 1, 35, 36, 48, 1372205, INT64_MAX };

	(void)state;
	for (int kind = 0; kind < KEY_KIND_COUNT; kind++) {
		for (size_t i = 0; i < 2 * ARRAY_LEN(orgs); i++) {
			char key[KEY_TEXT_SIZE];
			enum key_kind k = KEY_KIND_COUNT;
			int64_t org = 0;

			key_new((enum key_kind)kind, i % 2, orgs[i / 2], key);
			assert_true(strlen(key) < KEY_TEXT_SIZE);
			assert_true(str_has_prefix(key, key_prefix((enum key_kind)kind, i % 2)));
			assert_true(key_parse(key, strlen(key), &k, &org));
			assert_int_equal(k, kind);
			assert_true(org == orgs[i / 2]);
		}
	}
}

static void two_new_keys_differ(void **state)
{
	char a[KEY_TEXT_SIZE], b[KEY_TEXT_SIZE];

	(void)state;
	key_new(KEY_DK, false, 1, a);
	key_new(KEY_DK, false, 1, b);
	assert_string_not_equal(a, b);
}

static void every_character_of_base_62_occurs_in_secrets(void **state)
{
	int seen[256] = { 0 }, kinds = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		char key[KEY_TEXT_SIZE];

		key_new(KEY_DK, false, 1, key);
		for (const char *p = key + strlen(key) - 40; *p; p++)
			seen[(unsigned char)*p]++;
	}
	for (int c = 0; c < 256; c++)
		kinds += seen[c] > 0;
	assert_int_equal(kinds, 62);
}

static void each_prefix_is_recognized_as_the_longest_that_fits(void **state)
{
	static const struct { const char *key; enum key_kind kind; int64_t org; } cases[] = {
		{ "dk_1c_" SECRET,          KEY_DK,     48 },
		{ "dk_test_1c_" SECRET,     KEY_DK,     48 },
		{ "kros_live_z_" SECRET,    KEY_KROS,   35 },
		{ "kros_test_10_" SECRET,   KEY_KROS,   36 },
		{ "sk_car_1_" SECRET,       KEY_SK_CAR, 1 },
		{ "sk_car_test_1_" SECRET,  KEY_SK_CAR, 1 },
		{ "sk_live_1_" SECRET,      KEY_SK,     1 },
		{ "sk_test_1_" SECRET,      KEY_SK,     1 },
		/* organizations that spell a word of a prefix */
		{ "dk_test_" SECRET,        KEY_DK,     1372205 },
		{ "sk_car_test_" SECRET,    KEY_SK_CAR, 1372205 },
		{ "dk_test_test_" SECRET,   KEY_DK,     1372205 },
		{ "sk_live_car_" SECRET,    KEY_SK,     15939 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum key_kind kind = KEY_KIND_COUNT;
		int64_t org = 0;

		if (!key_parse(cases[i].key, strlen(cases[i].key), &kind, &org))
			fail_msg("not taken for a key: %s", cases[i].key);
		assert_int_equal(kind, cases[i].kind);
		assert_true(org == cases[i].org);
	}
}

static void what_has_not_the_shape_of_a_key_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "dk_", "dk_1c", "dk_1c_", SECRET, "dk_" SECRET, "dk__" SECRET,
		"dk_1c_" SECRET "x", "dk_1c_0123", "dk_1C_" SECRET, "dk_01_" SECRET, "dk_0_" SECRET,
		"dk_-1_" SECRET, "dk_ 1_" SECRET, "DK_1c_" SECRET, "xk_1c_" SECRET, "sk_1c_" SECRET,
		"dk_1y2p0ij32e8e8_" SECRET,             /* one past the largest integer */
		"dk_zzzzzzzzzzzzz_" SECRET, "dk_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz_" SECRET,
		"dk_1c_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabc-",
		"dk_1c_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZab_d",
		"sk_car_1_2_" SECRET, "kros_1c_" SECRET, "pk_live_1_" SECRET,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		enum key_kind kind = KEY_KROS;
		int64_t org = 7;
		CLEANUP(freep) char *exact = xmalloc(strlen(bad[i]));

		memcpy(exact, bad[i], strlen(bad[i]));  /* no NUL: len is all it may read */
		if (key_parse(exact, strlen(bad[i]), &kind, &org))
			fail_msg("taken for a key: %s", bad[i]);
		assert_int_equal(kind, KEY_KROS);
		assert_int_equal(org, 7);
	}
}

static void a_zero_byte_within_is_no_end(void **state)
{
	static const char text[] = "dk_1c_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabc\0";
	enum key_kind kind;
	int64_t org;

	(void)state;
	assert_false(key_parse(text, sizeof text - 1, &kind, &org));
}

static void a_hint_shows_the_prefix_and_four_characters(void **state)
{
	static const struct { const char *key, *hint; } cases[] = {
		{ "dk_1c_" SECRET, "dk_…abcd" },
		{ "dk_test_1c_" SECRET, "dk_test_…abcd" },
		{ "sk_car_test_1_" SECRET, "sk_car_test_…abcd" },
		{ "hunter2", "…" },
		{ "", "…" },
	};
	char hint[KEY_HINT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		key_hint(cases[i].key, hint);
		assert_string_equal(hint, cases[i].hint);
	}
}

static void kinds_are_read_by_name(void **state)
{
	static const char *const names[] = { "dk", "kros", "sk_car", "sk" };
	enum key_kind kind;

	(void)state;
	for (int i = 0; i < KEY_KIND_COUNT; i++) {
		assert_true(key_kind_parse(names[i], &kind));
		assert_int_equal(kind, i);
	}
	assert_false(key_kind_parse("sk_", &kind));
	assert_false(key_kind_parse("", &kind));
	assert_false(key_kind_parse(NULL, &kind));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_key_is_parsed_to_what_it_was_made_of),
		cmocka_unit_test(two_new_keys_differ),
		cmocka_unit_test(every_character_of_base_62_occurs_in_secrets),
		cmocka_unit_test(each_prefix_is_recognized_as_the_longest_that_fits),
		cmocka_unit_test(what_has_not_the_shape_of_a_key_is_refused),
		cmocka_unit_test(a_zero_byte_within_is_no_end),
		cmocka_unit_test(a_hint_shows_the_prefix_and_four_characters),
		cmocka_unit_test(kinds_are_read_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
