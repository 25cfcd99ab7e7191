/* What LiveKit tells of its own accord: what is believed, and what follows from it. */
#include "unit/livekit_fixture.h"

#include "livekit_name.h"
#include "livekit_token.h"

/* ── is it LiveKit's ────────────────────────────────────────────────────────────── */

static char event_text[1024], token_text[2048];
static int64_t created_s = 1700000032;

/* As LiveKit writes it; `leg` is the identity, NULL for the room's own. */
static const char *event_of(const char *name, const char *in_room, const char *leg, const char *reason, const char *status)
{
	char who[512] = "";

	if (leg)
		snprintf(who, sizeof who, "\"participant\":{\"sid\":\"PA_x\",\"identity\":\"%s\",\"kind\":\"SIP\",\"attributes\":{"
		         "\"sip.callStatus\":\"%s\"},\"disconnectReason\":\"%s\"},", leg, status, reason);
	snprintf(event_text, sizeof event_text, "{\"event\":\"%s\",\"room\":{\"sid\":\"RM_x\",\"name\":\"%s\"},%s"
	         "\"id\":\"EV_x\",\"createdAt\":\"%lld\"}", name, in_room, who, (long long)created_s);
	return event_text;
}

static void put_part(const void *data, size_t len, const char *end)
{
	base64url_encode(data, len, token_text + strlen(token_text));
	strcat(token_text, end);
}

static const char *token_of(const char *header, const char *claims, const char *secret)
{
	uint8_t mac[SHA256_SIZE];

	token_text[0] = '\0';
	put_part(header, strlen(header), ".");
	put_part(claims, strlen(claims), "");
	hmac_sha256(secret, strlen(secret), token_text, strlen(token_text), mac);
	strcat(token_text, ".");
	put_part(mac, sizeof mac, "");
	return token_text;
}

static const char hs256[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

static const char *claims_of(const char *iss, int64_t exp, int64_t nbf, const char *body)
{
	static char claims[512];
	char sum[BASE64_SIZE(SHA256_SIZE)];
	uint8_t digest[SHA256_SIZE];

	sha256(body, strlen(body), digest);
	base64_encode(digest, sizeof digest, sum);
	snprintf(claims, sizeof claims, "{\"iss\":\"%s\",\"exp\":%lld,\"nbf\":%lld,\"sha256\":\"%s\"}", iss, (long long)exp,
	         (long long)nbf, sum);
	return claims;
}

static int64_t now_s(void)
{
	return wall_ms() / 1000;
}

static const char *good_token(const char *body)
{
	return token_of(hs256, claims_of("key", now_s() + 300, now_s(), body), "secret");
}

static enum err check(const char *authorization, const char *body, struct provider_notice *out)
{
	struct errinfo e;

	return p->ops->check(p, authorization, body, strlen(body), out, &e);
}

static void our_room(char out[LIVEKIT_NAME_SIZE], char leg[LIVEKIT_NAME_SIZE])
{
	struct livekit_name n = { 7, request().call_id, 1 };

	assert_true(livekit_name_room(&n, out));
	assert_true(livekit_name_identity(&n, leg));
}

static void a_message_of_livekit_is_told_by_its_signature_and_its_room(void **state)
{
	char r[LIVEKIT_NAME_SIZE], leg[LIVEKIT_NAME_SIZE], bearer[2100];
	struct dial_request rq = request();
	struct provider_notice n;
	const char *body;

	(void)state;
	our_room(r, leg);
	body = event_of("participant_left", r, leg, "USER_REJECTED", "ringing");
	assert_int_equal(check(good_token(body), body, &n), OK);
	assert_int_equal(n.org_id, 7);
	assert_int_equal(id_cmp(&n.call_id, &rq.call_id), 0);
	assert_int_equal(n.attempt, 1);
	assert_string_equal(n.event_id, "EV_x");
	assert_true(n.sender[0]);
	assert_null(strstr(n.sender, "secret"));
	snprintf(bearer, sizeof bearer, "Bearer %s", good_token(body));
	assert_int_equal(check(bearer, body, &n), OK);
	body = event_of("room_finished", r, NULL, "", "");
	assert_int_equal(check(good_token(body), body, &n), OK);
	/* clocks differ */
	assert_int_equal(check(token_of(hs256, claims_of("key", now_s() - 55, 0, body), "secret"), body, &n), OK);
	assert_int_equal(check(token_of(hs256, claims_of("key", now_s() + 300, now_s() + 55, body), "secret"), body, &n), OK);
}

static void nothing_else_is_believed(void **state)
{
	char r[LIVEKIT_NAME_SIZE], leg[LIVEKIT_NAME_SIZE], changed[1100], claims[600];
	struct provider_notice n;
	const char *body;
	size_t end;

	(void)state;
	our_room(r, leg);
	body = event_of("participant_left", r, leg, "USER_REJECTED", "ringing");
#define REFUSED(authorization) assert_int_equal(check(authorization, body, &n), ERR_DENIED)
	REFUSED(NULL);
	REFUSED("");
	REFUSED("Bearer ");
	REFUSED("..");
	REFUSED("a.b.c");
	REFUSED(token_of(hs256, claims_of("key", now_s() + 300, 0, body), "secrex"));
	REFUSED(token_of(hs256, claims_of("other", now_s() + 300, 0, body), "secret"));
	REFUSED(token_of(hs256, claims_of("key", now_s() - 65, 0, body), "secret"));
	REFUSED(token_of(hs256, claims_of("key", now_s() + 300, now_s() + 65, body), "secret"));
	REFUSED(token_of(hs256, claims_of("key", now_s() + 300, 0, "another body"), "secret"));
	REFUSED(token_of("{\"alg\":\"none\"}", claims_of("key", now_s() + 300, 0, body), "secret"));
	REFUSED(token_of("{\"alg\":\"HS512\"}", claims_of("key", now_s() + 300, 0, body), "secret"));
	REFUSED(token_of(hs256, "{\"iss\":\"key\",\"exp\":99999999999}", "secret"));
	snprintf(claims, sizeof claims, "%s", claims_of("key", 0, 0, body));
	REFUSED(token_of(hs256, claims, "secret"));     /* exp 0 is none */
	good_token(body);
	end = strlen(token_text);
	token_text[end - 1] = '\0';                     /* the signature is a character short */
	REFUSED(token_text);
	good_token(body);
	strcat(token_text, ".x");
	REFUSED(token_text);
	good_token(body);
	*strrchr(token_text, '.') = '\0';
	strcat(token_text, ".");                        /* none at all */
	REFUSED(token_text);
	snprintf(changed, sizeof changed, "%s ", body);
	assert_int_equal(check(good_token(body), changed, &n), ERR_DENIED);
}

static void a_project_that_only_a_trunk_names_signs_too_once_it_is_learned(void **state)
{
	static const char config[] = "{\"url\":\"https://other.example.org\",\"apiKey\":\"otherkey\","
	                             "\"apiSecretEnv\":\"LIVEKIT_OTHER_SECRET\"}";
	char r[LIVEKIT_NAME_SIZE], leg[LIVEKIT_NAME_SIZE], token[2048];
	struct provider_notice n;
	const char *body;

	(void)state;
	our_room(r, leg);
	body = event_of("room_finished", r, NULL, "", "");
	snprintf(token, sizeof token, "%s", token_of(hs256, claims_of("otherkey", now_s() + 300, 0, body), "other"));
	assert_int_equal(check(token, body, &n), ERR_DENIED);
	p->ops->learn(p, "{\"url\":7,\"apiKey\":\"otherkey\"}");
	p->ops->learn(p, "{\"url\":\"https://o\",\"apiKey\":\"otherkey\",\"apiSecretEnv\":\"LIVEKIT_NOWHERE\"}");
	assert_int_equal(check(token, body, &n), ERR_DENIED);
	p->ops->learn(p, config);
	p->ops->learn(p, config);
	assert_int_equal(check(token, body, &n), OK);
	assert_int_equal(livekit_states(p, NULL, 0), 2);
}

/* What is only heard of must not take the place of what calls need. */
static void there_is_room_for_calls_however_many_projects_are_learned(void **state)
{
	struct dial_request rq = request();
	struct errinfo e;
	char config[200];

	(void)state;
	for (int i = 0; i < 600; i++) {
		snprintf(config, sizeof config, "{\"url\":\"https://l%d\",\"apiKey\":\"k\",\"apiSecretEnv\":"
		         "\"LIVEKIT_OTHER_SECRET\"}", i);
		p->ops->learn(p, config);
	}
	assert_int_equal(livekit_states(p, NULL, 0), 256);
	rq.phase = 0;
	rq.trunk_config = config;
	assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
}

static void what_is_genuine_may_still_be_useless(void **state)
{
	static const char *const broken[] = { "", "x", "[]", "{}", "{\"event\":\"participant_left\"}", "{\"id\":\"EV_1\"}" };
	char r[LIVEKIT_NAME_SIZE], leg[LIVEKIT_NAME_SIZE];
	struct provider_notice n;
	const char *body;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(broken); i++)
		assert_int_equal(check(good_token(broken[i]), broken[i], &n), ERR_INVALID);
	our_room(r, leg);
	body = event_of("participant_left", "sales", "bob", "", "");
	assert_int_equal(check(good_token(body), body, &n), ERR_NOT_FOUND);
	body = event_of("participant_left", r, "agent-7", "", "");      /* not the phone */
	assert_int_equal(check(good_token(body), body, &n), ERR_NOT_FOUND);
	body = event_of("track_published", r, leg, "", "");
	assert_int_equal(check(good_token(body), body, &n), ERR_NOT_FOUND);
	body = event_of("room_started", r, NULL, "", "");
	assert_int_equal(check(good_token(body), body, &n), ERR_NOT_FOUND);
}

/* ── what follows from it ───────────────────────────────────────────────────────── */

/* Who signs with that is who. */
static const char *sender_of(const char *key, const char *secret)
{
	static struct provider_notice n;
	char r[LIVEKIT_NAME_SIZE], leg[LIVEKIT_NAME_SIZE];
	const char *body;

	our_room(r, leg);
	body = event_of("participant_left", r, leg, "", "");
	assert_int_equal(check(token_of(hs256, claims_of(key, now_s() + 300, now_s(), body), secret), body, &n), OK);
	return n.sender;
}

static void hear(const char *name, const char *reason, const char *status)
{
	struct dial_request rq = request();
	const char *sender = sender_of("key", "secret");
	char leg[64];
	const char *body;

	snprintf(leg, sizeof leg, "%.*s", (int)(strlen(room) - 12), room);
	body = event_of(name, room, strcmp(name, "room_finished") ? leg : NULL, reason, status);
	rq.phase = 2;
	p->ops->hear(p, &rq, sender, body, strlen(body));
}

/* Any tenant's trunk may name a LiveKit of its own, even under the key of another's. */
static void only_the_project_that_placed_the_call_is_believed(void **state)
{
	static const char *const keys[] = { "key2", "key" };
	struct dial_request rq = request();
	char config[160], ours[PROVIDER_SENDER_SIZE];
	const char *body;

	(void)state;
	answered_call();
	str_copy(ours, sizeof ours, sender_of("key", "secret"));
	rq.phase = 2;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *theirs;
		char leg[64];

		snprintf(config, sizeof config, "{\"url\":\"http://127.0.0.1:1\",\"apiKey\":\"%s\",\"apiSecretEnv\":\"LIVEKIT_OTHER_SECRET\"}", keys[i]);
		p->ops->learn(p, config);
		theirs = sender_of(keys[i], "other");
		assert_string_not_equal(theirs, ours);
		snprintf(leg, sizeof leg, "%.*s", (int)(strlen(room) - 12), room);
		body = event_of("participant_left", room, leg, "CLIENT_INITIATED", "hangup");
		p->ops->hear(p, &rq, theirs, body, strlen(body));
		p->ops->hear(p, &rq, "", body, strlen(body));
	}
	nothing_for(100);
	assert_string_equal(sender_of("key", "secret"), ours);
	hear("participant_left", "CLIENT_INITIATED", "hangup");
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_CALLEE_HANGUP);
}

static void a_talk_is_over_when_livekit_says_so(void **state)
{
	(void)state;
	answered_call();                /* and would be there for ever, for all that looks can tell */
	hear("participant_left", "CLIENT_INITIATED", "hangup");
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_CALLEE_HANGUP);
	hear("room_finished", "", "");
	nothing_for(100);
	hear("participant_left", "CLIENT_INITIATED", "hangup");         /* again: at most a repetition */
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_CALLEE_HANGUP);
	nothing_for(100);
}

/* Said `late_s` after it was, of a talk that was watched for so long and then not any more; how long
 * ago it ended. */
static int64_t late_end(int late_s, int watched_ms, int unwatched_ms)
{
	int64_t ago;

	memset(script.count, 0, sizeof script.count);
	room[0] = '\0';
	say(GET, 200, LEG("active"));
	answered_call();
	usleep((useconds_t)watched_ms * 1000);
	say(GET, 503, "");
	usleep((useconds_t)unwatched_ms * 1000);
	created_s = now_s() - late_s;
	hear("participant_left", "CLIENT_INITIATED", "hangup");
	ago = next(PROVIDER_ENDED).ago_ms;
	wait_count(DELETE, 1);
	created_s = 1700000032;
	return ago;
}

static void a_late_message_says_when_it_was(void **state)
{
	(void)state;
	assert_in_range(late_end(3, 0, 3500), 1900, 3100);      /* in whole seconds, at the latest */
	assert_int_equal(late_end(0, 0, 1200), 0);
	assert_int_equal(late_end(-30, 0, 100), 0);             /* by a clock that is ahead of ours */
}

static void what_was_seen_itself_is_not_taken_back(void **state)
{
	(void)state;
	assert_in_range(late_end(25, 0, 400), 250, 1500);       /* the answer */
	assert_in_range(late_end(25, 600, 200), 100, 700);      /* a look */
}

static void a_lost_answer_is_made_up_for_by_a_message(void **state)
{
	struct provider_event ev;

	(void)state;
	say(GET, 404, ABSENT);
	say(DIAL, 0, "");
	prepare();
	dial();
	next(PROVIDER_UNCERTAIN);
	hear("participant_left", "USER_REJECTED", "ringing");
	ev = next(PROVIDER_ENDED);
	assert_int_equal(ev.outcome.reason, REASON_NO_ANSWER);
	assert_string_equal(ev.outcome.provider_code, "user_rejected");   /* busy or declined: not told */
	assert_false(ev.outcome.never_rang);
	assert_int_equal(count(DIAL), 1);
}

static void a_message_that_comes_before_the_loss_is_remembered(void **state)
{
	(void)state;
	say(GET, 404, ABSENT);
	say(DIAL, -1, "");
	prepare();
	dial();
	wait_count(DIAL, 1);
	hear("participant_joined", "", "dialing");
	next(PROVIDER_ACCEPTED);
	hear("participant_left", "USER_UNAVAILABLE", "ringing");
	nothing_for(100);               /* the dial's own answer knows more */
	say(DIAL, 502, "<html>");
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_NO_ANSWER);
}

static void the_dials_answer_knows_more_than_a_message(void **state)
{
	(void)state;
	say(DIAL, -1, "");
	prepare();
	dial();
	wait_count(DIAL, 1);
	hear("participant_left", "USER_REJECTED", "ringing");
	say(DIAL, 429, "{\"code\":\"resource_exhausted\",\"msg\":\"INVITE failed\",\"meta\":{\"sip_status_code\":\"486\"}}");
	for (;;) {
		struct provider_event ev = next_any();

		if (ev.kind != PROVIDER_ENDED)
			continue;       /* a look may have been in between */
		assert_int_equal(ev.outcome.sip_code, 486);
		assert_int_equal(ev.outcome.reason, REASON_BUSY);
		break;
	}
}

/* ── a refusal, and whether it rang before ──────────────────────────────────────── */

#define FULL "{\"code\":\"failed_precondition\",\"msg\":\"INVITE failed\",\"meta\":{\"sip_status_code\":\"503\"}}"

/* The look says "dialing", and the phone may have rung since. */
static void refused_dial(void)
{
	say(GET, 200, LEG("dialing"));
	say(DIAL, 412, FULL);
	prepare();
	dial();
	wait_count(DIAL, 1);
}

static struct provider_event refused_end(void)
{
	struct provider_event ev = next_other(PROVIDER_ACCEPTED, PROVIDER_RINGING);

	assert_int_equal(ev.kind, PROVIDER_ENDED);
	assert_int_equal(ev.outcome.reason, REASON_CARRIER_UNAVAILABLE);
	assert_int_equal(ev.outcome.sip_code, 503);
	return ev;
}

static void a_refusal_after_which_nothing_is_heard_may_have_rung(void **state)
{
	(void)state;
	refused_dial();
	assert_false(refused_end().outcome.never_rang);
	nothing_for(100);
}

static void a_leg_that_left_while_it_was_dialed_never_rang(void **state)
{
	(void)state;
	refused_dial();
	usleep(50000);
	hear("participant_joined", "", "dialing");
	hear("participant_left", "CLIENT_INITIATED", "dialing");
	assert_true(refused_end().outcome.never_rang);
	nothing_for(400);
}

static void a_leg_that_left_before_the_refusal_came_is_believed_too(void **state)
{
	(void)state;
	say(GET, 200, LEG("dialing"));
	say(DIAL, -1, "");
	prepare();
	dial();
	wait_count(DIAL, 1);
	hear("participant_left", "CLIENT_INITIATED", "dialing");
	usleep(50000);
	say(DIAL, 412, FULL);
	assert_true(refused_end().outcome.never_rang);
}

static void a_leg_that_left_ringing_or_for_a_while_or_came_twice_may_have_rung(void **state)
{
	static const struct { const char *reason, *status; int joins; } rows[] = {
		{ "CLIENT_INITIATED", "ringing", 1 },
		{ "CLIENT_INITIATED", "", 1 },
		{ "CONNECTION_TIMEOUT", "dialing", 1 },
		{ "CLIENT_INITIATED", "dialing", 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		memset(script.count, 0, sizeof script.count);
		room[0] = '\0';
		refused_dial();
		for (int n = 0; n < rows[i].joins; n++)
			hear("participant_joined", "", "dialing");
		hear("participant_left", rows[i].reason, rows[i].status);
		assert_false(refused_end().outcome.never_rang);
		wait_count(DELETE, 1);
	}
}

static void a_call_that_is_canceled_after_the_refusal_ends_at_once(void **state)
{
	(void)state;
	refused_dial();
	usleep(50000);
	hang_up(2);
	assert_false(refused_end().outcome.never_rang);
	nothing_for(400);
}

static void a_talk_that_was_over_before_the_answer_came_was_a_talk(void **state)
{
	(void)state;
	say(GET, 404, ABSENT);
	say(DIAL, -1, "");
	prepare();
	dial();
	wait_count(DIAL, 1);
	hear("participant_left", "CLIENT_INITIATED", "hangup");
	nothing_for(50);
	say(DIAL, 200, "{\"sip_call_id\":\"SCL_1\"}");
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_ANSWERED);
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_CALLEE_HANGUP);
}

/* The SIP service joins again after a crash of the server, and says "dialing" of a talk. */
static void nothing_runs_backwards(void **state)
{
	(void)state;
	answered_call();
	say(GET, 200, LEG("dialing"));
	hear("participant_left", "SIGNAL_CLOSE", "active");
	hear("participant_joined", "", "dialing");
	nothing_for(150);
	hear("participant_left", "CLIENT_INITIATED", "dialing");
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_CALLEE_HANGUP);
}

static void who_is_said_to_have_left_is_looked_for_where_it_may_come_back(void **state)
{
	struct provider_event ev;

	(void)state;
	answered_call();
	say(GET, 404, ABSENT);
	hear("participant_left", "CONNECTION_TIMEOUT", "active");
	ev = next(PROVIDER_ENDED);
	assert_int_equal(ev.outcome.reason, REASON_CALLEE_HANGUP);
	assert_string_equal(ev.outcome.provider_code, "connection_lost");
}

static void a_message_tells_an_uncertain_dial_that_it_was_one(void **state)
{
	(void)state;
	say(DIAL, 0, "");
	say(GET, 200, LEG("ringing"));
	prepare();
	dial();
	for (int kind = -1; kind != PROVIDER_UNCERTAIN && kind != PROVIDER_RINGING;)
		kind = (int)next_any().kind;
	hear("participant_joined", "", "dialing");
	say(GET, 200, LEG("active"));
	for (int kind = -1; kind != PROVIDER_ANSWERED;)
		kind = (int)next_any().kind;
}

static void a_message_about_a_call_of_another_process_is_taken_up(void **state)
{
	char leg[LIVEKIT_NAME_SIZE];

	(void)state;
	our_room(room, leg);
	say(GET, 200, LEG("ringing"));
	hear("participant_left", "USER_UNAVAILABLE", "ringing");
	assert_int_equal(next(PROVIDER_ENDED).outcome.reason, REASON_NO_ANSWER);
	wait_count(DELETE, 1);
}

static void a_message_about_another_room_or_before_the_dial_changes_nothing(void **state)
{
	char mine[64], leg[LIVEKIT_NAME_SIZE];

	(void)state;
	prepare();
	hear("participant_left", "CLIENT_INITIATED", "hangup");         /* of a room that is not dialed */
	nothing_for(50);
	dial();
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_ANSWERED);
	snprintf(mine, sizeof mine, "%s", room);
	our_room(room, leg);            /* the same attempt, but other noise */
	hear("participant_left", "CLIENT_INITIATED", "hangup");
	nothing_for(100);
	snprintf(room, sizeof room, "%s", mine);
	hear("room_finished", "", "");
	nothing_for(100);               /* it is there, whatever is said */
}

/* ── what a crash of the server leaves behind ───────────────────────────────────── */

#define EMPTY "{\"rooms\":[{\"sid\":\"RM_1\",\"num_participants\":0}]}"

static void a_leg_that_is_only_a_row_is_found_out(void **state)
{
	struct provider_event ev;

	(void)state;
	snprintf(room, sizeof room, "cg-of-another-process");
	say(GET, 200, LEG("ringing"));
	say(ROOMS, 200, EMPTY);
	look_up(3, false, 1000);
	ev = next_other(PROVIDER_RINGING, PROVIDER_ACCEPTED);
	assert_int_equal(ev.kind, PROVIDER_ENDED);
	assert_int_equal(ev.outcome.reason, REASON_OUTCOME_UNKNOWN);
	assert_false(ev.outcome.never_rang);
}

static void an_answered_leg_that_is_only_a_row_has_talked(void **state)
{
	(void)state;
	snprintf(room, sizeof room, "cg-of-another-process");
	say(ROOMS, 200, EMPTY);
	look_up(3, true, 5000);
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_ANSWERED);
	assert_string_equal(next(PROVIDER_ENDED).outcome.provider_code, "connection_lost");
}

static void a_room_that_is_empty_for_a_moment_is_not_given_up(void **state)
{
	(void)state;
	snprintf(room, sizeof room, "cg-of-another-process");
	say(ROOMS, 200, EMPTY);
	look_up(3, true, 5000);
	next(PROVIDER_ACCEPTED);
	next(PROVIDER_ANSWERED);
	usleep(80000);
	say(ROOMS, 200, "{\"rooms\":[{\"num_participants\":1}]}");
	nothing_for(400);
}

static void who_is_there_long_after_the_ringing_was_answered(void **state)
{
	(void)state;
	snprintf(room, sizeof room, "cg-of-another-process");
	say(GET, 200, LEG("dialing"));
	look_up(3, false, 100000);
	next(PROVIDER_ACCEPTED);
	assert_int_equal(next_other(PROVIDER_ACCEPTED, PROVIDER_RINGING).kind, PROVIDER_ANSWERED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_message_of_livekit_is_told_by_its_signature_and_its_room),
		TEST(nothing_else_is_believed),
		TEST(a_project_that_only_a_trunk_names_signs_too_once_it_is_learned),
		TEST(there_is_room_for_calls_however_many_projects_are_learned),
		TEST(what_is_genuine_may_still_be_useless),
		TEST(only_the_project_that_placed_the_call_is_believed),
		TEST(a_talk_is_over_when_livekit_says_so),
		TEST(a_late_message_says_when_it_was),
		TEST(what_was_seen_itself_is_not_taken_back),
		TEST(a_lost_answer_is_made_up_for_by_a_message),
		TEST(a_message_that_comes_before_the_loss_is_remembered),
		TEST(the_dials_answer_knows_more_than_a_message),
		TEST(a_refusal_after_which_nothing_is_heard_may_have_rung),
		TEST(a_leg_that_left_while_it_was_dialed_never_rang),
		TEST(a_leg_that_left_before_the_refusal_came_is_believed_too),
		TEST(a_leg_that_left_ringing_or_for_a_while_or_came_twice_may_have_rung),
		TEST(a_call_that_is_canceled_after_the_refusal_ends_at_once),
		TEST(a_talk_that_was_over_before_the_answer_came_was_a_talk),
		TEST(nothing_runs_backwards),
		TEST(who_is_said_to_have_left_is_looked_for_where_it_may_come_back),
		TEST(a_message_tells_an_uncertain_dial_that_it_was_one),
		TEST(a_message_about_a_call_of_another_process_is_taken_up),
		TEST(a_message_about_another_room_or_before_the_dial_changes_nothing),
		TEST(a_leg_that_is_only_a_row_is_found_out),
		TEST(an_answered_leg_that_is_only_a_row_has_talked),
		TEST(a_room_that_is_empty_for_a_moment_is_not_given_up),
		TEST(who_is_there_long_after_the_ringing_was_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
