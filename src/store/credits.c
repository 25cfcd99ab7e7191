/* Credits that are put in, and looked at by the operator. An entry and the balance it makes
 * are one statement, under the lock of the account, which calls take for their holds and
 * charges too. */
#include "credits.h"

#include <stdlib.h>

#include "callgate/mem.h"

/* ── booking ──────────────────────────────────────────────────────────────────────── */

/* credit_accounts_pkey, credit_ledger_reference. The prior entry is looked for in the
 * statement's own moment; one that was committed since then is met by the index, and
 * neither made nor found. */
static const Oid book_types[] = { OID_INT8, OID_INT4, OID_INT2, OID_INT8, OID_TEXT, OID_TEXT };
static const struct pg_statement book_statement = PG_STATEMENT("credits_book", book_types,
	"with acct as materialized (select org_id, account_id from credit_accounts where org_id = $1 and account_id = $2"
	"   for update),"
	" prior as materialized (select account_id, kind, amount_mc from credit_ledger where org_id = $1 and reference = $5),"
	" entry as (insert into credit_ledger (org_id, account_id, kind, amount_mc, reference, note)"
	"   select org_id, account_id, $3, $4, $5, $6 from acct where not exists (select from prior)"
	"   on conflict (org_id, reference) where reference is not null do nothing returning amount_mc),"
	" paid as (update credit_accounts a set balance_mc = a.balance_mc + entry.amount_mc from entry"
	"   where a.org_id = $1 and a.account_id = $2 returning a.balance_mc, a.held_mc)"
	" select exists (select from paid), exists (select from prior),"
	"   exists (select from prior where account_id = $2 and kind = $3 and amount_mc = $4),"
	"   (select balance_mc from paid), (select held_mc from paid)");

static enum err book_once(struct store *s, const struct booking *b, struct booked *out, bool *settled,
                          struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err;

	pg_arg_int8(&a, b->org_id);
	pg_arg_int4(&a, b->account_id);
	pg_arg_int2(&a, (int16_t)b->kind);
	pg_arg_int8(&a, b->amount_mc);
	pg_arg_text(&a, b->reference);
	pg_arg_text(&a, b->note);
	err = pg_run(s, &book_statement, &a, &r, e);
	if (err)
		return err;
	*settled = pg_get_bool(r, 0, 0) || pg_get_bool(r, 0, 1);
	*out = (struct booked){ .made = pg_get_bool(r, 0, 0), .balance_mc = pg_get_int8(r, 0, 3),
	                        .held_mc = pg_get_int8(r, 0, 4) };
	out->differs = !out->made && !pg_get_bool(r, 0, 2);
	return OK;
}

/* The second look sees what the first one only ran into. */
enum err credits_book(struct store *s, const struct booking *b, struct booked *out, struct errinfo *e)
{
	bool settled = false;
	enum err err = OK;

	for (int i = 0; i < 2 && !err && !settled; i++)
		err = book_once(s, b, out, &settled, e);
	if (!err && !settled)
		return err_set(e, ERR_INTERNAL, "a booking was neither made nor found");
	return err;
}

/* ── by the operator ──────────────────────────────────────────────────────────────── */

static const Oid find_types[] = { OID_TEXT, OID_TEXT, OID_TEXT };
static const struct pg_statement find_statement = PG_STATEMENT("credits_find", find_types,
	"select o.org_id, a.account_id, a.name, a.balance_mc, a.held_mc from organizations o"
	" left join projects p on p.org_id = o.org_id and p.public_id = $3"
	" left join credit_accounts a on a.org_id = o.org_id and case when $2 is not null then a.name = $2"
	"   when $3 is not null then a.account_id = p.account_id else a.account_id = o.default_account end"
	" where o.name = $1");

static enum err no_account(const struct credit_order *order, struct errinfo *e)
{
	if (order->account)
		return err_set(e, ERR_NOT_FOUND, "organization '%s' has no account '%s'", order->org, order->account);
	if (order->project)
		return err_set(e, ERR_NOT_FOUND, "organization '%s' has no project '%s'", order->org, order->project);
	return err_set(e, ERR_NOT_FOUND, "organization '%s' has no account", order->org);
}

static enum err find_account(struct store *s, const struct credit_order *order, struct booking *b,
                             struct credit_receipt *out, struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err;

	pg_arg_text(&a, order->org);
	pg_arg_text(&a, order->account);
	pg_arg_text(&a, order->project);
	err = pg_run(s, &find_statement, &a, &r, e);
	if (err)
		return err;
	if (PQntuples(r) == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no organization '%s'", order->org);
	if (pg_null(r, 0, 1))
		return no_account(order, e);
	b->org_id = pg_get_int8(r, 0, 0);
	b->account_id = pg_get_int4(r, 0, 1);
	*out = (struct credit_receipt){ .account = pg_dup_text(r, 0, 2), .balance_mc = pg_get_int8(r, 0, 3),
	                                .held_mc = pg_get_int8(r, 0, 4) };
	return OK;
}

enum err store_credits_book(struct store *s, const struct credit_order *order, struct credit_receipt *out,
                            struct errinfo *e)
{
	struct booking b = { .kind = order->kind, .amount_mc = order->amount_mc, .reference = order->reference,
	                     .note = order->note };
	struct credit_receipt receipt = { 0 };
	struct booked booked;
	enum err err = find_account(s, order, &b, &receipt, e);

	if (!err)
		err = credits_book(s, &b, &booked, e);
	if (!err && booked.differs)
		err = err_set(e, ERR_INVALID, "reference '%s' was booked before, with another amount or to another account;"
		              " nothing was booked", order->reference);
	if (err) {
		free(receipt.account);
		return err;
	}
	receipt.already = !booked.made;
	if (booked.made) {
		receipt.balance_mc = booked.balance_mc;
		receipt.held_mc = booked.held_mc;
	}
	*out = receipt;
	return OK;
}

static const Oid list_types[] = { OID_TEXT };
static const struct pg_statement list_statement = PG_STATEMENT("accounts_list", list_types,
	"select a.name, a.account_id is not distinct from o.default_account, a.balance_mc, a.held_mc,"
	"   (select count(*)::int from projects p where p.org_id = a.org_id and p.account_id = a.account_id)"
	" from organizations o left join credit_accounts a on a.org_id = o.org_id where o.name = $1 order by a.name");

enum err store_accounts_list(struct store *s, const char *org, struct account_row **out, size_t *n,
                             struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err;

	pg_arg_text(&a, org);
	err = pg_run(s, &list_statement, &a, &r, e);
	if (err)
		return err;
	if (PQntuples(r) == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no organization '%s'", org);
	/* The outer join gives an organization without accounts one row without an account. */
	*n = pg_null(r, 0, 0) ? 0 : (size_t)PQntuples(r);
	*out = xcalloc(*n + 1, sizeof **out);
	for (size_t i = 0; i < *n; i++)
		(*out)[i] = (struct account_row){ .name = pg_dup_text(r, (int)i, 0), .is_default = pg_get_bool(r, (int)i, 1),
		                                  .balance_mc = pg_get_int8(r, (int)i, 2),
		                                  .held_mc = pg_get_int8(r, (int)i, 3),
		                                  .projects = pg_get_int4(r, (int)i, 4) };
	return OK;
}

void account_rows_free(struct account_row *rows, size_t n)
{
	for (size_t i = 0; rows && i < n; i++)
		free(rows[i].name);
	free(rows);
}
