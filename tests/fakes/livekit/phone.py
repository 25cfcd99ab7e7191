"""SIP legs. A leg joins its room, sends its INVITE, and then lives as its telephone does; the
ledger of INVITEs is what a callee would count. Nothing here knows who waits for the answer: a
leg goes on when the client has gone, as the real one does."""
import asyncio
import re
import time

from . import errors
from .errors import Refusal
from .house import Participant, sid

# A life: seconds after the request until the leg is in the room (`join`), after the INVITE until
# 18x (`ring`; null: never), then until 200 (`answer`) or until the refusal (`sip` with `phrase`,
# or `error`, a name of errors.AFTER; `after` seconds); without either it rings until somebody
# stops it. An answered one talks `talk` seconds (null: until somebody stops it) and is then
# ended by `end`.
USUAL = {"join": 0.01, "ring": 0.02, "answer": 0.1, "talk": 0.2, "end": "callee", "after": 0.05}
LIVES = {
    "answered": {},
    "rings": {"answer": None},
    "silent_line": {"answer": None, "ring": None},
    "no_18x": {"ring": None},
    "long_talk": {"talk": None},
    "agent_hangs_up": {"end": "agent"},
    "media_timeout": {"end": "media_timeout"},
    "node_stops": {"end": "node_stopped"},
    "node_dies": {"end": "node_died"},
    "dtmf": {"automation": 0.1},
}
# The last four digits of +1NPA555xxxx; 0400 … 0699 are SIP statuses.
SUFFIXES = {100: "answered", 102: "rings", 103: "silent_line", 104: "no_18x", 110: "answered", 111: "long_talk",
            112: "agent_hangs_up", 113: "media_timeout", 114: "node_stops", 115: "node_dies"}
NAMED = {number: name for number, name in enumerate([*errors.BEFORE, *errors.AFTER], 700)}
AFTER_RING = ("timed_out", "timeout_race", "no_final", "deadline")

# What the webhook says, by how it ended (the snapshot's column of the table).
USER_UNAVAILABLE = (404, 408, 480)
ENDS = {"callee": ("CLIENT_INITIATED", "hangup"), "max_duration": ("CLIENT_INITIATED", "hangup"),
        "media_timeout": ("CLIENT_INITIATED", None), "node_stopped": ("CLIENT_INITIATED", None),
        "node_died": ("CONNECTION_TIMEOUT", None)}


def seconds(duration):
    return float(duration[:-1]) if duration else 0.0


def life_of(given):
    """The whole life behind a name or some members; {"error": …} for a name of the tables."""
    if isinstance(given, str):
        if given in LIVES:
            given = LIVES[given]
        elif given in errors.BEFORE or given in errors.AFTER:
            given = {"answer": None, "error": given, **({} if given in AFTER_RING else {"ring": None})}
        else:
            raise ValueError(f"no such life: {given}")
    life = {**USUAL, **given}
    unknown = set(life) - set(USUAL) - {"sip", "phrase", "error", "automation", "attributes", "retry"}
    if unknown:
        raise ValueError(f"a life has no {unknown}")
    if "sip" in given or "error" in given:
        life["answer"] = None
    return life


def life_of_number(to, default):
    found = re.fullmatch(r"\+1[0-9]{3}555([0-9]{4})", to)
    number = int(found.group(1)) if found else -1
    if number in SUFFIXES:
        return life_of(SUFFIXES[number])
    if number in NAMED:
        return life_of(NAMED[number])
    if 400 <= number < 700:
        return life_of({"sip": number})
    return life_of(default)


class Stopped(Exception):
    """Somebody ended the leg: removed from its room, room deleted, evicted."""


class Leg:
    def __init__(self, phones, request, life, deadline):
        self.phones, self.request, self.life = phones, request, life
        self.house, self.config = phones.house, phones.config
        self.call_id = sid("SCL")
        self.identity = request.get("participant_identity") or f"sip_{request.get('sip_call_to')}"
        self.deadline = deadline                # of the RPC, loop time
        self.removed = asyncio.get_running_loop().create_future()
        self.stages = {name: asyncio.Event() for name in ("joined", "ringing", "answered", "end")}
        self.outcome = asyncio.get_running_loop().create_future()       # what wait mode answers
        self.entry = self.participant = None

    # ── steps ──

    def reach(self, *stages):
        for stage in stages:
            self.stages[stage].set()

    def status(self, word):
        self.participant.attributes["sip.callStatus"] = word
        self.participant.info["version"] += 1
        self.entry["status"] = word

    async def stay(self, duration, until=None):
        """Lets so many seconds pass, None: for ever, unless the leg is stopped; False when `until`
        (loop time) came first."""
        loop = asyncio.get_running_loop()
        wanted = float("inf") if duration is None else loop.time() + duration
        end = min(wanted, float("inf") if until is None else until)
        done, _ = await asyncio.wait([self.removed], timeout=None if end == float("inf") else max(0, end - loop.time()))
        if done:
            raise Stopped(self.removed.result())
        return end == wanted

    def join(self):
        room = self.house.rooms.get(self.request["room_name"])
        if room is None:
            if not self.config["auto_create"]:
                raise Refusal("internal", "twirp error unknown: update room failed: room does not exist")
            room = self.house.create({"name": self.request["room_name"]})
        hidden = self.request.get("hide_phone_number")
        number = {} if hidden else {"sip.phoneNumber": self.request["sip_call_to"], "sip.hostname": "trunk.example",
                                    "sip.trunkPhoneNumber": self.request.get("sip_number", "")}
        self.participant = Participant(
            room, self.identity, "SIP", name=self.request.get("participant_name", ""),
            metadata=self.request.get("participant_metadata", ""),
            attributes={**self.request.get("participant_attributes", {}), "sip.callID": self.call_id,
                        "sip.callStatus": "dialing", "sip.trunkID": self.request.get("sip_trunk_id", ""), **number})
        try:
            room.join(self.participant)
        except Refusal as refusal:
            raise Refusal("internal", f"twirp error unknown: update room failed: {refusal.msg}") from None
        self.participant.on_removed = lambda reason: self.removed.done() or self.removed.set_result(reason)
        self.participant.activate()
        self.participant.publish()

    def leave(self, reason):
        self.participant.room.leave(self.participant, reason)

    def fail(self, refusal, reason=None):
        """The INVITE has failed: whoever waits hears it, and the leg is gone."""
        self.entry["ended"], self.entry["how"] = time.time(), refusal.msg
        if reason:
            self.leave(reason)
        if not self.outcome.done():
            self.outcome.set_result(refusal)

    # ── the life ──

    async def run(self):
        try:
            await self.dial()
        except Refusal as refusal:      # before the INVITE
            self.outcome.done() or self.outcome.set_result(refusal)
        except asyncio.CancelledError:
            self.outcome.done() or self.outcome.set_result(errors.named("node_stopping"))
        finally:
            self.reach("joined", "ringing", "answered", "end")

    async def dial(self):
        error = self.life.get("error")
        await asyncio.sleep(self.life["join"])
        if error in errors.BEFORE:
            raise errors.named(error)
        if asyncio.get_running_loop().time() > self.deadline:
            raise errors.named("deadline")      # not claimed in time: dropped
        self.join()
        self.entry = self.phones.invite(self)
        self.reach("joined")
        try:
            if await self.ring():
                await self.talk()
        except Stopped as stopped:
            answered = self.outcome.done()
            self.entry["cancel" if not answered else "bye"] = str(stopped)
            self.fail(errors.named("timed_out"))

    async def ring(self):
        loop, life = asyncio.get_running_loop(), self.life
        allowed = (seconds(self.request.get("ringing_timeout")) or 180) / self.config["speed"]
        end = min(loop.time() + allowed, self.deadline)
        if life["ring"] is not None and await self.stay(life["ring"], end):
            self.entry["ringing"] = time.time()
            self.status("ringing")
            self.reach("ringing")
        refused = "sip" in life or "error" in life
        if not await self.stay(life["after"] if refused else life["answer"], end):
            self.entry["cancel"] = "ringing timeout"
            self.fail(errors.named("timed_out"), "USER_UNAVAILABLE")
            return False
        if refused:
            self.refuse()
            return False
        return True

    def refuse(self):
        status = self.life.get("sip")
        if status is None:
            error = self.life["error"]
            unavailable = error in ("timed_out", "silent", "no_final", "timeout_race")
            self.fail(errors.named(error), "USER_UNAVAILABLE" if unavailable else
                      "CLIENT_INITIATED" if error in ("refused", "node_stopping") else "USER_REJECTED")
        else:
            self.entry["sip"] = status
            self.fail(errors.sip(status, self.life.get("phrase")), "USER_UNAVAILABLE" if status in USER_UNAVAILABLE else
                      "CLIENT_INITIATED" if 500 <= status < 600 else "USER_REJECTED")

    async def talk(self):
        loop = asyncio.get_running_loop()
        self.entry["answered"] = time.time()
        self.participant.attributes.update({"sip.callIDFull": f"{self.call_id}@callee", "sip.callTag": "cal-1",
                                            **self.life.get("attributes", {})})
        if "automation" in self.life:
            self.status("automation")
            await self.stay(self.life["automation"])
        self.status("active")
        self.outcome.set_result(None)
        self.reach("ringing", "answered")
        longest = (seconds(self.request.get("max_call_duration")) or 86400) / self.config["speed"]
        in_time = await self.stay(self.life["talk"], loop.time() + longest)
        self.end(self.life["end"] if in_time else "max_duration")

    def end(self, how):
        self.entry["ended"], self.entry["how"] = time.time(), how
        if how == "agent":              # the agent deletes the room
            self.participant.on_removed = None
            self.participant.room.close("ROOM_DELETED")
            return
        reason, status = ENDS[how]
        if status:
            self.status(status)
        self.leave(reason)


class Phones:
    def __init__(self, house, config, complain):
        self.house, self.config, self.complain = house, config, complain
        self.legs, self.invites, self.tasks = {}, [], set()

    def reset(self):
        for task in list(self.tasks):
            task.cancel()
        self.legs.clear()
        self.invites.clear()

    def start(self, request, life, deadline):
        leg = Leg(self, request, life, deadline)
        task = asyncio.get_running_loop().create_task(leg.run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self.legs[leg.call_id] = leg
        return leg

    def invite(self, leg):
        """One line of the ledger; a second one for the same attempt is what must never be."""
        rq = leg.request
        attempt = next((value for name, value in rq.get("headers", {}).items() if name.lower().startswith("x-")), "")
        room = leg.participant.room
        entry = {"n": len(self.invites) + 1, "at": time.time(), "attempt": attempt, "headers": rq.get("headers", {}),
                 "attributes": rq.get("participant_attributes", {}), "room": rq["room_name"], "identity": leg.identity,
                 "to": rq["sip_call_to"], "from": rq.get("sip_number", ""), "trunk": rq.get("sip_trunk_id", ""),
                 "inline": rq.get("trunk"), "ringing_timeout": rq.get("ringing_timeout"),
                 "max_call_duration": rq.get("max_call_duration"), "call_id": leg.call_id,
                 "metadata": room.info["metadata"],
                 "agents": [one.info["state"] for one in room.participants.values() if one.kind == "AGENT"]}
        for other in self.invites:
            if attempt and other["attempt"] == attempt:
                self.complain(f"attempt {attempt} is dialed a second time")
            if (other["room"], other["identity"]) == (entry["room"], entry["identity"]):
                self.complain(f"a second leg of {entry['identity']} in room {entry['room']}")
        self.invites.append(entry)
        return entry
