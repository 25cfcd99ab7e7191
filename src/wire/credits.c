/* What an account has, what moved it, and the cursor that leads on through its ledger. */
#include "callgate/wire_money.h"

#include <string.h>

#include "callgate/digest.h"
#include "callgate/jsonw.h"
#include "callgate/mem.h"
#include "callgate/text.h"

void wire_credits_write(struct buf *b, const char *project, const struct project_credits *c)
{
	JSONW_LIT(b, "{\"projectId\":");
	jsonw_str(b, project);
	JSONW_LIT(b, ",\"account\":");
	jsonw_str(b, c->account);
	JSONW_LIT(b, ",\"balanceMilliCents\":");
	buf_int(b, c->balance_mc);
	JSONW_LIT(b, ",\"heldMilliCents\":");
	buf_int(b, c->held_mc);
	JSONW_LIT(b, ",\"availableMilliCents\":");
	buf_int(b, c->balance_mc - c->held_mc);
	buf_char(b, '}');
}

static const char *kind_name(enum ledger_kind k)
{
	static const char *const names[] = {
		[LEDGER_TOP_UP] = "top_up", [LEDGER_CALL] = "call", [LEDGER_CORRECTION] = "correction",
	};

	return (size_t)k < ARRAY_LEN(names) && names[k] ? names[k] : "other";
}

static void write_id(struct buf *b, const struct id *id)
{
	char text[ID_TEXT_SIZE];

	id_format(id, text);
	jsonw_str(b, text);
}

static void write_entry(struct buf *b, const struct ledger_entry *l)
{
	JSONW_LIT(b, "{\"id\":");
	write_id(b, &l->id);
	JSONW_LIT(b, ",\"kind\":");
	jsonw_str(b, kind_name(l->kind));
	JSONW_LIT(b, ",\"amountMilliCents\":");
	buf_int(b, l->amount_mc);
	JSONW_LIT(b, ",\"callId\":");
	if (l->has_call)
		write_id(b, &l->call_id);
	else
		JSONW_LIT(b, "null");
	JSONW_LIT(b, ",\"reference\":");
	jsonw_str(b, l->reference);
	JSONW_LIT(b, ",\"note\":");
	jsonw_str(b, l->note);
	JSONW_LIT(b, ",\"at\":");
	jsonw_time(b, l->at_us / 1000);
	buf_char(b, '}');
}

void wire_ledger_write(struct buf *b, const struct ledger_entry *entries, size_t n, const char *next)
{
	JSONW_LIT(b, "{\"data\":[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_char(b, ',');
		write_entry(b, &entries[i]);
	}
	JSONW_LIT(b, "],\"hasMore\":");
	jsonw_bool(b, next != NULL);
	JSONW_LIT(b, ",\"nextCursor\":");
	jsonw_str(b, next);
	buf_char(b, '}');
}

/* ── the cursor ───────────────────────────────────────────────────────────────────── */

struct cursor {
	int64_t   at_us;
	struct id id;
	uint8_t   bound[4];
};
_Static_assert(sizeof(struct cursor) == 32, "it is written as it lies");
#define CURSOR_BYTES 28         /* without the padding */

_Static_assert(BASE64URL_SIZE(CURSOR_BYTES) <= WIRE_LEDGER_CURSOR_SIZE, "a cursor does not fit");

/* A digest of everything it stands for: what was changed anywhere does not fit. */
static void bind(int64_t org, const char *project, struct cursor *c)
{
	uint8_t hash[SHA256_SIZE];
	struct buf b;

	buf_init(&b, 1024);
	buf_printf(&b, "ledger %lld %s ", (long long)org, project);
	buf_add(&b, &c->at_us, sizeof c->at_us);
	buf_add(&b, c->id.b, sizeof c->id.b);
	sha256(b.data, b.len, hash);
	memcpy(c->bound, hash, sizeof c->bound);
	buf_done(&b);
}

void wire_ledger_cursor_write(int64_t org, const char *project, const struct ledger_place *p,
                              char out[WIRE_LEDGER_CURSOR_SIZE])
{
	struct cursor c = { .at_us = p->at_us, .id = p->id };

	bind(org, project, &c);
	base64url_encode(&c, CURSOR_BYTES, out);
}

bool wire_ledger_cursor_read(int64_t org, const char *project, const char *text, struct ledger_place *p)
{
	struct cursor c = { .at_us = 0 };
	uint8_t bytes[WIRE_LEDGER_CURSOR_SIZE], bound[sizeof c.bound];
	size_t n = strlen(text);

	if (n != BASE64URL_SIZE(CURSOR_BYTES) - 1 || !base64url_decode(text, n, bytes, &n) || n != CURSOR_BYTES)
		return false;
	memcpy(&c, bytes, CURSOR_BYTES);
	memcpy(bound, c.bound, sizeof bound);
	bind(org, project, &c);
	if (memcmp(bound, c.bound, sizeof bound) != 0)
		return false;
	*p = (struct ledger_place){ c.at_us, c.id };
	return true;
}
