"""The tests' own door, on a port of its own: orders in, ledgers out. Everything is JSON.

    GET    /complaints /requests /invites /rooms /made /stats /events /sent /config
    DELETE /complaints /requests /invites /rules /orders
    POST   /rules      a rule (rules.py)              POST /orders   a webhook order (hooks.py)
    POST   /config     members of the configuration   POST /network  {"up": bool} or {"cut": true}
    POST   /forget     all rooms are lost, as after a crash
    POST   /reset      as new, ledgers and all
    POST   /leg        {"to" or "identity": …, "do": "hangup"|"remove"|"stale"|"rejoin"}; the last two are
                       what a crash of the server does to a leg that ended, or did not, meanwhile
    POST   /hook       {"body": …, "wrong": …, "room": …}: a webhook made by hand, sent now
    POST   /sign       {"body": …, "wrong": …}: what such a one would carry
"""
import json

from . import errors, hooks
from .http11 import Answer


class Control:
    def __init__(self, fake):
        self.fake = fake

    async def handle(self, http):
        handler = getattr(self, f"{http.method.lower()}_{http.path.strip('/')}", None)
        if handler is None:
            return Answer.text(404, f"no {http.method} {http.path}")
        try:
            given = json.loads(http.body) if http.body else {}
            value = handler(given)
            if hasattr(value, "__await__"):
                value = await value
        except (ValueError, KeyError) as error:
            return Answer.text(400, str(error))
        return Answer.json({} if value is None else value)

    def get_complaints(self, _):
        return self.fake.complaints

    def delete_complaints(self, _):
        self.fake.complaints.clear()

    def get_requests(self, _):
        return self.fake.twirp.requests

    def delete_requests(self, _):
        self.fake.twirp.requests.clear()

    def get_invites(self, _):
        return self.fake.phones.invites

    def delete_invites(self, _):
        self.fake.phones.invites.clear()

    def get_rooms(self, _):
        return self.fake.house.view()

    def get_made(self, _):
        return self.fake.house.seen

    def get_events(self, _):
        return self.fake.hooks.events

    def get_sent(self, _):
        return self.fake.hooks.sent

    def get_config(self, _):
        return self.fake.config

    def get_stats(self, _):
        api = self.fake.api
        return {"connections": len(api.connections), "connections_total": api.total, "connections_peak": api.peak,
                "rooms": len(self.fake.house.rooms), "rooms_made": self.fake.house.made,
                "invites": len(self.fake.phones.invites), "requests": len(self.fake.twirp.requests),
                "legs": len(self.fake.phones.tasks), "rules_left": len(self.fake.rules.left()),
                "hooks_waiting": len(self.fake.hooks.queues)}

    def post_rules(self, rule):
        self.fake.rules.add(rule)

    def delete_rules(self, _):
        self.fake.rules.clear()

    def post_orders(self, order):
        if order["do"].get("wrong") not in (None, *hooks.WRONGS):
            raise ValueError(f"wrong may be one of {hooks.WRONGS}")
        self.fake.hooks.orders.append({"event": order.get("event", "*"), "room": order.get("room"),
                                       "times": order.get("times", 1), "do": order["do"]})

    def delete_orders(self, _):
        self.fake.hooks.orders.clear()

    def post_config(self, given):
        unknown = set(given) - set(self.fake.config)
        if unknown:
            raise ValueError(f"no such setting: {unknown}")
        self.fake.config.update(given)

    async def post_network(self, given):
        if given.get("cut"):
            self.fake.api.cut()
        if given.get("up") is False:
            self.fake.api.down()
        if given.get("up") is True:
            await self.fake.api.up(self.fake.port)

    def post_forget(self, _):
        self.fake.house.forget()

    async def post_reset(self, _):
        await self.fake.reset()

    def post_leg(self, given):
        for leg in list(self.fake.phones.legs.values()):
            if leg.entry and "ended" not in leg.entry and given.get("identity") in (None, leg.identity) and \
                    given.get("to") in (None, leg.request["sip_call_to"]) and not leg.removed.done():
                if given["do"] == "remove":
                    leg.participant.room.throw_out(leg.participant, "PARTICIPANT_REMOVED")
                elif given["do"] == "hangup":
                    leg.removed.set_result("the callee hung up")
                    leg.leave("CLIENT_INITIATED")
                elif given["do"] == "stale":
                    leg.participant.stale = True
                    leg.participant.on_removed = None
                    leg.removed.set_result("ended while the server was away")
                elif given["do"] == "rejoin":
                    leg.status("dialing")
                    leg.participant.activate()
                else:
                    raise ValueError("do: hangup, remove, stale or rejoin")
                return {"found": True}
        return {"found": False}

    def post_hook(self, given):
        body = given["body"] if isinstance(given["body"], str) else json.dumps(given["body"])
        return self.deliver(given, body.encode())

    async def deliver(self, given, body):
        ok = await self.fake.hooks.deliver({"event": "by hand", "room": given.get("room", ""), "id": "", "body": body,
                                            "wrong": given.get("wrong"), "url": given.get("url")})
        return {"delivered": ok, "status": self.fake.hooks.sent[-1]["status"]}

    def post_sign(self, given):
        key = given.get("key") or next(iter(self.fake.config["keys"]))
        auth, body = hooks.signed(given["body"].encode(), key, self.fake.config["keys"][key], given.get("wrong"))
        return {"authorization": auth, "body": body.decode()}

    def get_names(self, _):
        return {"before": list(errors.BEFORE), "after": list(errors.AFTER)}
