/* See tx.h. */
#include "tx.h"

#include "callgate/log.h"

/* store_connect() makes no connection before `retry_at_ms`. */
static void forbid_reconnect(struct store *s)
{
	s->retry_at_ms = INT64_MAX;
}

static void allow_reconnect(struct store *s)
{
	s->retry_at_ms = 0;
}

enum err tx_begin(struct store *s, struct errinfo *e)
{
	enum err err = pg_exec(s, "begin", NULL, e);

	if (!err)
		forbid_reconnect(s);
	return err;
}

/* A loss between the last statement and the commit is certain: the server has rolled back. */
enum err tx_commit(struct store *s, struct errinfo *e)
{
	enum err err = pg_exec(s, "commit", NULL, e);

	allow_reconnect(s);
	return err;
}

void tx_rollback(struct store *s)
{
	struct errinfo e;

	if (store_connected(s) && pg_exec(s, "rollback", NULL, &e))
		LOG_WARN("database.rollback_failed", LOG_STR("error", e.text));
	allow_reconnect(s);
}
