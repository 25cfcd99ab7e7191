"""The whole record of a call: what it waits for, every attempt with its evidence, what decided it and
stays as it was, and its ETag."""
import json

import pytest

from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 20, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 3000}


@pytest.fixture
def tenant(house):
    return house.world.tenant(project={"ring_timeout_s": 5, "max_duration_s": 30})


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


def test_a_call_without_a_word_of_its_own_says_so(caller):
    record = caller.get(caller.call())
    assert (record["metadata"], record["priority"]) == ({}, "normal")
    assert record["scheduledAt"] is record["expiresAt"] is record["cancelRequestedAt"] is None


def test_the_only_attempt_is_told_from_the_record(caller):
    record = caller.end(caller.call(destination(101)))
    (attempt,) = record["attemptLog"]
    assert attempt["attempt"] == record["attempts"] == 1
    assert {name: attempt[name] for name in ("initiatedAt", "ringingAt", "answeredAt", "endedAt")} == \
        {name: record["timeline"][name] for name in ("initiatedAt", "ringingAt", "answeredAt", "endedAt")}
    assert (attempt["reason"], attempt["sipCode"], attempt["uncertain"], attempt["undialed"]) == ("busy", 486, False, False)
    assert attempt["providerRef"] == record["providerRef"]


def test_every_attempt_is_told_with_its_evidence(caller):
    record = caller.end(caller.call(destination(107)))
    assert record["attempts"] == 3
    log = record["attemptLog"]
    assert [a["attempt"] for a in log] == [1, 2, 3]
    for attempt in log:
        assert (attempt["reason"], attempt["sipCode"]) == ("carrier_limit", 503)
        assert attempt["initiatedAt"] and attempt["endedAt"] and not attempt["answeredAt"]
    times = [a[name] for a in log for name in ("initiatedAt", "endedAt")]
    assert times == sorted(times)
    assert log[2]["endedAt"] == record["timeline"]["endedAt"]


def test_a_later_attempt_that_goes_on_stands_beside_the_earlier(caller):
    call = caller.call(destination(106))
    record = caller.until(call, lambda r: r["state"] == "in_progress", "talks")
    assert [(a["attempt"], a["reason"]) for a in record["attemptLog"]] == [(1, "carrier_unavailable"), (2, None)]
    assert record["attemptLog"][1]["answeredAt"] and not record["attemptLog"][1]["endedAt"]
    caller.end(call)


def test_a_call_that_waits_for_its_next_attempt_says_so(gateways, world):
    tenant = world.tenant()
    caller = tenant.at(gateways(CALLGATE_RETRY_BASE_MS=60_000))
    call = caller.call(destination(107))
    record = caller.until(call, lambda r: r["attempts"] == 1 and r["state"] == "queued" and r["waiting"]["for"] == "retry",
                          "waits for its second attempt")
    assert record["waiting"]["until"] > record["timeline"]["createdAt"]
    assert [(a["attempt"], a["reason"], bool(a["endedAt"])) for a in record["attemptLog"]] == [(1, "carrier_limit", True)]


def test_what_a_queued_call_waits_for(house, tenant, caller):
    tenant.set_trunk(max_concurrent=0)
    call = caller.call()
    assert caller.get(call)["waiting"] == {"for": "capacity", "until": None}
    tenant.set_trunk(max_concurrent=0, enabled=False)
    assert caller.get(call)["waiting"] == {"for": "trunk", "until": None}
    db, org = house.database, tenant.org_id
    db.execute("update projects set max_concurrent = 0 where org_id = %s", org)
    tenant.set_trunk(max_concurrent=0, enabled=True)
    assert caller.get(call)["waiting"] == {"for": "capacity", "until": None}
    db.execute("update projects set max_concurrent = null where org_id = %s", org)

    def put(run_at, scheduled_at, locked, looked_for=False):
        db.execute("delete from call_queue where org_id = %s and call_id = %s", org, call)
        db.execute("delete from call_schedule where org_id = %s and call_id = %s", org, call)
        db.execute(f"update calls set scheduled_at = {scheduled_at} where org_id = %s and call_id = %s", org, call)
        db.execute("insert into call_schedule (org_id, call_id, shard, run_at, project_id, trunk_id, prio, attempt, locked,"
                   " dest, scope, since)"
                   f" select org_id, call_id, org_id %% 64, {run_at}, project_id, trunk_id, 1, 1, %s,"
                   " case when %s then to_e164 end, case when %s then lock_scope end, case when %s then scheduled_at end from calls"
                   " where org_id = %s and call_id = %s", locked, looked_for, looked_for, looked_for, org, call)
        return caller.get(call)

    record = put("'2099-01-01'", "'2099-01-01'", False)
    assert record["waiting"] == {"for": "schedule", "until": "2099-01-01T00:00:00.000Z"} and \
        record["scheduledAt"] == "2099-01-01T00:00:00.000Z"
    record = put("'2099-01-01'", "'2026-01-01'", False, looked_for=True)
    assert record["waiting"] == {"for": "destination", "until": None}
    record = put("'2099-01-01'", "null", True)
    assert record["waiting"] == {"for": "retry", "until": "2099-01-01T00:00:00.000Z"}
    db.execute("update call_schedule set run_at = now() where call_id = %s", call)
    tenant.set_trunk(max_concurrent=10)
    assert caller.end(call)["waiting"] is None


def test_what_decided_the_call_stays_as_it_was(house, tenant, caller):
    call = caller.call(dynamicVariables={"n": 1})
    before = caller.end(call)
    db = house.database
    db.execute("update calls set trunk_name = coalesce(trunk_name, 'main'), driver = coalesce(driver, 'simulator')"
               " where call_id = %s", call)
    before = caller.get(call)
    assert before["trunk"]["driver"] == "simulator"
    db.execute("update projects set rate_mc = 7, agent = 'another', ring_timeout_s = 80, max_duration_s = 9"
               " where org_id = %s", tenant.org_id)
    tenant.set_trunk(name="renamed", driver="livekit", enabled=False)
    assert caller.get(call) == before
    assert before["rate"] == {"prefix": None, "milliCentsPerMinute": 1200, "incrementSeconds": 1, "minimumSeconds": 1}


# ── ETag ─────────────────────────────────────────────────────────────────────────────────

def look(caller, call, tag=None):
    return caller.client.get(f"/v1/calls/{call}", {"If-None-Match": tag} if tag else None)


def test_what_has_not_changed_is_304_without_a_body(caller):
    call = caller.call()
    caller.end(call)
    first = look(caller, call)
    tag = first.headers["etag"]
    assert tag.startswith('"') and tag.endswith('"')
    for sent in (tag, f"W/{tag}", f'"x", {tag}', "*", f' {tag} , "y"'):
        answer = look(caller, call, sent)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag), sent
    for sent in ('"x"', tag.strip('"'), tag[:-1], '""', f'"{tag}"'):
        assert look(caller, call, sent).status == 200, sent


def test_every_step_of_a_life_has_another_tag(caller):
    call = caller.call(destination(106))
    tags = {}

    def ended():
        answer = look(caller, call)
        tags.setdefault(answer.headers["etag"], []).append(answer.json)
        return answer.json["state"] == "completed"
    until("the call has ended", ended, 20)
    assert len(tags) >= 3
    for records in tags.values():
        assert len({json.dumps(r) for r in records}) == 1, records


def test_a_tag_opens_nothing_that_the_key_does_not(house, caller):
    call = caller.call()
    stranger = house.world.tenant().at(house.gateway)
    assert look(stranger, call, "*").status == 404
    assert house.gateway.client().get(f"/v1/calls/{call}", {"If-None-Match": "*"}).status == 401
