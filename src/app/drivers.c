/* A driver more is a row more here, and a folder's file in src/provider. */
#include "drivers.h"

#include "callgate/mem.h"
#include "callgate/text.h"
#include "command.h"

const char *const driver_names[] = { "simulator", "livekit" };
const size_t driver_count = ARRAY_LEN(driver_names);

static enum err make_simulator(void *arg, provider_event_fn *on_event, void *event_arg, struct provider **out,
                               struct errinfo *e)
{
	const struct config *c = arg;
	struct simulator_config simulator = {
		.speed = c->simulator_speed,
		.dial_ledger = c->simulator_ledger,
		.instant = c->simulator_instant,
	};

	return simulator_new(&simulator, on_event, event_arg, out, e);
}

/* A trunk names its secrets; they are where the settings are. */
static char *find_secret(void *arg, const char *name)
{
	(void)arg;
	return config_secret(name);
}

struct livekit_config drivers_livekit(const struct config *c)
{
	return (struct livekit_config){
		.url = c->livekit_url,
		.api_key = c->livekit_api_key,
		.api_secret = c->livekit_api_secret,
		.ca_file = c->livekit_ca_file,
		.max_calls = c->max_inflight,
		.pace = { .first_poll_ms = c->livekit_poll_ms / 5, .ring_poll_ms = c->livekit_poll_ms / 2,
		          .talk_poll_ms = c->livekit_poll_ms },
		.secret = find_secret,
	};
}

/* Made whether it is configured or not: a trunk may have a LiveKit project of its own, and
 * where there is none, its calls end with words that say so. */
static enum err make_livekit(void *arg, provider_event_fn *on_event, void *event_arg, struct provider **out,
                             struct errinfo *e)
{
	struct livekit_config livekit = drivers_livekit(arg);

	return livekit_new(&livekit, on_event, event_arg, out, e);
}

static enum err (*const makers[])(void *, provider_event_fn *, void *, struct provider **, struct errinfo *) = {
	make_simulator,
	make_livekit,
};
_Static_assert(ARRAY_LEN(makers) == ARRAY_LEN(driver_names) && ARRAY_LEN(makers) <= DRIVERS_MAX,
               "every driver has a name and a maker");

/* NULL: it reads no config. */
static enum err (*const checkers[])(const char *config, struct errinfo *e) = { NULL, livekit_check_trunk };
_Static_assert(ARRAY_LEN(checkers) == ARRAY_LEN(driver_names), "every driver has a checker, or NULL");

enum err drivers_check_trunk(const char *driver, const char *config, struct errinfo *e)
{
	for (size_t i = 0; i < ARRAY_LEN(checkers); i++)
		if (str_eq(driver_names[i], driver) && checkers[i])
			return checkers[i](config, e);
	return OK;
}

int drivers_list(struct config *c, struct scheduler_driver out[DRIVERS_MAX])
{
	for (size_t i = 0; i < ARRAY_LEN(makers); i++)
		out[i] = (struct scheduler_driver){ driver_names[i], makers[i], c };
	return (int)ARRAY_LEN(makers);
}
