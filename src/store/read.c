/* Reading calls by id, as many as wait, in one statement. */
#include <stdlib.h>
#include <string.h>

#include "callgate/store_calls.h"
#include "callgate/text.h"
#include "attempts.h"
#include "blocked.h"
#include "keys_used.h"
#include "pg.h"

/* Indexes: api_keys_pkey, the one partition's calls primary key (pruned by call_id for
 * each row; the bounds of all prune most before anything runs, and preparing to read a
 * partition costs more than reading a call), project_members_pkey, projects_pkey,
 * call_inflight_pkey, call_schedule_pkey and those of blocked.h (only of calls that wait). While a call lives, its state and times stand in
 * call_inflight; afterwards in calls. The look-ups with a limit are remembered within the
 * statement: most of a batch are calls of one project. */
static const Oid read_types[] = { OID_INT8_ARRAY, OID_BYTEA_ARRAY, OID_UUID_ARRAY, OID_UUID, OID_UUID };
static const struct pg_statement read_statement = PG_STATEMENT("calls_read", read_types,
	"select r.ix::int, k.user_id is not null, m.user_id is not null,"
	"       k.last_used_on is distinct from current_date and k.user_id is not null, p.public_id,"
	"       c.from_e164, c.to_e164, c.trunk_id = 0, c.variables, coalesce(c.agent, f.agent),"
	"       coalesce(c.provider_ref, f.provider_ref), greatest(c.state, f.state), c.reason, c.sip_code, c.sip_phrase,"
	"       c.provider_code, greatest(c.attempts, f.attempt), c.ring_timeout_s, c.max_duration_s, c.created_at,"
	"       coalesce(c.initiated_at, f.initiated_at), coalesce(c.ringing_at, f.ringing_at),"
	"       coalesce(c.answered_at, f.answered_at), c.ended_at, c.billed_s, c.charged_mc,"
	"       case when c.ended_at is null then c.hold_mc else 0 end,"
	"       c.metadata, c.prio, c.edits, f.phase, c.scheduled_at, c.expires_at, coalesce(c.cancel_at, f.cancel_at),"
	"       case when c.ended_at is null and f.call_id is null then"
	"         (select floor(extract(epoch from w.run_at) * 1000)::bigint * 4 + (w.dest is not null)::int * 2 + w.locked::int"
	"          from call_schedule w"
	"          where w.org_id = c.org_id and w.call_id = c.call_id) end,"
	"       c.trunk_name, c.driver, c.rate_mc, c.increment_s, c.minimum_s, c.rate_prefix,"
	"       c.attempts > 1 or (c.attempts = 1 and c.initiated_at is null),"
	"       case when c.ended_at is null and f.call_id is null then "
	          BLOCKED_SQL("c.org_id", "c.project_id", "c.trunk_id") " else 0 end"
	" from unnest($1::bigint[], $2::bytea[], $3::uuid[]) with ordinality r(o, h, id, ix)"
	" left join api_keys k on" PROBE("k.org_id", "r.o", "k.key_hash", "r.h") "and k.revoked_at is null"
	"      and (k.expires_at is null or k.expires_at > now())"
	" left join calls c on" PROBE("c.org_id", "r.o", "c.call_id", "r.id") "and c.call_id between $4 and $5"
	" left join lateral (select user_id from project_members m where m.org_id = c.org_id"
	"                     and m.project_id = c.project_id and m.user_id = k.user_id limit 1) m on true"
	" left join lateral (select public_id from projects p where p.org_id = c.org_id and p.project_id = c.project_id"
	"                     limit 1) p on true"
	" left join call_inflight f on" PROBE("f.org_id", "r.o", "f.call_id", "r.id"));

void call_record_done(struct call_record *r)
{
	free(r->variables);
	free(r->metadata);
	free(r->agent);
	free(r->provider_ref);
	free(r->trunk);
	free(r->driver);
	free(r->earlier);
	memset(r, 0, sizeof *r);
}

static void read_text(char *out, size_t size, const PGresult *r, int row, int col)
{
	str_copy(out, size, pg_null(r, row, col) ? "" : pg_get_text(r, row, col));
}

static void read_outcome(const PGresult *r, int row, struct call_outcome *o)
{
	o->reason = (enum call_reason)pg_get_int2(r, row, 12);
	o->sip_code = pg_get_int2(r, row, 13);
	read_text(o->sip_phrase, sizeof o->sip_phrase, r, row, 14);
	read_text(o->provider_code, sizeof o->provider_code, r, row, 15);
}

static void read_times(const PGresult *r, int row, struct call_record *c)
{
	c->created_ms = pg_get_ms(r, row, 19);
	c->initiated_ms = pg_get_ms(r, row, 20);
	c->ringing_ms = pg_get_ms(r, row, 21);
	c->answered_ms = pg_get_ms(r, row, 22);
	c->ended_ms = pg_get_ms(r, row, 23);
	c->scheduled_ms = pg_get_ms(r, row, 31);
	c->expires_ms = pg_get_ms(r, row, 32);
	c->cancel_ms = pg_get_ms(r, row, 33);
}

static void read_money(const PGresult *r, int row, struct call_record *c)
{
	c->billed_s = pg_get_int4(r, row, 24);
	c->charged_mc = pg_get_int8(r, row, 25);
	c->held_mc = pg_get_int8(r, row, 26);
	c->rate_mc = pg_get_int8(r, row, 37);
	c->increment_s = pg_get_int2(r, row, 38);
	c->minimum_s = pg_get_int2(r, row, 39);
	read_text(c->rate_prefix, sizeof c->rate_prefix, r, row, 40);
}

/* The row of call_schedule, if it has one: its time, whether it waits for the destination, and whether it has it. */
static void read_wait(const PGresult *r, int row, struct call_record *c)
{
	int64_t at = pg_get_int8(r, row, 34);

	c->wait_until_ms = at / 4;
	if (c->ended_ms || c->state != CALL_QUEUED)
		c->waiting = WAIT_NONE;
	else if (pg_null(r, row, 34))
		c->waiting = pg_get_int4(r, row, 42) ? (enum call_wait)pg_get_int4(r, row, 42) : WAIT_TURN;
	else if (at & 1)
		c->waiting = WAIT_RETRY;
	else
		c->waiting = at & 2 ? WAIT_DESTINATION : WAIT_SCHEDULE;
}

static void read_record(const PGresult *r, int row, struct call_record *c)
{
	memset(c, 0, sizeof *c);
	str_copy(c->project, sizeof c->project, pg_get_text(r, row, 4));
	str_copy(c->from, sizeof c->from, pg_get_text(r, row, 5));
	str_copy(c->to, sizeof c->to, pg_get_text(r, row, 6));
	c->test = pg_get_bool(r, row, 7);
	c->variables = pg_dup_text(r, row, 8);
	c->agent = pg_dup_text(r, row, 9);
	c->provider_ref = pg_dup_text(r, row, 10);
	c->state = (enum call_state)pg_get_int2(r, row, 11);
	read_outcome(r, row, &c->outcome);
	c->attempts = pg_get_int2(r, row, 16);
	c->ring_timeout_s = pg_get_int2(r, row, 17);
	c->max_duration_s = pg_get_int4(r, row, 18);
	read_times(r, row, c);
	read_money(r, row, c);
	c->metadata = pg_dup_text(r, row, 27);
	c->prio = pg_get_int2(r, row, 28);
	c->edits = pg_get_int2(r, row, 29);
	c->phase = pg_get_int2(r, row, 30);
	read_wait(r, row, c);
	c->trunk = pg_dup_text(r, row, 35);
	c->driver = pg_dup_text(r, row, 36);
}

static void put_bounds(struct pg_args *a, struct call_read **items, size_t n)
{
	struct id lo = { { 0 } }, hi = lo;
	size_t i;

	for (i = 0; i < n; i++) {
		if (i == 0 || id_cmp(&items[i]->call_id, &lo) < 0)
			lo = items[i]->call_id;
		if (i == 0 || id_cmp(&items[i]->call_id, &hi) > 0)
			hi = items[i]->call_id;
	}
	pg_arg_id(a, &lo);
	pg_arg_id(a, &hi);
}

static void build_args(struct pg_args *a, struct call_read **items, size_t n)
{
	size_t i;

	PG_COLUMN(a, OID_INT8, n, pg_put_int8(a, items[i]->key_org));
	PG_COLUMN(a, OID_BYTEA, n, pg_put_bytes(a, items[i]->key_hash, SHA256_SIZE));
	PG_COLUMN(a, OID_UUID, n, pg_put_id(a, &items[i]->call_id));
	put_bounds(a, items, n);
}

static void take_row(const PGresult *r, int row, struct call_read *item)
{
	if (!pg_get_bool(r, row, 1)) {
		item->outcome = READ_KEY_UNKNOWN;
	} else if (!pg_get_bool(r, row, 2)) {
		item->outcome = READ_NOT_FOUND;
	} else {
		item->outcome = READ_FOUND;
		read_record(r, row, &item->call);
		item->call.id = item->call_id;
	}
}

static void drop_records(struct call_read **items, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (items[i]->outcome == READ_FOUND)
			call_record_done(&items[i]->call);
}

enum err store_calls_read(struct store *s, struct call_read **items, size_t n, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	struct call_record *tried[READ_BATCH_MAX];
	int64_t orgs[READ_BATCH_MAX];
	const struct call_read *unused = NULL;
	size_t n_tried = 0;
	enum err err;
	int row, ix;

	build_args(&a, items, n);
	err = pg_run_read(s, &read_statement, &a, &r, e);
	if (err)
		return err;
	if (PQntuples(r) != (int)n)
		return err_set(e, ERR_INTERNAL, "calls_read: %d answers for %zu ids", PQntuples(r), n);
	for (row = 0; row < PQntuples(r); row++) {
		ix = pg_get_int4(r, row, 0) - 1;
		take_row(r, row, items[ix]);
		if (pg_get_bool(r, row, 3))
			unused = items[ix];
		if (items[ix]->outcome == READ_FOUND && pg_get_bool(r, row, 41)) {
			orgs[n_tried] = items[ix]->key_org;
			tried[n_tried++] = &items[ix]->call;
		}
	}
	err = read_attempts(s, orgs, tried, n_tried, e);
	if (err) {
		drop_records(items, n);
		return err;
	}
	if (unused)
		keys_used_today(s, unused->key_org, unused->key_hash);
	return OK;
}
