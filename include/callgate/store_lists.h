/* Many calls, and what happened to them, page by page. A caller sees the calls of the
 * projects that the key's user is a member of, and nothing of anybody else. The work of one
 * page is bounded whatever is asked: it may be short, even empty, and lead on. */
#ifndef CALLGATE_STORE_LISTS_H
#define CALLGATE_STORE_LISTS_H

#include "callgate/store_calls.h"

#define FILTER_KEY_MAX   256    /* bytes of metadata_key   */
#define FILTER_VALUE_MAX 1024   /* bytes of metadata_value */

/* Which calls. A member that is 0 or "" asks for nothing; the others all have to hold. */
struct call_filter {
	char             project[65];           /* as clients name it                         */
	unsigned         states;                /* a bit for each enum call_state             */
	enum call_reason reason;
	char             from[E164_SIZE];
	char             to[E164_SIZE];
	int64_t          created_from_ms;       /* at or after; UTC                           */
	int64_t          created_to_ms;         /* before; UTC                                */
	char             metadata_key[FILTER_KEY_MAX + 1];      /* a member of the outermost object … */
	bool             has_value;
	char             metadata_value[FILTER_VALUE_MAX + 1];  /* … and its text, a number's as it was sent */
};

#define STATE_BIT(s)  (1u << (s))
#define STATES_FLYING (STATE_BIT(CALL_INITIATED) | STATE_BIT(CALL_RINGING) | STATE_BIT(CALL_IN_PROGRESS))
#define STATES_OPEN   (STATE_BIT(CALL_QUEUED) | STATES_FLYING)

/* Whether a key is good, for what is refused for other reasons without a look at any call. */
enum err store_key_check(struct store *s, const struct caller *caller, bool *known, struct errinfo *e) MUST_USE;

/* What came of one look. */
struct list_page {
	enum read_outcome outcome;      /* READ_FOUND, however many; or READ_KEY_UNKNOWN      */
	bool              more;         /* there may be more past `last`                      */
	struct id         last;         /* where the next look goes on, as its `before`       */
};

#define LIST_MAX 1000           /* ids of one look                                 */
#define LIST_LOOKED_AT 20000    /* calls that one look may consider; fewer where their
                                 * metadata has to be read                          */

/* The newest calls before `before` (exclusive; NULL: from the newest on) that the filter
 * fits and the caller may see: at most `limit`, newest first, their number in *n. Calls that
 * have not ended (states within STATES_OPEN) are looked for among their like only, however
 * many have ended; all others among the LIST_LOOKED_AT newest before `before`. Whoever goes
 * on from `last` until there is no more has seen each such call that was there all the while,
 * wherever it moved. What is true of a call here may be over when it is looked at next. */
enum err store_calls_match(struct store *s, const struct caller *caller, const struct call_filter *f,
                           const struct id *before, size_t limit, struct id *ids, size_t *n,
                           struct list_page *page, struct errinfo *e) MUST_USE;

/* The same with the records: items[i].call is to be call_record_done() where items[i].outcome
 * is READ_FOUND; no others are among them. At most READ_BATCH_MAX. */
enum err store_calls_list(struct store *s, const struct caller *caller, const struct call_filter *f,
                          const struct id *before, size_t limit, struct call_read *items, size_t *n,
                          struct list_page *page, struct errinfo *e) MUST_USE;

/* ── what happened ──────────────────────────────────────────────────────────────── */

/* An event as it was stored. */
struct call_event {
	struct id call_id;
	int       seq;                  /* which step it is, no order: a late word may have a low one */
	int       kind;                 /* enum call_state, or 32 retrying, 33 uncertain, 34 cancel
	                                 * requested, 35 edited                               */
	int64_t   at_us;                /* UTC, µs                                            */
	char     *data;                 /* owned; JSON text or NULL                           */
	char      project[65];          /* of the feed only                                   */
};
void call_events_free(struct call_event *events, size_t n);

/* Of one call, in the order in which they were written, those behind the one with the number
 * `after` (-1, or a number that none has: from the first on), at most `limit`. */
enum err store_call_events(struct store *s, const struct caller *caller, const struct id *call, int after,
                           size_t limit, struct call_event **out, size_t *n, bool *more,
                           enum read_outcome *outcome, struct errinfo *e) MUST_USE;

/* A place in the history of an organization: behind this event. All zero: its beginning. */
struct feed_position {
	int64_t   at_us;
	struct id call_id;
	int       seq;
};

#define FEED_LOOKED_AT 2000     /* events that one look may consider */

/* The history of the caller's calls in one order, by (at, call, seq), from *at on; *at
 * becomes the place to go on from. No event is ever passed over: one that is still being
 * committed stops the history just before its writer began, for as long as that takes.
 * `latest`: only says where it ends now. */
enum err store_feed(struct store *s, const struct caller *caller, bool latest, struct feed_position *at,
                    size_t limit, struct call_event **out, size_t *n, bool *more,
                    enum read_outcome *outcome, struct errinfo *e) MUST_USE;

#endif
