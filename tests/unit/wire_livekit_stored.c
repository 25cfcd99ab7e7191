/* Trunks stored at LiveKit: found by id, compared by digits, and telling the version by the
 * fields they have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "callgate/mem.h"
#include "callgate/wire_livekit_stored.h"

/* As livekit-server 1.13.5 wrote it. */
#define TRUNK "\"sip_trunk_id\":\"ST_a\", \"name\":\"t\", \"address\":\"127.0.0.1:5070\", \"numbers\":[\"+15550100\",\"5550177\"]," \
	"\"auth_password\":\"p\""

static struct wire_livekit_stored read_it(const char *body, const char *id, const char *numbers)
{
	struct wire_livekit_stored s;

	assert_true(wire_livekit_stored_read(body, strlen(body), id, numbers, &s));
	return s;
}

static void a_trunk_is_found_by_its_id(void **state)
{
	static const char two[] = "{\"items\":[{\"sip_trunk_id\":\"ST_b\"},{" TRUNK "}]}";

	(void)state;
	assert_string_equal(read_it(two, "ST_a", "").address, "127.0.0.1:5070");
	assert_false(read_it(two, "ST_c", "").found);
	assert_true(read_it(two, NULL, "").found);
	assert_true(read_it("{\"items\":[{\"sipTrunkId\":\"ST_a\"}]}", "ST_a", "").found);
	assert_false(read_it("{}", NULL, "").found);
}

static void what_is_no_answer_is_refused(void **state)
{
	static const char *const odd[] = { "", "[]", "OK", "{\"items\":", "null" };
	struct wire_livekit_stored s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++)
		assert_false(wire_livekit_stored_read(odd[i], strlen(odd[i]), NULL, "", &s));
	s = read_it("{\"items\":[7,{\"sip_trunk_id\":8,\"numbers\":[9]}]}", "ST_a", "+1");
	assert_false(s.found);
}

static void the_fields_tell_the_version(void **state)
{
	(void)state;
	assert_int_equal(read_it("{\"items\":[]}", NULL, "").age, LIVEKIT_AGE_UNKNOWN);
	assert_int_equal(read_it("{\"items\":[{" TRUNK "}]}", NULL, "").age, LIVEKIT_BEFORE_1_10);
	assert_int_equal(read_it("{\"items\":[{" TRUNK ",\"created_at\":null}]}", NULL, "").age, LIVEKIT_BEFORE_1_13_2);
	assert_int_equal(read_it("{\"items\":[{" TRUNK ",\"media\":null,\"created_at\":null}]}", NULL, "").age,
	                 LIVEKIT_SINCE_1_13_2);
}

static void numbers_are_compared_by_their_digits(void **state)
{
	struct wire_livekit_stored s = read_it("{\"items\":[{" TRUNK "}]}", "ST_a", "+15550100 +5550177");

	(void)state;
	assert_int_equal(s.n_unlisted, 0);
	s = read_it("{\"items\":[{" TRUNK "}]}", "ST_a", "+15550100 +15550101 +15550102");
	assert_int_equal(s.n_unlisted, 2);
	assert_string_equal(s.unlisted, "+15550101");
	assert_int_equal(read_it("{\"items\":[{\"numbers\":[\"*\"]}]}", NULL, "+1 +2").n_unlisted, 0);
	assert_int_equal(read_it("{\"items\":[{\"numbers\":[]}]}", NULL, "+1").n_unlisted, 0);
}

static void one_trunk_is_asked_for_or_any(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 200);
	wire_livekit_list_trunks(&b, "ST_\"a");
	assert_string_equal(b.data, "{\"trunk_ids\":[\"ST_\\\"a\"]}");
	buf_clear(&b);
	wire_livekit_list_trunks(&b, NULL);
	assert_string_equal(b.data, "{\"page\":{\"limit\":1}}");
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_trunk_is_found_by_its_id),
		cmocka_unit_test(what_is_no_answer_is_refused),
		cmocka_unit_test(the_fields_tell_the_version),
		cmocka_unit_test(numbers_are_compared_by_their_digits),
		cmocka_unit_test(one_trunk_is_asked_for_or_any),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
