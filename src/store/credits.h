/* Inside `store`: booking, alone or within a transaction. */
#ifndef STORE_CREDITS_H
#define STORE_CREDITS_H

#include "callgate/store_money.h"
#include "pg.h"

struct booking {
	int64_t          org_id;
	int32_t          account_id;
	enum ledger_kind kind;
	int64_t          amount_mc;
	const char      *reference, *note;      /* or NULL */
};
struct booked {
	bool    made;
	bool    differs;        /* not made: the reference stands for something else */
	int64_t balance_mc, held_mc;            /* of the account, where made        */
};
/* Books; a reference that was booked before is left as it is. */
enum err credits_book(struct store *s, const struct booking *b, struct booked *out, struct errinfo *e) MUST_USE;

#endif
