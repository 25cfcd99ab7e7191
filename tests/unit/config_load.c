/* Settings: defaults, where they come from, and that every mistake is told at once
 * without telling a secret. */
#include "callgate/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "callgate/mem.h"

struct world {
	struct config config;
	struct buf    mistakes;
	char          file[64];         /* CALLGATE_ENV_FILE   */
	char          secret[64];
};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);

	clearenv();
	buf_init(&w->mistakes, 8192);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (*w->file)
		unlink(w->file);
	if (*w->secret)
		unlink(w->secret);
	config_done(&w->config);
	buf_done(&w->mistakes);
	free(w);
	return 0;
}

static void write_file(char path[64], const char *text)
{
	int fd;

	strcpy(path, "/tmp/callgate-config-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void use_file(struct world *w, const char *text)
{
	write_file(w->file, text);
	setenv("CALLGATE_ENV_FILE", w->file, 1);
}

static enum err load(struct world *w)
{
	config_done(&w->config);
	buf_clear(&w->mistakes);
	return config_load(&w->config, &w->mistakes);
}

static void assert_told(const struct world *w, const char *words)
{
	if (!w->mistakes.data || !strstr(w->mistakes.data, words))
		fail_msg("\"%s\" is not told in:\n%s", words, w->mistakes.data ? w->mistakes.data : "");
}

static void a_database_is_all_that_must_be_said(void **state)
{
	struct world *w = *state;

	setenv("CALLGATE_DATABASE_URL", "postgresql:///callgate", 1);
	assert_int_equal(load(w), OK);
	assert_string_equal(w->config.listen, "127.0.0.1:8080");
	assert_int_equal(w->config.http_threads, 1);
	assert_int_equal(w->config.intake_batches, 1);
	assert_int_equal(w->config.reader_batches, 1);
	assert_int_equal(w->config.max_connections, 16384);
	assert_int_equal(w->config.lease_ttl_ms, 10000);
	assert_int_equal(w->config.log_level, LOG_LEVEL_INFO);
	assert_true(w->config.simulator_speed == 1);
	assert_null(w->config.simulator_ledger);
	assert_false(w->config.lock_per_org);
}

static void without_a_database_it_says_what_to_set(void **state)
{
	struct world *w = *state;

	assert_int_equal(load(w), ERR_INVALID);
	assert_told(w, "CALLGATE_DATABASE_URL: not set");
	assert_string_equal(w->config.listen, "127.0.0.1:8080");
}

static void livekits_settings_belong_together(void **state)
{
	struct world *w = *state;

	setenv("CALLGATE_DATABASE_URL", "postgresql:///callgate", 1);
	assert_int_equal(load(w), OK);
	assert_null(w->config.livekit_url);
	setenv("LIVEKIT_URL", "wss://livekit.example.org", 1);
	setenv("LIVEKIT_API_SECRET", "hush", 1);
	assert_int_equal(load(w), ERR_INVALID);
	assert_told(w, "not set: LIVEKIT_API_KEY\n");
	assert_null(strstr(w->mistakes.data, "hush"));
	setenv("LIVEKIT_API_KEY", "key", 1);
	assert_int_equal(load(w), OK);
	assert_string_equal(w->config.livekit_api_secret, "hush");
	setenv("LIVEKIT_CA_FILE", "/nonexistent/ca.pem", 1);
	setenv("LIVEKIT_URL", "https://user:hush@livekit.example.org", 1);
	assert_int_equal(load(w), ERR_INVALID);
	assert_told(w, "LIVEKIT_URL: must be a URL");
	assert_told(w, "LIVEKIT_CA_FILE: /nonexistent/ca.pem");
}

static void a_secret_may_be_asked_for_by_a_name_that_others_give(void **state)
{
	struct world *w = *state;
	char *secret;

	setenv("LIVEKIT_A", "one", 1);
	use_file(w, "LIVEKIT_B=two\n");
	secret = config_secret("LIVEKIT_A");
	assert_string_equal(secret, "one");
	free(secret);
	secret = config_secret("LIVEKIT_B");
	assert_string_equal(secret, "two");
	free(secret);
	assert_null(config_secret("LIVEKIT_C"));
}

static void database_url_serves_when_ours_is_not_set(void **state)
{
	struct world *w = *state;

	setenv("DATABASE_URL", "postgresql:///theirs", 1);
	assert_int_equal(load(w), OK);
	assert_string_equal(w->config.database_url, "postgresql:///theirs");
	setenv("CALLGATE_DATABASE_URL", "postgresql:///ours", 1);
	assert_int_equal(load(w), OK);
	assert_string_equal(w->config.database_url, "postgresql:///ours");
}

static void all_mistakes_are_told_together(void **state)
{
	struct world *w = *state;

	setenv("CALLGATE_HTTP_THREADS", "many", 1);
	setenv("CALLGATE_MAX_ATTEMPTS", "11", 1);
	setenv("CALLGATE_LISTEN", "8080", 1);
	setenv("CALLGATE_LOG_LEVEL", "loud", 1);
	setenv("CALLGATE_LOG_FORMAT", "xml", 1);
	setenv("CALLGATE_ACCESS_LOG", "perhaps", 1);
	setenv("CALLGATE_SIMULATOR_SPEED", "nan", 1);
	assert_int_equal(load(w), ERR_INVALID);
	assert_told(w, "CALLGATE_HTTP_THREADS: must be a whole number from 1 to 64, not \"many\"");
	assert_told(w, "CALLGATE_MAX_ATTEMPTS: must be a whole number from 1 to 10");
	assert_told(w, "CALLGATE_LISTEN: must be an address and a port");
	assert_told(w, "CALLGATE_LOG_LEVEL");
	assert_told(w, "CALLGATE_LOG_FORMAT");
	assert_told(w, "CALLGATE_ACCESS_LOG");
	assert_told(w, "CALLGATE_SIMULATOR_SPEED: must be a number");
	assert_told(w, "CALLGATE_DATABASE_URL");
}

static void every_http_thread_needs_a_connection(void **state)
{
	struct world *w = *state;

	setenv("CALLGATE_DATABASE_URL", "postgresql:///x", 1);
	setenv("CALLGATE_HTTP_THREADS", "4", 1);
	setenv("CALLGATE_MAX_CONNECTIONS", "3", 1);
	assert_int_equal(load(w), ERR_INVALID);
	assert_told(w, "CALLGATE_MAX_CONNECTIONS: must be at least CALLGATE_HTTP_THREADS (4)");
	setenv("CALLGATE_MAX_CONNECTIONS", "4", 1);
	assert_int_equal(load(w), OK);
}

static void a_misspelt_name_is_a_mistake(void **state)
{
	struct world *w = *state;

	setenv("CALLGATE_DATABASE_URL", "postgresql:///callgate", 1);
	setenv("CALLGATE_LISTENS", "127.0.0.1:1", 1);
	assert_int_equal(load(w), ERR_INVALID);
	assert_told(w, "CALLGATE_LISTENS: there is no such setting");
}

static void names_that_others_set_are_no_mistakes(void **state)
{
	static const char *const names[] = {
		"CALLGATE_URL", "CALLGATE_KEY", "CALLGATE_PROJECT_ID", "CALLGATE_FROM_NUMBER",
		"CALLGATE_TEST_DATABASE_URL", "CALLGATE_SERVICE_HOST", "CALLGATE_PORT_8080_TCP", "LIVEKIT_TRUNK_PASSWORD",
	};
	struct world *w = *state;

	setenv("CALLGATE_DATABASE_URL", "postgresql:///callgate", 1);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		setenv(names[i], "x", 1);
	assert_int_equal(load(w), OK);
}

static void an_empty_value_is_none(void **state)
{
	struct world *w = *state;

	setenv("CALLGATE_DATABASE_URL", "", 1);
	setenv("DATABASE_URL", "postgresql:///theirs", 1);
	setenv("CALLGATE_QUEUE_LIMIT", "", 1);
	assert_int_equal(load(w), OK);
	assert_string_equal(w->config.database_url, "postgresql:///theirs");
	assert_int_equal(w->config.queue_limit, 4096);
}

static void a_secret_may_lie_in_a_file_of_its_own(void **state)
{
	struct world *w = *state;

	write_file(w->secret, "postgresql://u:hush@db/callgate\n");
	setenv("CALLGATE_DATABASE_URL_FILE", w->secret, 1);
	assert_int_equal(load(w), OK);
	assert_string_equal(w->config.database_url, "postgresql://u:hush@db/callgate");

	setenv("CALLGATE_DATABASE_URL", "postgresql://u:hush@db/callgate", 1);
	assert_int_equal(load(w), ERR_INVALID);
	assert_told(w, "keep one");
	assert_null(strstr(w->mistakes.data, "hush"));
}

static void only_secrets_may_lie_in_files(void **state)
{
	struct world *w = *state;

	setenv("CALLGATE_DATABASE_URL_FILE", "/nonexistent/secret", 1);
	setenv("CALLGATE_LISTEN_FILE", "/nonexistent/listen", 1);
	assert_int_equal(load(w), ERR_INVALID);
	assert_told(w, "CALLGATE_DATABASE_URL_FILE: cannot open /nonexistent/secret");
	assert_told(w, "CALLGATE_LISTEN_FILE: there is no such setting");
	assert_null(strstr(w->mistakes.data, "not set"));
}

static void the_file_speaks_where_the_environment_is_silent(void **state)
{
	struct world *w = *state;

	use_file(w, "# settings\n"
	            "CALLGATE_DATABASE_URL='host=/run/pg dbname=it'\\''s'\n"
	            "export CALLGATE_QUEUE_LIMIT=77   # few\n"
	            "CALLGATE_HTTP_THREADS=\"3\"\n\n"
	            "OTHER=x\n");
	setenv("CALLGATE_HTTP_THREADS", "5", 1);
	assert_int_equal(load(w), OK);
	assert_string_equal(w->config.database_url, "host=/run/pg dbname=it's");
	assert_int_equal(w->config.queue_limit, 77);
	assert_int_equal(w->config.http_threads, 5);
}

static void a_broken_file_is_told_by_line_without_its_text(void **state)
{
	struct world *w = *state;

	use_file(w, "CALLGATE_DATABASE_URL=host=db password='hush\n"
	            "hush words\n"
	            "CALLGATE_LISTENS=1\n");
	assert_int_equal(load(w), ERR_INVALID);
	assert_told(w, ":1: a quote");
	assert_told(w, ":2: not of the form");
	assert_told(w, "CALLGATE_LISTENS: there is no such setting");
	assert_null(strstr(w->mistakes.data, "hush"));

	setenv("CALLGATE_ENV_FILE", "/nonexistent/env", 1);
	assert_int_equal(load(w), ERR_INVALID);
	assert_told(w, "CALLGATE_ENV_FILE: cannot open");
}

static void every_shape_of_listen_address_is_taken(void **state)
{
	static const char *const good[] = { "127.0.0.1:0", "[::]:8080", ":8080", "localhost:80" };
	static const char *const bad[] = { "8080", "::1:80", "[]:80", "1.2.3.4:65536", "1.2.3.4:", "[::1:80" };
	struct world *w = *state;

	setenv("CALLGATE_DATABASE_URL", "postgresql:///callgate", 1);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		setenv("CALLGATE_LISTEN", good[i], 1);
		assert_int_equal(load(w), OK);
		assert_string_equal(w->config.listen, good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		setenv("CALLGATE_LISTEN", bad[i], 1);
		assert_int_equal(load(w), ERR_INVALID);
	}
}

/* docs/settings.md is for people; this keeps it from falling behind the table. */
static void every_setting_is_in_the_handbook(void **state)
{
	CLEANUP(freep) char *help = NULL;
	CLEANUP(freep) char *doc = xcalloc(1, 65536);
	char path[512];
	size_t n;
	FILE *f;
	int names = 0;

	(void)state;
	snprintf(path, sizeof path, "%.*s../../docs/settings.md",
	         (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__);
	f = fopen(path, "r");
	if (!f)
		skip();
	assert_true(fread(doc, 1, 65535, f) > 0);
	fclose(f);

	f = open_memstream(&help, &n);
	config_help(f);
	fclose(f);
	for (char *line = strtok(help, "\n"); line; line = strtok(NULL, "\n")) {
		char name[64], cell[80];

		assert_int_equal(sscanf(line, "%63s", name), 1);
		snprintf(cell, sizeof cell, "| `%s` |", name);
		if (!strstr(doc, cell))
			fail_msg("%s is not in docs/settings.md", name);
		names++;
	}
	assert_true(names > 20);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_database_is_all_that_must_be_said),
		TEST(without_a_database_it_says_what_to_set),
		TEST(livekits_settings_belong_together),
		TEST(a_secret_may_be_asked_for_by_a_name_that_others_give),
		TEST(database_url_serves_when_ours_is_not_set),
		TEST(all_mistakes_are_told_together),
		TEST(every_http_thread_needs_a_connection),
		TEST(a_misspelt_name_is_a_mistake),
		TEST(names_that_others_set_are_no_mistakes),
		TEST(an_empty_value_is_none),
		TEST(a_secret_may_lie_in_a_file_of_its_own),
		TEST(only_secrets_may_lie_in_files),
		TEST(the_file_speaks_where_the_environment_is_silent),
		TEST(a_broken_file_is_told_by_line_without_its_text),
		TEST(every_shape_of_listen_address_is_taken),
		TEST(every_setting_is_in_the_handbook),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
