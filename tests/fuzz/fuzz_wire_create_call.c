/* Any bytes as the body of POST /v1/calls/outbound. What is taken must hold what the rest
 * of the program relies on: numbers are E.164, variables and metadata are JSON objects that
 * are taken again, unchanged, and within their ceiling. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/e164.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire.h"

#define NOW INT64_C(1795163520000)

#define MUST(condition) do { if (!(condition)) abort(); } while (0)

static void check_problems(const struct wire_problems *ps)
{
	MUST(ps->count > 0 && ps->count <= WIRE_PROBLEMS_MAX);
	for (size_t i = 0; i < ps->count; i++)
		MUST(ps->items[i].message[0]);
}

static void check_object(const char *text)
{
	static const char head[] = "{\"projectId\":\"p\",\"fromNumber\":\"+88691\",\"toNumber\":\"+88692\","
	                           "\"dynamicVariables\":";
	struct wire_create_call again;
	struct wire_problems problems;
	size_t len = strlen(text);
	char *body = xmalloc(sizeof head + len + 1);

	MUST(len <= WIRE_VARIABLES_MAX && utf8_ok(text, len));
	sprintf(body, "%s%s}", head, text);
	MUST(wire_create_call_read(body, strlen(body), NOW, &again, &problems) == OK);
	MUST(str_eq(again.variables, text));
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
	if (wire_create_call_read(body, size, NOW, &call, &problems) == OK) {
		MUST(call.project[0] && e164_ok(call.from) && e164_ok(call.to) && !str_eq(call.from, call.to));
		MUST(!call.scheduled_ms || !call.expires_ms || call.expires_ms > call.scheduled_ms);
		MUST(call.late == 0 && call.prio >= 0 && call.prio <= 2);
	} else {
		check_problems(&problems);
		MUST(call.late <= problems.count);
	}
	if (call.variables)
		check_object(call.variables);
	if (call.metadata)
		check_object(call.metadata);
	wire_create_call_done(&call);
	free(body);
	return 0;
}
