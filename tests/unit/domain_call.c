/* The states of a call, the reasons it ends with, and what is charged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/call.h"
#include "callgate/mem.h"
#include "callgate/text.h"

static void a_call_moves_forward_only(void **state)
{
	(void)state;
	for (int from = 0; from < CALL_STATE_COUNT; from++)
		for (int to = 0; to <= from; to++)
			assert_false(call_can_move((enum call_state)from, (enum call_state)to));
}

static void the_usual_way_is_open(void **state)
{
	(void)state;
	assert_true(call_can_move(CALL_QUEUED, CALL_INITIATED));
	assert_true(call_can_move(CALL_INITIATED, CALL_RINGING));
	assert_true(call_can_move(CALL_RINGING, CALL_IN_PROGRESS));
	assert_true(call_can_move(CALL_IN_PROGRESS, CALL_COMPLETED));
}

static void a_provider_may_skip_states(void **state)
{
	(void)state;
	assert_true(call_can_move(CALL_INITIATED, CALL_IN_PROGRESS));
	assert_true(call_can_move(CALL_INITIATED, CALL_COMPLETED));
	assert_true(call_can_move(CALL_RINGING, CALL_COMPLETED));
}

static void nothing_rings_before_the_intent_to_dial(void **state)
{
	(void)state;
	assert_false(call_can_move(CALL_QUEUED, CALL_RINGING));
	assert_false(call_can_move(CALL_QUEUED, CALL_IN_PROGRESS));
	assert_false(call_can_move(CALL_QUEUED, CALL_COMPLETED));
}

static void before_the_answer_every_unhappy_end_is_open(void **state)
{
	static const enum call_state before[] = { CALL_QUEUED, CALL_INITIATED, CALL_RINGING };
	static const enum call_state ends[] = { CALL_NO_ANSWER, CALL_BUSY, CALL_CANCELED, CALL_FAILED };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(before); i++)
		for (size_t j = 0; j < ARRAY_LEN(ends); j++)
			assert_true(call_can_move(before[i], ends[j]));
}

static void an_answered_call_completes_or_fails(void **state)
{
	(void)state;
	assert_true(call_can_move(CALL_IN_PROGRESS, CALL_FAILED));
	assert_false(call_can_move(CALL_IN_PROGRESS, CALL_NO_ANSWER));
	assert_false(call_can_move(CALL_IN_PROGRESS, CALL_BUSY));
	assert_false(call_can_move(CALL_IN_PROGRESS, CALL_CANCELED));
}

static void a_final_state_is_never_left(void **state)
{
	(void)state;
	for (int from = CALL_COMPLETED; from < CALL_STATE_COUNT; from++) {
		assert_true(call_is_final((enum call_state)from));
		for (int to = 0; to < CALL_STATE_COUNT; to++)
			assert_false(call_can_move((enum call_state)from, (enum call_state)to));
	}
	for (int s = CALL_QUEUED; s < CALL_COMPLETED; s++)
		assert_false(call_is_final((enum call_state)s));
}

static void state_names_go_there_and_back(void **state)
{
	(void)state;
	for (int i = 0; i < CALL_STATE_COUNT; i++) {
		enum call_state s = CALL_STATE_COUNT;

		assert_true(call_state_parse(call_state_name((enum call_state)i), &s));
		assert_int_equal(s, i);
	}
	assert_string_equal(call_state_name(CALL_IN_PROGRESS), "in_progress");
	assert_string_equal(call_state_name(CALL_NO_ANSWER), "no_answer");
	assert_string_equal(call_state_name(CALL_CANCELED), "canceled");
}

static void an_unknown_state_name_is_refused(void **state)
{
	enum call_state s = CALL_BUSY;

	(void)state;
	assert_false(call_state_parse("Queued", &s));
	assert_false(call_state_parse("", &s));
	assert_false(call_state_parse(NULL, &s));
	assert_int_equal(s, CALL_BUSY);
}

/* They are stored; a renumbering would rewrite history. */
static void stored_numbers_stay(void **state)
{
	(void)state;
	assert_int_equal(CALL_QUEUED, 0);
	assert_int_equal(CALL_IN_PROGRESS, 3);
	assert_int_equal(CALL_FAILED, 8);
	assert_int_equal(FAULT_POLICY, 5);
	assert_int_equal(REASON_BUSY, 5);
	assert_int_equal(REASON_CANCELED, 14);
	assert_int_equal(REASON_OVERDUE, 19);
}

static void every_reason_ends_the_call_with_words(void **state)
{
	(void)state;
	for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		const struct call_reason_info *info = call_reason_info((enum call_reason)i);

		assert_true(call_is_final(info->state));
		assert_true(strlen(info->text) > 10);
		assert_true(str_has_prefix(info->text + strlen(info->text) - 1, "."));
		assert_int_equal(strspn(info->code, "abcdefghijklmnopqrstuvwxyz_"), strlen(info->code));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(info->code, call_reason_info((enum call_reason)j)->code);
	}
	assert_false(call_is_final(call_reason_info(REASON_NONE)->state));
}

static void somebody_is_at_fault_unless_all_went_as_wished(void **state)
{
	(void)state;
	for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		const struct call_reason_info *info = call_reason_info((enum call_reason)i);

		if (info->state == CALL_FAILED || info->state == CALL_BUSY || info->state == CALL_NO_ANSWER)
			assert_int_not_equal(info->fault, FAULT_NONE);
		if (info->state == CALL_CANCELED)
			assert_int_equal(info->fault, FAULT_NONE);
		if (info->fault == FAULT_NONE || info->fault == FAULT_CONFIGURATION ||
		    info->fault == FAULT_POLICY)
			assert_false(info->retryable);
	}
}

static void what_may_have_rung_is_not_called_retryable(void **state)
{
	(void)state;
	assert_false(call_reason_info(REASON_OUTCOME_UNKNOWN)->retryable);
	assert_false(call_reason_info(REASON_OVERDUE)->retryable);
	assert_true(call_reason_info(REASON_BUSY)->retryable);
	assert_true(call_reason_info(REASON_NO_ANSWER)->retryable);
	assert_true(call_reason_info(REASON_CARRIER_UNAVAILABLE)->retryable);
}

static void fault_names_differ(void **state)
{
	(void)state;
	for (int i = 0; i < FAULT_COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(call_fault_name((enum call_fault)i),
			                        call_fault_name((enum call_fault)j));
	assert_string_equal(call_fault_name(FAULT_CALLEE), "callee");
}

static void talk_is_rounded_up_to_the_increment_and_the_minimum(void **state)
{
	static const struct { int64_t talk_ms; int minimum_s, increment_s; int64_t expected; } cases[] = {
		{ 0, 60, 60, 0 }, { -5, 60, 60, 0 },
		{ 1, 1, 1, 1 }, { 1000, 1, 1, 1 }, { 1001, 1, 1, 2 },
		{ 1, 60, 60, 60 }, { 60000, 60, 60, 60 }, { 60001, 60, 60, 120 },
		{ 5000, 30, 6, 30 }, { 30001, 30, 6, 36 }, { 36000, 30, 6, 36 },
		{ 1, 1, 6, 6 }, { 10000, 15, 10, 15 }, { 15001, 15, 10, 20 },
		{ INT64_MAX, 1, 1, INT64_MAX / 1000 + 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_true(call_billable_seconds(cases[i].talk_ms, cases[i].minimum_s,
		                                  cases[i].increment_s) == cases[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_moves_forward_only),
		cmocka_unit_test(the_usual_way_is_open),
		cmocka_unit_test(a_provider_may_skip_states),
		cmocka_unit_test(nothing_rings_before_the_intent_to_dial),
		cmocka_unit_test(before_the_answer_every_unhappy_end_is_open),
		cmocka_unit_test(an_answered_call_completes_or_fails),
		cmocka_unit_test(a_final_state_is_never_left),
		cmocka_unit_test(state_names_go_there_and_back),
		cmocka_unit_test(an_unknown_state_name_is_refused),
		cmocka_unit_test(stored_numbers_stay),
		cmocka_unit_test(every_reason_ends_the_call_with_words),
		cmocka_unit_test(somebody_is_at_fault_unless_all_went_as_wished),
		cmocka_unit_test(what_may_have_rung_is_not_called_retryable),
		cmocka_unit_test(fault_names_differ),
		cmocka_unit_test(talk_is_rounded_up_to_the_increment_and_the_minimum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
