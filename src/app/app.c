/* The commands, and the words around them. What a person reads goes to standard error,
 * what a program reads to standard output. */
#include "command.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/text.h"
#include "callgate/version.h"

static const struct command *const commands[] = {
	&command_serve, &command_migrate, &command_apply, &command_key, &command_credits, &command_doctor, &command_health,
};

/* ── for the commands ─────────────────────────────────────────────────────────────── */

int command_misused(const struct command *c, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "callgate %s: ", c->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n%s", c->usage);
	return APP_USAGE;
}

int command_failed(const char *fmt, ...)
{
	va_list args;

	fputs("callgate: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return APP_FAILED;
}

bool option_flag(int argc, char **argv, int *i, const char *name)
{
	if (*i >= argc || !str_eq(argv[*i], name))
		return false;
	(*i)++;
	return true;
}

bool option_value(int argc, char **argv, int *i, const char *name, const char **value)
{
	size_t n = strlen(name);

	if (*i >= argc || strncmp(argv[*i], name, n) != 0)
		return false;
	if (argv[*i][n] == '=') {
		*value = argv[(*i)++] + n + 1;
		return true;
	}
	if (argv[*i][n] != '\0')
		return false;
	(*i)++;
	*value = *i < argc ? argv[(*i)++] : NULL;
	return true;
}

/* What the connection string means only the store knows. It is no part of the words: a
 * wrong one may hold its password anywhere. */
enum err settings_read(struct config *c, struct buf *mistakes)
{
	enum err err = config_load(c, mistakes);
	struct errinfo e;

	if (!c->database_url || store_url_check(c->database_url, &e) == OK)
		return err;
	buf_printf(mistakes, "CALLGATE_DATABASE_URL: it %s\n", e.text);
	explicit_bzero(c->database_url, strlen(c->database_url));
	free(TAKE(c->database_url));
	return ERR_INVALID;
}

bool settings_load(struct config *c)
{
	CLEANUP(buf_done) struct buf mistakes;
	enum err err;

	buf_init(&mistakes, 16384);
	err = settings_read(c, &mistakes);
	log_setup(c->log_level, c->log_json);
	if (!err)
		return true;
	fprintf(stderr, "callgate: the settings are wrong:\n%s", mistakes.data ? mistakes.data : "");
	return false;
}

void store_freep(struct store **s)
{
	store_free(*s);
}

int command_store_open(const char *role, bool any_schema, struct store **out)
{
	CLEANUP(config_done) struct config c = { 0 };
	CLEANUP(store_freep) struct store *s = NULL;
	struct errinfo e;
	int version;

	if (!settings_load(&c))
		return APP_USAGE;
	s = store_new(c.database_url, role);
	if (store_connect(s, &e) != OK)
		return command_failed("%s", e.text);
	if (!any_schema && store_schema_check(s, &version, &e) != OK)
		return command_failed("%s", e.text);
	*out = TAKE(s);
	return APP_OK;
}

/* ── the way to a command ─────────────────────────────────────────────────────────── */

static int help(FILE *to)
{
	fputs("callgate: a REST gateway for outbound phone calls\n\n"
	      "usage: callgate COMMAND [ARGUMENTS]\n\n", to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fputs("  version    says which version this is\n\n"
	      "`callgate COMMAND --help` says more. Settings come from the environment; `callgate serve\n"
	      "--help` lists them. Exit status: 0 done, 1 did not work out, 2 wrong usage or settings.\n", to);
	return to == stdout ? APP_OK : APP_USAGE;
}

static int help_of(const struct command *c)
{
	fputs(c->usage, stdout);
	if (c->more_help)
		c->more_help(stdout);
	return APP_OK;
}

static bool asks_for_help(const char *arg)
{
	return str_eq(arg, "--help") || str_eq(arg, "-h");
}

static int run(const struct command *c, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (asks_for_help(argv[i]))
			return help_of(c);
	}
	return c->run(c, argc, argv);
}

static int version(void)
{
	printf("callgate %s\n", CALLGATE_VERSION);
	return APP_OK;
}

int app_main(int argc, char **argv)
{
	/* A peer that hangs up is an error of a write, not the end of the process. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return help(stderr);
	if (asks_for_help(argv[1]) || str_eq(argv[1], "help"))
		return help(stdout);
	if (str_eq(argv[1], "version") || str_eq(argv[1], "--version"))
		return version();
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (str_eq(argv[1], commands[i]->name))
			return run(commands[i], argc - 1, argv + 1);
	}
	fprintf(stderr, "callgate: there is no command '%s'\n\n", argv[1]);
	return help(stderr);
}
