/* Provisioning: one transaction, object by object in the document's order of dependencies.
 * Each object is two steps: make it with what it cannot be without (the columns' defaults
 * do the rest), then lay over it what the document says. The second step goes through
 * jsonb_populate_record(), which changes exactly the columns it is given and leaves the
 * others as they are; a row that comes out the same is not written.
 *
 * References are looked up before they are used, so that what dangles is told as a mistake
 * with its place and the transaction lives on to find the next one. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/store_admin.h"
#include "callgate/text.h"
#include "tx.h"

struct applier {
	struct store                    *s;
	const struct provision          *p;
	const struct provision_listener *l;
	const struct provision_object   *at;    /* the object in hand                      */
	int64_t                         *orgs;  /* by index of the organization's object   */
	bool                             mistaken;
	bool                             broken;        /* the transaction can only be rolled back */
	struct errinfo                  *e;
};

/* A mistake of the document: told, and the way to ERR_INVALID. */
__attribute__((format(printf, 3, 4)))
static enum err mistake(struct applier *a, const char *member, const char *fmt, ...)
{
	char pointer[1200], text[400];
	va_list args;

	snprintf(pointer, sizeof pointer, "%s%s%s", a->at->pointer, *member ? "/" : "", member);
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	a->mistaken = true;
	a->l->mistake(a->l->arg, pointer, text);
	return ERR_INVALID;
}

/* A statement's one number: how many rows it made or changed, or what it found; `none`
 * for no row or null. */
static enum err ask(struct applier *a, const struct pg_statement *st, struct pg_args *args, int64_t none,
                    int64_t *out)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err = pg_run(a->s, st, args, &r, a->e);

	pg_args_done(args);
	if (err == ERR_INVALID) {
		a->broken = true;
		return mistake(a, "", "%s", a->e->text);
	}
	if (err) {
		a->broken = true;
		return err;
	}
	*out = PQntuples(r) == 0 || pg_null(r, 0, 0) ? none : pg_get_int8(r, 0, 0);
	return OK;
}

static int64_t org_of(const struct applier *a)
{
	return a->orgs[a->at->org];
}

static const char *value_text(const struct applier *a, enum provision_field f)
{
	return a->at->values[f].text;
}

/* Every statement below begins with the organization and the object's key. */
static void args_begin(const struct applier *a, struct pg_args *args)
{
	pg_args_init(args);
	pg_arg_int8(args, org_of(a));
	pg_arg_text(args, a->at->key);
}

/* ── laying the document's values over a row ──────────────────────────────────────── */

struct column {
	enum provision_field field;
	const char          *name;
};

struct patch {
	const char *names[FIELD_COUNT];
	const char *values[FIELD_COUNT];
	size_t      n;
};

static void patch_add(struct patch *p, const char *name, const char *value)
{
	p->names[p->n] = name;
	p->values[p->n++] = value;
}

static void patch_fill(const struct applier *a, struct patch *p, const struct column *columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct provision_value *v = &a->at->values[columns[i].field];

		if (v->given)
			patch_add(p, columns[i].name, v->text);
	}
}

static void patch_args(struct pg_args *args, const struct patch *p)
{
	size_t i;

	PG_COLUMN(args, OID_TEXT, p->n, pg_put_text(args, p->names[i]));
	PG_COLUMN(args, OID_TEXT, p->n, pg_put_text(args, p->values[i]));
}

static enum provision_change change_of(int64_t made, int64_t changed)
{
	return made ? PROVISION_CREATED : changed ? PROVISION_UPDATED : PROVISION_UNCHANGED;
}

/* ── organizations and users ──────────────────────────────────────────────────────── */

static const Oid name_types[] = { OID_TEXT };
static const Oid id_name_types[] = { OID_TEXT, OID_TEXT };
static const Oid patch_types[] = { OID_INT8, OID_TEXT, OID_TEXT_ARRAY, OID_TEXT_ARRAY };

/* The lock keeps a second run from handing out the same ids below the organization. */
static const struct pg_statement org_find = PG_STATEMENT("provision_org_find", name_types,
	"select org_id from organizations where name = $1 for no key update");
static const struct pg_statement org_make = PG_STATEMENT("provision_org_make", id_name_types,
	"insert into organizations (public_id, name) values (coalesce($1::uuid, gen_random_uuid()), $2) returning org_id");
static const struct pg_statement org_id_taken = PG_STATEMENT("provision_org_id_taken", id_name_types,
	"select 1::int8 from organizations where (name = $2) <> (public_id = $1::uuid)");
static const struct pg_statement org_patch = PG_STATEMENT("provision_org_patch", patch_types,
	"with want as (select (jsonb_populate_record(o, jsonb_object($3, $4))).* from organizations o where o.org_id = $1),"
	" changed as (update organizations o"
	"  set weight = w.weight, max_concurrent = w.max_concurrent, cps_milli = w.cps_milli, burst = w.burst"
	"  from want w where o.org_id = $1 and o.name = $2 and row(o.*) is distinct from row(w.*) returning 1)"
	" select count(*) from changed");
static const struct column org_columns[] = {
	{ FIELD_WEIGHT, "weight" }, { FIELD_MAX_CONCURRENT, "max_concurrent" }, { FIELD_CPS_MILLI, "cps_milli" },
	{ FIELD_BURST, "burst" },
};

/* The id is how others know the organization: it is chosen once and never moved. */
static enum err check_public_id(struct applier *a)
{
	const char *id = value_text(a, FIELD_PUBLIC_ID);
	struct pg_args args;
	int64_t taken;
	enum err err;

	if (!id)
		return OK;
	pg_args_init(&args);
	pg_arg_text(&args, id);
	pg_arg_text(&args, a->at->key);
	err = ask(a, &org_id_taken, &args, 0, &taken);
	if (!err && taken)
		return mistake(a, "id", "the organization '%s' has another id, or this id is another's", a->at->key);
	return err;
}

static enum err find_or_make_org(struct applier *a, int64_t *org_id, int64_t *made)
{
	struct pg_args args;
	enum err err;

	pg_args_init(&args);
	pg_arg_text(&args, a->at->key);
	err = ask(a, &org_find, &args, 0, org_id);
	*made = !err && *org_id == 0;
	if (err || !*made)
		return err;
	pg_args_init(&args);
	pg_arg_text(&args, value_text(a, FIELD_PUBLIC_ID));
	pg_arg_text(&args, a->at->key);
	return ask(a, &org_make, &args, 0, org_id);
}

static enum err apply_organization(struct applier *a, enum provision_change *change)
{
	struct patch patch = { .n = 0 };
	int64_t org_id = 0, made = 0, changed = 0;
	struct pg_args args;
	enum err err;

	err = check_public_id(a);
	if (!err)
		err = find_or_make_org(a, &org_id, &made);
	if (err)
		return err;
	a->orgs[a->at->org] = org_id;
	patch_fill(a, &patch, org_columns, ARRAY_LEN(org_columns));
	args_begin(a, &args);
	patch_args(&args, &patch);
	err = ask(a, &org_patch, &args, 0, &changed);
	*change = change_of(made, changed);
	return err;
}

static const Oid user_types[] = { OID_TEXT };
static const struct pg_statement user_make = PG_STATEMENT("provision_user_make", user_types,
	"insert into users (email) values ($1) on conflict (email) do nothing");
static const Oid member_types[] = { OID_INT8, OID_TEXT };
static const struct pg_statement member_make = PG_STATEMENT("provision_member_make", member_types,
	"with made as (insert into memberships (org_id, user_id) select $1, user_id from users where email = $2"
	"  on conflict do nothing returning 1)"
	" select count(*) from made");
static const Oid role_types[] = { OID_INT8, OID_TEXT, OID_TEXT };
static const struct pg_statement member_patch = PG_STATEMENT("provision_member_patch", role_types,
	"with changed as (update memberships m set role = $3 from users u"
	"  where u.email = $2 and m.org_id = $1 and m.user_id = u.user_id and m.role <> $3 returning 1)"
	" select count(*) from changed");

static enum err apply_user(struct applier *a, enum provision_change *change)
{
	int64_t made = 0, changed = 0;
	struct pg_args args;
	enum err err;

	pg_args_init(&args);
	pg_arg_text(&args, a->at->key);
	err = ask(a, &user_make, &args, 0, &made);
	if (err)
		return err;
	args_begin(a, &args);
	err = ask(a, &member_make, &args, 0, &made);
	if (err)
		return err;
	args_begin(a, &args);
	pg_arg_text(&args, value_text(a, FIELD_ROLE));
	err = ask(a, &member_patch, &args, 0, &changed);
	*change = change_of(made, changed);
	return err;
}

/* ── accounts, trunks, numbers ────────────────────────────────────────────────────── */

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

static enum err apply_account(struct applier *a, enum provision_change *change)
{
	struct pg_args args;
	int64_t made = 0;
	enum err err;

	args_begin(a, &args);
	pg_arg_text(&args, value_text(a, FIELD_CREDITS_MC));
	err = ask(a, &account_make, &args, 0, &made);
	*change = change_of(made, 0);
	return err;
}

static const Oid find_types[] = { OID_INT8, OID_TEXT };
static const struct pg_statement trunk_find = PG_STATEMENT("provision_trunk_find", find_types,
	"select trunk_id::int8 from trunks where org_id = $1 and name = $2");
static const Oid trunk_make_types[] = { OID_INT8, OID_TEXT, OID_TEXT };
static const struct pg_statement trunk_make = PG_STATEMENT("provision_trunk_make", trunk_make_types,
	"with made as (insert into trunks (org_id, trunk_id, name, driver)"
	"  select $1, coalesce(max(trunk_id), 0) + 1, $2, $3 from trunks where org_id = $1 returning 1)"
	" select count(*) from made");
static const Oid trunk_patch_types[] = { OID_INT8, OID_TEXT, OID_TEXT_ARRAY, OID_TEXT_ARRAY, OID_JSONB };
static const struct pg_statement trunk_patch = PG_STATEMENT("provision_trunk_patch", trunk_patch_types,
	"with want as (select (jsonb_populate_record(t, jsonb_object($3, $4) ||"
	"   case when $5 is null then '{}' else jsonb_build_object('config', $5) end)).*"
	"  from trunks t where t.org_id = $1 and t.name = $2),"
	" changed as (update trunks t set driver = w.driver, provider_ref = w.provider_ref, config = w.config,"
	"  cps_milli = w.cps_milli, burst = w.burst, max_concurrent = w.max_concurrent, enabled = w.enabled"
	"  from want w where t.org_id = $1 and t.trunk_id = w.trunk_id and row(t.*) is distinct from row(w.*) returning 1)"
	" select count(*) from changed");
static const struct column trunk_columns[] = {
	{ FIELD_DRIVER, "driver" }, { FIELD_PROVIDER_REF, "provider_ref" }, { FIELD_CPS_MILLI, "cps_milli" },
	{ FIELD_BURST, "burst" }, { FIELD_MAX_CONCURRENT, "max_concurrent" }, { FIELD_ENABLED, "enabled" },
};

/* The number behind a name in this organization; 0: there is none. */
static enum err find(struct applier *a, const struct pg_statement *st, const char *name, int64_t *id)
{
	struct pg_args args;

	pg_args_init(&args);
	pg_arg_int8(&args, org_of(a));
	pg_arg_text(&args, name);
	return ask(a, st, &args, 0, id);
}

static enum err make_trunk(struct applier *a, int64_t *made)
{
	struct pg_args args;
	int64_t id;
	enum err err = find(a, &trunk_find, a->at->key, &id);

	*made = 0;
	if (err || id)
		return err;
	if (!value_text(a, FIELD_DRIVER))
		return mistake(a, "", "a new trunk needs a 'driver'");
	args_begin(a, &args);
	pg_arg_text(&args, value_text(a, FIELD_DRIVER));
	return ask(a, &trunk_make, &args, 0, made);
}

static enum err apply_trunk(struct applier *a, enum provision_change *change)
{
	struct patch patch = { .n = 0 };
	int64_t made, changed = 0;
	struct pg_args args;
	enum err err = make_trunk(a, &made);

	if (err)
		return err;
	patch_fill(a, &patch, trunk_columns, ARRAY_LEN(trunk_columns));
	args_begin(a, &args);
	patch_args(&args, &patch);
	pg_arg_jsonb(&args, value_text(a, FIELD_CONFIG));
	err = ask(a, &trunk_patch, &args, 0, &changed);
	*change = change_of(made, changed);
	return err;
}

static const struct pg_statement number_make = PG_STATEMENT("provision_number_make", find_types,
	"with made as (insert into phone_numbers (org_id, e164) values ($1, $2) on conflict do nothing returning 1)"
	" select count(*) from made");
static const struct pg_statement number_patch = PG_STATEMENT("provision_number_patch", patch_types,
	"with want as (select (jsonb_populate_record(n, jsonb_object($3, $4))).* from phone_numbers n"
	"  where n.org_id = $1 and n.e164 = $2),"
	" changed as (update phone_numbers n set status = w.status, outbound = w.outbound, trunk_id = w.trunk_id"
	"  from want w where n.org_id = $1 and n.e164 = $2 and row(n.*) is distinct from row(w.*) returning 1)"
	" select count(*) from changed");
static const struct column number_columns[] = { { FIELD_STATUS, "status" }, { FIELD_OUTBOUND, "outbound" } };

static enum err apply_number(struct applier *a, enum provision_change *change)
{
	const struct provision_value *trunk = &a->at->values[FIELD_TRUNK];
	struct patch patch = { .n = 0 };
	int64_t trunk_id = 0, made = 0, changed = 0;
	struct pg_args args;
	char text[24];
	enum err err = OK;

	if (trunk->text)
		err = find(a, &trunk_find, trunk->text, &trunk_id);
	if (!err && trunk->text && !trunk_id)
		err = mistake(a, "trunk", "the organization has no trunk '%s'", trunk->text);
	if (err)
		return err;
	args_begin(a, &args);
	err = ask(a, &number_make, &args, 0, &made);
	if (err)
		return err;
	patch_fill(a, &patch, number_columns, ARRAY_LEN(number_columns));
	snprintf(text, sizeof text, "%" PRId64, trunk_id);
	if (trunk->given)
		patch_add(&patch, "trunk_id", trunk->text ? text : NULL);
	args_begin(a, &args);
	patch_args(&args, &patch);
	err = ask(a, &number_patch, &args, 0, &changed);
	*change = change_of(made, changed);
	return err;
}

/* ── lists that are made exactly as given ─────────────────────────────────────────── */

static const Oid missing_types[] = { OID_INT8, OID_TEXT_ARRAY };
static const struct pg_statement members_missing = PG_STATEMENT("provision_members_missing", missing_types,
	"select e.i from unnest($2) with ordinality e(email, i)"
	" where not exists (select from users u join memberships m on m.org_id = $1 and m.user_id = u.user_id"
	"                   where u.email = e.email)"
	" order by e.i");
static const struct pg_statement numbers_missing = PG_STATEMENT("provision_numbers_missing", missing_types,
	"select e.i from unnest($2) with ordinality e(e164, i)"
	" where not exists (select from phone_numbers n where n.org_id = $1 and n.e164 = e.e164) order by e.i");

static const Oid list_types[] = { OID_INT8, OID_INT4, OID_TEXT_ARRAY };
#define MEMBER_LIST(table, id) \
	"with want as (select user_id from users where email = any($3))," \
	" gone as (delete from " table " where org_id = $1 and " id " = $2" \
	"  and user_id not in (select user_id from want) returning 1)," \
	" added as (insert into " table " (org_id, " id ", user_id) select $1, $2, user_id from want" \
	"  on conflict do nothing returning 1)" \
	" select (select count(*) from gone) + (select count(*) from added)"
static const struct pg_statement pool_members = PG_STATEMENT("provision_pool_members", list_types,
	MEMBER_LIST("pool_members", "pool_id"));
static const struct pg_statement project_members = PG_STATEMENT("provision_project_members", list_types,
	MEMBER_LIST("project_members", "project_id"));
static const struct pg_statement pool_numbers = PG_STATEMENT("provision_pool_numbers", list_types,
	"with gone as (delete from pool_numbers where org_id = $1 and pool_id = $2 and e164 <> all($3) returning 1),"
	" added as (insert into pool_numbers (org_id, pool_id, e164) select $1, $2, unnest($3)"
	"  on conflict do nothing returning 1)"
	" select (select count(*) from gone) + (select count(*) from added)");

static void list_arg(struct pg_args *args, const struct provision_list *list)
{
	size_t i;

	PG_COLUMN(args, OID_TEXT, list->n, pg_put_text(args, list->items[i]));
}

/* Tells every item that the organization does not have. */
static enum err check_list(struct applier *a, const struct provision_list *list, const char *member,
                           const struct pg_statement *missing, const char *what)
{
	CLEANUP(pg_args_done) struct pg_args args;
	CLEANUP(pg_clearp) PGresult *r = NULL;
	char place[64];
	enum err err;

	pg_args_init(&args);
	pg_arg_int8(&args, org_of(a));
	list_arg(&args, list);
	err = pg_run(a->s, missing, &args, &r, a->e);
	if (err) {
		a->broken = true;
		return err;
	}
	for (int row = 0; row < PQntuples(r); row++) {
		int64_t i = pg_get_int8(r, row, 0) - 1;

		snprintf(place, sizeof place, "%s/%" PRId64, member, i);
		err = mistake(a, place, "the organization has no %s '%s'", what, list->items[i]);
	}
	return err;
}

static enum err set_list(struct applier *a, const struct pg_statement *st, int64_t id,
                         const struct provision_list *list, int64_t *changed)
{
	struct pg_args args;
	int64_t n = 0;
	enum err err;

	if (!list->given)
		return OK;
	pg_args_init(&args);
	pg_arg_int8(&args, org_of(a));
	pg_arg_int4(&args, (int32_t)id);
	list_arg(&args, list);
	err = ask(a, st, &args, 0, &n);
	*changed += n;
	return err;
}

/* ── pools and projects ───────────────────────────────────────────────────────────── */

static const struct pg_statement pool_find = PG_STATEMENT("provision_pool_find", find_types,
	"select pool_id::int8 from number_pools where org_id = $1 and name = $2");
static const struct pg_statement pool_make = PG_STATEMENT("provision_pool_make", find_types,
	"insert into number_pools (org_id, pool_id, name)"
	" select $1, coalesce(max(pool_id), 0) + 1, $2 from number_pools where org_id = $1 returning pool_id::int8");

static enum err apply_pool(struct applier *a, enum provision_change *change)
{
	int64_t pool_id, changed = 0;
	struct pg_args args;
	bool made;
	enum err err, list_err;

	err = check_list(a, &a->at->members, "members", &members_missing, "user");
	list_err = check_list(a, &a->at->numbers, "numbers", &numbers_missing, "number");
	if (err || list_err)
		return err ? err : list_err;
	err = find(a, &pool_find, a->at->key, &pool_id);
	made = !err && pool_id == 0;
	if (made) {
		args_begin(a, &args);
		err = ask(a, &pool_make, &args, 0, &pool_id);
	}
	if (!err)
		err = set_list(a, &pool_members, pool_id, &a->at->members, &changed);
	if (!err)
		err = set_list(a, &pool_numbers, pool_id, &a->at->numbers, &changed);
	*change = change_of(made, changed);
	return err;
}

static const struct pg_statement account_find = PG_STATEMENT("provision_account_find", find_types,
	"select account_id::int8 from credit_accounts where org_id = $1 and name = $2");
static const struct pg_statement project_find = PG_STATEMENT("provision_project_find", find_types,
	"select project_id::int8 from projects where org_id = $1 and public_id = $2");
static const Oid project_make_types[] = { OID_INT8, OID_TEXT, OID_TEXT, OID_TEXT, OID_INT4 };
static const struct pg_statement project_make = PG_STATEMENT("provision_project_make", project_make_types,
	"insert into projects (org_id, project_id, public_id, name, agent, account_id)"
	" select $1, coalesce(max(project_id), 0) + 1, $2, coalesce($3, $2), $4, $5 from projects where org_id = $1"
	" returning project_id::int8");
static const struct pg_statement project_patch = PG_STATEMENT("provision_project_patch", patch_types,
	"with want as (select (jsonb_populate_record(p, jsonb_object($3, $4))).* from projects p"
	"  where p.org_id = $1 and p.public_id = $2),"
	" changed as (update projects p set name = w.name, agent = w.agent, account_id = w.account_id,"
	"  rate_mc = w.rate_mc, hold_s = w.hold_s, ring_timeout_s = w.ring_timeout_s, max_duration_s = w.max_duration_s,"
	"  weight = w.weight, max_concurrent = w.max_concurrent, cps_milli = w.cps_milli, burst = w.burst"
	"  from want w where p.org_id = $1 and p.project_id = w.project_id and row(p.*) is distinct from row(w.*)"
	"  returning 1)"
	" select count(*) from changed");
static const struct column project_columns[] = {
	{ FIELD_TITLE, "name" }, { FIELD_AGENT, "agent" }, { FIELD_RATE_MC, "rate_mc" }, { FIELD_HOLD_S, "hold_s" },
	{ FIELD_RING_TIMEOUT_S, "ring_timeout_s" }, { FIELD_MAX_DURATION_S, "max_duration_s" },
	{ FIELD_WEIGHT, "weight" }, { FIELD_MAX_CONCURRENT, "max_concurrent" }, { FIELD_CPS_MILLI, "cps_milli" },
	{ FIELD_BURST, "burst" },
};

static enum err check_account(struct applier *a, int64_t *account_id)
{
	const char *name = value_text(a, FIELD_ACCOUNT);
	enum err err;

	*account_id = 0;
	if (!name)
		return OK;
	err = find(a, &account_find, name, account_id);
	if (!err && *account_id == 0)
		return mistake(a, "account", "the organization has no account '%s'", name);
	return err;
}

static enum err make_project(struct applier *a, int64_t account_id, int64_t *project_id)
{
	struct pg_args args;

	if (!value_text(a, FIELD_AGENT))
		return mistake(a, "", "a new project needs an 'agent'");
	if (account_id == 0)
		return mistake(a, "", "a new project needs an 'account'");
	args_begin(a, &args);
	pg_arg_text(&args, value_text(a, FIELD_TITLE));
	pg_arg_text(&args, value_text(a, FIELD_AGENT));
	pg_arg_int4(&args, (int32_t)account_id);
	return ask(a, &project_make, &args, 0, project_id);
}

static enum err patch_project(struct applier *a, int64_t account_id, int64_t *changed)
{
	struct patch patch = { .n = 0 };
	struct pg_args args;
	char text[24];

	patch_fill(a, &patch, project_columns, ARRAY_LEN(project_columns));
	snprintf(text, sizeof text, "%" PRId64, account_id);
	if (account_id)
		patch_add(&patch, "account_id", text);
	args_begin(a, &args);
	patch_args(&args, &patch);
	return ask(a, &project_patch, &args, 0, changed);
}

static enum err apply_project(struct applier *a, enum provision_change *change)
{
	int64_t account_id, project_id, changed = 0;
	enum err err, list_err;
	bool made;

	err = check_account(a, &account_id);
	if (a->broken)
		return err;
	list_err = check_list(a, &a->at->members, "members", &members_missing, "user");
	if (err || list_err)
		return err ? err : list_err;
	err = find(a, &project_find, a->at->key, &project_id);
	made = !err && project_id == 0;
	if (made)
		err = make_project(a, account_id, &project_id);
	if (!err)
		err = patch_project(a, account_id, &changed);
	if (!err)
		err = set_list(a, &project_members, project_id, &a->at->members, &changed);
	*change = change_of(made, changed);
	return err;
}

/* ── the document ─────────────────────────────────────────────────────────────────── */

static enum err (*const appliers[])(struct applier *a, enum provision_change *change) = {
	[PROVISION_ORGANIZATION] = apply_organization,
	[PROVISION_USER]         = apply_user,
	[PROVISION_ACCOUNT]      = apply_account,
	[PROVISION_TRUNK]        = apply_trunk,
	[PROVISION_NUMBER]       = apply_number,
	[PROVISION_POOL]         = apply_pool,
	[PROVISION_PROJECT]      = apply_project,
};
_Static_assert(ARRAY_LEN(appliers) == PROVISION_KIND_COUNT, "a kind cannot be applied");

/* After a mistake it goes on, to tell the others too; what stands below an organization
 * that could not be made has nothing to stand on and is passed over. */
static enum err apply_all(struct applier *a)
{
	for (size_t i = 0; i < a->p->n && !a->broken; i++) {
		enum provision_change change = PROVISION_UNCHANGED;
		enum err err;

		a->at = &a->p->objects[i];
		if (a->at->kind != PROVISION_ORGANIZATION && org_of(a) == 0)
			continue;
		err = appliers[a->at->kind](a, &change);
		if (err && err != ERR_INVALID)
			return err;
		if (!err)
			a->l->changed(a->l->arg, a->p, a->at, change);
	}
	return a->mistaken ? err_set(a->e, ERR_INVALID, "the document has mistakes; nothing was changed") : OK;
}

/* Two runs at once would lock the same rows in different order. */
#define ONE_AT_A_TIME "select pg_advisory_xact_lock(hashtextextended('callgate.apply', 0))"

enum err store_provision(struct store *s, const struct provision *p, bool dry_run,
                         const struct provision_listener *l, struct errinfo *e)
{
	CLEANUP(freep) int64_t *orgs = xcalloc(p->n + 1, sizeof *orgs);
	struct errinfo words = { "" };
	struct applier a = { .s = s, .p = p, .l = l, .orgs = orgs, .e = &words };
	enum err err = tx_begin(s, &words);

	if (!err) {
		err = pg_exec(s, ONE_AT_A_TIME, NULL, &words);
		if (!err)
			err = apply_all(&a);
		if (!err && !dry_run)
			return tx_commit(s, e);
		tx_rollback(s);
	}
	/* Nothing was committed, whatever became of the connection. */
	if (err == ERR_UNCERTAIN)
		err = ERR_UNAVAILABLE;
	return err ? err_set(e, err, "%s", words.text) : OK;
}
