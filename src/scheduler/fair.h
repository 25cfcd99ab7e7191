/* Whose turn it is: weighted deficit round robin, over organizations and then over an
 * organization's lanes, within what pace and concurrency allow. Pure.
 *
 * It answers with numbers to take, before anybody knows how many calls wait: a plan
 * reserves, the claim finds out, and the settlement gives back what was not there. A
 * tenant with five million calls in the queue costs the same as one with five. */
#ifndef SCHEDULER_FAIR_H
#define SCHEDULER_FAIR_H

#include "tenants.h"

struct plan {
	size_t            n;
	int               total;
	struct claim_want want[DISPATCH_BATCH_MAX];
	struct lane      *lanes[DISPATCH_BATCH_MAX];
	int               got[DISPATCH_BATCH_MAX];
	int64_t           ready_us;     /* when a bucket that said no will say yes */
	bool              capped;       /* somebody waits for a free slot          */
};

/* Plans at most `budget` (<= DISPATCH_BATCH_MAX) calls. */
void fair_plan(struct tenants *t, int budget, int64_t now_us, struct plan *out);
/* One call of that lane was claimed. False: the plan did not ask for it. */
bool fair_got(struct tenants *t, struct plan *p, const struct lane_key *lane, int64_t now_us);
/* That call had waited since then. A lane is served oldest first, so those behind it have not
 * waited longer, nor much shorter. */
void fair_waited(struct tenants *t, const struct lane_key *lane, int64_t since_us, int64_t now_us);
/* The claim is done. Reservations of calls that came stay with the caller. A lane that
 * gave less than was asked for is empty. */
void fair_settle(struct tenants *t, struct plan *p);
/* The claim failed: nothing is known of any lane. */
void fair_cancel(struct plan *p);

#endif
