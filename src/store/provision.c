/* Provisioning: one transaction, object by object in the document's order of dependencies.
 * Each object is two steps: make it with what it cannot be without (the columns' defaults
 * do the rest), then lay over it what the document says. The second step goes through
 * jsonb_populate_record(), which changes exactly the columns it is given and leaves the
 * others as they are; a row that comes out the same is not written.
 *
 * References are looked up before they are used, so that what dangles is told as a mistake
 * with its place and the transaction lives on to find the next one. */
#include <stdarg.h>
#include <stdio.h>

#include "callgate/mem.h"
#include "provision_inside.h"
#include "tx.h"

const Oid prov_patch_types[4] = { OID_INT8, OID_TEXT, OID_TEXT_ARRAY, OID_TEXT_ARRAY };
const Oid prov_find_types[2] = { OID_INT8, OID_TEXT };

enum err prov_mistake(struct applier *a, const char *member, const char *fmt, ...)
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

enum err prov_ask_rows(struct applier *a, const struct pg_statement *st, struct pg_args *args, PGresult **out)
{
	enum err err = pg_run(a->s, st, args, out, a->e);

	pg_args_done(args);
	if (err)
		a->broken = true;
	return err == ERR_INVALID ? prov_mistake(a, "", "%s", a->e->text) : err;
}

enum err prov_ask(struct applier *a, const struct pg_statement *st, struct pg_args *args, int64_t *out)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err = prov_ask_rows(a, st, args, &r);

	if (!err)
		*out = PQntuples(r) == 0 || pg_null(r, 0, 0) ? 0 : pg_get_int8(r, 0, 0);
	return err;
}

int64_t prov_org_of(const struct applier *a)
{
	return a->orgs[a->at->org];
}

const char *prov_value_text(const struct applier *a, enum provision_field f)
{
	return a->at->values[f].text;
}

void prov_args_begin(const struct applier *a, struct pg_args *args)
{
	*args = (struct pg_args)PG_ARGS;
	pg_arg_int8(args, prov_org_of(a));
	pg_arg_text(args, a->at->key);
}

enum err prov_find(struct applier *a, const struct pg_statement *st, const char *name, int64_t *id)
{
	struct pg_args args = PG_ARGS;

	pg_arg_int8(&args, prov_org_of(a));
	pg_arg_text(&args, name);
	return prov_ask(a, st, &args, id);
}

/* ── laying the document's values over a row ──────────────────────────────────────── */

void prov_patch_add(struct patch *p, const char *name, const char *value)
{
	p->names[p->n] = name;
	p->values[p->n++] = value;
}

void prov_patch_fill(const struct applier *a, struct patch *p, const struct column *columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct provision_value *v = &a->at->values[columns[i].field];

		if (v->given)
			prov_patch_add(p, columns[i].name, v->text);
	}
}

void prov_patch_args(struct pg_args *args, const struct patch *p)
{
	size_t i;

	PG_COLUMN(args, OID_TEXT, p->n, pg_put_text(args, p->names[i]));
	PG_COLUMN(args, OID_TEXT, p->n, pg_put_text(args, p->values[i]));
}

enum provision_change prov_change_of(int64_t made, int64_t changed)
{
	return made ? PROVISION_CREATED : changed ? PROVISION_UPDATED : PROVISION_UNCHANGED;
}

/* ── the document ─────────────────────────────────────────────────────────────────── */

static enum err (*const appliers[])(struct applier *a, enum provision_change *change) = {
	[PROVISION_ORGANIZATION] = prov_apply_organization,
	[PROVISION_USER]         = prov_apply_user,
	[PROVISION_ACCOUNT]      = prov_apply_account,
	[PROVISION_TOP_UP]       = prov_apply_top_up,
	[PROVISION_RATE]         = prov_apply_rate,
	[PROVISION_TRUNK]        = prov_apply_trunk,
	[PROVISION_NUMBER]       = prov_apply_number,
	[PROVISION_POOL]         = prov_apply_pool,
	[PROVISION_PROJECT]      = prov_apply_project,
};
_Static_assert(ARRAY_LEN(appliers) == PROVISION_KIND_COUNT, "a kind cannot be applied");

static enum err apply_one(struct applier *a, size_t i)
{
	enum provision_change change = PROVISION_UNCHANGED;
	enum err err;

	a->at = &a->p->objects[i];
	if (a->at->kind != PROVISION_ORGANIZATION && prov_org_of(a) == 0)
		return OK;
	err = appliers[a->at->kind](a, &change);
	if (!err)
		a->l->changed(a->l->arg, a->p, a->at, change);
	return err;
}

/* After a mistake it goes on, to tell the others too; what stands below an organization
 * that could not be made has nothing to stand on and is passed over. */
static enum err apply_those(struct applier *a, bool top_ups)
{
	for (size_t i = 0; i < a->p->n && !a->broken; i++) {
		enum err err = OK;

		if ((a->p->objects[i].kind == PROVISION_TOP_UP) == top_ups)
			err = apply_one(a, i);
		if (err && err != ERR_INVALID)
			return err;
	}
	return OK;
}

/* Top-ups lock accounts, and while they are locked no call is accepted or ended: so they
 * come last. */
static enum err apply_all(struct applier *a)
{
	enum err err = apply_those(a, false);

	if (!err && !a->broken)
		err = prov_lock_accounts(a);
	if (!err && !a->broken)
		err = apply_those(a, true);
	if (err)
		return err;
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
