/* The growing buffer. Growth doubles up to the ceiling; what would pass it is left out
 * whole and marks the buffer, so that a writer of many pieces checks one flag at the end
 * and a reader never sees a piece cut in two. */
#include "callgate/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"

#define FIRST_SIZE 64

/* Stands for the text of a buffer that has allocated nothing (size 0), so that `data`
 * is a string at all times. Never written to. */
static char nothing[1];

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .data = nothing, .max = max };
}

void buf_done(struct buf *b)
{
	if (b->size > 0)
		free(b->data);
	buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->over = false;
	if (b->size > 0)
		b->data[0] = '\0';
}

/* Room for n more bytes and the NUL, or false and the mark. */
static bool make_room(struct buf *b, size_t n)
{
	size_t need, size;

	if (b->over || n > b->max - b->len) {
		b->over = true;
		return false;
	}
	need = b->len + n + 1;
	if (need <= b->size)
		return true;
	size = b->size ? b->size : FIRST_SIZE;
	while (size < need)
		size = size > SIZE_MAX / 2 ? need : size * 2;
	if (size > b->max)
		size = b->max + 1;      /* need is at most this much */
	b->data = xrealloc(b->size ? b->data : NULL, size, 1);
	b->size = size;
	return true;
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (n == 0 || !make_room(b, n))
		return;
	memcpy(b->data + b->len, bytes, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_int(struct buf *b, int64_t v)
{
	char text[20];          /* "-9223372036854775808" fills it */
	char *p = text + sizeof text;
	uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u > 0);
	if (v < 0)
		*--p = '-';
	buf_add(b, p, (size_t)(text + sizeof text - p));
}

static void add_big_endian(struct buf *b, uint64_t v, size_t n)
{
	uint8_t bytes[8];

	for (size_t i = n; i-- > 0; v >>= 8)
		bytes[i] = (uint8_t)v;
	buf_add(b, bytes, n);
}

void buf_be16(struct buf *b, uint16_t v)
{
	add_big_endian(b, v, 2);
}

void buf_be32(struct buf *b, uint32_t v)
{
	add_big_endian(b, v, 4);
}

void buf_be64(struct buf *b, uint64_t v)
{
	add_big_endian(b, v, 8);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->over = true;
		return;
	}
	if (n == 0 || !make_room(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

char *buf_take(struct buf *b, size_t *len)
{
	char *taken = b->size > 0 ? b->data : xstrdup("");

	if (len)
		*len = b->len;
	buf_init(b, b->max);
	return taken;
}
