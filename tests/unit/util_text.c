/* Small questions about text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/mem.h"
#include "callgate/text.h"

struct piece {
	const char *s;
	size_t      len;
};
#define PIECE(literal) { literal, sizeof(literal) - 1 }

/* Alone and at each place around an eight-byte step, in memory of just its size. */
static void assert_utf8(const struct piece *p, bool expected)
{
	for (size_t before = 0; before < 20; before++) {
		CLEANUP(freep) char *text = xmalloc(before + p->len + 9);

		memset(text, 'x', before + p->len + 9);
		memcpy(text + before, p->s, p->len);
		if (utf8_ok(text, before + p->len + 9) != expected)
			fail_msg("wrong about a text with byte %02x first, at %zu",
			         (unsigned char)p->s[0], before);
		CLEANUP(freep) char *exact = xmalloc(before + p->len);

		memcpy(exact, text, before + p->len);
		assert_int_equal(utf8_ok(exact, before + p->len), expected);
	}
}

static void well_formed_text_is_accepted(void **state)
{
	static const struct piece good[] = {
		PIECE("a"), PIECE("\x01"), PIECE("\x7f"), PIECE("\n"),
		PIECE("\xc2\x80"), PIECE("\xdf\xbf"),
		PIECE("\xe0\xa0\x80"), PIECE("\xed\x9f\xbf"), PIECE("\xee\x80\x80"), PIECE("\xef\xbf\xbf"),
		PIECE("\xf0\x90\x80\x80"), PIECE("\xf4\x8f\xbf\xbf"),
		PIECE("你好"), PIECE("😀"), PIECE("plain text of more than eight bytes"),
	};

	(void)state;
	assert_true(utf8_ok("", 0));
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_utf8(&good[i], true);
}

static void ill_formed_text_is_refused(void **state)
{
	static const struct piece bad[] = {
		PIECE("\x80"), PIECE("\xbf"),                           /* continuation alone   */
		PIECE("\xc0\x80"), PIECE("\xc1\xbf"),                   /* overlong, 2 bytes    */
		PIECE("\xe0\x80\x80"), PIECE("\xe0\x9f\xbf"),           /* overlong, 3          */
		PIECE("\xf0\x80\x80\x80"), PIECE("\xf0\x8f\xbf\xbf"),   /* overlong, 4          */
		PIECE("\xed\xa0\x80"), PIECE("\xed\xbf\xbf"),           /* surrogates           */
		PIECE("\xf4\x90\x80\x80"), PIECE("\xf5\x80\x80\x80"),   /* past U+10FFFF        */
		PIECE("\xfe"), PIECE("\xff"),
		PIECE("\xc3"), PIECE("\xe2\x82"), PIECE("\xf0\x9f\x98"), /* cut short           */
		PIECE("\xe2\x28\xa1"), PIECE("\xe2\x82\x28"), PIECE("\xf0\x9f\x98\x28"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_utf8(&bad[i], false);
}

static void the_zero_character_is_refused(void **state)
{
	static const struct piece zero = PIECE("\0");
	static const struct piece within = PIECE("ab\x01\0\x01");

	(void)state;
	assert_utf8(&zero, false);
	assert_utf8(&within, false);
}

static void null_equals_only_null(void **state)
{
	(void)state;
	assert_true(str_eq(NULL, NULL));
	assert_false(str_eq(NULL, ""));
	assert_false(str_eq("", NULL));
	assert_true(str_eq("a", "a"));
	assert_false(str_eq("a", "A"));
	assert_true(str_case_eq(NULL, NULL));
	assert_false(str_case_eq("", NULL));
}

static void prefixes(void **state)
{
	(void)state;
	assert_true(str_has_prefix("sk_car_x", "sk_"));
	assert_true(str_has_prefix("sk_", "sk_"));
	assert_true(str_has_prefix("sk_", ""));
	assert_false(str_has_prefix("sk", "sk_"));
	assert_false(str_has_prefix("", "s"));
}

static void case_is_ignored_for_ascii_only(void **state)
{
	(void)state;
	assert_true(str_case_eq("Content-Type", "cONTENT-tYPE"));
	assert_false(str_case_eq("abc", "abcd"));
	assert_false(str_case_eq("abcd", "abc"));
	assert_false(str_case_eq("[", "{"));
	assert_false(str_case_eq("@", "`"));
	assert_false(str_case_eq("É", "é"));
}

static void a_copy_that_fits_says_so(void **state)
{
	char dst[4];

	(void)state;
	assert_true(str_copy(dst, sizeof dst, "abc"));
	assert_string_equal(dst, "abc");
	assert_true(str_copy(dst, sizeof dst, ""));
	assert_string_equal(dst, "");
	assert_true(str_copy(dst, sizeof dst, "€"));
	assert_string_equal(dst, "€");
}

static void a_copy_is_cut_between_characters(void **state)
{
	char dst[5];

	(void)state;
	assert_false(str_copy(dst, sizeof dst, "abcde"));
	assert_string_equal(dst, "abcd");
	assert_false(str_copy(dst, sizeof dst, "ab€"));
	assert_string_equal(dst, "ab");
	assert_false(str_copy(dst, sizeof dst, "a€b"));
	assert_string_equal(dst, "a€");
	assert_false(str_copy(dst, sizeof dst, "a😀"));
	assert_string_equal(dst, "a");
	assert_false(str_copy(dst, 1, "😀"));
	assert_string_equal(dst, "");
	assert_false(str_copy(dst, 0, "x"));
	assert_string_equal(dst, "");
}

static void broken_text_is_cut_where_it_must_be(void **state)
{
	char dst[5];

	(void)state;
	assert_false(str_copy(dst, sizeof dst, "\x80\x80\x80\x80\x80\x80"));
	assert_int_equal(strlen(dst), 4);
	assert_false(str_copy(dst, sizeof dst, "abc\xff" "d"));
	assert_string_equal(dst, "abc\xff");
}

static void whole_integers_within_bounds_are_read(void **state)
{
	static const struct { const char *s; int64_t v; } good[] = {
		{ "0", 0 }, { "-0", 0 }, { "42", 42 }, { "-42", -42 }, { "007", 7 },
		{ "9223372036854775807", INT64_MAX }, { "-9223372036854775808", INT64_MIN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		int64_t v = 1;

		assert_true(parse_int(good[i].s, INT64_MIN, INT64_MAX, &v));
		assert_true(v == good[i].v);
	}
}

static void anything_but_an_integer_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "--1", "1-", "a", "½",
		"9223372036854775808", "-9223372036854775809", "99999999999999999999999999",
	};
	int64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (parse_int(bad[i], INT64_MIN, INT64_MAX, &v))
			fail_msg("taken for an integer: \"%s\"", bad[i]);
	assert_false(parse_int(NULL, 0, 1, &v));
	assert_int_equal(v, 77);
}

static void the_bounds_belong_to_the_range(void **state)
{
	int64_t v = 77;

	(void)state;
	assert_true(parse_int("1", 1, 5, &v));
	assert_true(parse_int("5", 1, 5, &v));
	assert_false(parse_int("0", 1, 5, &v));
	assert_false(parse_int("6", 1, 5, &v));
	assert_int_equal(v, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_formed_text_is_accepted),
		cmocka_unit_test(ill_formed_text_is_refused),
		cmocka_unit_test(the_zero_character_is_refused),
		cmocka_unit_test(null_equals_only_null),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(case_is_ignored_for_ascii_only),
		cmocka_unit_test(a_copy_that_fits_says_so),
		cmocka_unit_test(a_copy_is_cut_between_characters),
		cmocka_unit_test(broken_text_is_cut_where_it_must_be),
		cmocka_unit_test(whole_integers_within_bounds_are_read),
		cmocka_unit_test(anything_but_an_integer_is_refused),
		cmocka_unit_test(the_bounds_belong_to_the_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
