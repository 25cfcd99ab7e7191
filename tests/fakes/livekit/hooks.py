"""Webhooks out: one queue for each room, in order, signed, tried again; and on demand lost, late,
doubled, out of order, or with a signature that must not be believed."""
import asyncio
import base64
import collections
import hashlib
import json
import time
import urllib.parse

from . import messages, proto, token
from .house import sid

TRIES = (0, 1, 2, 4, 8)
DEPTH = 200
HOLD_MAX = 250          # times 20 ms
WRONGS = ("forged", "other_key", "expired", "no_exp", "wrong_sha", "changed_body", "no_auth", "not_hs256")


def signed(body, key, secret, wrong=None):
    """(Authorization or None, body) as they go out; `wrong` breaks one thing."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    if wrong == "wrong_sha":
        digest = base64.b64encode(hashlib.sha256(body + b" ").digest()).decode()
    auth = token.make("another-key" if wrong == "other_key" else key,
                      secret + "x" if wrong == "forged" else secret,
                      {"sha256": digest, **({"exp": None} if wrong == "no_exp" else {})},
                      lives=-120 if wrong == "expired" else 300)
    if wrong == "not_hs256":
        auth = ".".join([token.encode(b'{"alg":"none","typ":"JWT"}'), auth.split(".")[1], ""])
    if wrong == "changed_body":
        body = body[:-1] + b" " + body[-1:]     # the same JSON, other bytes
    return None if wrong == "no_auth" else auth, body


async def post(url, headers, body, seconds=30):
    """One POST on a connection of its own; the status."""
    parts = urllib.parse.urlsplit(url)
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            lines = [f"POST {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close",
                     f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers.items())]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
            await writer.drain()
            return int((await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])
        finally:
            writer.close()


class Hooks:
    """An order is like a rule, for events: {"event": …, "room": …, "times": 1, "do": {…}}, with in
    `do`: drop (true), delay (seconds), copies (how often it is sent), hold (until so many later
    events of its room have gone out), wrong (one of WRONGS)."""

    def __init__(self, config):
        self.config = config
        self.queues, self.orders, self.sent, self.events, self.tasks = {}, [], [], [], set()

    def happened(self, event, room, more):
        """Written down as it is now: rooms and participants change afterwards."""
        value = {"event": event, "room": room, **more, "id": sid("EV"), "created_at": int(time.time())}
        body = json.dumps(proto.webhook(messages.Event, value), ensure_ascii=False, separators=(",", ":")).encode()
        self.events.append({"at": time.time(), "event": event, "room": room["name"], "id": value["id"],
                            "body": body.decode()})
        if self.config["webhook_url"]:
            self.enqueue({"event": event, "room": room["name"], "id": value["id"], "body": body,
                          "due": time.time() + 30, **self.order(event, room["name"])})

    def reset(self):
        for task in list(self.tasks):
            task.cancel()
        for one in (self.queues, self.orders, self.sent, self.events):
            one.clear()

    def order(self, event, room):
        for order in self.orders:
            if order["times"] != 0 and order["event"] in ("*", event) and order.get("room") in (None, room):
                if order["times"] is not None:
                    order["times"] -= 1
                return order["do"]
        return {}

    def enqueue(self, item):
        """Rooms do not wait for one another; within one the order holds."""
        queue = self.queues.get(item["room"])
        if queue is None:
            queue = self.queues[item["room"]] = collections.deque()
            self.task(self.drain(item["room"], queue))
        if len(queue) < DEPTH:
            queue.append(item)

    def task(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def drain(self, room, queue):
        """Sends a room's events one after the other. A held one goes out once enough later ones
        have, or when none has come for a while."""
        held, quiet = [], 0
        while queue or held or quiet < 2:
            if queue:
                quiet, item = 0, queue.popleft()
                if item.get("hold"):
                    held.append(item)
                    continue
                await self.send(item)
                for other in held:
                    other["hold"] -= 1
            elif quiet < (HOLD_MAX if held else 2):
                quiet += 1
                await asyncio.sleep(0.02)
            for other in [one for one in held if one["hold"] <= 0 or quiet >= HOLD_MAX]:
                held.remove(other)
                await self.send(other)
        self.queues.pop(room, None)

    async def send(self, item):
        if item.get("delay"):
            await asyncio.sleep(item["delay"])
        elif item["due"] < time.time():
            return                      # waited too long behind the others
        for _ in range(0 if item.get("drop") else item.get("copies", 1)):
            await self.deliver(item)

    async def deliver(self, item):
        """True once the receiver has it. A token is made once for all tries; any 4xx counts."""
        key = self.config["webhook_key"] or next(iter(self.config["keys"]))
        auth, body = signed(item["body"], key, self.config["keys"][key], item.get("wrong"))
        headers = {"Content-Type": "application/webhook+json", "User-Agent": "Go-http-client/1.1",
                   **({"Authorization": auth} if auth else {})}
        for wait in TRIES:
            await asyncio.sleep(wait / self.config["hook_speed"])
            try:
                status = await post(item.get("url") or self.config["webhook_url"], headers, body)
            except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError):
                status = 0
            self.sent.append({"at": time.time(), "id": item["id"], "event": item["event"], "room": item["room"],
                              "wrong": item.get("wrong"), "status": status})
            if 200 <= status < 500 and status != 429 or status == 501:
                return True
        return False
