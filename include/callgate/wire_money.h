/* Credits and their ledger as clients read them. */
#ifndef CALLGATE_WIRE_MONEY_H
#define CALLGATE_WIRE_MONEY_H

#include "callgate/buf.h"
#include "callgate/store_money.h"

void wire_credits_write(struct buf *b, const char *project, const struct project_credits *c);

/* {"data":[…],"hasMore":…,"nextCursor":…}; next NULL: there is none. */
void wire_ledger_write(struct buf *b, const struct ledger_entry *entries, size_t n, const char *next);
/* Ceiling of such an answer, an entry. */
#define WIRE_LEDGER_ENTRY_MAX (6 * (NOTE_MAX + REFERENCE_MAX) + 400)

#define WIRE_LEDGER_CURSOR_SIZE 40

/* A cursor is bound to the organization and the project; one that was made for others, or
 * was damaged, does not read. It is not a secret and opens nothing. */
void wire_ledger_cursor_write(int64_t org, const char *project, const struct ledger_place *p,
                              char out[WIRE_LEDGER_CURSOR_SIZE]);
bool wire_ledger_cursor_read(int64_t org, const char *project, const char *text, struct ledger_place *p);

#endif
