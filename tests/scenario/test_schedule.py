"""Calls with times of their own: not before, and not after; what they hold meanwhile, and the
edges where two of these times meet."""
import concurrent.futures
import datetime
import time

import pytest

from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 20, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 1500}


def at(seconds):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_between(a, b):
    return (datetime.datetime.fromisoformat(b.replace("Z", "+00:00")) - datetime.datetime.fromisoformat(a.replace("Z", "+00:00"))).total_seconds()


@pytest.fixture
def tenant(house):
    return house.world.tenant()


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


@pytest.fixture
def waiting(house):
    return house.world.tenant(trunk={"max_concurrent": 0}).at(house.gateway)


def test_a_scheduled_call_is_dialed_when_it_is_due(caller):
    when = at(1.5)
    call = caller.call(destination(110), scheduledAt=when)
    record = caller.get(call)
    assert record["state"] == "queued" and record["waiting"] == {"for": "schedule", "until": when}
    record = caller.end(call)
    assert record["state"] == "completed"
    assert 0 <= seconds_between(when, record["timeline"]["initiatedAt"]) < 2


def test_a_call_for_later_keeps_nobody_from_being_called_now(caller):
    to = destination(110)
    later = caller.call(to, scheduledAt=at(3600))
    now = caller.call(to)
    assert caller.end(now)["state"] == "completed"
    assert caller.get(later)["state"] == "queued"
    assert caller.client.post(f"/v1/calls/{later}/cancel").status == 200


def test_its_money_is_held_from_the_start(house, caller):
    call = caller.call(scheduledAt=at(3600))
    held = "select held_mc from credit_accounts where org_id = %s"
    assert house.database.value(held, caller.tenant.org_id) > 0
    caller.client.post(f"/v1/calls/{call}/cancel")
    assert house.database.value(held, caller.tenant.org_id) == 0


def test_a_due_call_waits_until_its_destination_is_free(caller):
    to = destination(111)
    now = caller.call(to)
    caller.state(now, "in_progress")
    later = caller.call(to, scheduledAt=at(0.3))
    caller.until(later, lambda r: r["waiting"] and r["waiting"]["for"] == "destination", "waits for its destination")
    caller.client.post(f"/v1/calls/{now}/cancel")
    caller.end(now)
    caller.state(later, "ringing", "in_progress", seconds=10)
    caller.client.post(f"/v1/calls/{later}/cancel")
    caller.end(later)


def test_a_due_call_gets_its_destination_before_whoever_asks_for_it_meanwhile(house, caller):
    to, other = destination(111), house.world.tenant().at(house.gateway)
    now = caller.call(to)
    caller.state(now, "in_progress")
    later = caller.call(to, scheduledAt=at(0.2))
    caller.until(later, lambda r: r["waiting"] and r["waiting"]["for"] == "destination", "waits for its destination")
    caller.client.post(f"/v1/calls/{now}/cancel")
    caller.end(now)
    answers = set()
    while caller.get(later)["state"] == "queued":
        assert len(answers) < 2, answers
        answers.add(other.post(to).json.get("code"))
        time.sleep(0.01)
    assert answers <= {"destination_busy"}
    caller.client.post(f"/v1/calls/{later}/cancel")
    caller.end(later)


def test_of_many_due_for_one_destination_one_at_a_time_is_dialed(house, caller):
    to, when = destination(110), at(0.5)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        calls = list(pool.map(lambda _: caller.call(to, scheduledAt=when), range(3)))
    for call in calls:
        assert caller.end(call, seconds=30)["state"] == "completed"
    spans = house.database.rows("select initiated_at, ended_at from calls where to_e164 = %s order by 1", to)
    assert all(end <= begin for (_, end), (begin, _) in zip(spans, spans[1:]))


def test_what_expires_in_the_queue_is_never_dialed(house, waiting):
    call = waiting.call(expiresAt=at(0.5))
    record = waiting.end(call, seconds=5)
    assert record["state"] == "failed" and record["outcome"]["reason"] == "queue_expired"
    assert record["timeline"]["initiatedAt"] is None
    waiting.tenant.set_trunk(max_concurrent=10)
    time.sleep(0.5)
    assert house.database.value("select count(*) from call_events where call_id = %s and kind = 1", call) == 0


def test_what_was_dialed_and_expires_while_it_waits_to_be_dialed_again_ends_as_it_was(gateways, world):
    caller = world.tenant().at(gateways(CALLGATE_RETRY_BASE_MS=60000))
    record = caller.end(caller.call(destination(107), expiresAt=at(1.5)))
    assert record["state"] == "failed" and record["attempts"] == len(record["attemptLog"]) == 1
    outcome = record["outcome"]
    assert (outcome["reason"], outcome["sipCode"], outcome["faultOwner"]) == ("carrier_limit", 503, "carrier")
    last = caller.client.get(f"/v1/calls/{record['id']}/events").json["data"][-1]
    assert last["type"] == "call.failed" and "carrier_limit" in str(last), last


def test_what_expires_on_the_schedule_is_never_dialed(caller):
    to = destination(111)
    now = caller.call(to)
    later = caller.call(to, scheduledAt=at(0.2), expiresAt=at(0.6))
    assert caller.end(later, seconds=5)["outcome"]["reason"] == "queue_expired"
    caller.client.post(f"/v1/calls/{now}/cancel")
    caller.end(now)


def test_nothing_is_dialed_past_its_last_moment_when_the_queue_opens_late(house, waiting):
    """As many calls as can be claimed at once, with last moments all around the one in which they are."""
    calls = [waiting.call(destination(110), expiresAt=at(1 + n / 40)) for n in range(60)]
    time.sleep(1)
    waiting.tenant.set_trunk(max_concurrent=1000)
    for call in calls:
        assert waiting.end(call)["state"] in ("completed", "failed")
    assert house.database.value("select count(*) from calls where org_id = %s and initiated_at > expires_at + interval '50 ms'",
                                waiting.tenant.org_id) == 0


def test_a_short_queue_does_not_end_what_is_planned_for_later(gateways, world):
    """The queue's bound is by age; a planned call's begins when it is due."""
    gateway = gateways(CALLGATE_QUEUE_TTL_S=1)
    tenant = world.tenant()
    caller = tenant.at(gateway)
    later = caller.call(destination(110), scheduledAt=at(3))
    assert caller.end(later, seconds=10)["state"] == "completed"
    tenant.set_trunk(max_concurrent=0)
    time.sleep(2.5)         # until the scheduler has read it
    late = caller.call(scheduledAt=at(0.5))
    record = caller.end(late, seconds=10)
    assert record["outcome"]["reason"] == "queue_expired"
    assert seconds_between(record["scheduledAt"], record["timeline"]["endedAt"]) >= 1


def test_times_outlive_the_gateway(gateways, world):
    first = gateways()
    tenant = world.tenant()
    caller = tenant.at(first)
    calls = [caller.call(destination(110), scheduledAt=at(1)) for _ in range(5)]
    gone = caller.call(scheduledAt=at(3600), expiresAt=at(3601))
    first.kill()
    world.db.execute("update calls set expires_at = now() where call_id = %s", gone)
    world.db.execute("update call_expiry set at = now() where call_id = %s", gone)
    other = tenant.at(gateways())
    for call in calls:
        assert other.end(call, seconds=15)["state"] == "completed"
    assert other.end(gone)["outcome"]["reason"] == "queue_expired"


def test_an_expiry_after_the_answer_changes_nothing(caller):
    call = caller.call(destination(None), expiresAt=at(0.6))
    record = caller.end(call)
    assert record["state"] == "completed"
    assert seconds_between(record["expiresAt"], record["timeline"]["endedAt"]) > 0
