/* callgate apply: a document, read whole, checked whole, applied whole. */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/provision.h"
#include "callgate/store_admin.h"
#include "callgate/text.h"
#include "drivers.h"

#define MISTAKES_SHOWN 200

struct report {
	int  mistakes;
	int  counts[PROVISION_UPDATED + 1];
	FILE *lines;            /* what changed, held back until it is true */
};

static void on_mistake(void *arg, const char *pointer, const char *words)
{
	struct report *r = arg;

	if (r->mistakes++ < MISTAKES_SHOWN)
		fprintf(stderr, "%s: %s\n", *pointer ? pointer : "(document)", words);
}

static void on_changed(void *arg, const struct provision *p, const struct provision_object *o,
                       enum provision_change change)
{
	static const char *const words[] = {
		[PROVISION_UNCHANGED] = "unchanged", [PROVISION_CREATED] = "created", [PROVISION_UPDATED] = "updated",
	};
	struct report *r = arg;

	r->counts[change]++;
	fprintf(r->lines, "%-9s  %-12s  %s", words[change], provision_kind_name(o->kind), p->objects[o->org].key);
	if (o->kind != PROVISION_ORGANIZATION)
		fprintf(r->lines, " / %s", o->key);
	fputc('\n', r->lines);
}

static enum err on_check_trunk(void *arg, const char *driver, const char *config, struct errinfo *e)
{
	(void)arg;
	return drivers_check_trunk(driver, config, e);
}

/* The whole file, or standard input for "-"; at most one byte more than is allowed. */
static enum err read_all(const char *path, struct buf *out, struct errinfo *e)
{
	FILE *f = str_eq(path, "-") ? stdin : fopen(path, "re");
	char chunk[16384];
	int broken;
	size_t n;

	if (!f)
		return err_set(e, ERR_INVALID, "cannot open %s: %s", path, strerror(errno));
	while (!out->over && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
		buf_add(out, chunk, n);
	broken = ferror(f) ? errno : 0;
	if (f != stdin)
		fclose(f);
	if (broken)
		return err_set(e, ERR_INVALID, "cannot read %s: %s", path, strerror(broken));
	if (out->over)
		return err_set(e, ERR_INVALID, "%s is larger than %d MiB", path, PROVISION_MAX_BYTES >> 20);
	return OK;
}

static int tell_mistakes(const struct report *r)
{
	if (r->mistakes > MISTAKES_SHOWN)
		fprintf(stderr, "… and %d more\n", r->mistakes - MISTAKES_SHOWN);
	return command_failed("%d mistake%s; nothing was changed", r->mistakes, r->mistakes == 1 ? "" : "s");
}

static int apply(const struct provision *p, bool dry_run, struct report *r)
{
	CLEANUP(store_freep) struct store *s = NULL;
	const struct provision_listener listener = { r, on_changed, on_mistake, on_check_trunk };
	CLEANUP(freep) char *lines = NULL;
	struct errinfo e;
	size_t n = 0;
	int exit = command_store_open("callgate apply", false, &s);
	enum err err;

	if (exit)
		return exit;
	r->lines = open_memstream(&lines, &n);
	err = store_provision(s, p, dry_run, &listener, &e);
	fclose(r->lines);
	if (r->mistakes)
		return tell_mistakes(r);
	if (err == ERR_UNCERTAIN)
		return command_failed("%s; perhaps it was applied: run it again", e.text);
	if (err)
		return command_failed("%s; nothing was changed", e.text);
	fputs(lines, stdout);
	printf("%d created, %d updated, %d unchanged%s\n", r->counts[PROVISION_CREATED], r->counts[PROVISION_UPDATED],
	       r->counts[PROVISION_UNCHANGED], dry_run ? " (dry run: nothing was kept)" : "");
	return APP_OK;
}

static int run(const struct command *self, int argc, char **argv)
{
	CLEANUP(provision_done) struct provision p = { 0 };
	CLEANUP(buf_done) struct buf text = { 0 };
	struct report report = { 0 };
	const char *path = NULL;
	bool dry_run = false;
	struct errinfo e;

	for (int i = 1; i < argc;) {
		if (option_flag(argc, argv, &i, "--dry-run"))
			dry_run = true;
		else if (!path && (argv[i][0] != '-' || str_eq(argv[i], "-")))
			path = argv[i++];
		else
			return command_misused(self, "'%s' is not understood", argv[i]);
	}
	if (!path)
		return command_misused(self, "which file?");
	buf_init(&text, PROVISION_MAX_BYTES);
	if (read_all(path, &text, &e) != OK)
		return command_failed("%s", e.text);
	if (provision_parse(text.data ? text.data : "", text.len, &p, on_mistake, &report) != OK)
		return tell_mistakes(&report);
	return apply(&p, dry_run, &report);
}

const struct command command_apply = {
	.name = "apply",
	.summary = "provisions organizations, users, trunks, numbers, projects … from a file",
	.usage = "usage: callgate apply [--dry-run] FILE\n\n"
	         "Creates or updates what the JSON document FILE ('-': standard input) holds, in one transaction, and\n"
	         "says what changed. What the document does not mention is left alone. Any mistake, and nothing is\n"
	         "changed; all mistakes are told. docs/provisioning.md describes the document.\n\n"
	         "  --dry-run  say what would change, and change nothing\n",
	.run = run,
};
