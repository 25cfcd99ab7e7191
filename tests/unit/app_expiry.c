/* When a key ends, as a person writes it. */
#include "expiry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "callgate/mem.h"

#define NOW INT64_C(1795163520000)      /* 2026-11-20T08:32:00Z */

static void days_count_from_now(void **state)
{
	int64_t at;

	(void)state;
	assert_true(expiry_parse("90d", NOW, &at));
	assert_int_equal(at - NOW, 90 * INT64_C(86400000));
}

static void a_time_counts_with_its_offset(void **state)
{
	static const struct { const char *text; int64_t at; } rows[] = {
		{ "2026-11-20T08:32:01Z", NOW + 1000 },
		{ "2026-11-20T08:32:01.999Z", NOW + 1000 },
		{ "2026-11-20T10:32:01+02:00", NOW + 1000 },
		{ "2026-11-20T03:02:01-05:30", NOW + 1000 },
	};
	int64_t at;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(expiry_parse(rows[i].text, NOW, &at));
		assert_int_equal(at, rows[i].at);
	}
}

static void what_is_neither_or_past_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "d", "0d", "-1d", "90", "90 d", "36501d", "99999999999d", "tomorrow", "2030-01-31", "2030-01-31T00:00:00",
		"2030-02-30T00:00:00Z", "2030-01-31T00:00:00+0100", "2030-01-31T00:00:00+25:00", "2030-01-31T00:00:00.Z",
		"2030-01-31T00:00:00Z ", "2026-11-20T08:32:00Z", "2020-01-01T00:00:00Z",
	};
	int64_t at = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (expiry_parse(bad[i], NOW, &at))
			fail_msg("\"%s\" was taken", bad[i]);
	}
	assert_int_equal(at, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(days_count_from_now),
		cmocka_unit_test(a_time_counts_with_its_offset),
		cmocka_unit_test(what_is_neither_or_past_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
