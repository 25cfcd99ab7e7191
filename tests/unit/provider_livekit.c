/* The livekit driver against a server that says what each test wants. The faithful fake and
 * the real programs come in tests/scenario and tests/e2e; here it is about order, counting,
 * and what is told of an attempt whose answers are odd or missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "callgate/clock.h"
#include "callgate/digest.h"
#include "callgate/livekit.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "unit/socket_server.h"

#define ABSENT   "{\"code\":\"not_found\",\"msg\":\"participant does not exist\"}"
#define LEG(s)   "{\"identity\":\"x\",\"state\":\"ACTIVE\",\"kind\":\"SIP\",\"attributes\":{\"sip.callStatus\":\"" s "\"}}"
#define NOBODY   "{\"participants\":[]}"
#define AN_AGENT "{\"participants\":[{\"identity\":\"a\",\"kind\":\"AGENT\",\"state\":\"ACTIVE\"}]}"

enum { CREATE, DELETE, ROOMS, LIST, GET, DIAL, METHODS };
static const char *const methods[METHODS] = {
	"RoomService/CreateRoom", "RoomService/DeleteRoom", "RoomService/ListRooms", "RoomService/ListParticipants",
	"RoomService/GetParticipant", "SIP/CreateSIPParticipant",
};

/* What the server says; a test changes it while it goes. */
static struct {
	pthread_mutex_t mutex;
	int             status[METHODS];        /* 0: hangs up without a word; -1: waits for `release` */
	const char     *body[METHODS];
	int             count[METHODS];
	char            last[METHODS][8192];    /* the whole request */
	bool            release;
} script = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static struct sserver  *server;
static struct provider *p;

static int method_of(const char *request)
{
	char path[64];

	for (int m = 0; m < METHODS; m++) {
		snprintf(path, sizeof path, "POST /twirp/livekit.%s HTTP/1.1\r\n", methods[m]);
		if (strncmp(request, path, strlen(path)) == 0)
			return m;
	}
	return -1;
}

static void serve(struct sserver *s, int fd)
{
	char request[SSERVER_REQUEST_MAX], answer[8192];
	const char *body;

	while (sserver_request(s, fd, request, &body)) {
		int m = method_of(request), status;
		bool waits;

		if (m < 0)
			return;
		pthread_mutex_lock(&script.mutex);
		script.count[m]++;
		str_copy(script.last[m], sizeof script.last[m], request);
		waits = script.status[m] < 0;
		while (waits && !script.release) {
			pthread_mutex_unlock(&script.mutex);
			if (!sserver_wait(s, -1, 5))
				return;
			pthread_mutex_lock(&script.mutex);
		}
		status = script.status[m];
		snprintf(answer, sizeof answer, "%s", script.body[m]);
		pthread_mutex_unlock(&script.mutex);
		if (status <= 0)
			return;
		sserver_answer(fd, status, answer);
	}
}

static void say(int method, int status, const char *body)
{
	pthread_mutex_lock(&script.mutex);
	script.status[method] = status;
	script.body[method] = body;
	script.release = method == DIAL && status > 0;
	pthread_mutex_unlock(&script.mutex);
}

static int count(int method)
{
	int n;

	pthread_mutex_lock(&script.mutex);
	n = script.count[method];
	pthread_mutex_unlock(&script.mutex);
	return n;
}

/* ── events ─────────────────────────────────────────────────────────────────────── */

static struct {
	pthread_mutex_t       mutex;
	pthread_cond_t        changed;
	struct provider_event events[64];
	int                   n, read;
} heard = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };

static void on_event(void *arg, const struct provider_event *ev)
{
	(void)arg;
	pthread_mutex_lock(&heard.mutex);
	if (heard.n < 64)
		heard.events[heard.n++] = *ev;
	pthread_cond_signal(&heard.changed);
	pthread_mutex_unlock(&heard.mutex);
}

/* The next one, which must be of that kind. */
static struct provider_event next(enum provider_event_kind kind)
{
	struct timespec until = { .tv_sec = time(NULL) + 10 };
	struct provider_event ev = { 0 };
	bool there;

	pthread_mutex_lock(&heard.mutex);
	while (heard.read == heard.n)
		if (pthread_cond_timedwait(&heard.changed, &heard.mutex, &until))
			break;
	there = heard.read < heard.n;
	if (there)
		ev = heard.events[heard.read++];
	pthread_mutex_unlock(&heard.mutex);
	if (!there)
		fail_msg("nothing came, event %d was expected", kind);
	if (ev.kind != kind)
		fail_msg("event %d (%s %s) instead of %d", ev.kind, call_reason_info(ev.outcome.reason)->code,
		         ev.outcome.provider_code, kind);
	return ev;
}

static void nothing_for(int ms)
{
	usleep((useconds_t)ms * 1000);
	pthread_mutex_lock(&heard.mutex);
	assert_int_equal(heard.read, heard.n);
	pthread_mutex_unlock(&heard.mutex);
}

static void wait_count(int method, int n)
{
	for (int i = 0; i < 1000 && count(method) < n; i++)
		usleep(5000);
	assert_int_equal(count(method), n);
}

/* ── calls ──────────────────────────────────────────────────────────────────────── */

static char room[64];

static struct dial_request request(void)
{
	static struct id id;

	if (id.b[0] == 0)
		id = id_new();
	return (struct dial_request){
		.call_id = id, .org_id = 7, .attempt = 1, .from = "+15550100", .to = "+15550123",
		.variables = "{\"name\":\"Ann\"}", .agent = "sales", .ring_timeout_s = 20, .max_duration_s = 600,
		.trunk_ref = "ST_1", .trunk_config = "{}", .provider_ref = *room ? room : NULL, .phase = 1,
	};
}

static void prepare(void)
{
	struct dial_request rq = request();
	struct provider_event ev;
	struct errinfo e;

	rq.phase = 0;
	assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
	ev = next(PROVIDER_READY);
	snprintf(room, sizeof room, "%s", ev.ref);
}

static void dial(void)
{
	struct dial_request rq = request();
	struct errinfo e;

	assert_int_equal(p->ops->dial(p, &rq, &e), OK);
}

static void hang_up(int phase)
{
	struct dial_request rq = request();
	struct errinfo e;

	rq.phase = phase;
	assert_int_equal(p->ops->hangup(p, &rq, &e), OK);
}

static void look_up(int phase, bool answered, int since_ms)
{
	struct dial_request rq = request();
	struct errinfo e;

	rq.phase = phase;
	rq.answered = answered;
	rq.since_ms = since_ms;
	assert_int_equal(p->ops->lookup(p, &rq, &e), OK);
}

static void answered_call(void)
{
	prepare();
	dial();
	assert_string_equal(next(PROVIDER_ACCEPTED).ref, room);
	next(PROVIDER_ANSWERED);
}

static char *no_secret(void *arg, const char *name)
{
	(void)arg;
	if (strcmp(name, "LIVEKIT_OTHER_SECRET") == 0)
		return strdup("other");
	return strcmp(name, "LIVEKIT_THIRD_SECRET") == 0 ? strdup("third") : NULL;
}

/* Is the token of that request signed with that secret? */
static bool signed_with(const char *request_text, const char *secret)
{
	static const char before[] = "Authorization: Bearer ";
	const char *token = strstr(request_text, before) + sizeof before - 1;
	const char *end = strchr(token, '\r'), *dot = end;
	uint8_t mac[SHA256_SIZE];
	char text[BASE64URL_SIZE(SHA256_SIZE)];

	while (dot[-1] != '.')
		dot--;
	hmac_sha256(secret, strlen(secret), token, (size_t)(dot - 1 - token), mac);
	base64url_encode(mac, sizeof mac, text);
	return strlen(text) == (size_t)(end - dot) && memcmp(text, dot, strlen(text)) == 0;
}

static struct provider *make(const char *url)
{
	struct livekit_config c = {
		.url = url, .api_key = "key", .api_secret = "secret", .max_calls = 100, .secret = no_secret,
		.pace = { .first_poll_ms = 20, .ring_poll_ms = 20, .talk_poll_ms = 20, .agent_poll_ms = 20, .close_ms = 20,
		          .polls_per_s = 1000, .server_slack_s = 15 },
	};
	struct provider *made = NULL;
	struct errinfo e;

	if (livekit_new(&c, on_event, NULL, &made, &e))
		fail_msg("%s", e.text);
	return made;
}

static int begin(void **state)
{
	char url[64];

	(void)state;
	log_setup(LOG_LEVEL_ERROR, false);
	room[0] = '\0';
	heard.n = heard.read = 0;
	memset(script.count, 0, sizeof script.count);
	say(CREATE, 200, "{\"sid\":\"RM_1\"}");
	say(DELETE, 200, "{}");
	say(ROOMS, 200, "{\"rooms\":[{\"sid\":\"RM_1\"}]}");
	say(LIST, 200, NOBODY);
	say(GET, 200, LEG("active"));
	say(DIAL, 200, "{\"sip_call_id\":\"SCL_1\"}");
	server = sserver_new(serve, NULL);
	snprintf(url, sizeof url, "ws://127.0.0.1:%d/", server->port);
	p = make(url);
	return 0;
}

static int end(void **state)
{
	(void)state;
	p->ops->free(p);
	sserver_free(server);
	return 0;
}

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

/* ── before the dial ────────────────────────────────────────────────────────────── */

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
		{ "{\"hostname\":\"h\",\"authPasswordEnv\":\"LIVEKIT_NONE\"}", "LIVEKIT_NONE" },
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
		TEST(a_room_that_is_refused_rang_nobody),
		TEST(the_phone_is_dialed_when_the_agent_is_there_if_that_is_asked_for),
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
