/* Lists as clients read them: the data, and where it goes on. */
#include "callgate/wire_lists.h"

#include "callgate/jsonw.h"

void wire_call_list_write(struct buf *b, const struct call_read *items, size_t n, const char *next)
{
	JSONW_LIT(b, "{\"data\":[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_char(b, ',');
		wire_call_record_write(b, &items[i].call);
	}
	JSONW_LIT(b, "],\"hasMore\":");
	jsonw_bool(b, next != NULL);
	JSONW_LIT(b, ",\"nextCursor\":");
	jsonw_str(b, next);
	buf_char(b, '}');
}
