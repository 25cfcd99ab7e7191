"""The routes: who may, what was asked, what is wrong with it, and what the server says."""
import asyncio
import json
import re
import time

from . import errors, messages, phone, proto, token
from .errors import Refusal
from .http11 import Answer

ROUTES = {
    "livekit.RoomService": {
        "CreateRoom": (messages.CreateRoom, messages.Room), "DeleteRoom": (messages.DeleteRoom, messages.Empty),
        "ListRooms": (messages.ListRooms, messages.Rooms),
        "ListParticipants": (messages.ListParticipants, messages.Participants),
        "GetParticipant": (messages.RoomIdentity, messages.Participant),
        "RemoveParticipant": (messages.RoomIdentity, messages.Empty),
        "UpdateRoomMetadata": (messages.UpdateRoomMetadata, messages.Room)},
    "livekit.AgentDispatchService": {
        "CreateDispatch": (messages.CreateDispatch, messages.Dispatch),
        "ListDispatch": (messages.ListDispatch, messages.Dispatches),
        "DeleteDispatch": (messages.DeleteDispatch, messages.Dispatch)},
    "livekit.SIP": {
        "CreateSIPParticipant": (messages.CreateLeg, messages.Leg),
        "ListSIPOutboundTrunk": (messages.ListTrunks, messages.Trunks),
        "GetSIPOutboundTrunk": (messages.GetTrunk, messages.GotTrunk),
        "CreateSIPOutboundTrunk": (messages.CreateTrunk, messages.Trunk)},
}
# Where a request does not say how long it may take, in seconds.
DEFAULT_DEADLINE = {"CreateSIPParticipant": 30, "wait": 80}
REFUSED_HEADERS = {"from", "contact", "call-id", "cseq", "max-forwards", "record-route", "reply-to", "allow", "via",
                   "to"}


def no_pairs_twice(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


class Twirp:
    def __init__(self, fake):
        self.fake, self.house, self.phones, self.config = fake, fake.house, fake.phones, fake.config
        self.requests = []
        self.tasks = set()

    async def handle(self, http):
        """A request that came is carried out to its end, whether or not its client stays."""
        task = asyncio.get_running_loop().create_task(self.serve(http))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return await asyncio.shield(task)

    async def serve(self, http):
        entry = {"n": len(self.requests) + 1, "at": time.time(), "method": f"{http.method} {http.path}",
                 "headers": http.headers, "body": http.body.decode(errors="replace"), "port": http.peer[1]}
        self.requests.append(entry)
        answer = await self.route(http, entry)
        entry["status"], entry["took"] = answer.status, time.time() - entry["at"]
        entry["answer"] = answer.body.decode(errors="replace")
        return answer

    # ── before the method ──

    def authenticate(self, http):
        """The claims, {} without a token; or the middleware's refusal, in plain text."""
        header = http.headers.get("authorization", "")
        if header and not header.startswith("Bearer "):
            raise token.Refused("invalid authorization header. Must start with Bearer ")
        text = header[len("Bearer "):] or http.query.get("access_token", "")
        if not text:
            return "", {}
        try:
            return text, token.verify(text, self.config["keys"])
        except token.Refused as refused:
            words = str(refused)
            raise token.Refused(words if words == "invalid API key" else
                                f"invalid authorization token: {words}") from None

    async def route(self, http, entry):
        complain = self.fake.complain
        try:
            text, claims = self.authenticate(http)
        except token.Refused as refused:
            complain(f"{http.path}: 401, {refused}")
            return Answer.text(401, str(refused))
        entry.update(token=text, claims=claims)
        path = re.sub("^/+", "/", http.path)
        if path == "/":
            return Answer.text(200, "OK")
        found = re.fullmatch(r"/twirp/([^/]+)/([^/]+)", path)
        if not found or found.group(1) not in ROUTES:
            complain(f"{http.method} {http.path}: no such path")
            return Answer.text(404, "404 page not found\n")
        service, method = found.groups()
        try:
            return await self.method(http, entry, service, method)
        except Refusal as refusal:
            return refusal.answer()

    def bad_route(self, http, words):
        self.fake.complain(f"{http.method} {http.path}: {words}")
        return Refusal("bad_route", words, {"twirp_invalid_route": f"{http.method} {http.path}"})

    async def method(self, http, entry, service, method):
        if method not in ROUTES[service]:
            raise self.bad_route(http, f"no handler for path {http.path!r}")
        if http.method != "POST":
            raise self.bad_route(http, f"unsupported method {http.method!r} (only POST is allowed)")
        kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise self.bad_route(http, f"unexpected Content-Type: {http.headers.get('content-type', '')!r}")
        takes, gives = ROUTES[service][method]
        entry["method"] = method
        fields = entry["fields"] = self.decode(takes, http.body, method)
        do = self.fake.rules.take(self.about(method, fields))
        deadline = self.deadline(http, method, fields)
        if do.get("before"):
            await asyncio.sleep(do["before"])
        usual = None
        if do.get("act", True):
            usual = await self.act(entry, method, fields, do, deadline, gives)
        if do.get("after"):
            await asyncio.sleep(do["after"])
        if do.get("never"):
            await asyncio.Event().wait()
        return errors.answer_of(do["answer"], usual) if "answer" in do else usual

    def decode(self, message, body, where):
        try:
            value = json.loads(body.decode(), object_pairs_hook=no_pairs_twice)
            return proto.read_message(message, value, where, self.fake.complain)
        except (ValueError, RecursionError, proto.Malformed) as error:
            self.fake.complain(f"{where}: malformed: {error}")
            raise Refusal("malformed", f"the json request could not be decoded: {error}") from None

    def about(self, method, fields):
        return {"method": method, "to": fields.get("sip_call_to"),
                "room": fields.get("room_name") or fields.get("room") or fields.get("name"),
                "identity": fields.get("participant_identity") or fields.get("identity")}

    def deadline(self, http, method, fields):
        """Loop time at which the server gives up."""
        given = http.headers.get("x-twirp-timeout-ms")
        usual = DEFAULT_DEADLINE["wait" if fields.get("wait_until_answered") else "CreateSIPParticipant"]
        if given is not None and not given.isdigit():
            self.fake.complain(f"{method}: X-Twirp-Timeout-Ms is not a number: {given!r}")
            given = None
        allowed = int(given) / 1000 if given else usual
        if method == "CreateSIPParticipant":
            allowed /= self.config["speed"]
        return asyncio.get_running_loop().time() + allowed

    async def act(self, entry, method, fields, do, deadline, gives):
        try:
            self.permit(entry, method, fields)
            if method == "CreateSIPParticipant":
                value = await self.create_leg(entry, fields, do, deadline)
            elif do.get("pretend"):
                value = {}
            else:
                value = getattr(self, method)(fields)
        except Refusal as refusal:
            return refusal.answer()
        return Answer.json(proto.answer(gives, value))

    def permit(self, entry, method, fields):
        if not entry["token"]:
            self.fake.complain(f"{method}: no token")
        about = self.about(method, fields)
        if not token.allowed(entry["claims"], method, about["room"]):
            self.fake.complain(f"{method}: the token does not allow it: {entry['claims']}")
            raise Refusal("unauthenticated", "permissions denied")
        for what in token.too_much(entry["claims"], method):
            if self.config["strict_grants"]:
                self.fake.complain(f"{method}: the token allows more than this call needs: {what}")
        for what in token.odd(entry["claims"]):
            self.fake.complain(f"{method}: LiveKit knows nothing of {what} in a token")

    # ── RoomService ──

    def CreateRoom(self, rq):
        name, metadata = rq.get("name", ""), rq.get("metadata", "")
        if not name:
            self.fake.complain("CreateRoom: no name")
            raise Refusal("invalid_argument", "no room name")
        if len(name.encode()) > 256:
            self.fake.complain("CreateRoom: the name is longer than 256 bytes")
            raise Refusal("invalid_argument", "room name length exceeds limits: max length 256")
        if len(metadata.encode()) > 512 * 1024:
            self.fake.complain("CreateRoom: more than 512 KiB of metadata")
            raise Refusal("invalid_argument", "metadata size exceeds limits", {"argument": "524288"})
        return self.house.create(rq).view()

    def DeleteRoom(self, rq):
        self.house.delete(rq.get("room", ""))
        return {}

    def ListRooms(self, rq):
        names = rq.get("names")
        return {"rooms": [room.view() for room in self.house.rooms.values() if not names or room.name in names]}

    def ListParticipants(self, rq):
        room = self.house.rooms.get(rq.get("room"))
        return {"participants": [one.info for one in room.participants.values()] if room else []}

    def GetParticipant(self, rq):
        return self.house.participant(rq.get("room"), rq.get("identity")).info

    def RemoveParticipant(self, rq):
        self.house.remove(rq.get("room"), rq.get("identity"))
        return {}

    def UpdateRoomMetadata(self, rq):
        room = self.house.room(rq.get("room"))
        room.info["metadata"] = rq.get("metadata", "")
        return room.view()

    # ── AgentDispatchService ──

    def CreateDispatch(self, rq):
        if rq.get("room") not in self.house.rooms and self.config["auto_create"]:
            self.house.create({"name": rq["room"]})
        return self.house.dispatch(self.house.room(rq.get("room")), rq)

    def ListDispatch(self, rq):
        room = self.house.room(rq.get("room"))
        return {"agent_dispatches": [one for one in room.dispatches if rq.get("dispatch_id") in (None, "", one["id"])]}

    def DeleteDispatch(self, rq):
        for one in self.house.room(rq.get("room")).dispatches:
            if one["id"] == rq.get("dispatch_id"):
                one["state"]["deleted_at"] = int(time.time() * 1e9)
                return one
        raise Refusal("not_found", "dispatch not found")

    # ── SIP ──

    def trunk_known(self, ref):
        """ST_fake_…, a test's own: known as well, and like ST_fake."""
        return ref in self.config["trunks"] or str(ref).startswith("ST_fake_")

    def trunk(self, ref):
        return self.config["trunks"].get(ref) or {**self.config["trunks"]["ST_fake"], "sip_trunk_id": ref}

    def GetSIPOutboundTrunk(self, rq):
        if not self.trunk_known(rq.get("sip_trunk_id")):
            raise errors.named("unknown_trunk")
        return {"trunk": self.trunk(rq["sip_trunk_id"])}

    def ListSIPOutboundTrunk(self, rq):
        wanted = rq.get("trunk_ids") or list(self.config["trunks"])
        return {"items": [self.trunk(ref) for ref in wanted if self.trunk_known(ref)]}

    def CreateSIPOutboundTrunk(self, rq):
        self.fake.complain("CreateSIPOutboundTrunk: callgate creates no trunks")
        raise Refusal("unimplemented", "not here")

    def check_leg(self, entry, rq):
        """What the server can do without and callgate must not: each is a double dial, a wrong
        caller or a call without an end."""
        complain, where = self.fake.complain, f"CreateSIPParticipant to {rq.get('sip_call_to')}"
        for field in ("sip_number", "participant_identity", "ringing_timeout", "max_call_duration",
                      "participant_attributes", "headers"):
            if not rq.get(field):
                complain(f"{where}: no {field}")
        if not any(name.lower().startswith("x-") and value in rq.get("participant_attributes", {}).values()
                   for name, value in rq.get("headers", {}).items()):
            complain(f"{where}: no X- header holds an attempt that the attributes hold too")
        for name, value in rq.get("headers", {}).items():
            if name.lower() in REFUSED_HEADERS or name.lower().startswith("content-"):
                complain(f"{where}: header {name} is not allowed")
            if len(name) > 255 or len(value) > 1024:
                complain(f"{where}: header {name} is too long")
        given = entry["headers"].get("x-twirp-timeout-ms")
        rings = phone.seconds(rq.get("ringing_timeout"))
        if rq.get("wait_until_answered") and (not given or int(given) / 1000 <= rings):
            complain(f"{where}: X-Twirp-Timeout-Ms is {given}, the ringing timeout {rq.get('ringing_timeout')}")
        if rq.get("sip_trunk_id") and rq.get("trunk"):
            complain(f"{where}: a stored trunk and an inline one; the second is ignored")

    def validate_leg(self, rq):
        if not rq.get("sip_trunk_id") and not rq.get("trunk") and not rq.get("sip_number"):
            raise Refusal("invalid_argument", "missing sip trunk id and sip number")
        if not rq.get("sip_call_to"):
            raise errors.named("invalid_request")
        if "@" in rq["sip_call_to"]:
            raise Refusal("invalid_argument", "SipCallTo should be a phone number or SIP user, not a full SIP URI")
        if not rq.get("room_name"):
            raise Refusal("invalid_argument", "missing room name")
        trunk = rq.get("trunk")
        if trunk is not None and (not trunk.get("hostname") or re.search("[@;]|^sip:", trunk["hostname"])):
            raise Refusal("invalid_argument", "trunk hostname should be a host or host:port")
        if rq.get("sip_trunk_id") and not self.trunk_known(rq["sip_trunk_id"]):
            raise errors.named("unknown_trunk")
        if not rq.get("sip_trunk_id") and not rq.get("trunk"):
            raise Refusal("invalid_argument", "no outbound trunk")

    async def create_leg(self, entry, rq, do, deadline):
        self.check_leg(entry, rq)
        try:
            self.validate_leg(rq)
        except Refusal as refusal:
            self.fake.complain(f"CreateSIPParticipant: {refusal.msg}")
            raise
        life = (phone.life_of(do["life"]) if "life" in do else
                phone.life_of_number(rq["sip_call_to"], self.config["default_life"]))
        leg = self.phones.start(rq, life, deadline)
        if "at" in do:
            await leg.stages[do["at"]].wait()
            return self.leg_info(leg, rq)
        if not rq.get("wait_until_answered"):
            await leg.stages["joined"].wait()
            if leg.entry is None:
                raise leg.outcome.result()
            return self.leg_info(leg, rq)
        refusal = await self.wait(leg, deadline)
        if refusal:
            raise refusal
        return self.leg_info(leg, rq)

    async def wait(self, leg, deadline):
        loop = asyncio.get_running_loop()
        # A moment's grace: the leg's own end at this deadline is the better answer.
        done, _ = await asyncio.wait([leg.outcome], timeout=max(0, deadline - loop.time()) + 0.05)
        return leg.outcome.result() if done else errors.named("deadline")

    def leg_info(self, leg, rq):
        return {"participant_id": leg.participant.info["sid"] if leg.participant else "",
                "participant_identity": leg.identity, "room_name": rq["room_name"], "sip_call_id": leg.call_id}
