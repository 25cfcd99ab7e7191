/* Money is read and written exactly, or not at all. */
#include "callgate/money.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "callgate/mem.h"

static void decimals_become_milli_cents_exactly(void **state)
{
	static const struct { const char *text; int64_t mc; } rows[] = {
		{ "0", 0 }, { "12.50", 1250000 }, { "0.02", 2000 }, { "0.00001", 1 }, { "1.1", 110000 },
		{ "92233720368547.75807", INT64_MAX },
	};
	int64_t mc;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(money_parse(rows[i].text, INT64_MAX, &mc));
		assert_int_equal(mc, rows[i].mc);
	}
}

static void what_cannot_be_held_exactly_is_refused(void **state)
{
	static const char *const bad[] = {
		"", ".", ".5", "5.", "-1", "+1", "1e3", "1,50", " 1", "1 ", "0.000001", "1.2.3", "0x1",
		"92233720368547.75808", "99999999999999999999999",
	};
	int64_t mc = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(money_parse(bad[i], INT64_MAX, &mc));
	assert_false(money_parse("1.00001", 100000, &mc));
	assert_int_equal(mc, 7);
}

static void it_is_written_with_two_decimals_or_as_many_as_it_needs(void **state)
{
	static const struct { int64_t mc; const char *text; } rows[] = {
		{ 0, "0.00" }, { 1250000, "12.50" }, { -1667, "-0.01667" }, { 123400, "1.234" },
		{ INT64_MIN, "-92233720368547.75808" },
	};
	char text[MONEY_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		money_format(rows[i].mc, text);
		assert_string_equal(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimals_become_milli_cents_exactly),
		cmocka_unit_test(what_cannot_be_held_exactly_is_refused),
		cmocka_unit_test(it_is_written_with_two_decimals_or_as_many_as_it_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
