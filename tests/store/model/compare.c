/* See compare.h. */
#include "compare.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callgate/mem.h"
#include "pg.h"

#define DIFFERENCES_MAX 6

struct lines {
	char **text;
	size_t n, max;
};

static void lines_done(struct lines *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->text[i]);
	free(l->text);
}

static void add_line(struct lines *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add_line(struct lines *l, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (l->n == l->max) {
		l->max = l->max ? l->max * 2 : 64;
		l->text = xrealloc(l->text, l->max, sizeof *l->text);
	}
	l->text[l->n++] = xstrdup(text);
}

static int cmp_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_lines(struct lines *l)
{
	if (l->n)
		qsort(l->text, l->n, sizeof *l->text, cmp_text);
}

/* ── what is stored ───────────────────────────────────────────────────────────── */

static const char stored_sql[] =
	"select 'account ' || org_id || '/' || account_id || ' balance ' || balance_mc || ' held ' || held_mc"
	"  || ' ledger ' || (select coalesce(sum(amount_mc), 0) from credit_ledger l"
	"                    where l.org_id = a.org_id and l.account_id = a.account_id) from credit_accounts a"
	" union all"
	" select 'lock ' || dest || ' ' || scope || ' ' || call_id from destination_locks"
	" union all"
	" select 'key ' || k.org_id || ' user ' || right(k.user_id::text, 1) || case when k.test then ' test ' else ' ' end"
	"  || (get_byte(k.key, 0) * 256 + get_byte(k.key, 1)) || ' print ' || get_byte(k.print, 0) || ' ' || k.call_id"
	"  || ' outcome ' || coalesce(r.outcome, 0) || ' ' || coalesce(r.request_id, '')"
	"  from idempotency_keys k left join idempotency_refusals r on r.org_id = k.org_id and r.call_id = k.call_id"
	" union all"
	" select 'refusal of no key ' || r.call_id from idempotency_refusals r"
	"  where not exists (select from idempotency_keys k where k.org_id = r.org_id and k.call_id = r.call_id)"
	" union all"
	" select 'call ' || c.call_id || ' org ' || c.org_id || ' project ' || c.project_id || ' state ' || coalesce(f.state, c.state)"
	"  || ' reason ' || c.reason || ' attempts ' || c.attempts || ' rate ' || c.rate_mc || ' hold ' || c.hold_mc"
	"  || ' charged ' || coalesce(c.charged_mc, 0) || ' billed ' || coalesce(c.billed_s, 0) || ' edits ' || c.edits"
	"  || ' text ' || coalesce(c.variables, '-') || ' prio ' || c.prio || ' scheduled '"
	"  || case when c.scheduled_at <= clock_timestamp() then -1 else coalesce(round(extract(epoch from c.scheduled_at) * 1000), 0) end"
	"  || case when (c.ended_at is null) = (c.state < 4) then '' else ' HALF-ENDED' end"
	"  || case when q.call_id is not null then ' queue ' || q.attempt || ' trunk ' || q.trunk_id || ' prio ' || q.prio"
	"            || case when q.timed then ' timed' else '' end else '' end"
	"  || case when s.call_id is not null then ' schedule ' || s.attempt || ' trunk ' || s.trunk_id || ' prio ' || s.prio"
	"            || case when s.timed then ' timed' else '' end || case when s.locked then '' else ' unlocked' end"
	"            || case when s.run_at <= clock_timestamp() then ' due' else '' end"
	"            || case when s.dest = c.to_e164 and s.scope = c.lock_scope then ' in line' when s.dest is null then ''"
	"                 else ' in the wrong line' end else '' end"
	"  || case when f.call_id is not null then ' flight ' || f.attempt || ' trunk ' || f.trunk_id || ' prio ' || f.prio"
	"            || case when f.timed then ' timed' else '' end || ' phase ' || f.phase || ' gateway ' || f.gateway_id"
	"            || case when f.cancel_at is null then '' else ' cancel' end else '' end"
	"  || ' events' || coalesce((select string_agg(' ' || e.seq || ':' || e.kind, '' order by e.seq) from call_events e"
	"                            where e.org_id = c.org_id and e.call_id = c.call_id), '')"
	"  from calls c left join call_queue q on q.org_id = c.org_id and q.call_id = c.call_id"
	"  left join call_schedule s on s.org_id = c.org_id and s.call_id = c.call_id"
	"  left join call_inflight f on f.org_id = c.org_id and f.call_id = c.call_id";

static bool read_stored(struct store *db, struct lines *l)
{
	CLEANUP(pg_clearp) PGresult *r = NULL;
	struct errinfo e;
	int i;

	if (pg_exec(db, stored_sql, &r, &e)) {
		printf("%s\n", e.text);
		return false;
	}
	for (i = 0; i < PQntuples(r); i++)
		add_line(l, "%s", PQgetvalue(r, i, 0));
	return true;
}

/* ── what is known ────────────────────────────────────────────────────────────── */

static void write_place(const struct book_call *c, char *out, size_t size)
{
	static const char *const places[] = { [IN_QUEUE] = "queue", [IN_SCHEDULE] = "schedule", [IN_FLIGHT] = "flight" };
	int n;

	out[0] = '\0';
	if (c->place == IN_NONE)
		return;
	n = snprintf(out, size, " %s %d trunk %d prio %d%s", places[c->place], c->attempt, c->trunk, c->prio,
	             c->timed ? " timed" : "");
	if (c->place == IN_SCHEDULE)
		snprintf(out + n, size - (size_t)n, "%s%s%s", c->locks ? "" : " unlocked", c->due ? " due" : "",
		         c->in_line ? " in line" : "");
	if (c->place == IN_FLIGHT)
		snprintf(out + n, size - (size_t)n, " phase %d gateway %lld%s", c->phase, (long long)c->gateway,
		         c->cancel ? " cancel" : "");
}

static void write_events(const struct book_call *c, char *out, size_t size)
{
	size_t at = 0;
	int i;

	out[0] = '\0';
	for (i = 0; i < c->n_events && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, " %d:%d", c->events[i].seq, c->events[i].kind);
}

static void write_call(const struct book_call *c, struct lines *l)
{
	char id[ID_TEXT_SIZE], place[128], events[512];

	id_format(&c->id, id);
	write_place(c, place, sizeof place);
	write_events(c, events, sizeof events);
	add_line(l, "call %s org %d project %d state %d reason %d attempts %d rate %lld hold %lld charged %lld billed %d"
	         " edits %d text {\"n\":%d} prio %d scheduled %lld%s events%s", id, c->org, book_projects[c->project].number, (int)c->state,
	         (int)c->reason, c->attempts, (long long)c->rate_mc, (long long)c->hold_mc, (long long)c->charged_mc, c->billed_s,
	         c->edits, c->text, c->prio, (long long)c->scheduled_ms, place, events);
}

static void write_locks(const struct book *b, struct lines *l)
{
	char id[ID_TEXT_SIZE];
	int d, s;

	for (d = 0; d < BOOK_DESTS; d++) {
		for (s = 0; s < BOOK_SCOPES; s++) {
			if (!b->lock[d][s])
				continue;
			id_format(&b->calls[b->lock[d][s] - 1].id, id);
			add_line(l, "lock %s %d %s", book_dests[d], -s, id);
		}
	}
}

static void write_known(const struct book *b, struct lines *l)
{
	char id[ID_TEXT_SIZE];
	int i;

	for (i = 0; i < BOOK_ACCOUNTS; i++)
		add_line(l, "account %d/%d balance %lld held %lld ledger %lld", book_account_org(i), book_account_number(i),
		         (long long)b->balance[i], (long long)b->held[i], (long long)b->balance[i]);
	write_locks(b, l);
	for (i = 0; i < b->n_calls; i++)
		write_call(&b->calls[i], l);
	for (i = 0; i < b->n_idem; i++) {
		const struct book_idem *k = &b->idem[i];

		id_format(&k->call_id, id);
		add_line(l, "key %d user %d%s%d print %d %s outcome %d %s", k->org, k->user, k->test ? " test " : " ", k->key,
		         k->print, id, (int)k->outcome, k->outcome == ADMIT_ACCEPTED ? "" : k->request_id);
	}
}

/* ── side by side ─────────────────────────────────────────────────────────────── */

static size_t print_differences(const struct lines *stored, const struct lines *known)
{
	size_t i = 0, j = 0, found = 0;
	int c;

	while ((i < stored->n || j < known->n) && found < DIFFERENCES_MAX) {
		c = i == stored->n ? 1 : j == known->n ? -1 : strcmp(stored->text[i], known->text[j]);
		if (c != 0)
			found++;
		if (c < 0)
			printf("  stored:  %s\n", stored->text[i]);
		if (c > 0)
			printf("  should:  %s\n", known->text[j]);
		i += c <= 0;
		j += c >= 0;
	}
	return found;
}

bool compare_all(struct store *db, const struct book *b)
{
	CLEANUP(lines_done) struct lines stored = { 0 };
	CLEANUP(lines_done) struct lines known = { 0 };

	if (!read_stored(db, &stored))
		return false;
	write_known(b, &known);
	sort_lines(&stored);
	sort_lines(&known);
	return print_differences(&stored, &known) == 0;
}
