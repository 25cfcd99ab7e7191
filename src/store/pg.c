/* Statements and their answers. Everything the server says is translated here into the
 * outcomes of callgate/store.h.
 *
 * A statement in the extended protocol commits when its Sync is handled, after its
 * CommandComplete may already have reached us. So a result counts only once the server
 * has said ReadyForQuery; whatever breaks before that is "perhaps done".
 *
 * The connection is non-blocking and every wait has an end: a server, or something on the
 * way to it, may take what we send and never answer. */
#include "pg.h"

#include <poll.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/mem.h"
#include "callgate/store_dispatch.h"
#include "callgate/text.h"
#include "connect.h"

#define IDLE_READS 4

/* ── waiting for the answer ───────────────────────────────────────────────────── */

/* Waits for the socket, and reads what is there. False: lost, or too late. */
static bool wait_socket(struct store *s, short events, int64_t until_ms)
{
	struct pollfd p = { .fd = PQsocket(s->pg), .events = events };
	int64_t left = until_ms - mono_ms();

	if (left <= 0)
		return false;
	return poll(&p, 1, (int)left) <= 0 || !(p.revents & ~POLLOUT) || PQconsumeInput(s->pg);
}

/* Sends all of it. The server may have to be read from before it reads on. */
static bool send_all(struct store *s, int64_t until_ms)
{
	int left;

	while ((left = PQflush(s->pg)) > 0)
		if (!wait_socket(s, POLLIN | POLLOUT, until_ms))
			return false;
	return left == 0;
}

/* Drains the answer up to ReadyForQuery. An error outweighs a result. NULL: lost. */
PGresult *pg_answer(struct store *s, int timeout_ms)
{
	int64_t until = mono_ms() + timeout_ms;
	PGresult *last = NULL, *r;

	if (!send_all(s, until))
		return NULL;
	for (;;) {
		while (PQisBusy(s->pg) && wait_socket(s, POLLIN, until))
			;
		if (PQisBusy(s->pg))
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
	else if (str_has_prefix(state, "53") || str_eq(state, "25006"))
		err = ERR_UNAVAILABLE;          /* no disk, no memory, no primary any more */
	else if (str_has_prefix(state, "23"))
		err = ERR_INVALID;
	return pg_words(e, err, what, message ? message : PQresultErrorMessage(r));
}

static enum err lost(struct store *s, const char *what, struct errinfo *e)
{
	s->sqlstate[0] = '\0';
	pg_words(e, ERR_UNCERTAIN, what, s->pg ? PQerrorMessage(s->pg) : "connection lost");
	s->ghost_pid = s->backend_pid;
	s->ghost_start = s->backend_start;
	pg_forget(s);
	return ERR_UNCERTAIN;
}

static enum err finish_answer(struct store *s, const char *what, PGresult **out, struct errinfo *e)
{
	CLEANUP(pg_clearp) PGresult *r = pg_answer(s, s->answer_ms);
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
		pg_forget(s);
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
			pg_forget(s);
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

enum err pg_run_read(struct store *s, const struct pg_statement *st, struct pg_args *a, PGresult **out,
                     struct errinfo *e)
{
	enum err err = pg_run(s, st, a, out, e);

	if (err == ERR_UNCERTAIN || err == ERR_CONFLICT)
		err = pg_run(s, st, a, out, e);
	return err == ERR_UNCERTAIN || err == ERR_CONFLICT ? ERR_UNAVAILABLE : err;
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
