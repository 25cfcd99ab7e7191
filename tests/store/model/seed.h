/* The world of book.c as rows. */
#ifndef TESTS_STORE_MODEL_SEED_H
#define TESTS_STORE_MODEL_SEED_H

#include "../scratch.h"
#include "run.h"

static inline void seed_users(void)
{
	int i;

	sql("insert into organizations (name) values ('one'), ('two')");
	for (i = 1; i <= 3; i++)
		sql("insert into users (user_id, email) values ('00000000-0000-4000-8000-00000000000%d', 'u%d@example.org');"
		    "insert into memberships (org_id, user_id) values (%d, '00000000-0000-4000-8000-00000000000%d')",
		    i, i, i < 3 ? 1 : 2, i);
	for (i = 0; i < book_n_keys; i++)
		if (book_keys[i].known)
			sql("insert into api_keys (org_id, key_hash, user_id, kind, test, hint)"
			    " values (%d, sha256('%s'), '00000000-0000-4000-8000-00000000000%d', 0, %s, 'dk_')",
			    book_keys[i].org, book_keys[i].text, book_keys[i].user, book_keys[i].test ? "true" : "false");
}

static inline void seed_money(struct book *b)
{
	int i;

	for (i = 0; i < BOOK_ACCOUNTS; i++) {
		sql("insert into credit_accounts (org_id, account_id, name, balance_mc) values (%d, %d, 'a%d', %d);"
		    "insert into credit_ledger (org_id, account_id, kind, amount_mc) values (%d, %d, 1, %d)",
		    book_account_org(i), book_account_number(i), i, START_MC, book_account_org(i), book_account_number(i), START_MC);
		b->balance[i] = START_MC;
	}
	for (i = 0; i < book_n_rates; i++)
		sql("insert into rates (org_id, prefix, rate_mc, increment_s, minimum_s) values (%d, '%s', %lld, %d, %d)",
		    book_rates[i].org, book_rates[i].prefix, (long long)book_rates[i].rate_mc, book_rates[i].increment_s,
		    book_rates[i].minimum_s);
}

static inline void seed_project(const struct org_project *p)
{
	int user;

	sql("insert into projects (org_id, project_id, public_id, name, agent, account_id, rate_mc, hold_s, max_duration_s,"
	    "                      increment_s, minimum_s)"
	    " values (%d, %d, '%s', 'P', 'agent', %d, %lld, nullif(%d, -1), %d, %d, %d)", p->org, p->number, p->id,
	    book_account_number(p->account), (long long)p->rate_mc, p->hold_s, p->max_s, p->increment_s, p->minimum_s);
	for (user = 1; user <= 3; user++)
		if (p->members & 1u << user)
			sql("insert into project_members values (%d, %d, '00000000-0000-4000-8000-00000000000%d')", p->org,
			    p->number, user);
}

static inline void seed_number(const struct org_number *n, int pool)
{
	int user;

	sql("insert into phone_numbers (org_id, e164, trunk_id, status) values (%d, '%s', nullif(%d, 0), '%s');"
	    "insert into number_pools values (%d, %d, 'pool-%d'); insert into pool_numbers values (%d, '%s', %d)", n->org, n->e164,
	    n->trunk, n->active ? "active" : "inactive", n->org, pool, pool, n->org, n->e164, pool);
	for (user = 1; user <= 3; user++)
		if (n->users & 1u << user)
			sql("insert into pool_members values (%d, '00000000-0000-4000-8000-00000000000%d', %d)", n->org, user, pool);
}

static inline void seed_world(struct book *b)
{
	int i;

	seed_users();
	seed_money(b);
	sql("insert into trunks (org_id, trunk_id, name, driver, cps_milli, burst, max_concurrent)"
	    " select o, t, 't' || t, 'simulator', 100000, 100, 1000 from generate_series(1, 2) o, generate_series(1, 2) t");
	for (i = 0; i < book_n_projects; i++)
		seed_project(&book_projects[i]);
	for (i = 0; i < book_n_numbers; i++)
		seed_number(&book_numbers[i], i + 1);
}

#endif
