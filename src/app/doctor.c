/* callgate doctor: looks at everything it can look at, says one line for each, and what to
 * do. It goes on past what is wrong for as long as that makes sense. */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "callgate/livekit_examine.h"
#include "callgate/mem.h"
#include "callgate/store_admin.h"
#include "drivers.h"

#define TRUNKS_LOOKED_AT 200
#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)

struct checkup {
	int counts[FINDING_FAIL + 1];
};

static void on_found(void *arg, enum finding_level level, const char *check, const char *text)
{
	static const char *const words[] = { [FINDING_OK] = "ok", [FINDING_SKIP] = "skip",
	                                     [FINDING_WARN] = "warn", [FINDING_FAIL] = "FAIL" };
	struct checkup *c = arg;

	c->counts[level]++;
	printf("%-4s  %-10s  %s\n", words[level], check, text);
}

static void examine_settings(struct checkup *c, struct config *config)
{
	CLEANUP(buf_done) struct buf mistakes;
	char *line, *next;

	buf_init(&mistakes, 16384);
	if (settings_read(config, &mistakes) == OK)
		on_found(c, FINDING_OK, "settings", "all of them make sense");
	next = mistakes.data;
	while ((line = strsep(&next, "\n"))) {
		if (*line)
			on_found(c, FINDING_FAIL, "settings", line);
	}
}

/* The simulator opens it, and makes it if need be, when the gateway starts. */
static void examine_ledger(struct checkup *c, const char *path)
{
	CLEANUP(freep) char *folder = path ? xstrdup(path) : NULL;
	char text[600];
	char *slash;
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC) : -1;

	if (fd >= 0)
		close(fd);
	if (!path || fd >= 0)
		return;
	if (errno == ENOENT) {
		slash = strrchr(folder, '/');
		if (slash)
			slash[slash == folder] = '\0';
		if (access(slash ? folder : ".", W_OK | X_OK) == 0)
			return;
	}
	snprintf(text, sizeof text, "CALLGATE_SIMULATOR_LEDGER: %.400s cannot be written to (%s), so `callgate serve` will not"
	         " start; make its folder, or correct the path", path, strerror(errno));
	on_found(c, FINDING_FAIL, "simulator", text);
}

/* LiveKit is asked also when the database is away. */
static void examine_livekit(struct checkup *c, const struct config *config, const struct trunk_row *rows, size_t n)
{
	const struct livekit_config livekit = drivers_livekit(config);
	const struct finding_listener listener = { c, on_found };
	CLEANUP(freep) struct livekit_trunk *trunks = xcalloc(n + 1, sizeof *trunks);

	if (!config->livekit_url && n == 0) {
		on_found(c, FINDING_OK, "livekit", "not set up: LIVEKIT_URL is not set, and no trunk has the driver livekit");
		return;
	}
	for (size_t i = 0; i < n; i++)
		trunks[i] = (struct livekit_trunk){ .org = rows[i].org, .name = rows[i].name, .ref = rows[i].ref,
		                                    .config = rows[i].config, .numbers = rows[i].numbers };
	livekit_examine(&livekit, trunks, n, &listener);
}

/* One more than is looked at, to know whether there are more. */
static void list_trunks(struct checkup *c, struct store *s, struct trunk_row **rows, size_t *n)
{
	struct errinfo e;

	if (store_trunks_of(s, "livekit", TRUNKS_LOOKED_AT + 1, rows, n, &e) != OK)
		on_found(c, FINDING_FAIL, "livekit", e.text);
	if (*n > TRUNKS_LOOKED_AT)
		on_found(c, FINDING_SKIP, "livekit", "only the first " STRINGIFY(TRUNKS_LOOKED_AT) " trunks are asked about");
}

/* What stands in the way of everything else is told already. */
static bool examine_database(struct checkup *c, struct store *s)
{
	const struct finding_listener listener = { c, on_found };
	struct errinfo e, ignored;
	int version;

	if (store_connect(s, &e) == OK && store_examine(s, driver_names, driver_count, &listener, &e) == OK)
		return store_schema_check(s, &version, &ignored) == OK;
	on_found(c, FINDING_FAIL, "database", e.text);
	return false;
}

static void examine_all(struct checkup *c, const struct config *config)
{
	CLEANUP(store_freep) struct store *s = config->database_url ? store_new(config->database_url, "callgate doctor") : NULL;
	struct trunk_row *rows = NULL;
	size_t n = 0;

	if (s && examine_database(c, s))
		list_trunks(c, s, &rows, &n);
	examine_livekit(c, config, rows, n > TRUNKS_LOOKED_AT ? TRUNKS_LOOKED_AT : n);
	trunk_rows_free(rows, n);
}

static int run(const struct command *self, int argc, char **argv)
{
	CLEANUP(config_done) struct config config = { 0 };
	struct checkup c = { { 0 } };

	if (argc > 1)
		return command_misused(self, "'%s' is not understood", argv[1]);
	examine_settings(&c, &config);
	log_setup(LOG_LEVEL_ERROR, false);
	examine_ledger(&c, config.simulator_ledger);
	examine_all(&c, &config);
	printf("%d ok, %d skipped, %d to look at, %d failed\n", c.counts[FINDING_OK], c.counts[FINDING_SKIP],
	       c.counts[FINDING_WARN], c.counts[FINDING_FAIL]);
	return c.counts[FINDING_FAIL] ? APP_FAILED : APP_OK;
}

const struct command command_doctor = {
	.name = "doctor",
	.summary = "checks settings, database, tenants and LiveKit, and says what to do",
	.usage = "usage: callgate doctor\n\n"
	         "Checks the settings, the database and its schema, the running gateways, what was provisioned, and\n"
	         "LiveKit, as far as that can be asked without a call. It changes nothing and rings nobody. One line\n"
	         "each, \"ok\", \"skip\", \"warn\" or \"FAIL\", with what to do. Exit status 1 when anything failed.\n",
	.run = run,
};
