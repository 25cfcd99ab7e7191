/* Where a server listens, and how it says that it cannot. */
#include "http_fixture.h"

static enum err try_start(const char *listen, struct http_server **s, struct errinfo *e)
{
	struct http_config c = { .listen = listen, .threads = 2, .max_connections = 100,
		.idle_timeout_ms = 1000, .answer_timeout_ms = 1000 };
	static struct fixture none;

	return http_start(&c, &fixture_ops, &none, s, e);
}

static void port_0_picks_a_free_one_that_all_threads_share(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f, (struct http_config){ .listen = "127.0.0.1:0", .threads = 4 });
	assert_true(http_port(f.server) > 0);
	for (int i = 0; i < 32; i++) {
		struct client c = client_open(http_port(f.server));

		expect(&c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n", 200, "GET /later q=- x=- 0:");
		client_close(&c);
	}
	fixture_stop(&f);
}

static void every_form_of_address_is_understood(void **state)
{
	static const char *const forms[] = { ":0", "0.0.0.0:0", "127.0.0.1:0", "localhost:0", "[::]:0",
		"[::ffff:127.0.0.1]:0" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct http_server *s = NULL;
		struct errinfo e = { "" };
		struct client c;

		if (try_start(forms[i], &s, &e))
			fail_msg("%s: %s", forms[i], e.text);
		if (strcmp(forms[i], "localhost:0") != 0) {
			c = client_open(http_port(s));
			expect(&c, "GET /now HTTP/1.1\r\nHost: h\r\n\r\n", 200, "GET /now q=- x=- 0:");
			client_close(&c);
		}
		http_stop(s, 0);
	}
}

static void a_bad_address_is_refused_with_a_reason(void **state)
{
	static const struct { const char *listen, *reason; } bad[] = {
		{ NULL,               "host:port" },
		{ "",                 "host:port" },
		{ "8080",             "host:port" },
		{ "127.0.0.1:",       "port must be" },
		{ "127.0.0.1:65536",  "port must be" },
		{ "127.0.0.1:-1",     "port must be" },
		{ "127.0.0.1:http",   "port must be" },
		{ "::1:8080",         "brackets" },
		{ "[::1:8080",        "IPv6" },
		{ "[]:8080",          "IPv6" },
		{ "[nonsense]:8080",  "[nonsense]:8080" },
		{ "300.1.1.1:8080",   "300.1.1.1" },
		{ "192.0.2.1:0",      "not an address of this machine" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_server *s = NULL;
		struct errinfo e = { "" };

		if (try_start(bad[i].listen, &s, &e) != ERR_INVALID || !strstr(e.text, bad[i].reason))
			fail_msg("%s: %s", bad[i].listen ? bad[i].listen : "NULL", e.text);
		assert_null(s);
	}
}

static void senseless_settings_are_refused(void **state)
{
	static const struct http_config bad[] = {
		{ "127.0.0.1:0", 0, 10, 10, 10 },  { "127.0.0.1:0", 65, 100, 10, 10 },
		{ "127.0.0.1:0", 4, 3, 10, 10 },   { "127.0.0.1:0", 1, 10, 0, 10 },
		{ "127.0.0.1:0", 1, 10, 10, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_server *s = NULL;
		struct errinfo e;

		assert_int_equal(http_start(&bad[i], &fixture_ops, NULL, &s, &e), ERR_INVALID);
		assert_null(s);
	}
}

/* SO_REUSEPORT would let a second gateway bind and take half of the connections. */
static void an_address_in_use_is_refused_even_by_another_gateway(void **state)
{
	struct http_server *one = NULL, *two = NULL;
	struct errinfo e = { "" };
	char listen[32];

	(void)state;
	assert_int_equal(try_start("127.0.0.1:0", &one, &e), OK);
	snprintf(listen, sizeof listen, "127.0.0.1:%d", http_port(one));
	assert_int_equal(try_start(listen, &two, &e), ERR_UNAVAILABLE);
	assert_null(two);
	assert_non_null(strstr(e.text, "in use"));
	assert_non_null(strstr(e.text, listen));
	http_stop(one, 0);
	assert_int_equal(try_start(listen, &two, &e), OK);      /* and free again at once */
	http_stop(two, 0);
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 200; fd++) {
		struct timeval unused;
		socklen_t len = sizeof unused;

		if (getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &unused, &len) == 0 || errno != EBADF)
			n++;
	}
	return n;
}

static void nothing_stays_open_after_a_failed_start_or_a_stop(void **state)
{
	int before = open_descriptors();
	struct http_server *one = NULL, *two = NULL;
	char listen[32];

	(void)state;
	assert_int_equal(try_start("127.0.0.1:0", &one, NULL), OK);
	snprintf(listen, sizeof listen, "127.0.0.1:%d", http_port(one));
	assert_int_equal(try_start(listen, &two, NULL), ERR_UNAVAILABLE);
	http_stop(one, 0);
	assert_int_equal(open_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_0_picks_a_free_one_that_all_threads_share),
		cmocka_unit_test(every_form_of_address_is_understood),
		cmocka_unit_test(a_bad_address_is_refused_with_a_reason),
		cmocka_unit_test(senseless_settings_are_refused),
		cmocka_unit_test(an_address_in_use_is_refused_even_by_another_gateway),
		cmocka_unit_test(nothing_stays_open_after_a_failed_start_or_a_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
