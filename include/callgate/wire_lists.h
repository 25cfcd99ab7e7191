/* Filters as clients write them, and lists as they read them. */
#ifndef CALLGATE_WIRE_LISTS_H
#define CALLGATE_WIRE_LISTS_H

#include "callgate/store_lists.h"
#include "callgate/wire.h"

#define WIRE_CURSOR_SIZE 96

/* ── filters ────────────────────────────────────────────────────────────────────── */

/* One member from a query argument: projectId, state (names with commas between), outcome,
 * from, to, createdAfter, createdBefore, metadataKey, metadataValue. False: no filter has
 * this name. A value that is no good is a problem with the pointer "", as a
 * JSON Pointer cannot point into a query; the message names the argument. `f` begins as
 * zero; wire_filter_end() says what only shows when all are there. */
bool wire_filter_argument(struct call_filter *f, const char *name, const char *value, struct wire_problems *ps);
void wire_filter_end(const struct call_filter *f, struct wire_problems *ps);

/* From the body {"filter": {…}, "cursor": "…"} with the same names and texts as values
 * (`state` may be a list of texts too); at least one filter must be in it, the cursor, as it
 * was sent and "" without one, need not, and nothing else may. OK, or ERR_INVALID with at
 * least one problem; pointers are "/filter/name". */
enum err wire_filter_body(const char *body, size_t len, struct call_filter *f, char cursor[WIRE_CURSOR_SIZE],
                          struct wire_problems *ps) MUST_USE;

/* ── places ─────────────────────────────────────────────────────────────────────── */

/* A cursor is bound to the organization and the filter; what was made for others, or was
 * damaged, does not read. It is not a secret and opens nothing. */
void wire_cursor_write(int64_t org, const struct call_filter *f, const struct id *last, char out[WIRE_CURSOR_SIZE]);
bool wire_cursor_read(int64_t org, const struct call_filter *f, const char *text, struct id *last);
void wire_position_write(int64_t org, const struct feed_position *p, char out[WIRE_CURSOR_SIZE]);
bool wire_position_read(int64_t org, const char *text, struct feed_position *p);

/* ── answers ────────────────────────────────────────────────────────────────────── */

/* {"data":[…],"hasMore":…,"nextCursor":…}; next NULL: there is none. */
void wire_call_list_write(struct buf *b, const struct call_read *items, size_t n, const char *next);
/* {"data":[…],"hasMore":…} of one call, or with "position" of the feed (not NULL). */
void wire_events_write(struct buf *b, const struct call_event *events, size_t n, bool more, const char *position);

/* The name of an event's kind, "call.ringing"; NULL: none of ours. */
const char *wire_event_type(int kind);

#endif
