/* Idempotency keys after the fact: what the first request with a key came to, and
 * forgetting. They are written by the statement that admits (admit_batch.c), in its commit. */
#include <string.h>

#include "admit_batch.h"
#include "callgate/text.h"

/* api_keys_pkey, idempotency_keys_pkey, idempotency_refusals_pkey: a probe of each per item. */
static const Oid prior_types[] = { OID_INT8_ARRAY, OID_BYTEA_ARRAY, OID_BYTEA_ARRAY, OID_BYTEA_ARRAY };
static const struct pg_statement prior_statement = PG_STATEMENT("admit_prior", prior_types,
	"select r.ix::int, d.call_id, d.print = r.print, coalesce(f.outcome, 0)::int, f.request_id"
	" from unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[]) with ordinality r(o, h, key, print, ix)"
	" join api_keys k on" PROBE("k.org_id", "r.o", "k.key_hash", "r.h")
	" cross join lateral (select d.call_id, d.print from idempotency_keys d where d.org_id = r.o and d.user_id = k.user_id"
	"                     and d.test = k.test and d.key = r.key limit 1) d"
	" left join lateral (select f.outcome, f.request_id from idempotency_refusals f where f.org_id = r.o"
	"                    and f.call_id = d.call_id limit 1) f on true");

/* A row under the item's own id is no earlier request but this one, whose answer was lost. */
static int take_prior(const PGresult *r, int row, struct admission *a)
{
	struct id first;

	pg_get_id(r, row, 1, &first);
	if (id_cmp(&first, &a->call_id) == 0)
		return pg_get_int4(r, row, 3);
	if (!pg_get_bool(r, row, 2))
		return ADMIT_KEY_REUSED;
	a->replayed = true;
	a->call_id = first;
	str_copy(a->first_request_id, sizeof a->first_request_id, pg_null(r, row, 4) ? "" : pg_get_text(r, row, 4));
	return pg_get_int4(r, row, 3);
}

enum err idempotency_look(struct store *s, struct admission **items, size_t n, int *outcomes, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	size_t which[ADMIT_BATCH_MAX], i, k = 0;
	enum err err;
	int row, ix;

	for (i = 0; i < n; i++) {
		if (outcomes[i] != ADMIT_KEY_PRIOR)
			continue;
		which[k++] = i;
		outcomes[i] = ADMIT_KEY_AGAIN;  /* holds if the key has been forgotten meanwhile */
	}
	if (k == 0)
		return OK;
	PG_COLUMN(&a, OID_INT8, k, pg_put_int8(&a, items[which[i]]->key_org));
	PG_COLUMN(&a, OID_BYTEA, k, pg_put_bytes(&a, items[which[i]]->key_hash, SHA256_SIZE));
	PG_COLUMN(&a, OID_BYTEA, k, pg_put_bytes(&a, items[which[i]]->idem_key, SHA256_SIZE));
	PG_COLUMN(&a, OID_BYTEA, k, pg_put_bytes(&a, items[which[i]]->idem_print, SHA256_SIZE));
	err = pg_run(s, &prior_statement, &a, &r, e);
	if (err)
		return err;
	for (row = 0; row < PQntuples(r); row++) {
		ix = (int)which[pg_get_int4(r, row, 0) - 1];
		outcomes[ix] = take_prior(r, row, items[ix]);
	}
	return OK;
}

/* ── forgetting ───────────────────────────────────────────────────────────────── */

/* idempotency_keys_age from its old end, one probe of calls each. Keys of calls that live on (a
 * client may let one wait for a month) are put off for a day: left where they are, enough of them
 * would stand before everything that may be forgotten. */
static const Oid prune_types[] = { OID_INT4, OID_INT4 };
static const struct pg_statement prune_statement = PG_STATEMENT("idempotency_prune", prune_types,
	"with old as materialized ("
	"  select d.c, (select c.ended_at is null from calls c where c.org_id = d.org_id and c.call_id = d.call_id limit 1)"
	"              is true as lives"
	"  from (select ctid as c, org_id, call_id from idempotency_keys"
	"        where counts_from < now() - $1 * interval '1 day' order by counts_from limit $2 + 1000) d),"
	" later as (update idempotency_keys set counts_from = now() - ($1 - 1) * interval '1 day'"
	"            where ctid = any(array(select c from old where lives)) and counts_from < now() - $1 * interval '1 day'),"
	" gone as (delete from idempotency_keys where ctid = any(array(select c from old where not lives limit $2))"
	"            and counts_from < now() - $1 * interval '1 day' returning org_id, call_id),"
	" r as (delete from idempotency_refusals f using gone g"
	"       where" PROBE("f.org_id", "g.org_id", "f.call_id", "g.call_id") ")"
	" select count(*)::int from gone");

enum err store_idempotency_prune(struct store *s, int days, int max, int *gone, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int4(&a, days);
	pg_arg_int4(&a, max);
	err = pg_run(s, &prune_statement, &a, &r, e);
	if (!err)
		*gone = pg_get_int4(r, 0, 0);
	return err;
}
