/* One attempt, from its room to the answer of the dial; livekit_follow.c goes on from
 * there. Everything runs on the net's thread, one thing at a time. */
#include "livekit_attempt.h"

#include <stdio.h>
#include <stdlib.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "livekit_token.h"

/* Nobody in it: closed after that. Long enough for a database that takes its time between
 * READY and dial(), and for one that is away a while. */
#define ROOM_EMPTY_S     300
#define UNASKED_MS       120000
/* Still not ringing so shortly before its time was over: it never did. */
#define MUTE_MS          2500
/* By then LiveKit has given up a trunk that said nothing at all, in other words than "timed out". */
#define INVITE_S         32
/* A trunk that spoke so shortly ago is there, and who did not answer is the callee. */
#define SPOKE_MS         300000
/* Refused later than that, it may have rung at a carrier that never says so. */
#define PROMPT_MS        5000

/* ── memory and timers ──────────────────────────────────────────────────────────── */

int attempt_jitter(int ms)
{
	return ms * 3 / 4 + (int)(mono_us() % (ms / 2 + 1));
}

static void forget_request(struct attempt *a)
{
	free(TAKE(a->variables));
	free(TAKE(a->agent));
	free(TAKE(a->trunk_id));
	if (a->auth_password)
		explicit_bzero(a->auth_password, strlen(a->auth_password));
	free(TAKE(a->auth_password));
	wire_livekit_trunk_done(&a->config);
}

void attempt_free(struct attempt *a)
{
	atomic_fetch_sub(&a->lk->alive, 1);
	forget_request(a);
	free(a);
}

bool attempt_refused(struct attempt *a)
{
	if (!atomic_load(&a->lk->stopping))
		return false;
	attempt_free(a);
	return true;
}

struct attempt *attempt_find(struct attempt *like)
{
	struct attempt *a = (struct attempt *)(void *)idmap_get(&like->lk->map, &like->node.id);

	return a && a->attempt == like->attempt ? a : NULL;
}

void attempt_enter(struct attempt *a)
{
	struct attempt *old = (struct attempt *)(void *)idmap_get(&a->lk->map, &a->node.id);

	if (old)                /* of an earlier attempt, or left behind */
		attempt_leave(old);
	idmap_add(&a->lk->map, &a->node);
	LIST_INSERT_HEAD(&a->lk->attempts, a, link);
}

static void tick(void *arg);

static void set_tick(struct livekit *lk)
{
	struct heap_node *first = heap_first(&lk->timers);
	int64_t now = mono_ms();

	if (!first || (lk->tick_at && lk->tick_at <= first->key))
		return;
	lk->tick_at = first->key > now ? first->key : now + 1;
	net_after(lk->net, (int)(lk->tick_at - now), tick, lk);
}

static void tick(void *arg)
{
	struct livekit *lk = arg;
	struct heap_node *first;

	/* One that was set before an earlier one: that one has set its successor already. */
	if (!lk->tick_at || mono_ms() < lk->tick_at)
		return;
	lk->tick_at = 0;
	while ((first = heap_first(&lk->timers)) && first->key <= mono_ms()) {
		heap_remove(&lk->timers, first);
		attempt_due((struct attempt *)(void *)((char *)first - offsetof(struct attempt, timer)));
	}
	set_tick(lk);
}

void attempt_set_timer(struct attempt *a)
{
	int64_t at = a->poll_at;

	if (a->until && (!at || a->until < at))
		at = a->until;
	if (at && !a->gone) {
		heap_set(&a->lk->timers, &a->timer, at);
		set_tick(a->lk);
	} else {
		heap_remove(&a->lk->timers, &a->timer);
	}
}

bool attempt_asked(struct attempt *a, enum err err)
{
	a->pending += err == OK;
	return err == OK;
}

bool attempt_heard(struct attempt *a, const struct net_answer *answer)
{
	return attempt_heard_as(a, livekit_well(answer));
}

bool attempt_heard_as(struct attempt *a, bool well)
{
	projects_project_went(&a->lk->projects, a->project, well);
	a->pending--;
	if (!a->gone)
		return true;
	if (a->pending == 0) {
		LIST_REMOVE(a, link);
		attempt_free(a);
	}
	return false;
}

/* ── words ──────────────────────────────────────────────────────────────────────── */

struct call_outcome attempt_outcome(enum call_reason reason, const char *code, bool never_rang)
{
	struct call_outcome o = { .reason = reason, .never_rang = never_rang };

	str_copy(o.provider_code, sizeof o.provider_code, code);
	return o;
}

void attempt_tell(struct attempt *a, enum provider_event_kind kind, const struct call_outcome *o, int retry_ms)
{
	struct provider_event ev = { .kind = kind, .call_id = a->node.id, .org_id = a->org_id, .attempt = a->attempt,
	                             .retry_ms = retry_ms };

	if (kind == PROVIDER_READY || kind == PROVIDER_ACCEPTED)
		str_copy(ev.ref, sizeof ev.ref, a->room);
	if (o)
		ev.outcome = *o;
	if (kind == PROVIDER_ENDED && a->left)
		ev.ago_ms = mono_ms() - a->left_at;
	a->lk->on_event(a->lk->arg, &ev);
}

/* The room goes in any case: with it goes whatever may still ring or talk, and a request of
 * ours that is late finds no room to join. */
void attempt_leave(struct attempt *a)
{
	struct livekit *lk = a->lk;

	a->gone = true;
	heap_remove(&lk->timers, &a->timer);
	idmap_remove(&lk->map, &a->node);
	attempt_lose_turn(a);
	if (a->stage == ATTEMPT_CREATING && a->pending > 0)     /* to delete it now would be too early */
		lk->n_unmade++;
	else
		livekit_sweep(lk, a->project, a->room, a->unmade ? LIVEKIT_LATE_MS : 0);
	if (a->pending == 0) {
		LIST_REMOVE(a, link);
		attempt_free(a);
	}
}

void attempt_end(struct attempt *a, const struct call_outcome *o)
{
	attempt_tell(a, PROVIDER_ENDED, o, 0);
	attempt_leave(a);
}

/* Nothing was dialed: LiveKit was not there, or would not. */
static void end_undialed(struct attempt *a, const char *code)
{
	struct call_outcome o = attempt_outcome(REASON_PROVIDER_ERROR, code, true);

	o.undialed = true;
	attempt_end(a, &o);
}

/* ── the room ───────────────────────────────────────────────────────────────────── */

void attempt_ready(struct attempt *a)
{
	a->stage = ATTEMPT_READY;
	free(TAKE(a->variables));
	free(TAKE(a->agent));
	a->poll_at = 0;
	/* A dial after the room has closed itself would talk to an empty room made anew. */
	a->until = mono_ms() + (ROOM_EMPTY_S - 30) * 1000;
	attempt_set_timer(a);
	attempt_tell(a, PROVIDER_READY, NULL, 0);
}

/* A 200 of somebody else, a captive portal say, would have the phone dialed into nothing. */
static bool is_made(const struct attempt *a, const struct net_answer *answer)
{
	return answer->err == OK && answer->status == 200 && wire_livekit_room_made(answer->body, answer->body_len, a->room);
}

/* What there will be to delete: the room, nothing, or perhaps a room yet. It is deleted with the
 * attempt's end, and if that has come already, now. */
static void settle_room(struct attempt *a, const struct net_answer *answer, bool made)
{
	/* Refused, never asked, or made by somebody who is not LiveKit. */
	if (!made && (answer->err == ERR_UNAVAILABLE || (answer->err == OK && answer->status < 500)))
		a->room[0] = '\0';
	a->unmade = !made;
	if (!a->gone)
		return;
	a->lk->n_unmade--;
	livekit_sweep(a->lk, a->project, a->room, made ? 0 : LIVEKIT_LATE_MS);
}

static void created(void *arg, const struct net_answer *answer)
{
	struct attempt *a = arg;
	struct wire_livekit_error e;
	struct livekit_verdict v;
	bool made = is_made(a, answer), strange = answer->err == OK && answer->status < 300 && !made;

	settle_room(a, answer, made);
	if (!attempt_heard_as(a, livekit_well(answer) && !strange))
		return;
	if (answer->err) {
		LOG_WARN("livekit.unreachable", LOG_STR("livekit", a->project->url), LOG_SAID("error", answer->words));
		end_undialed(a, "unreachable");
	} else if (strange) {
		LOG_WARN("livekit.strange_answer", LOG_STR("livekit", a->project->url), LOG_INT("status", answer->status));
		end_undialed(a, "not_livekit");
	} else if (!made) {
		wire_livekit_error_read(answer->body, answer->body_len, &e);
		livekit_judge_room(answer->status, &e, &v);
		LOG_WARN("livekit.room_refused", LOG_ID("call", &a->node.id), LOG_INT("status", answer->status),
		         LOG_SAID("code", v.outcome.provider_code), LOG_SAID("error", e.msg));
		attempt_end(a, &v.outcome);
	} else if (a->wait_for_agent_s > 0 && a->agent && *a->agent) {
		a->stage = ATTEMPT_AWAITING;
		a->until = mono_ms() + a->wait_for_agent_s * 1000;
		a->poll_at = mono_ms() + a->lk->pace.agent_poll_ms;
		attempt_set_timer(a);
	} else {
		attempt_ready(a);
	}
}

static enum err create_room(struct attempt *a, struct errinfo *e)
{
	const struct livekit_ask ask = {
		.method = "RoomService/CreateRoom", .grants = LIVEKIT_GRANT_ROOM_CREATE, .timeout_ms = LIVEKIT_SHORT_MS,
		.answer_max = LIVEKIT_ROOM_MAX, .done = created, .arg = a,
	};
	const struct wire_livekit_room room = {
		.name = a->room, .empty_timeout_s = ROOM_EMPTY_S + a->wait_for_agent_s,
		.departure_timeout_s = a->lk->pace.departure_s, .metadata = a->variables, .agent = a->agent,
	};
	CLEANUP(buf_done) struct buf body;

	buf_init(&body, LIVEKIT_BODY_MAX);
	wire_livekit_create_room(&body, &room);
	return livekit_ask(a->lk, a->project, &ask, &body, e);
}

void attempt_prepare(void *arg)
{
	struct call_outcome too_long = attempt_outcome(REASON_CONFIGURATION, "request_too_large", true);
	struct attempt *a = arg;
	struct errinfo e;
	enum err err;

	if (attempt_refused(a))
		return;
	attempt_enter(a);
	a->stage = ATTEMPT_CREATING;
	err = create_room(a, &e);
	if (attempt_asked(a, err))
		return;
	LOG_WARN("livekit.not_asked", LOG_ID("call", &a->node.id), LOG_STR("error", e.text));
	if (err == ERR_INVALID)
		attempt_end(a, &too_long);
	else
		end_undialed(a, "not_sent");
}

/* ── the dial ───────────────────────────────────────────────────────────────────── */

static void answered(struct attempt *a, const char *sip_call_id)
{
	LOG_DEBUG("livekit.answered", LOG_ID("call", &a->node.id), LOG_STR("sip_call_id", sip_call_id));
	projects_trunk_went(&a->lk->projects, a->project, a->trunk, true);
	projects_trunk_spoke(&a->lk->projects, a->trunk);
	a->seen = true;
	a->sight_at = mono_ms();
	attempt_reached(a, LIVEKIT_STATUS_ACTIVE);
	attempt_tell(a, PROVIDER_ACCEPTED, NULL, 0);
	attempt_is_answered(a);
	if (a->left == LEFT_FOR_GOOD)   /* and was over before the answer came */
		attempt_end_left(a, a->left_reason);
	else
		attempt_follow(a, a->closing ? a->lk->pace.close_ms : a->lk->pace.talk_poll_ms);
}

/* Perhaps a phone rings. It is not dialed again by anybody: lookup() asks. */
static void uncertain(struct attempt *a, const char *why)
{
	LOG_INFO("livekit.uncertain", LOG_ID("call", &a->node.id), LOG_INT("attempt", a->attempt), LOG_SAID("error", why));
	a->doubted = true;
	if (a->left == LEFT_FOR_GOOD) {
		attempt_end_left(a, a->left_reason);
		return;
	}
	if (a->seen || a->closing) {
		attempt_follow(a, 500);
		return;
	}
	a->stage = ATTEMPT_UNCERTAIN;
	a->poll_at = 0;
	a->until = mono_ms() + (a->ring_timeout_s + a->max_duration_s) * INT64_C(1000) + UNASKED_MS;
	attempt_set_timer(a);
	attempt_tell(a, PROVIDER_UNCERTAIN, NULL, 500);
}

static void settle_trunk(struct attempt *a, const struct livekit_verdict *v)
{
	switch (v->blame) {
	case LIVEKIT_BLAME_TRUNK:
	case LIVEKIT_BLAME_SIP:
		projects_trunk_went(&a->lk->projects, a->project, a->trunk, false);
		break;
	case LIVEKIT_BLAME_NOBODY:
		if (v->fate == LIVEKIT_FATE_FINISHED)
			projects_trunk_went(&a->lk->projects, a->project, a->trunk, true);
		break;
	case LIVEKIT_BLAME_SERVER:      /* livekit_note() has seen to it */
		break;
	}
}

/* The phone's leg took its last word with it: it was still being dialed. Not if it came twice:
 * after a crash of LiveKit's the word begins anew. */
static bool never_rang(const struct attempt *a)
{
	return a->left == LEFT_FOR_GOOD && a->left_status == LIVEKIT_STATUS_DIALING && a->last < LIVEKIT_STATUS_RINGING &&
	       !a->ringing && a->joins <= 1 && a->refused_at - a->dialed_at < PROMPT_MS;
}

void attempt_end_refused(struct attempt *a)
{
	a->refusal.never_rang = never_rang(a);
	attempt_end(a, &a->refusal);
}

/* A phone may have rung between two looks. Only LiveKit's message knows that it did not, and
 * that comes about now or never. */
static void refused(struct attempt *a, const struct call_outcome *o)
{
	a->refusal = *o;
	a->refused_at = mono_ms();
	if (a->left) {
		attempt_end_refused(a);
		return;
	}
	a->stage = ATTEMPT_REFUSED;
	a->poll_at = 0;
	a->until = a->refused_at + a->lk->pace.proof_ms;
	attempt_set_timer(a);
}

static bool is_mute(const struct attempt *a)
{
	return a->mute_at >= a->dialed_at + a->ring_timeout_s * INT64_C(1000) - MUTE_MS && a->ring_timeout_s <= INVITE_S &&
	       !projects_trunk_speaks(&a->lk->projects, a->trunk, SPOKE_MS);
}

static void dial_failed(struct attempt *a, const struct net_answer *answer)
{
	struct livekit_context c = {
		.ringing = a->ringing || a->last >= LIVEKIT_STATUS_RINGING, .hung_up = a->closing != CLOSING_NOT,
		/* a second of grace: their clock starts after ours, and both round */
		.rang_out = mono_ms() - a->dialed_at >= a->ring_timeout_s * INT64_C(1000) - 1000,
		.mute = is_mute(a),
	};
	struct wire_livekit_error e;
	struct livekit_verdict v;

	wire_livekit_error_read(answer->body, answer->body_len, &e);
	e.broken |= answer->cut;
	livekit_judge_dial(answer->status, &e, &c, &v);
	settle_trunk(a, &v);
	if (v.outcome.sip_code)
		projects_trunk_spoke(&a->lk->projects, a->trunk);
	LOG_DEBUG("livekit.dial_failed", LOG_ID("call", &a->node.id), LOG_INT("status", answer->status),
	          LOG_SAID("code", e.code), LOG_INT("sip", e.sip_code), LOG_SAID("error", e.msg));
	if (v.fate == LIVEKIT_FATE_UNKNOWN)
		uncertain(a, *e.msg ? e.msg : "an answer that says nothing");
	else if (v.may_be_shown && !a->closing)
		refused(a, &v.outcome);
	else
		attempt_end(a, &v.outcome);
}

static void dialed(void *arg, const struct net_answer *answer)
{
	struct attempt *a = arg;
	char sip_call_id[64];

	if (!attempt_heard(a, answer))
		return;
	/* A 200 without the call's own id is somebody else's, or cut short: it says nothing. */
	if (answer->err == ERR_UNAVAILABLE)
		end_undialed(a, "unreachable");
	else if (answer->err)
		uncertain(a, answer->words);
	else if (answer->status == 200 &&
	         wire_livekit_leg_read(answer->body, answer->body_len, sip_call_id, sizeof sip_call_id) && *sip_call_id)
		answered(a, sip_call_id);
	else
		dial_failed(a, answer);
}

/* Deadlines are nested, so that LiveKit answers before we stop listening: its ring timeout,
 * its deadline for the whole, ours. LiveKit counts the maximum duration from the dial; ours
 * counts from the answer, and its own is there should we be gone by then. */
static enum err create_leg(struct attempt *a, struct errinfo *e)
{
	int server_s = a->ring_timeout_s + a->lk->pace.server_slack_s;
	const struct livekit_ask ask = {
		.method = "SIP/CreateSIPParticipant", .grants = LIVEKIT_GRANT_SIP_CALL, .timeout_ms = (server_s + 10) * 1000,
		.server_ms = server_s * 1000, .once = true, .done = dialed, .arg = a,
	};
	const struct wire_livekit_leg leg = {
		.trunk = &a->config, .trunk_id = a->trunk_id, .auth_password = a->auth_password, .to = a->to, .from = a->from,
		.room = a->room, .identity = a->identity, .attempt = a->identity,
		.ringing_timeout_s = a->ring_timeout_s, .max_duration_s = a->ring_timeout_s + a->max_duration_s,
	};
	CLEANUP(buf_done) struct buf body;
	enum err err;

	buf_init(&body, LIVEKIT_BODY_MAX);
	wire_livekit_create_leg(&body, &leg);
	err = livekit_ask(a->lk, a->project, &ask, &body, e);
	explicit_bzero(body.data, body.len);
	return err;
}

void attempt_dial(void *arg)
{
	struct attempt *like = arg, *a = attempt_find(like);
	struct call_outcome too_late = attempt_outcome(REASON_PROVIDER_ERROR, "room_expired", true);
	struct errinfo e;

	too_late.undialed = true;
	if (attempt_refused(like))
		return;
	if (!a) {
		attempt_tell(like, PROVIDER_ENDED, &too_late, 0);
	} else if (a->stage != ATTEMPT_READY) {
		LOG_ERROR("livekit.dialed_twice", LOG_ID("call", &a->node.id), LOG_INT("attempt", a->attempt));
	} else {
		a->stage = ATTEMPT_DIALING;
		a->dialed_at = mono_ms();
		a->until = 0;
		a->poll_at = a->dialed_at + a->lk->pace.first_poll_ms;
		attempt_set_timer(a);
		if (!attempt_asked(a, create_leg(a, &e))) {
			LOG_WARN("livekit.not_asked", LOG_ID("call", &a->node.id), LOG_STR("error", e.text));
			end_undialed(a, "not_sent");
		} else {
			forget_request(a);
		}
	}
	attempt_free(like);
}
