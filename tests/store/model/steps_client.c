/* What clients do with calls they have posted, and operators with credits. */
#include "steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/store_life.h"
#include "callgate/store_money.h"
#include "run.h"

#define REFERENCES 20           /* of invoices, for each account */

/* ── what clients do with their calls ─────────────────────────────────────────── */

static struct caller caller_of(const struct org_key *k)
{
	struct caller out = { .org = k->org };

	sha256(k->text, strlen(k->text), out.hash);
	return out;
}

static struct book_call *choose_recent(void)
{
	int n = book.n_calls < 60 ? book.n_calls : 60;

	if (chance(70))
		return choose(any);
	return n ? &book.calls[book.n_calls - 1 - pick(n)] : NULL;
}

static const struct org_key *choose_key(const struct book_call *c)
{
	int i = pick(book_n_keys);

	while (c && chance(80) && (book_keys[i].org != c->org || book_keys[i].user != c->user))
		i = pick(book_n_keys);
	return &book_keys[i];
}

bool step_cancel(void)
{
	struct book_call *calls[3] = { choose_recent(), choose_recent(), chance(10) ? NULL : choose_recent() };
	struct cancel items[3];
	enum cancel_outcome expected;
	const struct org_key *k = choose_key(calls[0]);
	struct caller caller = caller_of(k);
	int i, n = calls[0] == calls[1] || chance(60) ? 1 : calls[2] == calls[1] || calls[2] == calls[0] ? 2 : 3;

	for (i = 0; i < n; i++)
		items[i] = (struct cancel){ .call_id = calls[i] ? calls[i]->id : id_new() };
	DO(store_calls_cancel(intakes[pick(INTAKES)], &caller, items, (size_t)n, &e));
	for (i = 0; i < n; i++) {
		expected = book_cancel(&book, calls[i], k);
		note("cancel %d of %d, %s: %d, expected %d", i + 1, n, calls[i] ? name_of(calls[i]) : "nothing", items[i].outcome,
		     expected);
		MUST(items[i].outcome == expected);
		MUST(expected >= CANCEL_NOT_FOUND || items[i].state == calls[i]->state);
	}
	return true;
}

static void make_edit(struct book_edit *x, const struct book_call *c)
{
	*x = (struct book_edit){
		.text = chance(50) ? ++requests : 0, .prio = chance(40) ? pick(3) : -1, .set_scheduled = chance(40), .edits = -1,
	};
	if (x->set_scheduled && chance(70)) {
		x->past_bound = chance(20);
		x->scheduled_ms = c && chance(10) ? c->scheduled_ms : make_time() + (x->past_bound ? 4 * DAY_MS : 0);
	}
	if (c && chance(40))
		x->edits = c->edits - chance(20);
}

bool step_edit(void)
{
	struct book_call *c = choose_recent();
	const struct org_key *k = choose_key(c);
	struct caller caller = caller_of(k);
	struct book_edit x;
	struct call_edit edit;
	enum edit_outcome expected;
	char text[32];

	make_edit(&x, c);
	snprintf(text, sizeof text, "{\"n\":%d}", x.text);
	edit = (struct call_edit){
		.call_id = c ? c->id : id_new(), .set_variables = x.text > 0, .variables = text, .set_prio = x.prio >= 0,
		.prio = (int16_t)x.prio, .set_scheduled = x.set_scheduled, .scheduled_ms = x.scheduled_ms, .edits = x.edits,
	};
	DO(store_call_edit(intakes[pick(INTAKES)], &caller, &edit, run_rules.queue_ttl_s, &e));
	expected = book_edit(&book, c, k, &x);
	note("edit %s%s%s%s edits %d: %d, expected %d", c ? name_of(c) : "nothing", x.text ? " text" : "",
	     x.prio >= 0 ? " prio" : "", !x.set_scheduled ? "" : x.scheduled_ms ? " later" : " now", x.edits, edit.outcome, expected);
	MUST(edit.outcome == expected);
	MUST(expected != EDIT_DONE || (edit.lane.prio == c->prio && edit.queued == (c->place == IN_QUEUE)));
	return true;
}

/* ── money ────────────────────────────────────────────────────────────────────── */

/* A reference is booked once: said again it is remembered, said otherwise it is refused. */
bool step_top_up(void)
{
	static int64_t booked[BOOK_ACCOUNTS * REFERENCES];
	int account = pick(BOOK_ACCOUNTS), at = account * REFERENCES + pick(REFERENCES);
	int64_t amount = booked[at] && chance(70) ? booked[at] : 1 + pick(20000);
	bool named = chance(70);
	char name[8], reference[32];
	struct credit_receipt out = { 0 };
	struct credit_order order = {
		.org = book_account_org(account) == 1 ? "one" : "two", .account = name, .kind = LEDGER_TOP_UP, .amount_mc = amount,
		.reference = named ? reference : NULL,
	};
	enum err err;

	if (book.balance[account] > 2 * START_MC)
		return false;
	snprintf(name, sizeof name, "a%d", account);
	snprintf(reference, sizeof reference, "invoice-%d", at);
	err = store_credits_book(intakes[pick(INTAKES)], &order, &out, &e);
	note("top up account %d by %lld%s%s: %d", account, (long long)amount, named ? " as " : "", named ? reference : "", (int)err);
	if (named && booked[at]) {
		MUST(booked[at] == amount ? err == OK && out.already : err == ERR_INVALID);
	} else {
		MUST(err == OK && !out.already);
		book.balance[account] += amount;
	}
	if (named && !booked[at])
		booked[at] = amount;
	e.text[0] = '\0';                 /* a refusal is no trouble */
	MUST(err || (out.balance_mc == book.balance[account] && out.held_mc == book.held[account]));
	free(out.account);
	return true;
}
