/* Clients post: new calls, the same again under a key, and what would become of one. */
#include "steps.h"

#include <stdio.h>
#include <string.h>

#include "callgate/clock.h"
#include "run.h"

#define LIVE_MAX 40
#define OLD_MS   7200000

static int keys_used = 1;

static struct id id_of_then(int64_t ago_ms)
{
	struct id id = id_new();
	int64_t ms = id_ms(&id) - ago_ms;
	int i;

	for (i = 5; i >= 0; i--, ms >>= 8)
		id.b[i] = (uint8_t)ms;
	return id;
}

static void make_ask(struct book_ask *a)
{
	*a = (struct book_ask){
		.key = chance(3) ? book_n_keys - 1 : pick(book_n_keys - 1), .project = pick(book_n_projects),
		.number = pick(book_n_numbers + 1), .dest = pick(book_n_dests), .prio = pick(3), .body_ok = !chance(2),
		.ring_s = chance(20) ? 5 + pick(76) : 0, .max_s = chance(25) ? 1 + pick(700) : 0,
		.scheduled_ms = chance(15) ? make_time() : 0, .expires = chance(20), .old = chance(8), .text = ++requests,
	};
	/* Mostly what can succeed. */
	if (chance(85)) {
		while (book_projects[a->project].org != book_keys[a->key].org)
			a->project = pick(book_n_projects);
		a->number = book_keys[a->key].org == 1 ? pick(2) : 4;
	}
	if (a->scheduled_ms)
		a->old = false;
	if (chance(35)) {
		a->idem = keys_used > 8 && chance(60) ? keys_used - pick(8) : ++keys_used;
		a->print = chance(85) ? 0 : 1;
	}
	a->id = a->old ? id_of_then(OLD_MS) : id_new();
	snprintf(a->request_id, sizeof a->request_id, "r%d", requests);
}

struct posted {
	struct admission a;
	char    text[32];
	uint8_t key[SHA256_SIZE], print[SHA256_SIZE];
};

static void make_admission_of(const struct book_ask *ask, struct posted *p)
{
	const struct org_key *k = &book_keys[ask->key];
	int64_t now = wall_ms();

	*p = (struct posted){ .key = { (uint8_t)(ask->idem >> 8), (uint8_t)ask->idem }, .print = { (uint8_t)ask->print } };
	snprintf(p->text, sizeof p->text, "{\"n\":%d}", ask->text);
	p->a = (struct admission){
		.key_org = k->org, .body_ok = ask->body_ok, .project = book_projects[ask->project].id,
		.from = ask->number < book_n_numbers ? book_numbers[ask->number].e164 : "+19995550000",
		.to = book_dests[ask->dest], .variables = p->text, .prio = (int16_t)ask->prio, .ring_timeout_s = ask->ring_s,
		.max_duration_s = ask->max_s, .scheduled_ms = ask->scheduled_ms, .expires_ms = ask->expires ? now + 3 * DAY_MS : 0, .request_id = ask->request_id, .call_id = ask->id,
	};
	if (ask->idem) {
		p->a.idem_key = p->key;
		p->a.idem_print = p->print;
	}
	sha256(k->text, strlen(k->text), p->a.key_hash);
}

static void take_answer(const struct admission *a, struct book_answer *out)
{
	*out = (struct book_answer){ .outcome = a->outcome, .replayed = a->replayed, .id = a->call_id };
	if (a->replayed)
		memcpy(out->request_id, a->first_request_id, sizeof out->request_id - 1);
}

static void explain_request(const struct book_ask *a, const struct book_answer *got)
{
	struct book_answer would;
	int64_t hold_mc;

	book_would_admit(&book, a, &would, &hold_mc);
	printf("  key %d project %d number %d to %s%s%s idem %d/%d: outcome %d%s; alone it would be %d%s\n", a->key, a->project,
	       a->number, book_dests[a->dest], a->scheduled_ms ? " scheduled" : "", a->expires ? " expires" : "", a->idem, a->print,
	       (int)got->outcome, got->replayed ? " replayed" : "", (int)would.outcome, would.replayed ? " replayed" : "");
}

bool step_accept(void)
{
	struct book_ask asks[BATCH_MAX];
	struct posted posted[BATCH_MAX];
	struct admission *items[BATCH_MAX];
	struct book_answer answers[BATCH_MAX];
	struct store *s = intakes[pick(INTAKES)];
	int i, n = 1 + pick(BATCH_MAX), accepted = 0;

	if (count(any) > LIVE_MAX)
		return false;
	for (i = 0; i < n; i++) {
		make_ask(&asks[i]);
		make_admission_of(&asks[i], &posted[i]);
		items[i] = &posted[i].a;
	}
	DO(store_admit(s, items, (size_t)n, &run_rules, &e));
	DO(store_admit_flush(s, items, (size_t)n, &run_rules, &e));
	for (i = 0; i < n; i++) {
		take_answer(items[i], &answers[i]);
		accepted += answers[i].outcome == ADMIT_ACCEPTED;
	}
	note("accept %d of %d", accepted, n);
	if (book_admit(&book, asks, answers, n))
		return true;
	for (i = 0; i < n; i++)
		explain_request(&asks[i], &answers[i]);
	wrong("in no order do these requests have these answers");
}

bool step_prune(void)
{
	struct book_idem *k;
	char id[ID_TEXT_SIZE];
	int gone, expected;

	if (book.n_idem == 0)
		return false;
	k = &book.idem[pick(book.n_idem)];
	id_format(&k->call_id, id);
	k->aged = true;
	run_sql("update idempotency_keys set counts_from = now() - interval '8 days' where org_id = %d and call_id = '%s'", k->org, id);
	DO(store_idempotency_prune(gates[0].s, 7, 100, &gone, &e));
	expected = book_prune(&book);
	note("prune: %d keys", gone);
	MUST(gone == expected);
	return true;
}

/* What a request would be answered, said before: nothing may come of it. */
bool step_dry_run(void)
{
	struct book_ask ask;
	struct book_answer would;
	struct posted posted;
	struct dry_run out = { 0 };
	int64_t hold_mc;

	make_ask(&ask);
	ask.idem = 0;
	ask.body_ok = true;
	make_admission_of(&ask, &posted);
	DO(store_dry_run(intakes[0], &posted.a, &run_rules, &out, &e));
	book_would_admit(&book, &ask, &would, &hold_mc);
	note("dry run: %d, %zu refusals, first %d", would.outcome, out.n_refusals, out.n_refusals ? (int)out.refusals[0] : 0);
	MUST((out.n_refusals == 0) == (would.outcome == ADMIT_ACCEPTED));
	MUST(out.n_refusals == 0 || out.refusals[0] == would.outcome);
	MUST(out.n_refusals > 0 || (out.priced && out.hold_mc == hold_mc));
	dry_run_done(&out);
	return true;
}
