/* The one place that knows how a UTF-8 character is built; private to this room. */
#ifndef UTIL_UTF8_H
#define UTIL_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed character at s (1 to 4), or 0 when the n bytes there do not
 * begin with one. U+0000 counts as a character of one byte. */
size_t utf8_char(const char *s, size_t n);

#endif
