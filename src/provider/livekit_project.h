/* Inside `provider`: LiveKit projects, the trunks in them, and how both are doing. They are
 * made when a call first needs them, or a trunk names them, live as long as the driver, and are the only things of
 * it that two threads touch; a lock guards them. */
#ifndef PROVIDER_LIVEKIT_PROJECT_H
#define PROVIDER_LIVEKIT_PROJECT_H

#include <pthread.h>
#include <sys/queue.h>

#include "breaker.h"
#include "callgate/livekit.h"
#include "callgate/net.h"

struct attempt;
struct livekit;
TAILQ_HEAD(turn_list, attempt);

#define PROJECTS_MAX 512
#define TRUNKS_MAX   8192

/* As one organization uses it: what another does to its trunk of the same name, that of a carrier
 * both are with, must not stop this one's calls. */
struct trunk {
	int64_t         org_id;
	char           *name;           /* ST_…, or a host name */
	struct breaker  breaker;
	int64_t         spoke_at;       /* mono ms; 0: nothing was ever heard from it */
	struct trunk   *next;
};

struct project {
	char           *url, *key, *secret;
	char            sender[PROVIDER_SENDER_SIZE];   /* the same for the same key and secret, wherever */
	struct breaker  breaker;
	struct trunk   *trunks;
	/* The net's thread alone (livekit_turn.c): */
	struct turn_list turns;         /* attempts that are to be looked at */
	struct livekit *lk;
	int             looks;          /* under way */
	bool            turning;        /* the queue's timer is set */
	double          rate;           /* looks a second; 0: none yet */
	double          polls;
	int64_t         polls_at;
	struct project *next;
};

struct projects {
	pthread_mutex_t mutex;
	struct project *first, *fallback;
	int             n, n_trunks;
	struct provider_breakers breakers;      /* how many of them all are not closed */
};

void projects_init(struct projects *ps);
void projects_done(struct projects *ps);

/* Finds or makes. All three decide: two trunks may name one key and disagree about its secret, and
 * only one of them is right. A secret that was changed is another project; the old one stays until
 * the gateway ends, idle. */
enum err projects_get(struct projects *ps, const char *url, const char *key, const char *secret, struct project **out,
                      struct errinfo *e);
/* Is there room for one that no call has needed yet? */
bool projects_spacious(struct projects *ps);
/* Does one of them sign with that key, and so has signed that token? Then that is its `sender`. */
bool projects_signed(struct projects *ps, const char *key, const char *token, char sender[PROVIDER_SENDER_SIZE]);
/* NULL when there are too many: such a trunk has no breaker. */
struct trunk *projects_trunk(struct projects *ps, struct project *p, int64_t org_id, const char *name);

/* ERR_UNAVAILABLE and words while the project or the trunk is not to be asked. */
enum err projects_admit(struct projects *ps, struct project *p, struct trunk *t, struct errinfo *e);
enum err projects_blocks(struct projects *ps, struct project *p, struct trunk *t, struct errinfo *e);
void     projects_project_went(struct projects *ps, struct project *p, bool well);
void     projects_trunk_went(struct projects *ps, struct project *p, struct trunk *t, bool well);
/* Somebody at its other end rang, answered or refused; and has somebody, in the last so many ms? */
void     projects_trunk_spoke(struct projects *ps, struct trunk *t);
bool     projects_trunk_speaks(struct projects *ps, struct trunk *t, int within_ms);

void   projects_breakers(struct projects *ps, struct provider_breakers *sum);
size_t projects_states(struct projects *ps, struct livekit_state *out, size_t max);

#endif
