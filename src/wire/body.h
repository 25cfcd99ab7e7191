/* The members of a request's body, one reader per kind of value. Each is given a pointer
 * ("/name", a member of the outermost object), leaves `out` alone when the member is absent
 * or wrong, and adds a problem in the second case. */
#ifndef CALLGATE_WIRE_BODY_H
#define CALLGATE_WIRE_BODY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/wire.h"

/* The tree of a body that is one sound JSON object, or NULL and its one problem. The caller
 * owns it. */
json_t *body_parse(const char *body, size_t len, struct wire_problems *ps);

/* "an object", "a string", … */
const char *body_type(const json_t *v);
bool body_has(const json_t *root, const char *pointer);

/* A text that is not empty, borrowed from the tree, or NULL. Only the first misses it. */
const char *body_need_text(const json_t *root, const char *pointer, struct wire_problems *ps);
const char *body_text(const json_t *root, const char *pointer, struct wire_problems *ps);

/* An object in the client's own tokens, at most `max` bytes as compact JSON; NULL: none. The
 * caller owns it. `body` is what `root` was parsed from. */
char *body_object(const json_t *root, const char *body, const char *pointer, size_t max, struct wire_problems *ps);

void body_int(const json_t *root, const char *pointer, int min, int max, int *out, struct wire_problems *ps);
/* Any time can be one; so this says whether there was one. */
bool body_time(const json_t *root, const char *pointer, int64_t *out_ms, struct wire_problems *ps);
/* "high" | "normal" | "low" as 0, 1, 2 */
void body_priority(const json_t *root, const char *pointer, int16_t *out, struct wire_problems *ps);

#endif
