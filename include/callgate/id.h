/* Call ids: UUID version 7 (RFC 9562), so that they sort by time and serve as FIFO
 * key and partition key. The 12 bits after the version (rand_a) are not random here:
 * 4 bits name the process, 8 count within the millisecond, and the count runs over
 * into the next millisecond. The upper 48 + 12 bits are thus unique among up to 16
 * processes, and a 53-bit number (safe in JavaScript) can be read out of the id and
 * back into a range of ids without a column or an index of its own. The other 62
 * bits are random: an id cannot be guessed. */
#ifndef CALLGATE_ID_H
#define CALLGATE_ID_H

#include <stdbool.h>
#include <stdint.h>

struct id {
	uint8_t b[16];
};

#define ID_TEXT_SIZE 37         /* 8-4-4-4-12, lower case, and NUL */

/* Set once at start: which of 16 processes this is (any number, taken mod 16), and
 * what to add to the local clock so that ids follow the database's. */
void id_set_process(unsigned slot);
void id_set_clock_offset(int64_t ms);

struct id id_new(void);                         /* thread-safe, strictly increasing in a process */
struct id id_random(void);                      /* UUID version 4 */
struct id id_floor(int64_t utc_ms);             /* the smallest id of that millisecond */
int64_t   id_ms(const struct id *id);           /* when it was made */
bool      id_parse(const char *text, struct id *out);   /* any case; exactly 36 characters */
void      id_format(const struct id *id, char out[ID_TEXT_SIZE]);
int       id_cmp(const struct id *a, const struct id *b);

/* 53-bit number of an id (0 when the id was not made by id_new), and the ids that
 * have it: lo <= id <= hi. */
int64_t   id_number(const struct id *id);
void      id_number_range(int64_t number, struct id *lo, struct id *hi);

#endif
