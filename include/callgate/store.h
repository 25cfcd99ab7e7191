/* PostgreSQL. A `store` is one connection with its prepared statements, used by one
 * thread; it connects when it is first needed and again after every loss. No PG type,
 * SQLSTATE or result leaves this room.
 *
 * Errors that every function here may return:
 *   ERR_UNAVAILABLE  certainly not done: no connection, or the server refused before
 *                    anything could commit; safe to repeat
 *   ERR_UNCERTAIN    the connection broke after the statement was sent: it may have
 *                    committed; look before repeating
 *   ERR_INTERNAL     the statement failed for a reason of its own (a bug, or bad data) */
#ifndef CALLGATE_STORE_H
#define CALLGATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/err.h"

struct store;

/* `url` is libpq syntax, several hosts allowed; `role` names the thread in
 * pg_stat_activity ("callgate intake"). Does not connect. */
struct store *store_new(const char *url, const char *role);
void          store_free(struct store *s);

/* Whether `url` can be understood at all. The words name no part of it: it may hold a password. */
enum err store_url_check(const char *url, struct errinfo *e) MUST_USE;

/* Connects if need be. Waits at most a few seconds. */
enum err store_connect(struct store *s, struct errinfo *e) MUST_USE;
bool     store_connected(const struct store *s);

/* The database's clock minus ours, in ms, as measured when the connection was made. */
int64_t  store_clock_offset_ms(const struct store *s);

/* ── schema ─────────────────────────────────────────────────────────────────────── */

/* Brings the schema up to what this binary carries, under an advisory lock; safe from
 * several places at once. `applied` counts what was new. Also creates partitions. */
enum err store_migrate(struct store *s, int *applied, int *version, struct errinfo *e) MUST_USE;
/* OK when the schema is one this binary works with; ERR_INVALID with words otherwise. */
enum err store_schema_check(struct store *s, int *version, struct errinfo *e) MUST_USE;

/* Creates the partitions of the coming days and drops those whose calls have all ended
 * more than `retention_days` ago (0: keeps everything). Run about once an hour. */
enum err store_partitions_keep(struct store *s, int retention_days, int *created, int *dropped,
                               struct errinfo *e) MUST_USE;

#endif
