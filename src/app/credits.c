/* callgate credits: what is paid in, put right, and left. */
#include "command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "callgate/money.h"
#include "callgate/store_money.h"
#include "callgate/text.h"

struct arguments {
	const char *org, *account, *project, *reference, *note, *amount;
};

/* True: argv[*i] was an option of ours. */
static bool take_option(struct arguments *a, int argc, char **argv, int *i)
{
	const struct { const char *name; const char **value; } with_value[] = {
		{ "--org", &a->org }, { "--account", &a->account }, { "--project", &a->project },
		{ "--reference", &a->reference }, { "--note", &a->note },
	};

	for (size_t o = 0; o < ARRAY_LEN(with_value); o++) {
		if (option_value(argc, argv, i, with_value[o].name, with_value[o].value))
			return true;
	}
	return false;
}

/* ── add, correct ─────────────────────────────────────────────────────────────────── */

static bool amount_parse(const char *text, bool may_be_negative, int64_t *out)
{
	bool negative = may_be_negative && text[0] == '-';

	if (!money_parse(text + negative, CREDITS_MAX_MC, out) || *out == 0)
		return false;
	*out = negative ? -*out : *out;
	return true;
}

static bool words_ok(const char *s, size_t max)
{
	return !s || (*s && strlen(s) <= max && utf8_ok(s, strlen(s)));
}

static int order_read(const struct command *self, const struct arguments *a, enum ledger_kind kind,
                      struct credit_order *out)
{
	bool correction = kind == LEDGER_CORRECTION;

	*out = (struct credit_order){ .org = a->org, .account = a->account, .project = a->project, .kind = kind,
	                              .reference = a->reference, .note = a->note };
	if (!a->amount)
		return command_misused(self, "which amount?");
	if (a->account && a->project)
		return command_misused(self, "--account or --project, not both");
	if (!amount_parse(a->amount, correction, &out->amount_mc))
		return command_misused(self, "'%s' is no amount; it is like 12.50%s, not zero, with at most five decimals",
		                       a->amount, correction ? " or -12.50" : "");
	if (!words_ok(a->reference, REFERENCE_MAX) || !words_ok(a->note, NOTE_MAX))
		return command_misused(self, "--reference and --note are UTF-8 of at most %d and %d bytes", REFERENCE_MAX, NOTE_MAX);
	if (correction && !a->note)
		return command_misused(self, "a correction needs a --note that says why");
	return APP_OK;
}

static int book_failed(const struct credit_order *order, enum err err, const struct errinfo *e)
{
	if (err == ERR_UNCERTAIN && order->reference)
		return command_failed("%s; perhaps it was booked: run it again, with the same reference it is safe", e->text);
	if (err == ERR_UNCERTAIN)
		return command_failed("%s; perhaps it was booked: look at `callgate credits show` before you run it again", e->text);
	return command_failed("%s", e->text);
}

static int book(const struct command *self, const struct arguments *a, enum ledger_kind kind)
{
	CLEANUP(store_freep) struct store *s = NULL;
	char balance[MONEY_TEXT_SIZE], available[MONEY_TEXT_SIZE];
	struct credit_receipt receipt;
	struct credit_order order;
	struct errinfo e;
	int exit = order_read(self, a, kind, &order);
	enum err err;

	if (!exit)
		exit = command_store_open("callgate credits", false, &s);
	if (exit)
		return exit;
	err = store_credits_book(s, &order, &receipt, &e);
	if (err)
		return book_failed(&order, err, &e);
	money_format(receipt.balance_mc, balance);
	money_format(receipt.balance_mc - receipt.held_mc, available);
	printf("%s; account '%s' of %s has a balance of %s, of which %s are available\n",
	       receipt.already ? "it had been booked before" : "booked", receipt.account, a->org, balance, available);
	free(receipt.account);
	return APP_OK;
}

static int add(const struct command *self, const struct arguments *a)
{
	return book(self, a, LEDGER_TOP_UP);
}

static int correct(const struct command *self, const struct arguments *a)
{
	return book(self, a, LEDGER_CORRECTION);
}

/* ── show ─────────────────────────────────────────────────────────────────────────── */

static void print_row(const struct account_row *r)
{
	char balance[MONEY_TEXT_SIZE], held[MONEY_TEXT_SIZE], available[MONEY_TEXT_SIZE];

	money_format(r->balance_mc, balance);
	money_format(r->held_mc, held);
	money_format(r->balance_mc - r->held_mc, available);
	printf("%16s  %16s  %16s  %8d  %s%s\n", balance, held, available, r->projects, r->name,
	       r->is_default ? "  (default)" : "");
}

static int show(const struct command *self, const struct arguments *a)
{
	CLEANUP(store_freep) struct store *s = NULL;
	struct account_row *rows;
	struct errinfo e;
	size_t n;
	int exit;

	if (a->account || a->project || a->reference || a->note || a->amount)
		return command_misused(self, "show takes --org NAME alone");
	exit = command_store_open("callgate credits", false, &s);
	if (exit)
		return exit;
	if (store_accounts_list(s, a->org, &rows, &n, &e) != OK)
		return command_failed("%s", e.text);
	printf("%16s  %16s  %16s  %8s  %s\n", "BALANCE", "HELD", "AVAILABLE", "PROJECTS", "ACCOUNT");
	for (size_t i = 0; i < n; i++)
		print_row(&rows[i]);
	account_rows_free(rows, n);
	return APP_OK;
}

/* ── which of them ────────────────────────────────────────────────────────────────── */

/* "-12.50" is no option. */
static bool is_option(const char *s)
{
	return s[0] == '-' && !(s[1] >= '0' && s[1] <= '9');
}

static int run(const struct command *self, int argc, char **argv)
{
	static const struct { const char *name; int (*run)(const struct command *, const struct arguments *); } verbs[] = {
		{ "add", add }, { "correct", correct }, { "show", show },
	};
	struct arguments a = { 0 };

	for (int i = 2; i < argc;) {
		if (take_option(&a, argc, argv, &i))
			continue;
		if (a.amount || is_option(argv[i]))
			return command_misused(self, "'%s' is not understood", argv[i]);
		a.amount = argv[i++];
	}
	if (argc < 2)
		return command_misused(self, "add, correct or show?");
	if (!a.org)
		return command_misused(self, "--org NAME is missing");
	for (size_t v = 0; v < ARRAY_LEN(verbs); v++) {
		if (str_eq(argv[1], verbs[v].name))
			return verbs[v].run(self, &a);
	}
	return command_misused(self, "'%s' is not understood", argv[1]);
}

const struct command command_credits = {
	.name = "credits",
	.summary = "adds credits to an account, corrects and shows them",
	.usage = "usage: callgate credits add --org NAME [--account NAME|--project ID] AMOUNT [--reference TEXT] [--note TEXT]\n"
	         "       callgate credits correct --org NAME [--account NAME|--project ID] AMOUNT --note TEXT\n"
	         "                                [--reference TEXT]\n"
	         "       callgate credits show --org NAME\n\n"
	         "AMOUNT is a decimal like 12.50, with at most five decimals; that of a correction may be negative.\n"
	         "`show` lists the organization's accounts: what they have, what living calls hold of it, and what is\n"
	         "left for new ones.\n\n"
	         "  --account    the account, by name\n"
	         "  --project    the account that this project draws on; with neither it is the organization's default\n"
	         "  --reference  whose payment it is, an invoice's number for example: it is booked once, however often\n"
	         "               the command is run\n"
	         "  --note       words that stay with it\n",
	.run = run,
};
