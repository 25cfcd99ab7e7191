/* Developer keys. The text of a key exists here for as long as it takes to digest it. */
#include <stdlib.h>
#include <string.h>

#include "callgate/digest.h"
#include "callgate/mem.h"
#include "callgate/store_admin.h"
#include "callgate/text.h"
#include "pg.h"

/* ── create ───────────────────────────────────────────────────────────────────────── */

static const Oid owner_types[] = { OID_TEXT, OID_TEXT };
static const struct pg_statement owner_statement = PG_STATEMENT("key_owner", owner_types,
	"select o.org_id, m.user_id from organizations o"
	" left join users u on u.email = lower($2)"
	" left join memberships m on m.org_id = o.org_id and m.user_id = u.user_id"
	" where o.name = $1");

static enum err find_owner(struct store *s, const struct key_order *order, int64_t *org_id, struct id *user,
                           struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err;

	pg_arg_text(&a, order->org);
	pg_arg_text(&a, order->email);
	err = pg_run(s, &owner_statement, &a, &r, e);
	if (err)
		return err;
	if (PQntuples(r) == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no organization '%s'", order->org);
	if (pg_null(r, 0, 1))
		return err_set(e, ERR_NOT_FOUND, "%s is not a member of organization '%s'", order->email, order->org);
	*org_id = pg_get_int8(r, 0, 0);
	pg_get_id(r, 0, 1, user);
	return OK;
}

static const Oid create_types[] = { OID_INT8, OID_BYTEA, OID_UUID, OID_UUID, OID_INT2, OID_BOOL, OID_TEXT, OID_TEXT,
                                    OID_INT8 };
static const struct pg_statement create_statement = PG_STATEMENT("key_create", create_types,
	"insert into api_keys (org_id, key_hash, key_id, user_id, kind, test, hint, name, expires_at)"
	" values ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp(nullif($9, 0) / 1000.0))");

enum err store_key_create(struct store *s, const struct key_order *order, char key[KEY_TEXT_SIZE], struct id *key_id,
                          struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	uint8_t hash[SHA256_SIZE];
	char hint[KEY_HINT_SIZE];
	struct id user = { { 0 } };
	int64_t org_id = 0;
	enum err err;

	err = find_owner(s, order, &org_id, &user, e);
	if (err)
		return err;
	key_new(order->kind, order->test, org_id, key);
	key_hint(key, hint);
	sha256(key, strlen(key), hash);
	*key_id = id_random();
	pg_arg_int8(&a, org_id);
	pg_arg_bytes(&a, hash, sizeof hash);
	pg_arg_id(&a, key_id);
	pg_arg_id(&a, &user);
	pg_arg_int2(&a, (int16_t)order->kind);
	pg_arg_bool(&a, order->test);
	pg_arg_text(&a, hint);
	pg_arg_text(&a, order->name);
	pg_arg_int8(&a, order->expires_ms);
	err = pg_run(s, &create_statement, &a, NULL, e);
	if (err)
		explicit_bzero(key, KEY_TEXT_SIZE);
	return err;
}

/* ── list ─────────────────────────────────────────────────────────────────────────── */

static const Oid list_types[] = { OID_TEXT };
static const struct pg_statement list_statement = PG_STATEMENT("key_list", list_types,
	"select k.key_id, k.hint, k.name, u.email, k.kind, k.test, k.created_at, k.expires_at, k.revoked_at,"
	"       to_char(k.last_used_on, 'YYYY-MM-DD')"
	" from organizations o left join api_keys k on k.org_id = o.org_id left join users u on u.user_id = k.user_id"
	" where o.name = $1 order by k.created_at, k.key_id");

static void read_row(const PGresult *r, int i, struct key_row *k)
{
	const char *last_used = pg_get_text(r, i, 9);

	pg_get_id(r, i, 0, &k->id);
	k->hint = pg_dup_text(r, i, 1);
	k->name = pg_dup_text(r, i, 2);
	k->email = pg_dup_text(r, i, 3);
	k->kind = (enum key_kind)pg_get_int2(r, i, 4);
	k->test = pg_get_bool(r, i, 5);
	k->created_ms = pg_get_ms(r, i, 6);
	k->expires_ms = pg_get_ms(r, i, 7);
	k->revoked_ms = pg_get_ms(r, i, 8);
	str_copy(k->last_used, sizeof k->last_used, last_used ? last_used : "");
}

enum err store_key_list(struct store *s, const char *org, struct key_row **out, size_t *n, struct errinfo *e)
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
	/* The outer join gives an organization without keys one row without a key. */
	*n = pg_null(r, 0, 0) ? 0 : (size_t)PQntuples(r);
	*out = xcalloc(*n + 1, sizeof **out);
	for (size_t i = 0; i < *n; i++)
		read_row(r, (int)i, &(*out)[i]);
	return OK;
}

void key_rows_free(struct key_row *rows, size_t n)
{
	for (size_t i = 0; rows && i < n; i++) {
		free(rows[i].hint);
		free(rows[i].name);
		free(rows[i].email);
	}
	free(rows);
}

/* ── revoke ───────────────────────────────────────────────────────────────────────── */

/* The update sees the row as it was, so `revoked_at is not null` tells what was before. */
static const Oid revoke_types[] = { OID_TEXT, OID_UUID, OID_BYTEA };
static const struct pg_statement revoke_statement = PG_STATEMENT("key_revoke", revoke_types,
	"with found as ("
	"  select k.org_id, k.key_hash, k.revoked_at is not null as already"
	"  from organizations o join api_keys k on k.org_id = o.org_id"
	"  where o.name = $1 and (k.key_id = $2 or k.key_hash = $3) for update of k)"
	" update api_keys k set revoked_at = coalesce(k.revoked_at, clock_timestamp())"
	" from found f where k.org_id = f.org_id and k.key_hash = f.key_hash"
	" returning f.already");

enum err store_key_revoke(struct store *s, const char *org, const char *id_or_key, bool *already, struct errinfo *e)
{
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	CLEANUP(pg_clearp) PGresult *r = NULL;
	uint8_t hash[SHA256_SIZE];
	struct id id = { { 0 } };
	enum err err;

	id_parse(id_or_key, &id);       /* not an id: then none has the id of zeroes */
	sha256(id_or_key, strlen(id_or_key), hash);
	pg_arg_text(&a, org);
	pg_arg_id(&a, &id);
	pg_arg_bytes(&a, hash, sizeof hash);
	err = pg_run(s, &revoke_statement, &a, &r, e);
	if (err)
		return err;
	if (PQntuples(r) == 0)
		return err_set(e, ERR_NOT_FOUND, "organization '%s' has no such key", org);
	*already = pg_get_bool(r, 0, 0);
	return OK;
}
