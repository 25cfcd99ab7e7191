/* Accepting calls: every rule of admission, set-based, in one statement and one commit.
 *
 * Requests that arrive together mostly share key, project and number; what those three
 * decide is worked out once per batch (a "context"), and only the destination, the money
 * and the rows themselves are per call.
 *
 * Locks are taken in one order everywhere, accounts before destinations and each sorted,
 * so committers cannot deadlock with one another or with the end of calls (finish.c). The
 * account rows are locked before the balance is read: two batches can never both spend
 * the last of it.
 *
 * Look-ups whose key comes from several tables are subqueries with a limit, not joins or
 * EXISTS: those the planner may turn around or hash while the tables are small, and then
 * reads them whole when they no longer are. */
#include <string.h>
#include <time.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/store_calls.h"
#include "keys_used.h"
#include "pg.h"

/* Not an outcome: the item was behind others on an account that could not cover them all
 * at once. Once those are settled, the next round decides it: there, busy destinations are
 * looked at before the money is counted, so that what will be refused as busy does not
 * keep others from it ($11; a probe that the first round spares itself). Holds of one size
 * need two rounds, three at most; if it takes many more, somebody else is at the account. */
#define ADMIT_AGAIN (-1)
#define ROUNDS_MAX  12

/* After a lost answer: how long to try to learn what became of the batch. */
#define HEAL_MS 8000
#define CONFLICT_RETRIES 5

/* Indexes: api_keys_pkey, projects_org_id_public_id_key, project_members_pkey,
 * phone_numbers_pkey, pool_members_pkey + pool_numbers_pkey, trunks_pkey,
 * credit_accounts_pkey: one probe each per context. The rest is inserts. */
static const char admit_sql[] =
	"with ctx as materialized ("
	"  select c.ix::int, c.o as org_id, k.user_id, k.test, p.project_id, p.account_id, p.ring_timeout_s,"
	"         p.max_duration_s, case when k.test then 0 else p.rate_mc end as rate_mc,"
	"         case when k.test then 0 else (p.rate_mc * coalesce(p.hold_s, p.max_duration_s) + 59) / 60 end as hold_mc,"
	"         case when k.test then 0 else n.trunk_id end as trunk_id, c.f as from_e164,"
	"         case when k.test then -c.o when $10 then c.o else 0 end as scope,"
	"         case when k.user_id is null then 1"
	"              when m.user_id is null then 3"
	"              when n.e164 is null then 4"
	"              when (select 1 from pool_members pm, pool_numbers pn where pm.org_id = c.o and pm.user_id = k.user_id"
	"                    and pn.org_id = c.o and pn.e164 = c.f and pn.pool_id = pm.pool_id limit 1) is null then 5"
	"              when n.status <> 'active' then 6"
	"              when n.trunk_id is null or not n.outbound then 7"
	"              else 0 end as refusal,"
	"         k.last_used_on is distinct from current_date as unused_today"
	"  from unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[]) with ordinality c(o, h, pj, f, ix)"
	"  left join api_keys k on" PROBE("k.org_id", "c.o", "k.key_hash", "c.h") "and k.revoked_at is null"
	"       and (k.expires_at is null or k.expires_at > now())"
	"  left join projects p on" PROBE("p.org_id", "c.o", "p.public_id", "c.pj")
	"  left join lateral (select user_id from project_members m where m.org_id = c.o and m.project_id = p.project_id"
	"                       and m.user_id = k.user_id limit 1) m on true"
	"  left join phone_numbers n on" PROBE("n.org_id", "c.o", "n.e164", "c.f") "),"
	" acct as materialized ("
	"  select a.org_id, a.account_id, a.balance_mc - a.held_mc as free_mc"
	"  from (select distinct org_id, account_id from ctx where refusal = 0 and rate_mc > 0) x"
	"  join credit_accounts a on" PROBE("a.org_id", "x.org_id", "a.account_id", "x.account_id")
	"  order by a.org_id, a.account_id for update of a),"
	" item as materialized ("
	"  select i.ix, i.call_id, i.dest, i.vars, i.rq, x.org_id, x.user_id, x.project_id, x.account_id, x.trunk_id,"
	"         x.ring_timeout_s, x.max_duration_s, x.rate_mc, x.hold_mc, x.from_e164, x.scope, x.unused_today,"
	"         case when x.refusal <> 0 then x.refusal"
	"              when x.rate_mc = 0 then 0"
	"              when a.free_mc <= 0 or x.hold_mc > a.free_mc then 8"
	"              when l.taken then 9"
	"              when sum(case when x.refusal = 0 and x.hold_mc <= a.free_mc and l.taken is null then x.hold_mc end)"
	"                   over (partition by x.org_id, x.account_id order by i.ix) > a.free_mc then -1"
	"              else 0 end as verdict"
	"  from unnest($5::int[], $6::uuid[], $7::text[], $8::text[], $9::text[]) with ordinality"
	"         i(cx, call_id, dest, vars, rq, ix)"
	"  join ctx x on x.ix = i.cx"
	"  left join acct a on a.org_id = x.org_id and a.account_id = x.account_id"
	"  left join lateral (select true as taken from destination_locks l"
	"                     where $11 and l.dest = i.dest and l.scope = x.scope limit 1) l on true),"
	" locked as ("
	"  insert into destination_locks (dest, scope, org_id, call_id)"
	"  select dest, scope, org_id, call_id from item where verdict = 0 order by dest, scope, ix"
	"  on conflict do nothing returning call_id),"
	" kept as materialized (select item.* from item where verdict = 0"
	"                        and call_id = any(array(select call_id from locked))),"
	" c as (insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s,"
	"                         max_duration_s, rate_mc, hold_mc, lock_scope, from_e164, to_e164, variables, request_id)"
	"       select org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s,"
	"              rate_mc, hold_mc, scope, from_e164, dest, vars, rq from kept),"
	" q as (insert into call_queue (org_id, project_id, trunk_id, prio, call_id, attempt)"
	"       select org_id, project_id, trunk_id, 1, call_id, 1 from kept),"
	" e as (insert into call_events (org_id, call_id, seq, kind) select org_id, call_id, 0, 0 from kept),"
	" h as (update credit_accounts a set held_mc = a.held_mc + s.hold_mc"
	"       from (select org_id, account_id, sum(hold_mc)::bigint as hold_mc from kept where hold_mc > 0 group by 1, 2) s"
	"       where" PROBE("a.org_id", "s.org_id", "a.account_id", "s.account_id") ")"
	" select ix::int, case when verdict <> 0 then verdict"
	"                     when call_id = any(array(select call_id from locked)) then 0 else 9 end,"
	"        project_id, trunk_id, unused_today and user_id is not null"
	" from item, (select set_config('synchronous_commit', 'off', true)) commit_only";  /* see flush_log() */

static const Oid admit_types[] = {
	OID_INT8_ARRAY, OID_BYTEA_ARRAY, OID_TEXT_ARRAY, OID_TEXT_ARRAY,
	OID_INT4_ARRAY, OID_UUID_ARRAY, OID_TEXT_ARRAY, OID_TEXT_ARRAY, OID_TEXT_ARRAY, OID_BOOL, OID_BOOL,
};
static const struct pg_statement admit_statement = PG_STATEMENT("admit", admit_types, admit_sql);

_Static_assert(ADMIT_KEY_UNKNOWN == 1 && ADMIT_PROJECT_DENIED == 3 && ADMIT_NUMBER_UNKNOWN == 4 &&
               ADMIT_POOL_DENIED == 5 && ADMIT_NUMBER_INACTIVE == 6 && ADMIT_NO_TRUNK == 7 &&
               ADMIT_NO_CREDITS == 8 && ADMIT_BUSY == 9, "the statement writes these numbers");

/* What holds for a batch and everything it is cut into. */
struct round {
	struct store   *store;
	struct errinfo *e;
	bool            lock_per_org;
	bool            probe;          /* from the second round on */
};

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
	return a->key_org == b->key_org && !memcmp(a->key_hash, b->key_hash, SHA256_SIZE) &&
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

static void build_args(struct pg_args *a, struct admission **items, size_t n, const struct round *rd)
{
	const struct admission *first[ADMIT_BATCH_MAX];
	int cx[ADMIT_BATCH_MAX];
	size_t i, contexts = find_contexts(items, n, cx, first);

	PG_COLUMN(a, OID_INT8, contexts, pg_put_int8(a, first[i]->key_org));
	PG_COLUMN(a, OID_BYTEA, contexts, pg_put_bytes(a, first[i]->key_hash, SHA256_SIZE));
	PG_COLUMN(a, OID_TEXT, contexts, pg_put_text(a, ctx_project(first[i])));
	PG_COLUMN(a, OID_TEXT, contexts, pg_put_text(a, ctx_from(first[i])));
	PG_COLUMN(a, OID_INT4, n, pg_put_int4(a, cx[i]));
	PG_COLUMN(a, OID_UUID, n, pg_put_id(a, &items[i]->call_id));
	PG_COLUMN(a, OID_TEXT, n, pg_put_text(a, items[i]->body_ok ? items[i]->to : ""));
	PG_COLUMN(a, OID_TEXT, n, pg_put_text(a, items[i]->body_ok ? items[i]->variables : NULL));
	PG_COLUMN(a, OID_TEXT, n, pg_put_text(a, items[i]->request_id));
	pg_arg_bool(a, rd->lock_per_org);
	pg_arg_bool(a, rd->probe);
}

/* ── the answer ───────────────────────────────────────────────────────────────── */

static void take_answer(struct store *s, const PGresult *r, struct admission **items, int *outcomes)
{
	const struct admission *unused = NULL;
	int row, ix;

	for (row = 0; row < PQntuples(r); row++) {
		ix = pg_get_int4(r, row, 0) - 1;
		outcomes[ix] = pg_get_int4(r, row, 1);
		if (!items[ix]->body_ok && outcomes[ix] != ADMIT_KEY_UNKNOWN)
			outcomes[ix] = ADMIT_BODY_INVALID;
		items[ix]->lane = (struct lane_key){ items[ix]->key_org, pg_get_int4(r, row, 2), pg_get_int4(r, row, 3), 1 };
		items[ix]->session = s->session;
		if (pg_get_bool(r, row, 4))
			unused = items[ix];
	}
	if (unused)
		keys_used_today(s, unused->key_org, unused->key_hash);
}

static enum err run_once(const struct round *rd, struct admission **items, size_t n, int *outcomes)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	build_args(&a, items, n, rd);
	err = pg_run(rd->store, &admit_statement, &a, &r, rd->e);
	if (err)
		return err;
	if (PQntuples(r) != (int)n)
		return err_set(rd->e, ERR_INTERNAL, "admit: %d answers for %zu calls", PQntuples(r), n);
	take_answer(rd->store, r, items, outcomes);
	return OK;
}

/* ── when the answer was lost ─────────────────────────────────────────────────── */

static const Oid look_types[] = { OID_INT8_ARRAY, OID_UUID_ARRAY };
static const struct pg_statement look_statement = PG_STATEMENT("admit_look", look_types,
	"select r.ix::int, c.project_id, c.trunk_id"
	" from unnest($1::bigint[], $2::uuid[]) with ordinality r(o, c, ix)"
	" join calls c on" PROBE("c.org_id", "r.o", "c.call_id", "r.c"));

static enum err look_up(struct store *s, struct admission **items, size_t n, int *outcomes, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;
	size_t i;
	int row, ix;

	PG_COLUMN(&a, OID_INT8, n, pg_put_int8(&a, items[i]->key_org));
	PG_COLUMN(&a, OID_UUID, n, pg_put_id(&a, &items[i]->call_id));
	err = pg_run(s, &look_statement, &a, &r, e);
	if (err)
		return err;
	for (row = 0; row < PQntuples(r); row++) {
		ix = pg_get_int4(r, row, 0) - 1;
		outcomes[ix] = ADMIT_ACCEPTED;
		items[ix]->lane = (struct lane_key){ items[ix]->key_org, pg_get_int4(r, row, 1), pg_get_int4(r, row, 2), 1 };
		items[ix]->session = s->session;
	}
	return OK;
}

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L }, NULL);
}

static size_t pick_absent(struct admission **items, size_t n, const int *outcomes, struct admission **out)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		if (outcomes[i] == ADMIT_AGAIN)
			out[count++] = items[i];
	return count;
}

/* The batch may or may not have committed. The connection mends itself only after the lost
 * one's backend is gone, so what is absent now will not appear by itself, and is sent again
 * under the same ids. (Behind a pooler that backend may be out of reach: whatever is
 * refused is therefore looked up once more.) */
static enum err heal(const struct round *rd, struct admission **items, size_t n, int *outcomes)
{
	struct admission *absent[ADMIT_BATCH_MAX];
	int again[ADMIT_BATCH_MAX];
	int64_t until = mono_ms() + HEAL_MS;
	enum err err;
	size_t i, j, k;

	for (;;) {
		for (i = 0; i < n; i++)
			outcomes[i] = ADMIT_AGAIN;
		err = look_up(rd->store, items, n, outcomes, rd->e);
		k = err ? 0 : pick_absent(items, n, outcomes, absent);
		if (!err && k)
			err = run_once(rd, absent, k, again);
		if (!err) {
			for (i = 0, j = 0; i < n && k; i++)
				if (outcomes[i] == ADMIT_AGAIN)
					outcomes[i] = again[j++];
			err = look_up(rd->store, items, n, outcomes, rd->e);
		}
		if (!err)
			return OK;
		if (err == ERR_INTERNAL || err == ERR_INVALID || mono_ms() >= until)
			return err_set(rd->e, ERR_UNCERTAIN, "the database did not say in time what became of the calls");
		pause_ms(50);
	}
}

/* ── all of it ────────────────────────────────────────────────────────────────── */

static enum err admit_part(const struct round *rd, struct admission **items, size_t n);

/* The statement failed for a reason of its own, which validation should have made
 * impossible: halve, so that only the item at fault pays for it. */
static enum err halve(const struct round *rd, struct admission **items, size_t n)
{
	enum err err;

	if (n == 1) {
		LOG_ERROR("admit.failed", LOG_ID("call", &items[0]->call_id), LOG_STR("sqlstate", rd->store->sqlstate),
		          LOG_STR("error", rd->e->text));
		items[0]->outcome = ADMIT_FAILED;
		return OK;
	}
	err = admit_part(rd, items, n / 2);
	return err ? err : admit_part(rd, items + n / 2, n - n / 2);
}

/* One round. Items that have to wait for the next stay ADMIT_PENDING. */
static enum err admit_part(const struct round *rd, struct admission **items, size_t n)
{
	int outcomes[ADMIT_BATCH_MAX], tries = 0;
	enum err err;
	size_t i;

	/* Not done for certain: because of others, or of a connection that ended before. */
	while (((err = run_once(rd, items, n, outcomes)) == ERR_CONFLICT || (err == ERR_UNAVAILABLE && tries == 0)) &&
	       ++tries < CONFLICT_RETRIES)
		pause_ms(tries * 2);
	if (err == ERR_UNCERTAIN)
		err = heal(rd, items, n, outcomes);
	if (err == ERR_INVALID || err == ERR_INTERNAL)
		return halve(rd, items, n);
	if (err == ERR_CONFLICT)
		return err_set(rd->e, ERR_UNAVAILABLE, "the database is too contended");
	for (i = 0; !err && i < n; i++)
		if (outcomes[i] != ADMIT_AGAIN)
			items[i]->outcome = (enum admit_outcome)outcomes[i];
	return err;
}

static size_t pick_pending(struct admission **items, size_t n, struct admission **out)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		if (items[i]->outcome == ADMIT_PENDING)
			out[count++] = items[i];
	return count;
}

enum err store_admit(struct store *s, struct admission **items, size_t n, const struct admit_rules *rules, struct errinfo *e)
{
	struct errinfo words;
	struct round rd = { .store = s, .e = e ? e : &words, .lock_per_org = rules->lock_per_org };
	struct admission *pending[ADMIT_BATCH_MAX];
	enum err err;
	int round;
	size_t i;

	if (n > ADMIT_BATCH_MAX)
		return err_set(e, ERR_INTERNAL, "a batch of %zu admissions", n);
	for (i = 0; i < n; i++)
		items[i]->outcome = ADMIT_PENDING;
	for (round = 0; (i = pick_pending(items, n, pending)) > 0; round++) {
		if (round == ROUNDS_MAX)
			return err_set(e, ERR_UNAVAILABLE, "an account is too contended");
		rd.probe = round > 0;
		err = admit_part(&rd, pending, i);
		if (err)
			return err;
	}
	return OK;
}

/* ── durable ──────────────────────────────────────────────────────────────────── */

/* Admissions commit without waiting for the disk (see the end of admit_sql). A commit that
 * waits, and has something of its own to write, returns when the log is on disk up to it,
 * and so with everything before it. Whoever dials such a call has by then committed in the
 * usual way, after it in the same log: no crash can keep the dial and lose the call. */
static enum err flush_log(struct store *s, struct errinfo *e)
{
	return pg_exec(s, "select pg_logical_emit_message(true, 'callgate', '')", NULL, e);
}

/* A server that crashed has ended every session. So if a call was seen and the log was
 * flushed by one and the same, the server lived through both, and the call is on disk. */
static bool all_seen_by(const struct store *s, struct admission **accepted, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (accepted[i]->session != s->session)
			return false;
	return true;
}

/* What was only committed may be lost with the server: then it is absent now, and is sent
 * again. */
static enum err recover(const struct round *rd, struct admission **accepted, size_t n)
{
	int64_t until = mono_ms() + HEAL_MS;
	int outcomes[ADMIT_BATCH_MAX];
	bool durable;
	enum err err;
	size_t i;

	do {
		pause_ms(20);
		err = heal(rd, accepted, n, outcomes);
		if (!err)
			err = flush_log(rd->store, rd->e);
		durable = !err && all_seen_by(rd->store, accepted, n);
	} while (!durable && mono_ms() < until);
	for (i = 0; i < n; i++)
		accepted[i]->outcome = !durable || outcomes[i] == ADMIT_AGAIN ? ADMIT_PENDING : (enum admit_outcome)outcomes[i];
	return durable ? OK : err_set(rd->e, ERR_UNCERTAIN, "the database did not say in time that the calls are on disk");
}

enum err store_admit_flush(struct store *s, struct admission **items, size_t n, const struct admit_rules *rules, struct errinfo *e)
{
	struct errinfo words;
	const struct round rd = { .store = s, .e = e ? e : &words, .lock_per_org = rules->lock_per_org, .probe = true };
	struct admission *accepted[ADMIT_BATCH_MAX];
	size_t i, k = 0;

	for (i = 0; i < n; i++)
		if (items[i]->outcome == ADMIT_ACCEPTED)
			accepted[k++] = items[i];
	if (k == 0 || (flush_log(s, rd.e) == OK && all_seen_by(s, accepted, k)))
		return OK;
	return recover(&rd, accepted, k);
}
