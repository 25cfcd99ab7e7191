/* Names of hosts: a server of names that is silent must hold up nobody but those who ask for
 * its names. getaddrinfo() is ours here: "silent.*" takes until it is let go, and everything
 * else is this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netdb.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/net.h"
#include "callgate/text.h"
#include "unit/socket_server.h"

#define SILENT_MS 3000

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t  changed;
	int             silent;         /* looked up now */
	int             silent_most;
	int             asked;
	bool            let_go;
} names = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, false };

static void be_silent(void)
{
	struct timespec until = { .tv_sec = time(NULL) + SILENT_MS / 1000 };

	names.silent++;
	if (names.silent > names.silent_most)
		names.silent_most = names.silent;
	while (!names.let_go)
		if (pthread_cond_timedwait(&names.changed, &names.mutex, &until))
			break;
	names.silent--;
	pthread_cond_broadcast(&names.changed);
}

/* Instead of the C library's, also for libcurl. */
int getaddrinfo(const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out)
{
	struct addrinfo *ai = calloc(1, sizeof *ai + sizeof(struct sockaddr_in));
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)(ai + 1);

	(void)hints;
	pthread_mutex_lock(&names.mutex);
	names.asked++;
	if (str_has_prefix(name, "silent"))
		be_silent();
	pthread_mutex_unlock(&names.mutex);
	if (!str_has_prefix(name, "good")) {
		free(ai);
		return EAI_AGAIN;
	}
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin->sin_port = htons((uint16_t)(service ? atoi(service) : 0));
	ai->ai_family = AF_INET;
	ai->ai_socktype = SOCK_STREAM;
	ai->ai_addrlen = sizeof *sin;
	ai->ai_addr = (struct sockaddr *)sin;
	*out = ai;
	return 0;
}

void freeaddrinfo(struct addrinfo *ai)
{
	free(ai);
}

/* Threads that nobody waits for any more have ended when this returns. */
static void let_all_go(void)
{
	pthread_mutex_lock(&names.mutex);
	names.let_go = true;
	pthread_cond_broadcast(&names.changed);
	while (names.silent)
		pthread_cond_wait(&names.changed, &names.mutex);
	names.let_go = false;
	names.silent_most = names.asked = 0;
	pthread_mutex_unlock(&names.mutex);
}

/* ── asking ─────────────────────────────────────────────────────────────────────── */

struct told {
	pthread_mutex_t mutex;
	pthread_cond_t  changed;
	int             good, bad, uncertain;
	char            words[200];
};

static struct told told = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, "" };

static void on_done(void *arg, const struct net_answer *a)
{
	(void)arg;
	pthread_mutex_lock(&told.mutex);
	told.good += a->err == OK;
	told.bad += a->err == ERR_UNAVAILABLE;
	told.uncertain += a->err == ERR_UNCERTAIN;
	snprintf(told.words, sizeof told.words, "%s", a->words);
	pthread_cond_signal(&told.changed);
	pthread_mutex_unlock(&told.mutex);
}

static void wait_told(const int *count, int n)
{
	struct timespec until = { .tv_sec = time(NULL) + 20 };
	int have;

	pthread_mutex_lock(&told.mutex);
	while (*count < n)
		if (pthread_cond_timedwait(&told.changed, &told.mutex, &until))
			break;
	have = *count;
	pthread_mutex_unlock(&told.mutex);
	assert_int_equal(have, n);
}

static struct net *make_net(void)
{
	struct net_config c = { .user_agent = "test", .max_requests = 1000, .idle_connections = 8 };
	struct net *n = NULL;
	struct errinfo e;

	told.good = told.bad = told.uncertain = 0;
	assert_int_equal(net_new(&c, &n, &e), OK);
	return n;
}

static void send_to(struct net *n, const char *host, int port, bool once)
{
	char url[100];
	struct net_request rq = {
		.method = "POST", .url = url, .body = "{}", .body_len = 2, .connect_timeout_ms = 300, .timeout_ms = 10000,
		.max_body_bytes = 1000, .once = once, .done = on_done, .arg = NULL,
	};
	struct errinfo e;

	snprintf(url, sizeof url, "http://%s:%d/x", host, port);
	assert_int_equal(net_send(n, &rq, &e), OK);
}

static void echo(struct sserver *s, int fd)
{
	char rq[SSERVER_REQUEST_MAX];
	const char *body;

	while (sserver_request(s, fd, rq, &body))
		sserver_answer(fd, 200, body);
}

/* ── the rules ──────────────────────────────────────────────────────────────────── */

static void a_name_is_found_for_either_kind_of_request(void **state)
{
	struct sserver *s = sserver_new(echo, NULL);
	struct net *n = make_net();

	(void)state;
	send_to(n, "good.test", s->port, false);
	wait_told(&told.good, 1);
	send_to(n, "good.test", s->port, true);
	wait_told(&told.good, 2);
	net_free(n);
	sserver_free(s);
}

static void a_name_nobody_knows_certainly_sent_nothing(void **state)
{
	struct net *n = make_net();

	(void)state;
	send_to(n, "unknown.test", 80, true);
	wait_told(&told.bad, 1);
	assert_non_null(strstr(told.words, "esolve"));
	net_free(n);
}

/* Both ends of it: while the name is looked up, and when that is given up. */
static void a_name_that_hangs_holds_up_nobody_else(void **state)
{
	struct sserver *s = sserver_new(echo, NULL);
	struct net *n = make_net();
	int64_t worst = 0, began = mono_ms();

	(void)state;
	for (int i = 0; i < 3; i++)
		send_to(n, "silent.test", 80, i % 2);
	for (int i = 1; mono_ms() - began < 1200; i++) {
		int64_t sent = mono_ms();

		send_to(n, i % 2 ? "127.0.0.1" : "good.test", s->port, i % 3 == 0);
		wait_told(&told.good, i);
		if (mono_ms() - sent > worst)
			worst = mono_ms() - sent;
		usleep(10000);
	}
	wait_told(&told.bad, 3);
	assert_in_range(worst, 0, 400);
	net_free(n);
	sserver_free(s);
	let_all_go();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_found_for_either_kind_of_request),
		cmocka_unit_test(a_name_nobody_knows_certainly_sent_nothing),
		cmocka_unit_test(a_name_that_hangs_holds_up_nobody_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
