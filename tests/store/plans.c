/* The plan of every hot statement, on tables large enough that a wrong one would hurt:
 * each reads its tables by an index condition, none reads a table whole, and the pages it
 * touches stay in proportion to the batch. EXPLAIN runs the very statements the room has
 * prepared, for real, and rolls back.
 *
 * Twice: as planned when the tables were still empty (a fresh installation, or the first
 * minute of a day's partition), and as planned when they are full and analyzed. */
#include "callgate/store_life.h"
#include "attempts.h"
#include "callgate/store_lists.h"
#include "scratch.h"

#define QUEUED 200000
#define LANES 500
#define FLYING 20000
#define MANY 60000      /* calls of one organization, ended */
#define KEYS 300000     /* of one user */
#define RATES 100000    /* of one organization */

static struct store *s;
static struct errinfo e;

static void fill(void)
{
	sql("set statement_timeout = 0; set enable_seqscan = on");
	sql("insert into organizations (name) select 'org ' || i from generate_series(2, %d) i", LANES);
	sql("insert into credit_accounts (org_id, account_id, name, balance_mc) select i, 1, 'm', 1000000000"
	    " from generate_series(2, %d) i", LANES);
	sql("insert into projects (org_id, project_id, public_id, name, agent, account_id, rate_mc)"
	    " select i, j, 'p' || j, 'P', 'a', 1, 600 from generate_series(2, %d) i, generate_series(1, 20) j", LANES);
	sql("insert into trunks (org_id, trunk_id, name, driver)"
	    " select i, j, 't' || j, 'simulator' from generate_series(2, %d) i, generate_series(1, 20) j", LANES);
	sql("insert into phone_numbers (org_id, e164, trunk_id) select 1, '+1415' || (1000000 + i), 1"
	    " from generate_series(1, 50000) i");
	sql("insert into users (user_id, email) select ('00000000-0000-4000-8000-' || lpad(to_hex(i + 16), 12, '0'))::uuid,"
	    " 'u' || i from generate_series(1, 20000) i");
	sql("insert into memberships (org_id, user_id) select 1 + ('x' || right(user_id::text, 4))::bit(16)::int %% %d, user_id"
	    " from users where email like 'u%%'", LANES);
	sql("insert into api_keys (org_id, key_hash, user_id, kind, test, hint)"
	    " select org_id, sha256(user_id::text::bytea), user_id, 0, false, '' from memberships where user_id::text >"
	    " '00000000-0000-4000-8000-000000000010'");
	sql("create temp table n as select i, 1 + i %% %d as org_id,"
	    " (left(uuid7_floor(now() - (%d - i) * interval '10 ms')::text, 14) || '7' || right('000' || to_hex(i %% 4096), 3)"
	    "  || '-8000-' || lpad(to_hex(i), 12, '0'))::uuid as call_id from generate_series(1, %d) i", LANES, QUEUED, QUEUED);
	sql("insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s,"
	    "  rate_mc, hold_mc, lock_scope, from_e164, to_e164, request_id)"
	    " select org_id, call_id, 1, 1, 1, '00000000-0000-4000-8000-000000000001', 60, 3600, 600, 0, 0, '" FROM "',"
	    "  '+44' || (7000000000 + i), '' from n");
	sql("insert into call_events (org_id, call_id, seq, kind) select org_id, call_id, 0, 0 from n");
	sql("insert into destination_locks (dest, scope, org_id, call_id) select '+44' || (7000000000 + i), 0, org_id, call_id from n");
	sql("insert into call_queue (org_id, project_id, trunk_id, prio, call_id, attempt)"
	    " select org_id, 1, 1, 1, call_id, 1 from n where i > %d", 2 * FLYING);
	sql("insert into call_inflight (org_id, call_id, gateway_id, project_id, trunk_id, prio, attempt, state, phase, deadline_at,"
	    "  agent, initiated_at) select org_id, call_id, 1, 1, 1, 1, 1, 1, 1, now() + i * interval '1 s', 'a', now()"
	    " from n where i <= %d", FLYING);
	sql("insert into call_schedule (org_id, call_id, shard, run_at, project_id, trunk_id, prio, attempt, timed, locked)"
	    " select org_id, call_id, org_id %% 64, now() + (i - 20100) * interval '1 s', 1, 1, 1, 2, i %% 2 = 0, i %% 2 = 0"
	    " from n where i > %d and i <= %d", FLYING, 2 * FLYING);
	sql("update call_schedule s set dest = k.to_e164, scope = k.lock_scope, since = s.run_at from calls k"
	    " where k.org_id = s.org_id and k.call_id = s.call_id and not s.locked");
	sql("insert into call_expiry (org_id, call_id, shard, at) select org_id, call_id, org_id %% 64,"
	    " now() + (i - 20100) * interval '1 s' from n where i > %d", FLYING - 1000);
	sql("update calls k set expires_at = x.at from call_expiry x where x.org_id = k.org_id and x.call_id = k.call_id");
}

/* Organization 2 has so many calls that a list cannot look at them all, and 50 of the tenant's fly. */
static void fill_many(void)
{
	sql("create temp table many as select i, (left(uuid7_floor(now() - (%d - i) * interval '10 ms')::text, 14) || '7'"
	    "  || right('000' || to_hex(i %% 4096), 3) || '-9000-' || lpad(to_hex(i), 12, '0'))::uuid as call_id"
	    " from generate_series(1, %d) i", MANY, MANY);
	sql("insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s,"
	    "  rate_mc, hold_mc, lock_scope, from_e164, to_e164, request_id, state, reason, ended_at, metadata)"
	    " select 2, call_id, 1 + i %% 20, 1, 1, '00000000-0000-4000-8000-000000000001', 60, 3600, 600, 0, 0, '" FROM "',"
	    "  '+49' || (7000000000 + i), '', 4, 1, now(), '{\"n\":' || i || '}' from many");
	sql("insert into call_events (org_id, call_id, seq, kind) select 2, call_id, 0, 0 from many");
	sql("insert into memberships (org_id, user_id) values (2, '00000000-0000-4000-8000-000000000001')"
	    " on conflict do nothing");
	sql("insert into project_members select 2, project_id, '00000000-0000-4000-8000-000000000001' from projects"
	    " where org_id = 2 and project_id <= 10");
	sql("insert into api_keys (org_id, key_hash, user_id, kind, test, hint)"
	    " values (2, sha256('many'), '00000000-0000-4000-8000-000000000001', 0, false, '')");
}

/* The tenant has a price for every corner of the world, and sends each call under a key. */
static void fill_keys(void)
{
	sql("insert into rates select 1, '+' || i, i, 6, 30 from generate_series(1, %d) i", RATES);
	sql("insert into idempotency_keys (org_id, user_id, test, key, print, call_id, counts_from)"
	    " select 1, '00000000-0000-4000-8000-000000000001', false, sha256(i::text::bytea), sha256('b'), coalesce(n.call_id,"
	    "  gen_random_uuid()), now() - (%d - i) * interval '10 s' from generate_series(1, %d) i left join n using (i)", KEYS, KEYS);
	sql("insert into idempotency_refusals select 1, call_id, 9, 'r' from idempotency_keys"
	    " where not exists (select from n where n.call_id = idempotency_keys.call_id)");
}

/* True when the node's own lines hold an index condition, and nothing that identifies a
 * call is left to be filtered out afterwards. */
static bool node_probes(PGresult *r, int row)
{
	const char *line;
	bool condition = false;

	for (row++; row < PQntuples(r) && !strstr(line = PQgetvalue(r, row, 0), "->"); row++) {
		condition |= strstr(line, "Index Cond:") != NULL;
		if (strstr(line, "Filter:") && (strstr(line, "call_id = ANY") || strstr(line, "call_id >=")))
			return false;
	}
	return condition;
}

static long blocks_of(const char *line)
{
	const char *hit = strstr(line, "hit="), *read = strstr(line, "read=");

	return (hit ? atol(hit + 4) : 0) + (read ? atol(read + 5) : 0);
}

static void print_plan(PGresult *r)
{
	int i;

	for (i = 0; i < PQntuples(r); i++)
		print_error("%s\n", PQgetvalue(r, i, 0));
}

/* `walks` names an index that may be read without a condition because a LIMIT ends it. */
static void check_plan(const char *name, const char *args, long max_blocks, const char *walks)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	CLEANUP(buf_done) struct buf text;
	const char *line;
	long blocks = 0, node;
	bool bad = false;
	int i;

	buf_init(&text, 1 << 20);
	buf_printf(&text, "explain (analyze, buffers, timing off) execute %s(%s)", name, args);
	if (pg_exec(s, "begin", NULL, &e) || pg_exec(s, text.data, &r, &e) || pg_exec(s, "rollback", NULL, &e)) {
		print_error("%s: %s\n", name, e.text);
		fail();
	}
	for (i = 0; i < PQntuples(r); i++) {
		line = PQgetvalue(r, i, 0);
		if (strstr(line, "Planning"))
			break;
		node = blocks_of(line);
		blocks = node > blocks ? node : blocks;         /* the dearest subtree */
		if (strstr(line, "Seq Scan on ") && !strstr(line, "gateways") && !strstr(line, "shards"))
			bad = true;
		if (strstr(line, "Index") && strstr(line, "Scan using") && !(walks && strstr(line, walks)) &&
		    !strstr(line, "gateways") && !strstr(line, "shards") && !node_probes(r, i))
			bad = true;
	}
	if (bad || blocks > max_blocks) {
		print_plan(r);
		print_error("%s: %ld blocks (at most %ld)%s\n", name, blocks, max_blocks, bad ? ", a table is read whole" : "");
		fail();
	}
	print_message("%s: %ld blocks of at most %ld\n", name, blocks, max_blocks);
}

/* ── the statements ───────────────────────────────────────────────────────────── */

/* An array literal of n rows of `n` from row `first` on. */
static const char *ids(const char *column, int first, int n)
{
	static char text[4][200000];
	static int turn;
	CLEANUP(pg_clearp) PGresult *r = NULL;
	char question[300];

	turn = (turn + 1) % 4;
	snprintf(question, sizeof question, "select array_agg(%s order by i)::text from n where i between %d and %d", column,
	         first, first + n - 1);
	if (pg_exec(db, question, &r, &e))
		fail();
	snprintf(text[turn], sizeof text[turn], "'%s'", PQgetvalue(r, 0, 0));
	return text[turn];
}

static void prepare_lists(struct call_record *record)
{
	struct caller caller = { .org = 9999 };
	struct call_filter f = { .states = 0 };
	struct feed_position at = { 0 };
	struct list_page page;
	struct call_event *events;
	enum read_outcome outcome;
	int64_t org = 9999;
	struct id ids[1];
	size_t n;
	bool more;

	assert_int_equal(OK, store_calls_match(s, &caller, &f, NULL, 1, ids, &n, &page, &e));
	f.states = STATES_FLYING;
	assert_int_equal(OK, store_calls_match(s, &caller, &f, NULL, 1, ids, &n, &page, &e));
	f.states = STATES_OPEN;
	assert_int_equal(OK, store_calls_match(s, &caller, &f, NULL, 1, ids, &n, &page, &e));
	assert_int_equal(OK, store_call_events(s, &caller, &record->id, -1, 1, &events, &n, &more, &outcome, &e));
	call_events_free(events, n);
	assert_int_equal(OK, store_feed(s, &caller, false, &at, 1, &events, &n, &more, &outcome, &e));
	call_events_free(events, n);
	assert_int_equal(OK, read_attempts(s, &org, &record, 1, &e));
}

/* `a` is refused for want of a project, with what few requests have and without. */
static void prepare_admission(struct admission a)
{
	struct admission again = make_admission("+12025550199");
	struct dry_run dry;
	uint8_t digest[SHA256_SIZE];
	int gone;

	assert_int_equal(ADMIT_PROJECT_DENIED, admit_one(s, &a));
	assert_int_equal(OK, store_dry_run(s, &a, &rules, &dry, &e));
	dry_run_done(&dry);
	sha256("prepare", 7, digest);
	a.idem_key = a.idem_print = digest;
	assert_int_equal(ADMIT_PROJECT_DENIED, admit_one(s, &a));
	/* A replay, for its own statement; what it left is taken out again. */
	sql("insert into idempotency_keys values (1, '00000000-0000-4000-8000-000000000001', false, sha256('prepare'),"
	    " sha256('prepare'), '00000000-0000-7000-8000-000000000001')");
	again.idem_key = again.idem_print = digest;
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &again));
	assert_true(again.replayed);
	sql("delete from idempotency_keys where key = sha256('prepare')");
	assert_int_equal(OK, store_idempotency_prune(s, 3650, 1, &gone, &e));
}

/* Each statement once, to no effect, so that it is prepared and planned now. */
static void prepare_all(void)
{
	struct admission a = make_admission("+12025550100");
	struct call_read read = { .key_org = 1, .call_id = id_new(), .call = { .attempts = 2 } }, *reads[] = { &read };
	struct claim_want want = { .lane = { 9999, 1, 1, 1 }, .take = 1 };
	struct call_ref r = { 1, id_new(), 1 };
	struct call_progress p = { .call = r };
	struct call_end end = { .call = r, .outcome = { .reason = REASON_BUSY } };
	struct call_end late = { .call = { 1, r.call_id, 2 }, .outcome = { .reason = REASON_QUEUE_EXPIRED } };
	struct call_retry retry = { .call = r };
	struct cancel cancel = { .call_id = r.call_id };
	struct call_edit edit = { .call_id = r.call_id, .edits = -1 };
	struct caller caller = { .org = 1 };
	struct call_ref *refs;
	struct lane_key *lanes, lane = { 9999, 1, 1, 1 };
	struct overdue *o;
	struct inflight *f;
	size_t n, n_lanes, expired;
	bool may;

	a.project = "none";
	prepare_admission(a);
	assert_int_equal(OK, store_calls_read(s, reads, 1, &e));
	prepare_lists(&read.call);
	assert_int_equal(OK, store_claim(s, 1, &want, 1, 1000, &f, &n, &e));
	inflight_free_all(f, n);
	assert_int_equal(OK, store_intent(s, 1, &r, NULL, 1, &may, &e));
	assert_int_equal(OK, store_unclaim(s, 1, &r, 1, &e));
	assert_int_equal(OK, store_progress(s, &p, 1, &e));
	assert_int_equal(OK, store_finish(s, &end, 1, &e));
	assert_int_equal(OK, store_finish(s, &late, 1, &e));
	assert_int_equal(OK, store_retry(s, 1, &retry, 1, &e));
	assert_int_equal(OK, store_lanes_find(s, UINT64_MAX, &lanes, &n, &e));
	free(lanes);
	assert_int_equal(OK, store_promote(s, 1, 0, 1, &lanes, &n, &e));
	free(lanes);
	assert_int_equal(OK, store_overdue(s, 1, 0, &o, &n, &e));
	free(o);
	assert_int_equal(OK, store_expire_queued(s, 1, &lane, 1, 3600000, 1, &expired, &e));
	assert_int_equal(OK, store_expire_due(s, 1, 0, 1, &expired, &n, &e));
	assert_int_equal(OK, store_calls_cancel(s, &caller, &cancel, 1, &e));
	assert_int_equal(OK, store_cancels_find(s, 1, 0, &refs, &n, &e));
	assert_int_equal(OK, store_claims_gone(s, 1, &r, 1, &may, &e));
	free(refs);
	assert_int_equal(OK, store_call_edit(s, &caller, &edit, 86400, &e));
	assert_int_equal(OK, store_adopt(s, 1, 0, &f, &n, &lanes, &n_lanes, &e));
	inflight_free_all(f, n);
	free(lanes);
}

static char args[800000];

#define ARGS(...) snprintf(args, sizeof args, __VA_ARGS__)
#define CONTEXT "'{1}', array[sha256('" KEY_TEXT "')], '{p1}', '{" FROM "}', '{0}', '{0}', '{1}'"
#define NO_ID   "'00000000-0000-0000-0000-000000000000'"
#define LAST_ID "'ffffffff-ffff-ffff-ffff-ffffffffffff'"
#define SAME(value, n) "array_fill(" value ", array[" n "])"

static void check_accepting_and_reading(void)
{
	/* All four destinations are taken: the probes are what counts. */
	ARGS(CONTEXT ", '{1,1,1,1}', %s,"
	     " '{+447000000001,+447000000002,+447000000003,+447000000004}', '{a,b,c,d}', '{a,b,c,d}', false, true",
	     ids("call_id", 1, 4));
	check_plan("admit", args, 400, NULL);
	ARGS("%s, " SAME("sha256('" KEY_TEXT "')", "200") ", %s, " NO_ID ", " LAST_ID, ids("org_id", 1000, 200), ids("call_id", 1000, 200));
	check_plan("calls_read", args, 200 * 30, NULL);
}

/* Half of the keys were used, all calls are for later, and the price is one of many. */
static void check_keys(void)
{
	ARGS(CONTEXT ", " SAME("1", "100") ", %s, %s, " SAME("'{}'::text", "100") ", " SAME("'r'::text", "100") ", false, true, "
	     SAME("'{}'::text", "100") ", " SAME("now() + interval '1 day'", "100") ", " SAME("null::timestamptz", "100") ", %s, "
	     SAME("sha256('b')", "100") ", 86400", ids("call_id", 51, 100), ids("'+1202555' || (1000 + i)", 51, 100),
	     ids("sha256((i + 299900)::text::bytea)", 51, 100));
	check_plan("admit_full", args, 100 * 120, NULL);
	ARGS(SAME("1::bigint", "100") ", " SAME("sha256('" KEY_TEXT "')", "100") ", %s, " SAME("sha256('b')", "100"),
	     ids("sha256((i + 299800)::text::bytea)", 51, 100));
	check_plan("admit_prior", args, 100 * 20, NULL);
	check_plan("idempotency_prune", "7, 200", 1200 * 20, NULL);
	check_plan("dry_run", CONTEXT ", '+12025550100', null, false", 1000, NULL);    /* those who wait are counted */
}

static void check_dispatch(void)
{
	ARGS("1, %s, " SAME("1", "50") ", " SAME("1", "50") ", " SAME("1::int2", "50") ", "
	     SAME("'00000000-0000-0000-0000-000000000000'::uuid", "50") ", " SAME("4", "50") ", 30000", ids("org_id", 1, 50));
	check_plan("claim", args, 200 * 60, NULL);
	sql("update call_inflight set phase = 0 where call_id in (select call_id from n where i <= 200)");
	ARGS("1, %s, %s, " SAME("1::int2", "200") ", " SAME("'room'::text", "200"), ids("org_id", 1, 200), ids("call_id", 1, 200));
	check_plan("intent", args, 200 * 40, NULL);
	ARGS("1, %s, %s, " SAME("1::int2", "200"), ids("org_id", 1, 200), ids("call_id", 1, 200));
	check_plan("unclaim", args, 200 * 40, NULL);
	sql("update call_inflight set phase = 1 where call_id in (select call_id from n where i <= 200)");
	ARGS("%s, %s, " SAME("1::int2", "200") ", " SAME("true", "200") ", " SAME("true", "200") ", " SAME("false", "200") ", "
	     SAME("'x'::text", "200"), ids("org_id", 1, 200), ids("call_id", 1, 200));
	check_plan("progress", args, 200 * 40, NULL);
	ARGS("%s, %s, " SAME("1::int2", "200") ", " SAME("6::int2", "200") ", " SAME("5::int2", "200") ", "
	     SAME("486::int2", "200") ", " SAME("'x'::text", "200") ", " SAME("'x'::text", "200") ","
	     " '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', " SAME("0::int8", "200"),
	     ids("org_id", 1, 200), ids("call_id", 1, 200));
	check_plan("finish", args, 200 * 80, NULL);
	ARGS("%s, %s, " SAME("1::int2", "200") ", " SAME("9::int2", "200") ", " SAME("503::int2", "200") ", " SAME("1000", "200") ", "
	     SAME("'x'::text", "200") ", " SAME("true", "200") ", " SAME("false", "200") ", 1, " SAME("'x'::text", "200"),
	     ids("org_id", 1, 200), ids("call_id", 1, 200));
	check_plan("retry", args, 200 * 60, NULL);
	ARGS("%s, %s, " SAME("3::int2", "200"), ids("org_id", 1, 200), ids("call_id", 1, 200));
	check_plan("last_attempt", args, 200 * 20, NULL);
}

/* The calls of one organization, in all three tables. */
static void check_cancel(void)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;

	if (pg_exec(db, "select array_agg(call_id)::text from n where org_id = 1 and i <= 100000", &r, &e))
		fail();
	ARGS("1, sha256('" KEY_TEXT "'), '%s'", PQgetvalue(r, 0, 0));
	check_plan("cancel", args, 200 * 80, NULL);
	check_plan("cancels_find", "1, 1000", 200, NULL);
	ARGS("1, %s, %s, " SAME("1::int2", "200"), ids("org_id", 1, 200), ids("call_id", 1, 200));
	check_plan("claims_gone", args, 200 * 6, NULL);
	ARGS("1, sha256('" KEY_TEXT "'), '%.36s', true, '{}', true, '{}', true, 0, 2::int2, -1, 86400", PQgetvalue(r, 0, 0) + 1);
	check_plan("call_edit", args, 60, NULL);
}

#define MATCH(org, key, project, looked_at, states, more) \
	org ", sha256('" key "'), " project ", " LAST_ID ", " NO_ID ", " looked_at ", 21, " states ", 0::int2, " more
#define ANY_TIME "'1970-01-01', '9999-01-01'"

static void check_lists(void)
{
	/* A full page ends the look; half of the calls are not the caller's. */
	check_plan("calls_match", MATCH("2", "many", "null", "20000", "0", "null, null, " ANY_TIME ", null, null"), 600, NULL);
	/* What nothing fits, and a number that is rare: the bound ends it. */
	check_plan("calls_match", MATCH("2", "many", "null", "20000", "0", "null, '+497000000001', " ANY_TIME ", null, null"),
	           4000, NULL);
	check_plan("calls_match", MATCH("2", "many", "'p1'", "5000", "16", "null, null, " ANY_TIME ", 'n', '1'"), 2000, NULL);
	check_plan("calls_match", MATCH("2", "other", "null", "20000", "0", "null, null, " ANY_TIME ", null, null"), 20, NULL);
	/* What is queued among what is not: a probe for each that may be. */
	check_plan("calls_match", MATCH("1", KEY_TEXT, "null", "20000", "1", "null, null, " ANY_TIME ", null, null"), 2000, NULL);
	check_plan("calls_match_open", MATCH("1", KEY_TEXT, "null", "2000", "15", "null, null, " ANY_TIME ", null, null"), 600, NULL);
	check_plan("calls_match_open", MATCH("1", KEY_TEXT, "null", "2000", "1", "null, '+447000000001', " ANY_TIME ", null, null"),
	           6000, NULL);
	check_plan("calls_match_open", MATCH("2", "many", "null", "1000", "15", "null, null, " ANY_TIME ", 'n', '1'"), 6000, NULL);
	check_plan("calls_match_open", MATCH("1", "other", "null", "2000", "15", "null, null, " ANY_TIME ", null, null"), 20, NULL);
	check_plan("calls_match_flying", MATCH("1", KEY_TEXT, "null", "20000", "14", "null, null, " ANY_TIME ", null, null"), 800, NULL);
	ARGS("1 + 1, sha256('many'), (%s::uuid[])[1], -1, 100", ids("call_id", 1, 1));
	check_plan("call_events", args, 60, NULL);
	ARGS("2, sha256('many'), '1970-01-01', " NO_ID ", 0::int2, now() + interval '1 minute', 2000, 21");
	check_plan("feed", args, 1000, NULL);
	ARGS("2, sha256('other'), '1970-01-01', " NO_ID ", 0::int2, now() + interval '1 minute', 2000, 21");
	check_plan("feed", args, 20, NULL);
	ARGS("%s, %s, " SAME("16", "200") ", " SAME("32", "200"), ids("org_id", 1000, 200), ids("call_id", 1000, 200));
	check_plan("calls_attempts", args, 200 * 12, NULL);
}

static void check_sweeps(void)
{
	check_plan("lanes_find", "-1", LANES * 12, "call_queue_pkey");
	check_plan("promote", "1, -1, 10", 6000, NULL);
	check_plan("overdue", "1, 100", 200, NULL);
	ARGS("1, %s, " SAME("1", "50") ", " SAME("1", "50") ", " SAME("1::int2", "50") ", 1000, 200, 8::int2, 15::int2",
	     ids("org_id", 1, 50));
	check_plan("expire_queued", args, 200 * 60, NULL);
	check_plan("expire_due", "1, -1, 10, 8::int2, 15::int2", 640 * 60, NULL);
	check_plan("adopt", "1, 200", FLYING * 4, "call_inflight_");     /* reads the in-flight rows, all of them */
}

static void as_planned_when_the_tables_were_empty(void **state)
{
	(void)state;
	check_lists();
	check_accepting_and_reading();
	check_keys();
	check_dispatch();
	check_cancel();
	check_sweeps();
}

static void as_planned_when_the_tables_are_full(void **state)
{
	(void)state;
	sql("analyze");
	store_free(s);
	s = store_new(scratch_url, "plans");
	prepare_all();
	check_lists();
	check_accepting_and_reading();
	check_keys();
	check_dispatch();
	check_cancel();
	check_sweeps();
}

/* No ANALYZE may come in between and mend what is to be tested. */
static void switch_autovacuum_off(void)
{
	sql("do $$ declare t text; begin"
	    " for t in select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace loop"
	    "  execute format('alter table %%I set (autovacuum_enabled = false)', t); end loop; end $$");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_planned_when_the_tables_were_empty),
		cmocka_unit_test(as_planned_when_the_tables_are_full),
	};
	int64_t gw;
	int failed;

	scratch_open();
	switch_autovacuum_off();
	seed_tenant();
	s = store_new(scratch_url, "plans");
	if (store_gateway_open(s, "g", "test", 3600000, &gw, &e) || gw != 1)
		return 1;
	prepare_all();
	fill();
	fill_many();
	fill_keys();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	store_free(s);
	scratch_close();
	return failed;
}
