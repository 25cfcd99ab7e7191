/* Provisioning documents: units, what is absent, and every mistake with its place. */
#include "callgate/provision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "callgate/buf.h"
#include "callgate/mem.h"

static struct provision doc;
static struct buf mistakes;

static int setup(void **state)
{
	(void)state;
	doc = (struct provision){ 0 };
	buf_init(&mistakes, 65536);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	provision_done(&doc);
	buf_done(&mistakes);
	return 0;
}

static void on_mistake(void *arg, const char *pointer, const char *words)
{
	buf_printf(arg, "%s: %s\n", pointer, words);
}

static enum err parse(const char *text)
{
	provision_done(&doc);
	buf_clear(&mistakes);
	return provision_parse(text, strlen(text), &doc, on_mistake, &mistakes);
}

/* A document of one organization with these members besides its name. */
static enum err parse_org(const char *members)
{
	CLEANUP(buf_done) struct buf text;

	buf_init(&text, 65536);
	buf_printf(&text, "{\"organizations\":[{\"name\":\"o\"%s%s}]}", *members ? "," : "", members);
	return parse(text.data);
}

static void assert_mistake(const char *line)
{
	if (!mistakes.data || !strstr(mistakes.data, line))
		fail_msg("\"%s\" is not told in:\n%s", line, mistakes.data ? mistakes.data : "");
}

static int count_mistakes(void)
{
	int n = 0;

	for (const char *p = mistakes.data; p && (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static const char *value(size_t object, enum provision_field f)
{
	assert_true(doc.objects[object].values[f].given);
	return doc.objects[object].values[f].text;
}

static void values_come_in_the_units_they_are_stored_in(void **state)
{
	(void)state;
	assert_int_equal(parse_org("\"callsPerSecond\":0.5,"
		"\"accounts\":[{\"name\":\"a\",\"credits\":\"12.50\"}],"
		"\"trunks\":[{\"name\":\"t\",\"driver\":\"simulator\",\"callsPerSecond\":3,\"enabled\":false,\"config\":{\"a\": [1, 2]}}],"
		"\"users\":[{\"email\":\"Ann@Example.ORG\"}],"
		"\"projects\":[{\"id\":\"p\",\"ratePerMinute\":\"0.02\",\"waitForAgentSeconds\":300,\"members\":[\"ANN@example.org\"]}]"), OK);
	assert_int_equal(doc.n, 5);
	assert_string_equal(value(0, FIELD_CPS_MILLI), "500");
	assert_string_equal(doc.objects[1].key, "ann@example.org");
	assert_string_equal(value(2, FIELD_CREDITS_MC), "1250000");
	assert_string_equal(value(3, FIELD_CPS_MILLI), "3000");
	assert_string_equal(value(3, FIELD_ENABLED), "false");
	assert_string_equal(value(3, FIELD_CONFIG), "{\"a\":[1,2]}");
	assert_string_equal(value(4, FIELD_RATE_MC), "2000");
	assert_string_equal(value(4, FIELD_WAIT_FOR_AGENT_S), "300");
	assert_string_equal(doc.objects[4].members.items[0], "ann@example.org");
	assert_string_equal(doc.objects[4].pointer, "/organizations/0/projects/0");
}

static void what_is_referred_to_comes_first_whatever_the_documents_order(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"organizations\":[{\"projects\":[{\"id\":\"p\"}],\"pools\":[{\"name\":\"q\"}],"
		"\"numbers\":[{\"number\":\"+14155550199\"}],\"trunks\":[{\"name\":\"t\"}],\"rates\":[{\"prefix\":\"+1\"}],"
		"\"accounts\":[{\"topUps\":[{\"reference\":\"r\"}],\"name\":\"a\"}],"
		"\"users\":[{\"email\":\"a@b\"}],\"name\":\"o\"},{\"name\":\"o2\",\"users\":[{\"email\":\"a@b\"}]}]}"), OK);
	assert_int_equal(doc.n, 11);
	for (int k = 0; k < PROVISION_KIND_COUNT; k++) {
		assert_int_equal(doc.objects[k].kind, k);
		assert_int_equal(doc.objects[k].org, 0);
	}
	assert_int_equal(doc.objects[10].org, 9);
	assert_int_equal(doc.objects[PROVISION_TOP_UP].parent, PROVISION_ACCOUNT);
}

static void absent_null_and_empty_are_three_things(void **state)
{
	(void)state;
	assert_int_equal(parse_org("\"maxConcurrent\":null,\"pools\":[{\"name\":\"q\",\"members\":[]}]"), OK);
	assert_null(value(0, FIELD_MAX_CONCURRENT));
	assert_false(doc.objects[0].values[FIELD_CPS_MILLI].given);
	assert_true(doc.objects[1].members.given);
	assert_int_equal(doc.objects[1].members.n, 0);
	assert_false(doc.objects[1].numbers.given);
}

static void all_mistakes_are_told_with_their_places(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"organizations\":[{\"wieght\":1,\"id\":\"x\",\"weight\":0,\"burst\":\"1\","
		"\"callsPerSecond\":0.0001,\"users\":[{\"email\":\"nobody\",\"role\":\"king\"},3],"
		"\"accounts\":[{\"name\":\" a\",\"credits\":1}],\"numbers\":[{\"number\":\"4155550199\"}],"
		"\"projects\":[{\"id\":\"a b\",\"waitForAgentSeconds\":301,\"members\":[\"a@b\",\"a@b\",7]}],\"pools\":{}}],\"a/b~\":0}"), ERR_INVALID);
	assert_mistake("/a~1b~0: is not known here; known are organizations\n");
	assert_mistake("/organizations/0/wieght: is not known here");
	assert_mistake("/organizations/0: 'name' is missing\n");
	assert_mistake("/organizations/0/id: must be a UUID\n");
	assert_mistake("/organizations/0/weight: must be a whole number from 1 to 1000\n");
	assert_mistake("/organizations/0/burst: must be a whole number");
	assert_mistake("/organizations/0/callsPerSecond: must be a number from 0 to 100000 with at most three");
	assert_mistake("/organizations/0/users/0/email: must be an e-mail address\n");
	assert_mistake("/organizations/0/users/0/role: must be one of: owner admin member\n");
	assert_mistake("/organizations/0/users/1: must be an object\n");
	assert_mistake("/organizations/0/accounts/0/name: must not begin or end with a blank\n");
	assert_mistake("/organizations/0/accounts/0/credits: must be an amount as a string");
	assert_mistake("/organizations/0/numbers/0/number: ");
	assert_mistake("/organizations/0/projects/0/id: may have letters");
	assert_mistake("/organizations/0/projects/0/waitForAgentSeconds: must be a whole number from 0 to 300\n");
	assert_mistake("/organizations/0/projects/0/members/1: 'a@b' is there twice\n");
	assert_mistake("/organizations/0/projects/0/members/2: must be a string\n");
	assert_mistake("/organizations/0/pools: must be a list\n");
	assert_int_equal(count_mistakes(), 18);
	assert_int_equal(doc.n, 0);
}

static void what_is_named_twice_is_a_mistake(void **state)
{
	(void)state;
	assert_int_equal(parse_org("\"trunks\":[{\"name\":\"t\"},{\"name\":\"t\"}]"), ERR_INVALID);
	assert_mistake("/organizations/0/trunks/1: 't' is there twice\n");
	assert_int_equal(parse("{\"organizations\":[{\"name\":\"o\"},{\"name\":\"o\"}]}"), ERR_INVALID);
	assert_mistake("/organizations/1: 'o' is there twice\n");
}

static void only_what_can_be_unset_may_be_null(void **state)
{
	(void)state;
	assert_int_equal(parse_org("\"weight\":null"), ERR_INVALID);
	assert_mistake("/organizations/0/weight: ");
	assert_int_equal(parse_org("\"trunks\":[{\"name\":null}]"), ERR_INVALID);
	assert_mistake("/organizations/0/trunks/0/name: must be a string");
}

static void money_is_a_string_and_exact(void **state)
{
	(void)state;
	assert_int_equal(parse_org("\"projects\":[{\"id\":\"p\",\"ratePerMinute\":\"0.000001\"}]"), ERR_INVALID);
	assert_int_equal(parse_org("\"projects\":[{\"id\":\"p\",\"ratePerMinute\":\"-1\"}]"), ERR_INVALID);
	assert_int_equal(parse_org("\"projects\":[{\"id\":\"p\",\"ratePerMinute\":\"10000.00001\"}]"), ERR_INVALID);
	assert_int_equal(parse_org("\"projects\":[{\"id\":\"p\",\"ratePerMinute\":\"10000\"}]"), OK);
}

static void rates_and_top_ups_have_their_rules(void **state)
{
	(void)state;
	assert_int_equal(parse_org("\"accounts\":[{\"name\":\"a\",\"default\":true,\"topUps\":["
		"{\"reference\":\"invoice-17\",\"amount\":\"50.00\",\"note\":\"March\"}]}],\"rates\":["
		"{\"prefix\":\"+49\",\"ratePerMinute\":\"0.02\",\"incrementSeconds\":6,\"minimumSeconds\":30},"
		"{\"prefix\":\"+\",\"ratePerMinute\":\"1\"}],\"projects\":[{\"id\":\"p\",\"account\":null}]"), OK);
	assert_string_equal(value(1, FIELD_DEFAULT), "true");
	assert_string_equal(doc.objects[2].key, "invoice-17");
	assert_string_equal(value(2, FIELD_AMOUNT_MC), "5000000");
	assert_string_equal(value(3, FIELD_RATE_MC), "2000");
	assert_string_equal(value(3, FIELD_INCREMENT_S), "6");
	assert_string_equal(value(3, FIELD_MINIMUM_S), "30");
	assert_int_equal(doc.objects[0].prefixes.n, 2);
	assert_string_equal(doc.objects[0].prefixes.items[1], "+");
	assert_null(value(5, FIELD_ACCOUNT));
	assert_int_equal(parse_org("\"rates\":[{\"prefix\":\"49\"},{\"prefix\":\"+49x\"},{\"prefix\":\"+0\"},"
		"{\"prefix\":\"+1234567890123456\"},{\"prefix\":\"+1\",\"incrementSeconds\":0},{\"prefix\":\"+1\"}],"
		"\"accounts\":[{\"name\":\"a\",\"topUps\":[{\"reference\":\"r\",\"amount\":\"0\"},{\"amount\":\"1\"}]}]"), ERR_INVALID);
	assert_mistake("/organizations/0/rates/0/prefix: must be '+' and the first digits");
	assert_mistake("/organizations/0/rates/1/prefix: must be '+' and the first digits");
	assert_mistake("/organizations/0/rates/2/prefix: no country's numbers begin with 0\n");
	assert_mistake("/organizations/0/rates/3/prefix: must be '+'");
	assert_mistake("/organizations/0/rates/4/incrementSeconds: must be a whole number from 1 to 3600\n");
	assert_mistake("/organizations/0/rates/5: '+1' is there twice\n");
	assert_mistake("/organizations/0/accounts/0/topUps/0/amount: must be an amount as a string, like \"12.50\","
	               " with at most five decimals, above zero and up to ");
	assert_mistake("/organizations/0/accounts/0/topUps/1: 'reference' is missing\n");
	assert_int_equal(count_mistakes(), 8);
}

static void what_is_not_json_is_told_with_line_and_column(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "7", "{\"organizations\":[]} x", "{\"organizations\":[],\"organizations\":[]}",
		"{\"organizations\":[{\"name\":\"a\\u0000b\"}]}", "{\"organizations\":[{\"name\":\"\xff\"}]}",
		"{\"organizations\":[{\"name\":\"o\",\"weight\":99999999999999999999}]}", "{}", "{\"organizations\":{}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(parse(bad[i]), ERR_INVALID);
		assert_int_equal(count_mistakes(), 1);
	}
	assert_int_equal(parse("{\n  \"organizations\": oops }"), ERR_INVALID);
	assert_mistake(": is not JSON: line 2, column ");
}

static void a_nesting_bomb_is_only_a_mistake(void **state)
{
	CLEANUP(buf_done) struct buf bomb;

	(void)state;
	buf_init(&bomb, 1 << 20);
	for (int i = 0; i < 200000; i++)
		buf_char(&bomb, '[');
	assert_int_equal(parse(bomb.data), ERR_INVALID);
	assert_int_equal(count_mistakes(), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_come_in_the_units_they_are_stored_in),
		TEST(what_is_referred_to_comes_first_whatever_the_documents_order),
		TEST(absent_null_and_empty_are_three_things),
		TEST(all_mistakes_are_told_with_their_places),
		TEST(what_is_named_twice_is_a_mistake),
		TEST(only_what_can_be_unset_may_be_null),
		TEST(money_is_a_string_and_exact),
		TEST(rates_and_top_ups_have_their_rules),
		TEST(what_is_not_json_is_told_with_line_and_column),
		TEST(a_nesting_bomb_is_only_a_mistake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
