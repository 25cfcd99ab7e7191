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

static struct wire_create_call call;
static struct wire_problems problems;

/* From a block of exactly its size (and the NUL), so that the sanitizer sees a read past it. */
static enum err read_bytes(const char *body, size_t len)
{
	char *copy = xcalloc(1, len + 1);
	enum err err;

	memcpy(copy, body, len);
	wire_create_call_done(&call);
	err = wire_create_call_read(copy, len, &call, &problems);
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
	assert_null(call.variables);
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
}

static void problems_past_the_ceiling_are_left_out(void **state)
{
	struct wire_problems ps = { .count = 0 };

	(void)state;
	for (int i = 0; i < WIRE_PROBLEMS_MAX + 3; i++)
		wire_problem_add(&ps, "/x", "%d", i);
	assert_int_equal(ps.count, WIRE_PROBLEMS_MAX);
	assert_string_equal(ps.items[WIRE_PROBLEMS_MAX - 1].message, "7");
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
		T(problems_past_the_ceiling_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
