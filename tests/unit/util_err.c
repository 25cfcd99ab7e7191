/* Outcomes and their words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/err.h"
#include "callgate/text.h"

static void every_outcome_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < ERR_COUNT; i++) {
		assert_non_null(err_name((enum err)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(err_name((enum err)i), err_name((enum err)j));
	}
	assert_string_equal(err_name(ERR_UNAVAILABLE), "unavailable");
	assert_string_equal(err_name(ERR_COUNT), "unknown");
}

static void err_set_returns_the_outcome_and_keeps_the_words(void **state)
{
	struct errinfo e;

	(void)state;
	assert_int_equal(err_set(&e, ERR_LIMIT, "project %s has %d lines", "p1", 3), ERR_LIMIT);
	assert_string_equal(e.text, "project p1 has 3 lines");
}

static void without_an_errinfo_only_the_outcome_is_returned(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_DENIED, "nobody reads this"), ERR_DENIED);
	err_prefix(NULL, "nor this");
}

static void words_that_do_not_fit_are_cut_between_characters(void **state)
{
	struct errinfo e;
	char three[1024];

	(void)state;
	for (size_t i = 0; i + 3 < sizeof three; i += 3)
		memcpy(three + i, "€", 4);
	for (int shift = 0; shift < 3; shift++) {
		assert_int_equal(err_set(&e, ERR_INVALID, "%.*s%s", shift, "ab", three), ERR_INVALID);
		assert_true(strlen(e.text) < sizeof e.text);
		assert_true(strlen(e.text) >= sizeof e.text - 3);
		assert_true(utf8_ok(e.text, strlen(e.text)));
	}
}

static void words_of_exactly_the_size_are_kept_whole(void **state)
{
	struct errinfo e;
	char text[sizeof e.text];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	memcpy(text + sizeof text - 4, "€", 3);
	assert_int_equal(err_set(&e, ERR_INVALID, "%s", text), ERR_INVALID);
	assert_string_equal(e.text, text);
}

static void the_old_words_may_be_part_of_the_new_ones(void **state)
{
	struct errinfo e;

	(void)state;
	assert_int_equal(err_set(&e, ERR_INVALID, "inner"), ERR_INVALID);
	assert_int_equal(err_set(&e, ERR_INTERNAL, "outer (%s)", e.text), ERR_INTERNAL);
	assert_string_equal(e.text, "outer (inner)");
}

static void a_prefix_goes_before_the_words(void **state)
{
	struct errinfo e;

	(void)state;
	assert_int_equal(err_set(&e, ERR_INVALID, "no such file"), ERR_INVALID);
	err_prefix(&e, "reading %s: ", "pool.json");
	assert_string_equal(e.text, "reading pool.json: no such file");
}

static void a_prefix_to_no_words_stands_alone(void **state)
{
	struct errinfo e = { "" };

	(void)state;
	err_prefix(&e, "reading");
	assert_string_equal(e.text, "reading");
}

static void a_prefix_that_fills_the_text_still_ends_it(void **state)
{
	struct errinfo e;
	char text[600];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(err_set(&e, ERR_INVALID, "%s", "words"), ERR_INVALID);
	err_prefix(&e, "%s", text);
	assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_outcome_has_a_name_of_its_own),
		cmocka_unit_test(err_set_returns_the_outcome_and_keeps_the_words),
		cmocka_unit_test(without_an_errinfo_only_the_outcome_is_returned),
		cmocka_unit_test(words_that_do_not_fit_are_cut_between_characters),
		cmocka_unit_test(words_of_exactly_the_size_are_kept_whole),
		cmocka_unit_test(the_old_words_may_be_part_of_the_new_ones),
		cmocka_unit_test(a_prefix_goes_before_the_words),
		cmocka_unit_test(a_prefix_to_no_words_stands_alone),
		cmocka_unit_test(a_prefix_that_fills_the_text_still_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
