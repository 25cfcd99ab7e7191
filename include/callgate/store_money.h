/* Credits: what an organization's accounts have, and the ledger that explains it. A balance
 * is the sum of its ledger at every moment; both are written in one statement, under the
 * account's lock. What calls hold and cost is booked with the calls (store_calls.h,
 * store_dispatch.h); here is everything else that moves money, and the looking. */
#ifndef CALLGATE_STORE_MONEY_H
#define CALLGATE_STORE_MONEY_H

#include "callgate/store_calls.h"

#define CREDITS_MAX_MC INT64_C(100000000000000000)      /* a million million; of one booking */
#define REFERENCE_MAX  200                              /* bytes */
#define NOTE_MAX       500

enum ledger_kind { LEDGER_TOP_UP = 1, LEDGER_CALL, LEDGER_CORRECTION };

/* ── for the operator ───────────────────────────────────────────────────────────── */

struct credit_order {
	const char      *org;           /* its name                                           */
	const char      *account;       /* by name, or                                        */
	const char      *project;       /* the one this project draws on; both NULL: the
	                                 * organization's default                             */
	enum ledger_kind kind;          /* a top-up or a correction                           */
	int64_t          amount_mc;     /* not 0; a correction may be negative                */
	const char      *reference;     /* NULL, or booked once in the organization           */
	const char      *note;          /* or NULL                                            */
};
struct credit_receipt {
	bool    already;                /* the reference was booked before, with this amount  */
	char   *account;                /* owned                                              */
	int64_t balance_mc, held_mc;    /* after it                                           */
};
/* ERR_NOT_FOUND: there is no such organization, account or project. ERR_INVALID: the
 * reference was booked before, otherwise. After ERR_UNCERTAIN it may be booked: with a
 * reference it is safe to do it again. */
enum err store_credits_book(struct store *s, const struct credit_order *order, struct credit_receipt *out,
                            struct errinfo *e) MUST_USE;

struct account_row {
	char   *name;                   /* owned */
	bool    is_default;
	int     projects;               /* that draw on it */
	int64_t balance_mc, held_mc;
};
/* An organization's accounts by name. ERR_NOT_FOUND: there is no such organization. */
enum err store_accounts_list(struct store *s, const char *org, struct account_row **out, size_t *n,
                             struct errinfo *e) MUST_USE;
void     account_rows_free(struct account_row *rows, size_t n);

/* ── for a project's members ────────────────────────────────────────────────────── */

struct project_credits {
	enum read_outcome outcome;      /* READ_NOT_FOUND also where the user is no member    */
	char             *account;      /* owned, where found                                 */
	int64_t           balance_mc, held_mc;
};
enum err store_project_credits(struct store *s, const struct caller *caller, const char *project,
                               struct project_credits *out, struct errinfo *e) MUST_USE;

struct ledger_entry {
	struct id        id;            /* random */
	enum ledger_kind kind;
	int64_t          amount_mc;     /* a call's is negative                               */
	bool             has_call;      /* the call it is for is one that the caller may see  */
	struct id        call_id;
	char            *reference, *note;      /* owned, or NULL */
	int64_t          at_us;         /* UTC, µs                                            */
};
void ledger_free(struct ledger_entry *entries, size_t n);

/* Where a look at the ledger goes on: behind this entry. All zero: before the newest. */
struct ledger_place {
	int64_t   at_us;
	struct id id;
};

/* The ledger of the account that the project draws on, newest first, at most `limit`
 * entries. Other projects may draw on it too: theirs are there, without their calls. */
enum err store_ledger_page(struct store *s, const struct caller *caller, const char *project,
                           const struct ledger_place *after, size_t limit, struct ledger_entry **out, size_t *n,
                           bool *more, enum read_outcome *outcome, struct errinfo *e) MUST_USE;

#endif
