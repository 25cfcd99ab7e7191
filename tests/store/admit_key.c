/* Idempotency keys: one key, one call, whatever is sent twice, at once, or lost on the way. */
#include <pthread.h>

#include "scratch.h"

static struct store *s;

struct keyed {
	struct admission a;
	uint8_t          key[SHA256_SIZE], print[SHA256_SIZE];
};

/* A request with key `key` and body `body`. */
static struct admission *with_key(struct keyed *k, const char *to, const char *key, const char *body)
{
	k->a = make_admission(to);
	sha256(key, strlen(key), k->key);
	sha256(body, strlen(body), k->print);
	k->a.idem_key = k->key;
	k->a.idem_print = k->print;
	return &k->a;
}

static void reset(void)
{
	clear_calls();
	sql("truncate idempotency_keys, idempotency_refusals, call_expiry;"
	    "update phone_numbers set trunk_id = 1, outbound = true, status = 'active';"
	    "insert into pool_members values (1, '00000000-0000-4000-8000-000000000001', 1) on conflict do nothing");
}

static void check_keys(void)
{
	assert_int_equal(0, sql("select count(*) from idempotency_keys k where (exists (select from calls c where"
	                        " c.call_id = k.call_id)) = (exists (select from idempotency_refusals r where r.call_id = k.call_id))"));
	check_books();
}

static void a_repeated_request_gets_the_first_call(void **state)
{
	struct keyed k, again;
	struct id first;

	(void)state;
	reset();
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, with_key(&k, "+12025550100", "k", "b")));
	assert_false(k.a.replayed);
	assert_true(k.a.queued);
	first = k.a.call_id;
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, with_key(&again, "+12025550100", "k", "b")));
	assert_true(again.a.replayed);
	assert_false(again.a.queued);
	assert_int_equal(0, id_cmp(&first, &again.a.call_id));
	assert_int_equal(1, sql("select count(*) from calls"));
	assert_int_equal(600, sql("select held_mc from credit_accounts"));
	check_keys();
}

static void after_its_call_has_ended_a_key_still_answers(void **state)
{
	struct keyed k;

	(void)state;
	reset();
	admit_one(s, with_key(&k, "+12025550100", "k", "b"));
	sql("update calls set ended_at = now(), state = 6; truncate call_queue, destination_locks; update credit_accounts set held_mc = 0");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, with_key(&k, "+12025550100", "k", "b")));
	assert_true(k.a.replayed);
	assert_int_equal(1, sql("select count(*) from calls"));
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, with_key(&k, "+12025550100", "k2", "b")));
	assert_false(k.a.replayed);
	check_keys();
}

static void another_body_under_the_same_key_is_refused(void **state)
{
	struct keyed k;

	(void)state;
	reset();
	admit_one(s, with_key(&k, "+12025550100", "k", "b"));
	assert_int_equal(ADMIT_KEY_REUSED, admit_one(s, with_key(&k, "+12025550101", "k", "other")));
	assert_false(k.a.replayed);
	assert_int_equal(1, sql("select count(*) from calls"));
	check_keys();
}

/* The refusal under `break_sql` is kept with the key: mended, it still answers. */
static void refusal_is_kept(enum admit_outcome expected, const char *break_sql, const char *mend_sql)
{
	struct keyed k;

	reset();
	sql("%s", break_sql);
	with_key(&k, "+12025550100", "k", "b");
	k.a.request_id = "first";
	assert_int_equal(expected, admit_one(s, &k.a));
	assert_false(k.a.replayed);
	sql("%s", mend_sql);
	with_key(&k, "+12025550100", "k", "b");
	k.a.request_id = "second";
	assert_int_equal(expected, admit_one(s, &k.a));
	assert_true(k.a.replayed);
	assert_string_equal("first", k.a.first_request_id);
	assert_int_equal(ADMIT_KEY_REUSED, admit_one(s, with_key(&k, "+12025550100", "k", "other")));
	assert_int_equal(1, sql("select count(*) from idempotency_refusals"));
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, with_key(&k, "+12025550100", "new", "b")));
	check_keys();
}

static void refusals_of_the_call_itself_are_kept(void **state)
{
	(void)state;
	refusal_is_kept(ADMIT_NO_TRUNK, "update phone_numbers set outbound = false", "update phone_numbers set outbound = true");
	refusal_is_kept(ADMIT_NO_CREDITS, "update credit_accounts set balance_mc = 0", "update credit_accounts set balance_mc = 1000000");
	refusal_is_kept(ADMIT_BUSY, "insert into destination_locks values ('+12025550100', 0, 9, gen_random_uuid())",
	                "truncate destination_locks");
	refusal_is_kept(ADMIT_NUMBER_UNKNOWN, "delete from pool_numbers; delete from phone_numbers",
	                "insert into phone_numbers (org_id, e164, trunk_id) values (1, '" FROM "', 1);"
	                "insert into pool_numbers values (1, '" FROM "', 1)");
}

/* Refused as `expected`, and mended the same key is good for a call. */
static void refusal_is_not_kept(enum admit_outcome expected, const char *break_sql, const char *mend_sql)
{
	struct keyed k;

	reset();
	sql("%s", break_sql);
	assert_int_equal(expected, admit_one(s, with_key(&k, "+12025550100", "k", "b")));
	assert_int_equal(0, sql("select count(*) from idempotency_keys"));
	sql("%s", mend_sql);
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, with_key(&k, "+12025550100", "k", "changed")));
	assert_false(k.a.replayed);
	check_keys();
}

static void what_never_reached_the_call_is_not_kept(void **state)
{
	struct keyed k;

	(void)state;
	refusal_is_not_kept(ADMIT_KEY_UNKNOWN, "update api_keys set revoked_at = now()", "update api_keys set revoked_at = null");
	refusal_is_not_kept(ADMIT_PROJECT_DENIED, "delete from project_members",
	                    "insert into project_members values (1, 1, '00000000-0000-4000-8000-000000000001')");
	refusal_is_not_kept(ADMIT_POOL_DENIED, "delete from pool_members",
	                    "insert into pool_members values (1, '00000000-0000-4000-8000-000000000001', 1)");
	refusal_is_not_kept(ADMIT_NUMBER_INACTIVE, "update phone_numbers set status = 'inactive'",
	                    "update phone_numbers set status = 'active'");
	reset();
	with_key(&k, "+12025550100", "k", "b");
	k.a.max_duration_s = 3601;
	assert_int_equal(ADMIT_TOO_LONG, admit_one(s, &k.a));
	k.a.body_ok = false;
	assert_int_equal(ADMIT_BODY_INVALID, admit_one(s, &k.a));
	assert_int_equal(0, sql("select count(*) from idempotency_keys"));
}

/* Whatever has been provisioned since: the call is there. */
static void is_told_though(const char *break_sql, const char *mend_sql)
{
	struct keyed k;

	sql("%s", break_sql);
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, with_key(&k, "+12025550100", "k", "b")));
	assert_true(k.a.replayed);
	assert_int_equal(ADMIT_KEY_REUSED, admit_one(s, with_key(&k, "+12025550100", "k", "c")));
	sql("%s", mend_sql);
}

/* After 401 and the project's 403, before everything else. */
static void an_earlier_key_answers_in_its_place_of_the_order(void **state)
{
	struct keyed k;

	(void)state;
	reset();
	admit_one(s, with_key(&k, "+12025550100", "k", "b"));
	sql("delete from project_members");
	assert_int_equal(ADMIT_PROJECT_DENIED, admit_one(s, with_key(&k, "+12025550100", "k", "b")));
	sql("insert into project_members values (1, 1, '00000000-0000-4000-8000-000000000001')");
	is_told_though("delete from pool_members", "insert into pool_members values (1, '00000000-0000-4000-8000-000000000001', 1)");
	is_told_though("update phone_numbers set status = 'inactive'", "update phone_numbers set status = 'active'");
	is_told_though("update phone_numbers set outbound = false", "update phone_numbers set outbound = true");
	is_told_though("delete from pool_numbers; delete from phone_numbers where e164 = '" FROM "'",
	               "insert into phone_numbers (org_id, e164, trunk_id) values (1, '" FROM "', 1);"
	               "insert into pool_numbers values (1, '" FROM "', 1)");
	is_told_though("update credit_accounts set balance_mc = 600; update credit_ledger set amount_mc = 600",
	               "update credit_ledger set amount_mc = 1000000; update credit_accounts set balance_mc = 1000000");
	check_keys();
}

/* The maximum of its project was more when it was sent first. */
static void a_call_that_would_be_too_long_now_is_told_of(void **state)
{
	struct keyed k;

	(void)state;
	reset();
	with_key(&k, "+12025550100", "k", "b");
	k.a.max_duration_s = 60;
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &k.a));
	sql("update projects set max_duration_s = 59 where org_id = 1");
	with_key(&k, "+12025550100", "k", "b");
	k.a.max_duration_s = 60;
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &k.a));
	assert_true(k.a.replayed);
	with_key(&k, "+12025550100", "k2", "b");
	k.a.max_duration_s = 60;
	assert_int_equal(ADMIT_TOO_LONG, admit_one(s, &k.a));
	sql("update projects set max_duration_s = 3600 where org_id = 1");
	check_keys();
}

/* A body that was good when it was first sent may be late when it is sent again. */
static void what_has_expired_is_refused_unless_its_key_was_used(void **state)
{
	struct keyed k;

	(void)state;
	reset();
	with_key(&k, "+12025550100", "k", "b");
	k.a.expires_ms = 1;
	assert_int_equal(ADMIT_BODY_INVALID, admit_one(s, &k.a));
	assert_int_equal(0, sql("select count(*) from idempotency_keys"));
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, with_key(&k, "+12025550100", "k", "b")));
	with_key(&k, "+12025550100", "k", "b");
	k.a.expires_ms = 1;
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &k.a));
	assert_true(k.a.replayed);
	with_key(&k, "+12025550100", "k", "c");
	k.a.expires_ms = 1;
	assert_int_equal(ADMIT_KEY_REUSED, admit_one(s, &k.a));
	k.a = make_admission("+12025550101");
	k.a.expires_ms = 1;
	assert_int_equal(ADMIT_BODY_INVALID, admit_one(s, &k.a));
	assert_int_equal(1, sql("select count(*) from calls"));
	check_keys();
}

static void a_key_belongs_to_its_user_and_to_live_or_test(void **state)
{
	struct keyed k;

	(void)state;
	reset();
	admit_one(s, with_key(&k, "+12025550100", "k", "b"));
	with_key(&k, "+12025550100", "k", "c");
	sha256(KEY_TEXT "t", strlen(KEY_TEXT) + 1, k.a.key_hash);
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &k.a));           /* a test key: another space */
	assert_false(k.a.replayed);
	sql("insert into api_keys (org_id, key_hash, user_id, kind, test, hint)"
	    " values (1, sha256('second'), '00000000-0000-4000-8000-000000000001', 0, false, '') on conflict do nothing");
	with_key(&k, "+12025550100", "k", "b");
	sha256("second", 6, k.a.key_hash);
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &k.a));           /* the same user with another of his keys */
	assert_true(k.a.replayed);
	sql("insert into users (user_id, email) values ('00000000-0000-4000-8000-000000000002', 'b@example.org') on conflict do nothing;"
	    "insert into memberships (org_id, user_id) values (1, '00000000-0000-4000-8000-000000000002') on conflict do nothing;"
	    "insert into project_members values (1, 1, '00000000-0000-4000-8000-000000000002') on conflict do nothing;"
	    "insert into pool_members values (1, '00000000-0000-4000-8000-000000000002', 1) on conflict do nothing;"
	    "insert into api_keys (org_id, key_hash, user_id, kind, test, hint)"
	    " values (1, sha256('colleague'), '00000000-0000-4000-8000-000000000002', 0, false, '') on conflict do nothing");
	with_key(&k, "+12025550109", "k", "c");
	sha256("colleague", 9, k.a.key_hash);
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &k.a));           /* a colleague: another space */
	assert_false(k.a.replayed);
	check_keys();
}

static void of_one_key_in_one_batch_the_first_wins_and_the_others_hear_of_it(void **state)
{
	struct keyed k[5];
	struct admission *items[5];
	struct errinfo e;
	int i, news = 0;

	(void)state;
	reset();
	for (i = 0; i < 4; i++)
		items[i] = with_key(&k[i], "+12025550100", "k", i == 2 ? "other" : "b");
	items[4] = with_key(&k[4], "+12025550101", "k4", "b");
	assert_int_equal(OK, store_admit(s, items, 5, &rules, &e));
	assert_int_equal(OK, store_admit_flush(s, items, 5, &rules, &e));
	for (i = 0; i < 5; i++) {
		assert_int_equal(i == 2 ? ADMIT_KEY_REUSED : ADMIT_ACCEPTED, items[i]->outcome);
		news += items[i]->queued;
		if (i == 1 || i == 3) {
			assert_true(items[i]->replayed);
			assert_int_equal(0, id_cmp(&items[0]->call_id, &items[i]->call_id));
		}
	}
	assert_int_equal(2, news);
	assert_int_equal(2, sql("select count(*) from calls"));
	check_keys();
}

/* The money is for three of six; each is sent twice under its key. */
static void keys_and_scarce_money_go_together(void **state)
{
	struct keyed k[12];
	struct admission *items[12];
	char to[12][32], key[12][16];
	struct errinfo e;
	int i, accepted = 0;

	(void)state;
	reset();
	sql("update credit_accounts set balance_mc = 1900; update credit_ledger set amount_mc = 1900");
	for (i = 0; i < 12; i++) {
		snprintf(to[i], sizeof to[i], "+1202555014%d", i / 2);
		snprintf(key[i], sizeof key[i], "k%d", i / 2);
		items[i] = with_key(&k[i], to[i], key[i], "b");
	}
	assert_int_equal(OK, store_admit(s, items, 12, &rules, &e));
	for (i = 0; i < 12; i++) {
		assert_int_equal(i < 6 ? ADMIT_ACCEPTED : ADMIT_NO_CREDITS, items[i]->outcome);
		assert_int_equal(i % 2, items[i]->replayed);
		accepted += items[i]->outcome == ADMIT_ACCEPTED && !items[i]->replayed;
	}
	assert_int_equal(3, accepted);
	assert_int_equal(3, sql("select count(*) from idempotency_refusals"));
	check_keys();
	sql("update credit_ledger set amount_mc = 1000000");
}

/* ── two at once ──────────────────────────────────────────────────────────────── */

struct racer {
	pthread_t          thread;
	pthread_barrier_t *start;
	struct store      *store;
	struct keyed       k[8];
	bool               backwards;
	enum err           err;
	struct errinfo     e;
};

#define RACES 40

static void *race(void *arg)
{
	struct racer *r = arg;
	struct admission *items[8];
	int i;

	for (i = 0; i < 8; i++)
		items[i] = &r->k[r->backwards ? 7 - i : i].a;
	pthread_barrier_wait(r->start);
	r->err = store_admit(r->store, items, 8, &rules, &r->e);
	if (!r->err)
		r->err = store_admit_flush(r->store, items, 8, &rules, &r->e);
	return NULL;
}

static void make_race(struct racer *r, char to[8][32], int round)
{
	char key[32];
	int i;

	for (i = 0; i < 8; i++) {
		snprintf(to[i], sizeof to[i], "+1202%03d550%d", round, i);
		snprintf(key, sizeof key, "race %d %d", round, i);
		with_key(&r->k[i], to[i], key, "b");
	}
}

/* Two gateways get the same eight requests at the same instant in opposite order. */
static void two_at_the_same_instant_make_one_call(void **state)
{
	struct racer r[2] = { { .store = store_new(scratch_url, "left") }, { .store = store_new(scratch_url, "right") } };
	pthread_barrier_t start;
	char to[8][32];
	int round, i, j;

	(void)state;
	reset();
	/* Free of charge on every other round: then no account's lock keeps them apart. */
	for (round = 0; round < RACES; round++) {
		sql("update projects set rate_mc = %d", round % 2 ? 600 : 0);
		pthread_barrier_init(&start, NULL, 2);
		for (i = 0; i < 2; i++) {
			r[i].start = &start;
			r[i].backwards = i == 1;
			make_race(&r[i], to, round);
			pthread_create(&r[i].thread, NULL, race, &r[i]);
		}
		for (i = 0; i < 2; i++) {
			pthread_join(r[i].thread, NULL);
			assert_int_equal(OK, r[i].err);
		}
		pthread_barrier_destroy(&start);
		for (j = 0; j < 8; j++) {
			assert_int_equal(ADMIT_ACCEPTED, r[0].k[j].a.outcome);
			assert_int_equal(ADMIT_ACCEPTED, r[1].k[j].a.outcome);
			assert_int_equal(0, id_cmp(&r[0].k[j].a.call_id, &r[1].k[j].a.call_id));
			assert_int_equal(1, r[0].k[j].a.replayed + r[1].k[j].a.replayed);
		}
	}
	assert_int_equal(RACES * 8, sql("select count(*) from calls"));
	check_keys();
	sql("update projects set rate_mc = 600");
	store_free(r[0].store);
	store_free(r[1].store);
}

static void *admit_alone(void *arg)
{
	struct racer *r = arg;
	struct admission *item = &r->k[0].a;

	r->err = store_admit(r->store, &item, 1, &rules, &r->e);
	return NULL;
}

/* Somebody has written the key and not committed: the second waits, and then replays; or
 * goes first, should that one not commit. */
static void a_key_in_use_is_waited_for(void **state)
{
	struct store *first = store_new(scratch_url, "first");
	struct racer r = { .store = store_new(scratch_url, "second") };
	char to[8][32];
	struct errinfo e;
	int commit;

	(void)state;
	sql("update projects set rate_mc = 0");
	for (commit = 0; commit < 2; commit++) {
		reset();
		make_race(&r, to, commit);
		assert_int_equal(OK, pg_exec(first, "begin; insert into idempotency_keys values (1,"
		                 " '00000000-0000-4000-8000-000000000001', false, sha256('race 1 0'), sha256('b'),"
		                 " '00000000-0000-7000-8000-000000000009'), (1, '00000000-0000-4000-8000-000000000001', false,"
		                 " sha256('race 0 0'), sha256('b'), '00000000-0000-7000-8000-000000000008');"
		                 "insert into idempotency_refusals values (1, '00000000-0000-7000-8000-000000000009', 9, 'first')", NULL, &e));
		pthread_create(&r.thread, NULL, admit_alone, &r);
		while (!sql("select count(*) from pg_stat_activity where application_name = 'second' and wait_event_type = 'Lock'"))
			usleep(1000);
		assert_int_equal(OK, pg_exec(first, commit ? "commit" : "rollback", NULL, &e));
		pthread_join(r.thread, NULL);
		assert_int_equal(OK, r.err);
		assert_int_equal(commit ? ADMIT_BUSY : ADMIT_ACCEPTED, r.k[0].a.outcome);
		assert_int_equal(commit, r.k[0].a.replayed);
		assert_int_equal(!commit, sql("select count(*) from calls"));
	}
	sql("update projects set rate_mc = 600");
	store_free(first);
	store_free(r.store);
}

/* Somebody has the key whenever we look, and never leaves a trace: a trigger plays him. */
static void a_key_that_is_never_free_is_said_to_be_in_use(void **state)
{
	struct keyed k[2];
	struct admission *items[] = { with_key(&k[0], "+12025550100", "k", "b"), &k[1].a };
	struct errinfo e;

	(void)state;
	reset();
	k[1].a = make_admission("+12025550101");
	sql("create function never() returns trigger language plpgsql as $$ begin return null; end $$;"
	    "create trigger never before insert on idempotency_keys for each row execute function never()");
	assert_int_equal(OK, store_admit(s, items, 2, &rules, &e));
	sql("drop trigger never on idempotency_keys; drop function never");
	assert_int_equal(ADMIT_KEY_RUNNING, k[0].a.outcome);
	assert_int_equal(ADMIT_ACCEPTED, k[1].a.outcome);
	assert_int_equal(1, sql("select count(*) from calls"));
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, with_key(&k[0], "+12025550100", "k", "b")));
	check_keys();
}

/* ── answers that are lost ────────────────────────────────────────────────────── */

/* The backend ends right before the commit the first time, or, with `after`, right after it:
 * the client cannot tell one from the other. */
static void answer_is_lost(bool after, const char *break_sql, enum admit_outcome expected)
{
	struct keyed k;

	reset();
	sql("%s", break_sql);
	sql("create sequence cuts;"
	    "create function cut() returns trigger language plpgsql as $$ begin"
	    "  if nextval('cuts') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if; return null; end $$;"
	    "create constraint trigger cut after insert on idempotency_keys deferrable initially %s for each row"
	    "  execute function cut()", after ? "deferred" : "immediate");
	assert_int_equal(expected, admit_one(s, with_key(&k, "+12025550100", "k", "b")));
	assert_false(k.a.replayed);
	assert_int_equal(2, sql("select nextval('cuts')") - 1);
	sql("drop trigger cut on idempotency_keys; drop function cut; drop sequence cuts");
	assert_int_equal(1, sql("select count(*) from idempotency_keys"));
	assert_int_equal(expected, admit_one(s, with_key(&k, "+12025550100", "k", "b")));
	assert_true(k.a.replayed);
	check_keys();
}

static void a_batch_that_is_cut_off_is_sent_again_with_its_keys(void **state)
{
	(void)state;
	answer_is_lost(false, "select 1", ADMIT_ACCEPTED);
	answer_is_lost(true, "select 1", ADMIT_ACCEPTED);
	answer_is_lost(true, "update phone_numbers set outbound = false", ADMIT_NO_TRUNK);
}

/* Committed, and the answer lost: what is found under the key is this very request. */
static void its_own_key_is_no_replay(void **state)
{
	struct keyed k, again;

	(void)state;
	reset();
	sql("update phone_numbers set outbound = false");
	assert_int_equal(ADMIT_NO_TRUNK, admit_one(s, with_key(&k, "+12025550100", "k", "b")));
	with_key(&again, "+12025550100", "k", "b");
	again.a.call_id = k.a.call_id;
	assert_int_equal(ADMIT_NO_TRUNK, admit_one(s, &again.a));
	assert_false(again.a.replayed);
	sql("update phone_numbers set outbound = true");
	admit_one(s, with_key(&k, "+12025550100", "k2", "b"));
	with_key(&again, "+12025550100", "k2", "b");
	again.a.call_id = k.a.call_id;
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &again.a));
	assert_false(again.a.replayed);
	assert_int_equal(1, sql("select count(*) from calls"));
	check_keys();
}

/* Between commit and flush the server may have crashed and lost what it told: whatever a key
 * stands for is looked for again on the new connection. */
static void what_a_key_answers_is_on_disk_before_it_is_told(void **state)
{
	struct keyed k[3];
	struct admission *items[3];
	struct errinfo e;
	struct id first;

	(void)state;
	reset();
	admit_one(s, with_key(&k[0], "+12025550100", "first", "b"));
	first = k[0].a.call_id;
	items[0] = with_key(&k[0], "+12025550100", "first", "b");
	items[1] = with_key(&k[1], "+12025550100", "busy", "b");
	items[2] = with_key(&k[2], "+12025550102", "new", "b");
	assert_int_equal(OK, store_admit(s, items, 3, &rules, &e));
	sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'intake'");
	assert_int_equal(OK, store_admit_flush(s, items, 3, &rules, &e));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(i == 1 ? ADMIT_BUSY : ADMIT_ACCEPTED, items[i]->outcome);
		assert_int_equal(i == 0, items[i]->replayed);
		assert_int_equal(s->session, items[i]->session);
	}
	assert_int_equal(0, id_cmp(&first, &items[0]->call_id));
	assert_int_equal(2, sql("select count(*) from calls"));
	assert_int_equal(OK, store_admit(s, &items[1], 1, &rules, &e));
	sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'intake'");
	assert_int_equal(OK, store_admit_flush(s, &items[1], 1, &rules, &e));
	assert_int_equal(s->session, items[1]->session);
	check_keys();
}

/* ── forgetting ───────────────────────────────────────────────────────────────── */

static void old_keys_are_forgotten_when_their_calls_have_ended(void **state)
{
	struct keyed k;
	struct errinfo e;
	int gone;

	(void)state;
	reset();
	admit_one(s, with_key(&k, "+12025550100", "ended", "b"));
	sql("update calls set ended_at = now(); truncate call_queue, destination_locks; update credit_accounts set held_mc = 0");
	admit_one(s, with_key(&k, "+12025550101", "living", "b"));
	sql("update phone_numbers set outbound = false");
	admit_one(s, with_key(&k, "+12025550102", "refused", "b"));
	sql("update phone_numbers set outbound = true; update idempotency_keys set counts_from = now() - interval '6 days 23 hours'");
	assert_int_equal(OK, store_idempotency_prune(s, 7, 100, &gone, &e));
	assert_int_equal(0, gone);
	sql("update idempotency_keys set counts_from = now() - interval '7 days 1 hour'");
	admit_one(s, with_key(&k, "+12025550103", "fresh", "b"));
	assert_int_equal(OK, store_idempotency_prune(s, 7, 1, &gone, &e));
	assert_int_equal(1, gone);
	assert_int_equal(OK, store_idempotency_prune(s, 7, 100, &gone, &e));
	assert_int_equal(1, gone);
	assert_int_equal(1, sql("select count(*) from idempotency_keys where key = sha256('living')"));
	assert_int_equal(0, sql("select count(*) from idempotency_keys where counts_from < now() - interval '7 days'"));
	assert_int_equal(2, sql("select count(*) from idempotency_keys"));
	assert_int_equal(0, sql("select count(*) from idempotency_refusals"));
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, with_key(&k, "+12025550102", "refused", "changed")));
	assert_false(k.a.replayed);
	check_keys();
}

/* However many keys of calls that live stand before them. */
static void living_calls_keep_nobodys_key_from_being_forgotten(void **state)
{
	struct errinfo e;
	int gone, all = 0;

	(void)state;
	reset();
	sql("insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s, rate_mc,"
	    " hold_mc, lock_scope, from_e164, to_e164, request_id) select 1, uuid7_floor(now() + i * interval '1 ms'), 1, 1, 1,"
	    " '00000000-0000-4000-8000-000000000001', 60, 60, 0, 0, 0, '+1', '+1' || i, '' from generate_series(1, 3000) i;"
	    "insert into idempotency_keys select 1, '00000000-0000-4000-8000-000000000001', false, sha256(call_id::text::bytea),"
	    " 'b', call_id, now() - interval '9 days' from calls;"
	    "insert into idempotency_keys values (1, '00000000-0000-4000-8000-000000000001', false, 'ended', 'b', gen_random_uuid(),"
	    " now() - interval '8 days')");
	for (int i = 0; i < 4; i++) {
		assert_int_equal(OK, store_idempotency_prune(s, 7, 1, &gone, &e));
		all += gone;
	}
	assert_int_equal(1, all);
	assert_int_equal(3000, sql("select count(*) from idempotency_keys"));
	sql("truncate calls, idempotency_keys");
}

static void a_scheduled_calls_key_counts_from_when_it_is_due(void **state)
{
	struct keyed k;

	(void)state;
	reset();
	with_key(&k, "+12025550100", "k", "b");
	k.a.scheduled_ms = sql("select (extract(epoch from now() + interval '20 days') * 1000)::bigint");
	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &k.a));
	assert_int_equal(1, sql("select count(*) from idempotency_keys k, calls c where k.counts_from = c.scheduled_at"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_repeated_request_gets_the_first_call),
		cmocka_unit_test(after_its_call_has_ended_a_key_still_answers),
		cmocka_unit_test(another_body_under_the_same_key_is_refused),
		cmocka_unit_test(refusals_of_the_call_itself_are_kept),
		cmocka_unit_test(what_never_reached_the_call_is_not_kept),
		cmocka_unit_test(an_earlier_key_answers_in_its_place_of_the_order),
		cmocka_unit_test(a_call_that_would_be_too_long_now_is_told_of),
		cmocka_unit_test(what_has_expired_is_refused_unless_its_key_was_used),
		cmocka_unit_test(a_key_belongs_to_its_user_and_to_live_or_test),
		cmocka_unit_test(of_one_key_in_one_batch_the_first_wins_and_the_others_hear_of_it),
		cmocka_unit_test(keys_and_scarce_money_go_together),
		cmocka_unit_test(two_at_the_same_instant_make_one_call),
		cmocka_unit_test(a_key_in_use_is_waited_for),
		cmocka_unit_test(a_key_that_is_never_free_is_said_to_be_in_use),
		cmocka_unit_test(a_batch_that_is_cut_off_is_sent_again_with_its_keys),
		cmocka_unit_test(its_own_key_is_no_replay),
		cmocka_unit_test(what_a_key_answers_is_on_disk_before_it_is_told),
		cmocka_unit_test(old_keys_are_forgotten_when_their_calls_have_ended),
		cmocka_unit_test(living_calls_keep_nobodys_key_from_being_forgotten),
		cmocka_unit_test(a_scheduled_calls_key_counts_from_when_it_is_due),
	};
	int failed;

	scratch_open();
	seed_tenant();
	s = store_new(scratch_url, "intake");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	store_free(s);
	scratch_close();
	return failed;
}
