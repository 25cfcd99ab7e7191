/* Moments pass, and gateways come and go. */
#include "steps.h"

#include <stdlib.h>

#include "run.h"

/* ── time passes ──────────────────────────────────────────────────────────────── */

bool step_comes_due(void)
{
	struct book_call *c = choose(is_waiting);

	if (!c)
		return false;
	run_sql("update call_schedule set run_at = clock_timestamp() - interval '1 s' where org_id = %d and call_id = '%s'", c->org,
	    text_of(c));
	c->due = true;
	note("%s comes due", name_of(c));
	return true;
}

/* The order in which calls came due is the database's: it has the clock. */
static void read_when_due(void)
{
	int i;

	for (i = 0; i < book.n_calls; i++) {
		struct book_call *c = &book.calls[i];

		if (c->place == IN_SCHEDULE && c->due && !c->in_line)
			c->since = run_sql("select (extract(epoch from run_at) * 1000000)::bigint from call_schedule"
			                   " where org_id = %d and call_id = '%s'", c->org, text_of(c));
	}
}

bool step_promote(void)
{
	struct gate *g = choose_gate();
	struct lane_key *lanes = NULL;
	size_t n;
	int moved;

	if (g->is == BURIED)
		return false;
	read_when_due();
	DO(store_promote(g->s, g->id, UINT64_MAX, 100, &lanes, &n, &e));
	free(lanes);
	stop_the_clock();
	moved = g->is == LIVES ? book_promote(&book) : 0;
	note("promote %d by %lld", moved, (long long)g->id);
	return true;
}

static bool is_expired_by_age(const struct book_call *c)
{
	return c->place == IN_QUEUE && c->old && !c->timed;
}

bool step_expire_by_age(void)
{
	struct gate *g = choose_gate();
	struct claim_want want[64];
	struct lane_key lanes[64];
	size_t n = make_wants(want), i, expired;
	int k, expected = 0;

	if (g->is == BURIED || n == 0)
		return false;
	for (i = 0; i < n; i++)
		lanes[i] = want[i].lane;
	DO(store_expire_queued(g->s, g->id, lanes, n, TTL_MS, 100, &expired, &e));
	for (k = 0; k < book.n_calls && g->is == LIVES; k++) {
		struct book_call *c = &book.calls[k];

		for (i = 0; i < n && is_expired_by_age(c); i++) {
			if (project_of(&lanes[i]) != c->project || lanes[i].trunk_id != c->trunk || lanes[i].prio != c->prio)
				continue;
			book_end(&book, c, REASON_QUEUE_EXPIRED, 0);
			expected++;
		}
	}
	note("expire by age: %d by %lld", expected, (long long)g->id);
	MUST((int)expired == expected);
	return true;
}

bool step_last_moment(void)
{
	struct book_call *c = choose(has_a_last_moment);

	if (!c)
		return false;
	run_sql("update calls set expires_at = clock_timestamp() - interval '1 s' where org_id = %d and call_id = '%s';"
	    "update call_expiry set at = clock_timestamp() - interval '1 s' where org_id = %d and call_id = '%s'", c->org, text_of(c),
	    c->org, text_of(c));
	c->late = c->own_bound = true;
	note("the last moment of %s passes", name_of(c));
	return true;
}

/* What is in flight is looked at again some seconds later: here, at the next step of this kind. */
bool step_expire_due(void)
{
	struct gate *g = choose_gate();
	size_t expired, seen;
	int i, expected = 0;

	if (g->is == BURIED)
		return false;
	run_sql("update call_expiry set at = clock_timestamp() - interval '1 s' where at < clock_timestamp() + interval '1 hour'");
	DO(store_expire_due(g->s, g->id, UINT64_MAX, 1000, &expired, &seen, &e));
	for (i = 0; i < book.n_calls && g->is == LIVES; i++) {
		struct book_call *c = &book.calls[i];

		if (!c->late || (c->place != IN_QUEUE && c->place != IN_SCHEDULE))
			continue;
		book_end(&book, c, REASON_QUEUE_EXPIRED, 0);
		expected++;
	}
	note("expire what is due: %d by %lld", expected, (long long)g->id);
	MUST((int)expired == expected);
	return true;
}

/* ── crashes ──────────────────────────────────────────────────────────────────── */

static int living(void)
{
	int i, n = 0;

	for (i = 0; i < GATES; i++)
		n += gates[i].is == LIVES;
	return n;
}

bool step_crash(void)
{
	struct gate *g = choose_gate();

	if (g->is != LIVES || living() == 1)
		return false;
	run_sql("update gateways set expires_at = clock_timestamp() - interval '1 s' where gateway_id = %lld", (long long)g->id);
	g->is = LAPSED;
	note("the lease of %lld runs out", (long long)g->id);
	return true;
}

bool step_bury(void)
{
	struct gate *g = choose_gate();
	uint64_t owned;
	int i, live;

	if (g->is != LIVES)
		return false;
	DO(store_shards_balance(g->s, g->id, &owned, &live, &e));
	for (i = 0; i < GATES; i++)
		if (gates[i].is == LAPSED)
			gates[i].is = BURIED;
	note("%lld buries the dead", (long long)g->id);
	MUST(live == living());
	return true;
}

static void open_gate(struct gate *g)
{
	DO(store_gateway_open(g->s, "model", "test", DAY_MS, &g->id, &e));
	g->is = LIVES;
}

bool step_come_back(void)
{
	struct gate *g = choose_gate();

	if (g->is != BURIED)
		return false;
	open_gate(g);
	note("a gateway comes back as %lld", (long long)g->id);
	return true;
}

static bool is_orphan(const struct book_call *c)
{
	int i;

	for (i = 0; i < GATES; i++)
		if (gates[i].id == c->gateway && gates[i].is != BURIED)
			return false;
	return c->place == IN_FLIGHT;
}

bool step_adopt(void)
{
	struct gate *g = choose_gate();
	struct inflight *out = NULL;
	struct lane_key *lanes = NULL;
	size_t n, n_lanes, kept = 0, back = 0;
	int i;

	if (g->is == BURIED)
		return false;
	DO(store_adopt(g->s, g->id, 500, &out, &n, &lanes, &n_lanes, &e));
	for (i = 0; i < book.n_calls && g->is == LIVES; i++) {
		if (!is_orphan(&book.calls[i]))
			continue;
		kept += book.calls[i].phase > 0;
		back += book.calls[i].phase == 0;
		book_adopt(&book.calls[i], g->id);
	}
	note("%lld adopts %zu, puts %zu back", (long long)g->id, kept, back);
	MUST(n == kept && n_lanes == back);
	for (size_t k = 0; k < n; k++)
		check_claimed(&out[k], book_find(&book, &out[k].call_id));
	inflight_free_all(out, n);
	free(lanes);
	return true;
}
