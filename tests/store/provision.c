/* Provisioning: everything or nothing, again is nothing, and what is not mentioned stays. */
#include "scratch.h"

#include "callgate/store_admin.h"

/* ── a document, by hand ────────────────────────────────────────────────────────── */

#define OBJECTS_MAX 16

static struct provision_object objects[OBJECTS_MAX];
static struct provision doc = { objects, 0 };
static char pointers[OBJECTS_MAX][32];
static int counts[4];
static char told[2048];

static void on_changed(void *arg, const struct provision *p, const struct provision_object *o,
                       enum provision_change change)
{
	(void)arg;
	(void)p;
	(void)o;
	counts[change]++;
}

static void on_mistake(void *arg, const char *pointer, const char *text)
{
	size_t n = strlen(told);

	(void)arg;
	snprintf(told + n, sizeof told - n, "%s: %s\n", pointer, text);
}

/* What the object is called in mistakes: "/3" for the fourth of the document. */
static struct provision_object *add(enum provision_kind kind, const char *key)
{
	struct provision_object *o = &objects[doc.n];

	assert_true(doc.n < OBJECTS_MAX);
	snprintf(pointers[doc.n], sizeof pointers[0], "/%zu", doc.n);
	*o = (struct provision_object){ .kind = kind, .pointer = pointers[doc.n], .key = (char *)(uintptr_t)key };
	if (kind == PROVISION_ORGANIZATION)
		o->org = doc.n;
	else if (doc.n)
		o->org = objects[doc.n - 1].org;
	doc.n++;
	return o;
}

static void set(struct provision_object *o, enum provision_field f, const char *text)
{
	o->values[f] = (struct provision_value){ true, (char *)(uintptr_t)text };
}

static struct provision_list list(char **items, size_t n)
{
	return (struct provision_list){ true, items, n };
}

static char *ann[] = { (char *)(uintptr_t)"ann@example.org" };
static char *both[] = { (char *)(uintptr_t)"ann@example.org", (char *)(uintptr_t)"bob@example.org" };
static char *number[] = { (char *)(uintptr_t)"+14155550177" };

static void tenant(const char *name)
{
	struct provision_object *o;

	doc.n = 0;
	set(add(PROVISION_ORGANIZATION, name), FIELD_WEIGHT, "3");
	set(add(PROVISION_USER, "ann@example.org"), FIELD_ROLE, "owner");
	add(PROVISION_USER, "bob@example.org");
	set(add(PROVISION_ACCOUNT, "main"), FIELD_CREDITS_MC, "1250000");
	o = add(PROVISION_TRUNK, "t");
	set(o, FIELD_DRIVER, "simulator");
	set(o, FIELD_CPS_MILLI, "1500");
	set(o, FIELD_CONFIG, "{\"b\": [1, 2], \"a\": 1}");
	set(add(PROVISION_NUMBER, number[0]), FIELD_TRUNK, "t");
	o = add(PROVISION_POOL, "pool");
	o->members = list(ann, 1);
	o->numbers = list(number, 1);
	o = add(PROVISION_PROJECT, "p");
	set(o, FIELD_AGENT, "agent");
	set(o, FIELD_ACCOUNT, "main");
	set(o, FIELD_RATE_MC, "2000");
	set(o, FIELD_MAX_CONCURRENT, "5");
	o->members = list(both, 2);
}

/* A driver "picky" that knows only one config. */
static enum err check_trunk(void *arg, const char *driver, const char *config, struct errinfo *e)
{
	(void)arg;
	if (strcmp(driver, "picky") != 0 || strcmp(config, "{\"mood\": \"good\"}") == 0)
		return OK;
	return err_set(e, ERR_INVALID, "not with %s", config);
}

static enum err apply_to(struct store *s, bool dry_run)
{
	const struct provision_listener l = { NULL, on_changed, on_mistake, check_trunk };
	struct errinfo e = { "" };

	memset(counts, 0, sizeof counts);
	told[0] = '\0';
	return store_provision(s, &doc, dry_run, &l, &e);
}

static void apply_well(void)
{
	if (apply_to(db, false) != OK)
		fail_msg("%s", told);
}

static void assert_counts(int created, int updated, int unchanged)
{
	assert_int_equal(counts[PROVISION_CREATED], created);
	assert_int_equal(counts[PROVISION_UPDATED], updated);
	assert_int_equal(counts[PROVISION_UNCHANGED], unchanged);
}

static void assert_told(const char *line)
{
	if (!strstr(told, line))
		fail_msg("\"%s\" is not told in:\n%s", line, told);
}

#define OF(name) "org_id = (select org_id from organizations where name = '" name "')"

/* ── the rules ──────────────────────────────────────────────────────────────────── */

static void a_document_makes_a_tenant_and_the_second_run_nothing(void **state)
{
	(void)state;
	tenant("first");
	apply_well();
	assert_counts(8, 0, 0);
	assert_int_equal(3, sql("select weight from organizations where name = 'first'"));
	assert_int_equal(1, sql("select count(*) from memberships where " OF("first") " and role = 'owner'"));
	assert_int_equal(1500, sql("select cps_milli from trunks where " OF("first")));
	assert_int_equal(1, sql("select count(*) from phone_numbers where " OF("first") " and trunk_id = 1 and status = 'active'"));
	assert_int_equal(2, sql("select count(*) from project_members where " OF("first")));
	assert_int_equal(1, sql("select count(*) from projects where " OF("first") " and name = 'p' and rate_mc = 2000"));
	apply_well();
	assert_counts(0, 0, 8);
	check_books();
}

static void the_opening_balance_is_booked_once(void **state)
{
	(void)state;
	tenant("money");
	apply_well();
	set(&objects[3], FIELD_CREDITS_MC, "9999999");
	apply_well();
	assert_int_equal(1250000, sql("select balance_mc from credit_accounts where " OF("money")));
	assert_int_equal(1, sql("select count(*) from credit_ledger where " OF("money") " and kind = 1"));
	check_books();
}

static void what_is_not_mentioned_stays_and_null_unsets(void **state)
{
	struct provision_object *o;

	(void)state;
	tenant("partial");
	apply_well();
	doc.n = 0;
	add(PROVISION_ORGANIZATION, "partial");
	o = add(PROVISION_PROJECT, "p");
	set(o, FIELD_MAX_CONCURRENT, NULL);
	set(o, FIELD_RING_TIMEOUT_S, "20");
	set(o, FIELD_WAIT_FOR_AGENT_S, "15");
	set(add(PROVISION_NUMBER, number[0]), FIELD_TRUNK, NULL);
	apply_well();
	assert_counts(0, 2, 1);
	assert_int_equal(1, sql("select count(*) from projects where " OF("partial") " and max_concurrent is null"
	                        " and ring_timeout_s = 20 and wait_for_agent_s = 15 and rate_mc = 2000 and agent = 'agent'"));
	assert_int_equal(1, sql("select count(*) from phone_numbers where " OF("partial") " and trunk_id is null"));
	assert_int_equal(2, sql("select count(*) from project_members where " OF("partial")));
	assert_int_equal(1, sql("select count(*) from pool_members where " OF("partial")));
}

static void a_given_list_is_made_exactly_so(void **state)
{
	(void)state;
	tenant("lists");
	apply_well();
	objects[7].members = list(ann, 1);
	objects[6].members = list(both, 2);
	objects[6].numbers = list(number, 0);
	apply_well();
	assert_counts(0, 2, 6);
	assert_int_equal(1, sql("select count(*) from project_members where " OF("lists")));
	assert_int_equal(2, sql("select count(*) from pool_members where " OF("lists")));
	assert_int_equal(0, sql("select count(*) from pool_numbers where " OF("lists")));
}

static void a_config_that_only_looks_different_is_the_same(void **state)
{
	(void)state;
	tenant("config");
	apply_well();
	set(&objects[4], FIELD_CONFIG, "{\"a\":1,\"b\":[1,2]}");
	apply_well();
	assert_counts(0, 0, 8);
	set(&objects[4], FIELD_CONFIG, "{}");
	apply_well();
	assert_counts(0, 1, 7);
}

/* Whichever of the two is in the document. */
static void a_config_that_its_driver_does_not_know_is_a_mistake(void **state)
{
	struct provision_object *trunk = &objects[4];

	(void)state;
	tenant("picky");
	set(trunk, FIELD_DRIVER, "picky");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/4/config: of the trunk 't': not with {\"a\": 1, \"b\": [1, 2]}\n");
	assert_int_equal(0, sql("select count(*) from organizations where name = 'picky'"));
	set(trunk, FIELD_CONFIG, "{\"mood\":\"good\"}");
	apply_well();
	trunk->values[FIELD_DRIVER].given = false;
	set(trunk, FIELD_CONFIG, "{\"mood\":\"bad\"}");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/4/config: of the trunk 't': not with {\"mood\": \"bad\"}\n");
	set(trunk, FIELD_DRIVER, "simulator");
	apply_well();
	set(trunk, FIELD_DRIVER, "picky");
	trunk->values[FIELD_CONFIG].given = false;
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/4/driver: of the trunk 't': not with {\"mood\": \"bad\"}\n");
}

static void every_reference_that_dangles_is_told_and_nothing_changes(void **state)
{
	static char *strangers[] = { (char *)(uintptr_t)"ann@example.org", (char *)(uintptr_t)"zoe@example.org" };

	(void)state;
	tenant("dangling");
	set(&objects[5], FIELD_TRUNK, "nowhere");
	objects[6].members = list(strangers, 2);
	objects[7].members = list(strangers, 2);
	set(&objects[7], FIELD_ACCOUNT, "none");
	add(PROVISION_TRUNK, "t2");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/5/trunk: the organization has no trunk 'nowhere'\n");
	assert_told("/6/members/1: the organization has no user 'zoe@example.org'\n");
	assert_told("/7/members/1: the organization has no user 'zoe@example.org'\n");
	assert_told("/7/account: the organization has no account 'none'\n");
	assert_told("/8: a new trunk needs a 'driver'\n");
	assert_int_equal(0, sql("select count(*) from organizations where name = 'dangling'"));
	assert_int_equal(0, sql("select count(*) from credit_ledger l where not exists"
	                        " (select from credit_accounts a where a.org_id = l.org_id)"));
}

static void what_refers_to_another_organization_dangles(void **state)
{
	struct provision_object *o;

	(void)state;
	tenant("theirs");
	apply_well();
	doc.n = 0;
	add(PROVISION_ORGANIZATION, "ours");
	o = add(PROVISION_POOL, "pool");
	o->members = list(ann, 1);
	o->numbers = list(number, 1);
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/1/members/0: ");
	assert_told("/1/numbers/0: ");
}

static void a_dry_run_says_the_same_and_keeps_nothing(void **state)
{
	(void)state;
	tenant("dry");
	assert_int_equal(apply_to(db, true), OK);
	assert_counts(8, 0, 0);
	assert_int_equal(0, sql("select count(*) from organizations where name = 'dry'"));
}

static void an_organizations_id_is_chosen_once(void **state)
{
	(void)state;
	doc.n = 0;
	set(add(PROVISION_ORGANIZATION, "known"), FIELD_PUBLIC_ID, "11111111-1111-4111-8111-111111111111");
	apply_well();
	apply_well();
	assert_counts(0, 0, 1);
	assert_int_equal(1, sql("select count(*) from organizations where name = 'known'"
	                        " and public_id = '11111111-1111-4111-8111-111111111111'"));
	set(&objects[0], FIELD_PUBLIC_ID, "22222222-2222-4222-8222-222222222222");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/0/id: ");
	doc.n = 0;
	set(add(PROVISION_ORGANIZATION, "thief"), FIELD_PUBLIC_ID, "11111111-1111-4111-8111-111111111111");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
}

static void a_constraint_that_speaks_is_a_mistake_with_its_place(void **state)
{
	(void)state;
	doc.n = 0;
	set(add(PROVISION_ORGANIZATION, "broken"), FIELD_WEIGHT, "0");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/0: ");
	assert_int_equal(0, sql("select count(*) from organizations where name = 'broken'"));
}

/* The connection is cut between two statements; the one after must not run alone on a new
 * connection, outside of the transaction. */
static struct store *victim;

static void cut_after_the_organization(void *arg, const struct provision *p, const struct provision_object *o,
                                       enum provision_change change)
{
	(void)arg;
	(void)p;
	(void)change;
	if (o->kind != PROVISION_ORGANIZATION)
		return;
	sql("select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'victim'"
	    " and datname = current_database()");
	/* The server's last words are read; what is left is the end of the connection, which
	 * the next statement would mend by connecting anew. */
	PQconsumeInput(victim->pg);
}

static void a_lost_connection_leaves_nothing_behind(void **state)
{
	const struct provision_listener l = { NULL, cut_after_the_organization, on_mistake };
	struct errinfo e;
	enum err err;

	(void)state;
	victim = store_new(scratch_url, "victim");
	tenant("cut");
	err = store_provision(victim, &doc, false, &l, &e);
	assert_int_equal(err, ERR_UNAVAILABLE);
	assert_int_equal(0, sql("select count(*) from organizations where name = 'cut'"));
	assert_int_equal(apply_to(victim, false), OK);
	store_free(victim);
	assert_int_equal(1, sql("select count(*) from organizations where name = 'cut'"));
	check_books();
}

/* ── money ──────────────────────────────────────────────────────────────────────── */

/* A tenant of two accounts; its objects 0 organization, 1 and 2 accounts. */
static void purse(const char *name)
{
	doc.n = 0;
	add(PROVISION_ORGANIZATION, name);
	add(PROVISION_ACCOUNT, "main");
	add(PROVISION_ACCOUNT, "spare");
}

static struct provision_object *top_up(size_t account, const char *reference, const char *amount_mc)
{
	struct provision_object *o = add(PROVISION_TOP_UP, reference);

	o->parent = account;
	set(o, FIELD_AMOUNT_MC, amount_mc);
	return o;
}

static void a_top_up_is_booked_once_by_its_reference(void **state)
{
	(void)state;
	purse("paid");
	set(top_up(1, "invoice-1", "500"), FIELD_NOTE, "March");
	top_up(2, "invoice-2", "70");
	apply_well();
	assert_counts(5, 0, 0);
	apply_well();
	assert_counts(0, 0, 5);
	assert_int_equal(500, sql("select balance_mc from credit_accounts where " OF("paid") " and name = 'main'"));
	assert_int_equal(70, sql("select balance_mc from credit_accounts where " OF("paid") " and name = 'spare'"));
	assert_int_equal(1, sql("select count(*) from credit_ledger where " OF("paid") " and reference = 'invoice-1'"
	                        " and note = 'March' and kind = 1 and amount_mc = 500"));
	check_books();
}

static void a_reference_stands_for_one_payment_of_the_organization(void **state)
{
	(void)state;
	purse("strict");
	top_up(1, "invoice-1", "500");
	apply_well();
	purse("other");
	top_up(1, "invoice-1", "9");            /* another organization's is another */
	apply_well();
	purse("strict");
	top_up(1, "invoice-1", "501");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/3/reference: 'invoice-1' was booked before, with another amount or to another account\n");
	purse("strict");
	top_up(2, "invoice-1", "500");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_int_equal(500, sql("select sum(balance_mc) from credit_accounts where " OF("strict")));
	check_books();
}

static void a_top_up_of_a_dry_run_is_not_booked(void **state)
{
	(void)state;
	purse("dry");
	apply_well();
	top_up(1, "invoice-1", "500");
	assert_int_equal(apply_to(db, true), OK);
	assert_counts(1, 0, 3);
	assert_int_equal(0, sql("select sum(balance_mc) from credit_accounts where " OF("dry")));
	assert_int_equal(0, sql("select count(*) from credit_ledger where " OF("dry")));
}

static struct provision_object *rate(const char *prefix, const char *rate_mc)
{
	struct provision_object *o = add(PROVISION_RATE, prefix);

	if (rate_mc)
		set(o, FIELD_RATE_MC, rate_mc);
	return o;
}

/* Objects 0 organization, 1 and 2 rates. */
static void price_list(const char *name)
{
	static char *prefixes[] = { (char *)(uintptr_t)"+49", (char *)(uintptr_t)"+" };

	doc.n = 0;
	add(PROVISION_ORGANIZATION, name)->prefixes = list(prefixes, 2);
	set(rate("+49", "2000"), FIELD_INCREMENT_S, "6");
	rate("+", "9000");
}

static void rates_are_made_exactly_as_the_list_has_them(void **state)
{
	(void)state;
	price_list("prices");
	apply_well();
	assert_counts(3, 0, 0);
	apply_well();
	assert_counts(0, 0, 3);
	assert_int_equal(1, sql("select count(*) from rates where " OF("prices") " and prefix = '+49' and rate_mc = 2000"
	                        " and increment_s = 6 and minimum_s = 1"));
	doc.n = 2;                              /* "+" is not in the document, but still in the list */
	rate("+", NULL);
	set(&objects[1], FIELD_MINIMUM_S, "30");
	apply_well();
	assert_counts(0, 1, 2);
	assert_int_equal(2, sql("select count(*) from rates where " OF("prices")));
	doc.n = 2;
	objects[0].prefixes.n = 1;
	apply_well();
	assert_counts(0, 1, 1);                 /* the organization: it has lost one */
	assert_int_equal(1, sql("select count(*) from rates where " OF("prices") " and minimum_s = 30 and increment_s = 6"));
	doc.n = 1;
	objects[0].prefixes.given = false;
	apply_well();
	assert_counts(0, 0, 1);
	assert_int_equal(1, sql("select count(*) from rates where " OF("prices")));
}

static void a_rate_without_a_price_is_a_mistake(void **state)
{
	(void)state;
	price_list("free");
	objects[2].values[FIELD_RATE_MC].given = false;
	objects[2].values[FIELD_RATE_MC].text = NULL;
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/2: a new rate needs a 'ratePerMinute'\n");
}

#define ACCOUNT_OF(org, project) "select count(*) from projects p join credit_accounts a using (org_id, account_id) where p." \
	OF(org) " and p.public_id = '" project "' and a.name = "

/* Without an account of its own a project draws on the organization's default, wherever that is. */
static void a_project_without_an_account_follows_the_organizations(void **state)
{
	(void)state;
	purse("shared");
	set(add(PROVISION_PROJECT, "follows"), FIELD_AGENT, "agent");
	set(add(PROVISION_PROJECT, "owns"), FIELD_AGENT, "agent");
	set(&objects[4], FIELD_ACCOUNT, "main");
	apply_well();
	apply_well();
	assert_counts(0, 0, 5);
	assert_int_equal(1, sql(ACCOUNT_OF("shared", "follows") "'main'"));
	set(&objects[2], FIELD_DEFAULT, "true");
	apply_well();
	assert_counts(0, 1, 4);
	assert_int_equal(1, sql(ACCOUNT_OF("shared", "follows") "'spare'"));
	assert_int_equal(1, sql(ACCOUNT_OF("shared", "owns") "'main'"));
	set(&objects[4], FIELD_ACCOUNT, NULL);
	apply_well();
	assert_counts(0, 1, 4);
	assert_int_equal(1, sql(ACCOUNT_OF("shared", "owns") "'spare'"));
	set(&objects[3], FIELD_ACCOUNT, "spare");       /* the same one, but now its own */
	apply_well();
	assert_counts(0, 1, 4);
	set(&objects[1], FIELD_DEFAULT, "true");
	objects[2].values[FIELD_DEFAULT].given = false;
	objects[2].values[FIELD_DEFAULT].text = NULL;
	apply_well();
	assert_int_equal(1, sql(ACCOUNT_OF("shared", "follows") "'spare'"));
	assert_int_equal(1, sql(ACCOUNT_OF("shared", "owns") "'main'"));
}

static void there_is_one_default_account(void **state)
{
	(void)state;
	purse("one");
	set(&objects[1], FIELD_DEFAULT, "true");
	set(&objects[2], FIELD_DEFAULT, "true");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/2/default: another account is said to be the default\n");
	purse("one");
	set(&objects[1], FIELD_DEFAULT, "false");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/1/default: it is the organization's default, and there has to be one");
	doc.n = 0;
	add(PROVISION_ORGANIZATION, "one");
	set(add(PROVISION_PROJECT, "p"), FIELD_AGENT, "agent");
	assert_int_equal(apply_to(db, false), ERR_INVALID);
	assert_told("/1: a new project needs an 'account': the organization has none to draw on\n");
}

/* ── doctor ─────────────────────────────────────────────────────────────────────── */

static void on_found(void *arg, enum finding_level level, const char *check, const char *text)
{
	(void)arg;
	counts[level]++;
	if (level != FINDING_OK)
		on_mistake(NULL, check, text);
}

static void examine(void)
{
	static const char *const drivers[] = { "simulator" };
	const struct finding_listener l = { NULL, on_found };
	struct store *s = store_new(scratch_url, "doctor");
	struct errinfo e;

	memset(counts, 0, sizeof counts);
	told[0] = '\0';
	assert_int_equal(store_examine(s, drivers, 1, &l, &e), OK);
	store_free(s);
}

static void the_doctor_names_what_is_wrong(void **state)
{
	(void)state;
	sql("delete from pool_numbers; delete from pool_members; delete from project_members; delete from number_pools;"
	    "delete from phone_numbers; delete from projects; delete from api_keys; delete from trunks;"
	    "delete from credit_ledger; delete from credit_accounts; delete from rates; delete from memberships;"
	    "delete from organizations");
	tenant("sick");
	set(&objects[4], FIELD_DRIVER, "carrier-pigeon");
	apply_well();
	examine();
	assert_told("keys: sick: no key that is good");
	assert_told("trunks: sick / t: this program has no driver 'carrier-pigeon'");
	assert_int_equal(counts[FINDING_FAIL], 1);

	set(&objects[4], FIELD_DRIVER, "simulator");
	set(&objects[4], FIELD_ENABLED, "false");
	set(&objects[5], FIELD_TRUNK, NULL);
	apply_well();
	sql("update credit_accounts set balance_mc = balance_mc + 1");
	sql("insert into gateways (name, version, expires_at) values ('gone', '0', now() - interval '1 hour')");
	examine();
	assert_told("trunks: sick / t: switched off");
	assert_told("numbers: sick / …0177: no trunk");
	assert_told("projects: sick / p: no member is in a pool");
	assert_told("credits: sick / main: the balance is 1250001 and its ledger sums to 1250000");
	assert_told("gateways: gateway ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_makes_a_tenant_and_the_second_run_nothing),
		cmocka_unit_test(the_opening_balance_is_booked_once),
		cmocka_unit_test(what_is_not_mentioned_stays_and_null_unsets),
		cmocka_unit_test(a_given_list_is_made_exactly_so),
		cmocka_unit_test(a_config_that_only_looks_different_is_the_same),
		cmocka_unit_test(a_config_that_its_driver_does_not_know_is_a_mistake),
		cmocka_unit_test(every_reference_that_dangles_is_told_and_nothing_changes),
		cmocka_unit_test(what_refers_to_another_organization_dangles),
		cmocka_unit_test(a_dry_run_says_the_same_and_keeps_nothing),
		cmocka_unit_test(an_organizations_id_is_chosen_once),
		cmocka_unit_test(a_constraint_that_speaks_is_a_mistake_with_its_place),
		cmocka_unit_test(a_lost_connection_leaves_nothing_behind),
		cmocka_unit_test(a_top_up_is_booked_once_by_its_reference),
		cmocka_unit_test(a_reference_stands_for_one_payment_of_the_organization),
		cmocka_unit_test(a_top_up_of_a_dry_run_is_not_booked),
		cmocka_unit_test(rates_are_made_exactly_as_the_list_has_them),
		cmocka_unit_test(a_rate_without_a_price_is_a_mistake),
		cmocka_unit_test(a_project_without_an_account_follows_the_organizations),
		cmocka_unit_test(there_is_one_default_account),
		cmocka_unit_test(the_doctor_names_what_is_wrong),
	};
	int failed;

	scratch_open();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	scratch_close();
	return failed;
}
