/* Out of the queue: finding lanes, claiming, committing the intent to dial, and back. */
#include "flight.h"

#include <stdlib.h>
#include <string.h>

/* A skip scan over the distinct heads of call_queue_pkey: one probe per lane, whatever
 * lies behind it. A plain DISTINCT would read the whole queue. */
static const Oid lanes_types[] = { OID_INT8 };
static const struct pg_statement lanes_statement = PG_STATEMENT("lanes_find", lanes_types,
	"with recursive lane as ("
	"  (select org_id, project_id, trunk_id, prio from call_queue"
	"   order by org_id, project_id, trunk_id, prio limit 1)"
	"  union all"
	"  select n.* from lane l cross join lateral ("
	"    select q.org_id, q.project_id, q.trunk_id, q.prio from call_queue q"
	"    where (q.org_id, q.project_id, q.trunk_id, q.prio) > (l.org_id, l.project_id, l.trunk_id, l.prio)"
	"    order by q.org_id, q.project_id, q.trunk_id, q.prio limit 1) n)"
	" select * from lane where ($1 >> (org_id % 64)::int) & 1 = 1");

enum err store_lanes_find(struct store *s, uint64_t shards, struct lane_key **out, size_t *n, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int8(&a, (int64_t)shards);
	err = pg_run(s, &lanes_statement, &a, &r, e);
	if (!err)
		*out = read_lanes(r, n);
	return err;
}

/* call_schedule_due, a shard at a time; the rows leave by ctid. Those that have their
 * destination still to lock go only where they get it; the locks are taken in admit.c's
 * order. A lock that is the call's own already was taken for a row that moved before it
 * could leave.
 *
 * Who does not get it stands in line from then on (call_schedule_line): admission leaves a
 * destination to whoever waits for it, and here it goes to the one who has waited longest.
 * That one looks each second, those behind it need not look so often. */
static const Oid promote_types[] = { OID_INT8, OID_INT8, OID_INT4 };
static const struct pg_statement promote_statement = PG_STATEMENT("promote", promote_types,
	"with " FENCE_SQL ","
	" due as materialized ("
	"  select d.* from fence cross join generate_series(0, 63) sh cross join lateral ("
	"    select x.ctid as c, x.org_id, x.call_id, x.locked, coalesce(x.since, x.run_at) as since from call_schedule x"
	"    where x.shard = sh and x.run_at <= now() order by x.run_at limit $3 for update skip locked) d"
	"  where ($2 >> sh) & 1 = 1),"
	" dest as materialized ("
	"  select k.to_e164, k.lock_scope, d.org_id, d.call_id, d.since,"
	"         (select true from call_schedule w where w.dest = k.to_e164 and w.scope = k.lock_scope"
	"          and (w.since, w.call_id) < (d.since, d.call_id) limit 1) is null as first"
	"  from due d join calls k on" PROBE("k.org_id", "d.org_id", "k.call_id", "d.call_id") "where not d.locked),"
	" held as (insert into destination_locks (dest, scope, org_id, call_id)"
	"  select to_e164, lock_scope, org_id, call_id from dest where first order by to_e164, lock_scope, since, call_id"
	"  on conflict do nothing returning call_id),"
	" free as materialized (select call_id from held union all"
	"  select d.call_id from dest d join destination_locks l on" PROBE("l.dest", "d.to_e164", "l.scope", "d.lock_scope")
	"    and l.call_id = d.call_id),"
	" late as (update call_schedule x set run_at = now() + case when d.first then interval '1 s' else interval '5 s' end,"
	"     dest = d.to_e164, scope = d.lock_scope, since = d.since"
	"   from dest d where" PROBE("x.org_id", "d.org_id", "x.call_id", "d.call_id")
	"     and d.call_id <> all(array(select call_id from free))),"
	" gone as (delete from call_schedule where ctid = any(array("
	"   select c from due where locked or call_id = any(array(select call_id from free))))"
	"          returning org_id, project_id, trunk_id, prio, call_id, attempt, timed),"
	" back as (insert into call_queue (org_id, project_id, trunk_id, prio, call_id, attempt, timed) select * from gone"
	"          on conflict do nothing)"
	" select distinct org_id, project_id, trunk_id, prio from gone");

enum err store_promote(struct store *s, int64_t gateway_id, uint64_t shards, int max, struct lane_key **out, size_t *n,
                       struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int8(&a, gateway_id);
	pg_arg_int8(&a, (int64_t)shards);
	pg_arg_int4(&a, max);
	err = pg_run(s, &promote_statement, &a, &r, e);
	if (!err)
		*out = read_lanes(r, n);
	return err;
}

/* ── claim ────────────────────────────────────────────────────────────────────── */

/* Pops the head of each wanted lane by call_queue_pkey and deletes by ctid: a join by key
 * once flipped to a scan of the whole queue, ctid = any(array(…)) cannot. Then one probe
 * of calls, projects and trunks per call. The project's agent is read here: it is the one
 * configured at dispatch that handles the call; so is the wait for it, by which the bound
 * is later. */
static const Oid claim_types[] = {
	OID_INT8, OID_INT8_ARRAY, OID_INT4_ARRAY, OID_INT4_ARRAY, OID_INT2_ARRAY, OID_UUID_ARRAY, OID_INT4_ARRAY, OID_INT4,
};
static const struct pg_statement claim_statement = PG_STATEMENT("claim", claim_types,
	"with " FENCE_SQL ","
	" picked as materialized ("
	"  select p.c from unnest($2::bigint[], $3::int[], $4::int[], $5::smallint[], $6::uuid[], $7::int[])"
	"         w(o, pj, tr, pr, low, take)"
	"  cross join fence cross join lateral ("
	"    select q.ctid as c from call_queue q"
	"    where q.org_id = w.o and q.project_id = w.pj and q.trunk_id = w.tr and q.prio = w.pr and q.call_id > w.low"
	"    order by q.call_id limit w.take for update skip locked) p),"
	" gone as (delete from call_queue where ctid = any(array(select c from picked)) returning *),"
	" f as (insert into call_inflight (org_id, call_id, gateway_id, project_id, trunk_id, prio, attempt, agent, deadline_at, timed)"
	"       select g.org_id, g.call_id, $1, g.project_id, g.trunk_id, g.prio, g.attempt, p.agent,"
	"              clock_timestamp() + (p.wait_for_agent_s + c.ring_timeout_s + c.max_duration_s) * interval '1 s'"
	"              + $8 * interval '1 ms', g.timed"
	"       from gone g join calls c on" PROBE("c.org_id", "g.org_id", "c.call_id", "g.call_id")
	"       join projects p on" PROBE("p.org_id", "g.org_id", "p.project_id", "g.project_id")
	"       on conflict do nothing returning *)"
	" select " INFLIGHT_COLUMNS " from f" INFLIGHT_JOINS);

enum err store_claim(struct store *s, int64_t gateway_id, const struct claim_want *want, size_t n_want, int margin_ms,
                     struct inflight **out, size_t *n, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;
	size_t i;

	pg_arg_int8(&a, gateway_id);
	PG_COLUMN(&a, OID_INT8, n_want, pg_put_int8(&a, want[i].lane.org_id));
	PG_COLUMN(&a, OID_INT4, n_want, pg_put_int4(&a, want[i].lane.project_id));
	PG_COLUMN(&a, OID_INT4, n_want, pg_put_int4(&a, want[i].lane.trunk_id));
	PG_COLUMN(&a, OID_INT2, n_want, pg_put_int2(&a, want[i].lane.prio));
	PG_COLUMN(&a, OID_UUID, n_want, pg_put_id(&a, &want[i].low));
	PG_COLUMN(&a, OID_INT4, n_want, pg_put_int4(&a, want[i].take));
	pg_arg_int4(&a, margin_ms);
	err = pg_run(s, &claim_statement, &a, &r, e);
	if (!err)
		*out = read_inflights(r, n);
	return err;
}

/* ── intent, and back ─────────────────────────────────────────────────────────── */

/* call_inflight_pkey; phase, state and initiated_at are in no index, so this is HOT. The
 * "+ 0" keeps the planner from the index by gateway, which holds all that is in flight. */
static const Oid intent_types[] = { OID_INT8, OID_INT8_ARRAY, OID_UUID_ARRAY, OID_INT2_ARRAY, OID_TEXT_ARRAY };
static const struct pg_statement intent_statement = PG_STATEMENT("intent", intent_types,
	"with " FENCE_SQL ","
	" u as (update call_inflight f set phase = 1, state = 1, initiated_at = clock_timestamp(), provider_ref = x.ref"
	"       from unnest($2::bigint[], $3::uuid[], $4::smallint[], $5::text[]) x(o, c, a, ref), fence"
	"       where" PROBE("f.org_id", "x.o", "f.call_id", "x.c") "and f.attempt = x.a and f.gateway_id + 0 = $1"
	"         and f.phase = 0"
	"       returning f.org_id, f.call_id, f.attempt, f.initiated_at),"
	" e as (insert into call_events (org_id, call_id, seq, kind, at)"
	"       select org_id, call_id, attempt * 16 + 1, 1, initiated_at from u)"
	" select call_id from u");

static int cmp_index(const void *a, const void *b, void *calls)
{
	const struct call_ref *c = calls;

	return id_cmp(&c[*(const size_t *)a].call_id, &c[*(const size_t *)b].call_id);
}

/* Sets flag[i] where calls[i] is among the ids of column 0. */
static void mark(const PGresult *r, const struct call_ref *calls, size_t n, bool *flag)
{
	size_t order[DISPATCH_BATCH_MAX], lo, hi, mid, i;
	struct id id;
	int row, c;

	for (i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, n, sizeof *order, cmp_index, (void *)(uintptr_t)calls);
	for (row = 0; row < PQntuples(r); row++) {
		pg_get_id(r, row, 0, &id);
		for (lo = 0, hi = n; lo < hi; ) {
			mid = (lo + hi) / 2;
			c = id_cmp(&calls[order[mid]].call_id, &id);
			if (c == 0) {
				flag[order[mid]] = true;
				break;
			}
			if (c < 0)
				lo = mid + 1;
			else
				hi = mid;
		}
	}
}

enum err store_intent(struct store *s, int64_t gateway_id, const struct call_ref *calls, const char *const *refs,
                      size_t n, bool *may_dial, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;
	size_t i;

	memset(may_dial, 0, n * sizeof *may_dial);
	if (n > DISPATCH_BATCH_MAX)
		return err_set(e, ERR_INTERNAL, "a batch of %zu intents", n);
	pg_arg_int8(&a, gateway_id);
	put_refs(&a, calls, sizeof *calls, n);
	PG_COLUMN(&a, OID_TEXT, n, pg_put_text(&a, refs ? refs[i] : NULL));
	err = pg_run(s, &intent_statement, &a, &r, e);
	if (!err)
		mark(r, calls, n, may_dial);
	return err;
}

static const Oid unclaim_types[] = { OID_INT8, OID_INT8_ARRAY, OID_UUID_ARRAY, OID_INT2_ARRAY };
static const struct pg_statement unclaim_statement = PG_STATEMENT("unclaim", unclaim_types,
	"with gone as (delete from call_inflight f using unnest($2::bigint[], $3::uuid[], $4::smallint[]) x(o, c, a)"
	"              where" PROBE("f.org_id", "x.o", "f.call_id", "x.c") "and f.attempt = x.a"
	"                and f.gateway_id + 0 = $1 and f.phase = 0"
	"              returning f.org_id, f.project_id, f.trunk_id, f.prio, f.call_id, f.attempt, f.timed)"
	" insert into call_queue (org_id, project_id, trunk_id, prio, call_id, attempt, timed) select * from gone"
	" on conflict do nothing");

enum err store_unclaim(struct store *s, int64_t gateway_id, const struct call_ref *calls, size_t n, struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;

	pg_arg_int8(&a, gateway_id);
	put_refs(&a, calls, sizeof *calls, n);
	return pg_run(s, &unclaim_statement, &a, NULL, e);
}
