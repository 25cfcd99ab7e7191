/* What happened: of one call, and of an organization in one order.
 *
 * That order is by the time an event was written down, and a reader goes on from the last
 * event it has seen; so an event must never become visible behind one that was given out.
 * Its time is the clock's, read by the statement that writes it, and it is seen when that
 * commits: later, and in any order. The history is therefore given out only up to a
 * horizon, before which everything is decided. It is the earliest start of a transaction
 * that holds the lock of call_events which writing takes:
 *
 * - Such a lock is taken before the statement runs, so before it reads the clock. Who does
 *   not hold it while we look will read a later time than ours.
 * - A transaction reads the clock after it began. Whoever holds the lock writes nothing
 *   that is older than its beginning.
 * - The horizon is worked out in a statement before the one that reads the events. Whoever
 *   was done when we looked for locks has committed before the events are read.
 *
 * Idle connections, readers, dumps and other databases hold no such lock and stop nothing.
 * What begins when is hidden from us where another role is at work (pg_read_all_stats shows
 * it), the server's track_activities is off, or the transaction is a prepared one: that is
 * taken to last no longer than a minute, six times what a statement of ours may take. A
 * server's clock that is set back can, for as long as it was, put events behind what was
 * given out; nothing here can tell. */
#include <stdlib.h>
#include <string.h>

#include "callgate/store_lists.h"
#include "callgate/text.h"
#include "keys_used.h"
#include "pg.h"

void call_events_free(struct call_event *events, size_t n)
{
	size_t i;

	for (i = 0; events && i < n; i++)
		free(events[i].data);
	free(events);
}

/* ── of one call ──────────────────────────────────────────────────────────────── */

/* Their numbers are slots: what is said late may stand in an early one. In the order of their
 * times a reader can follow, for who writes an event of a call holds the call's row in one of
 * the small tables from before it reads the clock until it has committed. What has been read
 * is therefore never followed by something earlier.
 *
 * api_keys_pkey, calls and call_events by primary key, project_members_pkey. Always a row.
 * The "offset 0" keeps the sort from being spared by a walk through all the organization's
 * events, which have an index by time. */
static const Oid call_types[] = { OID_INT8, OID_BYTEA, OID_UUID, OID_INT4, OID_INT4 };
static const struct pg_statement call_statement = PG_STATEMENT("call_events", call_types,
	"select k.user_id is not null, m.user_id is not null,"
	"       k.last_used_on is distinct from current_date and k.user_id is not null, e.seq, e.kind, e.at, e.data::text"
	" from (select 1) one"
	" left join api_keys k on k.org_id = $1 and k.key_hash = $2 and k.revoked_at is null"
	"      and (k.expires_at is null or k.expires_at > now())"
	" left join calls c on c.org_id = $1 and c.call_id = $3"
	" left join lateral (select user_id from project_members m where m.org_id = c.org_id"
	"                     and m.project_id = c.project_id and m.user_id = k.user_id limit 1) m on true"
	" left join lateral (select x.* from (select seq, kind, at, data from call_events e where m.user_id is not null"
	"                                      and e.org_id = $1 and e.call_id = $3 offset 0) x"
	"                     where (x.at, x.seq) > (coalesce((select l.at from call_events l where l.org_id = $1"
	"                       and l.call_id = $3 and l.seq = $4::int2), '-infinity'), $4)"
	"                     order by x.at, x.seq limit $5) e on true"
	" order by e.at, e.seq");

static void read_event(const PGresult *r, int row, int col, struct call_event *out)
{
	out->seq = pg_get_int2(r, row, col);
	out->kind = pg_get_int2(r, row, col + 1);
	out->at_us = pg_get_us(r, row, col + 2);
	out->data = pg_dup_text(r, row, col + 3);
}

static void take_call_events(const PGresult *r, const struct id *call, size_t limit, struct call_event **out,
                             size_t *n, bool *more)
{
	struct call_event *events = xcalloc((size_t)PQntuples(r) + 1, sizeof *events);
	int row;

	for (row = 0; row < PQntuples(r) && !pg_null(r, row, 3) && *n < limit; row++) {
		events[*n].call_id = *call;
		read_event(r, row, 3, &events[(*n)++]);
	}
	*more = (size_t)PQntuples(r) > limit;
	*out = events;
}

enum err store_call_events(struct store *s, const struct caller *caller, const struct id *call, int after,
                           size_t limit, struct call_event **out, size_t *n, bool *more,
                           enum read_outcome *outcome, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	*n = 0;
	*more = false;
	pg_arg_int8(&a, caller->org);
	pg_arg_bytes(&a, caller->hash, sizeof caller->hash);
	pg_arg_id(&a, call);
	pg_arg_int4(&a, after);
	pg_arg_int4(&a, (int32_t)limit + 1);
	err = pg_run_read(s, &call_statement, &a, &r, e);
	if (err)
		return err;
	*outcome = !pg_get_bool(r, 0, 0) ? READ_KEY_UNKNOWN : !pg_get_bool(r, 0, 1) ? READ_NOT_FOUND : READ_FOUND;
	take_call_events(r, call, limit, out, n, more);
	if (pg_get_bool(r, 0, 2))
		keys_used_today(s, caller->org, caller->hash);
	return OK;
}

/* ── of an organization ───────────────────────────────────────────────────────── */

/* No table of ours. What has no start is done since it was seen, or hidden: see above. */
static const Oid horizon_types[] = { OID_INT4 };
static const struct pg_statement horizon_statement = PG_STATEMENT("feed_horizon", horizon_types,
	"select least(statement_timestamp(), min(case"
	"         when a.xact_start is not null then a.xact_start"
	"         when l.pid is null or (a.pid is not null and coalesce(a.state, 'disabled') = 'disabled')"
	"           then statement_timestamp() - $1 * interval '1 s' end))"
	" from pg_locks l left join pg_stat_activity a on a.pid = l.pid"
	" where l.locktype = 'relation' and l.relation = 'call_events'::regclass and l.mode = 'RowExclusiveLock' and l.granted"
	"   and l.database = (select oid from pg_database where datname = current_database())");

#define HIDDEN_S 60

static enum err find_horizon(struct store *s, int64_t *us, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int4(&a, HIDDEN_S);
	err = pg_run_read(s, &horizon_statement, &a, &r, e);
	if (!err)
		*us = pg_get_us(r, 0, 0);
	return err;
}

/* call_events_feed in each partition, merged; of each event the call by its primary key and
 * project_members_pkey: a handful of projects, so mostly remembered. First comes the row of
 * the key; the event where the look ends comes even if it is not the caller's to see. */
static const Oid feed_types[] = {
	OID_INT8, OID_BYTEA, OID_TIMESTAMPTZ, OID_UUID, OID_INT2, OID_TIMESTAMPTZ, OID_INT4, OID_INT4,
};
static const struct pg_statement feed_statement = PG_STATEMENT("feed", feed_types,
	"with who as materialized ("
	"  select k.user_id, k.last_used_on is distinct from current_date as unused"
	"  from api_keys k where k.org_id = $1 and k.key_hash = $2 and k.revoked_at is null"
	"    and (k.expires_at is null or k.expires_at > now()))"
	" select unused, false, null::uuid, 0::smallint, 0::smallint, null::timestamptz, '', '' from who union all"
	" (select last, fits, call_id, seq, kind, at, data::text, public_id from"
	"  (select x.*, m.user_id is not null as fits, p.public_id, x.rn = $7 as last"
	"   from (select e.call_id, e.seq, e.kind, e.at, e.data, row_number() over (order by e.at, e.call_id, e.seq) as rn"
	"         from call_events e where e.org_id = $1 and (e.at, e.call_id, e.seq) > ($3, $4, $5) and e.at < $6"
	"           and (select user_id from who) is not null"
	"         order by e.at, e.call_id, e.seq limit $7) x"
	"   left join lateral (select c.project_id from calls c where c.org_id = $1 and c.call_id = x.call_id limit 1) c on true"
	"   left join lateral (select m.user_id from project_members m where m.org_id = $1 and m.project_id = c.project_id"
	"                       and m.user_id = (select user_id from who) limit 1) m on true"
	"   left join lateral (select p.public_id from projects p where m.user_id is not null and p.org_id = $1"
	"                       and p.project_id = c.project_id limit 1) p on true"
	"   order by x.at, x.call_id, x.seq) y"
	"  where fits or last limit $8)");

static enum err run_feed(struct store *s, const struct caller *caller, const struct feed_position *at, int64_t horizon_us,
                         size_t limit, PGresult **out, struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;

	pg_arg_int8(&a, caller->org);
	pg_arg_bytes(&a, caller->hash, sizeof caller->hash);
	pg_arg_us(&a, at->at_us);
	pg_arg_id(&a, &at->call_id);
	pg_arg_int2(&a, (int16_t)at->seq);
	pg_arg_us(&a, horizon_us);
	pg_arg_int4(&a, FEED_LOOKED_AT);
	pg_arg_int4(&a, (int32_t)limit + 1);
	return pg_run_read(s, &feed_statement, &a, out, e);
}

/* Rows after the first, in order; one more than `limit` may be the caller's. */
static void take_feed(const PGresult *r, size_t limit, struct feed_position *at, struct call_event *events, size_t *n,
                      bool *more)
{
	struct call_event *v;
	int row;

	for (row = 1; row < PQntuples(r) && !*more; row++) {
		bool fits = pg_get_bool(r, row, 1);

		if (fits && *n == limit) {
			*more = true;
			return;
		}
		pg_get_id(r, row, 2, &at->call_id);
		at->seq = pg_get_int2(r, row, 3);
		at->at_us = pg_get_us(r, row, 5);
		*more = pg_get_bool(r, row, 0);
		if (!fits)
			continue;
		v = &events[(*n)++];
		v->call_id = at->call_id;
		read_event(r, row, 3, v);
		str_copy(v->project, sizeof v->project, pg_get_text(r, row, 7));
	}
}

enum err store_feed(struct store *s, const struct caller *caller, bool latest, struct feed_position *at,
                    size_t limit, struct call_event **out, size_t *n, bool *more,
                    enum read_outcome *outcome, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	int64_t horizon_us;
	enum err err;

	*n = 0;
	*more = false;
	err = find_horizon(s, &horizon_us, e);
	if (err)
		return err;
	if (latest)
		*at = (struct feed_position){ .at_us = horizon_us };
	err = run_feed(s, caller, at, horizon_us, limit, &r, e);
	if (err)
		return err;
	*outcome = PQntuples(r) > 0 ? READ_FOUND : READ_KEY_UNKNOWN;
	*out = xcalloc(limit + 1, sizeof **out);
	take_feed(r, limit, at, *out, n, more);
	if (*outcome == READ_FOUND && pg_get_bool(r, 0, 0))
		keys_used_today(s, caller->org, caller->hash);
	return OK;
}
