/* Provider events: kept, taken, forgotten; and who may send them. */
#include "callgate/store_events.h"

#include <stdlib.h>

#include "pg.h"

/* A probe of call_inflight each, as whoever signs for one project may write about any call, also
 * about none; then provider_events_pkey; sorted, so two gateways that are told the same do not deadlock. */
static const Oid keep_types[] = {
	OID_INT8_ARRAY, OID_UUID_ARRAY, OID_INT2_ARRAY, OID_TEXT_ARRAY, OID_TEXT_ARRAY, OID_TEXT_ARRAY,
	OID_TEXT_ARRAY,
};
static const struct pg_statement keep_statement = PG_STATEMENT("notes_keep", keep_types,
	"insert into provider_events (org_id, call_id, attempt, provider, event_id, body, sender)"
	" select x.* from unnest($1::bigint[], $2::uuid[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::text[])"
	"             x(o, c, a, p, e, b, s)"
	" cross join lateral (select 1 from call_inflight f where f.org_id = x.o and f.call_id = x.c and f.attempt = x.a"
	"                     limit 1) f"
	" order by o, c, e on conflict do nothing");

enum err store_notes_keep(struct store *s, const struct provider_note *notes, size_t n, struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	size_t i;

	PG_COLUMN(&a, OID_INT8, n, pg_put_int8(&a, notes[i].org_id));
	PG_COLUMN(&a, OID_UUID, n, pg_put_id(&a, &notes[i].call_id));
	PG_COLUMN(&a, OID_INT2, n, pg_put_int2(&a, (int16_t)notes[i].attempt));
	PG_COLUMN(&a, OID_TEXT, n, pg_put_text(&a, notes[i].provider));
	PG_COLUMN(&a, OID_TEXT, n, pg_put_text(&a, notes[i].event_id));
	PG_COLUMN(&a, OID_TEXT, n, pg_put_text(&a, notes[i].body));
	PG_COLUMN(&a, OID_TEXT, n, pg_put_text(&a, notes[i].sender));
	return pg_run(s, &keep_statement, &a, NULL, e);
}

/* provider_events_waiting, in order of arrival, one probe of call_inflight each. What waits
 * for calls of nobody is passed over until it is pruned, a minute's worth at most. */
static const Oid take_types[] = { OID_INT8, OID_INT4 };
static const struct pg_statement take_statement = PG_STATEMENT("notes_take", take_types,
	"with mine as materialized ("
	"  select e.ctid as c from (select ctid, org_id, call_id from provider_events where applied_at is null"
	"                           order by received_at limit 10000) e"
	"  cross join lateral (select 1 from call_inflight f where f.org_id = e.org_id and f.call_id = e.call_id"
	"                      and f.gateway_id + 0 = $1 limit 1) f limit $2),"
	" taken as (update provider_events set applied_at = clock_timestamp()"
	"           where ctid = any(array(select c from mine)) and applied_at is null"
	"           returning org_id, call_id, attempt, provider, body, sender, received_at)"
	" select org_id, call_id, attempt, provider, body, coalesce(sender, '') from taken order by received_at");

enum err store_notes_take(struct store *s, int64_t gateway_id, int max, struct taken_note **out, size_t *n,
                          struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	struct taken_note *notes;
	enum err err;
	int i;

	pg_arg_int8(&a, gateway_id);
	pg_arg_int4(&a, max);
	err = pg_run(s, &take_statement, &a, &r, e);
	if (err)
		return err;
	notes = xcalloc((size_t)PQntuples(r) + 1, sizeof *notes);
	for (i = 0; i < PQntuples(r); i++) {
		notes[i].org_id = pg_get_int8(r, i, 0);
		pg_get_id(r, i, 1, &notes[i].call_id);
		notes[i].attempt = pg_get_int2(r, i, 2);
		notes[i].provider = pg_dup_text(r, i, 3);
		notes[i].body = pg_dup_text(r, i, 4);
		notes[i].sender = pg_dup_text(r, i, 5);
	}
	*out = notes;
	*n = (size_t)PQntuples(r);
	return OK;
}

void taken_notes_free(struct taken_note *notes, size_t n)
{
	size_t i;

	for (i = 0; notes && i < n; i++) {
		free(notes[i].provider);
		free(notes[i].body);
		free(notes[i].sender);
	}
	free(notes);
}

/* Reads trunks whole, as load_limits() does with its share of them: they are few. Ordered, so that
 * it is always the same ones if there are too many. */
static const Oid senders_types[] = { OID_TEXT, OID_TEXT_ARRAY, OID_INT4 };
static const struct pg_statement senders_statement = PG_STATEMENT("notes_senders", senders_types,
	"select distinct (select jsonb_object_agg(m, t.config -> m) from unnest($2::text[]) m)::text from trunks t"
	" where t.enabled and t.driver = $1 and t.config ?& $2::text[] order by 1 limit $3");

enum err store_notes_senders(struct store *s, const char *driver, const char *const *members, size_t n_members, int max,
                             char ***out, size_t *n, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;
	size_t i;

	pg_arg_text(&a, driver);
	PG_COLUMN(&a, OID_TEXT, n_members, pg_put_text(&a, members[i]));
	pg_arg_int4(&a, max);
	err = pg_run(s, &senders_statement, &a, &r, e);
	if (err)
		return err;
	*n = (size_t)PQntuples(r);
	*out = xcalloc(*n + 1, sizeof **out);
	for (i = 0; i < *n; i++)
		(*out)[i] = pg_dup_text(r, (int)i, 0);
	return OK;
}

void notes_senders_free(char **texts, size_t n)
{
	for (size_t i = 0; texts && i < n; i++)
		free(texts[i]);
	free(texts);
}

/* Reads the table from its start; pruning keeps it small. */
static const Oid prune_types[] = { OID_INT4, OID_INT4 };
static const struct pg_statement prune_statement = PG_STATEMENT("notes_prune", prune_types,
	"with gone as (delete from provider_events where ctid = any(array("
	"   select ctid from provider_events where received_at < now() - $1 * interval '1 s' limit $2"
	"   for update skip locked)) returning 1)"
	" select count(*)::int from gone");

enum err store_notes_prune(struct store *s, int seconds, int max, int *gone, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int4(&a, seconds);
	pg_arg_int4(&a, max);
	err = pg_run(s, &prune_statement, &a, &r, e);
	if (!err)
		*gone = pg_get_int4(r, 0, 0);
	return err;
}
