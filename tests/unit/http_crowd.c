/* Many connections at once. The numbers around 128 and 256 are those at which the
 * library's own epoll loop stalls. */
#include "http_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define CROWD_MAX 1024

static struct fixture f;
static struct client crowd[CROWD_MAX];

static int start(void **state)
{
	(void)state;
	fixture_start(&f, (struct http_config){ 0 });
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fixture_stop(&f);
	return 0;
}

static void open_crowd(int n)
{
	for (int i = 0; i < n; i++)
		crowd[i] = client_open(http_port(f.server));
}

static void close_crowd(int n)
{
	for (int i = 0; i < n; i++)
		client_close(&crowd[i]);
}

static void all_ask_all_are_answered(int n, const char *request)
{
	int64_t since = mono_ms();

	for (int i = 0; i < n; i++)
		assert_true(client_send(&crowd[i], request));
	for (int i = 0; i < n; i++) {
		struct answer a = client_read(&crowd[i], false);

		if (a.status != 200)
			fail_msg("client %d of %d: status %d", i, n, a.status);
		answer_done(&a);
	}
	if (mono_ms() - since > 2000)
		fail_msg("%d clients took %d ms", n, (int)(mono_ms() - since));
}

static void any_number_of_clients_at_once_is_answered(void **state)
{
	static const int sizes[] = { 1, 127, 128, 129, 255, 256, 257, 512, 1024 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		open_crowd(sizes[i]);
		for (int round = 0; round < 3; round++) {
			all_ask_all_are_answered(sizes[i], GET("/later"));
			all_ask_all_are_answered(sizes[i], GET("/now"));
		}
		close_crowd(sizes[i]);
	}
}

static void answers_given_all_at_once_all_arrive(void **state)
{
	static const int sizes[] = { 128, 256, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		int n = sizes[i], before = f.requests;

		open_crowd(n);
		for (int k = 0; k < n; k++)
			assert_true(client_send(&crowd[k], GET("/hold")));
		await(&f.requests, before + n);
		assert_int_equal(hold_release(&f), n);
		for (int k = 0; k < n; k++) {
			struct answer a = client_read(&crowd[k], false);

			assert_int_equal(a.status, 200);
			answer_done(&a);
		}
		close_crowd(n);
	}
}

/* Past the limit a client waits in the kernel, and is served once another has left. */
static void past_the_connection_limit_clients_wait_their_turn(void **state)
{
	struct fixture small;
	struct client c[24];

	(void)state;
	fixture_start(&small, (struct http_config){ .max_connections = 8 });
	for (int i = 0; i < 24; i++) {
		c[i] = client_open(http_port(small.server));
		assert_true(client_send(&c[i], GET("/later")));
	}
	for (int i = 0; i < 24; i++) {
		struct answer a = client_read(&c[i], false);

		assert_int_equal(a.status, 200);
		if (i == 0)
			assert_true(small.requests <= 8);
		answer_done(&a);
		client_close(&c[i]);
	}
	fixture_stop(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_of_clients_at_once_is_answered),
		cmocka_unit_test(answers_given_all_at_once_all_arrive),
		cmocka_unit_test(past_the_connection_limit_clients_wait_their_turn),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
