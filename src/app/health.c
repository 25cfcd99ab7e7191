/* callgate health: what a container's health check runs. It asks the gateway of this
 * machine, so of the settings it needs the address alone; whatever else may be wrong
 * there is the gateway's to tell. */
#include "command.h"

#include <string.h>

#include "callgate/httpc.h"
#include "callgate/mem.h"
#include "health.h"

#define TIMEOUT_MS 3000

/* A gateway that listens everywhere is asked on the loopback. */
void health_url(const char *listen, char *out, size_t size)
{
	const char *colon = strrchr(listen, ':');
	int n = (int)(colon - listen);

	if (n == 0 || (n == 7 && strncmp(listen, "0.0.0.0", 7) == 0))
		snprintf(out, size, "http://127.0.0.1%s/readyz", colon);
	else if (n == 4 && strncmp(listen, "[::]", 4) == 0)
		snprintf(out, size, "http://[::1]%s/readyz", colon);
	else
		snprintf(out, size, "http://%s/readyz", listen);
}

static int run(const struct command *self, int argc, char **argv)
{
	CLEANUP(config_done) struct config c = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	char url[300];
	struct errinfo e;
	int status;

	if (argc > 1)
		return command_misused(self, "'%s' is not understood", argv[1]);
	buf_init(&text, 16384);
	if (config_load(&c, &text) != OK)
		buf_clear(&text);
	health_url(c.listen, url, sizeof url);
	if (httpc_get(url, TIMEOUT_MS, &status, &text, &e) != OK)
		return command_failed("%s", e.text);
	printf("%s\n", text.data ? text.data : "");
	return status == 200 ? APP_OK : APP_FAILED;
}

const struct command command_health = {
	.name = "health",
	.summary = "asks the gateway of this machine whether it is ready",
	.usage = "usage: callgate health\n\n"
	         "Asks the gateway that listens on CALLGATE_LISTEN for /readyz and prints its answer. Exit status 0\n"
	         "when it is ready, 1 when it is not or does not answer.\n",
	.run = run,
};
