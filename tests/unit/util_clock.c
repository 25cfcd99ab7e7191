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

static void assert_parsed(const char *text, const char *expected)
{
	int64_t ms;

	if (!time_parse(text, &ms))
		fail_msg("'%s' was not understood", text);
	assert_time(ms, expected);
}

static void a_date_time_is_read_with_its_offset_and_fraction(void **state)
{
	(void)state;
	assert_parsed("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z");
	assert_parsed("2026-11-20t08:32:00z", "2026-11-20T08:32:00.000Z");
	assert_parsed("2026-11-20T08:32:00.1Z", "2026-11-20T08:32:00.100Z");
	assert_parsed("2026-11-20T08:32:00.123987654321Z", "2026-11-20T08:32:00.123Z");
	assert_parsed("2026-11-20T16:32:00.123+08:00", "2026-11-20T08:32:00.123Z");
	assert_parsed("2026-11-19T22:02:00-10:30", "2026-11-20T08:32:00.000Z");
	assert_parsed("2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00.000Z");
	assert_parsed("2026-11-20T08:32:00-00:00", "2026-11-20T08:32:00.000Z");
	assert_parsed("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z");
	assert_parsed("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z");
	assert_parsed("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z");
	assert_parsed("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z");
}

static void a_leap_second_is_the_last_millisecond_before_it(void **state)
{
	int64_t ms;

	(void)state;
	assert_parsed("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z");
	assert_parsed("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:59.999Z");
	assert_parsed("2017-01-01T07:59:60+08:00", "2016-12-31T23:59:59.999Z");
	assert_false(time_parse("2016-12-31T12:00:60Z", &ms));
	assert_false(time_parse("2016-12-31T23:59:60+08:00", &ms));
}

static void what_is_no_date_time_is_refused_and_nothing_is_written(void **state)
{
	static const char *const texts[] = {
		"", "now", "2026-11-20", "2026-11-20T08:32:00", "2026-11-20T08:32Z", "2026-11-20 08:32:00Z",
		"2026-11-20T08:32:00.Z", "2026-11-20T08:32:00,5Z", "2026-11-20T08:32:00ZZ", "2026-11-20T08:32:00Z ",
		" 2026-11-20T08:32:00Z", "2026-11-20T08:32:00+0800", "2026-11-20T08:32:00+08", "2026-11-20T08:32:00 08:00",
		"2026-11-20T08:32:00+24:00", "2026-11-20T08:32:00+08:60", "2026-11-20T08:32:00+-8:00",
		"2026-00-20T08:32:00Z", "2026-13-20T08:32:00Z", "2026-11-00T08:32:00Z", "2026-11-31T08:32:00Z",
		"2026-02-29T08:32:00Z", "2100-02-29T08:32:00Z", "2026-11-20T24:00:00Z", "2026-11-20T08:60:00Z",
		"2026-11-20T08:32:61Z", "26-11-20T08:32:00Z", "+2026-11-20T08:32:00Z", "12026-11-20T08:32:00Z",
		"-026-11-20T08:32:00Z", "2026-1-20T08:32:00Z", "1795163520", "0000-01-01T00:00:00+00:01",
		"9999-12-31T23:59:59-00:01", "2026-11-20T08:32:00\xc2\xa0Z",
	};
	int64_t ms = 42;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (time_parse(texts[i], &ms) || ms != 42)
			fail_msg("'%s' was taken for a time", texts[i]);
}

static void what_is_written_is_read_back_on_every_day_of_the_calendar(void **state)
{
	(void)state;
	for (int64_t day = -719528; day <= 2932896; day += 97) {
		int64_t ms = day * 86400000 + 45296007, back;
		char text[RFC3339_SIZE];

		time_format(ms, text);
		assert_true(time_parse(text, &back));
		assert_int_equal(back, ms);
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
		cmocka_unit_test(a_date_time_is_read_with_its_offset_and_fraction),
		cmocka_unit_test(a_leap_second_is_the_last_millisecond_before_it),
		cmocka_unit_test(what_is_no_date_time_is_refused_and_nothing_is_written),
		cmocka_unit_test(what_is_written_is_read_back_on_every_day_of_the_calendar),
		cmocka_unit_test(the_monotonic_clock_does_not_go_back),
		cmocka_unit_test(wall_time_is_in_milliseconds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
