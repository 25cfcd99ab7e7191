"""Calls that callgate places through the real LiveKit. The callee is SIPp, and what it counted is
the judge: what callgate tells of a call must agree with what the callee saw of it."""
import calendar
import collections
import json
import re
import signal
import time

import pytest

from harness.wait import until
from harness.world import destination
from stage.ports import NOWHERE

ATTEMPT = "X-Gw-Attempt"


def dials(callee, to):
    """The Call-IDs by which the callee was called for that number."""
    return {one.call for one in callee.received("INVITE") if one.to == to}


def attempts_of(callee, to):
    """{attempt id: number of dials}, from the header that every INVITE carries."""
    found = collections.defaultdict(set)
    for one in callee.received("INVITE"):
        if one.to == to:
            found[one.headers.get(ATTEMPT.lower())].add(one.call)
    return {attempt: len(calls) for attempt, calls in found.items()}


def rang_once(callee, to):
    """Exactly one phone rang, exactly once."""
    found = attempts_of(callee, to)
    assert list(found.values()) == [1] and None not in found, f"dials by attempt: {found}"


def seen_of(callee, to, method):
    calls = dials(callee, to)
    return [one for one in callee.received(method) if one.call in calls]


def said(record, state, reason, fault=None, sip_code=None):
    """What the record says, in one line, with all of it when it is something else."""
    outcome = record["outcome"]
    assert (record["state"], outcome["reason"]) == (state, reason), record
    if fault:
        assert outcome["faultOwner"] == fault, record
    assert outcome["sipCode"] == sip_code, record


def at(record, name):
    """In milliseconds, as of the wall clock."""
    text = record["timeline"][name]
    assert text, record
    clock, _, fraction = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(clock, "%Y-%m-%dT%H:%M:%S")) * 1000 + int(fraction.ljust(3, "0")[:3])


def milliseconds(record, later, earlier):
    return at(record, later) - at(record, earlier)


def room_of(hooks, to):
    """The room LiveKit says that phone is in, as its own webhook has it."""
    return until(f"LiveKit tells of {to}", lambda: next((
        one["event"]["room"] for one in list(hooks.seen) if one["event"]["event"] == "participant_joined"
        and one["event"]["participant"].get("attributes", {}).get("sip.phoneNumber") == to), None))


def hooks_left(hooks, to):
    return [one for one in list(hooks.seen) if one["event"]["event"] == "participant_left"
            and one["event"]["participant"].get("attributes", {}).get("sip.phoneNumber") == to]


def gone(api, room):
    """Nothing is left of the call in LiveKit."""
    until(f"room {room} is gone", lambda: api.rooms(room).json["rooms"] == [], 20)


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "no-webhooks"])
def test_answered_and_hung_up_by_the_callee(serve, line, phone, hooks, api, webhooks):
    callee, to = phone("talker"), destination()
    caller = line(callee).at(serve(webhooks))
    call = caller.call(to)
    caller.state(call, "in_progress", seconds=10)
    record = caller.end(call, 30)
    said(record, "completed", "callee_hangup", "none", record["outcome"]["sipCode"])
    assert record["outcome"]["sipCode"] in (200, None)
    assert milliseconds(record, "answeredAt", "initiatedAt") >= 700
    # 1.5 s were talked. Its end is known when LiveKit tells, or from the next look at it: the SIP
    # service's farewell gets lost at times on its way to LiveKit, which then tells nothing by itself.
    assert 1200 <= milliseconds(record, "endedAt", "answeredAt") <= 20000, record
    if webhooks:
        left = until("LiveKit tells that the phone has left", lambda: hooks_left(hooks, to))[0]
        assert at(record, "endedAt") <= left["at"] * 1000 + 1500, (record, left)
    assert record["attempts"] == 1
    rang_once(callee, to)
    gone(api, room_of(hooks, to)["name"])


def test_ringing_is_seen_while_it_rings(serve, line, phone):
    callee, to = phone("slow talker"), destination()
    caller = line(callee, project={"ring_timeout_s": 20}).at(serve())
    call = caller.call(to)
    record = caller.state(call, "ringing", seconds=6)
    assert record["timeline"]["ringingAt"] and not record["timeline"]["answeredAt"]
    record = caller.end(call, 30)
    said(record, "completed", "callee_hangup", sip_code=record["outcome"]["sipCode"])
    rang_once(callee, to)


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "no-webhooks"])
def test_answered_and_ended_by_us(serve, line, phone, webhooks):
    callee, to = phone("listener"), destination()
    caller = line(callee, project={"max_duration_s": 2}).at(serve(webhooks))
    record = caller.end(caller.call(to), 40)
    said(record, "completed", "max_duration", sip_code=record["outcome"]["sipCode"])
    until("BYE", lambda: seen_of(callee, to, "BYE"))
    assert 1500 <= milliseconds(record, "endedAt", "answeredAt") <= 6000, record
    rang_once(callee, to)


@pytest.mark.parametrize("behaviour, state, reason, fault, sip_code", [
    ("busy", "busy", "busy", "callee", 486),
    ("busy later", "busy", "busy", "callee", 486),
    ("decliner", "failed", "declined", "callee", 603),
    ("unknown number", "failed", "invalid_number", None, 404)])
def test_rejected(serve, line, phone, hooks, api, behaviour, state, reason, fault, sip_code):
    callee, to = phone(behaviour), destination()
    caller = line(callee).at(serve())
    record = caller.end(caller.call(to), 20)
    said(record, state, reason, fault, sip_code)
    assert record["outcome"]["sipPhrase"] and not record["timeline"]["answeredAt"], record
    rang_once(callee, to)
    gone(api, room_of(hooks, to)["name"])


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "no-webhooks"])
def test_no_answer_until_the_ring_timeout(serve, line, phone, webhooks):
    callee, to = phone("ringer"), destination()
    caller = line(callee, project={"ring_timeout_s": 5}).at(serve(webhooks))
    record = caller.end(caller.call(to), 25)
    said(record, "no_answer", "no_answer", "callee")
    until("CANCEL", lambda: seen_of(callee, to, "CANCEL"))
    assert 4500 <= milliseconds(record, "endedAt", "initiatedAt") <= 8000, record
    rang_once(callee, to)


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "no-webhooks"])
def test_a_trunk_that_answers_503(serve, line, phone, webhooks):
    """LiveKit's message says that no phone rang, so the call may be dialed again within its bound: with an
    attempt id of its own. Nobody else says it."""
    callee, to = phone("full trunk"), destination()
    caller = line(callee).at(serve(webhooks, CALLGATE_MAX_ATTEMPTS=2, CALLGATE_RETRY_BASE_MS=200))
    record = caller.end(caller.call(to), 30)
    said(record, "failed", "carrier_unavailable", "carrier", 503)
    found = attempts_of(callee, to)
    assert set(found.values()) == {1} and len(found) == record["attempts"] == (2 if webhooks else 1), (found, record)


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "no-webhooks"])
def test_a_trunk_that_answers_503_after_it_rang(serve, line, phone, webhooks):
    """As one does that tries one carrier after the other. Looks are further apart than it rings."""
    callee, to = phone("full trunk later"), destination()
    caller = line(callee).at(serve(webhooks, CALLGATE_MAX_ATTEMPTS=3, CALLGATE_RETRY_BASE_MS=200))
    record = caller.end(caller.call(to), 30)
    said(record, "failed", "carrier_unavailable", "carrier", 503)
    assert record["attempts"] == 1, record
    rang_once(callee, to)


class Nowhere:
    port = NOWHERE


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "no-webhooks"])
def test_nothing_listens_at_the_trunk(serve, line, webhooks):
    """LiveKit uses the words of a ring timeout; that it never rang is the only difference."""
    caller = line(Nowhere, project={"ring_timeout_s": 5}).at(serve(webhooks, CALLGATE_MAX_ATTEMPTS=1))
    record = caller.end(caller.call(), 30)
    said(record, "failed", "carrier_unavailable", "carrier")
    assert not record["timeline"]["ringingAt"], record


def test_nothing_listens_at_the_trunk_for_longer_than_sip_waits(serve, line):
    caller = line(Nowhere, project={"ring_timeout_s": 45}).at(serve(CALLGATE_MAX_ATTEMPTS=1))
    record = caller.end(caller.call(), 60)
    said(record, "failed", "carrier_unavailable", "carrier")
    assert milliseconds(record, "endedAt", "initiatedAt") < 40000, record


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "inline"])
def test_wrong_digest_password(serve, line, phone, api, stored):
    callee, to = phone("asks password"), destination()
    if stored:
        trunk = line(callee, stored=api.make_trunk(callee.port, auth_username="us", auth_password="wrong"))
    else:
        trunk = line(callee, config={"authUsername": "us", "authPasswordEnv": "LIVEKIT_TRUNK_PASSWORD"})
    caller = trunk.at(serve(CALLGATE_MAX_ATTEMPTS=1, LIVEKIT_TRUNK_PASSWORD="wrong"))
    record = caller.end(caller.call(to), 20)
    said(record, "failed", "configuration", "configuration")
    rang_once(callee, to)
    assert len(seen_of(callee, to, "INVITE")) == 5, "the password was tried, in one call"


def test_a_trunk_stored_in_livekit(serve, line, phone, api):
    callee, to = phone("talker"), destination()
    tenant = line(callee, stored=api.make_trunk(callee.port, numbers=["+15550177"]))
    caller = tenant.at(serve())
    record = caller.end(caller.call(to), 30)
    said(record, "completed", "callee_hangup", sip_code=record["outcome"]["sipCode"])
    invite, = seen_of(callee, to, "INVITE")
    assert tenant.from_number in invite.headers["from"], "ours, not one that the trunk picks"


def test_a_stored_trunk_that_livekit_does_not_know(serve, line, phone):
    caller = line(phone("ringer"), stored="ST_nobody").at(serve(CALLGATE_MAX_ATTEMPTS=1))
    said(caller.end(caller.call(), 20), "failed", "configuration", "configuration")


def test_the_agent_gets_the_variables_as_they_were_sent(serve, line, phone, hooks, api):
    variables = {"customerName": "Jane “Doe”\n<>&", "amount": 12.50, "big": 9007199254740993, "nested": {"a": [1, None, True]},
                 "empty": "", "emoji": "📞"}
    callee, to = phone("slow talker"), destination()
    tenant = line(callee, project={"ring_timeout_s": 20, "agent": "collector-7"})
    caller = tenant.at(serve())
    call = caller.call(to, dynamicVariables=variables)
    room = room_of(hooks, to)
    caller.state(call, "ringing", "in_progress", seconds=10)
    live, = api.rooms(room["name"]).json["rooms"]
    assert json.loads(live["metadata"]) == variables and live["metadata"] == room["metadata"]
    dispatched, = api.dispatches(room["name"]).json["agent_dispatches"]
    assert dispatched["agent_name"] == "collector-7"
    assert json.loads(dispatched["metadata"]) == variables
    invite, = until("the INVITE", lambda: seen_of(callee, to, "INVITE"))
    who, = [one for one in api.participants(room["name"]).json["participants"] if one["kind"] == "SIP"]
    assert invite.headers[ATTEMPT.lower()] in who["attributes"].values(), "the same attempt id on both sides"
    assert call.replace("-", "")[:8] in re.sub("[^0-9a-z]", "", invite.headers[ATTEMPT.lower()].lower())
    caller.end(call, 30)


@pytest.mark.parametrize("config, project", [({"waitForAgentSeconds": 10}, {}), ({}, {"wait_for_agent_s": 10})],
                         ids=["trunk", "project"])
def test_the_phone_is_dialed_when_the_agent_is_there(serve, line, phone, agent, hooks, config, project):
    callee, to, worker = phone("talker"), destination(), agent("greeter")
    caller = line(callee, config=config, project={"agent": "greeter", **project}).at(serve())
    call = caller.call(to, dynamicVariables={"customerName": "Jane"})
    room = room_of(hooks, to)
    job = worker.job(room["name"])
    assert json.loads(job["metadata"]) == json.loads(job["roomMetadata"]) == {"customerName": "Jane"}
    joined = [one["event"]["participant"]["kind"] for one in list(hooks.seen)
              if one["event"]["event"] == "participant_joined" and one["event"]["room"]["name"] == room["name"]]
    assert joined == ["AGENT", "SIP"], "first the agent, then the phone"
    record = caller.end(call, 30)
    said(record, "completed", "callee_hangup", sip_code=record["outcome"]["sipCode"])
    rang_once(callee, to)


def test_an_agent_that_does_not_come_keeps_the_phone_silent(serve, line, phone):
    callee, to = phone("talker"), destination()
    caller = line(callee, config={"waitForAgentSeconds": 2}).at(serve(CALLGATE_MAX_ATTEMPTS=1))
    record = caller.end(caller.call(to), 25)
    assert record["state"] == "failed" and record["outcome"]["faultOwner"] == "platform", record
    assert not dials(callee, to)


def test_fifty_calls_at_once(serve, line, phone):
    callee, numbers = phone("slow talker"), [destination() for _ in range(50)]
    caller = line(callee, project={"ring_timeout_s": 20}).at(serve())
    calls = [caller.call(to) for to in numbers]
    records = [caller.end(call, 60) for call in calls]
    assert collections.Counter((r["state"], r["outcome"]["reason"]) for r in records) == \
        {("completed", "callee_hangup"): 50}
    for to in numbers:
        rang_once(callee, to)


def while_ringing(serve, line, callee, webhooks, ring_timeout_s=20, count=3, **settings):
    """Calls that ring at the callee: (gateway, caller, {call: number})."""
    gateway = serve(webhooks, CALLGATE_LEASE_TTL_MS=1000, CALLGATE_MARGIN_S=10, **settings)
    caller = line(callee, project={"ring_timeout_s": ring_timeout_s}).at(gateway)
    calls = {caller.call(to): to for to in (destination() for _ in range(count))}
    for call, to in calls.items():
        until(f"{to} rings", lambda: dials(callee, to), 10)
    return gateway, caller, calls


# What became of it is told once by the dial's answer, which the dead gateway did not hear, and once by
# webhook: busy is then "no_answer", because the SIP code is not in it. Without webhooks a call is
# looked at now and then, so its end may stay unknown; but nothing untrue may be said of it.
KILLED = {
    ("slow talker", True): {("completed", "callee_hangup")},
    ("slow talker", False): {("completed", "callee_hangup"), ("failed", "outcome_unknown")},
    ("ringer", True): {("no_answer", "no_answer")},
    ("ringer", False): {("no_answer", "no_answer"), ("failed", "outcome_unknown")},
    ("busy later", True): {("no_answer", "no_answer"), ("busy", "busy")},
    ("busy later", False): {("busy", "busy"), ("no_answer", "no_answer"), ("failed", "outcome_unknown")},
}


@pytest.mark.parametrize("behaviour, webhooks", KILLED, ids=[
    f"{behaviour}-{'webhooks' if webhooks else 'no-webhooks'}" for behaviour, webhooks in KILLED])
def test_gateway_killed_while_ringing(serve, line, phone, behaviour, webhooks):
    callee = phone(behaviour)
    gateway, caller, calls = while_ringing(serve, line, callee, webhooks, 10 if behaviour == "ringer" else 20)
    gateway.kill()
    time.sleep(1)
    gateway.start()
    caller.client.close()
    for call, to in calls.items():
        record = caller.end(call, 60)
        assert (record["state"], record["outcome"]["reason"]) in KILLED[behaviour, webhooks], record
        assert record["state"] != "completed" or record["timeline"]["answeredAt"], record
        assert record["attempts"] == 1, record
        rang_once(callee, to)


def test_gateway_stays_dead_until_the_call_is_over(serve, line, phone, hooks):
    """The callee answered, talked and hung up, and nobody was there to see it."""
    callee = phone("slow talker")
    gateway, caller, calls = while_ringing(serve, line, callee, True)
    gateway.kill()
    for to in calls.values():
        until(f"{to} has hung up", lambda: hooks_left(hooks, to), 25)
    gateway.start()
    caller.client.close()
    for call, to in calls.items():
        record = caller.end(call, 60)
        # LiveKit tells again what it could not deliver, for some seconds; so it may be known, or not.
        assert (record["state"], record["outcome"]["reason"]) in {
            ("completed", "callee_hangup"), ("failed", "outcome_unknown")}, record
        rang_once(callee, to)


@pytest.mark.parametrize("webhooks", [True, False], ids=["webhooks", "no-webhooks"])
def test_livekit_killed_while_ringing(serve, line, phone, stack, webhooks):
    """LiveKit's SIP node rings on and comes back to the room when the server does."""
    callee = phone("ringer")
    _, caller, calls = while_ringing(serve, line, callee, webhooks, ring_timeout_s=15)
    stack.server.kill(signal.SIGKILL)
    try:
        time.sleep(2)
    finally:
        stack.server.start()
        stack.settle()
    for call, to in calls.items():
        record = caller.end(call, 80)
        assert record["outcome"]["reason"] in ("no_answer", "outcome_unknown"), record
        assert not record["timeline"]["answeredAt"] and record["attempts"] == 1, record
        rang_once(callee, to)
        until("CANCEL", lambda: seen_of(callee, to, "CANCEL"), 20)


def test_livekit_killed_while_talking(serve, line, phone, stack):
    callee, to = phone("listener"), destination()
    caller = line(callee, project={"max_duration_s": 12}).at(serve(CALLGATE_MARGIN_S=10))
    call = caller.call(to)
    caller.state(call, "in_progress", seconds=10)
    stack.server.kill(signal.SIGKILL)
    stack.server.start()
    stack.settle()
    record = caller.end(call, 60)
    assert record["state"] == "completed" and record["timeline"]["answeredAt"], record
    until("BYE", lambda: seen_of(callee, to, "BYE"), 30)
    rang_once(callee, to)


def test_livekit_is_down_before_the_call(serve, line, phone, stack):
    """Certainly not dialed: dialed when LiveKit is back, within the call's own bound."""
    callee, to = phone("talker"), destination()
    stack.server.kill(signal.SIGKILL)
    try:
        gateway = serve(CALLGATE_MAX_ATTEMPTS=10, CALLGATE_RETRY_BASE_MS=300)
        caller = line(callee).at(gateway)
        call = caller.call(to)
        time.sleep(1)
        assert caller.get(call)["state"] in ("queued", "initiated")
    finally:
        stack.server.start()
        stack.settle()
    record = caller.end(call, 60)
    said(record, "completed", "callee_hangup", sip_code=record["outcome"]["sipCode"])
    rang_once(callee, to)


def test_no_sip_node(serve, line, phone, stack):
    """Not dialed is not failed: the call waits, as long as a call may wait."""
    callee, to = phone("talker"), destination()
    stack.sip.kill(signal.SIGKILL)
    try:
        caller = line(callee).at(serve(CALLGATE_QUEUE_TTL_S=4, CALLGATE_RETRY_BASE_MS=200))
        record = caller.end(caller.call(to), 40)
        said(record, "failed", "queue_expired", "platform")
        assert record["outcome"]["providerCode"] == "no_sip_service", record
    finally:
        stack.sip.start()
        stack.settle()
    assert not dials(callee, to)


def test_a_sip_node_that_comes_back_finds_the_call_waiting(serve, line, phone, stack):
    callee, to = phone("talker"), destination()
    stack.sip.kill(signal.SIGKILL)
    try:
        gateway = serve(CALLGATE_MAX_ATTEMPTS=1, CALLGATE_RETRY_BASE_MS=200)
        caller = line(callee).at(gateway)
        call = caller.call(to)
        until("the gateway has heard that nobody dials", lambda: "no response from servers" in gateway.text(), 20)
    finally:
        stack.sip.start()
        stack.settle()
    record = caller.end(call, 60)
    said(record, "completed", "callee_hangup", sip_code=record["outcome"]["sipCode"])
    rang_once(callee, to)


def test_doctor_is_content(callgate, stack):
    from conftest import SETTINGS
    done = callgate("doctor", settings=SETTINGS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "livekit" in (done.stdout + done.stderr).lower()
