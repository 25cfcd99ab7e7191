/* What LiveKit tells of its own accord. check() says on any thread whether a message is
 * LiveKit's and which attempt it is about; hear() takes it, stored meanwhile, to that attempt.
 *
 * Messages come late, twice, in any order or never. So none of them takes anything back, and
 * what may be the passing trouble of a connection only leads to a look. The dial's own answer,
 * where there is one, knows more than a message: it has the SIP status. */
#include "livekit_notice.h"

#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "livekit_attempt.h"
#include "livekit_name.h"
#include "livekit_token.h"

enum word { WORD_NONE, WORD_JOINED, WORD_LEFT, WORD_FINISHED };

/* ── is it genuine ──────────────────────────────────────────────────────────────── */

static bool is_signed(struct projects *ps, const char *authorization, const char *body, size_t len,
                      char sender[PROVIDER_SENDER_SIZE])
{
	static const char bearer[] = "Bearer ";
	struct wire_livekit_claims claims;
	const char *token = authorization;

	if (!token)
		return false;
	if (str_has_prefix(token, bearer))
		token += sizeof bearer - 1;
	return livekit_token_read(token, &claims) && projects_signed(ps, claims.iss, token, sender) &&
	       livekit_token_fits(&claims, body, len, wall_ms() / 1000);
}

/* What is worth keeping: the phone's coming and going, and the end of its room. */
static enum word word_of(const struct wire_livekit_event *ev)
{
	static const struct { const char *name; enum word word; } words[] = {
		{ "participant_joined", WORD_JOINED }, { "participant_left", WORD_LEFT },
		{ "participant_connection_aborted", WORD_LEFT }, { "room_finished", WORD_FINISHED },
	};
	const char *who = ev->participant.identity;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq(ev->name, words[i].name))
			return words[i].word == WORD_FINISHED || livekit_name_within(ev->room, who) ? words[i].word : WORD_NONE;
	return WORD_NONE;
}

enum err livekit_check(struct provider *p, const char *authorization, const char *body, size_t len,
                       struct provider_notice *out, struct errinfo *e)
{
	struct livekit *lk = (struct livekit *)p;
	struct wire_livekit_event ev;
	struct livekit_name name;
	char sender[PROVIDER_SENDER_SIZE];

	if (!is_signed(&lk->projects, authorization, body, len, sender))
		return err_set(e, ERR_DENIED, "the message is not signed by a LiveKit project of this gateway");
	if (!wire_livekit_event_read(body, len, &ev) || !*ev.id)
		return err_set(e, ERR_INVALID, "the message is no event of LiveKit, or has no id");
	if (!livekit_name_parse(ev.room, &name) || word_of(&ev) == WORD_NONE)
		return err_set(e, ERR_NOT_FOUND, "the message is about nothing of ours");
	*out = (struct provider_notice){ .org_id = name.org_id, .call_id = name.call_id, .attempt = name.attempt };
	str_copy(out->event_id, sizeof out->event_id, ev.id);
	str_copy(out->sender, sizeof out->sender, sender);
	return OK;
}

/* ── what it means ──────────────────────────────────────────────────────────────── */

/* A leg that is said to have left for one of these may be on its way back: the SIP service
 * joins again by itself. The others are the end of it. */
static bool for_good(enum wire_livekit_reason reason)
{
	switch (reason) {
	case LIVEKIT_CLIENT_INITIATED:
	case LIVEKIT_PARTICIPANT_REMOVED:
	case LIVEKIT_ROOM_DELETED:
	case LIVEKIT_ROOM_CLOSED:
	case LIVEKIT_USER_UNAVAILABLE:
	case LIVEKIT_USER_REJECTED:
	case LIVEKIT_SIP_TRUNK_FAILURE:
	case LIVEKIT_AGENT_ERROR:
		return true;
	default:
		return false;
	}
}

static void joined(struct attempt *a, const struct wire_livekit_participant *p)
{
	a->joins++;
	attempt_observe(a, p);
	if (a->stage == ATTEMPT_UNCERTAIN)
		attempt_follow(a, 0);
}

/* A message may be late, by as much as LiveKit's repetitions take, and says in whole seconds when it
 * was: at the latest at that second's end. Clocks differ: what we saw ourselves is not taken back. */
static int64_t left_at(const struct attempt *a, int64_t created_s)
{
	int64_t now = mono_ms(), late = wall_ms() - (created_s + 1) * 1000;
	int64_t at = created_s > 0 && late > 0 ? now - late : now;
	int64_t first = a->sight_at > a->dialed_at ? a->sight_at : a->dialed_at;

	return at > first ? at : first;
}

/* While the dial's answer is awaited, it is kept for the case that the answer gets lost. */
static void left(struct attempt *a, const struct wire_livekit_participant *p, int64_t created_s)
{
	a->seen = true;
	if (!a->left)
		a->left_at = left_at(a, created_s);
	a->left = for_good(p->reason) ? LEFT_FOR_GOOD : LEFT_PERHAPS;
	a->left_reason = p->reason;
	a->left_status = p->status;
	attempt_reached(a, p->status);
	if (a->stage == ATTEMPT_DIALING)
		return;
	if (a->stage == ATTEMPT_REFUSED)
		attempt_end_refused(a);
	else if (a->left == LEFT_FOR_GOOD)
		attempt_end_left(a, p->reason);
	else
		attempt_follow(a, 0);
}

static void hear(struct attempt *a, const struct wire_livekit_event *ev)
{
	LOG_DEBUG("livekit.heard", LOG_ID("call", &a->node.id), LOG_INT("attempt", a->attempt), LOG_STR("event", ev->name),
	          LOG_INT("stage", a->stage), LOG_INT("reason", ev->participant.reason));
	if (a->stage < ATTEMPT_DIALING)         /* only we dial, and have not */
		return;
	switch (word_of(ev)) {
	case WORD_NONE:
		break;
	case WORD_JOINED:
		joined(a, &ev->participant);
		break;
	case WORD_LEFT:
		left(a, &ev->participant, ev->created_s);
		break;
	case WORD_FINISHED:
		if (a->stage == ATTEMPT_FOLLOWING)
			attempt_follow(a, 0);
		break;
	}
}

/* ── the order ──────────────────────────────────────────────────────────────────── */

struct heard {
	struct attempt           *like;
	struct wire_livekit_event ev;
};

static void heard(void *arg)
{
	CLEANUP(freep) struct heard *h = arg;
	struct attempt *like = h->like, *a = attempt_find(like);

	if (attempt_refused(like))
		return;
	/* One that was taken over a moment ago, and that nobody has asked about yet: the message
	 * is not given out again. That its room has closed says nothing that a look will not. */
	if (!a && !like->undialed && word_of(&h->ev) != WORD_FINISHED && str_eq(like->room, h->ev.room))
		a = attempt_take_up(TAKE(like));
	/* An attempt that was prepared twice had another room the first time. */
	if (a && str_eq(a->room, h->ev.room))
		hear(a, &h->ev);
	if (like)
		attempt_free(like);
}

/* Another tenant's LiveKit is not asked about this one's calls. */
static bool may_speak(const struct attempt *a, const char *sender)
{
	if (str_eq(a->project->sender, sender))
		return true;
	LOG_WARN("livekit.not_its_word", LOG_ID("call", &a->node.id), LOG_STR("livekit", a->project->url));
	return false;
}

void livekit_hear(struct provider *p, const struct dial_request *rq, const char *sender, const char *body, size_t len)
{
	struct livekit *lk = (struct livekit *)p;
	struct heard *h = xcalloc(1, sizeof *h);
	struct errinfo e;

	if (wire_livekit_event_read(body, len, &h->ev) && livekit_attempt_new(lk, rq, &h->like, &e) == OK) {
		if (may_speak(h->like, sender))
			net_run(lk->net, heard, TAKE(h));
		else
			attempt_free(h->like);
	}
	free(h);
}
