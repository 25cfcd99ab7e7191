/* Paths, methods, health, and the table of errors: what needs no key and no database. */
#include "api_fixture.h"

#include "errors.h"
#include "router.h"

static void check_refusal(const char *method, const char *path, int status, const char *allow)
{
	struct fake_request *f = request_new(method, path, "");

	send_request(f);
	assert_true(f->refused);
	assert_int_equal(f->reply.status, status);
	if (allow)
		assert_string_equal(reply_header(f, "Allow"), allow);
	else
		assert_null(reply_header(f, "Allow"));
	if (status != 204)
		CHECK_BODY_HAS(f, "\"requestId\":\"req-1\"");
	request_free(f);
}

static void an_unknown_path_is_404(void **state)
{
	static const char *const paths[] = {
		"/", "", "/v1", "/v1/call", "/v1/calls/", "/v1/events/", "/v1/calls/x/events/y", "/v1/calls/outbound/",
		"/v1/calls/x/y", "/v1/calls//", "/V1/calls/outbound", "/healthz/", "/v2/calls/outbound", "*",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		check_refusal("GET", paths[i], 404, NULL);
		check_refusal("POST", paths[i], 404, NULL);
		check_refusal("OPTIONS", paths[i], 404, NULL);
	}
}

static void PATH_10_a_wrong_method_is_405_with_the_methods_allowed(void **state)
{
	static const char *const methods[] = { "GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "post", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		check_refusal(methods[i], "/v1/calls/outbound", 405, "POST, OPTIONS");
	check_refusal("POST", "/v1/calls/0198c5f2-0000-7000-8000-000000000000", 405, "GET, HEAD, PATCH, OPTIONS");
	check_refusal("POST", "/healthz", 405, "GET, HEAD, OPTIONS");
}

static void options_is_answered_without_a_body(void **state)
{
	(void)state;
	check_refusal("OPTIONS", "/v1/calls/outbound", 204, "POST, OPTIONS");
	check_refusal("OPTIONS", "/v1/calls/x", 204, "GET, HEAD, PATCH, OPTIONS");
	check_refusal("OPTIONS", "/readyz", 204, "GET, HEAD, OPTIONS");
}

static void head_is_found_where_get_is(void **state)
{
	struct route_found get, head;

	(void)state;
	router_find("GET", "/v1/calls/x", &get);
	router_find("HEAD", "/v1/calls/x", &head);
	assert_non_null(get.route);
	assert_ptr_equal(get.route, head.route);
}

static void a_literal_path_stands_before_a_pattern(void **state)
{
	struct route_found f;

	(void)state;
	router_find("POST", "/v1/calls/outbound", &f);
	assert_string_equal(f.route->pattern, "/v1/calls/outbound");
	router_find("GET", "/v1/calls/outbound2", &f);
	assert_string_equal(f.route->pattern, "/v1/calls/{id}");
}

static void a_pattern_gives_what_stands_in_its_place(void **state)
{
	struct route_args args;

	(void)state;
	assert_true(router_match("/a/{id}/b", "/a/xyz/b", &args));
	assert_int_equal(args.id_len, 3);
	assert_memory_equal(args.id, "xyz", 3);
	assert_false(router_match("/a/{id}/b", "/a//b", &args));
	assert_false(router_match("/a/{id}/b", "/a/xyz", &args));
	assert_false(router_match("/a/{id}", "/a/x/y", &args));
	assert_true(router_match("/a/{id}", "/a/{id}", &args));
}

static void healthz_is_200_while_serving_even_when_nothing_is_ready(void **state)
{
	(void)state;
	world.readiness = (struct api_readiness){ .ready = false };
	CHECK_ANSWER(request_new("GET", "/healthz", ""), 200, "ok");
	api_quiesce(api);
	CHECK_ANSWER(request_new("HEAD", "/healthz", ""), 200, "ok");
}

static void readyz_says_what_is_well(void **state)
{
	struct fake_request *f = request_new("GET", "/readyz", "");

	(void)state;
	send_request(f);
	assert_int_equal(f->reply.status, 200);
	assert_string_equal(f->reply.body,
	                    "{\"status\":\"ready\",\"database\":true,\"schema\":true,\"scheduler\":true,"
	                    "\"breakers\":{\"open\":0,\"halfOpen\":0}}");
	request_free(f);

	world.readiness = (struct api_readiness){ .ready = false, .database = true, .breakers_open = 3,
	                                             .breakers_half_open = 1, .text = "password=secret" };
	f = request_new("GET", "/readyz", "");
	send_request(f);
	assert_int_equal(f->reply.status, 503);
	assert_string_equal(f->reply.body,
	                    "{\"status\":\"not_ready\",\"database\":true,\"schema\":false,\"scheduler\":false,"
	                    "\"breakers\":{\"open\":3,\"halfOpen\":1}}");
	request_free(f);
}

static void readyz_is_503_while_shutting_down(void **state)
{
	struct fake_request *f = request_new("GET", "/readyz", "");

	(void)state;
	api_quiesce(api);
	send_request(f);
	assert_int_equal(f->reply.status, 503);
	CHECK_BODY_HAS(f, "shutting_down");
	request_free(f);
}

static void every_error_has_a_status_a_code_of_its_own_and_words(void **state)
{
	(void)state;
	for (int i = 1; i < API_ERROR_COUNT; i++) {
		const struct api_error_info *info = api_error_info((enum api_error)i);

		assert_in_range(info->status, 400, 503);
		assert_true(info->code[0] && info->text[0]);
		assert_int_equal(strspn(info->code, "abcdefghijklmnopqrstuvwxyz_"), strlen(info->code));
		for (int k = 1; k < i; k++)
			assert_string_not_equal(info->code, api_error_info((enum api_error)k)->code);
	}
}

static void every_outcome_of_the_database_has_the_status_that_is_promised(void **state)
{
	static const int statuses[] = {
		[ADMIT_ACCEPTED] = 200, [ADMIT_KEY_UNKNOWN] = 401, [ADMIT_BODY_INVALID] = 400,
		[ADMIT_PROJECT_DENIED] = 403, [ADMIT_NUMBER_UNKNOWN] = 404, [ADMIT_POOL_DENIED] = 403,
		[ADMIT_NUMBER_INACTIVE] = 400, [ADMIT_NO_TRUNK] = 404, [ADMIT_NO_CREDITS] = 402,
		[ADMIT_BUSY] = 409, [ADMIT_TOO_LONG] = 400, [ADMIT_KEY_REUSED] = 422, [ADMIT_KEY_RUNNING] = 409,
		[ADMIT_FAILED] = 500, [ADMIT_PENDING] = 500,
	};

	(void)state;
	assert_int_equal(ARRAY_LEN(statuses), ADMIT_OUTCOME_COUNT);
	for (int i = 0; i < ADMIT_OUTCOME_COUNT; i++)
		assert_int_equal(api_error_info(api_error_of_admit((enum admit_outcome)i))->status, statuses[i]);
	for (int i = 0; i < ERR_COUNT; i++)
		assert_int_not_equal(api_error_of_err((enum err)i), API_OK);
	assert_int_equal(api_error_of_err(ERR_UNAVAILABLE), API_DATABASE_AWAY);
	assert_int_equal(api_error_of_err(ERR_UNCERTAIN), API_OUTCOME_UNKNOWN);
	assert_int_equal(api_error_of_read(READ_NOT_FOUND), API_CALL_UNKNOWN);
	assert_int_equal(api_error_of_read(READ_KEY_UNKNOWN), API_CREDENTIALS_INVALID);
}

static void the_largest_error_fits_its_ceiling(void **state)
{
	struct fake_request *f = request_new("POST", "/v1/calls/outbound", "");
	struct wire_problems ps = { .count = 0 };
	char control[WIRE_PROBLEM_TEXT];

	(void)state;
	memset(control, 1, sizeof control - 1);
	control[sizeof control - 1] = '\0';
	for (int i = 0; i < WIRE_PROBLEMS_MAX; i++)
		wire_problem_add(&ps, "/dynamicVariables", "%s", control);
	error_fill(&f->reply, &f->rq, API_VALIDATION_FAILED, &ps, NULL);
	assert_true(f->reply.body[f->reply.body_len - 1] == '}');
	request_free(f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, start_api, stop_api)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_unknown_path_is_404),
		T(PATH_10_a_wrong_method_is_405_with_the_methods_allowed),
		T(options_is_answered_without_a_body),
		T(head_is_found_where_get_is),
		T(a_literal_path_stands_before_a_pattern),
		T(a_pattern_gives_what_stands_in_its_place),
		T(healthz_is_200_while_serving_even_when_nothing_is_ready),
		T(readyz_says_what_is_well),
		T(readyz_is_503_while_shutting_down),
		T(every_error_has_a_status_a_code_of_its_own_and_words),
		T(every_outcome_of_the_database_has_the_status_that_is_promised),
		T(the_largest_error_fits_its_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
