"""What happened, told: the events of one call, and those of an organization in one order that is never
passed over, whoever commits when."""
import contextlib
import threading
import time
import urllib.parse

import psycopg2
import pytest

from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 50, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 3000}


@pytest.fixture
def tenant(house):
    return house.world.tenant(project={"ring_timeout_s": 5, "max_duration_s": 30})


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


def get(caller, path, status=200, **arguments):
    answer = caller.client.get(path + ("?" + urllib.parse.urlencode(arguments) if arguments else ""))
    assert answer.status == status, answer
    return answer.json


def feed(caller, **arguments):
    return get(caller, "/v1/events", **arguments)


def follow(caller, position=None, limit=1000):
    """Everything from the position on, and where it ends."""
    found = []
    while True:
        body = feed(caller, limit=limit, **({"after": position} if position else {}))
        found += body["data"]
        position = body["position"]
        if not body["hasMore"]:
            return found, position


@contextlib.contextmanager
def session(house):
    """A session of the database beside the gateway's; a transaction that is left open is rolled back."""
    connection = psycopg2.connect(house.database.url)
    try:
        yield connection.cursor()
    finally:
        connection.close()


# ── of one call ──────────────────────────────────────────────────────────────────────────

def test_a_call_tells_what_happened_in_order(caller):
    call = caller.call(destination(106))
    record = caller.end(call)
    body = get(caller, f"/v1/calls/{call}/events")
    assert [(e["type"], e["attempt"]) for e in body["data"]] == [
        ("call.queued", 0), ("call.initiated", 1), ("call.retrying", 1), ("call.initiated", 2), ("call.ringing", 2),
        ("call.answered", 2), ("call.completed", 2)]
    assert body["hasMore"] is False
    assert all(set(e) == {"callId", "seq", "type", "at", "attempt", "data"} and e["callId"] == call for e in body["data"])
    seqs = [e["seq"] for e in body["data"]]
    assert seqs == sorted(set(seqs))
    by_type = {e["type"]: e for e in body["data"]}
    assert by_type["call.answered"]["at"] == record["timeline"]["answeredAt"]
    assert by_type["call.completed"]["at"] == record["timeline"]["endedAt"]
    assert by_type["call.completed"]["data"]["reason"] == "callee_hangup"
    assert by_type["call.retrying"]["data"]["reason"] == "carrier_unavailable"
    assert by_type["call.retrying"]["data"]["sipCode"] == 503
    assert by_type["call.queued"]["data"] == {}


def test_events_of_a_call_come_in_pages(caller):
    call = caller.call(destination(106))
    caller.end(call)
    path = f"/v1/calls/{call}/events"
    every = get(caller, path)["data"]
    found, after = [], {}
    while True:
        body = get(caller, path, limit=2, **after)
        found += body["data"]
        if not body["hasMore"]:
            break
        after = {"after": body["data"][-1]["seq"]}
    assert found == every
    assert get(caller, path, after=every[-1]["seq"]) == {"data": [], "hasMore": False}


def test_a_call_of_somebody_else_has_no_events(house, tenant, caller):
    call = caller.call()
    stranger = house.world.tenant().at(house.gateway)
    colleague = tenant.at(house.gateway, tenant.key(tenant.user()))
    for who in (stranger, colleague):
        assert get(who, f"/v1/calls/{call}/events", 404)["code"] == "call_not_found"
    assert house.gateway.client().get(f"/v1/calls/{call}/events").status == 401
    assert get(caller, "/v1/calls/nonsense/events", 404)["code"] == "call_not_found"
    assert get(caller, f"/v1/calls/{call}/events", 400, after="x")["code"] == "validation_failed"
    assert get(caller, f"/v1/calls/{call}/events", 400, limit=101)["code"] == "validation_failed"
    assert get(caller, f"/v1/calls/{call}/events", 400, befor=1)["code"] == "validation_failed"


# ── of an organization ───────────────────────────────────────────────────────────────────

def test_an_organization_without_calls_has_a_position(caller):
    body = feed(caller)
    assert (body["data"], body["hasMore"]) == ([], False)
    assert feed(caller, after=body["position"])["data"] == []


def test_the_feed_tells_each_event_once_and_goes_on_where_it_was(caller, tenant):
    calls = [caller.call(destination(101)) for _ in range(4)]
    for call in calls:
        caller.end(call)
    found, position = follow(caller)
    assert {(e["callId"], e["seq"]) for e in found} == {
        (e["callId"], e["seq"]) for call in calls for e in get(caller, f"/v1/calls/{call}/events")["data"]}
    assert [e["at"] for e in found] == sorted(e["at"] for e in found)
    assert all(e["projectId"] == tenant.project_public for e in found)
    small, end = follow(caller, limit=1)
    assert small == found and end == position
    assert feed(caller, after=position) == {"data": [], "hasMore": False, "position": position}
    more = caller.call(destination(101))
    caller.end(more)
    found, _ = follow(caller, position)
    assert {e["callId"] for e in found} == {more}
    assert [e["type"] for e in found] == ["call.queued", "call.initiated", "call.busy"]


def test_who_comes_new_may_begin_with_what_comes(caller):
    caller.end(caller.call(destination(101)))
    position = feed(caller, after="latest")["position"]
    call = caller.call(destination(101))
    caller.end(call)
    found, _ = follow(caller, position)
    assert [e["type"] for e in found if e["callId"] == call] == ["call.queued", "call.initiated", "call.busy"]
    assert {e["callId"] for e in found} == {call}


def test_only_ones_own_projects_are_told(house, tenant, caller):
    colleague = tenant.user()
    tenant.pool([colleague], [tenant.from_number])
    secret, _ = tenant.project(tenant.account_id, [colleague])
    his = tenant.at(house.gateway, tenant.key(colleague))
    stranger = house.world.tenant().at(house.gateway)
    calls = {who: who.call(destination(101)) for who in (caller, his, stranger) if who is not his}
    calls[his] = his.call(destination(101), projectId=secret)
    for who, call in calls.items():
        who.end(call)
    for who, call in calls.items():
        assert {e["callId"] for e in follow(who)[0]} == {call}
    # one event a look: those of others are passed, and the position moves on
    assert {e["callId"] for e in follow(caller, limit=1)[0]} == {calls[caller]}


def test_a_position_is_good_in_its_organization_only(house, caller):
    position = feed(caller)["position"]
    stranger = house.world.tenant().at(house.gateway)
    for who, after in ((stranger, position), (caller, "x"), (caller, ""), (caller, position[:-1]), (caller, position + "A"),
                       (caller, "A" * len(position)), (caller, "Latest"), (caller, "0")):
        assert get(who, "/v1/events", 400, after=after)["code"] == "cursor_invalid", after
    for arguments in ({"limit": 0}, {"limit": 1001}, {"afer": position}):
        assert get(caller, "/v1/events", 400, **arguments)["code"] == "validation_failed", arguments
    assert house.gateway.client().get("/v1/events").status == 401


WRITE = ("insert into call_events (org_id, call_id, seq, kind) select org_id, call_id, 36, 34 from calls where call_id = %s"
         " returning at")


def test_what_is_not_committed_yet_holds_up_what_came_after_it_and_is_never_passed_over(house, tenant, caller):
    """The case that a reader by time alone gets wrong: the earlier event becomes visible later."""
    old = caller.call(destination(101))
    caller.end(old)
    _, position = follow(caller)
    with session(house) as sql:
        sql.execute(WRITE, (old,))                      # begun, written, not committed
        later = caller.call(destination(101))
        caller.end(later)
        body = feed(caller, after=position)
        assert body["data"] == [], "an event was given out while an earlier one was still being committed"
        position = body["position"]
        sql.connection.commit()
        found, position = follow(caller, position)
    types = [(e["callId"], e["type"]) for e in found]
    assert types[0] == (old, "call.cancel_requested")
    assert [t for c, t in types if c == later] == ["call.queued", "call.initiated", "call.busy"]
    house.database.execute("delete from call_events where call_id = %s and seq = 36", old)


def test_who_does_not_write_events_holds_nothing_up(house, caller):
    with session(house) as reader, session(house) as writer:
        reader.execute("select count(*) from call_events")
        writer.execute("create table something_else ()")
        call = caller.call(destination(101))
        caller.end(call)
        assert call in {e["callId"] for e in follow(caller)[0]}


def test_nothing_is_missed_while_everybody_writes(house, tenant, caller):
    """A reader goes on from position to position while calls live and die; in the end it has seen all."""
    seen, stop = [], threading.Event()

    def read():
        position = None
        while True:
            last = stop.is_set()
            found, position = follow(caller, position, limit=7)
            seen.extend(found)
            if last:
                return
            time.sleep(0.002)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        calls = [caller.call(destination(101 if n % 2 else None)) for n in range(60)]
        for call in calls:
            caller.end(call)
    finally:
        stop.set()
        reader.join()
    stored = tenant.db.rows("select call_id::text, seq from call_events where org_id = %s", tenant.org_id)
    told = [(e["callId"], e["seq"]) for e in seen]
    assert len(told) == len(set(told)), "an event was told twice"
    assert sorted(told) == sorted(stored)
