/* The attempts of a call before its present one, told by its events. Most calls have none,
 * and the record itself tells of the only attempt: so this is a statement of its own, and a
 * plain look-up never opens the history's partitions. */
#include "attempts.h"

#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "pg.h"

/* The steps of an attempt, as the low bits of an event's number have them. */
enum { STEP_INITIATED = 1, STEP_RINGING, STEP_ANSWERED, STEP_UNCERTAIN = 13, STEP_RETRY, STEP_END };

/* The primary key of the one partition of call_events. */
static const Oid attempts_types[] = { OID_INT8_ARRAY, OID_UUID_ARRAY, OID_INT4_ARRAY, OID_INT4_ARRAY };
static const struct pg_statement attempts_statement = PG_STATEMENT("calls_attempts", attempts_types,
	"select r.ix::int, e.seq, e.at, (e.data->>'reason')::smallint, (e.data->>'sipCode')::int, e.data->>'sipPhrase',"
	"       e.data->>'providerCode', e.data->>'providerRef', coalesce((e.data->>'undialed')::bool, false)"
	" from unnest($1::bigint[], $2::uuid[], $3::int[], $4::int[]) with ordinality r(o, id, low, high, ix)"
	" cross join lateral (select seq, at, data from call_events e"
	"   where e.org_id = r.o and e.call_id = r.id and e.seq >= r.low and e.seq < r.high order by e.seq offset 0) e"
	" order by r.ix, e.seq");

static void copy_text(char *out, size_t size, const PGresult *r, int row, int col)
{
	str_copy(out, size, pg_null(r, row, col) ? "" : pg_get_text(r, row, col));
}

static void take_end(const PGresult *r, int row, struct call_attempt *a)
{
	int reason = pg_get_int2(r, row, 3);

	a->ended_ms = pg_get_ms(r, row, 2);
	a->uncertain = false;
	a->outcome.reason = reason > REASON_NONE && reason < REASON_COUNT ? (enum call_reason)reason : REASON_NONE;
	a->outcome.sip_code = pg_get_int4(r, row, 4);
	copy_text(a->outcome.sip_phrase, sizeof a->outcome.sip_phrase, r, row, 5);
	copy_text(a->outcome.provider_code, sizeof a->outcome.provider_code, r, row, 6);
	copy_text(a->provider_ref, sizeof a->provider_ref, r, row, 7);
	a->outcome.undialed = pg_get_bool(r, row, 8);
}

static void take_event(const PGresult *r, int row, struct call_attempt *a)
{
	switch (pg_get_int2(r, row, 1) % 16) {
	case STEP_INITIATED: a->initiated_ms = pg_get_ms(r, row, 2); break;
	case STEP_RINGING:   a->ringing_ms = pg_get_ms(r, row, 2); break;
	case STEP_ANSWERED:  a->answered_ms = pg_get_ms(r, row, 2); break;
	case STEP_UNCERTAIN: a->uncertain = true; break;
	case STEP_RETRY:
	case STEP_END:       take_end(r, row, a); break;
	}
}

/* The attempt that an event belongs to: the last, as events come in order, or a new one. One
 * that was only claimed, and never begun, is none. */
static struct call_attempt *attempt_of(struct call_record *c, int seq)
{
	if (c->n_earlier > 0 && c->earlier[c->n_earlier - 1].number == seq / 16)
		return &c->earlier[c->n_earlier - 1];
	if (seq % 16 != STEP_INITIATED || c->n_earlier > ATTEMPTS_TOLD)
		return NULL;
	if (!c->earlier)
		c->earlier = xcalloc(ATTEMPTS_TOLD + 1, sizeof *c->earlier);
	c->earlier[c->n_earlier].number = seq / 16;
	return &c->earlier[c->n_earlier++];
}

/* The record itself tells of an attempt that goes on, and of the last. */
static int first_not_asked(const struct call_record *c)
{
	return c->attempts + (c->initiated_ms ? 0 : 1);
}

static int first_asked(const struct call_record *c)
{
	int end = first_not_asked(c);

	return end > ATTEMPTS_TOLD ? end - ATTEMPTS_TOLD : 1;
}

static void build_args(struct pg_args *a, const int64_t *orgs, struct call_record **calls, size_t n)
{
	size_t i;

	PG_COLUMN(a, OID_INT8, n, pg_put_int8(a, orgs[i]));
	PG_COLUMN(a, OID_UUID, n, pg_put_id(a, &calls[i]->id));
	PG_COLUMN(a, OID_INT4, n, pg_put_int4(a, first_asked(calls[i]) * 16));
	PG_COLUMN(a, OID_INT4, n, pg_put_int4(a, first_not_asked(calls[i]) * 16));
}

enum err read_attempts(struct store *s, const int64_t *orgs, struct call_record **calls, size_t n, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	struct call_attempt *attempt;
	struct call_record *c;
	enum err err;
	int row;

	if (n == 0)
		return OK;
	build_args(&a, orgs, calls, n);
	err = pg_run_read(s, &attempts_statement, &a, &r, e);
	if (err)
		return err;
	for (row = 0; row < PQntuples(r); row++) {
		c = calls[pg_get_int4(r, row, 0) - 1];
		attempt = attempt_of(c, pg_get_int2(r, row, 1));
		if (attempt)
			take_event(r, row, attempt);
	}
	return OK;
}
