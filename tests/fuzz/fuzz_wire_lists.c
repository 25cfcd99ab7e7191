/* Any bytes as a filter, as the body of a bulk request, as a cursor and as a position. What is
 * taken can be handed to the database as it is; a filter leads to a cursor that reads. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_lists.h"

#define MUST(condition) do { if (!(condition)) abort(); } while (0)

static void check_filter(const struct call_filter *f)
{
	char cursor[WIRE_CURSOR_SIZE];
	struct id last = { { 1 } }, out;

	MUST(utf8_ok(f->project, strlen(f->project)) && utf8_ok(f->metadata_key, strlen(f->metadata_key)) &&
	     utf8_ok(f->metadata_value, strlen(f->metadata_value)));
	MUST(!f->from[0] || e164_ok(f->from));
	MUST(!f->to[0] || e164_ok(f->to));
	MUST(f->states < STATE_BIT(CALL_STATE_COUNT) && f->reason < REASON_COUNT);
	MUST(f->created_from_ms >= 0 && f->created_to_ms >= 0);
	wire_cursor_write(1, f, &last, cursor);
	MUST(wire_cursor_read(1, f, cursor, &out) && id_cmp(&last, &out) == 0);
}

/* The first byte says which argument. */
static void as_argument(const char *text)
{
	static const char *const names[] = {
		"projectId", "state", "outcome", "from", "to", "createdAfter", "createdBefore", "metadataKey", "metadataValue",
	};
	struct wire_problems ps = { .count = 0 };
	struct call_filter f = { .states = 0 };

	if (!text[0])
		return;
	MUST(wire_filter_argument(&f, names[(unsigned char)text[0] % ARRAY_LEN(names)], text + 1, &ps));
	check_filter(&f);
}

static void as_place(const char *text)
{
	struct call_filter f = { .states = 0 };
	struct feed_position at;
	struct id last;

	wire_cursor_read(1, &f, text, &last);
	if (wire_position_read(1, text, &at))
		MUST(at.at_us >= 0 && at.seq >= 0 && at.seq <= INT16_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 1);
	struct wire_problems ps;
	char cursor[WIRE_CURSOR_SIZE];
	struct call_filter f;

	memcpy(text, data, size);
	text[size] = '\0';
	if (wire_filter_body(text, size, &f, cursor, &ps) == OK)
		check_filter(&f);
	else
		MUST(ps.count > 0);
	as_argument(text);
	as_place(text);
	free(text);
	return 0;
}
