/* Conditions on a tag, and what stands in a query. */
#include "api_fixture.h"

#include "etag.h"
#include "query.h"

#define TAG "\"1-0-2\""

static void a_tag_is_found_in_a_list(void **state)
{
	(void)state;
	assert_true(etag_match(TAG, TAG, true));
	assert_true(etag_match(TAG, TAG, false));
	assert_true(etag_match("\"x\", \"a,b\" ,\t" TAG " , \"y\"", TAG, false));
	assert_true(etag_match("*", TAG, false));
	assert_true(etag_match(" * ", TAG, true));
	assert_false(etag_match("\"x\"", TAG, true));
	assert_false(etag_match("", TAG, true));
	assert_false(etag_match("\"1-0-22\"", TAG, true));
	assert_false(etag_match("\"1-0-\"", TAG, true));
}

static void a_weak_tag_is_enough_to_save_a_body_and_not_to_change_a_call(void **state)
{
	(void)state;
	assert_true(etag_match("W/" TAG, TAG, true));
	assert_false(etag_match("W/" TAG, TAG, false));
	assert_true(etag_match("W/" TAG ", " TAG, TAG, false));
	assert_false(etag_match("w/" TAG, TAG, true));
}

static void what_is_no_list_of_tags_holds_for_nothing(void **state)
{
	static const char *const lists[] = { "1-0-2", "\"1-0-2", "x, " TAG, "*, " TAG, "**", "W/", "W/*", "\"", ",,,", "'1-0-2'" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		assert_false(etag_match(lists[i], TAG, true));
}

static void text_in_a_query_is_escaped(void **state)
{
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 100);
	query_escape(&b, "aZ0-._~ +&=%>\"\xc3\xa9\n");
	assert_string_equal("aZ0-._~%20%2B%26%3D%25%3E%22%C3%A9%0A", b.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tag_is_found_in_a_list),
		cmocka_unit_test(a_weak_tag_is_enough_to_save_a_body_and_not_to_change_a_call),
		cmocka_unit_test(what_is_no_list_of_tags_holds_for_nothing),
		cmocka_unit_test(text_in_a_query_is_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
