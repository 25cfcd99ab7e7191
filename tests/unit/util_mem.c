/* Ownership helpers and allocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "callgate/mem.h"

static void zero_bytes_are_still_a_pointer(void **state)
{
	CLEANUP(freep) char *a = xmalloc(0);
	CLEANUP(freep) char *b = xcalloc(0, 8);
	CLEANUP(freep) char *c = xrealloc(NULL, 0, 8);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
}

static void take_leaves_null_behind(void **state)
{
	CLEANUP(freep) char *kept = NULL;
	CLEANUP(freep) char *mine = xstrdup("a thing");

	(void)state;
	kept = TAKE(mine);
	assert_null(mine);
	assert_string_equal(kept, "a thing");
}

static void xstrndup_stops_at_the_end_of_the_text(void **state)
{
	CLEANUP(freep) char *a = xstrndup("abcdef", 3);
	CLEANUP(freep) char *b = xstrndup("abc", 100);

	(void)state;
	assert_string_equal(a, "abc");
	assert_string_equal(b, "abc");
}

/* The child must die by a signal, not return and not write through NULL. */
static int signal_of_child(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		close(STDERR_FILENO);
		run();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void overflow(void)
{
	volatile size_t half = SIZE_MAX / 2;

	free(xrealloc(NULL, half, 3));
}

static void a_size_that_overflows_ends_the_process(void **state)
{
	(void)state;
	assert_int_equal(signal_of_child(overflow), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_bytes_are_still_a_pointer),
		cmocka_unit_test(take_leaves_null_behind),
		cmocka_unit_test(xstrndup_stops_at_the_end_of_the_text),
		cmocka_unit_test(a_size_that_overflows_ends_the_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
