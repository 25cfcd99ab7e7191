/* Developer keys: shown once, kept as a digest, ended at once. */
#include "scratch.h"

#include "callgate/store_admin.h"

static struct key_order order(void)
{
	return (struct key_order){ .org = "one", .email = "a@example.org", .kind = KEY_DK, .name = "n" };
}

static void create(const struct key_order *o, char key[KEY_TEXT_SIZE], struct id *id)
{
	struct errinfo e;

	if (store_key_create(db, o, key, id, &e)) {
		print_error("%s\n", e.text);
		fail();
	}
}

/* What an admission with that key comes to. */
static enum admit_outcome admit_with(const char *key)
{
	struct admission a = make_admission("+12025550100");

	sha256(key, strlen(key), a.key_hash);
	a.body_ok = false;
	return admit_one(db, &a);
}

static void a_new_key_works_and_only_its_digest_is_kept(void **state)
{
	struct key_order o = order();
	char key[KEY_TEXT_SIZE];
	enum key_kind kind;
	struct id id;
	int64_t org;

	(void)state;
	create(&o, key, &id);
	assert_true(key_parse(key, strlen(key), &kind, &org));
	assert_int_equal(kind, KEY_DK);
	assert_int_equal(org, 1);
	assert_int_equal(admit_with(key), ADMIT_BODY_INVALID);
	assert_int_equal(0, sql("select count(*) from api_keys k where k::text like '%%%s%%'", key));
	assert_int_equal(1, sql("select count(*) from api_keys where key_hash = sha256('%s') and not test", key));
}

static void only_a_member_of_the_organization_gets_one(void **state)
{
	struct key_order o = order();
	char key[KEY_TEXT_SIZE];
	struct errinfo e;
	struct id id;

	(void)state;
	sql("insert into users (email) values ('stranger@example.org')");
	o.email = "stranger@example.org";
	assert_int_equal(store_key_create(db, &o, key, &id, &e), ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "not a member"));
	o.email = "nobody@example.org";
	assert_int_equal(store_key_create(db, &o, key, &id, &e), ERR_NOT_FOUND);
	o = order();
	o.org = "two";
	assert_int_equal(store_key_create(db, &o, key, &id, &e), ERR_NOT_FOUND);
	assert_non_null(strstr(e.text, "no organization 'two'"));
}

static void an_address_is_found_in_any_case(void **state)
{
	struct key_order o = order();
	char key[KEY_TEXT_SIZE];
	struct id id;

	(void)state;
	o.email = "A@Example.ORG";
	create(&o, key, &id);
}

static void a_key_ends_when_it_was_said_to(void **state)
{
	struct key_order o = order();
	char key[KEY_TEXT_SIZE];
	struct id id;

	(void)state;
	o.expires_ms = sql("select ((extract(epoch from now()) + 100) * 1000)::bigint");
	create(&o, key, &id);
	assert_int_equal(100, sql("select round(extract(epoch from expires_at - now())) from api_keys"
	                          " where key_hash = sha256('%s')", key));
	assert_int_equal(admit_with(key), ADMIT_BODY_INVALID);
	sql("update api_keys set expires_at = now() - interval '1 second' where key_hash = sha256('%s')", key);
	assert_int_equal(admit_with(key), ADMIT_KEY_UNKNOWN);
}

static void a_revoked_key_is_refused_at_once_and_revoking_again_says_so(void **state)
{
	struct key_order o = order();
	char key[2][KEY_TEXT_SIZE], text[ID_TEXT_SIZE];
	struct errinfo e;
	struct id id[2];
	bool already;

	(void)state;
	create(&o, key[0], &id[0]);
	create(&o, key[1], &id[1]);
	id_format(&id[0], text);
	assert_int_equal(store_key_revoke(db, "one", text, &already, &e), OK);
	assert_false(already);
	assert_int_equal(admit_with(key[0]), ADMIT_KEY_UNKNOWN);
	assert_int_equal(admit_with(key[1]), ADMIT_BODY_INVALID);
	assert_int_equal(store_key_revoke(db, "one", key[0], &already, &e), OK);
	assert_true(already);
	assert_int_equal(store_key_revoke(db, "one", key[1], &already, &e), OK);
	assert_false(already);
	assert_int_equal(admit_with(key[1]), ADMIT_KEY_UNKNOWN);
}

static void another_organizations_key_is_not_found(void **state)
{
	struct key_order o = order();
	char key[KEY_TEXT_SIZE];
	struct errinfo e;
	struct id id;
	bool already;

	(void)state;
	create(&o, key, &id);
	sql("insert into organizations (name) values ('other') on conflict do nothing");
	assert_int_equal(store_key_revoke(db, "other", key, &already, &e), ERR_NOT_FOUND);
	assert_int_equal(store_key_revoke(db, "one", "no key at all", &already, &e), ERR_NOT_FOUND);
	assert_int_equal(admit_with(key), ADMIT_BODY_INVALID);
}

static void the_list_shows_hints_and_never_a_key(void **state)
{
	struct key_order o = order();
	char key[KEY_TEXT_SIZE];
	struct key_row *rows;
	struct errinfo e;
	struct id id;
	size_t n, i;

	(void)state;
	o.kind = KEY_KROS;
	o.test = true;
	create(&o, key, &id);
	assert_int_equal(store_key_list(db, "one", &rows, &n, &e), OK);
	for (i = 0; i < n && id_cmp(&rows[i].id, &id); i++)
		;
	assert_true(i < n);
	assert_true(rows[i].test);
	assert_int_equal(rows[i].kind, KEY_KROS);
	assert_string_equal(rows[i].email, "a@example.org");
	assert_string_equal(rows[i].name, "n");
	assert_null(strstr(rows[i].hint, key));
	assert_true(rows[i].created_ms > 0);
	assert_int_equal(rows[i].revoked_ms, 0);
	key_rows_free(rows, n);

	sql("insert into organizations (name) values ('keyless') on conflict do nothing");
	assert_int_equal(store_key_list(db, "keyless", &rows, &n, &e), OK);
	assert_int_equal(n, 0);
	key_rows_free(rows, n);
	assert_int_equal(store_key_list(db, "nowhere", &rows, &n, &e), ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_key_works_and_only_its_digest_is_kept),
		cmocka_unit_test(only_a_member_of_the_organization_gets_one),
		cmocka_unit_test(an_address_is_found_in_any_case),
		cmocka_unit_test(a_key_ends_when_it_was_said_to),
		cmocka_unit_test(a_revoked_key_is_refused_at_once_and_revoking_again_says_so),
		cmocka_unit_test(another_organizations_key_is_not_found),
		cmocka_unit_test(the_list_shows_hints_and_never_a_key),
	};
	int failed;

	scratch_open();
	seed_tenant();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	scratch_close();
	return failed;
}
