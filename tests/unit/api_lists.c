/* Lists of calls and of events, from the query to the answer, with a database that does what
 * a test says. */
#include "api_fixture.h"

#include "callgate/wire_lists.h"

static struct fake_request *get(const char *path)
{
	return with_key(request_new("GET", path, ""), dk_key);
}

static void a_list_without_arguments_is_the_first_page_of_everything(void **state)
{
	struct fake_request *f = get("/v1/calls");

	(void)state;
	world.listed = 2;
	send_request(f);
	wait_reply(f);
	assert_int_equal(200, f->reply.status);
	CHECK_BODY_HAS(f, "\"object\":\"call\"");
	CHECK_BODY_HAS(f, "],\"hasMore\":false,\"nextCursor\":null}");
	assert_null(f->reply.link);
	assert_int_equal(20, world.limit);
	assert_false(world.went_on);
	request_free(f);
}

static void the_arguments_are_the_filter(void **state)
{
	struct fake_request *f = with_argument(with_argument(get("/v1/calls"), "state", "busy"), "to", "+886987654321");

	(void)state;
	CHECK_ANSWER(with_argument(f, "limit", "7"), 200, "\"data\":[]");
	assert_int_equal(STATE_BIT(CALL_BUSY), world.filter.states);
	assert_string_equal("+886987654321", world.filter.to);
	assert_int_equal(7, world.limit);
}

static void what_a_list_does_not_know_is_400_with_its_name(void **state)
{
	(void)state;
	CHECK_ANSWER(with_argument(get("/v1/calls"), "stat", "busy"), 400, "no query argument \\\"stat\\\" here");
	CHECK_ANSWER(with_argument(get("/v1/calls"), "state", "bussy"), 400, "state: there is no such state");
	CHECK_ANSWER(with_argument(get("/v1/calls"), "limit", "0"), 400, "limit must be a whole number from 1 to 100");
	CHECK_ANSWER(with_argument(get("/v1/calls"), "limit", "101"), 400, CODE("validation_failed"));
	CHECK_ANSWER(with_argument(get("/v1/calls"), "cursor", "nonsense"), 400, CODE("cursor_invalid"));
	CHECK_ANSWER(with_argument(get("/v1/calls"), "cursor", ""), 400, CODE("cursor_invalid"));
	CHECK_ANSWER(with_argument(get("/v1/events"), "before", "x"), 400, "no query argument \\\"before\\\" here");
	CHECK_ANSWER(with_argument(get("/v1/events"), "after", "x"), 400, CODE("cursor_invalid"));
	CHECK_ANSWER(with_argument(get("/v1/calls/x/events"), "after", "-1"), 400, "after must be a whole number from 0 to 32767");
}

static void an_argument_that_is_there_twice_is_400(void **state)
{
	struct fake_request *f = with_argument(with_argument(get("/v1/calls"), "state", "busy"), "state", "failed");

	(void)state;
	CHECK_ANSWER(f, 400, "state is there more than once");
}

static void a_bad_key_comes_before_a_bad_query(void **state)
{
	(void)state;
	world.key_unknown = true;
	CHECK_ANSWER(with_argument(get("/v1/calls"), "stat", "busy"), 401, CODE("credentials_invalid"));
	CHECK_ANSWER(with_argument(get("/v1/events"), "after", "x"), 401, CODE("credentials_invalid"));
	CHECK_ANSWER(with_argument(request_new("GET", "/v1/calls", ""), "stat", "busy"), 401, CODE("credentials_missing"));
}

/* Follows the link, argument by argument, as a client would. */
static void the_link_leads_to_the_next_page_with_the_same_filter(void **state)
{
	struct fake_request *f = with_argument(get("/v1/calls"), "metadataKey", "a&b \xc3\xa9");
	char cursor[WIRE_CURSOR_SIZE];
	const char *p;

	(void)state;
	world.listed = 3;
	with_argument(with_argument(f, "limit", "2"), "metadataValue", "");
	send_request(f);
	wait_reply(f);
	assert_int_equal(200, f->reply.status);
	assert_non_null(f->reply.link);
	p = strstr(f->reply.link, "cursor=");
	assert_non_null(p);
	assert_int_equal(0, strncmp(f->reply.link, "</v1/calls?metadataKey=a%26b%20%C3%A9&limit=2&metadataValue=&cursor=",
	                            (size_t)(p - f->reply.link) + 7));
	assert_int_equal(1, sscanf(p, "cursor=%95[^>]", cursor));
	assert_string_equal(strchr(p, '>'), ">; rel=\"next\"");
	CHECK_BODY_HAS(f, cursor);
	CHECK_BODY_HAS(f, "\"hasMore\":true");
	request_free(f);

	f = with_argument(with_argument(get("/v1/calls"), "metadataKey", "a&b \xc3\xa9"), "metadataValue", "");
	world.listed = 0;
	CHECK_ANSWER(with_argument(f, "cursor", cursor), 200, "\"hasMore\":false");
	assert_true(world.went_on);
	/* another filter, another organization */
	CHECK_ANSWER(with_argument(get("/v1/calls"), "cursor", cursor), 400, CODE("cursor_invalid"));
}

static void events_of_a_call_go_on_after_a_number(void **state)
{
	struct fake_request *f = with_argument(with_argument(get("/v1/calls/x/events"), "after", "17"), "limit", "3");

	(void)state;
	world.listed = 4;
	CHECK_ANSWER(f, 200, "\"hasMore\":true}");
	assert_int_equal(17, world.after);
	CHECK_ANSWER(get("/v1/calls/x/events"), 200, "{\"data\":[{\"callId\":\"00000000-0000-0000-0000-000000000000\",\"seq\":0,"
	             "\"type\":\"call.queued\",\"at\":\"2026-11-20T08:32:00.123Z\",\"attempt\":0,\"data\":{}},");
	assert_int_equal(-1, world.after);
}

static void the_feed_always_says_where_it_goes_on(void **state)
{
	struct feed_position at = { .at_us = 7 };
	char position[WIRE_CURSOR_SIZE];

	(void)state;
	wire_position_write(7, &at, position);
	CHECK_ANSWER(get("/v1/events"), 200, position);
	assert_false(world.went_on);
	CHECK_ANSWER(with_argument(get("/v1/events"), "after", position), 200, "{\"data\":[],\"hasMore\":false,\"position\":\"");
	assert_true(world.went_on);
	wire_position_write(8, &at, position);
	CHECK_ANSWER(with_argument(get("/v1/events"), "after", position), 400, CODE("cursor_invalid"));
	CHECK_ANSWER(with_argument(get("/v1/events"), "after", "latest"), 200, "\"position\":\"");
}

#define T(f) cmocka_unit_test_setup_teardown(f, start_api, stop_api)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_list_without_arguments_is_the_first_page_of_everything),
		T(the_arguments_are_the_filter),
		T(what_a_list_does_not_know_is_400_with_its_name),
		T(an_argument_that_is_there_twice_is_400),
		T(a_bad_key_comes_before_a_bad_query),
		T(the_link_leads_to_the_next_page_with_the_same_filter),
		T(events_of_a_call_go_on_after_a_number),
		T(the_feed_always_says_where_it_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
