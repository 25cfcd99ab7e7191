/* What comes in and what goes out: ordinary requests, by a handler in every thread. */

#include "http_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static struct fixture f;

static int start(void **state)
{
	(void)state;
	fixture_start(&f, (struct http_config){ .threads = 2 });
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fixture_stop(&f);
	return 0;
}

static void method_path_query_header_and_body_reach_the_handler(void **state)
{
	struct client c = client_open(http_port(f.server));

	(void)state;
	expect(&c, "POST /later/../a%20b?z=1&q=x%26y&q=second HTTP/1.1\r\nHost: h\r\nX-TEST: v1\r\n"
	           "X-Test: v2\r\nContent-Length: 5\r\n\r\nhello",
	       200, "POST /later/../a b q=x&y x=v1 5:hello");
	client_close(&c);
}

static void an_answer_may_come_from_another_thread(void **state)
{
	struct client c = client_open(http_port(f.server));

	(void)state;
	for (int i = 0; i < 50; i++)
		expect(&c, GET("/later?q=1"), 200, "GET /later q=1 x=- 0:");
	client_close(&c);
}

static void a_chunked_body_is_put_together(void **state)
{
	struct client c = client_open(http_port(f.server));

	(void)state;
	expect(&c, "POST /later HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	           "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n",
	       200, "POST /later q=- x=- 11:hello world");
	expect(&c, GET("/now"), 200, "GET /now q=- x=- 0:");
	client_close(&c);
}

static void a_body_larger_than_every_buffer_arrives_whole(void **state)
{
	struct client c = client_open(http_port(f.server));
	size_t n = 1 << 20;
	char *body = xmalloc(n + 1);
	struct answer a;

	(void)state;
	for (size_t i = 0; i < n; i++)
		body[i] = (char)('a' + i % 23);
	body[n] = '\0';
	assert_true(client_send(&c, "POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n"));
	assert_true(client_send_bytes(&c, body, n));
	a = client_read(&c, false);
	assert_int_equal(a.status, 200);
	assert_string_equal(strchr(a.body, ':') + 1, body);
	answer_done(&a);
	free(body);
	client_close(&c);
}

static void head_is_answered_without_a_body(void **state)
{
	struct client c = client_open(http_port(f.server));
	struct answer a;

	(void)state;
	a = exchange_bytes(&c, "HEAD /later HTTP/1.1\r\nHost: h\r\n\r\n", 200);
	assert_true(answer_has(&a, "\r\nContent-Length: 22\r\n"));
	answer_done(&a);
	expect(&c, GET("/now"), 200, "GET /now q=- x=- 0:");    /* the stream is still in step */
	client_close(&c);
}

static void a_request_id_is_sent_back_or_made(void **state)
{
	struct client c = client_open(http_port(f.server));
	const char *line;
	struct answer a, b;
	char text[256], sixty_five[66];

	(void)state;
	a = exchange_bytes(&c, "GET /later HTTP/1.1\r\nHost: h\r\nX-Request-Id: aZ09._-\r\n\r\n", 200);
	assert_true(answer_has(&a, "\r\nX-Request-Id: aZ09._-\r\n"));
	answer_done(&a);
	a = exchange_bytes(&c, "GET /now HTTP/1.1\r\nHost: h\r\nX-Request-Id: a b\r\n\r\n", 200);
	assert_false(answer_has(&a, "a b"));
	line = strcasestr(a.head, "\r\nX-Request-Id: ");
	assert_non_null(line);
	assert_int_equal(strcspn(line + 16, "\r"), 32);
	b = exchange_bytes(&c, GET("/now"), 200);
	assert_string_not_equal(line, strcasestr(b.head, "\r\nX-Request-Id: "));
	answer_done(&a);
	answer_done(&b);
	memset(sixty_five, 'x', 65);
	sixty_five[65] = '\0';
	snprintf(text, sizeof text, "GET /now HTTP/1.1\r\nHost: h\r\nX-Request-Id: %s\r\n\r\n", sixty_five);
	a = exchange_bytes(&c, text, 200);
	assert_false(answer_has(&a, "xxx"));
	answer_done(&a);
	snprintf(text, sizeof text, "GET /now HTTP/1.1\r\nHost: h\r\nX-Request-Id: %s\r\n\r\n", sixty_five + 1);
	a = exchange_bytes(&c, text, 200);
	assert_true(answer_has(&a, sixty_five + 1));
	answer_done(&a);
	client_close(&c);
}

static void a_header_value_cannot_start_a_new_line(void **state)
{
	struct client c = client_open(http_port(f.server));
	struct answer a = exchange_bytes(&c, GET("/later"), 200);

	(void)state;
	assert_true(answer_has(&a, "\r\nX-Echo: yes  X-Injected: no\r\n"));
	answer_done(&a);
	client_close(&c);
}

static void check_link(struct client *c, int link, int padding, size_t sent)
{
	char text[12288];
	struct answer a;
	const char *l;

	snprintf(text, sizeof text, "GET /later HTTP/1.1\r\nHost: h\r\nX-Link: %d\r\nX-Padding: %0*d\r\n\r\n", link,
	         padding, 0);
	a = exchange_bytes(c, text, 200);
	l = strcasestr(a.head, "\r\nLink: ");
	assert_int_equal(l ? strcspn(l + 8, "\r") : 0, sent);
	answer_done(&a);
}

static void a_link_is_sent_whole_or_not_at_all(void **state)
{
	struct client c = client_open(http_port(f.server));
	struct answer a;

	(void)state;
	check_link(&c, 1, 1, 1);
	check_link(&c, HTTP_LINK_MAX, 1, HTTP_LINK_MAX);
	check_link(&c, HTTP_LINK_MAX + 1, 1, 0);
	/* Nearly all that the connection has is taken by the request itself. */
	check_link(&c, HTTP_LINK_MAX, 8700, HTTP_LINK_MAX);
	a = exchange_bytes(&c, "GET /later HTTP/1.1\r\nHost: h\r\nX-Link: x\r\n\r\n", 200);
	assert_false(answer_has(&a, "</a>"));
	answer_done(&a);
	client_close(&c);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct client c = client_open(http_port(f.server));

	(void)state;
	for (int round = 0; round < 20; round++) {
		char all[4096] = "", want[64];

		for (int i = 0; i < 24; i++)
			snprintf(all + strlen(all), sizeof all - strlen(all),
			         i % 5 == 4 ? "POST /later?q=%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
			                    : i % 3 ? "GET /later?q=%d HTTP/1.1\r\nHost: h\r\n\r\n"
			                            : "GET /now?q=%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
		assert_true(client_send(&c, all));
		for (int i = 0; i < 24; i++) {
			struct answer a = client_read(&c, false);

			assert_int_equal(a.status, 200);
			snprintf(want, sizeof want, " q=%d ", i);
			assert_non_null(strstr(a.body, want));
			answer_done(&a);
		}
	}
	client_close(&c);
}

static void a_client_that_closes_its_sending_half_still_gets_its_answer(void **state)
{
	static const char *const paths[] = { GET("/later"), GET("/now") };

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		struct client c = client_open(http_port(f.server));
		struct answer a;

		assert_true(client_send(&c, paths[i % 2]));
		shutdown(c.fd, SHUT_WR);
		a = client_read(&c, false);
		assert_int_equal(a.status, 200);
		assert_true(answer_has(&a, "X-Request-Id: "));
		answer_done(&a);
		assert_true(client_sees_end(&c, 1000));
		client_close(&c);
	}
}

static void a_refused_request_keeps_the_connection_when_its_body_is_small(void **state)
{
	struct client c = client_open(http_port(f.server));

	(void)state;
	expect(&c, GET("/none"), 404, "none");
	expect(&c, "POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 404, "none");
	expect(&c, GET("/now"), 200, "GET /now q=- x=- 0:");
	client_close(&c);
}

static void connection_close_and_http_1_0_end_the_connection(void **state)
{
	static const char *const texts[] = {
		"GET /later HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"GET /later HTTP/1.0\r\n\r\n",
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct client c = client_open(http_port(f.server));
		struct answer a = exchange_bytes(&c, texts[i], 200);

		assert_true(answer_has(&a, "\r\nConnection: close\r\n"));
		assert_true(client_sees_end(&c, 1000));
		answer_done(&a);
		client_close(&c);
	}
}

static void every_request_is_reported_done_once(void **state)
{
	struct client c = client_open(http_port(f.server));
	int before = f.dones, heads = f.heads;

	(void)state;
	expect(&c, GET("/later"), 200, "GET /later q=- x=- 0:");
	expect(&c, GET("/now"), 200, "GET /now q=- x=- 0:");
	expect(&c, GET("/none"), 404, "none");
	await(&f.dones, before + 3);
	assert_int_equal(f.last_status, 404);
	assert_int_equal(f.heads, heads + 3);
	client_close(&c);
	usleep(20000);
	assert_int_equal(f.dones, before + 3);
}

static void requests_that_two_readers_could_read_differently_are_refused(void **state)
{
	static const char *const texts[] = {
		"POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"POST /now HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\nabc",
		"POST /now HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc",
		"GET /now%00/x HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 3x\r\n\r\nabc",
		"POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\nabc",
		"GET /now HTTP/1.1\r\n\r\n",            /* no Host */
		"GET /now HTTP/1.1\r\nHost\r\n\r\n",
	};
	int before = f.requests;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct client c = client_open(http_port(f.server));
		struct answer a = exchange_bytes(&c, texts[i], 400);

		assert_true(client_sees_end(&c, 1000));
		answer_done(&a);
		client_close(&c);
	}
	assert_int_equal(f.requests, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(method_path_query_header_and_body_reach_the_handler),
		cmocka_unit_test(an_answer_may_come_from_another_thread),
		cmocka_unit_test(a_chunked_body_is_put_together),
		cmocka_unit_test(a_body_larger_than_every_buffer_arrives_whole),
		cmocka_unit_test(head_is_answered_without_a_body),
		cmocka_unit_test(a_request_id_is_sent_back_or_made),
		cmocka_unit_test(a_header_value_cannot_start_a_new_line),
		cmocka_unit_test(a_link_is_sent_whole_or_not_at_all),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(a_client_that_closes_its_sending_half_still_gets_its_answer),
		cmocka_unit_test(a_refused_request_keeps_the_connection_when_its_body_is_small),
		cmocka_unit_test(connection_close_and_http_1_0_end_the_connection),
		cmocka_unit_test(every_request_is_reported_done_once),
		cmocka_unit_test(requests_that_two_readers_could_read_differently_are_refused),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
