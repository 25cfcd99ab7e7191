/* The head of a request: copied out of the library's memory, and judged where the library
 * is more lenient than is good behind a proxy that may read the same bytes differently. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"

struct exchange;
struct io_thread;

/* As the library hands them over: pointers into its read buffer. */
struct head_text {
	const char *method;
	const char *path;
	const char *version;
};

/* The target as it was sent: no white space, no control characters, and no "%00", which
 * would cut the decoded path short. */
bool head_uri_valid(const char *uri, const char **end);

/* Copies the head and fixes the request's id. *length is the body's: -1 for chunked; it is
 * meant only where nothing, or REFUSE_ENCODING, is returned. */
enum refusal head_copy(struct io_thread *t, struct exchange *x, const struct head_text *text,
                       int64_t *length);

/* An id for a request that brought none. */
void head_fresh_id(struct io_thread *t, char out[HTTP_REQUEST_ID_SIZE]);

#endif
