/* Somebody else holds a row, and does not let go of it: what is said then is true. */
#include "callgate/store_life.h"
#include "scratch.h"

static struct store *s, *other;
static struct errinfo e;
static struct caller caller = { .org = 1 };

static struct id accept_call(const char *to)
{
	struct admission a = make_admission(to);

	assert_int_equal(ADMIT_ACCEPTED, admit_one(s, &a));
	return a.call_id;
}

static void hold(struct id id)
{
	char text[200], name[ID_TEXT_SIZE];

	id_format(&id, name);
	snprintf(text, sizeof text, "begin; select from call_queue where call_id = '%s' for update", name);
	assert_int_equal(OK, pg_exec(other, text, NULL, &e));
}

static void let_go(void)
{
	assert_int_equal(OK, pg_exec(other, "rollback", NULL, &e));
}

static void of_several_cancels_some_may_be_done(void **state)
{
	struct cancel items[2] = { { .call_id = accept_call("+12025550100") }, { .call_id = accept_call("+12025550101") } };

	(void)state;
	hold(items[1].call_id);
	assert_int_equal(ERR_UNCERTAIN, store_calls_cancel(s, &caller, items, 2, &e));
	assert_int_equal(1, sql("select count(*) from calls where state = 7"));
	let_go();
	assert_int_equal(OK, store_calls_cancel(s, &caller, items, 2, &e));
	assert_int_equal(CANCEL_BEFORE, items[0].outcome);
	assert_int_equal(CANCEL_DONE, items[1].outcome);
	check_books();
}

static void of_one_cancel_nothing_is_done(void **state)
{
	struct cancel one = { .call_id = accept_call("+12025550102") };

	(void)state;
	hold(one.call_id);
	assert_int_equal(ERR_UNAVAILABLE, store_calls_cancel(s, &caller, &one, 1, &e));
	let_go();
	assert_int_equal(OK, store_calls_cancel(s, &caller, &one, 1, &e));
	assert_int_equal(CANCEL_DONE, one.outcome);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_several_cancels_some_may_be_done),
		cmocka_unit_test(of_one_cancel_nothing_is_done),
	};
	int failed;

	scratch_open();
	seed_tenant();
	sha256(KEY_TEXT, strlen(KEY_TEXT), caller.hash);
	s = store_new(scratch_url, "held");
	other = store_new(scratch_url, "other");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	store_free(other);
	store_free(s);
	scratch_close();
	return failed;
}
