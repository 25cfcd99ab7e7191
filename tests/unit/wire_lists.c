/* Filters as clients write them, places as they carry them, events as they read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/mem.h"
#include "callgate/wire_lists.h"

static struct call_filter f;
static struct wire_problems ps;

static int begin(void **state)
{
	(void)state;
	memset(&f, 0, sizeof f);
	ps.count = 0;
	return 0;
}

static void set(const char *name, const char *value)
{
	assert_true(wire_filter_argument(&f, name, value, &ps));
}

static void check_problem(const char *pointer, const char *piece)
{
	assert_true(ps.count > 0);
	assert_string_equal(pointer, ps.items[0].pointer);
	if (!strstr(ps.items[0].message, piece))
		fail_msg("'%s' is not in '%s'", piece, ps.items[0].message);
	begin(NULL);
}

/* ── filters ────────────────────────────────────────────────────────────────────── */

static void every_filter_has_its_argument(void **state)
{
	(void)state;
	set("projectId", "proj_a");
	set("state", "queued,in_progress");
	set("outcome", "busy");
	set("from", "+886912345678");
	set("to", "+886987654321");
	set("createdAfter", "2026-11-20T08:32:00.123Z");
	set("createdBefore", "2026-11-20T10:32:01+02:00");
	set("metadataKey", "order");
	set("metadataValue", "");
	wire_filter_end(&f, &ps);
	assert_int_equal(0, ps.count);
	assert_string_equal("proj_a", f.project);
	assert_int_equal(STATE_BIT(CALL_QUEUED) | STATE_BIT(CALL_IN_PROGRESS), f.states);
	assert_int_equal(REASON_BUSY, f.reason);
	assert_string_equal("+886912345678", f.from);
	assert_string_equal("+886987654321", f.to);
	assert_int_equal(1795163520123, f.created_from_ms);
	assert_int_equal(1795163521000, f.created_to_ms);
	assert_string_equal("order", f.metadata_key);
	assert_true(f.has_value);
	assert_false(wire_filter_argument(&f, "limit", "1", &ps));
}

static void a_plus_that_became_a_blank_is_a_plus_again(void **state)
{
	(void)state;
	set("to", " 886987654321");
	set("createdAfter", "2026-11-20T10:32:00 02:00");
	assert_int_equal(0, ps.count);
	assert_string_equal("+886987654321", f.to);
	assert_int_equal(1795163520000, f.created_from_ms);
	set("metadataKey", "a b");
	assert_string_equal("a b", f.metadata_key);
}

static void what_is_no_value_is_named(void **state)
{
	static char longer[FILTER_VALUE_MAX + 2];

	(void)state;
	memset(longer, 'x', sizeof longer - 1);
	set("state", "queued,ringin");
	check_problem("", "state: there is no such state");
	set("state", "");
	check_problem("", "state");
	set("state", "queued,");
	check_problem("", "state");
	set("state", longer);
	check_problem("", "state");
	set("outcome", "none");
	check_problem("", "outcome: there is no such reason");
	set("from", "0912");
	check_problem("", "from: ");
	set("to", longer);
	check_problem("", "to: ");
	set("createdAfter", "yesterday");
	check_problem("", "createdAfter must be a time");
	set("createdBefore", "2026-11-20T08:32:00");
	check_problem("", "createdBefore must be a time");
	set("projectId", "");
	check_problem("", "projectId must not be empty");
	set("projectId", "\xff");
	check_problem("", "projectId is not valid UTF-8");
	set("metadataKey", longer);
	check_problem("", "metadataKey is longer than 256 bytes");
	set("metadataValue", longer);
	check_problem("", "metadataValue is longer than 1024 bytes");
	set("metadataValue", "x");
	set("createdAfter", "2026-11-20T08:32:00Z");
	set("createdBefore", "2026-11-20T08:32:00Z");
	wire_filter_end(&f, &ps);
	assert_int_equal(2, ps.count);
	check_problem("", "only of use with metadataKey");
}

static char cursor[WIRE_CURSOR_SIZE];

static enum err read_body(const char *body)
{
	return wire_filter_body(body, strlen(body), &f, cursor, &ps);
}

static void a_body_may_say_where_to_go_on(void **state)
{
	static char longer[300] = "{\"filter\":{\"state\":\"queued\"},\"cursor\":\"";

	(void)state;
	assert_int_equal(OK, read_body("{\"filter\":{\"state\":\"queued\"},\"cursor\":\"abc\"}"));
	assert_string_equal("abc", cursor);
	assert_int_equal(OK, read_body("{\"filter\":{\"state\":\"queued\"}}"));
	assert_string_equal("", cursor);
	/* what can be no cursor is one that will be refused, and not none */
	assert_int_equal(OK, read_body("{\"filter\":{\"state\":\"queued\"},\"cursor\":\"\"}"));
	assert_string_equal("-", cursor);
	memset(longer + strlen(longer), 'A', WIRE_CURSOR_SIZE);
	strcat(longer, "\"}");
	assert_int_equal(OK, read_body(longer));
	assert_string_equal("-", cursor);
	assert_int_equal(ERR_INVALID, read_body("{\"filter\":{\"state\":\"queued\"},\"cursor\":7}"));
	check_problem("/cursor", "cursor must be a string, not a number");
	begin(NULL);
}

static void a_body_has_the_same_names(void **state)
{
	(void)state;
	assert_int_equal(OK, read_body("{\"filter\":{\"state\":[\"queued\",\"ringing\"],\"to\":\"+886987654321\"}}"));
	assert_int_equal(STATE_BIT(CALL_QUEUED) | STATE_BIT(CALL_RINGING), f.states);
	assert_int_equal(OK, read_body("{\"filter\":{\"state\":\"queued\",\"metadataKey\":\"k\",\"metadataValue\":\"v\"}}"));
	assert_string_equal("v", f.metadata_value);
}

static void a_body_that_would_mean_every_call_is_refused(void **state)
{
	(void)state;
	assert_int_equal(ERR_INVALID, read_body("{\"filter\":{}}"));
	check_problem("/filter", "filter must say something");
	assert_int_equal(ERR_INVALID, read_body("{}"));
	check_problem("", "filter is required");
	assert_int_equal(ERR_INVALID, read_body("{\"filter\":[]}"));
	check_problem("/filter", "filter must be an object");
	assert_int_equal(ERR_INVALID, read_body("{\"filter\":{\"stat\":\"queued\"}}"));
	check_problem("/filter", "no filter named \"stat\"");
	assert_int_equal(ERR_INVALID, read_body("{\"filter\":{\"state\":[]}}"));
	check_problem("/filter/state", "must not be empty");
	assert_int_equal(ERR_INVALID, read_body("{\"filter\":{\"state\":[7]}}"));
	check_problem("/filter/state", "no such state");
	assert_int_equal(ERR_INVALID, read_body("{\"filter\":{\"to\":7}}"));
	check_problem("/filter/to", "to must be a string, not a number");
	assert_int_equal(ERR_INVALID, read_body("{\"filter\":{\"to\":\" 886987654321\"}}"));
	check_problem("/filter/to", "to: ");
	assert_int_equal(ERR_INVALID, read_body("{\"filter\":{\"state\":\"queued\"},\"dry\":1}"));
	check_problem("", "no member named \"dry\"");
	assert_int_equal(ERR_INVALID, read_body("["));
	begin(NULL);
}

/* ── places ─────────────────────────────────────────────────────────────────────── */

static void a_cursor_reads_only_where_it_was_made(void **state)
{
	struct id id = id_new(), out;
	char text[WIRE_CURSOR_SIZE], damaged[WIRE_CURSOR_SIZE + 1];
	struct call_filter other;
	size_t i;

	(void)state;
	set("state", "queued");
	wire_cursor_write(7, &f, &id, text);
	assert_true(wire_cursor_read(7, &f, text, &out));
	assert_int_equal(0, id_cmp(&id, &out));
	assert_false(wire_cursor_read(8, &f, text, &out));
	other = f;
	other.has_value = true;
	assert_false(wire_cursor_read(7, &other, text, &out));
	for (i = 0; i < strlen(text); i++) {
		strcpy(damaged, text);
		damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
		assert_false(wire_cursor_read(7, &f, damaged, &out));
	}
	strcpy(damaged, text);
	strcat(damaged, "A");
	assert_false(wire_cursor_read(7, &f, damaged, &out));
	damaged[strlen(text) - 1] = '\0';
	assert_false(wire_cursor_read(7, &f, damaged, &out));
	assert_false(wire_cursor_read(7, &f, "", &out));
}

static void a_position_reads_only_in_its_organization(void **state)
{
	struct feed_position at = { .at_us = 1795163520123456, .call_id = id_new(), .seq = 32767 }, out;
	char text[WIRE_CURSOR_SIZE];

	(void)state;
	wire_position_write(7, &at, text);
	assert_true(wire_position_read(7, text, &out));
	assert_memory_equal(&at.call_id, &out.call_id, sizeof at.call_id);
	assert_int_equal(at.at_us, out.at_us);
	assert_int_equal(at.seq, out.seq);
	assert_false(wire_position_read(8, text, &out));
	text[3] ^= 1;
	assert_false(wire_position_read(7, text, &out));
	at = (struct feed_position){ .at_us = INT64_MAX };
	wire_position_write(7, &at, text);
	assert_false(wire_position_read(7, text, &out));        /* no time of ours */
}

/* ── events ─────────────────────────────────────────────────────────────────────── */

static void events_have_their_type_and_the_name_of_their_reason(void **state)
{
	char data[] = "{\"reason\": 9, \"sipCode\": 503, \"delayMs\": 20}", odd[] = "{\"reason\": 999}";
	struct call_event events[] = {
		{ .seq = 30, .kind = 32, .at_us = 1795163520123456, .data = data, .project = "p" },
		{ .seq = 31, .kind = CALL_FAILED, .at_us = 1795163520123456, .data = odd, .project = "p" },
	};
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 4096);
	wire_events_write(&b, events, 2, false, "POS");
	assert_string_equal(b.data,
		"{\"data\":[{\"callId\":\"00000000-0000-0000-0000-000000000000\",\"projectId\":\"p\",\"seq\":30,"
		"\"type\":\"call.retrying\",\"at\":\"2026-11-20T08:32:00.123Z\",\"attempt\":1,"
		"\"data\":{\"reason\":\"carrier_unavailable\",\"sipCode\":503,\"delayMs\":20}},"
		"{\"callId\":\"00000000-0000-0000-0000-000000000000\",\"projectId\":\"p\",\"seq\":31,"
		"\"type\":\"call.failed\",\"at\":\"2026-11-20T08:32:00.123Z\",\"attempt\":1,\"data\":{\"reason\":null}}],"
		"\"hasMore\":false,\"position\":\"POS\"}");
	assert_null(wire_event_type(9));
	assert_null(wire_event_type(36));
	assert_null(wire_event_type(-1));
	assert_string_equal("call.edited", wire_event_type(35));
}

#define T(t) cmocka_unit_test_setup(t, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_filter_has_its_argument),
		T(a_plus_that_became_a_blank_is_a_plus_again),
		T(what_is_no_value_is_named),
		T(a_body_has_the_same_names),
		T(a_body_may_say_where_to_go_on),
		T(a_body_that_would_mean_every_call_is_refused),
		T(a_cursor_reads_only_where_it_was_made),
		T(a_position_reads_only_in_its_organization),
		T(events_have_their_type_and_the_name_of_their_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
