/* Reading a head. The library splits it in place, in its read buffer: line ends and colons
 * become NULs, and what comes behind a NUL that the client sent is silently dropped; a
 * folded line is glued to the *name* of its header. Neither shows in the strings alone. So
 * each piece must begin where the piece before it ended, from the request line to the
 * length that the library reports: then nothing of the head was lost or moved. */
#include "head.h"

#include <microhttpd.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "ceilings.h"
#include "thread.h"

/* Two of these would let two readers choose differently. */
static const struct { const char *name; size_t len; } singles[] = {
#define SINGLE(name) { name, sizeof name - 1 }
	SINGLE("Host"), SINGLE("Authorization"), SINGLE("Content-Type"), SINGLE("Content-Length"),
	SINGLE("Transfer-Encoding"), SINGLE("Content-Encoding"), SINGLE("Idempotency-Key"),
#undef SINGLE
};
enum { HOST_BIT = 1 };

struct reading {
	struct exchange *x;
	const char      *at;            /* where the latest piece ended, at its NUL       */
	size_t           records;       /* what the library keeps about them, in bytes    */
	unsigned         seen;          /* bits of `singles`                              */
	bool             bad;
};

bool head_uri_valid(const char *uri, const char **end)
{
	const unsigned char *c = (const unsigned char *)uri;
	bool valid = true;

	for (; *c; c++)
		if (*c <= ' ' || *c == 0x7f || (*c == '%' && c[1] == '0' && c[2] == '0'))
			valid = false;
	*end = (const char *)c;
	return valid;
}

/* RFC 9110, 5.6.2. */
static bool token_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || (c >= '0' && c <= '9') ||
	       (c > ' ' && c < 0x7f && strchr("!#$%&'*+.^_`|~", c));
}

static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!token_char((unsigned char)s[i]))
			return false;
	return len > 0;
}

/* Does the next line begin at p? Its predecessor ended with CR LF, or with LF alone. */
static bool follows(const char *at, const char *p)
{
	return p == at + 1 || (p == at + 2 && at[1] == '\0');
}

/* "Name:", blanks, the value. A line end inside the value could only be a bare CR. */
static bool in_its_place(const struct reading *r, const char *name, size_t name_len,
                         const char *value, size_t value_len)
{
	const char *p = name + name_len + 1;

	if (!follows(r->at, name) || !is_token(name, name_len))
		return false;
	for (; p < value; p++)
		if (*p != ' ' && *p != '\t')
			return false;
	return !memchr(value, '\r', value_len);
}

static bool is_second(struct reading *r, const char *name, size_t len)
{
	for (unsigned i = 0; i < ARRAY_LEN(singles); i++) {
		bool before = r->seen & (1u << i);

		if (singles[i].len != len || !str_case_eq(singles[i].name, name))
			continue;
		r->seen |= 1u << i;
		return before;
	}
	return false;
}

static enum MHD_Result copy_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
	struct reading *r = arg;

	(void)kind;
	r->records += HEADER_RECORD_BYTES;
	if (!r->bad)
		r->bad = !in_its_place(r, name, name_len, value, value_len) ||
		         is_second(r, name, name_len);
	r->at = value + value_len;
	exchange_add_pair(r->x, name, name_len, value, value_len);
	return MHD_YES;
}

static enum MHD_Result copy_argument(void *arg, enum MHD_ValueKind kind, const char *name,
                                     size_t name_len, const char *value, size_t value_len)
{
	struct reading *r = arg;

	(void)kind;
	r->records += HEADER_RECORD_BYTES;
	exchange_add_pair(r->x, name, name_len, value, value_len);
	return MHD_YES;
}

static enum MHD_Result count_cookie(void *arg, enum MHD_ValueKind kind, const char *name,
                                    size_t name_len, const char *value, size_t value_len)
{
	struct reading *r = arg;

	(void)kind;
	(void)name;
	(void)value;
	r->records += HEADER_RECORD_BYTES + name_len + value_len + 4;
	return MHD_YES;
}

static size_t head_size(struct MHD_Connection *m)
{
	const union MHD_ConnectionInfo *i =
		MHD_get_connection_info(m, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	return i ? i->header_size : 0;
}

static bool line_whole(const struct conn *c, const struct head_text *text)
{
	size_t len = strlen(text->method);

	return !c->bad_line && is_token(text->method, len) && text->path == text->method + len + 1 &&
	       text->version == c->uri_end + 1;
}

/* Behind the last line come the empty one and the end. */
static bool ends_there(const struct reading *r, const char *end)
{
	return follows(r->at, end - 1) || (end[-2] == '\0' && follows(r->at, end - 2));
}

static void copy_text(struct reading *r, struct MHD_Connection *m, const struct head_text *text)
{
	exchange_add_line(r->x, text->method, text->path);
	MHD_get_connection_values_n(m, MHD_HEADER_KIND, copy_header, r);
	exchange_end_headers(r->x);
	MHD_get_connection_values_n(m, MHD_GET_ARGUMENT_KIND, copy_argument, r);
	MHD_get_connection_values_n(m, MHD_COOKIE_KIND, count_cookie, r);
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Unique, and no secret: a counter from a random start, spread (splitmix64). */
void head_fresh_id(struct io_thread *t, char out[HTTP_REQUEST_ID_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (int half = 0; half < 2; half++) {
		uint64_t v;

		t->id_seed[half] += UINT64_C(0x9e3779b97f4a7c15);
		v = mix(t->id_seed[half]);
		for (int i = 0; i < 16; i++, v >>= 4)
			*out++ = digits[v & 15];
	}
	*out = '\0';
}

static bool id_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '.' || c == '_' || c == '-';
}

static void take_request_id(struct io_thread *t, struct exchange *x)
{
	const char *given = http_header(&x->rq, "X-Request-Id");
	size_t n = 0;

	while (given && id_char(given[n]) && n < HTTP_REQUEST_ID_SIZE)
		n++;
	if (n == 0 || n >= HTTP_REQUEST_ID_SIZE || given[n])
		head_fresh_id(t, x->rq.request_id);
	else
		memcpy(x->rq.request_id, given, n + 1);
}

/* How long the body will be: -1 for chunked, -2 when two readers could disagree. */
static int64_t announced(const struct exchange *x)
{
	const char *coding = http_header(&x->rq, "Transfer-Encoding");
	const char *length = http_header(&x->rq, "Content-Length");
	int64_t n = 0;

	if (coding)
		return length || !str_case_eq(coding, "chunked") ? -2 : -1;
	if (length && !parse_int(length, 0, INT64_MAX, &n))
		return -2;
	return n;
}

static bool encoded(const struct exchange *x)
{
	const char *coding = http_header(&x->rq, "Content-Encoding");

	return coding && !str_case_eq(coding, "identity");
}

enum refusal head_copy(struct io_thread *t, struct exchange *x, const struct head_text *text,
                       int64_t *length)
{
	struct reading r = { .x = x, .at = text->version + strlen(text->version) };
	size_t size = head_size(x->connection);
	bool fits;

	copy_text(&r, x->connection, text);
	fits = exchange_end_text(x);
	take_request_id(t, x);
	if (!fits || size + r.records > CONNECTION_POOL_BYTES - CONNECTION_SPARE_BYTES)
		return REFUSE_HEAD_TOO_LARGE;
	if (r.bad || !line_whole(x->conn, text) || !ends_there(&r, text->method + size))
		return REFUSE_MALFORMED;
	if (!(r.seen & HOST_BIT) && !str_eq(text->version, "HTTP/1.0"))
		return REFUSE_MALFORMED;
	*length = announced(x);
	if (*length < -1)
		return REFUSE_MALFORMED;
	return *length != 0 && encoded(x) ? REFUSE_ENCODING : REFUSE_NOTHING;
}
