/* Cancel and change: what the store says becomes the answer that a client can act on, and
 * whoever has to do something about it is told. */
#include "api_fixture.h"

#include "callgate/wire.h"
#include "callgate/wire_lists.h"

#define CALL "/v1/calls/019a0000-0000-7000-8000-000000000001"

static struct cancel said;      /* of every call that is asked about */

static enum err say_canceled(struct cancel *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		items[i].outcome = said.outcome;
		items[i].state = said.state;
	}
	return OK;
}

static enum err say_away(struct cancel *items, size_t n)
{
	(void)items, (void)n;
	return ERR_UNAVAILABLE;
}

static enum err say_lost(struct cancel *items, size_t n)
{
	(void)items, (void)n;
	return ERR_UNCERTAIN;
}

/* The second batch cannot be carried out. */
static enum err say_canceled_once(struct cancel *items, size_t n)
{
	world.cancel = say_away;
	return say_canceled(items, n);
}

static struct fake_request *cancel_request(void)
{
	world.cancel = say_canceled;
	return with_key(request_new("POST", CALL "/cancel", ""), kros_key);
}

static struct fake_request *bulk_request(const char *body)
{
	world.cancel = say_canceled;
	return with_header(with_key(request_new("POST", "/v1/calls/cancel", body), dk_key), "Content-Type", "application/json");
}

static void what_waited_is_canceled(void **state)
{
	(void)state;
	said = (struct cancel){ .outcome = CANCEL_DONE, .state = CALL_CANCELED };
	CHECK_ANSWER(cancel_request(), 200, "{\"success\":true,\"callId\":\"019a0000-0000-7000-8000-000000000001\","
	             "\"status\":\"canceled\"}");
	said.outcome = CANCEL_BEFORE;
	CHECK_ANSWER(cancel_request(), 200, "\"status\":\"canceled\"}");
	assert_int_equal(world.cancels_told, 0);
}

static void what_is_in_flight_is_asked_to_end(void **state)
{
	(void)state;
	said = (struct cancel){ .outcome = CANCEL_REQUESTED, .state = CALL_RINGING };
	CHECK_ANSWER(cancel_request(), 202, "\"status\":\"ringing\",\"cancelRequested\":true}");
	assert_int_equal(world.cancels_told, 1);
}

static void too_late_unknown_and_foreign_are_told_apart(void **state)
{
	(void)state;
	said = (struct cancel){ .outcome = CANCEL_TOO_LATE, .state = CALL_COMPLETED };
	CHECK_ANSWER(cancel_request(), 409, CODE("too_late"));
	said.outcome = CANCEL_NOT_FOUND;
	CHECK_ANSWER(cancel_request(), 404, CODE("call_not_found"));
	said.outcome = CANCEL_KEY_UNKNOWN;
	CHECK_ANSWER(cancel_request(), 401, CODE("credentials_invalid"));
	CHECK_ANSWER(with_key(request_new("GET", CALL "/cancel", ""), dk_key), 405, CODE("method_not_allowed"));
	CHECK_ANSWER(with_key(request_new("GET", "/v1/calls/cancel", ""), dk_key), 405, CODE("method_not_allowed"));
	assert_int_equal(world.cancels_told, 0);
}

static void a_lost_answer_may_be_asked_for_again(void **state)
{
	struct fake_request *f = cancel_request();

	(void)state;
	world.cancel = say_lost;
	CHECK_ANSWER(f, 503, CODE("result_unknown"));
	f = cancel_request();
	world.cancel = say_away;
	CHECK_ANSWER(f, 503, CODE("database_unavailable"));
}

static void of_a_bulk_cancel_that_breaks_off_it_is_not_said_that_nothing_was_done(void **state)
{
	struct fake_request *f = bulk_request("{\"filter\":{\"projectId\":\"p\"}}");

	(void)state;
	said = (struct cancel){ .outcome = CANCEL_DONE };
	world.listed = 700;
	world.cancel = say_canceled_once;
	CHECK_ANSWER(f, 503, CODE("result_unknown"));
	f = bulk_request("{\"filter\":{\"projectId\":\"p\"}}");
	world.listed = 1;
	world.cancel = say_away;
	CHECK_ANSWER(f, 503, CODE("database_unavailable"));
}

/* Somebody else's cancel was quicker: that one counts it. */
static void a_bulk_cancel_counts_what_it_ended_itself(void **state)
{
	(void)state;
	said = (struct cancel){ .outcome = CANCEL_BEFORE };
	world.listed = 5;
	CHECK_ANSWER(bulk_request("{\"filter\":{\"projectId\":\"p\"}}"), 200, "\"matched\":0,\"canceled\":0");
}

static void a_bulk_cancel_counts(void **state)
{
	(void)state;
	said = (struct cancel){ .outcome = CANCEL_DONE };
	world.listed = 700;
	CHECK_ANSWER(bulk_request("{\"filter\":{\"projectId\":\"p\"}}"), 200,
	             "{\"success\":true,\"matched\":700,\"canceled\":700,\"requested\":0,\"tooLate\":0,\"more\":false,"
	             "\"nextCursor\":null}");
	assert_false(world.went_on);
	assert_string_equal(world.filter.project, "p");
	assert_int_equal(world.filter.states, STATES_OPEN);
	assert_int_equal(world.cancels_told, 0);
	said.outcome = CANCEL_REQUESTED;
	world.listed = 1500;
	CHECK_ANSWER(bulk_request("{\"filter\":{\"state\":\"ringing,completed\"}}"), 200,
	             "\"matched\":1000,\"canceled\":0,\"requested\":1000,\"tooLate\":0,\"more\":true,\"nextCursor\":\"");
	assert_int_equal(world.filter.states, STATE_BIT(CALL_RINGING));
	assert_int_equal(world.cancels_told, 1);
	said.outcome = CANCEL_TOO_LATE;
	world.listed = 1;
	CHECK_ANSWER(bulk_request("{\"filter\":{\"to\":\"+886912345678\"}}"), 200, "\"tooLate\":1");
}

/* What does not fit, and what was asked to end before, is not looked at again. */
static void a_bulk_cancel_goes_on_where_the_last_ended(void **state)
{
	struct call_filter f = { .states = STATE_BIT(CALL_QUEUED) };
	char cursor[WIRE_CURSOR_SIZE], body[300];
	struct id last = { { 7 } };

	(void)state;
	said = (struct cancel){ .outcome = CANCEL_REQUESTED };
	wire_cursor_write(7, &f, &last, cursor);
	world.listed = 1001;
	snprintf(body, sizeof body, "\"more\":true,\"nextCursor\":\"%s\"}", cursor);
	CHECK_ANSWER(bulk_request("{\"filter\":{\"state\":\"queued\"}}"), 200, body);
	assert_false(world.went_on);
	snprintf(body, sizeof body, "{\"filter\":{\"state\":\"queued\"},\"cursor\":\"%s\"}", cursor);
	CHECK_ANSWER(bulk_request(body), 200, "\"matched\":1,\"canceled\":0,\"requested\":1,\"tooLate\":0,\"more\":false");
	assert_true(world.went_on);
	snprintf(body, sizeof body, "{\"filter\":{\"to\":\"+886912345678\"},\"cursor\":\"%s\"}", cursor);
	CHECK_ANSWER(bulk_request(body), 400, CODE("cursor_invalid"));
	CHECK_ANSWER(bulk_request("{\"filter\":{\"state\":\"queued\"},\"cursor\":\"\"}"), 400, CODE("cursor_invalid"));
	CHECK_ANSWER(bulk_request("{\"filter\":{\"state\":\"queued\"},\"cursor\":null}"), 400, CODE("validation_failed"));
}

static void a_bulk_cancel_of_ended_calls_finds_none(void **state)
{
	(void)state;
	world.listed = 5;
	CHECK_ANSWER(bulk_request("{\"filter\":{\"state\":\"completed\"}}"), 200, "\"matched\":0");
	assert_int_equal(world.listed, 5);
}

static void a_bulk_cancel_needs_a_filter(void **state)
{
	(void)state;
	CHECK_ANSWER(bulk_request("{\"filter\":{}}"), 400, CODE("validation_failed"));
	CHECK_ANSWER(bulk_request("{}"), 400, CODE("validation_failed"));
	CHECK_ANSWER(bulk_request(""), 400, CODE("validation_failed"));
	CHECK_ANSWER(bulk_request("{\"filter\":{\"colour\":\"red\"}}"), 400, "colour");
	CHECK_ANSWER(with_key(request_new("POST", "/v1/calls/cancel", "{\"filter\":{\"projectId\":\"p\"}}"), dk_key), 400,
	             "Content-Type");
	world.key_unknown = true;
	CHECK_ANSWER(bulk_request("{}"), 401, CODE("credentials_invalid"));
	CHECK_ANSWER(bulk_request("{\"filter\":{\"projectId\":\"p\"}}"), 401, CODE("credentials_invalid"));
	CHECK_ANSWER(bulk_request("{\"filter\":{\"state\":\"completed\"}}"), 401, CODE("credentials_invalid"));
	world.key_unknown = false;
}

/* However much another organization, or the same, looks through. */
static void a_cancel_does_not_wait_for_those_who_look_through_many(void **state)
{
	char other_key[KEY_TEXT_SIZE];
	struct fake_request *f[10];

	(void)state;
	key_new(KEY_DK, false, 8, other_key);
	said = (struct cancel){ .outcome = CANCEL_DONE, .state = CALL_CANCELED };
	hold_statements(true);
	for (int i = 0; i < 8; i++)
		send_request(f[i] = with_key(request_new("GET", "/v1/calls", ""), dk_key));
	wait_statements(1);
	send_request(f[8] = with_key(request_new("GET", "/v1/calls", ""), other_key));
	wait_statements(2);                     /* those of the first have one clerk */
	assert_int_equal(world.statements, 2);
	send_request(f[9] = cancel_request());
	wait_statements(3);
	hold_statements(false);
	for (int i = 0; i < 10; i++) {
		wait_reply(f[i]);
		request_free(f[i]);
	}
}

/* ── changes ──────────────────────────────────────────────────────────────────── */

static enum read_outcome found;
static enum edit_outcome edited;
static struct call_edit asked;
static char asked_variables[64];

static enum err say_read(struct call_read **items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		items[i]->outcome = found;
		items[i]->call = (struct call_record){ .id = items[i]->call_id, .project = "p", .edits = 3 };
	}
	return OK;
}

static enum err say_edited(struct call_edit *x)
{
	asked = *x;
	snprintf(asked_variables, sizeof asked_variables, "%s", x->variables ? x->variables : "");
	x->outcome = edited;
	x->queued = true;
	return OK;
}

static struct fake_request *edit_request(const char *body)
{
	world.read = say_read;
	world.edit = say_edited;
	return with_header(with_key(request_new("PATCH", CALL, body), kros_key), "Content-Type", "application/json");
}

static const char *etag_now(void)
{
	static char etag[CALL_ETAG_SIZE];
	struct call_record r = { .project = "p", .edits = 3 };

	wire_call_etag(&r, etag);
	return etag;
}

static void a_change_is_answered_with_the_call(void **state)
{
	struct fake_request *f = edit_request("{\"dynamicVariables\":{ \"a\": 1 },\"priority\":\"high\",\"scheduledAt\":null}");

	(void)state;
	found = READ_FOUND;
	edited = EDIT_DONE;
	send_request(f);
	wait_reply(f);
	assert_int_equal(f->reply.status, 200);
	CHECK_BODY_HAS(f, "\"projectId\":\"p\"");
	assert_string_equal(reply_header(f, "ETag"), etag_now());
	request_free(f);
	assert_true(asked.set_variables && asked.set_prio && asked.set_scheduled && !asked.set_metadata);
	assert_string_equal(asked_variables, "{\"a\":1}");
	assert_int_equal(asked.prio, 0);
	assert_int_equal(asked.scheduled_ms, 0);
	assert_int_equal(asked.edits, -1);
	assert_int_equal(world.lanes_told, 1);
}

static void only_what_was_seen_is_changed_when_asked_so(void **state)
{
	(void)state;
	found = READ_FOUND;
	edited = EDIT_DONE;
	CHECK_ANSWER(with_header(edit_request("{\"metadata\":{}}"), "If-Match", "\"1-2-3\""), 412, CODE("precondition_failed"));
	CHECK_ANSWER(with_header(edit_request("{\"metadata\":{}}"), "If-Match", etag_now()), 200, NULL);
	assert_int_equal(asked.edits, 3);
	CHECK_ANSWER(with_header(edit_request("{\"metadata\":{}}"), "If-Match", "*"), 200, NULL);
	edited = EDIT_STALE;            /* somebody was quicker */
	CHECK_ANSWER(with_header(edit_request("{\"metadata\":{}}"), "If-Match", etag_now()), 412, CODE("precondition_failed"));
}

static void a_change_that_cannot_be_says_why(void **state)
{
	static const struct { enum edit_outcome outcome; int status; const char *code; } ends[] = {
		{ EDIT_TOO_LATE, 409, CODE("too_late") }, { EDIT_LIMIT, 409, CODE("edit_limit_reached") },
		{ EDIT_NOT_FOUND, 404, CODE("call_not_found") }, { EDIT_KEY_UNKNOWN, 401, CODE("credentials_invalid") },
		{ EDIT_EXPIRES_FIRST, 400, "/scheduledAt" }, { EDIT_SAME, 200, NULL },
	};

	(void)state;
	found = READ_FOUND;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		edited = ends[i].outcome;
		CHECK_ANSWER(edit_request("{\"metadata\":{}}"), ends[i].status, ends[i].code);
	}
	assert_int_equal(world.lanes_told, 0);
}

static void a_change_is_looked_at_before_anything_is_done(void **state)
{
	static const struct { const char *body, *says; } wrong[] = {
		{ "", "empty" }, { "{}", "say what to change" }, { "[]", "must be a JSON object" },
		{ "{\"metadata\":null}", "/metadata" }, { "{\"priority\":\"urgent\"}", "/priority" },
		{ "{\"scheduledAt\":\"tomorrow\"}", "/scheduledAt" }, { "{\"scheduledAt\":\"2001-01-01T00:00:00Z\"}", "in the past" },
		{ "{\"scheduledAt\":\"2999-01-01T00:00:00Z\"}", "days ahead" },
		{ "{\"toNumber\":\"+886912345678\"}", "\"pointer\":\"/toNumber\"" }, { "{\"colour\":1}", "colour" },
		{ "{\"metadata\":{},\"expiresAt\":\"2027-01-01T00:00:00Z\"}", "/expiresAt" },
	};
	struct fake_request *f;

	(void)state;
	found = READ_FOUND;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		f = edit_request(wrong[i].body);
		world.edit = NULL;
		CHECK_ANSWER(f, 400, wrong[i].says);
	}
	found = READ_KEY_UNKNOWN;
	CHECK_ANSWER(edit_request("{}"), 401, CODE("credentials_invalid"));
	found = READ_NOT_FOUND;
	CHECK_ANSWER(edit_request("{\"metadata\":{}}"), 404, CODE("call_not_found"));
	found = READ_FOUND;
	CHECK_ANSWER(with_key(request_new("PATCH", CALL, "{\"metadata\":{}}"), dk_key), 400, "Content-Type");
	CHECK_ANSWER(with_key(request_new("DELETE", CALL, ""), dk_key), 405, CODE("method_not_allowed"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_api, stop_api)
	const struct CMUnitTest tests[] = {
		TEST(what_waited_is_canceled),
		TEST(what_is_in_flight_is_asked_to_end),
		TEST(too_late_unknown_and_foreign_are_told_apart),
		TEST(a_lost_answer_may_be_asked_for_again),
		TEST(a_bulk_cancel_counts),
		TEST(a_bulk_cancel_counts_what_it_ended_itself),
		TEST(of_a_bulk_cancel_that_breaks_off_it_is_not_said_that_nothing_was_done),
		TEST(a_cancel_does_not_wait_for_those_who_look_through_many),
		TEST(a_bulk_cancel_goes_on_where_the_last_ended),
		TEST(a_bulk_cancel_of_ended_calls_finds_none),
		TEST(a_bulk_cancel_needs_a_filter),
		TEST(a_change_is_answered_with_the_call),
		TEST(only_what_was_seen_is_changed_when_asked_so),
		TEST(a_change_that_cannot_be_says_why),
		TEST(a_change_is_looked_at_before_anything_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
