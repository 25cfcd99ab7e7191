"""Idempotency-Key: a request may be sent as often as anybody likes, and one call comes of it."""
import concurrent.futures
import datetime
import json
import threading
import time
import uuid

import pytest

from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 50, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0,
            "CALLGATE_LEASE_TTL_MS": 3000}
PATH = "/v1/calls/outbound"


@pytest.fixture
def tenant(house):
    return house.world.tenant()


@pytest.fixture
def client(house, tenant):
    return house.gateway.client(tenant.key_text)


def fresh():
    return str(uuid.uuid4())


def post(client, body, key, **headers):
    return client.post(PATH, body, {"Idempotency-Key": key, **headers})


def calls_of(tenant):
    return tenant.db.value("select count(*) from calls where org_id = %s", tenant.org_id)


def code(answer):
    return answer.status, answer.json.get("code")


def replayed(answer):
    return answer.headers.get("idempotent-replayed") == "true"


def check_replay(first, again):
    """The same to the byte, and marked; the first one is not."""
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers.get("location") == first.headers.get("location")
    assert replayed(again) and not replayed(first)


# ── replay ───────────────────────────────────────────────────────────────────────────────

def test_the_second_request_gets_the_first_answer_and_makes_no_call(client, tenant):
    body, key = tenant.body(), fresh()
    first = post(client, body, key)
    assert first.status == 200, first
    for _ in range(3):
        check_replay(first, post(client, body, key))
    assert calls_of(tenant) == 1


def test_without_a_key_nothing_is_replayed(client, tenant):
    body = tenant.body()
    first = client.post(PATH, body)
    assert first.status == 200 and not replayed(first)
    assert client.post(PATH, body).status in (200, 409)


def test_the_answer_is_the_same_after_the_call_has_ended(house, client, tenant):
    body, key = tenant.body(destination(101)), fresh()
    first = post(client, body, key)
    assert tenant.at(house.gateway).end(first.json["callId"])["state"] == "busy"
    check_replay(first, post(client, body, key))
    assert calls_of(tenant) == 1


def test_quoted_unquoted_and_in_the_body_it_is_the_same_key(client, tenant):
    key = fresh()
    body = tenant.body(idempotencyKey=key)
    first = client.post(PATH, body)
    assert first.status == 200, first
    for header in (key, f'"{key}"', f'  "{key}"  '):
        check_replay(first, post(client, body, header))
    check_replay(first, client.post(PATH, body))
    assert calls_of(tenant) == 1


def test_white_space_makes_no_other_body(client, tenant):
    body, key = tenant.body(), fresh()
    first = post(client, json.dumps(body), key, **{"Content-Type": "application/json"})
    check_replay(first, post(client, json.dumps(body, indent=3) + "\n", key, **{"Content-Type": "application/json"}))


@pytest.mark.parametrize("change", [{"toNumber": destination()}, {"dynamicVariables": {}}, {"priority": "normal"}])
def test_another_body_is_422_and_no_call(client, tenant, change):
    body, key = tenant.body(), fresh()
    first = post(client, body, key)
    again = post(client, {**body, **change}, key)
    assert code(again) == (422, "idempotency_key_reused") and not replayed(again)
    check_replay(first, post(client, body, key))
    assert calls_of(tenant) == 1


def test_a_key_is_good_for_255_visible_characters(client, tenant):
    for key in ("x" * 255, "!~;=,\"", "a", '"' + "y" * 255 + '"'):
        assert post(client, tenant.body(), key).status == 200, key


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", '"a', '""', '"a"b', "a\tb", "\xe9"])
def test_what_is_no_key_is_400_and_no_call(client, tenant, key):
    answer = post(client, tenant.body(), key)
    assert code(answer) == (400, "validation_failed"), answer
    assert answer.json["details"][0]["pointer"] == "" and "Idempotency-Key" in answer.json["details"][0]["message"]
    assert calls_of(tenant) == 0


def test_a_key_of_the_body_is_judged_as_the_rest_of_it(client, tenant):
    answer = client.post(PATH, tenant.body("+1", idempotencyKey="a b"))
    assert code(answer) == (400, "validation_failed")
    assert {one["pointer"] for one in answer.json["details"]} == {"/toNumber", "/idempotencyKey"}


def test_header_and_body_must_agree(client, tenant):
    answer = post(client, tenant.body(idempotencyKey="one"), "two")
    assert code(answer) == (422, "idempotency_key_conflict")
    assert [one["pointer"] for one in answer.json["details"]] == ["/idempotencyKey"]
    assert calls_of(tenant) == 0


def test_two_headers_are_refused(house, tenant):
    body = json.dumps(tenant.body())
    with house.gateway.client().raw() as raw:
        raw.send(f"POST {PATH} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {tenant.key_text}\r\n"
                 f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                 f"Idempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n{body}")
        assert code(raw.answer()) == (400, "request_malformed")
    assert calls_of(tenant) == 0


# ── refusals ─────────────────────────────────────────────────────────────────────────────

def test_a_402_is_replayed_even_when_there_are_credits_again(house):
    tenant = house.world.tenant(credits_mc=0)
    client = house.gateway.client(tenant.key_text)
    body, key = tenant.body(), fresh()
    first = post(client, body, key)
    assert code(first) == (402, "insufficient_credits") and not replayed(first)
    tenant.db.execute("update credit_accounts set balance_mc = 100000000 where org_id = %s", tenant.org_id)
    tenant.db.execute("insert into credit_ledger (org_id, account_id, kind, amount_mc) values (%s, %s, 1, 100000000)",
                      tenant.org_id, tenant.account_id)
    check_replay(first, post(client, body, key))
    assert post(client, body, fresh()).status == 200


def test_a_busy_destination_is_replayed_and_a_new_attempt_needs_a_new_key(house, client, tenant):
    busy = tenant.at(house.gateway).call(destination(102), ringTimeoutSeconds=80)
    to = tenant.at(house.gateway).get(busy)["to"]
    body, key = tenant.body(to), fresh()
    first = post(client, body, key)
    assert code(first) == (409, "destination_busy") and not replayed(first)
    check_replay(first, post(client, body, key))
    tenant.at(house.gateway).end(busy)
    check_replay(first, post(client, body, key))
    assert post(client, body, fresh()).status == 200


def test_an_unknown_number_is_replayed(client, tenant):
    body, key = tenant.body(fromNumber="+886900000000"), fresh()
    first = post(client, body, key)
    assert code(first) == (404, "number_not_found")
    check_replay(first, post(client, body, key))


def test_what_was_not_carried_out_may_be_mended_under_the_same_key(house, tenant):
    key = fresh()
    other = tenant.user()
    client = house.gateway.client(tenant.key(other))
    assert code(post(client, tenant.body("+1"), key)) == (400, "validation_failed")
    assert code(post(house.gateway.client(), tenant.body(), key)) == (401, "credentials_missing")
    body = tenant.body()
    assert code(post(client, body, key)) == (403, "project_forbidden")
    tenant.db.execute("insert into project_members (org_id, project_id, user_id) values (%s, %s, %s)",
                      tenant.org_id, tenant.project_id, other)
    assert code(post(client, body, key)) == (403, "number_forbidden")
    tenant.pool([other], [tenant.from_number])
    assert code(post(client, {**body, "maxDurationSeconds": 86400}, key)) == (400, "max_duration_exceeded")
    first = post(client, body, key)
    assert first.status == 200 and not replayed(first)
    check_replay(first, post(client, body, key))


def test_who_is_no_member_any_more_gets_no_replay(house, client, tenant):
    body, key = tenant.body(), fresh()
    assert post(client, body, key).status == 200
    tenant.db.execute("delete from project_members where org_id = %s", tenant.org_id)
    assert code(post(client, body, key)) == (403, "project_forbidden")


@pytest.mark.parametrize("change", ["update phone_numbers set status = 'inactive' where org_id = %s",
                                    "delete from pool_members where org_id = %s",
                                    "update projects set max_duration_s = 59 where org_id = %s"])
def test_what_is_provisioned_since_does_not_hide_what_became_of_the_first(client, tenant, change):
    body, key = tenant.body(maxDurationSeconds=60), fresh()
    first = post(client, body, key)
    assert first.status == 200, first
    tenant.db.execute(change, tenant.org_id)
    check_replay(first, post(client, body, key))
    assert code(post(client, {**body, "priority": "low"}, key)) == (422, "idempotency_key_reused")
    assert post(client, body, fresh()).status in (400, 403)


def test_a_time_that_has_passed_since_does_not_hide_what_became_of_the_first(client, tenant):
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=298)
    body, key = tenant.body(scheduledAt=at.isoformat()), fresh()
    first = post(client, body, key)
    assert first.status == 200, first
    time.sleep(2.5)
    check_replay(first, post(client, body, key))
    assert code(post(client, {**body, "priority": "low"}, key)) == (422, "idempotency_key_reused")
    answer = post(client, body, fresh())
    assert code(answer) == (400, "validation_failed"), answer
    assert [one["pointer"] for one in answer.json["details"]] == ["/scheduledAt"]
    assert code(client.post(PATH, body)) == (400, "validation_failed")
    assert calls_of(tenant) == 1


# ── whose key it is ──────────────────────────────────────────────────────────────────────

def test_a_key_belongs_to_one_user_one_mode_and_one_organization(house, tenant):
    other = house.world.tenant()
    key = fresh()
    second = tenant.user()
    tenant.db.execute("insert into project_members (org_id, project_id, user_id) values (%s, %s, %s)",
                      tenant.org_id, tenant.project_id, second)
    tenant.pool([second], [tenant.from_number])
    keys = [(tenant, tenant.key_text), (tenant, tenant.key(second)), (tenant, tenant.key(tenant.user_id, test=True)),
            (other, other.key_text)]
    answers = [post(house.gateway.client(text), whose.body(), key) for whose, text in keys]
    assert [answer.status for answer in answers] == [200] * 4
    assert not any(replayed(answer) for answer in answers)
    assert len({answer.json["callId"] for answer in answers}) == 4


def test_two_keys_of_one_user_share(house, client, tenant):
    body, key = tenant.body(), fresh()
    first = post(client, body, key)
    check_replay(first, post(house.gateway.client(tenant.key(tenant.user_id)), body, key))
    assert calls_of(tenant) == 1


# ── at the same moment ───────────────────────────────────────────────────────────────────

def at_once(count, do):
    """do(0) … do(count - 1), all let go together."""
    gate = threading.Barrier(count)

    def one(n):
        gate.wait()
        return do(n)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def patient(client, body, key, seconds=15):
    """As a client does: 409 idempotency_in_progress is no answer yet."""
    deadline = time.monotonic() + seconds
    while True:
        answer = post(client, body, key)
        if code(answer) != (409, "idempotency_in_progress") or time.monotonic() > deadline:
            return answer
        assert answer.headers["retry-after"] == "1"
        time.sleep(0.05)


def test_two_gateways_and_one_key_at_the_same_instant_make_one_call(gateways, world):
    tenant, doors = world.tenant(), [gateways(), gateways()]
    clients = [door.client(tenant.key_text) for door in doors]
    for _ in range(15):
        body, key = tenant.body(), fresh()
        before = calls_of(tenant)
        answers = at_once(6, lambda n: patient(clients[n % 2], body, key))
        assert {answer.status for answer in answers} == {200}, answers
        assert len({answer.body for answer in answers}) == 1
        assert sum(not replayed(answer) for answer in answers) == 1
        assert calls_of(tenant) == before + 1


def test_two_bodies_with_one_key_at_the_same_instant_make_one_call(gateways, world):
    tenant, doors = world.tenant(), [gateways(), gateways()]
    clients = [door.client(tenant.key_text) for door in doors]
    for _ in range(8):
        bodies, key = [tenant.body(), tenant.body()], fresh()
        before = calls_of(tenant)
        answers = at_once(4, lambda n: patient(clients[n % 2], bodies[n // 2], key))
        assert sorted(answer.status for answer in answers) == [200, 200, 422, 422], answers
        assert calls_of(tenant) == before + 1


def test_one_key_for_one_busy_destination_is_refused_once_and_for_all(gateways, world):
    """Whoever comes second finds the first one's refusal, not one of their own."""
    tenant, doors = world.tenant(), [gateways(), gateways()]
    clients = [door.client(tenant.key_text) for door in doors]
    busy = tenant.at(doors[0]).call(destination(102), ringTimeoutSeconds=80)
    to = tenant.at(doors[0]).get(busy)["to"]
    for _ in range(5):
        body, key = tenant.body(to), fresh()
        answers = at_once(4, lambda n: patient(clients[n % 2], body, key))
        assert {code(answer) for answer in answers} == {(409, "destination_busy")}
        assert len({answer.json["requestId"] for answer in answers}) == 1


def test_what_a_killed_gateway_left_open_another_one_settles(gateways, world):
    """Answers are lost with it; the same requests at another gateway find out, or do it."""
    tenant, dying, other = world.tenant(), gateways(), gateways()
    work = [(tenant.body(), fresh()) for _ in range(120)]
    seen = {}

    def ask(n):
        body, key = work[n]
        client = dying.client(tenant.key_text, timeout=5)
        try:
            seen[n] = post(client, body, key)
        except OSError:
            pass
        except Exception as error:      # http.client's own, for half an answer
            assert "http.client" in type(error).__module__, error

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, n) for n in range(len(work))]
        until("a part of the answers is here", lambda: len(seen) >= 12, every=0.001)
        dying.kill()
        for one in asked:
            one.result()
    assert len(seen) < len(work), "the gateway was killed too late"
    client = other.client(tenant.key_text)
    answers = [patient(client, body, key) for body, key in work]
    assert {answer.status for answer in answers} == {200}, answers
    for n, first in seen.items():
        assert first.body == answers[n].body
    assert calls_of(tenant) == len(work)
    caller = tenant.at(other)
    for answer in answers:
        caller.end(answer.json["callId"], seconds=40)
