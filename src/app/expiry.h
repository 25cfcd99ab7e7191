/* Inside `app`: when a key ends, as a person writes it. */
#ifndef APP_EXPIRY_H
#define APP_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

/* "90d" from `now_ms` on, or an RFC 3339 time, "2027-01-31T00:00:00Z". False: neither, or
 * not in the future. */
bool expiry_parse(const char *text, int64_t now_ms, int64_t *out_ms);

#endif
