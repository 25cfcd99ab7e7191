/* What a request for a call may bring along: a key that makes it harmless to repeat, the wish
 * to be told only, and the wish for problem details. */
#include "api_fixture.h"

#include "errors.h"

#define PATH "/v1/calls/outbound"
#define FULL_BODY "{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+886987654321\"," \
                  "\"metadata\":{\"crm\":7},\"ringTimeoutSeconds\":20,\"maxDurationSeconds\":600," \
                  "\"priority\":\"high\",\"expiresAt\":\"%s\"}"
#define BODY_WITH_KEY "{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+886987654321\"," \
                      "\"idempotencyKey\":\"k1\"}"
#define LATE_BODY "{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+886987654321\"," \
                  "\"scheduledAt\":\"2020-01-01T00:00:00Z\"}"

/* ── what the database does, and what it was given ──────────────────────────────── */

static struct admission given;
static uint8_t given_key[SHA256_SIZE], given_print[SHA256_SIZE];
static char given_metadata[64], given_project[64];
static struct admission as_said;
static const char *first_call = "0198c5f2-1234-7abc-8def-0123456789ab";

static void keep_given(const struct admission *a)
{
	given = *a;
	if (a->idem_key) {
		memcpy(given_key, a->idem_key, SHA256_SIZE);
		memcpy(given_print, a->idem_print, SHA256_SIZE);
	}
	snprintf(given_project, sizeof given_project, "%s", a->project ? a->project : "");
	snprintf(given_metadata, sizeof given_metadata, "%s", a->metadata ? a->metadata : "");
}

static enum err admit_as_said(struct admission **items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		keep_given(items[i]);
		items[i]->outcome = items[i]->body_ok ? as_said.outcome : ADMIT_BODY_INVALID;
		items[i]->queued = as_said.queued;
		items[i]->replayed = as_said.replayed;
		strcpy(items[i]->first_request_id, as_said.first_request_id);
		if (as_said.replayed && !id_parse(first_call, &items[i]->call_id))
			abort();
	}
	return OK;
}

static int start(void **state)
{
	memset(&as_said, 0, sizeof as_said);
	as_said.queued = true;
	memset(&given, 0, sizeof given);
	if (start_api(state))
		return 1;
	world.admit = admit_as_said;
	return 0;
}

static struct fake_request *keyed(const char *body, const char *header)
{
	return with_header(create_request(body), "Idempotency-Key", header);
}

/* ── create ─────────────────────────────────────────────────────────────────────── */

static void what_the_client_says_reaches_the_database(void **state)
{
	char body[512], expires[RFC3339_SIZE];
	int64_t at = wall_ms() + 3600000;

	(void)state;
	time_format(at, expires);
	sprintf(body, FULL_BODY, expires);
	CHECK_ANSWER(create_request(body), 200, "queued");
	assert_string_equal(given_metadata, "{\"crm\":7}");
	assert_int_equal(given.ring_timeout_s, 20);
	assert_int_equal(given.max_duration_s, 600);
	assert_int_equal(given.prio, 0);
	assert_int_equal(given.expires_ms, at);
	assert_int_equal(given.scheduled_ms, 0);
	assert_null(given.idem_key);
}

static void the_scheduler_hears_of_what_is_new_and_due_only(void **state)
{
	(void)state;
	as_said.queued = false;
	CHECK_ANSWER(create_request(GOOD_BODY), 200, "queued");
	assert_int_equal(world.lanes_told, 0);
	as_said.queued = true;
	CHECK_ANSWER(create_request(GOOD_BODY), 200, "queued");
	assert_int_equal(world.lanes_told, 1);
}

/* ── keys ───────────────────────────────────────────────────────────────────────── */

static void a_key_is_the_same_wherever_and_however_it_is_sent(void **state)
{
	uint8_t first[SHA256_SIZE];

	(void)state;
	CHECK_ANSWER(keyed(GOOD_BODY, "k1"), 200, "queued");
	assert_non_null(given.idem_key);
	memcpy(first, given_key, sizeof first);
	CHECK_ANSWER(keyed(GOOD_BODY, "\"k1\""), 200, "queued");
	assert_memory_equal(first, given_key, sizeof first);
	CHECK_ANSWER(create_request(BODY_WITH_KEY), 200, "queued");
	assert_memory_equal(first, given_key, sizeof first);
	CHECK_ANSWER(keyed(BODY_WITH_KEY, "k1"), 200, "queued");
	assert_memory_equal(first, given_key, sizeof first);
	CHECK_ANSWER(keyed(GOOD_BODY, "k2"), 200, "queued");
	assert_memory_not_equal(first, given_key, sizeof first);
}

static void the_print_is_of_the_body_without_its_white_space(void **state)
{
	uint8_t first[SHA256_SIZE];

	(void)state;
	CHECK_ANSWER(keyed(GOOD_BODY, "k"), 200, "queued");
	memcpy(first, given_print, sizeof first);
	CHECK_ANSWER(keyed(" " GOOD_BODY "\n", "k"), 200, "queued");
	assert_memory_equal(first, given_print, sizeof first);
	CHECK_ANSWER(keyed(BODY_WITH_VARIABLES, "k"), 200, "queued");
	assert_memory_not_equal(first, given_print, sizeof first);
}

static void a_header_that_is_no_key_is_400_and_names_it(void **state)
{
	static const char *const headers[] = { "", "a b", "\"\"", "\"a", "é" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		CHECK_ANSWER(keyed(GOOD_BODY, headers[i]), 400,
		             "\"details\":[{\"pointer\":\"\",\"message\":\"the header Idempotency-Key must be");
	assert_false(given.body_ok);
	assert_null(given.idem_key);
}

static void two_keys_that_differ_are_422_and_nothing_is_looked_up(void **state)
{
	struct fake_request *f = keyed(BODY_WITH_KEY, "k2");

	(void)state;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 422);
	CHECK_BODY_HAS(f, CODE("idempotency_key_conflict"));
	CHECK_BODY_HAS(f, "\"pointer\":\"/idempotencyKey\"");
	assert_false(given.body_ok);
	assert_null(given.idem_key);
	request_free(f);
	/* Beside other mistakes it is one of them. */
	CHECK_ANSWER(keyed("{\"projectId\":\"p\",\"idempotencyKey\":\"k1\"}", "k2"), 400, "\"pointer\":\"/idempotencyKey\"");
}

static void a_replay_is_the_first_answer_and_says_so(void **state)
{
	struct fake_request *f = keyed(GOOD_BODY, "k");

	(void)state;
	as_said.replayed = true;
	as_said.queued = false;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 200);
	assert_string_equal(f->reply.body,
	                    "{\"success\":true,\"callId\":\"0198c5f2-1234-7abc-8def-0123456789ab\",\"status\":\"queued\"}");
	assert_string_equal(reply_header(f, "Location"), "/v1/calls/0198c5f2-1234-7abc-8def-0123456789ab");
	assert_string_equal(reply_header(f, "Idempotent-Replayed"), "true");
	assert_int_equal(world.lanes_told, 0);
	request_free(f);
}

static void the_first_answer_is_not_marked(void **state)
{
	struct fake_request *f = keyed(GOOD_BODY, "k");

	(void)state;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 200);
	assert_null(reply_header(f, "Idempotent-Replayed"));
	request_free(f);
}

static void a_replayed_refusal_has_the_first_requests_id(void **state)
{
	struct fake_request *f = keyed(GOOD_BODY, "k");

	(void)state;
	as_said.outcome = ADMIT_NO_CREDITS;
	as_said.replayed = true;
	strcpy(as_said.first_request_id, "req-of-old");
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 402);
	CHECK_BODY_HAS(f, CODE("insufficient_credits"));
	CHECK_BODY_HAS(f, "\"requestId\":\"req-of-old\"");
	assert_string_equal(reply_header(f, "Idempotent-Replayed"), "true");
	request_free(f);
}

static void another_body_is_422_and_a_running_first_one_409_with_retry_after(void **state)
{
	struct fake_request *f = keyed(GOOD_BODY, "k");

	(void)state;
	as_said.outcome = ADMIT_KEY_REUSED;
	CHECK_ANSWER(keyed(GOOD_BODY, "k"), 422, CODE("idempotency_key_reused"));
	as_said.outcome = ADMIT_KEY_RUNNING;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 409);
	CHECK_BODY_HAS(f, CODE("idempotency_in_progress"));
	assert_string_equal(reply_header(f, "Retry-After"), "1");
	assert_null(reply_header(f, "Idempotent-Replayed"));
	request_free(f);
}

static void a_time_that_has_passed_is_400_without_a_key(void **state)
{
	(void)state;
	CHECK_ANSWER(create_request(LATE_BODY), 400, "\"pointer\":\"/scheduledAt\"");
	assert_false(given.body_ok);
}

/* What has expired is admitted by no store: it is either a replay or invalid. */
static void a_time_that_has_passed_since_can_be_a_replay_and_nothing_else(void **state)
{
	(void)state;
	as_said.replayed = true;
	CHECK_ANSWER(keyed(LATE_BODY, "k"), 200, "0198c5f2-1234-7abc-8def-0123456789ab");
	assert_true(given.body_ok && given.idem_key && given.expires_ms == 1);
	as_said.replayed = false;
	as_said.outcome = ADMIT_BODY_INVALID;
	CHECK_ANSWER(keyed(LATE_BODY, "k"), 400, "\"pointer\":\"/scheduledAt\"");
	CHECK_ANSWER(keyed("{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+886987654321\","
	                   "\"scheduledAt\":\"2020-01-01T00:00:00Z\",\"priority\":1}", "k"), 400, "\"pointer\":\"/priority\"");
	assert_false(given.body_ok);
}

static void what_expired_by_the_databases_clock_alone_is_400_too(void **state)
{
	(void)state;
	as_said.outcome = ADMIT_BODY_INVALID;
	CHECK_ANSWER(create_request(GOOD_BODY), 400, "\"details\":[{\"pointer\":\"/expiresAt\"");
}

/* ── dry run ────────────────────────────────────────────────────────────────────── */

static struct dry_run run_as_said;

static enum err run_said(const struct admission *rq, struct dry_run *out)
{
	keep_given(rq);
	*out = run_as_said;
	out->trunk = run_as_said.trunk ? xstrdup(run_as_said.trunk) : NULL;
	return OK;
}

static enum err run_away(const struct admission *rq, struct dry_run *out)
{
	(void)rq;
	(void)out;
	return ERR_UNAVAILABLE;
}

static struct fake_request *dry(const char *body, const char *value)
{
	return with_argument(create_request(body), "dryRun", value);
}

/* Whoever admits a call here aborts the test. */
static int start_dry(void **state)
{
	static char trunk[] = "twilio-main";

	run_as_said = (struct dry_run){
		.trunk = trunk, .priced = true, .ring_timeout_s = 60, .max_duration_s = 600, .rate_mc = 900, .hold_mc = 9000,
		.increment_s = 6, .minimum_s = 30, .rate_prefix = "+8869", .earliest_ms = INT64_C(1795163520123),
	};
	if (start(state))
		return 1;
	world.admit = NULL;
	world.dry_run = run_said;
	return 0;
}

static void a_dry_run_tells_all_and_admits_nothing(void **state)
{
	struct fake_request *f = dry(GOOD_BODY, "true");

	(void)state;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 200);
	assert_string_equal(f->reply.body,
		"{\"success\":true,\"dryRun\":true,\"accepted\":true,\"refusals\":[],\"from\":\"+886912345678\","
		"\"to\":\"+886987654321\",\"trunk\":{\"name\":\"twilio-main\"},\"ringTimeoutSeconds\":60,"
		"\"maxDurationSeconds\":600,\"holdMilliCents\":9000,\"rate\":{\"prefix\":\"+8869\",\"milliCentsPerMinute\":900,"
		"\"incrementSeconds\":6,\"minimumSeconds\":30},\"scheduledAt\":null,"
		"\"earliestStartAt\":\"2026-11-20T08:32:00.123Z\",\"blockedBy\":null}");
	request_free(f);
}

static void a_dry_run_lists_the_bodys_mistakes_before_what_the_database_says(void **state)
{
	struct fake_request *f = dry("{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\",\"toNumber\":7}", "true");

	(void)state;
	run_as_said = (struct dry_run){ .refusals = { ADMIT_NUMBER_INACTIVE, ADMIT_NO_CREDITS }, .n_refusals = 2 };
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 200);
	CHECK_BODY_HAS(f, "\"accepted\":false,\"refusals\":[{\"status\":400,\"code\":\"validation_failed\",\"error\":\"");
	CHECK_BODY_HAS(f, ",\"details\":[{\"pointer\":\"/toNumber\",");
	CHECK_BODY_HAS(f, "},{\"status\":400,\"code\":\"number_inactive\",");
	CHECK_BODY_HAS(f, "},{\"status\":402,\"code\":\"insufficient_credits\",");
	CHECK_BODY_HAS(f, "\"to\":null,\"trunk\":null,\"ringTimeoutSeconds\":null,\"maxDurationSeconds\":null,"
	                  "\"holdMilliCents\":null,\"rate\":null,\"scheduledAt\":null,\"earliestStartAt\":null,\"blockedBy\":null}");
	assert_null(given.to);
	assert_string_equal(given_project, "p");
	request_free(f);
}

static void a_dry_run_with_an_unknown_key_is_401_and_tells_nothing(void **state)
{
	(void)state;
	run_as_said = (struct dry_run){ .refusals = { ADMIT_KEY_UNKNOWN }, .n_refusals = 1 };
	CHECK_ANSWER(dry("{broken", "true"), 401, CODE("credentials_invalid"));
	CHECK_ANSWER(dry(GOOD_BODY, "perhaps"), 401, CODE("credentials_invalid"));
	CHECK_ANSWER(with_argument(request_new("POST", PATH, GOOD_BODY), "dryRun", "true"), 401, CODE("credentials_missing"));
	CHECK_ANSWER(with_argument(with_key(request_new("POST", PATH, GOOD_BODY), kros_key), "dryRun", "true"), 401,
	             CODE("credentials_invalid"));
}

static void dry_run_is_true_or_false_and_nothing_else(void **state)
{
	static const char *const wrong[] = { "", "1", "TRUE", "yes", "true " };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		CHECK_ANSWER(dry(GOOD_BODY, wrong[i]), 400, "the argument dryRun must be true or false");
	world.admit = admit_as_said;
	world.dry_run = NULL;
	CHECK_ANSWER(dry(GOOD_BODY, "false"), 200, "queued");
	CHECK_ANSWER(with_argument(create_request(GOOD_BODY), "other", "true"), 200, "queued");
	CHECK_ANSWER(with_argument(create_request(GOOD_BODY), "dryrun", "true"), 400, "there is no query argument \\\"dryrun\\\"");
	CHECK_ANSWER(with_argument(create_request(GOOD_BODY), "dryRun[]", "true"), 400, "there is no query argument");
	CHECK_ANSWER(with_argument(create_request(GOOD_BODY), " dryRun", "true"), 400, "there is no query argument");
	CHECK_ANSWER(with_argument(create_request(GOOD_BODY), "dryRun2", "true"), 200, "queued");
}

static void a_dry_run_can_be_sent_again_whatever_happened(void **state)
{
	(void)state;
	world.dry_run = run_away;
	CHECK_ANSWER(dry(GOOD_BODY, "true"), 503, CODE("database_unavailable"));
}

/* ── problem details ────────────────────────────────────────────────────────────── */

static void who_asks_for_problem_details_gets_them_with_everything_else(void **state)
{
	struct fake_request *f = with_header(create_request("{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\"}"), "Accept",
	                                     "application/problem+json, application/json");

	(void)state;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 400);
	assert_string_equal(f->reply.content_type, "application/problem+json");
	assert_string_equal(reply_header(f, "Vary"), "Accept");
	assert_string_equal(f->reply.body,
		"{\"type\":\"/problems/validation_failed\",\"title\":\"Validation failed\",\"status\":400,"
		"\"detail\":\"The request is not valid; \\\"details\\\" lists what to correct.\",\"success\":false,"
		"\"error\":\"The request is not valid; \\\"details\\\" lists what to correct.\",\"code\":\"validation_failed\","
		"\"details\":[{\"pointer\":\"/toNumber\",\"message\":\"toNumber is required\"}],\"requestId\":\"req-1\"}");
	request_free(f);
}

static void who_does_not_ask_gets_plain_json(void **state)
{
	struct fake_request *f = with_header(create_request("{}"), "Accept", "*/*");

	(void)state;
	send_request(f);
	wait_reply(f);
	assert_null(f->reply.content_type);
	assert_string_equal(reply_header(f, "Vary"), "Accept");
	assert_memory_equal(f->reply.body, "{\"success\":false,", 17);
	request_free(f);
}

static void a_refusal_before_the_body_can_be_problem_details_too(void **state)
{
	struct fake_request *f = with_header(request_new("DELETE", PATH, ""), "Accept", "application/problem+json");

	(void)state;
	send_request(f);
	assert_int_equal(f->reply.status, 405);
	assert_string_equal(f->reply.content_type, "application/problem+json");
	CHECK_BODY_HAS(f, "{\"type\":\"/problems/method_not_allowed\",\"title\":\"Method not allowed\",\"status\":405,");
	assert_non_null(reply_header(f, "Allow"));
	request_free(f);
}

static void every_problem_can_be_read_where_its_type_points(void **state)
{
	char path[128], status[32];

	(void)state;
	for (int e = API_OK + 1; e < API_ERROR_COUNT; e++) {
		const struct api_error_info *info = api_error_info((enum api_error)e);

		sprintf(path, "/problems/%s", info->code);
		sprintf(status, "\"status\":%d,", info->status);
		CHECK_ANSWER(request_new("GET", path, ""), 200, status);
	}
	CHECK_ANSWER(request_new("GET", "/problems/head_too_large", ""), 200, "\"status\":431");
	CHECK_ANSWER(request_new("GET", "/problems/ok", ""), 404, CODE("route_not_found"));
	CHECK_ANSWER(request_new("GET", "/problems/nonsense", ""), 404, CODE("route_not_found"));
	sprintf(path, "/problems/%0100d", 0);
	CHECK_ANSWER(request_new("GET", path, ""), 404, CODE("route_not_found"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, stop_api)
#define DRY(f) cmocka_unit_test_setup_teardown(f, start_dry, stop_api)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_the_client_says_reaches_the_database),
		T(the_scheduler_hears_of_what_is_new_and_due_only),
		T(a_key_is_the_same_wherever_and_however_it_is_sent),
		T(the_print_is_of_the_body_without_its_white_space),
		T(a_header_that_is_no_key_is_400_and_names_it),
		T(two_keys_that_differ_are_422_and_nothing_is_looked_up),
		T(a_replay_is_the_first_answer_and_says_so),
		T(the_first_answer_is_not_marked),
		T(a_replayed_refusal_has_the_first_requests_id),
		T(another_body_is_422_and_a_running_first_one_409_with_retry_after),
		T(a_time_that_has_passed_is_400_without_a_key),
		T(a_time_that_has_passed_since_can_be_a_replay_and_nothing_else),
		T(what_expired_by_the_databases_clock_alone_is_400_too),
		DRY(a_dry_run_tells_all_and_admits_nothing),
		DRY(a_dry_run_lists_the_bodys_mistakes_before_what_the_database_says),
		DRY(a_dry_run_with_an_unknown_key_is_401_and_tells_nothing),
		DRY(dry_run_is_true_or_false_and_nothing_else),
		DRY(a_dry_run_can_be_sent_again_whatever_happened),
		T(who_asks_for_problem_details_gets_them_with_everything_else),
		T(who_does_not_ask_gets_plain_json),
		T(a_refusal_before_the_body_can_be_problem_details_too),
		T(every_problem_can_be_read_where_its_type_points),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
