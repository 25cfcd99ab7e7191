/* An answer in its two ways onto the wire: through the library, and by ourselves where
 * the library has none. It cannot queue an answer while a body is arriving (a chunked
 * body that grew too large), nor after the client has closed its sending half. */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include <stdbool.h>

#include "callgate/http.h"

struct MHD_Response;

/* Takes r->body. NULL: the library is out of memory. */
struct MHD_Response *answer_response(struct http_reply *r, const char *request_id, bool close);

/* Writes the whole answer, with "Connection: close", without waiting; what the socket
 * does not take at once is lost. The caller closes the connection. */
void answer_write(int fd, const struct http_reply *r, const char *request_id, bool without_body);

/* The refusals http makes itself, no route involved: the shape of every other error. */
enum refusal {
	REFUSE_NOTHING,
	REFUSE_MALFORMED,
	REFUSE_HEAD_TOO_LARGE,
	REFUSE_BODY_TOO_LARGE,
	REFUSE_ENCODING,
	REFUSAL_COUNT
};
void answer_refuse(struct http_reply *r, enum refusal why, const struct http_request *rq);

#endif
