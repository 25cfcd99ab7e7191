/* Pace: a token bucket of calls per second with burst. Pure; time is an argument and
 * monotonic.
 *
 * A token is reserved when a call is claimed and spent when it is dialed. Spending it at
 * the claim would let a stalled database bunch dials: those that waited go out together
 * with those whose tokens grew meanwhile. */
#ifndef SCHEDULER_PACE_H
#define SCHEDULER_PACE_H

#include <stdint.h>

struct pace {
	int     cps_milli;      /* calls per 1000 s; -1: no limit */
	int     burst;
	int     reserved;
	double  level;          /* tokens at `at_us`              */
	int64_t at_us;
};

/* A new owner cannot know what was dialed a moment ago: it starts with one token at most. */
void    pace_init(struct pace *p, int tokens, int64_t now_us);
void    pace_limit(struct pace *p, int cps_milli, int burst, int64_t now_us);

int     pace_room(struct pace *p, int64_t now_us);      /* that may be reserved now; INT_MAX: any */
int64_t pace_ready_us(struct pace *p, int64_t now_us);  /* when there is room for one; INT64_MAX: never */

void    pace_reserve(struct pace *p, int n);
void    pace_release(struct pace *p, int n);            /* not dialed */
void    pace_spend(struct pace *p, int n, int64_t now_us);      /* reserved before, dialed now */

#endif
