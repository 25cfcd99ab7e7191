/* What others say, without what they were told: for logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "callgate/mem.h"
#include "callgate/text.h"

static char said[600];

struct pair { const char *in, *out; };

static void check(const struct pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		str_hush(said, sizeof said, pairs[i].in);
		assert_string_equal(said, pairs[i].out);
	}
}

static void a_token_is_hidden_whole_or_cut(void **state)
{
	static const struct pair pairs[] = {
		{ "invalid token: eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJkZXZrZXkifQ.3pX_-a9Zk2Qw8Lr5, error: go-jose: bad",
		  "invalid token: ***, error: go-jose: bad" },
		{ "eyJhbGciOiJIUzI1NiJ9.eyJpc3", "***" },
		{ "token=eyJhbGciOi", "***" },
		{ "\"Authorization: Bearer abc.def\" is not", "\"Authorization: Bearer ***\" is not" },
		{ "bearer x", "bearer ***" },
	};

	(void)state;
	check(pairs, ARRAY_LEN(pairs));
}

static void what_has_the_look_of_a_secret_is_hidden(void **state)
{
	static const struct pair pairs[] = {
		{ "signature 3pX_-a9Zk2Qw8Lr5TgYh7Uj is wrong", "signature *** is wrong" },
		{ "secret 0123456789abcdef0123456789abcdef", "secret ***" },
		{ "/twirp/3pX_-a9Zk2Qw8Lr5TgYh7Uj/x", "/twirp/***/x" },
	};

	(void)state;
	check(pairs, ARRAY_LEN(pairs));
}

static void of_a_telephone_number_two_digits_are_shown(void **state)
{
	static const struct pair pairs[] = {
		{ "no route to +14155550123", "no route to ***23" },
		{ "sip:14155550123@sip.carrier.example;user=phone", "sip:***23@sip.carrier.example;user=phone" },
		{ "(415) 555-0123 is busy", "(***23 is busy" },
		{ "call +1 415 555 0123.", "call ***23." },
		{ "<sip:112@host>", "<sip:***@host>" },
		{ "to +112", "to ***" },
		{ "4155550123", "***23" },
		{ "\xc3\xbc" "4155550123\xc3\xbc", "\xc3\xbc***23\xc3\xbc" },
	};

	(void)state;
	check(pairs, ARRAY_LEN(pairs));
}

static void an_error_stays_readable(void **state)
{
	static const char *const words[] = {
		"", "+", "twirp error unknown: INVITE failed: sip status: 486: Busy Here",
		"twirp error unknown: transport<TCP> dial err=dial tcp :0->127.0.0.1:25099: connect: connection refused",
		"Failed to connect to livekit.eu-central-1.example.org port 7880 after 2003 ms: Couldn't connect to server",
		"fail to resolve target for \"no.such.host.invalid\": lookup no.such.host.invalid on 10.255.255.53:53",
		"requested sip trunk ST_AbCdEf012345 does not exist", "update room failed: could not establish signal connection",
		"max auth retry attempts reached for SIP invite", "\xff\xfe broken", "a [::1]:5060",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		str_hush(said, sizeof said, words[i]);
		assert_string_equal(said, words[i]);
	}
}

static void it_fits_where_it_is_put(void **state)
{
	(void)state;
	for (size_t size = 1; size < 30; size++) {
		memset(said, 'x', sizeof said);
		str_hush(said, size, "no +14155550123 today, try later");
		assert_true(strlen(said) < size);
		assert_int_equal(said[size], 'x');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_hidden_whole_or_cut),
		cmocka_unit_test(what_has_the_look_of_a_secret_is_hidden),
		cmocka_unit_test(of_a_telephone_number_two_digits_are_shown),
		cmocka_unit_test(an_error_stays_readable),
		cmocka_unit_test(it_fits_where_it_is_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
