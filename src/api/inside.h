/* What the files of this room know of one another: the api itself, and the crews of
 * threads that stand behind its ways. */
#ifndef API_INSIDE_H
#define API_INSIDE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "callgate/api.h"

/* Threads with a connection each that take whatever waits in one queue. Only so many of
 * them as there are turns are in the database at once; there is one thread more than
 * that, so that the next batch is on its way while the last one is being answered. */
#define CREW_BATCH_MAX 256

struct crew;
struct crew_member {
	struct crew  *crew;
	struct store *store;
	bool          has_turn;
	int64_t       logged_ms;        /* when it last told of a failure      */
	int64_t       untold;           /* failed batches since that           */
};
/* Answers every item; owns them. Passes the turn on as soon as it is done with the
 * database. */
typedef void crew_work(struct crew_member *m, void **items, size_t n);
void crew_pass_turn(struct crew_member *m);

/* `batch`: how many items one thread takes at once, at most CREW_BATCH_MAX. */
enum err crew_start(struct api *a, const char *name, int turns, size_t queue_limit, size_t batch, crew_work *work,
                    struct crew **out, struct errinfo *e) MUST_USE;
bool     crew_push(struct crew *c, void *item);         /* false: too much waits already */
void     crew_free(struct crew *c);                     /* after what waits is answered  */
struct api *crew_api(const struct crew *c);
/* Tells the log of a batch that failed, at most once a second and thread: while a database
 * is away, every batch fails, and the log must not be what fills the disk. */
void     crew_failed(struct crew_member *m, enum err err, const struct errinfo *e, size_t items);

/* Connecting early spares the first request the wait; if it fails now, the first request
 * tries again and is answered with what comes of it. */
void     connect_early(struct store *s, const char *name);

/* Threads with a connection each that take one request at a time, of every organization in
 * turn: at most `at_once` of one. */
struct desk_room;
enum err desk_open(struct api *a, const char *name, int clerks, int at_once, size_t limit, struct desk_room **out,
                   struct errinfo *e) MUST_USE;
void     desk_close(struct desk_room *room);    /* after what waits is answered */

#define DESK_CLERKS   4         /* what is about one call: short */
#define DESK_AT_ONCE  2
#define LISTS_CLERKS  3         /* what goes through many: a second, it may be */
#define LISTS_AT_ONCE 1

struct api {
	char            *database_url;
	struct admit_rules rules;
	bool             access_log;
	struct api_hooks hooks;
	struct crew     *intake, *reader, *notices;
	struct desk_room *desk, *lists;
	atomic_bool      quiet;         /* no new work */
};

#endif
