/* Decimals to milli-cents and back, exactly: what cannot be held is refused, not rounded. */
#include "callgate/money.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DECIMALS 5
#define UNIT_MC 100000

static bool add_digit(int64_t *v, char c)
{
	return c >= '0' && c <= '9' && !__builtin_mul_overflow(*v, 10, v) && !__builtin_add_overflow(*v, c - '0', v);
}

bool money_parse(const char *text, int64_t max_mc, int64_t *out_mc)
{
	const char *point = strchr(text, '.');
	size_t whole = point ? (size_t)(point - text) : strlen(text);
	size_t decimals = point ? strlen(point + 1) : 0;
	int64_t v = 0;

	if (whole == 0 || decimals > DECIMALS || (point && decimals == 0))
		return false;
	for (size_t i = 0; i < whole; i++) {
		if (!add_digit(&v, text[i]))
			return false;
	}
	for (size_t i = 0; i < DECIMALS; i++) {
		if (!add_digit(&v, i < decimals ? point[1 + i] : '0'))
			return false;
	}
	if (v > max_mc)
		return false;
	*out_mc = v;
	return true;
}

void money_format(int64_t mc, char out[MONEY_TEXT_SIZE])
{
	uint64_t v = mc < 0 ? -(uint64_t)mc : (uint64_t)mc;
	int n = snprintf(out, MONEY_TEXT_SIZE, "%s%" PRIu64 ".%05" PRIu64, mc < 0 ? "-" : "", v / UNIT_MC, v % UNIT_MC);

	for (int keep = n - (DECIMALS - 2); n > keep && out[n - 1] == '0'; n--)
		out[n - 1] = '\0';
}
