/* A database of its own for each test program: made and migrated in the cluster that
 * CALLGATE_TEST_DATABASE_URL names, dropped at the end, seeded with one tenant. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "callgate/digest.h"
#include "callgate/id.h"
#include "callgate/mem.h"
#include "callgate/store.h"
#include "callgate/store_calls.h"
#include "callgate/store_dispatch.h"
#include "pg.h"

#define SKIPPED 77

static char scratch_url[600];
static char scratch_name[64];
static struct store *db;        /* for questions of the test itself */

/* The connection string with its database replaced: keyword form or URI. */
static inline void scratch_with_db(const char *base, const char *name)
{
	const char *slash, *query;

	if (strncmp(base, "postgres", 8)) {
		snprintf(scratch_url, sizeof scratch_url, "%s dbname=%s", base, name);
		return;
	}
	slash = strchr(strstr(base, "//") + 2, '/');
	query = strchr(base, '?');
	snprintf(scratch_url, sizeof scratch_url, "%.*s/%s%s", (int)((slash ? slash : base + strlen(base)) - base), base,
	         name, query ? query : "");
}

/* Runs SQL for the test; the first column of the first row as a number (0 if none). */
static inline int64_t sql(const char *fmt, ...)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	char text[4096];
	struct errinfo e;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (pg_exec(db, text, &r, &e)) {
		print_error("%s\n  in: %s\n", e.text, text);
		fail();
	}
	return r && PQntuples(r) && PQnfields(r) ? strtoll(PQgetvalue(r, 0, 0), NULL, 10) : 0;
}

static inline void scratch_open(void)
{
	const char *base = getenv("CALLGATE_TEST_DATABASE_URL");
	struct store *admin;
	struct errinfo e;
	char text[200];
	int applied, version;

	if (!base) {
		print_message("CALLGATE_TEST_DATABASE_URL is not set: skipped\n");
		exit(SKIPPED);
	}
	snprintf(scratch_name, sizeof scratch_name, "cg_test_%d", (int)getpid());
	admin = store_new(base, "tests");
	snprintf(text, sizeof text, "create database %s", scratch_name);
	if (pg_exec(admin, text, NULL, &e)) {
		print_error("%s\n", e.text);
		exit(1);
	}
	store_free(admin);
	scratch_with_db(base, scratch_name);
	db = store_new(scratch_url, "tests");
	if (store_migrate(db, &applied, &version, &e)) {
		print_error("%s\n", e.text);
		exit(1);
	}
}

static inline void scratch_close(void)
{
	struct store *admin = store_new(getenv("CALLGATE_TEST_DATABASE_URL"), "tests");
	struct errinfo e;
	char text[200];

	store_free(db);
	snprintf(text, sizeof text, "drop database if exists %s with (force)", scratch_name);
	if (pg_exec(admin, text, NULL, &e))
		print_error("%s\n", e.text);
	store_free(admin);
}

/* ── one tenant ───────────────────────────────────────────────────────────────── */

#define FROM "+14155550199"
#define KEY_TEXT "dk_1_test"

/* Organization 1 with a user, key, account of 1,000,000 mc, trunk 1, project 1 "p1" at
 * 600 mc a minute held for one minute, number FROM in a pool of the user. */
static inline void seed_tenant(void)
{
	sql("insert into organizations (name) values ('one');"
	    "insert into users (user_id, email) values ('00000000-0000-4000-8000-000000000001', 'a@example.org');"
	    "insert into memberships (org_id, user_id) values (1, '00000000-0000-4000-8000-000000000001');"
	    "insert into api_keys (org_id, key_hash, user_id, kind, test, hint)"
	    "  values (1, sha256('" KEY_TEXT "'), '00000000-0000-4000-8000-000000000001', 0, false, 'dk_');"
	    "insert into api_keys (org_id, key_hash, user_id, kind, test, hint)"
	    "  values (1, sha256('" KEY_TEXT "t'), '00000000-0000-4000-8000-000000000001', 0, true, 'dk_');"
	    "insert into credit_accounts (org_id, account_id, name, balance_mc) values (1, 1, 'main', 1000000);"
	    "insert into credit_ledger (org_id, account_id, kind, amount_mc) values (1, 1, 1, 1000000);"
	    "insert into trunks (org_id, trunk_id, name, driver, cps_milli, burst, max_concurrent)"
	    "  values (1, 1, 't', 'simulator', 100000, 100, 1000);"
	    "insert into projects (org_id, project_id, public_id, name, agent, account_id, rate_mc, hold_s)"
	    "  values (1, 1, 'p1', 'P', 'agent-1', 1, 600, 60);"
	    "insert into project_members values (1, 1, '00000000-0000-4000-8000-000000000001');"
	    "insert into phone_numbers (org_id, e164, trunk_id) values (1, '" FROM "', 1);"
	    "insert into number_pools values (1, 1, 'pool');"
	    "insert into pool_members values (1, '00000000-0000-4000-8000-000000000001', 1);"
	    "insert into pool_numbers values (1, '" FROM "', 1)");
}

/* Everything of calls gone, the account as it was. */
static inline void clear_calls(void)
{
	sql("truncate calls, call_events, call_queue, call_schedule, call_expiry, call_inflight, destination_locks,"
	    " gateways;"
	    "update shards set gateway_id = null;"
	    "delete from credit_ledger where kind <> 1;"
	    "update credit_accounts set balance_mc = 1000000, held_mc = 0");
}

static const struct admit_rules rules __attribute__((unused)) = { .queue_ttl_s = 86400 };

static inline struct admission make_admission(const char *to)
{
	struct admission a = {
		.key_org = 1, .body_ok = true, .project = "p1", .from = FROM, .to = to, .prio = 1, .request_id = "r",
		.call_id = id_new(),
	};

	sha256(KEY_TEXT, strlen(KEY_TEXT), a.key_hash);
	return a;
}

/* Admits one call and returns its outcome. */
static inline enum admit_outcome admit_one(struct store *s, struct admission *a)
{
	struct errinfo e;

	if (store_admit(s, &a, 1, &rules, &e) || store_admit_flush(s, &a, 1, &rules, &e)) {
		print_error("%s\n", e.text);
		fail();
	}
	return a->outcome;
}

/* What must hold whenever no statement is under way. */
static inline void check_books(void)
{
	assert_int_equal(0, sql("select count(*) from credit_accounts a where balance_mc <> (select coalesce(sum(amount_mc), 0)"
	                        " from credit_ledger l where l.org_id = a.org_id and l.account_id = a.account_id)"));
	assert_int_equal(0, sql("select count(*) from credit_accounts a where held_mc <> (select coalesce(sum(hold_mc), 0)"
	                        " from calls c where c.org_id = a.org_id and c.account_id = a.account_id and ended_at is null)"));
	assert_int_equal(0, sql("select count(*) from calls c where (ended_at is null and not exists (select from call_schedule s"
	                        "   where s.call_id = c.call_id and not s.locked)) <>"
	                        " exists (select from destination_locks l where l.call_id = c.call_id)"));
	assert_int_equal(0, sql("select count(*) from calls c join (select call_id, timed from call_queue union all"
	                        "   select call_id, timed from call_schedule union all select call_id, timed from call_inflight) p"
	                        "   using (call_id) where p.timed <> (c.expires_at is not null)"
	                        " or (p.timed and not exists (select from call_expiry x where x.call_id = c.call_id and x.at >= c.expires_at))"));
	assert_int_equal(0, sql("select count(*) from calls c where (ended_at is null)::int <>"
	                        " (select count(*) from call_queue q where q.call_id = c.call_id)"
	                        " + (select count(*) from call_schedule q where q.call_id = c.call_id)"
	                        " + (select count(*) from call_inflight q where q.call_id = c.call_id)"));
}

#endif
