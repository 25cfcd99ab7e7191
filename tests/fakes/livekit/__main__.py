"""python3 -m fakes.livekit [--port N] [--control N] [--key KEY:SECRET]…

Prints one line, {"port": …, "control": …}, when both doors are open; ends on SIGTERM."""
import argparse
import asyncio
import json
import signal
import time

from .control import Control
from .hooks import Hooks
from .house import House
from .http11 import Server
from .phone import Phones
from .rules import Rules
from .twirp import Twirp

COMPLAINTS_MAX = 1000


def usual(keys):
    """The configuration a test starts from."""
    return {
        "keys": keys, "webhook_url": None, "webhook_key": None, "hook_speed": 1,
        "speed": 1,                 # of ringing timeouts, maximum durations and RPC deadlines
        "room_speed": 1,            # of empty and departure timeouts
        "auto_create": False, "strict_grants": True, "default_life": "answered",
        "agents": {"*": {"after": 0.01, "active": 0.01}},
        "trunks": {"ST_fake": {"sip_trunk_id": "ST_fake", "name": "fake", "address": "127.0.0.1:5070",
                               "transport": "SIP_TRANSPORT_UDP", "numbers": ["+15550100"],
                               "auth_username": "user", "auth_password": "a secret that must not be logged"}}}


class Fake:
    def __init__(self, keys):
        self.keys, self.config = keys, usual(keys)
        self.complaints = []
        self.rules = Rules()
        self.hooks = Hooks(self.config)
        self.house = House(self.config, self.complain, self.hooks)
        self.phones = Phones(self.house, self.config, self.complain)
        self.twirp = Twirp(self)
        self.api = Server(self.twirp.handle, self.complain)
        self.control = Server(Control(self).handle, self.complain)
        self.port = 0

    def complain(self, words):
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(words)

    async def reset(self):
        """As new, for the next test: what still lives is ended without a word to anybody."""
        self.config.clear()
        self.config.update(usual(self.keys))
        self.rules.clear()
        self.hooks.reset()
        self.house.forget()
        self.phones.reset()
        for ledger in (self.house.seen, self.twirp.requests, self.complaints):
            ledger.clear()
        await self.api.up(self.port)
        self.api.peak = len(self.api.connections)

    async def run(self, port, control):
        await self.api.up(port)
        await self.control.up(control)
        self.port = self.api.port
        print(json.dumps({"port": self.port, "control": self.control.port, "at": time.time()}), flush=True)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()


def main():
    options = argparse.ArgumentParser(prog="fakes.livekit", description=__doc__)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--control", type=int, default=0)
    options.add_argument("--key", action="append", help="KEY:SECRET")
    given = options.parse_args()
    keys = dict(one.split(":", 1) for one in given.key or ["devkey:devsecret-devsecret-devsecret-dev1"])
    asyncio.run(Fake(keys).run(given.port, given.control))


main()
