/* The end of what waited too long: by age, lane by lane, or by a bound of the call's own. What was never
 * dialed ends as queue_expired; what was, and waited for another attempt, as its last attempt did. */
#include "flight.h"
#include "settle.h"

/* How a call ends that waited too long, given d, the rows (org_id, call_id, attempt) that were
 * just taken from where it waited; gives u, the calls that ended. */
#define EXPIRED_SQL(state, reason) \
	" t as materialized (select d.*, l.* from d" LAST_ATTEMPT_SQL ")," \
	" u as (update calls k set state = " state ", reason = coalesce(t.reason, " reason "), sip_code = t.sip_code, sip_phrase = t.sip_phrase," \
	"     provider_code = case when t.reason is null then k.provider_code else t.code end, provider_ref = t.ref," \
	"     ended_at = clock_timestamp(), billed_s = 0, charged_mc = 0" \
	"   from t where" PROBE("k.org_id", "t.org_id", "k.call_id", "t.call_id") \
	"   returning k.org_id, k.call_id, k.account_id, k.hold_mc, k.charged_mc, k.to_e164, k.lock_scope, t.attempt," \
	"             k.state, k.ended_at, k.reason, k.sip_code)," \
	SETTLE_SQL "," \
	" ev as (insert into call_events (org_id, call_id, seq, kind, at, data)" \
	"   select org_id, call_id, attempt * 16 + 15, state, ended_at," \
	"     jsonb_strip_nulls(jsonb_build_object('reason', reason, 'sipCode', nullif(sip_code, 0))) from u" \
	"   on conflict do nothing)"

/* call_queue_pkey, the old end of each lane; ids are times, so age needs no column. */
static const Oid expire_types[] = {
	OID_INT8, OID_INT8_ARRAY, OID_INT4_ARRAY, OID_INT4_ARRAY, OID_INT2_ARRAY, OID_INT8, OID_INT4, OID_INT2, OID_INT2,
};
static const struct pg_statement expire_statement = PG_STATEMENT("expire_queued", expire_types,
	"with " FENCE_SQL ","
	" old as materialized ("
	"  select p.c from unnest($2::bigint[], $3::int[], $4::int[], $5::smallint[]) w(o, pj, tr, pr)"
	"  cross join fence cross join lateral ("
	"    select q.ctid as c from call_queue q"
	"    where q.org_id = w.o and q.project_id = w.pj and q.trunk_id = w.tr and q.prio = w.pr"
	"      and q.call_id < uuid7_floor(now() - $6 * interval '1 ms') and not q.timed"
	"    order by q.call_id limit $7 for update skip locked) p limit $7),"
	" d as (delete from call_queue where ctid = any(array(select c from old)) returning org_id, call_id, attempt),"
	EXPIRED_SQL("$8", "$9")
	" select count(*)::int from u");

enum err store_expire_queued(struct store *s, int64_t gateway_id, const struct lane_key *lanes, size_t n_lanes,
                             int64_t ttl_ms, int max, size_t *expired, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;
	size_t i;

	*expired = 0;
	if (n_lanes == 0)
		return OK;
	pg_arg_int8(&a, gateway_id);
	PG_COLUMN(&a, OID_INT8, n_lanes, pg_put_int8(&a, lanes[i].org_id));
	PG_COLUMN(&a, OID_INT4, n_lanes, pg_put_int4(&a, lanes[i].project_id));
	PG_COLUMN(&a, OID_INT4, n_lanes, pg_put_int4(&a, lanes[i].trunk_id));
	PG_COLUMN(&a, OID_INT2, n_lanes, pg_put_int2(&a, lanes[i].prio));
	pg_arg_int8(&a, ttl_ms);
	pg_arg_int4(&a, max);
	pg_arg_int2(&a, (int16_t)call_reason_info(REASON_QUEUE_EXPIRED)->state);
	pg_arg_int2(&a, REASON_QUEUE_EXPIRED);
	err = pg_run(s, &expire_statement, &a, &r, e);
	if (!err)
		*expired = (size_t)pg_get_int4(r, 0, 0);
	return err;
}

/* call_expiry_due, a shard at a time; then per call one probe of calls and of the tables in
 * which it may wait. What somebody holds, and what is in flight, is looked at again later:
 * the flight may come back to wait. What it finds over has no need of its row any more. */
static const Oid due_types[] = { OID_INT8, OID_INT8, OID_INT4, OID_INT2, OID_INT2 };
static const struct pg_statement due_statement = PG_STATEMENT("expire_due", due_types,
	"with " FENCE_SQL ","
	" due as materialized ("
	"  select d.* from fence cross join generate_series(0, 63) sh cross join lateral ("
	"    select x.ctid as c, x.org_id, x.call_id from call_expiry x where x.shard = sh and x.at <= now()"
	"    order by x.at limit $3 for update skip locked) d"
	"  where ($2 >> sh) & 1 = 1),"
	" look as materialized ("
	"  select d.*, k.project_id, k.trunk_id, k.prio, k.expires_at,"
	"         k.call_id is null or k.state <> 0 or k.expires_at is null as over"
	"  from due d left join calls k on" PROBE("k.org_id", "d.org_id", "k.call_id", "d.call_id") "),"
	" past as materialized (select * from look where not over and expires_at <= now() order by call_id),"
	" q as materialized (select l.c from past w cross join lateral ("
	"   select x.ctid as c from call_queue x where x.org_id = w.org_id and x.project_id = w.project_id"
	"     and x.trunk_id = w.trunk_id and x.prio = w.prio and x.call_id = w.call_id limit 1 for update skip locked) l),"
	" sc as materialized (select l.c from past w cross join lateral ("
	"   select x.ctid as c from call_schedule x where x.org_id = w.org_id and x.call_id = w.call_id"
	"   limit 1 for update skip locked) l),"
	" dq as (delete from call_queue where ctid = any(array(select c from q)) returning org_id, call_id, attempt),"
	" ds as (delete from call_schedule where ctid = any(array(select c from sc)) returning org_id, call_id, attempt),"
	" d as (select * from dq union all select * from ds),"
	EXPIRED_SQL("$4", "$5") ","
	" done as (delete from call_expiry where ctid = any(array("
	"   select c from look where over or call_id = any(array(select call_id from u))))),"
	" later as (update call_expiry x set at = greatest(l.expires_at, now() + coalesce(("
	"     select interval '15 s' from call_inflight f where f.org_id = l.org_id and f.call_id = l.call_id limit 1),"
	"     interval '2 s'))"
	"   from look l where" PROBE("x.org_id", "l.org_id", "x.call_id", "l.call_id") "and not l.over"
	"     and l.call_id <> all(array(select call_id from u)))"
	" select (select count(*) from u)::int, (select count(*) from due)::int");

enum err store_expire_due(struct store *s, int64_t gateway_id, uint64_t shards, int max, size_t *expired, size_t *seen,
                          struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int8(&a, gateway_id);
	pg_arg_int8(&a, (int64_t)shards);
	pg_arg_int4(&a, max);
	pg_arg_int2(&a, (int16_t)call_reason_info(REASON_QUEUE_EXPIRED)->state);
	pg_arg_int2(&a, REASON_QUEUE_EXPIRED);
	err = pg_run(s, &due_statement, &a, &r, e);
	if (err)
		return err;
	*expired = (size_t)pg_get_int4(r, 0, 0);
	*seen = (size_t)pg_get_int4(r, 0, 1);
	return OK;
}
