/* The way of a call after its intent: progress, the end, another attempt. A word about an attempt is bound to the attempt's row in
 * call_inflight; that row exists once and is deleted with the end, so everything here
 * happens exactly once however often it is said. */
#include "flight.h"
#include "settle.h"

#include <string.h>

#include "callgate/log.h"
#include "callgate/text.h"

/* call_inflight_pkey; HOT. Only what is ahead of the stored state changes it. The two
 * events of one item get their own seq; if the state was skipped forward earlier, a late
 * "ringing" writes neither time nor event. */
static const Oid progress_types[] = {
	OID_INT8_ARRAY, OID_UUID_ARRAY, OID_INT2_ARRAY, OID_BOOL_ARRAY, OID_BOOL_ARRAY, OID_BOOL_ARRAY, OID_TEXT_ARRAY,
};
static const struct pg_statement progress_statement = PG_STATEMENT("progress", progress_types,
	"with u as (update call_inflight f set"
	"     state = greatest(f.state, case when x.answered then 3 when x.ringing then 2 else 1 end)::smallint,"
	"     phase = case when x.uncertain and f.phase < 3 then 2 when x.uncertain then f.phase else 3 end::smallint,"
	"     ringing_at = case when x.ringing and f.state < 2 then clock_timestamp() else f.ringing_at end,"
	"     answered_at = case when x.answered and f.state < 3 then clock_timestamp() else f.answered_at end,"
	"     provider_ref = coalesce(x.ref, f.provider_ref)"
	"   from unnest($1::bigint[], $2::uuid[], $3::smallint[], $4::bool[], $5::bool[], $6::bool[], $7::text[])"
	"        x(o, c, a, ringing, answered, uncertain, ref)"
	"   where" PROBE("f.org_id", "x.o", "f.call_id", "x.c") "and f.attempt = x.a and f.phase > 0"
	"   returning f.*, x.ringing, x.answered, x.uncertain)"
	" insert into call_events (org_id, call_id, seq, kind, at)"
	" select org_id, call_id, attempt * 16 + 2, 2, ringing_at from u where ringing and ringing_at is not null"
	" union all"
	" select org_id, call_id, attempt * 16 + 3, 3, answered_at from u where answered"
	" union all"
	" select org_id, call_id, attempt * 16 + 13, 33, clock_timestamp() from u where uncertain and phase = 2"
	" on conflict do nothing");

enum err store_progress(struct store *s, const struct call_progress *items, size_t n, struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	size_t i;

	if (n == 0)
		return OK;
	put_refs(&a, &items[0].call, sizeof *items, n);
	PG_COLUMN(&a, OID_BOOL, n, pg_put_bool(&a, items[i].ringing));
	PG_COLUMN(&a, OID_BOOL, n, pg_put_bool(&a, items[i].answered));
	PG_COLUMN(&a, OID_BOOL, n, pg_put_bool(&a, items[i].uncertain));
	PG_COLUMN(&a, OID_TEXT, n, pg_put_text(&a, items[i].provider_ref));
	return pg_run(s, &progress_statement, &a, NULL, e);
}

/* ── the end ──────────────────────────────────────────────────────────────────── */

/* The billed seconds of calls `k` that `d` ends: what was talked, in whole increments, not
 * less than the minimum; nothing unless it was answered. Talk past the maximum is our
 * lateness in hanging up or in hearing of it, and not the client's: without this bound a
 * call could cost more than was held for it, and an account be overdrawn. */
#define BILLED_SQL \
	" case when d.answered_at is null then 0 else greatest(k.minimum_s," \
	"  ceil(least(extract(epoch from d.ended_at - d.answered_at), k.max_duration_s) / greatest(k.increment_s, 1))" \
	"  * greatest(k.increment_s, 1))::int end "

/* What a client's cancel made of the reason that was told: a hang-up of ours was the client's;
 * and where the attempt failed otherwise before it was answered, it would have been the cancel
 * that kept it from another. Whatever else is told really happened. */
#define REASON_SQL \
	" case when f.cancel_at is null then x.reason" \
	"  when f.answered_at is not null and x.reason in (2, 14) then 20::smallint" \
	"  when f.answered_at is null and x.reason in (9, 10, 16) then 14::smallint else x.reason end"
#define STATE_SQL \
	" case when f.cancel_at is null then x.state" \
	"  when f.answered_at is not null and x.reason in (2, 14) then 4::smallint" \
	"  when f.answered_at is null and x.reason in (9, 10, 16) then 7::smallint else x.state end"
_Static_assert(REASON_AGENT_HANGUP == 2 && REASON_CANCELED == 14 && REASON_CLIENT_HANGUP == 20 &&
               REASON_CARRIER_UNAVAILABLE == 9 && REASON_CARRIER_LIMIT == 10 && REASON_PROVIDER_ERROR == 16 &&
               CALL_COMPLETED == 4 && CALL_CANCELED == 7, "the statement has these numbers");

/* call_inflight_pkey, then the primary key of the one partition of calls (the bounds prune
 * the others before anything runs), then the settling. What was only claimed was no attempt. The
 * end may be heard of late; its event says when it was told, as that is its place in the history. */
static const Oid finish_types[] = {
	OID_INT8_ARRAY, OID_UUID_ARRAY, OID_INT2_ARRAY, OID_INT2_ARRAY, OID_INT2_ARRAY, OID_INT2_ARRAY, OID_TEXT_ARRAY,
	OID_TEXT_ARRAY, OID_UUID, OID_UUID, OID_INT8_ARRAY,
};
static const struct pg_statement finish_statement = PG_STATEMENT("finish", finish_types,
	"with d as (delete from call_inflight f"
	"   using unnest($1::bigint[], $2::uuid[], $3::smallint[], $4::smallint[], $5::smallint[], $6::smallint[],"
	"                $7::text[], $8::text[], $11::bigint[]) with ordinality"
	"         x(o, c, a, state, reason, sip_code, sip_phrase, code, ago_ms, ix)"
	"   where" PROBE("f.org_id", "x.o", "f.call_id", "x.c") "and f.attempt = x.a"
	"   returning f.*," STATE_SQL " as final," REASON_SQL " as reason, x.sip_code, x.sip_phrase, x.code, x.ix,"
	"             greatest(f.initiated_at, f.ringing_at, f.answered_at, clock_timestamp() - x.ago_ms * interval '1 ms')"
	"             as ended_at, clock_timestamp() as told_at),"
	" u as (update calls k set state = d.final, reason = d.reason, attempts = d.attempt - (d.phase = 0)::int, sip_code = d.sip_code,"
	"     sip_phrase = d.sip_phrase, provider_code = d.code, provider_ref = d.provider_ref, agent = d.agent,"
	"     initiated_at = d.initiated_at, ringing_at = d.ringing_at, answered_at = d.answered_at, ended_at = d.ended_at,"
	"     billed_s =" BILLED_SQL ", charged_mc = ceil(k.rate_mc *" BILLED_SQL "/ 60.0)::bigint"
	"   from d where" PROBE("k.org_id", "d.org_id", "k.call_id", "d.call_id") "and k.call_id between $9 and $10"
	"   returning k.org_id, k.call_id, k.account_id, k.hold_mc, k.charged_mc, k.to_e164, k.lock_scope, d.attempt,"
	"             k.state, d.told_at, k.reason, k.sip_code, d.ix),"
	SETTLE_SQL ","
	" ev as (insert into call_events (org_id, call_id, seq, kind, at, data)"
	"   select org_id, call_id, attempt * 16 + 15, state, told_at,"
	"          jsonb_build_object('reason', reason, 'sipCode', nullif(sip_code, 0)) from u on conflict do nothing)"
	" select ix::int, reason from u");

static const char *null_if_empty(const char *s)
{
	return s[0] ? s : NULL;
}

static void put_bounds(struct pg_args *a, const struct call_end *items, size_t n)
{
	const struct id *lo = &items[0].call.call_id, *hi = lo;
	size_t i;

	for (i = 1; i < n; i++) {
		if (id_cmp(&items[i].call.call_id, lo) < 0)
			lo = &items[i].call.call_id;
		if (id_cmp(&items[i].call.call_id, hi) > 0)
			hi = &items[i].call.call_id;
	}
	pg_arg_id(a, lo);
	pg_arg_id(a, hi);
}

static enum call_state final_state(const struct call_outcome *o)
{
	return call_reason_info(o->reason)->state;
}

/* For what expires when its turn has come: rarely, and so not in the statement itself, which would open
 * the history's partitions each time. */
static const Oid last_types[] = { OID_INT8_ARRAY, OID_UUID_ARRAY, OID_INT2_ARRAY };
static const struct pg_statement last_statement = PG_STATEMENT("last_attempt", last_types,
	"select d.ix::int, l.reason, l.sip_code, l.sip_phrase, l.code"
	" from unnest($1::bigint[], $2::uuid[], $3::smallint[]) with ordinality d(org_id, call_id, attempt, ix)"
	LAST_ATTEMPT_SQL " where l.reason is not null");

static void take_last(const PGresult *r, int row, struct call_outcome *o)
{
	o->reason = (enum call_reason)pg_get_int2(r, row, 1);
	o->sip_code = pg_get_int2(r, row, 2);
	str_copy(o->sip_phrase, sizeof o->sip_phrase, pg_null(r, row, 3) ? "" : pg_get_text(r, row, 3));
	str_copy(o->provider_code, sizeof o->provider_code, pg_null(r, row, 4) ? "" : pg_get_text(r, row, 4));
}

static enum err tell_last_attempts(struct store *s, struct call_end *items, size_t n, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;
	size_t i;
	int row;

	for (i = 0; i < n && (items[i].outcome.reason != REASON_QUEUE_EXPIRED || items[i].call.attempt == 1); i++)
		;
	if (i == n)
		return OK;
	put_refs(&a, &items[0].call, sizeof *items, n);
	err = pg_run_read(s, &last_statement, &a, &r, e);
	for (row = 0; !err && row < PQntuples(r); row++) {
		i = (size_t)pg_get_int4(r, row, 0) - 1;
		if (items[i].outcome.reason == REASON_QUEUE_EXPIRED)
			take_last(r, row, &items[i].outcome);
	}
	return err;
}

enum err store_finish(struct store *s, struct call_end *items, size_t n, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;
	size_t i;
	int row;

	if (n == 0)
		return OK;
	err = tell_last_attempts(s, items, n, e);
	if (err)
		return err;
	put_refs(&a, &items[0].call, sizeof *items, n);
	PG_COLUMN(&a, OID_INT2, n, pg_put_int2(&a, (int16_t)final_state(&items[i].outcome)));
	PG_COLUMN(&a, OID_INT2, n, pg_put_int2(&a, (int16_t)items[i].outcome.reason));
	PG_COLUMN(&a, OID_INT2, n, pg_put_int2(&a, (int16_t)items[i].outcome.sip_code));
	PG_COLUMN(&a, OID_TEXT, n, pg_put_text(&a, null_if_empty(items[i].outcome.sip_phrase)));
	PG_COLUMN(&a, OID_TEXT, n, pg_put_text(&a, null_if_empty(items[i].outcome.provider_code)));
	put_bounds(&a, items, n);
	PG_COLUMN(&a, OID_INT8, n, pg_put_int8(&a, items[i].ago_ms));
	err = pg_run(s, &finish_statement, &a, &r, e);
	if (err)
		return err;
	for (i = 0; i < n; i++)
		items[i].ended = false;
	for (row = 0; row < PQntuples(r); row++) {
		struct call_end *end = &items[pg_get_int4(r, row, 0) - 1];

		end->ended = true;
		end->outcome.reason = (enum call_reason)pg_get_int2(r, row, 1);
	}
	return OK;
}

/* ── another attempt ──────────────────────────────────────────────────────────── */

/* An attempt whose intent was committed is never made again under its number: a word about
 * it that comes late finds another. One that was only claimed keeps it, as unclaim does, and
 * is bound to that: phase 0, of this gateway. It leaves no event; what was wrong stands with
 * the call, should it wait until it has waited too long. The end that a client asked for is
 * never put off by another attempt. */
static const Oid retry_types[] = {
	OID_INT8_ARRAY, OID_UUID_ARRAY, OID_INT2_ARRAY, OID_INT2_ARRAY, OID_INT2_ARRAY, OID_INT4_ARRAY, OID_TEXT_ARRAY,
	OID_BOOL_ARRAY, OID_BOOL_ARRAY, OID_INT8, OID_TEXT_ARRAY,
};
static const struct pg_statement retry_statement = PG_STATEMENT("retry", retry_types,
	"with d as (delete from call_inflight f"
	"   using unnest($1::bigint[], $2::uuid[], $3::smallint[], $4::smallint[], $5::smallint[], $6::int[], $7::text[],"
	"                $8::bool[], $9::bool[], $11::text[]) with ordinality"
	"         x(o, c, a, reason, sip_code, delay_ms, code, undialed, same, sip_phrase, ix)"
	"   where" PROBE("f.org_id", "x.o", "f.call_id", "x.c") "and f.attempt = x.a and f.cancel_at is null"
	"     and (not x.same or (f.phase = 0 and f.gateway_id + 0 = $10))"
	"   returning f.*, x.reason, x.sip_code, x.delay_ms, x.code, x.undialed, x.same, x.sip_phrase, x.ix),"
	" w as (insert into call_schedule (org_id, call_id, shard, run_at, project_id, trunk_id, prio, attempt, timed, locked)"
	"   select org_id, call_id, org_id % 64, clock_timestamp() + delay_ms * interval '1 ms', project_id, trunk_id, prio,"
	"          attempt + case when same then 0 else 1 end, timed, true from d on conflict do nothing),"
	" k as (update calls c set attempts = case when d.same then c.attempts else d.attempt end, provider_code = d.code"
	"   from d where" PROBE("c.org_id", "d.org_id", "c.call_id", "d.call_id") "),"
	" ev as (insert into call_events (org_id, call_id, seq, kind, data)"
	"   select org_id, call_id, attempt * 16 + 14, 32,"
	"          jsonb_strip_nulls(jsonb_build_object('reason', reason, 'sipCode', nullif(sip_code, 0), 'sipPhrase', sip_phrase,"
	"            'providerCode', code, 'providerRef', provider_ref, 'delayMs', delay_ms))"
	"            || case when undialed then '{\"undialed\":true}' else '{}' end::jsonb"
	"   from d where not same on conflict do nothing)"
	" select ix::int from d");

enum err store_retry(struct store *s, int64_t gateway_id, struct call_retry *items, size_t n, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;
	size_t i;
	int row;

	if (n == 0)
		return OK;
	put_refs(&a, &items[0].call, sizeof *items, n);
	PG_COLUMN(&a, OID_INT2, n, pg_put_int2(&a, (int16_t)items[i].outcome.reason));
	PG_COLUMN(&a, OID_INT2, n, pg_put_int2(&a, (int16_t)items[i].outcome.sip_code));
	PG_COLUMN(&a, OID_INT4, n, pg_put_int4(&a, items[i].delay_ms));
	PG_COLUMN(&a, OID_TEXT, n, pg_put_text(&a, null_if_empty(items[i].outcome.provider_code)));
	PG_COLUMN(&a, OID_BOOL, n, pg_put_bool(&a, items[i].outcome.undialed));
	PG_COLUMN(&a, OID_BOOL, n, pg_put_bool(&a, items[i].same));
	pg_arg_int8(&a, gateway_id);
	PG_COLUMN(&a, OID_TEXT, n, pg_put_text(&a, null_if_empty(items[i].outcome.sip_phrase)));
	err = pg_run(s, &retry_statement, &a, &r, e);
	if (err)
		return err;
	for (i = 0; i < n; i++)
		items[i].done = false;
	for (row = 0; row < PQntuples(r); row++)
		items[pg_get_int4(r, row, 0) - 1].done = true;
	return OK;
}
