"""Fixtures of the scenario and chaos tests.

    cluster     the PostgreSQL of the session (scripts/test's, or one in build/test)
    database    a scratch database with the schema, dropped after the test
    gateways    gateways(**settings) → a Gateway that serves `database`; all are stopped, and
                have to end cleanly, after the test
    gateway     one such gateway with the settings of the module's SETTINGS, if it has any
    callgate    callgate("key", "create", …): runs a command against `database`

A failed test shows the last lines of its gateways' logs.
"""
import pytest

from harness.gateway import Gateway, command
from harness.postgres import Cluster, Database


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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for one in getattr(item, "gateways_of_test", []):
            report.sections.append((f"gateway {one.url}", one.tail()))


@pytest.fixture
def gateways(request, database, tmp_path):
    made = request.node.gateways_of_test = []

    def make(start=True, url=None, ready=True, port=None, **settings):
        one = Gateway(url or database.url, tmp_path / f"gateway-{len(made) + 1}.log", settings, port)
        made.append(one)
        return one.start(ready=ready) if start else one

    yield make
    errors = []
    for one in made:
        if not one.running:
            continue
        try:
            one.stop()
        except AssertionError as error:
            errors.append(str(error))
    for one in made:
        try:
            one.check_log()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, "\n".join(errors)


@pytest.fixture
def gateway(request, gateways):
    return gateways(**getattr(request.module, "SETTINGS", {}))
