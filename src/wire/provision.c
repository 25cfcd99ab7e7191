/* Provisioning documents. A member of the document is a row of a table: its name, what it
 * may be, and which field it fills. Everything that is wrong is told with its place, so
 * that one run shows all there is to mend; what is unknown is wrong, for a misspelt
 * member would otherwise silently do nothing. */
#include "provision_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/buf.h"
#include "callgate/mem.h"
#include "callgate/store_money.h"
#include "callgate/text.h"

#define RATE_MAX_MC INT64_C(1000000000)

static const struct member of_organization[] = {
	{ "name",           TEXT,     KEY, .max = 200 },
	{ "id",             UUID,     FIELD_PUBLIC_ID },
	{ "weight",         INTEGER,  FIELD_WEIGHT, .min = 1, .max = 1000 },
	{ "maxConcurrent",  INTEGER,  FIELD_MAX_CONCURRENT, true, 0, 1000000 },
	{ "callsPerSecond", RATE,     FIELD_CPS_MILLI, true },
	{ "burst",          INTEGER,  FIELD_BURST, .min = 1, .max = 100000 },
	/* in the order in which one may refer to another */
	{ "users",          CHILDREN, PROVISION_USER },
	{ "accounts",       CHILDREN, PROVISION_ACCOUNT },
	{ "rates",          CHILDREN, PROVISION_RATE },
	{ "trunks",         CHILDREN, PROVISION_TRUNK },
	{ "numbers",        CHILDREN, PROVISION_NUMBER },
	{ "pools",          CHILDREN, PROVISION_POOL },
	{ "projects",       CHILDREN, PROVISION_PROJECT },
	{ NULL },
};
static const struct member of_user[] = {
	{ "email",          EMAIL,    KEY },
	{ "role",           CHOICE,   FIELD_ROLE, .choices = " owner admin member " },
	{ NULL },
};
static const struct member of_account[] = {
	{ "name",           TEXT,     KEY, .max = 200 },
	{ "credits",        MONEY,    FIELD_CREDITS_MC, .max = CREDITS_MAX_MC },
	{ "default",        BOOLEAN,  FIELD_DEFAULT },
	{ "topUps",         CHILDREN, PROVISION_TOP_UP },
	{ NULL },
};
static const struct member of_top_up[] = {
	{ "reference",      TEXT,     KEY, .max = REFERENCE_MAX },
	{ "amount",         MONEY,    FIELD_AMOUNT_MC, .min = 1, .max = CREDITS_MAX_MC },
	{ "note",           TEXT,     FIELD_NOTE, .max = NOTE_MAX },
	{ NULL },
};
static const struct member of_rate[] = {
	{ "prefix",           PREFIX,  KEY },
	{ "ratePerMinute",    MONEY,   FIELD_RATE_MC, .max = RATE_MAX_MC },
	{ "incrementSeconds", INTEGER, FIELD_INCREMENT_S, .min = 1, .max = 3600 },
	{ "minimumSeconds",   INTEGER, FIELD_MINIMUM_S, .min = 1, .max = 3600 },
	{ NULL },
};
static const struct member of_trunk[] = {
	{ "name",           TEXT,     KEY, .max = 200 },
	{ "driver",         SYMBOL,   FIELD_DRIVER, .max = 64 },
	{ "callsPerSecond", RATE,     FIELD_CPS_MILLI },
	{ "burst",          INTEGER,  FIELD_BURST, .min = 1, .max = 100000 },
	{ "maxConcurrent",  INTEGER,  FIELD_MAX_CONCURRENT, .max = 1000000 },
	{ "enabled",        BOOLEAN,  FIELD_ENABLED },
	{ "providerRef",    TEXT,     FIELD_PROVIDER_REF, true, .max = 200 },
	{ "config",         OBJECT,   FIELD_CONFIG },
	{ NULL },
};
static const struct member of_number[] = {
	{ "number",         NUMBER,   KEY },
	{ "status",         CHOICE,   FIELD_STATUS, .choices = " active inactive suspended released " },
	{ "outbound",       BOOLEAN,  FIELD_OUTBOUND },
	{ "trunk",          TEXT,     FIELD_TRUNK, true, .max = 200 },
	{ NULL },
};
static const struct member of_pool[] = {
	{ "name",           TEXT,     KEY, .max = 200 },
	{ "members",        EMAILS },
	{ "numbers",        NUMBERS },
	{ NULL },
};
static const struct member of_project[] = {
	{ "id",                  SYMBOL,  KEY, .max = 64 },
	{ "name",                TEXT,    FIELD_TITLE, .max = 200 },
	{ "agent",               TEXT,    FIELD_AGENT, .max = 200 },
	{ "account",             TEXT,    FIELD_ACCOUNT, true, .max = 200 },
	{ "members",             EMAILS },
	{ "ratePerMinute",       MONEY,   FIELD_RATE_MC, .max = RATE_MAX_MC },
	{ "incrementSeconds",    INTEGER, FIELD_INCREMENT_S, .min = 1, .max = 3600 },
	{ "minimumSeconds",      INTEGER, FIELD_MINIMUM_S, .min = 1, .max = 3600 },
	{ "holdSeconds",         INTEGER, FIELD_HOLD_S, true, 0, 86400 },
	{ "ringTimeoutSeconds",  INTEGER, FIELD_RING_TIMEOUT_S, .min = 5, .max = 80 },
	{ "maxDurationSeconds",  INTEGER, FIELD_MAX_DURATION_S, .min = 1, .max = 86400 },
	{ "waitForAgentSeconds", INTEGER, FIELD_WAIT_FOR_AGENT_S, .max = 300 },
	{ "weight",              INTEGER, FIELD_WEIGHT, .min = 1, .max = 1000 },
	{ "maxConcurrent",       INTEGER, FIELD_MAX_CONCURRENT, true, 0, 1000000 },
	{ "callsPerSecond",      RATE,    FIELD_CPS_MILLI, true },
	{ "burst",               INTEGER, FIELD_BURST, .min = 1, .max = 100000 },
	{ NULL },
};

static const struct { const char *name; const struct member *members; } kinds[] = {
	[PROVISION_ORGANIZATION] = { "organization", of_organization },
	[PROVISION_USER]         = { "user",         of_user },
	[PROVISION_ACCOUNT]      = { "account",      of_account },
	[PROVISION_TOP_UP]       = { "top-up",       of_top_up },
	[PROVISION_RATE]         = { "rate",         of_rate },
	[PROVISION_TRUNK]        = { "trunk",        of_trunk },
	[PROVISION_NUMBER]       = { "number",       of_number },
	[PROVISION_POOL]         = { "pool",         of_pool },
	[PROVISION_PROJECT]      = { "project",      of_project },
};
_Static_assert(sizeof kinds / sizeof *kinds == PROVISION_KIND_COUNT, "a kind lacks its members");

const char *provision_kind_name(enum provision_kind k)
{
	return kinds[k].name;
}

static struct place inside(const struct place *at, const char *name)
{
	struct place in = *at;
	size_t n = strlen(in.pointer);

	if (n < sizeof in.pointer - 1)
		in.pointer[n++] = '/';
	for (; *name && n < sizeof in.pointer - 2; name++) {
		if (*name == '~' || *name == '/') {     /* RFC 6901 */
			in.pointer[n++] = '~';
			in.pointer[n++] = *name == '~' ? '0' : '1';
		} else {
			in.pointer[n++] = *name;
		}
	}
	in.pointer[n] = '\0';
	return in;
}

static struct place item(const struct place *at, size_t i)
{
	char name[24];

	snprintf(name, sizeof name, "%zu", i);
	return inside(at, name);
}

/* ── lists and objects ────────────────────────────────────────────────────────────── */

/* Once is enough: said twice, one of them is meant to be another. */
static bool first_time(struct parser *p, json_t *seen, const char *key, const struct place *at)
{
	if (!json_object_get(seen, key)) {
		json_object_set_new(seen, key, json_true());
		return true;
	}
	provision_tell(p, at, "'%s' is there twice", key);
	return false;
}

static void read_list(struct parser *p, const struct member *m, const json_t *j, const struct place *at,
                      struct provision_list *out)
{
	json_t *seen;

	if (!json_is_array(j)) {
		provision_tell(p, at, "must be a list");
		return;
	}
	seen = json_object();
	out->given = true;
	out->items = xcalloc(json_array_size(j) + 1, sizeof *out->items);
	for (size_t i = 0; i < json_array_size(j); i++) {
		struct place here = item(at, i);
		char *text = provision_read_value(p, m, json_array_get(j, i), &here);

		if (text && first_time(p, seen, text, &here))
			out->items[out->n++] = text;
		else
			free(text);
	}
	json_decref(seen);
}

static size_t read_object(struct parser *p, const json_t *j, enum provision_kind kind, const struct place *at,
                          size_t parent);

static void read_children(struct parser *p, const json_t *j, enum provision_kind kind, const struct place *at,
                          size_t parent)
{
	json_t *seen;

	if (!json_is_array(j)) {
		provision_tell(p, at, "must be a list");
		return;
	}
	seen = json_object();
	for (size_t i = 0; i < json_array_size(j); i++) {
		struct place here = item(at, i);
		size_t child = read_object(p, json_array_get(j, i), kind, &here, parent);
		const char *key = child == SIZE_MAX ? NULL : p->out->objects[child].key;

		if (key)
			first_time(p, seen, key, &here);
	}
	json_decref(seen);
}

/* Of rates it counts which there are: the list is made exactly so. */
static void list_prefixes(struct parser *p, size_t org)
{
	struct provision_object *o = &p->out->objects[org];

	o->prefixes.given = true;
	o->prefixes.items = xcalloc(p->out->n, sizeof *o->prefixes.items);
	for (size_t i = org + 1; i < p->out->n; i++) {
		const struct provision_object *rate = &p->out->objects[i];

		if (rate->kind == PROVISION_RATE && rate->key)
			o->prefixes.items[o->prefixes.n++] = xstrdup(rate->key);
	}
}

static void read_member(struct parser *p, size_t object, const struct member *m, const json_t *j,
                        const struct place *at)
{
	struct provision_object *o = &p->out->objects[object];

	if (m->shape == CHILDREN) {
		read_children(p, j, (enum provision_kind)m->field, at, object);
		if (m->field == PROVISION_RATE)
			list_prefixes(p, object);
	} else if (m->shape == EMAILS) {
		read_list(p, m, j, at, &o->members);
	} else if (m->shape == NUMBERS) {
		read_list(p, m, j, at, &o->numbers);
	} else if (m->field == KEY) {
		o->key = provision_read_value(p, m, j, at);
	} else if (json_is_null(j) && m->nullable) {
		o->values[m->field].given = true;
	} else {
		o->values[m->field].text = provision_read_value(p, m, j, at);
		o->values[m->field].given = true;
	}
}

static const struct member *member_find(const struct member *members, const char *name)
{
	for (; members->name; members++) {
		if (str_eq(members->name, name))
			return members;
	}
	return NULL;
}

static void tell_unknown(struct parser *p, const struct member *members, const json_t *j, const struct place *at)
{
	CLEANUP(buf_done) struct buf known;
	void *it = json_object_iter((json_t *)(uintptr_t)j);

	buf_init(&known, 400);
	for (const struct member *m = members; m->name; m++)
		buf_printf(&known, "%s%s", m == members ? "" : ", ", m->name);
	for (; it; it = json_object_iter_next((json_t *)(uintptr_t)j, it)) {
		const char *name = json_object_iter_key(it);
		struct place here = inside(at, name);

		if (!member_find(members, name))
			provision_tell(p, &here, "is not known here; known are %s", known.data);
	}
}

static size_t append(struct parser *p, enum provision_kind kind, const struct place *at, size_t parent)
{
	struct provision *out = p->out;
	size_t i = out->n++;

	if (i == p->room) {
		p->room = p->room ? p->room * 2 : 64;
		out->objects = xrealloc(out->objects, p->room, sizeof *out->objects);
	}
	out->objects[i] = (struct provision_object){ .kind = kind, .pointer = xstrdup(at->pointer) };
	out->objects[i].parent = kind == PROVISION_ORGANIZATION ? i : parent;
	out->objects[i].org = kind == PROVISION_ORGANIZATION ? i : out->objects[parent].org;
	return i;
}

/* Returns the object's index; SIZE_MAX when it is none. Members are taken in the table's
 * order, not the document's, so that what is referred to comes first. */
static size_t read_object(struct parser *p, const json_t *j, enum provision_kind kind, const struct place *at,
                          size_t parent)
{
	const struct member *members = kinds[kind].members;
	size_t self;

	if (!json_is_object(j)) {
		provision_tell(p, at, "must be an object");
		return SIZE_MAX;
	}
	self = append(p, kind, at, parent);
	tell_unknown(p, members, j, at);
	for (const struct member *m = members; m->name; m++) {
		const json_t *value = json_object_get(j, m->name);
		struct place here = inside(at, m->name);

		if (value)
			read_member(p, self, m, value, &here);
		else if (m->field == KEY)
			provision_tell(p, at, "'%s' is missing", m->name);
	}
	return self;
}

/* ── the document ─────────────────────────────────────────────────────────────────── */

static void read_document(struct parser *p, const json_t *root)
{
	static const struct member of_document[] = {
		{ "organizations", CHILDREN, PROVISION_ORGANIZATION },
		{ NULL },
	};
	const struct place top = { "" };
	struct place here = inside(&top, "organizations");
	const json_t *organizations = json_object_get(root, "organizations");

	if (!json_is_object(root)) {
		provision_tell(p, &top, "must be an object");
		return;
	}
	tell_unknown(p, of_document, root, &top);
	if (!organizations)
		provision_tell(p, &top, "'organizations' is missing");
	else
		read_children(p, organizations, PROVISION_ORGANIZATION, &here, 0);
}

enum err provision_parse(const char *text, size_t len, struct provision *out,
                         void (*mistake)(void *arg, const char *pointer, const char *words), void *arg)
{
	struct parser p = { .out = out, .mistake = mistake, .arg = arg };
	const struct place top = { "" };
	json_error_t wrong;
	json_t *root;

	*out = (struct provision){ 0 };
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &wrong);
	if (!root)
		provision_tell(&p, &top, "is not JSON: line %d, column %d: %s", wrong.line, wrong.column, wrong.text);
	else
		read_document(&p, root);
	json_decref(root);
	if (!p.failed)
		return OK;
	provision_done(out);
	return ERR_INVALID;
}

static void list_done(struct provision_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i]);
	free(l->items);
}

void provision_done(struct provision *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct provision_object *o = &p->objects[i];

		free(o->pointer);
		free(o->key);
		for (int f = 0; f < FIELD_COUNT; f++)
			free(o->values[f].text);
		list_done(&o->members);
		list_done(&o->numbers);
		list_done(&o->prefixes);
	}
	free(p->objects);
	*p = (struct provision){ 0 };
}
