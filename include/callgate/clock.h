/* Time. Wall time is UTC milliseconds since 1970 and is only for people and ids;
 * what is stored takes the database's clock. Waiting and stopping early go by the
 * monotonic clock. */
#ifndef CALLGATE_CLOCK_H
#define CALLGATE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

int64_t wall_ms(void);
int64_t mono_ms(void);
int64_t mono_us(void);

/* RFC 3339 in UTC with milliseconds, "2026-11-20T08:32:00.123Z"; out holds 25 bytes. */
#define RFC3339_SIZE 25
void time_format(int64_t utc_ms, char out[RFC3339_SIZE]);
/* Any date-time of RFC 3339, which always says its offset; fractions are cut to milliseconds,
 * a leap second becomes the last millisecond before it. False: it is none, or lies outside
 * the years 0000 to 9999 in UTC. */
bool time_parse(const char *text, int64_t *utc_ms);

#endif
