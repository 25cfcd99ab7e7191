/* The livekit driver with more to look at than looks are allowed, and with rooms that come into
 * being when nobody wants them any more. */
#include "unit/livekit_fixture.h"

#define LEGS 15

static int looks[LEGS];
static struct id legs[LEGS];

/* A leg's name has the call's id in it. */
static void count_looks(int method, const char *body)
{
	char text[ID_TEXT_SIZE];

	for (int i = 0; method == GET && i < LEGS; i++) {
		char digits[ID_TEXT_SIZE] = "", *to = digits;

		id_format(&legs[i], text);
		for (const char *c = text; *c; c++)
			if (*c != '-')
				*to++ = *c;
		if (strstr(body, digits))
			looks[i]++;
	}
}

static struct provider *paced(int polls_per_s, int departure_s)
{
	struct livekit_config c = {
		.api_key = "key", .api_secret = "secret", .max_calls = 100,
		.pace = { .first_poll_ms = 20, .ring_poll_ms = 20, .talk_poll_ms = 20, .agent_poll_ms = 20, .close_ms = 20,
		          .word_ms = 60, .polls_per_s = polls_per_s, .departure_s = departure_s },
	};
	struct provider *made = NULL;
	struct errinfo e;
	char url[64];

	snprintf(url, sizeof url, "http://127.0.0.1:%d", server->port);
	c.url = url;
	assert_int_equal(livekit_new(&c, on_event, NULL, &made, &e), OK);
	return made;
}

static int begin_slowly(void **state)
{
	begin(state);
	p->ops->free(p);
	p = paced(100, 1);
	return 0;
}

static int end_all(void **state)
{
	end(state);
	witness = NULL;
	return 0;
}

static void talk(struct id id)
{
	struct dial_request rq = request();
	struct provider_event ev;
	struct errinfo e;

	rq.call_id = id;
	rq.phase = 0;
	assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
	ev = next(PROVIDER_READY);
	rq.provider_ref = ev.ref;
	rq.phase = 1;
	assert_int_equal(p->ops->dial(p, &rq, &e), OK);
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_ANSWERED);
}

/* ── looks ──────────────────────────────────────────────────────────────────────── */

static void each_leg_is_looked_at_in_its_turn(void **state)
{
	int least, most;

	(void)state;
	for (int i = 0; i < LEGS; i++)
		talk(legs[i] = id_new());
	memset(looks, 0, sizeof looks);
	pthread_mutex_lock(&script.mutex);
	witness = count_looks;
	pthread_mutex_unlock(&script.mutex);
	usleep(2000000);                /* 200 looks; every leg wants 100 of them */
	pthread_mutex_lock(&script.mutex);
	witness = NULL;
	pthread_mutex_unlock(&script.mutex);
	least = most = looks[0];
	for (int i = 1; i < LEGS; i++) {
		least = looks[i] < least ? looks[i] : least;
		most = looks[i] > most ? looks[i] : most;
	}
	assert_in_range(least, 3, 25);
	assert_in_range(most - least, 0, 2);
}

static void a_livekit_that_has_had_enough_is_asked_less(void **state)
{
	int before;

	(void)state;
	for (int i = 0; i < LEGS; i++)
		talk(legs[i] = id_new());
	say(GET, 429, "{\"code\":\"resource_exhausted\",\"msg\":\"too many requests\"}");
	usleep(300000);
	before = count(GET);
	usleep(1000000);
	assert_in_range(count(GET) - before, 1, 20);
	say(GET, 404, ABSENT);
	next(PROVIDER_ENDED);           /* but it is asked */
}

/* The room closes by itself after a while without the phone. */
static void nobody_is_said_to_have_shut_a_room_that_was_not_watched(void **state)
{
	struct provider_event ev;

	(void)state;
	talk(id_new());
	say(GET, 500, "{\"code\":\"internal\",\"msg\":\"\"}");
	nothing_for(1200);
	say(ROOMS, 200, "{\"rooms\":[]}");
	say(GET, 404, ABSENT);
	ev = next(PROVIDER_ENDED);
	assert_int_equal(ev.outcome.reason, REASON_CALLEE_HANGUP);
}

/* ── rooms that come late ───────────────────────────────────────────────────────── */

static void begin_to_prepare(int create, const char *body)
{
	struct dial_request rq = request();
	struct errinfo e;

	say(CREATE, create, body);
	rq.phase = 0;
	assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
	wait_count(CREATE, 1);
}

static void a_room_that_was_being_made_is_deleted_when_it_is_there(void **state)
{
	(void)state;
	begin_to_prepare(-1, MADE);
	hang_up(0);
	nothing_for(100);
	assert_int_equal(count(DELETE), 0);     /* it would find no room, and the room would come after it */
	pthread_mutex_lock(&script.mutex);
	script.status[CREATE] = 200;
	script.release = true;
	pthread_mutex_unlock(&script.mutex);
	wait_count(DELETE, 1);
	nothing_for(100);
}

static void a_room_that_was_refused_needs_no_deleting(void **state)
{
	(void)state;
	begin_to_prepare(-1, "{\"code\":\"permission_denied\",\"msg\":\"\"}");
	hang_up(0);
	pthread_mutex_lock(&script.mutex);
	script.status[CREATE] = 403;
	script.release = true;
	pthread_mutex_unlock(&script.mutex);
	nothing_for(100);
	assert_int_equal(count(DELETE), 0);
}

static void a_room_that_may_come_yet_is_deleted_until_it_is_sure(void **state)
{
	struct provider_event ev;

	(void)state;
	say(DELETE, 404, "{\"code\":\"not_found\",\"msg\":\"requested room does not exist\"}");
	begin_to_prepare(0, "");
	ev = next(PROVIDER_ENDED);
	assert_string_equal(ev.outcome.provider_code, "unreachable");
	wait_count(DELETE, 1);
	say(DELETE, 200, "{}");         /* there it is */
	wait_count(DELETE, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_leg_is_looked_at_in_its_turn, begin_slowly, end_all),
		cmocka_unit_test_setup_teardown(a_livekit_that_has_had_enough_is_asked_less, begin_slowly, end_all),
		cmocka_unit_test_setup_teardown(nobody_is_said_to_have_shut_a_room_that_was_not_watched, begin_slowly, end_all),
		cmocka_unit_test_setup_teardown(a_room_that_was_being_made_is_deleted_when_it_is_there, begin, end_all),
		cmocka_unit_test_setup_teardown(a_room_that_was_refused_needs_no_deleting, begin, end_all),
		cmocka_unit_test_setup_teardown(a_room_that_may_come_yet_is_deleted_until_it_is_sure, begin, end_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
