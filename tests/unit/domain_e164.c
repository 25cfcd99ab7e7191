/* Telephone numbers: what is one, what is said of what is not, and the reserved ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/e164.h"
#include "callgate/mem.h"
#include "callgate/text.h"

static void numbers_of_2_to_15_digits_are_accepted(void **state)
{
	static const char *const good[] = {
		"+886912345678", "+14155550100", "+12", "+123456789012345", "+90", "+999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(e164_ok(good[i]));
		assert_int_equal(e164_check(good[i], NULL), OK);
	}
}

static void an_accepted_number_fits_its_size(void **state)
{
	(void)state;
	assert_int_equal(strlen("+123456789012345") + 1, E164_SIZE);
}

static void anything_else_is_refused_with_a_reason(void **state)
{
	static const struct { const char *s, *says; } bad[] = {
		{ NULL,                "empty" },
		{ "",                  "empty" },
		{ "+",                 "fewer than 2" },
		{ "+1",                "fewer than 2" },
		{ "+1234567890123456", "more than 15" },
		{ "+0912345678",       "begin with 0" },
		{ "+0",                "begin with 0" },
		{ "14155550100",       "begin with '+'" },
		{ "0886912345678",     "begin with '+'" },
		{ "0080112345",        "begin with '+'" },
		{ "(415) 555-1234",    "begin with '+'" },
		{ "08011234567",       "begin with '+'" },
		{ " +14155550100x",    "begin with '+'" },
		{ "tel:+14155550100",  "begin with '+'" },
		{ "++14155550100",     "only digits" },
		{ "+1415555CALL",      "only digits" },
		{ "+14155550100;ext=5", "only digits" },
		{ "+14155550100\n",    "only digits" },
		{ "+1415555٠١٠٠",      "only digits" },
		{ "+49 (0)30 123456",  "(0)" },
		{ "+1\xff",            "only digits" },
		{ "+1 (415) 555-0100 and a long story about why it has to be this number", "too long" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct errinfo e = { "" };

		assert_false(e164_ok(bad[i].s));
		assert_int_equal(e164_check(bad[i].s, &e), ERR_INVALID);
		if (!strstr(e.text, bad[i].says))
			fail_msg("of \"%s\" it says: %s", bad[i].s, e.text);
		assert_true(utf8_ok(e.text, strlen(e.text)));
		assert_null(strstr(e.text, "write it as"));
	}
}

static void a_number_with_separators_is_refused_with_the_form_that_would_do(void **state)
{
	static const char *const loose[] = {
		"+1 (415) 555-0100", "+1-415-555-0100", "+1.415.555.0100", " +14155550100", "+14155550100 ",
		"+1\xc2\xa0" "415\xe2\x80\x91" "555\xe2\x80\x93" "0100",
		"\xe2\x80\xaa+14155550100\xe2\x80\xac", "(+1) 415/5550100",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(loose); i++) {
		struct errinfo e;

		assert_false(e164_ok(loose[i]));
		assert_int_equal(e164_check(loose[i], &e), ERR_INVALID);
		if (!strstr(e.text, "write it as +14155550100"))
			fail_msg("of \"%s\" it says: %s", loose[i], e.text);
	}
}

static void a_form_that_would_not_do_either_is_not_suggested(void **state)
{
	static const char *const hopeless[] = {
		"+1 (415) 555-0100 123456", "+0 415 555", "415 555-0100", "+ - ", "+1 415 555 CALL",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hopeless); i++) {
		struct errinfo e;

		assert_int_equal(e164_check(hopeless[i], &e), ERR_INVALID);
		assert_null(strstr(e.text, "write it as"));
	}
}

static void reserved_numbers_tell_their_last_four_digits(void **state)
{
	static const struct { const char *s; int suffix; } cases[] = {
		{ "+12025550100", 100 }, { "+12025550101", 101 }, { "+19995550199", 199 },
		{ "+447700900000", 0 }, { "+447700900114", 114 }, { "+447700900999", 999 },
		{ "+441632960101", 101 }, { "+441632960999", 999 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(e164_reserved_suffix(cases[i].s), cases[i].suffix);
}

static void numbers_that_may_belong_to_somebody_are_not_reserved(void **state)
{
	static const char *const real[] = {
		"+12025550200", "+12025550099", "+12025551101", "+12025560101", "+11025550101", "+10025550101",
		"+1202555010", "+120255501011", "12025550101", "+22025550101",
		"+447700901000", "+447700899999", "+44770090010", "+4477009001011", "+441632961000",
		"+886912345678", "+1N025550101", "+120255501X1", "", "+",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(real); i++)
		if (e164_reserved_suffix(real[i]) != -1)
			fail_msg("taken for reserved: %s", real[i]);
	assert_int_equal(e164_reserved_suffix(NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_2_to_15_digits_are_accepted),
		cmocka_unit_test(an_accepted_number_fits_its_size),
		cmocka_unit_test(anything_else_is_refused_with_a_reason),
		cmocka_unit_test(a_number_with_separators_is_refused_with_the_form_that_would_do),
		cmocka_unit_test(a_form_that_would_not_do_either_is_not_suggested),
		cmocka_unit_test(reserved_numbers_tell_their_last_four_digits),
		cmocka_unit_test(numbers_that_may_belong_to_somebody_are_not_reserved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
