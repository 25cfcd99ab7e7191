/* Where a gateway is asked for its health. */
#include "health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "callgate/mem.h"

static void a_gateway_that_listens_everywhere_is_asked_on_the_loopback(void **state)
{
	static const char *const rows[][2] = {
		{ ":8080", "http://127.0.0.1:8080/readyz" },
		{ "0.0.0.0:8080", "http://127.0.0.1:8080/readyz" },
		{ "[::]:81", "http://[::1]:81/readyz" },
		{ "10.0.0.7:80", "http://10.0.0.7:80/readyz" },
		{ "[fd00::1]:80", "http://[fd00::1]:80/readyz" },
	};
	char url[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		health_url(rows[i][0], url, sizeof url);
		assert_string_equal(url, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gateway_that_listens_everywhere_is_asked_on_the_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
