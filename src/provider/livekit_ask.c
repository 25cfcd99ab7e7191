/* One question to LiveKit: its address, its token, its deadlines. And the rooms that have
 * to go, which are asked to go until they are gone. */
#include <stdio.h>
#include <stdlib.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "livekit_attempt.h"
#include "livekit_token.h"

#define SWEEPS_MAX      65536
#define SWEEP_TRIES_MAX 6

enum err livekit_ask(struct livekit *lk, struct project *p, const struct livekit_ask *ask, const struct buf *body,
                     struct errinfo *e)
{
	CLEANUP(buf_done) struct buf url, token;
	char deadline[48], request_id[ID_TEXT_SIZE + 32] = "X-Livekit-Request-Id: ";
	const char *headers[] = { "Content-Type: application/json", NULL, request_id, ask->server_ms ? deadline : NULL, NULL };
	struct id id = id_random();
	struct net_request rq = {
		.method = "POST", .headers = headers, .body = body->data, .body_len = body->len,
		.connect_timeout_ms = LIVEKIT_CONNECT_MS, .timeout_ms = ask->timeout_ms,
		.max_body_bytes = ask->answer_max ? ask->answer_max : LIVEKIT_ANSWER_MAX, .once = ask->once, .done = ask->done, .arg = ask->arg,
	};

	buf_init(&url, 1024);
	buf_init(&token, 4096);
	if (body->over)
		return err_set(e, ERR_INVALID, "the request to LiveKit is longer than %d bytes", LIVEKIT_BODY_MAX);
	buf_printf(&url, "%s/twirp/livekit.%s", p->url, ask->method);
	buf_str(&token, "Authorization: Bearer ");
	{
		CLEANUP(buf_done) struct buf jwt;

		buf_init(&jwt, 4000);
		livekit_token(&jwt, p->key, p->secret, ask->grants, ask->room, wall_ms() / 1000, ask->timeout_ms / 1000);
		buf_add(&token, jwt.data, jwt.len);
	}
	snprintf(deadline, sizeof deadline, "X-Twirp-Timeout-Ms: %d", ask->server_ms);
	id_format(&id, request_id + strlen(request_id));
	rq.url = url.data;
	headers[1] = token.data;
	return net_send(lk->net, &rq, e);
}

/* LiveKit's own errors are answers; a proxy's page or silence are not. */
bool livekit_well(const struct net_answer *a)
{
	struct wire_livekit_error e = { 0 };

	if (a->err == OK && a->status >= 500)
		wire_livekit_error_read(a->body, a->body_len, &e);
	if (a->err == OK && a->status == 200)
		return a->body && a->body[strspn(a->body, " \t\r\n")] == '{';
	return a->err == OK && (a->status < 500 || e.json);
}

void livekit_note(struct livekit *lk, struct project *p, const struct net_answer *a)
{
	projects_project_went(&lk->projects, p, livekit_well(a));
}

/* ── rooms that have to go ──────────────────────────────────────────────────────── */

static void sweep_free(struct sweep *s)
{
	LIST_REMOVE(s, link);
	s->lk->n_sweeps--;
	free(s);
}

static void sweep_ask(void *arg);

/* Given up after a minute: the room closes itself once nobody is in it. */
static void sweep_again(struct sweep *s)
{
	if (++s->tries == SWEEP_TRIES_MAX) {
		LOG_WARN("livekit.room_left", LOG_STR("room", s->room), LOG_STR("livekit", s->project->url));
		sweep_free(s);
		return;
	}
	net_after(s->lk->net, 1000 << s->tries, sweep_ask, s);
}

static void swept(void *arg, const struct net_answer *a)
{
	struct sweep *s = arg;

	livekit_note(s->lk, s->project, a);
	if (a->err == OK && (a->status == 200 || a->status == 401 || (a->status == 404 && mono_ms() >= s->sure_at)))
		sweep_free(s);
	else
		sweep_again(s);
}

static void sweep_ask(void *arg)
{
	struct sweep *s = arg;
	const struct livekit_ask ask = {
		.method = "RoomService/DeleteRoom", .grants = LIVEKIT_GRANT_ROOM_CREATE, .timeout_ms = LIVEKIT_SHORT_MS,
		.done = swept, .arg = s,
	};
	CLEANUP(buf_done) struct buf body;
	struct errinfo e;

	buf_init(&body, LIVEKIT_BODY_MAX);
	wire_livekit_name_room(&body, s->room);
	if (livekit_ask(s->lk, s->project, &ask, &body, &e))
		sweep_again(s);
}

void livekit_sweep(struct livekit *lk, struct project *p, const char *room, int late_ms)
{
	struct sweep *s;

	if (!*room || lk->n_sweeps == SWEEPS_MAX)
		return;
	s = xcalloc(1, sizeof *s);
	s->lk = lk;
	s->project = p;
	s->sure_at = mono_ms() + late_ms;
	str_copy(s->room, sizeof s->room, room);
	LIST_INSERT_HEAD(&lk->sweeps, s, link);
	lk->n_sweeps++;
	sweep_ask(s);
}
