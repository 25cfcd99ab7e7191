/* A project's credits and its ledger over the API: who sees them, page by page. */
#include "api_fixture.h"

#define CREDITS "/v1/projects/p/credits"
#define LEDGER  "/v1/projects/p/credits/ledger"

static int start(void **state)
{
	world.entries = 5;
	return start_api(state);
}

static struct fake_request *get(const char *path, const char *argument, const char *value)
{
	struct fake_request *f = with_key(request_new("GET", path, ""), kros_key);

	f->argument = argument;
	f->value = value;
	return f;
}

static void a_member_sees_what_there_is_what_is_held_and_what_is_left(void **state)
{
	(void)state;
	CHECK_ANSWER(get(CREDITS, NULL, NULL), 200,
	             "{\"projectId\":\"p\",\"account\":\"main\",\"balanceMilliCents\":5000,\"heldMilliCents\":1200,"
	             "\"availableMilliCents\":3800}");
}

static void another_project_is_none(void **state)
{
	(void)state;
	CHECK_ANSWER(get("/v1/projects/q/credits", NULL, NULL), 404, CODE("project_not_found"));
	CHECK_ANSWER(get("/v1/projects/q/credits/ledger", NULL, NULL), 404, CODE("project_not_found"));
	CHECK_ANSWER(get("/v1/projects/\xff/credits", NULL, NULL), 404, CODE("project_not_found"));
	CHECK_ANSWER(request_new("GET", CREDITS, ""), 401, CODE("credentials_missing"));
}

/* The cursor of an answer's "nextCursor". */
static void next_of(const struct fake_request *f, char out[128])
{
	const char *at = strstr(f->reply.body, "\"nextCursor\":\"");

	assert_non_null(at);
	sscanf(at, "\"nextCursor\":\"%100[^\"]", out);
}

static int count_entries(const char *body)
{
	int n = 0;

	while ((body = strstr(body, "\"kind\":\"call\""))) {
		n++;
		body++;
	}
	return n;
}

static void a_cursor_leads_on_and_belongs_to_its_project(void **state)
{
	struct fake_request *f = get(LEDGER, "limit", "2");
	char cursor[128], link[256];

	(void)state;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 200);
	assert_int_equal(2, count_entries(f->reply.body));
	CHECK_BODY_HAS(f, "\"hasMore\":true");
	next_of(f, cursor);
	snprintf(link, sizeof link, "<" LEDGER "?limit=2&cursor=%s>; rel=\"next\"", cursor);
	assert_string_equal(f->reply.link, link);
	request_free(f);
	f = get(LEDGER, "cursor", cursor);
	send_request(f);
	wait_reply(f);
	assert_int_equal(3, count_entries(f->reply.body));
	CHECK_BODY_HAS(f, "\"hasMore\":false,\"nextCursor\":null");
	assert_null(f->reply.link);
	request_free(f);
	CHECK_ANSWER(get("/v1/projects/q/credits/ledger", "cursor", cursor), 400, CODE("cursor_invalid"));
	cursor[3] = cursor[3] == 'A' ? 'B' : 'A';
	CHECK_ANSWER(get(LEDGER, "cursor", cursor), 400, CODE("cursor_invalid"));
	CHECK_ANSWER(get(LEDGER, "cursor", ""), 400, CODE("cursor_invalid"));
}

/* An organization names its projects as it likes. */
static void a_link_is_one_whatever_the_projects_name(void **state)
{
	static const char begin[] = "</v1/projects/a%20b%3E%3B%C3%A4/credits/ledger?limit=2&cursor=";
	struct fake_request *f = get("/v1/projects/a b>;\xc3\xa4/credits/ledger", "limit", "2");

	(void)state;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 200);
	assert_non_null(f->reply.link);
	assert_memory_equal(f->reply.link, begin, sizeof begin - 1);
	request_free(f);
}

static void a_limit_is_from_1_to_100(void **state)
{
	static const char *const bad[] = { "0", "101", "-1", "x", "", "1.5" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_ANSWER(get(LEDGER, "limit", bad[i]), 400, "limit must be a whole number from 1 to 100");
	CHECK_ANSWER(get(LEDGER, "limit", "100"), 200, "\"hasMore\":false");
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, stop_api)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_member_sees_what_there_is_what_is_held_and_what_is_left),
		T(another_project_is_none),
		T(a_cursor_leads_on_and_belongs_to_its_project),
		T(a_link_is_one_whatever_the_projects_name),
		T(a_limit_is_from_1_to_100),
	};

	return cmocka_run_group_tests_name("api_credits", tests, NULL, NULL);
}
