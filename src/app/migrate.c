/* callgate migrate */
#include "command.h"

#include "callgate/mem.h"

static int run(const struct command *self, int argc, char **argv)
{
	CLEANUP(store_freep) struct store *s = NULL;
	struct errinfo e;
	int applied, version, exit;

	if (argc > 1)
		return command_misused(self, "'%s' is not understood", argv[1]);
	exit = command_store_open("callgate migrate", true, &s);
	if (exit)
		return exit;
	/* A schema that is newer than this program is not brought up to date by it. */
	if (store_migrate(s, &applied, &version, &e) != OK || store_schema_check(s, &version, &e) != OK)
		return command_failed("%s", e.text);
	printf("schema version %d, %d new\n", version, applied);
	return APP_OK;
}

const struct command command_migrate = {
	.name = "migrate",
	.summary = "creates the schema, or brings it up to date",
	.usage = "usage: callgate migrate\n\n"
	         "Creates the schema, or brings it up to what this version needs. Safe to run again, and from\n"
	         "several places at once.\n",
	.run = run,
};
