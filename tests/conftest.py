"""Fixtures of the scenario and chaos tests.

    cluster     the PostgreSQL of the session (scripts/test's, or one in build/test)
    database    a scratch database with the schema, dropped after the test
    gateways    gateways(**settings) → a Gateway that serves `database`; all are stopped, and
                have to end cleanly, after the test
    gateway     one such gateway with the settings of the module's SETTINGS, if it has any
    callgate    callgate("key", "create", …): runs a command against `database`
    world       makes tenants in `database`
    house       a gateway and a database that all tests of a module share, with the module's
                SETTINGS; house.world makes tenants. Starting one costs more than most tests

A failed test shows the last lines of its gateways' logs.
"""
import types

import pytest

from harness.gateway import Gateway, command
from harness.postgres import Cluster, Database
from harness.world import World


@pytest.fixture(scope="session")
def cluster():
    found = Cluster.shared()
    yield found
    if found.folder is not None:
        found.stop()


@pytest.fixture(scope="session")
def schema(cluster):
    """The name of a migrated database; copying it is quicker than migrating again."""
    url = cluster.create(prefix="schema")
    command(url, "migrate")
    yield url.partition("?")[0].rsplit("/", 1)[1]
    cluster.drop(url)


@pytest.fixture
def database(cluster, schema):
    scratch = Database(cluster.create(template=schema))
    yield scratch
    scratch.close()
    cluster.drop(scratch.url)


@pytest.fixture
def callgate(database):
    return lambda *args, **options: command(database.url, *args, **options)


@pytest.fixture
def world(database):
    return World(database)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        shared = getattr(item.module, "gateways_of_module", []) if "house" in item.fixturenames else []
        for one in [*getattr(item, "gateways_of_test", []), *shared]:
            report.sections.append((f"gateway {one.url}", one.tail()))


def finish(made):
    """Every gateway ends cleanly, and no sanitizer has complained in the log of any."""
    errors = []
    for one in made:
        try:
            if one.running:
                one.stop()
            one.check_log()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, "\n".join(errors)


@pytest.fixture
def gateways(request, database, tmp_path):
    made = request.node.gateways_of_test = []

    def make(start=True, url=None, ready=True, port=None, **settings):
        one = Gateway(url or database.url, tmp_path / f"gateway-{len(made) + 1}.log",
                      {**getattr(request.module, "SETTINGS", {}), **settings}, port)
        made.append(one)
        return one.start(ready=ready) if start else one

    yield make
    finish(made)


@pytest.fixture
def gateway(gateways):
    return gateways()


@pytest.fixture(scope="module")
def house(request, cluster, schema, tmp_path_factory):
    database = Database(cluster.create(template=schema))
    log = tmp_path_factory.mktemp("house") / "gateway.log"
    gateway = Gateway(database.url, log, getattr(request.module, "SETTINGS", {}))
    request.module.gateways_of_module = [gateway]
    yield types.SimpleNamespace(database=database, world=World(database), gateway=gateway.start())
    try:
        finish([gateway])
    finally:
        gateway.kill()
        database.close()
        cluster.drop(database.url)
