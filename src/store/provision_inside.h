/* Inside `store`: what the files of provisioning share. provision.c runs the transaction
 * and its statements; each kind of object has its function in one of the others. */
#ifndef STORE_PROVISION_INSIDE_H
#define STORE_PROVISION_INSIDE_H

#include "callgate/store_admin.h"
#include "pg.h"

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

int64_t     prov_org_of(const struct applier *a);            /* of the object in hand */
const char *prov_value_text(const struct applier *a, enum provision_field f);

/* A mistake of the document, at a member of the object in hand ("": the object): told, and
 * the way to ERR_INVALID. */
__attribute__((format(printf, 3, 4)))
enum err prov_mistake(struct applier *a, const char *member, const char *fmt, ...);

/* Runs a statement and ends its arguments. ERR_INVALID: a constraint spoke, and was told. */
enum err prov_ask_rows(struct applier *a, const struct pg_statement *st, struct pg_args *args, PGresult **out) MUST_USE;
/* … its one number: how many rows it made or changed, or what it found; 0 for no row or null. */
enum err prov_ask(struct applier *a, const struct pg_statement *st, struct pg_args *args, int64_t *out) MUST_USE;
/* … the number behind a name in the organization; 0: there is none. */
enum err prov_find(struct applier *a, const struct pg_statement *st, const char *name, int64_t *id) MUST_USE;

/* Statements about the object in hand begin with its organization and its key. */
void prov_args_begin(const struct applier *a, struct pg_args *args);

/* What the document says of a row, column by column. */
struct column {
	enum provision_field field;
	const char          *name;
};
struct patch {
	const char *names[FIELD_COUNT + 1];
	const char *values[FIELD_COUNT + 1];
	size_t      n;
};
void prov_patch_add(struct patch *p, const char *name, const char *value);
void prov_patch_fill(const struct applier *a, struct patch *p, const struct column *columns, size_t n);
void prov_patch_args(struct pg_args *args, const struct patch *p);   /* $3 and $4 */
extern const Oid prov_patch_types[4];
extern const Oid prov_find_types[2];

enum provision_change prov_change_of(int64_t made, int64_t changed);

/* Rates that an organization's list does not hold any more; their number is added. */
enum err prov_drop_rates(struct applier *a, int64_t *changed) MUST_USE;
/* Locks the accounts that top-ups will change, in the order in which calls lock them. */
enum err prov_lock_accounts(struct applier *a) MUST_USE;

enum err prov_apply_organization(struct applier *a, enum provision_change *change) MUST_USE;
enum err prov_apply_user(struct applier *a, enum provision_change *change) MUST_USE;
enum err prov_apply_account(struct applier *a, enum provision_change *change) MUST_USE;
enum err prov_apply_top_up(struct applier *a, enum provision_change *change) MUST_USE;
enum err prov_apply_rate(struct applier *a, enum provision_change *change) MUST_USE;
enum err prov_apply_trunk(struct applier *a, enum provision_change *change) MUST_USE;
enum err prov_apply_number(struct applier *a, enum provision_change *change) MUST_USE;
enum err prov_apply_pool(struct applier *a, enum provision_change *change) MUST_USE;
enum err prov_apply_project(struct applier *a, enum provision_change *change) MUST_USE;

#endif
