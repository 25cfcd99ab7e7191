/* When problem details are asked for, and what they are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "callgate/mem.h"
#include "callgate/problem.h"

#define P "application/problem+json"

static void who_does_not_name_problem_details_gets_plain_json(void **state)
{
	static const char *const headers[] = {
		"", " ", ",", "*/*", "application/*", "application/json", "text/html,application/xhtml+xml,*/*;q=0.8",
		"application/json, text/plain, */*", "application/problem+jsonx", "application/problem", "problem+json",
		"application/problem+xml", "x/y;a=\"," P ",\"", P ";q=0", P ";q=0.000", P ";q=x", P ";q=", P ";q=2",
	};

	(void)state;
	assert_false(problem_wanted(NULL));
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		if (problem_wanted(headers[i]))
			fail_msg("'%s' asks for problem details", headers[i]);
}

static void who_names_them_and_likes_them_no_less_gets_problem_details(void **state)
{
	static const char *const headers[] = {
		P, "Application/Problem+JSON", " \t" P " ", P ";charset=utf-8", P ", application/json", "application/json," P,
		"application/json;q=0.9, " P, P ";q=0.5, application/json;q=0.5", P ";q=0.001", P ", */*", "*/*;q=0.1," P ";q=0.1",
		"text/html;x=\"a,b;q=0\"," P ";Q=1.000", ",," P ",", P ";q=0.2, application/json;q=0.1, */*;q=0.9",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		if (!problem_wanted(headers[i]))
			fail_msg("'%s' does not ask for problem details", headers[i]);
}

static void who_likes_plain_json_better_gets_plain_json(void **state)
{
	static const char *const headers[] = {
		P ";q=0.5, application/json", "application/json;q=0.9," P ";q=0.8", P ";q=0.5, */*", P ";q=0.5, application/*;q=0.6",
		"*/*;q=0.1, " P ";q=0.5, application/json;q=0.501",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		if (problem_wanted(headers[i]))
			fail_msg("'%s' asks for problem details", headers[i]);
}

static void a_problem_is_named_by_its_code(void **state)
{
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 256);
	problem_members(&b, 409, "destination_busy");
	assert_string_equal(b.data, "\"type\":\"/problems/destination_busy\",\"title\":\"Destination busy\",\"status\":409");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_does_not_name_problem_details_gets_plain_json),
		cmocka_unit_test(who_names_them_and_likes_them_no_less_gets_problem_details),
		cmocka_unit_test(who_likes_plain_json_better_gets_plain_json),
		cmocka_unit_test(a_problem_is_named_by_its_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
