/* Calls in flight here: found by id, woken by one timer each. A flight counts against its
 * organization, project and trunk from its making to its freeing, and it is freed only
 * when the database has said that the call ended, waits again, or is no longer ours. */
#ifndef SCHEDULER_FLIGHT_H
#define SCHEDULER_FLIGHT_H

#include <sys/queue.h>

#include "callgate/heap.h"
#include "callgate/idmap.h"
#include "callgate/provider.h"
#include "tenants.h"

struct driver {
	const char      *name;
	struct provider *provider;
};

enum stage {
	STAGE_PREPARING,        /* claimed; the driver gets ready             */
	STAGE_READY,            /* claimed; waits for its intent              */
	STAGE_INTENDED,         /* the intent is committed, not yet dialed    */
	STAGE_FOLLOWED,         /* dialed, by us or by somebody before us     */
};

struct flight {
	struct idnode        node;          /* first */
	struct heap_node     timer;         /* mono ms */
	struct lane_key      lane;
	struct node         *org, *project, *trunk;
	const struct driver *driver;        /* NULL: this process has no such driver      */
	int                  attempt;
	int                  spent;         /* earlier attempts that count */
	int                  phase;         /* 1 intent, 2 uncertain, 3 the provider has it */
	enum stage           stage;
	enum call_state      state;
	int                  ring_timeout_s, max_duration_s, wait_for_agent_s;
	int64_t              bound_at;      /* mono ms: the published bound               */
	int64_t              intent_at;     /* mono ms                                    */
	int64_t              due_at;        /* mono ms: since when it waited to be dialed */
	int64_t              expires_at;    /* mono ms: not dialed after; INT64_MAX: the queue's bound, by age */
	int64_t              ask_at;        /* mono ms: look it up then; 0: no need       */
	bool                 canceled;      /* its client has asked for its end           */
	bool                 unheard;       /* and the provider was not there to be asked, or does not follow it yet */
	bool                 paced;         /* holds tokens of org, project and trunk     */
	bool                 gated;         /* holds a token of the trunk's gate          */
	bool                 intent_lost;   /* an intent was sent, and whether it was done is not known */
	bool                 working;       /* on the ready or the dial list              */
	bool                 dirty;         /* on the dirty list                          */
	/* What the database has to be told. */
	bool                 say_ref, say_ringing, say_answered, say_uncertain, ended;
	struct call_outcome  outcome;       /* once ended */
	int64_t              ended_at;      /* mono ms    */
	char                 from[E164_SIZE], to[E164_SIZE];
	char                *variables, *agent;     /* until dialed */
	char                *trunk_ref, *trunk_config, *provider_ref;
	TAILQ_ENTRY(flight)  work;
	TAILQ_ENTRY(flight)  dirty_link;
};
TAILQ_HEAD(flight_list, flight);

struct flights {
	struct idmap       map;
	struct heap        timers;
	struct flight_list ready, dial, dirty;
};

void           flights_init(struct flights *fs);
void           flights_done(struct flights *fs);        /* frees all */
/* Takes the strings out of `in`. */
struct flight *flight_new(struct flights *fs, struct tenants *t, struct inflight *in, int64_t now_ms);
void           flight_free(struct flights *fs, struct flight *f);
struct flight *flight_find(const struct flights *fs, const struct id *call_id);

void flight_set_timer(struct flights *fs, struct flight *f);    /* after ask_at or the stage changed */
void flight_mark(struct flights *fs, struct flight *f);         /* something to say */
void flight_work(struct flight_list *list, struct flight *f);   /* puts it on ready or dial */
void flight_unwork(struct flights *fs, struct flight *f);

/* A sum that stays at INT64_MAX, which is never. */
static inline int64_t after_ms(int64_t at, int64_t ms)
{
	return ms > INT64_MAX - at ? INT64_MAX : at + ms;
}

/* Tokens: all three buckets of a claimed call, and the trunk's gate. */
void flight_spend(struct flight *f, int64_t now_us);    /* dialed (or prepared) now */
void flight_release(struct flight *f);                  /* not dialed */

struct call_ref     flight_ref(const struct flight *f);
struct dial_request flight_request(const struct flight *f, int64_t now_ms);

#endif
