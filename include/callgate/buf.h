/* A growing byte buffer with a ceiling. Past the ceiling nothing is written any
 * more and `over` stays true, so a writer checks once, at the end. The bytes are
 * always followed by a NUL that is not counted. */
#ifndef CALLGATE_BUF_H
#define CALLGATE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char  *data;
	size_t len;
	size_t size;    /* allocated                      */
	size_t max;     /* ceiling in bytes, without NUL  */
	bool   over;    /* something did not fit          */
};

void  buf_init(struct buf *b, size_t max);      /* allocates nothing yet */
void  buf_done(struct buf *b);                  /* frees; b is reusable after buf_init */
void  buf_clear(struct buf *b);                 /* empty again, memory kept */
void  buf_add(struct buf *b, const void *bytes, size_t n);
void  buf_str(struct buf *b, const char *s);
void  buf_char(struct buf *b, char c);
void  buf_int(struct buf *b, int64_t v);        /* decimal */
void  buf_be16(struct buf *b, uint16_t v);      /* big-endian, for wire formats */
void  buf_be32(struct buf *b, uint32_t v);
void  buf_be64(struct buf *b, uint64_t v);
__attribute__((format(printf, 2, 3)))
void  buf_printf(struct buf *b, const char *fmt, ...);
char *buf_take(struct buf *b, size_t *len);     /* caller frees; never NULL; b is empty after */

#endif
