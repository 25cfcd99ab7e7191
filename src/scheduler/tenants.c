/* Organizations, projects, trunks and lanes, in one hash table. */
#include "tenants.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"

/* ── finding ────────────────────────────────────────────────────────────────────── */

static uint64_t hash_of(const struct lane_key *k)
{
	uint64_t h = (uint64_t)k->org_id * 0x9E3779B97F4A7C15u;

	h = (h ^ (uint32_t)k->project_id) * 0xBF58476D1CE4E5B9u;
	h = (h ^ (uint32_t)k->trunk_id) * 0x94D049BB133111EBu;
	h = (h ^ (uint16_t)k->prio) * 0x9E3779B97F4A7C15u;
	return h ^ h >> 32;
}

static bool same(const struct lane_key *a, const struct lane_key *b)
{
	return a->org_id == b->org_id && a->project_id == b->project_id &&
	       a->trunk_id == b->trunk_id && a->prio == b->prio;
}

static void link_place(struct tenants *t, struct place *p)
{
	struct place **head = &t->heads[hash_of(&p->key) & (t->size - 1)];

	p->next = *head;
	*head = p;
}

static void grow(struct tenants *t)
{
	struct tenants old = *t;

	t->size = old.size ? old.size * 2 : 64;
	t->heads = xcalloc(t->size, sizeof *t->heads);
	for (size_t i = 0; i < old.size; i++) {
		for (struct place *p = old.heads[i], *next; p; p = next) {
			next = p->next;
			link_place(t, p);
		}
	}
	free(old.heads);
}

/* The place of that key; a new one has `size` zero bytes and *made set. */
static struct place *place(struct tenants *t, const struct lane_key *key, size_t size, bool *made)
{
	struct place *p = t->size ? t->heads[hash_of(key) & (t->size - 1)] : NULL;

	while (p && !same(&p->key, key))
		p = p->next;
	*made = !p;
	if (p)
		return p;
	if (t->n >= t->size)
		grow(t);
	p = xcalloc(1, size);
	p->key = *key;
	link_place(t, p);
	t->n++;
	return p;
}

static void init_node(struct tenants *t, struct node *n, int64_t now_us)
{
	n->limits = (struct limits){ 1, -1, -1, 1 };
	pace_init(&n->pace, t->start_tokens, now_us);
	pace_init(&n->gate, t->start_tokens, now_us);
}

static struct node *node(struct tenants *t, const struct lane_key *key, size_t size, int64_t now_us,
                         bool *made)
{
	struct node *n = (struct node *)(void *)place(t, key, size, made);

	if (*made)
		init_node(t, n, now_us);
	return n;
}

/* Keys of nodes: -1 tells an organization, -2 a project, -3 a trunk. */
enum { PRIO_ORG = -1, PRIO_PROJECT = -2, PRIO_TRUNK = -3 };

struct org *tenants_org(struct tenants *t, int64_t org_id, int64_t now_us)
{
	struct lane_key key = { org_id, 0, 0, PRIO_ORG };
	bool made;
	struct org *org = (struct org *)(void *)node(t, &key, sizeof *org, now_us, &made);

	if (made)
		TAILQ_INIT(&org->waiting);
	return org;
}

struct node *tenants_project(struct tenants *t, int64_t org_id, int32_t project_id, int64_t now_us)
{
	struct lane_key key = { org_id, project_id, 0, PRIO_PROJECT };
	bool made;

	return node(t, &key, sizeof(struct node), now_us, &made);
}

struct node *tenants_trunk(struct tenants *t, int64_t org_id, int32_t trunk_id, int64_t now_us)
{
	struct lane_key key = { org_id, 0, trunk_id, PRIO_TRUNK };
	bool made;
	struct node *n = node(t, &key, sizeof *n, now_us, &made);

	/* Trunk 0 is the simulator of test keys: it has no row, and so no limits. */
	if (trunk_id == 0)
		n->known = n->enabled = true;
	return n;
}

struct lane *tenants_lane(struct tenants *t, const struct lane_key *key, int64_t now_us)
{
	bool made;
	struct lane *lane = (struct lane *)(void *)place(t, key, sizeof *lane, &made);

	assert(key->prio >= 0);
	if (!made)
		return lane;
	lane->want = -1;
	lane->since_us = INT64_MAX;
	lane->org = tenants_org(t, key->org_id, now_us);
	lane->project = tenants_project(t, key->org_id, key->project_id, now_us);
	lane->trunk = tenants_trunk(t, key->org_id, key->trunk_id, now_us);
	lane->org->node.lanes++;
	lane->project->lanes++;
	lane->trunk->lanes++;
	return lane;
}

/* ── limits and counts ──────────────────────────────────────────────────────────── */

static struct node *row_node(struct tenants *t, const struct limit_row *r, int64_t now_us)
{
	if (r->project_id)
		return tenants_project(t, r->org_id, r->project_id, now_us);
	if (r->trunk_id)
		return tenants_trunk(t, r->org_id, r->trunk_id, now_us);
	return &tenants_org(t, r->org_id, now_us)->node;
}

static bool is_trunk_0(const struct place *p)
{
	return p->key.prio == PRIO_TRUNK && p->key.trunk_id == 0;
}

void tenants_limits(struct tenants *t, const struct limit_row *rows, size_t n, int64_t now_us)
{
	t->generation++;
	t->unknown = false;
	for (size_t i = 0; i < n; i++) {
		struct node *node = row_node(t, &rows[i], now_us);

		node->limits = rows[i].limits;
		node->enabled = rows[i].enabled;
		node->known = true;
		node->seen = t->generation;
		pace_limit(&node->pace, node->limits.cps_milli, node->limits.burst, now_us);
		pace_limit(&node->gate, node->limits.cps_milli, node->limits.burst, now_us);
	}
	for (size_t i = 0; i < t->size; i++) {
		for (struct place *p = t->heads[i]; p; p = p->next) {
			struct node *node = (struct node *)(void *)p;

			if (p->key.prio >= 0 || is_trunk_0(p) || node->seen == t->generation)
				continue;
			node->enabled = false;
		}
	}
}

void tenants_counts(struct tenants *t, const struct count_row *rows, size_t n, int64_t now_us)
{
	for (size_t i = 0; i < t->size; i++)
		for (struct place *p = t->heads[i]; p; p = p->next)
			if (p->key.prio < 0)
				((struct node *)(void *)p)->others = 0;
	for (size_t i = 0; i < n; i++) {
		tenants_org(t, rows[i].org_id, now_us)->node.others += rows[i].count;
		tenants_project(t, rows[i].org_id, rows[i].project_id, now_us)->others += rows[i].count;
		tenants_trunk(t, rows[i].org_id, rows[i].trunk_id, now_us)->others += rows[i].count;
	}
}

/* ── lanes ──────────────────────────────────────────────────────────────────────── */

void tenants_wait(struct tenants *t, const struct lane_key *key, int64_t now_us)
{
	struct lane *lane = tenants_lane(t, key, now_us);
	struct org *org = lane->org;

	lane->low = (struct id){ { 0 } };
	if (lane->waiting)
		return;
	lane->waiting = true;
	lane->deficit = 0;
	TAILQ_INSERT_TAIL(&org->waiting, lane, link);
	if (!org->active) {
		org->active = true;
		org->deficit = 0;
		TAILQ_INSERT_TAIL(&t->ring, org, link);
	}
}

void lane_drained(struct tenants *t, struct lane *lane)
{
	struct org *org = lane->org;

	if (!lane->waiting)
		return;
	lane->waiting = false;
	lane->since_us = INT64_MAX;
	TAILQ_REMOVE(&org->waiting, lane, link);
	if (TAILQ_EMPTY(&org->waiting)) {
		org->active = false;
		TAILQ_REMOVE(&t->ring, org, link);
	}
}

void tenants_reset_lows(struct tenants *t)
{
	struct org *org;
	struct lane *lane;

	TAILQ_FOREACH(org, &t->ring, link)
		TAILQ_FOREACH(lane, &org->waiting, link)
			lane->low = (struct id){ { 0 } };
}

/* ── trunks at rest ─────────────────────────────────────────────────────────────── */

#define REST_MIN_MS 250
#define REST_MAX_MS 5000

void trunk_rests(struct node *trunk, int64_t now_us)
{
	/* Those that were claimed before the first refusal say nothing new. */
	if (trunk->rest_ms && now_us < trunk->rests_until && !trunk->trying)
		return;
	trunk->rest_ms = trunk->rest_ms ? trunk->rest_ms * 2 : REST_MIN_MS;
	if (trunk->rest_ms > REST_MAX_MS)
		trunk->rest_ms = REST_MAX_MS;
	trunk->trying = false;
	trunk->rests_until = now_us + (int64_t)trunk->rest_ms * 1000;
}

/* Another one follows when nothing was heard of it for as long. */
void trunk_tries(struct node *trunk, int64_t now_us)
{
	if (!trunk->rest_ms || now_us < trunk->rests_until)
		return;
	trunk->trying = true;
	trunk->rests_until = now_us + (int64_t)trunk->rest_ms * 1000;
}

void trunk_serves(struct node *trunk)
{
	trunk->rest_ms = 0;
	trunk->trying = false;
}

/* ── forgetting ─────────────────────────────────────────────────────────────────── */

/* Visits every place; what `drop` says yes to is unlinked and freed. */
static void sweep(struct tenants *t, bool (*drop)(struct tenants *t, struct place *p, uint64_t owned),
                  uint64_t owned)
{
	for (size_t i = 0; i < t->size; i++) {
		for (struct place **at = &t->heads[i]; *at;) {
			struct place *p = *at;

			if (!drop(t, p, owned)) {
				at = &p->next;
				continue;
			}
			*at = p->next;
			free(p);
			t->n--;
		}
	}
}

static bool drop_lane(struct tenants *t, struct place *p, uint64_t owned)
{
	struct lane *lane = (struct lane *)(void *)p;

	if (p->key.prio < 0 || shard_owned(owned, p->key.org_id))
		return false;
	lane_drained(t, lane);
	lane->org->node.lanes--;
	lane->project->lanes--;
	lane->trunk->lanes--;
	return true;
}

static bool drop_node(struct tenants *t, struct place *p, uint64_t owned)
{
	struct node *n = (struct node *)(void *)p;

	(void)t;
	if (p->key.prio >= 0 || n->lanes || n->mine || n->pace.reserved || n->gate.reserved)
		return false;
	/* A row of an owned shard that was read last time keeps its bucket. */
	return !shard_owned(owned, p->key.org_id) || (!n->enabled && !n->others);
}

void tenants_prune(struct tenants *t, uint64_t owned)
{
	sweep(t, drop_lane, owned);
	sweep(t, drop_node, owned);
}

void tenants_init(struct tenants *t)
{
	*t = (struct tenants){ .start_tokens = 1 };
	TAILQ_INIT(&t->ring);
}

static bool drop_any(struct tenants *t, struct place *p, uint64_t owned)
{
	(void)t, (void)p, (void)owned;
	return true;
}

void tenants_done(struct tenants *t)
{
	sweep(t, drop_any, 0);
	free(t->heads);
	t->heads = NULL;
	t->size = 0;
}
