/* Asking over HTTP: above all, whether a request that failed may have been carried out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/net.h"
#include "host.h"
#include "unit/socket_server.h"

struct told {
	pthread_mutex_t   mutex;
	pthread_cond_t    changed;
	int               count;
	struct net_answer last;
	char              body[4096];
};

static struct told told = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };

static void on_done(void *arg, const struct net_answer *a)
{
	struct told *t = arg;

	pthread_mutex_lock(&t->mutex);
	t->count++;
	t->last = *a;
	snprintf(t->body, sizeof t->body, "%s", a->body);
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->mutex);
}

static void wait_told(int count)
{
	struct timespec until = { .tv_sec = time(NULL) + 20 };

	pthread_mutex_lock(&told.mutex);
	while (told.count < count)
		if (pthread_cond_timedwait(&told.changed, &told.mutex, &until))
			break;
	pthread_mutex_unlock(&told.mutex);
	assert_int_equal(told.count, count);
}

static struct net *make_net(int max_requests)
{
	struct net_config c = { .user_agent = "test", .max_requests = max_requests, .idle_connections = 8 };
	struct net *n = NULL;
	struct errinfo e;

	told.count = 0;
	assert_int_equal(net_new(&c, &n, &e), OK);
	return n;
}

static enum err send_to(struct net *n, const char *scheme, int port, bool once, int timeout_ms)
{
	static const char *const headers[] = { "Content-Type: application/json", "X-Test: yes", NULL };
	char url[64];
	struct net_request rq = {
		.method = "POST", .url = url, .headers = headers, .body = "{\"a\":1}", .body_len = 7,
		.connect_timeout_ms = timeout_ms / 2, .timeout_ms = timeout_ms, .max_body_bytes = 1000,
		.once = once, .done = on_done, .arg = &told,
	};
	struct errinfo e;

	snprintf(url, sizeof url, "%s://127.0.0.1:%d/x", scheme, port);
	return net_send(n, &rq, &e);
}

/* Asks once and returns how it went. */
static enum err ask(struct net *n, int port, bool once)
{
	int before = told.count;

	assert_int_equal(send_to(n, "http", port, once, 3000), OK);
	wait_told(before + 1);
	return told.last.err;
}

/* ── what servers do ────────────────────────────────────────────────────────────── */

static void echo(struct sserver *s, int fd)
{
	char rq[SSERVER_REQUEST_MAX];
	const char *body;

	while (sserver_request(s, fd, rq, &body))
		sserver_answer(fd, 200, strstr(rq, "\r\nX-Test: yes\r\n") ? body : "a header is missing");
}

static void hang_up_at_once(struct sserver *s, int fd)
{
	(void)s, (void)fd;
}

static void read_and_hang_up(struct sserver *s, int fd)
{
	char rq[SSERVER_REQUEST_MAX];
	const char *body;

	sserver_request(s, fd, rq, &body);
}

static void talk_nonsense(struct sserver *s, int fd)
{
	read_and_hang_up(s, fd);
	sserver_send(fd, "SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n");
}

static void stay_silent(struct sserver *s, int fd)
{
	read_and_hang_up(s, fd);
	sserver_wait(s, -1, -1);
}

static void cut_the_body(struct sserver *s, int fd)
{
	read_and_hang_up(s, fd);
	sserver_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":");
}

static void answer_without_end(struct sserver *s, int fd)
{
	read_and_hang_up(s, fd);
	sserver_send(fd, "HTTP/1.1 200 OK\r\n\r\n");
	for (int i = 0; i < 1000; i++)
		sserver_send(fd, "0123456789");
	sserver_wait(s, fd, -1);
}

static void send_elsewhere(struct sserver *s, int fd)
{
	char rq[SSERVER_REQUEST_MAX], text[128];
	const char *body;

	while (sserver_request(s, fd, rq, &body)) {
		snprintf(text, sizeof text, "HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:%d/y\r\nContent-Length: 0\r\n\r\n", s->port);
		sserver_send(fd, text);
	}
}

/* Answers the first request of a connection; dies of the second, after reading it. */
static void die_of_the_second(struct sserver *s, int fd)
{
	char rq[SSERVER_REQUEST_MAX];
	const char *body;

	if (!sserver_request(s, fd, rq, &body))
		return;
	sserver_answer(fd, 200, "{}");
	sserver_request(s, fd, rq, &body);
}

/* ── the rules ──────────────────────────────────────────────────────────────────── */

static void an_answer_arrives_whole_and_the_connection_is_used_again(void **state)
{
	struct sserver *s = sserver_new(echo, NULL);
	struct net *n = make_net(10);

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(n, s->port, false), OK);
		assert_int_equal(told.last.status, 200);
		assert_string_equal(told.body, "{\"a\":1}");
	}
	assert_int_equal(s->connections, 1);
	net_free(n);
	sserver_free(s);
}

static void what_found_nobody_certainly_never_left(void **state)
{
	struct net *n = make_net(10);

	(void)state;
	for (int once = 0; once < 2; once++) {
		assert_int_equal(ask(n, sserver_dead_port(), once), ERR_UNAVAILABLE);
		assert_true(told.last.words[0]);
		assert_null(strstr(told.last.words, "http://"));
	}
	net_free(n);
}

static void a_handshake_that_does_not_end_certainly_sent_nothing(void **state)
{
	struct sserver *s = sserver_new(stay_silent, NULL);
	struct net *n = make_net(10);

	(void)state;
	assert_int_equal(send_to(n, "https", s->port, true, 400), OK);
	wait_told(1);
	assert_int_equal(told.last.err, ERR_UNAVAILABLE);
	net_free(n);
	sserver_free(s);
}

static void what_was_sent_and_not_answered_soundly_is_uncertain_and_sent_once(void **state)
{
	static sserver_fn *const servers[] = { hang_up_at_once, read_and_hang_up, talk_nonsense, cut_the_body };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		struct sserver *s = sserver_new(servers[i], NULL);
		struct net *n = make_net(10);

		assert_int_equal(ask(n, s->port, true), ERR_UNCERTAIN);
		assert_true(told.last.words[0]);
		assert_int_equal(s->connections, 1);
		assert_true(s->requests <= 1);
		net_free(n);
		sserver_free(s);
	}
}

static void a_slow_answer_is_uncertain_when_the_time_is_over(void **state)
{
	struct sserver *s = sserver_new(stay_silent, NULL);
	struct net *n = make_net(10);
	int64_t began = mono_ms();

	(void)state;
	assert_int_equal(send_to(n, "http", s->port, true, 300), OK);
	wait_told(1);
	assert_int_equal(told.last.err, ERR_UNCERTAIN);
	assert_in_range(mono_ms() - began, 250, 5000);
	assert_int_equal(s->requests, 1);
	net_free(n);
	sserver_free(s);
}

/* The test must be able to fail: libcurl does repeat a request on a dead connection. */
static void a_dead_connection_repeats_requests_but_never_those_that_go_once(void **state)
{
	struct sserver *s = sserver_new(die_of_the_second, NULL);
	struct net *n = make_net(10);

	(void)state;
	assert_int_equal(ask(n, s->port, false), OK);
	assert_int_equal(ask(n, s->port, false), OK);
	assert_int_equal(s->requests, 3);
	s->requests = 0;
	assert_int_equal(ask(n, s->port, true), OK);    /* a connection of its own */
	assert_int_equal(s->requests, 1);
	net_free(n);
	sserver_free(s);
}

static void a_body_past_its_limit_is_cut_and_ends_the_exchange(void **state)
{
	struct sserver *s = sserver_new(answer_without_end, NULL);
	struct net *n = make_net(10);

	(void)state;
	assert_int_equal(ask(n, s->port, false), OK);
	assert_int_equal(told.last.status, 200);
	assert_true(told.last.cut);
	assert_int_equal(told.last.body_len, 1000);
	net_free(n);
	sserver_free(s);
}

static void a_redirect_is_an_answer_and_not_followed(void **state)
{
	struct sserver *s = sserver_new(send_elsewhere, NULL);
	struct net *n = make_net(10);

	(void)state;
	assert_int_equal(ask(n, s->port, false), OK);
	assert_int_equal(told.last.status, 307);
	assert_int_equal(s->requests, 1);
	net_free(n);
	sserver_free(s);
}

static void the_environment_has_no_say_in_where_requests_go(void **state)
{
	struct sserver *s = sserver_new(echo, NULL);
	struct net *n;
	char proxy[64];

	(void)state;
	snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", sserver_dead_port());
	setenv("http_proxy", proxy, 1);
	setenv("ALL_PROXY", proxy, 1);
	n = make_net(10);
	assert_int_equal(ask(n, s->port, false), OK);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
	net_free(n);
	sserver_free(s);
}

static void past_the_ceiling_nothing_is_sent(void **state)
{
	struct sserver *s = sserver_new(stay_silent, NULL);
	struct net *n = make_net(2);

	(void)state;
	assert_int_equal(send_to(n, "http", s->port, true, 300), OK);
	assert_int_equal(send_to(n, "http", s->port, false, 300), OK);
	assert_int_equal(send_to(n, "http", s->port, false, 300), ERR_LIMIT);
	wait_told(2);
	assert_int_equal(ask(n, sserver_dead_port(), false), ERR_UNAVAILABLE);       /* room again */
	assert_int_equal(s->requests, 2);
	net_free(n);
	sserver_free(s);
}

static void hundreds_wait_at_once_on_one_thread(void **state)
{
	struct sserver *s = sserver_new(stay_silent, NULL);
	struct net *n = make_net(1000);

	(void)state;
	for (int i = 0; i < 300; i++)
		assert_int_equal(send_to(n, "http", s->port, true, 3000), OK);
	wait_told(300);
	assert_int_equal(told.last.err, ERR_UNCERTAIN);
	assert_int_equal(s->requests, 300);
	net_free(n);
	sserver_free(s);
}

/* What waits for its turn at a host that has died ends in its own time, certainly unsent, and
 * is in nobody else's way. */
static void requests_to_one_host_take_turns_and_hold_up_no_other(void **state)
{
	struct sserver *dead = sserver_new(stay_silent, NULL), *alive = sserver_new(echo, NULL);
	struct net *n = make_net(1000);
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		assert_int_equal(send_to(n, "http", dead->port, false, 1500), OK);
	assert_int_equal(ask(n, alive->port, false), OK);
	assert_int_equal(told.count, 1);
	wait_told(101);
	assert_int_equal(told.last.err == ERR_UNAVAILABLE || told.last.err == ERR_UNCERTAIN, 1);
	assert_int_equal(dead->requests, HOST_REQUESTS_MAX);
	for (i = 0; i < 200; i++)
		assert_int_equal(send_to(n, "http", alive->port, false, 10000), OK);
	wait_told(301);
	assert_int_equal(alive->requests, 201);
	net_free(n);
	sserver_free(dead);
	sserver_free(alive);
}

static void nobody_is_called_back_once_the_net_is_gone(void **state)
{
	struct sserver *s = sserver_new(stay_silent, NULL);
	struct net *n = make_net(10);

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(send_to(n, "http", s->port, i % 2, 60000), OK);
	net_after(n, 60000, NULL, NULL);
	net_free(n);
	assert_int_equal(told.count, 0);
	sserver_free(s);
}

/* ── tasks ──────────────────────────────────────────────────────────────────────── */

static struct { struct net *net; char order[16]; size_t n; } ran;
static char letters[] = "abcdef";

static void note(void *arg)
{
	pthread_mutex_lock(&told.mutex);
	ran.order[ran.n++] = *(const char *)arg;
	told.count++;
	pthread_cond_signal(&told.changed);
	pthread_mutex_unlock(&told.mutex);
}

static void note_and_more(void *arg)
{
	net_run(ran.net, note, &letters[3]);    /* from the net's own thread */
	note(arg);
}

static void tasks_run_in_their_order_and_timers_at_their_time(void **state)
{
	int64_t began = mono_ms();

	(void)state;
	ran.net = make_net(10);
	net_after(ran.net, 150, note, &letters[5]);
	net_after(ran.net, 50, note, &letters[4]);
	net_run(ran.net, note, &letters[0]);
	net_run(ran.net, note, &letters[1]);
	net_run(ran.net, note_and_more, &letters[2]);
	wait_told(6);
	assert_string_equal(ran.order, "abcdef");
	assert_in_range(mono_ms() - began, 150, 5000);
	net_free(ran.net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_arrives_whole_and_the_connection_is_used_again),
		cmocka_unit_test(what_found_nobody_certainly_never_left),
		cmocka_unit_test(a_handshake_that_does_not_end_certainly_sent_nothing),
		cmocka_unit_test(what_was_sent_and_not_answered_soundly_is_uncertain_and_sent_once),
		cmocka_unit_test(a_slow_answer_is_uncertain_when_the_time_is_over),
		cmocka_unit_test(a_dead_connection_repeats_requests_but_never_those_that_go_once),
		cmocka_unit_test(a_body_past_its_limit_is_cut_and_ends_the_exchange),
		cmocka_unit_test(a_redirect_is_an_answer_and_not_followed),
		cmocka_unit_test(the_environment_has_no_say_in_where_requests_go),
		cmocka_unit_test(past_the_ceiling_nothing_is_sent),
		cmocka_unit_test(hundreds_wait_at_once_on_one_thread),
		cmocka_unit_test(requests_to_one_host_take_turns_and_hold_up_no_other),
		cmocka_unit_test(nobody_is_called_back_once_the_net_is_gone),
		cmocka_unit_test(tasks_run_in_their_order_and_timers_at_their_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
