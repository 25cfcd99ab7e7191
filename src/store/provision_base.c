/* Provisioning of what a tenant has: organizations and their users, trunks and numbers. */
#include "provision_inside.h"

#include <inttypes.h>
#include <stdio.h>

#include "callgate/mem.h"

/* ── organizations and users ──────────────────────────────────────────────────────── */

static const Oid name_types[] = { OID_TEXT };
static const Oid id_name_types[] = { OID_TEXT, OID_TEXT };

/* The lock keeps a second run from handing out the same ids below the organization. */
static const struct pg_statement org_find = PG_STATEMENT("provision_org_find", name_types,
	"select org_id from organizations where name = $1 for no key update");
static const struct pg_statement org_make = PG_STATEMENT("provision_org_make", id_name_types,
	"insert into organizations (public_id, name) values (coalesce($1::uuid, gen_random_uuid()), $2) returning org_id");
static const struct pg_statement org_id_taken = PG_STATEMENT("provision_org_id_taken", id_name_types,
	"select 1::int8 from organizations where (name = $2) <> (public_id = $1::uuid)");
static const struct pg_statement org_patch = PG_STATEMENT("provision_org_patch", prov_patch_types,
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
	const char *id = prov_value_text(a, FIELD_PUBLIC_ID);
	struct pg_args args = PG_ARGS;
	int64_t taken;
	enum err err;

	if (!id)
		return OK;
	pg_arg_text(&args, id);
	pg_arg_text(&args, a->at->key);
	err = prov_ask(a, &org_id_taken, &args, &taken);
	if (!err && taken)
		return prov_mistake(a, "id", "the organization '%s' has another id, or this id is another's", a->at->key);
	return err;
}

static enum err find_or_make_org(struct applier *a, int64_t *org_id, int64_t *made)
{
	struct pg_args args = PG_ARGS;
	enum err err;

	pg_arg_text(&args, a->at->key);
	err = prov_ask(a, &org_find, &args, org_id);
	*made = !err && *org_id == 0;
	if (err || !*made)
		return err;
	pg_arg_text(&args, prov_value_text(a, FIELD_PUBLIC_ID));
	pg_arg_text(&args, a->at->key);
	return prov_ask(a, &org_make, &args, org_id);
}

enum err prov_apply_organization(struct applier *a, enum provision_change *change)
{
	struct patch patch = { .n = 0 };
	int64_t org_id = 0, made = 0, changed = 0;
	struct pg_args args = PG_ARGS;
	enum err err;

	err = check_public_id(a);
	if (!err)
		err = find_or_make_org(a, &org_id, &made);
	if (err)
		return err;
	a->orgs[a->at->org] = org_id;
	prov_patch_fill(a, &patch, org_columns, ARRAY_LEN(org_columns));
	prov_args_begin(a, &args);
	prov_patch_args(&args, &patch);
	err = prov_ask(a, &org_patch, &args, &changed);
	if (!err)
		err = prov_drop_rates(a, &changed);
	*change = prov_change_of(made, changed);
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

enum err prov_apply_user(struct applier *a, enum provision_change *change)
{
	int64_t made = 0, changed = 0;
	struct pg_args args = PG_ARGS;
	enum err err;

	pg_arg_text(&args, a->at->key);
	err = prov_ask(a, &user_make, &args, &made);
	if (err)
		return err;
	prov_args_begin(a, &args);
	err = prov_ask(a, &member_make, &args, &made);
	if (err)
		return err;
	prov_args_begin(a, &args);
	pg_arg_text(&args, prov_value_text(a, FIELD_ROLE));
	err = prov_ask(a, &member_patch, &args, &changed);
	*change = prov_change_of(made, changed);
	return err;
}

/* ── trunks, numbers ──────────────────────────────────────────────────────────────── */

static const struct pg_statement trunk_find = PG_STATEMENT("provision_trunk_find", prov_find_types,
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

static enum err make_trunk(struct applier *a, int64_t *made)
{
	struct pg_args args = PG_ARGS;
	int64_t id;
	enum err err = prov_find(a, &trunk_find, a->at->key, &id);

	*made = 0;
	if (err || id)
		return err;
	if (!prov_value_text(a, FIELD_DRIVER))
		return prov_mistake(a, "", "a new trunk needs a 'driver'");
	prov_args_begin(a, &args);
	pg_arg_text(&args, prov_value_text(a, FIELD_DRIVER));
	return prov_ask(a, &trunk_make, &args, made);
}

static const struct pg_statement trunk_read = PG_STATEMENT("provision_trunk_read", prov_find_types,
	"select driver, config::text from trunks where org_id = $1 and name = $2");

/* The document may give the driver alone, or the config alone: what counts is the two together. */
static enum err check_trunk(struct applier *a)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	bool given = a->at->values[FIELD_CONFIG].given;
	struct pg_args args = PG_ARGS;
	struct errinfo e = { "" };
	enum err err;

	if (!a->l->check_trunk || (!given && !a->at->values[FIELD_DRIVER].given))
		return OK;
	prov_args_begin(a, &args);
	err = prov_ask_rows(a, &trunk_read, &args, &r);
	if (err || PQntuples(r) == 0)
		return err;
	if (a->l->check_trunk(a->l->arg, pg_get_text(r, 0, 0), pg_get_text(r, 0, 1), &e) == OK)
		return OK;
	return prov_mistake(a, given ? "config" : "driver", "of the trunk '%.100s': %s", a->at->key, e.text);
}

enum err prov_apply_trunk(struct applier *a, enum provision_change *change)
{
	struct patch patch = { .n = 0 };
	int64_t made, changed = 0;
	struct pg_args args = PG_ARGS;
	enum err err = make_trunk(a, &made);

	if (err)
		return err;
	prov_patch_fill(a, &patch, trunk_columns, ARRAY_LEN(trunk_columns));
	prov_args_begin(a, &args);
	prov_patch_args(&args, &patch);
	pg_arg_jsonb(&args, prov_value_text(a, FIELD_CONFIG));
	err = prov_ask(a, &trunk_patch, &args, &changed);
	*change = prov_change_of(made, changed);
	return err ? err : check_trunk(a);
}

static const struct pg_statement number_make = PG_STATEMENT("provision_number_make", prov_find_types,
	"with made as (insert into phone_numbers (org_id, e164) values ($1, $2) on conflict do nothing returning 1)"
	" select count(*) from made");
static const struct pg_statement number_patch = PG_STATEMENT("provision_number_patch", prov_patch_types,
	"with want as (select (jsonb_populate_record(n, jsonb_object($3, $4))).* from phone_numbers n"
	"  where n.org_id = $1 and n.e164 = $2),"
	" changed as (update phone_numbers n set status = w.status, outbound = w.outbound, trunk_id = w.trunk_id"
	"  from want w where n.org_id = $1 and n.e164 = $2 and row(n.*) is distinct from row(w.*) returning 1)"
	" select count(*) from changed");
static const struct column number_columns[] = { { FIELD_STATUS, "status" }, { FIELD_OUTBOUND, "outbound" } };

enum err prov_apply_number(struct applier *a, enum provision_change *change)
{
	const struct provision_value *trunk = &a->at->values[FIELD_TRUNK];
	struct patch patch = { .n = 0 };
	int64_t trunk_id = 0, made = 0, changed = 0;
	struct pg_args args = PG_ARGS;
	char text[24];
	enum err err = OK;

	if (trunk->text)
		err = prov_find(a, &trunk_find, trunk->text, &trunk_id);
	if (!err && trunk->text && !trunk_id)
		err = prov_mistake(a, "trunk", "the organization has no trunk '%s'", trunk->text);
	if (err)
		return err;
	prov_args_begin(a, &args);
	err = prov_ask(a, &number_make, &args, &made);
	if (err)
		return err;
	prov_patch_fill(a, &patch, number_columns, ARRAY_LEN(number_columns));
	snprintf(text, sizeof text, "%" PRId64, trunk_id);
	if (trunk->given)
		prov_patch_add(&patch, "trunk_id", trunk->text ? text : NULL);
	prov_args_begin(a, &args);
	prov_patch_args(&args, &patch);
	err = prov_ask(a, &number_patch, &args, &changed);
	*change = prov_change_of(made, changed);
	return err;
}

