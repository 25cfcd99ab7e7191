/* Bringing the schema up, and keeping its partitions: created ahead, dropped by retention.
 * Migrations go forward only, each in a transaction of its own together with its row in
 * schema_migrations, all under one advisory lock so that several gateways may start at
 * once. */
#include "migrations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/log.h"
#include "pg.h"

/* Any constant of our own: what is locked is "callgate's migrations". */
#define MIGRATE_LOCK "hashtextextended('callgate.migrate', 0)"

/* Waiting for another process that migrates, and a migration itself. */
#define MIGRATE_PATIENCE_S 300

#define PARTITION_DAYS_BACK 1
#define PARTITION_DAYS_AHEAD 4

static enum err read_version(struct store *s, int *version, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	enum err err;

	err = pg_exec(s, "select coalesce(max(version), 0) from schema_migrations", &r, e);
	if (!err)
		*version = atoi(PQgetvalue(r, 0, 0));
	else if (!strcmp(s->sqlstate, "42P01"))         /* no such table: nothing was ever migrated */
		*version = 0, err = OK;
	return err;
}

static enum err apply_one(struct store *s, const struct migration *m, struct errinfo *e)
{
	CLEANUP(buf_done) struct buf sql;
	struct errinfo ignored;
	enum err err;

	buf_init(&sql, 1 << 20);
	buf_str(&sql, "begin; set local lock_timeout = '10s';\n");
	buf_str(&sql, m->sql);
	buf_printf(&sql, "\n; insert into schema_migrations (version, name) values (%d, '%s'); commit", m->version, m->name);
	if (sql.over)
		return err_set(e, ERR_INTERNAL, "migration %d is too long", m->version);
	err = pg_exec(s, sql.data, NULL, e);
	if (err) {
		if (pg_exec(s, "rollback", NULL, &ignored))
			LOG_WARN("migrate.rollback_failed", LOG_STR("error", ignored.text));
		err_prefix(e, "migration %d (%s): ", m->version, m->name);
	}
	return err;
}

static enum err apply_missing(struct store *s, int *applied, int *version, struct errinfo *e)
{
	enum err err;
	size_t i;

	err = pg_exec(s, "create table if not exists schema_migrations ("
	                 " version int primary key, name text not null, applied_at timestamptz not null default now())",
	              NULL, e);
	if (!err)
		err = read_version(s, version, e);
	for (i = 0; !err && i < migration_count; i++) {
		if (migrations[i].version <= *version)
			continue;
		err = apply_one(s, &migrations[i], e);
		if (!err) {
			*version = migrations[i].version;
			++*applied;
		}
	}
	return err;
}

enum err store_migrate(struct store *s, int *applied, int *version, struct errinfo *e)
{
	struct errinfo ignored;
	int created, dropped;
	enum err err, unlock;

	*applied = 0;
	err = store_connect(s, e);
	if (err)
		return err;
	pg_patience(s, MIGRATE_PATIENCE_S);
	err = pg_exec(s, "select pg_advisory_lock(" MIGRATE_LOCK ")", NULL, e);
	if (!err)
		err = apply_missing(s, applied, version, e);
	unlock = pg_exec(s, "select pg_advisory_unlock(" MIGRATE_LOCK ")", NULL, &ignored);
	pg_patience(s, 0);
	if (!err && *version <= (int)migration_count)
		err = store_partitions_keep(s, 0, &created, &dropped, e);
	if (unlock)
		LOG_WARN("migrate.unlock_failed", LOG_STR("error", ignored.text));      /* the lock ends with the session */
	return err;
}

enum err store_schema_check(struct store *s, int *version, struct errinfo *e)
{
	enum err err = read_version(s, version, e);

	if (err)
		return err;
	if (*version < (int)migration_count)
		return err_set(e, ERR_INVALID, "the schema has version %d and this program needs %zu: run `callgate migrate`",
		               *version, migration_count);
	if (*version > (int)migration_count)
		return err_set(e, ERR_INVALID, "the schema has version %d and this program knows %zu: run a newer program",
		               *version, migration_count);
	return OK;
}

/* ── partitions ───────────────────────────────────────────────────────────────── */

static const Oid ensure_types[] = { OID_INT4, OID_INT4 };
static const struct pg_statement ensure_statement =
	PG_STATEMENT("ensure_partitions", ensure_types, "select ensure_partitions($1, $2)");

static const Oid drop_types[] = { OID_INT4 };
static const struct pg_statement drop_statement =
	PG_STATEMENT("drop_old_partition", drop_types, "select drop_old_partition($1)");

/* More than retention can ever have left behind in one go; the next hour goes on. */
#define DROPS_MAX 500

static enum err ensure_partitions(struct store *s, int *created, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int4(&a, PARTITION_DAYS_BACK);
	pg_arg_int4(&a, PARTITION_DAYS_AHEAD);
	err = pg_run(s, &ensure_statement, &a, &r, e);
	if (!err)
		*created = pg_get_int4(r, 0, 0);
	return err;
}

static enum err drop_one(struct store *s, int retention_days, bool *gone, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(pg_args_done) struct pg_args a = PG_ARGS;
	enum err err;

	pg_arg_int4(&a, retention_days);
	err = pg_run(s, &drop_statement, &a, &r, e);
	*gone = !err && pg_get_bool(r, 0, 0);
	return err;
}

enum err store_partitions_keep(struct store *s, int retention_days, int *created, int *dropped, struct errinfo *e)
{
	bool gone = retention_days > 0;
	enum err err;

	*created = *dropped = 0;
	err = ensure_partitions(s, created, e);
	while (!err && gone && *dropped < DROPS_MAX) {
		err = drop_one(s, retention_days, &gone, e);
		*dropped += gone;
	}
	return err;
}
