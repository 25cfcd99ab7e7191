/* callgate key: developer keys. A new key goes to standard output alone, so that
 * `KEY=$(callgate key create …)` is all a script needs; it is never shown again. */
#include "command.h"

#include <string.h>

#include "callgate/clock.h"
#include "callgate/key.h"
#include "callgate/mem.h"
#include "callgate/store_admin.h"
#include "callgate/text.h"
#include "expiry.h"

struct arguments {
	const char *org, *user, *kind, *name, *expires, *which;
	bool        test;
};

/* True: argv[*i] was an option of ours. */
static bool take_option(struct arguments *a, int argc, char **argv, int *i)
{
	const struct { const char *name; const char **value; } with_value[] = {
		{ "--org", &a->org }, { "--user", &a->user }, { "--kind", &a->kind },
		{ "--name", &a->name }, { "--expires", &a->expires },
	};

	for (size_t o = 0; o < ARRAY_LEN(with_value); o++) {
		if (option_value(argc, argv, i, with_value[o].name, with_value[o].value))
			return true;
	}
	if (option_flag(argc, argv, i, "--test")) {
		a->test = true;
		return true;
	}
	return false;
}

/* ── create ───────────────────────────────────────────────────────────────────────── */

static int create(const struct command *self, const struct arguments *a)
{
	CLEANUP(store_freep) struct store *s = NULL;
	struct key_order order = { .org = a->org, .email = a->user, .name = a->name ? a->name : "", .test = a->test };
	char key[KEY_TEXT_SIZE], id[ID_TEXT_SIZE];
	struct id key_id;
	struct errinfo e;
	int exit;

	if (!a->user || a->which)
		return command_misused(self, "create takes --org NAME and --user EMAIL");
	if (a->kind && !key_kind_parse(a->kind, &order.kind))
		return command_misused(self, "--kind is dk, kros, sk_car or sk, not '%s'", a->kind);
	if (a->expires && !expiry_parse(a->expires, wall_ms(), &order.expires_ms))
		return command_misused(self, "--expires is days, like 90d, or a time to come, like 2030-01-31T00:00:00Z");
	if (!utf8_ok(order.name, strlen(order.name)) || strlen(order.name) > 200)
		return command_misused(self, "--name is UTF-8 of at most 200 bytes");
	exit = command_store_open("callgate key", false, &s);
	if (exit)
		return exit;
	if (store_key_create(s, &order, key, &key_id, &e) != OK)
		return command_failed("%s", e.text);
	id_format(&key_id, id);
	fprintf(stderr, "key %s of %s in %s, %s; this is the only time it is shown:\n", id, a->user, a->org,
	        a->test ? "test mode" : "live mode");
	printf("%s\n", key);
	explicit_bzero(key, sizeof key);
	return APP_OK;
}

/* ── list ─────────────────────────────────────────────────────────────────────────── */

static const char *kind_name(enum key_kind kind)
{
	static const char *const names[] = {
		[KEY_DK] = "dk", [KEY_KROS] = "kros", [KEY_SK_CAR] = "sk_car", [KEY_SK] = "sk",
	};
	_Static_assert(ARRAY_LEN(names) == KEY_KIND_COUNT, "a kind lacks its name");

	return kind < KEY_KIND_COUNT ? names[kind] : "?";
}

/* To the second: "2026-11-20T08:32:00Z". */
static const char *when(int64_t ms, char out[RFC3339_SIZE])
{
	if (ms == 0)
		return "-";
	time_format(ms, out);
	strcpy(out + 19, "Z");
	return out;
}

static void print_row(const struct key_row *k)
{
	char id[ID_TEXT_SIZE], created[RFC3339_SIZE], expires[RFC3339_SIZE], revoked[RFC3339_SIZE];

	id_format(&k->id, id);
	printf("%s  %-18s  %-6s  %-4s  %-20s  %-20s  %-20s  %-10s  %s%s%s\n", id, k->hint, kind_name(k->kind),
	       k->test ? "test" : "live", when(k->created_ms, created), when(k->expires_ms, expires),
	       when(k->revoked_ms, revoked), *k->last_used ? k->last_used : "-", k->email,
	       *k->name ? "  " : "", k->name);
}

static int list(const struct command *self, const struct arguments *a)
{
	CLEANUP(store_freep) struct store *s = NULL;
	struct key_row *rows;
	struct errinfo e;
	size_t n;
	int exit;

	if (a->user || a->kind || a->name || a->expires || a->which || a->test)
		return command_misused(self, "list takes --org NAME alone");
	exit = command_store_open("callgate key", false, &s);
	if (exit)
		return exit;
	if (store_key_list(s, a->org, &rows, &n, &e) != OK)
		return command_failed("%s", e.text);
	printf("%-36s  %-16s  %-6s  %-4s  %-20s  %-20s  %-20s  %-10s  %s\n", "KEY ID", "HINT", "KIND", "MODE", "CREATED",
	       "EXPIRES", "REVOKED", "LAST USED", "USER  NAME");
	for (size_t i = 0; i < n; i++)
		print_row(&rows[i]);
	key_rows_free(rows, n);
	return APP_OK;
}

/* ── revoke ───────────────────────────────────────────────────────────────────────── */

static int revoke(const struct command *self, const struct arguments *a)
{
	CLEANUP(store_freep) struct store *s = NULL;
	struct errinfo e;
	bool already;
	int exit;

	if (!a->which || a->user || a->kind || a->name || a->expires || a->test)
		return command_misused(self, "revoke takes --org NAME and a key or its id");
	exit = command_store_open("callgate key", false, &s);
	if (exit)
		return exit;
	if (store_key_revoke(s, a->org, a->which, &already, &e) != OK)
		return command_failed("%s", e.text);
	printf("%s\n", already ? "it had been revoked before" : "revoked");
	return APP_OK;
}

/* ── which of them ────────────────────────────────────────────────────────────────── */

static int run(const struct command *self, int argc, char **argv)
{
	static const struct { const char *name; int (*run)(const struct command *, const struct arguments *); } verbs[] = {
		{ "create", create }, { "list", list }, { "revoke", revoke },
	};
	struct arguments a = { 0 };

	for (int i = 2; i < argc;) {
		if (take_option(&a, argc, argv, &i))
			continue;
		if (a.which || argv[i][0] == '-')
			return command_misused(self, "'%s' is not understood", argv[i]);
		a.which = argv[i++];
	}
	if (argc < 2)
		return command_misused(self, "create, list or revoke?");
	if (!a.org)
		return command_misused(self, "--org NAME is missing");
	for (size_t v = 0; v < ARRAY_LEN(verbs); v++) {
		if (str_eq(argv[1], verbs[v].name))
			return verbs[v].run(self, &a);
	}
	return command_misused(self, "'%s' is not understood", argv[1]);
}

const struct command command_key = {
	.name = "key",
	.summary = "creates, lists and revokes developer keys",
	.usage = "usage: callgate key create --org NAME --user EMAIL [--kind dk|kros|sk_car|sk] [--test]\n"
	         "                           [--name TEXT] [--expires TIME|DAYSd]\n"
	         "       callgate key list --org NAME\n"
	         "       callgate key revoke --org NAME KEY_ID|KEY\n\n"
	         "`create` prints the key alone on standard output, once; only its digest is kept. The user must be\n"
	         "a member of the organization. A test key's calls go to the simulator and cost nothing.\n\n"
	         "  --kind     which API's keys it looks like; dk (callgate's own) when nothing is said\n"
	         "  --test     a key of test mode\n"
	         "  --name     words to know it by\n"
	         "  --expires  a time like 2030-01-31T00:00:00Z, or days from now like 90d\n",
	.run = run,
};
