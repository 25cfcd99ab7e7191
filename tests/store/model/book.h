/* The reference of the model test: what must be true of every call, account, lock and key
 * after each step, worked out from what callgate promises and not from its statements. It
 * knows no database and no clock: that a moment has passed is a step of its own.
 *
 * A step that the gateway was asked for is told to the book too, and its answers compared;
 * now and then everything the book knows is compared with everything that is stored
 * (compare.h). */
#ifndef TESTS_STORE_MODEL_BOOK_H
#define TESTS_STORE_MODEL_BOOK_H

#include "callgate/call.h"
#include "callgate/id.h"
#include "callgate/store_calls.h"
#include "callgate/store_life.h"

/* ── the world, as seed.h puts it into the database ───────────────────────────── */

struct org_key {
	int         org;
	int         user;
	bool        test;
	bool        known;
	const char *text;
};

struct org_project {
	int         org, number;        /* number within the organization */
	const char *id;
	int         account;            /* index into the book's accounts */
	int64_t     rate_mc;
	int         hold_s;             /* -1: the maximum duration       */
	int         max_s;
	int         increment_s, minimum_s;
	unsigned    members;            /* bit per user                   */
};

struct org_number {
	int         org;
	const char *e164;
	int         trunk;              /* 0: none                        */
	bool        active;
	unsigned    users;              /* whose pools it is in           */
};

struct org_rate {
	int         org;
	const char *prefix;
	int64_t     rate_mc;
	int         increment_s, minimum_s;
};

extern const struct org_key     book_keys[];
extern const struct org_project book_projects[];
extern const struct org_number  book_numbers[];
extern const struct org_rate    book_rates[];
extern const char *const        book_dests[];
extern const int book_n_keys, book_n_projects, book_n_numbers, book_n_rates, book_n_dests;

#define BOOK_ACCOUNTS 3         /* of organization 1: 1 and 2; of organization 2: 1 */
#define BOOK_DESTS    12
#define BOOK_SCOPES   3         /* everybody; the test keys of either organization  */
#define BOOK_EVENTS   48
#define BOOK_PAST     (-1)      /* scheduled for some moment that has passed        */

int book_account_org(int account);
int book_account_number(int account);

/* ── what is known ────────────────────────────────────────────────────────────── */

enum book_place { IN_NONE, IN_QUEUE, IN_SCHEDULE, IN_FLIGHT };

struct book_event {
	int seq, kind;
};

struct book_call {
	struct id       id;
	int             org, project, trunk, account, user, dest, scope, prio;
	bool            test;
	int64_t         rate_mc, hold_mc;
	int             increment_s, minimum_s, max_s;
	enum book_place place;
	int             attempt;        /* that it waits for, or that is under way    */
	int             attempts;       /* as the record says                         */
	int             phase;          /* in flight: 0 claimed … 3 the provider has it */
	int64_t         gateway;        /* in flight: whose                           */
	enum call_state state;
	enum call_reason reason;
	bool            answered;       /* this attempt                               */
	bool            rang;
	bool            due;            /* scheduled: its time has come               */
	bool            locks;          /* has its destination                        */
	bool            in_line;        /* scheduled: was due, and waits for it       */
	int64_t         since;          /* … since then                               */
	bool            timed, late;    /* has a last moment; which has passed        */
	bool            own_bound;      /* … that does not follow from scheduled_ms   */
	int64_t         scheduled_ms;   /* 0: at once                                 */
	bool            old;            /* has waited as long as any call may         */
	bool            cancel;         /* its end was asked for in flight            */
	enum call_reason last;          /* what came of the last attempt that was dialed; or none */
	int             edits;
	int             text;           /* which variables it has now                 */
	int64_t         charged_mc;
	int             billed_s;
	struct book_event events[BOOK_EVENTS];
	int             n_events;
};

struct book_idem {
	int                org, user, key, print;
	bool               test, aged;
	enum admit_outcome outcome;
	struct id          call_id;
	char               request_id[24];
};

struct book {
	int64_t           balance[BOOK_ACCOUNTS], held[BOOK_ACCOUNTS];
	int               lock[BOOK_DESTS][BOOK_SCOPES];        /* 1 + index of the call */
	struct book_call *calls;
	int               n_calls, max_calls;
	struct book_idem *idem;
	int               n_idem, max_idem;
};

void book_init(struct book *b, int max_calls);
void book_done(struct book *b);

/* ── what may be asked ────────────────────────────────────────────────────────── */

struct book_ask {
	int       key, project, number, dest, prio;
	int       ring_s, max_s;        /* 0: the project's                 */
	int64_t     scheduled_ms;       /* 0: at once                       */
	bool        expires, old;
	bool      body_ok;
	int       idem;                 /* 0: no key                        */
	int       print;
	int       text;
	char      request_id[24];
	struct id id;
};

struct book_edit {
	int     text;                   /* 0: as it is                      */
	int     prio;                   /* -1: as it is                     */
	bool    set_scheduled;
	int64_t scheduled_ms;           /* 0: at once                       */
	bool    past_bound;             /* that is past a bound of its own  */
	int     edits;                  /* -1: however often it was changed */
};

struct book_answer {
	enum admit_outcome outcome;
	bool               replayed;
	struct id          id;          /* of the call, when accepted       */
	char               request_id[24];
};

/* Requests that come at the same moment may be served in any order: true when there is one
 * that explains all answers; the book is then as after it. */
bool book_admit(struct book *b, const struct book_ask *asks, const struct book_answer *answers, int n);
/* What one request would be answered now; nothing is changed. */
void book_would_admit(struct book *b, const struct book_ask *ask, struct book_answer *out, int64_t *hold_mc);

struct book_call *book_find(struct book *b, const struct id *id);

/* The oldest `take` calls of a lane that may be claimed come back as indexes. */
int  book_claim(struct book *b, int64_t gateway, int project, int trunk, int prio, int take, int *out);
void book_unclaim(struct book_call *c);
bool book_may_dial(const struct book_call *c, int64_t gateway, int attempt);
void book_intent(struct book_call *c);
void book_progress(struct book_call *c, bool ringing, bool answered, bool uncertain);
/* `talk_ms` as the database's clock has it. */
void book_end(struct book *b, struct book_call *c, enum call_reason reason, int64_t talk_ms);
void book_retry(struct book_call *c, enum call_reason reason, bool same, bool undialed, bool due);
/* What a client may do with it. */
enum cancel_outcome book_cancel(struct book *b, struct book_call *c, const struct org_key *k);
enum edit_outcome   book_edit(struct book *b, struct book_call *c, const struct org_key *k, const struct book_edit *x);
/* Forgets keys that are old enough; says how many. */
int  book_prune(struct book *b);

/* What is due, oldest first: it goes to the queue, or into the line for its destination; says how many go. */
int  book_promote(struct book *b);
/* Whether somebody was in line for the call's destination before `since` (INT64_MAX: at all). */
bool book_line(const struct book *b, const struct book_call *c, int64_t since);
void book_adopt(struct book_call *c, int64_t gateway);

/* Seconds that are charged, and what they cost: rounded up once each. */
int     book_billable(int64_t seconds, int increment_s, int minimum_s);
int64_t book_cost(int64_t rate_mc, int seconds);

bool book_is_live(const struct book_call *c);
void book_event(struct book_call *c, int seq, int kind);

#endif
