/* Log lines in both formats, whatever the values hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"

static char line[4096];

#define RENDER(json_, level_, name_, ...) \
	log_render(line, sizeof line, (json_), (level_), (name_), \
	           LOG_FIELDS_(__VA_ARGS__), LOG_COUNT_(__VA_ARGS__))

static const struct id some_id = { { 0x01, 0x92, 0xf0, 0xc1, 0x2b, 0x3d, 0x7e, 0x4f,
                                     0x8a, 0x5b, 0x6c, 0x7d, 0x8e, 0x9f, 0x0a, 0x1b } };

static void an_event_without_fields_is_its_level_and_name(void **state)
{
	size_t n;

	(void)state;
	n = RENDER(false, LOG_LEVEL_INFO, "app.ready");
	assert_int_equal(n, strlen(line));
	assert_string_equal(line, "info app.ready\n");
	n = RENDER(true, LOG_LEVEL_ERROR, "app.ready");
	assert_int_equal(n, strlen(line));
	assert_string_equal(line, "{\"level\":\"error\",\"event\":\"app.ready\"}\n");
}

static void every_type_has_its_form_in_text(void **state)
{
	(void)state;
	RENDER(false, LOG_LEVEL_WARN, "call.ended", LOG_ID("call", &some_id),
	       LOG_STR("outcome", "busy"), LOG_INT("attempt", -2), LOG_TEL("to", "+14155550123"), LOG_STR("sip", NULL));
	assert_string_equal(line, "warn call.ended call=0192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1b "
	                          "outcome=busy attempt=-2 to=***23 sip=null\n");
}

static void what_others_say_is_logged_without_numbers_and_tokens(void **state)
{
	(void)state;
	RENDER(false, LOG_LEVEL_WARN, "livekit.room_refused", LOG_SAID("error", "no +14155550123: eyJhbGci.eyJpc3Mi.c2ln"),
	       LOG_SAID("none", NULL));
	assert_string_equal(line, "warn livekit.room_refused error=\"no ***23: ***\" none=null\n");
}

static void every_type_has_its_form_in_json(void **state)
{
	(void)state;
	RENDER(true, LOG_LEVEL_DEBUG, "call.ended", LOG_ID("call", &some_id), LOG_STR("outcome", "busy"),
	       LOG_INT("attempt", INT64_MIN), LOG_TEL("to", "+14155550123"), LOG_STR("sip", NULL));
	assert_string_equal(line, "{\"level\":\"debug\",\"event\":\"call.ended\","
	                          "\"call\":\"0192f0c1-2b3d-7e4f-8a5b-6c7d8e9f0a1b\","
	                          "\"outcome\":\"busy\",\"attempt\":-9223372036854775808,"
	                          "\"to\":\"***23\",\"sip\":null}\n");
}

static void values_that_could_mislead_are_quoted_in_text(void **state)
{
	(void)state;
	RENDER(false, LOG_LEVEL_INFO, "e", LOG_STR("a", "two words"), LOG_STR("b", "x=1"),
	       LOG_STR("c", ""), LOG_STR("d", "null"), LOG_STR("e", "\"q\""), LOG_STR("f", "你好"),
	       LOG_STR("g", "back\\slash"));
	assert_string_equal(line, "info e a=\"two words\" b=\"x=1\" c=\"\" d=\"null\" e=\"\\\"q\\\"\" "
	                          "f=\"你好\" g=\"back\\\\slash\"\n");
}

static void control_characters_cannot_end_a_line_or_reach_a_terminal(void **state)
{
	static const char *const expected = "\"\\u001b[2J\\r\\n\\t\\u007f\\u009b\\u0001\"";
	char want[100];

	(void)state;
	RENDER(false, LOG_LEVEL_INFO, "e", LOG_STR("v", "\x1b[2J\r\n\t\x7f\xc2\x9b\x01"));
	snprintf(want, sizeof want, "info e v=%s\n", expected);
	assert_string_equal(line, want);
	RENDER(true, LOG_LEVEL_INFO, "e", LOG_STR("v", "\x1b[2J\r\n\t\x7f\xc2\x9b\x01"));
	assert_non_null(strstr(line, expected));
}

static void broken_bytes_become_the_replacement_character(void **state)
{
	(void)state;
	RENDER(true, LOG_LEVEL_INFO, "e", LOG_STR("v", "a\xff\xed\xa0\x80" "b\xe2\x82"));
	assert_string_equal(line, "{\"level\":\"info\",\"event\":\"e\",\"v\":"
	                          "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	                          "b\xef\xbf\xbd\xef\xbf\xbd\"}\n");
}

static void of_a_telephone_number_only_two_digits_are_shown(void **state)
{
	static const struct { const char *tel, *shown; } cases[] = {
		{ "+886912345678", "\"***78\"" },
		{ "+12345",        "\"***45\"" },
		{ "+1234",         "\"***\""   },      /* two would be half of it */
		{ "",              "\"***\""   },
		{ "sip:bob@example.org", "\"***\"" },
		{ "+1415555012x",  "\"***\""   },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char want[80];

		RENDER(true, LOG_LEVEL_INFO, "e", LOG_TEL("to", cases[i].tel));
		snprintf(want, sizeof want, "{\"level\":\"info\",\"event\":\"e\",\"to\":%s}\n",
		         cases[i].shown);
		assert_string_equal(line, want);
	}
	RENDER(false, LOG_LEVEL_INFO, "e", LOG_TEL("to", NULL));
	assert_string_equal(line, "info e to=null\n");
}

static void long_values_are_cut_between_characters(void **state)
{
	char value[1600];
	size_t n;

	(void)state;
	for (size_t i = 0; i + 4 < sizeof value; i += 3)
		memcpy(value + i, "€", 4);
	for (int json = 0; json < 2; json++) {
		n = RENDER(json, LOG_LEVEL_INFO, "e", LOG_STR("v", value), LOG_INT("after", 1));
		assert_true(n < 600);
		assert_true(utf8_ok(line, n));
		assert_non_null(strstr(line, "€…\""));
		assert_non_null(strstr(line, json ? ",\"after\":1}" : " after=1\n"));
	}
}

static void a_long_bare_value_is_cut_too(void **state)
{
	char value[1600];

	(void)state;
	memset(value, 'x', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	assert_true(RENDER(false, LOG_LEVEL_INFO, "e", LOG_STR("v", value)) < 600);
	assert_non_null(strstr(line, "x…\""));
}

static void fields_that_do_not_fit_are_left_out_and_the_line_says_so(void **state)
{
	char small[80];
	size_t n;

	(void)state;
	n = log_render(small, sizeof small, true, LOG_LEVEL_INFO, "e",
	               LOG_FIELDS_(LOG_INT("a", 1), LOG_INT("c", 3),
	                           LOG_STR("b", "0123456789012345678901234567890123456789")), 4);
	assert_int_equal(n, strlen(small));
	assert_string_equal(small, "{\"level\":\"info\",\"event\":\"e\",\"a\":1,\"c\":3,\"cut\":true}\n");
	log_render(small, sizeof small, false, LOG_LEVEL_INFO, "e",
	           LOG_FIELDS_(LOG_STR("b", "0123456789012345678901234567890123456789"),
	                       LOG_STR("c", "0123456789012345678901234567890123456789")), 3);
	assert_string_equal(small, "info e b=0123456789012345678901234567890123456789 cut=true\n");
}

/* A strict reader of one flat JSON object; enough for what a log line may be. */
static const char *skip_string(const char *p)
{
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if ((unsigned char)*p < 0x20)
			return NULL;
		if (*p != '\\')
			continue;
		p++;
		if (*p == 'u') {
			if (strspn(p + 1, "0123456789abcdef") < 4)
				return NULL;
			p += 4;
		} else if (!*p || !strchr("\"\\nrt", *p)) {
			return NULL;
		}
	}
	return p + 1;
}

static const char *skip_value(const char *p)
{
	if (*p == '"')
		return skip_string(p);
	if (strncmp(p, "null", 4) == 0 || strncmp(p, "true", 4) == 0)
		return p + 4;
	p += *p == '-';
	return *p >= '0' && *p <= '9' ? p + strspn(p, "0123456789") : NULL;
}

static bool is_json_line(const char *p, size_t len)
{
	const char *end = p + len;

	if (!utf8_ok(p, len) || *p != '{')
		return false;
	do {
		p = skip_string(p + 1);
		p = p && *p == ':' ? skip_value(p + 1) : NULL;
	} while (p && *p == ',');
	return p && p[0] == '}' && p[1] == '\n' && p + 2 == end;
}

static void a_line_of_any_size_with_any_bytes_is_valid(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		char value[200];
		size_t len = (size_t)rand_r(&seed) % sizeof value;
		size_t size = 60 + (size_t)rand_r(&seed) % 900;
		CLEANUP(freep) char *out = xmalloc(size);
		const struct log_field *fields;
		size_t n;

		for (size_t i = 0; i < len; i++)
			value[i] = (char)(1 + rand_r(&seed) % 255);
		value[len ? len - 1 : 0] = '\0';
		fields = LOG_FIELDS_(LOG_STR("a", value), LOG_STR("b", value), LOG_TEL("c", value));
		n = log_render(out, size, true, LOG_LEVEL_INFO, "e", fields, 4);
		assert_true(n > 0 && n < size);
		assert_true(is_json_line(out, n));
		n = log_render(out, size, false, LOG_LEVEL_INFO, "e", fields, 4);
		assert_true(n > 0 && n < size && utf8_ok(out, n));
		assert_ptr_equal(strchr(out, '\n'), out + n - 1);
	}
}

static void where_not_even_the_event_fits_nothing_is_written(void **state)
{
	char tiny[24] = "x";

	(void)state;
	assert_int_equal(log_render(tiny, sizeof tiny, true, LOG_LEVEL_INFO, "app.ready", NULL, 0), 0);
	assert_string_equal(tiny, "");
	assert_int_equal(log_render(tiny, 0, true, LOG_LEVEL_INFO, "app.ready", NULL, 0), 0);
}

static void levels_are_read_by_name(void **state)
{
	enum log_level level = LOG_LEVEL_INFO;

	(void)state;
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_true(log_level_parse("ERROR", &level));
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_false(log_level_parse("loud", &level));
	assert_false(log_level_parse("", &level));
	assert_false(log_level_parse(NULL, &level));
	assert_int_equal(level, LOG_LEVEL_ERROR);
}

static int evaluated;

static int64_t evaluate(void)
{
	return ++evaluated;
}

static void below_the_level_nothing_is_even_evaluated(void **state)
{
	(void)state;
	evaluated = 0;
	log_setup(LOG_LEVEL_ERROR, false);
	LOG_WARN("never", LOG_INT("n", evaluate()));
	assert_int_equal(evaluated, 0);
	assert_false(log_enabled(LOG_LEVEL_WARN));
	assert_true(log_enabled(LOG_LEVEL_ERROR));
	log_setup(LOG_LEVEL_INFO, false);
}

#define THREADS 4
#define LINES   200

static void *log_lines(void *arg)
{
	for (int i = 0; i < LINES; i++)
		LOG_INFO("test.line", LOG_INT("thread", *(int *)arg), LOG_INT("n", i),
		         LOG_STR("pad", "p p p p p"));
	return NULL;
}

/* Standard error becomes a file for the time of run(); returns what was written. */
static char *written_by(void (*run)(void))
{
	char path[] = "/tmp/util_log.XXXXXX";
	int fd = mkstemp(path);
	int saved = dup(STDERR_FILENO);
	off_t len;
	char *text;

	assert_true(fd >= 0 && saved >= 0);
	unlink(path);
	fcntl(fd, F_SETFL, O_APPEND);
	dup2(fd, STDERR_FILENO);
	run();
	dup2(saved, STDERR_FILENO);
	close(saved);
	len = lseek(fd, 0, SEEK_END);
	text = xcalloc((size_t)len + 1, 1);
	assert_int_equal(pread(fd, text, (size_t)len, 0), len);
	close(fd);
	return text;
}

static void from_several_threads(void)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];

	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		pthread_create(&threads[i], NULL, log_lines, &numbers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void lines_of_several_threads_never_mix(void **state)
{
	CLEANUP(freep) char *text = NULL;
	int lines = 0;

	(void)state;
	log_setup(LOG_LEVEL_INFO, true);
	text = written_by(from_several_threads);
	for (char *p = text; *p; lines++) {
		char *end = strchr(p, '\n');

		assert_non_null(end);
		assert_true(is_json_line(p, (size_t)(end + 1 - p)));
		assert_int_equal(strncmp(p, "{\"time\":\"20", 11), 0);
		assert_non_null(strstr(p, "\"event\":\"test.line\""));
		p = end + 1;
	}
	assert_int_equal(lines, THREADS * LINES);
	log_setup(LOG_LEVEL_INFO, false);
}

static void one_text_line(void)
{
	errno = EBUSY;
	LOG_ERROR("test.line", LOG_INT("n", 1));
	LOG_ERROR("test.end");
}

static void a_written_line_begins_with_the_time_and_leaves_errno_alone(void **state)
{
	CLEANUP(freep) char *text = NULL;

	(void)state;
	text = written_by(one_text_line);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(text[10], 'T');
	assert_string_equal(strchr(text, 'Z'), strstr(text, "Z error test.line n=1\n"));
	assert_non_null(strstr(text, "Z error test.end\n"));
}

/* More than a pipe holds. Were it waited for, this would never come to its end. */
static void a_log_that_nobody_reads_holds_up_nobody(void **state)
{
	char text[4096];
	int pipe_fds[2], saved = dup(STDERR_FILENO), i;
	ssize_t n, got = 0;

	(void)state;
	assert_int_equal(0, pipe(pipe_fds));
	dup2(pipe_fds[1], STDERR_FILENO);
	for (i = 0; i < 3000; i++)
		LOG_ERROR("test.line", LOG_INT("n", i));
	while (got < 100000 && (n = read(pipe_fds[0], text, sizeof text)) == (ssize_t)sizeof text)
		got += n;
	LOG_ERROR("test.last");
	n = read(pipe_fds[0], text, sizeof text - 1);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "log.dropped lines="));
	assert_non_null(strstr(text, "error test.last"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_without_fields_is_its_level_and_name),
		cmocka_unit_test(every_type_has_its_form_in_text),
		cmocka_unit_test(every_type_has_its_form_in_json),
		cmocka_unit_test(what_others_say_is_logged_without_numbers_and_tokens),
		cmocka_unit_test(values_that_could_mislead_are_quoted_in_text),
		cmocka_unit_test(control_characters_cannot_end_a_line_or_reach_a_terminal),
		cmocka_unit_test(broken_bytes_become_the_replacement_character),
		cmocka_unit_test(of_a_telephone_number_only_two_digits_are_shown),
		cmocka_unit_test(long_values_are_cut_between_characters),
		cmocka_unit_test(a_long_bare_value_is_cut_too),
		cmocka_unit_test(fields_that_do_not_fit_are_left_out_and_the_line_says_so),
		cmocka_unit_test(a_line_of_any_size_with_any_bytes_is_valid),
		cmocka_unit_test(where_not_even_the_event_fits_nothing_is_written),
		cmocka_unit_test(levels_are_read_by_name),
		cmocka_unit_test(below_the_level_nothing_is_even_evaluated),
		cmocka_unit_test(lines_of_several_threads_never_mix),
		cmocka_unit_test(a_log_that_nobody_reads_holds_up_nobody),
		cmocka_unit_test(a_written_line_begins_with_the_time_and_leaves_errno_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
