/* Finding calls by what is true of them. The newest are looked at first, by the primary key,
 * and only so many of them: what a filter wants may be rare, and then a page ends where its
 * bound does and says where the next begins. Calls that have not ended stand in small tables,
 * and are looked for there alone, however many have ended since. */
#include <stdlib.h>
#include <string.h>

#include "callgate/store_lists.h"
#include "keys_used.h"
#include "pg.h"

#define LOOKED_AT_METADATA 5000 /* JSON is read as text, for each call */

/* Of calls that have not ended: so many heads of each lane are merged for one look. */
#define OPEN_LOOKED_AT 2000
#define OPEN_LOOKED_AT_METADATA 1000

/* An id is made before its row is written, by a clock that follows the database's. */
#define ID_SLACK_MS 120000
#define FAR_MS INT64_C(253402300799000)         /* year 9999 */

/* $1 organization, $2 key, $3 project, $4 before, $5 not before, $6 looked at, $7 rows,
 * $8 states, $9 reason, $10 from, $11 to, $12 and $13 created, $14 metadata, $15 its value. */
static const Oid match_types[] = {
	OID_INT8, OID_BYTEA, OID_TEXT, OID_UUID, OID_UUID, OID_INT4, OID_INT4, OID_INT4, OID_INT2, OID_TEXT, OID_TEXT,
	OID_TIMESTAMPTZ, OID_TIMESTAMPTZ, OID_TEXT, OID_TEXT,
};

/* Whose key it is: a probe of api_keys_pkey, and one of projects_org_id_public_id_key. The
 * first row of every answer, without which the key is unknown. */
#define WHO_SQL WHO_AND_SQL("with", "")
#define WHO_AND_SQL(with, more) \
	with " who as materialized (" \
	"  select k.user_id, k.last_used_on is distinct from current_date as unused," \
	"         (select p.project_id from projects p where p.org_id = $1 and p.public_id = $3) as project_id" \
	"  from api_keys k where k.org_id = $1 and k.key_hash = $2 and k.revoked_at is null" \
	"    and (k.expires_at is null or k.expires_at > now()))" more \
	" select null::uuid, false, false, unused from who union all" \
	" (select call_id, coalesce(fits, false), last, false from "

/* Of one call c; what is cheap comes first, and metadata is text whose numbers stay as sent. */
#define FITS_SQL \
	"($3::text is null or c.project_id = (select project_id from who)) and ($9 = 0 or c.reason = $9)" \
	" and ($10::text is null or c.from_e164 = $10) and ($11::text is null or c.to_e164 = $11)" \
	" and c.created_at >= $12 and c.created_at < $13" \
	" and case when $14::text is null then true when $15::text is null then c.metadata::json -> $14 is not null" \
	"          else coalesce(c.metadata::json ->> $14 = $15, false) end"

#define MEMBER_SQL \
	" left join lateral (select m.user_id from project_members m where x.fits and m.org_id = $1" \
	"                     and m.project_id = x.project_id and m.user_id = (select user_id from who) limit 1) m on true"

/* The primary key of calls, backwards through its partitions; of calls that have not ended
 * and may fit, call_inflight_pkey (only there it shows whether they fly); then one probe of
 * project_members_pkey for each that fits. The row where the look ends comes back even if
 * it does not fit. Nothing needs sorting, so the look ends as soon as the page is full. */
static const struct pg_statement match_statement = PG_STATEMENT("calls_match", match_types,
	WHO_SQL
	"(select x.call_id, x.fits and m.user_id is not null"
	"          and ($8 = 0 or ($8 >> greatest(x.state, f.state)::int) & 1 = 1) as fits, x.rn = $6 as last"
	"  from (select c.call_id, c.project_id, c.state, row_number() over (order by c.call_id desc) as rn,"
	"               ($8 = 0 or c.state = 0 or ($8 >> c.state::int) & 1 = 1) and " FITS_SQL " as fits"
	"        from calls c where c.org_id = $1 and c.call_id < $4 and c.call_id >= $5"
	"          and (select user_id from who) is not null"
	"        order by c.call_id desc limit $6) x"
	"  left join lateral (select f.state from call_inflight f where x.fits and x.state = 0 and $8 <> 0"
	"                      and f.org_id = $1 and f.call_id = x.call_id limit 1) f on true"
	MEMBER_SQL
	"  order by x.call_id desc) y"
	"  where fits or last limit $7)");

/* call_inflight_pkey, backwards; then the call itself, by its primary key. */
static const struct pg_statement flying_statement = PG_STATEMENT("calls_match_flying", match_types,
	WHO_SQL
	"(select x.call_id, x.fits and c.fits and m.user_id is not null as fits, x.rn = $6 as last"
	"  from (select f.call_id, f.project_id, row_number() over (order by f.call_id desc) as rn,"
	"               f.state > 0 and ($8 >> f.state::int) & 1 = 1 as fits"
	"        from call_inflight f where f.org_id = $1 and f.call_id < $4 and f.call_id >= $5"
	"          and (select user_id from who) is not null"
	"        order by f.call_id desc limit $6) x"
	"  left join lateral (select " FITS_SQL " as fits from calls c where x.fits and c.org_id = $1"
	"                      and c.call_id = x.call_id limit 1) c on true"
	MEMBER_SQL
	"  order by x.call_id desc) y"
	"  where fits or last limit $7)");

/* The organization's lanes, by a skip scan as in queue.c, and the newest of each that the
 * caller may see; the newest of call_schedule_pkey and call_inflight_pkey; of all these the
 * newest, each with the call itself by its primary key. One snapshot: a call that moves
 * stands in exactly one of the three, and goes by its id wherever it stands, so a walk of
 * many looks passes over none. */
static const struct pg_statement open_statement = PG_STATEMENT("calls_match_open", match_types,
	WHO_AND_SQL("with recursive", ", lane as ("
	"  (select q.project_id, q.trunk_id, q.prio from call_queue q"
	"   where q.org_id = $1 and (select user_id from who) is not null"
	"   order by q.project_id, q.trunk_id, q.prio limit 1)"
	"  union all"
	"  select n.* from lane l cross join lateral ("
	"    select q.project_id, q.trunk_id, q.prio from call_queue q"
	"    where q.org_id = $1 and (q.project_id, q.trunk_id, q.prio) > (l.project_id, l.trunk_id, l.prio)"
	"    order by q.project_id, q.trunk_id, q.prio limit 1) n),"
	" seen as materialized ("
	"  select l.* from lane l where ($3::text is null or l.project_id = (select project_id from who))"
	"   and (select 1 from project_members m where m.org_id = $1 and m.project_id = l.project_id"
	"        and m.user_id = (select user_id from who) limit 1) is not null)")
	"(select x.call_id, x.fits and c.fits and m.user_id is not null as fits, x.rn = $6 as last"
	"  from (select o.call_id, o.project_id, row_number() over (order by o.call_id desc) as rn,"
	"               ($8 >> o.state::int) & 1 = 1 as fits"
	"        from ((select q.call_id, l.project_id, 0::smallint as state from seen l cross join lateral ("
	"                 select w.call_id from call_queue w where w.org_id = $1 and w.project_id = l.project_id"
	"                   and w.trunk_id = l.trunk_id and w.prio = l.prio and w.call_id < $4 and w.call_id >= $5"
	"                 order by w.call_id desc limit $6) q)"
	"              union all"
	"              (select w.call_id, w.project_id, 0::smallint from call_schedule w where w.org_id = $1"
	"                 and w.call_id < $4 and w.call_id >= $5 and (select user_id from who) is not null"
	"               order by w.call_id desc limit $6)"
	"              union all"
	"              (select f.call_id, f.project_id, f.state from call_inflight f where f.org_id = $1"
	"                 and f.call_id < $4 and f.call_id >= $5 and (select user_id from who) is not null"
	"               order by f.call_id desc limit $6)) o"
	"        order by o.call_id desc limit $6) x"
	"  left join lateral (select " FITS_SQL " as fits from calls c where x.fits and c.org_id = $1"
	"                      and c.call_id = x.call_id limit 1) c on true"
	MEMBER_SQL
	"  order by x.call_id desc) y"
	"  where fits or last limit $7)");

static const struct pg_statement *statement_for(const struct call_filter *f)
{
	if (!f->states || f->states & ~STATES_OPEN)
		return &match_statement;
	return f->states & ~STATES_FLYING ? &open_statement : &flying_statement;
}

static int looked_at(const struct call_filter *f, const struct pg_statement *statement)
{
	if (statement == &open_statement)
		return f->metadata_key[0] ? OPEN_LOOKED_AT_METADATA : OPEN_LOOKED_AT;
	return f->metadata_key[0] ? LOOKED_AT_METADATA : LIST_LOOKED_AT;
}

static void put_bounds(struct pg_args *a, const struct call_filter *f, const struct id *before)
{
	struct id high, low;

	memset(&high, 0xff, sizeof high);
	memset(&low, 0, sizeof low);
	if (f->created_to_ms)
		high = id_floor(f->created_to_ms + ID_SLACK_MS);
	if (before && id_cmp(before, &high) < 0)
		high = *before;
	if (f->created_from_ms > ID_SLACK_MS)
		low = id_floor(f->created_from_ms - ID_SLACK_MS);
	pg_arg_id(a, &high);
	pg_arg_id(a, &low);
}

static const char *or_null(const char *s)
{
	return s[0] ? s : NULL;
}

static void build_args(struct pg_args *a, const struct caller *caller, const struct call_filter *f,
                       const struct id *before, size_t limit, int looks)
{
	pg_arg_int8(a, caller->org);
	pg_arg_bytes(a, caller->hash, sizeof caller->hash);
	pg_arg_text(a, or_null(f->project));
	put_bounds(a, f, before);
	pg_arg_int4(a, looks);
	pg_arg_int4(a, (int32_t)limit + 1);
	pg_arg_int4(a, (int32_t)f->states);
	pg_arg_int2(a, (int16_t)f->reason);
	pg_arg_text(a, or_null(f->from));
	pg_arg_text(a, or_null(f->to));
	pg_arg_us(a, f->created_from_ms * 1000);
	pg_arg_us(a, (f->created_to_ms ? f->created_to_ms : FAR_MS) * 1000);
	pg_arg_text(a, or_null(f->metadata_key));
	pg_arg_text(a, f->metadata_key[0] && f->has_value ? f->metadata_value : NULL);
}

/* Rows after the first, in order; one more than `limit` may fit. */
static void take_rows(const PGresult *r, size_t limit, struct id *ids, size_t *n, struct list_page *page)
{
	int row;

	for (row = 1; row < PQntuples(r) && !page->more; row++) {
		bool fits = pg_get_bool(r, row, 1);

		if (fits && *n == limit) {
			page->more = true;
			page->last = ids[limit - 1];
			return;
		}
		pg_get_id(r, row, 0, &page->last);
		if (fits)
			ids[(*n)++] = page->last;
		page->more = pg_get_bool(r, row, 2);
	}
}

enum err store_calls_match(struct store *s, const struct caller *caller, const struct call_filter *f,
                           const struct id *before, size_t limit, struct id *ids, size_t *n,
                           struct list_page *page, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	const struct pg_statement *statement = statement_for(f);
	enum err err;

	memset(page, 0, sizeof *page);
	*n = 0;
	if (limit == 0 || limit > LIST_MAX)
		return err_set(e, ERR_INTERNAL, "a list of %zu calls", limit);
	build_args(&a, caller, f, before, limit, looked_at(f, statement));
	err = pg_run_read(s, statement, &a, &r, e);
	if (err)
		return err;
	page->outcome = PQntuples(r) > 0 ? READ_FOUND : READ_KEY_UNKNOWN;
	take_rows(r, limit, ids, n, page);
	if (page->outcome == READ_FOUND && pg_get_bool(r, 0, 3))
		keys_used_today(s, caller->org, caller->hash);
	return OK;
}

/* api_keys_pkey. */
static const Oid key_types[] = { OID_INT8, OID_BYTEA };
static const struct pg_statement key_statement = PG_STATEMENT("key_check", key_types,
	"select 1 from api_keys k where k.org_id = $1 and k.key_hash = $2 and k.revoked_at is null"
	" and (k.expires_at is null or k.expires_at > now())");

enum err store_key_check(struct store *s, const struct caller *caller, bool *known, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int8(&a, caller->org);
	pg_arg_bytes(&a, caller->hash, sizeof caller->hash);
	err = pg_run_read(s, &key_statement, &a, &r, e);
	if (!err)
		*known = PQntuples(r) > 0;
	return err;
}

/* ── with the records ─────────────────────────────────────────────────────────── */

static bool still_fits(const struct call_read *item, const struct call_filter *f)
{
	return item->outcome == READ_FOUND && (!f->states || f->states & STATE_BIT(item->call.state));
}

/* A call that moved on between the two looks is left out, as it would be of the next list. */
static void keep_fitting(struct call_read *items, size_t *n, const struct call_filter *f)
{
	size_t i, kept = 0;

	for (i = 0; i < *n; i++) {
		if (still_fits(&items[i], f))
			items[kept++] = items[i];
		else if (items[i].outcome == READ_FOUND)
			call_record_done(&items[i].call);
	}
	*n = kept;
}

enum err store_calls_list(struct store *s, const struct caller *caller, const struct call_filter *f,
                          const struct id *before, size_t limit, struct call_read *items, size_t *n,
                          struct list_page *page, struct errinfo *e)
{
	struct call_read *batch[READ_BATCH_MAX];
	struct id ids[READ_BATCH_MAX];
	enum err err;
	size_t i;

	*n = 0;
	if (limit > READ_BATCH_MAX)
		return err_set(e, ERR_INTERNAL, "a list of %zu records", limit);
	err = store_calls_match(s, caller, f, before, limit, ids, n, page, e);
	if (err || *n == 0)
		return err;
	for (i = 0; i < *n; i++) {
		items[i] = (struct call_read){ .key_org = caller->org, .call_id = ids[i] };
		memcpy(items[i].key_hash, caller->hash, sizeof caller->hash);
		batch[i] = &items[i];
	}
	err = store_calls_read(s, batch, *n, e);
	if (err)
		*n = 0;
	else
		keep_fitting(items, n, f);
	return err;
}
