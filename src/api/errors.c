/* The one place where an outcome becomes an HTTP status. The texts tell the client what to
 * do; they never carry words from the database or from a library. Codes are promised to
 * clients: they are added, never renamed. */
#include "errors.h"

#include <assert.h>

#include "callgate/buf.h"
#include "callgate/jsonw.h"
#include "callgate/mem.h"
#include "callgate/problem.h"

#define BODY_MAX 32768          /* all problems with all their words are much less of it */

static const struct api_error_info errors[] = {
	[API_OK] =
		{ 200, "ok", "" },
	[API_CREDENTIALS_MISSING] =
		{ 401, "credentials_missing", "Send your developer key as \"Authorization: Bearer <key>\"." },
	[API_CREDENTIALS_INVALID] =
		{ 401, "credentials_invalid", "The developer key is unknown, revoked, expired or not one for this route." },
	[API_VALIDATION_FAILED] =
		{ 400, "validation_failed", "The request is not valid; \"details\" lists what to correct." },
	[API_NUMBER_INACTIVE] =
		{ 400, "number_inactive", "fromNumber is not active; activate it or call from another number." },
	[API_TOO_LONG] =
		{ 400, "max_duration_exceeded", "maxDurationSeconds is more than the project allows." },
	[API_CURSOR_INVALID] =
		{ 400, "cursor_invalid", "The cursor is not one that this route gave for these filters; start without it." },
	[API_NO_CREDITS] =
		{ 402, "insufficient_credits", "The project has not enough credits to start this call; add credits." },
	[API_PROJECT_DENIED] =
		{ 403, "project_forbidden", "There is no such project, or the key's user is not a member of it." },
	[API_POOL_DENIED] =
		{ 403, "number_forbidden", "fromNumber is in no number pool of which the key's user is a member." },
	[API_NUMBER_UNKNOWN] =
		{ 404, "number_not_found", "fromNumber is not a number of your organization." },
	[API_NO_TRUNK] =
		{ 404, "trunk_not_configured", "fromNumber has no outbound trunk; configure one for it." },
	[API_CALL_UNKNOWN] =
		{ 404, "call_not_found", "There is no such call, or the key's user may not see it." },
	[API_PROJECT_UNKNOWN] =
		{ 404, "project_not_found", "There is no such project, or the key's user is not a member of it." },
	[API_ROUTE_UNKNOWN] =
		{ 404, "route_not_found", "There is nothing at this path; see docs/api.md." },
	[API_METHOD_WRONG] =
		{ 405, "method_not_allowed", "This path does not take this method; the Allow header lists those it takes." },
	[API_DESTINATION_BUSY] =
		{ 409, "destination_busy", "A call to this toNumber is in flight; try again when it has ended." },
	[API_TOO_LATE] =
		{ 409, "too_late", "The call has gone too far for this; look at its state." },
	[API_EDIT_LIMIT] =
		{ 409, "edit_limit_reached", "The call has been changed as often as a call can be; cancel it and make a new one." },
	[API_KEY_RUNNING] =
		{ 409, "idempotency_in_progress", "The first request with this Idempotency-Key is still running; try again shortly." },
	[API_KEY_REUSED] =
		{ 422, "idempotency_key_reused", "This Idempotency-Key was used for another request; use a new one." },
	[API_KEY_CONFLICT] =
		{ 422, "idempotency_key_conflict", "The header Idempotency-Key and idempotencyKey in the body differ; send one of them." },
	[API_STALE] =
		{ 412, "precondition_failed", "The call is not what If-Match says any more; read it again." },
	[API_BODY_TOO_LARGE] =
		{ 413, "body_too_large", "The body is larger than this route allows." },
	[API_NOTICE_FORGED] =
		{ 401, "signature_invalid", "The message does not carry a valid signature of the provider." },
	[API_NOTICE_MALFORMED] =
		{ 400, "notice_malformed", "The message is not what the provider sends." },
	[API_INTERNAL] =
		{ 500, "internal_error", "Something broke on our side and the request was not carried out; "
		  "quote the request id when you report it." },
	[API_OUTCOME_UNKNOWN] =
		{ 500, "outcome_unknown", "It could not be told whether the call was accepted; look it up before you "
		  "send it again." },
	[API_OVERLOADED] =
		{ 503, "overloaded", "Too many requests are waiting; nothing was done, try again shortly." },
	[API_DATABASE_AWAY] =
		{ 503, "database_unavailable", "The database cannot be reached; nothing was done, try again shortly." },
	[API_RESULT_UNKNOWN] =
		{ 503, "result_unknown", "It could not be told whether all of this was done; send it again shortly." },
	[API_TIMED_OUT] =
		{ 503, "answer_timeout", "The answer took too long; try again shortly." },
	[API_SHUTTING_DOWN] =
		{ 503, "shutting_down", "This gateway is shutting down; nothing was done, try again." },
};
_Static_assert(ARRAY_LEN(errors) == API_ERROR_COUNT, "an error lacks its row");

const struct api_error_info *api_error_info(enum api_error error)
{
	assert((unsigned)error < API_ERROR_COUNT);
	return &errors[error];
}

enum api_error api_error_of_admit(enum admit_outcome outcome)
{
	switch (outcome) {
	case ADMIT_ACCEPTED:        return API_OK;
	case ADMIT_KEY_UNKNOWN:     return API_CREDENTIALS_INVALID;
	case ADMIT_BODY_INVALID:    return API_VALIDATION_FAILED;
	case ADMIT_PROJECT_DENIED:  return API_PROJECT_DENIED;
	case ADMIT_NUMBER_UNKNOWN:  return API_NUMBER_UNKNOWN;
	case ADMIT_POOL_DENIED:     return API_POOL_DENIED;
	case ADMIT_NUMBER_INACTIVE: return API_NUMBER_INACTIVE;
	case ADMIT_NO_TRUNK:        return API_NO_TRUNK;
	case ADMIT_NO_CREDITS:      return API_NO_CREDITS;
	case ADMIT_BUSY:            return API_DESTINATION_BUSY;
	case ADMIT_TOO_LONG:        return API_TOO_LONG;
	case ADMIT_KEY_REUSED:      return API_KEY_REUSED;
	case ADMIT_KEY_RUNNING:     return API_KEY_RUNNING;
	case ADMIT_FAILED:
	case ADMIT_PENDING:
	case ADMIT_OUTCOME_COUNT:   return API_INTERNAL;
	}
	return API_INTERNAL;
}

enum api_error api_error_of_read(enum read_outcome outcome)
{
	switch (outcome) {
	case READ_FOUND:       return API_OK;
	case READ_KEY_UNKNOWN: return API_CREDENTIALS_INVALID;
	case READ_NOT_FOUND:   return API_CALL_UNKNOWN;
	}
	return API_INTERNAL;
}

/* Of the others the store promises that they do not come; if one does, it is our bug. */
enum api_error api_error_of_err(enum err err)
{
	switch (err) {
	case ERR_UNAVAILABLE: return API_DATABASE_AWAY;
	case ERR_UNCERTAIN:   return API_OUTCOME_UNKNOWN;
	case OK:
	case ERR_INVALID:
	case ERR_DENIED:
	case ERR_NOT_FOUND:
	case ERR_CONFLICT:
	case ERR_LIMIT:
	case ERR_INTERNAL:
	case ERR_COUNT:       return API_INTERNAL;
	}
	return API_INTERNAL;
}

void error_write_details(struct buf *b, const struct wire_problems *ps)
{
	JSONW_LIT(b, ",\"details\":[");
	for (size_t i = 0; i < ps->count; i++) {
		if (i > 0)
			buf_char(b, ',');
		JSONW_LIT(b, "{\"pointer\":");
		jsonw_str(b, ps->items[i].pointer);
		JSONW_LIT(b, ",\"message\":");
		jsonw_str(b, ps->items[i].message);
		buf_char(b, '}');
	}
	buf_char(b, ']');
}

/* What goes into a body, beside the error itself. */
struct extras {
	const struct wire_problems *problems;
	const struct id            *call_id;
	const char                 *request_id;
};

static void write_body(struct buf *b, const struct api_error_info *info, bool as_problem, const struct extras *x)
{
	char id[ID_TEXT_SIZE];

	buf_char(b, '{');
	if (as_problem) {
		problem_members(b, info->status, info->code);
		JSONW_LIT(b, ",\"detail\":");
		jsonw_str(b, info->text);
		buf_char(b, ',');
	}
	JSONW_LIT(b, "\"success\":false,\"error\":");
	jsonw_str(b, info->text);
	JSONW_LIT(b, ",\"code\":");
	jsonw_str(b, info->code);
	if (x->problems)
		error_write_details(b, x->problems);
	if (x->call_id) {
		id_format(x->call_id, id);
		JSONW_LIT(b, ",\"callId\":");
		jsonw_str(b, id);
	}
	JSONW_LIT(b, ",\"requestId\":");
	jsonw_str(b, x->request_id);
	buf_char(b, '}');
}

static void fill(struct http_reply *r, const struct http_request *rq, enum api_error error, const struct extras *x)
{
	const struct api_error_info *info = api_error_info(error);
	bool as_problem = problem_wanted(http_header(rq, "Accept"));
	struct buf b;

	buf_init(&b, BODY_MAX);
	write_body(&b, info, as_problem, x);
	assert(!b.over);
	r->status = info->status;
	r->body = buf_take(&b, &r->body_len);
	if (as_problem)
		r->content_type = PROBLEM_CONTENT_TYPE;
	http_reply_header(r, "Vary", "Accept");
	if (info->status == 401)
		http_reply_header(r, "WWW-Authenticate", "Bearer");
	if (info->status == 503 || error == API_KEY_RUNNING)
		http_reply_header(r, "Retry-After", "1");
}

void error_fill(struct http_reply *r, const struct http_request *rq, enum api_error error,
                const struct wire_problems *problems, const struct id *call_id)
{
	const struct extras x = { problems, call_id, rq->request_id };

	fill(r, rq, error, &x);
}

void error_fill_again(struct http_reply *r, const struct http_request *rq, enum api_error error, const char *request_id)
{
	const struct extras x = { .request_id = request_id };

	fill(r, rq, error, &x);
}

void error_reply(struct http_request *rq, enum api_error error)
{
	struct http_reply r = { .status = 0 };

	error_fill(&r, rq, error, NULL, NULL);
	http_reply(rq, &r);
}
