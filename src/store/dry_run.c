/* Asking about a call without making it: the rules of admission (admit_rules.h), all of them
 * at once, without a lock and without a row. What it finds was so at one moment. */
#include <stdlib.h>
#include <string.h>

#include "admit_rules.h"
#include "blocked.h"
#include "callgate/text.h"
#include "keys_used.h"

/* Calls of its own or a higher class that wait for its trunk: a range of call_queue_pkey for
 * each project (projects_pkey) and class, ended by the bound. */
#define WAITING_MAX "10000"
#define WAITING_SQL \
	"(select count(*) from (select 1 from projects q cross join generate_series(0, i.prio) pr" \
	"  cross join lateral (select 1 from call_queue w where w.org_id = i.org_id and w.project_id = q.project_id" \
	"   and w.trunk_id = i.trunk_id and w.prio = pr limit " WAITING_MAX ") w" \
	"  where q.org_id = i.org_id limit " WAITING_MAX ") waiting)"

/* A rule as the bit of its outcome; bit 0 stands for nothing. */
#define BIT_OF(given, rule) " | (1 << case when " given " and " rule " else 0 end)"

static const Oid dry_types[] = { CONTEXT_TYPES, OID_TEXT, OID_TIMESTAMPTZ, OID_BOOL };
static const struct pg_statement dry_statement = PG_STATEMENT("dry_run", dry_types,
	"with x as materialized ("
	"  select c.o as org_id, c.prio, n.trunk_id, p.account_id, m.user_id is not null as member, k.test," CONTEXT_PRICE_SQL ","
	"         " SCOPE_SQL("$10") ", t.name, t.cps_milli, n.trunk_id is not null as places,"
	"         case when m.user_id is not null then "
	          BLOCKED_SQL("c.o", "p.project_id", "case when k.test then 0 else n.trunk_id end") " else 0 end as blocked,"
	"         case when $9 > now() then $9 end as due, case when " REFUSED_KEY " else 0 end as no_key, 0"
	          BIT_OF("c.pj is not null", REFUSED_PROJECT) BIT_OF("m.user_id is not null", REFUSED_LENGTH)
	          BIT_OF("c.f is not null", REFUSED_NUMBER) BIT_OF("n.e164 is not null", REFUSED_POOL)
	          BIT_OF("n.e164 is not null", REFUSED_INACTIVE) BIT_OF("n.e164 is not null", REFUSED_TRUNK) " as refused,"
	"         k.user_id is not null and k.last_used_on is distinct from current_date as unused_today"
	"  from " CONTEXT_SQL "),"
	" i as materialized ("
	"  select org_id, account_id, prio, trunk_id, member, test, ring_timeout_s, max_duration_s, name, cps_milli, places, blocked, due,"
	"         no_key, refused, unused_today, coalesce(rate[1], rate_mc) as rate_mc,"
	"         coalesce(rate[2], increment_s)::int as increment_s, coalesce(rate[3], minimum_s)::int as minimum_s,"
	"         coalesce(rate[4], hold_mc) as hold_mc, left($8, rate[5]::int) as prefix,"
	"         case when due is null then " TAKEN_SQL("$8", "x.scope") " end as taken"
	"  from (select x.*, " RATE_SQL("x.longest", "x.org_id", "$8", "coalesce(x.hold_s, x.max_duration_s)") " as rate"
	"        from x offset 0) x)"
	" select case when i.no_key <> 0 then 1 << i.no_key else i.refused"
	          BIT_OF("i.member and i.rate_mc > 0", REFUSED_CREDITS) BIT_OF("true", REFUSED_BUSY) " end,"
	"        case when not i.test then i.name end, i.no_key = 0 and i.member and $8 is not null, i.ring_timeout_s::int,"
	"        i.max_duration_s::int, i.rate_mc, i.hold_mc, i.increment_s, i.minimum_s, i.prefix,"
	"        case when i.blocked > 0 then null when i.test then coalesce(i.due, now()) when i.places then greatest(i.due, now() + " WAITING_SQL
	"          * 1000000 / i.cps_milli * interval '1 ms') end, i.unused_today, i.blocked"
	" from i left join lateral (select a.balance_mc - a.held_mc as free_mc from credit_accounts a"
	"  where a.org_id = i.org_id and a.account_id = i.account_id limit 1) a on true");

void dry_run_done(struct dry_run *d)
{
	free(d->trunk);
	memset(d, 0, sizeof *d);
}

static void build_args(struct pg_args *a, const struct admission *rq, const struct admit_rules *rules)
{
	size_t i;

	PG_COLUMN(a, OID_INT8, 1, pg_put_int8(a, rq->key_org));
	PG_COLUMN(a, OID_BYTEA, 1, pg_put_bytes(a, rq->key_hash, SHA256_SIZE));
	PG_COLUMN(a, OID_TEXT, 1, pg_put_text(a, rq->project));
	PG_COLUMN(a, OID_TEXT, 1, pg_put_text(a, rq->from));
	PG_COLUMN(a, OID_INT4, 1, pg_put_int4(a, rq->ring_timeout_s));
	PG_COLUMN(a, OID_INT4, 1, pg_put_int4(a, rq->max_duration_s));
	PG_COLUMN(a, OID_INT2, 1, pg_put_int2(a, rq->prio));
	pg_arg_text(a, rq->to);
	pg_arg_ms(a, rq->scheduled_ms);
	pg_arg_bool(a, rules->lock_per_org);
}

static void read_refusals(struct dry_run *out, int bits)
{
	static const enum admit_outcome order[] = {
		ADMIT_KEY_UNKNOWN, ADMIT_PROJECT_DENIED, ADMIT_TOO_LONG, ADMIT_NUMBER_UNKNOWN, ADMIT_POOL_DENIED,
		ADMIT_NUMBER_INACTIVE, ADMIT_NO_TRUNK, ADMIT_NO_CREDITS, ADMIT_BUSY,
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(order); i++)
		if (bits >> order[i] & 1)
			out->refusals[out->n_refusals++] = order[i];
}

static void read_answer(const PGresult *r, struct dry_run *out)
{
	memset(out, 0, sizeof *out);
	read_refusals(out, pg_get_int4(r, 0, 0));
	out->priced = pg_get_bool(r, 0, 2);
	if (out->priced) {
		out->ring_timeout_s = pg_get_int4(r, 0, 3);
		out->max_duration_s = pg_get_int4(r, 0, 4);
		out->rate_mc = pg_get_int8(r, 0, 5);
		out->hold_mc = pg_get_int8(r, 0, 6);
		out->increment_s = pg_get_int4(r, 0, 7);
		out->minimum_s = pg_get_int4(r, 0, 8);
		str_copy(out->rate_prefix, sizeof out->rate_prefix, pg_null(r, 0, 9) ? "" : pg_get_text(r, 0, 9));
	}
	if (out->n_refusals == 1 && out->refusals[0] == ADMIT_KEY_UNKNOWN)
		return;
	out->trunk = pg_dup_text(r, 0, 1);
	out->earliest_ms = pg_get_ms(r, 0, 10);
	out->blocked = (enum call_wait)pg_get_int4(r, 0, 12);
}

enum err store_dry_run(struct store *s, const struct admission *rq, const struct admit_rules *rules, struct dry_run *out,
                       struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	build_args(&a, rq, rules);
	err = pg_run_read(s, &dry_statement, &a, &r, e);
	if (err)
		return err;
	read_answer(r, out);
	if (pg_get_bool(r, 0, 11))
		keys_used_today(s, rq->key_org, rq->key_hash);
	return OK;
}
