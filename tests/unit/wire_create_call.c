/* The body of POST /v1/calls/outbound: what is taken, what is refused and in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/mem.h"
#include "callgate/wire.h"

#define HEAD "{\"projectId\":\"proj_abc123\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+886987654321\""

#define NOW INT64_C(1795163520000)      /* 2026-11-20T08:32:00Z */

static struct wire_create_call call;
static struct wire_problems problems;

/* From a block of exactly its size (and the NUL), so that the sanitizer sees a read past it. */
static enum err read_bytes(const char *body, size_t len)
{
	char *copy = xcalloc(1, len + 1);
	enum err err;

	memcpy(copy, body, len);
	wire_create_call_done(&call);
	err = wire_create_call_read(copy, len, NOW, &call, &problems);
	free(copy);
	return err;
}

static enum err read_text(const char *body)
{
	return read_bytes(body, strlen(body));
}

/* The body with `vars` as the text of dynamicVariables. */
static enum err read_vars(const char *vars)
{
	char *body = xmalloc(strlen(vars) + 256);
	enum err err;

	sprintf(body, HEAD ",\"dynamicVariables\":%s}", vars);
	err = read_text(body);
	free(body);
	return err;
}

static int drop_call(void **state)
{
	(void)state;
	wire_create_call_done(&call);
	return 0;
}

static void check_only_problem(const char *pointer, const char *words)
{
	assert_int_equal(problems.count, 1);
	assert_string_equal(problems.items[0].pointer, pointer);
	if (!strstr(problems.items[0].message, words))
		fail_msg("'%s' does not say '%s'", problems.items[0].message, words);
}

static void refused(const char *body, const char *pointer, const char *words)
{
	assert_int_equal(read_text(body), ERR_INVALID);
	check_only_problem(pointer, words);
}

static void a_complete_body_is_taken(void **state)
{
	(void)state;
	assert_int_equal(read_text(HEAD ", \"dynamicVariables\": {\"customerName\": \"Jane Doe\", \"n\": [1, 2]}}"), OK);
	assert_int_equal(problems.count, 0);
	assert_string_equal(call.project, "proj_abc123");
	assert_string_equal(call.from, "+886912345678");
	assert_string_equal(call.to, "+886987654321");
	assert_string_equal(call.variables, "{\"customerName\":\"Jane Doe\",\"n\":[1,2]}");
}

static void variables_may_be_absent_or_empty(void **state)
{
	(void)state;
	assert_int_equal(read_text(HEAD "}"), OK);
	assert_null(call.variables);
	assert_int_equal(read_vars("{ }"), OK);
	assert_string_equal(call.variables, "{}");
}

static void PATH_18_PATH_19_an_agent_selector_and_unknown_members_are_ignored(void **state)
{
	(void)state;
	assert_int_equal(read_text(HEAD ",\"agentId\":\"a\",\"x\":{\"dynamicVariables\":{\"no\":1}},\"y\":null}"), OK);
	assert_null(call.variables);
}

static void what_is_not_json_is_refused_with_its_place(void **state)
{
	(void)state;
	refused("", "", "empty");
	refused(" \r\n\t ", "", "empty");
	refused("hello", "", "line 1, column");
	refused("{\n  \"projectId\": oops\n}", "", "line 2, column");
	refused("{'projectId':1}", "", "line 1");
	refused("{\"a\":1,}", "", "line 1");
	refused("{\"a\":01}", "", "line 1");
	refused("{\"a\":NaN}", "", "line 1");
	refused("projectId=x&toNumber=y", "", "line 1");
	refused("\xef\xbb\xbf{}", "", "line 1");
}

static void a_truncated_body_is_refused_wherever_it_was_cut(void **state)
{
	static const char body[] = HEAD ",\"dynamicVariables\":{\"a\\u0041\":[1.5,{\"b\":\"\\\\\"}]}}";

	(void)state;
	for (size_t n = 0; n < strlen(body); n++) {
		assert_int_equal(read_bytes(body, n), ERR_INVALID);
		assert_string_equal(problems.items[0].pointer, "");
	}
	assert_int_equal(read_text(body), OK);
	refused("{\"a\":\"", "", "ends too early");
}

static void trailing_data_is_refused(void **state)
{
	(void)state;
	refused(HEAD "} x", "", "after the end");
	refused(HEAD "}{}", "", "after the end");
	assert_int_equal(read_text(HEAD "} \r\n\t"), OK);
}

static void duplicate_keys_are_refused_at_every_level(void **state)
{
	(void)state;
	refused(HEAD ",\"toNumber\":\"+14155550100\"}", "", "same key twice");
	refused(HEAD ",\"to\\u004eumber\":\"+14155550100\"}", "", "same key twice");
	refused(HEAD ",\"dynamicVariables\":{\"a\":{\"b\":1,\"b\":2}}}", "", "same key twice");
}

static void u0000_is_refused_as_escape_and_as_byte(void **state)
{
	static const char raw[] = HEAD ",\"x\":\"a\0b\"}";
	static const char behind_a_number[] = HEAD ",\"dynamicVariables\":{\"x\":1\0}}";

	(void)state;
	refused(HEAD ",\"x\":\"a\\u0000b\"}", "", "u0000");
	refused(HEAD ",\"a\\u0000b\":1}", "", "u0000");
	assert_int_equal(read_bytes(raw, sizeof raw - 1), ERR_INVALID);
	check_only_problem("", "zero byte");
	assert_int_equal(read_bytes(behind_a_number, sizeof behind_a_number - 1), ERR_INVALID);
	check_only_problem("", "zero byte");
	assert_int_equal(read_bytes("{}\0", 3), ERR_INVALID);
	assert_int_equal(read_bytes("\0", 1), ERR_INVALID);
}

static void lone_surrogates_are_refused(void **state)
{
	(void)state;
	refused(HEAD ",\"x\":\"\\ud800\"}", "", "surrogate");
	refused(HEAD ",\"x\":\"\\udc00\"}", "", "surrogate");
	refused(HEAD ",\"x\":\"\\ud800\\u0041\"}", "", "surrogate");
	refused(HEAD ",\"dynamicVariables\":{\"\\udfff\":1}}", "", "surrogate");
	assert_int_equal(read_vars("{\"x\":\"\\ud83d\\ude00\"}"), OK);
}

static void invalid_utf8_is_refused(void **state)
{
	(void)state;
	refused(HEAD ",\"x\":\"\xff\"}", "", "UTF-8");
	refused(HEAD ",\"x\":\"\xc0\xaf\"}", "", "UTF-8");          /* overlong  */
	refused(HEAD ",\"x\":\"\xed\xa0\x80\"}", "", "UTF-8");      /* surrogate */
	refused(HEAD ",\"x\":\"\xe4\xb8\"}", "", "UTF-8");          /* cut       */
	assert_int_equal(read_vars("{\"名\":\"Zoë\"}"), OK);
	assert_string_equal(call.variables, "{\"名\":\"Zoë\"}");
}

static void numbers_past_64_bits_are_refused_anywhere(void **state)
{
	(void)state;
	refused(HEAD ",\"x\":9223372036854775808}", "", "64 bits");
	refused(HEAD ",\"x\":-9223372036854775809}", "", "64 bits");
	refused(HEAD ",\"dynamicVariables\":{\"x\":[1e400]}}", "", "64 bits");
	assert_int_equal(read_vars("{\"x\":9223372036854775807,\"y\":-9223372036854775808}"), OK);
	assert_string_equal(call.variables, "{\"x\":9223372036854775807,\"y\":-9223372036854775808}");
}

/* The outermost object and dynamicVariables are two of the levels. */
static enum err read_nested(int levels)
{
	char vars[256] = "{\"x\":";

	memset(vars + strlen(vars), '[', (size_t)levels - 2);
	memset(vars + strlen(vars), ']', (size_t)levels - 2);
	strcat(vars, "}");
	return read_vars(vars);
}

static void nesting_of_32_is_taken_and_33_is_not(void **state)
{
	(void)state;
	assert_int_equal(read_nested(WIRE_NESTING_MAX), OK);
	assert_int_equal(read_nested(WIRE_NESTING_MAX + 1), ERR_INVALID);
	check_only_problem("", "nested deeper than 32");
}

static void a_nesting_bomb_is_refused_before_it_is_parsed(void **state)
{
	char *bomb = xmalloc(60001);

	(void)state;
	memset(bomb, '[', 60000);
	bomb[60000] = '\0';
	refused(bomb, "", "line 1, column 33: nested deeper");
	free(bomb);
}

static void brackets_in_strings_do_not_nest(void **state)
{
	(void)state;
	assert_int_equal(read_vars("{\"x\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[\"}"), OK);
}

static void the_body_must_be_an_object(void **state)
{
	(void)state;
	refused("[]", "", "an array");
	refused("null", "", "null");
	refused("\"x\"", "", "a string");
	refused("17", "", "a number");
	refused("true", "", "a boolean");
}

static void PATH_11_PATH_12_PATH_13_everything_that_is_missing_is_said_at_once(void **state)
{
	(void)state;
	assert_int_equal(read_text("{}"), ERR_INVALID);
	assert_int_equal(problems.count, 3);
	assert_string_equal(problems.items[0].pointer, "/projectId");
	assert_string_equal(problems.items[1].pointer, "/fromNumber");
	assert_string_equal(problems.items[2].pointer, "/toNumber");
	assert_string_equal(problems.items[2].message, "toNumber is required");
}

static void all_mistakes_of_a_body_are_reported_together(void **state)
{
	(void)state;
	assert_int_equal(read_text("{\"projectId\":7,\"fromNumber\":\"\",\"toNumber\":\"123\",\"dynamicVariables\":[]}"),
	                 ERR_INVALID);
	assert_int_equal(problems.count, 4);
	assert_string_equal(problems.items[3].pointer, "/dynamicVariables");
}

static void PATH_17_wrong_types_and_empty_texts_are_refused(void **state)
{
	static const char *const values[] = { "1", "1.5", "null", "true", "{}", "[\"+886912345678\"]", "\"\"" };
	static const char *const names[] = { "projectId", "fromNumber", "toNumber" };
	static const char *const good[] = { "\"p\"", "\"+886912345678\"", "\"+886987654321\"" };
	char body[256], pointer[32];

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			sprintf(body, "{\"projectId\":%s,\"fromNumber\":%s,\"toNumber\":%s}", n == 0 ? values[i] : good[0],
			        n == 1 ? values[i] : good[1], n == 2 ? values[i] : good[2]);
			sprintf(pointer, "/%s", names[n]);
			refused(body, pointer, "must");
		}
	}
}

static void PATH_14_numbers_that_are_not_e164_are_refused_with_the_form_that_would_do(void **state)
{
	static const char *const wrong[] = {
		"886987654321", "+0886987654321", "+88698765432a", "+1234567890123456", "+", "tel:+886987654321",
	};
	char body[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		sprintf(body, "{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"%s\"}", wrong[i]);
		refused(body, "/toNumber", "E.164");
		sprintf(body, "{\"projectId\":\"p\",\"fromNumber\":\"%s\",\"toNumber\":\"+886912345678\"}", wrong[i]);
		refused(body, "/fromNumber", "E.164");
	}
	refused("{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+1 (415) 555-0100\"}",
	        "/toNumber", "+14155550100");
}

static void a_number_cannot_call_itself(void **state)
{
	(void)state;
	refused("{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+886912345678\"}",
	        "/toNumber", "must differ");
}

static void a_project_id_may_have_64_bytes_and_no_more(void **state)
{
	char body[256], id[WIRE_PROJECT_MAX + 2];

	(void)state;
	memset(id, 'p', sizeof id);
	id[WIRE_PROJECT_MAX + 1] = '\0';
	sprintf(body, "{\"projectId\":\"%s\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+886987654321\"}", id);
	refused(body, "/projectId", "64");
	id[WIRE_PROJECT_MAX] = '\0';
	sprintf(body, "{\"projectId\":\"%s\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+886987654321\"}", id);
	assert_int_equal(read_text(body), OK);
	assert_string_equal(call.project, id);
}

static void PATH_16_variables_must_be_an_object(void **state)
{
	static const char *const wrong[] = { "null", "[]", "\"x\"", "1", "true" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(read_vars(wrong[i]), ERR_INVALID);
		check_only_problem("/dynamicVariables", "must be an object");
		assert_null(call.variables);
	}
}

static void PATH_42_variables_keep_the_tokens_of_the_client(void **state)
{
	static const struct { const char *sent, *kept; } cases[] = {
		{ "{\"a\":1.10,\"b\":1E5,\"c\":-0,\"d\":0.1e-7}", "{\"a\":1.10,\"b\":1E5,\"c\":-0,\"d\":0.1e-7}" },
		{ "{\"a\":\"\\u00e9\\/\\n\"}", "{\"a\":\"\\u00e9\\/\\n\"}" },
		{ "{\"a\":\"\\ud83d\\uDE00 \"}", "{\"a\":\"\\ud83d\\uDE00 \"}" },
		{ "{\"z\":1,\"a\":2}", "{\"z\":1,\"a\":2}" },
		{ "{ \"a b\" :\t[ 1 ,\n 2 ] ,\r\n\"c\" : { } }", "{\"a b\":[1,2],\"c\":{}}" },
		{ "{\"a\":\" two  spaces \"}", "{\"a\":\" two  spaces \"}" },
		{ "{\"a\":\"quote \\\" and \\\\\"  }", "{\"a\":\"quote \\\" and \\\\\"}" },
		{ "{\"\":null,\"t\":true ,\"f\": false}", "{\"\":null,\"t\":true,\"f\":false}" },
		{ "{\"客戶\":{\"姓名\":\"王小明\"}}", "{\"客戶\":{\"姓名\":\"王小明\"}}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(read_vars(cases[i].sent), OK);
		assert_string_equal(call.variables, cases[i].kept);
	}
}

static void variables_are_found_wherever_they_stand(void **state)
{
	static const char *const bodies[] = {
		"{\"dynamicVariables\":{\"a\":1}, \"projectId\":\"p\",\"fromNumber\":\"+88691\",\"toNumber\":\"+88692\"}",
		"  {  \"projectId\" : \"dynamicVariables\" , \"fromNumber\":\"+88691\","
		"\"x\":{\"dynamicVariables\":{\"b\":2}},\"y\":[{\"dynamicVariables\":3}],"
		" \"dynamicVariables\"\n:\n{ \"a\" : 1 } ,\"toNumber\":\"+88692\"}",
		"{\"n\":12 ,\"t\":true,\"dynamic\\u0056ariable\\u0073\":{\"a\":1},\"projectId\":\"p\\\"{\","
		"\"fromNumber\":\"+88691\",\"toNumber\":\"+88692\"}",
		"{\"dynamicVariable\":{},\"dynamicVariables2\":{},\"dynamicVariables\":{\"a\":1},\"projectId\":\"p\","
		"\"fromNumber\":\"+88691\",\"toNumber\":\"+88692\"}",
		"{\"\\\\u0064ynamicVariables\":{},\"\\tynamicVariables\":{},\"dynamicVariables\":{\"a\":1},"
		"\"projectId\":\"p\",\"fromNumber\":\"+88691\",\"toNumber\":\"+88692\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		assert_int_equal(read_text(bodies[i]), OK);
		assert_string_equal(call.variables, "{\"a\":1}");
	}
}

/* {"x":"aaa…"} of exactly `size` bytes, with white space between the tokens if wanted. */
static enum err read_sized(size_t size, const char *space)
{
	char *vars = xmalloc(size + 64);
	size_t at = (size_t)sprintf(vars, "{%s\"x\":%s\"", space, space);
	enum err err;

	memset(vars + at, 'a', size - 8);
	strcpy(vars + at + size - 8, "\"}");
	err = read_vars(vars);
	free(vars);
	return err;
}

static void variables_of_16384_bytes_are_taken_and_16385_are_not(void **state)
{
	(void)state;
	assert_int_equal(read_sized(WIRE_VARIABLES_MAX, ""), OK);
	assert_int_equal(strlen(call.variables), WIRE_VARIABLES_MAX);
	assert_int_equal(read_sized(WIRE_VARIABLES_MAX, " \n\t "), OK);
	assert_int_equal(strlen(call.variables), WIRE_VARIABLES_MAX);
	assert_int_equal(read_sized(WIRE_VARIABLES_MAX + 1, ""), ERR_INVALID);
	check_only_problem("/dynamicVariables", "16385 bytes");
	assert_null(call.variables);
}

/* ── what may be said beyond the three texts and the variables ──────────────────── */

/* The body with these members more. */
static enum err read_more(const char *members)
{
	char *body = xmalloc(strlen(members) + 256);
	enum err err;

	sprintf(body, HEAD ",%s}", members);
	err = read_text(body);
	free(body);
	return err;
}

static void refused_member(const char *members, const char *pointer, const char *words)
{
	if (read_more(members) != ERR_INVALID)
		fail_msg("%s was taken", members);
	check_only_problem(pointer, words);
}

static void all_that_is_optional_is_taken(void **state)
{
	(void)state;
	assert_int_equal(read_more("\"metadata\":{ \"crm\" : 1.10 },\"ringTimeoutSeconds\":45,\"maxDurationSeconds\":600,"
	                           "\"scheduledAt\":\"2026-11-20T17:00:00+08:00\",\"expiresAt\":\"2026-11-20T10:00:00Z\","
	                           "\"priority\":\"low\",\"idempotencyKey\":\"k-1\""), OK);
	assert_string_equal(call.metadata, "{\"crm\":1.10}");
	assert_int_equal(call.ring_timeout_s, 45);
	assert_int_equal(call.max_duration_s, 600);
	assert_int_equal(call.scheduled_ms, NOW + 28 * 60000);
	assert_int_equal(call.expires_ms, NOW + 88 * 60000);
	assert_int_equal(call.prio, 2);
	assert_string_equal(call.idem_key, "k-1");
}

static void what_is_not_sent_is_as_usual(void **state)
{
	(void)state;
	assert_int_equal(read_text(HEAD "}"), OK);
	assert_null(call.metadata);
	assert_int_equal(call.ring_timeout_s, 0);
	assert_int_equal(call.max_duration_s, 0);
	assert_int_equal(call.scheduled_ms, 0);
	assert_int_equal(call.expires_ms, 0);
	assert_int_equal(call.prio, WIRE_PRIO_NORMAL);
	assert_string_equal(call.idem_key, "");
}

static void metadata_is_an_object_of_16384_bytes_at_most(void **state)
{
	char *text = xmalloc(WIRE_METADATA_MAX + 64);
	int room = WIRE_METADATA_MAX - 8;

	(void)state;
	sprintf(text, "\"metadata\": { \"x\" : \"%0*d\" }", room, 0);
	assert_int_equal(read_more(text), OK);
	assert_int_equal(strlen(call.metadata), WIRE_METADATA_MAX);
	sprintf(text, "\"metadata\":{\"x\":\"%0*d\"}", room + 1, 0);
	refused_member(text, "/metadata", "16385 bytes");
	assert_null(call.metadata);
	refused_member("\"metadata\":[]", "/metadata", "must be an object, not an array");
	refused_member("\"metadata\":null", "/metadata", "leave it out");
	free(text);
}

static void seconds_are_whole_and_within_their_bounds(void **state)
{
	static const char *const wrong[] = { "4", "81", "-5", "0", "45.0", "45.5", "9223372036854775807", "-1e2" };
	char member[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		sprintf(member, "\"ringTimeoutSeconds\":%s", wrong[i]);
		refused_member(member, "/ringTimeoutSeconds", "whole number from 5 to 80");
		assert_int_equal(call.ring_timeout_s, 0);
	}
	refused_member("\"ringTimeoutSeconds\":\"45\"", "/ringTimeoutSeconds", "must be a number, not a string");
	refused_member("\"ringTimeoutSeconds\":null", "/ringTimeoutSeconds", "leave it out");
	refused_member("\"maxDurationSeconds\":0", "/maxDurationSeconds", "from 1 to 86400");
	refused_member("\"maxDurationSeconds\":86401", "/maxDurationSeconds", "from 1 to 86400");
	refused_member("\"maxDurationSeconds\":true", "/maxDurationSeconds", "a boolean");
	assert_int_equal(read_more("\"ringTimeoutSeconds\":5,\"maxDurationSeconds\":1"), OK);
	assert_int_equal(read_more("\"ringTimeoutSeconds\":80,\"maxDurationSeconds\":86400"), OK);
}

static void a_call_may_be_planned_thirty_days_ahead(void **state)
{
	(void)state;
	assert_int_equal(read_more("\"scheduledAt\":\"2026-12-20T08:32:00Z\""), OK);
	refused_member("\"scheduledAt\":\"2026-12-20T08:32:00.001Z\"", "/scheduledAt", "more than 30 days");
	assert_int_equal(call.late, 0);
	refused_member("\"scheduledAt\":\"tomorrow\"", "/scheduledAt", "RFC 3339");
	refused_member("\"scheduledAt\":\"2026-11-20T09:00:00\"", "/scheduledAt", "offset");
	refused_member("\"scheduledAt\":1795163520", "/scheduledAt", "must be a string, not a number");
	assert_int_equal(call.scheduled_ms, 0);
}

static void now_may_lie_five_minutes_back_and_no_more(void **state)
{
	(void)state;
	assert_int_equal(read_more("\"scheduledAt\":\"2026-11-20T08:27:00Z\""), OK);
	assert_int_equal(call.late, 0);
	refused_member("\"scheduledAt\":\"2026-11-20T08:26:59.999Z\"", "/scheduledAt", "in the past");
	assert_int_equal(call.late, 1);
	refused_member("\"scheduledAt\":\"1970-01-01T00:00:00Z\"", "/scheduledAt", "in the past");
}

static void a_call_expires_later_than_now_and_than_it_is_planned_for(void **state)
{
	(void)state;
	assert_int_equal(read_more("\"expiresAt\":\"2026-11-20T08:32:00.001Z\""), OK);
	assert_int_equal(read_more("\"expiresAt\":\"2026-12-21T08:32:00Z\""), OK);
	refused_member("\"expiresAt\":\"2026-12-21T08:32:00.001Z\"", "/expiresAt", "more than 31 days");
	refused_member("\"expiresAt\":\"2026-11-20T08:32:00Z\"", "/expiresAt", "in the past");
	assert_int_equal(call.late, 1);
	assert_int_equal(call.expires_ms, 0);
	refused_member("\"scheduledAt\":\"2026-11-20T09:00:00Z\",\"expiresAt\":\"2026-11-20T09:00:00Z\"", "/expiresAt",
	               "after scheduledAt");
	assert_int_equal(call.late, 0);
}

static void times_that_passed_since_are_told_from_other_mistakes(void **state)
{
	(void)state;
	assert_int_equal(read_more("\"scheduledAt\":\"2026-11-20T08:00:00Z\",\"expiresAt\":\"2026-11-20T08:30:00Z\""),
	                 ERR_INVALID);
	assert_int_equal(problems.count, 2);
	assert_int_equal(call.late, 2);
	assert_int_equal(read_more("\"scheduledAt\":\"2026-11-20T08:00:00Z\",\"priority\":1"), ERR_INVALID);
	assert_int_equal(problems.count, 2);
	assert_int_equal(call.late, 1);
}

static void there_are_three_priorities(void **state)
{
	(void)state;
	assert_int_equal(read_more("\"priority\":\"high\""), OK);
	assert_int_equal(call.prio, 0);
	assert_int_equal(read_more("\"priority\":\"normal\""), OK);
	assert_int_equal(call.prio, 1);
	refused_member("\"priority\":\"HIGH\"", "/priority", "\"high\", \"normal\" or \"low\"");
	refused_member("\"priority\":\"\"", "/priority", "empty");
	refused_member("\"priority\":0", "/priority", "must be a string");
	assert_int_equal(call.prio, WIRE_PRIO_NORMAL);
}

static void a_key_of_the_body_has_255_visible_characters_at_most(void **state)
{
	char member[512];

	(void)state;
	sprintf(member, "\"idempotencyKey\":\"%0255d\"", 0);
	assert_int_equal(read_more(member), OK);
	assert_int_equal(strlen(call.idem_key), 255);
	sprintf(member, "\"idempotencyKey\":\"%0256d\"", 0);
	refused_member(member, "/idempotencyKey", "1 to 255");
	assert_string_equal(call.idem_key, "");
	refused_member("\"idempotencyKey\":\"a b\"", "/idempotencyKey", "visible");
	refused_member("\"idempotencyKey\":\"é\"", "/idempotencyKey", "ASCII");
	refused_member("\"idempotencyKey\":\"\"", "/idempotencyKey", "empty");
	refused_member("\"idempotencyKey\":7", "/idempotencyKey", "must be a string");
}

static void what_is_valid_is_read_beside_what_is_not(void **state)
{
	(void)state;
	assert_int_equal(read_text("{\"projectId\":\"p\",\"fromNumber\":\"x\",\"toNumber\":\"+886987654321\","
	                           "\"dynamicVariables\":{\"a\":1},\"metadata\":[],\"priority\":\"low\","
	                           "\"ringTimeoutSeconds\":3,\"maxDurationSeconds\":60}"), ERR_INVALID);
	assert_int_equal(problems.count, 3);
	assert_string_equal(call.project, "p");
	assert_string_equal(call.from, "");
	assert_string_equal(call.to, "+886987654321");
	assert_string_equal(call.variables, "{\"a\":1}");
	assert_int_equal(call.prio, 2);
	assert_int_equal(call.max_duration_s, 60);
}

/* ── keys in a header, and what they stand for ──────────────────────────────────── */

static void a_key_is_the_same_with_quotes_and_without(void **state)
{
	static const struct { const char *header, *key; } cases[] = {
		{ "8e03978e-40d5", "8e03978e-40d5" }, { "\"8e03978e-40d5\"", "8e03978e-40d5" },
		{ " \t a \t", "a" },                  { " \"a\" ", "a" },
		{ "\"a\\\"b\\\\c\"", "a\"b\\c" },     { "a\"b", "a\"b" },
	};
	char key[WIRE_IDEM_KEY_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(wire_idem_header(cases[i].header, key));
		assert_string_equal(key, cases[i].key);
	}
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const headers[] = {
		"", "  ", "\"\"", "\"", "\"a", "\"a\\\"", "\"a\\n\"", "\"a\"b", "\"a\";x=1", "\"a\" \"b\"", "a b", "\"a b\"",
		"a\xc3\xa9", "\"a\x7f\"",
	};
	char key[WIRE_IDEM_KEY_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		if (wire_idem_header(headers[i], key))
			fail_msg("%s was taken as %s", headers[i], key);
}

static void a_key_has_255_characters_at_most_with_quotes_and_without(void **state)
{
	char header[600], key[WIRE_IDEM_KEY_SIZE];

	(void)state;
	sprintf(header, "%0255d", 0);
	assert_true(wire_idem_header(header, key));
	sprintf(header, "\"%0255d\"", 0);
	assert_true(wire_idem_header(header, key));
	assert_int_equal(strlen(key), 255);
	sprintf(header, "%0256d", 0);
	assert_false(wire_idem_header(header, key));
	sprintf(header, "\"%0256d\"", 0);
	assert_false(wire_idem_header(header, key));
	sprintf(header, "\"%0500d\"", 0);
	assert_false(wire_idem_header(header, key));
}

static void a_bodys_print_does_not_depend_on_white_space(void **state)
{
	static const char a[] = "{\"a\":[1,\"x y\"]}", b[] = " { \"a\" : [ 1 ,\n\"x y\" ] } ", c[] = "{\"a\":[1,\"xy\"]}";
	uint8_t pa[SHA256_SIZE], pb[SHA256_SIZE], pc[SHA256_SIZE];

	(void)state;
	wire_body_print(a, strlen(a), pa);
	wire_body_print(b, strlen(b), pb);
	wire_body_print(c, strlen(c), pc);
	assert_memory_equal(pa, pb, SHA256_SIZE);
	assert_memory_not_equal(pa, pc, SHA256_SIZE);
}

static void problems_past_the_ceiling_are_left_out(void **state)
{
	struct wire_problems ps = { .count = 0 };

	(void)state;
	for (int i = 0; i < WIRE_PROBLEMS_MAX + 3; i++)
		wire_problem_add(&ps, "/x", "%d", i);
	assert_int_equal(ps.count, WIRE_PROBLEMS_MAX);
	assert_string_equal(ps.items[WIRE_PROBLEMS_MAX - 1].message, "15");
}

#define T(f) cmocka_unit_test_teardown(f, drop_call)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_complete_body_is_taken),
		T(variables_may_be_absent_or_empty),
		T(PATH_18_PATH_19_an_agent_selector_and_unknown_members_are_ignored),
		T(what_is_not_json_is_refused_with_its_place),
		T(a_truncated_body_is_refused_wherever_it_was_cut),
		T(trailing_data_is_refused),
		T(duplicate_keys_are_refused_at_every_level),
		T(u0000_is_refused_as_escape_and_as_byte),
		T(lone_surrogates_are_refused),
		T(invalid_utf8_is_refused),
		T(numbers_past_64_bits_are_refused_anywhere),
		T(nesting_of_32_is_taken_and_33_is_not),
		T(a_nesting_bomb_is_refused_before_it_is_parsed),
		T(brackets_in_strings_do_not_nest),
		T(the_body_must_be_an_object),
		T(PATH_11_PATH_12_PATH_13_everything_that_is_missing_is_said_at_once),
		T(all_mistakes_of_a_body_are_reported_together),
		T(PATH_17_wrong_types_and_empty_texts_are_refused),
		T(PATH_14_numbers_that_are_not_e164_are_refused_with_the_form_that_would_do),
		T(a_number_cannot_call_itself),
		T(a_project_id_may_have_64_bytes_and_no_more),
		T(PATH_16_variables_must_be_an_object),
		T(PATH_42_variables_keep_the_tokens_of_the_client),
		T(variables_are_found_wherever_they_stand),
		T(variables_of_16384_bytes_are_taken_and_16385_are_not),
		T(all_that_is_optional_is_taken),
		T(what_is_not_sent_is_as_usual),
		T(metadata_is_an_object_of_16384_bytes_at_most),
		T(seconds_are_whole_and_within_their_bounds),
		T(a_call_may_be_planned_thirty_days_ahead),
		T(now_may_lie_five_minutes_back_and_no_more),
		T(a_call_expires_later_than_now_and_than_it_is_planned_for),
		T(times_that_passed_since_are_told_from_other_mistakes),
		T(there_are_three_priorities),
		T(a_key_of_the_body_has_255_visible_characters_at_most),
		T(what_is_valid_is_read_beside_what_is_not),
		T(a_key_is_the_same_with_quotes_and_without),
		T(what_is_no_key_is_refused),
		T(a_key_has_255_characters_at_most_with_quotes_and_without),
		T(a_bodys_print_does_not_depend_on_white_space),
		T(problems_past_the_ceiling_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
