/* Names of hosts: a server of names that is silent must hold up nobody but those who ask for
 * its names. getaddrinfo() is ours here: "silent…" takes until it is let go, "good…" is this
 * machine, and nobody knows the others. Time is ours too: it can be put forward. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netdb.h>
#include <sys/syscall.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/net.h"
#include "callgate/text.h"
#include "names.h"
#include "unit/socket_server.h"

#define SILENT_MS 3000

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t  changed;
	int             silent;         /* looked up now */
	int             silent_most;
	int             asked;
	bool            let_go;
	bool            all_silent;
} names = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, false, false };

static _Atomic int64_t ahead_s;

int clock_gettime(clockid_t clock, struct timespec *out)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, out);

	if (clock == CLOCK_BOOTTIME)    /* mono_ms() */
		out->tv_sec += ahead_s;
	return rc;
}

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
	if (str_has_prefix(name, "silent") || names.all_silent)
		be_silent();
	pthread_mutex_unlock(&names.mutex);
	if (!str_has_prefix(name, "good")) {
		free(ai);
		return str_has_prefix(name, "silent") ? EAI_AGAIN : EAI_NONAME;
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
	names.let_go = names.all_silent = false;
	names.silent_most = names.asked = 0;
	pthread_mutex_unlock(&names.mutex);
}

/* Also by those that nobody waits for. */
static void expect_lookups(int asked, int silent_most)
{
	int found[2] = { -1, -1 };

	for (int i = 0; i < 200 && (found[0] < asked || found[1] < silent_most); i++) {
		usleep(5000);
		pthread_mutex_lock(&names.mutex);
		found[0] = names.asked;
		found[1] = names.silent_most;
		pthread_mutex_unlock(&names.mutex);
	}
	assert_int_equal(found[0], asked);
	assert_int_equal(found[1], silent_most);
}

static void make_all_silent(void)
{
	pthread_mutex_lock(&names.mutex);
	names.all_silent = true;
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
	expect_lookups(1, 0);
	net_free(n);
	sserver_free(s);
	let_all_go();
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

static void one_thread_looks_a_name_up_for_all_who_ask(void **state)
{
	struct net *n = make_net();

	(void)state;
	for (int i = 0; i < 200; i++)
		send_to(n, "silent.test", 80, i % 2);
	wait_told(&told.bad, 200);
	expect_lookups(1, 1);
	net_free(n);
	let_all_go();
}

static void so_many_names_are_looked_up_at_once_and_the_rest_is_told_so(void **state)
{
	struct net *n = make_net();
	char name[32];

	(void)state;
	for (int i = 0; i < LOOKUPS_MAX + 10; i++) {
		snprintf(name, sizeof name, "silent%d.test", i);
		send_to(n, name, 80, true);
	}
	wait_told(&told.bad, LOOKUPS_MAX + 10);
	expect_lookups(LOOKUPS_MAX, LOOKUPS_MAX);
	let_all_go();
	for (int i = 0; i < 20; i++) {    /* room again, once the net has heard of it */
		usleep(20000);
		send_to(n, "unknown.test", 80, true);
		wait_told(&told.bad, LOOKUPS_MAX + 11 + i);
		if (strstr(told.words, "unknown.test"))
			break;
	}
	assert_non_null(strstr(told.words, "unknown.test"));
	net_free(n);
	let_all_go();
}

static void old_addresses_serve_for_a_while_when_no_new_ones_are_to_be_had(void **state)
{
	struct sserver *s = sserver_new(echo, NULL);
	struct net *n = make_net();

	(void)state;
	send_to(n, "good.test", s->port, false);
	wait_told(&told.good, 1);
	make_all_silent();
	ahead_s += NAME_FRESH_MS / 1000;
	for (int i = 0; i < 5; i++) {
		send_to(n, "good.test", s->port, i % 2);
		wait_told(&told.good, 2 + i);
	}
	expect_lookups(2, 1);
	ahead_s += NAME_OLD_MS / 1000;
	send_to(n, "good.test", s->port, false);
	wait_told(&told.bad, 1);
	let_all_go();
	send_to(n, "good.test", s->port, false);
	wait_told(&told.good, 7);
	net_free(n);
	sserver_free(s);
	let_all_go();
}

static void those_who_wait_for_a_name_are_forgotten_with_the_net(void **state)
{
	struct net *n = make_net();

	(void)state;
	for (int i = 0; i < 10; i++)
		send_to(n, "silent.test", 80, i % 2);
	usleep(50000);
	net_free(n);
	assert_int_equal(told.good + told.bad + told.uncertain, 0);
	let_all_go();
	usleep(50000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_found_for_either_kind_of_request),
		cmocka_unit_test(a_name_nobody_knows_certainly_sent_nothing),
		cmocka_unit_test(a_name_that_hangs_holds_up_nobody_else),
		cmocka_unit_test(one_thread_looks_a_name_up_for_all_who_ask),
		cmocka_unit_test(so_many_names_are_looked_up_at_once_and_the_rest_is_told_so),
		cmocka_unit_test(old_addresses_serve_for_a_while_when_no_new_ones_are_to_be_had),
		cmocka_unit_test(those_who_wait_for_a_name_are_forgotten_with_the_net),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
