/* See expiry.h. */
#include "expiry.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "callgate/text.h"

#define DAY_MS INT64_C(86400000)
#define DAYS_MAX 36500

static bool days_parse(const char *text, int64_t now_ms, int64_t *out_ms)
{
	char digits[8] = "";
	size_t n = strlen(text);
	int64_t days;

	if (n < 2 || n > sizeof digits || text[n - 1] != 'd')
		return false;
	memcpy(digits, text, n - 1);
	if (!parse_int(digits, 1, DAYS_MAX, &days))
		return false;
	*out_ms = now_ms + days * DAY_MS;
	return true;
}

/* What follows the seconds: a fraction, which is dropped, and "Z" or an offset. */
static bool zone_parse(const char *s, int *offset_s)
{
	int hours, minutes, n = 0;
	char sign;

	if (*s == '.') {
		if (!isdigit((unsigned char)*++s))
			return false;
		s += strspn(s, "0123456789");
	}
	*offset_s = 0;
	if (str_eq(s, "Z") || str_eq(s, "z"))
		return true;
	if (strlen(s) != 6 || sscanf(s, "%c%2d:%2d%n", &sign, &hours, &minutes, &n) != 3 || n != 6)
		return false;
	if ((sign != '+' && sign != '-') || hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return false;
	*offset_s = (sign == '+' ? 1 : -1) * (hours * 3600 + minutes * 60);
	return true;
}

static bool time_parse(const char *text, int64_t *out_ms)
{
	struct tm tm = { 0 }, same;
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int offset_s;
	time_t t;

	if (!rest || rest - text != 19 || !zone_parse(rest, &offset_s))
		return false;
	same = tm;
	t = timegm(&tm);
	if (tm.tm_mday != same.tm_mday)         /* February 30 became March 2 */
		return false;
	*out_ms = ((int64_t)t - offset_s) * 1000;
	return true;
}

bool expiry_parse(const char *text, int64_t now_ms, int64_t *out_ms)
{
	int64_t at;

	if (!days_parse(text, now_ms, &at) && !time_parse(text, &at))
		return false;
	if (at <= now_ms)
		return false;
	*out_ms = at;
	return true;
}
