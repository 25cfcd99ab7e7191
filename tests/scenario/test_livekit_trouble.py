"""LiveKit in trouble, and callgate in trouble while it talks to LiveKit: a phone rings once, the
record tells the truth, and nobody else notices."""
import json
import time

import pytest

from harness.livekit import LiveKit, livekit, livekit_process, trunk  # noqa: F401 (fixtures)
from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 1000,
            "CALLGATE_MAX_ATTEMPTS": 2, "CALLGATE_LIVEKIT_POLL_MS": 500, "CALLGATE_SIMULATOR_SPEED": 50}


@pytest.fixture
def tenant(house):
    return house.world.tenant(trunk=trunk())


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


def told(record):
    return record["state"], record["outcome"]["reason"]


# ── the answer to the dial gets lost ─────────────────────────────────────────────────────

def test_a_lost_reply_is_looked_up_and_the_call_goes_on(caller, livekit):
    """In every way in which a reply can get lost, while the phone rings on."""
    calls = {}
    for answer in ({"kind": "close"}, {"kind": "cut"}, {"kind": "html", "status": 502}, {"kind": "html", "status": 504},
                   {"kind": "error", "code": "internal", "msg": "?"}, {"kind": "error", "name": "deadline"},
                   {"kind": "raw", "text": "nonsense"}, {"kind": "raw", "text": "{}"},
                   {"kind": "text", "status": 503, "text": "try later"}):
        to = destination()
        livekit.rule(to=to, at="ringing", answer=answer, life={"ring": 0.1, "answer": 3.5, "talk": 3})
        calls[to] = caller.call(to), answer
    for to, (call, answer) in calls.items():
        record = caller.end(call, 30)
        assert told(record) == ("completed", "callee_hangup") and record["attempts"] == 1, (answer, record)
        assert record["timeline"]["answeredAt"]
        livekit.invite(to)
    livekit.until_empty()


def test_a_reply_that_nobody_can_make_up_for(caller, livekit):
    """A leg that has come and gone unseen, and a request that was swallowed, look alike from
    here: perhaps it rang, so it is told as unknown and never dialed again. And who looks too
    early must not take "not there" for "never will be": the third is carried out late."""
    gone, swallowed, late = destination(), destination(), destination()
    lost = {"answer": {"kind": "close"}}
    livekit.rule(to=gone, at="joined", life={"sip": 486, "ring": None, "after": 0.1}, **lost)
    livekit.rule(to=swallowed, act=False, **lost)
    livekit.rule(to=late, before=3, life={"ring": 0.1, "answer": 3.5, "talk": 3})
    calls = {to: caller.call(to) for to in (gone, swallowed)}
    until("both are settled at LiveKit", lambda: len(livekit.requests("CreateSIPParticipant")) == 2)
    calls[late] = caller.call(late)
    until("the third is there", lambda: len(livekit.requests("CreateSIPParticipant")) == 3)
    livekit.cut()
    records = {to: caller.end(call, 60) for to, call in calls.items()}
    assert told(records[late]) == ("completed", "callee_hangup")
    for to in (gone, swallowed):
        assert told(records[to]) == ("failed", "outcome_unknown")
        assert records[to]["outcome"]["retryable"] is False and records[to]["outcome"]["sipCode"] is None
    assert {one["attempts"] for one in records.values()} == {1}
    assert [len(livekit.invites(to)) for to in (gone, swallowed, late)] == [1, 0, 1]
    assert len(livekit.requests("CreateSIPParticipant")) == 3
    livekit.until_empty()


def test_rooms_may_be_made_twice_but_a_phone_rings_once(caller, livekit):
    to = destination()
    livekit.rule("CreateRoom", answer={"kind": "close"})
    record = caller.end(caller.call(to), 40)
    assert told(record) == ("completed", "callee_hangup")
    livekit.invite(to)
    livekit.until_empty()


def test_a_room_that_is_not_deleted_at_once_is_deleted_again(caller, livekit):
    livekit.rule("DeleteRoom", answer={"kind": "html"}, act=False)
    livekit.rule("DeleteRoom", answer={"kind": "close"}, act=False)
    assert told(caller.end(caller.call(destination())))[0] == "completed"
    livekit.until_empty(30)


# ── crashes ──────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("then, expected", [("answered", ("completed", "callee_hangup")),
                                            ("rings", ("no_answer", "no_answer"))])
def test_killed_while_it_rings_and_started_again(gateways, world, livekit, then, expected):
    gateway = gateways(**SETTINGS)
    tenant = world.tenant(trunk=trunk())
    to = destination()
    answers = {"answer": 4, "talk": 6} if then == "answered" else {"answer": None}
    livekit.rule(life={"ring": 0.1, **answers})
    call = tenant.at(gateway).call(to)
    livekit.until_invited(to)
    until("it rings", lambda: livekit.invite(to).get("ringing"))
    gateway.kill()
    gateway.start()
    record = tenant.at(gateway).end(call, 60)
    assert len(livekit.invites(to)) == 1 and record["attempts"] == 1
    assert told(record) in (expected, ("failed", "outcome_unknown"))
    if then == "answered":
        assert told(record) == expected
    livekit.until_empty(30)


def test_another_gateway_takes_over_what_rings(gateways, world, livekit):
    """It only knows what is in the database; nobody's phone rings again."""
    one, other = gateways(**SETTINGS), gateways(**SETTINGS)
    tenant = world.tenant(trunk=trunk())
    livekit.set(default_life={"ring": 0.1, "answer": 3.5, "talk": 5})
    calls = [tenant.at(one).call(destination()) for _ in range(20)]
    until("all ring", lambda: len(livekit.invites()) == 20)
    one.kill()
    records = [tenant.at(other).end(call, 60) for call in calls]
    assert {(*told(record), record["attempts"]) for record in records} == {("completed", "callee_hangup", 1)}
    assert len(livekit.invites()) == 20 == len({one["to"] for one in livekit.invites()})
    livekit.until_empty(30)


def test_a_gateway_that_is_asked_to_stop_sees_its_calls_through(gateways, world, livekit):
    gateway = gateways(**{**SETTINGS, "CALLGATE_DRAIN_S": 20})
    tenant = world.tenant(trunk=trunk())
    livekit.set(default_life={"ring": 0.1, "answer": 1, "talk": 1})
    calls = [tenant.at(gateway).call(destination()) for _ in range(5)]
    until("all ring", lambda: len(livekit.invites()) == 5)
    gateway.stop(40)
    gateway.start()
    assert {told(tenant.at(gateway).end(call)) for call in calls} == {("completed", "callee_hangup")}
    assert len(livekit.invites()) == 5


def test_killed_before_the_phone_rang_and_started_again(gateways, world, livekit):
    """Between the room and the dial nothing was dialed; whatever was intended is asked about."""
    gateway = gateways(**SETTINGS)
    tenant = world.tenant(trunk=trunk())
    to = destination()
    livekit.rule("CreateRoom", before=1.5)
    call = tenant.at(gateway).call(to)
    until("the room is asked for", lambda: livekit.requests("CreateRoom"))
    gateway.kill()
    gateway.start()
    record = tenant.at(gateway).end(call, 60)
    assert told(record) == ("completed", "callee_hangup")
    livekit.invite(to)


def test_killed_between_the_room_and_the_intent(gateways, world, livekit):
    """The name of that room died with the gateway: it closes by itself, also with its agent in it. Once
    the intent stands the name is known, and the room is deleted with the end (the cases above)."""
    gateway = gateways(**SETTINGS)
    tenant = world.tenant(trunk=trunk(), project={"wait_for_agent_s": 60})
    livekit.set(agents={"*": {"never": True}}, room_speed=30)
    to = destination()
    call = tenant.at(gateway).call(to)
    until("the agent is waited for", lambda: livekit.requests("ListParticipants"))
    gateway.kill()
    livekit.set(agents={"*": {"after": 0.01, "active": 0.01}})
    gateway.start()
    record = tenant.at(gateway).end(call, 60)
    assert told(record) == ("completed", "callee_hangup") and record["attempts"] == 1
    livekit.invite(to)
    made = [one["name"] for one in livekit.get("made")]
    assert len(set(made)) == 2, made
    deleted = {one["fields"]["room"] for one in livekit.requests("DeleteRoom")}
    assert made[0] not in deleted and made[1] in deleted
    livekit.until_empty(30)


def test_livekit_crashes_while_it_rings(caller, livekit):
    to = destination(102)
    call = caller.call(to)
    livekit.until_invited(to)
    livekit.down()
    livekit.forget()
    time.sleep(1)
    livekit.up()
    record = caller.end(call, 60)
    assert told(record)[1] in ("outcome_unknown", "no_answer") and record["attempts"] == 1
    livekit.invite(to)


# ── LiveKit is away, slow, or does not know us ───────────────────────────────────────────

def test_livekit_is_down_and_the_others_do_not_notice(house, caller, livekit):
    """Nothing was dialed, so the calls wait; a trunk elsewhere goes on as ever; and once
    LiveKit is back every call is made, once."""
    seen = len(house.gateway.text())
    livekit.down()
    calls = [caller.call(destination()) for _ in range(20)]
    other = house.world.tenant().at(house.gateway)
    began = time.monotonic()
    assert told(other.end(other.call(destination(110)))) == ("completed", "callee_hangup")
    assert time.monotonic() - began < 3
    until("the breaker is open", lambda: "breaker.open" in house.gateway.text()[seen:])
    health = house.gateway.client().get("/readyz")
    assert health.status == 200 and sum(health.json["breakers"].values()) >= 1
    time.sleep(3)                       # longer than three attempts take
    assert {caller.get(call)["state"] for call in calls} == {"queued"}
    tries = house.gateway.text()[seen:].count("call.prepare_failed")
    assert tries < 60, f"{tries} claims in three seconds, and none of them could be of use"
    livekit.up()
    records = [caller.end(call, 60) for call in calls]
    assert {(*told(record), record["attempts"]) for record in records} == {("completed", "callee_hangup", 1)}
    assert "breaker.closed" in house.gateway.text()[seen:]
    assert house.gateway.client().get("/readyz").json["breakers"] == {"open": 0, "halfOpen": 0}
    assert len(livekit.invites()) == 20 == len({one["to"] for one in livekit.invites()})
    livekit.until_empty()


@pytest.mark.parametrize("name", ["unreachable", "update_room_failed", "cpu_exhausted", "no_response", "rate_limited"])
def test_what_cannot_be_dialed_waits_as_long_as_a_call_may_wait(gateways, world, livekit, name):
    """And its record says what it waited for."""
    gateway = gateways(**{**SETTINGS, "CALLGATE_QUEUE_TTL_S": 4})
    caller = world.tenant(trunk=trunk()).at(gateway)
    to = destination()
    if name == "unreachable":
        livekit.down()
    else:
        livekit.rule(to=to, times=None, life=name)
    began = time.monotonic()
    record = caller.end(caller.call(to), 40)
    assert told(record) == ("failed", "queue_expired") and time.monotonic() - began > 3.5
    assert record["outcome"]["providerCode"] and record["timeline"]["answeredAt"] is None
    assert not livekit.invites(to)
    livekit.clear_rules()
    livekit.up()
    livekit.until_empty()


def test_a_sip_service_that_is_away_for_seconds_costs_no_call(gateways, world, livekit):
    """Longer than three attempts take, were they counted."""
    gateway = gateways(**SETTINGS)
    caller = world.tenant(trunk=trunk()).at(gateway)
    livekit.rule(times=None, life="no_response")
    calls = [caller.call(destination()) for _ in range(15)]
    time.sleep(4)
    assert {caller.get(call)["state"] for call in calls} <= {"queued", "initiated"}
    livekit.clear_rules()
    assert {told(caller.end(call, 60)) for call in calls} == {("completed", "callee_hangup")}
    assert len(livekit.invites()) == 15 == len({one["to"] for one in livekit.invites()})
    livekit.until_empty()


def test_a_connection_that_died_while_idle_harms_no_call(caller, livekit):
    """The dial takes a connection of its own, so that nothing is ever sent twice."""
    for _ in range(3):
        assert told(caller.end(caller.call(destination()))) == ("completed", "callee_hangup")
        livekit.cut()
    assert len(livekit.invites()) == 3 == len(livekit.requests("CreateSIPParticipant"))


def test_a_livekit_that_hangs_holds_up_nobody(house, caller, livekit):
    livekit.rule("CreateRoom", times=None, before=30)
    calls = [caller.call(destination()) for _ in range(30)]
    other = house.world.tenant().at(house.gateway)
    for _ in range(3):
        began = time.monotonic()
        assert told(other.end(other.call(destination(110)))) == ("completed", "callee_hangup")
        assert time.monotonic() - began < 3
    assert {caller.get(call)["state"] for call in calls} <= {"queued", "initiated", "failed"}
    livekit.clear_rules()
    livekit.cut()
    for call in calls:
        caller.end(call, 60)
    livekit.until_empty(60)


def test_a_slow_livekit_is_waited_for(caller, livekit):
    livekit.rule("CreateRoom", before=1)
    livekit.rule(life={"join": 1, "ring": 1, "answer": 1})
    to = destination()
    assert told(caller.end(caller.call(to), 30)) == ("completed", "callee_hangup")
    livekit.invite(to)


def test_with_a_wrong_secret_nothing_is_dialed(gateways, world, livekit):
    gateway = gateways(**{**SETTINGS, "LIVEKIT_API_SECRET": "not-the-secret-not-the-secret-not-it"})
    tenant = world.tenant(trunk=trunk())
    record = tenant.at(gateway).end(tenant.at(gateway).call(destination()), 30)
    assert told(record) == ("failed", "configuration") and record["outcome"]["faultOwner"] == "configuration"
    assert not livekit.invites()
    found = livekit.complaints()
    assert found and all("401" in words for words in found)
    assert "not-the-secret" not in gateway.text()


def test_without_settings_a_livekit_trunk_is_a_mistake_of_the_configuration(gateways, world, livekit):
    none = {name: "" for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")}
    gateway = gateways(**{**SETTINGS, **none})
    tenant, other = world.tenant(trunk=trunk()), world.tenant()
    record = tenant.at(gateway).end(tenant.at(gateway).call(destination()))
    assert told(record) == ("failed", "configuration") and record["outcome"]["retryable"] is False
    assert told(other.at(gateway).end(other.at(gateway).call(destination(110)))) == ("completed", "callee_hangup")
    assert not livekit.requests()


def test_a_trunk_may_belong_to_another_livekit_project(gateways, world, livekit):
    other = LiveKit("other-key", "the-other-secret-the-other-secret-yes").start()
    try:
        gateway = gateways(**{**SETTINGS, "LIVEKIT_OTHER_SECRET": other.secret})
        config = {"url": other.url, "apiKey": other.key, "apiSecretEnv": "LIVEKIT_OTHER_SECRET"}
        there, here = world.tenant(trunk=trunk(config=json.dumps(config))), world.tenant(trunk=trunk())
        for tenant, fake in ((there, other), (here, livekit)):
            to = destination()
            assert told(tenant.at(gateway).end(tenant.at(gateway).call(to))) == ("completed", "callee_hangup")
            fake.invite(to)
        other.check()
        assert len(other.invites()) == len(livekit.invites()) == 1
    finally:
        other.stop()


# ── the end that has to be asked for ─────────────────────────────────────────────────────

def test_a_call_that_livekit_does_not_end_is_hung_up_until_it_is_gone(house, livekit):
    """LiveKit forgets the maximum duration, and says twice that it hung up when it did not."""
    tenant = house.world.tenant(trunk=trunk(), project={"max_duration_s": 1})
    livekit.set(speed=0.01)
    livekit.rule("DeleteRoom", times=2, pretend=True)
    to = destination(111)
    record = tenant.at(house.gateway).end(tenant.at(house.gateway).call(to), 40)
    assert told(record) == ("completed", "max_duration")
    until("the leg was hung up", lambda: "bye" in livekit.invite(to), 20)
    livekit.until_empty(20)
