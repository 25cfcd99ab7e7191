/* The token bucket. */
#include "pace.h"

#include <assert.h>
#include <limits.h>

/* The fraction of a token that has grown above a full bucket is kept, or a scheduler that
 * wakes a little late would lose it every time and never reach the pace. It is kept small
 * enough that no second sees a whole call more than pace and burst allow. */
static double ceiling(const struct pace *p)
{
	return p->burst + (1000 - p->cps_milli % 1000) / 1000.0 * 0.999;
}

static void refill(struct pace *p, int64_t now_us)
{
	if (p->cps_milli > 0 && now_us > p->at_us) {
		double grown = p->level + (double)(now_us - p->at_us) * p->cps_milli / 1e9;

		p->level = grown > ceiling(p) ? ceiling(p) : grown;
	}
	if (now_us > p->at_us)
		p->at_us = now_us;
}

void pace_init(struct pace *p, int tokens, int64_t now_us)
{
	*p = (struct pace){ .cps_milli = -1, .burst = 1, .level = tokens, .at_us = now_us };
}

void pace_limit(struct pace *p, int cps_milli, int burst, int64_t now_us)
{
	refill(p, now_us);
	if (p->cps_milli < 0 && cps_milli >= 0 && p->level > 1)
		p->level = 1;
	p->cps_milli = cps_milli;
	p->burst = burst < 1 ? 1 : burst;
	if (cps_milli >= 0 && p->level > ceiling(p))
		p->level = ceiling(p);
}

int pace_room(struct pace *p, int64_t now_us)
{
	int whole;

	if (p->cps_milli < 0)
		return INT_MAX;
	if (p->cps_milli == 0)
		return 0;
	refill(p, now_us);
	whole = (int)(p->level + 1e-9);
	return whole > p->reserved ? whole - p->reserved : 0;
}

int64_t pace_ready_us(struct pace *p, int64_t now_us)
{
	double missing;

	if (p->cps_milli == 0)
		return INT64_MAX;
	if (pace_room(p, now_us) > 0)
		return now_us;
	missing = p->reserved + 1 - p->level;
	return now_us + (int64_t)(missing * 1e9 / p->cps_milli) + 1;
}

void pace_reserve(struct pace *p, int n)
{
	p->reserved += n;
}

void pace_release(struct pace *p, int n)
{
	assert(p->reserved >= n);
	p->reserved -= n;
}

void pace_spend(struct pace *p, int n, int64_t now_us)
{
	pace_release(p, n);
	if (p->cps_milli < 0)
		return;
	refill(p, now_us);
	p->level -= n;
}
