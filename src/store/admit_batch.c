/* The statement that admits: every rule, set-based, in one commit.
 *
 * Requests that arrive together mostly share key, project and number; what those three
 * decide is worked out once per batch (a "context"), and only the destination, the money
 * and the rows themselves are per call. What few requests have (metadata, a time, a key) is
 * in a second form of the statement: merely to open the tables it writes costs a tenth of a
 * millisecond, which batches without such requests are spared. Look-ups that only some items need are
 * subqueries inside a CASE, which cost nothing where they are not reached.
 *
 * Locks are taken in one order everywhere, accounts, keys, destinations, and each sorted,
 * so committers cannot deadlock with one another or with the end of calls (end.c). The
 * account rows are locked before the balance is read: two batches can never both spend
 * the last of it. A key that another batch is just writing is waited for; it has then been
 * used, by a row that this statement cannot see, and the item goes to the next round. So does
 * one whose key was used long ago: only from the second round on ($14) are they asked for beforehand, for
 * most keys are new and their insert finds out by itself. It is otherwise where no insert would follow:
 * a call that was accepted must be told of, though provisioning has changed since. */
#include "admit_batch.h"

#include <string.h>

#include "admit_rules.h"
#include "keys_used.h"

#define PLAIN(sql) ""
#define FULL(sql) sql

/* Indexes: those of the context; per item, where it applies, rates_pkey,
 * idempotency_keys_pkey, destination_locks_pkey and call_schedule_line. The rest is inserts. */
#define ADMIT_SQL(X) \
	"with ctx as materialized (" \
	"  select c.ix::int, c.o as org_id, c.prio, k.user_id, k.test, p.project_id, p.account_id," CONTEXT_PRICE_SQL "," \
	"         case when k.test then 0 else n.trunk_id end as trunk_id, c.f as from_e164," \
	"         case when k.test then null else t.name end as trunk_name," \
	"         case when k.test then 'simulator' else t.driver end as driver," \
	"         " SCOPE_SQL("$13") "," \
	"         case when " REFUSED_KEY " when " REFUSED_PROJECT " when " REFUSED_LENGTH " when " REFUSED_NUMBER \
	"              when " REFUSED_POOL " when " REFUSED_INACTIVE " when " REFUSED_TRUNK " else 0 end as refusal," \
	"         k.last_used_on is distinct from current_date as unused_today" \
	"  from " CONTEXT_SQL ")," \
	" acct as materialized (" \
	"  select a.org_id, a.account_id, a.balance_mc - a.held_mc as free_mc" \
	"  from (select distinct org_id, account_id from ctx where refusal = 0 and (rate_mc > 0 or longest is not null)) x" \
	"  join credit_accounts a on" PROBE("a.org_id", "x.org_id", "a.account_id", "x.account_id") \
	"  order by a.org_id, a.account_id for update of a)," \
	" item as materialized (" \
	"  select i.*, case " X("when i.refusal in (1, 3) then i.refusal when i.known then -2" \
	"              when i.until <= now() then 2") \
	"              when i.refusal <> 0 then i.refusal" \
	"              when i.rate_mc = 0 then 0" \
	"              when " REFUSED_CREDITS \
	"              when " REFUSED_BUSY \
	"              when sum(case when i.refusal = 0 and i.hold_mc <= a.free_mc and i.taken is null" \
	"                            " X("and i.known is null") " then i.hold_mc end)" \
	"                   over (partition by i.org_id, i.account_id order by i.ix) > a.free_mc then -1" \
	"              else 0 end as verdict" \
	"  from (select i.*, coalesce(rate[1], own_rate_mc) as rate_mc, coalesce(rate[2], own_increment_s) as increment_s," \
	"               coalesce(rate[3], own_minimum_s) as minimum_s, coalesce(rate[4], own_hold_mc) as hold_mc" \
	"        from (select i.ix, i.call_id, i.dest, i.vars, i.rq, x.org_id, x.user_id, x.project_id, x.account_id, x.trunk_id," \
	"                     x.trunk_name, x.driver, x.prio, x.ring_timeout_s, x.max_duration_s, x.from_e164, x.scope," \
	"                     x.unused_today, x.refusal, x.rate_mc as own_rate_mc, x.increment_s as own_increment_s," \
	"                     x.minimum_s as own_minimum_s, x.hold_mc as own_hold_mc, " \
	                      RATE_SQL("x.longest", "x.org_id", "i.dest", "coalesce(x.hold_s, x.max_duration_s)") " as rate," \
	"                     case when $14 " X("and (i.due > now()) is not true") \
	"                      then " TAKEN_SQL("i.dest", "x.scope") " end as taken" \
	                      X(", x.test, i.meta, i.key, i.print, case when i.due > now() then i.due end as due," \
	"                     coalesce(i.until, case when i.due > now() then i.due + $20 * interval '1 s' end) as until," \
	"                     case when i.key is not null and ($14 or i.until <= now() or x.refusal in (5, 6, 10))" \
	"                      then (select true from idempotency_keys d where d.org_id = x.org_id and d.user_id = x.user_id" \
	"                            and d.test = x.test and d.key = i.key limit 1) end as known") \
	"              from unnest($8::int[], $9::uuid[], $10::text[], $11::text[], $12::text[]" \
	                     X(", $15::text[], $16::timestamptz[], $17::timestamptz[], $18::bytea[], $19::bytea[]") ")" \
	"                   with ordinality i(cx, call_id, dest, vars, rq" X(", meta, due, until, key, print") ", ix)" \
	"              join ctx x on x.ix = i.cx offset 0) i) i" \
	"  left join acct a on a.org_id = i.org_id and a.account_id = i.account_id)," \
	X(" keyed as (" \
	"  insert into idempotency_keys (org_id, user_id, test, key, print, call_id, counts_from)" \
	"  select org_id, user_id, test, key, print, call_id, coalesce(due, now()) from item" \
	"  where key is not null and verdict in (0, 4, 7, 8, 9) order by org_id, user_id, test, key, ix" \
	"  on conflict do nothing returning call_id),") \
	/* The count() lets no destination be locked before all keys are. */ \
	" locked as (" \
	"  insert into destination_locks (dest, scope, org_id, call_id)" \
	"  select dest, scope, org_id, call_id from item where verdict = 0" \
	"   and " WAITED_FOR_SQL("item.dest", "item.scope") " is null" \
	      X(" and due is null and (key is null or call_id in (select call_id from keyed))" \
	"       and (select count(*) from keyed) >= 0") \
	"  order by dest, scope, ix on conflict do nothing returning call_id)," \
	" kept as materialized (select item.* from item where verdict = 0 and case " \
	      X("when due is not null then key is null or call_id in (select call_id from keyed)") \
	"     when true then call_id in (select call_id from locked) end)," \
	" c as (insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s," \
	"                         max_duration_s, rate_mc, hold_mc, lock_scope, from_e164, to_e164, variables, request_id, prio," \
	"                         increment_s, minimum_s, trunk_name, driver, rate_prefix" \
	                          X(", metadata, scheduled_at, expires_at") ")" \
	"       select org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s, rate_mc," \
	"              hold_mc, scope, from_e164, dest, vars, rq, prio, increment_s, minimum_s, trunk_name, driver," \
	"              left(dest, rate[5]::int)" X(", meta, due, until") " from kept)," \
	" q as (insert into call_queue (org_id, project_id, trunk_id, prio, call_id, attempt" X(", timed") ")" \
	"       select org_id, project_id, trunk_id, prio, call_id, 1" X(", until is not null") " from kept" \
	        X(" where due is null") ")," \
	X(" s as (insert into call_schedule (org_id, call_id, shard, run_at, project_id, trunk_id, prio, attempt, timed, locked)" \
	"       select org_id, call_id, org_id % 64, due, project_id, trunk_id, prio, 1, true, false from kept" \
	"       where due is not null)," \
	" x as (insert into call_expiry (org_id, call_id, shard, at)" \
	"       select org_id, call_id, org_id % 64, until from kept where until is not null),") \
	" e as (insert into call_events (org_id, call_id, seq, kind) select org_id, call_id, 0, 0 from kept)," \
	" h as (update credit_accounts a set held_mc = a.held_mc + s.hold_mc" \
	"       from (select org_id, account_id, sum(hold_mc)::bigint as hold_mc from kept where hold_mc > 0 group by 1, 2) s" \
	"       where" PROBE("a.org_id", "s.org_id", "a.account_id", "s.account_id") ")" \
	X(", r as (insert into idempotency_refusals (org_id, call_id, outcome, request_id)" \
	"       select org_id, call_id, case when verdict = 0 then 9 else verdict end, rq from item" \
	"       where case when key is not null then call_id in (select call_id from keyed) end" \
	"         and case when verdict <> 0 then true when due is null then call_id not in (select call_id from locked) end)") \
	" select ix::int, case " X("when key is not null and verdict in (0, 4, 7, 8, 9)" \
	"                          and call_id not in (select call_id from keyed) then -3") \
	"                     when verdict <> 0 then verdict" \
	                      X(" when due is not null then 0") \
	"                     when call_id in (select call_id from locked) then 0 else 9 end," \
	"        project_id, trunk_id, unused_today and user_id is not null" X(", due is null") \
	" from item, (select set_config('synchronous_commit', 'off', true)) commit_only"  /* see flush_log() in admit.c */

#define PLAIN_TYPES \
	CONTEXT_TYPES, OID_INT4_ARRAY, OID_UUID_ARRAY, OID_TEXT_ARRAY, OID_TEXT_ARRAY, OID_TEXT_ARRAY, OID_BOOL, OID_BOOL

static const Oid admit_types[] = { PLAIN_TYPES };
static const Oid admit_full_types[] = {
	PLAIN_TYPES,
	OID_TEXT_ARRAY, OID_TIMESTAMPTZ_ARRAY, OID_TIMESTAMPTZ_ARRAY, OID_BYTEA_ARRAY, OID_BYTEA_ARRAY, OID_INT4,
};
static const struct pg_statement admit_statement = PG_STATEMENT("admit", admit_types, ADMIT_SQL(PLAIN));
static const struct pg_statement admit_full_statement = PG_STATEMENT("admit_full", admit_full_types, ADMIT_SQL(FULL));

/* ── the batch as parameters ──────────────────────────────────────────────────── */

static const char *ctx_project(const struct admission *a)
{
	return a->body_ok ? a->project : "";
}

static const char *ctx_from(const struct admission *a)
{
	return a->body_ok ? a->from : "";
}

static bool same_context(const struct admission *a, const struct admission *b)
{
	return a->key_org == b->key_org && a->prio == b->prio && a->ring_timeout_s == b->ring_timeout_s &&
	       a->max_duration_s == b->max_duration_s && !memcmp(a->key_hash, b->key_hash, SHA256_SIZE) &&
	       !strcmp(ctx_project(a), ctx_project(b)) && !strcmp(ctx_from(a), ctx_from(b));
}

/* Fills cx[i], the 1-based context of item i, and first[], an item of each context. */
static size_t find_contexts(struct admission **items, size_t n, int *cx, const struct admission **first)
{
	size_t i, c, count = 0;

	for (i = 0; i < n; i++) {
		for (c = 0; c < count && !same_context(items[i], first[c]); c++)
			;
		if (c == count)
			first[count++] = items[i];
		cx[i] = (int)c + 1;
	}
	return count;
}

static bool is_plain(const struct admission *a)
{
	return !a->body_ok || (!a->metadata && !a->scheduled_ms && !a->expires_ms && !a->idem_key);
}

static bool all_plain(struct admission **items, size_t n)
{
	size_t i;

	for (i = 0; i < n && is_plain(items[i]); i++)
		;
	return i == n;
}

static void put_digest(struct pg_args *a, const struct admission *item, const uint8_t *digest)
{
	if (item->body_ok && item->idem_key)
		pg_put_bytes(a, digest, SHA256_SIZE);
	else
		pg_put_text(a, NULL);
}

static void build_extras(struct pg_args *a, struct admission **items, size_t n, const struct round *rd)
{
	size_t i;

	PG_COLUMN(a, OID_TEXT, n, pg_put_text(a, items[i]->body_ok ? items[i]->metadata : NULL));
	PG_COLUMN(a, OID_TIMESTAMPTZ, n, pg_put_ms(a, items[i]->body_ok ? items[i]->scheduled_ms : 0));
	PG_COLUMN(a, OID_TIMESTAMPTZ, n, pg_put_ms(a, items[i]->body_ok ? items[i]->expires_ms : 0));
	PG_COLUMN(a, OID_BYTEA, n, put_digest(a, items[i], items[i]->idem_key));
	PG_COLUMN(a, OID_BYTEA, n, put_digest(a, items[i], items[i]->idem_print));
	pg_arg_int4(a, rd->rules->queue_ttl_s);
}

static void build_args(struct pg_args *a, struct admission **items, size_t n, const struct round *rd)
{
	const struct admission *first[ADMIT_BATCH_MAX];
	int cx[ADMIT_BATCH_MAX];
	size_t i, contexts = find_contexts(items, n, cx, first);

	PG_COLUMN(a, OID_INT8, contexts, pg_put_int8(a, first[i]->key_org));
	PG_COLUMN(a, OID_BYTEA, contexts, pg_put_bytes(a, first[i]->key_hash, SHA256_SIZE));
	PG_COLUMN(a, OID_TEXT, contexts, pg_put_text(a, ctx_project(first[i])));
	PG_COLUMN(a, OID_TEXT, contexts, pg_put_text(a, ctx_from(first[i])));
	PG_COLUMN(a, OID_INT4, contexts, pg_put_int4(a, first[i]->ring_timeout_s));
	PG_COLUMN(a, OID_INT4, contexts, pg_put_int4(a, first[i]->max_duration_s));
	PG_COLUMN(a, OID_INT2, contexts, pg_put_int2(a, first[i]->prio));
	PG_COLUMN(a, OID_INT4, n, pg_put_int4(a, cx[i]));
	PG_COLUMN(a, OID_UUID, n, pg_put_id(a, &items[i]->call_id));
	PG_COLUMN(a, OID_TEXT, n, pg_put_text(a, items[i]->body_ok ? items[i]->to : ""));
	PG_COLUMN(a, OID_TEXT, n, pg_put_text(a, items[i]->body_ok ? items[i]->variables : NULL));
	PG_COLUMN(a, OID_TEXT, n, pg_put_text(a, items[i]->request_id));
	pg_arg_bool(a, rd->rules->lock_per_org);
	pg_arg_bool(a, rd->probe);
}

/* ── the answer ───────────────────────────────────────────────────────────────── */

static void take_answer(struct store *s, const PGresult *r, bool plain, struct admission **items, int *outcomes)
{
	const struct admission *unused = NULL;
	struct admission *a;
	int row, ix;

	for (row = 0; row < PQntuples(r); row++) {
		ix = pg_get_int4(r, row, 0) - 1;
		a = items[ix];
		outcomes[ix] = pg_get_int4(r, row, 1);
		if (!a->body_ok && outcomes[ix] != ADMIT_KEY_UNKNOWN)
			outcomes[ix] = ADMIT_BODY_INVALID;
		a->lane = (struct lane_key){ a->key_org, pg_get_int4(r, row, 2), pg_get_int4(r, row, 3), a->prio };
		a->queued = outcomes[ix] == ADMIT_ACCEPTED && (plain || pg_get_bool(r, row, 5));
		a->session = s->session;
		if (pg_get_bool(r, row, 4))
			unused = a;
	}
	if (unused)
		keys_used_today(s, unused->key_org, unused->key_hash);
}

enum err admit_run(const struct round *rd, struct admission **items, size_t n, int *outcomes)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	bool plain = all_plain(items, n);
	enum err err;

	build_args(&a, items, n, rd);
	if (!plain)
		build_extras(&a, items, n, rd);
	err = pg_run(rd->store, plain ? &admit_statement : &admit_full_statement, &a, &r, rd->e);
	if (err)
		return err;
	if (PQntuples(r) != (int)n)
		return err_set(rd->e, ERR_INTERNAL, "admit: %d answers for %zu calls", PQntuples(r), n);
	take_answer(rd->store, r, plain, items, outcomes);
	err = idempotency_look(rd->store, items, n, outcomes, rd->e);
	/* The batch has committed, so whatever keeps us from learning the rest of the answer, it is not
	 * "certainly not done". */
	return err ? ERR_UNCERTAIN : OK;
}

/* ── when the answer was lost ─────────────────────────────────────────────────── */

static const Oid look_types[] = { OID_INT8_ARRAY, OID_UUID_ARRAY };
static const struct pg_statement look_statement = PG_STATEMENT("admit_look", look_types,
	"select r.ix::int, c.project_id, c.trunk_id, c.prio, c.scheduled_at is null"
	" from unnest($1::bigint[], $2::uuid[]) with ordinality r(o, c, ix)"
	" join calls c on" PROBE("c.org_id", "r.o", "c.call_id", "r.c"));

enum err admit_look(struct store *s, struct admission **items, size_t n, int *outcomes, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args args = PG_ARGS;
	struct admission *a;
	enum err err;
	size_t i;
	int row, ix;

	PG_COLUMN(&args, OID_INT8, n, pg_put_int8(&args, items[i]->key_org));
	PG_COLUMN(&args, OID_UUID, n, pg_put_id(&args, &items[i]->call_id));
	err = pg_run(s, &look_statement, &args, &r, e);
	if (err)
		return err;
	for (row = 0; row < PQntuples(r); row++) {
		ix = pg_get_int4(r, row, 0) - 1;
		a = items[ix];
		outcomes[ix] = ADMIT_ACCEPTED;
		a->lane = (struct lane_key){ a->key_org, pg_get_int4(r, row, 1), pg_get_int4(r, row, 2), pg_get_int2(r, row, 3) };
		a->queued = !a->replayed && pg_get_bool(r, row, 4);
		a->session = s->session;
	}
	return OK;
}
