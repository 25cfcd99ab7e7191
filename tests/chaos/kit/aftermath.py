"""The reckoning: what must be true once everything runs again and has had time to settle."""
import collections
import json
import re
import time

from harness import books
from harness.wait import until

from .rig import BOUND_S, LEASE_MS

RETRIED = {"carrier_unavailable": ("0106",), "carrier_limit": ("0107",)}
REASONS = ("none callee_hangup agent_hangup max_duration voicemail busy no_answer declined invalid_number "
           "carrier_unavailable carrier_limit carrier_blocked insufficient_credits suppressed canceled "
           "queue_expired provider_error configuration outcome_unknown overdue client_hangup").split()
SLACK_S = 4             # a takeover, the reaper's rhythm, a server that has just come back
RETRY, UNCERTAIN = 32, 33       # kinds of events
CANCELED = 7                    # a state

# What a database that goes away makes a gateway say at the level of errors.
DATABASE_AWAY = {"api.batch_failed", "api.request_failed"}


def settle(rig, seconds):
    """Waits until every call has ended; shows what is stuck if one does not."""
    began = time.monotonic()

    def ended():
        return rig.database.value("select count(*) from calls where ended_at is null") == 0

    try:
        until("every call is final", ended, seconds, every=0.1)
    except AssertionError as error:
        rows = rig.database.rows("""
            select c.call_id, c.to_e164, q.attempt as queued, s.run_at, f.gateway_id, f.attempt, f.phase, f.state,
                   f.deadline_at - clock_timestamp() as left
            from calls c left join call_queue q using (org_id, call_id) left join call_schedule s using (org_id, call_id)
            left join call_inflight f using (org_id, call_id) where c.ended_at is null limit 10""")
        raise AssertionError("\n".join([str(error), *map(str, rows)])) from None
    return time.monotonic() - began


def check_answers(rig, load):
    """Every 200 has its one call, under its id; what was refused has none; and requests with one
    key made one call at most, whatever became of their answers."""
    rows = rig.database.rows("select request_id, call_id::text, to_e164 from calls")
    calls = collections.defaultdict(list)
    wish_of = {post.request_id: post.wish for post in load.posts}
    for request_id, call_id, to in rows:
        calls[wish_of.get(request_id, request_id)].append((call_id, to))
    wishes = collections.defaultdict(list)
    for post in load.posts:
        wishes[post.wish].append(post)
    for wish, posts in wishes.items():
        found = calls.pop(wish, [])
        accepted = {(post.call_id, post.to) for post in posts if post.promise == "accepted"}
        assert len(found) <= 1, f"one wish, two calls: {posts}: {found}"
        if accepted:
            assert accepted == set(found), f"{posts}: {found}"
        elif all(post.promise == "refused" for post in posts):
            assert not found, f"refused, and yet there is a call: {posts}: {found}"
    assert not calls, f"calls nobody asked for: {list(calls.items())[:5]}"
    assert not load.missing, f"a call that was accepted could not be read: {load.missing[:3]}"
    assert any(post.promise == "accepted" for post in load.posts), "nothing was accepted: this proves nothing"


def check_asked(rig, load):
    """What was answered to a cancel is what became of the call. (That none of them was dialed
    afterwards is for the ledger, check_dials, and for the books.)"""
    ends = {call_id: (state, REASONS[reason], asked) for call_id, state, reason, asked in rig.database.rows(
        "select call_id::text, state, reason, cancel_at is not null from calls")}
    for asked in load.asked:
        state, reason, marked = ends[asked.call_id]
        if asked.verb == "cancel" and asked.status == 200:
            assert (state, reason) == (CANCELED, "canceled"), f"{asked}: {ends[asked.call_id]}"
        if asked.verb == "cancel" and asked.status == 202:
            assert marked, f"{asked}: nobody remembers"
        assert asked.status in (0, 200, 202, 409, 503) or asked.code == "outcome_unknown", asked


def check_dials(rig):
    """No attempt was dialed twice, and a call again only when the earlier attempt had
    certainly rung nobody."""
    dials = collections.Counter()
    for line in rig.ledger.read_text().splitlines():
        call_id, attempt, _, _ = line.split()
        dials[call_id, int(attempt)] += 1
    twice = [key for key, count in dials.items() if count > 1]
    assert not twice, f"dialed twice: {twice[:5]}"

    calls = {row[0]: row[1:] for row in rig.database.rows(
        "select call_id::text, to_e164, attempts, state, reason, answered_at is not null from calls")}
    strangers = [key for key in dials if key[0] not in calls]
    assert not strangers, f"dialed without a call: {strangers[:5]}"

    retried = {(call_id, seq // 16): reason for call_id, seq, reason in rig.database.rows(
        "select call_id::text, seq, (data->>'reason')::int from call_events where kind = %s", RETRY)}
    for (call_id, attempt), reason in retried.items():
        to, word = calls[call_id][0], REASONS[reason]
        if word == "provider_error":        # "was not dialed"
            assert (call_id, attempt) not in dials, f"attempt {attempt} of {call_id} was dialed, and tried again"
        else:
            assert to[-4:] in RETRIED.get(word, ()), f"attempt {attempt} of {call_id} to {to} tried again: {word}"
    for call_id, attempt in dials:
        to, attempts = calls[call_id][:2]
        assert attempt <= attempts, f"{call_id} ended with attempt {attempts}, and {attempt} was dialed"
        assert attempt == attempts or (call_id, attempt) in retried, f"{call_id} was dialed again without a reason"
    # An attempt to …0108 that was never confirmed is found by the simulator whenever it is asked
    # by another gateway, also when the first one fell asleep between intent and dial: it has
    # no memory that could tell. Only there, a call may have been followed and never dialed.
    asked = {call_id for call_id, in rig.database.rows("select call_id::text from call_events where kind = %s", UNCERTAIN)}
    for call_id, (to, attempts, _, reason, _) in calls.items():
        dialed = (call_id, attempts) in dials
        if REASONS[reason] in ("provider_error", "queue_expired", "configuration"):
            assert not dialed or (call_id, attempts) in retried, f"{call_id} was dialed, and its record says it was not: {REASONS[reason]}"
        elif REASONS[reason] not in ("outcome_unknown", "overdue", "canceled"):
            assert dialed or (to.endswith("5550108") and call_id in asked), \
                f"{call_id} ended as {REASONS[reason]} and was never dialed"
    return len(dials)


def check_ends(rig):
    """Final, with a reason, within the bound; nothing left behind."""
    db = rig.database
    for table in ("call_queue", "call_schedule", "call_inflight", "destination_locks"):
        assert db.rows(f"select * from {table} limit 3") == [], f"rows remain in {table}"
    assert db.rows("select org_id, held_mc from credit_accounts where held_mc <> 0") == [], "holds remain"
    assert db.rows("select call_id, state, reason from calls where state < 4 or reason = 0 limit 3") == []
    assert db.rows("select call_id, reason, attempts from calls where state = 4 and answered_at is null limit 3") == [], \
        "completed and never answered"
    longest = db.value("select coalesce(max(extract(epoch from ended_at - initiated_at)), 0)::float8 from calls")
    bound = BOUND_S + SLACK_S + rig.absent_s(3 * BOUND_S)
    assert longest <= bound, f"a call took {longest:.1f} s, its bound is {bound:.1f} s"
    return longest


def check_gateways(rig):
    """Exactly those that run are known, and they share all shards."""
    running = sum(gateway.running for gateway in rig.gateways)
    known = "select count(*), count(*) filter (where expires_at > clock_timestamp()) from gateways"
    until("only living gateways are known", lambda: rig.database.rows(known) == [(running, running)], 5 * LEASE_MS / 1000)
    owned = "select count(*), count(distinct gateway_id) from shards join gateways using (gateway_id)"
    until("every shard has a living owner", lambda: rig.database.rows(owned) == [(64, running)], 5 * LEASE_MS / 1000)


def check_logs(rig, allowed):
    """No sanitizer's report, no error but those this chaos explains; returns the warnings."""
    said = collections.Counter()
    torn = []
    for gateway in rig.gateways:
        gateway.check_log()
        for line in gateway.text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                torn.append(line)
                continue
            if entry["level"] in ("warn", "error"):
                said[entry["level"], entry["event"]] += 1
                assert entry["level"] != "error" or entry["event"] in allowed, f"unexpected: {line}"
    assert len(torn) <= rig.kills, f"{len(torn)} lines of the logs are no JSON: {torn[:3]}"
    return said


def reckon(rig, load, allowed=(), settle_s=45):
    """All of it; returns one line for the report."""
    settled = settle(rig, settle_s)
    check_gateways(rig)
    check_answers(rig, load)
    check_asked(rig, load)
    dials = check_dials(rig)
    longest = check_ends(rig)
    books.check(rig.database)
    for gateway in rig.gateways:
        gateway.stop()
    assert rig.database.value("select count(*) from gateways") == 0, "a gateway left its lease behind"
    assert rig.database.value("select count(*) from shards where gateway_id is not null") == 0
    said = check_logs(rig, allowed)
    deadlocks = len(re.findall("deadlock detected", rig.server_log()[rig.log_mark:]))
    ends = ", ".join(f"{count} {REASONS[reason]}" for reason, count in rig.database.rows(
        "select reason, count(*) from calls group by 1 order by 2 desc"))
    said = ", ".join(f"{count} {event}" for (_, event), count in said.most_common())
    cuts = sum(sum(proxy.cuts.values()) for proxy in rig.proxies)
    return (f"{len(load.posts)} posts ({load.summary()}); {dials} dials ({ends}); settled in {settled:.1f} s, "
            f"longest {longest:.1f} s; {deadlocks} deadlocks, {cuts} cuts; said: {said or 'nothing'}")
