/* Money: whole milli-cents (a hundred-thousandth of a unit) in 64 bits, never a float.
 * People and documents write decimals, "12.50". */
#ifndef CALLGATE_MONEY_H
#define CALLGATE_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#define MONEY_TEXT_SIZE 32

/* Digits, and at most five after a point; no sign, no blanks, no exponent. False when it
 * is none, or above `max_mc`. */
bool money_parse(const char *text, int64_t max_mc, int64_t *out_mc);
/* With two decimals, more where they are needed: "12.50", "-0.01667". */
void money_format(int64_t mc, char out[MONEY_TEXT_SIZE]);

#endif
