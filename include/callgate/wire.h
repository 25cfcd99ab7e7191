/* JSON as clients speak it: what a body must look like, and what an answer looks like.
 * Reading is strict (everything that two parsers could understand differently is refused)
 * and complete: all mistakes are reported at once. Nothing here asks the database. */
#ifndef CALLGATE_WIRE_H
#define CALLGATE_WIRE_H

#include <stddef.h>

#include "callgate/buf.h"
#include "callgate/e164.h"
#include "callgate/err.h"
#include "callgate/store_calls.h"

#define WIRE_NESTING_MAX   32           /* objects and arrays open at once, the outermost included */
#define WIRE_PROJECT_MAX   64           /* bytes of a projectId                                    */
#define WIRE_VARIABLES_MAX 16384        /* bytes of dynamicVariables without white space           */
#define WIRE_PROBLEMS_MAX  8            /* mistakes reported of one body                           */
#define WIRE_PROBLEM_TEXT  256

/* One mistake: where (JSON Pointer, RFC 6901; "" is the whole body) and what to do. */
struct wire_problem {
	const char *pointer;            /* static */
	char        message[WIRE_PROBLEM_TEXT];
};
struct wire_problems {
	size_t              count;
	struct wire_problem items[WIRE_PROBLEMS_MAX];
};
/* Adds one; ignored past WIRE_PROBLEMS_MAX. `pointer` is kept, not copied. */
__attribute__((format(printf, 3, 4)))
void wire_problem_add(struct wire_problems *ps, const char *pointer, const char *fmt, ...);

/* The body of POST /v1/calls/outbound. */
struct wire_create_call {
	char  project[WIRE_PROJECT_MAX + 1];
	char  from[E164_SIZE];
	char  to[E164_SIZE];
	char *variables;        /* owned; the client's own tokens without the white space
	                         * between them; NULL when none were sent */
};

/* OK, or ERR_INVALID with at least one problem. `problems` need not be initialized. Unknown
 * members are ignored, but must be sound JSON as everything else. */
enum err wire_create_call_read(const char *body, size_t len, struct wire_create_call *out,
                               struct wire_problems *problems) MUST_USE;
void     wire_create_call_done(struct wire_create_call *c);

/* The answer of GET /v1/calls/{id}. */
void wire_call_record_write(struct buf *b, const struct call_record *r);
/* Ceiling of such an answer: the variables, and everything else with room to spare. */
#define WIRE_CALL_RECORD_MAX (WIRE_VARIABLES_MAX + 16384)

#endif
