"""Asking for the end of calls: at once where nothing was dialed, with what really happened where
something was; two at a time, in the middle of a claim, over gateways that die; and other
organizations' calls."""
import concurrent.futures
import time
import uuid

import pytest

from harness.wait import until
from harness.world import FINAL, destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 10, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 1000}
LONG = {"ring_timeout_s": 60, "max_duration_s": 600}
HELD = {"max_concurrent": 0}


def cancel(caller, call):
    return caller.client.post(f"/v1/calls/{call}/cancel")


def cancel_all(caller, **filters):
    answer = caller.client.post("/v1/calls/cancel", {"filter": filters})
    assert answer.status == 200, answer
    return answer.json


def kinds(db, call):
    return [kind for kind, in db.rows("select kind from call_events where call_id = %s order by seq", call)]


@pytest.fixture
def tenant(house):
    return house.world.tenant(project=LONG)


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


@pytest.fixture
def waiting(house):
    """Its calls wait in the queue."""
    return house.world.tenant(trunk=HELD, project=LONG).at(house.gateway)


# ── what waits ───────────────────────────────────────────────────────────────────────────

def test_a_queued_call_is_canceled_at_once(house, waiting):
    to = destination()
    call = waiting.call(to)
    answer = cancel(waiting, call)
    assert answer.status == 200
    assert answer.json == {"success": True, "callId": call, "status": "canceled"}
    record = waiting.get(call)
    assert record["state"] == "canceled" and record["outcome"]["reason"] == "canceled"
    assert record["timeline"]["initiatedAt"] is None and record["timeline"]["endedAt"]
    assert house.database.value("select held_mc from credit_accounts where org_id = %s", waiting.tenant.org_id) == 0
    assert kinds(house.database, call) == [0, 7]
    waiting.call(to)        # the destination is free again


def test_canceled_again_is_the_same_answer(waiting):
    call = waiting.call()
    first, second = cancel(waiting, call), cancel(waiting, call)
    assert (first.status, first.json) == (second.status, second.json) == (200, first.json)


def test_two_cancels_at_once_are_one(house, waiting):
    calls = [waiting.call() for _ in range(30)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda call: cancel(waiting, call), calls * 2))
    assert {answer.status for answer in answers} == {200}
    for call in calls:
        assert kinds(house.database, call) == [0, 7]


def test_a_call_that_waits_for_another_attempt_can_be_canceled(gateways, world):
    gateway = gateways(CALLGATE_RETRY_BASE_MS=60_000)
    caller = world.tenant(project=LONG).at(gateway)
    call = caller.call(destination(107))
    until("it waits", lambda: world.db.value("select count(*) from call_schedule") == 1)
    assert cancel(caller, call).status == 200
    record = caller.get(call)
    assert record["state"] == "canceled" and record["attempts"] == 1


# ── what was dialed ──────────────────────────────────────────────────────────────────────

def test_a_ringing_call_is_hung_up(house, caller):
    call = caller.call(destination(102))
    caller.state(call, "ringing")
    answer = cancel(caller, call)
    assert answer.status == 202
    assert answer.json == {"success": True, "callId": call, "status": "ringing", "cancelRequested": True}
    record = caller.end(call)
    assert record["state"] == "canceled" and record["outcome"]["reason"] == "canceled"
    assert record["outcome"]["sipCode"] == 487 and record["cancelRequestedAt"]
    assert record["money"]["chargedMilliCents"] == 0
    assert kinds(house.database, call) == [0, 1, 2, 34, 7]
    assert cancel(caller, call).status == 200


def test_a_conversation_is_ended_and_paid(house, caller):
    call = caller.call(destination(111))
    caller.state(call, "in_progress")
    answer = cancel(caller, call)
    assert answer.status == 202 and answer.json["status"] == "in_progress"
    record = caller.end(call)
    assert record["state"] == "completed" and record["outcome"]["reason"] == "client_hangup"
    assert record["outcome"]["faultOwner"] == "none"
    assert record["money"]["chargedMilliCents"] > 0
    assert kinds(house.database, call) == [0, 1, 2, 3, 34, 4] or kinds(house.database, call) == [0, 1, 2, 3, 4, 34]
    late = cancel(caller, call)
    assert late.status == 409 and late.json["code"] == "too_late" and late.json["callId"] == call


def test_a_call_that_nobody_could_tell_of_is_ended_all_the_same(house, caller):
    """Its dial's answer got lost: the provider is asked about it, and then asked to hang up."""
    call = caller.call(destination(108))
    until("it is uncertain", lambda: house.database.value("select count(*) from call_inflight where call_id = %s and phase = 2", call))
    assert cancel(caller, call).status == 202
    record = caller.end(call)
    assert record["outcome"]["reason"] in ("canceled", "client_hangup", "callee_hangup")
    assert kinds(house.database, call).count(1) == 1


def test_what_has_ended_is_too_late(caller):
    call = caller.call(destination(101))
    caller.end(call)
    answer = cancel(caller, call)
    assert answer.status == 409 and answer.json["code"] == "too_late"
    assert caller.get(call)["state"] == "busy"


def test_a_cancel_at_any_moment_of_a_call_is_told_truly(house, tenant, caller):
    """Whenever it comes, the answer fits what the call then became, and nothing is dialed after it."""
    def one(n):
        call = caller.call(destination([110, 101, 106, None][n % 4]))
        until(f"a moment of {call}", lambda: house.database.value("select clock_timestamp() > created_at + %s * interval '1 ms'"
              " from calls where call_id = %s", 7 * n, call), every=0.002)
        return call, cancel(caller, call)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(one, range(60)))
    for call, answer in answers:
        record = caller.end(call)
        if answer.status == 200:
            assert record["state"] == "canceled"
            assert kinds(house.database, call) in ([0, 7], [0, 1, 32, 7], [0, 1, 32, 1, 7])
        elif answer.status == 202:
            assert answer.json["cancelRequested"] is True and record["cancelRequestedAt"]
            assert kinds(house.database, call).count(34) == 1
        else:
            assert answer.status == 409 and record["state"] in FINAL
            assert 34 not in kinds(house.database, call)
    assert {answer.status for _, answer in answers} >= {202}


def test_cancels_race_claims_and_nothing_is_dialed_after_its_cancel(house):
    tenant = house.world.tenant(project=LONG)
    caller = tenant.at(house.gateway)

    def one(_):
        call = caller.call()
        return call, cancel(caller, call).status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(80)))
    for call, status in answers:
        assert status in (200, 202)
        record = caller.end(call)
        if status == 200:
            assert record["state"] == "canceled" and 1 not in kinds(house.database, call)
        else:
            assert record["outcome"]["reason"] in ("canceled", "client_hangup")


# ── several gateways ─────────────────────────────────────────────────────────────────────

def test_a_cancel_at_another_gateway_than_the_one_that_follows(gateways, world):
    first = gateways()
    caller = world.tenant(project=LONG).at(first)
    call = caller.call(destination(102))
    caller.state(call, "ringing")
    second = gateways()
    until("both know of each other", lambda: world.db.value("select count(*) from gateways") == 2)
    assert cancel(caller.tenant.at(second), call).status == 202
    assert caller.end(call, seconds=5)["outcome"]["reason"] == "canceled"


def test_a_promise_outlives_the_gateway_that_gave_it(gateways, world):
    """202, and the process that follows the call dies before it can hang up."""
    first = gateways()
    caller = world.tenant(project=LONG).at(first)
    calls = [caller.call(destination(life)) for life in (102, 111, 102, 111)]
    for call in calls:
        caller.state(call, "ringing", "in_progress")
    for call in calls[1::2]:
        caller.state(call, "in_progress")
    second = gateways()
    until("both know of each other", lambda: world.db.value("select count(*) from gateways") == 2)
    first.signal(19)        # stopped: it hears nothing any more
    other = caller.tenant.at(second)
    for call in calls:
        assert cancel(other, call).status == 202
    first.kill()
    for call, reason in zip(calls, ("canceled", "client_hangup") * 2):
        assert other.end(call, seconds=15)["outcome"]["reason"] == reason


# ── whose calls ──────────────────────────────────────────────────────────────────────────

def test_nobody_elses_call_can_be_canceled(house, waiting):
    call = waiting.call()
    tenant = waiting.tenant
    stranger = house.world.tenant().at(house.gateway)
    colleague = tenant.key(tenant.user())
    assert cancel(stranger, call).status == 404
    assert cancel(tenant.at(house.gateway, colleague), call).status == 404
    assert cancel(waiting, uuid.uuid4()).status == 404
    assert cancel(waiting, "nonsense").status == 404
    assert house.gateway.client("dk_1_wrong").post(f"/v1/calls/{call}/cancel").status == 401
    assert house.gateway.client().post(f"/v1/calls/{call}/cancel").status == 401
    assert waiting.get(call)["state"] == "queued"
    assert cancel_all(stranger, projectId=tenant.project_public)["matched"] == 0
    assert cancel(waiting, call).status == 200


def test_every_kind_of_key_may_cancel(house, waiting):
    for kind in ("dk", "kros", "sk_car", "sk"):
        call = waiting.call()
        key = waiting.tenant.key(waiting.tenant.user_id, kind)
        assert cancel(waiting.tenant.at(house.gateway, key), call).status == 200


# ── many ─────────────────────────────────────────────────────────────────────────────────

def test_a_filter_cancels_what_it_fits_and_nothing_else(house, waiting):
    marked = [waiting.call(metadata={"batch": "7"}) for _ in range(5)]
    other = waiting.call(metadata={"batch": "8"})
    assert cancel_all(waiting, metadataKey="batch", metadataValue="7") == {
        "success": True, "matched": 5, "canceled": 5, "requested": 0, "tooLate": 0, "more": False, "nextCursor": None}
    assert all(waiting.get(call)["state"] == "canceled" for call in marked)
    assert waiting.get(other)["state"] == "queued"
    assert cancel_all(waiting, metadataKey="batch", metadataValue="7")["matched"] == 0


def test_a_filter_reaches_what_rings_and_what_talks(house, caller):
    ringing, talking, ended = (caller.call(destination(life)) for life in (102, 111, 101))
    caller.state(ringing, "ringing")
    caller.state(talking, "in_progress")
    caller.end(ended)
    counts = cancel_all(caller, projectId=caller.tenant.project_public)
    assert counts["matched"] == counts["requested"] == 2
    assert caller.end(ringing)["state"] == "canceled"
    assert caller.end(talking)["outcome"]["reason"] == "client_hangup"
    assert caller.get(ended)["state"] == "busy"


def test_a_cancel_of_many_goes_on_with_its_cursor_until_all_are_seen_to(house, waiting):
    """1,300 calls in front of those that fit, and as many that have ended."""
    tenant, db = waiting.tenant, house.database
    marked = [waiting.call(metadata={"batch": "7"}) for _ in range(3)]
    time.sleep(0.01)
    for state in (0, 4):
        db.execute("""
            with made as (insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s,
                max_duration_s, rate_mc, hold_mc, lock_scope, from_e164, to_e164, request_id, state, ended_at)
              select %s, (left(uuid7_floor(clock_timestamp())::text, 14) || '7' || right('000' || to_hex(i %% 4096), 3)
                  || '-8000-' || lpad(to_hex(i), 12, '0'))::uuid, %s, %s, %s, %s, 60, 60, 0, 0, 0, '+4930', '+4931', '',
                %s, case when %s > 0 then now() end
              from generate_series(1, 1300) i returning org_id, project_id, trunk_id, call_id, state)
            insert into call_queue (org_id, project_id, trunk_id, prio, call_id, attempt)
              select org_id, project_id, trunk_id, 2, call_id, 1 from made where state = 0""",
                   tenant.org_id, tenant.project_id, tenant.trunk_id, tenant.account_id, tenant.user_id, state, state)
    body, answers = {"filter": {"metadataKey": "batch", "metadataValue": "7"}}, []
    while not answers or answers[-1]["more"]:
        answer = waiting.client.post("/v1/calls/cancel", body)
        assert answer.status == 200 and len(answers) < 10, answer
        answers.append(answer.json)
        body["cursor"] = answer.json["nextCursor"]
    assert sum(answer["canceled"] for answer in answers) == sum(answer["matched"] for answer in answers) == 3
    assert all(waiting.get(call)["state"] == "canceled" for call in marked)
    body = {"filter": {"to": "+886912345678"}}
    assert waiting.client.post("/v1/calls/cancel", {**body, "cursor": "x"}).json["code"] == "cursor_invalid"
    assert waiting.client.post("/v1/calls/cancel", {**body, "cursor": None}).status == 400
    for table in ("call_queue", "calls"):       # they hold no destination
        db.execute(f"delete from {table} where call_id in (select call_id from calls where to_e164 = '+4931')")


@pytest.mark.parametrize("body", [{}, {"filter": {}}, {"filter": {"colour": "red"}}, {"filter": []}, {"filter": {"to": 5}}])
def test_a_cancel_of_everything_by_mistake_is_refused(waiting, body):
    call = waiting.call()
    answer = waiting.client.post("/v1/calls/cancel", body)
    assert answer.status == 400 and answer.json["details"]
    assert waiting.get(call)["state"] == "queued"
