"""LiveKit's server API in its own words, and nothing between: one request, one answer, with the
exact status and text. What the tests say about LiveKit they ask here, never through callgate."""
import base64
import hashlib
import hmac
import http.client
import json
import time
import uuid

KEY, SECRET = "e2ekey", "e2esecret-e2esecret-e2esecret-e2e"


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(video=None, sip=None, key=KEY, secret=SECRET, **claims):
    now = int(time.time())
    body = {"iss": key, "nbf": now - 30, "exp": now + 600, "video": video or {}, "sip": sip or {}, **claims}
    text = ".".join(_b64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, body))
    return f"{text}.{_b64(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


class Answer:
    def __init__(self, status, kind, text, seconds):
        self.status, self.kind, self.text, self.seconds = status, kind, text, seconds

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def code(self):
        return self.json["code"]

    @property
    def sip_status(self):
        return self.json.get("meta", {}).get("sip_status_code")

    def __repr__(self):
        return f"<{self.status} {self.kind} after {self.seconds:.2f} s: {self.text[:1500]}>"


class LiveKit:
    def __init__(self, port, host="127.0.0.1"):
        self.host, self.port = host, port

    def post(self, path, body, bearer=None, headers=None, timeout=100):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        began = time.monotonic()
        try:
            connection.request("POST", path, text, {
                "Content-Type": "application/json",
                **({"Authorization": f"Bearer {bearer}"} if bearer else {}), **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheader("Content-Type"), answer.read().decode(),
                          time.monotonic() - began)
        finally:
            connection.close()

    def ask(self, service, method, body, video=None, sip=None, **options):
        return self.post(f"/twirp/livekit.{service}/{method}", body, token(video, sip), **options)

    def create_room(self, name, **members):
        return self.ask("RoomService", "CreateRoom", {"name": name, **members}, {"roomCreate": True})

    def delete_room(self, name):
        return self.ask("RoomService", "DeleteRoom", {"room": name}, {"roomCreate": True})

    def rooms(self, *names):
        return self.ask("RoomService", "ListRooms", {"names": names}, {"roomList": True})

    def participant(self, room, identity):
        return self.ask("RoomService", "GetParticipant", {"room": room, "identity": identity},
                        {"roomAdmin": True, "room": room})

    def participants(self, room):
        return self.ask("RoomService", "ListParticipants", {"room": room}, {"roomAdmin": True, "room": room})

    def remove(self, room, identity):
        return self.ask("RoomService", "RemoveParticipant", {"room": room, "identity": identity},
                        {"roomAdmin": True, "room": room})

    def dispatches(self, room):
        return self.ask("AgentDispatchService", "ListDispatch", {"room": room}, {"roomAdmin": True, "room": room})

    def make_trunk(self, port, **members):
        """A stored trunk to a callee on loopback; its id."""
        answer = self.ask("SIP", "CreateSIPOutboundTrunk", {"trunk": {
            "name": f"to-{port}", "address": f"127.0.0.1:{port}", "transport": "SIP_TRANSPORT_UDP",
            "numbers": ["+15550100"], **members}}, sip={"admin": True})
        assert answer.status == 200, answer
        return answer.json["sip_trunk_id"]

    def dial(self, trunk, room, to="+15550123", ring=20, timeout=None, wait=True, identity=None, **members):
        """CreateSIPParticipant as a careful client sends it: nested deadlines, one identity each."""
        identity = identity or f"leg-{uuid.uuid4().hex[:12]}"
        return self.ask("SIP", "CreateSIPParticipant", {
            **({"sip_trunk_id": trunk} if isinstance(trunk, str) else {"trunk": trunk}),
            "sip_call_to": to, "sip_number": "+15550100", "room_name": room, "participant_identity": identity,
            "participant_attributes": {"attempt": identity}, "headers": {"X-Attempt": identity},
            "ringing_timeout": f"{ring}s", "max_call_duration": "120s", "wait_until_answered": wait, **members},
            sip={"call": True}, headers={"X-Twirp-Timeout-Ms": str((ring + 15) * 1000)},
            timeout=timeout or ring + 25)
