/* The settings: one row of a table each, read once. A row says where the value goes, what
 * it may be, what it is when nothing is said, and what it is for; reading, the mistakes
 * and the help are the same for all. docs/settings.md lists the same rows. */
#include "callgate/config.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "names.h"

#define SECRET_MAX_BYTES 4096

extern char **environ;

enum option_type { OPT_INT, OPT_REAL, OPT_BOOL, OPT_TEXT, OPT_LISTEN, OPT_LEVEL, OPT_FORMAT, OPT_URL, OPT_SECRET };

struct option {
	const char      *name;
	enum option_type type;
	size_t           at;
	double           min, max;      /* of OPT_INT and OPT_REAL */
	const char      *fallback;      /* NULL: none              */
	const char      *help;
};

#define AT(field) offsetof(struct config, field)

static const struct option options[] = {
	{ "CALLGATE_DATABASE_URL", OPT_SECRET, AT(database_url), 0, 0, NULL,
	  "where PostgreSQL is, as libpq has it (several hosts allowed); DATABASE_URL serves too" },
	{ "CALLGATE_LISTEN", OPT_LISTEN, AT(listen), 0, 0, "127.0.0.1:8080",
	  "address and port of the HTTP API; port 0 picks a free one" },
	{ "CALLGATE_LOG_LEVEL", OPT_LEVEL, AT(log_level), 0, 0, "info",
	  "debug, info, warn or error" },
	{ "CALLGATE_LOG_FORMAT", OPT_FORMAT, AT(log_json), 0, 0, NULL,
	  "text or json; without it text on a terminal, json otherwise" },
	{ "CALLGATE_ACCESS_LOG", OPT_BOOL, AT(access_log), 0, 0, "true",
	  "a line for every request" },

	{ "CALLGATE_HTTP_THREADS", OPT_INT, AT(http_threads), 1, 64, "1",
	  "threads that read and write HTTP" },
	{ "CALLGATE_MAX_CONNECTIONS", OPT_INT, AT(max_connections), 1, 1000000, "16384",
	  "open connections of clients; more wait in the kernel" },
	{ "CALLGATE_IDLE_TIMEOUT_S", OPT_INT, AT(idle_timeout_s), 1, 3600, "75",
	  "seconds after which a connection without a complete request is shut" },
	{ "CALLGATE_ANSWER_TIMEOUT_S", OPT_INT, AT(answer_timeout_s), 1, 300, "15",
	  "seconds after which a request that nobody answered gets 503" },
	{ "CALLGATE_INTAKE_BATCHES", OPT_INT, AT(intake_batches), 1, 8, "1",
	  "groups of calls being committed at once; more helps when no account is used by most" },
	{ "CALLGATE_READER_BATCHES", OPT_INT, AT(reader_batches), 1, 8, "1",
	  "groups of look-ups being read at once" },
	{ "CALLGATE_QUEUE_LIMIT", OPT_INT, AT(queue_limit), 1, 1000000, "4096",
	  "requests that may wait for each kind of thread; past it 503" },
	{ "CALLGATE_LOCK_PER_ORG", OPT_BOOL, AT(lock_per_org), 0, 0, "false",
	  "a destination is busy for its own organization only" },

	{ "CALLGATE_LEASE_TTL_MS", OPT_INT, AT(lease_ttl_ms), 500, 600000, "10000",
	  "a gateway silent for so long is taken over by the others" },
	{ "CALLGATE_MARGIN_S", OPT_INT, AT(margin_s), 1, 3600, "30",
	  "a call ends at latest this long after its ring timeout and maximum duration" },
	{ "CALLGATE_QUEUE_TTL_S", OPT_INT, AT(queue_ttl_s), 1, 2592000, "86400",
	  "a call waits at most so long to be dialed" },
	{ "CALLGATE_MAX_INFLIGHT", OPT_INT, AT(max_inflight), 1, 1000000, "10000",
	  "calls this process follows at once" },
	{ "CALLGATE_MAX_ATTEMPTS", OPT_INT, AT(max_attempts), 1, 10, "3",
	  "dials of one call, where the ones before certainly rang nobody" },
	{ "CALLGATE_RETRY_BASE_MS", OPT_INT, AT(retry_base_ms), 1, 600000, "1000",
	  "wait before the second dial; doubles with each" },
	{ "CALLGATE_DRAIN_S", OPT_INT, AT(drain_s), 0, 86400, "30",
	  "when asked to stop, wait so long for calls in flight; others adopt the rest" },
	{ "CALLGATE_PRIORITY_AGEING_S", OPT_INT, AT(priority_ageing_s), 0, 86400, "60",
	  "a call that waits so long has the share of the next higher priority; 0: never" },
	{ "CALLGATE_IDEMPOTENCY_DAYS", OPT_INT, AT(idempotency_days), 7, 3650, "7",
	  "days for which an Idempotency-Key is remembered, and longer while its call lives" },
	{ "CALLGATE_RETENTION_DAYS", OPT_INT, AT(retention_days), 0, 36500, "90",
	  "days after which ended calls are dropped; 0 keeps them" },

	{ "CALLGATE_SIMULATOR_SPEED", OPT_REAL, AT(simulator_speed), 0.001, 1000000, "1",
	  "simulated seconds pass this many times faster" },
	{ "CALLGATE_SIMULATOR_LEDGER", OPT_TEXT, AT(simulator_ledger), 0, 0, NULL,
	  "file that gets one line for every simulated dial" },
	{ "CALLGATE_SIMULATOR_INSTANT", OPT_BOOL, AT(simulator_instant), 0, 0, "false",
	  "simulated calls end at once; for measuring" },

	{ "LIVEKIT_URL", OPT_URL, AT(livekit_url), 0, 0, NULL,
	  "LiveKit's server API for trunks that name no project of their own, like https://livekit.example.org" },
	{ "LIVEKIT_API_KEY", OPT_TEXT, AT(livekit_api_key), 0, 0, NULL,
	  "the key there" },
	{ "LIVEKIT_API_SECRET", OPT_SECRET, AT(livekit_api_secret), 0, 0, NULL,
	  "its secret" },
	{ "LIVEKIT_CA_FILE", OPT_TEXT, AT(livekit_ca_file), 0, 0, NULL,
	  "PEM file of the authorities to trust for LiveKit, instead of the system's" },
	{ "CALLGATE_LIVEKIT_POLL_MS", OPT_INT, AT(livekit_poll_ms), 50, 600000, "7000",
	  "between looks whether an answered call is over; half of it whether a dialed one rings" },
};

/* Names with our prefix that are not ours to read, but no typing errors either: what
 * scripts/run writes for clients, what tests use, and what Kubernetes sets in every
 * container beside a service that is called callgate. One ending in '*' is a prefix. */
static const char *const foreign[] = {
	"CALLGATE_ENV_FILE", "CALLGATE_URL", "CALLGATE_KEY", "CALLGATE_PROJECT_ID", "CALLGATE_FROM_NUMBER",
	"CALLGATE_TEST_*", "CALLGATE_SERVICE_HOST", "CALLGATE_SERVICE_PORT*", "CALLGATE_PORT", "CALLGATE_PORT_*",
};

/* ── one value ────────────────────────────────────────────────────────────────────── */

static bool bool_parse(const char *s, bool *out)
{
	static const char *const words[][2] = {
		{ "false", "true" }, { "0", "1" }, { "no", "yes" }, { "off", "on" },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		for (int v = 0; v < 2; v++) {
			if (str_case_eq(s, words[i][v])) {
				*out = v;
				return true;
			}
		}
	}
	return false;
}

/* Plain decimals only: strtod would also take "inf", "nan" and hexadecimal. */
static bool real_parse(const char *s, double min, double max, double *out)
{
	char *end;
	double v;

	if (*s == '\0' || strspn(s, "0123456789.") != strlen(s))
		return false;
	v = strtod(s, &end);
	if (*end != '\0' || !isfinite(v) || v < min || v > max)
		return false;
	*out = v;
	return true;
}

/* "127.0.0.1:8080", "[::]:8080", ":8080", "name:8080". */
static bool listen_ok(const char *s)
{
	const char *colon = strrchr(s, ':');
	int64_t port;

	if (!colon || !parse_int(colon + 1, 0, 65535, &port))
		return false;
	if (s[0] == '[')
		return colon > s + 2 && colon[-1] == ']';
	return memchr(s, ':', (size_t)(colon - s)) == NULL;
}

/* Without user and password: those would end up in logs. */
static bool url_ok(const char *s)
{
	static const char *const schemes[] = { "https://", "http://", "wss://", "ws://" };

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (str_has_prefix(s, schemes[i]))
			return s[strlen(schemes[i])] != '\0' && strpbrk(s, "@?# ") == NULL;
	return false;
}

static void set_text(char **to, const char *value)
{
	free(*to);
	*to = xstrdup(value);
}

/* Sets the value, or says what it should have been. */
static const char *option_set(const struct option *o, const char *value, struct config *c)
{
	void *at = (char *)c + o->at;
	int64_t number;

	switch (o->type) {
	case OPT_INT:
		if (!parse_int(value, (int64_t)o->min, (int64_t)o->max, &number))
			return "a whole number";
		*(int *)at = (int)number;
		return NULL;
	case OPT_REAL:
		return real_parse(value, o->min, o->max, at) ? NULL : "a number";
	case OPT_BOOL:
		return bool_parse(value, at) ? NULL : "true or false";
	case OPT_LEVEL:
		return log_level_parse(value, at) ? NULL : "debug, info, warn or error";
	case OPT_FORMAT:
		if (!str_eq(value, "json") && !str_eq(value, "text"))
			return "text or json";
		*(bool *)at = str_eq(value, "json");
		return NULL;
	case OPT_LISTEN:
		if (!listen_ok(value))
			return "an address and a port, like 127.0.0.1:8080 or [::]:8080";
		set_text(at, value);
		return NULL;
	case OPT_URL:
		if (!url_ok(value))
			return "a URL like https://livekit.example.org or ws://127.0.0.1:7880";
		set_text(at, value);
		return NULL;
	case OPT_TEXT:
	case OPT_SECRET:
		set_text(at, value);
		return NULL;
	}
	return NULL;
}

static void tell_wrong(struct buf *mistakes, const struct option *o, const char *value, const char *wanted)
{
	buf_printf(mistakes, "%s: must be %s", o->name, wanted);
	if (o->type == OPT_INT || o->type == OPT_REAL)
		buf_printf(mistakes, " from %.15g to %.15g", o->min, o->max);
	buf_printf(mistakes, ", not \"%.60s\"\n", value);
}

/* ── where it comes from ──────────────────────────────────────────────────────────── */

/* An empty value is none: that is how `docker run -e NAME=` and compose files unset one. */
static const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static const char *from_file(const struct pairs *file, const char *name)
{
	const char *value = pairs_find(file, name);

	return value && *value ? value : NULL;
}

static const char *look_up(const struct pairs *file, const char *name)
{
	const char *value = from_environment(name);

	return value ? value : from_file(file, name);
}

/* A secret out of the file that NAME_FILE names, without the newline an editor adds. */
static char *secret_read(const char *name, const char *path, struct buf *mistakes)
{
	struct errinfo e;
	char *text;

	if (file_read(path, SECRET_MAX_BYTES, &text, &e) != OK) {
		buf_printf(mistakes, "%s_FILE: %s\n", name, e.text);
		return NULL;
	}
	text[strcspn(text, "\r\n")] = '\0';
	if (*text == '\0') {
		buf_printf(mistakes, "%s_FILE: the first line of %s is empty\n", name, path);
		free(text);
		return NULL;
	}
	return text;
}

/* NAME or NAME_FILE, environment before file. `told`: a mistake has been told already. */
static char *secret_find(const struct pairs *file, const char *name, struct buf *mistakes, bool *told)
{
	char name_file[64];

	snprintf(name_file, sizeof name_file, "%s_FILE", name);
	for (int i = 0; i < 2; i++) {
		const char *value = i == 0 ? from_environment(name) : from_file(file, name);
		const char *path = i == 0 ? from_environment(name_file) : from_file(file, name_file);
		char *secret;

		if (value && path) {
			buf_printf(mistakes, "%s and %s are both set; keep one\n", name, name_file);
			*told = true;
			return NULL;
		}
		if (value)
			return xstrdup(value);
		if (path) {
			secret = secret_read(name, path, mistakes);
			*told = secret == NULL;
			return secret;
		}
	}
	return NULL;
}

static void database_url_find(const struct pairs *file, struct config *c, struct buf *mistakes)
{
	bool told = false;

	c->database_url = secret_find(file, "CALLGATE_DATABASE_URL", mistakes, &told);
	if (!c->database_url && !told)
		c->database_url = secret_find(file, "DATABASE_URL", mistakes, &told);
	if (!c->database_url && !told)
		buf_str(mistakes, "CALLGATE_DATABASE_URL: not set; it says where PostgreSQL is, "
		        "like postgresql://user@host/callgate\n");
}

static void livekit_find(const struct pairs *file, struct config *c, struct buf *mistakes)
{
	bool told = false;
	int given;

	c->livekit_api_secret = secret_find(file, "LIVEKIT_API_SECRET", mistakes, &told);
	given = (c->livekit_url != NULL) + (c->livekit_api_key != NULL) + (c->livekit_api_secret != NULL);
	if (given != 0 && given != 3 && !told)
		buf_printf(mistakes, "LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET belong together; not set:%s%s%s\n",
		           c->livekit_url ? "" : " LIVEKIT_URL", c->livekit_api_key ? "" : " LIVEKIT_API_KEY",
		           c->livekit_api_secret ? "" : " LIVEKIT_API_SECRET");
	if (c->livekit_ca_file && access(c->livekit_ca_file, R_OK) != 0)
		buf_printf(mistakes, "LIVEKIT_CA_FILE: %s: %s\n", c->livekit_ca_file, strerror(errno));
}

/* The HTTP server gives each of its threads a share of the connections. */
static void connections_check(const struct config *c, struct buf *mistakes)
{
	if (c->max_connections < c->http_threads)
		buf_printf(mistakes, "CALLGATE_MAX_CONNECTIONS: must be at least CALLGATE_HTTP_THREADS (%d), a connection for "
		           "each thread, not %d\n", c->http_threads, c->max_connections);
}

static bool name_matches(const char *pattern, const char *name, size_t n)
{
	size_t p = strlen(pattern);

	if (p > 0 && pattern[p - 1] == '*')
		return n >= p - 1 && strncmp(pattern, name, p - 1) == 0;
	return n == p && strncmp(pattern, name, n) == 0;
}

static bool name_known(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		if (name_matches(foreign[i], name, n))
			return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		size_t o = strlen(options[i].name);

		if (name_matches(options[i].name, name, n))
			return true;
		if (options[i].type == OPT_SECRET && n == o + 5 && strncmp(name, options[i].name, o) == 0 &&
		    strncmp(name + o, "_FILE", 5) == 0)
			return true;
	}
	return false;
}

/* A misspelt name would otherwise do nothing, silently. */
static void name_check(const char *name, size_t n, struct buf *mistakes)
{
	if (n > 9 && strncmp(name, "CALLGATE_", 9) == 0 && !name_known(name, n))
		buf_printf(mistakes, "%.*s: there is no such setting; `callgate serve --help` lists them\n",
		           (int)n, name);
}

/* ── public ───────────────────────────────────────────────────────────────────────── */

enum err config_load(struct config *out, struct buf *mistakes)
{
	CLEANUP(pairs_done) struct pairs file = { 0 };
	const char *path = from_environment("CALLGATE_ENV_FILE");
	size_t before = mistakes->len;

	*out = (struct config){ .log_json = !isatty(STDERR_FILENO) };
	if (path)
		pairs_read(&file, path, mistakes);
	for (char **e = environ; e && *e; e++)
		name_check(*e, strcspn(*e, "="), mistakes);
	for (size_t i = 0; i < file.n; i++)
		name_check(file.items[i].name, strlen(file.items[i].name), mistakes);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct option *o = &options[i];
		const char *value, *wanted;

		if (o->type == OPT_SECRET)
			continue;
		if (o->fallback)
			option_set(o, o->fallback, out);
		value = look_up(&file, o->name);
		wanted = value ? option_set(o, value, out) : NULL;
		if (wanted)
			tell_wrong(mistakes, o, value, wanted);
	}
	database_url_find(&file, out, mistakes);
	livekit_find(&file, out, mistakes);
	connections_check(out, mistakes);
	return mistakes->len == before && !mistakes->over ? OK : ERR_INVALID;
}

static void forget(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void config_done(struct config *c)
{
	forget(c->database_url);
	forget(c->livekit_api_secret);
	free(c->listen);
	free(c->simulator_ledger);
	free(c->livekit_url);
	free(c->livekit_api_key);
	free(c->livekit_ca_file);
	*c = (struct config){ 0 };
}

char *config_secret(const char *name)
{
	CLEANUP(pairs_done) struct pairs file = { 0 };
	CLEANUP(buf_done) struct buf mistakes;
	const char *path = from_environment("CALLGATE_ENV_FILE");
	bool told = false;

	buf_init(&mistakes, 4096);
	if (path)
		pairs_read(&file, path, &mistakes);
	return secret_find(&file, name, &mistakes, &told);
}

void config_help(FILE *to)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct option *o = &options[i];

		fprintf(to, "  %-27s %s", o->name, o->help);
		if (o->fallback)
			fprintf(to, " [%s]", o->fallback);
		fputc('\n', to);
	}
}
