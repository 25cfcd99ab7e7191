/* Whom we believe over TLS: who is vouched for by the file that was named, or else by the
 * system's authorities; and nobody besides.
 *
 * What the system trusts is for the test to say: its files are looked for in a folder of the
 * test's. The functions by which OpenSSL looks for them are taken over here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <curl/curl.h>
#include <dlfcn.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "callgate/httpc.h"
#include "callgate/mem.h"
#include "callgate/net.h"
#include "callgate/text.h"
#include "unit/socket_server.h"

static char  folder[] = "/tmp/net_tls_XXXXXX";
static int   port;
static pid_t server;

/* ── the system's authorities ───────────────────────────────────────────────────── */

static bool redirecting;

/* Everything of the system's, by its own name, in our folder's "system". */
static const char *instead_of(const char *path, char out[256])
{
	const char *usual = curl_version_info(CURLVERSION_NOW)->capath;

	if (!redirecting || !usual || !str_has_prefix(path, usual))
		return path;
	snprintf(out, 256, "%s/system%s", folder, path + strlen(usual));
	return out;
}

static int stat_instead(const char *function, const char *path, struct stat *st)
{
	int (*real)(const char *, struct stat *) = (int (*)(const char *, struct stat *))dlsym(RTLD_NEXT, function);
	char other[256];

	return real(instead_of(path, other), st);
}

int stat(const char *path, struct stat *st)
{
	return stat_instead("stat", path, st);
}

int lstat(const char *path, struct stat *st)
{
	return stat_instead("lstat", path, st);
}

static FILE *open_instead(const char *function, const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *) = (FILE *(*)(const char *, const char *))dlsym(RTLD_NEXT, function);
	char other[256];

	return real(instead_of(path, other), mode);
}

FILE *fopen(const char *path, const char *mode)
{
	return open_instead("fopen", path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	return open_instead("fopen64", path, mode);
}

/* ── a server with a certificate of its own ─────────────────────────────────────── */

static bool run(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	return system(command) == 0;
}

static bool make_certificate(const char *name)
{
	return run("cd %s && openssl req -x509 -newkey rsa:2048 -nodes -keyout %s.key -out %s.pem -days 2 -subj /CN=%s"
	           " -addext subjectAltName=IP:127.0.0.1 2>/dev/null", folder, name, name, name);
}

/* As Debian has them: one file of all, and a folder with one each, named by its hash. */
static bool system_trusts(const char *name)
{
	return run("cd %s && rm -rf system && mkdir system && cp %s.pem system/ca-certificates.crt &&"
	           " cp %s.pem system/$(openssl x509 -hash -noout -in %s.pem).0", folder, name, name, name);
}

static bool answers(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
	                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool up = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;

	close(fd);
	return up;
}

static int setup(void **state)
{
	char command[512];

	(void)state;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	port = sserver_dead_port();
	if (!mkdtemp(folder) || !make_certificate("server") || !make_certificate("other"))
		return -1;
	server = fork();
	if (server == 0) {
		snprintf(command, sizeof command, "cd %s && exec openssl s_server -quiet -www -cert server.pem -key server.key"
		         " -accept 127.0.0.1:%d >/dev/null 2>&1 </dev/null", folder, port);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 100 && !answers(); i++)
		usleep(50000);
	return answers() ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	redirecting = false;
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	return run("rm -r %s", folder) ? 0 : -1;
}

/* ── asking ─────────────────────────────────────────────────────────────────────── */

struct told {
	sem_t    told;
	enum err err;
	int      status;
	char     words[160];
};

static void on_done(void *arg, const struct net_answer *a)
{
	struct told *t = arg;

	t->err = a->err;
	t->status = a->status;
	str_copy(t->words, sizeof t->words, a->words);
	sem_post(&t->told);
}

static struct told ask_net(const char *ca_file)
{
	const struct net_config c = { .ca_file = ca_file, .max_requests = 4, .idle_connections = 1 };
	struct told t = { .err = ERR_INTERNAL };
	struct net *n;
	struct errinfo e;
	char url[64];
	const struct net_request rq = { .method = "GET", .url = url, .connect_timeout_ms = 5000, .timeout_ms = 5000,
	                                .max_body_bytes = 65536, .once = true, .done = on_done, .arg = &t };

	snprintf(url, sizeof url, "https://127.0.0.1:%d/", port);
	sem_init(&t.told, 0, 0);
	assert_int_equal(net_new(&c, &n, &e), OK);
	assert_int_equal(net_send(n, &rq, &e), OK);
	sem_wait(&t.told);
	net_free(n);
	sem_destroy(&t.told);
	return t;
}

/* The other way of asking, a command's: the same to be believed. */
static struct told ask_httpc(const char *ca_file)
{
	CLEANUP(buf_done) struct buf body;
	struct told t = { .err = OK };
	struct errinfo e = { "" };
	char url[64];
	const struct httpc_request rq = { .method = "GET", .url = url, .ca_file = ca_file, .timeout_ms = 5000 };

	buf_init(&body, 65536);
	snprintf(url, sizeof url, "https://127.0.0.1:%d/", port);
	t.err = httpc_ask(&rq, &t.status, &body, &e);
	snprintf(t.words, sizeof t.words, "%.150s", e.text);
	return t;
}

/* libcurl as it comes, told of a file and nothing else. */
static CURLcode ask_plainly(const char *ca_file)
{
	CLEANUP(buf_done) struct buf url;
	CURL *c = curl_easy_init();
	FILE *nowhere = fopen("/dev/null", "w");
	CURLcode rc;

	buf_init(&url, 64);
	buf_printf(&url, "https://127.0.0.1:%d/", port);
	curl_easy_setopt(c, CURLOPT_URL, url.data);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_WRITEDATA, nowhere);
	curl_easy_setopt(c, CURLOPT_CAINFO, ca_file);
	rc = curl_easy_perform(c);
	curl_easy_cleanup(c);
	fclose(nowhere);
	return rc;
}

static const char *pem(const char *name)
{
	static char path[64];

	snprintf(path, sizeof path, "%s/%s.pem", folder, name);
	return path;
}

static void assert_believed(struct told t)
{
	if (t.err != OK)
		fail_msg("%s", t.words);
	assert_int_equal(t.status, 200);
}

/* Nothing was sent: whoever it is has not seen our token. */
static void assert_doubted(struct told t)
{
	assert_int_equal(t.err, ERR_UNAVAILABLE);
	assert_non_null(strstr(t.words, "certificate"));
}

/* ── the rules ──────────────────────────────────────────────────────────────────── */

static void a_certificate_nobody_vouches_for_is_refused_before_anything_is_sent(void **state)
{
	(void)state;
	assert_true(system_trusts("other"));
	redirecting = true;
	assert_doubted(ask_net(NULL));
	assert_doubted(ask_httpc(NULL));
}

static void what_the_system_trusts_is_trusted_where_no_file_is_named(void **state)
{
	(void)state;
	assert_true(system_trusts("server"));
	redirecting = true;
	assert_believed(ask_net(NULL));
	assert_believed(ask_httpc(NULL));
}

static void a_file_that_is_named_is_trusted(void **state)
{
	(void)state;
	assert_true(system_trusts("other"));
	redirecting = true;
	assert_believed(ask_net(pem("server")));
	assert_believed(ask_httpc(pem("server")));
}

/* The test must be able to fail: libcurl by itself looks into the system's folder too. */
static void who_names_a_file_trusts_that_file_only(void **state)
{
	(void)state;
	assert_true(system_trusts("server"));
	redirecting = true;
	if (curl_version_info(CURLVERSION_NOW)->capath)
		assert_int_equal(ask_plainly(pem("other")), CURLE_OK);
	assert_doubted(ask_net(pem("other")));
	assert_doubted(ask_httpc(pem("other")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_nobody_vouches_for_is_refused_before_anything_is_sent),
		cmocka_unit_test(what_the_system_trusts_is_trusted_where_no_file_is_named),
		cmocka_unit_test(a_file_that_is_named_is_trusted),
		cmocka_unit_test(who_names_a_file_trusts_that_file_only),
	};

	if (system("openssl version >/dev/null 2>&1")) {
		print_message("there is no openssl to make certificates with: skipped\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
