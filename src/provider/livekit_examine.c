/* The questions: does somebody answer, is it LiveKit, does it accept the key, has it SIP, and
 * is the trunk there. Each token carries the one grant that its question needs; the answers to
 * a token that is refused repeat it, so they are never shown. */
#include "callgate/livekit_examine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/httpc.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_livekit.h"
#include "callgate/wire_livekit_stored.h"
#include "livekit_project.h"
#include "livekit_token.h"

#define ASK_MS      6000
#define ANSWER_MAX  (1 << 20)

struct examined {
	struct project       *project;
	bool                  well;     /* its trunks can be asked about */
	enum wire_livekit_age age;
};

struct examination {
	const struct livekit_config    *config;
	const struct finding_listener  *listener;
	struct projects                 projects;
	struct examined                 seen[PROJECTS_MAX];
	size_t                          n_seen;
	struct buf                      answer;         /* to the last question */
};

__attribute__((format(printf, 3, 4)))
static void found(struct examination *x, enum finding_level level, const char *fmt, ...)
{
	char text[600];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	x->listener->found(x->listener->arg, level, "livekit", text);
}

/* ── asking ─────────────────────────────────────────────────────────────────────── */

static enum err ask(struct examination *x, const struct project *p, const char *method, unsigned grants,
                    const struct buf *body, int *status, struct errinfo *e)
{
	CLEANUP(buf_done) struct buf url, header;
	const char *headers[] = { "Content-Type: application/json", NULL, NULL };
	struct httpc_request rq = {
		.method = body ? "POST" : "GET", .body = body ? body->data : NULL, .ca_file = x->config->ca_file,
		.timeout_ms = ASK_MS,
	};

	buf_init(&url, 1024);
	buf_init(&header, 4096);
	buf_printf(&url, "%s/%s%s", p->url, body ? "twirp/livekit." : "", method);
	rq.url = url.data;
	if (body) {
		CLEANUP(buf_done) struct buf token;

		buf_init(&token, 4000);
		livekit_token(&token, p->key, p->secret, grants, "", wall_ms() / 1000, ASK_MS / 1000);
		buf_printf(&header, "Authorization: Bearer %s", token.data);
		headers[1] = header.data;
		rq.headers = headers;
	}
	return httpc_ask(&rq, status, &x->answer, e);
}

static const char *answer(const struct examination *x)
{
	return x->answer.data ? x->answer.data : "";
}

static bool is_json(const struct examination *x)
{
	char ignored[2];

	return wire_livekit_leg_read(answer(x), x->answer.len, ignored, sizeof ignored);
}

/* ── a project ──────────────────────────────────────────────────────────────────── */

static bool is_cloud(const struct project *p)
{
	static const char cloud[] = ".livekit.cloud";
	size_t n = strlen(p->url);

	return n > sizeof cloud && str_eq(p->url + n - (sizeof cloud - 1), cloud);
}

static void tell_refused(struct examination *x, const struct project *p)
{
	struct wire_livekit_error e;
	const char *words = answer(x);

	wire_livekit_error_read(words, x->answer.len, &e);
	if (e.json)
		found(x, FINDING_FAIL, "%s: our token did not reach it, or may not do what was asked; see that nothing on the way"
		      " takes the Authorization header out", p->url);
	else if (strstr(words, "API key"))
		found(x, FINDING_FAIL, "%s does not know the key %s; correct LIVEKIT_API_KEY, or the trunk's apiKey", p->url, p->key);
	else if (strstr(words, "signature") || strstr(words, "cryptographic"))
		found(x, FINDING_FAIL, "%s: the secret does not belong to the key %s; correct LIVEKIT_API_SECRET, or what the trunk's"
		      " apiSecretEnv names", p->url, p->key);
	else if (strstr(words, "expired") || strstr(words, "not valid yet") || strstr(words, "before issued"))
		found(x, FINDING_FAIL, "%s: its clock and ours are more than a minute apart; let NTP keep both", p->url);
	else
		found(x, FINDING_FAIL, "%s refuses the key %s (401); correct LIVEKIT_API_KEY and LIVEKIT_API_SECRET", p->url, p->key);
}

/* What is not as it should be, in an answer to a question of the API. */
static void tell_odd(struct examination *x, const struct project *p, int status)
{
	struct wire_livekit_error e;
	char said[sizeof e.msg];

	wire_livekit_error_read(answer(x), x->answer.len, &e);
	str_hush(said, sizeof said, e.msg);
	if (status == 401)
		tell_refused(x, p);
	else if (e.json && strstr(e.msg, "sip not connected"))
		found(x, FINDING_FAIL, "%s has no SIP: it runs without redis. Give livekit-server and livekit-sip the same redis"
		      " (`redis: address:` in both files), and start livekit-sip", p->url);
	else if (e.json && *e.msg)
		found(x, FINDING_FAIL, "%s answers %d: %s", p->url, status, said);
	else
		found(x, FINDING_FAIL, "%s answers %d, not as LiveKit does; is the URL right, without a path, and does a proxy pass"
		      " /twirp on?", p->url, status);
}

static bool check_door(struct examination *x, const struct project *p)
{
	struct errinfo e;
	int status;

	if (ask(x, p, "", 0, NULL, &status, &e)) {
		found(x, FINDING_FAIL, "no answer: %s", e.text);
		return false;
	}
	if (status == 406)
		found(x, FINDING_WARN, "%s says that it is not well (406): see its log", p->url);
	else if (status != 200 || !str_has_prefix(answer(x), "OK"))
		found(x, FINDING_WARN, "%s does not say OK as LiveKit does (%d); it may be a proxy's answer", p->url, status);
	return true;
}

static bool check_key(struct examination *x, const struct project *p)
{
	CLEANUP(buf_done) struct buf body;
	struct errinfo e;
	int status;

	buf_init(&body, 256);
	wire_livekit_name_rooms(&body, "callgate-doctor");
	if (ask(x, p, "RoomService/ListRooms", LIVEKIT_GRANT_ROOM_LIST, &body, &status, &e)) {
		found(x, FINDING_FAIL, "no answer: %s", e.text);
		return false;
	}
	if (status != 200 || !is_json(x)) {
		tell_odd(x, p, status);
		return false;
	}
	found(x, FINDING_OK, "%s answers and accepts the key %s", p->url, p->key);
	return true;
}

static void tell_age(struct examination *x, struct examined *s, enum wire_livekit_age age)
{
	if (is_cloud(s->project) || s->age != LIVEKIT_AGE_UNKNOWN)
		return;
	s->age = age;
	switch (age) {
	case LIVEKIT_AGE_UNKNOWN:
		break;
	case LIVEKIT_BEFORE_1_10:
		found(x, FINDING_FAIL, "%s is older than livekit-server 1.10, as the fields of its answers tell. 1.9.11 is known to dial"
		      " a second time by itself; go to 1.13.2 or newer before you call", s->project->url);
		break;
	case LIVEKIT_BEFORE_1_13_2:
		found(x, FINDING_WARN, "%s is livekit-server 1.10 to 1.13.1, as the fields of its answers tell; callgate is tested with"
		      " 1.13.5", s->project->url);
		break;
	case LIVEKIT_SINCE_1_13_2:
		found(x, FINDING_OK, "%s is livekit-server 1.13.2 or newer, as the fields of its answers tell", s->project->url);
		break;
	}
}

static void tell_unlearned(struct examination *x, const struct examined *s)
{
	if (!s->well || is_cloud(s->project))
		return;
	if (s->age == LIVEKIT_AGE_UNKNOWN)
		found(x, FINDING_SKIP, "%s: its version cannot be learned without a trunk that is stored there; it must not be 1.9.11,"
		      " which dials a second time by itself", s->project->url);
	found(x, FINDING_SKIP, "%s: whether a livekit-sip serves it, and which, only a call can tell; without one calls end with"
	      " 'no_sip_service'. Use 1.9 or newer", s->project->url);
}

/* Each project once. NULL: there are too many of them. */
static struct examined *examine_project(struct examination *x, struct project *p)
{
	struct examined *s = NULL;

	for (size_t i = 0; i < x->n_seen; i++)
		if (x->seen[i].project == p)
			return &x->seen[i];
	if (x->n_seen < PROJECTS_MAX) {
		s = &x->seen[x->n_seen++];
		s->project = p;
		s->well = check_door(x, p) && check_key(x, p);
	}
	return s;
}

/* ── a trunk ────────────────────────────────────────────────────────────────────── */

static void secret_free(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
}

static enum err find_secret(struct examination *x, const char *name, char **out, struct errinfo *e)
{
	*out = x->config->secret ? x->config->secret(x->config->secret_arg, name) : NULL;
	return *out ? OK : err_set(e, ERR_INVALID, "%s is not set here; set it for every gateway", name);
}

static enum err project_of(struct examination *x, const struct wire_livekit_trunk *t, struct project **out,
                           struct errinfo *e)
{
	CLEANUP(secret_free) char *secret = NULL;
	enum err err;

	*out = x->projects.fallback;
	if (!t->url)
		return *out ? OK : err_set(e, ERR_INVALID, "LIVEKIT_URL is not set, and the trunk's config names no LiveKit project"
		                           " (url, apiKey, apiSecretEnv)");
	err = find_secret(x, t->api_secret_name, &secret, e);
	return err ? err : projects_get(&x->projects, t->url, t->api_key, secret, out, e);
}

static enum err check_trunk_settings(struct examination *x, const struct livekit_trunk *t,
                                     const struct wire_livekit_trunk *config, struct errinfo *e)
{
	CLEANUP(secret_free) char *password = NULL;

	if (!t->ref && !config->hostname)
		return err_set(e, ERR_INVALID, "has neither providerRef (LiveKit's ST_...) nor a hostname in its config");
	if (!t->ref && config->auth_password_name)
		return find_secret(x, config->auth_password_name, &password, e);
	return OK;
}

static void tell_stored(struct examination *x, const struct livekit_trunk *t, const struct wire_livekit_stored *s)
{
	if (!s->found)
		found(x, FINDING_FAIL, "%s / %s: LiveKit has no outbound trunk %s; create it there, or correct the trunk's providerRef",
		      t->org, t->name, t->ref);
	else if (s->n_unlisted)
		found(x, FINDING_WARN, "%s / %s: LiveKit's trunk %s does not list …%s%s; calls from there may be refused by the carrier,"
		      " or by LiveKit: add it to the trunk's numbers", t->org, t->name, t->ref,
		      s->unlisted + (strlen(s->unlisted) > 4 ? strlen(s->unlisted) - 4 : 0), s->n_unlisted > 1 ? " and others" : "");
	else
		found(x, FINDING_OK, "%s / %s: LiveKit has the trunk %s", t->org, t->name, t->ref);
}

/* Of an inline trunk LiveKit knows nothing; asking for any tells whether it has SIP. */
static void ask_stored(struct examination *x, struct examined *s, const struct livekit_trunk *t)
{
	CLEANUP(buf_done) struct buf body;
	struct wire_livekit_stored stored;
	struct errinfo e;
	int status;

	buf_init(&body, 1024);
	wire_livekit_list_trunks(&body, t->ref);
	if (ask(x, s->project, "SIP/ListSIPOutboundTrunk", LIVEKIT_GRANT_SIP_ADMIN, &body, &status, &e)) {
		found(x, FINDING_FAIL, "%s / %s: no answer: %s", t->org, t->name, e.text);
		s->well = false;
	} else if (status != 200 || !wire_livekit_stored_read(answer(x), x->answer.len, t->ref, t->numbers, &stored)) {
		tell_odd(x, s->project, status);
		s->well = false;
	} else {
		tell_age(x, s, stored.age);
		if (t->ref)
			tell_stored(x, t, &stored);
		else
			found(x, FINDING_OK, "%s / %s: LiveKit has SIP; of this trunk, dialed by its hostname, it knows nothing before a"
			      " call", t->org, t->name);
	}
}

static void examine_trunk(struct examination *x, const struct livekit_trunk *t)
{
	CLEANUP(wire_livekit_trunk_done) struct wire_livekit_trunk config;
	struct examined *s;
	struct project *p;
	struct errinfo e;
	enum err err = wire_livekit_trunk_read(t->config, &config, &e);

	if (!err)
		err = check_trunk_settings(x, t, &config, &e);
	if (!err)
		err = project_of(x, &config, &p, &e);
	if (err) {
		found(x, FINDING_FAIL, "%s / %s: %s", t->org, t->name, e.text);
		return;
	}
	s = examine_project(x, p);
	if (s && s->well)
		ask_stored(x, s, t);
	else
		found(x, FINDING_SKIP, "%s / %s: not asked about, for LiveKit at %s could not be asked", t->org, t->name, p->url);
}

/* ── all ────────────────────────────────────────────────────────────────────────── */

void livekit_examine(const struct livekit_config *c, const struct livekit_trunk *trunks, size_t n,
                     const struct finding_listener *l)
{
	CLEANUP(freep) struct examination *x = xcalloc(1, sizeof *x);
	struct errinfo e;

	x->config = c;
	x->listener = l;
	buf_init(&x->answer, ANSWER_MAX);
	projects_init(&x->projects);
	if (c->url && c->api_key && c->api_secret &&
	    projects_get(&x->projects, c->url, c->api_key, c->api_secret, &x->projects.fallback, &e))
		found(x, FINDING_FAIL, "LIVEKIT_URL: %s", e.text);
	if (x->projects.fallback)
		examine_project(x, x->projects.fallback);
	for (size_t i = 0; i < n; i++) {
		const struct livekit_trunk t = {
			.org = trunks[i].org, .name = trunks[i].name, .config = trunks[i].config, .numbers = trunks[i].numbers,
			.ref = trunks[i].ref && *trunks[i].ref ? trunks[i].ref : NULL,
		};

		examine_trunk(x, &t);
	}
	for (size_t i = 0; i < x->n_seen; i++)
		tell_unlearned(x, &x->seen[i]);
	buf_done(&x->answer);
	projects_done(&x->projects);
}
