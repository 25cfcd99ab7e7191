"""What must hold in every database at every moment, whatever happened before. Each line is one
statement, so it sees one moment; a row that comes out is a fault."""

RULES = {
    "a destination is locked by a call that has ended or does not exist": """
        select l.dest, l.call_id from destination_locks l
        left join calls c on c.org_id = l.org_id and c.call_id = l.call_id
        where c.call_id is null or c.ended_at is not null""",
    "a call that has not ended does not hold its destination": """
        select c.call_id from calls c
        left join destination_locks l on l.dest = c.to_e164 and l.scope = c.lock_scope and l.call_id = c.call_id
        where c.ended_at is null and l.dest is null
          and not exists (select from call_schedule s where s.org_id = c.org_id and s.call_id = c.call_id and not s.locked)""",
    "a call whose time has not come holds its destination": """
        select s.call_id from call_schedule s join destination_locks l on l.call_id = s.call_id where not s.locked""",
    "a call that has not ended stands in not exactly one of queue, schedule and flight": """
        select c.call_id, count(p.call_id) from calls c
        left join (select org_id, call_id from call_queue union all select org_id, call_id from call_schedule
                   union all select org_id, call_id from call_inflight) p
               on p.org_id = c.org_id and p.call_id = c.call_id
        where c.ended_at is null group by c.org_id, c.call_id having count(p.call_id) <> 1""",
    "a call that has ended is still queued, scheduled or in flight": """
        select c.call_id from calls c
        join (select org_id, call_id from call_queue union all select org_id, call_id from call_schedule
              union all select org_id, call_id from call_inflight) p
          on p.org_id = c.org_id and p.call_id = c.call_id
        where c.ended_at is not null""",
    "an account holds not what its living calls hold": """
        select a.org_id, a.account_id, a.held_mc, coalesce(h.held, 0) from credit_accounts a
        left join (select org_id, account_id, sum(hold_mc) as held from calls where ended_at is null group by 1, 2) h
               on h.org_id = a.org_id and h.account_id = a.account_id
        where a.held_mc <> coalesce(h.held, 0)""",
    "a balance is not the sum of its ledger": """
        select a.org_id, a.account_id, a.balance_mc, coalesce(l.sum, 0) from credit_accounts a
        left join (select org_id, account_id, sum(amount_mc) as sum from credit_ledger group by 1, 2) l
               on l.org_id = a.org_id and l.account_id = a.account_id
        where a.balance_mc <> coalesce(l.sum, 0)""",
    "a call was charged not exactly what its record says": """
        select c.call_id, c.charged_mc, l.sum from calls c
        full join (select org_id, call_id, -sum(amount_mc) as sum from credit_ledger where kind = 2 group by 1, 2) l
               on l.org_id = c.org_id and l.call_id = c.call_id
        where coalesce(c.charged_mc, 0) <> coalesce(l.sum, 0)""",
    "a call's history does not end, or not once, with its final state": """
        select c.call_id, c.state, array_agg(e.kind order by e.seq) from calls c
        left join call_events e on e.org_id = c.org_id and e.call_id = c.call_id
        where c.ended_at is not null group by c.org_id, c.call_id, c.state
        having count(*) filter (where e.kind between 4 and 8) <> 1
            or max(e.kind) filter (where e.kind between 4 and 8) <> c.state""",
    "a call's times run backwards": """
        select call_id from calls where ended_at is not null and not (
          created_at <= coalesce(initiated_at, created_at)
          and coalesce(initiated_at, created_at) <= coalesce(ringing_at, initiated_at, created_at)
          and coalesce(ringing_at, initiated_at, created_at) <= coalesce(answered_at, ended_at)
          and coalesce(answered_at, created_at) <= ended_at)""",
    "a charge is not what the rate, the increment and the minimum of the call make of its talk": """
        select call_id, rate_mc, increment_s, minimum_s, ended_at - answered_at, billed_s, charged_mc from (
          select *, case when answered_at is null then 0 else greatest(minimum_s,
            ceil(least(extract(epoch from ended_at - answered_at), max_duration_s) / increment_s) * increment_s) end as owed_s
          from calls where ended_at is not null) c
        where billed_s <> owed_s or charged_mc <> ceil(rate_mc * owed_s / 60.0)""",
    "a call that may only be dialed until some moment has not its row in call_expiry": """
        select c.call_id, c.expires_at, x.at, p.timed from calls c
        join (select org_id, call_id, timed from call_queue union all select org_id, call_id, timed from call_schedule
              union all select org_id, call_id, timed from call_inflight) p
          on p.org_id = c.org_id and p.call_id = c.call_id
        left join call_expiry x on x.org_id = c.org_id and x.call_id = c.call_id
        where p.timed is distinct from (c.expires_at is not null)
           or (c.expires_at is not null and (x.at is null or x.at < c.expires_at))""",
    "a key stands for neither a call nor a refusal, or for both": """
        select k.org_id, k.call_id, c.call_id, r.outcome from idempotency_keys k
        left join calls c on c.org_id = k.org_id and c.call_id = k.call_id
        left join idempotency_refusals r on r.org_id = k.org_id and r.call_id = k.call_id
        where (c.call_id is null) = (r.call_id is null)""",
    "a call stands behind two keys": """
        select org_id, call_id, count(*) from idempotency_keys group by 1, 2 having count(*) > 1""",
    "a call was dialed after its end had been asked for": """
        select d.call_id, a.at, d.at from call_events a
        join call_events d on d.org_id = a.org_id and d.call_id = a.call_id and d.kind = 1 and d.at > a.at
        where a.kind = 34""",
    "a call was dialed again although its end had been asked for": """
        select r.call_id, r.seq from call_events a
        join call_events r on r.org_id = a.org_id and r.call_id = a.call_id and r.kind = 32 and r.at > a.at
        where a.kind = 34""",
    "a call was dialed past its last moment": """
        select c.call_id, c.expires_at, e.at from calls c
        join call_events e on e.org_id = c.org_id and e.call_id = c.call_id and e.kind = 1
        where e.at > c.expires_at + interval '2 seconds'""",
    "a test call cost something": """
        select call_id from calls where trunk_id = 0 and (hold_mc <> 0 or coalesce(charged_mc, 0) <> 0)""",
}


def check(database):
    faults = [f"{rule}: {rows[:5]}" for rule, sql in RULES.items() if (rows := database.rows(sql))]
    assert not faults, "\n".join(faults)
