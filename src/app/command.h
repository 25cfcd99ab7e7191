/* Inside `app`: a command is a row of a table. */
#ifndef APP_COMMAND_H
#define APP_COMMAND_H

#include <stddef.h>
#include <stdio.h>

#include "callgate/app.h"
#include "callgate/config.h"
#include "callgate/err.h"
#include "callgate/store.h"

struct command {
	const char *name;
	const char *summary;    /* one line of `callgate --help`      */
	const char *usage;      /* `callgate NAME --help`             */
	void      (*more_help)(FILE *to);       /* or NULL            */
	int       (*run)(const struct command *self, int argc, char **argv);   /* argv[0] is the name */
};

extern const struct command command_serve, command_migrate, command_apply, command_key, command_credits, command_doctor,
                            command_health;

/* Says what is wrong and how it goes; returns APP_USAGE. */
__attribute__((format(printf, 2, 3)))
int command_misused(const struct command *c, const char *fmt, ...);

/* Says it on standard error; returns APP_FAILED. */
__attribute__((format(printf, 1, 2)))
int command_failed(const char *fmt, ...);

/* An option that stands alone, or one with a value ("--name VALUE", "--name=VALUE"). Both
 * return true and move *i past what they took; option_value() gives NULL when the value
 * is missing. */
bool option_flag(int argc, char **argv, int *i, const char *name);
bool option_value(int argc, char **argv, int *i, const char *name, const char **value);

/* The settings with every mistake, a line each, as config_load() has it. */
enum err settings_read(struct config *c, struct buf *mistakes) MUST_USE;

/* The settings, and logs set up by them. False: every mistake has been told; exit with 2. */
bool settings_load(struct config *c);

/* A connection of a command: settings, connection, schema. APP_OK, or told and to be
 * returned. With `any_schema` the schema is not looked at. */
int command_store_open(const char *role, bool any_schema, struct store **out);

void store_freep(struct store **s);

/* The drivers this program has, for `doctor` and `serve`. */
extern const char *const driver_names[];
extern const size_t driver_count;

#endif
