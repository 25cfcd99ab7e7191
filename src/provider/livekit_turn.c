/* Whose look is next. Whoever is due takes a place in the project's queue, and the queue is
 * served in its order: with more to look at than looks are allowed, all of them are seen later,
 * and none is passed over.
 *
 * Two things bound it: looks a second, and how many may be under way, so that a LiveKit that
 * takes its time has connections left for rooms. A LiveKit that has had enough of us (429) is
 * asked half as often, and again a little more often with each answer. */
#include "callgate/clock.h"
#include "livekit_attempt.h"

#define UNDER_WAY_MAX 32        /* half of the connections to one host */
#define TURN_MS       20
#define RATE_MIN      5.0
#define RATE_STEP     0.25      /* looks a second more for each that was answered */

/* After a rest as many as are due in a tenth of a second, not a second's worth at once. */
static bool may_look(struct project *p, int64_t now)
{
	double spare = p->rate / 10 > 1 ? p->rate / 10 : 1;
	double grown = p->polls + (double)(now - p->polls_at) * p->rate / 1000;

	p->polls = p->polls_at == 0 || grown > spare ? spare : grown;
	p->polls_at = now;
	if (p->polls < 1)
		return false;
	p->polls -= 1;
	return true;
}

static void serve(struct livekit *lk, struct project *p);

static void turn(void *arg)
{
	struct project *p = arg;

	p->turning = false;
	serve(p->lk, p);
}

static void serve(struct livekit *lk, struct project *p)
{
	struct attempt *a;

	if (p->rate <= 0)
		p->rate = lk->pace.polls_per_s;
	while ((a = TAILQ_FIRST(&p->turns)) && p->looks < UNDER_WAY_MAX && may_look(p, mono_ms())) {
		attempt_lose_turn(a);
		attempt_look(a);
	}
	if (TAILQ_EMPTY(&p->turns) || p->looks >= UNDER_WAY_MAX || p->turning)
		return;
	p->lk = lk;
	p->turning = true;
	net_after(lk->net, TURN_MS, turn, p);
}

void attempt_take_turn(struct attempt *a)
{
	if (!a->queued)
		TAILQ_INSERT_TAIL(&a->project->turns, a, turn);
	a->queued = true;
	serve(a->lk, a->project);
}

void attempt_lose_turn(struct attempt *a)
{
	if (a->queued)
		TAILQ_REMOVE(&a->project->turns, a, turn);
	a->queued = false;
}

void project_looked(struct livekit *lk, struct project *p, const struct net_answer *answer)
{
	double most = lk->pace.polls_per_s;

	p->looks--;
	if (answer->err == OK && answer->status == 429)
		p->rate = p->rate / 2 > RATE_MIN ? p->rate / 2 : RATE_MIN;
	else if (answer->err == OK)
		p->rate = p->rate + RATE_STEP < most ? p->rate + RATE_STEP : most;
	serve(lk, p);
}
