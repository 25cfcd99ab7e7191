/* See run.h. */
#include "run.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "callgate/clock.h"

#define TRACE 40

struct book book;
struct gate gates[GATES];
struct store *intakes[INTAKES];
struct errinfo e;
uint64_t seed, dice;
int steps, step, requests;
const struct admit_rules run_rules = { .queue_ttl_s = 86400 };

static char trace[TRACE][160];

/* ── chance, and what is said when something is wrong ─────────────────────────── */

/* splitmix64 */
static uint64_t roll(void)
{
	uint64_t z = dice += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

int pick(int n)
{
	return (int)(roll() % (uint64_t)n);
}

bool chance(int percent)
{
	return pick(100) < percent;
}

void note(const char *fmt, ...)
{
	char *line = trace[step % TRACE];
	va_list ap;
	int n;

	n = snprintf(line, sizeof trace[0], "%5d ", step);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof trace[0] - (size_t)n, fmt, ap);
	va_end(ap);
}

_Noreturn void wrong(const char *what)
{
	int i;

	print_error("%s\nCALLGATE_TEST_MODEL_SEED=%" PRIu64 ", step %d; the last steps:\n", what, seed, step);
	if (e.text[0])
		print_error("the store's last words: %s\n", e.text);
	for (i = step < TRACE ? 0 : step - TRACE + 1; i <= step; i++)
		print_error("%s\n", trace[i % TRACE]);
	fail();
	abort();
}

const char *name_of(const struct book_call *c)
{
	static char names[8][24];
	static int next;
	char id[ID_TEXT_SIZE], *out = names[next++ % 8];

	id_format(&c->id, id);
	snprintf(out, sizeof names[0], "#%d(%.13s)", (int)(c - book.calls), id);
	return out;
}

/* ── choosing ─────────────────────────────────────────────────────────────────── */

bool any(const struct book_call *c)         { return book_is_live(c); }
bool in_flight(const struct book_call *c)   { return c->place == IN_FLIGHT; }
bool is_claimed(const struct book_call *c)  { return c->place == IN_FLIGHT && c->phase == 0; }
bool is_dialed(const struct book_call *c)   { return c->place == IN_FLIGHT && c->phase > 0; }
bool is_waiting(const struct book_call *c)  { return c->place == IN_SCHEDULE && !c->due; }
bool has_a_last_moment(const struct book_call *c) { return book_is_live(c) && c->timed && !c->late; }

/* One of the calls for which it holds, or NULL. */
struct book_call *choose(bool (*holds)(const struct book_call *))
{
	int i, n = 0, nth;

	for (i = 0; i < book.n_calls; i++)
		n += holds(&book.calls[i]);
	if (n == 0)
		return NULL;
	nth = pick(n);
	for (i = 0; ; i++)
		if (holds(&book.calls[i]) && nth-- == 0)
			return &book.calls[i];
}

int count(bool (*holds)(const struct book_call *))
{
	int i, n = 0;

	for (i = 0; i < book.n_calls; i++)
		n += holds(&book.calls[i]);
	return n;
}

struct call_ref ref_of(const struct book_call *c)
{
	return (struct call_ref){ c->org, c->id, c->attempt };
}

struct gate *choose_gate(void)
{
	return &gates[pick(GATES)];
}

const char *text_of(const struct book_call *c)
{
	static char id[ID_TEXT_SIZE];

	id_format(&c->id, id);
	return id;
}

/* ── what several steps need ──────────────────────────────────────────────────── */

/* A day ahead, and no two the same. */
int64_t make_time(void)
{
	return wall_ms() + DAY_MS + ++requests;
}

/* What waits for a moment soon to come waits for a step instead. */
void stop_the_clock(void)
{
	run_sql("update call_schedule set run_at = run_at + interval '1 day'"
	    " where run_at > clock_timestamp() and run_at < clock_timestamp() + interval '2 hours'");
}

size_t make_wants(struct claim_want *want)
{
	size_t n = 0;
	int p, t, prio;

	for (p = 0; p < book_n_projects; p++)
		for (t = 0; t < 3; t++)
			for (prio = 0; prio < 3; prio++)
				if (chance(60))
					want[n++] = (struct claim_want){
						.lane = { book_projects[p].org, book_projects[p].number, t, (int16_t)prio }, .take = 1 + pick(3) };
	return n;
}

int project_of(const struct lane_key *lane)
{
	int p;

	for (p = 0; book_projects[p].org != lane->org_id || book_projects[p].number != lane->project_id; p++)
		;
	return p;
}

void check_claimed(const struct inflight *f, const struct book_call *c)
{
	MUST(id_cmp(&f->call_id, &c->id) == 0);
	MUST(f->attempt == c->attempt && f->phase == c->phase && f->state == c->state);
	MUST(!strcmp(f->to, book_dests[c->dest]));
	MUST(f->lane.org_id == c->org && f->lane.trunk_id == c->trunk && f->lane.prio == c->prio);
	MUST(f->cancel == c->cancel);
	MUST((f->expires_ms != INT64_MAX) == c->timed && (f->expires_ms <= 0) == c->late);
}
