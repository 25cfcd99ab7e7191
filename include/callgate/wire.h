/* JSON as clients speak it: what a body must look like, and what an answer looks like.
 * Reading is strict (everything that two parsers could understand differently is refused)
 * and complete: all mistakes are reported at once. Nothing here asks the database. */
#ifndef CALLGATE_WIRE_H
#define CALLGATE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/buf.h"
#include "callgate/digest.h"
#include "callgate/e164.h"
#include "callgate/err.h"
#include "callgate/store_calls.h"

#define WIRE_NESTING_MAX   32           /* objects and arrays open at once, the outermost included */
#define WIRE_PROJECT_MAX   64           /* bytes of a projectId                                    */
#define WIRE_VARIABLES_MAX 16384        /* bytes of dynamicVariables without white space           */
#define WIRE_METADATA_MAX  16384        /* bytes of metadata without white space                   */
#define WIRE_PROBLEMS_MAX  16           /* mistakes reported of one body                           */
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

#define WIRE_RING_MIN      5            /* seconds */
#define WIRE_RING_MAX      80
#define WIRE_DURATION_MAX  86400        /* seconds */
#define WIRE_SCHEDULE_DAYS 30           /* so far ahead a call may be planned,                     */
#define WIRE_EXPIRY_DAYS   31           /* so far ahead it may expire,                             */
#define WIRE_SCHEDULE_LATE_MINUTES 5    /* and so far back "now" may lie                           */
#define WIRE_PRIO_NORMAL   1            /* 0 high, 2 low                                           */
#define WIRE_IDEM_KEY_MAX  255
#define WIRE_IDEM_KEY_SIZE (WIRE_IDEM_KEY_MAX + 1)

/* The body of POST /v1/calls/outbound. What was not sent, or is not valid, is "", NULL or 0. */
struct wire_create_call {
	char    project[WIRE_PROJECT_MAX + 1];
	char    from[E164_SIZE];
	char    to[E164_SIZE];
	char   *variables;      /* owned; the client's own tokens without the white space */
	char   *metadata;       /* between them; NULL when none were sent                 */
	int     ring_timeout_s, max_duration_s;
	int16_t prio;           /* normal when not sent */
	int64_t scheduled_ms, expires_ms;
	char    idem_key[WIRE_IDEM_KEY_SIZE];
	size_t  late;           /* how many of the problems are times that have passed */
};

/* OK, or ERR_INVALID with at least one problem; `out` is to be done either way. `problems`
 * need not be initialized. Unknown members are ignored, but must be sound JSON as everything
 * else. */
enum err wire_create_call_read(const char *body, size_t len, int64_t now_ms, struct wire_create_call *out,
                               struct wire_problems *problems) MUST_USE;
void     wire_create_call_done(struct wire_create_call *c);

/* An Idempotency-Key: 1 to 255 visible characters of ASCII. As header it may stand in quotes
 * (RFC 8941) or not, which is the same key. */
bool wire_idem_key_ok(const char *key, size_t len);
bool wire_idem_header(const char *header, char out[WIRE_IDEM_KEY_SIZE]);

/* The digest of sound JSON, whatever the white space between its tokens. */
void wire_body_print(const char *body, size_t len, uint8_t out[SHA256_SIZE]);

/* The answer of GET /v1/calls/{id}. */
void wire_call_record_write(struct buf *b, const struct call_record *r);
/* Ceiling of such an answer: the variables, the metadata, and everything else with room to
 * spare; an attempt is three texts of the provider's. */
#define WIRE_CALL_RECORD_MAX (WIRE_VARIABLES_MAX + WIRE_METADATA_MAX + 16384 + (ATTEMPTS_TOLD + 1) * 2048)

/* The tag of a record as it is, with its quotes; it changes with whatever changes the record. */
#define CALL_ETAG_SIZE 80
void wire_call_etag(const struct call_record *r, char out[CALL_ETAG_SIZE]);

#endif
