/* Inside `store`: what every end of a call does with its money and its destination. */
#ifndef STORE_SETTLE_H
#define STORE_SETTLE_H

#include "pg.h"

/* What every end does, given u, the calls it has just made final: settle the money, free
 * the destination. Accounts are locked first, in order, as admit.c does it: the count()s
 * make what follows wait for them. A charge is the billed seconds at the rate of the call,
 * rounded up once. */
#define SETTLE_SQL \
	" acct as materialized (" \
	"  select a.org_id, a.account_id" \
	"  from (select distinct org_id, account_id from u where hold_mc > 0 or charged_mc > 0) x" \
	"  join credit_accounts a on" PROBE("a.org_id", "x.org_id", "a.account_id", "x.account_id") \
	"  order by a.org_id, a.account_id for update of a)," \
	" paid as (update credit_accounts a set balance_mc = a.balance_mc - s.charged_mc, held_mc = a.held_mc - s.hold_mc" \
	"  from (select org_id, account_id, sum(charged_mc)::bigint as charged_mc, sum(hold_mc)::bigint as hold_mc" \
	"        from u group by 1, 2 having sum(charged_mc) > 0 or sum(hold_mc) > 0) s" \
	"  where" PROBE("a.org_id", "s.org_id", "a.account_id", "s.account_id") "and (select count(*) from acct) >= 0)," \
	" entry as (insert into credit_ledger (org_id, account_id, kind, amount_mc, call_id)" \
	"  select org_id, account_id, 2, -charged_mc, call_id from u" \
	"  where charged_mc > 0 and (select count(*) from acct) >= 0)," \
	" freed as (delete from destination_locks l using u" \
	"  where" PROBE("l.dest", "u.to_e164", "l.scope", "u.lock_scope") "and l.call_id = u.call_id" \
	"    and (select count(*) from acct) >= 0)"

/* What call d.call_id, which ends because it has waited too long for attempt d.attempt, has to tell
 * of itself: what came of its last attempt that was one. Null where there was none, and then it was
 * never dialed. The primary key of the one partition of call_events, and only for a call that was
 * tried before. Attempts are made again only after what leads to the state of queue_expired, too. */
#define LAST_ATTEMPT_SQL \
	" left join lateral (select (e.data->>'reason')::smallint as reason, (e.data->>'sipCode')::smallint as sip_code," \
	"   e.data->>'sipPhrase' as sip_phrase, e.data->>'providerCode' as code, e.data->>'providerRef' as ref" \
	"   from call_events e where d.attempt > 1 and e.org_id = d.org_id and e.call_id = d.call_id and e.seq < d.attempt * 16" \
	"     and e.kind = 32 and not e.data ? 'undialed' order by e.seq desc limit 1) l on true"

#endif
