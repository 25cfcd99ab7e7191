/* The answer of GET /v1/calls/{id}, and the writer below it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/jsonw.h"
#include "callgate/text.h"
#include "callgate/wire.h"

static struct buf out;

static int begin(void **state)
{
	(void)state;
	buf_init(&out, WIRE_CALL_RECORD_MAX);
	return 0;
}

static int end(void **state)
{
	(void)state;
	buf_done(&out);
	return 0;
}

static struct call_record fresh(void)
{
	return (struct call_record){
		.id = { { 0x01, 0x9a, 0xb3, 0xc4, 0xd5, 0xe6, 0x71, 0x23, 0x81, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef } },
		.project = "proj_abc123", .from = "+886912345678", .to = "+886987654321",
		.state = CALL_QUEUED, .attempts = 1, .ring_timeout_s = 45, .max_duration_s = 600,
		.created_ms = 1795163520123, .held_mc = 9000,
		.prio = 1, .waiting = WAIT_TURN, .rate_mc = 600, .increment_s = 6, .minimum_s = 30,
	};
}

static void check_has(const char *piece)
{
	if (!strstr(out.data, piece))
		fail_msg("'%s' is not in %s", piece, out.data);
}

static void a_queued_call_has_every_member_and_null_for_what_is_not_known(void **state)
{
	struct call_record r = fresh();

	(void)state;
	wire_call_record_write(&out, &r);
	assert_string_equal(out.data,
		"{\"id\":\"019ab3c4-d5e6-7123-8123-456789abcdef\",\"callId\":\"019ab3c4-d5e6-7123-8123-456789abcdef\","
		"\"object\":\"call\",\"projectId\":\"proj_abc123\",\"from\":\"+886912345678\",\"to\":\"+886987654321\","
		"\"state\":\"queued\",\"status\":\"queued\",\"test\":false,\"dynamicVariables\":{},\"metadata\":{},"
		"\"agent\":null,\"attempts\":1,\"ringTimeoutSeconds\":45,\"maxDurationSeconds\":600,\"priority\":\"normal\","
		"\"scheduledAt\":null,\"expiresAt\":null,\"cancelRequestedAt\":null,\"waiting\":{\"for\":\"turn\",\"until\":null},"
		"\"timeline\":{\"createdAt\":\"2026-11-20T08:32:00.123Z\",\"initiatedAt\":null,\"ringingAt\":null,"
		"\"answeredAt\":null,\"endedAt\":null},\"durations\":{\"ringSeconds\":null,\"talkSeconds\":null},"
		"\"outcome\":null,\"money\":{\"heldMilliCents\":9000,\"chargedMilliCents\":0,\"billableSeconds\":0},"
		"\"rate\":{\"prefix\":null,\"milliCentsPerMinute\":600,\"incrementSeconds\":6,\"minimumSeconds\":30},"
		"\"trunk\":null,\"attemptLog\":[],\"providerRef\":null}");
}

static void a_completed_call_tells_its_times_its_outcome_and_its_price(void **state)
{
	struct call_record r = fresh();
	char variables[] = "{\"a\":1.10,\"b\":\"\\u00e9\"}", agent[] = "agent_7", ref[] = "call-1-a1";

	(void)state;
	r.state = CALL_COMPLETED;
	r.test = true;
	r.variables = variables;
	r.agent = agent;
	r.provider_ref = ref;
	r.initiated_ms = r.created_ms + 5;
	r.ringing_ms = r.created_ms + 1000;
	r.answered_ms = r.created_ms + 3007;
	r.ended_ms = r.created_ms + 23007;
	r.outcome = (struct call_outcome){ .reason = REASON_CALLEE_HANGUP, .sip_code = 200, .sip_phrase = "OK" };
	r.held_mc = 0;
	r.charged_mc = 1234567890123;
	r.billed_s = 20;
	wire_call_record_write(&out, &r);
	check_has("\"state\":\"completed\",\"status\":\"completed\",\"test\":true");
	check_has("\"dynamicVariables\":{\"a\":1.10,\"b\":\"\\u00e9\"},\"metadata\":{},\"agent\":\"agent_7\"");
	check_has("\"answeredAt\":\"2026-11-20T08:32:03.130Z\",\"endedAt\":\"2026-11-20T08:32:23.130Z\"");
	check_has("\"durations\":{\"ringSeconds\":2.007,\"talkSeconds\":20.000}");
	check_has("\"outcome\":{\"reason\":\"callee_hangup\",\"faultOwner\":\"none\",\"retryable\":false,\"sipCode\":200,"
	          "\"sipPhrase\":\"OK\",\"providerCode\":null,\"text\":\"");
	check_has("\"chargedMilliCents\":1234567890123,\"billableSeconds\":20}");
	check_has("\"providerRef\":\"call-1-a1\"}");
}

static void a_call_that_nobody_answered_has_talked_for_zero_seconds(void **state)
{
	struct call_record r = fresh();

	(void)state;
	r.state = CALL_BUSY;
	r.ended_ms = r.created_ms + 900;
	r.outcome = (struct call_outcome){ .reason = REASON_BUSY, .sip_code = 486 };
	wire_call_record_write(&out, &r);
	check_has("\"durations\":{\"ringSeconds\":null,\"talkSeconds\":0.000}");
	check_has("\"sipCode\":486,\"sipPhrase\":null");
}

static void a_waiting_call_says_for_what_and_until_when_if_that_is_known(void **state)
{
	struct call_record r = fresh();

	(void)state;
	r.waiting = WAIT_SCHEDULE;
	r.scheduled_ms = r.wait_until_ms = r.created_ms + 60000;
	r.prio = 0;
	wire_call_record_write(&out, &r);
	check_has("\"priority\":\"high\",\"scheduledAt\":\"2026-11-20T08:33:00.123Z\"");
	check_has("\"waiting\":{\"for\":\"schedule\",\"until\":\"2026-11-20T08:33:00.123Z\"}");
	buf_clear(&out);
	r.waiting = WAIT_DESTINATION;
	wire_call_record_write(&out, &r);
	check_has("\"waiting\":{\"for\":\"destination\",\"until\":null}");
	buf_clear(&out);
	r.waiting = WAIT_TRUNK;
	r.wait_until_ms = 0;
	wire_call_record_write(&out, &r);
	check_has("\"waiting\":{\"for\":\"trunk\",\"until\":null}");
	buf_clear(&out);
	r.waiting = WAIT_CAPACITY;
	wire_call_record_write(&out, &r);
	check_has("\"waiting\":{\"for\":\"capacity\",\"until\":null}");
	buf_clear(&out);
	r.waiting = WAIT_NONE;
	r.state = CALL_RINGING;
	wire_call_record_write(&out, &r);
	check_has("\"waiting\":null");
}

static void every_attempt_is_told_with_its_evidence(void **state)
{
	struct call_record r = fresh();
	struct call_attempt earlier = {
		.number = 1, .initiated_ms = r.created_ms, .ended_ms = r.created_ms + 10, .provider_ref = "call-1-a1",
		.outcome = { .reason = REASON_CARRIER_UNAVAILABLE, .sip_code = 503, .sip_phrase = "Busy out", .undialed = true },
	};
	char ref[] = "call-1-a2", trunk[] = "main", driver[] = "livekit", metadata[] = "{\"k\":1.10}";

	(void)state;
	r.attempts = 2;
	r.earlier = &earlier;
	r.n_earlier = 1;
	r.state = CALL_INITIATED;
	r.waiting = WAIT_NONE;
	r.phase = 2;
	r.initiated_ms = r.created_ms + 1000;
	r.provider_ref = ref;
	r.trunk = trunk;
	r.driver = driver;
	r.metadata = metadata;
	str_copy(r.rate_prefix, sizeof r.rate_prefix, "+49");
	wire_call_record_write(&out, &r);
	check_has("\"attemptLog\":[{\"attempt\":1,\"initiatedAt\":\"2026-11-20T08:32:00.123Z\",\"ringingAt\":null,"
	          "\"answeredAt\":null,\"endedAt\":\"2026-11-20T08:32:00.133Z\",\"reason\":\"carrier_unavailable\",\"sipCode\":503,"
	          "\"sipPhrase\":\"Busy out\",\"providerCode\":null,\"providerRef\":\"call-1-a1\",\"uncertain\":false,"
	          "\"undialed\":true},{\"attempt\":2,");
	check_has("\"endedAt\":null,\"reason\":null,\"sipCode\":null,\"sipPhrase\":null,\"providerCode\":null,"
	          "\"providerRef\":\"call-1-a2\",\"uncertain\":true,\"undialed\":false}]");
	check_has("\"trunk\":{\"name\":\"main\",\"driver\":\"livekit\"}");
	check_has("\"rate\":{\"prefix\":\"+49\",");
	check_has("\"metadata\":{\"k\":1.10}");
}

static void the_tag_changes_with_what_a_client_could_see(void **state)
{
	struct call_record a = fresh(), b;
	char was[CALL_ETAG_SIZE], is[CALL_ETAG_SIZE];

	(void)state;
	wire_call_etag(&a, was);
	wire_call_etag(&a, is);
	assert_string_equal(was, is);
	assert_int_equal('"', was[0]);
#define CHANGED(change) do { \
	b = a; \
	change; \
	wire_call_etag(&b, is); \
	assert_string_not_equal(was, is); \
} while (0)
	CHANGED(b.edits++);
	CHANGED(b.state = CALL_INITIATED);
	CHANGED(b.attempts++);
	CHANGED(b.waiting = WAIT_SCHEDULE);
	CHANGED(b.cancel_ms = 1);
	CHANGED(b.phase = 2);
	CHANGED((b.waiting = WAIT_RETRY, b.wait_until_ms = 1795163520123));
}

static void the_largest_record_fits_its_ceiling(void **state)
{
	static char variables[WIRE_VARIABLES_MAX + 1];
	static char metadata[WIRE_METADATA_MAX + 1];
	static struct call_attempt earlier[ATTEMPTS_TOLD];
	struct call_record r = fresh();
	int i;

	(void)state;
	memset(variables, 'x', WIRE_VARIABLES_MAX);
	memset(metadata, 'x', WIRE_METADATA_MAX);
	r.variables = variables;
	r.metadata = metadata;
	for (i = 0; i < ATTEMPTS_TOLD; i++) {
		earlier[i] = (struct call_attempt){ 2000 + i, r.created_ms, r.created_ms, r.created_ms, r.created_ms,
		                                    { .reason = REASON_INSUFFICIENT_CREDITS, .sip_code = 486 } };
		memset(earlier[i].outcome.sip_phrase, 1, sizeof earlier[i].outcome.sip_phrase - 1);
		memset(earlier[i].outcome.provider_code, 1, sizeof earlier[i].outcome.provider_code - 1);
		memset(earlier[i].provider_ref, 1, sizeof earlier[i].provider_ref - 1);
	}
	r.earlier = earlier;
	r.n_earlier = ATTEMPTS_TOLD;
	r.initiated_ms = r.created_ms;
	/* what a text may be at worst: every byte becomes six */
	memset(r.project, 1, sizeof r.project - 1);
	memset(r.outcome.sip_phrase, 1, sizeof r.outcome.sip_phrase - 1);
	memset(r.outcome.provider_code, 1, sizeof r.outcome.provider_code - 1);
	for (i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		r.outcome.reason = (enum call_reason)i;
		buf_clear(&out);
		wire_call_record_write(&out, &r);
		assert_false(out.over);
	}
}

static void strings_are_escaped_and_bad_bytes_replaced(void **state)
{
	(void)state;
	jsonw_str(&out, "a\"b\\c\n\r\t\x01\x7f/é");
	assert_string_equal(out.data, "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f/é\"");
	buf_clear(&out);
	jsonw_str(&out, "x\xff" "y");
	assert_string_equal(out.data, "\"x\\ufffdy\"");
	buf_clear(&out);
	jsonw_str(&out, NULL);
	jsonw_str(&out, "");
	assert_string_equal(out.data, "null\"\"");
}

static void seconds_have_three_decimals_and_are_never_negative(void **state)
{
	(void)state;
	jsonw_seconds(&out, 1005);
	buf_char(&out, ' ');
	jsonw_seconds(&out, 0);
	buf_char(&out, ' ');
	jsonw_seconds(&out, -5);
	buf_char(&out, ' ');
	jsonw_seconds(&out, 86400999);
	assert_string_equal(out.data, "1.005 0.000 0.000 86400.999");
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_queued_call_has_every_member_and_null_for_what_is_not_known),
		T(a_completed_call_tells_its_times_its_outcome_and_its_price),
		T(a_call_that_nobody_answered_has_talked_for_zero_seconds),
		T(a_waiting_call_says_for_what_and_until_when_if_that_is_known),
		T(every_attempt_is_told_with_its_evidence),
		T(the_tag_changes_with_what_a_client_could_see),
		T(the_largest_record_fits_its_ceiling),
		T(strings_are_escaped_and_bad_bytes_replaced),
		T(seconds_have_three_decimals_and_are_never_negative),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
