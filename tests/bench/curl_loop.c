/* Calls through LiveKit without a gateway: the three requests of a busy call, CALLS times,
 * CONCURRENCY of them at once, on one thread over one libcurl multi handle and epoll. What
 * the drain through the stub is compared with: the same requests, nothing else (the token
 * is made once, nothing is read but the status, handles are used again).
 *
 *     curl_loop URL CALLS CONCURRENCY fresh|reuse
 *
 * "fresh" sends each dial on a connection of its own, as the gateway does lest libcurl
 * repeats it; "reuse" lets libcurl keep them. */
#include <curl/curl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"
#include "callgate/buf.h"
#include "callgate/text.h"

#define SLOTS_MAX  20000
#define EVENTS_MAX 256

enum step { STEP_ROOM, STEP_DIAL, STEP_DELETE, STEP_COUNT };

static const struct { const char *method; long status; } steps[STEP_COUNT] = {
	[STEP_ROOM]   = { "RoomService/CreateRoom", 200 },
	[STEP_DIAL]   = { "SIP/CreateSIPParticipant", 429 },
	[STEP_DELETE] = { "RoomService/DeleteRoom", 200 },
};

struct loop {
	CURLM             *multi;
	int                epoll;
	int64_t            due;                 /* libcurl's timer, mono us; INT64_MAX: none */
	char              *urls[STEP_COUNT];
	struct curl_slist *headers[STEP_COUNT];
	int64_t            calls, begun, done;
	int64_t            run;                 /* tells this run's rooms from another's */
	bool               fresh;
};

struct slot {
	struct loop *loop;
	CURL        *easy;
	enum step    step;
	char         room[64];
	struct buf   body;
};

/* ── a call ─────────────────────────────────────────────────────────────────────── */

static size_t ignore(char *bytes, size_t size, size_t n, void *arg)
{
	(void)bytes, (void)arg;
	return size * n;
}

static void put_body(struct slot *s)
{
	static const char vars[] = "{\\\"customerName\\\":\\\"Jane Doe\\\",\\\"appointment\\\":\\\"2026-11-20T10:30:00Z\\\","
	                           "\\\"reason\\\":\\\"follow-up\\\"}";

	buf_clear(&s->body);
	switch (s->step) {
	case STEP_ROOM:
		buf_printf(&s->body, "{\"name\":\"%s\",\"empty_timeout\":300,\"departure_timeout\":30,\"max_participants\":1,"
		           "\"metadata\":\"%s\",\"agents\":[{\"agent_name\":\"bench-agent\",\"metadata\":\"%s\"}]}", s->room, vars, vars);
		break;
	case STEP_DIAL:
		buf_printf(&s->body, "{\"sip_trunk_id\":\"ST_bench\",\"sip_call_to\":\"+491234567801234\",\"sip_number\":\"%s\","
		           "\"room_name\":\"%s\",\"participant_identity\":\"%.42s\",\"participant_attributes\":{\"gw.attempt\":\"%.42s\"},"
		           "\"headers\":{\"X-Gw-Attempt\":\"%.42s\"},\"include_headers\":\"SIP_X_HEADERS\",\"ringing_timeout\":\"60s\","
		           "\"max_call_duration\":\"660s\",\"wait_until_answered\":true}", BENCH_FROM, s->room, s->room, s->room, s->room);
		break;
	case STEP_DELETE:
	case STEP_COUNT:
		buf_printf(&s->body, "{\"room\":\"%s\"}", s->room);
		break;
	}
}

static void send_step(struct slot *s)
{
	bool once = s->loop->fresh && s->step == STEP_DIAL;

	put_body(s);
	curl_easy_setopt(s->easy, CURLOPT_URL, s->loop->urls[s->step]);
	curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->loop->headers[s->step]);
	curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE, (long)s->body.len);
	curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, s->body.data);
	curl_easy_setopt(s->easy, CURLOPT_FRESH_CONNECT, (long)once);
	curl_easy_setopt(s->easy, CURLOPT_FORBID_REUSE, (long)once);
	if (curl_multi_add_handle(s->loop->multi, s->easy) != CURLM_OK)
		die("curl_multi_add_handle", NULL);
}

static void begin(struct slot *s)
{
	struct loop *l = s->loop;

	if (l->begun == l->calls)
		return;
	snprintf(s->room, sizeof s->room, "cg-01890a5d-%04llx-774b-bcce-%012llx-a1-0123456789abcdef",
	         (unsigned long long)(l->run & 0xffff), (unsigned long long)l->begun++);
	s->step = STEP_ROOM;
	send_step(s);
}

static void step_done(struct slot *s, CURLcode rc)
{
	long status = 0;

	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	if (rc != CURLE_OK || status != steps[s->step].status) {
		fprintf(stderr, "%s: %s, status %ld\n", steps[s->step].method, curl_easy_strerror(rc), status);
		exit(1);
	}
	if (++s->step < STEP_COUNT) {
		send_step(s);
		return;
	}
	s->loop->done++;
	begin(s);
}

/* ── libcurl and epoll ──────────────────────────────────────────────────────────── */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct loop *l = arg;
	struct epoll_event ev = { .data.fd = fd };

	(void)easy;
	if (what & CURL_POLL_IN)
		ev.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		ev.events |= EPOLLOUT;
	if (what == CURL_POLL_REMOVE)
		epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, &ev);
	else if (epoll_ctl(l->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev) < 0 &&
	         epoll_ctl(l->epoll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &ev) < 0)
		return -1;
	curl_multi_assign(l->multi, fd, l);
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct loop *l = arg;

	(void)multi;
	l->due = timeout_ms < 0 ? INT64_MAX : now_us() + timeout_ms * 1000;
	return 0;
}

static void collect(struct loop *l)
{
	struct slot *s = NULL;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(l->multi, &left))) {
		CURLcode rc = m->data.result;

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &s);
		curl_multi_remove_handle(l->multi, s->easy);
		step_done(s, rc);
	}
}

static void turn(struct loop *l)
{
	struct epoll_event events[EVENTS_MAX];
	int64_t now = now_us();
	int n, running, wait = l->due <= now ? 0 : l->due - now > 1000000 ? 1000 : (int)((l->due - now + 999) / 1000);

	n = epoll_wait(l->epoll, events, EVENTS_MAX, wait);
	for (int i = 0; i < n; i++) {
		int what = (events[i].events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
		           (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		           (events[i].events & EPOLLERR ? CURL_CSELECT_ERR : 0);

		curl_multi_socket_action(l->multi, events[i].data.fd, what, &running);
	}
	if (l->due <= now_us()) {
		l->due = INT64_MAX;
		curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	collect(l);
}

/* ── making it ──────────────────────────────────────────────────────────────────── */

/* The head of a request is as long as the gateway's. */
static void make_steps(struct loop *l, const char *url)
{
	char token[512] = "Authorization: Bearer ", deadline[] = "X-Twirp-Timeout-Ms: 75000";
	size_t len = strlen(token);

	memset(token + len, 'x', 290);
	for (int i = 0; i < STEP_COUNT; i++) {
		CLEANUP(buf_done) struct buf b;

		buf_init(&b, 1024);
		buf_printf(&b, "%s/twirp/livekit.%s", url, steps[i].method);
		l->urls[i] = buf_take(&b, &len);
		l->headers[i] = curl_slist_append(NULL, "Expect:");
		curl_slist_append(l->headers[i], "Content-Type: application/json");
		curl_slist_append(l->headers[i], token);
		curl_slist_append(l->headers[i], "X-Livekit-Request-Id: 01890a5d-ac96-774b-bcce-b302099a8057");
		if (i == STEP_DIAL)
			curl_slist_append(l->headers[i], deadline);
	}
}

static void make_multi(struct loop *l, long concurrency)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->multi = curl_multi_init();
	l->due = INT64_MAX;
	if (l->epoll < 0 || !l->multi)
		die("curl_multi_init", NULL);
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
	curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, 2 * concurrency);
}

static void make_slot(struct slot *s, struct loop *l)
{
	s->loop = l;
	buf_init(&s->body, 4096);
	s->easy = curl_easy_init();
	if (!s->easy)
		die("curl_easy_init", NULL);
	curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
	curl_easy_setopt(s->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(s->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(s->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(s->easy, CURLOPT_USERAGENT, "callgate/0.0.0");
	curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, ignore);
}

int main(int argc, char **argv)
{
	struct loop l = { 0 };
	struct slot *slots;
	int64_t start, elapsed;
	long concurrency;

	if (argc != 5 || !(str_eq(argv[4], "fresh") || str_eq(argv[4], "reuse"))) {
		fprintf(stderr, "usage: curl_loop URL CALLS CONCURRENCY fresh|reuse\n");
		return 2;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	l.calls = number(argv[2], 1, 100000000);
	concurrency = number(argv[3], 1, SLOTS_MAX);
	l.fresh = str_eq(argv[4], "fresh");
	l.run = wall_ms() / 1000;
	make_steps(&l, argv[1]);
	make_multi(&l, concurrency);
	slots = xcalloc((size_t)concurrency, sizeof *slots);
	start = now_us();
	for (long i = 0; i < concurrency; i++) {
		make_slot(&slots[i], &l);
		begin(&slots[i]);
	}
	while (l.done < l.calls)
		turn(&l);
	elapsed = now_us() - start;
	printf("{\"calls\":%lld,\"seconds\":%.3f,\"per_second\":%.0f}\n", (long long)l.calls, (double)elapsed / 1e6,
	       (double)l.calls * 1e6 / (double)elapsed);
	return 0;
}
