/* What http refuses without asking any route: in one answer, of one shape, reported once. */
#include "http_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n"
#define POST(path) "POST " path " HTTP/1.1\r\nHost: h\r\n"
#define END "\r\n"

static struct fixture f;

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

static struct client connected(void)
{
	return client_open(http_port(f.server));
}

/* Everything up to the end of the stream. */
static const char *drain(struct client *c)
{
	while (client_fill(c))
		;
	return c->in ? c->in : "";
}

static int status_lines(const char *p)
{
	int n = 0;

	for (; (p = strstr(p, "HTTP/1.1 ")); p += 9)
		n += p[9] >= '0' && p[9] <= '9';
	return n;
}

/* One answer, whose body is what its head says, and nothing behind it. */
static void assert_one_answer(const char *all, int status, const char *what)
{
	const char *body = strstr(all, "\r\n\r\n"), *length = strcasestr(all, "\r\nContent-Length: ");
	int got = 0;

	if (sscanf(all, "HTTP/1.1 %d", &got) != 1 || got != status || status_lines(all) != 1)
		fail_msg("%s: expected one %d, got: %s", what, status, all);
	if (!length || length > body || strtoul(length + 18, NULL, 10) != strlen(body + 4))
		fail_msg("%s: the body is not what was announced: %s", what, all);
	if (!strcasestr(all, "\r\nConnection: close\r\n"))
		fail_msg("%s: it does not say that it closes: %s", what, all);
}

static void assert_error_shape(const char *all, const char *code, const char *what)
{
	const char *id = strstr(all, "\r\nX-Request-Id: ");
	char want[160];

	if (!id || !strstr(all, "\r\nContent-Type: application/json\r\n"))
		fail_msg("%s: %s", what, all);
	id += 16;
	snprintf(want, sizeof want, "\"code\":\"%s\",\"requestId\":\"%.*s\"}", code, (int)strcspn(id, "\r"), id);
	if (!strstr(all, "\r\n\r\n{\"success\":false,\"error\":\"") || !strstr(all, want))
		fail_msg("%s: no %s in %s", what, want, all);
}

struct refused {
	const char *text;
	size_t      len;
	int         status;
	const char *code;
};
#define BYTES(literal) literal, sizeof literal - 1

static const struct refused malformed[] = {
	/* the library would write its head twice here */
	{ BYTES("GET /now HTTP/1.1\r\n\r\n"), 400, "request_malformed" },
	{ BYTES(POST("/now") "Content-Length: -1\r\n" END), 400, "request_malformed" },
	{ BYTES(POST("/now") "Content-Length: +5\r\n" END "hello"), 400, "request_malformed" },
	{ BYTES(POST("/now") "Content-Length: 0x2\r\n" END "{}"), 400, "request_malformed" },
	{ BYTES(POST("/now") "Content-Length:\r\n" END), 400, "request_malformed" },
	{ BYTES(POST("/now") "Content-Length: 99999999999999999999\r\n" END), 413, "body_too_large" },
	/* and accept, or misread, these */
	{ BYTES(GET("/now") "X-Test: a\rb\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "X-Test: a\r\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "X-Test: a\0b\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "X-Test: a\0\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "X-Test: \0b\r\nX-More: c\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "X-Test: a\r\n folded\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "Content-Len: 5\r\n\tgth\r\n" END), 400, "request_malformed" },
	{ BYTES("GET /now HTTP/1.1\r\n Host: h\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "\0X-Test: a\r\n" END), 400, "request_malformed" },
	{ BYTES("GET /now HTTP/1.1\r\n\0\r\nHost: h\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") ": a\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "X(Test: a\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "X\x0bTest: a\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "Host: h\r\n" END), 400, "request_malformed" },
	{ BYTES("GET /now HTTP/1.0\r\nHost: h\r\nHost: i\r\n" END), 400, "request_malformed" },
	{ BYTES(GET("/now") "Authorization: a\r\nauthorization: b\r\n" END), 400, "request_malformed" },
	{ BYTES(POST("/now") "Content-Type: a/b\r\nContent-Type: a/b\r\nContent-Length: 0\r\n" END), 400, "request_malformed" },
	{ BYTES(POST("/now") "Content-Length: 2\r\nContent-Length: 2\r\n" END "{}"), 400, "request_malformed" },
	{ BYTES("GE\0T /now HTTP/1.1\r\nHost: h\r\n" END), 400, "request_malformed" },
	{ BYTES("GE(T /now HTTP/1.1\r\nHost: h\r\n" END), 400, "request_malformed" },
	{ BYTES("GET /now\0x HTTP/1.1\r\nHost: h\r\n" END), 400, "request_malformed" },
	{ BYTES("GET /now?a=\0 HTTP/1.1\r\nHost: h\r\n" END), 400, "request_malformed" },
	{ BYTES("GET /now\rx HTTP/1.1\r\nHost: h\r\n" END), 400, "request_malformed" },
	{ BYTES("GET /now x HTTP/1.1\r\nHost: h\r\n" END), 400, "request_malformed" },
	{ BYTES("GET  /now HTTP/1.1\r\nHost: h\r\n" END), 400, "request_malformed" },
	{ BYTES("GET /now  HTTP/1.1\r\nHost: h\r\n" END), 400, "request_malformed" },
	{ BYTES("GET /now%00 HTTP/1.1\r\nHost: h\r\n" END), 400, "request_malformed" },
	/* one sender of chunks at a time is known */
	{ BYTES(POST("/now") "Transfer-Encoding: chunked\r\n" END "zz\r\n"), 400, "request_malformed" },
	{ BYTES(POST("/now") "Transfer-Encoding: chunked\r\n" END "2\r\n{}xx"), 400, "request_malformed" },
	{ BYTES(POST("/now") "Transfer-Encoding: chunked\r\n" END "ffffffffffffffffff\r\n"), 413, "body_too_large" },
};

static void check(const struct refused *r, bool in_drops)
{
	struct client c = connected();
	int dones = f.dones;
	const char *all;

	for (size_t i = 0; in_drops && i < r->len; i++) {
		if (!client_send_bytes(&c, r->text + i, 1))
			break;
		usleep(200);
	}
	if (!in_drops)
		assert_true(client_send_bytes(&c, r->text, r->len));
	all = drain(&c);
	assert_one_answer(all, r->status, r->text);
	assert_error_shape(all, r->code, r->text);
	client_close(&c);
	await(&f.dones, dones + 1);
	assert_int_equal(f.last_status, r->status);
	assert_int_equal(f.dones, dones + 1);
}

static void what_is_no_http_is_refused_once_in_the_shape_of_every_error(void **state)
{
	int requests = f.requests;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
		check(&malformed[i], false);
	assert_int_equal(f.requests, requests);
}

static void it_makes_no_difference_how_the_bytes_arrive(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
		check(&malformed[i], true);
}

static void a_good_request_before_it_changes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
		struct client c = connected();
		int dones = f.dones;

		expect(&c, GET("/later") END, 200, "GET /later q=- x=- 0:");
		assert_true(client_send_bytes(&c, malformed[i].text, malformed[i].len));
		assert_one_answer(drain(&c), malformed[i].status, malformed[i].text);
		client_close(&c);
		await(&f.dones, dones + 2);
	}
}

/* A list of `n` times `item`, in memory of the caller's. */
static char *repeated(const char *before, const char *item, int n, const char *after)
{
	char *text = xcalloc(1, strlen(before) + strlen(item) * (size_t)n + strlen(after) + 1);
	char *end = stpcpy(text, before);

	while (n-- > 0)
		end = stpcpy(end, item);
	stpcpy(end, after);
	return text;
}

static void a_head_that_outgrows_the_memory_is_refused_once(void **state)
{
	static const struct { const char *before, *item; int n; const char *after; } heads[] = {
		{ "GET /now?", "a&", 300, " HTTP/1.1\r\nHost: h\r\n" END },
		{ "GET /now?", "a&", 2000, " HTTP/1.1\r\nHost: h\r\n" END },
		{ GET("/now") "Cookie: ", "a;", 400, END END },
		{ "GET /now HTTP/1.1\r\nCookie: ", "a;", 2000, END END },
		{ GET("/now") "X-Long: ", "x", 11000, END END },
		{ GET("/now") "X-Long: ", "x", 40000, END END },
		{ GET("/now"), "A: b\r\n", 400, END },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		char *text = repeated(heads[i].before, heads[i].item, heads[i].n, heads[i].after);
		struct refused r = { text, strlen(text), 431, "head_too_large" };

		check(&r, false);
		free(text);
	}
}

/* Other heads are half-way, so it is not certain whose the library speaks of, except where
 * its own answer would be a broken one. */
static void among_half_sent_heads_the_answer_is_still_one(void **state)
{
	char *long_head = repeated(GET("/now") "X-Long: ", "x", 40000, END END);
	struct client half[20], c;
	int dones = f.dones;

	(void)state;
	for (int i = 0; i < 20; i++) {
		half[i] = connected();
		assert_true(client_send(&half[i], i % 2 ? GET("/later") "X-Te"
		                                        : POST("/later") "Transfer-Encoding: chunked\r\n" END "2\r\nh"));
	}
	usleep(20000);
	for (int i = 0; i < 6; i++)
		check(&malformed[i], i % 2);
	c = connected();
	assert_true(client_send(&c, long_head));
	assert_one_answer(drain(&c), 431, "a long head");
	client_close(&c);
	await(&f.dones, dones + 7);
	for (int i = 0; i < 20; i++) {
		expect(&half[i], i % 2 ? "st: v\r\n" END : "i\r\n0\r\n\r\n", 200,
		       i % 2 ? "GET /later q=- x=v 0:" : "POST /later q=- x=- 2:hi");
		client_close(&half[i]);
	}
	await(&f.dones, dones + 27);
	free(long_head);
}

/* Those that stay with the library: its page, once, and the end. */
static void what_the_library_answers_itself_is_one_answer_and_reported(void **state)
{
	static const struct { const char *text; int status; bool unknown; } pages[] = {
		{ "GET / HTTP/2.0\r\n\r\n", 505, true },
		{ "GET / HTTP/0.9\r\n\r\n", 505, true },
		{ "GET / HTTX/1.1\r\n\r\n", 400, true },
		{ "GET /\r\n\r\n", 400, true },
		{ GET("/now") "no colon\r\n" END, 400, true },
		{ GET("/now") "X-Test: a\r\nno colon\r\n" END, 400, true },
		{ POST("/now") "Transfer-Encoding: chunked\r\n" END "0\r\nno colon\r\n\r\n", 400, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		struct client c = connected();
		int dones = f.dones;

		assert_true(client_send(&c, pages[i].text));
		assert_one_answer(drain(&c), pages[i].status, pages[i].text);
		client_close(&c);
		await(&f.dones, dones + 1);
		usleep(5000);
		assert_int_equal(f.dones, dones + 1);
		assert_int_equal(f.last_status, pages[i].status);
		assert_int_equal(f.last_unknown, pages[i].unknown);
	}
}

static void a_first_line_of_one_word_is_shut_out_and_reported(void **state)
{
	struct client c = connected();
	int dones = f.dones;

	(void)state;
	assert_true(client_send(&c, "BAD\r\n\r\n"));
	assert_string_equal(drain(&c), "");
	await(&f.dones, dones + 1);
	client_close(&c);
	assert_int_equal(f.last_status, 400);
	assert_true(f.last_unknown);
}

static void clients_that_leave_without_a_request_are_not_reported(void **state)
{
	static const char *const texts[] = { "", "\r\n", "GE", "GET /now HTTP/1.0\r\n\r\n", GET("/now") END };
	int dones = f.dones;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct client c = connected();

		assert_true(client_send(&c, texts[i]));
		if (i == ARRAY_LEN(texts) - 1)
			drain((shutdown(c.fd, SHUT_WR), &c));
		usleep(20000);
		client_close(&c);
	}
	usleep(50000);
	assert_int_equal(f.dones, dones + 2);
	assert_int_equal(f.last_status, 200);
}

static void a_body_in_an_encoding_is_refused_and_the_connection_lives_on(void **state)
{
	struct client c = connected();
	int dones = f.dones;
	struct answer a;

	(void)state;
	a = exchange_bytes(&c, POST("/now") "Content-Encoding: gzip\r\nContent-Length: 2\r\n" END "xx", 400);
	assert_non_null(strstr(a.body, "\"code\":\"encoding_unsupported\""));
	answer_done(&a);
	expect(&c, POST("/now") "Content-Encoding: identity\r\nContent-Length: 2\r\n" END "xx", 200,
	       "POST /now q=- x=- 2:xx");
	expect(&c, GET("/now") "Content-Encoding: gzip\r\n" END, 200, "GET /now q=- x=- 0:");
	a = exchange_bytes(&c, POST("/now") "Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n" END, 400);
	assert_non_null(strstr(a.body, "\"code\":\"encoding_unsupported\""));
	answer_done(&a);
	client_close(&c);
	await(&f.dones, dones + 4);
}

static void who_asks_for_problem_details_gets_them_here_too(void **state)
{
	struct client c = connected();
	struct answer a = exchange_bytes(&c, POST("/now") "Accept: application/problem+json\r\nContent-Encoding: gzip\r\n"
	                                 "Content-Length: 1\r\n\r\nx", 400);

	(void)state;
	assert_true(answer_has(&a, "\r\nContent-Type: application/problem+json\r\n"));
	assert_true(answer_has(&a, "\r\nVary: Accept\r\n"));
	assert_non_null(strstr(a.body, "{\"type\":\"/problems/encoding_unsupported\",\"title\":\"Encoding unsupported\","
	                               "\"status\":400,\"detail\":\"The body must be sent without a Content-Encoding.\","
	                               "\"success\":false,\"error\":\"The body"));
	answer_done(&a);
	a = exchange_bytes(&c, GET("/now") "Accept: application/problem+json\r\nHost: h\r\n\r\n", 400);
	assert_true(answer_has(&a, "\r\nContent-Type: application/problem+json\r\n"));
	assert_non_null(strstr(a.body, "{\"type\":\"/problems/request_malformed\","));
	answer_done(&a);
	client_close(&c);
}

static void two_keys_for_repeating_are_two_readings(void **state)
{
	struct client c = connected();
	struct answer a = exchange_bytes(&c, GET("/now") "Idempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n", 400);

	(void)state;
	assert_non_null(strstr(a.body, "request_malformed"));
	answer_done(&a);
	client_close(&c);
}

static void every_refusal_can_be_looked_up(void **state)
{
	(void)state;
	assert_int_equal(http_refusal_find("head_too_large")->status, 431);
	assert_int_equal(http_refusal_find("encoding_unsupported")->status, 400);
	assert_null(http_refusal_find("internal_error"));
	assert_null(http_refusal_find("x"));
}

static void the_strictness_leaves_good_requests_alone(void **state)
{
	static const char *const texts[] = {
		GET("/now") "X-Test:v\r\n" END,
		GET("/now") "X-Test: \t v\r\n" END,
		GET("/now") "X-Empty:\r\nX-Test: v\r\n" END,
		GET("/now") "X-Test: v\r\nX-Empty: \r\n" END,
		GET("/now") "X-Test: v\r\nX-Test: w\r\nCookie: a=\"b c\"; d\r\nCookie: e\r\n" END,
		"GET /now HTTP/1.1\nHost: h\nX-Test: v\n\n",
		"\r\nGET /now HTTP/1.1\r\nHost:\r\nX-Test: v\r\n" END,
		"GET /now HTTP/1.1\r\nX-Test: v\r\n!#$%&'*+.^_`|~09azAZ-: x\r\nHost: h\r\n" END,
		"GET /now?a=1&b&c=%20 HTTP/1.1\r\nHost: h\r\nX-Test: v\r\n" END,
		GET("/now") "X-Test: v\r\nX-Bytes: \xc3\xbc\x01\x7f\r\n" END,
	};
	struct client c = connected();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		expect(&c, texts[i], 200, "GET /now q=- x=v 0:");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		for (const char *p = texts[i]; *p; p++) {
			assert_true(client_send_bytes(&c, p, 1));
			if (p[1] == '\0')
				expect(&c, "", 200, "GET /now q=- x=v 0:");
		}
	expect(&c, "GET /now HTTP/1.0\r\n\r\n", 200, "GET /now q=- x=- 0:");
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_http_is_refused_once_in_the_shape_of_every_error),
		cmocka_unit_test(it_makes_no_difference_how_the_bytes_arrive),
		cmocka_unit_test(a_good_request_before_it_changes_nothing),
		cmocka_unit_test(a_head_that_outgrows_the_memory_is_refused_once),
		cmocka_unit_test(among_half_sent_heads_the_answer_is_still_one),
		cmocka_unit_test(what_the_library_answers_itself_is_one_answer_and_reported),
		cmocka_unit_test(a_first_line_of_one_word_is_shut_out_and_reported),
		cmocka_unit_test(clients_that_leave_without_a_request_are_not_reported),
		cmocka_unit_test(a_body_in_an_encoding_is_refused_and_the_connection_lives_on),
		cmocka_unit_test(who_asks_for_problem_details_gets_them_here_too),
		cmocka_unit_test(two_keys_for_repeating_are_two_readings),
		cmocka_unit_test(every_refusal_can_be_looked_up),
		cmocka_unit_test(the_strictness_leaves_good_requests_alone),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
