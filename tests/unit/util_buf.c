/* The buffer with a ceiling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/buf.h"
#include "callgate/mem.h"

static void an_empty_buffer_is_an_empty_string(void **state)
{
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(b.size, 0);
	assert_string_equal(b.data, "");
	buf_add(&b, NULL, 0);
	assert_string_equal(b.data, "");
	assert_false(b.over);
}

static void pieces_follow_one_another_and_a_nul_follows_them(void **state)
{
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_str(&b, "a");
	buf_char(&b, 'b');
	buf_add(&b, "cd", 2);
	buf_printf(&b, "%s-%d", "e", 5);
	assert_string_equal(b.data, "abcde-5");
	assert_int_equal(b.len, 7);
}

static void the_ceiling_itself_can_be_reached(void **state)
{
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 5);
	buf_str(&b, "12345");
	assert_false(b.over);
	assert_string_equal(b.data, "12345");
	buf_char(&b, '6');
	assert_true(b.over);
	assert_string_equal(b.data, "12345");
}

static void past_the_ceiling_nothing_is_written_any_more(void **state)
{
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 5);
	buf_str(&b, "123");
	buf_str(&b, "too long");
	buf_str(&b, "4");
	buf_printf(&b, "%d", 5);
	assert_true(b.over);
	assert_string_equal(b.data, "123");
	assert_true(b.size <= 6);
}

static void a_printf_past_the_ceiling_leaves_no_half(void **state)
{
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 5);
	buf_printf(&b, "%s", "123456");
	assert_true(b.over);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
}

static void a_huge_piece_does_not_wrap_the_sum(void **state)
{
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, SIZE_MAX / 4);
	buf_str(&b, "x");
	buf_add(&b, "y", SIZE_MAX);
	assert_true(b.over);
	assert_string_equal(b.data, "x");
}

static void many_small_pieces_grow_the_buffer(void **state)
{
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 10000);
	for (int i = 0; i < 10000; i++)
		buf_char(&b, (char)('a' + i % 26));
	assert_false(b.over);
	assert_int_equal(b.len, 10000);
	assert_int_equal(b.data[9999], 'a' + 9999 % 26);
	assert_int_equal(b.data[10000], 0);
}

static void clear_makes_it_empty_and_writable_again(void **state)
{
	CLEANUP(buf_done) struct buf b;
	size_t size;

	(void)state;
	buf_init(&b, 5);
	buf_str(&b, "12345");
	buf_str(&b, "6");
	size = b.size;
	buf_clear(&b);
	assert_string_equal(b.data, "");
	buf_str(&b, "again");
	assert_string_equal(b.data, "again");
	assert_false(b.over);
	assert_int_equal(b.size, size);
}

static void integers_are_decimal_to_both_ends(void **state)
{
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_int(&b, 0);
	buf_char(&b, ' ');
	buf_int(&b, INT64_MAX);
	buf_char(&b, ' ');
	buf_int(&b, INT64_MIN);
	assert_string_equal(b.data, "0 9223372036854775807 -9223372036854775808");
}

static void wire_integers_are_big_endian(void **state)
{
	static const uint8_t expected[] = { 0x01, 0x02, 0x81, 0x02, 0x03, 0x04,
	                                    0xf1, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08 };
	CLEANUP(buf_done) struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_be16(&b, 0x0102);
	buf_be32(&b, 0x81020304);
	buf_be64(&b, UINT64_C(0xf102030405060708));
	assert_int_equal(b.len, sizeof expected);
	assert_memory_equal(b.data, expected, sizeof expected);
}

static void take_hands_over_the_bytes_and_starts_anew(void **state)
{
	CLEANUP(buf_done) struct buf b;
	CLEANUP(freep) char *first = NULL;
	CLEANUP(freep) char *second = NULL;
	size_t len = 99;

	(void)state;
	buf_init(&b, 5);
	buf_add(&b, "a\0b", 3);
	first = buf_take(&b, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(first, "a\0b", 4);
	second = buf_take(&b, NULL);
	assert_string_equal(second, "");
	buf_str(&b, "12345");
	assert_false(b.over);
	assert_string_equal(b.data, "12345");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buffer_is_an_empty_string),
		cmocka_unit_test(pieces_follow_one_another_and_a_nul_follows_them),
		cmocka_unit_test(the_ceiling_itself_can_be_reached),
		cmocka_unit_test(past_the_ceiling_nothing_is_written_any_more),
		cmocka_unit_test(a_printf_past_the_ceiling_leaves_no_half),
		cmocka_unit_test(a_huge_piece_does_not_wrap_the_sum),
		cmocka_unit_test(many_small_pieces_grow_the_buffer),
		cmocka_unit_test(clear_makes_it_empty_and_writable_again),
		cmocka_unit_test(integers_are_decimal_to_both_ends),
		cmocka_unit_test(wire_integers_are_big_endian),
		cmocka_unit_test(take_hands_over_the_bytes_and_starts_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
