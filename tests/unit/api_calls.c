/* Creating and reading calls, from the request to the answer, with a database that does
 * what a test says. */
#include "api_fixture.h"

#define SOME_CALL "/v1/calls/0198c5f2-1234-7abc-8def-0123456789ab"

/* ── what the database does ─────────────────────────────────────────────────────── */

/* As the real one: with a good key, a bad body is the next thing that is wrong. */
static enum err admit_all(struct admission **items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		items[i]->outcome = items[i]->body_ok ? ADMIT_ACCEPTED : ADMIT_BODY_INVALID;
		items[i]->queued = items[i]->body_ok;
		items[i]->lane = (struct lane_key){ .org_id = 7, .project_id = 1, .trunk_id = 1, .prio = 1 };
	}
	return OK;
}

static enum err admit_no_key(struct admission **items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		items[i]->outcome = ADMIT_KEY_UNKNOWN;
	return OK;
}

static enum err admit_one_failed(struct admission **items, size_t n)
{
	admit_all(items, n);
	for (size_t i = 0; i < n; i++)
		if (items[i]->variables)
			items[i]->outcome = ADMIT_FAILED;
	return OK;
}

static enum admit_outcome next_outcome;

static enum err admit_as_said(struct admission **items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		items[i]->outcome = next_outcome;
	return OK;
}

static enum err admit_away(struct admission **items, size_t n)
{
	(void)items;
	(void)n;
	return ERR_UNAVAILABLE;
}

static enum err admit_uncertain(struct admission **items, size_t n)
{
	(void)items;
	(void)n;
	return ERR_UNCERTAIN;
}

/* Calls with variables were settled before the connection went. */
static enum err admit_half(struct admission **items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (items[i]->variables)
			items[i]->outcome = ADMIT_ACCEPTED;
	return ERR_UNAVAILABLE;
}

static enum err admit_broken(struct admission **items, size_t n)
{
	(void)items;
	(void)n;
	return ERR_INTERNAL;
}

static enum err read_one(struct call_read **items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		items[i]->outcome = READ_FOUND;
		items[i]->call = (struct call_record){
			.id = items[i]->call_id, .project = "p", .from = "+88691", .to = "+88692",
			.variables = xstrdup("{\"a\":1}"), .created_ms = 1795163520123,
		};
	}
	return OK;
}

static struct id asked_for;

static enum err read_none(struct call_read **items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		items[i]->outcome = READ_NOT_FOUND;
		asked_for = items[i]->call_id;
	}
	return OK;
}

static enum err read_no_key(struct call_read **items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		items[i]->outcome = READ_KEY_UNKNOWN;
	return OK;
}

static enum err read_away(struct call_read **items, size_t n)
{
	(void)items;
	(void)n;
	return ERR_UNAVAILABLE;
}

/* ── creating ───────────────────────────────────────────────────────────────────── */

static void PATH_36_an_accepted_call_is_200_with_its_id_and_place(void **state)
{
	struct fake_request *f = create_request(GOOD_BODY);
	char location[64];
	char id[ID_TEXT_SIZE];
	struct id parsed;

	(void)state;
	world.admit = admit_all;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 200);
	assert_int_equal(sscanf(f->reply.body, "{\"success\":true,\"callId\":\"%36[0-9a-f-]\",\"status\":\"queued\"}", id), 1);
	assert_true(id_parse(id, &parsed));
	sprintf(location, "/v1/calls/%s", id);
	assert_string_equal(reply_header(f, "Location"), location);
	assert_int_equal(f->reply.body_len, strlen(f->reply.body));
	request_free(f);
}

/* world.admit is not set: whoever asks the database aborts the test. */
static void PATH_03_PATH_05_PATH_06_no_key_or_no_key_of_ours_is_401_without_the_database(void **state)
{
	static const char *const headers[] = {
		"", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "dk_abc", "Bearer dk_abc", "Bearer x y",
		"Bearerdk_abc", "Digest username=\"x\"", "Bearer \xff\xfe",
	};

	(void)state;
	CHECK_ANSWER(request_new("POST", "/v1/calls/outbound", GOOD_BODY), 401, CODE("credentials_missing"));
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		CHECK_ANSWER(with_header(request_new("POST", "/v1/calls/outbound", GOOD_BODY), "Authorization", headers[i]),
		             401, "\"code\":\"credentials_");
	CHECK_ANSWER(with_key(request_new("POST", "/v1/calls/outbound", GOOD_BODY), kros_key), 401,
	             CODE("credentials_invalid"));
	assert_int_equal(world.statements, 0);
}

static void a_401_names_the_scheme(void **state)
{
	struct fake_request *f = request_new("POST", "/v1/calls/outbound", "");

	(void)state;
	send_request(f);
	assert_string_equal(reply_header(f, "WWW-Authenticate"), "Bearer");
	request_free(f);
}

static void the_scheme_is_read_in_any_case(void **state)
{
	struct fake_request *f = request_new("POST", "/v1/calls/outbound", GOOD_BODY);
	char value[KEY_TEXT_SIZE + 16];

	(void)state;
	world.admit = admit_all;
	sprintf(value, "bEARER   %s ", dk_key);
	CHECK_ANSWER(with_header(with_header(f, "authorization", value), "content-type", "application/json"), 200, "queued");
}

static void PATH_08_an_unknown_key_with_a_bad_body_is_401_and_tells_nothing_of_the_body(void **state)
{
	struct fake_request *f = create_request("{broken");

	(void)state;
	world.admit = admit_no_key;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 401);
	assert_null(strstr(f->reply.body, "details"));
	request_free(f);
}

static void a_good_key_with_a_bad_body_is_400_with_all_mistakes(void **state)
{
	struct fake_request *f = create_request("{\"projectId\":1,\"toNumber\":\"x\"}");

	(void)state;
	world.admit = admit_all;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 400);
	CHECK_BODY_HAS(f, CODE("validation_failed"));
	CHECK_BODY_HAS(f, "\"success\":false");
	CHECK_BODY_HAS(f, "{\"pointer\":\"/projectId\",\"message\":");
	CHECK_BODY_HAS(f, "{\"pointer\":\"/fromNumber\",\"message\":");
	CHECK_BODY_HAS(f, "{\"pointer\":\"/toNumber\",\"message\":");
	CHECK_BODY_HAS(f, "\"requestId\":\"req-1\"");
	request_free(f);
}

static void PATH_09_only_application_json_is_taken(void **state)
{
	static const char *const wrong[] = {
		"text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json2", "",
		"application/problem+json", "json",
	};
	static const char *const good[] = {
		"application/json", "Application/JSON", "application/json;charset=utf-8", "application/json ; charset=UTF-8",
	};
	const char *path = "/v1/calls/outbound";

	(void)state;
	world.admit = admit_all;
	CHECK_ANSWER(with_key(request_new("POST", path, GOOD_BODY), dk_key), 400, "Content-Type");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		CHECK_ANSWER(with_header(with_key(request_new("POST", path, GOOD_BODY), dk_key), "Content-Type", wrong[i]),
		             400, "\"details\":[{\"pointer\":\"\",\"message\":\"the header Content-Type");
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK_ANSWER(with_header(with_key(request_new("POST", path, GOOD_BODY), dk_key), "Content-Type", good[i]),
		             200, "queued");
}

static char *body_of(size_t size)
{
	char *body = xmalloc(size + 1);

	memset(body, ' ', size);
	body[size] = '\0';
	memcpy(body, GOOD_BODY, strlen(GOOD_BODY));
	return body;
}

static void a_body_of_64_kib_is_taken_and_one_byte_more_is_413(void **state)
{
	CLEANUP(freep) char *full = body_of(65536);
	CLEANUP(freep) char *over = body_of(65537);

	(void)state;
	world.admit = admit_all;
	CHECK_ANSWER(create_request(full), 200, "queued");
	CHECK_ANSWER(create_request(over), 413, CODE("body_too_large"));
	CHECK_ANSWER(request_new("POST", "/v1/calls/outbound", over), 401, CODE("credentials_missing"));
}

static void every_refusal_of_the_database_has_its_code(void **state)
{
	static const struct { enum admit_outcome outcome; int status; const char *code; } cases[] = {
		{ ADMIT_KEY_UNKNOWN,     401, CODE("credentials_invalid")  },
		{ ADMIT_PROJECT_DENIED,  403, CODE("project_forbidden")    },
		{ ADMIT_NUMBER_UNKNOWN,  404, CODE("number_not_found")     },
		{ ADMIT_POOL_DENIED,     403, CODE("number_forbidden")     },
		{ ADMIT_NUMBER_INACTIVE, 400, CODE("number_inactive")      },
		{ ADMIT_NO_TRUNK,        404, CODE("trunk_not_configured") },
		{ ADMIT_NO_CREDITS,      402, CODE("insufficient_credits") },
		{ ADMIT_BUSY,            409, CODE("destination_busy")     },
		{ ADMIT_FAILED,          500, CODE("internal_error")       },
	};

	(void)state;
	world.admit = admit_as_said;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		next_outcome = cases[i].outcome;
		CHECK_ANSWER(create_request(GOOD_BODY), cases[i].status, cases[i].code);
	}
	assert_int_equal(world.lanes_told, 0);
}

static void an_absent_database_is_503_and_worth_a_retry(void **state)
{
	struct fake_request *f = create_request(GOOD_BODY);

	(void)state;
	world.admit = admit_away;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 503);
	CHECK_BODY_HAS(f, CODE("database_unavailable"));
	assert_string_equal(reply_header(f, "Retry-After"), "1");
	request_free(f);
}

static void an_unknown_fate_is_500_with_the_id_to_look_for(void **state)
{
	(void)state;
	world.admit = admit_uncertain;
	CHECK_ANSWER(create_request(GOOD_BODY), 500, "\"code\":\"outcome_unknown\",\"callId\":\"0");
}

static void what_was_settled_before_a_failure_is_answered_as_such(void **state)
{
	(void)state;
	world.admit = admit_half;
	CHECK_ANSWER(create_request(GOOD_BODY), 503, "\"code\":\"database_unavailable\"");
	CHECK_ANSWER(create_request(BODY_WITH_VARIABLES), 200, "\"success\":true");
}

static void nobody_is_told_before_the_call_is_on_disk(void **state)
{
	(void)state;
	world.admit = admit_all;
	world.flush = ERR_UNCERTAIN;
	CHECK_ANSWER(create_request(GOOD_BODY), 500, "\"code\":\"outcome_unknown\",\"callId\":\"0");
}

static struct fake_request *notice(const char *signature)
{
	struct fake_request *f = request_new("POST", "/v1/providers/livekit/webhook", "{\"event\":\"x\"}");

	return signature ? with_header(f, "Authorization", signature) : f;
}

static void a_providers_message_is_kept_before_it_is_answered(void **state)
{
	(void)state;
	CHECK_ANSWER(notice("jwt"), 200, "{}");
	assert_int_equal(world.kept, 1);
	assert_int_equal(world.noticed, 1);
	assert_string_equal(world.kept_event, "EV_1");
	world.keep_notes = ERR_UNAVAILABLE;
	CHECK_ANSWER(notice("jwt"), 503, "database_unavailable");
	assert_int_equal(world.noticed, 1);
}

static void a_forged_message_is_refused_and_a_foreign_one_forgotten(void **state)
{
	(void)state;
	CHECK_ANSWER(notice(NULL), 401, "signature_invalid");
	world.check_notice = ERR_INVALID;
	CHECK_ANSWER(notice("jwt"), 400, "notice_malformed");
	world.check_notice = ERR_UNAVAILABLE;
	CHECK_ANSWER(notice("jwt"), 503, "database_unavailable");
	world.check_notice = ERR_NOT_FOUND;
	CHECK_ANSWER(notice("jwt"), 200, "{}");
	assert_int_equal(world.kept, 0);
}

static void PATH_34_a_failure_of_ours_is_500_and_leaks_nothing(void **state)
{
	struct fake_request *f = create_request(GOOD_BODY);

	(void)state;
	world.admit = admit_broken;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 500);
	CHECK_BODY_HAS(f, CODE("internal_error"));
	assert_null(strstr(f->reply.body, "secret"));
	assert_null(strstr(f->reply.body, "callId"));
	request_free(f);
}

/* ── batches ────────────────────────────────────────────────────────────────────── */

#define MANY 40

static void what_waits_goes_to_the_database_together_and_a_lane_is_told_once(void **state)
{
	struct fake_request *f[MANY];

	(void)state;
	world.admit = admit_all;
	hold_statements(true);
	f[0] = create_request(GOOD_BODY);
	send_request(f[0]);
	wait_statements(1);
	for (int i = 1; i < MANY; i++)
		send_request(f[i] = create_request(GOOD_BODY));
	hold_statements(false);
	for (int i = 0; i < MANY; i++) {
		wait_reply(f[i]);
		assert_int_equal(f[i]->reply.status, 200);
		request_free(f[i]);
	}
	assert_int_equal(world.statements, 2);
	assert_int_equal(world.largest, MANY - 1);
	assert_int_equal(world.lanes_told, 2);
}

static void a_poisoned_item_is_refused_alone(void **state)
{
	struct fake_request *f[4];

	(void)state;
	world.admit = admit_one_failed;
	hold_statements(true);
	for (int i = 0; i < 4; i++)
		send_request(f[i] = create_request(i != 2 ? GOOD_BODY :
			"{\"projectId\":\"p\",\"fromNumber\":\"+88691\",\"toNumber\":\"+88692\",\"dynamicVariables\":{}}"));
	hold_statements(false);
	for (int i = 0; i < 4; i++) {
		wait_reply(f[i]);
		assert_int_equal(f[i]->reply.status, i == 2 ? 500 : 200);
		request_free(f[i]);
	}
}

static void past_the_limit_of_what_may_wait_the_answer_is_503_at_once(void **state)
{
	struct fake_request *f[4];

	(void)state;
	stop_api(NULL);
	assert_int_equal(start_api_limited(2), 0);
	world.admit = admit_all;
	hold_statements(true);
	send_request(f[0] = create_request(GOOD_BODY));
	wait_statements(1);
	for (int i = 1; i < 4; i++)
		send_request(f[i] = create_request(GOOD_BODY));
	wait_reply(f[3]);
	assert_int_equal(f[3]->reply.status, 503);
	CHECK_BODY_HAS(f[3], CODE("overloaded"));
	assert_string_equal(reply_header(f[3], "Retry-After"), "1");
	hold_statements(false);
	for (int i = 0; i < 4; i++) {
		wait_reply(f[i]);
		request_free(f[i]);
	}
}

static void in_a_shutdown_new_work_is_503_and_what_is_in_hand_goes_on(void **state)
{
	struct fake_request *f = create_request(GOOD_BODY);

	(void)state;
	world.admit = admit_all;
	hold_statements(true);
	send_request(f);
	wait_statements(1);
	api_quiesce(api);
	CHECK_ANSWER(create_request(GOOD_BODY), 503, CODE("shutting_down"));
	CHECK_ANSWER(with_key(request_new("GET", SOME_CALL, ""), dk_key), 503, CODE("shutting_down"));
	hold_statements(false);
	wait_reply(f);
	assert_int_equal(f->reply.status, 200);
	request_free(f);
}

static void what_waits_at_the_end_is_still_answered(void **state)
{
	struct fake_request *f = create_request(GOOD_BODY);

	(void)state;
	world.admit = admit_all;
	send_request(f);
	api_free(TAKE(api));
	assert_int_equal(f->replies, 1);
	request_free(f);
}

/* ── answers that come too late ─────────────────────────────────────────────────── */

static void a_late_admission_is_told_as_unknown_and_a_late_read_as_try_again(void **state)
{
	struct fake_request *f = create_request(GOOD_BODY);

	(void)state;
	api_http_ops.head(api, &f->rq, &f->reply);
	api_http_ops.timed_out(api, &f->rq, &f->reply);
	assert_int_equal(f->reply.status, 500);
	CHECK_BODY_HAS(f, CODE("outcome_unknown"));
	request_free(f);

	f = request_new("GET", SOME_CALL, "");
	api_http_ops.head(api, &f->rq, &f->reply);
	api_http_ops.timed_out(api, &f->rq, &f->reply);
	assert_int_equal(f->reply.status, 503);
	CHECK_BODY_HAS(f, CODE("answer_timeout"));
	request_free(f);
}

/* ── reading ────────────────────────────────────────────────────────────────────── */

static void a_call_is_read_with_any_kind_of_key(void **state)
{
	(void)state;
	world.read = read_one;
	CHECK_ANSWER(with_key(request_new("GET", SOME_CALL, ""), dk_key), 200,
	             "{\"id\":\"0198c5f2-1234-7abc-8def-0123456789ab\"");
	CHECK_ANSWER(with_key(request_new("HEAD", SOME_CALL, ""), kros_key), 200, "\"dynamicVariables\":{\"a\":1}");
}

static void a_call_that_is_not_there_is_404_and_an_unknown_key_401(void **state)
{
	(void)state;
	world.read = read_none;
	CHECK_ANSWER(with_key(request_new("GET", SOME_CALL, ""), dk_key), 404, CODE("call_not_found"));
	world.read = read_no_key;
	CHECK_ANSWER(with_key(request_new("GET", SOME_CALL, ""), dk_key), 401, CODE("credentials_invalid"));
	CHECK_ANSWER(request_new("GET", SOME_CALL, ""), 401, CODE("credentials_missing"));
}

static void what_is_no_uuid_is_asked_for_as_the_id_that_no_call_has(void **state)
{
	static const char *const paths[] = {
		"/v1/calls/1", "/v1/calls/0198c5f2-1234-7abc-8def-0123456789ag", "/v1/calls/0198c5f2-1234-7abc-8def-0123456789ab0",
		"/v1/calls/%00", "/v1/calls/' or 1=1",
	};
	static const struct id none;

	(void)state;
	world.read = read_none;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		memset(&asked_for, 1, sizeof asked_for);
		CHECK_ANSWER(with_key(request_new("GET", paths[i], ""), dk_key), 404, CODE("call_not_found"));
		assert_memory_equal(&asked_for, &none, sizeof none);
	}
}

static void a_read_without_a_database_is_503(void **state)
{
	(void)state;
	world.read = read_away;
	CHECK_ANSWER(with_key(request_new("GET", SOME_CALL, ""), dk_key), 503, CODE("database_unavailable"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, start_api, stop_api)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(PATH_36_an_accepted_call_is_200_with_its_id_and_place),
		T(PATH_03_PATH_05_PATH_06_no_key_or_no_key_of_ours_is_401_without_the_database),
		T(a_401_names_the_scheme),
		T(the_scheme_is_read_in_any_case),
		T(PATH_08_an_unknown_key_with_a_bad_body_is_401_and_tells_nothing_of_the_body),
		T(a_good_key_with_a_bad_body_is_400_with_all_mistakes),
		T(PATH_09_only_application_json_is_taken),
		T(a_body_of_64_kib_is_taken_and_one_byte_more_is_413),
		T(every_refusal_of_the_database_has_its_code),
		T(an_absent_database_is_503_and_worth_a_retry),
		T(an_unknown_fate_is_500_with_the_id_to_look_for),
		T(what_was_settled_before_a_failure_is_answered_as_such),
		T(nobody_is_told_before_the_call_is_on_disk),
		T(a_providers_message_is_kept_before_it_is_answered),
		T(a_forged_message_is_refused_and_a_foreign_one_forgotten),
		T(PATH_34_a_failure_of_ours_is_500_and_leaks_nothing),
		T(what_waits_goes_to_the_database_together_and_a_lane_is_told_once),
		T(a_poisoned_item_is_refused_alone),
		T(past_the_limit_of_what_may_wait_the_answer_is_503_at_once),
		T(in_a_shutdown_new_work_is_503_and_what_is_in_hand_goes_on),
		T(what_waits_at_the_end_is_still_answered),
		T(a_late_admission_is_told_as_unknown_and_a_late_read_as_try_again),
		T(a_call_is_read_with_any_kind_of_key),
		T(a_call_that_is_not_there_is_404_and_an_unknown_key_401),
		T(what_is_no_uuid_is_asked_for_as_the_id_that_no_call_has),
		T(a_read_without_a_database_is_503),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
