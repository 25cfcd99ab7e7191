/* callgate serve: everything in one process. The doors open at once and say "not ready"
 * until the database is there; the scheduler starts when the schema is known to be ours.
 * Where rooms must hear of one another, this file lends one a function of the other.
 *
 * The main thread only waits for signals. They are blocked before any thread is made, so
 * that all threads inherit that and no library is interrupted. */
#include "command.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "callgate/api.h"
#include "callgate/clock.h"
#include "callgate/digest.h"
#include "callgate/http.h"
#include "callgate/id.h"
#include "callgate/log.h"
#include "callgate/mem.h"
#include "callgate/scheduler.h"
#include "callgate/text.h"
#include "callgate/version.h"
#include "drivers.h"
#include "upkeep.h"

#define RETRY_MS 500
#define LOG_EVERY 20            /* attempts */
#define TICK_STALE_MS 5000      /* a scheduler that has not turned for so long is not well */

struct serve {
	struct config       config;
	bool                migrate;
	struct api         *api;
	struct http_server *http;
	/* NULL until the database is there; read by the hooks on other threads. */
	_Atomic(struct upkeep *)    upkeep;
	_Atomic(struct scheduler *) scheduler;
};

/* ── what the API is lent ─────────────────────────────────────────────────────────── */

static void on_queued(void *arg, const struct lane_key *lane)
{
	struct serve *v = arg;
	struct scheduler *s = atomic_load(&v->scheduler);

	if (s)
		scheduler_nudge(s, lane);
}

static enum err on_check_notice(void *arg, const char *driver, const char *authorization, const char *body, size_t len,
                                struct provider_note *out, char event_id[PROVIDER_EVENT_ID_SIZE],
                                char sender[PROVIDER_EVENT_SENDER_SIZE], struct errinfo *e)
{
	struct serve *v = arg;
	struct scheduler *s = atomic_load(&v->scheduler);
	struct provider_notice notice;
	enum err err;

	if (!s)
		return err_set(e, ERR_UNAVAILABLE, "the scheduler has not started yet");
	err = scheduler_check_notice(s, driver, authorization, body, len, &notice, e);
	if (err)
		return err;
	out->org_id = notice.org_id;
	out->call_id = notice.call_id;
	out->attempt = notice.attempt;
	str_copy(event_id, PROVIDER_EVENT_ID_SIZE, notice.event_id);
	str_copy(sender, PROVIDER_EVENT_SENDER_SIZE, notice.sender);
	return OK;
}

static void on_noticed(void *arg)
{
	struct serve *v = arg;
	struct scheduler *s = atomic_load(&v->scheduler);

	if (s)
		scheduler_noticed(s);
}

static void on_canceled(void *arg)
{
	struct serve *v = arg;
	struct scheduler *s = atomic_load(&v->scheduler);

	if (s)
		scheduler_canceled(s);
}

static void on_readiness(void *arg, struct api_readiness *out)
{
	struct serve *v = arg;
	struct scheduler *s = atomic_load(&v->scheduler);
	struct upkeep *u = atomic_load(&v->upkeep);
	struct scheduler_health health = { 0 };
	struct upkeep_status status = { .text = "the database was not reached yet" };

	if (u)
		upkeep_status(u, &status);
	if (s)
		scheduler_health(s, &health);
	*out = (struct api_readiness){ .database = status.database, .schema = status.schema };
	out->breakers_open = health.breakers.open;
	out->breakers_half_open = health.breakers.half_open;
	out->scheduler = s && health.leading && mono_ms() - health.last_tick_ms < TICK_STALE_MS;
	out->ready = out->database && out->schema && out->scheduler;
	if (*status.text)
		str_copy(out->text, sizeof out->text, status.text);
	else if (!out->scheduler)
		str_copy(out->text, sizeof out->text,
		         s ? "the scheduler does not hold its lease" : "the scheduler has not started yet");
}

/* ── signals ──────────────────────────────────────────────────────────────────────── */

static void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
}

/* 0: none came within that time. */
static int wait_signal(int timeout_ms)
{
	struct timespec t = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
	sigset_t set;
	int sig;

	stop_signals(&set);
	do
		sig = timeout_ms < 0 ? sigwaitinfo(&set, NULL) : sigtimedwait(&set, NULL, &t);
	while (sig < 0 && errno == EINTR && timeout_ms < 0);
	return sig > 0 ? sig : 0;
}

/* Whoever asks twice does not want to wait: the leases run out by themselves, and what
 * was in hand is adopted by others or by the next start. */
static void leave_at_once(int sig)
{
	_exit(128 + sig);
}

static void heed_second_signal(void)
{
	struct sigaction sa = { .sa_handler = leave_at_once };
	sigset_t set;

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	stop_signals(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ── start ────────────────────────────────────────────────────────────────────────── */

/* Which 16th of the ids is ours. Two gateways in the same slot are no harm to the ids,
 * which are random besides; only the 53-bit numbers read out of them could then meet. */
static void choose_id_slot(void)
{
	uint8_t slot;

	random_bytes(&slot, 1);
	id_set_process(slot);
}

static void raise_file_limit(int connections)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < (rlim_t)connections + 256)
		LOG_WARN("serve.few_files", LOG_INT("limit", (int64_t)limit.rlim_max),
		         LOG_INT("max_connections", connections));
}

static enum err open_doors(struct serve *v, struct errinfo *e)
{
	const struct config *c = &v->config;
	const struct api_hooks hooks = { v, on_queued, on_readiness, on_check_notice, on_noticed, on_canceled };
	const struct api_config api = {
		.database_url = c->database_url,
		.intake_batches = c->intake_batches,
		.reader_batches = c->reader_batches,
		.queue_limit = c->queue_limit,
		.rules = { .lock_per_org = c->lock_per_org, .queue_ttl_s = c->queue_ttl_s },
		.access_log = c->access_log,
	};
	const struct http_config http = {
		.listen = c->listen,
		.threads = c->http_threads,
		.max_connections = c->max_connections,
		.idle_timeout_ms = c->idle_timeout_s * 1000,
		.answer_timeout_ms = c->answer_timeout_s * 1000,
	};
	enum err err = api_start(&api, &hooks, &v->api, e);

	if (err)
		return err;
	err = http_start(&http, &api_http_ops, v->api, &v->http, e);
	if (!err)
		LOG_INFO("serve.listening", LOG_STR("version", CALLGATE_VERSION), LOG_STR("listen", c->listen),
		         LOG_INT("port", http_port(v->http)));
	return err;
}

static bool worth_waiting(enum err err)
{
	return err == ERR_UNAVAILABLE || err == ERR_UNCERTAIN || err == ERR_CONFLICT;
}

/* Waits for the database, however long that takes, and settles the schema. APP_OK with
 * *sig set when a signal came first. */
static int settle_schema(struct serve *v, int *sig, struct errinfo *e)
{
	CLEANUP(store_freep) struct store *s = store_new(v->config.database_url, "callgate start");
	int version = 0, applied = 0, waited = 0;
	enum err err;

	for (*sig = 0; !*sig; *sig = wait_signal(RETRY_MS)) {
		err = v->migrate ? store_migrate(s, &applied, &version, e) : OK;
		if (!err)
			err = store_schema_check(s, &version, e);
		if (!err)
			break;
		if (!worth_waiting(err))
			return APP_FAILED;
		if (waited++ % LOG_EVERY == 0)
			LOG_WARN("serve.waiting", LOG_STR("error", e->text));
	}
	if (!*sig) {
		id_set_clock_offset(store_clock_offset_ms(s));
		LOG_INFO("serve.schema", LOG_INT("version", version), LOG_INT("applied", applied),
		         LOG_INT("clock_offset_ms", store_clock_offset_ms(s)));
	}
	return APP_OK;
}

static enum err start_scheduler(struct serve *v, struct errinfo *e)
{
	const struct config *c = &v->config;
	struct scheduler_driver drivers[DRIVERS_MAX];
	char host[HOST_NAME_MAX + 1] = "", name[HOST_NAME_MAX + 16];
	struct scheduler_config sc = {
		.database_url = c->database_url,
		.name = name,
		.lease_ttl_ms = c->lease_ttl_ms,
		.margin_ms = c->margin_s * 1000,
		.queue_ttl_ms = c->queue_ttl_s * INT64_C(1000),
		.max_inflight = c->max_inflight,
		.max_attempts = c->max_attempts,
		.retry_base_ms = c->retry_base_ms,
		.drain_ms = c->drain_s * 1000,
		.ageing_ms = c->priority_ageing_s * 1000,
		.idempotency_days = c->idempotency_days,
	};
	struct scheduler *s;
	enum err err;

	gethostname(host, sizeof host - 1);
	snprintf(name, sizeof name, "%s:%d", host, (int)getpid());
	err = scheduler_start(&sc, drivers, drivers_list(&v->config, drivers), &s, e);
	if (!err)
		atomic_store(&v->scheduler, s);
	return err;
}

/* ── the end ──────────────────────────────────────────────────────────────────────── */

/* First nobody can bring anything any more, then what is in hand ends; the scheduler goes
 * after the API, whose threads may still tell it of calls they have just committed. */
static void shut(struct serve *v)
{
	if (v->http) {
		http_quiesce(v->http);
		api_quiesce(v->api);
		http_stop(v->http, v->config.answer_timeout_s * 1000);
	}
	if (v->api)
		api_free(v->api);
	if (atomic_load(&v->scheduler))
		scheduler_stop(atomic_load(&v->scheduler));
	upkeep_stop(atomic_load(&v->upkeep));
}

static int serve(struct serve *v)
{
	struct errinfo e = { "" };
	int sig = 0, exit = APP_OK;

	if (open_doors(v, &e) != OK)
		exit = APP_FAILED;
	if (!exit)
		exit = settle_schema(v, &sig, &e);
	if (!exit && !sig)
		atomic_store(&v->upkeep, upkeep_start(v->config.database_url, v->config.retention_days));
	if (!exit && !sig && start_scheduler(v, &e) != OK)
		exit = APP_FAILED;
	if (exit)
		LOG_ERROR("serve.failed", LOG_STR("error", e.text));
	else if (!sig)
		sig = wait_signal(-1);
	heed_second_signal();
	if (sig)
		LOG_INFO("serve.stopping", LOG_STR("signal", sig == SIGTERM ? "TERM" : "INT"));
	shut(v);
	LOG_INFO("serve.stopped");
	return exit;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct serve v = { .migrate = false };
	sigset_t set;
	int exit;

	for (int i = 1; i < argc;) {
		if (option_flag(argc, argv, &i, "--migrate"))
			v.migrate = true;
		else
			return command_misused(self, "'%s' is not understood", argv[i]);
	}
	if (!settings_load(&v.config)) {
		config_done(&v.config);
		return APP_USAGE;
	}
	stop_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	raise_file_limit(v.config.max_connections);
	choose_id_slot();
	exit = serve(&v);
	config_done(&v.config);
	return exit;
}

static void settings_help(FILE *to)
{
	fputs("\nSettings, from the environment or from the file that CALLGATE_ENV_FILE names (in brackets what\n"
	      "holds when nothing is said; of secrets NAME_FILE may name a file that has the value):\n\n", to);
	config_help(to);
}

const struct command command_serve = {
	.name = "serve",
	.summary = "runs the gateway",
	.usage = "usage: callgate serve [--migrate]\n\n"
	         "Runs the HTTP API and the scheduler until SIGTERM or SIGINT, which end it in good order; a second\n"
	         "signal ends it at once. While the database cannot be reached, /readyz says so and the program\n"
	         "keeps trying.\n\n"
	         "  --migrate  first bring the schema up to date\n",
	.more_help = settings_help,
	.run = run,
};
