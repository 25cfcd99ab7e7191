/* The questions of `callgate doctor`. A check of the tenants' data is a row: a query that
 * gives one row of text for each thing that is wrong, the words for when there is none,
 * and how bad it is. It reads only. */
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

struct look {
	const char        *check;
	enum finding_level level;
	const char        *well;
	struct pg_statement statement;
};

/* Text rows of a query, one more than is shown; $1 are the drivers, whether it asks or not. */
static const Oid look_types[] = { OID_TEXT_ARRAY };
#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)
#define LOOK(name, sql) PG_STATEMENT("doctor_" name, look_types, \
	"select * from (" sql ") q(line) where $1::text[] is not null limit 1 + " STRINGIFY(SHOWN_PER_CHECK))

#define PER_ORG " from organizations o "
static const struct look looks[] = {
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
	  " where p.rate_mc > 0 and a.balance_mc - a.held_mc <= 0") },
	{ "credits", FINDING_FAIL, "every balance is the sum of its ledger",
	  LOOK("ledgers",
	  "select format('%s / %s: the balance is %s and its ledger sums to %s (milli-cents); keep both for whoever looks',"
	  "  o.name, a.name, a.balance_mc, l.sum)"
	  PER_ORG "join credit_accounts a using (org_id), lateral (select coalesce(sum(amount_mc), 0) as sum"
	  "  from credit_ledger l where l.org_id = a.org_id and l.account_id = a.account_id) l"
	  " where a.balance_mc <> l.sum") },
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

static enum err examine_partitions(struct store *s, const struct finding_listener *l, struct errinfo *e)
{
	static const char sql[] =
		"select coalesce(min(days), -1) from (values ('calls'), ('call_events')) v(parent), lateral ("
		" select max(to_date(right(c.relname, 8), 'YYYYMMDD')) - current_date as days from pg_inherits i"
		" join pg_class c on c.oid = i.inhrelid where i.inhparent = parent::regclass and c.relname ~ '_p[0-9]{8}$') d";
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err = pg_exec(s, sql, &r, e);
	int days;

	if (err)
		return err;
	days = atoi(PQgetvalue(r, 0, 0));
	if (days < 1)
		found(l, FINDING_FAIL, "partitions", "none for tomorrow: run `callgate migrate`, and see why no gateway made them");
	else
		found(l, days < PARTITION_DAYS_WANTED ? FINDING_WARN : FINDING_OK, "partitions", "%d days ahead", days);
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
	enum err err = run_look(s, look, drivers, n_drivers, &r, e);

	if (err)
		return err;
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

enum err store_examine(struct store *s, const char *const *drivers, size_t n_drivers, const struct finding_listener *l,
                       struct errinfo *e)
{
	struct errinfo words;
	int version;
	enum err err = store_connect(s, e);

	if (err)
		return err;
	examine_server(s, l);
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
