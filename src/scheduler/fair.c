/* Weighted deficit round robin. One unit is one call, an organization's quantum is its
 * weight, so a newcomer waits one round at most: the sum of the weights of those before
 * it. Who cannot go now (pace, caps) is set aside for the rest of the plan, so that a plan
 * costs the calls it takes plus one look at everybody who waits. */
#include "fair.h"

#include <assert.h>
#include <limits.h>

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* A lane's share within its organization: the project's weight, and high before low
 * priority in a proportion, never absolutely, so that nothing starves. Who has waited long
 * has the share of a higher priority: a flood above cannot keep the rest at a trickle. */
static int lane_weight(const struct tenants *t, const struct lane *lane, int64_t now_us)
{
	static const int by_prio[] = { 16, 4, 1 };
	int prio = lane->place.key.prio > 2 ? 2 : lane->place.key.prio;
	int64_t raised = t->ageing_us > 0 && lane->since_us < now_us ? (now_us - lane->since_us) / t->ageing_us : 0;

	prio = raised >= prio ? 0 : raised > 0 ? prio - (int)raised : prio;
	return by_prio[prio] * (lane->project->limits.weight > 0 ? lane->project->limits.weight : 1);
}

static int node_room(struct node *n, int64_t now_us, struct plan *out)
{
	int room = INT_MAX;

	if (n->limits.max_concurrent >= 0)
		room = n->limits.max_concurrent - n->mine - n->others - n->planned;
	if (room <= 0) {
		out->capped = true;
		return 0;
	}
	room = least(room, pace_room(&n->pace, now_us));
	if (room == 0 && n->pace.cps_milli > 0) {
		int64_t ready = pace_ready_us(&n->pace, now_us);

		if (ready < out->ready_us)
			out->ready_us = ready;
	}
	return room;
}

/* While its provider is not there: nobody, and then one. */
static int trunk_room(const struct node *trunk, int64_t now_us, struct plan *out)
{
	if (!trunk->rest_ms)
		return INT_MAX;
	if (now_us >= trunk->rests_until)
		return trunk->planned ? 0 : 1;
	if (trunk->rests_until < out->ready_us)
		out->ready_us = trunk->rests_until;
	return 0;
}

static int lane_room(struct tenants *t, struct lane *lane, int64_t now_us, struct plan *out)
{
	struct node *nodes[] = { &lane->org->node, lane->project, lane->trunk };
	int room = INT_MAX;

	for (int i = 0; i < 3; i++) {
		/* Somebody new: worth reading the limits now, but once only. */
		if (!nodes[i]->known && !nodes[i]->missed)
			t->unknown = nodes[i]->missed = true;
		if (!nodes[i]->enabled)
			return 0;
	}
	room = trunk_room(lane->trunk, now_us, out);
	for (int i = 0; i < 3 && room > 0; i++)
		room = least(room, node_room(nodes[i], now_us, out));
	return room;
}

static void reserve(struct lane *lane, int n)
{
	struct node *nodes[] = { &lane->org->node, lane->project, lane->trunk };

	for (int i = 0; i < 3; i++) {
		nodes[i]->planned += n;
		pace_reserve(&nodes[i]->pace, n);
	}
}

static void settle(struct lane *lane, int asked, int got)
{
	struct node *nodes[] = { &lane->org->node, lane->project, lane->trunk };

	for (int i = 0; i < 3; i++) {
		assert(nodes[i]->planned >= asked);
		nodes[i]->planned -= asked;
		pace_release(&nodes[i]->pace, asked - got);
	}
}

static void take(struct plan *out, struct lane *lane, int n)
{
	if (lane->want < 0) {
		lane->want = (int)out->n;
		out->lanes[out->n] = lane;
		out->got[out->n] = 0;
		out->want[out->n] = (struct claim_want){ .lane = lane->place.key, .low = lane->low };
		out->n++;
	}
	out->want[lane->want].take += n;
	out->total += n;
	reserve(lane, n);
	lane->deficit -= n;
	lane->org->deficit -= n;
}

/* One visit: the organization takes up to its deficit, lane by lane. Lanes that cannot go
 * are moved to `aside`. */
static void serve(struct tenants *t, struct org *org, int budget, int64_t now_us,
                  struct lane_list *aside, struct plan *out)
{
	struct lane *lane;

	if (org->deficit <= 0)
		org->deficit += org->node.limits.weight > 0 ? org->node.limits.weight : 1;
	while (org->deficit > 0 && out->total < budget && (lane = TAILQ_FIRST(&org->waiting))) {
		int n = lane_room(t, lane, now_us, out);

		if (n == 0) {
			/* Its turn is not over: what is left of it (never more than a quantum)
			 * is kept. Began it anew each time, lanes that share a narrow trunk would
			 * never see it pass on from the first of them. */
			TAILQ_REMOVE(&org->waiting, lane, link);
			TAILQ_INSERT_TAIL(aside, lane, link);
			continue;
		}
		if (lane->deficit <= 0)
			lane->deficit += lane_weight(t, lane, now_us);
		n = least(least(n, lane->deficit), least(org->deficit, budget - out->total));
		take(out, lane, n);
		if (lane->deficit <= 0) {
			TAILQ_REMOVE(&org->waiting, lane, link);
			TAILQ_INSERT_TAIL(&org->waiting, lane, link);
		}
	}
}

/* Those set aside come back behind those still waiting. */
static void bring_back(struct tenants *t, struct org_list *orgs, struct lane_list *lanes)
{
	struct lane *lane;

	while ((lane = TAILQ_FIRST(lanes))) {
		TAILQ_REMOVE(lanes, lane, link);
		TAILQ_INSERT_TAIL(&lane->org->waiting, lane, link);
	}
	TAILQ_CONCAT(&t->ring, orgs, link);
}

void fair_plan(struct tenants *t, int budget, int64_t now_us, struct plan *out)
{
	struct org_list orgs = TAILQ_HEAD_INITIALIZER(orgs);
	struct lane_list lanes = TAILQ_HEAD_INITIALIZER(lanes);
	struct org *org;

	assert(budget <= DISPATCH_BATCH_MAX);
	out->n = 0;
	out->total = 0;
	out->ready_us = INT64_MAX;
	out->capped = false;
	while (out->total < budget && (org = TAILQ_FIRST(&t->ring))) {
		serve(t, org, budget, now_us, &lanes, out);
		if (org->deficit > 0 && !TAILQ_EMPTY(&org->waiting))
			break;          /* the budget ended within its turn, which goes on next time */
		TAILQ_REMOVE(&t->ring, org, link);
		if (TAILQ_EMPTY(&org->waiting)) {
			org->deficit = 0;       /* who cannot go saves nothing up */
			TAILQ_INSERT_TAIL(&orgs, org, link);
		} else {
			TAILQ_INSERT_TAIL(&t->ring, org, link);
		}
	}
	bring_back(t, &orgs, &lanes);
}

bool fair_got(struct tenants *t, struct plan *p, const struct lane_key *key, int64_t now_us)
{
	struct lane *lane = tenants_lane(t, key, now_us);

	if (lane->want < 0 || p->got[lane->want] >= p->want[lane->want].take)
		return false;
	p->got[lane->want]++;
	return true;
}

void fair_waited(struct tenants *t, const struct lane_key *key, int64_t since_us, int64_t now_us)
{
	tenants_lane(t, key, now_us)->since_us = since_us;
}

void fair_settle(struct tenants *t, struct plan *p)
{
	static const struct id none;

	for (size_t i = 0; i < p->n; i++) {
		struct lane *lane = p->lanes[i];

		lane->want = -1;
		settle(lane, p->want[i].take, p->got[i]);
		if (p->got[i] == p->want[i].take)
			continue;
		if (id_cmp(&p->want[i].low, &none) != 0)
			lane->low = none;       /* empty above the bound; look below it once */
		else
			lane_drained(t, lane);
	}
	p->n = 0;
}

void fair_cancel(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		p->lanes[i]->want = -1;
		settle(p->lanes[i], p->want[i].take, 0);
	}
	p->n = 0;
}
