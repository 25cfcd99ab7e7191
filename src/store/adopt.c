/* After a crash, and past the bound. A call in flight belongs to the gateway that claimed
 * it; when that gateway is gone, whoever notices first adopts it. What was only claimed
 * is certain not to have been dialed and waits again; what may have been dialed is kept
 * and asked about, never dialed. */
#include "flight.h"

#include <stdlib.h>

/* Orphans by an anti-join of the (small) in-flight table with the living; the rows are
 * locked, so two adopters share them without meeting. */
static const Oid adopt_types[] = { OID_INT8, OID_INT4 };
static const struct pg_statement adopt_statement = PG_STATEMENT("adopt", adopt_types,
	"with " FENCE_SQL ","
	" old as materialized (select f.ctid as c, f.phase from fence cross join call_inflight f"
	"   where not exists (select from gateways g where g.gateway_id = f.gateway_id)"
	"   order by f.org_id, f.call_id limit $2 for update of f skip locked),"
	" gone as (delete from call_inflight where ctid = any(array(select c from old where phase = 0))"
	"          returning org_id, project_id, trunk_id, prio, call_id, attempt, timed),"
	" back as (insert into call_queue (org_id, project_id, trunk_id, prio, call_id, attempt, timed) select * from gone"
	"          on conflict do nothing),"
	" f as (update call_inflight set gateway_id = $1, phase = case phase when 1 then 2 else phase end"
	"       where ctid = any(array(select c from old where phase > 0)) returning *),"
	" e as (insert into call_events (org_id, call_id, seq, kind)"
	"       select org_id, call_id, attempt * 16 + 13, 33 from f where phase = 2 on conflict do nothing)"
	" select " INFLIGHT_COLUMNS " from f" INFLIGHT_JOINS
	" union all"
	" select org_id, project_id, trunk_id, prio, call_id, attempt, 0::smallint, 0::smallint, 0::smallint, 0, 0, -1, '', '',"
	"        null, null, '', null, '{}', null, 0, 0::smallint, null, 0, false from gone");

/* Rows of phase 0 at the end of the answer were put back; only their lanes are told. */
static void split(struct inflight *rows, size_t total, size_t *kept, struct lane_key **lanes, size_t *n_lanes)
{
	size_t i, n = 0;

	*lanes = xcalloc(total + 1, sizeof **lanes);
	*n_lanes = 0;
	for (i = 0; i < total; i++) {
		if (rows[i].phase > 0) {
			rows[n++] = rows[i];
			continue;
		}
		(*lanes)[(*n_lanes)++] = rows[i].lane;
		inflight_done(&rows[i]);
	}
	*kept = n;
}

enum err store_adopt(struct store *s, int64_t gateway_id, int max, struct inflight **out, size_t *n,
                     struct lane_key **lanes, size_t *n_lanes, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;
	size_t total;

	pg_arg_int8(&a, gateway_id);
	pg_arg_int4(&a, max);
	err = pg_run(s, &adopt_statement, &a, &r, e);
	if (err)
		return err;
	*out = read_inflights(r, &total);
	split(*out, total, n, lanes, n_lanes);
	return OK;
}

/* call_inflight_by_gateway. */
static const Oid overdue_types[] = { OID_INT8, OID_INT4 };
static const struct pg_statement overdue_statement = PG_STATEMENT("overdue", overdue_types,
	"select org_id, project_id, trunk_id, prio, call_id, attempt, state, phase from call_inflight"
	" where gateway_id = $1 and deadline_at < now() order by deadline_at limit $2");

enum err store_overdue(struct store *s, int64_t gateway_id, int max, struct overdue **out, size_t *n, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	struct overdue *rows;
	enum err err;
	int i;

	pg_arg_int8(&a, gateway_id);
	pg_arg_int4(&a, max);
	err = pg_run(s, &overdue_statement, &a, &r, e);
	if (err)
		return err;
	rows = xcalloc((size_t)PQntuples(r) + 1, sizeof *rows);
	for (i = 0; i < PQntuples(r); i++) {
		rows[i].call.org_id = pg_get_int8(r, i, 0);
		rows[i].lane = (struct lane_key){ rows[i].call.org_id, pg_get_int4(r, i, 1), pg_get_int4(r, i, 2),
		                                  pg_get_int2(r, i, 3) };
		pg_get_id(r, i, 4, &rows[i].call.call_id);
		rows[i].call.attempt = pg_get_int2(r, i, 5);
		rows[i].state = (enum call_state)pg_get_int2(r, i, 6);
		rows[i].phase = pg_get_int2(r, i, 7);
	}
	*out = rows;
	*n = (size_t)PQntuples(r);
	return OK;
}
