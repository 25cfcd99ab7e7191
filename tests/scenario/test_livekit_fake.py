"""The fake LiveKit is only worth something if it is as strict and as odd as the real one: its
side of the contract, without callgate."""
import base64
import concurrent.futures
import hashlib
import http.client
import http.server
import json
import threading
import time

import pytest

from fakes.livekit import token
from harness.client import Client
from harness.livekit import KEY, SECRET, livekit, livekit_process, named  # noqa: F401 (fixtures)
from harness.wait import until
from harness.world import destination


class Api:
    """A client as callgate is one, for a room."""

    def __init__(self, fake):
        self.fake, self.client = fake, Client(fake.url)

    def post(self, method, body, grants=None, service="RoomService", headers=None, **claims):
        grants = {"video": {"roomCreate": True}} if grants is None else grants
        text = token.make(KEY, SECRET, {**grants, **claims})
        return self.client.post(f"/twirp/livekit.{service}/{method}", body,
                                {"Authorization": f"Bearer {text}", **(headers or {})})

    def admin(self, method, body, room="r"):
        return self.post(method, body, {"video": {"roomAdmin": True, "room": room}})

    def room(self, name="r", **more):
        answer = self.post("CreateRoom", {"name": name, **more})
        assert answer.status == 200, answer
        return answer.json

    def leg(self, to, headers=None, room="r", **more):
        body = {"sip_trunk_id": "ST_fake", "sip_call_to": to, "sip_number": "+15550100", "room_name": room,
                "participant_identity": f"leg-{to}", "participant_attributes": {"callgate.attempt": f"a-{to}"},
                "headers": {"X-Callgate-Attempt": f"a-{to}"}, "ringing_timeout": "5s", "max_call_duration": "60s",
                "wait_until_answered": True, **more}
        return self.post("CreateSIPParticipant", body, {"sip": {"call": True}}, "SIP",
                         {"X-Twirp-Timeout-Ms": "20000", **(headers or {})})


@pytest.fixture
def api(livekit):
    return Api(livekit)


def test_a_room_is_made_once_and_answers_with_every_field(api, livekit):
    room = api.room(metadata='{"k":"v"}', emptyTimeout=60)
    assert room["empty_timeout"] == 60 and room["departure_timeout"] == 20 and room["max_participants"] == 0
    assert isinstance(room["creation_time"], str) and room["active_recording"] is False
    assert api.room(metadata="other", emptyTimeout=60)["metadata"] == '{"k":"v"}'
    assert len(livekit.complaints()) == 1


@pytest.mark.parametrize("body", ['{"name":"r","empty_timeout":"x"}', '{"name":1}', '{"name":"r"', "[]",
                                  '{"name":"r","empty_timeout":1,"emptyTimeout":2}', '{"name":"r","name":"s"}',
                                  '{"name":"r","empty_timeout":-1}', '{"name":"r","sync_streams":1}'])
def test_a_wrong_type_is_malformed(api, livekit, body):
    answer = api.post("CreateRoom", body)
    assert (answer.status, answer.json["code"]) == (400, "malformed")
    assert livekit.complaints()


def test_a_duration_is_a_text_with_an_s(api, livekit):
    api.room()
    for bad in (30, "30", "30 s", "1m", ""):
        assert api.leg(destination(), ringing_timeout=bad).json["code"] == "malformed"
    assert len(livekit.complaints()) == 5


def test_what_is_unknown_is_swallowed_but_told(api, livekit):
    assert api.post("CreateRoom", {"name": "r", "colour": "red"}).status == 200
    assert "colour" in livekit.complaints()[0]


@pytest.mark.parametrize("wrong", ["secret", "key", "expired", "no_exp", "early", "none", "no_bearer", "nonsense"])
def test_a_bad_token_is_a_plain_401(api, livekit, wrong):
    text = {"secret": lambda: token.make(KEY, "x", {}), "key": lambda: token.make("x", SECRET, {}),
            "expired": lambda: token.make(KEY, SECRET, {}, -61 - 1), "nonsense": lambda: "a.b",
            "no_exp": lambda: token.make(KEY, SECRET, {"exp": None}),
            "early": lambda: token.make(KEY, SECRET, {"nbf": int(time.time()) + 90}),
            "none": lambda: f"{token.encode(b'{}')}.{token.encode(json.dumps({'iss': KEY}).encode())}.",
            "no_bearer": lambda: token.make(KEY, SECRET, {})}[wrong]()
    header = text if wrong == "no_bearer" else f"Bearer {text}"
    answer = api.client.post("/twirp/livekit.RoomService/CreateRoom", {"name": "r"}, {"Authorization": header})
    assert answer.status == 401 and answer.headers["content-type"].startswith("text/plain")
    assert livekit.complaints()


@pytest.mark.parametrize("method, body, grants", [
    ("CreateRoom", {"name": "r"}, {}), ("CreateRoom", {"name": "r"}, {"video": {"roomList": True}}),
    ("ListParticipants", {"room": "r"}, {"video": {"roomAdmin": True}}),
    ("ListParticipants", {"room": "r"}, {"video": {"roomAdmin": True, "room": "R"}}),
    ("ListParticipants", {"room": "r"}, {"video": {"roomCreate": True, "room": "r"}})])
def test_a_missing_grant_is_a_json_401(api, livekit, method, body, grants):
    answer = api.post(method, body, grants)
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert livekit.complaints()


def test_admin_of_sip_may_not_call(api, livekit):
    api.room()
    answer = api.post("CreateSIPParticipant", {"sip_call_to": "+1"}, {"sip": {"admin": True}}, "SIP")
    assert answer.status == 401 and answer.json["msg"] == "permissions denied"
    livekit.complaints()


def test_routes(api, livekit):
    assert Client(livekit.url).get("/").body == b"OK"
    assert not livekit.complaints()
    for path, method, kind in (("RoomService/Nothing", "POST", "application/json"), ("RoomService/CreateRoom", "GET", ""),
                               ("RoomService/CreateRoom", "POST", "text/plain")):
        text = token.make(KEY, SECRET, {})
        answer = api.client.request(method, f"/twirp/livekit.{path}", b"{}" if method == "POST" else None,
                                    {"Authorization": f"Bearer {text}", "Content-Type": kind})
        assert (answer.status, answer.json["code"]) == (404, "bad_route")
    assert len(livekit.complaints()) == 3


def test_what_is_not_there(api):
    for method, body in (("GetParticipant", {"room": "r", "identity": "i"}), ("UpdateRoomMetadata", {"room": "r"}),
                         ("RemoveParticipant", {"room": "r", "identity": "i"})):
        assert (api.admin(method, body).status, api.admin(method, body).json["code"]) == (404, "not_found")
    assert api.post("DeleteRoom", {"room": "r"}).status == 404
    assert api.admin("ListParticipants", {"room": "r"}).json == {"participants": []}


def test_an_answered_call_from_dialing_to_hangup(api, livekit):
    livekit.set(webhook_url=None)
    api.room()
    to = destination()
    livekit.rule(life={"ring": 0.1, "answer": 0.3, "talk": 0.3})
    seen = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(api.leg, to)
        while not waiting.done() or seen[-1:] != [None]:
            answer = api.admin("GetParticipant", {"room": "r", "identity": f"leg-{to}"})
            status = answer.json["attributes"]["sip.callStatus"] if answer.status == 200 else None
            seen += [status] if seen[-1:] != [status] else []
            time.sleep(0.01)
    assert [one for one in seen if one] == ["dialing", "ringing", "active"]
    answer = waiting.result()
    assert answer.status == 200 and answer.json["participant_identity"] == f"leg-{to}"
    invite = livekit.invite(to)
    assert invite["call_id"] == answer.json["sip_call_id"] and invite["how"] == "callee" and invite["status"] == "hangup"
    events = [one["event"] for one in livekit.get("events")]
    assert events == ["room_started", "participant_joined", "track_published", "participant_left"]
    left = json.loads(livekit.get("events")[-1]["body"])
    assert left["participant"]["disconnectReason"] == "CLIENT_INITIATED" and "createdAt" in left
    assert left["participant"]["attributes"]["sip.callStatus"] == "hangup"


@pytest.mark.parametrize("status, http_status, code", [
    (486, 429, "resource_exhausted"), (600, 429, "resource_exhausted"), (603, 403, "permission_denied"),
    (607, 403, "permission_denied"), (608, 403, "permission_denied"), (480, 429, "resource_exhausted"),
    (404, 404, "not_found"), (604, 404, "not_found"), (410, 404, "not_found"), (484, 400, "invalid_argument"),
    (400, 400, "invalid_argument"), (488, 400, "invalid_argument"), (403, 403, "permission_denied"),
    (402, 403, "permission_denied"), (408, 408, "deadline_exceeded"), (504, 408, "deadline_exceeded"),
    (487, 409, "aborted"), (503, 412, "failed_precondition"), (500, 412, "failed_precondition"),
    (428, 401, "unauthenticated")])
def test_a_trunks_refusal_has_its_twirp_code_and_its_sip_status(api, livekit, status, http_status, code):
    api.room()
    answer = api.leg(destination(status))
    assert (answer.status, answer.json["code"]) == (http_status, code)
    assert answer.json["meta"]["sip_status_code"] == str(status) and answer.json["meta"]["sip_status"]
    assert len(livekit.invites()) == 1


@pytest.mark.parametrize("name, http_status, code, invites", [
    ("update_room_failed", 500, "internal", 0), ("cpu_exhausted", 503, "unavailable", 0),
    ("no_response", 503, "unavailable", 0), ("no_servers", 503, "unavailable", 0), ("unknown_trunk", 404, "not_found", 0),
    ("invalid_request", 400, "invalid_argument", 0), ("no_numbers", 412, "failed_precondition", 0),
    ("silent", 408, "canceled", 1), ("no_final", 408, "canceled", 1), ("node_stopping", 408, "canceled", 1),
    ("timeout_race", 412, "failed_precondition", 1), ("wrong_password", 412, "failed_precondition", 1),
    ("no_credentials", 412, "failed_precondition", 1), ("refused", 412, "failed_precondition", 1),
    ("dns", 400, "invalid_argument", 1), ("no_codec", 412, "failed_precondition", 1),
    ("deadline", 408, "deadline_exceeded", 1)])
def test_the_rows_without_a_sip_status(api, livekit, name, http_status, code, invites):
    api.room()
    answer = api.leg(named(livekit, name))
    assert (answer.status, answer.json["code"]) == (http_status, code)
    assert "sip_status_code" not in answer.json.get("meta", {})
    assert len(livekit.invites()) == invites


def test_nobody_answers_until_the_ring_timeout(api, livekit):
    livekit.set(speed=20)
    api.room()
    to = destination(102)
    answer = api.leg(to)
    assert (answer.status, answer.json["code"]) == (408, "canceled") and "sip request timed out" in answer.json["msg"]
    assert livekit.invite(to)["cancel"] == "ringing timeout"


def test_deleting_the_room_while_it_rings_cancels_the_invite(api, livekit):
    api.room()
    to = destination(102)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(api.leg, to)
        livekit.until_invited(to)
        assert api.post("DeleteRoom", {"room": "r"}).status == 200
        assert "sip request timed out" in waiting.result().json["msg"]
    assert livekit.invite(to)["cancel"] == "ROOM_DELETED"
    assert not livekit.get("rooms")


def test_without_its_room_a_leg_is_not_dialed(api, livekit):
    answer = api.leg(destination())
    assert (answer.status, answer.json["code"]) == (500, "internal") and "update room failed" in answer.json["msg"]
    assert not livekit.invites()


def test_a_second_leg_in_a_room_for_one_is_not_dialed(api, livekit):
    api.room(max_participants=1)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        to = destination(102)
        first = pool.submit(api.leg, to)
        livekit.until_invited(to)
        assert "update room failed" in api.leg(destination()).json["msg"]
        api.post("DeleteRoom", {"room": "r"})
        first.result()
    assert len(livekit.invites()) == 1


def test_the_same_identity_again_rings_twice_and_is_told(api, livekit):
    api.room()
    to = destination(102)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(api.leg, to)
        livekit.until_invited(to)
        second = pool.submit(api.leg, to)
        assert first.result().json["code"] == "canceled"
        until("two INVITEs", lambda: len(livekit.invites(to)) == 2)
        api.post("DeleteRoom", {"room": "r"})
        second.result()
    assert len(livekit.complaints()) == 3


def test_what_the_server_would_do_without_is_missed(api, livekit):
    api.room()
    for missing in ("ringing_timeout", "max_call_duration", "sip_number", "participant_identity"):
        api.leg(destination(486), **{missing: None})
        assert any(missing in one for one in livekit.complaints()), missing
    api.leg(destination(486), headers={"X-Twirp-Timeout-Ms": "4000"})
    assert any("X-Twirp-Timeout-Ms" in one for one in livekit.complaints())


def test_an_agent_comes_or_never(api, livekit):
    livekit.set(agents={"never": {"never": True}, "late": {"after": 0.3}})
    for agent, when in (("prompt", 0), ("late", 0.3), ("never", None)):
        began = time.monotonic()
        api.room(agent, agents=[{"agent_name": agent, "metadata": "{}"}])
        ask = lambda: [(one["kind"], one["state"]) for one in api.admin(  # noqa: E731
            "ListParticipants", {"room": agent}, agent).json["participants"]]
        if when is None:
            time.sleep(0.3)
            assert ask() == []
        else:
            until(f"{agent} is active", lambda: ask() == [("AGENT", "ACTIVE")])
            assert time.monotonic() - began >= when


def test_a_room_with_nobody_but_agents_closes(api, livekit):
    livekit.set(room_speed=50)
    api.room(empty_timeout=10, agents=[{"agent_name": "a"}])
    until("it is closed", lambda: not livekit.get("rooms"))
    assert livekit.get("events")[-1]["event"] == "room_finished"


def test_a_reply_can_be_lost_after_the_deed(api, livekit):
    api.room()
    to = destination()
    livekit.rule(at="ringing", answer={"kind": "close"})
    with pytest.raises((http.client.HTTPException, OSError)):
        api.leg(to)
    until("the call went on without us", lambda: livekit.invite(to).get("how") == "callee")


def test_replies_can_be_wrong_in_every_way(api, livekit):
    livekit.rule("ListRooms", answer={"kind": "html", "status": 502}, act=False)
    livekit.rule("ListRooms", answer={"kind": "cut"})
    livekit.rule("ListRooms", answer={"kind": "close"}, act=False)
    livekit.rule("ListRooms", after=0.3)
    ask = lambda: api.post("ListRooms", {}, {"video": {"roomList": True}})  # noqa: E731
    answer = ask()
    assert answer.status == 502 and answer.headers["content-type"] == "text/html"
    for _ in range(2):
        with pytest.raises((http.client.HTTPException, OSError)):
            ask()
    began = time.monotonic()
    assert ask().status == 200 and time.monotonic() - began >= 0.3


# ── webhooks ─────────────────────────────────────────────────────────────────────────────

@pytest.fixture
def receiver(livekit):
    """Counts what arrives; `codes` are the answers to come, 200 afterwards."""
    got, codes = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((dict(self.headers), body))
            self.send_response(codes.pop(0) if codes else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    livekit.set(webhook_url=f"http://127.0.0.1:{server.server_port}/hook", hook_speed=50)
    server.got, server.codes = got, codes
    yield server
    server.shutdown()
    server.server_close()


def genuine(headers, body):
    assert headers["Content-Type"] == "application/webhook+json" and not headers["Authorization"].startswith("Bearer")
    claims = token.verify(headers["Authorization"], {KEY: SECRET})
    return claims["sha256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()


def events(receiver):
    return [json.loads(body)["event"] for _, body in receiver.got]


def settle(livekit, count):
    until(f"{count} events went out", lambda: len(livekit.get("sent")) >= count)


def test_webhooks_are_signed_camel_case_and_without_zeros(api, livekit, receiver):
    api.room(metadata="m")
    settle(livekit, 1)
    headers, body = receiver.got[0]
    assert genuine(headers, body)
    event = json.loads(body)
    assert event["event"] == "room_started" and event["room"]["emptyTimeout"] == 300 and event["id"].startswith("EV_")
    assert "maxParticipants" not in event["room"] and "participant" not in event


def test_a_webhook_is_tried_again_on_5xx_and_not_on_4xx(api, livekit, receiver):
    receiver.codes += [503, 500, 200]
    api.room("a")
    settle(livekit, 3)
    receiver.codes += [404]
    api.room("b")
    settle(livekit, 4)
    time.sleep(0.1)
    assert len(receiver.got) == 4 and len({body for _, body in receiver.got}) == 2


def test_webhooks_go_wrong_on_demand(api, livekit, receiver):
    livekit.order("room_started", room="lost", drop=True)
    livekit.order("room_started", room="double", copies=2)
    livekit.order("room_started", room="turned", hold=1)
    for name in ("lost", "double", "turned"):
        api.room(name)
        api.post("DeleteRoom", {"room": name})
    settle(livekit, 6)
    of = lambda name: [json.loads(b)["event"] for _, b in receiver.got if json.loads(b)["room"]["name"] == name]  # noqa: E731
    assert of("lost") == ["room_finished"]
    assert of("double") == ["room_started", "room_started", "room_finished"]
    assert of("turned") == ["room_finished", "room_started"]


@pytest.mark.parametrize("wrong", ["forged", "other_key", "expired", "no_exp", "wrong_sha", "changed_body", "no_auth",
                                   "not_hs256"])
def test_a_wrong_signature_is_wrong(api, livekit, receiver, wrong):
    livekit.order("room_started", wrong=wrong)
    api.room()
    settle(livekit, 1)
    headers, body = receiver.got[0]
    if wrong == "no_auth":
        assert "Authorization" not in headers
    elif wrong in ("wrong_sha", "changed_body"):
        assert not genuine(headers, body)
    else:
        with pytest.raises(token.Refused):
            genuine(headers, body)
