/* What a connection that is lost between two statements costs: nothing but a new one; and
 * what a server that takes and never answers costs: a bounded time. */
#include "scratch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "callgate/clock.h"

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

/* Listens and lets the kernel accept, and that is all that ever comes from it. */
static int frozen_server(char url[64])
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(0, bind(fd, (struct sockaddr *)&at, len));
	assert_int_equal(0, listen(fd, 4));
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)&at, &len));
	snprintf(url, 64, "host=127.0.0.1 port=%d user=u dbname=d", ntohs(at.sin_port));
	return fd;
}

static void a_server_that_never_answers_is_given_up(void **state)
{
	char url[64];
	int fd = frozen_server(url);
	struct store *s = store_new(url, "frozen");
	int64_t before = mono_ms();
	struct errinfo e;

	(void)state;
	assert_int_equal(ERR_UNAVAILABLE, store_connect(s, &e));
	assert_true(mono_ms() - before < 60000);
	assert_non_null(strstr(e.text, "no answer in time"));
	store_free(s);
	close(fd);
}

static void words_about_the_connection_hold_no_part_of_the_password(void **state)
{
	static const char *const urls[] = {
		"postgresql://u:sEcret@x@127.0.0.1:1/x", "postgresql://u:sEcret/x@127.0.0.1/x", "host=127.0.0.1 password=sEcret port=1",
		"postgresql://u:sEcret%zz@127.0.0.1:1/x", "host=127.0.0.1 port=1 password=a sEcret",
	};
	struct errinfo e;
	struct store *s;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(urls); i++) {
		s = store_new(urls[i], "secret");
		assert_int_equal(ERR_UNAVAILABLE, store_connect(s, &e));
		assert_null(strstr(e.text, "sEcret"));
		assert_null(strstr(e.text, "cret"));
		store_free(s);
		e.text[0] = '\0';
		if (store_url_check(urls[i], &e))
			assert_null(strstr(e.text, "cret"));
	}
	assert_int_equal(ERR_INVALID, store_url_check(urls[3], &e));
	assert_int_equal(ERR_INVALID, store_url_check(urls[4], &e));
	assert_int_equal(OK, store_url_check(urls[2], &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loss_while_idle_is_noticed_before_anything_is_sent),
		cmocka_unit_test(a_server_that_never_answers_is_given_up),
		cmocka_unit_test(words_about_the_connection_hold_no_part_of_the_password),
	};
	int failed;

	scratch_open();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	scratch_close();
	return failed;
}
