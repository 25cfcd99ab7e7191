/* Connections: made when they are needed, given up when nothing answers, and mended. */
#include "connect.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/store_dispatch.h"

/* The server gives up on a statement after the first, we give up on the server after the
 * second: then it does not answer at all, and a new connection is the only way to know. */
#define STATEMENT_TIMEOUT_S 10
#define ANSWER_TIMEOUT_MS 15000
#define CONNECT_MS 8000
#define SESSION_MS 5000
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000

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
	/* Accepted means kept, whatever the database's default is; a stricter one stays. */
	"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
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

void pg_forget(struct store *s)
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
	pg_forget(s);
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

enum err pg_words(struct errinfo *e, enum err err, const char *what, const char *message)
{
	size_t n = message ? strcspn(message, "\n") : 0;

	return err_set(e, err, "%s: %.*s", what, (int)(n > 180 ? 180 : n), message ? message : "");
}

/* Why there is no connection. What libpq puts in quotes it took from the connection string,
 * and with a character that should have been escaped that can be a part of the password. */
static enum err unreachable(const PGconn *pg, struct errinfo *e)
{
	char words[160];
	const char *p = pg ? PQerrorMessage(pg) : "";
	size_t n = 0;
	bool quoted = false;

	for (; *p && *p != '\n' && n < sizeof words - 4; p++) {
		if (*p == '"') {
			quoted = !quoted;
			memcpy(words + n, quoted ? "\"\xe2\x80\xa6" : "\"", quoted ? 4 : 1);
			n += quoted ? 4 : 1;
		} else if (!quoted) {
			words[n++] = *p;
		}
	}
	words[n] = '\0';
	/* A failed connection says so; one that still waits has been given up. */
	return err_set(e, ERR_UNAVAILABLE, "database connection: %s",
	               pg && PQstatus(pg) != CONNECTION_BAD ? "no answer in time" : words);
}

enum err store_url_check(const char *url, struct errinfo *e)
{
	PQconninfoOption *options = PQconninfoParse(url, NULL);

	if (!options)
		return err_set(e, ERR_INVALID, "is not a connection string as libpq takes it; special characters in a URI are "
		               "written as %%XX, values with spaces in key=value form are quoted");
	PQconninfoFree(options);
	return OK;
}

static void ignore_notice(void *arg, const PGresult *r)
{
	(void)arg;
	(void)r;
}

/* Before a session is fit for statements. NULL: no answer in time. */
static PGresult *ask(struct store *s, const char *sql)
{
	return PQsendQuery(s->pg, sql) ? pg_answer(s, SESSION_MS) : NULL;
}

void pg_patience(struct store *s, int seconds)
{
	char sql[100] = USUAL_TIMEOUTS;

	s->answer_ms = seconds ? seconds * 1000 + 5000 : ANSWER_TIMEOUT_MS;
	if (seconds)
		snprintf(sql, sizeof sql, "SET statement_timeout = '%ds'; SET lock_timeout = 0", seconds);
	if (store_connected(s))
		PQclear(ask(s, sql));
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
	r = ask(s, sql);
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		return pg_words(e, ERR_UNAVAILABLE, "ending a lost session", PQerrorMessage(s->pg));
	if (PQntuples(r) > 0 && *PQgetvalue(r, 0, 0) == 'f')
		return err_set(e, ERR_UNAVAILABLE, "a lost session does not end");
	s->ghost_pid = 0;
	return OK;
}

static enum err open_session(struct store *s, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	int64_t before = wall_ms();

	r = ask(s, session_sql);
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		return pg_words(e, ERR_UNAVAILABLE, "database session", PQerrorMessage(s->pg));
	s->clock_offset_ms = strtoll(PQgetvalue(r, 0, 0), NULL, 10) - (before + wall_ms()) / 2;
	s->backend_pid = atoi(PQgetvalue(r, 0, 1));
	s->backend_start = strtoll(PQgetvalue(r, 0, 2), NULL, 10);
	return s->ghost_pid ? lay_ghost(s, e) : OK;
}

/* PQconnectdb() with a limit on the whole, whatever the server does or does not. */
static bool connect_within(PGconn *pg, int64_t until_ms)
{
	PostgresPollingStatusType st = PGRES_POLLING_WRITING;
	struct pollfd p;
	int64_t left;

	while (st != PGRES_POLLING_OK) {
		left = until_ms - mono_ms();
		if (st == PGRES_POLLING_FAILED || left <= 0)
			return false;
		p = (struct pollfd){ .fd = PQsocket(pg), .events = st == PGRES_POLLING_READING ? POLLIN : POLLOUT };
		if (poll(&p, 1, (int)left) > 0)
			st = PQconnectPoll(pg);
	}
	return true;
}

enum err store_connect(struct store *s, struct errinfo *e)
{
	/* Keys before dbname are defaults that the URL may override. */
	const char *keys[] = { "keepalives_idle", "tcp_user_timeout", "target_session_attrs",
	                       "fallback_application_name", "dbname", "client_encoding", NULL };
	const char *values[] = { "15", "10000", "read-write", s->role, s->url, "UTF8", NULL };
	enum err err;

	if (store_connected(s))
		return OK;
	if (s->pg)
		pg_forget(s);
	if (mono_ms() < s->retry_at_ms)
		return err_set(e, ERR_UNAVAILABLE, "database: waiting before the next attempt to connect");
	s->pg = PQconnectStartParams(keys, values, 1);
	if (s->pg)
		PQsetNoticeReceiver(s->pg, ignore_notice, NULL);        /* libpq would write to stderr */
	if (!s->pg || PQstatus(s->pg) == CONNECTION_BAD || !connect_within(s->pg, mono_ms() + CONNECT_MS)) {
		err = unreachable(s->pg, e);
	} else {
		PQsetnonblocking(s->pg, 1);
		err = open_session(s, e);
	}
	if (err) {
		pg_forget(s);
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

