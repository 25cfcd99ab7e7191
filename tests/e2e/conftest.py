"""Fixtures of the tests against the real LiveKit; tests/conftest.py has those for the gateway.

    stack       redis, livekit-server and livekit-sip, running; one for each pytest process
    api         LiveKit's server API
    hooks       what LiveKit told by webhook, all of it
    agent       agent("name"): a worker that answers to that name and takes every job
    phone       phone("busy"): the callee of that behaviour, a SIPp of its own; see PHONES
    line        line(phone, …): a tenant whose trunk leads to that callee

LiveKit sends its webhooks to two places: to `hooks`, and to a gateway that stands at the port
ports.GATEWAY. A gateway elsewhere is one that gets no webhooks.
"""
import json
import os
import pathlib

import pytest

from harness import books
from stage import livekit, sip
from stage.agent import Agent
from stage.hooks import Hooks
from stage.ports import GATEWAY, HOOK, HTTP, WORKER
from stage.stack import Stack

PHONES = {
    "talker": sip.hangs_up(ring_ms=700, talk_ms=1500),          # answers, talks a little, hangs up
    "slow talker": sip.hangs_up(ring_ms=6000, talk_ms=3000),
    "listener": sip.listens(ring_ms=500),                       # answers, waits for our BYE
    "busy": sip.rejects("486 Busy Here"),
    "busy later": sip.rejects("486 Busy Here", ring_ms=5000),
    "decliner": sip.rejects("603 Decline", ring_ms=500),
    "unknown number": sip.rejects("404 Not Found"),
    "full trunk": sip.rejects("503 Service Unavailable"),
    "full trunk later": sip.rejects("503 Service Unavailable", ring_ms=800),
    "ringer": sip.rings(),                                      # rings until our CANCEL
    "asks password": sip.challenges(),
}


@pytest.fixture(scope="session")
def evidence(tmp_path_factory):
    """Where the logs of the programs lie; kept when the runner names a folder for it."""
    kept = os.environ.get("CALLGATE_E2E_LOGS")
    if not kept:
        return tmp_path_factory.mktemp("e2e")
    folder = pathlib.Path(kept) / WORKER
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def hooks():
    found = Hooks(HOOK)
    yield found
    found.close()


@pytest.fixture(scope="session")
def stack(evidence, hooks):
    made = Stack(evidence, [f"http://127.0.0.1:{HOOK}/", f"http://127.0.0.1:{GATEWAY}/v1/providers/livekit/webhook"])
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def api(stack):
    return stack.api


@pytest.fixture(scope="session")
def phone(evidence):
    made = {}

    def get(behaviour):
        if behaviour not in made:
            made[behaviour] = sip.Callee(evidence, behaviour.replace(" ", "-"), PHONES[behaviour]).start()
        return made[behaviour]

    yield get
    for one in made.values():
        one.stop()


@pytest.fixture
def agent(stack, tmp_path):
    made = []

    def get(name):
        made.append(Agent(name, tmp_path))
        return made[-1]

    yield get
    for one in made:
        one.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and "stack" in item.fixturenames:
        stack = item.funcargs.get("stack")
        for program in (stack.server, stack.sip) if stack else ():
            report.sections.append((f"{program.name} ({program.log})", program.said(20)))


# ── callgate on top of it ────────────────────────────────────────────────────────────

SETTINGS = {"LIVEKIT_URL": f"http://127.0.0.1:{HTTP}", "LIVEKIT_API_KEY": livekit.KEY,
            "LIVEKIT_API_SECRET": livekit.SECRET, "CALLGATE_LOG_LEVEL": "debug", "CALLGATE_ACCESS_LOG": "false"}


@pytest.fixture
def serve(stack, gateways):
    """serve() → a gateway that LiveKit's webhooks reach; serve(webhooks=False) → one they do not."""
    return lambda webhooks=True, **settings: gateways(
        port=GATEWAY if webhooks else None, **{**SETTINGS, **settings})


@pytest.fixture(autouse=True)
def the_books(request):
    """Made before the other fixtures of a test, undone after them; as in tests/scenario."""
    found = request.getfixturevalue("database") if "database" in request.fixturenames else None
    yield
    if found is not None:
        books.check(found)


@pytest.fixture
def line(world):
    """A tenant who may call through a LiveKit trunk to `callee`: an inline trunk, or with
    `stored` LiveKit's id of one."""
    def make(callee, stored=None, config=None, project=None, **trunk):
        inline = None if stored else {"hostname": f"127.0.0.1:{callee.port}", "transport": "udp"}
        return world.tenant(
            trunk={"driver": "livekit", "provider_ref": stored, "config": json.dumps({**(inline or {}), **(config or {})}),
                   **trunk},
            project={"ring_timeout_s": 10, "max_duration_s": 60, **(project or {})})
    return make
