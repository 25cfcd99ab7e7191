/* Answers that come late or never, clients that leave, and the end of the server. */
#include "http_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void await_in_hand(struct fixture *f, int64_t want)
{
	for (int64_t end = mono_ms() + WAIT_MS; http_in_hand(f->server) != want; usleep(500))
		if (mono_ms() > end)
			fail_msg("in hand: %d, not %d", (int)http_in_hand(f->server), (int)want);
}

static void requests_in_hand_are_counted_until_they_are_answered(void **state)
{
	struct client c[3];
	struct fixture f;

	(void)state;
	fixture_start(&f, (struct http_config){ .threads = 2 });
	assert_int_equal(http_in_hand(f.server), 0);
	for (int i = 0; i < 3; i++) {
		c[i] = client_open(http_port(f.server));
		assert_true(client_send(&c[i], GET("/hold")));
	}
	await_in_hand(&f, 3);
	await(&f.requests, 3);
	assert_int_equal(hold_release(&f), 3);
	await_in_hand(&f, 0);
	for (int i = 0; i < 3; i++) {
		struct answer a = client_read(&c[i], false);

		assert_int_equal(a.status, 200);
		answer_done(&a);
		client_close(&c[i]);
	}
	fixture_stop(&f);
}

static void a_client_that_leaves_while_its_request_is_in_hand_harms_nobody(void **state)
{
	struct linger hard = { .l_onoff = 1 };
	struct client other;
	struct fixture f;

	(void)state;
	fixture_start(&f, (struct http_config){ 0 });
	other = client_open(http_port(f.server));
	for (int i = 0; i < 40; i++) {
		struct client c = client_open(http_port(f.server));

		assert_true(client_send(&c, GET("/hold")));
		await(&f.requests, i + 1);
		if (i % 2)              /* a reset instead of an end */
			setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
		client_close(&c);
	}
	assert_int_equal(hold_release(&f), 40);
	await(&f.dones, 40);
	expect(&other, GET("/later"), 200, "GET /later q=- x=- 0:");
	client_close(&other);
	fixture_stop(&f);
}

static void a_client_that_leaves_in_its_body_is_reported_without_a_status(void **state)
{
	struct client c;
	struct fixture f;

	(void)state;
	fixture_start(&f, (struct http_config){ 0 });
	f.last_status = -1;
	c = client_open(http_port(f.server));
	assert_true(client_send(&c, "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"));
	await(&f.heads, 1);
	client_close(&c);
	await(&f.dones, 1);
	assert_int_equal(f.last_status, 0);
	assert_int_equal(f.requests, 0);
	fixture_stop(&f);
}

static void what_nobody_answers_is_answered_in_time_and_a_late_answer_is_swallowed(void **state)
{
	struct http_request *late;
	struct client c;
	struct fixture f;
	int64_t since;

	(void)state;
	fixture_start(&f, (struct http_config){ .answer_timeout_ms = 300 });
	c = client_open(http_port(f.server));
	since = mono_ms();
	expect(&c, "GET /hold?q=1 HTTP/1.1\r\nHost: h\r\nX-Test: t\r\n\r\n", 503, "timed out");
	assert_true(mono_ms() - since >= 295 && mono_ms() - since < 1000);
	assert_int_equal(http_in_hand(f.server), 0);
	await(&f.dones, 1);
	assert_int_equal(f.last_status, 503);
	/* The connection serves on; the handler still reads its request. */
	expect(&c, GET("/later?q=2"), 200, "GET /later q=2 x=- 0:");
	late = f.held[0];
	assert_string_equal(late->path, "/hold");
	assert_string_equal(http_query(late, "q"), "1");
	assert_string_equal(http_header(late, "X-Test"), "t");
	assert_int_equal(hold_release(&f), 1);
	expect(&c, GET("/later?q=3"), 200, "GET /later q=3 x=- 0:");
	await(&f.dones, 3);
	assert_int_equal(f.timeouts, 1);
	client_close(&c);
	fixture_stop(&f);
}

/* Answers and timeouts at the same moment, many times. */
static void an_answer_in_the_moment_of_its_timeout_is_given_once(void **state)
{
	enum { CLIENTS = 60 };
	struct client c[CLIENTS];
	struct fixture f;

	(void)state;
	fixture_start(&f, (struct http_config){ .answer_timeout_ms = 50, .threads = 2 });
	for (int i = 0; i < CLIENTS; i++)
		c[i] = client_open(http_port(f.server));
	for (int round = 0; round < 5; round++) {
		int64_t since;

		for (int i = 0; i < CLIENTS; i++)
			assert_true(client_send(&c[i], GET("/hold")));
		await(&f.requests, (round + 1) * CLIENTS);
		since = mono_ms();
		while (mono_ms() - since < 60)
			hold_release(&f);
		for (int i = 0; i < CLIENTS; i++) {
			struct answer a = client_read(&c[i], false);

			assert_true(a.status == 200 || a.status == 503);
			answer_done(&a);
		}
	}
	await(&f.dones, 5 * CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		client_close(&c[i]);
	fixture_stop(&f);
}

static bool refused(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool no = connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno == ECONNREFUSED;

	close(fd);
	return no;
}

static void quiesce_refuses_new_connections_and_ends_the_old_after_an_answer(void **state)
{
	struct client idle, held;
	struct fixture f;
	struct answer a;

	(void)state;
	fixture_start(&f, (struct http_config){ .threads = 2 });
	idle = client_open(http_port(f.server));
	held = client_open(http_port(f.server));
	expect(&idle, GET("/now"), 200, "GET /now q=- x=- 0:");
	assert_true(client_send(&held, GET("/hold")));
	await(&f.requests, 2);
	http_quiesce(f.server);
	assert_true(refused(http_port(f.server)));
	a = exchange_bytes(&idle, GET("/later"), 200);
	assert_true(answer_has(&a, "\r\nConnection: close\r\n"));
	assert_true(client_sees_end(&idle, 1000));
	answer_done(&a);
	hold_release(&f);
	a = client_read(&held, false);
	assert_int_equal(a.status, 200);
	assert_true(answer_has(&a, "\r\nConnection: close\r\n"));
	answer_done(&a);
	client_close(&idle);
	client_close(&held);
	fixture_stop(&f);
}

struct stopper {
	struct fixture *f;
	int             after_ms;
};

static void *release_later(void *arg)
{
	struct stopper *s = arg;

	usleep((useconds_t)s->after_ms * 1000);
	hold_release(s->f);
	return NULL;
}

static void stop_waits_for_answers_and_writes_them(void **state)
{
	enum { CLIENTS = 50 };
	struct client c[CLIENTS];
	struct fixture f;
	struct stopper s = { &f, 200 };
	pthread_t tid;
	int64_t since;

	(void)state;
	fixture_start(&f, (struct http_config){ .threads = 2 });
	for (int i = 0; i < CLIENTS; i++) {
		c[i] = client_open(http_port(f.server));
		assert_true(client_send(&c[i], GET("/hold")));
	}
	await(&f.requests, CLIENTS);
	pthread_create(&tid, NULL, release_later, &s);
	since = mono_ms();
	http_stop(f.server, 5000);
	assert_true(mono_ms() - since < 1500);
	pthread_join(tid, NULL);
	for (int i = 0; i < CLIENTS; i++) {
		struct answer a = client_read(&c[i], false);

		assert_int_equal(a.status, 200);
		assert_true(answer_has(&a, "\r\nConnection: close\r\n"));
		answer_done(&a);
		client_close(&c[i]);
	}
	assert_int_equal(f.dones, CLIENTS);
	assert_int_equal(f.timeouts, 0);
	fixture_end(&f);
}

static void stop_does_not_wait_longer_than_its_grace_and_answers_the_rest(void **state)
{
	enum { CLIENTS = 20 };
	struct client c[CLIENTS], idle, half;
	struct fixture f;
	int64_t since;

	(void)state;
	fixture_start(&f, (struct http_config){ .threads = 2 });
	idle = client_open(http_port(f.server));
	half = client_open(http_port(f.server));
	assert_true(client_send(&half, "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"));
	for (int i = 0; i < CLIENTS; i++) {
		c[i] = client_open(http_port(f.server));
		assert_true(client_send(&c[i], GET("/hold?q=x")));
	}
	await(&f.requests, CLIENTS);
	since = mono_ms();
	http_stop(f.server, 300);
	assert_true(mono_ms() - since >= 295 && mono_ms() - since < 1500);
	for (int i = 0; i < CLIENTS; i++) {
		struct answer a = client_read(&c[i], false);

		assert_int_equal(a.status, 503);
		answer_done(&a);
		client_close(&c[i]);
	}
	assert_true(client_sees_end(&idle, 1000));
	assert_true(client_sees_end(&half, 1000));
	client_close(&idle);
	client_close(&half);
	assert_int_equal(f.timeouts, CLIENTS);
	/* The server is gone; the handlers that still hold requests do not know it. */
	assert_string_equal(f.held[0]->path, "/hold");
	assert_string_equal(http_query(f.held[CLIENTS - 1], "q"), "x");
	assert_int_equal(hold_release(&f), CLIENTS);
	fixture_end(&f);
}

static void stop_is_quick_with_nothing_to_do(void **state)
{
	struct fixture f;
	int64_t since;

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct client c;

		fixture_start(&f, (struct http_config){ .threads = 3 });
		c = client_open(http_port(f.server));
		if (i % 2)
			expect(&c, GET("/later"), 200, "GET /later q=- x=- 0:");
		since = mono_ms();
		if (i % 3)
			http_quiesce(f.server);
		http_stop(f.server, 5000);
		assert_true(mono_ms() - since < 500);
		client_close(&c);
		fixture_end(&f);
	}
}

/* What the kernel had taken for us is not thrown away by quiescing. */
static void connections_made_just_before_quiesce_are_served(void **state)
{
	enum { CLIENTS = 40 };
	struct client c[CLIENTS];
	struct fixture f;

	(void)state;
	fixture_start(&f, (struct http_config){ .threads = 2 });
	for (int i = 0; i < CLIENTS; i++)
		c[i] = client_open(http_port(f.server));
	http_quiesce(f.server);
	for (int i = 0; i < CLIENTS; i++) {
		expect(&c[i], GET("/later"), 200, "GET /later q=- x=- 0:");
		client_close(&c[i]);
	}
	fixture_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_in_hand_are_counted_until_they_are_answered),
		cmocka_unit_test(a_client_that_leaves_while_its_request_is_in_hand_harms_nobody),
		cmocka_unit_test(a_client_that_leaves_in_its_body_is_reported_without_a_status),
		cmocka_unit_test(what_nobody_answers_is_answered_in_time_and_a_late_answer_is_swallowed),
		cmocka_unit_test(an_answer_in_the_moment_of_its_timeout_is_given_once),
		cmocka_unit_test(quiesce_refuses_new_connections_and_ends_the_old_after_an_answer),
		cmocka_unit_test(stop_waits_for_answers_and_writes_them),
		cmocka_unit_test(stop_does_not_wait_longer_than_its_grace_and_answers_the_rest),
		cmocka_unit_test(stop_is_quick_with_nothing_to_do),
		cmocka_unit_test(connections_made_just_before_quiesce_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
