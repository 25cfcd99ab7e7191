/* Problem details (RFC 9457): the same errors in the shape that generic clients know. Both
 * rooms that write errors share this, so that a client cannot tell them apart. */
#ifndef CALLGATE_PROBLEM_H
#define CALLGATE_PROBLEM_H

#include <stdbool.h>

#include "callgate/buf.h"

#define PROBLEM_CONTENT_TYPE "application/problem+json"
#define PROBLEM_PATH         "/problems/"       /* followed by the code: what `type` names, and
                                                 * where it can be read */

/* Whether an Accept header (NULL: none) asks for problem details: it names their type, and
 * likes it no less than plain JSON. Wildcards do not ask for it. */
bool problem_wanted(const char *accept);

/* "type":…,"title":…,"status":… without braces. The code is [a-z0-9_]; the title is made of it. */
void problem_members(struct buf *b, int status, const char *code);

#endif
