/* The least that can be taken for LiveKit, to be measured against: it answers what callgate
 * asks for a call, in LiveKit's words, on one thread over the http room, and checks nothing.
 * (tests/fakes/livekit is the faithful one.)
 *
 *     livekit_stub LISTEN RING_MS
 *
 * Every dial is busy (486): at once, or after RING_MS of ringing. So a call is a whole one
 * with three requests, the least there are: CreateRoom, CreateSIPParticipant, DeleteRoom.
 *
 * GET /stats tells what was asked so far, and when, by the wall clock; GET /rooms the last
 * rooms made, each with the moment its request arrived, by the monotonic clock. It ends on
 * SIGINT or SIGTERM. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "callgate/buf.h"
#include "callgate/http.h"
#include "callgate/text.h"

#define ROOMS_KEPT   4096               /* a power of two */
#define RINGING_MAX  65536
#define CONNECTIONS  60000
#define BODY_MAX     65536

enum asked { ASKED_ROOM, ASKED_DIAL, ASKED_LOOK, ASKED_LIST, ASKED_DELETE, ASKED_ELSE, ASKED_COUNT };

static const struct { const char *path, *name; } calls[ASKED_COUNT] = {
	[ASKED_ROOM]   = { "/twirp/livekit.RoomService/CreateRoom", "create_room" },
	[ASKED_DIAL]   = { "/twirp/livekit.SIP/CreateSIPParticipant", "create_sip_participant" },
	[ASKED_LOOK]   = { "/twirp/livekit.RoomService/GetParticipant", "get_participant" },
	[ASKED_LIST]   = { "/twirp/livekit.RoomService/ListRooms", "list_rooms" },
	[ASKED_DELETE] = { "/twirp/livekit.RoomService/DeleteRoom", "delete_room" },
	[ASKED_ELSE]   = { "", "unexpected" },
};

struct ringing {
	int64_t              until;             /* mono ms */
	struct http_request *rq;
};

struct stub {
	int             ring_ms;
	/* the I/O thread's */
	int64_t         asked[ASKED_COUNT];
	int64_t         first_us, last_us;      /* wall */
	struct { char name[64]; int64_t us; } rooms[ROOMS_KEPT];
	/* all ring equally long: the first to come is the first to go */
	pthread_mutex_t mutex;
	pthread_cond_t  rings;
	struct ringing  ringing[RINGING_MAX];
	size_t          head, count;
	bool            over;
};

static int64_t wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void answer(struct http_request *rq, int status, const char *text)
{
	struct http_reply r = { .status = status, .body = xstrdup(text), .body_len = strlen(text) };

	http_reply(rq, &r);
}

/* ── a phone that is busy ───────────────────────────────────────────────────────── */

static void busy(struct http_request *rq)
{
	answer(rq, 429, "{\"code\":\"resource_exhausted\",\"msg\":\"twirp error unknown: INVITE failed: sip status: 486: Busy Here\","
	       "\"meta\":{\"error_details\":\"\",\"sip_status\":\"Busy Here\",\"sip_status_code\":\"486\"}}");
}

static void ring(struct stub *s, struct http_request *rq)
{
	bool room;

	pthread_mutex_lock(&s->mutex);
	room = s->count < RINGING_MAX;
	if (room)
		s->ringing[(s->head + s->count++) % RINGING_MAX] = (struct ringing){ mono_ms() + s->ring_ms, rq };
	pthread_cond_signal(&s->rings);
	pthread_mutex_unlock(&s->mutex);
	if (!room)
		busy(rq);
}

/* Waits for the first one's end; the mutex is held. */
static void wait_for_first(struct stub *s)
{
	int64_t at = s->count ? s->ringing[s->head].until : mono_ms() + 1000;
	struct timespec until = { at / 1000, at % 1000 * 1000000 };

	pthread_cond_timedwait(&s->rings, &s->mutex, &until);
}

static void *hang_up(void *arg)
{
	struct stub *s = arg;
	struct http_request *rq;

	pthread_mutex_lock(&s->mutex);
	while (!s->over) {
		if (!s->count || s->ringing[s->head].until > mono_ms()) {
			wait_for_first(s);
			continue;
		}
		rq = s->ringing[s->head].rq;
		s->head = (s->head + 1) % RINGING_MAX;
		s->count--;
		pthread_mutex_unlock(&s->mutex);
		busy(rq);
		pthread_mutex_lock(&s->mutex);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

/* ── answers ────────────────────────────────────────────────────────────────────── */

/* The text of a member, where nothing in it is escaped; "" when it is not there. */
static void member(const struct http_request *rq, const char *name, char *out, size_t size)
{
	const char *at = strstr(rq->body, name);

	out[0] = '\0';
	if (at)
		str_copy(out, size, at + strlen(name));
	out[strcspn(out, "\"")] = '\0';
}

static void make_room(struct stub *s, struct http_request *rq)
{
	size_t i = (size_t)(s->asked[ASKED_ROOM] - 1) % ROOMS_KEPT;
	char text[512];

	member(rq, "\"name\":\"", s->rooms[i].name, sizeof s->rooms[i].name);
	s->rooms[i].us = rq->received_us;
	snprintf(text, sizeof text, "{\"sid\":\"RM_benchbench\", \"name\":\"%s\", \"empty_timeout\":300, \"departure_timeout\":30,"
	         " \"max_participants\":1, \"creation_time\":\"1795167261\", \"turn_password\":\"\", \"enabled_codecs\":[],"
	         " \"metadata\":\"\", \"num_participants\":0, \"num_publishers\":0, \"active_recording\":false}", s->rooms[i].name);
	answer(rq, 200, text);
}

static void look(struct stub *s, struct http_request *rq)
{
	char text[512], identity[64];

	if (!s->ring_ms) {
		answer(rq, 404, "{\"code\":\"not_found\",\"msg\":\"twirp error unknown: participant does not exist\"}");
		return;
	}
	member(rq, "\"identity\":\"", identity, sizeof identity);
	snprintf(text, sizeof text, "{\"sid\":\"PA_bench\",\"identity\":\"%s\",\"state\":\"ACTIVE\",\"kind\":\"SIP\","
	         "\"attributes\":{\"sip.callStatus\":\"ringing\"}}", identity);
	answer(rq, 200, text);
}

static void tell_stats(struct stub *s, struct http_request *rq)
{
	CLEANUP(buf_done) struct buf b;

	buf_init(&b, 4096);
	pthread_mutex_lock(&s->mutex);
	buf_printf(&b, "{\"ringing\":%zu", s->count);
	pthread_mutex_unlock(&s->mutex);
	buf_printf(&b, ",\"first_us\":%lld,\"last_us\":%lld", (long long)s->first_us, (long long)s->last_us);
	for (int i = 0; i < ASKED_COUNT; i++)
		buf_printf(&b, ",\"%s\":%lld", calls[i].name, (long long)s->asked[i]);
	buf_printf(&b, "}\n");
	answer(rq, 200, b.data);
}

static void tell_rooms(struct stub *s, struct http_request *rq)
{
	CLEANUP(buf_done) struct buf b;

	buf_init(&b, ROOMS_KEPT * 96);
	buf_printf(&b, "[");
	for (int i = 0; i < ROOMS_KEPT && s->rooms[i].us; i++)
		buf_printf(&b, "%s[\"%s\",%lld]", i ? "," : "", s->rooms[i].name, (long long)s->rooms[i].us);
	buf_printf(&b, "]\n");
	answer(rq, 200, b.data);
}

static enum asked which(const char *path)
{
	int i = 0;

	while (i < ASKED_ELSE && !str_eq(path, calls[i].path))
		i++;
	return (enum asked)i;
}

static void take(struct stub *s, struct http_request *rq)
{
	enum asked what = which(rq->path);

	s->asked[what]++;
	s->last_us = wall_us();
	if (!s->first_us)
		s->first_us = s->last_us;
	switch (what) {
	case ASKED_ROOM:
		make_room(s, rq);
		break;
	case ASKED_DIAL:
		if (s->ring_ms)
			ring(s, rq);
		else
			busy(rq);
		break;
	case ASKED_LOOK:
		look(s, rq);
		break;
	case ASKED_LIST:
		answer(rq, 200, "{\"rooms\":[]}");
		break;
	case ASKED_DELETE:
		answer(rq, 200, "{}");
		break;
	case ASKED_ELSE:
	case ASKED_COUNT:
		answer(rq, 404, "{\"code\":\"bad_route\",\"msg\":\"no handler for path\"}");
		break;
	}
}

/* ── the edge ───────────────────────────────────────────────────────────────────── */

static void on_request(void *arg, struct http_request *rq)
{
	struct stub *s = arg;

	if (str_eq(rq->path, "/stats"))
		tell_stats(s, rq);
	else if (str_eq(rq->path, "/rooms"))
		tell_rooms(s, rq);
	else
		take(s, rq);
}

static int64_t on_head(void *arg, struct http_request *rq, struct http_reply *refusal)
{
	(void)arg, (void)rq, (void)refusal;
	return BODY_MAX;
}

static void on_too_large(void *arg, struct http_request *rq, int64_t limit, struct http_reply *r)
{
	(void)arg, (void)rq, (void)limit;
	r->status = 413;
}

static void on_timed_out(void *arg, struct http_request *rq, struct http_reply *r)
{
	(void)arg, (void)rq;
	r->status = 503;
}

static void on_done(void *arg, const struct http_request *rq, int status)
{
	(void)arg, (void)rq, (void)status;
}

static struct http_server *serve(struct stub *s, const char *listen)
{
	static const struct http_ops ops = {
		.head = on_head, .too_large = on_too_large, .request = on_request,
		.done = on_done, .timed_out = on_timed_out, .stopping = on_timed_out,
	};
	const struct http_config c = {
		.listen = listen, .threads = 1, .max_connections = CONNECTIONS, .idle_timeout_ms = 600000,
		.answer_timeout_ms = s->ring_ms + 60000,
	};
	struct http_server *server;
	struct errinfo e;

	TRY(http_start(&c, &ops, s, &server, &e));
	printf("{\"port\":%d}\n", http_port(server));
	fflush(stdout);
	return server;
}

static void init(struct stub *s, int ring_ms)
{
	pthread_condattr_t attr;

	s->ring_ms = ring_ms;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->rings, &attr);
}

static void end_ringing(struct stub *s, pthread_t thread)
{
	pthread_mutex_lock(&s->mutex);
	s->over = true;
	pthread_cond_signal(&s->rings);
	pthread_mutex_unlock(&s->mutex);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	static struct stub s;
	struct http_server *server;
	pthread_t thread;
	sigset_t stop;
	int sig;

	if (argc != 3) {
		fprintf(stderr, "usage: livekit_stub LISTEN RING_MS\n");
		return 2;
	}
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	init(&s, (int)number(argv[2], 0, 600000));
	server = serve(&s, argv[1]);
	if (pthread_create(&thread, NULL, hang_up, &s))
		return 1;
	sigwait(&stop, &sig);
	end_ringing(&s, thread);
	http_stop(server, 0);           /* answers those that still ring */
	return 0;
}
