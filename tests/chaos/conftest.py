"""Fixtures of the chaos tests.

    server    a PostgreSQL of their own, to be stopped and killed at will
    rig       rig(**options) → three gateways on a database of that server (kit/rig.py)
    chaos     chaos(name, schedule_of, …): load, faults, and the reckoning afterwards

CALLGATE_TEST_CHAOS_SECONDS is the time all faults take together (60), CALLGATE_TEST_CHAOS_SEED
what they are drawn from (random); both are printed at the end with what was counted.
"""
import os
import secrets

import pytest

from harness.gateway import command
from harness.postgres import Cluster
from kit.aftermath import reckon
from kit.load import Load
from kit.rig import Rig, Schedule

SECONDS = float(os.environ.get("CALLGATE_TEST_CHAOS_SECONDS") or 60)
SEED = os.environ.get("CALLGATE_TEST_CHAOS_SEED") or secrets.token_hex(4)
SCENARIOS = 6

_lines = []


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("chaos")
    terminalreporter.write_line(f"CALLGATE_TEST_CHAOS_SEED={SEED} CALLGATE_TEST_CHAOS_SECONDS={SECONDS:g}")
    for line in _lines:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def server():
    cluster = Cluster.scratch()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def template(server):
    url = server.create(prefix="schema")
    command(url, "migrate")
    return url.partition("?")[0].rsplit("/", 1)[1]


@pytest.fixture
def rig(request, server, template, tmp_path):
    made = []
    request.node.gateways_of_test = []

    def make(**options):
        one = Rig(server, server.create(template=template), tmp_path, **options)
        made.append(one)
        request.node.gateways_of_test = one.gateways
        return one

    yield make
    server.resume()
    for one in made:
        one.close()
        server.drop(one.url)


@pytest.fixture
def tell(request):
    return lambda line: _lines.append(f"{request.node.name}: {line}")


@pytest.fixture
def chaos(rig, tell):
    """Runs `plan(schedule)`'s faults under load, mends everything, reckons."""
    def run(name, plan, allowed=(), **options):
        schedule = Schedule(f"{SEED}/{name}", SECONDS / SCENARIOS)
        plan(schedule)
        one = rig(**options)
        one.start()
        with Load(one.gateways, one.callers, f"{SEED}-{name}") as load:
            schedule.play(one)
            one.mend()
        tell(reckon(one, load, allowed))
        return one, load
    return run
