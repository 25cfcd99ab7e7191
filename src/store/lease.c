/* Who works: gateways and their shards. A gateway is a row whose lease runs out; its id is
 * never used again, so it is the epoch of everything it does. Its shards are its own as
 * long as the row lives, which is why one locked row (fence, below) guards a whole batch:
 *
 *   - the owner alone gives a shard back, in the thread that also claims;
 *   - anyone else must first delete the row, and waits for whoever holds the fence.
 *
 * Lease arithmetic is the database's clock_timestamp(): now() is the transaction's start. */
#include "pg.h"

#include <stdlib.h>

#include "callgate/store_dispatch.h"

static const Oid open_types[] = { OID_TEXT, OID_TEXT, OID_INT4 };
static const struct pg_statement open_statement = PG_STATEMENT("gateway_open", open_types,
	"insert into gateways (name, version, expires_at)"
	" values ($1, $2, clock_timestamp() + $3 * interval '1 ms') returning gateway_id");

enum err store_gateway_open(struct store *s, const char *name, const char *version, int ttl_ms, int64_t *gateway_id,
                            struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_text(&a, name);
	pg_arg_text(&a, version);
	pg_arg_int4(&a, ttl_ms);
	err = pg_run(s, &open_statement, &a, &r, e);
	if (!err)
		*gateway_id = pg_get_int8(r, 0, 0);
	return err;
}

/* A lease that has run out is not renewed even if nobody has taken it over yet: another
 * may be about to, and the owner must not dial in between. */
static const Oid renew_types[] = { OID_INT8, OID_INT4 };
static const struct pg_statement renew_statement = PG_STATEMENT("gateway_renew", renew_types,
	"update gateways set expires_at = clock_timestamp() + $2 * interval '1 ms'"
	" where gateway_id = $1 and expires_at > clock_timestamp() returning 1");

enum err store_gateway_renew(struct store *s, int64_t gateway_id, int ttl_ms, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int8(&a, gateway_id);
	pg_arg_int4(&a, ttl_ms);
	err = pg_run(s, &renew_statement, &a, &r, e);
	if (err)
		return err == ERR_CONFLICT ? ERR_UNAVAILABLE : err;
	if (PQntuples(r) == 0)
		return err_set(e, ERR_CONFLICT, "the lease of gateway %lld is gone", (long long)gateway_id);
	return OK;
}

static const Oid close_types[] = { OID_INT8 };
static const struct pg_statement close_statement = PG_STATEMENT("gateway_close", close_types,
	"with s as (update shards set gateway_id = null where gateway_id = $1)"
	" delete from gateways where gateway_id = $1");

enum err store_gateway_close(struct store *s, int64_t gateway_id, struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;

	pg_arg_int8(&a, gateway_id);
	return pg_run(s, &close_statement, &a, NULL, e);
}

/* ── shards ───────────────────────────────────────────────────────────────────── */

/* The delete waits for whatever is still under way behind the old fence: a claim, an
 * intent, shards being taken. What that has written is not in this statement's snapshot,
 * so all that belonged to the dead is picked up by later ones: the shards by
 * shards_release, the calls by store_adopt(). */
static const Oid bury_types[] = { OID_INT8 };
static const struct pg_statement bury_statement = PG_STATEMENT("gateways_bury", bury_types,
	"delete from gateways where gateway_id <> $1 and expires_at < clock_timestamp()");

/* Shards whose owner is no more. A shard that somebody took since is not what was seen. */
static const struct pg_statement release_statement = { "shards_release",
	"with lost as materialized (select s.shard, s.gateway_id from shards s where s.gateway_id is not null"
	"                           and not exists (select from gateways g where g.gateway_id = s.gateway_id))"
	" update shards s set gateway_id = null from lost where s.shard = lost.shard and s.gateway_id = lost.gateway_id",
	0, NULL };

/* One row per shard: whose it is, and how many gateways live. 64 rows: no plan to fear. */
static const Oid look_types[] = { OID_INT8 };
static const struct pg_statement look_statement = PG_STATEMENT("shards_look", look_types,
	"select shard, gateway_id = $1, gateway_id is null, (select count(*) from gateways)::int from shards order by shard");

/* Both are guarded by what the locked row says: if someone was quicker, it does not come
 * back. (A test of another table would not do: the recheck of a row that changed under us
 * takes the other side as it was.) */
static const Oid take_types[] = { OID_INT8, OID_INT8 };
static const struct pg_statement take_statement = PG_STATEMENT("shards_take", take_types,
	"with me as materialized (select gateway_id from gateways where gateway_id = $1 and expires_at > clock_timestamp()"
	"                         for key share),"
	" mine as materialized (select s.shard from shards s"
	"   where ($2 >> s.shard) & 1 = 1 and s.gateway_id is null"
	"   order by s.shard for update skip locked)"
	" update shards s set gateway_id = me.gateway_id, epoch = epoch + 1 from me, mine where s.shard = mine.shard"
	" returning s.shard");

static const Oid give_types[] = { OID_INT8, OID_INT8 };
static const struct pg_statement give_statement = PG_STATEMENT("shards_give", give_types,
	"update shards set gateway_id = null where gateway_id = $1 and ($2 >> shard) & 1 = 1 returning shard");

static enum err change_shards(struct store *s, const struct pg_statement *st, int64_t gateway_id, uint64_t which,
                              uint64_t *changed, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;
	int i;

	*changed = 0;
	pg_arg_int8(&a, gateway_id);
	pg_arg_int8(&a, (int64_t)which);
	err = pg_run(s, st, &a, &r, e);
	for (i = 0; !err && i < PQntuples(r); i++)
		*changed |= UINT64_C(1) << pg_get_int2(r, i, 0);
	return err;
}

static int count_bits(uint64_t v)
{
	return __builtin_popcountll(v);
}

/* `n` of the bits that are set, evenly spread: organizations are numbered one after the
 * other, so neighbouring shards have work, or have none, together. */
static uint64_t spread_bits(uint64_t v, int n)
{
	uint64_t out = 0;
	int i, count = count_bits(v);

	for (i = 0; i < count; i++) {
		if ((i + 1) * n / count > i * n / count)
			out |= v & -v;
		v &= v - 1;
	}
	return out;
}

static enum err balance_once(struct store *s, int64_t gateway_id, uint64_t *owned, int *live, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args none = PG_ARGS;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	uint64_t mine = 0, vacant = 0, changed;
	enum err err;
	int i, share;

	pg_arg_int8(&a, gateway_id);
	err = pg_run(s, &bury_statement, &a, NULL, e);
	if (!err)
		err = pg_run(s, &release_statement, &none, NULL, e);
	if (!err)
		err = pg_run(s, &look_statement, &a, &r, e);
	if (err)
		return err;
	for (i = 0; i < PQntuples(r); i++) {
		if (pg_get_bool(r, i, 1))
			mine |= UINT64_C(1) << pg_get_int2(r, i, 0);
		else if (pg_get_bool(r, i, 2))
			vacant |= UINT64_C(1) << pg_get_int2(r, i, 0);
		*live = pg_get_int4(r, i, 3);
	}
	share = (SHARD_COUNT + *live - 1) / (*live > 0 ? *live : 1);
	if (count_bits(mine) > share) {
		err = change_shards(s, &give_statement, gateway_id, spread_bits(mine, count_bits(mine) - share), &changed, e);
		mine &= ~changed;
	} else if (vacant && count_bits(mine) < share) {
		err = change_shards(s, &take_statement, gateway_id, spread_bits(vacant, share - count_bits(mine)), &changed, e);
		mine |= changed;
	}
	if (!err)
		*owned = mine;
	return err;
}

/* Everything here may be said twice, and a shard that was perhaps given back must not be
 * taken for ours: if the answer is lost, look again. */
enum err store_shards_balance(struct store *s, int64_t gateway_id, uint64_t *owned, int *live, struct errinfo *e)
{
	enum err err = balance_once(s, gateway_id, owned, live, e);

	return err == ERR_UNCERTAIN ? balance_once(s, gateway_id, owned, live, e) : err;
}

/* ── limits and counts ────────────────────────────────────────────────────────── */

static const Oid limits_types[] = { OID_INT8 };
static const struct pg_statement limits_statement = PG_STATEMENT("limits_load", limits_types,
	"select org_id, 0, 0, true, weight::int, coalesce(max_concurrent, -1), coalesce(cps_milli, -1), burst"
	"  from organizations where ($1 >> (org_id % 64)::int) & 1 = 1"
	" union all "
	"select org_id, project_id, 0, true, weight, coalesce(max_concurrent, -1), coalesce(cps_milli, -1), burst"
	"  from projects where ($1 >> (org_id % 64)::int) & 1 = 1"
	" union all "
	"select org_id, 0, trunk_id, enabled, 1, max_concurrent, cps_milli, burst"
	"  from trunks where ($1 >> (org_id % 64)::int) & 1 = 1");

enum err store_limits_load(struct store *s, uint64_t shards, struct limit_row **out, size_t *n, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	struct limit_row *rows;
	enum err err;
	int i;

	pg_arg_int8(&a, (int64_t)shards);
	err = pg_run(s, &limits_statement, &a, &r, e);
	if (err)
		return err;
	rows = xcalloc((size_t)PQntuples(r) + 1, sizeof *rows);
	for (i = 0; i < PQntuples(r); i++)
		rows[i] = (struct limit_row){
			.org_id = pg_get_int8(r, i, 0), .project_id = pg_get_int4(r, i, 1), .trunk_id = pg_get_int4(r, i, 2),
			.enabled = pg_get_bool(r, i, 3),
			.limits = { pg_get_int4(r, i, 4), pg_get_int4(r, i, 5), pg_get_int4(r, i, 6), pg_get_int4(r, i, 7) },
		};
	*out = rows;
	*n = (size_t)PQntuples(r);
	return OK;
}

static const Oid counts_types[] = { OID_INT8, OID_INT8 };
static const struct pg_statement counts_statement = PG_STATEMENT("counts_load", counts_types,
	"select org_id, project_id, trunk_id, count(*)::int from call_inflight"
	" where gateway_id <> $2 and ($1 >> (org_id % 64)::int) & 1 = 1 group by 1, 2, 3");

enum err store_counts_load(struct store *s, uint64_t shards, int64_t not_gateway, struct count_row **out, size_t *n,
                           struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	struct count_row *rows;
	enum err err;
	int i;

	pg_arg_int8(&a, (int64_t)shards);
	pg_arg_int8(&a, not_gateway);
	err = pg_run(s, &counts_statement, &a, &r, e);
	if (err)
		return err;
	rows = xcalloc((size_t)PQntuples(r) + 1, sizeof *rows);
	for (i = 0; i < PQntuples(r); i++)
		rows[i] = (struct count_row){ pg_get_int8(r, i, 0), pg_get_int4(r, i, 1), pg_get_int4(r, i, 2),
		                              pg_get_int4(r, i, 3) };
	*out = rows;
	*n = (size_t)PQntuples(r);
	return OK;
}

/* ── word to the others ───────────────────────────────────────────────────────── */

#define CHANNEL "callgate_queued"

enum err store_notify_queued(struct store *s, struct errinfo *e)
{
	return pg_exec(s, "notify " CHANNEL, NULL, e);
}

enum err store_listen(struct store *s, struct errinfo *e)
{
	enum err err = OK;

	if (s->listening && store_connected(s))
		return OK;
	err = pg_exec(s, "listen " CHANNEL, NULL, e);
	if (!err)
		s->listening = true;
	return err;
}

bool store_notified(struct store *s)
{
	PGnotify *note;
	bool any = false;

	if (!store_connected(s))
		return false;
	if (!PQconsumeInput(s->pg))
		return false;           /* the next statement finds out */
	while ((note = PQnotifies(s->pg))) {
		any = true;
		PQfreemem(note);
	}
	return any;
}
