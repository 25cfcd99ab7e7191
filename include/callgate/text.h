/* Small questions about text. */
#ifndef CALLGATE_TEXT_H
#define CALLGATE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates), without U+0000. */
bool utf8_ok(const char *s, size_t len);

bool str_eq(const char *a, const char *b);              /* NULL equals only NULL */
bool str_has_prefix(const char *s, const char *prefix);
bool str_case_eq(const char *a, const char *b);         /* ASCII only, no locale */

/* Copies what fits, always ends with NUL, cuts at a UTF-8 boundary; true if all fitted. */
bool str_copy(char *dst, size_t size, const char *src);

/* Copies the words of somebody else for people and logs: what looks like a token or another secret
 * becomes "***", a telephone number "***23". May cut anywhere. */
void str_hush(char *dst, size_t size, const char *src);

/* A whole decimal integer within [min, max] and nothing else. */
bool parse_int(const char *s, int64_t min, int64_t max, int64_t *out);

#endif
