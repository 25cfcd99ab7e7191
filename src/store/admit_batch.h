/* Inside `store`: the statement that admits, and what is asked about its calls afterwards. */
#ifndef STORE_ADMIT_BATCH_H
#define STORE_ADMIT_BATCH_H

#include "callgate/store_calls.h"
#include "pg.h"

/* What the statement answers beside outcomes: the item is for the next round.
 *
 * AGAIN: it was behind others on an account that could not cover them all at once. There,
 * busy destinations are looked at before the money is counted, so that what will be refused
 * as busy does not keep others from it (a probe that the first round spares itself).
 * KEY_AGAIN: another item, earlier, here or in a batch that committed meanwhile, has its
 * Idempotency-Key; the next round sees what became of that one. */
#define ADMIT_AGAIN     (-1)
#define ADMIT_KEY_PRIOR (-2)    /* the key was used before: stays inside admit_batch.c */
#define ADMIT_KEY_AGAIN (-3)

/* What holds for a batch and everything it is cut into. */
struct round {
	struct store             *store;
	struct errinfo           *e;
	const struct admit_rules *rules;
	bool                      probe;        /* from the second round on */
};

/* One statement, one commit. */
enum err admit_run(const struct round *rd, struct admission **items, size_t n, int *outcomes) MUST_USE;
/* Writes ADMIT_ACCEPTED where a call of the item's id is stored, and nothing elsewhere. */
enum err admit_look(struct store *s, struct admission **items, size_t n, int *outcomes, struct errinfo *e) MUST_USE;

/* Whether such a refusal is kept with the item's Idempotency-Key. */
static inline bool admit_kept(const struct admission *a, int outcome)
{
	return a->idem_key && (outcome == ADMIT_NUMBER_UNKNOWN || outcome == ADMIT_NO_TRUNK || outcome == ADMIT_NO_CREDITS ||
	                       outcome == ADMIT_BUSY);
}

/* Of items whose outcome is ADMIT_KEY_PRIOR: what the first request with the key came to. */
enum err idempotency_look(struct store *s, struct admission **items, size_t n, int *outcomes, struct errinfo *e) MUST_USE;

#endif
