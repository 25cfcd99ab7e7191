/* Attempts of which the dial's answer says nothing any more: answered calls, calls that an
 * earlier process dialed, dials whose answer got lost. They are looked at from time to
 * time, and ended by deleting their room and looking whether that helped. */
#include <stdlib.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "livekit_attempt.h"
#include "livekit_token.h"

#define CLOSING_ROUNDS_MAX 30
#define ASK_AGAIN_MS       2000
#define JOIN_GRACE_MS      5000
#define LAST_RING_LOOK_MS  1000

static void close_room(struct attempt *a);

/* What is asked here names the room, or the leg in it. False: it could not be asked. */
static bool ask(struct attempt *a, const char *method, unsigned grants, bool leg, net_done_fn *done)
{
	const struct livekit_ask question = {
		.method = method, .grants = grants, .room = grants & LIVEKIT_GRANT_ROOM_ADMIN ? a->room : NULL,
		.timeout_ms = LIVEKIT_SHORT_MS, .done = done, .arg = a,
	};
	CLEANUP(buf_done) struct buf body;
	struct errinfo e;

	buf_init(&body, LIVEKIT_BODY_MAX);
	if (leg)
		wire_livekit_name_leg(&body, a->room, a->identity);
	else
		wire_livekit_name_room(&body, a->room);
	return attempt_asked(a, livekit_ask(a->lk, a->project, &question, &body, &e));
}

/* ── looking ────────────────────────────────────────────────────────────────────── */

/* One look shortly before the phone stops ringing: a trunk that is silent to the end and a callee
 * who does not answer end with the same words, and differ in what was seen last. */
static int64_t ring_look(const struct attempt *a, int64_t now)
{
	int64_t at = now + attempt_jitter(a->lk->pace.ring_poll_ms);
	int64_t last = a->dialed_at + a->ring_timeout_s * INT64_C(1000) - LAST_RING_LOOK_MS;

	return now < last && at > last ? last : at;
}

void attempt_look_later(struct attempt *a)
{
	int64_t now = mono_ms();
	int backoff = a->lk->pace.close_ms * (a->rounds + 1);

	if (a->closing)
		a->poll_at = now + (backoff < 10000 ? backoff : 10000);
	else if (a->stage == ATTEMPT_AWAITING)
		a->poll_at = now + a->lk->pace.agent_poll_ms;
	else if (a->answered)
		a->poll_at = now + attempt_jitter(a->lk->pace.talk_poll_ms);
	else
		a->poll_at = ring_look(a, now);
	attempt_set_timer(a);
}

void attempt_follow(struct attempt *a, int first_look_ms)
{
	int64_t limit = a->dialed_at + (a->ring_timeout_s + a->max_duration_s) * INT64_C(1000);

	a->stage = ATTEMPT_FOLLOWING;
	if (!a->until || !a->answered)
		a->until = limit;
	attempt_lose_turn(a);
	a->poll_at = mono_ms() + first_look_ms;
	attempt_set_timer(a);
}

static void answer_lookup(struct attempt *a)
{
	a->asked = false;
	attempt_tell(a, PROVIDER_ACCEPTED, NULL, 0);
	if (a->answered)
		attempt_tell(a, PROVIDER_ANSWERED, NULL, 0);
	else if (a->ringing)
		attempt_tell(a, PROVIDER_RINGING, NULL, 0);
}

void attempt_reached(struct attempt *a, enum wire_livekit_status status)
{
	if (status > a->last)
		a->last = status;
}

void attempt_is_answered(struct attempt *a)
{
	a->there_at = mono_ms();
	if (a->answered)
		return;
	a->answered = true;
	a->until = mono_ms() + (int64_t)a->max_duration_s * 1000;
	attempt_tell(a, PROVIDER_ANSWERED, NULL, 0);
}

void attempt_observe(struct attempt *a, const struct wire_livekit_participant *p)
{
	if (!a->seen) {
		a->seen = true;
		attempt_tell(a, PROVIDER_ACCEPTED, NULL, 0);
	}
	if (p->status == LIVEKIT_STATUS_RINGING && !a->ringing && !a->answered) {
		a->ringing = true;
		projects_trunk_went(&a->lk->projects, a->project, a->trunk, true);
		projects_trunk_spoke(&a->lk->projects, a->trunk);
		attempt_tell(a, PROVIDER_RINGING, NULL, 0);
	}
	a->there_at = mono_ms();
	if (p->status == LIVEKIT_STATUS_ACTIVE)
		attempt_is_answered(a);
	if (p->status == LIVEKIT_STATUS_DIALING && !a->ringing)
		a->mute_at = mono_ms();
	attempt_reached(a, p->status);
}

/* ── the end ────────────────────────────────────────────────────────────────────── */

void attempt_end_left(struct attempt *a, enum wire_livekit_reason reason)
{
	struct call_outcome o = livekit_judge_left(a->last, reason, a->answered, a->closing != CLOSING_NOT);

	if (a->closing == CLOSING_MAX_DURATION && a->answered)
		o = attempt_outcome(REASON_MAX_DURATION, "", false);
	attempt_end(a, &o);
}

/* A dial that LiveKit has not begun by its own deadline is dropped there; until then an
 * absent leg may still come. */
static bool may_still_join(const struct attempt *a)
{
	int64_t deadline = a->dialed_at + (a->ring_timeout_s + a->lk->pace.server_slack_s) * INT64_C(1000) + JOIN_GRACE_MS;

	return !a->seen && !a->answered && mono_ms() < deadline;
}

/* How it ended is told by a message, if anybody tells: LiveKit repeats what was not taken,
 * with up to 8 s in between. Only then is it unknown. */
static bool may_still_be_told(struct attempt *a)
{
	int64_t now = mono_ms();

	if (!a->gone_since)
		a->gone_since = now;
	return now - a->gone_since < a->lk->pace.word_ms;
}

static void wait_for_word(struct attempt *a)
{
	if (a->stage == ATTEMPT_UNCERTAIN) {
		attempt_tell(a, PROVIDER_UNCERTAIN, NULL, attempt_jitter(a->lk->pace.word_ms / 4));
		a->asked = false;
		return;
	}
	a->poll_at = mono_ms() + a->lk->pace.word_ms / 4;
	attempt_set_timer(a);
}

static void absent(struct attempt *a)
{
	struct call_outcome unknown = attempt_outcome(REASON_OUTCOME_UNKNOWN, a->seen ? "gone" : "never_seen", false);

	LOG_DEBUG("livekit.absent", LOG_ID("call", &a->node.id), LOG_INT("attempt", a->attempt), LOG_INT("stage", a->stage),
	          LOG_INT("seen", a->seen), LOG_INT("answered", a->answered));
	if (may_still_join(a)) {
		if (a->closing)
			attempt_look_later(a);
		else
			attempt_tell(a, PROVIDER_UNCERTAIN, NULL, attempt_jitter(ASK_AGAIN_MS));
		a->asked = false;
	} else if (a->left) {           /* as we were told */
		attempt_end_left(a, a->left_reason);
	} else if (a->closing && (a->answered || a->seen)) {
		attempt_end_left(a, LIVEKIT_REASON_UNKNOWN);
	} else if (a->answered) {
		attempt_ask_who_ended(a);
	} else if (!a->closing && may_still_be_told(a)) {
		wait_for_word(a);
	} else {
		attempt_end(a, &unknown);
	}
}

/* ── answers to looks ───────────────────────────────────────────────────────────── */

static void present(struct attempt *a, const struct wire_livekit_participant *p)
{
	attempt_observe(a, p);
	if (p->disconnected || p->status == LIVEKIT_STATUS_HANGUP) {
		attempt_end_left(a, p->reason);
		return;
	}
	a->sight_at = mono_ms();
	a->left = LEFT_NOT;             /* it has come back */
	a->gone_since = 0;
	if (a->asked)
		answer_lookup(a);
	if (a->stage == ATTEMPT_UNCERTAIN)
		attempt_follow(a, 0);
	if (a->closing) {
		close_room(a);
		return;
	}
	attempt_look_later(a);
	attempt_doubt(a);
}

/* LiveKit could not be asked. Whoever asked us asks again; what we follow by ourselves is
 * looked at again, until it should be over. */
static void not_told(struct attempt *a)
{
	a->doubted = true;
	if (a->asked || a->stage == ATTEMPT_UNCERTAIN) {
		a->asked = false;
		attempt_tell(a, PROVIDER_UNCERTAIN, NULL, attempt_jitter(ASK_AGAIN_MS));
	}
	if (a->stage == ATTEMPT_FOLLOWING && a->closing)
		close_room(a);
	else if (a->stage == ATTEMPT_FOLLOWING)
		attempt_look_later(a);
}

static bool says_absent(const struct net_answer *answer)
{
	struct wire_livekit_error e;

	if (answer->status != 404)
		return false;
	wire_livekit_error_read(answer->body, answer->body_len, &e);
	return e.json && str_eq(e.code, "not_found");
}

static void saw(struct attempt *a, const struct net_answer *answer)
{
	struct wire_livekit_participant p;
	bool sound;

	a->looking = false;
	sound = answer->err == OK && answer->status == 200 && wire_livekit_participant_read(answer->body, answer->body_len, &p);
	if (a->stage == ATTEMPT_DIALING) {
		/* The dial's own answer will say how it ended; this is only about ringing. */
		if (sound && !p.disconnected)
			attempt_observe(a, &p);
		if (!a->ringing && !a->answered && !a->closing)
			attempt_look_later(a);
	} else if (a->stage == ATTEMPT_REFUSED) {
		if (sound && p.status == LIVEKIT_STATUS_RINGING)        /* so it did ring */
			attempt_observe(a, &p);
	} else if (a->look_stage == ATTEMPT_DIALING || (a->seen && !a->look_seen && !sound)) {
		/* What it saw is older than the dial's answer, or than a message: an absent leg may
		 * only have been about to join. */
		not_told(a);
	} else if (sound) {
		present(a, &p);
	} else if (answer->err == OK && says_absent(answer)) {
		absent(a);
	} else {
		not_told(a);
	}
}

static void looked(void *arg, const struct net_answer *answer)
{
	struct attempt *a = arg;
	struct livekit *lk = a->lk;
	struct project *p = a->project;

	if (attempt_heard(a, answer))
		saw(a, answer);
	project_looked(lk, p, answer);
}

void attempt_look(struct attempt *a)
{
	/* While it waited for its turn the dial's answer may have got lost: then lookup() asks. */
	if (a->looking || (a->stage == ATTEMPT_UNCERTAIN && !a->asked))
		return;
	a->look_stage = a->stage;
	a->look_seen = a->seen;
	a->looking = ask(a, "RoomService/GetParticipant", LIVEKIT_GRANT_ROOM_ADMIN, true, looked);
	a->project->looks += a->looking;
	if (!a->looking)
		not_told(a);
}

/* ── the agent ──────────────────────────────────────────────────────────────────── */

static void agent_looked_for(void *arg, const struct net_answer *answer)
{
	struct attempt *a = arg;
	bool active = false;

	if (!attempt_heard(a, answer))
		return;
	if (answer->err == OK && answer->status == 200 &&
	    wire_livekit_agent_active(answer->body, answer->body_len, &active) && active)
		attempt_ready(a);
	else
		attempt_look_later(a);
}

static void look_for_agent(struct attempt *a)
{
	if (!ask(a, "RoomService/ListParticipants", LIVEKIT_GRANT_ROOM_ADMIN, false, agent_looked_for))
		attempt_look_later(a);
}

/* ── hanging up ─────────────────────────────────────────────────────────────────── */

static void room_closed(void *arg, const struct net_answer *answer)
{
	struct attempt *a = arg;

	/* Whether it helped or not: a dial that LiveKit had not begun yet would make the room
	 * anew, so it is looked at until the leg is certainly gone, or the dial has answered. */
	if (attempt_heard(a, answer))
		attempt_look_later(a);
}

static void close_room(struct attempt *a)
{
	struct call_outcome unconfirmed = attempt_outcome(REASON_OUTCOME_UNKNOWN, "end_not_confirmed", false);

	if (++a->rounds > CLOSING_ROUNDS_MAX && a->stage != ATTEMPT_DIALING) {
		LOG_WARN("livekit.not_ended", LOG_ID("call", &a->node.id), LOG_STR("room", a->room));
		attempt_end(a, &unconfirmed);
		return;
	}
	if (!ask(a, "RoomService/DeleteRoom", LIVEKIT_GRANT_ROOM_CREATE, false, room_closed))
		attempt_look_later(a);
}

static void close_for(struct attempt *a, enum attempt_closing why)
{
	if (a->closing)
		return;         /* being done already */
	a->closing = why;
	a->poll_at = a->until = 0;
	attempt_set_timer(a);
	if (a->stage == ATTEMPT_UNCERTAIN)
		a->stage = ATTEMPT_FOLLOWING;
	close_room(a);
}

/* ── the timer ──────────────────────────────────────────────────────────────────── */

static void patience_over(struct attempt *a)
{
	struct call_outcome no_agent = attempt_outcome(REASON_PROVIDER_ERROR, "agent_timeout", true);

	switch (a->stage) {
	case ATTEMPT_AWAITING:
		LOG_WARN("livekit.agent_timeout", LOG_ID("call", &a->node.id), LOG_INT("attempt", a->attempt));
		attempt_end(a, &no_agent);
		break;
	case ATTEMPT_FOLLOWING:
		close_for(a, CLOSING_MAX_DURATION);
		break;
	case ATTEMPT_READY:             /* nobody dialed, nobody asked: the scheduler has given it up */
	case ATTEMPT_UNCERTAIN:
		attempt_leave(a);
		break;
	case ATTEMPT_REFUSED:
		attempt_end_refused(a);
		break;
	case ATTEMPT_CREATING:          /* the requests have deadlines of their own */
	case ATTEMPT_DIALING:
		break;
	}
}

void attempt_due(struct attempt *a)
{
	if (a->until && mono_ms() >= a->until) {
		a->until = 0;
		patience_over(a);
		return;
	}
	a->poll_at = 0;
	attempt_set_timer(a);
	if (a->stage == ATTEMPT_AWAITING)
		look_for_agent(a);
	else if (a->stage == ATTEMPT_DIALING && a->closing)
		close_room(a);
	else if (a->closing)            /* which keeps its own pace */
		attempt_look(a);
	else
		attempt_take_turn(a);
}

/* ── orders ─────────────────────────────────────────────────────────────────────── */

/* One that another process dialed, or this one before it lost sight of it. */
struct attempt *attempt_take_up(struct attempt *like)
{
	attempt_enter(like);
	like->stage = ATTEMPT_UNCERTAIN;
	like->doubted = true;
	like->there_at = mono_ms();     /* whoever had it before has looked as often as we do */
	return like;
}

void attempt_lookup(void *arg)
{
	struct attempt *like = arg, *a = attempt_find(like);
	struct call_outcome unknown = attempt_outcome(REASON_OUTCOME_UNKNOWN, "no_reference", false);
	struct call_outcome not_dialed = attempt_outcome(REASON_PROVIDER_ERROR, "not_dialed", true);

	if (attempt_refused(like))
		return;
	if (!a && !like->room[0]) {     /* nothing to ask for by name */
		attempt_tell(like, PROVIDER_ENDED, &unknown, 0);
		attempt_free(like);
		return;
	}
	if (a)
		attempt_free(like);
	else
		a = attempt_take_up(like);
	switch (a->stage) {
	case ATTEMPT_CREATING:
	case ATTEMPT_AWAITING:
	case ATTEMPT_READY:             /* only we could have dialed it, and did not */
		attempt_end(a, &not_dialed);
		break;
	case ATTEMPT_DIALING:
	case ATTEMPT_FOLLOWING:
		if (a->stage == ATTEMPT_DIALING || a->seen || a->answered)
			answer_lookup(a);
		break;
	case ATTEMPT_REFUSED:           /* its end is about to be told */
		break;
	case ATTEMPT_UNCERTAIN:
		a->asked = true;
		attempt_take_turn(a);
		break;
	}
}

void attempt_hangup(void *arg)
{
	struct attempt *like = arg, *a = attempt_find(like);

	if (!a && (like->undialed || !like->room[0])) {
		livekit_sweep(like->lk, like->project, like->room, 0);
		attempt_free(like);
		return;
	}
	if (a)
		attempt_free(like);
	else
		a = attempt_take_up(like);
	switch (a->stage) {
	case ATTEMPT_CREATING:
	case ATTEMPT_AWAITING:
	case ATTEMPT_READY:             /* nothing was dialed, nothing is to be told */
		attempt_leave(a);
		break;
	case ATTEMPT_DIALING:
	case ATTEMPT_UNCERTAIN:
	case ATTEMPT_FOLLOWING:
		close_for(a, CLOSING_ASKED);
		break;
	case ATTEMPT_REFUSED:
		attempt_end_refused(a);
		break;
	}
}
