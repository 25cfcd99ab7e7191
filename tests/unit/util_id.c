/* Ids: order, uniqueness, text, and the 53-bit number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>

#include "callgate/clock.h"
#include "callgate/id.h"
#include "callgate/mem.h"

#define THREADS  4
#define PER_THREAD 20000

static void a_new_id_is_a_uuid_of_version_7(void **state)
{
	int64_t before = wall_ms();
	struct id id = id_new();
	char text[ID_TEXT_SIZE];

	(void)state;
	id_format(&id, text);
	assert_int_equal(strlen(text), 36);
	assert_int_equal(text[14], '7');
	assert_non_null(strchr("89ab", text[19]));
	assert_true(id_ms(&id) >= before && id_ms(&id) <= wall_ms() + 1);
}

static void a_random_id_is_a_uuid_of_version_4(void **state)
{
	struct id a = id_random(), b = id_random();
	char text[ID_TEXT_SIZE];

	(void)state;
	id_format(&a, text);
	assert_int_equal(text[14], '4');
	assert_non_null(strchr("89ab", text[19]));
	assert_int_not_equal(id_cmp(&a, &b), 0);
	assert_int_equal(id_number(&a), 0);
}

/* 2000 at once is far more than a millisecond's 256. */
static void ids_of_one_thread_rise_strictly(void **state)
{
	struct id last = id_new();

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct id next = id_new();

		assert_true(id_cmp(&last, &next) < 0);
		assert_true(id_number(&last) < id_number(&next));
		last = next;
	}
}

static void a_clock_set_back_does_not_set_ids_back(void **state)
{
	struct id before, after;

	(void)state;
	before = id_new();
	id_set_clock_offset(-3600000);
	after = id_new();
	id_set_clock_offset(0);
	assert_true(id_cmp(&before, &after) < 0);
}

static void ids_follow_the_clock_offset(void **state)
{
	struct id id;

	(void)state;
	id_set_clock_offset(5000);
	id = id_new();
	id_set_clock_offset(0);
	assert_true(id_ms(&id) >= wall_ms() + 4000);
}

static void *make_many(void *arg)
{
	struct id *ids = arg;

	for (int i = 0; i < PER_THREAD; i++)
		ids[i] = id_new();
	return NULL;
}

static int by_id(const void *a, const void *b)
{
	return id_cmp(a, b);
}

static void ids_of_several_threads_are_unique_and_rise_in_each(void **state)
{
	CLEANUP(freep) struct id *ids = xcalloc(THREADS * PER_THREAD, sizeof *ids);
	pthread_t threads[THREADS];

	(void)state;
	for (int t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, make_many, ids + t * PER_THREAD), 0);
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	for (int i = 1; i < THREADS * PER_THREAD; i++)
		assert_true(i % PER_THREAD == 0 || id_cmp(&ids[i - 1], &ids[i]) < 0);
	qsort(ids, THREADS * PER_THREAD, sizeof *ids, by_id);
	/* The numbers too: what tells them apart must not be the random half. */
	for (int i = 1; i < THREADS * PER_THREAD; i++)
		assert_true(id_number(&ids[i - 1]) < id_number(&ids[i]));
}

static void two_processes_differ_in_the_number(void **state)
{
	struct id one, two;

	(void)state;
	id_set_process(3);
	one = id_new();
	id_set_process(16 + 4);
	two = id_new();
	id_set_process(0);
	assert_int_equal(one.b[6] & 0x0f, 3);
	assert_int_equal(two.b[6] & 0x0f, 4);
}

static void text_goes_there_and_back(void **state)
{
	static const char text[] = "0192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1b";
	struct id id;
	char out[ID_TEXT_SIZE];

	(void)state;
	assert_true(id_parse(text, &id));
	assert_int_equal(id.b[0], 0x01);
	assert_int_equal(id.b[15], 0x1b);
	id_format(&id, out);
	assert_string_equal(out, text);
}

static void capitals_are_read_and_written_small(void **state)
{
	struct id id;
	char out[ID_TEXT_SIZE];

	(void)state;
	assert_true(id_parse("0192F0C1-2B3D-7E4F-8A5B-6C7D8E9F0A1B", &id));
	id_format(&id, out);
	assert_string_equal(out, "0192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1b");
}

static void what_is_not_exactly_an_id_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", "0", "0192f0c1",
		"0192f0c12b3d7e4f8a5b6c7d8e9f0a1b",
		"0192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1",
		"0192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1bb",
		"0192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1g",
		"0192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a-b",
		"0192f0c1-2b3d-7e4f-8a5b06c7d8e9f0a1b",
		"0192f0c12-b3d-7e4f-8a5b-6c7d8e9f0a1b",
		"{192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1}",
		" 192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1b",
		"0192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1\x02",
		"\x10" "192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1b",
	};
	struct id id = { { 7 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		/* A copy of just its size: reading past the end is caught. */
		CLEANUP(freep) char *text = xstrdup(wrong[i]);

		if (id_parse(text, &id))
			fail_msg("taken for an id: \"%s\"", text);
		assert_int_equal(id.b[0], 7);
	}
}

static void the_floor_is_the_smallest_id_of_its_millisecond(void **state)
{
	struct id id = id_new();
	struct id floor = id_floor(id_ms(&id)), above = id_floor(id_ms(&id) + 1);

	(void)state;
	assert_true(id_cmp(&floor, &id) <= 0);
	assert_true(id_cmp(&id, &above) < 0);
	assert_int_equal(id_ms(&floor), id_ms(&id));
	floor = id_floor(-5);
	assert_int_equal(id_ms(&floor), 0);
}

static void the_number_of_an_id_fits_into_53_bits_and_leads_back_to_it(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct id id, lo, hi;
		int64_t number;

		id_set_process((unsigned)i);
		id = id_new();
		number = id_number(&id);
		assert_true(number > 0 && number < INT64_C(1) << 53);
		id_number_range(number, &lo, &hi);
		assert_true(id_cmp(&lo, &id) <= 0 && id_cmp(&id, &hi) <= 0);
		assert_int_equal(id_number(&lo), number);
		assert_int_equal(id_number(&hi), number);
	}
	id_set_process(0);
}

static void the_ranges_of_neighbouring_numbers_do_not_touch(void **state)
{
	struct id id = id_new(), lo, hi, next_lo, next_hi;

	(void)state;
	id_number_range(id_number(&id), &lo, &hi);
	id_number_range(id_number(&id) + 1, &next_lo, &next_hi);
	assert_true(id_cmp(&hi, &next_lo) < 0);
}

static void the_largest_number_has_a_range(void **state)
{
	const int64_t largest = (INT64_C(1) << 53) - 1;
	struct id lo, hi;

	(void)state;
	id_number_range(largest, &lo, &hi);
	assert_true(id_cmp(&lo, &hi) < 0);
	assert_int_equal(id_number(&lo), largest);
}

static void a_number_that_no_id_has_finds_nothing(void **state)
{
	static const int64_t wrong[] = { 0, -1, INT64_MIN, INT64_C(1) << 53, INT64_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct id lo, hi;

		id_number_range(wrong[i], &lo, &hi);
		assert_true(id_cmp(&lo, &hi) > 0);
	}
}

static void an_id_from_elsewhere_has_no_number(void **state)
{
	struct id id = id_floor(1000), late = id_floor(INT64_MAX), variant = id_new();

	(void)state;
	variant.b[8] = 0;
	assert_int_equal(id_number(&id), 0);
	assert_int_equal(id_number(&late), 0);
	assert_int_equal(id_number(&variant), 0);
}

static void ids_compare_as_bytes(void **state)
{
	struct id a = { { 0x01 } }, b = { { 0x80 } };

	(void)state;
	assert_true(id_cmp(&a, &b) < 0);
	assert_true(id_cmp(&b, &a) > 0);

	assert_int_equal(id_cmp(&a, &a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_id_is_a_uuid_of_version_7),
		cmocka_unit_test(a_random_id_is_a_uuid_of_version_4),
		cmocka_unit_test(ids_of_one_thread_rise_strictly),
		cmocka_unit_test(a_clock_set_back_does_not_set_ids_back),
		cmocka_unit_test(ids_of_several_threads_are_unique_and_rise_in_each),
		cmocka_unit_test(two_processes_differ_in_the_number),
		cmocka_unit_test(text_goes_there_and_back),
		cmocka_unit_test(capitals_are_read_and_written_small),
		cmocka_unit_test(what_is_not_exactly_an_id_is_refused),
		cmocka_unit_test(the_floor_is_the_smallest_id_of_its_millisecond),
		cmocka_unit_test(the_number_of_an_id_fits_into_53_bits_and_leads_back_to_it),
		cmocka_unit_test(the_ranges_of_neighbouring_numbers_do_not_touch),
		cmocka_unit_test(the_largest_number_has_a_range),
		cmocka_unit_test(a_number_that_no_id_has_finds_nothing),
		cmocka_unit_test(an_id_from_elsewhere_has_no_number),
		cmocka_unit_test(ids_compare_as_bytes),
		cmocka_unit_test(ids_follow_the_clock_offset),  /* last: ids stay ahead after it */
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
