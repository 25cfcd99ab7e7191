/* Any bytes as the body of POST /v1/calls/outbound. What is taken must hold what the rest
 * of the program relies on: numbers are E.164, variables are a JSON object that is taken
 * again, unchanged, and within its ceiling. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/e164.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire.h"

#define MUST(condition) do { if (!(condition)) abort(); } while (0)

static void check_problems(const struct wire_problems *ps)
{
	MUST(ps->count > 0 && ps->count <= WIRE_PROBLEMS_MAX);
	for (size_t i = 0; i < ps->count; i++)
		MUST(ps->items[i].message[0]);
}

static void check_variables(const char *variables)
{
	static const char head[] = "{\"projectId\":\"p\",\"fromNumber\":\"+88691\",\"toNumber\":\"+88692\","
	                           "\"dynamicVariables\":";
	struct wire_create_call again;
	struct wire_problems problems;
	size_t len = strlen(variables);
	char *body = xmalloc(sizeof head + len + 1);

	MUST(len <= WIRE_VARIABLES_MAX && utf8_ok(variables, len));
	sprintf(body, "%s%s}", head, variables);
	MUST(wire_create_call_read(body, strlen(body), &again, &problems) == OK);
	MUST(str_eq(again.variables, variables));
	wire_create_call_done(&again);
	free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *body = xmalloc(size + 1);
	struct wire_create_call call;
	struct wire_problems problems;

	memcpy(body, data, size);
	body[size] = '\0';
	if (wire_create_call_read(body, size, &call, &problems) == OK) {
		MUST(call.project[0] && e164_ok(call.from) && e164_ok(call.to) && !str_eq(call.from, call.to));
		if (call.variables)
			check_variables(call.variables);
	} else {
		check_problems(&problems);
	}
	wire_create_call_done(&call);
	free(body);
	return 0;
}
