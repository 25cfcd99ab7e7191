/* The lives of simulated calls: pure, so no thread and no clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "callgate/mem.h"
#include "sim_life.h"

static struct life reserved(int suffix, int attempt, int ring_timeout_s, int max_duration_s)
{
	struct life l;
	char to[E164_SIZE];

	snprintf(to, sizeof to, "+1202555%04d", suffix);
	life_of(to, attempt, ring_timeout_s, max_duration_s, &l);
	return l;
}

static const struct life_step *first(const struct life *l, enum provider_event_kind kind)
{
	for (int i = 0; i < l->n; i++)
		if (l->steps[i].kind == kind)
			return &l->steps[i];
	return NULL;
}

static void every_life_ends_and_fits(void **state)
{
	(void)state;
	for (int suffix = 100; suffix < 200; suffix++) {
		for (int attempt = 1; attempt <= 2; attempt++) {
			struct life l = reserved(suffix, attempt, 60, 3600);

			assert_in_range(l.n, 2, LIFE_STEPS_MAX);
			assert_non_null(first(&l, PROVIDER_ENDED));
			assert_non_null(first(&l, PROVIDER_ENDED)->outcome);
			assert_int_not_equal(first(&l, PROVIDER_ENDED)->outcome->reason, REASON_NONE);
			for (int i = 1; i < l.n; i++)
				assert_true(l.steps[i].at_ms >= l.steps[i - 1].at_ms);
		}
	}
}

static void each_reserved_destination_has_its_outcome(void **state)
{
	static const struct {
		int suffix, attempt;
		bool answered;
		enum call_reason reason;
		int sip;
		bool never_rang;
	} expected[] = {
		{ 100, 1, true,  REASON_CALLEE_HANGUP, 200, false },
		{ 101, 1, false, REASON_BUSY, 486, false },
		{ 102, 1, false, REASON_NO_ANSWER, 480, false },
		{ 103, 1, false, REASON_DECLINED, 603, false },
		{ 104, 1, false, REASON_INVALID_NUMBER, 404, true },
		{ 105, 1, true,  REASON_VOICEMAIL, 200, false },
		{ 106, 1, false, REASON_CARRIER_UNAVAILABLE, 503, true },
		{ 106, 2, true,  REASON_CALLEE_HANGUP, 200, false },
		{ 107, 1, false, REASON_CARRIER_LIMIT, 503, true },
		{ 107, 3, false, REASON_CARRIER_LIMIT, 503, true },
		{ 109, 1, false, REASON_CARRIER_BLOCKED, 603, true },
		{ 110, 1, true,  REASON_CALLEE_HANGUP, 200, false },
		{ 111, 1, true,  REASON_MAX_DURATION, 200, false },
		{ 112, 1, true,  REASON_CALLEE_HANGUP, 200, false },
		{ 113, 1, false, REASON_INSUFFICIENT_CREDITS, 0, true },
		{ 114, 1, false, REASON_SUPPRESSED, 0, true },
		{ 177, 1, true,  REASON_CALLEE_HANGUP, 200, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		struct life l = reserved(expected[i].suffix, expected[i].attempt, 60, 3600);
		const struct life_step *end = first(&l, PROVIDER_ENDED);

		assert_int_equal(first(&l, PROVIDER_ANSWERED) != NULL, expected[i].answered);
		assert_int_equal(end->outcome->reason, expected[i].reason);
		assert_int_equal(end->outcome->sip_code, expected[i].sip);
		assert_int_equal(end->outcome->never_rang, expected[i].never_rang);
	}
}

static int talk_ms(const struct life *l)
{
	return first(l, PROVIDER_ENDED)->at_ms - first(l, PROVIDER_ANSWERED)->at_ms;
}

static void talks_last_as_published(void **state)
{
	struct life l = reserved(100, 1, 60, 3600);

	(void)state;
	assert_int_equal(first(&l, PROVIDER_ANSWERED)->at_ms - first(&l, PROVIDER_RINGING)->at_ms, 2000);
	assert_int_equal(talk_ms(&l), 20000);
	l = reserved(105, 1, 60, 3600);
	assert_int_equal(talk_ms(&l), 5000);
	l = reserved(110, 1, 60, 3600);
	assert_int_equal(talk_ms(&l), 1000);
	l = reserved(111, 1, 60, 90);
	assert_int_equal(talk_ms(&l), 90000);
}

static void no_talk_outlasts_the_maximum_duration(void **state)
{
	(void)state;
	for (int suffix = 100; suffix < 120; suffix++) {
		struct life l = reserved(suffix, 2, 60, 1);

		if (!first(&l, PROVIDER_ANSWERED))
			continue;
		assert_int_equal(talk_ms(&l), 1000);
		assert_int_equal(first(&l, PROVIDER_ENDED)->outcome->reason, REASON_MAX_DURATION);
	}
}

static void no_answer_comes_at_the_ring_timeout(void **state)
{
	struct life l = reserved(102, 1, 7, 3600);

	(void)state;
	assert_int_equal(first(&l, PROVIDER_ENDED)->at_ms - first(&l, PROVIDER_RINGING)->at_ms, 7000);
}

static void a_lost_dial_is_hidden_for_ten_seconds(void **state)
{
	struct life l = reserved(108, 1, 60, 3600);

	(void)state;
	assert_int_equal(l.hidden_until_ms, 10000);
	assert_int_equal(l.steps[0].kind, PROVIDER_UNCERTAIN);
	assert_int_equal(first(&l, PROVIDER_ANSWERED)->at_ms, 10000);
	assert_int_equal(talk_ms(&l), 5000);
}

static void a_confused_carrier_says_all_twice_and_out_of_order(void **state)
{
	struct life l = reserved(112, 1, 60, 3600);
	int ends = 0;

	(void)state;
	for (int i = 0; i < l.n; i++)
		ends += l.steps[i].kind == PROVIDER_ENDED;
	assert_int_equal(ends, 2);
	assert_true(first(&l, PROVIDER_ANSWERED) < first(&l, PROVIDER_RINGING));
	assert_int_not_equal(l.steps[l.n - 1].kind, PROVIDER_ENDED);
}

static void an_unreserved_number_answers_whatever_its_digits(void **state)
{
	struct life l;

	(void)state;
	life_of("+14155550101", 1, 60, 3600, &l);       /* reserved in every area code */
	assert_int_equal(first(&l, PROVIDER_ENDED)->outcome->reason, REASON_BUSY);
	life_of("+886912340101", 1, 60, 3600, &l);
	assert_int_equal(first(&l, PROVIDER_ENDED)->outcome->reason, REASON_CALLEE_HANGUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_life_ends_and_fits),
		cmocka_unit_test(each_reserved_destination_has_its_outcome),
		cmocka_unit_test(talks_last_as_published),
		cmocka_unit_test(no_talk_outlasts_the_maximum_duration),
		cmocka_unit_test(no_answer_comes_at_the_ring_timeout),
		cmocka_unit_test(a_lost_dial_is_hidden_for_ten_seconds),
		cmocka_unit_test(a_confused_carrier_says_all_twice_and_out_of_order),
		cmocka_unit_test(an_unreserved_number_answers_whatever_its_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
