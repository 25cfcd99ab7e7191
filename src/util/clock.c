/* Clocks and the one way times are written for people. */
#include "callgate/clock.h"

#include <time.h>

#define DAY_MS   INT64_C(86400000)
#define FIRST_MS INT64_C(-62167219200000)       /* 0000-01-01T00:00:00.000Z */
#define LAST_MS  INT64_C(253402300799999)       /* 9999-12-31T23:59:59.999Z */

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
