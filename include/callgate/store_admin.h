/* What the operator's commands ask of the database: keys, provisioning, and the questions
 * of `callgate doctor`. None of it is hot; clarity goes before speed. */
#ifndef CALLGATE_STORE_ADMIN_H
#define CALLGATE_STORE_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "callgate/err.h"
#include "callgate/finding.h"
#include "callgate/id.h"
#include "callgate/key.h"
#include "callgate/provision.h"
#include "callgate/store.h"

/* ── developer keys ─────────────────────────────────────────────────────────────── */

struct key_order {
	const char   *org;              /* its name                           */
	const char   *email;            /* of a member                        */
	enum key_kind kind;
	bool          test;
	const char   *name;             /* for people, may be ""              */
	int64_t       expires_ms;       /* UTC; 0: never                      */
};

/* Makes a key and keeps its digest. `key` is the only copy of the text there will ever
 * be. ERR_NOT_FOUND: no such organization, or the user is no member of it. */
enum err store_key_create(struct store *s, const struct key_order *order, char key[KEY_TEXT_SIZE], struct id *key_id,
                          struct errinfo *e) MUST_USE;

struct key_row {
	struct id     id;
	char         *hint, *name, *email;      /* owned */
	enum key_kind kind;
	bool          test;
	int64_t       created_ms, expires_ms, revoked_ms;       /* 0: not */
	char          last_used[11];    /* "2026-11-20", "" if never          */
};
/* All keys of an organization, oldest first. */
enum err store_key_list(struct store *s, const char *org, struct key_row **out, size_t *n, struct errinfo *e) MUST_USE;
void     key_rows_free(struct key_row *rows, size_t n);

/* Revokes by key id or by the whole text of the key; from the commit on no request passes.
 * `already` tells that it had been revoked before. ERR_NOT_FOUND: the organization has no
 * such key. */
enum err store_key_revoke(struct store *s, const char *org, const char *id_or_key, bool *already,
                          struct errinfo *e) MUST_USE;

/* ── provisioning ───────────────────────────────────────────────────────────────── */

enum provision_change { PROVISION_UNCHANGED, PROVISION_CREATED, PROVISION_UPDATED };

/* Told as it goes, in the order of the document's dependencies. */
struct provision_listener {
	void *arg;
	void (*changed)(void *arg, const struct provision *p, const struct provision_object *o,
	                enum provision_change change);
	void (*mistake)(void *arg, const char *pointer, const char *text);
	/* May a trunk of that driver have that config (JSON)? ERR_INVALID with words: a mistake. NULL:
	 * any may. Asked of what comes out, whether driver or config is old or new. */
	enum err (*check_trunk)(void *arg, const char *driver, const char *config, struct errinfo *e);
};

/* Applies the document in one transaction: everything, or after any mistake nothing. With
 * `dry_run` it is rolled back in any case. ERR_INVALID: there were mistakes, all told. On
 * ERR_UNCERTAIN the commit may have happened; applying again is safe. */
enum err store_provision(struct store *s, const struct provision *p, bool dry_run,
                         const struct provision_listener *l, struct errinfo *e) MUST_USE;

/* ── doctor ─────────────────────────────────────────────────────────────────────── */

/* Looks at the database, from the server's version to the tenants' data, and tells every
 * check's finding: what is wrong, and what to do. `drivers` are those this program has.
 * The connection can only read from then on. An error means that it could not go on
 * looking. */
enum err store_examine(struct store *s, const char *const *drivers, size_t n_drivers,
                       const struct finding_listener *l, struct errinfo *e) MUST_USE;

struct trunk_row {
	char *org, *name, *ref, *config;        /* owned; ref may be NULL */
	char *numbers;                          /* those that may call over it, spaces between */
};
/* The trunks of a driver that are switched on, at most `max`. */
enum err store_trunks_of(struct store *s, const char *driver, size_t max, struct trunk_row **out, size_t *n,
                         struct errinfo *e) MUST_USE;
void     trunk_rows_free(struct trunk_row *rows, size_t n);

#endif
