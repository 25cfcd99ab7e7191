/* callgate doctor: looks at everything it can look at, says one line for each, and what to
 * do. It goes on past what is wrong for as long as that makes sense. */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "callgate/mem.h"
#include "callgate/store_admin.h"

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

static void examine_livekit(struct checkup *c, const struct config *config)
{
	if (config->livekit_url)
		on_found(c, FINDING_OK, "livekit", config->livekit_url);
	else
		on_found(c, FINDING_OK, "livekit", "LIVEKIT_URL is not set: calls over a trunk with driver livekit end as"
		         " 'configuration', unless the trunk's config names a LiveKit project of its own");
}

static void examine_database(struct checkup *c, const char *url)
{
	CLEANUP(store_freep) struct store *s = store_new(url, "callgate doctor");
	const struct finding_listener listener = { c, on_found };
	struct errinfo e;

	if (store_connect(s, &e) != OK)
		on_found(c, FINDING_FAIL, "database", e.text);
	else if (store_examine(s, driver_names, driver_count, &listener, &e) != OK)
		on_found(c, FINDING_FAIL, "database", e.text);
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
	examine_livekit(&c, &config);
	if (config.database_url)
		examine_database(&c, config.database_url);
	printf("%d ok, %d skipped, %d to look at, %d failed\n", c.counts[FINDING_OK], c.counts[FINDING_SKIP],
	       c.counts[FINDING_WARN], c.counts[FINDING_FAIL]);
	return c.counts[FINDING_FAIL] ? APP_FAILED : APP_OK;
}

const struct command command_doctor = {
	.name = "doctor",
	.summary = "checks settings, database, schema and tenants, and says what to do",
	.usage = "usage: callgate doctor\n\n"
	         "Checks the settings, the database and its schema, the running gateways, and what was provisioned:\n"
	         "one line each, \"ok\", \"skip\", \"warn\" or \"FAIL\", with what to do. Exit status 1 when anything failed.\n",
	.run = run,
};
