/* What the scheduler knows of its tenants: limits, counts and pace of organizations,
 * projects and trunks, and the lanes in which calls wait. Pure memory, rebuilt from rows.
 *
 * A lane is (organization, project, trunk, priority), the unit of claiming. It lies on its
 * organization's list while something waits in it; the organization lies on the ring while
 * it has such a lane. */
#ifndef SCHEDULER_TENANTS_H
#define SCHEDULER_TENANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "callgate/store_dispatch.h"
#include "pace.h"

/* Head of everything that is found by key. */
struct place {
	struct lane_key key;            /* prio below 0: a node, not a lane */
	struct place   *next;
};

/* An organization (project and trunk 0), a project (trunk 0) or a trunk (project 0). */
struct node {
	struct place  place;
	bool          known;            /* its limits have been read          */
	bool          missed;           /* they were looked for and not there */
	bool          enabled;
	struct limits limits;
	int           mine;             /* in flight here                     */
	int           others;           /* in flight at other gateways        */
	int           planned;          /* of the claim being made            */
	int           lanes;            /* that refer to it                   */
	unsigned      seen;             /* generation of the limits           */
	struct pace   pace;
	int           rest_ms;          /* trunks: the provider was not there last time; 0: it is */
	bool          trying;           /* that one is under way                                  */
	int64_t       rests_until;      /* mono us; then one call may try                         */
	struct pace   gate;             /* trunks whose driver prepares: paces the dials, where
	                                 * `pace` paces the preparations       */
};

struct lane {
	struct place       place;
	struct org        *org;
	struct node       *project, *trunk;
	bool               waiting;
	int                deficit;
	int                want;        /* index in the plan, -1 outside of it */
	struct id          low;         /* nothing visible waits at or below   */
	int64_t            since_us;    /* since when the call claimed last had waited, mono; may be
	                                 * before the machine's start; INT64_MAX: not known */
	TAILQ_ENTRY(lane)  link;
};
TAILQ_HEAD(lane_list, lane);

struct org {
	struct node      node;          /* first */
	bool             active;        /* on the ring */
	int              deficit;
	struct lane_list waiting;
	TAILQ_ENTRY(org) link;
};
TAILQ_HEAD(org_list, org);

struct tenants {
	struct place  **heads;
	size_t          n, size;
	struct org_list ring;
	unsigned        generation;
	int             start_tokens;   /* a new bucket holds so many */
	int64_t         ageing_us;      /* waiting so long raises the priority by one; 0: never */
	bool            unknown;        /* somebody's limits were missing: read them again */
};

void tenants_init(struct tenants *t);
void tenants_done(struct tenants *t);

/* Find, or make. */
struct lane *tenants_lane(struct tenants *t, const struct lane_key *key, int64_t now_us);
struct org  *tenants_org(struct tenants *t, int64_t org_id, int64_t now_us);
struct node *tenants_project(struct tenants *t, int64_t org_id, int32_t project_id, int64_t now_us);
struct node *tenants_trunk(struct tenants *t, int64_t org_id, int32_t trunk_id, int64_t now_us);

/* All limits of all owned shards: what is not among them is switched off. */
void tenants_limits(struct tenants *t, const struct limit_row *rows, size_t n, int64_t now_us);
/* What other gateways have in flight: replaces what was known. */
void tenants_counts(struct tenants *t, const struct count_row *rows, size_t n, int64_t now_us);

/* Something may wait there, perhaps older than what was claimed last. */
void tenants_wait(struct tenants *t, const struct lane_key *key, int64_t now_us);
void lane_drained(struct tenants *t, struct lane *lane);
/* Claim from the heads again: late commits and returned calls lie below the low bounds. */
void tenants_reset_lows(struct tenants *t);

/* A trunk whose provider is not there is given a rest that doubles, and then one call finds out
 * whether it is back: thousands that wait are not claimed only to be put back. */
void trunk_rests(struct node *trunk, int64_t now_us);
void trunk_tries(struct node *trunk, int64_t now_us);   /* a call of it was claimed */
void trunk_serves(struct node *trunk);

/* Forgets lanes of shards that are no longer ours, and nodes nobody needs. */
void tenants_prune(struct tenants *t, uint64_t owned);

static inline bool shard_owned(uint64_t owned, int64_t org_id)
{
	return owned >> (uint64_t)(org_id % SHARD_COUNT) & 1;
}

#endif
