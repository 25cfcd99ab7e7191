/* What providers tell of their own accord: kept once, given once to whoever follows. */
#include "scratch.h"

#include "callgate/store_events.h"

static struct store *s;
static struct errinfo e;

static struct id flying_call(int64_t gateway)
{
	struct id id = id_new();
	char text[ID_TEXT_SIZE];

	id_format(&id, text);
	sql("insert into call_inflight (org_id, call_id, gateway_id, project_id, trunk_id, prio, attempt, deadline_at, agent)"
	    " values (1, '%s', %lld, 1, 1, 1, 1, now() + interval '1 h', 'a')", text, (long long)gateway);
	return id;
}

static void keep(struct id id, const char *event)
{
	struct provider_note n = { 1, id, 1, "livekit", event, "them", "{\"event\":\"x\"}" };

	assert_int_equal(OK, store_notes_keep(s, &n, 1, &e));
}

static size_t take(int64_t gateway)
{
	struct taken_note *notes;
	size_t n;

	assert_int_equal(OK, store_notes_take(s, gateway, 100, &notes, &n, &e));
	if (n) {
		assert_string_equal("livekit", notes[0].provider);
		assert_string_equal("them", notes[0].sender);
		assert_string_equal("{\"event\":\"x\"}", notes[0].body);
	}
	taken_notes_free(notes, n);
	return n;
}

static void an_event_is_kept_once_and_given_once_to_who_follows_the_call(void **state)
{
	struct id mine = flying_call(7), theirs = flying_call(8);

	(void)state;
	keep(mine, "EV_1");
	keep(mine, "EV_1");
	keep(mine, "EV_2");
	keep(theirs, "EV_3");
	assert_int_equal(2, take(7));
	assert_int_equal(0, take(7));
	keep(mine, "EV_1");                     /* once more, after it was applied */
	assert_int_equal(0, take(7));
	assert_int_equal(1, take(8));
}

static void what_is_about_no_attempt_in_flight_is_not_kept(void **state)
{
	struct provider_note late = { 1, flying_call(7), 2, "livekit", "EV_8", "them", "{}" };
	int gone;

	(void)state;
	sql("truncate provider_events");
	keep(id_new(), "EV_7");
	assert_int_equal(OK, store_notes_keep(s, &late, 1, &e));        /* it is the first attempt */
	assert_int_equal(OK, store_notes_prune(s, -60, 100, &gone, &e));
	assert_int_equal(0, gone);
}

static void what_nobody_follows_is_forgotten_after_a_while(void **state)
{
	int gone;

	(void)state;
	sql("truncate provider_events");
	keep(flying_call(9), "EV_9");
	assert_int_equal(0, take(7));
	assert_int_equal(OK, store_notes_prune(s, 60, 100, &gone, &e));
	assert_int_equal(0, gone);
	sql("update provider_events set received_at = now() - interval '61 s'");
	assert_int_equal(OK, store_notes_prune(s, 60, 100, &gone, &e));
	assert_int_equal(1, gone);
}

static void a_sender_is_told_once_however_many_trunks_name_it(void **state)
{
	static const char *const members[] = { "key", "secret" };
	char **senders;
	size_t n;

	(void)state;
	sql("insert into trunks (org_id, trunk_id, name, driver, config, enabled) values"
	    " (1, 2, 'a', 'livekit', '{\"key\":\"k\",\"secret\":\"s\",\"host\":\"x\"}', true),"
	    " (1, 3, 'b', 'livekit', '{\"secret\":\"s\",\"key\":\"k\",\"host\":\"y\"}', true),"
	    " (1, 4, 'c', 'livekit', '{\"key\":\"k\",\"secret\":\"t\"}', true),"
	    " (1, 5, 'd', 'livekit', '{\"key\":\"k\"}', true),"
	    " (1, 6, 'e', 'livekit', '{\"key\":\"k\",\"secret\":\"off\"}', false),"
	    " (1, 7, 'f', 'another', '{\"key\":\"k\",\"secret\":\"else\"}', true)");
	assert_int_equal(OK, store_notes_senders(s, "livekit", members, 2, 10, &senders, &n, &e));
	assert_int_equal(2, n);
	assert_string_equal("{\"key\": \"k\", \"secret\": \"s\"}", senders[0]);
	assert_string_equal("{\"key\": \"k\", \"secret\": \"t\"}", senders[1]);
	notes_senders_free(senders, n);
	assert_int_equal(OK, store_notes_senders(s, "livekit", members, 2, 1, &senders, &n, &e));
	assert_int_equal(1, n);
	notes_senders_free(senders, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sender_is_told_once_however_many_trunks_name_it),
		cmocka_unit_test(an_event_is_kept_once_and_given_once_to_who_follows_the_call),
		cmocka_unit_test(what_is_about_no_attempt_in_flight_is_not_kept),
		cmocka_unit_test(what_nobody_follows_is_forgotten_after_a_while),
	};
	int failed;

	scratch_open();
	seed_tenant();
	s = store_new(scratch_url, "notes");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	store_free(s);
	scratch_close();
	return failed;
}
