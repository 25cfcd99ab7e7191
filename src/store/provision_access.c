/* Provisioning of who may call with what: pools and projects, with lists that are made
 * exactly as given. */
#include "provision_inside.h"

#include <inttypes.h>
#include <stdio.h>

#include "callgate/mem.h"

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
	CLEANUP(pg_clearp) PGresult *r = NULL;
	struct pg_args args = PG_ARGS;
	char place[64];
	enum err err;

	pg_arg_int8(&args, prov_org_of(a));
	list_arg(&args, list);
	err = prov_ask_rows(a, missing, &args, &r);
	if (err)
		return err;
	for (int row = 0; row < PQntuples(r); row++) {
		int64_t i = pg_get_int8(r, row, 0) - 1;

		snprintf(place, sizeof place, "%s/%" PRId64, member, i);
		err = prov_mistake(a, place, "the organization has no %s '%s'", what, list->items[i]);
	}
	return err;
}

static enum err set_list(struct applier *a, const struct pg_statement *st, int64_t id,
                         const struct provision_list *list, int64_t *changed)
{
	struct pg_args args = PG_ARGS;
	int64_t n = 0;
	enum err err;

	if (!list->given)
		return OK;
	pg_arg_int8(&args, prov_org_of(a));
	pg_arg_int4(&args, (int32_t)id);
	list_arg(&args, list);
	err = prov_ask(a, st, &args, &n);
	*changed += n;
	return err;
}

/* ── pools and projects ───────────────────────────────────────────────────────────── */

static const struct pg_statement pool_find = PG_STATEMENT("provision_pool_find", prov_find_types,
	"select pool_id::int8 from number_pools where org_id = $1 and name = $2");
static const struct pg_statement pool_make = PG_STATEMENT("provision_pool_make", prov_find_types,
	"insert into number_pools (org_id, pool_id, name)"
	" select $1, coalesce(max(pool_id), 0) + 1, $2 from number_pools where org_id = $1 returning pool_id::int8");

enum err prov_apply_pool(struct applier *a, enum provision_change *change)
{
	int64_t pool_id, changed = 0;
	struct pg_args args = PG_ARGS;
	bool made;
	enum err err, list_err;

	err = check_list(a, &a->at->members, "members", &members_missing, "user");
	list_err = check_list(a, &a->at->numbers, "numbers", &numbers_missing, "number");
	if (err || list_err)
		return err ? err : list_err;
	err = prov_find(a, &pool_find, a->at->key, &pool_id);
	made = !err && pool_id == 0;
	if (made) {
		prov_args_begin(a, &args);
		err = prov_ask(a, &pool_make, &args, &pool_id);
	}
	if (!err)
		err = set_list(a, &pool_members, pool_id, &a->at->members, &changed);
	if (!err)
		err = set_list(a, &pool_numbers, pool_id, &a->at->numbers, &changed);
	*change = prov_change_of(made, changed);
	return err;
}

static const struct pg_statement account_find = PG_STATEMENT("provision_account_find", prov_find_types,
	"select account_id::int8 from credit_accounts where org_id = $1 and name = $2");
static const struct pg_statement project_find = PG_STATEMENT("provision_project_find", prov_find_types,
	"select project_id::int8 from projects where org_id = $1 and public_id = $2");
static const struct pg_statement default_find = PG_STATEMENT("provision_default_find", prov_find_types,
	"select default_account::int8 from organizations where org_id = $1 and $2 is not null");
static const Oid project_make_types[] = { OID_INT8, OID_TEXT, OID_TEXT, OID_TEXT, OID_INT4, OID_BOOL };
static const struct pg_statement project_make = PG_STATEMENT("provision_project_make", project_make_types,
	"insert into projects (org_id, project_id, public_id, name, agent, account_id, own_account)"
	" select $1, coalesce(max(project_id), 0) + 1, $2, coalesce($3, $2), $4, $5, $6 from projects where org_id = $1"
	" returning project_id::int8");
static const struct pg_statement project_patch = PG_STATEMENT("provision_project_patch", prov_patch_types,
	"with want as (select (jsonb_populate_record(p, jsonb_object($3, $4))).* from projects p"
	"  where p.org_id = $1 and p.public_id = $2),"
	" changed as (update projects p set name = w.name, agent = w.agent, account_id = w.account_id,"
	"  own_account = w.own_account, rate_mc = w.rate_mc, increment_s = w.increment_s, minimum_s = w.minimum_s,"
	"  hold_s = w.hold_s, ring_timeout_s = w.ring_timeout_s, max_duration_s = w.max_duration_s,"
	"  wait_for_agent_s = w.wait_for_agent_s,"
	"  weight = w.weight, max_concurrent = w.max_concurrent, cps_milli = w.cps_milli, burst = w.burst"
	"  from want w where p.org_id = $1 and p.project_id = w.project_id and row(p.*) is distinct from row(w.*)"
	"  returning 1)"
	" select count(*) from changed");
static const struct column project_columns[] = {
	{ FIELD_TITLE, "name" }, { FIELD_AGENT, "agent" }, { FIELD_RATE_MC, "rate_mc" },
	{ FIELD_INCREMENT_S, "increment_s" }, { FIELD_MINIMUM_S, "minimum_s" }, { FIELD_HOLD_S, "hold_s" },
	{ FIELD_RING_TIMEOUT_S, "ring_timeout_s" }, { FIELD_MAX_DURATION_S, "max_duration_s" },
	{ FIELD_WAIT_FOR_AGENT_S, "wait_for_agent_s" },
	{ FIELD_WEIGHT, "weight" }, { FIELD_MAX_CONCURRENT, "max_concurrent" }, { FIELD_CPS_MILLI, "cps_milli" },
	{ FIELD_BURST, "burst" },
};

/* The account that the document says the project draws on: one by name, or with null the
 * organization's default; 0: it says nothing. */
static enum err find_account(struct applier *a, int64_t *account_id)
{
	const struct provision_value *v = &a->at->values[FIELD_ACCOUNT];
	enum err err;

	*account_id = 0;
	if (!v->given)
		return OK;
	err = prov_find(a, v->text ? &account_find : &default_find, v->text ? v->text : "", account_id);
	if (err || *account_id)
		return err;
	if (!v->text)
		return prov_mistake(a, "account", "the organization has no account yet");
	return prov_mistake(a, "account", "the organization has no account '%s'", v->text);
}

static enum err make_project(struct applier *a, int64_t account_id, int64_t *project_id)
{
	struct pg_args args = PG_ARGS;
	enum err err;

	if (!prov_value_text(a, FIELD_AGENT))
		return prov_mistake(a, "", "a new project needs an 'agent'");
	if (account_id == 0) {
		err = prov_find(a, &default_find, "", &account_id);
		if (err)
			return err;
	}
	if (account_id == 0)
		return prov_mistake(a, "", "a new project needs an 'account': the organization has none to draw on");
	prov_args_begin(a, &args);
	pg_arg_text(&args, prov_value_text(a, FIELD_TITLE));
	pg_arg_text(&args, prov_value_text(a, FIELD_AGENT));
	pg_arg_int4(&args, (int32_t)account_id);
	pg_arg_bool(&args, prov_value_text(a, FIELD_ACCOUNT) != NULL);
	return prov_ask(a, &project_make, &args, project_id);
}

static enum err patch_project(struct applier *a, int64_t account_id, int64_t *changed)
{
	struct patch patch = { .n = 0 };
	struct pg_args args = PG_ARGS;
	char text[24];

	prov_patch_fill(a, &patch, project_columns, ARRAY_LEN(project_columns));
	snprintf(text, sizeof text, "%" PRId64, account_id);
	if (account_id) {
		prov_patch_add(&patch, "account_id", text);
		prov_patch_add(&patch, "own_account", prov_value_text(a, FIELD_ACCOUNT) ? "true" : "false");
	}
	prov_args_begin(a, &args);
	prov_patch_args(&args, &patch);
	return prov_ask(a, &project_patch, &args, changed);
}

enum err prov_apply_project(struct applier *a, enum provision_change *change)
{
	int64_t account_id, project_id, changed = 0;
	enum err err, list_err;
	bool made;

	err = find_account(a, &account_id);
	if (a->broken)
		return err;
	list_err = check_list(a, &a->at->members, "members", &members_missing, "user");
	if (err || list_err)
		return err ? err : list_err;
	err = prov_find(a, &project_find, a->at->key, &project_id);
	made = !err && project_id == 0;
	if (made)
		err = make_project(a, account_id, &project_id);
	if (!err)
		err = patch_project(a, account_id, &changed);
	if (!err)
		err = set_list(a, &project_members, project_id, &a->at->members, &changed);
	*change = prov_change_of(made, changed);
	return err;
}

