/* Clocks and the one way times are written for people. */
#include "callgate/clock.h"

#include <time.h>

#define MINUTE_MS INT64_C(60000)
#define DAY_MS    INT64_C(86400000)
#define FIRST_MS  INT64_C(-62167219200000)       /* 0000-01-01T00:00:00.000Z */
#define LAST_MS   INT64_C(253402300799999)       /* 9999-12-31T23:59:59.999Z */

static int64_t read_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);       /* cannot fail for these clocks */
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000;
}

/* Not CLOCK_MONOTONIC, which stands still while the machine is suspended: a lease does not. */
int64_t mono_ms(void)
{
	return read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t mono_us(void)
{
	return read_us(CLOCK_BOOTTIME);
}

/* Days since 0000-03-01 to a date of the Gregorian calendar. Years that begin in March
 * put the leap day last, so that a month's first day is a linear formula. Not gmtime_r:
 * glibc takes the lock of the time zone there, and every log line comes this way. */
static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t era = days / 146097;                    /* 400 years each */
	int64_t doe = days % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t m = (5 * doy + 2) / 153;                /* 0: March */

	*day = (int)(doy - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(era * 400 + yoe + (*month <= 2));
}

static char *put(char *p, int v, int digits)
{
	for (int i = digits; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + digits;
}

/* Times outside the years 0000 to 9999 cannot be written this way; the nearest is. */
void time_format(int64_t utc_ms, char out[RFC3339_SIZE])
{
	int year, month, day, ms;
	int64_t days;
	char *p = out;

	if (utc_ms < FIRST_MS)
		utc_ms = FIRST_MS;
	if (utc_ms > LAST_MS)
		utc_ms = LAST_MS;
	utc_ms -= FIRST_MS;
	days = utc_ms / DAY_MS;
	ms = (int)(utc_ms % DAY_MS);
	/* 0000-01-01 lies 60 days before 0000-03-01; a whole era keeps it positive. */
	civil_from_days(days - 60 + 146097, &year, &month, &day);

	p = put(p, year - 400, 4);
	*p++ = '-';
	p = put(p, month, 2);
	*p++ = '-';
	p = put(p, day, 2);
	*p++ = 'T';
	p = put(p, ms / 3600000, 2);
	*p++ = ':';
	p = put(p, ms / 60000 % 60, 2);
	*p++ = ':';
	p = put(p, ms / 1000 % 60, 2);
	*p++ = '.';
	p = put(p, ms % 1000, 3);
	*p++ = 'Z';
	*p = '\0';
}

/* ── read ───────────────────────────────────────────────────────────────────────── */

/* The inverse of civil_from_days(), for years from 0000 on. */
static int64_t days_from_civil(int year, int month, int day)
{
	int64_t y = year + 400 - (month <= 2);          /* a whole era keeps it positive */
	int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 + doy - 146097;
}

static int days_of_month(int year, int month)
{
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	if (month == 2)
		return leap ? 29 : 28;
	return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Exactly so many digits, within a range; moves on behind them. */
static bool take_number(const char **p, int digits, int min, int max, int *out)
{
	int v = 0;

	for (; digits > 0; digits--, ++*p) {
		if (**p < '0' || **p > '9')
			return false;
		v = v * 10 + (**p - '0');
	}
	*out = v;
	return v >= min && v <= max;
}

static bool take_char(const char **p, const char *one_of)
{
	for (; *one_of; one_of++)
		if (**p == *one_of) {
			++*p;
			return true;
		}
	return false;
}

/* The rest of a second, in milliseconds; none is 0. */
static bool take_fraction(const char **p, int *ms)
{
	int scale = 100;

	*ms = 0;
	if (!take_char(p, "."))
		return true;
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; ++*p, scale /= 10)
		*ms += (**p - '0') * scale;
	return true;
}

/* -00:00 is a time in UTC whose place is unknown: the time is all we want. */
static bool take_offset(const char **p, int64_t *offset_ms)
{
	bool west = **p == '-';
	int hours, minutes;

	*offset_ms = 0;
	if (take_char(p, "Zz"))
		return true;
	if (!take_char(p, "+-") || !take_number(p, 2, 0, 23, &hours) || !take_char(p, ":") ||
	    !take_number(p, 2, 0, 59, &minutes))
		return false;
	*offset_ms = (hours * 60 + minutes) * MINUTE_MS;
	if (west)
		*offset_ms = -*offset_ms;
	return true;
}

static bool take_date(const char **p, int64_t *ms)
{
	int year, month, day;

	if (!take_number(p, 4, 0, 9999, &year) || !take_char(p, "-") || !take_number(p, 2, 1, 12, &month) ||
	    !take_char(p, "-") || !take_number(p, 2, 1, days_of_month(year, month), &day))
		return false;
	/* Days count from 0000-03-01, 60 days after the first one. */
	*ms = FIRST_MS + (days_from_civil(year, month, day) + 60) * DAY_MS;
	return true;
}

/* Leap seconds are put in at the end of a day of UTC and nowhere else. They are not counted
 * since 1970, so the nearest time that is stands for them. */
static bool leap_second(int64_t minute_ms, int *second, int *ms)
{
	if (*second < 60)
		return true;
	*second = 59;
	*ms = 999;
	return (minute_ms - FIRST_MS) % DAY_MS == DAY_MS - MINUTE_MS;
}

bool time_parse(const char *text, int64_t *utc_ms)
{
	const char *p = text;
	int hour, minute, second, ms;
	int64_t at, offset;

	if (!take_date(&p, &at) || !take_char(&p, "Tt") || !take_number(&p, 2, 0, 23, &hour) || !take_char(&p, ":") ||
	    !take_number(&p, 2, 0, 59, &minute) || !take_char(&p, ":") || !take_number(&p, 2, 0, 60, &second) ||
	    !take_fraction(&p, &ms) || !take_offset(&p, &offset) || *p)
		return false;
	at += (hour * 60 + minute) * MINUTE_MS - offset;
	if (!leap_second(at, &second, &ms))
		return false;
	at += second * 1000 + ms;
	if (at < FIRST_MS || at > LAST_MS)
		return false;
	*utc_ms = at;
	return true;
}
