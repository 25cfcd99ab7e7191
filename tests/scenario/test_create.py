"""What POST /v1/calls/outbound takes beyond the documented fields, and ?dryRun=true."""
import datetime
import json

import pytest

from harness.world import destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 50, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0}
PATH = "/v1/calls/outbound"
DRY = PATH + "?dryRun=true"


def moment(**delta):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**delta)).isoformat(timespec="milliseconds")


@pytest.fixture
def tenant(house):
    return house.world.tenant(project={"max_duration_s": 600})


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


def calls_of(tenant):
    return tenant.db.value("select count(*) from calls where org_id = %s", tenant.org_id)


def pointers(answer):
    assert (answer.status, answer.json["code"]) == (400, "validation_failed"), answer
    return [one["pointer"] for one in answer.json["details"]]


def same_time(one, other):
    parse = lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return parse(one) == parse(other)


# ── the members ──────────────────────────────────────────────────────────────────────────

def test_everything_optional_is_taken_and_stands_on_the_record(caller):
    said = {"metadata": {"crm": 7, "note": "Zoë"}, "ringTimeoutSeconds": 42, "maxDurationSeconds": 90,
            "scheduledAt": moment(hours=1), "expiresAt": moment(hours=2), "priority": "low"}
    record = caller.get(caller.call(dynamicVariables={"a": 1}, **said))
    assert record["state"] == "queued" and record["dynamicVariables"] == {"a": 1}
    for name in ("metadata", "ringTimeoutSeconds", "maxDurationSeconds", "priority"):
        assert record[name] == said[name]
    for name in ("scheduledAt", "expiresAt"):
        assert same_time(record[name], said[name])


def test_without_them_the_projects_settings_hold(caller):
    record = caller.get(caller.call())
    assert (record["ringTimeoutSeconds"], record["maxDurationSeconds"], record["priority"]) == (5, 600, "normal")
    assert record["scheduledAt"] is None and record["expiresAt"] is None


@pytest.mark.parametrize("name, value", [
    ("metadata", []), ("metadata", "x"), ("metadata", None), ("metadata", {"x": "a" * 16384}),
    ("ringTimeoutSeconds", 4), ("ringTimeoutSeconds", 81), ("ringTimeoutSeconds", "30"), ("ringTimeoutSeconds", 30.5),
    ("ringTimeoutSeconds", None), ("maxDurationSeconds", 0), ("maxDurationSeconds", 86401), ("maxDurationSeconds", True),
    ("scheduledAt", "tomorrow"), ("scheduledAt", 1795163520), ("scheduledAt", "2026-11-20T08:32:00"),
    ("scheduledAt", dict(days=31)), ("scheduledAt", dict(minutes=-6)), ("expiresAt", dict(seconds=-1)),
    ("expiresAt", dict(days=32)), ("expiresAt", ""), ("priority", "urgent"), ("priority", 1), ("idempotencyKey", ""),
])
def test_a_member_that_is_wrong_is_named(caller, tenant, name, value):
    if name in ("scheduledAt", "expiresAt") and isinstance(value, dict):
        value = moment(**value)         # from now, when it runs: every process collects the same tests
    body = {**tenant.body(), name: value}
    assert pointers(caller.client.post(PATH, body)) == [f"/{name}"]
    assert calls_of(tenant) == 0


def test_all_mistakes_are_named_at_once(caller, tenant):
    body = {"fromNumber": "x", "toNumber": tenant.from_number, "dynamicVariables": 1, "metadata": 1, "ringTimeoutSeconds": 1,
            "maxDurationSeconds": 0, "scheduledAt": "x", "expiresAt": "x", "priority": "x", "idempotencyKey": " "}
    assert pointers(caller.client.post(PATH, body)) == [
        "/projectId", "/fromNumber", "/dynamicVariables", "/metadata", "/ringTimeoutSeconds", "/maxDurationSeconds",
        "/scheduledAt", "/expiresAt", "/priority", "/idempotencyKey"]


def test_a_call_expires_after_it_is_planned(caller, tenant):
    at = moment(hours=1)
    assert pointers(caller.post(scheduledAt=at, expiresAt=at)) == ["/expiresAt"]
    assert caller.post(scheduledAt=at, expiresAt=moment(hours=1, seconds=1)).status == 200


def test_nobody_talks_longer_than_the_project_allows(caller, tenant):
    answer = caller.post(maxDurationSeconds=601)
    assert (answer.status, answer.json["code"]) == (400, "max_duration_exceeded")
    assert calls_of(tenant) == 0
    assert caller.get(caller.call(maxDurationSeconds=600))["maxDurationSeconds"] == 600


def test_the_projects_limit_is_told_to_members_only(house, tenant):
    stranger = tenant.at(house.gateway, tenant.key(tenant.user()))
    answer = stranger.post(maxDurationSeconds=601)
    assert (answer.status, answer.json["code"]) == (403, "project_forbidden")


def test_a_little_in_the_past_is_at_once(caller):
    record = caller.end(caller.call(destination(101), scheduledAt=moment(minutes=-2)))
    assert record["state"] == "busy"


def test_the_metadata_never_reaches_the_agent(caller):
    record = caller.end(caller.call(destination(110), metadata={"secret": "ours"}, dynamicVariables={"a": 1}))
    assert record["metadata"] == {"secret": "ours"} and record["dynamicVariables"] == {"a": 1}


def test_a_call_rings_as_long_as_it_was_told(caller):
    """Simulated time runs 50 times as fast."""
    short = caller.end(caller.call(destination(102), ringTimeoutSeconds=5))
    long = caller.end(caller.call(destination(102), ringTimeoutSeconds=60))
    assert short["state"] == long["state"] == "no_answer"
    assert short["durations"]["ringSeconds"] < 0.8 < long["durations"]["ringSeconds"]


# ── dry run ──────────────────────────────────────────────────────────────────────────────

TABLES = ("calls", "call_queue", "call_schedule", "call_expiry", "call_events", "destination_locks", "credit_ledger",
          "idempotency_keys", "idempotency_refusals")


def everything(tenant):
    rows = [tenant.db.value(f"select count(*) from {table} where org_id = %s", tenant.org_id) for table in TABLES]
    return rows, tenant.db.value("select sum(held_mc) from credit_accounts where org_id = %s", tenant.org_id)


def dry(caller, to=None, headers=None, **members):
    answer = caller.client.post(DRY, caller.tenant.body(to, **members), headers)
    assert answer.status == 200, answer
    assert answer.json["success"] is True and answer.json["dryRun"] is True
    assert answer.json["accepted"] is (not answer.json["refusals"])
    return answer.json


def codes(said):
    return [(one["status"], one["code"]) for one in said["refusals"]]


def test_a_dry_run_changes_nothing_and_tells_what_would_be(caller, tenant):
    before = everything(tenant)
    to = destination()
    said = dry(caller, to, {"Idempotency-Key": "dry"}, maxDurationSeconds=120)
    assert said["accepted"] is True
    assert (said["from"], said["to"]) == (tenant.from_number, to)
    assert said["trunk"] == {"name": f"trunk-{tenant.trunk_id}"}
    assert said["rate"] == {"prefix": None, "milliCentsPerMinute": 1200, "incrementSeconds": 1, "minimumSeconds": 1}
    assert (said["ringTimeoutSeconds"], said["maxDurationSeconds"]) == (5, 120)
    assert said["scheduledAt"] is None and said["earliestStartAt"]
    assert everything(tenant) == before
    record = caller.get(caller.call(to, maxDurationSeconds=120))
    assert calls_of(tenant) == 1
    held = tenant.db.value("select hold_mc from calls where org_id = %s", tenant.org_id)
    assert said["holdMilliCents"] == held > 0
    assert record["to"] == to


def test_a_dry_run_uses_no_key_up(caller, tenant):
    body, header = tenant.body(), {"Idempotency-Key": "only-once"}
    assert caller.client.post(DRY, body, header).json["accepted"] is True
    first = caller.client.post(PATH, body, header)
    assert first.status == 200 and "idempotent-replayed" not in first.headers


def test_all_refusals_come_at_once_in_their_order(house):
    tenant = house.world.tenant(credits_mc=0)
    caller = tenant.at(house.gateway)
    rich = house.world.tenant()
    to = destination(102)
    rich.at(house.gateway).call(to, ringTimeoutSeconds=80)
    tenant.db.execute("delete from pool_members where org_id = %s", tenant.org_id)
    said = dry(caller, to, maxDurationSeconds=3600, priority="nonsense")
    assert codes(said) == [(400, "validation_failed"), (400, "max_duration_exceeded"), (403, "number_forbidden"),
                           (402, "insufficient_credits"), (409, "destination_busy")]
    assert [one["pointer"] for one in said["refusals"][0]["details"]] == ["/priority"]
    assert all(one["error"] for one in said["refusals"])


def test_a_body_that_is_none_is_a_refusal_like_others(caller):
    answer = caller.client.post(DRY, "{broken", {"Content-Type": "application/json"})
    assert answer.status == 200
    assert codes(answer.json) == [(400, "validation_failed")]
    assert answer.json["to"] is None and answer.json["trunk"] is None and answer.json["rate"] is None


def test_an_unknown_project_hides_what_only_its_members_may_know(caller):
    said = dry(caller, projectId="proj_of_somebody_else")
    assert codes(said)[0] == (403, "project_forbidden")
    assert said["holdMilliCents"] is None


def test_another_organizations_number_is_unknown(house, caller):
    other = house.world.tenant()
    assert (404, "number_not_found") in codes(dry(caller, fromNumber=other.from_number))


def test_two_keys_that_differ_are_a_refusal(caller, tenant):
    said = dry(caller, headers={"Idempotency-Key": "one"}, idempotencyKey="two")
    assert codes(said) == [(422, "idempotency_key_conflict")]


def test_a_key_that_is_no_good_is_401(house, tenant):
    client = house.gateway.client()
    assert client.post(DRY, tenant.body()).status == 401
    revoked = tenant.key(tenant.user_id, revoked_at="2026-01-01T00:00:00Z")
    for body in (tenant.body(), "{broken"):
        answer = house.gateway.client(revoked).post(DRY, body, {"Content-Type": "application/json"})
        assert (answer.status, answer.json["code"]) == (401, "credentials_invalid")
    kros = house.gateway.client(tenant.key(tenant.user_id, "kros")).post(DRY, tenant.body())
    assert (kros.status, kros.json["code"]) == (401, "credentials_invalid")


@pytest.mark.parametrize("value", ["", "1", "yes", "True", "true%20"])
def test_dry_run_is_true_or_false(caller, tenant, value):
    answer = caller.client.post(f"{PATH}?dryRun={value}", tenant.body())
    assert pointers(answer) == [""] and "dryRun" in answer.json["details"][0]["message"]
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("query", ["dryrun=true", "dry_run=true", "dryRun=false&dryRun=true", "dryRun=true&dryRun=false"])
def test_a_mistyped_wish_makes_no_phone_ring(caller, tenant, query):
    answer = caller.client.post(f"{PATH}?{query}", tenant.body())
    if answer.status == 200:
        assert codes(answer.json) == [(400, "validation_failed")]
    else:
        assert pointers(answer) == [""]
    assert calls_of(tenant) == 0


def test_dry_run_false_is_a_real_call(caller, tenant):
    assert caller.client.post(f"{PATH}?dryRun=false", tenant.body()).status == 200
    assert calls_of(tenant) == 1


def test_a_test_key_costs_nothing_in_a_dry_run_too(house, tenant):
    said = dry(tenant.at(house.gateway, tenant.key(tenant.user_id, test=True)))
    assert said["accepted"] is True and said["holdMilliCents"] == 0


def test_the_earliest_start_of_a_planned_call_is_its_time(caller):
    at = moment(hours=3)
    said = dry(caller, scheduledAt=at)
    assert same_time(said["scheduledAt"], at) and same_time(said["earliestStartAt"], at)


def test_what_waits_before_it_counts(house):
    """A trunk of one call a second with calls before it."""
    tenant = house.world.tenant(trunk={"cps_milli": 200, "burst": 1})
    caller = tenant.at(house.gateway)
    for _ in range(8):
        caller.call(destination(101))
    said = dry(caller)
    start = datetime.datetime.fromisoformat(said["earliestStartAt"].replace("Z", "+00:00"))
    assert (start - datetime.datetime.now(datetime.timezone.utc)).total_seconds() > 5
    tenant.set_trunk(cps_milli=1_000_000, burst=1000)


def test_the_body_of_a_dry_run_has_the_same_limit(caller):
    answer = caller.client.post(DRY, json.dumps({"x": "a" * 70000}), {"Content-Type": "application/json"})
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")
