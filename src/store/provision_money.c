/* Provisioning of money: accounts, what is paid into them, and what calls cost. */
#include "provision_inside.h"

#include <inttypes.h>
#include <stdlib.h>

#include "callgate/mem.h"
#include "callgate/money.h"
#include "callgate/text.h"
#include "credits.h"

/* ── accounts ─────────────────────────────────────────────────────────────────────── */

/* The opening balance comes with its ledger entry, in one statement: the balance is the
 * sum of the ledger at any moment. */
static const Oid account_types[] = { OID_INT8, OID_TEXT, OID_TEXT };
static const struct pg_statement account_make = PG_STATEMENT("provision_account_make", account_types,
	"with made as (insert into credit_accounts (org_id, account_id, name, balance_mc)"
	"  select $1, coalesce(max(account_id), 0) + 1, $2, coalesce($3::bigint, 0) from credit_accounts where org_id = $1"
	"  on conflict (org_id, name) do nothing returning account_id, balance_mc),"
	" booked as (insert into credit_ledger (org_id, account_id, kind, amount_mc, note)"
	"  select $1, account_id, 1, balance_mc, 'opening balance' from made where balance_mc <> 0)"
	" select count(*) from made");

/* The first account is the default until another one is said to be. The projects that have
 * none of their own go with it; calls stay with the account that holds for them. */
static const Oid default_types[] = { OID_INT8, OID_TEXT, OID_BOOL };
static const struct pg_statement default_set = PG_STATEMENT("provision_default_set", default_types,
	"with mine as (select account_id from credit_accounts where org_id = $1 and name = $2),"
	" moved as (update organizations o set default_account = mine.account_id from mine where o.org_id = $1"
	"   and (o.default_account is null or $3) and o.default_account is distinct from mine.account_id returning 1),"
	" follow as (update projects p set account_id = mine.account_id from mine where p.org_id = $1"
	"   and not p.own_account and p.account_id <> mine.account_id and exists (select from moved))"
	" select count(*) from moved");
static const struct pg_statement default_is = PG_STATEMENT("provision_default_is", prov_find_types,
	"select 1::int8 from organizations o join credit_accounts a on a.org_id = o.org_id and a.account_id = o.default_account"
	" where o.org_id = $1 and a.name = $2");

/* Of two defaults one must be meant to be another. */
static bool default_said_before(const struct applier *a)
{
	for (const struct provision_object *o = &a->p->objects[a->at->org]; o < a->at; o++) {
		const char *said = o->values[FIELD_DEFAULT].text;

		if (o->kind == PROVISION_ACCOUNT && o->org == a->at->org && said && str_eq(said, "true"))
			return true;
	}
	return false;
}

static enum err set_default(struct applier *a, int64_t *changed)
{
	const char *said = prov_value_text(a, FIELD_DEFAULT);
	bool yes = said && str_eq(said, "true");
	struct pg_args args = PG_ARGS;
	int64_t is_default = 0;
	enum err err;

	if (yes && default_said_before(a))
		return prov_mistake(a, "default", "another account is said to be the default");
	prov_args_begin(a, &args);
	pg_arg_bool(&args, yes);
	err = prov_ask(a, &default_set, &args, changed);
	if (err || yes || !said)
		return err;
	err = prov_find(a, &default_is, a->at->key, &is_default);
	if (!err && is_default)
		return prov_mistake(a, "default", "it is the organization's default, and there has to be one; say of another"
		                    " account that it is");
	return err;
}

enum err prov_apply_account(struct applier *a, enum provision_change *change)
{
	struct pg_args args = PG_ARGS;
	int64_t made = 0, changed = 0;
	enum err err;

	prov_args_begin(a, &args);
	pg_arg_text(&args, prov_value_text(a, FIELD_CREDITS_MC));
	err = prov_ask(a, &account_make, &args, &made);
	if (!err)
		err = set_default(a, &changed);
	*change = prov_change_of(made, changed);
	return err;
}

/* ── what is paid into them ───────────────────────────────────────────────────────── */

static const char *account_name(const struct applier *a)
{
	return a->p->objects[a->at->parent].key;
}

static const Oid lock_types[] = { OID_INT8_ARRAY, OID_TEXT_ARRAY, OID_TEXT_ARRAY };
static const struct pg_statement lock_statement = PG_STATEMENT("provision_lock_accounts", lock_types,
	"select 1::int8 from credit_accounts a where exists (select from unnest($1, $2, $3) x(o, name, reference)"
	"   where x.o = a.org_id and x.name = a.name and not exists (select from credit_ledger l"
	"    where l.org_id = x.o and l.reference = x.reference))"
	" order by a.org_id, a.account_id for update of a");

/* An account that was made just now is nobody else's to lock, but that does no harm. */
enum err prov_lock_accounts(struct applier *a)
{
	CLEANUP(freep) const struct provision_object **ups = xcalloc(a->p->n + 1, sizeof *ups);
	struct pg_args args = PG_ARGS;
	int64_t ignored;
	size_t n = 0, i;

	for (i = 0; i < a->p->n; i++) {
		if (a->p->objects[i].kind == PROVISION_TOP_UP)
			ups[n++] = &a->p->objects[i];
	}
	if (n == 0)
		return OK;
	PG_COLUMN(&args, OID_INT8, n, pg_put_int8(&args, a->orgs[ups[i]->org]));
	PG_COLUMN(&args, OID_TEXT, n, pg_put_text(&args, a->p->objects[ups[i]->parent].key));
	PG_COLUMN(&args, OID_TEXT, n, pg_put_text(&args, ups[i]->key));
	return prov_ask(a, &lock_statement, &args, &ignored);
}

static const struct pg_statement account_find = PG_STATEMENT("provision_account_of_top_up", prov_find_types,
	"select account_id::int8 from credit_accounts where org_id = $1 and name = $2");

enum err prov_apply_top_up(struct applier *a, enum provision_change *change)
{
	const char *amount = prov_value_text(a, FIELD_AMOUNT_MC);
	struct booking b = { .org_id = prov_org_of(a), .kind = LEDGER_TOP_UP, .reference = a->at->key,
	                     .note = prov_value_text(a, FIELD_NOTE) };
	struct booked booked;
	int64_t account_id = 0;
	enum err err;

	if (!amount)
		return prov_mistake(a, "", "a top-up needs an 'amount'");
	err = prov_find(a, &account_find, account_name(a), &account_id);
	if (err || account_id == 0)     /* the account had a mistake, which was told */
		return err;
	b.account_id = (int32_t)account_id;
	b.amount_mc = strtoll(amount, NULL, 10);
	err = credits_book(a->s, &b, &booked, a->e);
	if (err) {
		a->broken = true;
		return err == ERR_INVALID ? prov_mistake(a, "", "%s", a->e->text) : err;
	}
	if (booked.differs)
		return prov_mistake(a, "reference", "'%s' was booked before, with another amount or to another account", a->at->key);
	*change = booked.made ? PROVISION_CREATED : PROVISION_UNCHANGED;
	return OK;
}

/* ── what calls cost ──────────────────────────────────────────────────────────────── */

/* A price that is not in the list any more must not be asked for any longer. */
static const Oid drop_types[] = { OID_INT8, OID_TEXT_ARRAY };
static const struct pg_statement rates_drop = PG_STATEMENT("provision_rates_drop", drop_types,
	"with gone as (delete from rates where org_id = $1 and prefix <> all($2) returning 1) select count(*) from gone");

enum err prov_drop_rates(struct applier *a, int64_t *changed)
{
	const struct provision_list *l = &a->at->prefixes;
	struct pg_args args = PG_ARGS;
	int64_t gone = 0;
	enum err err;
	size_t i;

	if (!l->given)
		return OK;
	pg_arg_int8(&args, prov_org_of(a));
	PG_COLUMN(&args, OID_TEXT, l->n, pg_put_text(&args, l->items[i]));
	err = prov_ask(a, &rates_drop, &args, &gone);
	*changed += gone;
	return err;
}

static const Oid rate_make_types[] = { OID_INT8, OID_TEXT, OID_TEXT };
static const struct pg_statement rate_make = PG_STATEMENT("provision_rate_make", rate_make_types,
	"with made as (insert into rates (org_id, prefix, rate_mc) select $1, $2, $3::bigint where $3 is not null"
	"  on conflict do nothing returning 1)"
	" select count(*) from made");
static const struct pg_statement rate_find = PG_STATEMENT("provision_rate_find", prov_find_types,
	"select 1::int8 from rates where org_id = $1 and prefix = $2");
static const struct pg_statement rate_patch = PG_STATEMENT("provision_rate_patch", prov_patch_types,
	"with want as (select (jsonb_populate_record(r, jsonb_object($3, $4))).* from rates r"
	"  where r.org_id = $1 and r.prefix = $2),"
	" changed as (update rates r set rate_mc = w.rate_mc, increment_s = w.increment_s, minimum_s = w.minimum_s"
	"  from want w where r.org_id = $1 and r.prefix = $2 and row(r.*) is distinct from row(w.*) returning 1)"
	" select count(*) from changed");
static const struct column rate_columns[] = {
	{ FIELD_RATE_MC, "rate_mc" }, { FIELD_INCREMENT_S, "increment_s" }, { FIELD_MINIMUM_S, "minimum_s" },
};

enum err prov_apply_rate(struct applier *a, enum provision_change *change)
{
	struct patch patch = { .n = 0 };
	int64_t made = 0, there = 0, changed = 0;
	struct pg_args args;
	enum err err;

	prov_args_begin(a, &args);
	pg_arg_text(&args, prov_value_text(a, FIELD_RATE_MC));
	err = prov_ask(a, &rate_make, &args, &made);
	if (!err)
		err = prov_find(a, &rate_find, a->at->key, &there);
	if (!err && !there)
		return prov_mistake(a, "", "a new rate needs a 'ratePerMinute'");
	if (err)
		return err;
	prov_patch_fill(a, &patch, rate_columns, ARRAY_LEN(rate_columns));
	prov_args_begin(a, &args);
	prov_patch_args(&args, &patch);
	err = prov_ask(a, &rate_patch, &args, &changed);
	*change = prov_change_of(made, changed);
	return err;
}
