/* See livekit_project.h. */
#include "livekit_project.h"

#include <stdlib.h>
#include <string.h>

#include "callgate/clock.h"
#include "callgate/digest.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/wire_livekit.h"
#include "livekit_token.h"

#define PROJECT_FAILURES 5
#define TRUNK_FAILURES   10

char *livekit_url(const char *url, struct errinfo *e)
{
	static const struct { const char *from, *to; } schemes[] = {
		{ "https://", "https://" }, { "http://", "http://" }, { "wss://", "https://" }, { "ws://", "http://" },
	};
	char *out = NULL;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(schemes) && !out; i++) {
		const char *rest = url + strlen(schemes[i].from);

		if (!str_has_prefix(url, schemes[i].from) || !*rest || strpbrk(rest, "@?# \t\r\n"))
			continue;
		out = xmalloc(strlen(rest) + 9);
		strcpy(out, schemes[i].to);
		strcat(out, rest);
	}
	if (!out) {
		err_set(e, ERR_INVALID, "LiveKit's URL must look like https://livekit.example.org or ws://127.0.0.1:7880");
		return NULL;
	}
	for (len = strlen(out); out[len - 1] == '/'; len--)
		out[len - 1] = '\0';
	return out;
}

enum err livekit_check_trunk(const char *config, struct errinfo *e)
{
	CLEANUP(wire_livekit_trunk_done) struct wire_livekit_trunk trunk;
	CLEANUP(freep) char *url = NULL;
	enum err err = wire_livekit_trunk_read(config, &trunk, e);

	if (!err && trunk.url)
		url = livekit_url(trunk.url, e);
	return !err && trunk.url && !url ? ERR_INVALID : err;
}

void projects_init(struct projects *ps)
{
	*ps = (struct projects){ 0 };
	pthread_mutex_init(&ps->mutex, NULL);
}

static void project_free(struct project *p)
{
	for (struct trunk *t; (t = p->trunks); free(t)) {
		p->trunks = t->next;
		free(t->name);
	}
	free(p->url);
	free(p->key);
	explicit_bzero(p->secret, strlen(p->secret));
	free(p->secret);
	free(p);
}

void projects_done(struct projects *ps)
{
	for (struct project *p; (p = ps->first); project_free(p))
		ps->first = p->next;
	pthread_mutex_destroy(&ps->mutex);
}

static struct project *find(struct projects *ps, const char *url, const char *key, const char *secret)
{
	struct project *p = ps->first;

	while (p && !(str_eq(p->url, url) && str_eq(p->key, key) && str_eq(p->secret, secret)))
		p = p->next;
	return p;
}

/* Not by the key alone: any tenant's trunk may name any key, and have a secret of its own for it. */
static void name_sender(struct project *p)
{
	static const char purpose[] = "callgate: sender of messages";
	uint8_t mac[SHA256_SIZE], name[SHA256_SIZE];

	hmac_sha256(p->secret, strlen(p->secret), purpose, sizeof purpose - 1, mac);
	hmac_sha256(mac, sizeof mac, p->key, strlen(p->key), name);
	explicit_bzero(mac, sizeof mac);
	base64url_encode(name, 24, p->sender);
}

enum err projects_get(struct projects *ps, const char *url, const char *key, const char *secret, struct project **out,
                      struct errinfo *e)
{
	CLEANUP(freep) char *base = livekit_url(url, e);
	struct project *p;
	enum err err = OK;

	if (!base)
		return ERR_INVALID;
	pthread_mutex_lock(&ps->mutex);
	p = find(ps, base, key, secret);
	if (!p && ps->n == PROJECTS_MAX) {
		err = err_set(e, ERR_INVALID, "more than %d LiveKit projects", PROJECTS_MAX);
	} else if (!p) {
		p = xcalloc(1, sizeof *p);
		*p = (struct project){ .url = TAKE(base), .key = xstrdup(key), .secret = xstrdup(secret),
		                       .breaker = { .threshold = PROJECT_FAILURES }, .next = ps->first };
		TAILQ_INIT(&p->turns);
		ps->first = p;
		ps->n++;
		name_sender(p);
	}
	pthread_mutex_unlock(&ps->mutex);
	*out = p;
	return err;
}

/* Those that calls need come first: what is only heard of takes half of the room at most. */
bool projects_spacious(struct projects *ps)
{
	bool spacious;

	pthread_mutex_lock(&ps->mutex);
	spacious = ps->n < PROJECTS_MAX / 2;
	pthread_mutex_unlock(&ps->mutex);
	return spacious;
}

/* What is compared never changes once it is on the list, and stays there. */
bool projects_signed(struct projects *ps, const char *key, const char *token, char sender[PROVIDER_SENDER_SIZE])
{
	const struct project *p;

	pthread_mutex_lock(&ps->mutex);
	p = ps->first;
	pthread_mutex_unlock(&ps->mutex);
	while (p && !(str_eq(p->key, key) && livekit_token_signed(token, p->secret)))
		p = p->next;
	str_copy(sender, PROVIDER_SENDER_SIZE, p ? p->sender : "");
	return p != NULL;
}

struct trunk *projects_trunk(struct projects *ps, struct project *p, int64_t org_id, const char *name)
{
	struct trunk *t;

	pthread_mutex_lock(&ps->mutex);
	for (t = p->trunks; t && !(t->org_id == org_id && str_eq(t->name, name)); t = t->next)
		;
	if (!t && ps->n_trunks < TRUNKS_MAX) {
		t = xcalloc(1, sizeof *t);
		*t = (struct trunk){ .org_id = org_id, .name = xstrdup(name), .breaker = { .threshold = TRUNK_FAILURES },
		                     .next = p->trunks };
		p->trunks = t;
		ps->n_trunks++;
	}
	pthread_mutex_unlock(&ps->mutex);
	return t;
}

/* ── breakers ───────────────────────────────────────────────────────────────────── */

static void log_change(const struct project *p, const struct trunk *t, const struct breaker *b, enum breaker_change c)
{
	const char *trunk = t ? t->name : "";
	int64_t org = t ? t->org_id : 0;

	switch (c) {
	case BREAKER_SAME:
		break;
	case BREAKER_OPENED:
		LOG_WARN("breaker.open", LOG_STR("livekit", p->url), LOG_STR("trunk", trunk), LOG_INT("org", org),
		         LOG_INT("failures", b->failures), LOG_INT("for_ms", b->open_ms));
		break;
	case BREAKER_HALF_OPENED:
		LOG_INFO("breaker.half_open", LOG_STR("livekit", p->url), LOG_STR("trunk", trunk), LOG_INT("org", org));
		break;
	case BREAKER_CLOSED:
		LOG_INFO("breaker.closed", LOG_STR("livekit", p->url), LOG_STR("trunk", trunk), LOG_INT("org", org));
		break;
	}
}

static enum livekit_breaker state_of(const struct breaker *b)
{
	return !b->open ? LIVEKIT_CLOSED : b->probing ? LIVEKIT_HALF_OPEN : LIVEKIT_OPEN;
}

static void count(struct projects *ps, enum livekit_breaker state, int by)
{
	switch (state) {
	case LIVEKIT_CLOSED:
		break;
	case LIVEKIT_HALF_OPEN:
		ps->breakers.half_open += by;
		break;
	case LIVEKIT_OPEN:
		ps->breakers.open += by;
		break;
	}
}

/* Both of a breaker's questions; of the trunk, or of the project itself. */

static bool admit(struct projects *ps, struct project *p, struct trunk *t)
{
	struct breaker *b = t ? &t->breaker : &p->breaker;
	enum livekit_breaker was = state_of(b);
	enum breaker_change change;
	bool admitted = breaker_admit(b, mono_ms(), &change);

	count(ps, was, -1);
	count(ps, state_of(b), 1);
	log_change(p, t, b, change);
	return admitted;
}

static void went(struct projects *ps, struct project *p, struct trunk *t, bool well)
{
	struct breaker *b = t ? &t->breaker : &p->breaker;
	enum livekit_breaker was = state_of(b);
	enum breaker_change change = breaker_went(b, well, mono_ms());

	count(ps, was, -1);
	count(ps, state_of(b), 1);
	log_change(p, t, b, change);
}

static enum err refuse(const struct project *p, const struct trunk *t, struct errinfo *e)
{
	if (t)
		return err_set(e, ERR_UNAVAILABLE, "trunk %s at %s fails again and again; it is given a rest", t->name, p->url);
	return err_set(e, ERR_UNAVAILABLE, "LiveKit at %s does not answer; it is given a rest", p->url);
}

/* The trunk first: a probe's place at the project must not be taken in vain. */
enum err projects_admit(struct projects *ps, struct project *p, struct trunk *t, struct errinfo *e)
{
	enum err err = OK;

	pthread_mutex_lock(&ps->mutex);
	if (p->breaker.open && mono_ms() < p->breaker.until)
		err = refuse(p, NULL, e);
	else if (t && !admit(ps, p, t))
		err = refuse(p, t, e);
	else if (!admit(ps, p, NULL))
		err = refuse(p, NULL, e);
	pthread_mutex_unlock(&ps->mutex);
	return err;
}

enum err projects_blocks(struct projects *ps, struct project *p, struct trunk *t, struct errinfo *e)
{
	enum err err = OK;

	pthread_mutex_lock(&ps->mutex);
	if (breaker_blocks(&p->breaker))
		err = refuse(p, NULL, e);
	else if (t && breaker_blocks(&t->breaker))
		err = refuse(p, t, e);
	pthread_mutex_unlock(&ps->mutex);
	return err;
}

void projects_project_went(struct projects *ps, struct project *p, bool well)
{
	pthread_mutex_lock(&ps->mutex);
	went(ps, p, NULL, well);
	pthread_mutex_unlock(&ps->mutex);
}

void projects_trunk_went(struct projects *ps, struct project *p, struct trunk *t, bool well)
{
	if (!t)
		return;
	pthread_mutex_lock(&ps->mutex);
	went(ps, p, t, well);
	pthread_mutex_unlock(&ps->mutex);
}

void projects_trunk_spoke(struct projects *ps, struct trunk *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&ps->mutex);
	t->spoke_at = mono_ms();
	pthread_mutex_unlock(&ps->mutex);
}

bool projects_trunk_speaks(struct projects *ps, struct trunk *t, int within_ms)
{
	bool speaks;

	if (!t)
		return false;
	pthread_mutex_lock(&ps->mutex);
	speaks = t->spoke_at && mono_ms() - t->spoke_at < within_ms;
	pthread_mutex_unlock(&ps->mutex);
	return speaks;
}

/* ── for people ─────────────────────────────────────────────────────────────────── */

static void put_state(struct livekit_state *out, const struct project *p, const char *trunk, const struct breaker *b)
{
	str_copy(out->url, sizeof out->url, p->url);
	str_copy(out->trunk, sizeof out->trunk, trunk);
	out->breaker = state_of(b);
	out->failures = b->failures;
}

size_t projects_states(struct projects *ps, struct livekit_state *out, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&ps->mutex);
	for (const struct project *p = ps->first; p; p = p->next) {
		if (n++ < max)
			put_state(&out[n - 1], p, "", &p->breaker);
		for (const struct trunk *t = p->trunks; t; t = t->next)
			if (n++ < max)
				put_state(&out[n - 1], p, t->name, &t->breaker);
	}
	pthread_mutex_unlock(&ps->mutex);
	return n;
}

void projects_breakers(struct projects *ps, struct provider_breakers *sum)
{
	pthread_mutex_lock(&ps->mutex);
	sum->open += ps->breakers.open;
	sum->half_open += ps->breakers.half_open;
	pthread_mutex_unlock(&ps->mutex);
}
