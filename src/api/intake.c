/* Group commit: all admissions that wait go to the database as one statement and one
 * commit, then, once that is on disk, each is answered by its own outcome. The scheduler
 * hears of a lane after the commit and once per batch, before the answers: its work can
 * start while we write. */
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "callgate/jsonw.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "errors.h"
#include "handlers.h"

static void reply_accepted(struct create_item *item)
{
	struct http_reply r = { .status = 200 };
	char id[ID_TEXT_SIZE];
	struct buf b;

	id_format(&item->admission.call_id, id);
	buf_init(&b, 256);
	JSONW_LIT(&b, "{\"success\":true,\"callId\":\"");
	buf_add(&b, id, ID_TEXT_SIZE - 1);
	JSONW_LIT(&b, "\",\"status\":\"queued\"}");
	r.body = buf_take(&b, &r.body_len);
	http_reply_header(&r, "Location", "/v1/calls/%s", id);
	if (item->admission.replayed)
		http_reply_header(&r, "Idempotent-Replayed", "true");
	http_reply(item->rq, &r);
}

/* The id goes along only where the client needs it to find out what became of the call. */
static void reply_refused(struct create_item *item, enum api_error error)
{
	const struct id *call_id = error == API_OUTCOME_UNKNOWN ? &item->admission.call_id : NULL;
	const struct wire_problems *problems = error == item->body_error ? item->problems : NULL;
	struct http_reply r = { .status = 0 };

	error_fill(&r, item->rq, error, problems, call_id);
	http_reply(item->rq, &r);
}

/* What was refused before is refused in the same words, the first request's id among them. */
static void reply_refused_again(struct create_item *item, enum api_error error)
{
	struct http_reply r = { .status = 0 };

	error_fill_again(&r, item->rq, error, item->admission.first_request_id);
	http_reply_header(&r, "Idempotent-Replayed", "true");
	http_reply(item->rq, &r);
}

static enum api_error error_of(const struct create_item *item, enum err batch)
{
	switch (item->admission.outcome) {
	case ADMIT_PENDING:      return api_error_of_err(batch);
	case ADMIT_BODY_INVALID: return item->body_error;
	default:                 return api_error_of_admit(item->admission.outcome);
	}
}

/* By the database's clock it has expired, by ours it had not. */
static void blame_expiry(struct create_item *item)
{
	item->body_error = API_VALIDATION_FAILED;
	item->problems = xcalloc(1, sizeof *item->problems);
	wire_problem_add(item->problems, "/expiresAt", "expiresAt is in the past");
}

/* `batch` is the error of those that were not settled. */
static void answer(struct create_item *item, enum err batch)
{
	const struct admission *a = &item->admission;
	enum api_error error;

	if (a->outcome == ADMIT_BODY_INVALID && !item->body_error)
		blame_expiry(item);
	error = error_of(item, batch);

	if (a->outcome == ADMIT_FAILED)
		LOG_ERROR("call.admission_failed", LOG_STR("request_id", a->request_id));
	if (error && a->replayed)
		reply_refused_again(item, error);
	else if (error)
		reply_refused(item, error);
	else
		reply_accepted(item);
	create_item_free(item);
}

static bool same_lane(const struct lane_key *a, const struct lane_key *b)
{
	return a->org_id == b->org_id && a->project_id == b->project_id && a->trunk_id == b->trunk_id &&
	       a->prio == b->prio;
}

/* Lanes are few however many calls there are, so the list of those told stays short. */
static void tell_scheduler(const struct api_hooks *hooks, struct admission **items, size_t n)
{
	const struct lane_key *told[ADMIT_BATCH_MAX];
	size_t count = 0, k;

	for (size_t i = 0; i < n; i++) {
		if (items[i]->outcome != ADMIT_ACCEPTED || !items[i]->queued)
			continue;
		for (k = count; k > 0 && !same_lane(told[k - 1], &items[i]->lane); k--)
			;
		if (k > 0)
			continue;
		told[count++] = &items[i]->lane;
		hooks->queued(hooks->arg, &items[i]->lane);
	}
}

void intake_work(struct crew_member *m, void **items, size_t n)
{
	struct api *api = crew_api(m->crew);
	struct admission *batch[ADMIT_BATCH_MAX];
	struct errinfo e;
	enum err err, flushed;

	for (size_t i = 0; i < n; i++) {
		struct create_item *item = items[i];

		/* Ids sort by time and are the order of the queue: made as late as can be,
		 * they agree with the order of the commits. */
		item->admission.call_id = id_new();
		batch[i] = &item->admission;
	}
	err = store_admit(m->store, batch, n, &api->rules, &e);
	if (err)
		crew_failed(m, err, &e, n);
	tell_scheduler(&api->hooks, batch, n);
	crew_pass_turn(m);
	flushed = store_admit_flush(m->store, batch, n, &api->rules, &e);
	if (flushed) {
		crew_failed(m, flushed, &e, n);
		err = flushed;
	}
	for (size_t i = 0; i < n; i++)
		answer(items[i], err);
}
