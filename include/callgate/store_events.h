/* Events that a provider sent of its own accord: kept once, applied by whoever follows
 * the call, forgotten after a while. */
#ifndef CALLGATE_STORE_EVENTS_H
#define CALLGATE_STORE_EVENTS_H

#include "callgate/id.h"
#include "callgate/store.h"

#define PROVIDER_EVENT_ID_SIZE     128
#define PROVIDER_EVENT_SENDER_SIZE 48

struct provider_note {
	int64_t     org_id;
	struct id   call_id;
	int         attempt;
	const char *provider;           /* driver name; borrowed                            */
	const char *event_id;           /* borrowed                                         */
	const char *sender;             /* borrowed                                         */
	const char *body;               /* valid UTF-8 without U+0000; borrowed             */
};

#define NOTES_BATCH_MAX 256

/* Durable when it returns OK. A known event id of the same call changes nothing; what is about an
 * attempt that is not in flight is not kept, as nobody will ask for it. */
enum err store_notes_keep(struct store *s, const struct provider_note *notes, size_t n, struct errinfo *e) MUST_USE;

/* As store_notes_take() gives them out; strings are owned. */
struct taken_note {
	int64_t   org_id;
	struct id call_id;
	int       attempt;
	char     *provider;
	char     *sender;
	char     *body;
};
void taken_notes_free(struct taken_note *notes, size_t n);

/* Marks and returns what waits for calls that this gateway follows, oldest first, at most
 * `max`. Each event is given out once. */
enum err store_notes_take(struct store *s, int64_t gateway_id, int max, struct taken_note **out, size_t *n,
                          struct errinfo *e) MUST_USE;

/* Who may tell us such things: of each trunk of that driver that is switched on and whose config has
 * all these members, the object of just these, each once, at most `max`. *out is malloc'ed, and so
 * is each text; notes_senders_free() frees both. */
enum err store_notes_senders(struct store *s, const char *driver, const char *const *members, size_t n_members, int max,
                             char ***out, size_t *n, struct errinfo *e) MUST_USE;
void     notes_senders_free(char **texts, size_t n);

/* Forgets what is older than `seconds`, applied or not (the call has ended, or was never
 * ours), at most `max`. */
enum err store_notes_prune(struct store *s, int seconds, int max, int *gone, struct errinfo *e) MUST_USE;

#endif
