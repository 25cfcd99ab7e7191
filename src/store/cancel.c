/* The end of calls that their clients do not want any more. One statement for a batch: what
 * waits, or is only claimed, ends in it; what may have been dialed is marked, and its
 * gateway told.
 *
 * A call stands in one of three small tables and moves between them while this looks. Rows
 * that somebody else holds are passed over, not waited for: so this can never be part of a
 * deadlock, and a call that was found nowhere is simply looked for again. */
#include <string.h>
#include <time.h>

#include "callgate/clock.h"
#include "callgate/store_life.h"
#include "flight.h"
#include "settle.h"

#define MOVED (-1)
#define PATIENCE_MS 5000
#define LOST_MAX 3              /* answers; to say it again is harmless */

/* api_keys_pkey; then per call one probe each of the primary keys of calls (one partition),
 * project_members and of the table in which it stands; the rows leave or change by ctid. A
 * row that changed after the snapshot is not found by it, and its call counts as moved. */
static const Oid cancel_types[] = { OID_INT8, OID_BYTEA, OID_UUID_ARRAY };
static const struct pg_statement cancel_statement = PG_STATEMENT("cancel", cancel_types,
	"with k as materialized (select org_id, user_id from api_keys where org_id = $1 and key_hash = $2"
	"   and revoked_at is null and (expires_at is null or expires_at > now())),"
	" want as materialized ("
	"  select r.ix, c.org_id, c.call_id, c.project_id, c.trunk_id, c.prio, c.state, c.reason"
	"  from unnest($3::uuid[]) with ordinality r(id, ix) cross join k"
	"  join calls c on" PROBE("c.org_id", "k.org_id", "c.call_id", "r.id")
	"  where (select 1 from project_members m where m.org_id = c.org_id and m.project_id = c.project_id"
	"         and m.user_id = k.user_id limit 1) is not null),"
	" alive as materialized (select * from want where state = 0 order by call_id),"
	" q as materialized (select l.c from alive w cross join lateral ("
	"   select x.ctid as c from call_queue x where x.org_id = w.org_id and x.project_id = w.project_id"
	"     and x.trunk_id = w.trunk_id and x.prio = w.prio and x.call_id = w.call_id limit 1 for update skip locked) l),"
	" sc as materialized (select l.c from alive w cross join lateral ("
	"   select x.ctid as c from call_schedule x where x.org_id = w.org_id and x.call_id = w.call_id"
	"   limit 1 for update skip locked) l),"
	" fl as materialized (select l.* from alive w cross join lateral ("
	"   select x.ctid as c, x.call_id, x.phase, x.state, x.cancel_at from call_inflight x"
	"   where x.org_id = w.org_id and x.call_id = w.call_id limit 1 for update skip locked) l),"
	" dq as (delete from call_queue where ctid = any(array(select c from q)) returning org_id, call_id, attempt),"
	" ds as (delete from call_schedule where ctid = any(array(select c from sc)) returning org_id, call_id, attempt),"
	" df as (delete from call_inflight where ctid = any(array(select c from fl where phase = 0))"
	"        returning org_id, call_id, attempt),"
	" asked as (update call_inflight set cancel_at = clock_timestamp()"
	"        where ctid = any(array(select c from fl where phase > 0 and cancel_at is null))"
	"        returning org_id, call_id, attempt, state, cancel_at),"
	" d as (select * from dq union all select * from ds union all select * from df),"
	" u as (update calls k set state = 7, reason = 14, cancel_at = clock_timestamp(), ended_at = clock_timestamp(),"
	"     billed_s = 0, charged_mc = 0"
	"   from d where" PROBE("k.org_id", "d.org_id", "k.call_id", "d.call_id")
	"   returning k.org_id, k.call_id, k.account_id, k.hold_mc, k.charged_mc, k.to_e164, k.lock_scope, d.attempt,"
	"             k.ended_at),"
	SETTLE_SQL ","
	" noted as (update calls k set cancel_at = a.cancel_at from asked a"
	"   where" PROBE("k.org_id", "a.org_id", "k.call_id", "a.call_id") "),"
	" ev as (insert into call_events (org_id, call_id, seq, kind, at, data)"
	"   select org_id, call_id, attempt * 16 + 15, 7, ended_at, '{\"reason\":14}'::jsonb from u"
	"   union all select org_id, call_id, attempt * 16 + 12, 34, cancel_at, null from asked"
	"   on conflict do nothing)"
	" select r.ix::int, case when not exists (select from k) then 5 when w.ix is null then 4"
	"     when w.state <> 0 then case when w.reason = 14 then 1 else 3 end"
	"     when u.call_id is not null then 0 when f.call_id is not null then 2 else -1 end,"
	"   case when u.call_id is not null then 7::smallint else greatest(w.state, f.state) end,"
	"   df.call_id is not null"
	" from unnest($3::uuid[]) with ordinality r(id, ix)"
	" left join want w on w.ix = r.ix left join u on u.call_id = w.call_id left join df on df.call_id = w.call_id"
	" left join (select call_id, state from asked union all"
	"            select call_id, state from fl where phase > 0 and cancel_at is not null) f on f.call_id = w.call_id");

_Static_assert(CALL_CANCELED == 7 && REASON_CANCELED == 14 && CANCEL_DONE == 0 && CANCEL_BEFORE == 1 &&
               CANCEL_REQUESTED == 2 && CANCEL_TOO_LATE == 3 && CANCEL_NOT_FOUND == 4 && CANCEL_KEY_UNKNOWN == 5,
               "the statement writes these numbers");

/* Of the items at at[0] … at[n - 1]; those that moved stay there, and *n counts them. */
static enum err cancel_once(struct store *s, const struct caller *caller, struct cancel *items, size_t *at, size_t *n,
                            struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	bool moved[CANCEL_MAX] = { false };
	size_t i, left = 0;
	enum err err;
	int row;

	pg_arg_int8(&a, caller->org);
	pg_arg_bytes(&a, caller->hash, sizeof caller->hash);
	PG_COLUMN(&a, OID_UUID, *n, pg_put_id(&a, &items[at[i]].call_id));
	err = pg_run(s, &cancel_statement, &a, &r, e);
	if (err)
		return err;
	for (row = 0; row < PQntuples(r); row++) {
		size_t ix = (size_t)pg_get_int4(r, row, 0) - 1;
		int outcome = pg_get_int4(r, row, 1);

		moved[ix] = outcome == MOVED;
		if (moved[ix])
			continue;
		items[at[ix]].outcome = (enum cancel_outcome)outcome;
		items[at[ix]].state = (enum call_state)pg_get_int2(r, row, 2);
		items[at[ix]].claimed = pg_get_bool(r, row, 3);
	}
	for (i = 0; i < *n; i++)
		if (moved[i])
			at[left++] = at[i];
	*n = left;
	return OK;
}

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

enum err store_calls_cancel(struct store *s, const struct caller *caller, struct cancel *items, size_t n,
                            struct errinfo *e)
{
	int64_t until = mono_ms() + PATIENCE_MS;
	size_t at[CANCEL_MAX], all = n;
	int lost = 0, wait_ms;
	enum err err;

	if (n > CANCEL_MAX)
		return err_set(e, ERR_INTERNAL, "a batch of %zu cancels", n);
	for (size_t i = 0; i < n; i++)
		at[i] = i;
	for (wait_ms = 1; n > 0; wait_ms = wait_ms < 50 ? wait_ms * 2 : 50) {
		err = cancel_once(s, caller, items, at, &n, e);
		if (err == ERR_UNCERTAIN && ++lost < LOST_MAX)
			continue;
		if (err && err != ERR_CONFLICT)
			return lost || n < all ? ERR_UNCERTAIN : err;
		if (n > 0 && mono_ms() >= until)
			return err_set(e, lost || n < all ? ERR_UNCERTAIN : ERR_UNAVAILABLE, "%zu calls are held by others", n);
		if (n > 0)
			pause_ms(wait_ms);
	}
	return OK;
}

/* ── for whoever follows them ───────────────────────────────────────────────────── */

/* call_inflight_cancel. */
static const Oid find_types[] = { OID_INT8, OID_INT4 };
static const struct pg_statement find_statement = PG_STATEMENT("cancels_find", find_types,
	"select org_id, call_id, attempt from call_inflight where gateway_id = $1 and cancel_at is not null limit $2");

enum err store_cancels_find(struct store *s, int64_t gateway_id, int max, struct call_ref **out, size_t *n,
                            struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	struct call_ref *refs;
	enum err err;
	int i;

	pg_arg_int8(&a, gateway_id);
	pg_arg_int4(&a, max);
	err = pg_run(s, &find_statement, &a, &r, e);
	if (err)
		return err;
	refs = xcalloc((size_t)PQntuples(r) + 1, sizeof *refs);
	for (i = 0; i < PQntuples(r); i++) {
		refs[i].org_id = pg_get_int8(r, i, 0);
		pg_get_id(r, i, 1, &refs[i].call_id);
		refs[i].attempt = pg_get_int2(r, i, 2);
	}
	*out = refs;
	*n = (size_t)PQntuples(r);
	return OK;
}

/* call_inflight_pkey, one probe each. */
static const Oid gone_types[] = { OID_INT8, OID_INT8_ARRAY, OID_UUID_ARRAY, OID_INT2_ARRAY };
static const struct pg_statement gone_statement = PG_STATEMENT("claims_gone", gone_types,
	"select x.ix::int from unnest($2::bigint[], $3::uuid[], $4::smallint[]) with ordinality x(o, c, a, ix)"
	" where (select 1 from call_inflight f where f.org_id = x.o and f.call_id = x.c and f.attempt = x.a"
	"        and f.gateway_id + 0 = $1 limit 1) is null");

enum err store_claims_gone(struct store *s, int64_t gateway_id, const struct call_ref *calls, size_t n, bool *gone,
                           struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	memset(gone, 0, n * sizeof *gone);
	pg_arg_int8(&a, gateway_id);
	put_refs(&a, calls, sizeof *calls, n);
	err = pg_run(s, &gone_statement, &a, &r, e);
	for (int row = 0; !err && row < PQntuples(r); row++)
		gone[pg_get_int4(r, row, 0) - 1] = true;
	return err;
}
