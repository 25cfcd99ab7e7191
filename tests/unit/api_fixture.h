/* The room api between a fake http and a fake store: a test makes a request, says what the
 * database would do, and looks at the answer. The fakes stand in for the libraries of
 * those rooms when the test is linked. They complain about a request that is answered
 * twice, and about a database that is asked when it should not be. */
#ifndef API_FIXTURE_H
#define API_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/api.h"
#include "callgate/clock.h"
#include "callgate/key.h"
#include "callgate/mem.h"
#include "callgate/store_life.h"
#include "callgate/store_lists.h"
#include "callgate/store_money.h"
#include "callgate/text.h"

/* Not every test file needs every function. */
#define FIXTURE __attribute__((unused)) static

#define GOOD_BODY "{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+886987654321\"}"
#define BODY_WITH_VARIABLES "{\"projectId\":\"p\",\"fromNumber\":\"+886912345678\",\"toNumber\":\"+886987654321\"," \
                            "\"dynamicVariables\":{\"a\":1}}"

struct fake_request {
	struct http_request rq;         /* first */
	const char         *headers[8][2];
	int                 header_count;
	const char         *argument, *value;   /* of the query */
	const char         *arguments[12][2];   /* more of them */
	int                 argument_count;
	struct http_reply   reply;
	bool                refused;    /* by ops.head */
	int                 replies;
};

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t  changed;
	/* the database */
	enum err      (*admit)(struct admission **items, size_t n);
	enum err      flush;            /* what store_admit_flush() returns */
	enum err      check_notice;     /* what the provider says of a message */
	enum err      keep_notes;       /* what store_notes_keep() returns */
	size_t        kept;
	size_t        entries;          /* in a ledger */
	size_t        listed;           /* in a list   */
	bool          key_unknown;
	struct call_filter filter;      /* as asked for */
	size_t        limit;
	bool          went_on;
	int           after;
	int           noticed;
	char          kept_event[PROVIDER_EVENT_ID_SIZE];
	enum err      (*read)(struct call_read **items, size_t n);
	enum err      (*dry_run)(const struct admission *rq, struct dry_run *out);
	bool            held;           /* statements wait */
	int             statements;
	size_t          largest;
	/* the scheduler */
	int             lanes_told, cancels_told;
	/* the life of calls; NULL: nobody may ask */
	enum err      (*cancel)(struct cancel *items, size_t n);
	enum err      (*edit)(struct call_edit *x);
	struct api_readiness readiness;
} world = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static struct api *api;
static char dk_key[KEY_TEXT_SIZE], kros_key[KEY_TEXT_SIZE];

/* ── fake http ──────────────────────────────────────────────────────────────────── */

const char *http_header(const struct http_request *rq, const char *name)
{
	const struct fake_request *f = (const struct fake_request *)rq;

	for (int i = 0; i < f->header_count; i++)
		if (str_case_eq(f->headers[i][0], name))
			return f->headers[i][1];
	return NULL;
}

const char *http_query(const struct http_request *rq, const char *name)
{
	const struct fake_request *f = (const struct fake_request *)rq;

	for (int i = 0; i < f->argument_count; i++)
		if (str_eq(f->arguments[i][0], name))
			return f->arguments[i][1];
	return str_eq(f->argument, name) ? f->value : NULL;
}

bool http_query_next(const struct http_request *rq, size_t *at, const char **name, const char **value)
{
	const struct fake_request *f = (const struct fake_request *)rq;

	if (*at >= (size_t)f->argument_count)
		return false;
	*name = f->arguments[*at][0];
	*value = f->arguments[(*at)++][1];
	return true;
}

const struct http_refusal *http_refusal_find(const char *code)
{
	static const struct http_refusal one = { 431, "head_too_large", "The head is too large." };

	return str_eq(code, one.code) ? &one : NULL;
}

void http_reply_header(struct http_reply *r, const char *name, const char *fmt, ...)
{
	va_list ap;

	if (r->header_count == HTTP_REPLY_HEADERS)
		abort();
	r->headers[r->header_count].name = name;
	va_start(ap, fmt);
	vsnprintf(r->headers[r->header_count++].value, sizeof r->headers[0].value, fmt, ap);
	va_end(ap);
}

void http_reply(struct http_request *rq, struct http_reply *r)
{
	struct fake_request *f = (struct fake_request *)rq;

	pthread_mutex_lock(&world.mutex);
	if (f->replies++ > 0)
		abort();
	f->reply = *r;
	pthread_cond_broadcast(&world.changed);
	pthread_mutex_unlock(&world.mutex);
}

/* ── fake store ─────────────────────────────────────────────────────────────────── */

struct store *store_new(const char *url, const char *role)
{
	(void)url;
	(void)role;
	return xmalloc(1);
}

void store_free(struct store *s)
{
	free(s);
}

enum err store_connect(struct store *s, struct errinfo *e)
{
	(void)s;
	(void)e;
	return OK;
}

enum err store_dry_run(struct store *s, const struct admission *rq, const struct admit_rules *rules, struct dry_run *out,
                       struct errinfo *e)
{
	(void)s;
	(void)rules;
	if (!world.dry_run)
		abort();
	err_set(e, OK, "password=secret at db.internal");
	return world.dry_run(rq, out);
}

void dry_run_done(struct dry_run *d)
{
	free(TAKE(d->trunk));
}

void call_record_done(struct call_record *r)
{
	free(r->variables);
	memset(r, 0, sizeof *r);
}

/* A statement begins: it may be held, so that others gather behind it. */
FIXTURE void begin_statement(size_t n)
{
	pthread_mutex_lock(&world.mutex);
	world.statements++;
	if (n > world.largest)
		world.largest = n;
	pthread_cond_broadcast(&world.changed);
	while (world.held)
		pthread_cond_wait(&world.changed, &world.mutex);
	pthread_mutex_unlock(&world.mutex);
}

enum err store_admit(struct store *s, struct admission **items, size_t n, const struct admit_rules *rules, struct errinfo *e)
{
	(void)s;
	(void)rules;
	begin_statement(n);
	if (!world.admit)
		abort();
	for (size_t i = 0; i < n; i++)
		items[i]->outcome = ADMIT_PENDING;
	err_set(e, OK, "password=secret at db.internal");
	return world.admit(items, n);
}

enum err store_admit_flush(struct store *s, struct admission **items, size_t n, const struct admit_rules *rules, struct errinfo *e)
{
	(void)s;
	(void)rules;
	err_set(e, OK, "password=secret at db.internal");
	if (!world.flush)
		return OK;
	for (size_t i = 0; i < n; i++)
		if (items[i]->outcome == ADMIT_ACCEPTED)
			items[i]->outcome = ADMIT_PENDING;
	return world.flush;
}

enum err store_calls_read(struct store *s, struct call_read **items, size_t n, struct errinfo *e)
{
	(void)s;
	begin_statement(n);
	if (!world.read)
		abort();
	err_set(e, OK, "password=secret at db.internal");
	return world.read(items, n);
}

enum err store_calls_cancel(struct store *s, const struct caller *caller, struct cancel *items, size_t n,
                            struct errinfo *e)
{
	(void)s;
	(void)caller;
	begin_statement(n);
	if (!world.cancel)
		abort();
	err_set(e, OK, "password=secret at db.internal");
	return world.cancel(items, n);
}

enum err store_call_edit(struct store *s, const struct caller *caller, struct call_edit *x, int queue_ttl_s,
                         struct errinfo *e)
{
	(void)s;
	(void)caller;
	(void)queue_ttl_s;
	begin_statement(1);
	if (!world.edit)
		abort();
	err_set(e, OK, "password=secret at db.internal");
	return world.edit(x);
}

enum err store_notes_keep(struct store *s, const struct provider_note *notes, size_t n, struct errinfo *e)
{
	(void)s;
	begin_statement(n);
	world.kept += n;
	strcpy(world.kept_event, notes[0].event_id);
	return world.keep_notes ? err_set(e, world.keep_notes, "away") : OK;
}

enum err store_project_credits(struct store *s, const struct caller *caller, const char *project,
                               struct project_credits *out, struct errinfo *e)
{
	(void)s;
	(void)caller;
	(void)e;
	begin_statement(1);
	*out = (struct project_credits){ .outcome = str_eq(project, "p") ? READ_FOUND : READ_NOT_FOUND, .balance_mc = 5000,
	                                 .held_mc = 1200 };
	out->account = out->outcome ? NULL : xstrdup("main");
	return OK;
}

/* A ledger of world.entries entries. */
enum err store_ledger_page(struct store *s, const struct caller *caller, const char *project,
                           const struct ledger_place *after, size_t limit, struct ledger_entry **out, size_t *n,
                           bool *more, enum read_outcome *outcome, struct errinfo *e)
{
	size_t first = after->at_us ? (size_t)(1000 - after->at_us) : 0;

	(void)s;
	(void)caller;
	(void)e;
	begin_statement(1);
	*outcome = str_eq(project, "p") || str_eq(project, "a b>;\xc3\xa4") ? READ_FOUND : READ_NOT_FOUND;
	*n = world.entries - first < limit ? world.entries - first : limit;
	*more = *n < world.entries - first;
	*out = xcalloc(*n + 1, sizeof **out);
	for (size_t i = 0; i < *n; i++)
		(*out)[i] = (struct ledger_entry){ .kind = LEDGER_CALL, .amount_mc = -7, .at_us = 999 - (int64_t)(first + i) };
	return OK;
}

void ledger_free(struct ledger_entry *entries, size_t n)
{
	(void)n;
	free(entries);
}

/* world.listed calls, and as many events. What was asked for is kept. */
enum err store_calls_list(struct store *s, const struct caller *caller, const struct call_filter *f,
                          const struct id *before, size_t limit, struct call_read *items, size_t *n,
                          struct list_page *page, struct errinfo *e)
{
	(void)s;
	(void)caller;
	(void)e;
	begin_statement(1);
	pthread_mutex_lock(&world.mutex);
	world.filter = *f;
	world.limit = limit;
	world.went_on = before != NULL;
	pthread_mutex_unlock(&world.mutex);
	*page = (struct list_page){ .outcome = READ_FOUND, .more = world.listed > limit, .last = { { 7 } } };
	*n = world.listed > limit ? limit : world.listed;
	for (size_t i = 0; i < *n; i++)
		items[i] = (struct call_read){ .call = { .project = "p", .from = "+88691", .to = "+88692" } };
	return OK;
}

enum err store_calls_match(struct store *s, const struct caller *caller, const struct call_filter *f,
                           const struct id *before, size_t limit, struct id *ids, size_t *n,
                           struct list_page *page, struct errinfo *e)
{
	(void)s;
	(void)caller;
	(void)e;
	begin_statement(1);
	world.filter = *f;
	world.went_on = before != NULL;
	*page = (struct list_page){ .outcome = world.key_unknown ? READ_KEY_UNKNOWN : READ_FOUND,
	                            .more = world.listed > limit, .last = { { 7 } } };
	*n = world.key_unknown ? 0 : world.listed > limit ? limit : world.listed;
	for (size_t i = 0; i < *n; i++)
		ids[i] = (struct id){ { (uint8_t)(i >> 8), (uint8_t)i } };
	world.listed -= *n;
	return OK;
}

enum err store_key_check(struct store *s, const struct caller *caller, bool *known, struct errinfo *e)
{
	(void)s;
	(void)caller;
	(void)e;
	begin_statement(1);
	*known = !world.key_unknown;
	return OK;
}

FIXTURE struct call_event *make_events(size_t n)
{
	struct call_event *events = xcalloc(n + 1, sizeof *events);

	for (size_t i = 0; i < n; i++)
		events[i] = (struct call_event){ .seq = (int)i, .kind = (int)i, .at_us = 1795163520123456, .project = "p" };
	return events;
}

enum err store_call_events(struct store *s, const struct caller *caller, const struct id *call, int after,
                           size_t limit, struct call_event **out, size_t *n, bool *more,
                           enum read_outcome *outcome, struct errinfo *e)
{
	(void)s;
	(void)caller;
	(void)call;
	(void)e;
	begin_statement(1);
	world.after = after;
	world.limit = limit;
	*n = world.listed > limit ? limit : world.listed;
	*more = world.listed > limit;
	*out = make_events(*n);
	*outcome = READ_FOUND;
	return OK;
}

enum err store_feed(struct store *s, const struct caller *caller, bool latest, struct feed_position *at,
                    size_t limit, struct call_event **out, size_t *n, bool *more,
                    enum read_outcome *outcome, struct errinfo *e)
{
	world.went_on = at->at_us != 0;
	at->at_us = latest ? 99 : 7;
	return store_call_events(s, caller, NULL, -1, limit, out, n, more, outcome, e);
}

void call_events_free(struct call_event *events, size_t n)
{
	(void)n;
	free(events);
}

/* ── fake app ───────────────────────────────────────────────────────────────────── */

FIXTURE void on_queued(void *arg, const struct lane_key *lane)
{
	(void)arg;
	(void)lane;
	pthread_mutex_lock(&world.mutex);
	world.lanes_told++;
	pthread_mutex_unlock(&world.mutex);
}

FIXTURE void on_readiness(void *arg, struct api_readiness *out)
{
	(void)arg;
	*out = world.readiness;
}

static enum err on_check_notice(void *arg, const char *driver, const char *authorization, const char *body, size_t len,
                                struct provider_note *out, char event_id[PROVIDER_EVENT_ID_SIZE],
                                char sender[PROVIDER_EVENT_SENDER_SIZE], struct errinfo *e)
{
	(void)arg;
	(void)e;
	assert_string_equal(driver, "livekit");
	assert_int_equal(len, strlen(body));
	if (!authorization)
		return ERR_DENIED;
	out->org_id = 1;
	out->attempt = 1;
	strcpy(event_id, "EV_1");
	strcpy(sender, "them");
	return world.check_notice;
}

static void on_noticed(void *arg)
{
	(void)arg;
	world.noticed++;
}

static void on_canceled(void *arg)
{
	(void)arg;
	world.cancels_told++;
}



FIXTURE int start_api_limited(int queue_limit)
{
	const struct api_config c = {
		.database_url = "postgresql:///none", .intake_batches = 1, .reader_batches = 1,
		.queue_limit = queue_limit,
	};
	const struct api_hooks hooks = { NULL, on_queued, on_readiness, on_check_notice, on_noticed, on_canceled };
	struct errinfo e;

	key_new(KEY_DK, false, 7, dk_key);
	key_new(KEY_KROS, true, 7, kros_key);
	world.admit = NULL;
	world.flush = world.check_notice = world.keep_notes = OK;
	world.kept = 0;
	world.noticed = 0;
	world.read = NULL;
	world.listed = 0;
	world.key_unknown = false;
	world.cancel = NULL;
	world.edit = NULL;
	world.cancels_told = 0;
	world.dry_run = NULL;
	world.held = false;
	world.statements = world.lanes_told = 0;
	world.largest = 0;
	world.readiness = (struct api_readiness){ .ready = true, .database = true, .schema = true, .scheduler = true };
	return api_start(&c, &hooks, &api, &e) != OK;
}

FIXTURE int start_api(void **state)
{
	(void)state;
	return start_api_limited(64);
}

FIXTURE int stop_api(void **state)
{
	(void)state;
	api_free(TAKE(api));
	return 0;
}

/* ── requests ───────────────────────────────────────────────────────────────────── */

FIXTURE struct fake_request *request_new(const char *method, const char *path, const char *body)
{
	struct fake_request *f = xcalloc(1, sizeof *f);

	f->rq.method = method;
	f->rq.path = path;
	f->rq.body = body;
	f->rq.body_len = strlen(body);
	f->rq.received_us = mono_us();
	strcpy(f->rq.request_id, "req-1");
	return f;
}

FIXTURE struct fake_request *with_header(struct fake_request *f, const char *name, const char *value)
{
	f->headers[f->header_count][0] = name;
	f->headers[f->header_count++][1] = value;
	return f;
}

FIXTURE struct fake_request *with_key(struct fake_request *f, const char *key)
{
	static char values[8][KEY_TEXT_SIZE + 16];
	static unsigned next;
	char *value = values[next++ % 8];

	sprintf(value, "Bearer %s", key);
	return with_header(f, "Authorization", value);
}

FIXTURE struct fake_request *create_request(const char *body)
{
	return with_header(with_key(request_new("POST", "/v1/calls/outbound", body), dk_key),
	                   "Content-Type", "application/json");
}

FIXTURE struct fake_request *with_argument(struct fake_request *f, const char *name, const char *value)
{
	f->arguments[f->argument_count][0] = name;
	f->arguments[f->argument_count++][1] = value;
	return f;
}

/* As http does it: head, body, request. */
FIXTURE void send_request(struct fake_request *f)
{
	int64_t limit = api_http_ops.head(api, &f->rq, &f->reply);

	if (limit < 0) {
		f->refused = true;
	} else if ((int64_t)f->rq.body_len > limit) {
		f->refused = true;
		api_http_ops.too_large(api, &f->rq, limit, &f->reply);
	} else {
		api_http_ops.request(api, &f->rq);
	}
}

FIXTURE void wait_reply(struct fake_request *f)
{
	pthread_mutex_lock(&world.mutex);
	while (!f->refused && f->replies == 0)
		pthread_cond_wait(&world.changed, &world.mutex);
	pthread_mutex_unlock(&world.mutex);
}

FIXTURE void wait_statements(int n)
{
	pthread_mutex_lock(&world.mutex);
	while (world.statements < n)
		pthread_cond_wait(&world.changed, &world.mutex);
	pthread_mutex_unlock(&world.mutex);
}

FIXTURE void hold_statements(bool hold)
{
	pthread_mutex_lock(&world.mutex);
	world.held = hold;
	pthread_cond_broadcast(&world.changed);
	pthread_mutex_unlock(&world.mutex);
}

FIXTURE const char *reply_header(const struct fake_request *f, const char *name)
{
	for (int i = 0; i < f->reply.header_count; i++)
		if (str_eq(f->reply.headers[i].name, name))
			return f->reply.headers[i].value;
	return NULL;
}

FIXTURE void request_free(struct fake_request *f)
{
	free(f->reply.body);
	free(f->reply.link);
	free(f);
}

#define CHECK_BODY_HAS(f, piece) do { \
	if (!(f)->reply.body || !strstr((f)->reply.body, (piece))) \
		fail_msg("'%s' is not in %s", (piece), (f)->reply.body ? (f)->reply.body : "(no body)"); \
} while (0)

/* Sends, waits, checks status and code (NULL: any), frees. */
#define CHECK_ANSWER(request, status_, code_) do { \
	struct fake_request *f_ = (request); \
	const char *want_ = (code_); \
	send_request(f_); \
	wait_reply(f_); \
	assert_int_equal(f_->reply.status, (status_)); \
	if (want_) \
		CHECK_BODY_HAS(f_, want_); \
	request_free(f_); \
} while (0)
#define CODE(name) "\"code\":\"" name "\""

#endif
