/* The livekit driver against a server that says what each test wants. The faithful fake and
 * the real programs come in tests/scenario and tests/e2e; here it is about order, counting,
 * and what is told of an attempt whose answers are odd or missing. */
#include "unit/livekit_fixture.h"

/* ── a call as it should be ─────────────────────────────────────────────────────── */

static void a_call_gets_a_room_is_dialed_once_and_leaves_nothing_behind(void **state)
{
	struct provider_event ev;

	(void)state;
	answered_call();
	assert_non_null(strstr(script.last[CREATE], "\"metadata\":\"{\\\"name\\\":\\\"Ann\\\"}\""));
	assert_non_null(strstr(script.last[CREATE], "\"agent_name\":\"sales\""));
	assert_non_null(strstr(script.last[CREATE], room));
	assert_non_null(strstr(script.last[DIAL], "X-Twirp-Timeout-Ms: 35000\r\n"));
	assert_non_null(strstr(script.last[DIAL], "Authorization: Bearer eyJ"));
	assert_non_null(strstr(script.last[DIAL], "\"ringing_timeout\":\"20s\""));
	assert_non_null(strstr(script.last[DIAL], "\"sip_call_to\":\"+15550123\",\"sip_number\":\"+15550100\""));
	assert_null(strstr(script.last[DIAL], "Expect:"));
	say(GET, 404, ABSENT);
	ev = next(PROVIDER_ENDED);
	assert_int_equal(ev.outcome.reason, REASON_CALLEE_HANGUP);
	wait_count(DELETE, 1);
	nothing_for(100);
	assert_int_equal(count(DIAL), 1);
	assert_int_equal(count(CREATE), 1);
}

static void ringing_is_told_once_and_before_the_answer(void **state)
{
	(void)state;
	say(GET, 200, LEG("ringing"));
	say(DIAL, -1, "");
	prepare();
	dial();
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_RINGING);
	nothing_for(100);
	say(DIAL, 200, "{\"sipCallId\":\"SCL_1\"}");
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_ANSWERED);
}

static void a_refusal_ends_the_call_with_its_evidence(void **state)
{
	struct provider_event ev;

	(void)state;
	say(DIAL, 429, "{\"code\":\"resource_exhausted\",\"msg\":\"INVITE failed\",\"meta\":{\"sip_status_code\":\"486\",\"sip_status\":\"Busy Here\"}}");
	prepare();
	dial();
	ev = next(PROVIDER_ENDED);
	assert_int_equal(ev.outcome.reason, REASON_BUSY);
	assert_int_equal(ev.outcome.sip_code, 486);
	assert_string_equal(ev.outcome.sip_phrase, "Busy Here");
	wait_count(DELETE, 1);
}

static void a_room_shut_by_our_side_is_no_hangup_of_the_callee(void **state)
{
	(void)state;
	answered_call();
	say(ROOMS, 200, "{\"rooms\":[]}");
	say(GET, 404, ABSENT);
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_AGENT_HANGUP);
}

static void who_ended_a_talk_is_asked_again_when_nobody_told(void **state)
{
	(void)state;
	answered_call();
	say(ROOMS, 502, "<html>");
	say(GET, 404, ABSENT);
	for (int i = 0; i < 1000 && count(ROOMS) < 2; i++)
		usleep(2000);
	say(ROOMS, 200, "{\"rooms\":[]}");
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_AGENT_HANGUP);
}

static void a_talk_ends_though_nobody_ever_tells_who_ended_it(void **state)
{
	(void)state;
	answered_call();
	say(ROOMS, 502, "<html>");
	say(GET, 404, ABSENT);
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_CALLEE_HANGUP);
}

/* ── before the dial ────────────────────────────────────────────────────────────── */

/* Somebody else at that address would have it dialed into nothing. */
static void a_room_that_is_not_the_one_asked_for_is_none(void **state)
{
	static const char *const bodies[] = { "<html>welcome</html>", "{}", "", "{\"sid\":\"RM_1\",\"name\":\"another\"}", "[]" };
	struct livekit_state states[4];
	struct dial_request rq = request();
	struct provider_event ev;
	struct errinfo e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		say(CREATE, 200, bodies[i]);
		assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
		ev = next(PROVIDER_ENDED);
		assert_string_equal(ev.outcome.provider_code, "not_livekit");
		assert_true(ev.outcome.undialed && ev.outcome.never_rang);
	}
	assert_int_equal(count(DIAL), 0);
	assert_true(livekit_states(p, states, 4) >= 1);
	assert_int_equal(states[0].breaker, LIVEKIT_OPEN);
}

static void a_room_that_is_refused_rang_nobody(void **state)
{
	struct dial_request rq = request();
	struct provider_event ev;
	struct errinfo e;

	(void)state;
	say(CREATE, 401, "invalid authorization token");
	assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
	ev = next(PROVIDER_ENDED);
	assert_int_equal(ev.outcome.reason, REASON_CONFIGURATION);
	assert_string_equal(ev.outcome.provider_code, "unauthenticated");
	assert_true(ev.outcome.never_rang);
}

static void the_phone_is_dialed_when_the_agent_is_there_if_that_is_asked_for(void **state)
{
	struct dial_request rq = request();
	struct provider_event ev;
	struct errinfo e;

	(void)state;
	rq.trunk_config = "{\"waitForAgentSeconds\":5}";
	assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
	nothing_for(100);
	say(LIST, 200, AN_AGENT);
	next(PROVIDER_READY);
	say(LIST, 200, NOBODY);
	rq.trunk_config = "{\"waitForAgentSeconds\":1}";
	rq.attempt = 2;
	assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
	ev = next(PROVIDER_ENDED);
	assert_int_equal(ev.attempt, 2);
	assert_int_equal(ev.outcome.reason, REASON_PROVIDER_ERROR);
	assert_string_equal(ev.outcome.provider_code, "agent_timeout");
	assert_true(ev.outcome.never_rang);
	assert_int_equal(count(DIAL), 0);
}

static void ends_without_its_agent_after(int project_s, const char *config, int min_ms, int max_ms)
{
	struct dial_request rq = request();
	int64_t began = mono_ms();
	struct provider_event ev;
	struct errinfo e;

	rq.wait_for_agent_s = project_s;
	rq.trunk_config = config;
	assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
	ev = next(PROVIDER_ENDED);
	assert_string_equal(ev.outcome.provider_code, "agent_timeout");
	assert_in_range(mono_ms() - began, min_ms, max_ms);
}

static void the_longer_wait_of_project_and_trunk_counts(void **state)
{
	(void)state;
	ends_without_its_agent_after(1, "{}", 900, 1800);
	ends_without_its_agent_after(2, "{\"waitForAgentSeconds\":1}", 1900, 2800);
	ends_without_its_agent_after(1, "{\"waitForAgentSeconds\":2}", 1900, 2800);
}

static void a_call_that_goes_back_to_the_queue_leaves_no_room_and_no_word(void **state)
{
	(void)state;
	prepare();
	hang_up(0);
	wait_count(DELETE, 1);
	nothing_for(100);
	room[0] = '\0';
	prepare();              /* claimed again: the same attempt, another room */
	dial();
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_ANSWERED);
}

static void a_dial_without_its_room_rang_nobody(void **state)
{
	struct provider_event ev;

	(void)state;
	dial();
	ev = next(PROVIDER_ENDED);
	assert_true(ev.outcome.never_rang);
	assert_int_equal(count(DIAL), 0);
}

static void what_the_trunk_lacks_is_said_and_nothing_is_asked(void **state)
{
	static const struct { const char *config, *word; } wrong[] = {
		{ "{\"urk\":1}", "urk" },
		{ "{}", "hostname" },
		{ "{\"url\":\"ftp://x\",\"apiKey\":\"k\",\"apiSecretEnv\":\"LIVEKIT_OTHER_SECRET\"}", "URL" },
		{ "{\"url\":\"https://x\",\"apiKey\":\"k\",\"apiSecretEnv\":\"LIVEKIT_NONE\"}", "LIVEKIT_NONE" },
		{ "{\"hostname\":\"h\",\"authUsername\":\"u\",\"authPasswordEnv\":\"LIVEKIT_NONE\"}", "LIVEKIT_NONE" },
	};
	struct dial_request rq = request();
	struct provider *bare;
	struct errinfo e;

	(void)state;
	rq.trunk_ref = NULL;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		rq.trunk_config = wrong[i].config;
		assert_int_equal(p->ops->prepare(p, &rq, &e), ERR_INVALID);
		if (!strstr(e.text, wrong[i].word))
			fail_msg("%s", e.text);
	}
	bare = make(NULL);
	rq = request();
	assert_int_equal(bare->ops->prepare(bare, &rq, &e), ERR_INVALID);
	assert_non_null(strstr(e.text, "LIVEKIT_URL"));
	bare->ops->free(bare);
	assert_int_equal(count(CREATE), 0);
}

static void a_trunk_may_have_a_project_of_its_own(void **state)
{
	struct dial_request rq = request();
	struct provider *bare = make(NULL);
	char config[160];
	struct errinfo e;

	(void)state;
	snprintf(config, sizeof config, "{\"url\":\"http://127.0.0.1:%d\",\"apiKey\":\"k2\",\"apiSecretEnv\":\"LIVEKIT_OTHER_SECRET\","
	         "\"hostname\":\"sip.example.org\"}", server->port);
	rq.trunk_config = config;
	rq.trunk_ref = NULL;
	assert_int_equal(bare->ops->prepare(bare, &rq, &e), OK);
	next(PROVIDER_READY);
	bare->ops->free(bare);
	assert_int_equal(count(CREATE), 1);
}

/* Two trunks name the same key with different secrets: each is signed for with its own. */
static void a_trunk_is_asked_for_with_its_own_secret(void **state)
{
	static const char *const names[] = { "LIVEKIT_OTHER_SECRET", "LIVEKIT_THIRD_SECRET", "LIVEKIT_OTHER_SECRET" };
	static const char *const secrets[] = { "other", "third", "other" };
	struct dial_request rq = request();
	struct provider *bare = make(NULL);
	struct livekit_state states[8];
	char config[200];
	struct errinfo e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(config, sizeof config, "{\"url\":\"http://127.0.0.1:%d\",\"apiKey\":\"k2\",\"apiSecretEnv\":\"%s\"}",
		         server->port, names[i]);
		rq.call_id = id_new();
		rq.trunk_config = config;
		assert_int_equal(bare->ops->prepare(bare, &rq, &e), OK);
		next(PROVIDER_READY);
		pthread_mutex_lock(&script.mutex);
		assert_true(signed_with(script.last[CREATE], secrets[i]));
		pthread_mutex_unlock(&script.mutex);
	}
	assert_int_equal(livekit_states(bare, states, 8), 4);   /* two projects, with a trunk each */
	bare->ops->free(bare);
}

/* ── lost answers ───────────────────────────────────────────────────────────────── */

static void a_lost_answer_is_asked_about_and_never_dialed_again(void **state)
{
	(void)state;
	say(DIAL, 0, "");
	say(GET, 404, ABSENT);
	prepare();
	dial();
	next(PROVIDER_UNCERTAIN);
	look_up(2, false, 100);
	next(PROVIDER_UNCERTAIN);       /* it may still join */
	say(GET, 200, LEG("ringing"));
	look_up(2, false, 200);
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_RINGING);
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_RINGING);
	say(GET, 200, LEG("active"));
	next(PROVIDER_ANSWERED);
	say(GET, 404, ABSENT);
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_CALLEE_HANGUP);
	assert_int_equal(count(DIAL), 1);
}

static void a_page_instead_of_an_answer_is_uncertain(void **state)
{
	(void)state;
	say(GET, 404, ABSENT);
	say(DIAL, 502, "<html>bad gateway</html>");
	prepare();
	dial();
	next(PROVIDER_UNCERTAIN);
	assert_int_equal(count(DIAL), 1);
}

static void a_200_without_the_calls_id_is_uncertain(void **state)
{
	static const char *const bodies[] = { "{}", "{\"participant_id\":\"PA_1\"}", "{\"sip_call_id\":\"\"}", "[]", "ok", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		say(GET, 404, ABSENT);
		say(DIAL, 200, bodies[i]);
		room[0] = '\0';
		prepare();
		dial();
		next(PROVIDER_UNCERTAIN);
	}
	assert_int_equal(count(DIAL), ARRAY_LEN(bodies));
}

static void what_nobody_can_tell_any_more_ends_unknown(void **state)
{
	struct provider_event ev;

	(void)state;
	say(GET, 404, ABSENT);
	snprintf(room, sizeof room, "cg-of-another-process");
	look_up(2, false, 100000);
	next(PROVIDER_UNCERTAIN);       /* a message may still come */
	usleep(80000);
	look_up(2, false, 100000);
	ev = next(PROVIDER_ENDED);
	assert_int_equal(ev.outcome.reason, REASON_OUTCOME_UNKNOWN);
	assert_false(ev.outcome.never_rang);
	wait_count(DELETE, 1);
	room[0] = '\0';
	look_up(2, false, 100000);
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_OUTCOME_UNKNOWN);
	assert_int_equal(count(DIAL), 0);
}

static void a_call_of_another_process_is_found_and_followed(void **state)
{
	(void)state;
	snprintf(room, sizeof room, "cg-of-another-process");
	look_up(3, true, 5000);
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_ANSWERED);
	say(GET, 404, ABSENT);
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_CALLEE_HANGUP);
	look_up(3, true, 5000);
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_CALLEE_HANGUP);
	look_up(3, false, 5000);        /* had been ringing */
	next(PROVIDER_UNCERTAIN);
	usleep(80000);
	look_up(3, false, 5000);
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_OUTCOME_UNKNOWN);
}

static void a_livekit_that_cannot_be_asked_is_asked_again(void **state)
{
	(void)state;
	say(GET, 503, "<html>");
	snprintf(room, sizeof room, "cg-of-another-process");
	look_up(2, false, 100000);
	assert_true(next(PROVIDER_UNCERTAIN).retry_ms > 0);
	say(GET, 200, LEG("ringing"));
	look_up(2, false, 100000);
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_RINGING);
}

/* ── hanging up ─────────────────────────────────────────────────────────────────── */

static void a_ringing_call_is_canceled_by_shutting_its_room(void **state)
{
	(void)state;
	say(GET, 200, LEG("ringing"));
	say(DIAL, -1, "");
	prepare();
	dial();
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_RINGING);
	hang_up(3);
	for (int i = 0; i < 1000 && count(DELETE) == 0; i++)
		usleep(5000);
	say(DIAL, 408, "{\"code\":\"canceled\",\"msg\":\"sip request timed out\"}");
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_CANCELED);
}

static void a_talk_is_over_when_the_leg_is_gone_and_not_when_we_asked(void **state)
{
	(void)state;
	answered_call();
	hang_up(3);
	for (int i = 0; i < 1000 && count(DELETE) < 3; i++)     /* asked again and again */
		usleep(5000);
	assert_true(count(DELETE) >= 3);
	nothing_for(20);
	say(GET, 404, ABSENT);
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_AGENT_HANGUP);
}

static void a_talk_ends_at_its_maximum_duration(void **state)
{
	struct dial_request rq = request();
	struct errinfo e;

	(void)state;
	rq.max_duration_s = 1;
	assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
	snprintf(room, sizeof room, "%s", next(PROVIDER_READY).ref);
	rq.provider_ref = room;
	assert_int_equal(p->ops->dial(p, &rq, &e), OK);
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_ANSWERED);
	nothing_for(800);
	for (int i = 0; i < 1000 && count(DELETE) == 0; i++)
		usleep(5000);
	say(GET, 404, ABSENT);
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_MAX_DURATION);
}

/* ── the breaker ────────────────────────────────────────────────────────────────── */

static void a_dead_livekit_is_given_a_rest(void **state)
{
	struct dial_request rq = request();
	struct livekit_state states[4];
	struct provider *dead;
	char url[64];
	struct errinfo e;

	(void)state;
	snprintf(url, sizeof url, "http://127.0.0.1:%d", sserver_dead_port());
	dead = make(url);
	for (int i = 0; i < 5; i++) {
		struct provider_event ev;

		rq.call_id = id_new();
		assert_int_equal(dead->ops->prepare(dead, &rq, &e), OK);
		ev = next(PROVIDER_ENDED);
		assert_int_equal(ev.outcome.reason, REASON_PROVIDER_ERROR);
		assert_true(ev.outcome.never_rang);
	}
	assert_int_equal(dead->ops->prepare(dead, &rq, &e), ERR_UNAVAILABLE);
	assert_int_equal(dead->ops->dial(dead, &rq, &e), ERR_UNAVAILABLE);
	assert_int_equal(livekit_states(dead, states, 4), 2);
	assert_int_equal(states[0].breaker, LIVEKIT_OPEN);
	assert_int_equal(states[1].breaker, LIVEKIT_CLOSED);
	assert_string_equal(states[1].trunk, "ST_1");
	dead->ops->free(dead);
}

static void stopping_half_way_tells_nothing_and_leaks_nothing(void **state)
{
	(void)state;
	say(DIAL, -1, "");
	prepare();
	dial();
	wait_count(DIAL, 1);
	say(CREATE, -1, "");
	room[0] = '\0';
	{
		struct dial_request rq = request();
		struct errinfo e;

		rq.attempt = 2;
		assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_call_gets_a_room_is_dialed_once_and_leaves_nothing_behind),
		TEST(ringing_is_told_once_and_before_the_answer),
		TEST(a_refusal_ends_the_call_with_its_evidence),
		TEST(a_room_shut_by_our_side_is_no_hangup_of_the_callee),
		TEST(who_ended_a_talk_is_asked_again_when_nobody_told),
		TEST(a_talk_ends_though_nobody_ever_tells_who_ended_it),
		TEST(a_room_that_is_not_the_one_asked_for_is_none),
		TEST(a_room_that_is_refused_rang_nobody),
		TEST(the_phone_is_dialed_when_the_agent_is_there_if_that_is_asked_for),
		TEST(the_longer_wait_of_project_and_trunk_counts),
		TEST(a_call_that_goes_back_to_the_queue_leaves_no_room_and_no_word),
		TEST(a_dial_without_its_room_rang_nobody),
		TEST(what_the_trunk_lacks_is_said_and_nothing_is_asked),
		TEST(a_trunk_may_have_a_project_of_its_own),
		TEST(a_trunk_is_asked_for_with_its_own_secret),
		TEST(a_lost_answer_is_asked_about_and_never_dialed_again),
		TEST(a_page_instead_of_an_answer_is_uncertain),
		TEST(a_200_without_the_calls_id_is_uncertain),
		TEST(what_nobody_can_tell_any_more_ends_unknown),
		TEST(a_call_of_another_process_is_found_and_followed),
		TEST(a_livekit_that_cannot_be_asked_is_asked_again),
		TEST(a_ringing_call_is_canceled_by_shutting_its_room),
		TEST(a_talk_is_over_when_the_leg_is_gone_and_not_when_we_asked),
		TEST(a_talk_ends_at_its_maximum_duration),
		TEST(a_dead_livekit_is_given_a_rest),
		TEST(stopping_half_way_tells_nothing_and_leaks_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
