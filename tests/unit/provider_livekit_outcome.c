/* The error tables, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/mem.h"
#include "livekit_outcome.h"

#define N LIVEKIT_FATE_NOT_DIALED
#define F LIVEKIT_FATE_FINISHED
#define U LIVEKIT_FATE_UNKNOWN

static const struct livekit_context plain = { .rang_out = true };

static struct wire_livekit_error error_of(const char *code, const char *msg, int sip, const char *phrase)
{
	struct wire_livekit_error e = { .json = code != NULL, .sip_code = sip };

	snprintf(e.code, sizeof e.code, "%s", code ? code : "");
	snprintf(e.msg, sizeof e.msg, "%s", msg);
	snprintf(e.sip_status, sizeof e.sip_status, "%s", phrase);
	return e;
}

static void the_sip_code_decides_whatever_else_is_said(void **state)
{
	static const struct { int status; const char *code; int sip; const char *phrase; enum call_reason reason; bool never_rang; } rows[] = {
		{ 429, "resource_exhausted", 486, "Busy Here", REASON_BUSY, false },
		{ 429, "resource_exhausted", 600, "Busy Everywhere", REASON_BUSY, false },
		{ 403, "permission_denied", 603, "Decline", REASON_DECLINED, false },
		{ 403, "permission_denied", 607, "Unwanted", REASON_DECLINED, false },
		{ 403, "permission_denied", 608, "Rejected", REASON_DECLINED, false },
		{ 403, "permission_denied", 603, "Network Blocked", REASON_CARRIER_BLOCKED, true },
		{ 429, "resource_exhausted", 480, "Temporarily Unavailable", REASON_NO_ANSWER, false },
		{ 404, "not_found", 404, "Not Found", REASON_INVALID_NUMBER, true },
		{ 404, "not_found", 604, "Does Not Exist Anywhere", REASON_INVALID_NUMBER, true },
		{ 404, "not_found", 410, "Gone", REASON_INVALID_NUMBER, true },
		{ 400, "invalid_argument", 484, "Address Incomplete", REASON_INVALID_NUMBER, true },
		{ 400, "invalid_argument", 400, "Bad Request", REASON_CONFIGURATION, true },
		{ 400, "invalid_argument", 488, "Not Acceptable Here", REASON_CONFIGURATION, false },
		{ 403, "permission_denied", 403, "Forbidden", REASON_CONFIGURATION, true },
		{ 403, "permission_denied", 402, "Payment Required", REASON_CONFIGURATION, true },
		{ 408, "deadline_exceeded", 408, "Request Timeout", REASON_NO_ANSWER, false },
		{ 408, "deadline_exceeded", 504, "Server Time-out", REASON_CARRIER_UNAVAILABLE, false },
		{ 409, "aborted", 487, "Request Terminated", REASON_NO_ANSWER, false },
		{ 412, "failed_precondition", 503, "Service Unavailable", REASON_CARRIER_UNAVAILABLE, false },
		{ 412, "failed_precondition", 500, "Server Internal Error", REASON_CARRIER_UNAVAILABLE, false },
		{ 412, "failed_precondition", 503, "CPS limit exceeded", REASON_CARRIER_LIMIT, false },
		{ 412, "failed_precondition", 503, "Concurrent call limit exceeded", REASON_CARRIER_LIMIT, false },
		{ 401, "unauthenticated", 436, "Bad Identity Info", REASON_CONFIGURATION, true },
		{ 500, "unknown", 699, "Odd", REASON_DECLINED, false },
		{ 500, "unknown", 482, "Request merged", REASON_CARRIER_UNAVAILABLE, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_livekit_error e = error_of(rows[i].code, "twirp error unknown: INVITE failed", rows[i].sip, rows[i].phrase);
		struct livekit_verdict v;

		livekit_judge_dial(rows[i].status, &e, &plain, &v);
		if (v.fate != F || v.outcome.reason != rows[i].reason || v.outcome.never_rang != rows[i].never_rang ||
		    v.outcome.sip_code != rows[i].sip || strcmp(v.outcome.sip_phrase, rows[i].phrase) != 0)
			fail_msg("SIP %d %s: fate %d, %s, never_rang %d", rows[i].sip, rows[i].phrase, v.fate,
			         call_reason_info(v.outcome.reason)->code, v.outcome.never_rang);
	}
}

static void without_sip_code_the_code_and_the_words_decide(void **state)
{
	static const struct { int status; const char *code, *msg; enum livekit_fate fate; enum call_reason reason; bool never_rang; } rows[] = {
		{ 408, "canceled", "twirp error unknown: sip request timed out", F, REASON_NO_ANSWER, false },
		{ 412, "failed_precondition", "context deadline exceeded", F, REASON_NO_ANSWER, false },
		{ 408, "canceled", "transaction failed to complete (0 intermediate responses)", F, REASON_CARRIER_UNAVAILABLE, false },
		{ 408, "canceled", "transaction failed to complete (2 intermediate responses)", F, REASON_CARRIER_UNAVAILABLE, false },
		{ 408, "canceled", "service shutting down", F, REASON_OUTCOME_UNKNOWN, false },
		{ 412, "failed_precondition", "max auth retry attempts reached", F, REASON_CONFIGURATION, true },
		{ 412, "failed_precondition", "server required auth, but no username", F, REASON_CONFIGURATION, true },
		{ 412, "failed_precondition", "dial tcp 127.0.0.1:5070: connect: connection refused", F, REASON_CARRIER_UNAVAILABLE, true },
		{ 412, "failed_precondition", "size of packet larger than MTU", F, REASON_CONFIGURATION, true },
		{ 412, "failed_precondition", "no common codec", F, REASON_CONFIGURATION, false },
		{ 412, "failed_precondition", "something new", F, REASON_CARRIER_UNAVAILABLE, false },
		{ 412, "failed_precondition", "no numbers on outbound trunk", N, REASON_CONFIGURATION, true },
		{ 400, "invalid_argument", "lookup nowhere.invalid: no such host", N, REASON_CONFIGURATION, true },
		{ 400, "invalid_argument", "lookup x: server misbehaving", N, REASON_CARRIER_UNAVAILABLE, true },
		{ 400, "invalid_argument", "call to should be a phone number", N, REASON_CONFIGURATION, true },
		{ 400, "malformed", "the json request could not be decoded", N, REASON_CONFIGURATION, true },
		{ 500, "internal", "update room failed: could not connect after timeout", N, REASON_PROVIDER_ERROR, true },
		{ 500, "internal", "sip not connected (redis required)", N, REASON_CONFIGURATION, true },
		{ 503, "unavailable", "cpu exhausted", N, REASON_PROVIDER_ERROR, true },
		{ 503, "unavailable", "no response from servers", N, REASON_PROVIDER_ERROR, true },
		{ 503, "unavailable", "no servers available (received 1 responses)", N, REASON_PROVIDER_ERROR, true },
		{ 404, "not_found", "requested sip trunk does not exist", N, REASON_CONFIGURATION, true },
		{ 404, "not_found", "object cannot be found", N, REASON_CONFIGURATION, true },
		{ 404, "bad_route", "no handler for path", N, REASON_CONFIGURATION, true },
		{ 404, NULL, "404 page not found", N, REASON_CONFIGURATION, true },
		{ 401, NULL, "invalid authorization token", N, REASON_CONFIGURATION, true },
		{ 401, "unauthenticated", "permissions denied", N, REASON_CONFIGURATION, true },
		{ 413, NULL, "request body too large", N, REASON_CONFIGURATION, true },
		{ 429, "resource_exhausted", "too many requests", N, REASON_PROVIDER_ERROR, true },
		{ 429, "resource_exhausted", "INVITE failed", F, REASON_OUTCOME_UNKNOWN, false },
		{ 408, "deadline_exceeded", "request timed out", U, REASON_OUTCOME_UNKNOWN, false },
		{ 408, "canceled", "something new", U, REASON_OUTCOME_UNKNOWN, false },
		{ 502, NULL, "<html>bad gateway</html>", U, REASON_OUTCOME_UNKNOWN, false },
		{ 504, NULL, "", U, REASON_OUTCOME_UNKNOWN, false },
		{ 503, NULL, "<html>no response from servers</html>", U, REASON_OUTCOME_UNKNOWN, false },
		{ 503, "unavailable", "something new", U, REASON_OUTCOME_UNKNOWN, false },
		{ 500, "internal", "something new", U, REASON_OUTCOME_UNKNOWN, false },
		{ 500, "unknown", "", U, REASON_OUTCOME_UNKNOWN, false },
		{ 409, "aborted", "", U, REASON_OUTCOME_UNKNOWN, false },
		{ 403, NULL, "<html>forbidden by a proxy</html>", U, REASON_OUTCOME_UNKNOWN, false },
		{ 302, NULL, "", U, REASON_OUTCOME_UNKNOWN, false },
		{ 200, NULL, "<html>", U, REASON_OUTCOME_UNKNOWN, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_livekit_error e = error_of(rows[i].code, rows[i].msg, 0, "");
		struct livekit_verdict v;

		livekit_judge_dial(rows[i].status, &e, &plain, &v);
		if (v.fate != rows[i].fate || v.outcome.reason != rows[i].reason || v.outcome.never_rang != rows[i].never_rang)
			fail_msg("%d %s: fate %d, %s, never_rang %d", rows[i].status, rows[i].msg, v.fate,
			         call_reason_info(v.outcome.reason)->code, v.outcome.never_rang);
		assert_int_equal(v.outcome.sip_code, 0);
	}
}

/* A carrier that tries one way after the other says 503 after it has rung as well. */
static void a_refusal_of_an_invite_is_no_proof_that_nobody_was_rung(void **state)
{
	static const struct { int sip; const char *msg, *phrase; bool may_be_shown, never_rang; } rows[] = {
		{ 503, "INVITE failed", "Service Unavailable", true, false },
		{ 503, "INVITE failed", "CPS limit exceeded", true, false },
		{ 503, "transport<TCP> dial err=dial tcp", "Service Unavailable", true, false },
		{ 500, "INVITE failed", "Server Internal Error", false, false },
		{ 0, "transport<TCP> dial err=dial tcp :0->10.0.0.1:5060: connect: connection refused", "", false, true },
		{ 0, "read udp: connection refused", "", true, false },
		{ 0, "transaction failed to complete", "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_livekit_error e = error_of("failed_precondition", rows[i].msg, rows[i].sip, rows[i].phrase);
		struct livekit_verdict v;

		livekit_judge_dial(412, &e, &plain, &v);
		if (v.fate != F || v.may_be_shown != rows[i].may_be_shown || v.outcome.never_rang != rows[i].never_rang)
			fail_msg("row %zu: fate %d, may be shown %d, never rang %d", i, v.fate, v.may_be_shown, v.outcome.never_rang);
	}
}

/* A busy line is a 429 as well, and says so in the part that is lacking. */
static void an_answer_that_is_not_whole_says_nothing(void **state)
{
	struct livekit_verdict v;

	(void)state;
	for (int status = 200; status < 600; status++) {
		struct wire_livekit_error e = error_of(NULL, "{\"code\":\"resource_exhausted\",\"msg\":\"twirp err", 0, "");

		e.broken = true;
		livekit_judge_dial(status, &e, &plain, &v);
		assert_int_equal(v.fate, U);
		assert_false(v.outcome.never_rang || v.outcome.undialed);
	}
	livekit_judge_dial(429, &(struct wire_livekit_error){ .msg = "Too Many Requests" }, &plain, &v);
	assert_int_equal(v.fate, U);
}

/* Only then may the scheduler dial again: the rule that keeps a phone from ringing twice. */
static void what_is_unknown_or_was_seen_ringing_never_counts_as_never_rang(void **state)
{
	static const struct livekit_context ringing = { .ringing = true, .rang_out = true };
	struct wire_livekit_error e = error_of("failed_precondition", "", 503, "Service Unavailable");
	struct livekit_verdict v;

	(void)state;
	livekit_judge_dial(412, &e, &ringing, &v);
	assert_int_equal(v.outcome.reason, REASON_CARRIER_UNAVAILABLE);
	assert_false(v.outcome.never_rang || v.may_be_shown);
	for (int status = 100; status < 600; status++) {
		e = error_of("never heard of", "nor of this", 0, "");
		livekit_judge_dial(status, &e, &plain, &v);
		if (v.fate == U)
			assert_false(v.outcome.never_rang);
	}
}

static void a_trunk_that_never_rang_is_no_callee_who_does_not_answer(void **state)
{
	static const struct livekit_context mute = { .rang_out = true, .mute = true };
	static const struct livekit_context rang = { .rang_out = true, .mute = true, .ringing = true };
	struct wire_livekit_error e = error_of("canceled", "sip request timed out", 0, "");
	struct livekit_verdict v;

	(void)state;
	livekit_judge_dial(408, &e, &mute, &v);
	assert_int_equal(v.outcome.reason, REASON_CARRIER_UNAVAILABLE);
	assert_string_equal(v.outcome.provider_code, "trunk_silent");
	assert_false(v.outcome.never_rang);     /* some trunks never say that it rings */
	livekit_judge_dial(408, &e, &rang, &v);
	assert_int_equal(v.outcome.reason, REASON_NO_ANSWER);
}

static void a_hangup_of_ours_is_canceled_and_not_unanswered(void **state)
{
	static const struct livekit_context ours = { .hung_up = true }, others = { .ringing = true };
	struct wire_livekit_error e = error_of("canceled", "sip request timed out", 0, "");
	struct livekit_verdict v;

	(void)state;
	livekit_judge_dial(408, &e, &ours, &v);
	assert_int_equal(v.outcome.reason, REASON_CANCELED);
	assert_string_equal(v.outcome.provider_code, "canceled");
	livekit_judge_dial(408, &e, &others, &v);       /* long before the ring timeout */
	assert_int_equal(v.outcome.reason, REASON_CANCELED);
	assert_string_equal(v.outcome.provider_code, "removed");
	e = error_of("aborted", "", 487, "Request Terminated");
	livekit_judge_dial(409, &e, &ours, &v);
	assert_int_equal(v.outcome.reason, REASON_CANCELED);
}

static void blame_falls_on_the_trunk_for_its_own_faults_only(void **state)
{
	static const struct { int status; const char *code, *msg; int sip; enum livekit_blame blame; } rows[] = {
		{ 429, "resource_exhausted", "", 486, LIVEKIT_BLAME_NOBODY },
		{ 412, "failed_precondition", "", 503, LIVEKIT_BLAME_TRUNK },
		{ 401, "unauthenticated", "", 407, LIVEKIT_BLAME_NOBODY },      /* it answers, and the password is ours */
		{ 403, "permission_denied", "", 402, LIVEKIT_BLAME_NOBODY },
		{ 408, "canceled", "transaction failed to complete (0 intermediate responses)", 0, LIVEKIT_BLAME_TRUNK },
		{ 408, "canceled", "sip request timed out", 0, LIVEKIT_BLAME_NOBODY },
		{ 503, "unavailable", "no response from servers", 0, LIVEKIT_BLAME_SIP },
		{ 502, NULL, "", 0, LIVEKIT_BLAME_SERVER },
		{ 401, NULL, "", 0, LIVEKIT_BLAME_NOBODY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_livekit_error e = error_of(rows[i].code, rows[i].msg, rows[i].sip, "");
		struct livekit_verdict v;

		livekit_judge_dial(rows[i].status, &e, &plain, &v);
		assert_int_equal(v.blame, rows[i].blame);
	}
}

static void a_room_that_cannot_be_made_rang_nobody(void **state)
{
	static const struct { int status; const char *code; enum call_reason reason; } rows[] = {
		{ 401, NULL, REASON_CONFIGURATION },
		{ 404, NULL, REASON_CONFIGURATION },
		{ 301, NULL, REASON_CONFIGURATION },
		{ 400, "invalid_argument", REASON_CONFIGURATION },
		{ 429, "resource_exhausted", REASON_PROVIDER_ERROR },
		{ 408, "deadline_exceeded", REASON_PROVIDER_ERROR },
		{ 500, "internal", REASON_PROVIDER_ERROR },
		{ 503, NULL, REASON_PROVIDER_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_livekit_error e = error_of(rows[i].code, "", 0, "");
		struct livekit_verdict v;

		livekit_judge_room(rows[i].status, &e, &v);
		assert_int_equal(v.fate, N);
		assert_int_equal(v.outcome.reason, rows[i].reason);
		assert_true(v.outcome.never_rang);
		assert_true(v.outcome.provider_code[0]);
	}
}

static void a_leg_that_left_is_read_together_with_its_last_status(void **state)
{
	static const struct { enum wire_livekit_status last; enum wire_livekit_reason reason; bool answered, hung_up; enum call_reason expected; } rows[] = {
		{ LIVEKIT_STATUS_RINGING, LIVEKIT_USER_REJECTED,       false, false, REASON_NO_ANSWER },
		{ LIVEKIT_STATUS_RINGING, LIVEKIT_USER_UNAVAILABLE,    false, false, REASON_NO_ANSWER },
		{ LIVEKIT_STATUS_DIALING, LIVEKIT_SIP_TRUNK_FAILURE,   false, false, REASON_CARRIER_UNAVAILABLE },
		{ LIVEKIT_STATUS_DIALING, LIVEKIT_CLIENT_INITIATED,    false, false, REASON_CARRIER_UNAVAILABLE },
		{ LIVEKIT_STATUS_RINGING, LIVEKIT_ROOM_DELETED,        false, false, REASON_CANCELED },
		{ LIVEKIT_STATUS_RINGING, LIVEKIT_ROOM_DELETED,        false, true,  REASON_CANCELED },
		{ LIVEKIT_STATUS_RINGING, LIVEKIT_REASON_UNKNOWN,      false, false, REASON_OUTCOME_UNKNOWN },
		{ LIVEKIT_STATUS_RINGING, LIVEKIT_CONNECTION_TIMEOUT,  false, false, REASON_OUTCOME_UNKNOWN },
		{ LIVEKIT_STATUS_HANGUP,  LIVEKIT_CLIENT_INITIATED,    false, false, REASON_CALLEE_HANGUP },
		{ LIVEKIT_STATUS_ACTIVE,  LIVEKIT_CLIENT_INITIATED,    true,  false, REASON_CALLEE_HANGUP },
		{ LIVEKIT_STATUS_ACTIVE,  LIVEKIT_ROOM_DELETED,        true,  false, REASON_AGENT_HANGUP },
		{ LIVEKIT_STATUS_ACTIVE,  LIVEKIT_PARTICIPANT_REMOVED, true,  false, REASON_AGENT_HANGUP },
		{ LIVEKIT_STATUS_NONE,    LIVEKIT_REASON_UNKNOWN,      true,  false, REASON_CALLEE_HANGUP },
		{ LIVEKIT_STATUS_ACTIVE,  LIVEKIT_CLIENT_INITIATED,    true,  true,  REASON_AGENT_HANGUP },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct call_outcome o = livekit_judge_left(rows[i].last, rows[i].reason, rows[i].answered, rows[i].hung_up);

		if (o.reason != rows[i].expected || o.never_rang)
			fail_msg("row %zu: %s", i, call_reason_info(o.reason)->code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sip_code_decides_whatever_else_is_said),
		cmocka_unit_test(without_sip_code_the_code_and_the_words_decide),
		cmocka_unit_test(a_refusal_of_an_invite_is_no_proof_that_nobody_was_rung),
		cmocka_unit_test(an_answer_that_is_not_whole_says_nothing),
		cmocka_unit_test(what_is_unknown_or_was_seen_ringing_never_counts_as_never_rang),
		cmocka_unit_test(a_trunk_that_never_rang_is_no_callee_who_does_not_answer),
		cmocka_unit_test(a_hangup_of_ours_is_canceled_and_not_unanswered),
		cmocka_unit_test(blame_falls_on_the_trunk_for_its_own_faults_only),
		cmocka_unit_test(a_room_that_cannot_be_made_rang_nobody),
		cmocka_unit_test(a_leg_that_left_is_read_together_with_its_last_status),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
