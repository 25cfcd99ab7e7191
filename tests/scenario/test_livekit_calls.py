"""Calls through LiveKit, against the faithful fake: what the agent gets, what the callee sees, and
that the final record tells the truth for each row of LiveKit's error table."""
import concurrent.futures
import json
import time

import pytest

from harness.livekit import livekit, livekit_process, named, trunk  # noqa: F401 (fixtures)
from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 3000,
            "CALLGATE_MAX_ATTEMPTS": 2, "CALLGATE_LIVEKIT_POLL_MS": 500}


@pytest.fixture
def tenant(house):
    return house.world.tenant(trunk=trunk())


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


def ended(caller, livekit, to, seconds=20, **members):
    """Calls, waits for the end, and sees that nothing is left behind at LiveKit."""
    record = caller.end(caller.call(to, **members), seconds)
    livekit.until_empty()
    return record


def told(record):
    outcome = record["outcome"]
    return record["state"], outcome["reason"], outcome["faultOwner"], outcome["retryable"]


def in_order(record):
    times = [record["timeline"][f"{name}At"] for name in ("created", "initiated", "ringing", "answered", "ended")]
    times = [one for one in times if one]
    return times == sorted(times)


# ── calls that are answered ──────────────────────────────────────────────────────────────

@pytest.mark.tsan
def test_a_call_rings_is_answered_and_ended_by_the_callee(caller, livekit):
    to = destination()
    livekit.rule(life={"ring": 0.1, "answer": 2.5, "talk": 2})
    call = caller.call(to)
    caller.state(call, "ringing")
    caller.state(call, "in_progress")
    record = caller.end(call)
    assert told(record) == ("completed", "callee_hangup", "none", False)
    assert in_order(record) and record["timeline"]["ringingAt"] and record["timeline"]["answeredAt"]
    assert 1 <= record["durations"]["talkSeconds"] <= 5 and record["money"]["billableSeconds"] > 0
    assert record["attempts"] == 1 and record["providerRef"]
    livekit.invite(to)
    livekit.until_empty()


@pytest.mark.parametrize("life", ["no_18x", "dtmf"])
def test_a_call_may_be_answered_without_ringing(caller, livekit, life):
    to = destination()
    livekit.rule(life=life)
    assert told(ended(caller, livekit, to))[:2] == ("completed", "callee_hangup")


def test_a_call_ends_at_its_maximum_duration(house, livekit):
    tenant = house.world.tenant(trunk=trunk(), project={"max_duration_s": 2})
    to = destination(111)
    record = ended(tenant.at(house.gateway), livekit, to)
    assert told(record) == ("completed", "max_duration", "none", False)
    assert 1.5 <= record["durations"]["talkSeconds"] <= 4
    # LiveKit counts from the dial, a callee from the answer: its own limit is for when we are gone
    assert livekit.invite(to)["max_call_duration"] == "7s"
    assert livekit.invite(to)["bye"] == "ROOM_DELETED"


@pytest.mark.parametrize("life", ["agent_hangs_up", "media_timeout", "node_stops", "node_dies"])
def test_an_answered_call_completes_however_it_ends(caller, livekit, life):
    to = destination()
    livekit.rule(life=life)
    record = ended(caller, livekit, to)
    assert record["state"] == "completed" and record["timeline"]["answeredAt"]
    livekit.invite(to)


# ── the error table ──────────────────────────────────────────────────────────────────────

BUSY = ("busy", "busy", "callee", True)
DECLINED = ("failed", "declined", "callee", False)
NO_ANSWER = ("no_answer", "no_answer", "callee", True)
NUMBER = ("failed", "invalid_number", "configuration", False)
CARRIER = ("failed", "carrier_unavailable", "carrier", True)
LIMIT = ("failed", "carrier_limit", "carrier", True)
CONFIGURATION = ("failed", "configuration", "configuration", False)
UNKNOWN = ("failed", "outcome_unknown", "platform", False)


@pytest.mark.parametrize("status, phrase, expected", [
    (486, "Busy Here", BUSY), (600, "Busy Everywhere", BUSY),
    (603, "Decline", DECLINED), (607, "Unwanted", DECLINED), (608, "Rejected", DECLINED),
    (480, "Temporarily Unavailable", NO_ANSWER), (408, "Request Timeout", NO_ANSWER),
    (487, "Request Terminated", NO_ANSWER),
    (404, "Not Found", NUMBER), (604, "Does Not Exist Anywhere", NUMBER), (410, "Gone", NUMBER),
    (484, "Address Incomplete", NUMBER),
    (403, "Forbidden", CONFIGURATION), (402, "Payment Required", CONFIGURATION),
    (504, "Server Time-out", CARRIER)])
def test_a_trunks_refusal_is_told_with_its_sip_status(caller, livekit, status, phrase, expected):
    """After it rang: whatever the refusal is, the phone is not dialed again."""
    to = destination(status)
    record = ended(caller, livekit, to)
    assert told(record) == expected
    assert (record["outcome"]["sipCode"], record["outcome"]["sipPhrase"]) == (status, phrase)
    assert record["timeline"]["answeredAt"] is None and record["money"]["billableSeconds"] == 0
    assert record["attempts"] == 1
    livekit.invite(to)


@pytest.mark.parametrize("status", [400, 488, 606])
def test_a_refusal_of_what_we_asked_for_is_not_retryable(caller, livekit, status):
    to = destination(status)
    record = ended(caller, livekit, to)
    assert record["state"] == "failed" and record["outcome"]["sipCode"] == status
    assert record["outcome"]["faultOwner"] in ("configuration", "carrier")
    livekit.invite(to)


@pytest.mark.parametrize("life, expected", [
    ({"sip": 503, "phrase": "CPS limit exceeded"}, LIMIT),
    ({"sip": 503, "phrase": "Concurrent call limit exceeded"}, LIMIT),
    ({"sip": 500}, CARRIER), ({"sip": 502}, CARRIER), ({"sip": 503}, CARRIER)],
    ids=["cps", "concurrent", "500", "502", "503"])
def test_a_trunk_in_trouble_is_the_carriers_fault(caller, livekit, life, expected):
    """That it did not ring is not known without a message of LiveKit's: it is not dialed again."""
    to = destination()
    livekit.rule(life={**life, "ring": None}, to=to, times=None)
    record = ended(caller, livekit, to)
    assert told(record) == expected and record["attempts"] == 1
    assert record["outcome"]["sipCode"] == life["sip"] and record["outcome"]["sipPhrase"]
    livekit.invite(to)


@pytest.mark.parametrize("ring", [0.02, 0.3, 2.0])
def test_a_trunk_in_trouble_after_it_rang_is_not_dialed_again(caller, livekit, ring):
    """Between two looks, or after one that saw it being dialed."""
    to = destination()
    livekit.rule(life={"ring": ring, "sip": 503, "after": 0.8}, to=to, times=None)
    record = ended(caller, livekit, to)
    assert told(record) == CARRIER and record["attempts"] == 1 and record["outcome"]["sipCode"] == 503
    assert livekit.invite(to)["ringing"]
    livekit.clear_rules()


@pytest.mark.parametrize("text", [
    '{"code":"resource_exhausted","msg":"twirp error unknown: IN',
    json.dumps({"code": "resource_exhausted", "meta": {"error_details": "A" * 80_000, "sip_status_code": "486"},
                "msg": "twirp error unknown: INVITE failed: sip status: 486: Busy Here"}),
    "Too Many Requests", ""], ids=["truncated", "too_long", "text", "empty"])
def test_a_refusal_that_cannot_be_read_is_not_dialed_again(caller, livekit, text):
    """A busy line is told with the status of a rate limit."""
    to = destination()
    livekit.rule(to=to, life={"ring": 0.05, "sip": 486, "after": 0.3}, answer={"kind": "raw", "status": 429, "text": text})
    record = ended(caller, livekit, to, 60)
    assert told(record) == UNKNOWN and record["attempts"] == 1
    livekit.invite(to)


@pytest.mark.parametrize("answer", [{"status": 200, "text": "<html>captive portal</html>"}, {"status": 200, "text": "{}"},
                                    {"status": 200, "text": ""}, {"status": 204, "text": ""},
                                    {"status": 200, "text": '{"sid":"RM_x","name":"somebody-else"}'}])
def test_a_room_that_was_not_made_is_not_dialed_into(house, livekit, answer):
    """Whoever answers is not LiveKit: the call waits until somebody is."""
    caller = house.world.tenant(trunk=trunk()).at(house.gateway)
    seen, to = len(house.gateway.text()), destination()
    livekit.rule("CreateRoom", act=False, times=None, answer={"kind": "raw", **answer})
    call = caller.call(to)
    until("it is given a rest", lambda: "breaker.open" in house.gateway.text()[seen:], 20)
    assert caller.get(call)["state"] == "queued" and not livekit.invites(to)
    livekit.clear_rules()
    assert told(caller.end(call, 60))[:2] == ("completed", "callee_hangup")
    livekit.invite(to)


def test_nobody_answers_until_the_ring_timeout(caller, livekit):
    to = destination(102)
    record = ended(caller, livekit, to)
    assert told(record) == NO_ANSWER and record["attempts"] == 1
    assert livekit.invite(to)["ringing_timeout"] == "5s"


def test_a_trunk_that_is_silent_until_the_ring_timeout_is_no_callee_who_does_not_answer(caller, livekit):
    """LiveKit says the same of both. What was seen last tells them apart."""
    to = destination(103)
    record = ended(caller, livekit, to)
    assert told(record) == CARRIER and record["outcome"]["providerCode"] == "trunk_silent"
    assert record["attempts"] == 1 and record["timeline"]["ringingAt"] is None
    livekit.invite(to)


def test_a_trunk_that_spoke_a_moment_ago_is_not_silent(caller, livekit):
    """Some never say that it rings; another call shows that somebody is there."""
    livekit.rule(life="no_18x")
    assert told(ended(caller, livekit, destination()))[0] == "completed"
    record = ended(caller, livekit, destination(103))
    assert told(record) == NO_ANSWER and record["outcome"]["providerCode"] == "ring_timeout"
    assert record["attempts"] == 1


@pytest.mark.parametrize("name, expected", [
    ("timeout_race", NO_ANSWER), ("node_stopping", UNKNOWN), ("silent", CARRIER), ("no_final", CARRIER),
    ("refused", CARRIER),
    ("wrong_password", CONFIGURATION), ("no_credentials", CONFIGURATION), ("dns", CONFIGURATION),
    ("no_codec", CONFIGURATION)])
def test_an_attempt_that_ended_without_a_sip_status(caller, livekit, name, expected):
    to = named(livekit, name)
    record = ended(caller, livekit, to)
    assert told(record) == expected and record["outcome"]["sipCode"] is None and record["outcome"]["providerCode"]
    assert len(livekit.invites(to)) == record["attempts"]


@pytest.mark.parametrize("name", ["update_room_failed", "cpu_exhausted", "no_response", "no_servers", "rate_limited"])
def test_what_was_certainly_not_dialed_is_dialed_again(caller, livekit, name):
    to = destination()
    livekit.rule(life=name, to=to)
    record = ended(caller, livekit, to)
    assert told(record)[:2] == ("completed", "callee_hangup") and record["attempts"] == 2
    livekit.invite(to)


@pytest.mark.parametrize("name", ["unknown_trunk", "unknown_object", "invalid_request", "no_numbers", "no_redis"])
def test_a_mistake_in_the_setup_is_the_configurations(caller, livekit, name):
    to = named(livekit, name)
    record = ended(caller, livekit, to)
    assert told(record) == CONFIGURATION and record["attempts"] == 1
    assert not livekit.invites(to)


def test_a_trunk_that_livekit_does_not_know_is_the_configurations(house, livekit):
    tenant = house.world.tenant(trunk=trunk(provider_ref="ST_nowhere"))
    record = ended(tenant.at(house.gateway), livekit, destination())
    assert told(record) == CONFIGURATION
    assert "requested sip trunk does not exist" in livekit.complaints()[0]


# ── what the agent and the callee get ────────────────────────────────────────────────────

VARIABLES = [
    '{"customerName":"Jane Doe","orderId":"12345"}',
    '{"name":"王小明","greeting":"Grüß Gott, Łukasz 👋🏽","rtl":"שלום"}',
    '{"nested":{"list":[1,2.50,-0,1e3,true,false,null,{"deep":[[]]}],"empty":{}},"":"empty key"}',
    r'{"escapes":"\u00e9\n\t\"\\\/ \ud83d\ude00","k\u00e9y":"v"}',
    '{"big":9007199254740993,"max":9223372036854775807,"precise":0.1000000000000000055511151231257827}',
    '{"z":1,"a":2,"m":3}',
    '{"sql":"\'; drop table calls; --","pct":"%s %n","nul":"\\\\0","brace":"{}[],:"}',
]


@pytest.mark.parametrize("text", VARIABLES, ids=["plain", "scripts", "nested", "escapes", "numbers", "order", "hostile"])
def test_PATH_41_42_variables_are_the_rooms_metadata_byte_for_byte(caller, tenant, livekit, text):
    to = destination()
    answer = caller.client.post("/v1/calls/outbound",
                                json.dumps(tenant.body(to))[:-1] + f', "dynamicVariables" : {text} }}')
    assert answer.status == 200, answer
    caller.end(answer.json["callId"])
    invite = livekit.invite(to)
    assert invite["metadata"] == text                               # when the phone rang …
    assert livekit.made(invite["room"])["metadata"] == text         # … and before an agent came
    assert json.loads(invite["metadata"]) == json.loads(text)


def test_PATH_41_metadata_is_there_for_the_whole_session(caller, livekit):
    to = destination(111)
    call = caller.call(to, dynamicVariables={"a": "ä"})
    caller.state(call, "in_progress")
    assert [json.loads(room["metadata"]) for room in livekit.get("rooms")] == [{"a": "ä"}]
    livekit.leg("hangup", to=to)
    assert caller.end(call)["outcome"]["reason"] == "callee_hangup"
    livekit.until_empty()


def test_PATH_43_the_call_goes_from_its_number_through_its_trunk_to_its_destination(caller, tenant, livekit):
    """LiveKit picks one of the trunk's numbers at random when it is not told."""
    other = tenant.number(tenant.trunk_id)
    tenant.pool([tenant.user_id], [other])
    ref = tenant.db.value("select provider_ref from trunks where org_id = %s and trunk_id = %s",
                          tenant.org_id, tenant.trunk_id)
    for number in (tenant.from_number, other):
        to = destination()
        ended(caller, livekit, to, fromNumber=number)
        invite = livekit.invite(to)
        assert (invite["from"], invite["to"], invite["trunk"]) == (number, to, ref)


def test_PATH_44_the_projects_agent_is_dispatched_once_to_the_calls_room(caller, tenant, livekit):
    to = destination()
    record = ended(caller, livekit, to)
    invite = livekit.invite(to)
    agents = livekit.made(invite["room"])["agents"]
    assert [one["agent_name"] for one in agents] == [record["agent"]] == [f"agent-of-{tenant.project_public}"]


def test_an_attempt_has_a_room_an_identity_and_a_mark_of_its_own(caller, livekit):
    destinations = [destination() for _ in range(3)]
    for to in destinations:
        ended(caller, livekit, to)
    invites = [livekit.invite(to) for to in destinations]
    for name in ("room", "identity", "attempt"):
        assert len({one[name] for one in invites}) == 3 and all(one[name] for one in invites), name
    for one in invites:
        assert len(one["room"]) >= 20 and one["attempt"] in one["attributes"].values()
        assert livekit.made(one["room"])["max_participants"] == 1


def test_tokens_are_minimal_and_short_and_made_for_one_request(caller, livekit):
    """That no token allows more than its request needs is what the fake itself watches."""
    ended(caller, livekit, destination())
    requests = livekit.requests()
    assert {one["method"] for one in requests} >= {"CreateRoom", "CreateSIPParticipant", "DeleteRoom"}
    for one in requests:
        claims = one["claims"]
        assert claims["exp"] - one["at"] < 900 and claims["nbf"] <= one["at"], claims
        assert one["headers"]["content-type"].startswith("application/json")
        assert livekit.secret not in json.dumps(one)
    assert len({one["token"] for one in requests if one["method"].startswith("Create")}) >= 2


def test_deadlines_are_nested(caller, livekit):
    """LiveKit gives up after the phone does, and before we do: then somebody always knows."""
    ended(caller, livekit, destination())
    dial = livekit.requests("CreateSIPParticipant")[0]
    assert dial["fields"]["wait_until_answered"] is True
    assert 5000 < int(dial["headers"]["x-twirp-timeout-ms"]) <= 60_000


@pytest.mark.parametrize("transport", ["auto", "udp", "tcp", "tls"])
def test_an_inline_trunk_needs_none_at_livekit(house, livekit, transport):
    config = {"hostname": "sip.example.org:5061", "transport": transport, "fromHost": "example.net"}
    tenant = house.world.tenant(trunk=trunk(provider_ref=None, config=json.dumps(config)))
    to = destination()
    assert told(ended(tenant.at(house.gateway), livekit, to))[:2] == ("completed", "callee_hangup")
    invite = livekit.invite(to)
    assert invite["trunk"] == "" and invite["from"] == tenant.from_number
    assert invite["inline"] == {"hostname": "sip.example.org:5061", "from_host": "example.net",
                                "transport": f"SIP_TRANSPORT_{transport.upper()}"}


# ── the agent first ──────────────────────────────────────────────────────────────────────

def waiting(house, seconds):
    tenant = house.world.tenant(trunk=trunk(config=json.dumps({"waitForAgentSeconds": seconds})))
    return tenant, tenant.at(house.gateway)


@pytest.mark.parametrize("habits", [{}, {"after": 1.0}, {"active": 1.0}], ids=["there", "late", "slow"])
def test_the_phone_rings_only_when_the_agent_is_there(house, livekit, habits):
    livekit.set(agents={"*": {"after": 0.01, "active": 0.01, **habits}})
    _, caller = waiting(house, 10)
    to = destination()
    record = ended(caller, livekit, to)
    assert told(record)[:2] == ("completed", "callee_hangup") and record["attempts"] == 1
    assert livekit.invite(to)["agents"] == ["ACTIVE"]


@pytest.mark.parametrize("habits", [{"never": True}, {"stuck": True}], ids=["never", "stuck"])
def test_without_its_agent_the_phone_never_rings(house, livekit, habits):
    livekit.set(agents={"*": habits})
    _, caller = waiting(house, 1)
    to = destination()
    record = ended(caller, livekit, to)
    assert record["state"] == "failed" and record["outcome"]["faultOwner"] == "platform"
    assert record["outcome"]["providerCode"] and record["outcome"]["sipCode"] is None
    assert not livekit.invites(to) and not livekit.requests("CreateSIPParticipant")


def test_a_project_may_wait_for_its_agent_whatever_its_trunk_says(house, livekit):
    livekit.set(agents={"*": {"after": 1.0, "active": 0.01}})
    caller = house.world.tenant(trunk=trunk(), project={"wait_for_agent_s": 10}).at(house.gateway)
    to = destination()
    assert told(ended(caller, livekit, to))[:2] == ("completed", "callee_hangup")
    assert livekit.invite(to)["agents"] == ["ACTIVE"]

    livekit.set(agents={"*": {"never": True}})
    caller = house.world.tenant(trunk=trunk(), project={"wait_for_agent_s": 1}).at(house.gateway)
    to = destination()
    record = ended(caller, livekit, to)
    assert told(record)[:2] == ("failed", "provider_error") and record["outcome"]["providerCode"] == "agent_timeout"
    assert not livekit.invites(to)


def test_without_waiting_the_phone_rings_with_or_without_an_agent(caller, livekit):
    livekit.set(agents={"*": {"never": True}})
    to = destination()
    assert told(ended(caller, livekit, to))[:2] == ("completed", "callee_hangup")
    assert livekit.invite(to)["agents"] == []


# ── crowds ───────────────────────────────────────────────────────────────────────────────

@pytest.mark.tsan
def test_two_hundred_calls_at_once(house, livekit):
    """Each is dialed once; connections are shared, and a ringing call holds but one."""
    tenant = house.world.tenant(trunk=trunk())
    caller = tenant.at(house.gateway)
    livekit.set(default_life={"ring": 0.2, "answer": 1.5, "talk": 1})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = list(pool.map(lambda _: caller.call(destination()), range(200)))
    began = time.monotonic()
    records = [caller.end(call, 60) for call in calls]
    assert {told(one)[:2] for one in records} == {("completed", "callee_hangup")}
    invites = livekit.invites()
    assert len(invites) == 200 == len({one["attempt"] for one in invites}) == len({one["to"] for one in invites})
    livekit.until_empty(30)
    stats = livekit.get("stats")
    assert stats["connections_peak"] <= 450 and time.monotonic() - began < 60, stats


def test_no_secret_and_no_number_is_in_the_log(house, livekit, caller, tenant):
    to = destination()
    ended(caller, livekit, to)
    text = house.gateway.text()
    assert livekit.secret not in text and "eyJ" not in text and "turn_password" not in text
    assert to not in text and tenant.from_number not in text
    until("the call is in the log", lambda: "call." in house.gateway.text())
