/* Limits: bodies, heads, slow and silent clients, and what they cost nobody else. */
#include <time.h>

#include "http_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: h\r\n"

static struct fixture f;

static int start(void **state)
{
	(void)state;
	fixture_start(&f, (struct http_config){ .idle_timeout_ms = 600 });
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fixture_stop(&f);
	return 0;
}

static struct client connected(void)
{
	return client_open(http_port(f.server));
}

static void a_body_of_exactly_the_limit_is_taken(void **state)
{
	struct client c = connected();

	(void)state;
	expect(&c, POST("/small") "Content-Length: 16\r\n\r\n0123456789abcdef", 200,
	       "POST /small q=- x=- 16:0123456789abcdef");
	expect(&c, POST("/small") "Transfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n", 200,
	       "POST /small q=- x=- 16:0123456789abcdef");
	client_close(&c);
}

static void an_announced_body_over_the_limit_is_refused_before_it_is_sent(void **state)
{
	struct client c = connected();
	int before = f.requests;

	(void)state;
	expect(&c, POST("/small") "Content-Length: 17\r\n\r\n", 413, "more than 16");
	assert_true(client_sees_end(&c, 1000));
	client_close(&c);
	c = connected();
	expect(&c, POST("/now") "Content-Length: 99999999999\r\n\r\n", 413, "too large");
	client_close(&c);
	assert_int_equal(f.requests, before);
	await(&f.dones, f.heads);
	assert_int_equal(f.last_status, 413);
}

static void a_chunked_body_is_cut_as_soon_as_it_is_too_large(void **state)
{
	struct client c = connected();
	int before = f.requests;
	struct answer a;

	(void)state;
	a = exchange_bytes(&c, POST("/small") "X-Request-Id: mine\r\nTransfer-Encoding: chunked\r\n\r\n"
	                       "8\r\n01234567\r\n9\r\n012345678\r\n", 413);
	assert_string_equal(a.body, "more than 16");
	assert_true(answer_has(&a, "\r\nX-Request-Id: mine\r\n"));
	assert_true(answer_has(&a, "\r\nConnection: close\r\n"));
	assert_true(answer_has(&a, "\r\nDate: "));
	assert_true(client_sees_end(&c, 1000));
	answer_done(&a);
	client_close(&c);
	await(&f.dones, f.heads);
	assert_int_equal(f.requests, before);
}

/* A client that does not look up until it has sent everything. Without reading on after
 * the answer, the kernel would reset the connection and the answer would be lost. */
static void a_client_that_sends_on_still_gets_the_refusal(void **state)
{
	static const char *const heads[] = {
		POST("/small") "Content-Length: 2000000\r\n\r\n",
		POST("/none") "Content-Length: 2000000\r\n\r\n",
		POST("/small") "Transfer-Encoding: chunked\r\n\r\n1e8480\r\n",
	};
	static const int statuses[] = { 413, 404, 413 };
	char *data = xcalloc(1, 2000000);

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct client c = connected();
		struct answer a;

		assert_true(client_send(&c, heads[i]));
		assert_true(client_send_bytes(&c, data, 2000000));
		a = client_read(&c, false);
		assert_int_equal(a.status, statuses[i]);
		answer_done(&a);
		client_close(&c);
	}
	free(data);
}

static void expect_100_continue_is_answered_when_the_body_may_come(void **state)
{
	struct client c = connected();
	struct answer a;

	(void)state;
	a = exchange_bytes(&c, POST("/later") "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", 100);
	answer_done(&a);
	expect(&c, "hi", 200, "POST /later q=- x=- 2:hi");
	expect(&c, GET("/now"), 200, "GET /now q=- x=- 0:");
	client_close(&c);
}

static void expect_100_continue_is_refused_without_a_100(void **state)
{
	struct client c = connected();

	(void)state;
	expect(&c, POST("/small") "Expect: 100-continue\r\nContent-Length: 17\r\n\r\n", 413, "more than 16");
	client_close(&c);
	c = connected();
	expect(&c, POST("/none") "Expect: 100-continue\r\nContent-Length: 17\r\n\r\n", 404, "none");
	client_close(&c);
}

/* From far below to far above the ceiling, in steps that meet its every edge: there is
 * always an answer, and past the ceiling it is a refusal. */
static void a_head_of_any_size_gets_an_answer(void **state)
{
	int served = 0, refused = 0;

	(void)state;
	for (size_t n = 500; n < 40000; n += n > 8000 && n < 13500 ? 61 : 977) {
		struct client c = connected();
		char *text = xmalloc(n + 200);
		struct answer a;
		size_t at;

		at = (size_t)sprintf(text, POST("/now") "X-Long: ");
		memset(text + at, 'v', n);
		strcpy(text + at + n, "\r\nContent-Length: 3\r\n\r\nabc");
		assert_true(client_send(&c, text));
		a = client_read(&c, false);
		if (a.status != 200 && a.status != 431)
			fail_msg("a header of %zu bytes: status %d", n, a.status);
		served += a.status == 200;
		refused += a.status == 431;
		if (n < 8000)
			assert_int_equal(a.status, 200);
		if (n > 13000)
			assert_int_equal(a.status, 431);
		answer_done(&a);
		free(text);
		client_close(&c);
	}
	assert_true(served > 0 && refused > 0);
}

static void many_small_headers_get_an_answer_too(void **state)
{
	(void)state;
	for (int n = 10; n < 400; n += 7) {
		struct client c = connected();
		char text[8192] = POST("/now?a&b=1&c");
		struct answer a;

		for (int i = 0; i < n; i++)
			sprintf(text + strlen(text), "h%d: x\r\n", i);
		strcat(text, "Cookie: a=1; b=2\r\nContent-Length: 3\r\n\r\nabc");
		assert_true(client_send(&c, text));
		a = client_read(&c, false);
		if (a.status != 200 && a.status != 431)
			fail_msg("%d headers: status %d", n, a.status);
		if (n < 100)
			assert_int_equal(a.status, 200);
		answer_done(&a);
		client_close(&c);
	}
}

static void a_long_path_gets_an_answer(void **state)
{
	(void)state;
	for (size_t n = 1000; n < 20000; n += 1500) {
		struct client c = connected();
		char *text = xcalloc(1, n + 100);
		struct answer a;

		strcpy(text, "GET /");
		memset(text + 5, 'p', n);
		strcpy(text + 5 + n, " HTTP/1.1\r\nHost: h\r\n\r\n");
		assert_true(client_send(&c, text));
		a = client_read(&c, false);
		if (a.status != (n < 8000 ? 200 : a.status) ||
		    (a.status != 200 && a.status != 414 && a.status != 431))
			fail_msg("a path of %zu bytes: status %d", n, a.status);
		answer_done(&a);
		free(text);
		client_close(&c);
	}
}

/* A byte every 50 ms never lets a timeout start anew. */
static int64_t drip(const char *begin)
{
	struct client c = connected();
	int64_t since = mono_ms();

	assert_true(client_send(&c, begin));
	while (mono_ms() - since < 3000) {
		char byte;

		usleep(50000);
		if (!client_send(&c, "a") || recv(c.fd, &byte, 1, MSG_DONTWAIT) == 0)
			break;
	}
	client_close(&c);
	return mono_ms() - since;
}

static void a_client_that_drips_bytes_is_cut_in_time(void **state)
{
	static const char *const begins[] = {
		"G",
		"GET /now HTTP/1.1\r\nHost: h\r\nX-Slow: ",
		POST("/now") "Content-Length: 1000\r\n\r\n",
		POST("/now") "Transfer-Encoding: chunked\r\n\r\n3e8\r\n",
		POST("/none") "Content-Length: 1000\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		int64_t took = drip(begins[i]);

		if (took < 500 || took > 1200)
			fail_msg("%s: cut after %d ms", begins[i], (int)took);
	}
}

static void a_silent_client_is_cut_in_time_and_a_busy_one_is_not(void **state)
{
	struct client silent = connected(), busy = connected();
	int64_t since = mono_ms();

	(void)state;
	while (mono_ms() - since < 1000) {
		expect(&busy, GET("/later"), 200, "GET /later q=- x=- 0:");
		usleep(200000);
	}
	assert_true(client_sees_end(&silent, 100));
	expect(&busy, GET("/later"), 200, "GET /later q=- x=- 0:");
	client_close(&silent);
	client_close(&busy);
}

static void a_request_in_hand_is_not_cut_by_the_idle_time(void **state)
{
	struct client c = connected();
	struct answer a;

	(void)state;
	assert_true(client_send(&c, GET("/hold")));
	usleep(900000);
	assert_int_equal(hold_release(&f), 1);
	a = client_read(&c, false);
	assert_int_equal(a.status, 200);
	answer_done(&a);
	expect(&c, GET("/now"), 200, "GET /now q=- x=- 0:");
	client_close(&c);
}

/* 8 MB that nobody reads: neither side's buffers hold them. */
static void a_client_that_does_not_read_its_answer_is_cut(void **state)
{
	struct client c = connected();
	char *body = xcalloc(1, (1 << 20) + 1);
	int dones = f.dones;

	(void)state;
	memset(body, 'x', 1 << 20);
	for (int i = 0; i < 12; i++)
		if (!client_send(&c, POST("/now") "Content-Length: 1048576\r\n\r\n") ||
		    !client_send_bytes(&c, body, 1 << 20))
			break;
	free(body);
	usleep(900000);
	assert_true(f.dones > dones);
	assert_int_equal(http_in_hand(f.server), 0);
	assert_false(client_send(&c, "x") && (usleep(20000), client_send(&c, "x")));
	client_close(&c);
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void an_idle_server_sleeps(void **state)
{
	struct client idle = connected(), held = connected(), half = connected();
	double before;

	(void)state;
	expect(&idle, GET("/later"), 200, "GET /later q=- x=- 0:");
	assert_true(client_send(&held, GET("/hold")));
	assert_true(client_send(&half, POST("/now") "Content-Length: 10\r\n\r\nabc"));
	while (http_in_hand(f.server) < 1)
		usleep(1000);
	usleep(20000);
	before = cpu_ms();
	usleep(300000);
	if (cpu_ms() - before > 30)
		fail_msg("%.1f ms of processor time in 300 ms of idleness", cpu_ms() - before);
	hold_release(&f);
	client_close(&idle);
	client_close(&held);
	client_close(&half);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_of_exactly_the_limit_is_taken),
		cmocka_unit_test(an_announced_body_over_the_limit_is_refused_before_it_is_sent),
		cmocka_unit_test(a_chunked_body_is_cut_as_soon_as_it_is_too_large),
		cmocka_unit_test(a_client_that_sends_on_still_gets_the_refusal),
		cmocka_unit_test(expect_100_continue_is_answered_when_the_body_may_come),
		cmocka_unit_test(expect_100_continue_is_refused_without_a_100),
		cmocka_unit_test(a_head_of_any_size_gets_an_answer),
		cmocka_unit_test(many_small_headers_get_an_answer_too),
		cmocka_unit_test(a_long_path_gets_an_answer),
		cmocka_unit_test(a_client_that_drips_bytes_is_cut_in_time),
		cmocka_unit_test(a_silent_client_is_cut_in_time_and_a_busy_one_is_not),
		cmocka_unit_test(a_request_in_hand_is_not_cut_by_the_idle_time),
		cmocka_unit_test(a_client_that_does_not_read_its_answer_is_cut),
		cmocka_unit_test(an_idle_server_sleeps),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
