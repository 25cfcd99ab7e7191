/* Writing JSON into a buffer, by hand: the caller writes names and punctuation as literals,
 * these write the values. What comes out is valid JSON whatever goes in. */
#ifndef CALLGATE_JSONW_H
#define CALLGATE_JSONW_H

#include <stdbool.h>
#include <stdint.h>

#include "callgate/buf.h"

/* A literal piece, its length known to the compiler. */
#define JSONW_LIT(b, literal) buf_add((b), "" literal "", sizeof(literal) - 1)

void jsonw_str(struct buf *b, const char *s);           /* quoted and escaped; NULL: null  */
void jsonw_bool(struct buf *b, bool v);
void jsonw_time(struct buf *b, int64_t utc_ms);         /* RFC 3339 in quotes; 0: null     */
void jsonw_seconds(struct buf *b, int64_t ms);          /* 12.345; never negative          */

#endif
