/* Changes to a call that waits. The one row that says where it waits is taken away and put
 * back, and everything else hangs on that: so a change can meet neither a claim nor another
 * change half-way, and what was found to have moved is simply looked at again. */
#include <string.h>
#include <time.h>

#include "callgate/clock.h"
#include "callgate/store_life.h"
#include "pg.h"

#define MOVED (-1)
#define PATIENCE_MS 5000
#define LOST_MAX 3              /* answers; to say it again is harmless */

/* api_keys_pkey; one probe each of the primary keys of calls (one partition) and
 * project_members, then of call_queue and call_schedule, of which one has the call.
 *
 * `n` is the call as it shall be. Its bound moves with the schedule where it was made from
 * that; one that the client has set stands, and a schedule past it is refused. A call that is
 * to go at once was scheduled for now, and stays in call_schedule for that moment: it is
 * store_promote() that locks destinations. */
static const Oid edit_types[] = {
	OID_INT8, OID_BYTEA, OID_UUID, OID_BOOL, OID_TEXT, OID_BOOL, OID_TEXT, OID_BOOL, OID_INT8, OID_INT2, OID_INT4, OID_INT4,
};
static const struct pg_statement edit_statement = PG_STATEMENT("call_edit", edit_types,
	"with k as materialized (select org_id, user_id from api_keys where org_id = $1 and key_hash = $2"
	"   and revoked_at is null and (expires_at is null or expires_at > now())),"
	" w as materialized ("
	"  select c.* from k join calls c on" PROBE("c.org_id", "k.org_id", "c.call_id", "$3")
	"  where (select 1 from project_members m where m.org_id = c.org_id and m.project_id = c.project_id"
	"         and m.user_id = k.user_id limit 1) is not null),"
	" q as materialized (select l.* from w cross join lateral ("
	"   select x.ctid as c, x.attempt, null::timestamptz as run_at, true as locked, null::text as dest, null::bigint as scope,"
	"          null::timestamptz as since from call_queue x"
	"   where x.org_id = w.org_id and x.project_id = w.project_id and x.trunk_id = w.trunk_id and x.prio = w.prio"
	"     and x.call_id = w.call_id limit 1 for update) l where w.state = 0),"
	" sc as materialized (select l.* from w cross join lateral ("
	"   select x.ctid as c, x.attempt, x.run_at, x.locked, x.dest, x.scope, x.since from call_schedule x"
	"   where x.org_id = w.org_id and x.call_id = w.call_id limit 1 for update) l where w.state = 0),"
	" a as materialized ("
	"  select w.*, p.c, p.attempt, p.run_at, p.locked, p.dest, p.scope, p.since, p.run_at is null as queued,"
	"         case when $4 then $5 else w.variables end as new_variables,"
	"         case when $6 then $7 else w.metadata end as new_metadata,"
	"         case when $10 >= 0 then $10 else w.prio end as new_prio,"
	"         case when not $8 then w.scheduled_at when $9 > 0 then to_timestamp($9 / 1000.0)"
	"              when w.scheduled_at > now() then now() else w.scheduled_at end as new_scheduled_at,"
	"         w.expires_at is null or coalesce(w.expires_at = w.scheduled_at + $12 * interval '1 s', false) as bound_follows"
	"  from w cross join (select * from q union all select * from sc) p),"
	" n as materialized ("
	"  select a.*, new_scheduled_at is distinct from scheduled_at as moves,"
	"         new_scheduled_at is distinct from scheduled_at and $9 > 0 as waits,"
	"         case when not bound_follows or new_scheduled_at is not distinct from scheduled_at then expires_at"
	"              else new_scheduled_at + $12 * interval '1 s' end as new_expires_at,"
	"         new_variables is distinct from variables as v, new_metadata is distinct from metadata as m,"
	"         new_prio <> prio as p from a),"
	" verdict as materialized (select case"
	"   when $11 >= 0 and edits <> $11 then 3 when attempt > 1 then 2 when not (v or m or p or moves) then 1"
	"   when edits >= 15 then 4 when waits and new_expires_at <= new_scheduled_at then 5 else 0 end as of from n),"
	" go as materialized (select n.* from n, verdict where verdict.of = 0),"
	" dq as (delete from call_queue where ctid = any(array(select c from go where queued)) returning call_id),"
	" ds as (delete from call_schedule where ctid = any(array(select c from go where not queued)) returning call_id),"
	" d as materialized (select go.* from go where call_id = any(array(select call_id from dq union all select call_id from ds))),"
	" u as (update calls c set variables = d.new_variables, metadata = d.new_metadata, prio = d.new_prio,"
	"     scheduled_at = d.new_scheduled_at, expires_at = d.new_expires_at, edits = d.edits + 1"
	"   from d where" PROBE("c.org_id", "d.org_id", "c.call_id", "d.call_id") "),"
	" iq as (insert into call_queue (org_id, project_id, trunk_id, prio, call_id, attempt, timed)"
	"   select org_id, project_id, trunk_id, new_prio, call_id, attempt, new_expires_at is not null from d"
	"   where queued and not waits),"
	" isc as (insert into call_schedule (org_id, call_id, shard, run_at, project_id, trunk_id, prio, attempt, timed, locked,"
	"                                    dest, scope, since)"
	"   select org_id, call_id, org_id % 64, case when moves then new_scheduled_at else run_at end,"
	"          project_id, trunk_id, new_prio, attempt, new_expires_at is not null, locked and not waits,"
	"          case when not moves then dest end, case when not moves then scope end, case when not moves then since end"
	"   from d where not queued or waits),"
	" x as (insert into call_expiry (org_id, call_id, shard, at)"
	"   select org_id, call_id, org_id % 64, new_expires_at from d where new_expires_at is distinct from expires_at"
	"   on conflict (org_id, call_id) do update set at = excluded.at),"
	" freed as (delete from destination_locks l using d"
	"   where" PROBE("l.dest", "d.to_e164", "l.scope", "d.lock_scope") "and l.call_id = d.call_id"
	"     and d.locked and d.waits),"
	" ev as (insert into call_events (org_id, call_id, seq, kind, data)"
	"   select org_id, call_id, edits + 1, 35, jsonb_build_object('changed', to_jsonb(array_remove(array["
	"     case when v then 'dynamicVariables' end, case when m then 'metadata' end,"
	"     case when moves then 'scheduledAt' end, case when p then 'priority' end], null))) from d)"
	" select case when not exists (select from k) then 7 when w.call_id is null then 6 when w.state <> 0 then 2"
	"     when verdict.of > 0 then verdict.of when d.call_id is not null then 0"
	"     else coalesce((select 2 from call_inflight f where f.org_id = w.org_id and f.call_id = w.call_id limit 1), -1) end,"
	"   w.project_id, w.trunk_id, coalesce(d.new_prio, w.prio), coalesce(d.queued and not d.waits, false)"
	" from (select 1) one left join w on true left join verdict on true left join d on true");

_Static_assert(EDIT_DONE == 0 && EDIT_SAME == 1 && EDIT_TOO_LATE == 2 && EDIT_STALE == 3 && EDIT_LIMIT == 4 &&
               EDIT_EXPIRES_FIRST == 5 && EDIT_NOT_FOUND == 6 && EDIT_KEY_UNKNOWN == 7 && EDITS_MAX == 15,
               "the statement writes these numbers");

static enum err edit_once(struct store *s, const struct caller *caller, struct call_edit *x, int edits, int queue_ttl_s,
                          int *outcome, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int8(&a, caller->org);
	pg_arg_bytes(&a, caller->hash, sizeof caller->hash);
	pg_arg_id(&a, &x->call_id);
	pg_arg_bool(&a, x->set_variables);
	pg_arg_text(&a, x->variables);
	pg_arg_bool(&a, x->set_metadata);
	pg_arg_text(&a, x->metadata);
	pg_arg_bool(&a, x->set_scheduled);
	pg_arg_int8(&a, x->scheduled_ms > wall_ms() ? x->scheduled_ms : 0);
	pg_arg_int2(&a, x->set_prio ? x->prio : -1);
	pg_arg_int4(&a, edits);
	pg_arg_int4(&a, queue_ttl_s);
	err = pg_run(s, &edit_statement, &a, &r, e);
	if (err)
		return err;
	*outcome = pg_get_int4(r, 0, 0);
	x->lane = (struct lane_key){ caller->org, pg_get_int4(r, 0, 1), pg_get_int4(r, 0, 2), pg_get_int2(r, 0, 3) };
	x->queued = pg_get_bool(r, 0, 4);
	return OK;
}

enum err store_call_edit(struct store *s, const struct caller *caller, struct call_edit *x, int queue_ttl_s,
                         struct errinfo *e)
{
	int64_t until = mono_ms() + PATIENCE_MS;
	int outcome = MOVED, lost = 0, edits = x->edits;
	enum err err;

	while (outcome == MOVED) {
		err = edit_once(s, caller, x, edits, queue_ttl_s, &outcome, e);
		if (err == ERR_UNCERTAIN && ++lost < LOST_MAX)
			continue;
		if (err && err != ERR_CONFLICT)
			return lost ? ERR_UNCERTAIN : err;
		if (lost > 0 && outcome == EDIT_STALE && edits == x->edits) {
			edits++;                /* perhaps by ourselves: then it is as asked */
			outcome = MOVED;
		}
		if (outcome == MOVED && mono_ms() >= until)
			return err_set(e, lost ? ERR_UNCERTAIN : ERR_UNAVAILABLE, "the call is held by others");
		if (outcome == MOVED)
			nanosleep(&(struct timespec){ .tv_nsec = 2000000L }, NULL);
	}
	x->outcome = edits != x->edits && outcome == EDIT_SAME ? EDIT_DONE : (enum edit_outcome)outcome;
	return OK;
}
