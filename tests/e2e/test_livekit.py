"""What LiveKit itself does: the ground on which the driver and the fake in tests/fakes stand. A
failure here means that the pinned LiveKit is not the one that docs and fake describe."""
import base64
import hashlib
import hmac
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.wait import until
from stage import livekit

NOWHERE = {"hostname": "127.0.0.1:9", "transport": "SIP_TRANSPORT_UDP"}


def new_room(api, **members):
    name = f"room-{uuid.uuid4().hex[:12]}"
    # After a server was killed, the new one takes a moment to be found.
    until("a room", lambda: api.create_room(name, **members).status == 200, seconds=20)
    return name



@pytest.fixture
def leg():
    return f"leg-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def dialing():
    """dialing(fn, …): the call runs beside the test; .result() is its answer."""
    with ThreadPoolExecutor(4) as threads:
        yield lambda fn, *args, **members: threads.submit(fn, *args, **members)


def status_of(api, room, leg):
    answer = api.participant(room, leg)
    return answer.json["attributes"].get("sip.callStatus") if answer.status == 200 else None


def left(hooks, room, seconds=15):
    """(disconnectReason, last sip.callStatus) of the phone's leg."""
    who = hooks.wait(room, "participant_left", seconds)["participant"]
    return who.get("disconnectReason"), who["attributes"]["sip.callStatus"]


def test_an_answered_call_returns_when_it_is_answered(api, phone, hooks, leg):
    room, callee = new_room(api), phone("talker")
    answer = api.dial(callee.trunk(), room, identity=leg)
    assert answer.status == 200, answer
    assert set(answer.json) == {"participant_id", "participant_identity", "room_name", "sip_call_id"}
    assert answer.json["participant_identity"] == leg and answer.json["room_name"] == room
    assert 0.7 <= answer.seconds < 5
    assert status_of(api, room, leg) == "active"
    assert left(hooks, room) == ("CLIENT_INITIATED", "hangup")
    hooks.wait(room, "room_finished")
    assert callee.calls("X-Attempt")[leg] == 1


@pytest.mark.parametrize("behaviour, http, code, sip_code, words, reason", [
    ("busy", 429, "resource_exhausted", "486", "Busy Here", "USER_REJECTED"),
    ("decliner", 403, "permission_denied", "603", "Decline", "USER_REJECTED"),
    ("unknown number", 404, "not_found", "404", "Not Found", "USER_UNAVAILABLE"),
    ("full trunk", 412, "failed_precondition", "503", "Service Unavailable", "CLIENT_INITIATED")])
def test_a_rejected_call_tells_the_sip_code(api, phone, hooks, behaviour, http, code, sip_code, words, reason):
    room = new_room(api)
    answer = api.dial(phone(behaviour).trunk(), room)
    assert (answer.status, answer.code, answer.sip_status) == (http, code, sip_code), answer
    assert answer.json["meta"]["sip_status"] == words
    assert left(hooks, room)[0] == reason


def test_a_ring_timeout_cancels_the_call(api, phone, hooks, leg):
    room, callee = new_room(api), phone("ringer")
    answer = api.dial(callee.trunk(), room, identity=leg, ring=3)
    assert (answer.status, answer.code, answer.sip_status) == (408, "canceled", None), answer
    assert "sip request timed out" in answer.json["msg"] and 3 <= answer.seconds < 5
    invite, = callee.received("INVITE", X_Attempt=leg)
    until("CANCEL", lambda: [one for one in callee.received("CANCEL") if one.call == invite.call])
    assert left(hooks, room) == ("USER_UNAVAILABLE", "ringing")


def test_a_trunk_that_is_not_there_looks_like_a_ring_timeout(api, hooks):
    room = new_room(api)
    answer = api.dial(NOWHERE, room, ring=3)
    assert (answer.status, answer.code) == (408, "canceled"), answer
    assert "sip request timed out" in answer.json["msg"]
    assert left(hooks, room) == ("USER_UNAVAILABLE", "dialing")         # the only difference


def test_a_wrong_password_is_tried_five_times_in_one_call(api, phone, leg):
    callee = phone("asks password")
    answer = api.dial(callee.trunk(auth_username="us", auth_password="wrong"), new_room(api), identity=leg)
    assert (answer.status, answer.code) == (412, "failed_precondition"), answer
    assert "max auth retry attempts" in answer.json["msg"]
    invites = callee.received("INVITE", X_Attempt=leg)
    assert len(invites) == 5 and callee.calls("X-Attempt")[leg] == 1


def test_a_password_that_is_not_configured(api, phone):
    answer = api.dial(phone("asks password").trunk(), new_room(api))
    assert (answer.status, answer.code) == (412, "failed_precondition") and "server required auth" in answer.json["msg"]


def test_ringing_can_be_seen_by_asking(api, phone, hooks, leg, dialing):
    room = new_room(api)
    call = dialing(api.dial, phone("ringer").trunk(), room, identity=leg, ring=15)
    until("it rings", lambda: status_of(api, room, leg) == "ringing")
    who = api.participant(room, leg).json
    assert who["kind"] == "SIP" and who["state"] == "ACTIVE" and who["attributes"]["attempt"] == leg
    assert who["attributes"]["sip.callID"].startswith("SCL_")
    began = time.monotonic()
    assert api.delete_room(room).status == 200
    answer = call.result()
    assert (answer.status, answer.code) == (408, "canceled") and "sip request timed out" in answer.json["msg"], answer
    assert time.monotonic() - began < 3, "deleting the room ends the waiting at once"
    assert left(hooks, room) == ("ROOM_DELETED", "ringing")
    callee = phone("ringer")
    invite, = callee.received("INVITE", X_Attempt=leg)
    until("CANCEL", lambda: [one for one in callee.received("CANCEL") if one.call == invite.call])


def test_deleting_the_room_hangs_up_a_talk(api, phone, hooks, leg):
    room, callee = new_room(api), phone("listener")
    assert api.dial(callee.trunk(), room, identity=leg).status == 200
    assert api.delete_room(room).status == 200
    assert left(hooks, room) == ("ROOM_DELETED", "active")
    invite, = callee.received("INVITE", X_Attempt=leg)
    until("BYE", lambda: [one for one in callee.received("BYE") if one.call == invite.call])


def test_a_second_request_with_the_same_identity_rings_twice(api, phone, hooks, leg, dialing):
    """Nobody in LiveKit keeps a phone from ringing twice: this is why nothing is ever repeated."""
    room, callee = new_room(api), phone("ringer")
    first = dialing(api.dial, callee.trunk(), room, identity=leg, ring=10)
    until("it rings", lambda: status_of(api, room, leg) == "ringing")
    second = api.dial(callee.trunk(), room, identity=leg, ring=2)
    assert first.result().status == 408 and second.status == 408
    assert callee.calls("X-Attempt")[leg] == 2
    assert left(hooks, room)[0] == "DUPLICATE_IDENTITY"


def test_max_participants_refuses_a_second_leg_before_its_invite(api, phone, leg, dialing):
    room, callee = new_room(api, max_participants=1), phone("ringer")
    first = dialing(api.dial, callee.trunk(), room, identity=leg, ring=5)
    until("it rings", lambda: status_of(api, room, leg) == "ringing")
    second = api.dial(callee.trunk(), room, identity=leg + "-2", ring=5)
    assert (second.status, second.code) == (500, "internal") and "update room failed" in second.json["msg"], second
    assert first.result().seconds > 4, "the first leg rang on"
    assert leg + "-2" not in callee.calls("X-Attempt")


def test_agents_do_not_count_as_participants(api, phone, agent, leg):
    worker = agent("first")
    room = new_room(api, max_participants=1, metadata="room's", agents=[{"agent_name": "first", "metadata": "job's"}])
    assert worker.job(room) == {"room": room, "agent": "first", "metadata": "job's", "roomMetadata": "room's"}
    until("the agent's media stands", lambda: [(one["kind"], one["state"]) for one in
          api.participants(room).json["participants"]] == [("AGENT", "ACTIVE")])
    assert api.dial(phone("listener").trunk(), room, identity=leg).status == 200
    assert sorted(one["kind"] for one in api.participants(room).json["participants"]) == ["AGENT", "SIP"]
    api.delete_room(room)


def test_without_its_room_nothing_is_dialed(api, phone, leg):
    callee = phone("ringer")
    answer = api.dial(callee.trunk(), "a-room-nobody-made", identity=leg, ring=3)
    assert (answer.status, answer.code) == (500, "internal") and "update room failed" in answer.json["msg"], answer
    assert leg not in callee.calls("X-Attempt")


def test_a_client_that_leaves_does_not_end_the_ringing(api, phone, hooks, leg):
    room, callee = new_room(api), phone("ringer")
    with pytest.raises(TimeoutError):
        api.dial(callee.trunk(), room, identity=leg, ring=4, timeout=1)
    assert status_of(api, room, leg) == "ringing"
    assert left(hooks, room) == ("USER_UNAVAILABLE", "ringing")
    assert callee.calls("X-Attempt")[leg] == 1


def test_the_requests_deadline_bounds_the_ringing(api, phone, leg):
    callee = phone("ringer")
    answer = api.ask("SIP", "CreateSIPParticipant", {
        "trunk": callee.trunk(), "sip_call_to": "+15550123", "sip_number": "+15550100", "room_name": new_room(api),
        "participant_identity": leg, "headers": {"X-Attempt": leg}, "ringing_timeout": "20s", "wait_until_answered": True},
        sip={"call": True}, headers={"X-Twirp-Timeout-Ms": "3000"})
    assert (answer.status, answer.code, answer.sip_status) == (408, "deadline_exceeded", None), answer
    invite, = callee.received("INVITE", X_Attempt=leg)
    until("CANCEL", lambda: [one for one in callee.received("CANCEL") if one.call == invite.call])


def test_making_a_room_again_changes_nothing(api):
    room = new_room(api, metadata="one", agents=[{"agent_name": "first", "metadata": "m"}])
    assert api.create_room(room, metadata="two", agents=[{"agent_name": "second"}]).json["metadata"] == "one"
    dispatched = api.dispatches(room)
    assert [(one["agent_name"], one["metadata"]) for one in dispatched.json["agent_dispatches"]] == [("first", "m")]


def test_what_is_absent(api):
    gone = f"gone-{uuid.uuid4().hex}"
    assert (api.delete_room(gone).status, api.delete_room(gone).code) == (404, "not_found")
    assert (api.participant(gone, "x").status, api.participant(gone, "x").code) == (404, "not_found")
    assert api.participants(gone).json == {"participants": []}
    assert api.rooms(gone).json == {"rooms": []}
    answer = api.dispatches(gone)
    assert (answer.status, answer.code) == (503, "unavailable") and answer.seconds > 2, answer


def test_an_unknown_trunk(api):
    answer = api.dial("ST_nobody", new_room(api))
    assert (answer.status, answer.code) == (404, "not_found") and answer.sip_status is None
    assert "trunk does not exist" in answer.json["msg"]


@pytest.mark.parametrize("bearer, plain", [
    (livekit.token({"roomCreate": True}, secret="x" * 32), True),
    (livekit.token({"roomCreate": True}, key="nobody"), True),
    (livekit.token({"roomCreate": True}, exp=int(time.time()) - 120), True),
    (livekit.token({"roomList": True}), False),
    (None, False)], ids=["secret", "key", "expired", "grant", "none"])
def test_a_refused_token_is_401_in_plain_text_or_json(api, bearer, plain):
    answer = api.post("/twirp/livekit.RoomService/CreateRoom", {"name": "refused"}, bearer)
    assert answer.status == 401 and answer.kind.startswith("text/plain" if plain else "application/json"), answer


def test_a_webhook_is_signed_over_its_body(api, phone, hooks):
    room = new_room(api)
    api.dial(phone("busy").trunk(), room)
    hooks.wait(room, "participant_left")
    one = next(one for one in hooks.seen if one["event"]["event"] == "participant_left"
               and one["event"]["room"]["name"] == room)
    head, claims, signature = one["headers"]["Authorization"].split(".")
    made = hmac.new(livekit.SECRET.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "==") == made
    claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert claims["iss"] == livekit.KEY and claims["exp"] > time.time()
    assert base64.b64decode(claims["sha256"]) == hashlib.sha256(one["raw"]).digest()
    assert one["headers"]["Content-Type"] == "application/webhook+json"


def test_a_refused_webhook_is_sent_again(api, hooks):
    hooks.answer = 503
    try:
        room = new_room(api)
        until("the second try", lambda: len([e for e in hooks.of(room) if e["event"] == "room_started"]) >= 2, 10)
    finally:
        hooks.answer = 200
    api.delete_room(room)
    assert len({e["id"] for e in hooks.of(room) if e["event"] == "room_started"}) == 1
