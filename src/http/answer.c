/* An http_reply onto the wire. */
#include "answer.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "callgate/buf.h"
#include "callgate/mem.h"
#include "callgate/problem.h"

#define HEAD_MAX_BYTES 4096

static const char *content_type(const struct http_reply *r)
{
	if (r->content_type)
		return r->content_type;
	return r->body ? "application/json" : NULL;
}

/* NULL where there is none, or none that could be sent as one line. */
static const char *link_of(const struct http_reply *r)
{
	if (!r->link)
		return NULL;
	for (const char *c = r->link; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f || c - r->link >= HTTP_LINK_MAX)
			return NULL;
	return r->link;
}

struct MHD_Response *answer_response(struct http_reply *r, const char *request_id, bool close)
{
	size_t len = r->body ? r->body_len : 0;
	struct MHD_Response *m;

	m = MHD_create_response_from_buffer(len, r->body,
	                                    r->body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (!m)
		return NULL;
	if (content_type(r))
		MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, content_type(r));
	MHD_add_response_header(m, "X-Request-Id", request_id);
	for (int i = 0; i < r->header_count; i++)
		MHD_add_response_header(m, r->headers[i].name, r->headers[i].value);
	if (link_of(r))
		MHD_add_response_header(m, "Link", r->link);
	if (close)
		MHD_add_response_header(m, MHD_HTTP_HEADER_CONNECTION, "close");
	r->body = NULL;
	return m;
}

static void add_date(struct buf *b)
{
	char text[40];
	time_t now = time(NULL);
	struct tm tm;

	/* The C locale's names: the program never sets another. */
	if (gmtime_r(&now, &tm) && strftime(text, sizeof text, "%a, %d %b %Y %T GMT", &tm) > 0)
		buf_printf(b, "Date: %s\r\n", text);
}

static void add_head(struct buf *b, const struct http_reply *r, const char *request_id)
{
	buf_printf(b, "HTTP/1.1 %d %s\r\n", r->status,
	           MHD_get_reason_phrase_for((unsigned)r->status));
	add_date(b);
	buf_str(b, "Connection: close\r\n");
	if (content_type(r))
		buf_printf(b, "Content-Type: %s\r\n", content_type(r));
	buf_printf(b, "X-Request-Id: %s\r\n", request_id);
	for (int i = 0; i < r->header_count; i++)
		buf_printf(b, "%s: %s\r\n", r->headers[i].name, r->headers[i].value);
	if (link_of(r))
		buf_printf(b, "Link: %s\r\n", r->link);
	buf_printf(b, "Content-Length: %zu\r\n\r\n", r->body ? r->body_len : 0);
}

void answer_write(int fd, const struct http_reply *r, const char *request_id, bool without_body)
{
	CLEANUP(buf_done) struct buf head;
	struct iovec parts[2];
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 1 };
	ssize_t n;

	buf_init(&head, HEAD_MAX_BYTES);
	add_head(&head, r, request_id);
	parts[0] = (struct iovec){ head.data, head.len };
	if (r->body && !without_body) {
		parts[1] = (struct iovec){ r->body, r->body_len };
		msg.msg_iovlen = 2;
	}
	n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)n;                /* the connection closes either way */
}

/* The codes are promised to clients, as those of the routes are. */
static const struct http_refusal refusals[] = {
	[REFUSE_NOTHING] =
		{ 500, "internal_error", "" },
	[REFUSE_MALFORMED] =
		{ 400, "request_malformed", "The request is not well-formed HTTP (RFC 9110, RFC 9112)." },
	[REFUSE_HEAD_TOO_LARGE] =
		{ 431, "head_too_large", "The request line and the header fields are too large." },
	[REFUSE_BODY_TOO_LARGE] =
		{ 413, "body_too_large", "The body, or a chunk of it, has an impossible length." },
	[REFUSE_ENCODING] =
		{ 400, "encoding_unsupported", "The body must be sent without a Content-Encoding." },
};
_Static_assert(ARRAY_LEN(refusals) == REFUSAL_COUNT, "a refusal lacks its row");

const struct http_refusal *http_refusal_find(const char *code)
{
	for (size_t i = REFUSE_NOTHING + 1; i < ARRAY_LEN(refusals); i++)
		if (strcmp(refusals[i].code, code) == 0)
			return &refusals[i];
	return NULL;
}

/* Nothing in it needs escaping: the texts are above, and a request id is [A-Za-z0-9._-]. Where
 * the head was not understood there is no Accept, and so no wish. */
void answer_refuse(struct http_reply *r, enum refusal why, const struct http_request *rq)
{
	const struct http_refusal *info = &refusals[why];
	struct buf b;

	buf_init(&b, HEAD_MAX_BYTES);
	buf_char(&b, '{');
	if (problem_wanted(http_header(rq, "Accept"))) {
		r->content_type = PROBLEM_CONTENT_TYPE;
		problem_members(&b, info->status, info->code);
		buf_printf(&b, ",\"detail\":\"%s\",", info->text);
	}
	buf_printf(&b, "\"success\":false,\"error\":\"%s\",\"code\":\"%s\",\"requestId\":\"%s\"}", info->text, info->code,
	           rq->request_id);
	r->status = info->status;
	r->body = buf_take(&b, &r->body_len);
	http_reply_header(r, "Vary", "Accept");
}
