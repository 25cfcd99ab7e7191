/* The names of rooms and legs: whose they are can be read from them, and only from ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/mem.h"
#include "livekit_name.h"

static void a_room_tells_whose_it_is(void **state)
{
	static const int64_t orgs[] = { 1, 35, 36, 123456789, INT64_MAX };
	static const int attempts[] = { 1, 9, 10, 99 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(orgs); i++) {
		for (size_t k = 0; k < ARRAY_LEN(attempts); k++) {
			struct livekit_name n = { orgs[i], id_new(), attempts[k] }, back;
			char identity[LIVEKIT_NAME_SIZE], room[LIVEKIT_NAME_SIZE], other[LIVEKIT_NAME_SIZE];

			assert_true(livekit_name_identity(&n, identity));
			assert_true(livekit_name_room(&n, room));
			assert_true(livekit_name_room(&n, other));
			assert_string_not_equal(room, other);
			assert_memory_equal(room, identity, strlen(identity));
			assert_true(livekit_name_parse(room, &back));
			assert_int_equal(back.org_id, n.org_id);
			assert_int_equal(id_cmp(&back.call_id, &n.call_id), 0);
			assert_int_equal(back.attempt, n.attempt);
		}
	}
}

static void what_has_no_name_gets_none(void **state)
{
	char out[LIVEKIT_NAME_SIZE];

	(void)state;
	assert_false(livekit_name_room(&(struct livekit_name){ 0, id_new(), 1 }, out));
	assert_false(livekit_name_room(&(struct livekit_name){ 1, id_new(), 0 }, out));
	assert_false(livekit_name_room(&(struct livekit_name){ 1, id_new(), 100 }, out));
}

static void other_peoples_rooms_are_not_ours(void **state)
{
#define ID "0192f0c1d2e37abc8def0123456789ab"
	static const char *const others[] = {
		"", "cg", "sales", "call-7f3a", "cg-" ID "-1-AAAAAAAAAAA", "cg0-" ID "-1-AAAAAAAAAAA", "cg01-" ID "-1-AAAAAAAAAAA",
		"cg1-" ID "-1", "cg1-" ID "-1-", "cg1-" ID "-1-AAAAAAAAAA", "cg1-" ID "-1-AAAAAAAAAAAA", "cg1-" ID "-1-AAAAAAAAAA=",
		"cg1-" ID "-1-AAAAAAAAAA/", "cg1-" ID "-0-AAAAAAAAAAA", "cg1-" ID "-01-AAAAAAAAAAA", "cg1-" ID "-100-AAAAAAAAAAA",
		"cg1-" ID "--AAAAAAAAAAA", "cg1-" ID "-1a-AAAAAAAAAAA", "cg1-0192F0C1D2E37ABC8DEF0123456789AB-1-AAAAAAAAAAA",
		"cg1-0192f0c1d2e37abc8def0123456789a-1-AAAAAAAAAAA", "CG1-" ID "-1-AAAAAAAAAAA", " cg1-" ID "-1-AAAAAAAAAAA",
		"cg1y2p0ij32e8e8-" ID "-1-AAAAAAAAAAA",         /* 2^63 */
		"cgzzzzzzzzzzzzzzzzzzz-" ID "-1-AAAAAAAAAAA", "cg1\xc3\xa9-" ID "-1-AAAAAAAAAAA",
	};
	struct livekit_name n;

	(void)state;
	assert_true(livekit_name_parse("cg1y2p0ij32e8e7-" ID "-1-AAAAAAAAAAA", &n));
	assert_int_equal(n.org_id, INT64_MAX);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (livekit_name_parse(others[i], &n))
			fail_msg("%s", others[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_room_tells_whose_it_is),
		cmocka_unit_test(what_has_no_name_gets_none),
		cmocka_unit_test(other_peoples_rooms_are_not_ours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
