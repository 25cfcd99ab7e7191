/* Clocks and written times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "callgate/clock.h"

static void assert_time(int64_t ms, const char *expected)
{
	char out[RFC3339_SIZE];

	time_format(ms, out);
	assert_string_equal(out, expected);
}

static void times_are_rfc_3339_in_utc_with_milliseconds(void **state)
{
	(void)state;
	assert_time(0, "1970-01-01T00:00:00.000Z");
	assert_time(INT64_C(1795163520123), "2026-11-20T08:32:00.123Z");
	assert_time(INT64_C(1709164800000), "2024-02-29T00:00:00.000Z");
	assert_time(INT64_C(4107542399999), "2100-02-28T23:59:59.999Z");
	assert_time(INT64_C(4107542400000), "2100-03-01T00:00:00.000Z");
	assert_time(-1, "1969-12-31T23:59:59.999Z");
}

static void times_that_cannot_be_written_become_the_nearest(void **state)
{
	(void)state;
	assert_time(INT64_MIN, "0000-01-01T00:00:00.000Z");
	assert_time(INT64_MAX, "9999-12-31T23:59:59.999Z");
}

/* Against the C library, across leap years, centuries and four-century turns. */
static void every_day_of_the_calendar_agrees_with_the_c_library(void **state)
{
	(void)state;
	for (int64_t day = -700000; day < 2900000; day += 97) {
		time_t t = (time_t)(day * 86400 + 45296);
		char expected[64], out[RFC3339_SIZE];
		struct tm tm;

		assert_non_null(gmtime_r(&t, &tm));
		snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02d.007Z",
		         tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		time_format((int64_t)t * 1000 + 7, out);
		assert_string_equal(out, expected);
	}
}

static void the_monotonic_clock_does_not_go_back(void **state)
{
	int64_t us = mono_us(), ms = mono_ms();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int64_t now_us = mono_us(), now_ms = mono_ms();

		assert_true(now_us >= us && now_ms >= ms);
		us = now_us;
		ms = now_ms;
	}
	assert_true(llabs(us / 1000 - ms) < 1000);
}

static void wall_time_is_in_milliseconds(void **state)
{
	int64_t before = (int64_t)time(NULL) * 1000 - 1000;
	int64_t now = wall_ms();

	(void)state;
	assert_true(now >= before);
	assert_true(now <= before + 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_rfc_3339_in_utc_with_milliseconds),
		cmocka_unit_test(times_that_cannot_be_written_become_the_nearest),
		cmocka_unit_test(every_day_of_the_calendar_agrees_with_the_c_library),
		cmocka_unit_test(the_monotonic_clock_does_not_go_back),
		cmocka_unit_test(wall_time_is_in_milliseconds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
