/* GET /v1/projects/{id}/credits and …/credits/ledger: what the project's account has, and
 * what moved it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_money.h"
#include "errors.h"
#include "handlers.h"
#include "query.h"

#define LIMIT_MAX 100
#define LIMIT_DEFAULT 20

/* What no project can be called becomes the name that none has: who asks is still looked
 * at first. */
static void project_of(const struct route_args *args, char out[WIRE_PROJECT_MAX + 1])
{
	out[0] = '\0';
	if (args->id_len > WIRE_PROJECT_MAX || !utf8_ok(args->id, args->id_len))
		return;
	memcpy(out, args->id, args->id_len);
	out[args->id_len] = '\0';
}

static enum api_error error_of(enum read_outcome outcome)
{
	return outcome == READ_NOT_FOUND ? API_PROJECT_UNKNOWN : api_error_of_read(outcome);
}

static void fill_body(struct http_request *rq, struct buf *b, struct http_reply *out)
{
	if (b->over) {
		buf_done(b);
		error_fill(out, rq, API_INTERNAL, NULL, NULL);
		return;
	}
	out->status = 200;
	out->body = buf_take(b, &out->body_len);
}

void credits_get(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out)
{
	char project[WIRE_PROJECT_MAX + 1];
	struct project_credits credits;
	struct errinfo e;
	enum err err;
	struct buf b;

	project_of(args, project);
	err = store_project_credits(d->store, &args->key, project, &credits, &e);
	if (err) {
		desk_failed(d, rq, err, &e, out);
		return;
	}
	if (credits.outcome) {
		error_fill(out, rq, error_of(credits.outcome), NULL, NULL);
	} else {
		buf_init(&b, 4096);
		wire_credits_write(&b, project, &credits);
		fill_body(rq, &b, out);
	}
	free(credits.account);
}

/* ── the ledger ───────────────────────────────────────────────────────────────────── */

struct page {
	char                project[WIRE_PROJECT_MAX + 1];
	int64_t             limit;
	struct ledger_place after;
	enum api_error      error;      /* of the query */
	struct wire_problems problems;
};

static void read_query(const struct http_request *rq, const struct route_args *args, struct page *p)
{
	static const char *const names[] = { "limit", "cursor" };
	const char *cursor = http_query(rq, "cursor");

	memset(p, 0, sizeof *p);
	project_of(args, p->project);
	query_only(rq, names, ARRAY_LEN(names), &p->problems);
	p->limit = query_int(rq, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &p->problems);
	if (p->problems.count)
		p->error = API_VALIDATION_FAILED;
	else if (cursor && !wire_ledger_cursor_read(args->key.org, p->project, cursor, &p->after))
		p->error = API_CURSOR_INVALID;
}

static void fill_page(struct http_request *rq, const struct route_args *args, const struct page *p,
                      const struct ledger_entry *entries, size_t n, bool more, struct http_reply *out)
{
	char next[WIRE_LEDGER_CURSOR_SIZE];
	struct ledger_place last;
	struct buf b, link;

	if (more) {
		last = (struct ledger_place){ entries[n - 1].at_us, entries[n - 1].id };
		wire_ledger_cursor_write(args->key.org, p->project, &last, next);
		buf_init(&link, HTTP_LINK_MAX + 1);
		buf_str(&link, "</v1/projects/");
		query_escape(&link, p->project);
		buf_printf(&link, "/credits/ledger?limit=%" PRId64 "&cursor=%s>; rel=\"next\"", p->limit, next);
		out->link = buf_take(&link, NULL);
	}
	buf_init(&b, LIMIT_MAX * WIRE_LEDGER_ENTRY_MAX);
	wire_ledger_write(&b, entries, n, more ? next : NULL);
	fill_body(rq, &b, out);
}

/* With a query that is no good the store is asked all the same, for one entry: with a key
 * that is no good either, the answer is 401 and tells nothing about the query. */
void credits_ledger(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out)
{
	struct ledger_entry *entries = NULL;
	enum read_outcome outcome;
	struct errinfo e;
	struct page p;
	bool more;
	enum err err;
	size_t n = 0;

	read_query(rq, args, &p);
	err = store_ledger_page(d->store, &args->key, p.project, &p.after, p.error ? 1 : (size_t)p.limit, &entries, &n, &more,
	                        &outcome, &e);
	if (err)
		desk_failed(d, rq, err, &e, out);
	else if (outcome == READ_KEY_UNKNOWN || (outcome && !p.error))
		error_fill(out, rq, error_of(outcome), NULL, NULL);
	else if (p.error)
		error_fill(out, rq, p.error, p.problems.count ? &p.problems : NULL, NULL);
	else
		fill_page(rq, args, &p, entries, n, more, out);
	ledger_free(entries, n);
}
