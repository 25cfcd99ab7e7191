/* Any bytes as the body of PATCH /v1/calls/{id}. What is taken changes something, and holds
 * what the rest of the program relies on. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_life.h"

#define NOW INT64_C(1795163520000)
#define MUST(condition) do { if (!(condition)) abort(); } while (0)

static void check_object(bool set, const char *text, size_t max)
{
	MUST(set == (text != NULL));
	MUST(!text || (text[0] == '{' && strlen(text) <= max && utf8_ok(text, strlen(text))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *body = xmalloc(size + 1);
	struct wire_problems problems;
	struct call_edit x;

	memcpy(body, data, size);
	body[size] = '\0';
	if (wire_edit_read(body, size, NOW, &x, &problems) == OK) {
		MUST(x.set_variables || x.set_metadata || x.set_scheduled || x.set_prio);
		check_object(x.set_variables, x.variables, WIRE_VARIABLES_MAX);
		check_object(x.set_metadata, x.metadata, WIRE_METADATA_MAX);
		MUST(x.prio >= 0 && x.prio <= 2 && x.edits == -1);
		MUST(x.set_scheduled || x.scheduled_ms == 0);
	} else {
		MUST(problems.count > 0 && problems.count <= WIRE_PROBLEMS_MAX);
	}
	wire_edit_done(&x);
	free(body);
	return 0;
}
