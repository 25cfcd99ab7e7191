/* Credits and their ledger as a project's members see them. */
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/store_money.h"
#include "keys_used.h"
#include "pg.h"

/* One row whoever asks: $1 and $2 the key, $3 the project as clients name it. The account is
 * there where the key's user is a member. api_keys_pkey, projects_org_id_public_id_key,
 * project_members_pkey, credit_accounts_pkey. */
#define ASKED_SQL \
	" (values (1)) one left join api_keys k on k.org_id = $1 and k.key_hash = $2 and k.revoked_at is null" \
	"      and (k.expires_at is null or k.expires_at > now())" \
	" left join projects p on p.org_id = k.org_id and p.public_id = $3" \
	" left join lateral (select m.user_id from project_members m where m.org_id = p.org_id" \
	"      and m.project_id = p.project_id and m.user_id = k.user_id limit 1) m on true" \
	" left join credit_accounts a on m.user_id is not null and a.org_id = p.org_id and a.account_id = p.account_id "
#define ASKED_COLUMNS \
	" k.user_id is not null, a.account_id is not null," \
	" k.user_id is not null and k.last_used_on is distinct from current_date"

static void put_asked(struct pg_args *a, const struct caller *caller, const char *project)
{
	pg_arg_int8(a, caller->org);
	pg_arg_bytes(a, caller->hash, sizeof caller->hash);
	pg_arg_text(a, project);
}

static enum read_outcome outcome_of(const PGresult *r)
{
	if (!pg_get_bool(r, 0, 0))
		return READ_KEY_UNKNOWN;
	return pg_get_bool(r, 0, 1) ? READ_FOUND : READ_NOT_FOUND;
}

static const Oid credits_types[] = { OID_INT8, OID_BYTEA, OID_TEXT };
static const struct pg_statement credits_statement = PG_STATEMENT("project_credits", credits_types,
	"select" ASKED_COLUMNS ", a.name, a.balance_mc, a.held_mc from" ASKED_SQL);

enum err store_project_credits(struct store *s, const struct caller *caller, const char *project,
                               struct project_credits *out, struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err;

	put_asked(&a, caller, project);
	err = pg_run(s, &credits_statement, &a, &r, e);
	if (err)
		return err;
	*out = (struct project_credits){ .outcome = outcome_of(r), .account = pg_dup_text(r, 0, 3),
	                                 .balance_mc = pg_get_int8(r, 0, 4), .held_mc = pg_get_int8(r, 0, 5) };
	if (pg_get_bool(r, 0, 2))
		keys_used_today(s, caller->org, caller->hash);
	return OK;
}

/* credit_ledger_pkey, read backwards from the place; the calls by their primary key, to see
 * whether they are of a project that the user is a member of. */
static const Oid page_types[] = { OID_INT8, OID_BYTEA, OID_TEXT, OID_INT8, OID_UUID, OID_INT4 };
static const struct pg_statement page_statement = PG_STATEMENT("ledger_page", page_types,
	"select" ASKED_COLUMNS ", l.id, l.kind, l.amount_mc,"
	"   case when v.user_id is not null then l.call_id end, l.reference, l.note,"
	"   (extract(epoch from l.at) * 1000000)::bigint"
	" from" ASKED_SQL
	" left join lateral (select * from credit_ledger l where l.org_id = a.org_id and l.account_id = a.account_id"
	"   and (l.at, l.id) < (case when $4 = 0 then 'infinity'::timestamptz"
	"                       else 'epoch'::timestamptz + $4 * interval '1 microsecond' end, $5)"
	"   order by l.at desc, l.id desc limit $6) l on true"
	" left join lateral (select c.org_id, c.project_id from calls c"
	"   where" PROBE("c.org_id", "l.org_id", "c.call_id", "l.call_id") "limit 1) c on true"
	" left join lateral (select x.user_id from project_members x where x.org_id = c.org_id"
	"   and x.project_id = c.project_id and x.user_id = k.user_id limit 1) v on true"
	" order by l.at desc, l.id desc");

static void read_entry(const PGresult *r, int row, struct ledger_entry *l)
{
	pg_get_id(r, row, 3, &l->id);
	l->kind = (enum ledger_kind)pg_get_int2(r, row, 4);
	l->amount_mc = pg_get_int8(r, row, 5);
	l->has_call = !pg_null(r, row, 6);
	if (l->has_call)
		pg_get_id(r, row, 6, &l->call_id);
	l->reference = pg_dup_text(r, row, 7);
	l->note = pg_dup_text(r, row, 8);
	l->at_us = pg_get_int8(r, row, 9);
}

/* Asks for one entry more than is wanted, to know whether there is one. */
enum err store_ledger_page(struct store *s, const struct caller *caller, const char *project,
                           const struct ledger_place *after, size_t limit, struct ledger_entry **out, size_t *n,
                           bool *more, enum read_outcome *outcome, struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	CLEANUP(pg_clearp) PGresult *r = NULL;
	size_t rows;
	enum err err;

	put_asked(&a, caller, project);
	pg_arg_int8(&a, after->at_us);
	pg_arg_id(&a, &after->id);
	pg_arg_int4(&a, (int32_t)limit + 1);
	err = pg_run(s, &page_statement, &a, &r, e);
	if (err)
		return err;
	/* Without an entry there is one row without one. */
	rows = pg_null(r, 0, 3) ? 0 : (size_t)PQntuples(r);
	*outcome = outcome_of(r);
	*more = rows > limit;
	*n = *more ? limit : rows;
	*out = xcalloc(*n + 1, sizeof **out);
	for (size_t i = 0; i < *n; i++)
		read_entry(r, (int)i, &(*out)[i]);
	if (pg_get_bool(r, 0, 2))
		keys_used_today(s, caller->org, caller->hash);
	return OK;
}

void ledger_free(struct ledger_entry *entries, size_t n)
{
	for (size_t i = 0; entries && i < n; i++) {
		free(entries[i].reference);
		free(entries[i].note);
	}
	free(entries);
}
