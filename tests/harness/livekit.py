"""A faithful fake of LiveKit (tests/fakes/livekit) for a test, and what callgate needs to use it.

    livekit            for the test: as new, and afterwards it must have nothing to complain about,
                       unless the test took its complaints
    livekit_process    the module's; its settings are among the module's SETTINGS, if it has any,
                       before any gateway starts

A test module says `from harness.livekit import livekit, livekit_process` and has them."""
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import pytest

from .client import Client
from .ports import free_port
from .wait import until
from .world import destination

KEY, SECRET = "devkey", "devsecret-devsecret-devsecret-dev1"
_trunks = itertools.count(1)
TESTS = pathlib.Path(__file__).resolve().parents[1]


class LiveKit:
    """One fake, in a process of its own. `port` stays the same over stop() and start()."""

    def __init__(self, key=KEY, secret=SECRET):
        self.key, self.secret = key, secret
        self.port, self.control_port = free_port(), free_port()
        self.process, self.client = None, None

    def start(self):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fakes.livekit", "--port", str(self.port), "--control", str(self.control_port),
             "--key", f"{self.key}:{self.secret}"],
            cwd=TESTS, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, start_new_session=True)
        said = self.process.stdout.readline()
        assert said, f"the fake LiveKit did not start:\n{self._said()}"
        self.client = Client(f"http://127.0.0.1:{self.control_port}")
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        if self.process:
            self.process.stdout.close()
            self.client.close()

    def _said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self):
        """What callgate is started with."""
        return {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": self.key, "LIVEKIT_API_SECRET": self.secret}

    # ── the control door ──

    def _ask(self, method, path, body=None):
        answer = self.client.request(method, f"/{path}", body)
        assert answer.status == 200, f"{method} {path}: {answer}"
        return answer.json

    def get(self, what):
        return self._ask("GET", what)

    def set(self, **members):
        self._ask("POST", "config", members)

    def rule(self, method="CreateSIPParticipant", times=1, skip=0, to=None, room=None, **do):
        match = {name: value for name, value in (("method", method), ("to", to), ("room", room)) if value}
        self._ask("POST", "rules", {"match": match, "times": times, "skip": skip, "do": do})

    def clear_rules(self):
        self._ask("DELETE", "rules")

    def reset(self):
        self._ask("POST", "reset")

    def order(self, event="*", times=1, room=None, **do):
        self._ask("POST", "orders", {"event": event, "times": times, "room": room, "do": do})

    def down(self):
        """Nobody listens; open connections are cut. Calls go on."""
        self._ask("POST", "network", {"up": False})

    def up(self):
        self._ask("POST", "network", {"up": True})

    def cut(self):
        self._ask("POST", "network", {"cut": True})

    def forget(self):
        self._ask("POST", "forget")

    def leg(self, do, **which):
        assert self._ask("POST", "leg", {"do": do, **which})["found"]

    def sign(self, body, wrong=None):
        return self._ask("POST", "sign", {"body": body, "wrong": wrong})

    def requests(self, method=None):
        return [one for one in self.get("requests") if method in (None, one["method"])]

    def invites(self, to=None):
        return [one for one in self.get("invites") if to in (None, one["to"])]

    def invite(self, to):
        found = self.invites(to)
        assert len(found) == 1, f"one INVITE to {to} was expected: {found}"
        return found[0]

    def until_invited(self, to, seconds=15):
        return until(f"an INVITE to {to}", lambda: self.invites(to), seconds)[0]

    def complaints(self):
        """All of them, and none afterwards."""
        found = self.get("complaints")
        self._ask("DELETE", "complaints")
        return found

    def made(self, name):
        return next(one for one in self.get("made") if one["name"] == name)

    def until_empty(self, seconds=15):
        """No room is left behind: every one was deleted."""
        until("all rooms are deleted", lambda: not self.get("rooms"), seconds)

    def check(self):
        assert self.process.poll() is None, f"the fake LiveKit has ended:\n{self._said()}"
        found = self.complaints()
        assert not found, "LiveKit complains:\n" + "\n".join(found[:20])
        assert not self.get("stats")["rules_left"], "a rule was never used"


@pytest.fixture(scope="module", autouse=True)
def livekit_process(request):
    fake = LiveKit().start()
    getattr(request.module, "SETTINGS", {}).update(fake.settings)
    yield fake
    fake.stop()


@pytest.fixture
def livekit(livekit_process):
    if livekit_process.process.poll() is not None:      # the test before was rough with it
        livekit_process.start()
    livekit_process.reset()
    yield livekit_process
    livekit_process.check()


def trunk(**columns):
    """Columns of a LiveKit trunk, for world.tenant(trunk=…); each is another one at LiveKit, so that
    what one test does to its trunk is not held against the next one's."""
    return {"driver": "livekit", "provider_ref": f"ST_fake_{next(_trunks)}", **columns}


def named(livekit, name):
    """A destination whose calls meet that row of the error table."""
    rows = livekit.get("names")
    return destination(700 + [*rows["before"], *rows["after"]].index(name))
