/* What providers tell of their own accord. The API has stored it; here it reaches the
 * driver that follows the call, in this process or, if another follows it, in that one. It
 * is a hint: a driver finds out by itself what nobody tells it, only later. */
#include "loop.h"

#include <string.h>

#include "callgate/clock.h"
#include "callgate/log.h"
#include "callgate/store_events.h"
#include "callgate/text.h"

#define NOTICES_MAX   256
#define NOTICES_MS    1000      /* for what other gateways have stored */
#define FORGET_MS     60000
#define FORGET_MAX    5000
#define KEEP_S        3600      /* longer than any provider repeats itself */
#define SENDERS_MS    5000
#define SENDERS_MAX   256       /* of a driver */

enum err scheduler_check_notice(struct scheduler *s, const char *driver, const char *authorization, const char *body,
                                size_t len, struct provider_notice *out, struct errinfo *e)
{
	const struct driver *d = driver_find(s, driver);

	if (!d || !d->provider->ops->check)
		return err_set(e, ERR_NOT_FOUND, "no provider of the name '%s' sends messages", driver);
	return d->provider->ops->check(d->provider, authorization, body, len, out, e);
}

static void hear_one(struct scheduler *s, const struct taken_note *note)
{
	const struct flight *f = flight_find(&s->flights, &note->call_id);
	struct dial_request rq;

	if (!f || f->attempt != note->attempt || f->ended || !f->driver || !f->driver->provider->ops->hear ||
	    !str_eq(f->driver->name, note->provider))
		return;
	rq = flight_request(f, mono_ms());
	f->driver->provider->ops->hear(f->driver->provider, &rq, note->sender, note->body, strlen(note->body));
}

static bool somebody_speaks(const struct scheduler *s)
{
	for (int i = 0; i < s->n_drivers; i++)
		if (s->drivers[i].provider->ops->hear)
			return true;
	return false;
}

void take_notices(struct scheduler *s, int64_t now)
{
	struct taken_note *notes = NULL;
	struct errinfo e;
	size_t n = 0;

	s->due.notices = somebody_speaks(s) ? now + jitter(s, NOTICES_MS) : INT64_MAX;
	if (s->flights.map.n == 0 ||
	    !db_went(s, store_notes_take(s->store, s->lease.gateway_id, NOTICES_MAX, &notes, &n, &e), "notices", &e))
		return;
	for (size_t i = 0; i < n; i++)
		hear_one(s, &notes[i]);
	taken_notes_free(notes, n);
	if (n == NOTICES_MAX)
		s->due.notices = now;
}

/* False when the database failed. */
static bool learn_from_trunks(struct scheduler *s, const struct driver *d)
{
	const char *const *members = d->provider->ops->sender_members;
	size_t n_members = 0, n = 0;
	char **configs = NULL;
	struct errinfo e;

	while (members[n_members])
		n_members++;
	if (!db_went(s, store_notes_senders(s->store, d->name, members, n_members, SENDERS_MAX, &configs, &n, &e), "senders", &e))
		return false;
	for (size_t i = 0; i < n; i++)
		d->provider->ops->learn(d->provider, configs[i]);
	notes_senders_free(configs, n);
	return true;
}

/* Asking for a sender only when somebody unknown writes would let anybody put questions to the
 * database; asking all the time costs the same whoever writes. */
void learn_senders(struct scheduler *s, int64_t now)
{
	bool learns = false, well = true;

	for (int i = 0; i < s->n_drivers && well; i++) {
		if (!s->drivers[i].provider->ops->learn)
			continue;
		learns = true;
		well = learn_from_trunks(s, &s->drivers[i]);
	}
	s->due.senders = learns ? now + (well ? jitter(s, SENDERS_MS) : 0) : INT64_MAX;
}

void forget_notices(struct scheduler *s, int64_t now)
{
	struct errinfo e;
	int gone;

	s->due.forget = somebody_speaks(s) ? now + jitter(s, FORGET_MS) : INT64_MAX;
	db_went(s, store_notes_prune(s->store, KEEP_S, FORGET_MAX, &gone, &e), "forget", &e);
}
