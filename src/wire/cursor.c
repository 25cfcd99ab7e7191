/* Places in lists, as clients carry them to and fro: the place itself and a few bytes of a
 * digest of it, of the organization and of the filter, as base64url. The digest keeps a
 * cursor from being used where it means nothing; it hides nothing and is no signature, for
 * a place that somebody makes up shows him nothing that he could not list anyway. */
#include <string.h>

#include "callgate/digest.h"
#include "callgate/mem.h"
#include "callgate/wire_lists.h"

#define MARK_SIZE 8
#define CURSOR_SIZE (16 + MARK_SIZE)
#define POSITION_SIZE (8 + 16 + 2 + MARK_SIZE)
#define FAR_US INT64_C(253402300799000000)      /* year 9999 */

_Static_assert(BASE64URL_SIZE(POSITION_SIZE) <= WIRE_CURSOR_SIZE, "a position must fit");

static void add_text(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s) + 1);
}

/* The limit is no part of it: the next page may have another size. */
static void add_filter(struct buf *b, const struct call_filter *f)
{
	add_text(b, f->project);
	buf_be32(b, f->states);
	buf_be32(b, f->reason);
	add_text(b, f->from);
	add_text(b, f->to);
	buf_be64(b, (uint64_t)f->created_from_ms);
	buf_be64(b, (uint64_t)f->created_to_ms);
	add_text(b, f->metadata_key);
	buf_char(b, f->has_value);
	add_text(b, f->metadata_value);
}

static void mark(const char *what, int64_t org, const struct call_filter *f, const uint8_t *place, size_t n,
                 uint8_t out[MARK_SIZE])
{
	CLEANUP(buf_done) struct buf b;
	uint8_t digest[SHA256_SIZE];

	buf_init(&b, 4096);
	add_text(&b, what);
	buf_be64(&b, (uint64_t)org);
	if (f)
		add_filter(&b, f);
	buf_add(&b, place, n);
	sha256(b.data, b.len, digest);
	memcpy(out, digest, MARK_SIZE);
}

static bool decode(const char *text, uint8_t *out, size_t size)
{
	size_t len = strlen(text), n;

	return len == BASE64URL_SIZE(size) - 1 && base64url_decode(text, len, out, &n) && n == size;
}

void wire_cursor_write(int64_t org, const struct call_filter *f, const struct id *last, char out[WIRE_CURSOR_SIZE])
{
	uint8_t raw[CURSOR_SIZE];

	memcpy(raw, last->b, sizeof last->b);
	mark("calls", org, f, raw, CURSOR_SIZE - MARK_SIZE, raw + CURSOR_SIZE - MARK_SIZE);
	base64url_encode(raw, sizeof raw, out);
}

bool wire_cursor_read(int64_t org, const struct call_filter *f, const char *text, struct id *last)
{
	uint8_t raw[CURSOR_SIZE + 3], want[MARK_SIZE];

	if (!decode(text, raw, CURSOR_SIZE))
		return false;
	mark("calls", org, f, raw, CURSOR_SIZE - MARK_SIZE, want);
	memcpy(last->b, raw, sizeof last->b);
	return memcmp(want, raw + CURSOR_SIZE - MARK_SIZE, MARK_SIZE) == 0;
}

static void put_be(uint8_t *out, size_t n, uint64_t v)
{
	while (n-- > 0) {
		out[n] = (uint8_t)v;
		v >>= 8;
	}
}

static uint64_t get_be(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

void wire_position_write(int64_t org, const struct feed_position *p, char out[WIRE_CURSOR_SIZE])
{
	uint8_t raw[POSITION_SIZE];

	put_be(raw, 8, (uint64_t)p->at_us);
	memcpy(raw + 8, p->call_id.b, 16);
	put_be(raw + 24, 2, (uint64_t)p->seq);
	mark("events", org, NULL, raw, POSITION_SIZE - MARK_SIZE, raw + POSITION_SIZE - MARK_SIZE);
	base64url_encode(raw, sizeof raw, out);
}

bool wire_position_read(int64_t org, const char *text, struct feed_position *p)
{
	uint8_t raw[POSITION_SIZE + 3], want[MARK_SIZE];
	uint64_t at, seq;

	if (!decode(text, raw, POSITION_SIZE))
		return false;
	mark("events", org, NULL, raw, POSITION_SIZE - MARK_SIZE, want);
	at = get_be(raw, 8);
	seq = get_be(raw + 24, 2);
	if (memcmp(want, raw + POSITION_SIZE - MARK_SIZE, MARK_SIZE) != 0 || at > (uint64_t)FAR_US || seq > INT16_MAX)
		return false;
	*p = (struct feed_position){ .at_us = (int64_t)at, .seq = (int)seq };
	memcpy(p->call_id.b, raw + 8, 16);
	return true;
}
