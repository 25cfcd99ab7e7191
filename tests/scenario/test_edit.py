"""Changing a call that waits: what may be changed and until when, by whom, and that of two who
saw the same call only one gets his way."""
import concurrent.futures
import datetime

import pytest

from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 20, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 3000}


def edit(caller, call, body, **headers):
    return caller.client.request("PATCH", f"/v1/calls/{call}", body, {name.replace("_", "-"): value for name, value in headers.items()})


def at(seconds):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def etag(caller, call):
    return caller.client.get(f"/v1/calls/{call}").headers["etag"]


@pytest.fixture
def tenant(house):
    return house.world.tenant(trunk={"max_concurrent": 0})


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


def test_variables_metadata_and_priority_of_a_queued_call(house, caller):
    call = caller.call(dynamicVariables={"name": "Ada"}, metadata={"a": 1})
    answer = edit(caller, call, {"dynamicVariables": {"name": "Grace"}, "metadata": {"b": [2]}, "priority": "high"})
    assert answer.status == 200
    record = answer.json
    assert record["dynamicVariables"] == {"name": "Grace"} and record["metadata"] == {"b": [2]} and record["priority"] == "high"
    assert answer.headers["etag"] == etag(caller, call)
    assert caller.get(call) == record
    assert house.database.rows("select kind, seq, data from call_events where call_id = %s and kind = 35", call) == [
        (35, 1, {"changed": ["dynamicVariables", "metadata", "priority"]})]


def test_what_was_not_said_stays(caller):
    call = caller.call(dynamicVariables={"name": "Ada"}, metadata={"a": 1}, priority="low")
    record = edit(caller, call, {"metadata": {}}).json
    assert record["dynamicVariables"] == {"name": "Ada"} and record["metadata"] == {} and record["priority"] == "low"


def test_the_agent_gets_the_new_variables(house, tenant, caller):
    call = caller.call(destination(110), dynamicVariables={"name": "Ada"})
    assert edit(caller, call, {"dynamicVariables": {"name": "Grace"}}).status == 200
    tenant.set_trunk(max_concurrent=10)
    assert caller.end(call)["dynamicVariables"] == {"name": "Grace"}


def test_said_twice_is_done_once(house, caller):
    call = caller.call()
    first = edit(caller, call, {"metadata": {"a": 1}})
    second = edit(caller, call, {"metadata": {"a": 1}})
    assert first.status == second.status == 200 and first.headers["etag"] == second.headers["etag"]
    assert house.database.value("select count(*) from call_events where call_id = %s and kind = 35", call) == 1


def test_a_call_can_be_put_off_and_called_back(house, tenant, caller):
    to = destination(110)
    call = caller.call(to)
    later = at(3600)
    record = edit(caller, call, {"scheduledAt": later}).json
    assert record["scheduledAt"] == later and record["waiting"]["for"] == "schedule"
    assert record["expiresAt"]
    other = caller.call(to)                     # the person can be called meanwhile
    assert caller.client.post(f"/v1/calls/{other}/cancel").status == 200
    tenant.set_trunk(max_concurrent=10)
    record = edit(caller, call, {"scheduledAt": None}).json
    assert record["scheduledAt"] <= at(1)
    assert caller.end(call)["state"] == "completed"


def test_a_call_put_off_waits_for_its_destination_when_it_comes_back(house, tenant, caller):
    to = destination()
    call = caller.call(to)
    assert edit(caller, call, {"scheduledAt": at(3600)}).status == 200
    other = caller.call(to)
    assert edit(caller, call, {"scheduledAt": None}).status == 200
    caller.until(call, lambda r: r["waiting"] and r["waiting"]["for"] == "destination", "waits for its destination")
    assert caller.client.post(f"/v1/calls/{other}/cancel").status == 200
    assert caller.client.post(f"/v1/calls/{call}/cancel").status == 200


def test_a_schedule_past_the_calls_own_bound_is_refused(caller):
    call = caller.call(expiresAt=at(600))
    answer = edit(caller, call, {"scheduledAt": at(601)})
    assert answer.status == 400 and answer.json["details"][0]["pointer"] == "/scheduledAt"
    assert edit(caller, call, {"scheduledAt": at(500)}).status == 200


def test_of_two_who_saw_the_same_call_one_gets_his_way(house, caller):
    call = caller.call()
    seen = etag(caller, call)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: edit(caller, call, {"metadata": {"n": n}}, If_Match=seen), range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [412] * 7
    winner = next(answer for answer in answers if answer.status == 200)
    assert caller.get(call)["metadata"] == winner.json["metadata"]
    assert {answer.json["code"] for answer in answers if answer.status == 412} == {"precondition_failed"}
    assert edit(caller, call, {"metadata": {"n": 9}}, If_Match="*").status == 200


def test_without_a_condition_all_of_them_are_done(house, caller):
    call = caller.call()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: edit(caller, call, {"metadata": {"n": n}}), range(12)))
    assert {answer.status for answer in answers} == {200}
    assert house.database.value("select count(*) from call_events where call_id = %s and kind = 35", call) == 12


def test_there_is_an_end_to_changes(caller):
    call = caller.call()
    for n in range(15):
        assert edit(caller, call, {"metadata": {"n": n}}).status == 200
    answer = edit(caller, call, {"metadata": {}})
    assert answer.status == 409 and answer.json["code"] == "edit_limit_reached"
    assert caller.get(call)["metadata"] == {"n": 14}


def test_what_was_claimed_or_has_ended_is_not_changed(house, tenant, caller):
    tenant.set_trunk(max_concurrent=10)
    call = caller.call(destination(111))
    caller.state(call, "in_progress")
    answer = edit(caller, call, {"metadata": {"late": True}})
    assert answer.status == 409 and answer.json["code"] == "too_late"
    caller.client.post(f"/v1/calls/{call}/cancel")
    caller.end(call)
    assert edit(caller, call, {"metadata": {"late": True}}).status == 409
    assert caller.get(call)["metadata"] == {}


def test_a_change_that_races_the_claim_is_either_dialed_or_refused(house, tenant, caller):
    """Whoever is told 200 has changed what is dialed: never is a change taken and lost."""
    tenant.set_trunk(max_concurrent=100)

    def one(n):
        call = caller.call(destination(110), dynamicVariables={"v": "old"})
        return call, edit(caller, call, {"dynamicVariables": {"v": "new"}, "priority": ["high", "low"][n % 2]}).status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(80)))
    for call, status in answers:
        assert status in (200, 409)
        assert caller.end(call)["dynamicVariables"] == {"v": "new" if status == 200 else "old"}
        changes = house.database.rows("select kind from call_events where call_id = %s and kind in (1, 35) order by at", call)
        assert changes == ([(35,), (1,)] if status == 200 else [(1,)])


def test_a_raised_call_goes_before_the_others(gateways, world):
    """One at a time: of ten that wait, the one whose priority was raised is next, as soon as the turn
    of those before it, four calls at most, is over."""
    gateway = gateways()
    tenant = world.tenant(trunk={"max_concurrent": 0})
    caller = tenant.at(gateway)
    calls = [caller.call(destination(110)) for _ in range(10)]
    assert edit(caller, calls[-1], {"priority": "high"}).status == 200
    tenant.set_trunk(max_concurrent=1)
    for call in calls:
        caller.end(call)
    order = [str(call) for call, in world.db.rows("select call_id from calls order by initiated_at")]
    assert order.index(calls[-1]) <= 4


@pytest.mark.parametrize("body, pointer", [
    ({}, ""), ({"toNumber": "+886912345678"}, "/toNumber"), ({"expiresAt": "2027-01-01T00:00:00Z"}, "/expiresAt"),
    ({"metadata": None}, "/metadata"), ({"metadata": 5}, "/metadata"), ({"dynamicVariables": "x"}, "/dynamicVariables"),
    ({"priority": "urgent"}, "/priority"), ({"scheduledAt": "soon"}, "/scheduledAt"), ({"colour": 1}, ""),
    ({"metadata": {"big": "x" * 20000}}, "/metadata"), ("not json", ""), ("[]", "")])
def test_a_change_that_is_no_change_is_refused(caller, body, pointer):
    call = caller.call(metadata={"a": 1})
    answer = edit(caller, call, body)
    assert answer.status == 400 and answer.json["code"] == "validation_failed"
    assert pointer in [detail["pointer"] for detail in answer.json["details"]]
    assert caller.get(call)["metadata"] == {"a": 1}


def test_nobody_elses_call_can_be_changed(house, tenant, caller):
    call = caller.call()
    body = {"metadata": {"mine": True}}
    assert edit(house.world.tenant().at(house.gateway), call, body).status == 404
    assert edit(tenant.at(house.gateway, tenant.key(tenant.user())), call, body).status == 404
    assert edit(caller, "nonsense", body).status == 404
    assert house.gateway.client("dk_1_wrong").request("PATCH", f"/v1/calls/{call}", body).status == 401
    assert caller.get(call)["metadata"] == {}


def test_the_methods_of_a_call_are_named(caller):
    answer = caller.client.delete(f"/v1/calls/{caller.call()}")
    assert answer.status == 405
    assert {"GET", "PATCH"} <= set(answer.headers["allow"].split(", "))


def test_a_change_at_another_gateway_reaches_the_one_that_dials(gateways, world):
    first, second = gateways(), gateways()
    tenant = world.tenant(trunk={"max_concurrent": 0})
    call = tenant.at(first).call(destination(110))
    for gateway, metadata in ((first, {"n": 1}), (second, {"n": 2})):
        assert edit(tenant.at(gateway), call, {"metadata": metadata, "priority": "low"}).status == 200
    tenant.set_trunk(max_concurrent=1)
    assert tenant.at(first).end(call)["metadata"] == {"n": 2}
    until("nothing waits", lambda: world.db.value("select count(*) from call_queue") == 0)
