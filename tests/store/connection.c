/* What a connection that is lost between two statements costs: nothing but a new one. */
#include "scratch.h"

/* The server's farewell and its hanging up are two things to read. If only the first were
 * seen, the next statement would be "perhaps done", and an admission would be looked up
 * for seconds while the server is away. */
static void a_loss_while_idle_is_noticed_before_anything_is_sent(void **state)
{
	struct store *s = store_new(scratch_url, "idle");
	struct errinfo e = { "" };
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		assert_int_equal(OK, store_connect(s, &e));
		sql("select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'idle'");
		if (store_notify_queued(s, &e))
			fail_msg("round %d: %s", i, e.text);
	}
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loss_while_idle_is_noticed_before_anything_is_sent),
	};
	int failed;

	scratch_open();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	scratch_close();
	return failed;
}
