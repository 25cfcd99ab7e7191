"""LiveKit's own npm package as an independent judge: of the fake that all other tests believe, and
of the tokens that callgate makes."""
import json

import pytest

from harness.judge import judge  # noqa: F401 (fixture)
from harness.livekit import KEY, SECRET, livekit, livekit_process, trunk  # noqa: F401 (fixtures)
from harness.world import destination

SETTINGS = {"CALLGATE_DRAIN_S": 0, "CALLGATE_LIVEKIT_POLL_MS": 500}
WHO = {"key": KEY, "secret": SECRET}


def ask(judge, livekit, client, method, *args):
    return judge("ask", url=livekit.url, **WHO, client=client, method=method, args=list(args))


def forgive(livekit):
    """That client leaves the server's own deadline as it is; ours must not."""
    assert all("X-Twirp-Timeout-Ms" in words for words in livekit.complaints())


def test_the_fake_serves_the_official_client(judge, livekit):
    """The official client reads what the fake writes, and the fake what it sends."""
    livekit.set(strict_grants=False)
    room = ask(judge, livekit, "RoomServiceClient", "createRoom",
               {"name": "r", "metadata": "{\"a\":1}", "emptyTimeout": 60, "maxParticipants": 1,
                "agents": [{"agentName": "a"}]})
    assert room["ok"] and room["value"]["metadata"] == '{"a":1}' and room["value"]["emptyTimeout"] == 60, room
    to = destination()
    livekit.rule(life="long_talk")
    leg = ask(judge, livekit, "SipClient", "createSipParticipant", "ST_fake", to, "r",
              {"participantIdentity": "leg", "fromNumber": "+15550100", "ringingTimeout": 5, "maxCallDuration": 60,
               "participantAttributes": {"a": "a-1"}, "headers": {"X-Attempt": "a-1"}, "waitUntilAnswered": True})
    assert leg["ok"] and leg["value"]["sipCallId"].startswith("SCL_"), leg
    found = ask(judge, livekit, "RoomServiceClient", "getParticipant", "r", "leg")
    assert found["value"]["attributes"]["sip.callStatus"] == "active", found
    assert found["value"]["state"] == "ACTIVE" and found["value"]["kind"] == "SIP"
    rooms = ask(judge, livekit, "RoomServiceClient", "listRooms")
    assert [one["name"] for one in rooms["value"]] == ["r"]
    trunks = ask(judge, livekit, "SipClient", "listSipOutboundTrunk")
    assert trunks["value"][0]["sipTrunkId"] == "ST_fake", trunks
    assert ask(judge, livekit, "RoomServiceClient", "deleteRoom", "r")["ok"]
    assert livekit.invite(to)["bye"] == "ROOM_DELETED"
    forgive(livekit)


def test_the_official_client_understands_the_fakes_refusals(judge, livekit):
    livekit.set(strict_grants=False)
    assert ask(judge, livekit, "RoomServiceClient", "createRoom", {"name": "r"})["ok"]
    leg = ask(judge, livekit, "SipClient", "createSipParticipant", "ST_fake", destination(486), "r",
              {"participantIdentity": "leg", "fromNumber": "+15550100", "ringingTimeout": 5, "maxCallDuration": 60,
               "participantAttributes": {"a": "a-1"}, "headers": {"X-Attempt": "a-1"}, "waitUntilAnswered": True})
    assert (leg["ok"], leg["status"], leg["code"]) == (False, 429, "resource_exhausted"), leg
    assert leg["meta"]["sip_status_code"] == "486"
    gone = ask(judge, livekit, "RoomServiceClient", "getParticipant", "r", "nobody")
    assert (gone["status"], gone["code"]) == (404, "not_found"), gone
    forgive(livekit)


@pytest.mark.parametrize("wrong", [None, "forged", "other_key", "expired", "wrong_sha", "changed_body", "not_hs256"])
def test_the_official_receiver_believes_the_fakes_webhooks_when_they_are_right(judge, livekit, wrong):
    body = json.dumps({"event": "room_started", "id": "EV_1", "createdAt": "1700000000",
                       "room": {"sid": "RM_1", "name": "Grüße"}}, ensure_ascii=False)
    sent = livekit.sign(body, wrong)
    verdict = judge("receive", **WHO, body=sent["body"], authorization=sent["authorization"])
    assert verdict["ok"] == (wrong is None), verdict
    if wrong is None:
        assert verdict["event"]["room"]["name"] == "Grüße"


def test_the_judge_signs_what_the_official_receiver_believes(judge):
    body = '{"event":"room_started"}'
    signed = judge("sign", **WHO, body=body)
    assert judge("receive", **WHO, body=body, authorization=signed["authorization"])["ok"]
    assert not judge("receive", **WHO, body=body + " ", authorization=signed["authorization"])["ok"]


# ── callgate's tokens ────────────────────────────────────────────────────────────────────

def test_the_official_verifier_accepts_every_token_that_callgate_makes(house, judge, livekit):
    tenant = house.world.tenant(trunk=trunk(config=json.dumps({"waitForAgentSeconds": 5})))
    caller = tenant.at(house.gateway)
    livekit.rule(life={"ring": 0.1, "answer": 2, "talk": 2})
    assert caller.end(caller.call(destination()))["state"] == "completed"
    livekit.until_empty()
    requests = livekit.requests()
    assert {"CreateRoom", "ListParticipants", "CreateSIPParticipant", "GetParticipant", "DeleteRoom"} <= \
        {one["method"] for one in requests}
    for one in requests:
        verdict = judge("verify", **WHO, token=one["token"])
        assert verdict["ok"], (one["method"], verdict)
        assert verdict["claims"].get("video", {}) == one["claims"].get("video", {})
        assert verdict["claims"].get("sip", {}) == one["claims"].get("sip", {})
        assert not judge("verify", key=KEY, secret=SECRET + "x", token=one["token"])["ok"]
