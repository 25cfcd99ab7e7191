/* What all steps of the model test share: the book, the gateways, chance, and what is said when
 * something is not as it should be. */
#ifndef TESTS_STORE_MODEL_RUN_H
#define TESTS_STORE_MODEL_RUN_H

#include "book.h"
#include "callgate/mem.h"
#include "callgate/store.h"
#include "callgate/store_dispatch.h"

#define GATES    3
#define INTAKES  2
#define BATCH_MAX 4             /* requests at a time */
#define TTL_MS   3600000
#define DAY_MS   86400000
#define START_MC 60000          /* of each account; small enough to run out */

enum gate_is { LIVES, LAPSED, BURIED };

struct gate {
	struct store *s;
	int64_t       id;
	enum gate_is  is;
};

extern struct book book;
extern struct gate gates[GATES];
extern struct store *intakes[INTAKES];
extern struct errinfo e;
extern uint64_t seed, dice;
extern int steps, step, requests;
extern const struct admit_rules run_rules;

/* SQL of the test itself; the first column of the first row as a number (0 if none). */
int64_t run_sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

int  pick(int n);               /* 0 … n - 1 */
bool chance(int percent);

/* One line about this step, kept for the case that something is wrong. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void wrong(const char *what);
const char *name_of(const struct book_call *c);

#define MUST(condition) do { if (!(condition)) wrong("not as expected: " #condition); } while (0)
#define DO(call) do { if (call) wrong(#call); } while (0)

bool any(const struct book_call *c);
bool in_flight(const struct book_call *c);
bool is_claimed(const struct book_call *c);
bool is_dialed(const struct book_call *c);
bool is_waiting(const struct book_call *c);
bool has_a_last_moment(const struct book_call *c);

/* One of the calls for which it holds, or NULL. */
struct book_call *choose(bool (*holds)(const struct book_call *));
int               count(bool (*holds)(const struct book_call *));
struct gate      *choose_gate(void);

struct call_ref ref_of(const struct book_call *c);
const char     *text_of(const struct book_call *c);     /* its id, until the next call */

int64_t make_time(void);
void    stop_the_clock(void);

#define WANTS_MAX 64
size_t make_wants(struct claim_want *want);
int    project_of(const struct lane_key *lane);
void   check_claimed(const struct inflight *f, const struct book_call *c);

#endif
