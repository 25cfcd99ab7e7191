/* The set of nudged lanes: open addressing, emptied whole. */
#include "nudge.h"

#include <stdint.h>
#include <string.h>

void nudges_init(struct nudges *s)
{
	memset(s, 0, sizeof *s);
	pthread_mutex_init(&s->mutex, NULL);
}

void nudges_done(struct nudges *s)
{
	pthread_mutex_destroy(&s->mutex);
}

static bool same(const struct lane_key *a, const struct lane_key *b)
{
	return a->org_id == b->org_id && a->project_id == b->project_id &&
	       a->trunk_id == b->trunk_id && a->prio == b->prio;
}

static size_t hash_of(const struct lane_key *k)
{
	uint64_t h = (uint64_t)k->org_id * 0x9E3779B97F4A7C15u;

	h ^= (uint64_t)(uint32_t)k->project_id << 32 | (uint32_t)k->trunk_id;
	h = (h ^ (uint16_t)k->prio) * 0xBF58476D1CE4E5B9u;
	return (size_t)(h >> 40);
}

bool nudges_add(struct nudges *s, const struct lane_key *lane)
{
	size_t at = hash_of(lane);
	bool first;

	pthread_mutex_lock(&s->mutex);
	first = s->n == 0;
	for (;; at++) {
		short *slot = &s->slots[at % (2 * NUDGES_MAX)];

		if (*slot && same(&s->lanes[*slot - 1], lane))
			break;
		if (*slot)
			continue;
		if (s->n == NUDGES_MAX) {
			s->overflow = true;
			break;
		}
		s->lanes[s->n++] = *lane;
		*slot = (short)s->n;
		break;
	}
	pthread_mutex_unlock(&s->mutex);
	return first;
}

size_t nudges_take(struct nudges *s, struct lane_key *out, bool *overflow)
{
	size_t n;

	pthread_mutex_lock(&s->mutex);
	n = s->n;
	memcpy(out, s->lanes, n * sizeof *out);
	*overflow = s->overflow;
	if (n)
		memset(s->slots, 0, sizeof s->slots);
	s->n = 0;
	s->overflow = false;
	pthread_mutex_unlock(&s->mutex);
	return n;
}
