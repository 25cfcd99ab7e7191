/* If-Match and If-None-Match (RFC 9110, 13.1). */
#ifndef API_ETAG_H
#define API_ETAG_H

#include <stdbool.h>

/* Whether a list of tags has this one, or is "*". `weak`: W/ is overlooked (If-None-Match);
 * otherwise a weak tag matches nothing (If-Match). */
bool etag_match(const char *header, const char *etag, bool weak);

#endif
