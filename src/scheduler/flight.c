/* The in-flight table. */
#include "flight.h"

#include <assert.h>
#include <stdlib.h>

#include "callgate/mem.h"
#include "callgate/text.h"

void flights_init(struct flights *fs)
{
	*fs = (struct flights){ 0 };
	TAILQ_INIT(&fs->ready);
	TAILQ_INIT(&fs->dial);
	TAILQ_INIT(&fs->dirty);
}

void flights_done(struct flights *fs)
{
	for (size_t i = 0; i < fs->map.size; i++)
		while (fs->map.heads[i])
			flight_free(fs, (struct flight *)(void *)fs->map.heads[i]);
	idmap_done(&fs->map);
	heap_done(&fs->timers);
}

static void count(struct flight *f, int by)
{
	f->org->mine += by;
	f->project->mine += by;
	f->trunk->mine += by;
}

struct flight *flight_new(struct flights *fs, struct tenants *t, struct inflight *in, int64_t now_ms)
{
	struct flight *f = xcalloc(1, sizeof *f);
	int64_t now_us = now_ms * 1000;

	f->node.id = in->call_id;
	f->lane = in->lane;
	f->org = &tenants_org(t, in->lane.org_id, now_us)->node;
	f->project = tenants_project(t, in->lane.org_id, in->lane.project_id, now_us);
	f->trunk = tenants_trunk(t, in->lane.org_id, in->lane.trunk_id, now_us);
	f->attempt = in->attempt;
	f->spent = in->spent;
	f->phase = in->phase;
	f->state = in->state;
	f->ring_timeout_s = in->ring_timeout_s;
	f->max_duration_s = in->max_duration_s;
	f->wait_for_agent_s = in->wait_for_agent_s;
	f->bound_at = now_ms + in->left_ms;
	f->due_at = now_ms - in->waited_ms;
	f->expires_at = after_ms(now_ms, in->expires_ms);
	f->canceled = f->unheard = in->cancel;
	f->intent_at = now_ms - (in->since_ms > 0 ? in->since_ms : 0);
	str_copy(f->from, sizeof f->from, in->from);
	str_copy(f->to, sizeof f->to, in->to);
	f->variables = TAKE(in->variables);
	f->agent = TAKE(in->agent);
	f->trunk_ref = TAKE(in->trunk_ref);
	/* Most trunks have no settings of their own: not worth a string for each call. */
	f->trunk_config = in->trunk_config && !str_eq(in->trunk_config, "{}") ? TAKE(in->trunk_config) : NULL;
	f->provider_ref = TAKE(in->provider_ref);
	count(f, +1);
	idmap_add(&fs->map, &f->node);
	flight_set_timer(fs, f);
	return f;
}

void flight_free(struct flights *fs, struct flight *f)
{
	flight_release(f);
	count(f, -1);
	flight_unwork(fs, f);
	if (f->dirty)
		TAILQ_REMOVE(&fs->dirty, f, dirty_link);
	heap_remove(&fs->timers, &f->timer);
	idmap_remove(&fs->map, &f->node);
	free(f->variables);
	free(f->agent);
	free(f->trunk_ref);
	free(f->trunk_config);
	free(f->provider_ref);
	free(f);
}

struct flight *flight_find(const struct flights *fs, const struct id *call_id)
{
	return (struct flight *)(void *)idmap_get(&fs->map, call_id);
}

void flight_set_timer(struct flights *fs, struct flight *f)
{
	int64_t at = f->bound_at;

	if (f->ask_at && (f->ask_at < at || f->ended))
		at = f->ask_at;
	if (f->ended && !f->ask_at)
		heap_remove(&fs->timers, &f->timer);
	else
		heap_set(&fs->timers, &f->timer, at);
}

void flight_mark(struct flights *fs, struct flight *f)
{
	if (f->dirty)
		return;
	f->dirty = true;
	TAILQ_INSERT_TAIL(&fs->dirty, f, dirty_link);
}

void flight_work(struct flight_list *list, struct flight *f)
{
	assert(!f->working);
	f->working = true;
	TAILQ_INSERT_TAIL(list, f, work);
}

/* The stage tells which list it is on. */
void flight_unwork(struct flights *fs, struct flight *f)
{
	if (!f->working)
		return;
	f->working = false;
	if (f->stage == STAGE_INTENDED)
		TAILQ_REMOVE(&fs->dial, f, work);
	else
		TAILQ_REMOVE(&fs->ready, f, work);
}

void flight_spend(struct flight *f, int64_t now_us)
{
	if (f->paced) {
		pace_spend(&f->org->pace, 1, now_us);
		pace_spend(&f->project->pace, 1, now_us);
		pace_spend(&f->trunk->pace, 1, now_us);
	}
	if (f->gated)
		pace_spend(&f->trunk->gate, 1, now_us);
	f->paced = f->gated = false;
}

void flight_release(struct flight *f)
{
	if (f->paced) {
		pace_release(&f->org->pace, 1);
		pace_release(&f->project->pace, 1);
		pace_release(&f->trunk->pace, 1);
	}
	if (f->gated)
		pace_release(&f->trunk->gate, 1);
	f->paced = f->gated = false;
}

struct call_ref flight_ref(const struct flight *f)
{
	return (struct call_ref){ f->lane.org_id, f->node.id, f->attempt };
}

struct dial_request flight_request(const struct flight *f, int64_t now_ms)
{
	return (struct dial_request){
		.call_id = f->node.id, .org_id = f->lane.org_id, .attempt = f->attempt,
		.from = f->from, .to = f->to, .variables = f->variables, .agent = f->agent,
		.ring_timeout_s = f->ring_timeout_s, .max_duration_s = f->max_duration_s,
		.wait_for_agent_s = f->wait_for_agent_s,
		.trunk_ref = f->trunk_ref, .trunk_config = f->trunk_config ? f->trunk_config : "{}",
		.provider_ref = f->provider_ref, .since_ms = now_ms - f->intent_at, .phase = f->phase,
		.answered = f->state >= CALL_IN_PROGRESS,
	};
}
