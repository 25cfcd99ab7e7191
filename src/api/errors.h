/* Every refusal of the API: its HTTP status, its stable code and its words, in one table
 * (errors.c; for clients: docs/errors.md). */
#ifndef API_ERRORS_H
#define API_ERRORS_H

#include "callgate/buf.h"
#include "callgate/err.h"
#include "callgate/http.h"
#include "callgate/id.h"
#include "callgate/store_calls.h"
#include "callgate/wire.h"

enum api_error {
	API_OK = 0,
	API_CREDENTIALS_MISSING,
	API_CREDENTIALS_INVALID,
	API_VALIDATION_FAILED,
	API_NUMBER_INACTIVE,
	API_TOO_LONG,
	API_CURSOR_INVALID,
	API_NO_CREDITS,
	API_PROJECT_DENIED,
	API_POOL_DENIED,
	API_NUMBER_UNKNOWN,
	API_NO_TRUNK,
	API_CALL_UNKNOWN,
	API_PROJECT_UNKNOWN,
	API_ROUTE_UNKNOWN,
	API_METHOD_WRONG,
	API_DESTINATION_BUSY,
	API_TOO_LATE,
	API_EDIT_LIMIT,
	API_KEY_RUNNING,
	API_KEY_REUSED,
	API_KEY_CONFLICT,
	API_STALE,
	API_BODY_TOO_LARGE,
	API_NOTICE_FORGED,
	API_NOTICE_MALFORMED,
	API_INTERNAL,
	API_OUTCOME_UNKNOWN,
	API_OVERLOADED,
	API_DATABASE_AWAY,
	API_RESULT_UNKNOWN,
	API_TIMED_OUT,
	API_SHUTTING_DOWN,
	API_ERROR_COUNT
};

struct api_error_info {
	int         status;
	const char *code;
	const char *text;
};
const struct api_error_info *api_error_info(enum api_error error);

enum api_error api_error_of_admit(enum admit_outcome outcome);  /* API_OK: accepted */
enum api_error api_error_of_read(enum read_outcome outcome);    /* API_OK: found    */
enum api_error api_error_of_err(enum err err);                  /* of a whole batch */

/* Fills an answer, as problem details (RFC 9457) where Accept asks for them. `problems` and
 * `call_id` may be NULL. */
void error_fill(struct http_reply *r, const struct http_request *rq, enum api_error error,
                const struct wire_problems *problems, const struct id *call_id);
/* The same in the name of another request, which was answered so before. */
void error_fill_again(struct http_reply *r, const struct http_request *rq, enum api_error error, const char *request_id);
/* ,"details":[…] for the inside of an object */
void error_write_details(struct buf *b, const struct wire_problems *problems);
/* Fills one and answers with it. */
void error_reply(struct http_request *rq, enum api_error error);

#endif
