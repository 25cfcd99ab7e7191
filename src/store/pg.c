/* A connection to PostgreSQL that mends itself, and its statements. Everything libpq
 * says is translated here into the outcomes of callgate/store.h.
 *
 * A statement in the extended protocol commits when its Sync is handled, after its
 * CommandComplete may already have reached us. So a result counts only once the server
 * has said ReadyForQuery; whatever breaks before that is "perhaps done". */
#include "pg.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/store_dispatch.h"
#include "callgate/text.h"

/* The server gives up on a statement after the first, we give up on the server after the
 * second: then it does not answer at all, and a new connection is the only way to know. */
#define STATEMENT_TIMEOUT_S 10
#define ANSWER_TIMEOUT_MS 15000
#define CONNECT_TIMEOUT_S "5"
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define IDLE_READS 4            /* what an idle connection may have to say: notices, notifications */

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)

#define USUAL_TIMEOUTS "SET statement_timeout = '" STRINGIFY(STATEMENT_TIMEOUT_S) "s'; SET lock_timeout = '5s';"

/* What every connection wants: no compilation of tiny queries, plans that do not flip
 * after the fifth execution, and probes of one index each: a bitmap once combined the
 * in-flight row's key with all the rows of its gateway. */
static const char session_sql[] =
	"SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;"
	"SET enable_bitmapscan = off;"
	"SET timezone = 'UTC'; SET client_min_messages = warning;"
	USUAL_TIMEOUTS
	"SET idle_in_transaction_session_timeout = '30s';"
	"SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, pg_backend_pid(),"
	" (SELECT (extract(epoch FROM backend_start) * 1000000)::bigint FROM pg_stat_activity WHERE pid = pg_backend_pid())";

struct store *store_new(const char *url, const char *role)
{
	struct store *s = xcalloc(1, sizeof *s);

	s->url = xstrdup(url);
	s->role = xstrdup(role);
	s->answer_ms = ANSWER_TIMEOUT_MS;
	return s;
}

static void forget_connection(struct store *s)
{
	PQfinish(s->pg);
	s->pg = NULL;
	s->n_prepared = 0;
	s->listening = false;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	forget_connection(s);
	free(s->url);
	free(s->role);
	free(s);
}

bool store_connected(const struct store *s)
{
	return s->pg && PQstatus(s->pg) == CONNECTION_OK;
}

int64_t store_clock_offset_ms(const struct store *s)
{
	return s->clock_offset_ms;
}

int store_fd(const struct store *s)
{
	return s->pg ? PQsocket(s->pg) : -1;
}

/* libpq's message is several lines and may quote the connection string's host, never the
 * password; the first line is enough. */
static enum err set_pg_error(struct errinfo *e, enum err err, const char *what, const char *message)
{
	size_t n = message ? strcspn(message, "\n") : 0;

	return err_set(e, err, "%s: %.*s", what, (int)(n > 180 ? 180 : n), message ? message : "");
}

static void ignore_notice(void *arg, const PGresult *r)
{
	(void)arg;
	(void)r;
}

void pg_patience(struct store *s, int seconds)
{
	char sql[100] = USUAL_TIMEOUTS;

	s->answer_ms = seconds ? seconds * 1000 + 5000 : ANSWER_TIMEOUT_MS;
	if (seconds)
		snprintf(sql, sizeof sql, "SET statement_timeout = '%ds'; SET lock_timeout = 0", seconds);
	if (store_connected(s))
		PQclear(PQexec(s->pg, sql));
}

/* The statement that was under way when a connection broke may still be on its way to the
 * server, or waiting there for a lock: it could commit after we have looked and found
 * nothing. So the backend it belongs to is ended, and gone, before anything else is said. */
static enum err lay_ghost(struct store *s, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	char sql[240];

	snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE pid = %d"
	         " AND (extract(epoch FROM backend_start) * 1000000)::bigint = %lld", s->ghost_pid, (long long)s->ghost_start);
	r = PQexec(s->pg, sql);
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		return set_pg_error(e, ERR_UNAVAILABLE, "ending a lost session", PQerrorMessage(s->pg));
	if (PQntuples(r) > 0 && *PQgetvalue(r, 0, 0) == 'f')
		return err_set(e, ERR_UNAVAILABLE, "a lost session does not end");
	s->ghost_pid = 0;
	return OK;
}

static enum err open_session(struct store *s, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	int64_t before = wall_ms();

	r = PQexec(s->pg, session_sql);
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		return set_pg_error(e, ERR_UNAVAILABLE, "database session", PQerrorMessage(s->pg));
	s->clock_offset_ms = strtoll(PQgetvalue(r, 0, 0), NULL, 10) - (before + wall_ms()) / 2;
	s->backend_pid = atoi(PQgetvalue(r, 0, 1));
	s->backend_start = strtoll(PQgetvalue(r, 0, 2), NULL, 10);
	return s->ghost_pid ? lay_ghost(s, e) : OK;
}

enum err store_connect(struct store *s, struct errinfo *e)
{
	/* Keys before dbname are defaults that the URL may override. */
	const char *keys[] = { "connect_timeout", "keepalives_idle", "tcp_user_timeout", "target_session_attrs",
	                       "fallback_application_name", "dbname", "client_encoding", NULL };
	const char *values[] = { CONNECT_TIMEOUT_S, "15", "10000", "read-write", s->role, s->url, "UTF8", NULL };
	enum err err;

	if (store_connected(s))
		return OK;
	if (s->pg)
		forget_connection(s);
	if (mono_ms() < s->retry_at_ms)
		return err_set(e, ERR_UNAVAILABLE, "database: waiting before the next attempt to connect");
	s->pg = PQconnectdbParams(keys, values, 1);
	if (!s->pg || PQstatus(s->pg) != CONNECTION_OK) {
		err = set_pg_error(e, ERR_UNAVAILABLE, "database connection", s->pg ? PQerrorMessage(s->pg) : "");
	} else {
		PQsetNoticeReceiver(s->pg, ignore_notice, NULL);
		err = open_session(s, e);
	}
	if (err) {
		forget_connection(s);
		s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : BACKOFF_MIN_MS;
		if (s->backoff_ms > BACKOFF_MAX_MS)
			s->backoff_ms = BACKOFF_MAX_MS;
		s->retry_at_ms = mono_ms() + s->backoff_ms;
		return err;
	}
	s->backoff_ms = 0;
	s->retry_at_ms = 0;
	s->session++;
	return OK;
}

/* ── waiting for the answer ───────────────────────────────────────────────────── */

/* False: the connection is lost, or the server has been silent for too long. */
static bool wait_input(struct store *s, int64_t until_ms)
{
	struct pollfd p = { .fd = PQsocket(s->pg), .events = POLLIN };
	int64_t left;

	while (PQisBusy(s->pg)) {
		left = until_ms - mono_ms();
		if (left <= 0)
			return false;
		if (poll(&p, 1, (int)left) > 0 && !PQconsumeInput(s->pg))
			return false;
	}
	return true;
}

/* Drains the answer up to ReadyForQuery. An error outweighs a result. NULL: lost. */
static PGresult *read_answer(struct store *s)
{
	int64_t until = mono_ms() + s->answer_ms;
	PGresult *last = NULL, *r;

	for (;;) {
		if (!wait_input(s, until))
			break;
		r = PQgetResult(s->pg);
		if (!r)
			return PQstatus(s->pg) == CONNECTION_OK ? last : (PQclear(last), NULL);
		if (last && PQresultStatus(last) == PGRES_FATAL_ERROR) {
			PQclear(r);
		} else {
			PQclear(last);
			last = r;
		}
	}
	PQclear(last);
	return NULL;
}

static enum err classify(struct store *s, const PGresult *r, const char *what, struct errinfo *e)
{
	const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	enum err err = ERR_INTERNAL;

	str_copy(s->sqlstate, sizeof s->sqlstate, state ? state : "");
	if (!state || PQstatus(s->pg) != CONNECTION_OK)
		err = ERR_UNCERTAIN;
	else if (str_eq(state, "40001") || str_eq(state, "40P01") || str_eq(state, "55P03") || str_eq(state, "57014"))
		err = ERR_CONFLICT;
	else if (str_has_prefix(state, "23"))
		err = ERR_INVALID;
	return set_pg_error(e, err, what, message ? message : PQresultErrorMessage(r));
}

static enum err lost(struct store *s, const char *what, struct errinfo *e)
{
	s->sqlstate[0] = '\0';
	set_pg_error(e, ERR_UNCERTAIN, what, s->pg ? PQerrorMessage(s->pg) : "connection lost");
	s->ghost_pid = s->backend_pid;
	s->ghost_start = s->backend_start;
	forget_connection(s);
	return ERR_UNCERTAIN;
}

static enum err finish_answer(struct store *s, const char *what, PGresult **out, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = read_answer(s);
	ExecStatusType st;
	enum err err;

	if (!r)
		return lost(s, what, e);
	st = PQresultStatus(r);
	if (st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK) {
		if (out)
			*out = TAKE(r);
		return OK;
	}
	err = classify(s, r, what, e);
	if (err == ERR_UNCERTAIN)
		forget_connection(s);
	return err;
}

static enum err prepare(struct store *s, const struct pg_statement *st, struct errinfo *e)
{
	enum err err;
	int i;

	for (i = 0; i < s->n_prepared; i++)
		if (s->prepared[i] == st)
			return OK;
	if (s->n_prepared == PG_STATEMENTS_MAX)
		return err_set(e, ERR_INTERNAL, "more than %d statements on one connection", PG_STATEMENTS_MAX);
	if (!PQsendPrepare(s->pg, st->name, st->sql, st->n_params, st->types))
		err = lost(s, st->name, e);
	else
		err = finish_answer(s, st->name, NULL, e);
	if (err == ERR_UNCERTAIN)
		err = ERR_UNAVAILABLE;          /* preparing does nothing that could be half done */
	if (!err)
		s->prepared[s->n_prepared++] = st;
	return err;
}

/* A connection that died while it was idle is noticed here, before anything is sent:
 * that keeps "perhaps done" for the cases that deserve it. A server that ends says so
 * before it hangs up, so there may be something to read before the end is. */
static void notice_loss(struct store *s)
{
	struct pollfd p = { .fd = store_fd(s), .events = POLLIN };
	int i;

	for (i = 0; i < IDLE_READS && p.fd >= 0 && poll(&p, 1, 0) > 0; i++) {
		if (!PQconsumeInput(s->pg)) {
			forget_connection(s);
			return;
		}
	}
}

enum err pg_run(struct store *s, const struct pg_statement *st, struct pg_args *a, PGresult **out, struct errinfo *e)
{
	const char *values[PG_PARAMS_MAX];
	int formats[PG_PARAMS_MAX];
	enum err err;
	int i;

	notice_loss(s);
	err = store_connect(s, e);
	if (!err)
		err = prepare(s, st, e);
	if (err)
		return err;
	if (a->data.over || a->n != st->n_params)
		return err_set(e, ERR_INTERNAL, "%s: parameters too large or not %d", st->name, st->n_params);
	for (i = 0; i < a->n; i++) {
		values[i] = a->len[i] < 0 ? NULL : a->data.data + a->at[i];
		formats[i] = 1;
	}
	if (!PQsendQueryPrepared(s->pg, st->name, a->n, values, a->len, formats, 1))
		return lost(s, st->name, e);
	return finish_answer(s, st->name, out, e);
}

enum err pg_exec(struct store *s, const char *sql, PGresult **out, struct errinfo *e)
{
	enum err err;

	notice_loss(s);
	err = store_connect(s, e);
	if (err)
		return err;
	if (!PQsendQuery(s->pg, sql))
		return lost(s, "statement", e);
	return finish_answer(s, "statement", out, e);
}
