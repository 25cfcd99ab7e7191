"""Rooms, and who is in them. A room lives until it is deleted, or until nobody but agents has
been in it for its time-out; agents come when a room asks for them by name, or never."""
import asyncio
import secrets
import time

from . import messages, proto
from .errors import Refusal

GONE = {"requested room does not exist": "requested room does not exist",
        "participant does not exist": "participant does not exist"}


def sid(prefix):
    return f"{prefix}_{secrets.token_hex(6)}"


def not_found(what):
    return Refusal("not_found", GONE[what])


class Participant:
    def __init__(self, room, identity, kind, **more):
        now = time.time()
        self.room, self.identity, self.kind = room, identity, kind
        self.on_removed = None          # called with the reason when somebody throws it out
        self.was_active = False
        self.stale = False              # only a row: the leg ended while the server was away
        self.info = {"sid": sid("PA"), "identity": identity, "state": "JOINING", "kind": kind,
                     "joined_at": int(now), "joined_at_ms": int(now * 1000), "version": 1, "client_protocol": 16,
                     "permission": {"can_subscribe": True, "can_publish": True, "can_publish_data": True,
                                    "agent": kind == "AGENT"}, "attributes": {}, **more}

    @property
    def attributes(self):
        return self.info["attributes"]

    def activate(self):
        self.was_active = True
        self.info["state"] = "ACTIVE"
        self.info["version"] += 1
        self.room.house.tell("participant_joined", self.room, participant=self.info)

    def publish(self):
        track = {"sid": sid("TR"), "type": "AUDIO", "source": "MICROPHONE", "mime_type": "audio/opus"}
        self.info["tracks"] = [track]
        self.info["is_publisher"] = True
        self.room.house.tell("track_published", self.room, track=track,
                             participant={"sid": self.info["sid"], "identity": self.identity})

    @property
    def counts(self):
        return self.kind not in ("AGENT", "EGRESS")


class Room:
    def __init__(self, house, request):
        now = time.time()
        self.house, self.request, self.name = house, request, request["name"]
        self.participants, self.dispatches, self.tasks = {}, [], set()
        self.closed, self.timer, self.had_somebody = False, None, False
        self.info = {"sid": sid("RM"), "name": self.name, "empty_timeout": request.get("empty_timeout") or 300,
                     "departure_timeout": request.get("departure_timeout") or 20,
                     "max_participants": request.get("max_participants", 0), "creation_time": int(now),
                     "creation_time_ms": int(now * 1000), "turn_password": secrets.token_hex(16),
                     "enabled_codecs": [{"mime": "audio/opus"}, {"mime": "audio/red"}],
                     "metadata": request.get("metadata", ""),
                     "version": {"unix_micro": int(now * 1e6), "ticks": 0}}
        self.watch()

    def view(self):
        """Agents are not counted; nor is what a crash has left behind, though it is still listed."""
        return {**self.info, "num_participants": sum(one.counts and not one.stale for one in self.participants.values()),
                "num_publishers": sum(1 for one in self.participants.values() if one.info.get("is_publisher"))}

    def somebody(self):
        return any(one.counts for one in self.participants.values())

    def watch(self):
        """Starts the clock that closes an empty room, or stops it."""
        if self.timer:
            self.timer.cancel()
            self.timer = None
        if not self.closed and not self.somebody():
            seconds = self.info["departure_timeout" if self.had_somebody else "empty_timeout"]
            self.timer = asyncio.get_running_loop().call_later(seconds / self.house.config["room_speed"],
                                                               self.close, "ROOM_CLOSED")

    def join(self, participant):
        there = self.participants.get(participant.identity)
        if there:
            self.house.complain(f"room {self.name}: {participant.identity} joins twice, the first is thrown out")
            self.throw_out(there, "DUPLICATE_IDENTITY")
        limit = self.info["max_participants"]
        if participant.counts and limit and sum(one.counts for one in self.participants.values()) >= limit:
            raise Refusal("resource_exhausted", "room has exceeded its max participants")
        self.participants[participant.identity] = participant
        self.had_somebody |= participant.counts
        self.watch()

    def leave(self, participant, reason):
        if self.participants.get(participant.identity) is not participant:
            return
        del self.participants[participant.identity]
        participant.info["state"] = "DISCONNECTED"
        participant.info["disconnect_reason"] = reason
        event = "participant_left" if participant.was_active else "participant_connection_aborted"
        self.house.tell(event, self, participant=participant.info)
        self.watch()

    def throw_out(self, participant, reason):
        """Out at once; what hangs on it (a telephone) is told, and hangs up by itself."""
        self.leave(participant, reason)
        if participant.on_removed:
            participant.on_removed(reason)

    def close(self, reason):
        if self.closed:
            return
        self.closed = True
        if self.timer:
            self.timer.cancel()
        self.house.rooms.pop(self.name, None)
        for participant in list(self.participants.values()):
            self.throw_out(participant, reason)
        for task in self.tasks:
            task.cancel()
        self.house.tell("room_finished", self)


class House:
    """`tell(event, room, **more)`: what webhooks hear."""

    def __init__(self, config, complain, hooks):
        self.config, self.complain, self.hooks = config, complain, hooks
        self.rooms, self.made, self.seen = {}, 0, []

    def tell(self, event, room, **more):
        self.hooks.happened(event, room.view(), more)

    def room(self, name):
        if name not in self.rooms:
            raise not_found("requested room does not exist")
        return self.rooms[name]

    def create(self, request):
        """Idempotent by name; a second request changes nothing."""
        name = request.get("name", "")
        if name in self.rooms:
            room = self.rooms[name]
            if request != room.request:
                self.complain(f"CreateRoom {name}: it is there already; what differs is ignored")
            return room
        room = self.rooms[name] = Room(self, request)
        self.made += 1
        self.seen.append({"at": time.time(), "name": name, "metadata": request.get("metadata", ""),
                          "agents": request.get("agents", []), "max_participants": request.get("max_participants", 0),
                          "empty_timeout": request.get("empty_timeout", 0),
                          "departure_timeout": request.get("departure_timeout", 0)})
        self.tell("room_started", room)
        for agent in request.get("agents", []):
            self.dispatch(room, agent)
        return room

    def dispatch(self, room, wanted):
        """Asks the workers for an agent. Nobody there is no error: then nobody comes."""
        name = wanted.get("agent_name", "")
        entry = {"id": sid("AD"), "agent_name": name, "room": room.name, "metadata": wanted.get("metadata", ""),
                 "attributes": wanted.get("attributes", {}),
                 "state": {"jobs": [], "created_at": int(time.time() * 1e9), "deleted_at": 0}}
        room.dispatches.append(entry)
        habits = {**self.config["agents"].get("*", {}), **self.config["agents"].get(name, {})}
        if not habits.get("never"):
            task = asyncio.get_running_loop().create_task(self.send_agent(room, entry, habits))
            room.tasks.add(task)
            task.add_done_callback(room.tasks.discard)
        return entry

    async def send_agent(self, room, entry, habits):
        job = {"id": sid("AJ"), "dispatch_id": entry["id"], "type": "JT_ROOM", "agent_name": entry["agent_name"],
               "metadata": entry["metadata"], "state": {"status": "JS_PENDING"}}
        entry["state"]["jobs"].append(job)
        await asyncio.sleep(habits.get("after", 0.01))
        agent = Participant(room, f"agent-{job['id']}", "AGENT", attributes={"lk.agent.state": "initializing"})
        room.join(agent)
        job["state"].update(status="JS_RUNNING", participant_identity=agent.identity, started_at=int(time.time() * 1e9))
        if habits.get("stuck"):         # joins, and never gets as far as being heard
            return
        await asyncio.sleep(habits.get("active", 0.01))
        agent.attributes["lk.agent.state"] = "listening"
        agent.activate()
        if "leaves" in habits:
            await asyncio.sleep(habits["leaves"])
            room.leave(agent, "CLIENT_INITIATED")

    def delete(self, name):
        self.room(name).close("ROOM_DELETED")

    def participant(self, room, identity):
        found = self.rooms.get(room) and self.rooms[room].participants.get(identity)
        if not found:
            raise not_found("participant does not exist")
        return found

    def remove(self, room, identity):
        found = self.participant(room, identity)
        found.room.throw_out(found, "PARTICIPANT_REMOVED")

    def forget(self):
        """As after a crash of the server: rooms are gone, and nobody is told."""
        for room in list(self.rooms.values()):
            room.closed = True
            if room.timer:
                room.timer.cancel()
            for task in room.tasks:
                task.cancel()
            for participant in room.participants.values():
                if participant.on_removed:
                    participant.on_removed("SIGNAL_CLOSE")
        self.rooms.clear()

    def view(self):
        return [{**proto.answer(messages.Room, room.view()), "dispatches": room.dispatches,
                 "participants": [proto.answer(messages.Participant, one.info) for one in room.participants.values()]}
                for room in self.rooms.values()]
