/* The livekit driver's table. The functions are called on the scheduler's thread: they
 * read the trunk's settings, look at the breakers, and send an order to the net's thread,
 * where the attempts live. */
#include "callgate/livekit.h"

#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/version.h"
#include "livekit_attempt.h"
#include "livekit_name.h"
#include "livekit_notice.h"

#define IDLE_CONNECTIONS 64
#define REQUESTS_SPARE   1024
#define STOP_MS          2000

static struct livekit *of(struct provider *p)
{
	return (struct livekit *)p;
}

/* ── a trunk's project ──────────────────────────────────────────────────────────── */

static enum err find_secret(struct livekit *lk, const char *name, char **out, struct errinfo *e)
{
	*out = lk->secret ? lk->secret(lk->secret_arg, name) : NULL;
	return *out ? OK : err_set(e, ERR_INVALID, "the trunk names %s, which is not set in this gateway's environment", name);
}

static void secret_free(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
}

static enum err find_project(struct livekit *lk, const struct wire_livekit_trunk *t, struct project **out,
                             struct errinfo *e)
{
	CLEANUP(secret_free) char *secret = NULL;
	enum err err;

	if (!t->url && !lk->projects.fallback)
		return err_set(e, ERR_INVALID, "LIVEKIT_URL is not set, and the trunk names no LiveKit project of its own");
	if (!t->url) {
		*out = lk->projects.fallback;
		return OK;
	}
	err = find_secret(lk, t->api_secret_name, &secret, e);
	return err ? err : projects_get(&lk->projects, t->url, t->api_key, secret, out, e);
}

/* ── an attempt ─────────────────────────────────────────────────────────────────── */

static struct livekit_name attempt_name(const struct dial_request *rq)
{
	return (struct livekit_name){ rq->org_id, rq->call_id, rq->attempt };
}

static void attempt_freep(struct attempt **a)
{
	if (*a)
		attempt_free(*a);
}

enum err livekit_attempt_new(struct livekit *lk, const struct dial_request *rq, struct attempt **out,
                             struct errinfo *e)
{
	CLEANUP(attempt_freep) struct attempt *a = NULL;
	const struct livekit_name name = attempt_name(rq);
	enum err err;

	if (atomic_fetch_add(&lk->alive, 1) >= lk->max_calls) {
		atomic_fetch_sub(&lk->alive, 1);
		return err_set(e, ERR_UNAVAILABLE, "%d LiveKit calls are under way already", lk->max_calls);
	}
	a = xcalloc(1, sizeof *a);
	a->lk = lk;
	a->node.id = rq->call_id;
	a->org_id = rq->org_id;
	a->attempt = rq->attempt;
	a->ring_timeout_s = rq->ring_timeout_s;
	a->max_duration_s = rq->max_duration_s;
	a->dialed_at = mono_ms() - (rq->since_ms > 0 ? rq->since_ms : 0);
	a->undialed = rq->phase == 0;
	a->seen = rq->phase == 3;
	a->answered = rq->answered;
	if (!livekit_name_identity(&name, a->identity))
		return err_set(e, ERR_INTERNAL, "attempt %d of organization %lld has no name", rq->attempt, (long long)rq->org_id);
	if (rq->provider_ref)
		str_copy(a->room, sizeof a->room, rq->provider_ref);
	err = wire_livekit_trunk_read(rq->trunk_config ? rq->trunk_config : "{}", &a->config, e);
	if (!err)
		err = find_project(lk, &a->config, &a->project, e);
	if (!err)
		*out = TAKE(a);
	return err;
}

static enum err add_trunk(struct attempt *a, const struct dial_request *rq, struct errinfo *e)
{
	const char *name = rq->trunk_ref && *rq->trunk_ref ? rq->trunk_ref : a->config.hostname;

	if (!name)
		return err_set(e, ERR_INVALID, "the trunk has neither a LiveKit trunk id (ST_...) nor a hostname");
	a->trunk_id = name == a->config.hostname ? NULL : xstrdup(name);
	a->trunk = projects_trunk(&a->lk->projects, a->project, rq->org_id, name);
	if (!a->trunk_id && a->config.auth_password_name)
		return find_secret(a->lk, a->config.auth_password_name, &a->auth_password, e);
	return OK;
}

/* ── the table ──────────────────────────────────────────────────────────────────── */

static enum err lk_prepare(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	CLEANUP(attempt_freep) struct attempt *a = NULL;
	struct livekit *lk = of(p);
	const struct livekit_name name = attempt_name(rq);
	enum err err = livekit_attempt_new(lk, rq, &a, e);

	if (!err)
		err = add_trunk(a, rq, e);
	if (!err && !livekit_name_room(&name, a->room))
		err = err_set(e, ERR_INTERNAL, "attempt %d has no name", rq->attempt);
	if (!err)
		err = projects_admit(&lk->projects, a->project, a->trunk, e);
	if (err)
		return err;
	a->seen = a->answered = false;
	a->dialed_at = 0;
	str_copy(a->from, sizeof a->from, rq->from);
	str_copy(a->to, sizeof a->to, rq->to);
	a->variables = rq->variables ? xstrdup(rq->variables) : NULL;
	a->agent = rq->agent ? xstrdup(rq->agent) : NULL;
	a->wait_for_agent_s = a->config.wait_for_agent_s;
	if (rq->wait_for_agent_s > a->wait_for_agent_s)
		a->wait_for_agent_s = rq->wait_for_agent_s;
	net_run(lk->net, attempt_prepare, TAKE(a));
	return OK;
}

static enum err lk_dial(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	CLEANUP(attempt_freep) struct attempt *a = NULL;
	struct livekit *lk = of(p);
	enum err err = livekit_attempt_new(lk, rq, &a, e);

	if (!err)
		err = add_trunk(a, rq, e);
	if (err)
		return err;
	err = projects_blocks(&lk->projects, a->project, a->trunk, e);
	a->undialed = true;
	net_run(lk->net, err ? attempt_hangup : attempt_dial, TAKE(a));
	return err;
}

static enum err lk_lookup(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	struct attempt *a = NULL;
	enum err err = livekit_attempt_new(of(p), rq, &a, e);

	if (!err)
		net_run(of(p)->net, attempt_lookup, a);
	return err;
}

static enum err lk_hangup(struct provider *p, const struct dial_request *rq, struct errinfo *e)
{
	struct attempt *a = NULL;
	enum err err = livekit_attempt_new(of(p), rq, &a, e);

	if (!err)
		net_run(of(p)->net, attempt_hangup, a);
	return err;
}

/* Rooms of calls that were put back are being deleted: a moment for that, or their agents
 * wait in them until they close by themselves. */
static void stop_when_swept(void *arg)
{
	struct livekit *lk = arg;

	if (lk->n_sweeps + lk->n_unmade > 0 && mono_ms() < lk->stop_by)
		net_after(lk->net, 20, stop_when_swept, lk);
	else
		sem_post(&lk->quiet);
}

/* Orders that wait in the net's queue run before this, and see that it is too late. */
static void stop_net(struct livekit *lk)
{
	if (!lk->net)
		return;
	atomic_store(&lk->stopping, true);
	lk->stop_by = mono_ms() + STOP_MS;
	net_run(lk->net, stop_when_swept, lk);
	while (sem_wait(&lk->quiet) != 0)
		;
	net_free(lk->net);
}

static void lk_free(struct provider *p)
{
	struct livekit *lk = of(p);
	struct attempt *a;
	struct sweep *s;

	if (!lk)
		return;
	stop_net(lk);
	while ((a = LIST_FIRST(&lk->attempts))) {
		LIST_REMOVE(a, link);
		attempt_free(a);
	}
	while ((s = LIST_FIRST(&lk->sweeps))) {
		LIST_REMOVE(s, link);
		free(s);
	}
	idmap_done(&lk->map);
	heap_done(&lk->timers);
	projects_done(&lk->projects);
	sem_destroy(&lk->quiet);
	free(lk);
}

/* Only whose signature counts is wanted; a trunk whose secret is not here cannot be used here either,
 * and `callgate doctor` says so. */
static void lk_learn(struct provider *p, const char *config)
{
	struct livekit *lk = of(p);
	struct wire_livekit_trunk trunk;
	struct project *project;
	struct errinfo e;
	enum err err = wire_livekit_trunk_read(config, &trunk, &e);

	if (!err && trunk.url && projects_spacious(&lk->projects))
		err = find_project(lk, &trunk, &project, &e);
	if (err)
		LOG_DEBUG("livekit.not_learned", LOG_STR("key", trunk.api_key ? trunk.api_key : ""), LOG_STR("error", e.text));
	wire_livekit_trunk_done(&trunk);
}

static const char *const sender_members[] = { "url", "apiKey", "apiSecretEnv", NULL };

static void lk_breakers(struct provider *p, struct provider_breakers *sum)
{
	projects_breakers(&of(p)->projects, sum);
}

static const struct provider_ops ops = {
	.name    = "livekit",
	.prepare = lk_prepare,
	.dial    = lk_dial,
	.lookup  = lk_lookup,
	.hangup  = lk_hangup,
	.check   = livekit_check,
	.sender_members = sender_members,
	.learn   = lk_learn,
	.hear    = livekit_hear,
	.breakers = lk_breakers,
	.free    = lk_free,
};

size_t livekit_states(struct provider *p, struct livekit_state *out, size_t max)
{
	return projects_states(&of(p)->projects, out, max);
}

/* ── making it ──────────────────────────────────────────────────────────────────── */

static int or_usual(int given, int usual)
{
	return given > 0 ? given : usual;
}

static struct livekit_pace usual_pace(const struct livekit_pace *given)
{
	int talk_poll_ms = or_usual(given->talk_poll_ms, 7000);

	return (struct livekit_pace){
		.first_poll_ms  = or_usual(given->first_poll_ms, 1500),
		.ring_poll_ms   = or_usual(given->ring_poll_ms, 4000),
		.talk_poll_ms   = talk_poll_ms,
		.agent_poll_ms  = or_usual(given->agent_poll_ms, 400),
		.close_ms       = or_usual(given->close_ms, 300),
		.word_ms        = or_usual(given->word_ms, 10000),
		.stale_ms       = or_usual(given->stale_ms, 12000),
		.proof_ms       = or_usual(given->proof_ms, 2500),
		.polls_per_s    = or_usual(given->polls_per_s, 500),
		.departure_s    = or_usual(given->departure_s, 120 + 2 * (talk_poll_ms / 1000)),
		.server_slack_s = or_usual(given->server_slack_s, 15),
	};
}

static void livekit_freep(struct livekit **lk)
{
	if (*lk)
		lk_free(&(*lk)->base);
}

enum err livekit_new(const struct livekit_config *c, provider_event_fn *on_event, void *arg, struct provider **out,
                     struct errinfo *e)
{
	CLEANUP(livekit_freep) struct livekit *lk = xcalloc(1, sizeof *lk);
	const struct net_config net = {
		.ca_file = c->ca_file, .user_agent = "callgate/" CALLGATE_VERSION,
		.max_requests = 2 * c->max_calls + REQUESTS_SPARE, .idle_connections = IDLE_CONNECTIONS,
	};
	enum err err = OK;

	lk->base.ops = &ops;
	lk->on_event = on_event;
	lk->arg = arg;
	lk->max_calls = 2 * c->max_calls + REQUESTS_SPARE;      /* orders are attempts, for a moment */
	lk->pace = usual_pace(&c->pace);
	lk->secret = c->secret;
	lk->secret_arg = c->secret_arg;
	LIST_INIT(&lk->attempts);
	LIST_INIT(&lk->sweeps);
	projects_init(&lk->projects);
	sem_init(&lk->quiet, 0, 0);
	if (c->url)
		err = projects_get(&lk->projects, c->url, c->api_key, c->api_secret, &lk->projects.fallback, e);
	if (!err)
		err = net_new(&net, &lk->net, e);
	if (!err)
		*out = &TAKE(lk)->base;
	return err;
}
