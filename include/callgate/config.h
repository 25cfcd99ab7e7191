/* Settings, read once from the environment, or from a file with the same names
 * (CALLGATE_ENV_FILE; the environment wins). A secret NAME may also be read from the file
 * that NAME_FILE names. All mistakes are reported together. Afterwards constant: a room
 * gets the values it needs, not this struct. */
#ifndef CALLGATE_CONFIG_H
#define CALLGATE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "callgate/buf.h"
#include "callgate/err.h"
#include "callgate/log.h"

struct config {
	char          *database_url;            /* secret: may hold a password */
	char          *listen;
	enum log_level log_level;
	bool           log_json;
	int            http_threads, max_connections, idle_timeout_s, answer_timeout_s;
	int            intake_batches, reader_batches, queue_limit;
	bool           lock_per_org;
	bool           access_log;
	int            lease_ttl_ms, margin_s, queue_ttl_s, max_inflight, max_attempts, retry_base_ms, drain_s;
	int            priority_ageing_s, idempotency_days, retention_days;
	double         simulator_speed;
	char          *simulator_ledger;        /* or NULL */
	bool           simulator_instant;
	char          *livekit_url, *livekit_api_key, *livekit_api_secret;      /* all or none; the last is secret */
	char          *livekit_ca_file;         /* or NULL */
	int            livekit_poll_ms;
};

/* Fills *out, or ERR_INVALID with every mistake in `mistakes`, a line each; *out then holds
 * what was right and defaults for the rest (database_url may be NULL), so that `doctor` and
 * `health` can go on. config_done() in both cases. No secret is ever in `mistakes`. */
enum err config_load(struct config *out, struct buf *mistakes) MUST_USE;
void     config_done(struct config *c);
/* A secret whose name something else gives (a trunk's settings): from NAME, or the file that
 * NAME_FILE names, as above; malloc'ed, NULL if there is none. */
char    *config_secret(const char *name);
/* The table of all settings with their defaults, for `callgate serve --help`. */
void     config_help(FILE *to);

#endif
