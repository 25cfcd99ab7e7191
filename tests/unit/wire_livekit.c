/* LiveKit's JSON, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/mem.h"
#include "callgate/wire_livekit.h"

static struct buf out;

static int begin(void **state)
{
	(void)state;
	buf_init(&out, 65536);
	return 0;
}

static int end(void **state)
{
	(void)state;
	buf_done(&out);
	return 0;
}

/* ── requests ───────────────────────────────────────────────────────────────────── */

static void the_variables_become_metadata_of_room_and_agent_as_they_were_sent(void **state)
{
	struct wire_livekit_room r = { "cg-1", 60, 20, "{\"n\":1.10,\"name\":\"J\xc3\xb6rg \\\"x\\\"\"}", "sales" };

	(void)state;
	wire_livekit_create_room(&out, &r);
	assert_string_equal(out.data,
		"{\"name\":\"cg-1\",\"empty_timeout\":60,\"departure_timeout\":20,\"max_participants\":1,"
		"\"metadata\":\"{\\\"n\\\":1.10,\\\"name\\\":\\\"J\xc3\xb6rg \\\\\\\"x\\\\\\\"\\\"}\","
		"\"agents\":[{\"agent_name\":\"sales\",\"metadata\":\"{\\\"n\\\":1.10,\\\"name\\\":\\\"J\xc3\xb6rg \\\\\\\"x\\\\\\\"\\\"}\"}]}");
}

static void without_variables_the_metadata_is_an_empty_object_and_without_agent_none_is_asked_for(void **state)
{
	struct wire_livekit_room r = { "cg-1", 60, 20, NULL, "" };

	(void)state;
	wire_livekit_create_room(&out, &r);
	assert_string_equal(out.data, "{\"name\":\"cg-1\",\"empty_timeout\":60,\"departure_timeout\":20,"
	                    "\"max_participants\":1,\"metadata\":\"{}\"}");
}

static struct wire_livekit_leg leg(const struct wire_livekit_trunk *trunk)
{
	return (struct wire_livekit_leg){
		.trunk = trunk, .trunk_id = "ST_x", .to = "+15550123", .from = "+15550100", .room = "r", .identity = "i",
		.attempt = "a-1", .ringing_timeout_s = 40, .max_duration_s = 1800,
	};
}

static void a_leg_says_everything_that_livekit_would_otherwise_choose(void **state)
{
	struct wire_livekit_trunk none = { 0 };
	struct wire_livekit_leg l = leg(&none);

	(void)state;
	wire_livekit_create_leg(&out, &l);
	assert_string_equal(out.data,
		"{\"sip_trunk_id\":\"ST_x\",\"sip_call_to\":\"+15550123\",\"sip_number\":\"+15550100\",\"room_name\":\"r\","
		"\"participant_identity\":\"i\",\"participant_attributes\":{\"gw.attempt\":\"a-1\"},"
		"\"headers\":{\"X-Gw-Attempt\":\"a-1\"},\"include_headers\":\"SIP_X_HEADERS\",\"ringing_timeout\":\"40s\","
		"\"max_call_duration\":\"1800s\",\"wait_until_answered\":true}");
}

static void an_inline_trunk_takes_the_place_of_a_stored_one(void **state)
{
	struct wire_livekit_trunk t;
	struct wire_livekit_leg l = leg(&t);
	struct errinfo e;

	(void)state;
	assert_int_equal(wire_livekit_trunk_read("{\"hostname\":\"sip.example.org:5070\",\"transport\":\"udp\",\"authUsername\":\"u\","
		"\"authPasswordEnv\":\"LIVEKIT_TRUNK_PASSWORD\",\"headers\":{\"X-A\":\"b\"},\"displayName\":\"\","
		"\"mediaEncryption\":\"require\",\"waitForAgentSeconds\":5}", &t, &e), OK);
	assert_int_equal(t.wait_for_agent_s, 5);
	assert_string_equal(t.auth_password_name, "LIVEKIT_TRUNK_PASSWORD");
	l.trunk_id = NULL;
	l.auth_password = "p";
	wire_livekit_create_leg(&out, &l);
	assert_non_null(strstr(out.data, "{\"trunk\":{\"hostname\":\"sip.example.org:5070\",\"transport\":\"SIP_TRANSPORT_UDP\","
		"\"auth_username\":\"u\",\"auth_password\":\"p\"},"));
	assert_null(strstr(out.data, "sip_trunk_id"));
	assert_non_null(strstr(out.data, "\"headers\":{\"X-Gw-Attempt\":\"a-1\",\"X-A\":\"b\"}"));
	assert_non_null(strstr(out.data, "\"display_name\":\"\""));
	assert_non_null(strstr(out.data, "\"media_encryption\":\"SIP_MEDIA_ENCRYPT_REQUIRE\""));
	wire_livekit_trunk_done(&t);
}

static void a_trunks_mistakes_are_told_by_their_member(void **state)
{
	static const struct { const char *json, *word; } wrong[] = {
		{ "[]", "not a JSON object" },
		{ "{\"urk\":\"x\"}", "\"urk\"" },
		{ "{\"url\":\"https://x\"}", "all three or none" },
		{ "{\"url\":7}", "url" },
		{ "{\"url\":\"u\",\"apiKey\":\"k\",\"apiSecretEnv\":\"CALLGATE_DATABASE_URL\"}", "begins with LIVEKIT_" },
		{ "{\"transport\":\"udp\"}", "hostname" },
		{ "{\"hostname\":\"h\",\"transport\":\"carrier pigeon\"}", "udp" },
		{ "{\"waitForAgentSeconds\":301}", "waitForAgentSeconds" },
		{ "{\"waitForAgentSeconds\":\"5\"}", "waitForAgentSeconds" },
		{ "{\"headers\":{\"X\":1}}", "headers" },
		/* what LiveKit or SIP could not use, or would use otherwise than meant */
		{ "{\"headers\":{\"X-A\":\"a\\r\\nX-Evil: b\"}}", "X-A" },
		{ "{\"headers\":{\"X-A\":\"a\\u007fb\"}}", "control" },
		{ "{\"headers\":{\"\":\"a\"}}", "no name" },
		{ "{\"headers\":{\"X A\":\"a\"}}", "no name" },
		{ "{\"headers\":{\"X-A:\":\"a\"}}", "no name" },
		{ "{\"headers\":{\"X-G\u00e4\":\"a\"}}", "no name" },
		{ "{\"headers\":{\"x-gw-attempt\":\"a\"}}", "x-gw-attempt" },
		{ "{\"headers\":{\"From\":\"a\"}}", "From" },
		{ "{\"headers\":{\"i\":\"a\"}}", "i is not" },
		{ "{\"headers\":{\"content-type\":\"a\"}}", "content-type" },
		{ "{\"headers\":{\"X-A\":\"a\",\"x-a\":\"b\"}}", "twice" },
		{ "{\"hostname\":\"\"}", "hostname" },
		{ "{\"hostname\":\"sip:x\"}", "host:port" },
		{ "{\"hostname\":\"a b\"}", "hostname" },
		{ "{\"hostname\":\"x;transport=tcp\"}", "hostname" },
		{ "{\"hostname\":\"u@x\"}", "hostname" },
		{ "{\"hostname\":\"x:\"}", "hostname" },
		{ "{\"hostname\":\"x:0\"}", "hostname" },
		{ "{\"hostname\":\"x:65536\"}", "hostname" },
		{ "{\"hostname\":\"x..y\"}", "hostname" },
		{ "{\"hostname\":\".x\"}", "hostname" },
		{ "{\"hostname\":\"-x\"}", "hostname" },
		{ "{\"hostname\":\"x-.y\"}", "hostname" },
		{ "{\"hostname\":\"[::1\"}", "hostname" },
		{ "{\"hostname\":\"[]:5060\"}", "hostname" },
		{ "{\"hostname\":\"::1\"}", "hostname" },
		{ "{\"hostname\":\"x\",\"fromHost\":\"https://y\"}", "fromHost" },
		{ "{\"hostname\":\"x\",\"destinationCountry\":\"Germany\"}", "destinationCountry" },
		{ "{\"hostname\":\"x\",\"destinationCountry\":\"de\"}", "destinationCountry" },
		{ "{\"hostname\":\"x\",\"authUsername\":\"u\"}", "authPasswordEnv" },
		{ "{\"hostname\":\"x\",\"authPasswordEnv\":\"LIVEKIT_P\"}", "authUsername" },
		{ "{\"hostname\":\"x\",\"authUsername\":\"\",\"authPasswordEnv\":\"LIVEKIT_P\"}", "empty" },
		{ "{\"displayName\":\"a\\nb\"}", "displayName" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct wire_livekit_trunk t;
		struct errinfo e;

		assert_int_equal(wire_livekit_trunk_read(wrong[i].json, &t, &e), ERR_INVALID);
		if (!strstr(e.text, wrong[i].word))
			fail_msg("%s: %s", wrong[i].json, e.text);
		wire_livekit_trunk_done(&t);
	}
}

static void a_trunk_has_a_host_of_any_kind(void **state)
{
	static const char *const hosts[] = {
		"h", "sip.example.org", "sip-1.example.org:5061", "_sip.example.org", "192.0.2.7", "192.0.2.7:65535",
		"[2001:db8::1]", "[2001:db8::1]:5060", "[::ffff:192.0.2.7]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct wire_livekit_trunk t;
		struct errinfo e;
		char json[128];

		snprintf(json, sizeof json, "{\"hostname\":\"%s\",\"destinationCountry\":\"DE\"}", hosts[i]);
		if (wire_livekit_trunk_read(json, &t, &e))
			fail_msg("%s: %s", hosts[i], e.text);
		assert_string_equal(t.hostname, hosts[i]);
		wire_livekit_trunk_done(&t);
	}
}

/* ── answers ────────────────────────────────────────────────────────────────────── */

static void an_error_is_read_with_its_sip_evidence(void **state)
{
	static const char busy[] = "{\"code\":\"resource_exhausted\",\"msg\":\"INVITE failed\","
		"\"meta\":{\"sip_status_code\":\"486\",\"sip_status\":\"Busy Here\",\"error_details\":\"x\"}}";
	struct wire_livekit_error e;

	(void)state;
	wire_livekit_error_read(busy, sizeof busy - 1, &e);
	assert_true(e.json);
	assert_string_equal(e.code, "resource_exhausted");
	assert_int_equal(e.sip_code, 486);
	assert_string_equal(e.sip_status, "Busy Here");
}

static void an_error_that_is_no_json_is_kept_as_words(void **state)
{
	static const char *const odd[] = { "invalid authorization token", "<html>502</html>", "", "[1]", "{\"code\":7}", "{\"half" };
	struct wire_livekit_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		wire_livekit_error_read(odd[i], strlen(odd[i]), &e);
		assert_false(e.json);
		assert_int_equal(e.sip_code, 0);
	}
	wire_livekit_error_read(" {\"code\":\"x\"", 12, &e);
	assert_true(e.broken && !e.json);
	wire_livekit_error_read("404 page not found", 18, &e);
	assert_false(e.broken);
	wire_livekit_error_read(odd[0], strlen(odd[0]), &e);
	assert_string_equal(e.msg, odd[0]);
}

static void a_participant_reads_the_same_in_both_spellings(void **state)
{
	static const char *const both[] = {
		"{\"sid\":\"PA_1\",\"identity\":\"leg\",\"state\":\"DISCONNECTED\",\"kind\":\"SIP\",\"joined_at\":\"1700000000\","
		"\"attributes\":{\"sip.callID\":\"SCL_1\",\"sip.callStatus\":\"automation\"},\"disconnect_reason\":\"USER_REJECTED\",\"name\":null}",
		"{\"identity\":\"leg\",\"state\":3,\"kind\":3,\"joinedAt\":1700000000,"
		"\"attributes\":{\"sip.callID\":\"SCL_1\",\"sip.callStatus\":\"active\"},\"disconnectReason\":12}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct wire_livekit_participant p;

		assert_true(wire_livekit_participant_read(both[i], strlen(both[i]), &p));
		assert_string_equal(p.identity, "leg");
		assert_true(p.disconnected);
		assert_false(p.active);
		assert_false(p.agent);
		assert_int_equal(p.status, LIVEKIT_STATUS_ACTIVE);
		assert_int_equal(p.reason, LIVEKIT_USER_REJECTED);
		assert_string_equal(p.sip_call_id, "SCL_1");
	}
}

static void what_is_missing_is_none_and_what_is_no_answer_is_refused(void **state)
{
	struct wire_livekit_participant p;
	char id[64];
	size_t n;
	int64_t there;
	bool active;

	(void)state;
	assert_true(wire_livekit_participant_read("{\"identity\":\"leg\"}", 18, &p));
	assert_int_equal(p.status, LIVEKIT_STATUS_NONE);
	assert_int_equal(p.reason, LIVEKIT_REASON_UNKNOWN);
	assert_false(wire_livekit_participant_read("{}", 2, &p));
	assert_false(wire_livekit_participant_read("<html>", 6, &p));
	assert_false(wire_livekit_leg_read("OK", 2, id, sizeof id));
	assert_true(wire_livekit_leg_read("{\"sip_call_id\":\"SCL_9\"}", 23, id, sizeof id));
	assert_string_equal(id, "SCL_9");
	assert_true(wire_livekit_rooms_read("{}", 2, &n, &there));
	assert_int_equal(n, 0);
	assert_true(wire_livekit_rooms_read("{\"rooms\":[{}]}", 14, &n, &there));
	assert_int_equal(n, 1);
	assert_int_equal(there, 0);
	assert_true(wire_livekit_rooms_read("{\"rooms\":[{\"num_participants\":1}]}", 34, &n, &there));
	assert_int_equal(there, 1);
	assert_false(wire_livekit_rooms_read("", 0, &n, &there));
	assert_true(wire_livekit_agent_active("{\"participants\":[]}", 19, &active));
	assert_false(active);
}

static void an_agent_counts_once_it_is_active(void **state)
{
	static const char joining[] = "{\"participants\":[{\"identity\":\"a\",\"kind\":\"AGENT\",\"state\":\"JOINED\"},"
		"{\"identity\":\"b\",\"kind\":\"STANDARD\",\"state\":\"ACTIVE\"}]}";
	static const char there[] = "{\"participants\":[{\"identity\":\"a\",\"kind\":\"AGENT\",\"state\":\"ACTIVE\"}]}";
	bool active;

	(void)state;
	assert_true(wire_livekit_agent_active(joining, sizeof joining - 1, &active));
	assert_false(active);
	assert_true(wire_livekit_agent_active(there, sizeof there - 1, &active));
	assert_true(active);
}

static void a_webhook_is_read_as_it_is_sent(void **state)
{
	static const char left[] = "{\"event\":\"participant_left\",\"room\":{\"sid\":\"RM_x\",\"name\":\"call-7f3a\"},"
		"\"participant\":{\"identity\":\"leg-1\",\"state\":\"DISCONNECTED\",\"kind\":\"SIP\",\"attributes\":{"
		"\"sip.callStatus\":\"ringing\"},\"disconnectReason\":\"USER_REJECTED\"},\"id\":\"EV_x\",\"createdAt\":\"1700000032\"}";
	struct wire_livekit_event ev;

	(void)state;
	assert_true(wire_livekit_event_read(left, sizeof left - 1, &ev));
	assert_string_equal(ev.name, "participant_left");
	assert_string_equal(ev.id, "EV_x");
	assert_string_equal(ev.room, "call-7f3a");
	assert_int_equal(ev.created_s, 1700000032);
	assert_int_equal(ev.participant.status, LIVEKIT_STATUS_RINGING);
	assert_int_equal(ev.participant.reason, LIVEKIT_USER_REJECTED);
	assert_true(wire_livekit_event_read("{\"event\":\"room_finished\"}", 25, &ev));
	assert_string_equal(ev.participant.identity, "");
	assert_false(wire_livekit_event_read("{}", 2, &ev));
}

static bool claims(const char *json, struct wire_livekit_claims *c)
{
	return wire_livekit_claims_read(json, strlen(json), c);
}

static void a_token_says_who_and_until_when(void **state)
{
	struct wire_livekit_claims c;
	char alg[16];

	(void)state;
	assert_true(wire_livekit_token_alg("{\"alg\":\"HS256\"}", 15, alg, sizeof alg));
	assert_string_equal(alg, "HS256");
	assert_false(wire_livekit_token_alg("HS256", 5, alg, sizeof alg));
	assert_false(wire_livekit_token_alg("{\"alg\":\"HS256HS256HS256HS256\"}", 30, alg, sizeof alg));
	assert_true(claims("{\"iss\":\"k\",\"exp\":1700000300,\"nbf\":1700000000.5,\"sha256\":\"x=\"}", &c));
	assert_true(c.expires);
	assert_int_equal(c.exp, 1700000300);
	assert_int_equal(c.nbf, 1700000000);
	assert_string_equal(c.sha256, "x=");
	assert_true(claims("{\"iss\":\"k\",\"exp\":\"1700000300\"}", &c));
	assert_false(c.expires);        /* a text is no time */
	assert_true(claims("{\"exp\":1e300}", &c));
	assert_false(c.expires);
	assert_false(claims("{\"nbf\":\"x\"}", &c));
	assert_false(claims("[]", &c));
	assert_false(claims("", &c));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(the_variables_become_metadata_of_room_and_agent_as_they_were_sent),
		TEST(without_variables_the_metadata_is_an_empty_object_and_without_agent_none_is_asked_for),
		TEST(a_leg_says_everything_that_livekit_would_otherwise_choose),
		TEST(an_inline_trunk_takes_the_place_of_a_stored_one),
		TEST(a_trunks_mistakes_are_told_by_their_member),
		TEST(a_trunk_has_a_host_of_any_kind),
		TEST(an_error_is_read_with_its_sip_evidence),
		TEST(an_error_that_is_no_json_is_kept_as_words),
		TEST(a_participant_reads_the_same_in_both_spellings),
		TEST(what_is_missing_is_none_and_what_is_no_answer_is_refused),
		TEST(an_agent_counts_once_it_is_active),
		TEST(a_webhook_is_read_as_it_is_sent),
		TEST(a_token_says_who_and_until_when),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
