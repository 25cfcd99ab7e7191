/* A LiveKit that says what each test wants, a driver that talks to it, and what the driver
 * tells. For the tests of the livekit driver. */
#ifndef UNIT_LIVEKIT_FIXTURE_H
#define UNIT_LIVEKIT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "callgate/clock.h"
#include "callgate/digest.h"
#include "callgate/livekit.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "unit/socket_server.h"

#define ABSENT   "{\"code\":\"not_found\",\"msg\":\"participant does not exist\"}"
#define LEG(s)   "{\"identity\":\"x\",\"state\":\"ACTIVE\",\"kind\":\"SIP\",\"attributes\":{\"sip.callStatus\":\"" s "\"}}"
#define MADE     "made"          /* the room that is asked for */
#define NOBODY   "{\"participants\":[]}"
#define AN_AGENT "{\"participants\":[{\"identity\":\"a\",\"kind\":\"AGENT\",\"state\":\"ACTIVE\"}]}"

enum { CREATE, DELETE, ROOMS, LIST, GET, DIAL, METHODS };
static const char *const methods[METHODS] = {
	"RoomService/CreateRoom", "RoomService/DeleteRoom", "RoomService/ListRooms", "RoomService/ListParticipants",
	"RoomService/GetParticipant", "SIP/CreateSIPParticipant",
};

/* What the server says; a test changes it while it goes. */
static struct {
	pthread_mutex_t mutex;
	int             status[METHODS];        /* 0: hangs up without a word; -1: waits for `release` */
	const char     *body[METHODS];
	int             count[METHODS];
	char            last[METHODS][8192];    /* the whole request */
	bool            release;
} script = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void (*witness)(int method, const char *body);   /* of each request, if anybody wants to know */
static struct sserver  *server;
static struct provider *p;

static inline int method_of(const char *request)
{
	char path[64];

	for (int m = 0; m < METHODS; m++) {
		snprintf(path, sizeof path, "POST /twirp/livekit.%s HTTP/1.1\r\n", methods[m]);
		if (strncmp(request, path, strlen(path)) == 0)
			return m;
	}
	return -1;
}

/* The room as it was asked for, or as the script says. */
static inline void put_answer(int m, const char *asked, char *out, size_t size)
{
	static const char before[] = "{\"name\":\"";

	if (m == CREATE && str_eq(script.body[m], MADE) && str_has_prefix(asked, before)) {
		asked += sizeof before - 1;
		snprintf(out, size, "{\"sid\":\"RM_1\", \"name\":\"%.*s\"}", (int)strcspn(asked, "\""), asked);
	} else {
		snprintf(out, size, "%s", script.body[m]);
	}
}

static inline void serve(struct sserver *s, int fd)
{
	char request[SSERVER_REQUEST_MAX], answer[8192];
	const char *body;

	while (sserver_request(s, fd, request, &body)) {
		int m = method_of(request), status;
		bool waits;

		if (m < 0)
			return;
		pthread_mutex_lock(&script.mutex);
		script.count[m]++;
		str_copy(script.last[m], sizeof script.last[m], request);
		if (witness)
			witness(m, body);
		waits = script.status[m] < 0;
		while (waits && !script.release) {
			pthread_mutex_unlock(&script.mutex);
			if (!sserver_wait(s, -1, 5))
				return;
			pthread_mutex_lock(&script.mutex);
		}
		status = script.status[m];
		put_answer(m, body, answer, sizeof answer);
		pthread_mutex_unlock(&script.mutex);
		if (status <= 0)
			return;
		sserver_answer(fd, status, answer);
	}
}

static inline void say(int method, int status, const char *body)
{
	pthread_mutex_lock(&script.mutex);
	script.status[method] = status;
	script.body[method] = body;
	script.release = method == DIAL && status > 0;
	pthread_mutex_unlock(&script.mutex);
}

static inline int count(int method)
{
	int n;

	pthread_mutex_lock(&script.mutex);
	n = script.count[method];
	pthread_mutex_unlock(&script.mutex);
	return n;
}

/* ── events ─────────────────────────────────────────────────────────────────────── */

static struct {
	pthread_mutex_t       mutex;
	pthread_cond_t        changed;
	struct provider_event events[64];
	int                   n, read;
} heard = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };

static inline void on_event(void *arg, const struct provider_event *ev)
{
	(void)arg;
	pthread_mutex_lock(&heard.mutex);
	if (heard.n < 64)
		heard.events[heard.n++] = *ev;
	pthread_cond_signal(&heard.changed);
	pthread_mutex_unlock(&heard.mutex);
}

static inline struct provider_event next_any(void)
{
	struct timespec until = { .tv_sec = time(NULL) + 10 };
	struct provider_event ev = { 0 };
	bool there;

	pthread_mutex_lock(&heard.mutex);
	while (heard.read == heard.n)
		if (pthread_cond_timedwait(&heard.changed, &heard.mutex, &until))
			break;
	there = heard.read < heard.n;
	if (there)
		ev = heard.events[heard.read++];
	pthread_mutex_unlock(&heard.mutex);
	if (!there)
		fail_msg("nothing came");
	return ev;
}

/* The next one that is neither. */
static inline struct provider_event next_other(enum provider_event_kind a, enum provider_event_kind b)
{
	struct provider_event ev = next_any();

	while (ev.kind == a || ev.kind == b)
		ev = next_any();
	return ev;
}

/* The next one, which must be of that kind. */
static inline struct provider_event next(enum provider_event_kind kind)
{
	struct provider_event ev = next_any();

	if (ev.kind != kind)
		fail_msg("event %d (%s %s) instead of %d", ev.kind, call_reason_info(ev.outcome.reason)->code,
		         ev.outcome.provider_code, kind);
	return ev;
}

static inline void nothing_for(int ms)
{
	int unread;

	usleep((useconds_t)ms * 1000);
	pthread_mutex_lock(&heard.mutex);
	unread = heard.n - heard.read;
	pthread_mutex_unlock(&heard.mutex);
	assert_int_equal(unread, 0);
}

static inline void wait_count(int method, int n)
{
	for (int i = 0; i < 1000 && count(method) < n; i++)
		usleep(5000);
	assert_int_equal(count(method), n);
}

/* ── calls ──────────────────────────────────────────────────────────────────────── */

static char room[64];

static inline struct dial_request request(void)
{
	static struct id id;

	if (id.b[0] == 0)
		id = id_new();
	return (struct dial_request){
		.call_id = id, .org_id = 7, .attempt = 1, .from = "+15550100", .to = "+15550123",
		.variables = "{\"name\":\"Ann\"}", .agent = "sales", .ring_timeout_s = 20, .max_duration_s = 600,
		.trunk_ref = "ST_1", .trunk_config = "{}", .provider_ref = *room ? room : NULL, .phase = 1,
	};
}

static inline void prepare(void)
{
	struct dial_request rq = request();
	struct provider_event ev;
	struct errinfo e;

	rq.phase = 0;
	assert_int_equal(p->ops->prepare(p, &rq, &e), OK);
	ev = next(PROVIDER_READY);
	snprintf(room, sizeof room, "%s", ev.ref);
}

static inline void dial(void)
{
	struct dial_request rq = request();
	struct errinfo e;

	assert_int_equal(p->ops->dial(p, &rq, &e), OK);
}

static inline void hang_up(int phase)
{
	struct dial_request rq = request();
	struct errinfo e;

	rq.phase = phase;
	assert_int_equal(p->ops->hangup(p, &rq, &e), OK);
}

static inline void look_up(int phase, bool answered, int since_ms)
{
	struct dial_request rq = request();
	struct errinfo e;

	rq.phase = phase;
	rq.answered = answered;
	rq.since_ms = since_ms;
	assert_int_equal(p->ops->lookup(p, &rq, &e), OK);
}

static inline void answered_call(void)
{
	prepare();
	dial();
	assert_string_equal(next(PROVIDER_ACCEPTED).ref, room);
	next(PROVIDER_ANSWERED);
}

static inline char *no_secret(void *arg, const char *name)
{
	(void)arg;
	if (strcmp(name, "LIVEKIT_OTHER_SECRET") == 0)
		return strdup("other");
	return strcmp(name, "LIVEKIT_THIRD_SECRET") == 0 ? strdup("third") : NULL;
}

/* Is the token of that request signed with that secret? */
static inline bool signed_with(const char *request_text, const char *secret)
{
	static const char before[] = "Authorization: Bearer ";
	const char *token = strstr(request_text, before) + sizeof before - 1;
	const char *end = strchr(token, '\r'), *dot = end;
	uint8_t mac[SHA256_SIZE];
	char text[BASE64URL_SIZE(SHA256_SIZE)];

	while (dot[-1] != '.')
		dot--;
	hmac_sha256(secret, strlen(secret), token, (size_t)(dot - 1 - token), mac);
	base64url_encode(mac, sizeof mac, text);
	return strlen(text) == (size_t)(end - dot) && memcmp(text, dot, strlen(text)) == 0;
}

static inline struct provider *make(const char *url)
{
	struct livekit_config c = {
		.url = url, .api_key = "key", .api_secret = "secret", .max_calls = 100, .secret = no_secret,
		.pace = { .first_poll_ms = 20, .ring_poll_ms = 20, .talk_poll_ms = 20, .agent_poll_ms = 20, .close_ms = 20,
		          .stale_ms = 200, .word_ms = 60, .proof_ms = 300, .polls_per_s = 1000, .server_slack_s = 15 },
	};
	struct provider *made = NULL;
	struct errinfo e;

	if (livekit_new(&c, on_event, NULL, &made, &e))
		fail_msg("%s", e.text);
	return made;
}

static inline int begin(void **state)
{
	char url[64];

	(void)state;
	log_setup(LOG_LEVEL_ERROR, false);
	room[0] = '\0';
	heard.n = heard.read = 0;
	memset(script.count, 0, sizeof script.count);
	say(CREATE, 200, MADE);
	say(DELETE, 200, "{}");
	say(ROOMS, 200, "{\"rooms\":[{\"sid\":\"RM_1\",\"num_participants\":1}]}");
	say(LIST, 200, NOBODY);
	say(GET, 200, LEG("active"));
	say(DIAL, 200, "{\"sip_call_id\":\"SCL_1\"}");
	server = sserver_new(serve, NULL);
	snprintf(url, sizeof url, "ws://127.0.0.1:%d/", server->port);
	p = make(url);
	return 0;
}

static inline int end(void **state)
{
	(void)state;
	p->ops->free(p);
	sserver_free(server);
	return 0;
}

#endif
