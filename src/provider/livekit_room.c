/* Questions that only the room answers, by ListRooms.
 *
 * Who ended a talk. A leg that is gone does not say; its room does: it stays a while after the
 * callee hung up, and is gone when our side shut it.
 *
 * Whether a leg is there at all. LiveKit keeps participants in its database, and after a crash
 * of the server the row of a leg that ended meanwhile stays: it is told to be there, ringing or
 * talking, for as long as anybody asks. The number of those in the room comes from the server
 * that serves it. It is a few seconds late, and a SIP service needs a few to join again, so
 * only a room that is empty for a while has nobody in it. */
#include <stdlib.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "livekit_attempt.h"
#include "livekit_token.h"

#define RING_GRACE_MS 5000
#define WHO_TRIES_MAX 5

static enum err ask(struct attempt *a, net_done_fn *done, struct errinfo *e)
{
	const struct livekit_ask ask = {
		.method = "RoomService/ListRooms", .grants = LIVEKIT_GRANT_ROOM_LIST, .timeout_ms = LIVEKIT_SHORT_MS,
		.answer_max = LIVEKIT_ROOM_MAX, .done = done, .arg = a,
	};
	CLEANUP(buf_done) struct buf body;

	buf_init(&body, LIVEKIT_BODY_MAX);
	wire_livekit_name_rooms(&body, a->room);
	return livekit_ask(a->lk, a->project, &ask, &body, e);
}

/* False: not told. */
static bool told(const struct net_answer *answer, size_t *rooms, int64_t *participants)
{
	return answer->err == OK && answer->status == 200 &&
	       wire_livekit_rooms_read(answer->body, answer->body_len, rooms, participants);
}

/* ── who ended it ───────────────────────────────────────────────────────────────── */

/* A room that is gone was shut by somebody if it is too early for it to have closed by itself. What
 * was seen last is as old as a question may take. */
static bool was_shut(const struct attempt *a)
{
	int64_t self_ms = a->lk->pace.departure_s * INT64_C(1000);

	return mono_ms() - a->there_at < self_ms - (self_ms / 6 < LIVEKIT_SHORT_MS ? self_ms / 6 : LIVEKIT_SHORT_MS);
}

static void ended_by(void *arg, const struct net_answer *answer)
{
	struct attempt *a = arg;
	int64_t participants;
	size_t rooms;

	if (!attempt_heard(a, answer))
		return;
	if (told(answer, &rooms, &participants)) {
		attempt_end_left(a, rooms == 0 && was_shut(a) ? LIVEKIT_ROOM_DELETED : LIVEKIT_REASON_UNKNOWN);
	} else if (a->unheard++ < WHO_TRIES_MAX) {      /* after another look */
		a->poll_at = mono_ms() + a->unheard * a->lk->pace.close_ms;
		attempt_set_timer(a);
	} else {
		attempt_end_left(a, LIVEKIT_REASON_UNKNOWN);
	}
}

void attempt_ask_who_ended(struct attempt *a)
{
	struct errinfo e;

	a->poll_at = a->until = 0;
	attempt_set_timer(a);
	if (!attempt_asked(a, ask(a, ended_by, &e)))
		attempt_end_left(a, LIVEKIT_REASON_UNKNOWN);
}

/* ── is anybody there ───────────────────────────────────────────────────────────── */

/* The SIP service gives up by itself when the ring timeout is over: a leg that is there after
 * that was answered, also where a crash has made LiveKit forget it. */
static bool must_be_answered(const struct attempt *a)
{
	return !a->answered && mono_ms() >= a->dialed_at + (a->ring_timeout_s + a->lk->pace.server_slack_s) * INT64_C(1000) +
	                                    RING_GRACE_MS;
}

static void is_there(struct attempt *a)
{
	a->doubted = false;
	a->empty_since = 0;
	if (!must_be_answered(a))
		return;
	LOG_INFO("livekit.answered_unseen", LOG_ID("call", &a->node.id), LOG_INT("attempt", a->attempt));
	attempt_reached(a, LIVEKIT_STATUS_ACTIVE);
	attempt_is_answered(a);
	attempt_set_timer(a);
}

static void is_empty(struct attempt *a)
{
	int64_t now = mono_ms();

	if (!a->empty_since)
		a->empty_since = now;
	if (now - a->empty_since < a->lk->pace.stale_ms)
		return;
	LOG_INFO("livekit.stale", LOG_ID("call", &a->node.id), LOG_INT("attempt", a->attempt));
	attempt_end_left(a, LIVEKIT_CONNECTION_TIMEOUT);
}

static void counted(void *arg, const struct net_answer *answer)
{
	struct attempt *a = arg;
	int64_t participants = 0;
	size_t rooms = 0;

	if (!attempt_heard(a, answer))
		return;
	a->counting = false;
	if (a->stage != ATTEMPT_FOLLOWING || a->closing || !told(answer, &rooms, &participants))
		return;                 /* it is asked again after the next look */
	if (participants > 0)
		is_there(a);
	else
		is_empty(a);
}

void attempt_doubt(struct attempt *a)
{
	struct errinfo e;

	if (!a->counting && (a->doubted || must_be_answered(a)))
		a->counting = attempt_asked(a, ask(a, counted, &e));
}
