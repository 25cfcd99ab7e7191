/* POST /v1/calls/outbound?dryRun=true: what would become of a call, and all that speaks
 * against it at once. The rules are the store's; here they are told. Nothing is written, a
 * key for repeating least of all. */
#include <stdlib.h>

#include "callgate/jsonw.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "calls.h"
#include "handlers.h"

#define ANSWER_MAX 65536        /* all refusals with all details are half of it */

static const char *or_null(const char *s)
{
	return s[0] ? s : NULL;
}

static void write_refusal(struct buf *b, enum api_error error, const struct wire_problems *problems, size_t before)
{
	const struct api_error_info *info = api_error_info(error);

	if (before > 0)
		buf_char(b, ',');
	JSONW_LIT(b, "{\"status\":");
	buf_int(b, info->status);
	JSONW_LIT(b, ",\"code\":");
	jsonw_str(b, info->code);
	JSONW_LIT(b, ",\"error\":");
	jsonw_str(b, info->text);
	if (problems)
		error_write_details(b, problems);
	buf_char(b, '}');
}

/* What is wrong with the body comes before all that the database can say. */
static void write_refusals(struct buf *b, const struct create_item *item, const struct dry_run *d)
{
	size_t count = 0;

	JSONW_LIT(b, ",\"accepted\":");
	jsonw_bool(b, !item->body_error && d->n_refusals == 0);
	JSONW_LIT(b, ",\"refusals\":[");
	if (item->body_error)
		write_refusal(b, item->body_error, item->problems, count++);
	for (size_t i = 0; i < d->n_refusals; i++)
		write_refusal(b, api_error_of_admit(d->refusals[i]), NULL, count++);
	buf_char(b, ']');
}

static void write_trunk(struct buf *b, const struct dry_run *d)
{
	JSONW_LIT(b, ",\"trunk\":");
	if (!d->trunk) {
		JSONW_LIT(b, "null");
		return;
	}
	JSONW_LIT(b, "{\"name\":");
	jsonw_str(b, d->trunk);
	buf_char(b, '}');
}

static void write_price(struct buf *b, const struct dry_run *d)
{
	if (!d->priced) {
		JSONW_LIT(b, ",\"ringTimeoutSeconds\":null,\"maxDurationSeconds\":null,\"holdMilliCents\":null,\"rate\":null");
		return;
	}
	JSONW_LIT(b, ",\"ringTimeoutSeconds\":");
	buf_int(b, d->ring_timeout_s);
	JSONW_LIT(b, ",\"maxDurationSeconds\":");
	buf_int(b, d->max_duration_s);
	JSONW_LIT(b, ",\"holdMilliCents\":");
	buf_int(b, d->hold_mc);
	JSONW_LIT(b, ",\"rate\":{\"prefix\":");
	jsonw_str(b, or_null(d->rate_prefix));
	JSONW_LIT(b, ",\"milliCentsPerMinute\":");
	buf_int(b, d->rate_mc);
	JSONW_LIT(b, ",\"incrementSeconds\":");
	buf_int(b, d->increment_s);
	JSONW_LIT(b, ",\"minimumSeconds\":");
	buf_int(b, d->minimum_s);
	buf_char(b, '}');
}

static void write_answer(struct buf *b, const struct create_item *item, const struct dry_run *d)
{
	JSONW_LIT(b, "{\"success\":true,\"dryRun\":true");
	write_refusals(b, item, d);
	JSONW_LIT(b, ",\"from\":");
	jsonw_str(b, or_null(item->call.from));
	JSONW_LIT(b, ",\"to\":");
	jsonw_str(b, or_null(item->call.to));
	write_trunk(b, d);
	write_price(b, d);
	JSONW_LIT(b, ",\"scheduledAt\":");
	jsonw_time(b, item->call.scheduled_ms);
	JSONW_LIT(b, ",\"earliestStartAt\":");
	jsonw_time(b, d->earliest_ms);
	JSONW_LIT(b, ",\"blockedBy\":");
	jsonw_str(b, d->blocked == WAIT_TRUNK ? "trunk" : d->blocked == WAIT_CAPACITY ? "capacity" : NULL);
	buf_char(b, '}');
}

/* The store leaves out the rules about what it is not given. */
static void withhold_invalid(struct admission *a)
{
	a->project = or_null(a->project);
	a->from = or_null(a->from);
	a->to = or_null(a->to);
}

static bool argument_ok(const struct http_request *rq, struct wire_problems *problems)
{
	if (str_eq(http_query(rq, "dryRun"), "true"))
		return true;
	wire_problem_add(problems, "", "the argument dryRun must be true or false");
	return false;
}

static void fill_answer(struct http_request *rq, const struct create_item *item, const struct dry_run *d,
                        struct http_reply *out)
{
	struct wire_problems problems = { .count = 0 };
	struct buf b;

	if (d->n_refusals > 0 && d->refusals[0] == ADMIT_KEY_UNKNOWN) {
		error_fill(out, rq, API_CREDENTIALS_INVALID, NULL, NULL);
		return;
	}
	if (!argument_ok(rq, &problems)) {
		error_fill(out, rq, API_VALIDATION_FAILED, &problems, NULL);
		return;
	}
	buf_init(&b, ANSWER_MAX);
	write_answer(&b, item, d);
	out->status = 200;
	out->body = buf_take(&b, &out->body_len);
}

void calls_dry_run(struct desk *d, struct http_request *rq, const struct route_args *args, struct http_reply *out)
{
	struct create_item *item = create_item_new(rq, &args->key);
	struct dry_run run = { .n_refusals = 0 };
	struct errinfo e;
	enum err err;

	withhold_invalid(&item->admission);
	err = store_dry_run(d->store, &item->admission, &d->api->rules, &run, &e);
	if (err) {
		desk_failed(d, rq, err, &e, out);
	} else {
		fill_answer(rq, item, &run, out);
		dry_run_done(&run);
	}
	create_item_free(item);
}
