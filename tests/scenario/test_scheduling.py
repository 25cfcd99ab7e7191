"""Draining the queue: pace, concurrency, fair shares, several gateways on one database, stops and
crashes, and the bounds within which every call ends. What happened is read from the
database's own times and from the simulator's ledger, which has a line for every dial."""
import collections
import concurrent.futures
import datetime
import signal
import threading
import time
import uuid

import psycopg2
import pytest

from harness.wait import until
from harness.world import FINAL, destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 50, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 1500}


def post(callers, life=110, threads=8):
    """Posts a call for each of the callers, many at a time; returns their ids in that order."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda caller: caller.call(destination() if life is None else destination(life)), callers))


def living(db, **where):
    condition = " and ".join(f"{column} = %s" for column in where) or "true"
    return db.value(f"select count(*) from calls where ended_at is null and {condition}", *where.values())


def all_ended(db, seconds=30):
    until("every call has ended", lambda: living(db) == 0, seconds, every=0.1)


def dials(path):
    """(call, attempt) of every line of a ledger."""
    return [tuple(line.split()[:2]) for line in path.read_text().splitlines()] if path.exists() else []


def in_order_of_dial(db, column):
    return [value for value, in db.rows(f"select {column} from calls where initiated_at is not null order by initiated_at, call_id")]


def most_at_once(spans):
    """A span that ends in the very moment in which another begins does not overlap it."""
    now = most = 0
    for _, step in sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans]):
        now += step
        most = max(most, now)
    return most


# ── pace ─────────────────────────────────────────────────────────────────────────────────

def busiest_second(times):
    """The most dials in any second, wherever it begins."""
    second = datetime.timedelta(seconds=1)
    first = best = 0
    for last, at in enumerate(times):
        while at - times[first] >= second:
            first += 1
        best = max(best, last - first + 1)
    return best


@pytest.mark.tsan
def test_no_second_sees_more_dials_than_pace_and_burst_allow(gateways, world):
    """The same limit, 20 a second with a burst of 5, at a trunk, a project and an organization,
    each with more calls waiting than that."""
    gateway = gateways()
    limit = {"cps_milli": 20_000, "burst": 5}
    tenants = [world.tenant(trunk=limit), world.tenant(project=limit), world.tenant(**limit)]
    post([tenant.at(gateway) for tenant in tenants for _ in range(60)])
    all_ended(world.db)
    for tenant in tenants:
        times = [at for at, in world.db.rows("select initiated_at from calls where org_id = %s order by 1", tenant.org_id)]
        assert len(times) == 60
        assert busiest_second(times) <= 25
        # 55 calls behind the burst at 20 a second are 2.75 s; slower than half the pace is no pace
        assert 2.5 <= (times[-1] - times[0]).total_seconds() <= 5.5


def test_a_slow_trunk_does_not_hold_up_another_of_the_same_project(gateways, world):
    gateway = gateways()
    tenant = world.tenant(trunk={"cps_milli": 1000, "burst": 1})
    quick = tenant.number(tenant.trunk())
    tenant.pool([tenant.user_id], [quick])
    caller = tenant.at(gateway)
    slow = post([caller] * 6)
    began = time.monotonic()
    ids = [caller.call(destination(110), fromNumber=quick) for _ in range(10)]
    for call in ids:
        caller.end(call)
    assert time.monotonic() - began < 4
    assert living(world.db, org_id=tenant.org_id) > 0, "the slow trunk's calls cannot be done yet"
    assert len(slow) == 6


def test_the_pace_holds_across_a_takeover(gateways, world):
    """The new owner does not know what was dialed a moment ago, and so begins with an empty bucket."""
    first = gateways(CALLGATE_LEASE_TTL_MS=1000)
    tenant = world.tenant(trunk={"cps_milli": 10_000, "burst": 5})
    post([tenant.at(first)] * 50)
    second = gateways(CALLGATE_LEASE_TTL_MS=1000)
    until("some are dialed", lambda: len(in_order_of_dial(world.db, "call_id")) > 12)
    first.kill()
    all_ended(world.db)
    times = [at for at, in world.db.rows("select initiated_at from calls order by 1")]
    assert len(times) == 50 and busiest_second(times) <= 15
    assert second.running


# ── concurrency ──────────────────────────────────────────────────────────────────────────

@pytest.mark.tsan
def test_never_more_calls_at_once_than_trunk_project_and_organization_allow(gateways, world):
    """Three at once, asked for at each level; under each there are two of the level below."""
    gateway = gateways()
    cap = {"max_concurrent": 3}
    by_trunk, by_project, by_org = world.tenant(trunk=cap), world.tenant(project=cap), world.tenant(**cap)
    for tenant in (by_trunk, by_project, by_org):
        tenant.second_project, _ = tenant.project(tenant.account_id, [tenant.user_id])
        number = tenant.number(tenant.trunk())
        tenant.pool([tenant.user_id], [number])
        tenant.second_number = number
    asked = []
    for _ in range(12):
        asked += [(by_trunk, {}), (by_trunk, {"projectId": by_trunk.second_project}), (by_project, {}),
                  (by_project, {"fromNumber": by_project.second_number}), (by_org, {}),
                  (by_org, {"projectId": by_org.second_project, "fromNumber": by_org.second_number})]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: one[0].at(gateway).call(destination(110), **one[1]), asked))
    sampled = collections.Counter()
    while living(world.db):
        for org, count in world.db.rows("select org_id, count(*) from call_inflight group by 1"):
            sampled[org] = max(sampled[org], count)
        time.sleep(0.01)
    for tenant in (by_trunk, by_project, by_org):
        spans = world.db.rows("select initiated_at, ended_at from calls where org_id = %s", tenant.org_id)
        assert len(spans) == 24
        assert most_at_once(spans) == 3, "the cap was passed, or never used"
        assert sampled[tenant.org_id] <= 3


def test_a_cap_that_is_lifted_lets_the_rest_go(gateways, world):
    gateway = gateways()
    tenant = world.tenant(trunk={"max_concurrent": 1}, project={"max_duration_s": 3600})
    calls = post([tenant.at(gateway)] * 4, life=111)
    until("one is in flight", lambda: world.db.value("select count(*) from call_inflight") == 1)
    assert living(world.db) == 4
    tenant.set_trunk(max_concurrent=4)
    until("all are in flight", lambda: world.db.value("select count(*) from call_inflight") == 4)
    assert len(calls) == 4


def test_a_gateway_follows_no_more_calls_than_it_may(gateways, world):
    gateway = gateways(CALLGATE_MAX_INFLIGHT=5)
    post([world.tenant().at(gateway) for _ in range(3)] * 10)
    all_ended(world.db)
    assert most_at_once(world.db.rows("select initiated_at, ended_at from calls")) <= 5


# ── fairness ─────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("weights", [(1, 1), (3, 1)])
def test_organizations_share_a_gateway_by_weight(gateways, world, weights):
    """Both have a backlog and the gateway has six places: among the first 80 dials each has
    its share."""
    gateway = gateways(CALLGATE_MAX_INFLIGHT=6, CALLGATE_SIMULATOR_SPEED=500)
    tenants = [world.tenant(weight=weight, trunk={"enabled": False}) for weight in weights]
    post([tenant.at(gateway) for tenant in tenants for _ in range(80)], life=None)
    world.db.execute("update trunks set enabled = true")
    all_ended(world.db)
    shares = collections.Counter(in_order_of_dial(world.db, "org_id")[:80])
    expected = 80 * weights[0] / sum(weights)
    assert abs(shares[tenants[0].org_id] - expected) <= 10, shares


@pytest.mark.parametrize("weight", [1, 3])
@pytest.mark.parametrize("narrow", [{"max_concurrent": 3}, {"cps_milli": 100_000, "burst": 1}], ids=["lines", "pace"])
def test_projects_share_a_narrow_trunk_by_weight(gateways, world, weight, narrow):
    gateway = gateways(CALLGATE_SIMULATOR_SPEED=500)
    tenant = world.tenant(trunk={"enabled": False, **narrow})
    other, other_id = tenant.project(tenant.account_id, [tenant.user_id], weight=weight)
    caller = tenant.at(gateway)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: caller.call(projectId=other if i % 2 else tenant.project_public), range(160)))
    tenant.set_trunk(enabled=True)
    all_ended(world.db)
    shares = collections.Counter(in_order_of_dial(world.db, "project_id")[:80])
    assert abs(shares[other_id] - 80 * weight / (weight + 1)) <= 12, shares


def test_a_small_tenant_does_not_wait_behind_a_large_one(gateways, world):
    """400 calls wait for six places when the newcomer's one call comes."""
    gateway = gateways(CALLGATE_MAX_INFLIGHT=6)
    large, small = world.tenant(), world.tenant()
    post([large.at(gateway)] * 400, life=None)
    assert living(world.db, org_id=large.org_id) > 100, "the backlog was drained before the test began"
    caller = small.at(gateway)
    call = caller.call(destination(110))
    caller.end(call)
    overtaken = world.db.value("""select count(*) from calls l, calls s where s.call_id = %s and l.org_id = %s
                                  and l.initiated_at between s.created_at and s.initiated_at""", call, large.org_id)
    assert overtaken <= 24, f"{overtaken} calls of the large tenant were dialed before the small one's"


def test_calls_of_one_lane_are_dialed_in_the_order_of_their_acceptance(gateways, world):
    gateway = gateways()
    tenant = world.tenant(trunk={"max_concurrent": 1})
    calls = [tenant.at(gateway).call(destination(104)) for _ in range(20)]
    all_ended(world.db)
    assert in_order_of_dial(world.db, "call_id::text") == calls


# ── several gateways ─────────────────────────────────────────────────────────────────────

def owners(db):
    return dict(db.rows("select gateway_id, count(*) from shards where gateway_id is not null group by 1"))


def shared_out(db, gateways):
    """Each has its part of the 64 shards."""
    until(f"{gateways} gateways share the shards", lambda: len(own := owners(db)) == gateways and sum(own.values()) == 64
          and max(own.values()) - min(own.values()) <= gateways, 20)


@pytest.mark.tsan
def test_three_gateways_share_the_work_and_nothing_is_dialed_twice(gateways, world, tmp_path):
    ledgers = [tmp_path / f"dials-{i}" for i in range(3)]
    trio = [gateways(CALLGATE_SIMULATOR_LEDGER=ledger) for ledger in ledgers]
    shared_out(world.db, 3)
    tenants = [world.tenant() for _ in range(64)]
    # whoever accepts a call, its shard's owner dials it
    calls = post([tenant.at(trio[i % 3]) for i, tenant in enumerate(tenants * 4)], life=None)
    all_ended(world.db)
    dialed = [dials(ledger) for ledger in ledgers]
    assert all(dialed), "a gateway has dialed nothing"
    assert sorted(sum(dialed, [])) == sorted((call, "1") for call in calls)


def test_a_call_accepted_by_one_gateway_is_dialed_at_once_by_another(gateways, world):
    """They tell one another; polling alone would take seconds."""
    pair = [gateways(), gateways()]
    shared_out(world.db, 2)
    tenants = [world.tenant() for _ in range(16)]
    post([tenant.at(pair[0]) for tenant in tenants])
    all_ended(world.db)
    waits = [wait for wait, in world.db.rows("select extract(epoch from initiated_at - created_at)::float8 from calls order by 1")]
    assert waits[-1] < 3 and waits[len(waits) // 2] < 1.5, waits


def test_a_gateway_that_joins_and_one_that_leaves_move_the_shards(gateways, world):
    first = gateways()
    shared_out(world.db, 1)
    second = gateways()
    shared_out(world.db, 2)
    second.stop()
    shared_out(world.db, 1)
    tenants = [world.tenant() for _ in range(8)]
    post([tenant.at(first) for tenant in tenants])
    all_ended(world.db)


@pytest.mark.tsan
def test_calls_of_a_killed_gateway_are_taken_over_and_nothing_is_dialed_twice(gateways, world, tmp_path):
    ledgers = [tmp_path / "dials-1", tmp_path / "dials-2"]
    pair = [gateways(CALLGATE_SIMULATOR_LEDGER=ledger, CALLGATE_LEASE_TTL_MS=1000, CALLGATE_SIMULATOR_SPEED=10) for ledger in ledgers]
    shared_out(world.db, 2)
    tenants = [world.tenant(trunk={"max_concurrent": 1}) for _ in range(40)]
    calls = post([tenant.at(pair[1]) for tenant in tenants * 2], life=None)
    until("the first gateway has dialed", lambda: len(dials(ledgers[0])) >= 3)
    pair[0].kill()
    all_ended(world.db, 60)
    dialed = dials(ledgers[0]) + dials(ledgers[1])
    assert len(dialed) == len(set(dialed))
    # a dial whose word was not yet written when the gateway died is never repeated, so there may
    # be calls without a second line, but none without an end
    assert {call for call, _ in dialed} <= set(calls)
    lost = world.db.rows("select call_id::text from calls where reason <> 1")
    assert all(reason == 18 for reason, in world.db.rows("select reason from calls where reason <> 1")), lost
    assert len(calls) - len(lost) >= 70


def test_a_gateway_that_was_asleep_past_its_lease_dials_nothing_of_before(gateways, world, tmp_path):
    ledgers = [tmp_path / "dials-1", tmp_path / "dials-2"]
    sleeper = gateways(CALLGATE_SIMULATOR_LEDGER=ledgers[0], CALLGATE_LEASE_TTL_MS=1000)
    tenant = world.tenant(trunk={"max_concurrent": 2})
    calls = post([tenant.at(sleeper)] * 30)
    sleeper.pause()
    other = gateways(CALLGATE_SIMULATOR_LEDGER=ledgers[1], CALLGATE_LEASE_TTL_MS=1000)
    until("the other owns every shard", lambda: len(owners(world.db)) == 1 and world.db.value("select count(*) from gateways") == 1
          and sum(owners(world.db).values()) == 64, 15)
    until("the other dials", lambda: dials(ledgers[1]))
    sleeper.resume()
    all_ended(world.db, 40)
    dialed = dials(ledgers[0]) + dials(ledgers[1])
    assert sorted(dialed) == sorted(set(dialed)) and {call for call, _ in dialed} == set(calls)
    assert other.running
    until("the sleeper is ready again", sleeper.ready)


# ── stopping ─────────────────────────────────────────────────────────────────────────────

@pytest.mark.tsan
def test_SIGTERM_finishes_what_is_in_hand_and_gives_the_leases_back(gateways, world):
    """What is in flight ends, what only waits stays queued, and the exit status is 0."""
    gateway = gateways(CALLGATE_DRAIN_S=20, CALLGATE_SIMULATOR_SPEED=20)
    tenant = world.tenant(trunk={"max_concurrent": 2})
    caller = tenant.at(gateway)
    calls = post([caller] * 8, life=None)
    until("two are answered", lambda: sum(caller.get(call)["state"] == "in_progress" for call in calls) == 2)
    gateway.stop(20)
    states = collections.Counter(state for state, in world.db.rows("select state from calls"))
    assert states[4] >= 2 and states[4] + states[0] == 8 and states[0] >= 2, states
    assert world.db.value("select count(*) from call_inflight") == 0
    assert world.db.value("select count(*) from gateways") == 0
    assert owners(world.db) == {}
    caller = tenant.at(gateway.start())
    all_ended(world.db)
    assert {caller.get(call)["state"] for call in calls} == {"completed"}


def test_while_it_stops_nothing_new_is_accepted(gateways, world):
    gateway = gateways(CALLGATE_DRAIN_S=20, CALLGATE_SIMULATOR_SPEED=20)
    caller = world.tenant().at(gateway)
    call = caller.call()
    caller.state(call, "in_progress")
    gateway.signal(signal.SIGTERM)

    def closed():
        try:
            answer = gateway.client(caller.client.key, timeout=5).post("/v1/calls/outbound", caller.tenant.body())
        except OSError:
            return True
        return answer.status == 503

    until("posts are refused", closed)
    accepted = world.db.value("select count(*) from calls")
    assert closed()
    gateway.ended()
    assert world.db.value("select count(*) from calls") == accepted
    assert world.db.value("select state from calls where call_id = %s", call) == 4


def test_nobody_is_told_unknown_because_the_gateway_stops(gateways, world):
    """What comes while it stops was given to nobody: 503, or no answer at all, and no call."""
    gateway = gateways(CALLGATE_DRAIN_S=0, CALLGATE_SIMULATOR_INSTANT="true")
    caller = world.tenant().at(gateway)
    answers, stop = [], threading.Event()

    def post_on():
        client = gateway.client(caller.client.key, timeout=10)
        while not stop.is_set():
            try:
                answers.append(client.post("/v1/calls/outbound", caller.tenant.body()))
            except OSError:
                return

    threads = [threading.Thread(target=post_on) for _ in range(20)]
    for thread in threads:
        thread.start()
    until("they are at it", lambda: len(answers) > 200)
    gateway.stop(20)
    stop.set()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} <= {200, 409, 503}, collections.Counter(a.status for a in answers)
    assert world.db.value("select count(*) from calls") == sum(answer.status == 200 for answer in answers)


def test_a_request_in_hand_is_answered_before_the_end(gateways, world):
    gateway = gateways()
    caller = world.tenant().at(gateway)
    with psycopg2.connect(world.db.url) as lock, concurrent.futures.ThreadPoolExecutor(1) as pool:
        lock.cursor().execute("lock table destination_locks in exclusive mode")
        waiting = pool.submit(caller.post)
        until("the call waits for the lock", lambda: world.db.value(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))
        gateway.signal(signal.SIGTERM)
        until("it is stopping", lambda: "serve.stopping" in gateway.text())
        lock.rollback()
        assert waiting.result(20).status == 200
    lock.close()
    gateway.ended()
    assert world.db.value("select count(*) from calls") == 1


def test_calls_that_outlive_the_drain_are_adopted_and_not_dialed_again(gateways, world, tmp_path):
    ledger = tmp_path / "dials"
    gateway = gateways(CALLGATE_SIMULATOR_LEDGER=ledger, CALLGATE_SIMULATOR_SPEED=10)
    caller = world.tenant().at(gateway)
    calls = post([caller] * 5, life=None)
    for call in calls:
        caller.state(call, "in_progress")
    gateway.stop(10)
    assert world.db.value("select count(*) from call_inflight") == 5
    assert world.db.value("select count(*) from gateways") == 0
    caller = caller.tenant.at(gateway.start())
    records = [caller.end(call) for call in calls]
    assert {record["outcome"]["reason"] for record in records} == {"callee_hangup"}
    assert sorted(dials(ledger)) == sorted((call, "1") for call in calls)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(gateways, world, number):
    gateway = gateways(CALLGATE_DRAIN_S=600, CALLGATE_SIMULATOR_SPEED=1)
    caller = world.tenant().at(gateway)
    caller.state(caller.call(destination(111)), "initiated", "ringing")
    gateway.signal(number)
    until("it is stopping", lambda: "serve.stopping" in gateway.text())
    time.sleep(0.2)
    assert gateway.running, "it did not wait for the call"
    began = time.monotonic()
    gateway.signal(number)
    assert gateway.process.wait(5) == 128 + number
    assert time.monotonic() - began < 2


def test_a_stop_without_anything_in_hand_is_quick(gateways):
    gateway = gateways(CALLGATE_DRAIN_S=600)
    began = time.monotonic()
    gateway.stop(10)
    assert time.monotonic() - began < 5


# ── bounds ───────────────────────────────────────────────────────────────────────────────

def test_a_call_that_waits_too_long_ends_as_queue_expired_and_is_never_dialed(gateways, world, tmp_path):
    ledger = tmp_path / "dials"
    gateway = gateways(CALLGATE_QUEUE_TTL_S=1, CALLGATE_SIMULATOR_LEDGER=ledger)
    tenant, other = world.tenant(trunk={"enabled": False}), world.tenant()
    caller = tenant.at(gateway)
    to = destination()
    call = caller.call(to)
    assert caller.get(call)["money"]["heldMilliCents"] == 1200
    record = caller.end(call)
    assert record["state"] == "failed" and record["outcome"]["reason"] == "queue_expired"
    assert record["outcome"]["retryable"] is True and record["outcome"]["faultOwner"] == "platform"
    assert record["attempts"] == 0 and record["timeline"]["initiatedAt"] is None
    assert record["money"] == {"heldMilliCents": 0, "chargedMilliCents": 0, "billableSeconds": 0}
    waited = world.db.value("select extract(epoch from ended_at - created_at)::float8 from calls where call_id = %s", call)
    assert 0.98 <= waited < 4           # age is the id's, which is a moment older than the row
    other.at(gateway).end(other.at(gateway).call(to))
    assert [dialed for dialed, _ in dials(ledger)] != [call] and len(dials(ledger)) == 1


@pytest.mark.parametrize("crash", [False, True], ids=["followed", "adopted"])
def test_no_call_lives_past_its_bound(gateways, world, crash):
    """Ring timeout 5 s, maximum duration 1 s, margin 1 s: after seven seconds a call of which
    nothing is heard (this callee is fifty times slower than we count) is ended, whoever follows
    it by then."""
    gateway = gateways(CALLGATE_MARGIN_S=1, CALLGATE_SIMULATOR_SPEED=0.02, CALLGATE_LEASE_TTL_MS=1000)
    tenant = world.tenant(project={"ring_timeout_s": 5, "max_duration_s": 1})
    caller = tenant.at(gateway)
    to = destination(111)
    call = caller.call(to)
    caller.state(call, "ringing")
    if crash:
        gateway.kill()
        caller = tenant.at(gateway.start())
    record = caller.end(call, 15)
    assert record["state"] == "failed" and record["outcome"]["reason"] == "overdue"
    assert record["outcome"]["faultOwner"] == "platform" and record["money"]["chargedMilliCents"] == 0
    lived = world.db.value("select extract(epoch from ended_at - initiated_at)::float8 from calls where call_id = %s", call)
    assert 6.5 <= lived <= 9.5
    assert caller.post(to).status == 200


@pytest.mark.parametrize("state, life, reason, final", [("in_progress", 111, "max_duration", "completed"), ("ringing", 102, "overdue", "failed"),
                                                        ("initiated", 108, "outcome_unknown", "failed")])
def test_the_reaper_ends_what_slipped_through_and_says_what_is_known(gateways, world, state, life, reason, final):
    """The bound in the database counts, even where the memory of the process has another one."""
    gateway = gateways(CALLGATE_SIMULATOR_SPEED=4)
    tenant = world.tenant(project={"ring_timeout_s": 80, "max_duration_s": 3600})
    caller = tenant.at(gateway)
    call = caller.call(destination(life))
    caller.state(call, state)
    if life == 108:
        until("it is uncertain", lambda: world.db.value("select max(phase) from call_inflight") == 2)
    world.db.execute("update call_inflight set deadline_at = clock_timestamp() - interval '1 second'")
    record = caller.end(call, 10)
    assert (record["state"], record["outcome"]["reason"]) == (final, reason)


# ── retention ────────────────────────────────────────────────────────────────────────────

def old_call(tenant, days, waits=False):
    """A call of so many days ago: one that has ended, or one that still waits."""
    db = tenant.db
    call = db.value("select (overlay(uuid7_floor(now() - %s * interval '1 day')::text placing %s from 25))::uuid", days, uuid.uuid4().hex[:12])
    to = destination(110)
    db.execute("""insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s, rate_mc,
                    hold_mc, lock_scope, from_e164, to_e164, request_id, created_at, state, reason, ended_at, billed_s, charged_mc)
                  select %s, %s, %s, %s, %s, %s, 5, 60, 1200, 1200, 0, %s, %s, 'old', t, s, r, e, 0, 0 from (select now() - %s * interval '1 day' as t) t,
                    (select case when %s then 0 else 8 end s, case when %s then 0 else 5 end r) s,
                    lateral (select case when %s then null else t end as e) e""",
               tenant.org_id, call, tenant.project_id, tenant.trunk_id, tenant.account_id, tenant.user_id, tenant.from_number, to, days,
               waits, waits, waits)
    db.execute("insert into call_events (org_id, call_id, seq, kind) values (%s, %s, 0, 0)", tenant.org_id, call)
    if waits:
        db.execute("insert into call_queue values (%s, %s, %s, 1, %s, 1)", tenant.org_id, tenant.project_id, tenant.trunk_id, call)
        db.execute("insert into destination_locks values (%s, 0, %s, %s)", to, tenant.org_id, call)
        db.execute("update credit_accounts set held_mc = held_mc + 1200 where org_id = %s", tenant.org_id)
    else:
        db.execute("insert into call_events (org_id, call_id, seq, kind) values (%s, %s, 31, 8)", tenant.org_id, call)
    return str(call)


def partitions(db, parent="calls"):
    return {name[-8:] for name, in db.rows("select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass", parent)}


@pytest.mark.parametrize("keep", [3, 0])
def test_days_past_the_retention_are_dropped_unless_a_call_of_theirs_still_waits(gateways, world, keep):
    world.db.execute("select ensure_partitions(10, 1)")
    tenant = world.tenant(trunk={"enabled": False})
    gone, waits, kept = old_call(tenant, 9), old_call(tenant, 6, waits=True), old_call(tenant, 2)
    before = partitions(world.db)
    gateway = gateways(CALLGATE_RETENTION_DAYS=keep, CALLGATE_QUEUE_TTL_S=2592000)
    caller = tenant.at(gateway)
    if keep:
        until("days were dropped", lambda: len(partitions(world.db) & before) < len(before))
        until("both tables agree", lambda: partitions(world.db) == partitions(world.db, "call_events"))
        assert caller.client.get(f"/v1/calls/{gone}").status == 404
    else:
        assert caller.get(gone)["state"] == "failed"
    today = world.db.value("select current_date")
    days = {(today - datetime.timedelta(days=back)).strftime("%Y%m%d") for back in (*range(keep + 1 if keep else 11), 6)}
    ahead = {(today + datetime.timedelta(days=1)).strftime("%Y%m%d")}
    assert partitions(world.db) >= days | ahead
    if keep:
        assert not {(today - datetime.timedelta(days=back)).strftime("%Y%m%d") for back in (4, 5, 7, 8, 9, 10)} & partitions(world.db)
    assert caller.get(kept)["state"] == "failed" and caller.get(waits)["state"] == "queued"
    # and the one that has waited for six days is dialed when its trunk is back
    tenant.set_trunk(enabled=True)
    assert caller.end(waits)["state"] == "completed"


# ── when the database stumbles ───────────────────────────────────────────────────────────

@pytest.mark.tsan
def test_an_admission_whose_connection_breaks_is_healed_and_made_once(gateways, world):
    gateway = gateways()
    tenant = world.tenant(trunk={"enabled": False})
    caller = tenant.at(gateway)
    # Every connection has its statement prepared: one that breaks before that is a plain 503.
    warm = len(post([caller] * 100, life=None, threads=16))
    with psycopg2.connect(world.db.url) as lock, concurrent.futures.ThreadPoolExecutor(8) as pool:
        lock.cursor().execute("lock table destination_locks in exclusive mode")
        waiting = [pool.submit(caller.post) for _ in range(8)]
        blocked = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        until("they wait for the lock", lambda: world.db.rows(blocked))
        world.db.execute(f"select pg_terminate_backend(pid) from ({blocked}) b")
        until("they wait again, on a new connection", lambda: world.db.rows(blocked))
        lock.rollback()
        statuses = [one.result(20).status for one in waiting]
    lock.close()
    assert statuses == [200] * 8
    assert world.db.value("select count(*) from calls") == warm + 8


@pytest.mark.tsan
def test_calls_go_on_when_all_connections_are_cut(gateways, world, tmp_path):
    ledger = tmp_path / "dials"
    gateway = gateways(CALLGATE_SIMULATOR_LEDGER=ledger)
    tenants = [world.tenant() for _ in range(4)]
    calls = []
    for _ in range(6):
        calls += post([tenant.at(gateway) for tenant in tenants for _ in range(3)])
        world.db.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")

        def accepted():
            answer = tenants[0].at(gateway).post(destination(110))
            return answer.status == 200 and answer.json["callId"]

        calls.append(until("calls are accepted again", accepted))
    all_ended(world.db)
    dialed = dials(ledger)
    assert len(dialed) == len(set(dialed)) and {call for call, _ in dialed} >= set(calls) - {
        call for call, in world.db.rows("select call_id::text from calls where reason <> 1")}
    assert world.db.value("select count(*) from calls where state = 4") >= len(calls) - 6
