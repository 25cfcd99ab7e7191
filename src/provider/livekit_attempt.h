/* Inside `provider`: the livekit driver from within. Attempts live on the net's thread;
 * the functions of the driver's table only make them, or send word to them. */
#ifndef PROVIDER_LIVEKIT_ATTEMPT_H
#define PROVIDER_LIVEKIT_ATTEMPT_H

#include <semaphore.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "callgate/heap.h"
#include "callgate/idmap.h"
#include "callgate/livekit.h"
#include "callgate/net.h"
#include "callgate/wire_livekit.h"
#include "livekit_name.h"
#include "livekit_outcome.h"
#include "livekit_project.h"

enum attempt_stage {
	ATTEMPT_CREATING,       /* CreateRoom is under way                       */
	ATTEMPT_AWAITING,       /* the room is there, its agent is not           */
	ATTEMPT_READY,          /* waits for dial()                              */
	ATTEMPT_DIALING,        /* CreateSIPParticipant is under way             */
	ATTEMPT_UNCERTAIN,      /* its answer got lost; waits for lookup()       */
	ATTEMPT_FOLLOWING,      /* alive, as we know by asking                   */
	ATTEMPT_REFUSED,        /* over; a message may show that no phone rang   */
};

enum attempt_closing { CLOSING_NOT, CLOSING_ASKED, CLOSING_MAX_DURATION };

/* What a message said of the leg: that it has left, and whether it may come back. */
enum attempt_left { LEFT_NOT, LEFT_PERHAPS, LEFT_FOR_GOOD };

#define ROOM_SIZE LIVEKIT_NAME_SIZE

struct attempt {
	struct idnode            node;          /* first */
	struct heap_node         timer;         /* mono ms */
	struct livekit          *lk;
	struct project          *project;
	struct trunk            *trunk;         /* NULL: too many to know each */
	int64_t                  org_id;
	int                      attempt;
	enum attempt_stage       stage;
	enum attempt_closing     closing;
	int                      rounds;        /* of closing */
	int                      unheard;       /* how often nobody told who ended it */
	int                      pending;       /* answers that will still come for it */
	bool                     gone;          /* told its end; freed with the last answer */
	bool                     undialed;      /* an order about one that was only prepared */
	bool                     looking;       /* a look is under way */
	bool                     queued;        /* it waits for its turn to be looked at */
	bool                     unmade;        /* its room may be made after it has left */
	enum attempt_stage       look_stage;    /* when it began       */
	bool                     look_seen;
	bool                     doubted;       /* LiveKit may have crashed: is the leg really there? */
	bool                     counting;      /* and that is being asked */
	int64_t                  there_at;      /* the leg was last known to be there, mono ms */
	int64_t                  empty_since;   /* the room was seen empty all the time, mono ms; 0: not */
	int64_t                  mute_at;       /* last seen being dialed, and not ringing; mono ms      */
	int64_t                  gone_since;    /* absent, and nobody says how it ended; mono ms, 0: not */
	enum attempt_left        left;
	enum wire_livekit_reason left_reason;
	int64_t                  left_at;       /* when it left, mono ms                       */
	int64_t                  sight_at;      /* last seen there with our own eyes, mono ms  */
	enum wire_livekit_status left_status;   /* what that message said, not what is known besides */
	int                      joins;         /* how often it was said to have come */
	int64_t                  refused_at;    /* mono ms */
	struct call_outcome      refusal;       /* while REFUSED */
	bool                     asked;         /* lookup() wants an answer */
	bool                     seen, ringing, answered;
	enum wire_livekit_status last;          /* as far as it ever got */
	int                      ring_timeout_s, max_duration_s;
	int64_t                  dialed_at;     /* mono ms, 0: not yet */
	int64_t                  poll_at, until;        /* the next look; when patience ends */
	char                     room[ROOM_SIZE], identity[ROOM_SIZE];
	/* Until dialed: */
	char                     from[E164_SIZE], to[E164_SIZE];
	char                    *variables, *agent, *trunk_id, *auth_password;
	int                      wait_for_agent_s;      /* 0: not at all */
	struct wire_livekit_trunk config;
	LIST_ENTRY(attempt)      link;
	TAILQ_ENTRY(attempt)     turn;
};
LIST_HEAD(attempt_list, attempt);

/* A room that has to go. */
struct sweep {
	struct livekit   *lk;
	struct project   *project;
	int               tries;
	int64_t           sure_at;      /* mono ms; before that a room that is not there may still come */
	char              room[ROOM_SIZE];
	LIST_ENTRY(sweep) link;
};
LIST_HEAD(sweep_list, sweep);

struct livekit {
	struct provider     base;
	struct net         *net;
	provider_event_fn  *on_event;
	void               *arg;
	struct livekit_pace pace;
	int                 max_calls;
	char             *(*secret)(void *arg, const char *name);
	void               *secret_arg;
	struct projects     projects;
	atomic_int          alive;
	atomic_bool         stopping;
	int64_t             stop_by;            /* mono ms */
	sem_t               quiet;              /* nothing is under way that should not be cut */
	/* the net's thread */
	struct idmap        map;
	struct heap         timers;
	int64_t             tick_at;            /* 0: none is set */
	struct attempt_list attempts;           /* all of them, the gone ones too */
	struct sweep_list   sweeps;
	int                 n_sweeps;
	int                 n_unmade;           /* attempts that left while their room was being made */
};

/* What every order needs: from the table's functions, on any thread. */
enum err livekit_attempt_new(struct livekit *lk, const struct dial_request *rq, struct attempt **out,
                             struct errinfo *e) MUST_USE;

/* ── orders (from the driver's table, run on the net's thread) ──────────────────── */

/* Each takes an attempt that is not in the map yet; all but the first go on with the one that
 * is, if there is one. */
void attempt_prepare(void *attempt);
void attempt_dial(void *attempt);
void attempt_lookup(void *attempt);     /* livekit_follow.c */
void attempt_hangup(void *attempt);
/* Too late for an order: the driver stops. It is freed. */
bool attempt_refused(struct attempt *a);
void attempt_free(struct attempt *a);

/* ── a life (livekit_attempt.c) ─────────────────────────────────────────────────── */

struct attempt *attempt_find(struct attempt *like);
void attempt_enter(struct attempt *a);
void attempt_tell(struct attempt *a, enum provider_event_kind kind, const struct call_outcome *o, int retry_ms);
void attempt_end(struct attempt *a, const struct call_outcome *o);      /* tells, and cleans up */
void attempt_leave(struct attempt *a);                                  /* cleans up, tells nothing */
void attempt_ready(struct attempt *a);  /* room and agent are there */
void attempt_end_refused(struct attempt *a);    /* with what was told of it so far */
/* After poll_at or until changed. */
void attempt_set_timer(struct attempt *a);
bool attempt_asked(struct attempt *a, enum err err);    /* notes that an answer will come */
bool attempt_heard(struct attempt *a, const struct net_answer *answer); /* it came; false: nobody is there any more */
bool attempt_heard_as(struct attempt *a, bool well);    /* the same, whatever the project's breaker is to think of it */
struct call_outcome attempt_outcome(enum call_reason reason, const char *code, bool never_rang);
int  attempt_jitter(int ms);            /* 0.75 to 1.25 of it */

/* ── following (livekit_follow.c) ───────────────────────────────────────────────── */

void attempt_follow(struct attempt *a, int first_look_ms);      /* it is alive, or was */
/* One that another process dialed, or this one before it lost sight of it. */
struct attempt *attempt_take_up(struct attempt *like);
void attempt_look_later(struct attempt *a);
void attempt_look(struct attempt *a);   /* when it is its turn */
void attempt_due(struct attempt *a);    /* its timer rang */
/* It was seen, or said to be, so far; never back: after a crash LiveKit says "dialing" of a talk. */
void attempt_reached(struct attempt *a, enum wire_livekit_status status);
void attempt_observe(struct attempt *a, const struct wire_livekit_participant *p);
void attempt_is_answered(struct attempt *a);
void attempt_end_left(struct attempt *a, enum wire_livekit_reason reason);

/* ── whose look is next (livekit_turn.c) ────────────────────────────────────────── */

void attempt_take_turn(struct attempt *a);
void attempt_lose_turn(struct attempt *a);
/* The answer to a look has come, also of one whose attempt is gone. */
void project_looked(struct livekit *lk, struct project *p, const struct net_answer *answer);

/* ── asking the room (livekit_room.c) ───────────────────────────────────────────── */

void attempt_ask_who_ended(struct attempt *a);  /* an answered leg is gone: ends it */
/* After a look that found it there: is it, or only what a crash left behind? */
void attempt_doubt(struct attempt *a);

/* ── asking (livekit_ask.c) ─────────────────────────────────────────────────────── */

struct livekit_ask {
	const char    *method;          /* "RoomService/CreateRoom" */
	unsigned       grants;
	const char    *room;            /* of the grant */
	int            timeout_ms;
	int            server_ms;       /* LiveKit's own deadline; 0: its usual one */
	size_t         answer_max;      /* bytes; 0: LIVEKIT_ANSWER_MAX */
	bool           once;
	net_done_fn   *done;
	void          *arg;
};
enum err livekit_ask(struct livekit *lk, struct project *p, const struct livekit_ask *ask, const struct buf *body,
                     struct errinfo *e) MUST_USE;
/* Keeps the project's breaker informed. */
void     livekit_note(struct livekit *lk, struct project *p, const struct net_answer *a);
bool     livekit_well(const struct net_answer *a);      /* was it LiveKit's? */

/* Deletes it. `late_ms`: for so long it may still come into being. */
void livekit_sweep(struct livekit *lk, struct project *p, const char *room, int late_ms);

#define LIVEKIT_BODY_MAX   (512 * 1024)
#define LIVEKIT_ANSWER_MAX (64 * 1024)
#define LIVEKIT_ROOM_MAX   (256 * 1024)         /* a room comes with its metadata, escaped */
#define LIVEKIT_SHORT_MS   15000        /* everything but the dial */
#define LIVEKIT_CONNECT_MS 5000
#define LIVEKIT_LATE_MS    30000        /* after that LiveKit carries out nothing that we gave up waiting for */

#endif
