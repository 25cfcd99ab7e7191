/* JSON as text, before and after the parser: the nesting is measured before jansson may
 * recurse, and a member is cut out as the client wrote it, because a value that was parsed
 * and written again is no longer the same (1.10 becomes 1.1000000000000001, an escaped
 * letter loses its escape). */
#ifndef CALLGATE_WIRE_RAW_H
#define CALLGATE_WIRE_RAW_H

#include <stdbool.h>
#include <stddef.h>

/* Where, for people: both from 1; columns count characters, not bytes. */
struct raw_position {
	int line, column;
};

struct raw_position raw_position_of(const char *s, const char *at);

/* True when more than `max` objects and arrays are open at once; `at` is the bracket that
 * is too many. Any bytes may come in. */
bool raw_too_deep(const char *s, size_t len, int max, struct raw_position *at);

/* The value of a member of the outermost object, as written. `json` must be a sound object
 * without duplicate keys. `name` is ASCII; a key written with \u escapes is found too. */
bool raw_member(const char *json, const char *name, const char **value, size_t *len);

/* Copies sound JSON without the white space between its tokens; `out` has room for `len`
 * bytes and a NUL. Returns the bytes written, without the NUL. */
size_t raw_compact(const char *value, size_t len, char *out);

#endif
