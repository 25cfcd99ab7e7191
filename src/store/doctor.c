/* The questions of `callgate doctor`. A check of the tenants' data is a row: a query that
 * gives one row of text for each thing that is wrong, the words for when there is none,
 * and how bad it is. It reads only.
 *
 * It may be asked while gateways work: each query sees one moment, so what it finds was so.
 * Living calls are found in the three small tables they stand in, never by reading the
 * calls of months; what a query needs of `calls` it probes for (lateral with a limit, which
 * the planner cannot turn into a scan). Each takes at most as long as any statement may. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "callgate/mem.h"
#include "callgate/store_admin.h"
#include "pg.h"

#define VERSION_WANTED 150000
#define OFFSET_WARN_MS 1000
#define PARTITION_DAYS_WANTED 2
#define SHOWN_PER_CHECK 20

/* Past it adding a ledger up would keep the disk busy for no good. */
#define LEDGER_MAX_BYTES (INT64_C(1) << 30)

struct look {
	const char        *check;
	enum finding_level level;
	const char        *well;
	struct pg_statement statement;
	const char        *big;         /* a table that may be too large to be read whole; or NULL */
};

/* Text rows of a query, one more than is shown; $1 are the drivers, whether it asks or not. */
static const Oid look_types[] = { OID_TEXT_ARRAY };
#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)
#define LOOK(name, sql) PG_STATEMENT("doctor_" name, look_types, \
	"select * from (" sql ") q(line) where $1::text[] is not null limit 1 + " STRINGIFY(SHOWN_PER_CHECK))

#define PER_ORG " from organizations o "

#define LIVING "with living as (select 'call_queue' as place, org_id, call_id from call_queue" \
	" union all select 'call_schedule', org_id, call_id from call_schedule" \
	" union all select 'call_inflight', org_id, call_id from call_inflight)"
/* The call of a row `x`, or nulls. */
#define ITS_CALL(x) " left join lateral (select c.* from calls c where c.org_id = " x ".org_id" \
	" and c.call_id = " x ".call_id limit 1) c on true "

static const struct look looks[] = {
	{ "gateways", FINDING_FAIL, "no call is past its bound",
	  LOOK("bounds",
	  "select format('%s calls are past their bound by up to %s: %s', count(*),"
	  "  date_trunc('second', clock_timestamp() - min(f.deadline_at)), case when bool_or(g.gateway_id is not null)"
	  "  then format('see the log of gateway %s (%s)', f.gateway_id, min(g.name))"
	  "  else format('their gateway %s is gone; start one (`callgate serve`), it finds out what became of them',"
	  "  f.gateway_id) end)"
	  " from call_inflight f left join gateways g on g.gateway_id = f.gateway_id and g.expires_at > clock_timestamp()"
	  " where f.deadline_at < clock_timestamp() - case when g.gateway_id is null then interval '10 seconds'"
	  "  else interval '1 minute' end group by f.gateway_id") },
	{ "calls", FINDING_FAIL, "every call that waits or is in flight has its record",
	  LOOK("queue",
	  LIVING "select format('organization %s: call %s %s, and is still in %s; take it out (no gateway running):"
	  " delete from %s where org_id = %s and call_id = %L', v.org_id, v.call_id,"
	  "  case when c.call_id is null then 'does not exist' else 'has ended' end, v.place, v.place, v.org_id, v.call_id)"
	  " from living v" ITS_CALL("v") "where c.call_id is null or c.ended_at is not null") },
	{ "calls", FINDING_FAIL, "every destination that is locked has a call that lives",
	  LOOK("locks",
	  LIVING ", orphan as materialized (select l.org_id, l.call_id from destination_locks l"
	  "  where not exists (select from living v where v.org_id = l.org_id and v.call_id = l.call_id)"
	  "  limit 1 + " STRINGIFY(SHOWN_PER_CHECK) ")"
	  " select format('organization %s: a number is busy for call %s, which %s', r.org_id, r.call_id, case"
	  "  when c.call_id is not null and c.ended_at is null"
	  "  then 'has not ended and waits nowhere: nobody will end it; keep its record for whoever looks'"
	  "  else format('%s; set it free: delete from destination_locks where org_id = %s and call_id = %L', case"
	  "   when c.call_id is null then 'does not exist' else 'has ended' end, r.org_id, r.call_id) end)"
	  " from orphan r" ITS_CALL("r")) },
	{ "gateways", FINDING_WARN, "no lease has run out",
	  LOOK("leases",
	  "select format('gateway %s (%s) has not renewed its lease for %s; if nobody takes over, no gateway is running',"
	  "  gateway_id, name, date_trunc('second', clock_timestamp() - expires_at))"
	  " from gateways where expires_at < clock_timestamp()") },
	{ "tenants", FINDING_WARN, "there are organizations",
	  LOOK("organizations",
	  "select 'there is no organization yet: run `callgate apply FILE`' where not exists (select from organizations)") },
	{ "keys", FINDING_WARN, "every organization has a key",
	  LOOK("keys",
	  "select format('%s: no key that is good; make one with `callgate key create --org %s --user EMAIL`', o.name, o.name)"
	  PER_ORG "where not exists (select from api_keys k where k.org_id = o.org_id and k.revoked_at is null"
	  "  and (k.expires_at is null or k.expires_at > now()))") },
	{ "trunks", FINDING_FAIL, "every trunk has a driver of this program",
	  LOOK("drivers",
	  "select format('%s / %s: this program has no driver ''%s'', only %s; correct the trunk''s driver', o.name, t.name,"
	  "  t.driver, array_to_string($1, ', '))"
	  PER_ORG "join trunks t using (org_id) where t.driver <> all($1)") },
	{ "trunks", FINDING_WARN, "every trunk may be used",
	  LOOK("trunks",
	  "select format('%s / %s: %s, so its calls wait', o.name, t.name, case when not t.enabled then 'switched off'"
	  "  when t.cps_milli = 0 then 'callsPerSecond is 0' else 'maxConcurrent is 0' end)"
	  PER_ORG "join trunks t using (org_id) where not t.enabled or t.cps_milli = 0 or t.max_concurrent = 0") },
	{ "numbers", FINDING_WARN, "every active number has a trunk and a pool",
	  LOOK("numbers",
	  "select format('%s / …%s: %s', o.name, right(n.e164, 4), case when n.trunk_id is null"
	  "  then 'no trunk, so nobody can call from it' else 'in no pool, so nobody may call from it' end)"
	  PER_ORG "join phone_numbers n using (org_id) where n.status = 'active' and n.outbound and (n.trunk_id is null"
	  "  or not exists (select from pool_numbers p where p.org_id = n.org_id and p.e164 = n.e164))") },
	{ "projects", FINDING_WARN, "every organization has a project",
	  LOOK("organizations_projects",
	  "select format('%s: no project, so nobody can call', o.name)"
	  PER_ORG "where not exists (select from projects p where p.org_id = o.org_id)") },
	{ "projects", FINDING_WARN, "every project has a member who may call from a number",
	  LOOK("projects",
	  "select format('%s / %s: %s', o.name, p.public_id, case when not exists"
	  "  (select from project_members m where m.org_id = p.org_id and m.project_id = p.project_id)"
	  "  then 'no members' else 'no member is in a pool that has an active number with a trunk' end)"
	  PER_ORG "join projects p using (org_id) where not exists (select from project_members m"
	  "  join pool_members pm on pm.org_id = m.org_id and pm.user_id = m.user_id"
	  "  join pool_numbers pn on pn.org_id = pm.org_id and pn.pool_id = pm.pool_id"
	  "  join phone_numbers n on n.org_id = pn.org_id and n.e164 = pn.e164 and n.status = 'active' and n.outbound"
	  "    and n.trunk_id is not null"
	  "  where m.org_id = p.org_id and m.project_id = p.project_id)") },
	{ "credits", FINDING_WARN, "every project that costs something has credits",
	  LOOK("credits",
	  "select format('%s / %s: account ''%s'' has nothing left', o.name, p.public_id, a.name)"
	  PER_ORG "join projects p using (org_id) join credit_accounts a using (org_id, account_id)"
	  " where (p.rate_mc > 0 or exists (select from rates r where r.org_id = p.org_id and r.rate_mc > 0))"
	  "  and a.balance_mc - a.held_mc <= 0") },
	{ "credits", FINDING_WARN, "every project without an account of its own draws on its organization's default",
	  LOOK("default_accounts",
	  "select format('%s / %s: has no account of its own and draws on ''%s'', not on the organization''s default; set it"
	  " right with `callgate apply` and a document that has \"account\": null in this project', o.name, p.public_id, a.name)"
	  PER_ORG "join projects p using (org_id) join credit_accounts a using (org_id, account_id)"
	  " where not p.own_account and p.account_id is distinct from o.default_account") },
	{ "credits", FINDING_FAIL, "what is held is what the living calls hold",
	  LOOK("holds",
	  LIVING ", held as (select v.org_id, c.account_id, sum(c.hold_mc) as mc from living v" ITS_CALL("v")
	  "  where c.ended_at is null group by 1, 2)"
	  " select format('%s / %s: %s are held and its living calls hold %s (milli-cents); correct it (no gateway running):"
	  " update credit_accounts set held_mc = %s where org_id = %s and account_id = %s', o.name, a.name, a.held_mc,"
	  "  coalesce(h.mc, 0), coalesce(h.mc, 0), a.org_id, a.account_id)"
	  PER_ORG "join credit_accounts a using (org_id) left join held h using (org_id, account_id)"
	  " where a.held_mc <> coalesce(h.mc, 0)") },
	{ "credits", FINDING_FAIL, "every balance is the sum of its ledger",
	  LOOK("ledgers",
	  "select format('%s / %s: the balance is %s and its ledger sums to %s (milli-cents); note both down for whoever looks,"
	  " then let the ledger count (no gateway running): update credit_accounts set balance_mc = %s where org_id = %s and"
	  " account_id = %s', o.name, a.name, a.balance_mc, coalesce(l.sum, 0), coalesce(l.sum, 0), a.org_id, a.account_id)"
	  PER_ORG "join credit_accounts a using (org_id) left join (select org_id, account_id, sum(amount_mc) as sum"
	  "  from credit_ledger group by 1, 2) l using (org_id, account_id)"
	  " where a.balance_mc <> coalesce(l.sum, 0)"), "credit_ledger" },
	/* One webhook lost is no harm, all of them lost is a setting that is wrong. */
	{ "webhooks", FINDING_WARN, "they arrive where calls are made over LiveKit",
	  LOOK("webhooks",
	  "select format('%s: no webhook came about any of its last %s answered calls over LiveKit. Calls end truthfully"
	  " without, but later: see that webhook.urls in LiveKit''s settings leads to /v1/providers/livekit/webhook of this"
	  " gateway, and that webhook.api_key is the key given here', o.name, r.n)"
	  PER_ORG "cross join lateral (select count(*) as n, count(*) filter (where exists (select from provider_events e"
	  "  where e.org_id = c.org_id and e.call_id = c.call_id)) as told from (select c.org_id, c.call_id, c.trunk_id,"
	  "   c.answered_at from calls c where c.org_id = o.org_id and c.call_id >= uuid7_floor(now() - interval '1 day')"
	  "   and c.ended_at is not null order by c.call_id desc limit 1000) c"
	  "  join trunks t on t.org_id = c.org_id and t.trunk_id = c.trunk_id and t.driver = 'livekit'"
	  "  where c.answered_at is not null) r"
	  " where r.n > 0 and r.told = 0") },
};

__attribute__((format(printf, 4, 5)))
static void found(const struct finding_listener *l, enum finding_level level, const char *check, const char *fmt, ...)
{
	char text[600];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	l->found(l->arg, level, check, text);
}

static void examine_server(struct store *s, const struct finding_listener *l)
{
	int version = PQserverVersion(s->pg);
	int64_t offset = store_clock_offset_ms(s);

	found(l, version < VERSION_WANTED ? FINDING_WARN : FINDING_OK, "database", "PostgreSQL %d.%d%s", version / 10000,
	      version % 10000, version < VERSION_WANTED ? " answers; callgate is tested with 15 and later" : " answers");
	found(l, llabs(offset) > OFFSET_WARN_MS ? FINDING_WARN : FINDING_OK, "clock",
	      "the database's clock is %" PRId64 " ms %s ours%s", (int64_t)llabs(offset), offset < 0 ? "behind" : "ahead of",
	      llabs(offset) > OFFSET_WARN_MS ? "; let NTP keep both" : "");
}

/* With one of these off, what was committed can be gone after a crash: then "accepted means
 * kept" is not true. */
static enum err examine_durability(struct store *s, const struct finding_listener *l, struct errinfo *e)
{
	static const char sql[] =
		"select coalesce(string_agg(name, ', ' order by name), '') from pg_settings where reset_val = 'off'"
		" and name in ('fsync', 'full_page_writes', 'synchronous_commit')";
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err = pg_exec(s, sql, &r, e);
	const char *off;

	if (err)
		return err;
	off = PQgetvalue(r, 0, 0);
	if (*off)
		found(l, FINDING_WARN, "durability", "off in PostgreSQL: %s; calls that were accepted can be lost when the server or"
		      " its machine crashes. Switch it on, for the server and for this database and user", off);
	else
		found(l, FINDING_OK, "durability", "what is committed survives a crash");
	return OK;
}

/* A call of a day that has no partition cannot be kept. */
static enum err examine_partitions(struct store *s, const struct finding_listener *l, struct errinfo *e)
{
	static const char sql[] =
		"with there as (select i.inhparent::regclass::text as parent, to_date(right(c.relname, 8), 'YYYYMMDD') as day"
		"  from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent in ('calls'::regclass,"
		"  'call_events'::regclass) and c.relname ~ '_p[0-9]{8}$')"
		" select (select min(days) from (values ('calls'), ('call_events')) v(parent), lateral (select"
		"   coalesce(max(day) - current_date, -1) as days from there where there.parent = v.parent) d),"
		"  (select string_agg(format('%s %s', v.parent, day), ', ' order by day, v.parent) from"
		"   (values ('calls'), ('call_events')) v(parent), (values (current_date), (current_date + 1)) d(day)"
		"   where not exists (select from there where there.parent = v.parent and there.day = d.day))";
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err = pg_exec(s, sql, &r, e);
	int days;

	if (err)
		return err;
	days = atoi(PQgetvalue(r, 0, 0));
	if (!PQgetisnull(r, 0, 1))
		found(l, FINDING_FAIL, "partitions", "missing: %s; calls of such a day are refused. Run `callgate migrate`, and see"
		      " why no gateway made them", PQgetvalue(r, 0, 1));
	else
		found(l, days < PARTITION_DAYS_WANTED ? FINDING_WARN : FINDING_OK, "partitions", "%d days ahead", days);
	return OK;
}

static enum err too_big(struct store *s, const struct look *look, const struct finding_listener *l, bool *big,
                        struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	char sql[128];
	int64_t bytes;
	enum err err;

	*big = false;
	if (!look->big)
		return OK;
	snprintf(sql, sizeof sql, "select pg_relation_size('%s')", look->big);
	err = pg_exec(s, sql, &r, e);
	if (err)
		return err;
	bytes = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	*big = bytes > LEDGER_MAX_BYTES;
	if (*big)
		found(l, FINDING_SKIP, look->check, "not looked at, whether %s: %s is too large to be added up (%" PRId64 " MiB)",
		      look->well, look->big, bytes >> 20);
	return OK;
}

static enum err run_look(struct store *s, const struct look *look, const char *const *drivers, size_t n_drivers,
                         PGresult **out, struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	size_t i;

	PG_COLUMN(&a, OID_TEXT, n_drivers, pg_put_text(&a, drivers[i]));
	return pg_run(s, &look->statement, &a, out, e);
}

static enum err take_look(struct store *s, const struct look *look, const char *const *drivers, size_t n_drivers,
                          const struct finding_listener *l, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	bool big;
	enum err err = too_big(s, look, l, &big, e);

	if (!err && !big)
		err = run_look(s, look, drivers, n_drivers, &r, e);
	if (err == ERR_CONFLICT)        /* it took too long, or waited too long for a lock */
		found(l, FINDING_SKIP, look->check, "not looked at, whether %s: %s", look->well, e->text);
	if (err || big)
		return err == ERR_CONFLICT ? OK : err;
	for (int i = 0; i < PQntuples(r); i++) {
		if (i == SHOWN_PER_CHECK)
			found(l, look->level, look->check, "… and more of the same");
		else
			found(l, look->level, look->check, "%s", pg_get_text(r, i, 0));
	}
	if (PQntuples(r) == 0)
		found(l, FINDING_OK, look->check, "%s", look->well);
	return OK;
}

/* Whole tables are read here, so a gateway's plans, all of them probes, are not wanted. Without
 * statistics the planner takes a full table for an empty one and would loop over it for each
 * row; what is to be probed (lateral) still is. */
static const char manners[] =
	"set default_transaction_read_only = on; set enable_seqscan = on; set enable_bitmapscan = on;"
	"set enable_nestloop = off; set plan_cache_mode = force_custom_plan";

enum err store_examine(struct store *s, const char *const *drivers, size_t n_drivers, const struct finding_listener *l,
                       struct errinfo *e)
{
	struct errinfo words;
	int version;
	enum err err = pg_exec(s, manners, NULL, e);

	if (err)
		return err;
	examine_server(s, l);
	err = examine_durability(s, l, e);
	if (err)
		return err;
	err = store_schema_check(s, &version, &words);
	if (err) {
		found(l, FINDING_FAIL, "schema", "%s", words.text);
		return OK;      /* nothing below it can be asked */
	}
	found(l, FINDING_OK, "schema", "version %d, the one this program works with", version);
	err = examine_partitions(s, l, e);
	for (size_t i = 0; !err && i < ARRAY_LEN(looks); i++)
		err = take_look(s, &looks[i], drivers, n_drivers, l, e);
	return err;
}

/* ── trunks, for whoever asks a provider about them ─────────────────────────────── */

enum err store_trunks_of(struct store *s, const char *driver, size_t max, struct trunk_row **out, size_t *n,
                         struct errinfo *e)
{
	static const Oid types[] = { OID_TEXT, OID_INT8 };
	static const struct pg_statement statement = PG_STATEMENT("doctor_trunks_of", types,
		"select o.name, t.name, t.provider_ref, t.config::text, coalesce((select string_agg(p.e164, ' ' order by p.e164)"
		"  from (select e164 from phone_numbers n where n.org_id = t.org_id and n.trunk_id = t.trunk_id"
		"   and n.status = 'active' and n.outbound order by e164 limit 1000) p), '')"
		" from organizations o join trunks t using (org_id) where t.driver = $1 and t.enabled order by 1, 2 limit $2");
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err;

	pg_arg_text(&a, driver);
	pg_arg_int8(&a, (int64_t)max);
	err = pg_run(s, &statement, &a, &r, e);
	if (err)
		return err;
	*n = (size_t)PQntuples(r);
	*out = xcalloc(*n + 1, sizeof **out);
	for (int i = 0; i < PQntuples(r); i++)
		(*out)[i] = (struct trunk_row){
			.org = pg_dup_text(r, i, 0), .name = pg_dup_text(r, i, 1), .ref = pg_dup_text(r, i, 2),
			.config = pg_dup_text(r, i, 3), .numbers = pg_dup_text(r, i, 4),
		};
	return OK;
}

void trunk_rows_free(struct trunk_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(rows[i].org);
		free(rows[i].name);
		free(rows[i].ref);
		free(rows[i].config);
		free(rows[i].numbers);
	}
	free(rows);
}
