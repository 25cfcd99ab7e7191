"""Pathors' "Create Outbound Call": every statement PATH-01 … PATH-45, a test each, named by its
id. What is asked is asked over HTTP; the database only says what a tenant may do, and, where
nothing over HTTP shows it, what became of a call."""
import base64
import concurrent.futures
import json
import threading
import time
import uuid

import pytest

from harness.wait import until
from harness.world import FINAL, destination, key_text

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 50, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0,
            "CALLGATE_LEASE_TTL_MS": 3000}
PATH = "/v1/calls/outbound"


@pytest.fixture
def tenant(house):
    return house.world.tenant()


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


def refused(answer, status, code=None):
    """An error has the one shape that docs/errors.md promises, and no call."""
    assert answer.status == status, answer
    body = answer.json
    assert body["success"] is False
    assert isinstance(body["error"], str) and body["error"]
    assert isinstance(body["code"], str) and body["code"]
    assert body["requestId"] == answer.headers["x-request-id"]
    assert "callId" not in body
    if code:
        assert body["code"] == code, answer
    return body


def pointers(body):
    assert all(set(one) == {"pointer", "message"} and one["message"] for one in body["details"])
    return {one["pointer"] for one in body["details"]}


def calls_of(tenant):
    return tenant.db.value("select count(*) from calls where org_id = %s", tenant.org_id)


# ── request line and authentication ──────────────────────────────────────────────────────

def test_PATH_01_a_json_body_creates_an_outbound_call(caller, tenant):
    answer = caller.post()
    assert answer.status == 200, answer
    assert calls_of(tenant) == 1


def test_PATH_02_a_developer_key_in_a_bearer_header_authenticates(house, tenant):
    assert tenant.key_text.startswith("dk_")
    answer = house.gateway.client().post(PATH, tenant.body(), {"Authorization": f"Bearer {tenant.key_text}"})
    assert answer.status == 200, answer


def test_PATH_03_a_missing_authorization_is_401(house, tenant):
    answer = house.gateway.client().post(PATH, tenant.body())
    refused(answer, 401, "credentials_missing")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("which", ["unknown", "invalid", "revoked", "expired", "of-another-organization", "cut",
                                   "no-organization", "huge-organization"])
def test_PATH_04_an_invalid_unknown_or_revoked_key_is_401(house, tenant, which):
    stranger = house.world.tenant()
    key = {
        "unknown": lambda: key_text(tenant.org_id),
        "invalid": lambda: "dk_what-is-this",
        "revoked": lambda: tenant.key(tenant.user_id, revoked_at="2026-01-01T00:00:00Z"),
        "expired": lambda: tenant.key(tenant.user_id, expires_at="2026-01-01T00:00:00Z"),
        # the same secret under another organization's number
        "of-another-organization": lambda: key_text(stranger.org_id)[:-40] + tenant.key_text[-40:],
        "cut": lambda: tenant.key_text[:-1],
        "no-organization": lambda: key_text(10**12),
        "huge-organization": lambda: "dk_" + "z" * 30 + tenant.key_text[-41:],
    }[which]()
    refused(tenant.at(house.gateway, key).post(), 401, "credentials_invalid")
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("header", ["Basic {basic}", "Bearer", "Bearer ", "Bearer    ", "{key}", "Token {key}",
                                    "Bearer{key}", "Digest username=\"{key}\"", "Bearer {key} {key}", ""])
def test_PATH_05_another_scheme_or_an_empty_token_is_401(house, tenant, header):
    basic = base64.b64encode(f"{tenant.key_text}:".encode()).decode()
    answer = house.gateway.client().post(
        PATH, tenant.body(), {"Authorization": header.format(key=tenant.key_text, basic=basic)})
    refused(answer, 401)
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("kind", ["kros", "sk_car", "sk", "bare", "upper"])
def test_PATH_06_a_token_without_the_dk_prefix_is_401(house, tenant, kind):
    """Even one that is a good key elsewhere."""
    if kind == "bare":
        key = tenant.key_text.removeprefix("dk_")
    elif kind == "upper":
        key = tenant.key_text.replace("dk_", "DK_", 1)
    else:
        key = tenant.key(tenant.user_id, kind)
    refused(tenant.at(house.gateway, key).post(), 401)


def test_PATH_07_the_key_is_a_user_and_memberships_are_that_users(house, tenant):
    """A second user of the same organization: nothing of the first one's is theirs until they
    are a member themselves, of the project and of the pool."""
    other = tenant.user()
    theirs = tenant.at(house.gateway, tenant.key(other))
    refused(theirs.post(), 403, "project_forbidden")
    tenant.db.execute("insert into project_members values (%s, %s, %s)", tenant.org_id, tenant.project_id, other)
    refused(theirs.post(), 403, "number_forbidden")
    tenant.db.execute("insert into pool_members values (%s, %s, %s)", tenant.org_id, other, tenant.pool_id)
    assert theirs.post().status == 200
    tenant.db.execute("delete from project_members where org_id = %s and user_id = %s", tenant.org_id, tenant.user_id)
    refused(tenant.at(house.gateway).post(), 403, "project_forbidden")
    assert theirs.post().status == 200


@pytest.mark.parametrize("key", [None, "unknown", "nonsense"])
@pytest.mark.parametrize("body", ["", "{", "[]", '{"toNumber": 1}', "\xff"])
def test_PATH_08_a_bad_key_is_told_before_a_bad_body(house, tenant, key, body):
    text = {None: None, "unknown": key_text(tenant.org_id), "nonsense": "nonsense"}[key]
    answer = house.gateway.client(text).post(PATH, body.encode("latin-1"))
    assert "details" not in refused(answer, 401)


@pytest.mark.parametrize("content_type, status", [
    ("application/json", 200), ("application/json; charset=utf-8", 200), ("Application/JSON", 200),
    ("application/json;charset=\"UTF-8\"", 200),
    ("text/plain", 400), ("application/x-www-form-urlencoded", 400), ("application/jsonp", 400),
    ("multipart/form-data; boundary=x", 400), ("json", 400), ("", 400)])
def test_PATH_09_json_is_accepted_and_other_types_are_400(house, tenant, content_type, status):
    answer = house.gateway.client(tenant.key_text).post(PATH, tenant.body(), {"Content-Type": content_type})
    if status == 200:
        assert answer.status == 200, answer
    else:
        refused(answer, 400, "validation_failed")
        assert calls_of(tenant) == 0


def test_PATH_09_malformed_json_is_400(caller, tenant):
    text = json.dumps(tenant.body())
    for bad in (text[:-1], text + "}", text.replace('"', "'"), "not json", text.replace(":", "=")):
        refused(caller.client.post(PATH, bad), 400, "validation_failed")
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "TRACE"])
def test_PATH_10_other_methods_are_405(house, tenant, method):
    client = house.gateway.client(tenant.key_text)
    answer = client.request(method, PATH, tenant.body() if method in ("PUT", "PATCH") else None)
    assert answer.status == 405, answer
    assert "POST" in answer.headers["allow"].replace(" ", "").split(",")
    if method != "HEAD":
        refused(answer, 405, "method_not_allowed")
    assert calls_of(tenant) == 0


# ── body ─────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("member", [pytest.param("projectId", id="PATH_11"), pytest.param("fromNumber", id="PATH_12"),
                                    pytest.param("toNumber", id="PATH_13")])
def test_PATH_11_12_13_a_missing_required_member_is_400(caller, tenant, member):
    body = tenant.body()
    del body[member]
    told = refused(caller.client.post(PATH, body), 400, "validation_failed")
    assert pointers(told) == {f"/{member}"}
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("number", [
    "886912345678", "00886912345678", "+", "+0886912345678", "+8869123456789012", "+88691234567890123",
    "+886 912 345 678", "+886-912-345-678", "+(886)912345678", "+88691234567a", "tel:+886912345678", " +886912345678",
    "+886912345678 ", "+886912345678\n", "++886912345678", "+886912345678;ext=1", "+٨٨٦٩١٢٣٤٥٦٧٨", "+88６912345678",
    "0912345678", "(415) 555-1234", "anonymous", "sip:alice@example.org", "+1e10", "+1" + "0" * 5000, "-886912345678"])
def test_PATH_14_a_destination_that_is_not_E164_is_400(caller, tenant, number):
    told = refused(caller.post(number), 400, "validation_failed")
    assert pointers(told) == {"/toNumber"}
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("number", ["+49301234567", "+1234567890123", "+123456789012345", "+886912345678"])
def test_PATH_14_a_destination_in_E164_is_accepted(caller, number):
    caller.end(caller.call(number))


def test_PATH_14_a_formatted_number_is_answered_with_its_canonical_form(caller):
    told = refused(caller.post("+1 (415) 555-0100"), 400)
    assert "+14155550100" in told["details"][0]["message"]


def test_PATH_15_variables_may_be_absent(caller, tenant):
    assert "dynamicVariables" not in tenant.body()
    assert caller.get(caller.call())["dynamicVariables"] == {}


@pytest.mark.parametrize("value", ["[]", '["a"]', '"text"', "1", "1.5", "true", "false", "null"])
def test_PATH_16_variables_that_are_no_object_are_400(caller, tenant, value):
    body = json.dumps(tenant.body())[:-1] + f', "dynamicVariables": {value}}}'
    assert pointers(refused(caller.client.post(PATH, body), 400, "validation_failed")) == {"/dynamicVariables"}
    assert calls_of(tenant) == 0


def test_PATH_16_variables_that_are_an_object_are_accepted(caller):
    assert caller.get(caller.call(dynamicVariables={}))["dynamicVariables"] == {}
    assert caller.get(caller.call(dynamicVariables={"a": "b"}))["dynamicVariables"] == {"a": "b"}


@pytest.mark.parametrize("member", ["projectId", "fromNumber", "toNumber"])
@pytest.mark.parametrize("value", [1, 886912345678, 1.5, True, False, None, [], ["+886912345678"], {}, ""],
                         ids=["int", "number-as-int", "real", "true", "false", "null", "array", "list", "object", "empty"])
def test_PATH_17_a_wrong_type_or_an_empty_string_is_400(caller, tenant, member, value):
    body = {**tenant.body(), member: value}
    assert pointers(refused(caller.client.post(PATH, body), 400, "validation_failed")) == {f"/{member}"}
    assert calls_of(tenant) == 0


def test_PATH_18_an_agentId_in_the_body_changes_nothing(caller, tenant):
    agent = tenant.db.value("select agent from projects where org_id = %s and project_id = %s",
                            tenant.org_id, tenant.project_id)
    record = caller.end(caller.call(agentId="another-agent", agent="another-agent"))
    assert record["agent"] == agent


@pytest.mark.parametrize("extra", [{"unknown": 1}, {"projectID": "x"}, {"": ""}, {"a": {"b": [1, None]}}, {"__proto__": {}},
                                   {"toNumber ": "+1"}, {"é": "ü"}])
def test_PATH_19_unknown_members_are_ignored(caller, extra):
    """docs/api.md: ignored, but they must be sound JSON as everything else."""
    answer = caller.post(**extra)
    assert answer.status == 200, answer


# ── authorisation and state ──────────────────────────────────────────────────────────────

def test_PATH_20_a_user_who_is_no_member_of_the_project_is_403(house, tenant, caller):
    foreign, _ = tenant.project(tenant.account_id, [])
    refused(caller.post(projectId=foreign), 403, "project_forbidden")
    refused(caller.post(projectId=house.world.tenant().project_public), 403, "project_forbidden")
    assert calls_of(tenant) == 0


def test_PATH_21_an_unknown_project_is_the_same_403(tenant, caller):
    """Word for word that of a project of others, so that nobody learns which projects exist."""
    foreign, _ = tenant.project(tenant.account_id, [])
    unknown = refused(caller.post(projectId="proj_there_is_none"), 403, "project_forbidden")
    others = refused(caller.post(projectId=foreign), 403, "project_forbidden")
    assert unknown["error"] == others["error"]


def test_PATH_22_a_number_in_no_pool_of_the_user_is_403(tenant, caller):
    loose = tenant.number(tenant.trunk_id)
    refused(caller.post(fromNumber=loose), 403, "number_forbidden")
    tenant.pool([tenant.user()], [loose])
    refused(caller.post(fromNumber=loose), 403, "number_forbidden")
    tenant.pool([tenant.user_id], [loose])
    assert caller.post(fromNumber=loose).status == 200


@pytest.mark.parametrize("in_project, in_pool, status, code", [
    (True, True, 200, None), (True, False, 403, "number_forbidden"), (False, True, 403, "project_forbidden"),
    (False, False, 403, "project_forbidden")])
def test_PATH_23_project_and_pool_are_checked_separately(house, tenant, in_project, in_pool, status, code):
    user = tenant.user()
    if in_project:
        tenant.db.execute("insert into project_members values (%s, %s, %s)", tenant.org_id, tenant.project_id, user)
    if in_pool:
        tenant.db.execute("insert into pool_members values (%s, %s, %s)", tenant.org_id, user, tenant.pool_id)
    answer = tenant.at(house.gateway, tenant.key(user)).post()
    if status == 200:
        assert answer.status == 200, answer
    else:
        refused(answer, status, code)
        assert calls_of(tenant) == 0


def test_PATH_24_an_unknown_number_is_404(house, tenant, caller):
    refused(caller.post(fromNumber="+886900000001"), 404, "number_not_found")
    # another organization's number is as unknown
    refused(caller.post(fromNumber=house.world.tenant().from_number), 404, "number_not_found")
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("status", ["inactive", "suspended", "released"])
def test_PATH_25_a_number_that_is_not_active_is_400(tenant, caller, status):
    tenant.db.execute("update phone_numbers set status = %s where org_id = %s", status, tenant.org_id)
    refused(caller.post(), 400, "number_inactive")
    assert calls_of(tenant) == 0
    tenant.db.execute("update phone_numbers set status = 'active' where org_id = %s", tenant.org_id)
    assert caller.post().status == 200


@pytest.mark.parametrize("how", ["trunk_id = null", "outbound = false"])
def test_PATH_26_a_number_without_an_outbound_trunk_is_404(tenant, caller, how):
    tenant.db.execute(f"update phone_numbers set {how} where org_id = %s", tenant.org_id)
    refused(caller.post(), 404, "trunk_not_configured")
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("credits, rate, hold, status", [
    (0, 1200, 60, 402), (-5, 1200, 60, 402), (1199, 1200, 60, 402), (1200, 1200, 60, 200), (1, 1200, 0, 200),
    (0, 1200, 0, 402), (0, 0, 60, 200)])
def test_PATH_27_insufficient_credits_are_402(house, credits, rate, hold, status):
    """What a call holds has to be there; a project that costs nothing needs no credits."""
    tenant = house.world.tenant(credits_mc=credits, project={"rate_mc": rate, "hold_s": hold})
    answer = tenant.at(house.gateway).post()
    if status == 200:
        assert answer.status == 200, answer
    else:
        refused(answer, 402, "insufficient_credits")
        assert calls_of(tenant) == 0


def test_PATH_27_credits_are_not_spent_twice_by_calls_that_come_together(house):
    """Room for exactly three holds; twelve calls come at once."""
    tenant = house.world.tenant(credits_mc=3 * 1200, trunk={"enabled": False})
    caller = tenant.at(house.gateway)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        statuses = sorted(answer.status for answer in pool.map(lambda _: caller.post(), range(12)))
    assert statuses == [200] * 3 + [402] * 9


# ── the destination ──────────────────────────────────────────────────────────────────────

@pytest.fixture
def queued(house):
    """A tenant whose calls wait: its trunk is switched off."""
    return house.world.tenant(trunk={"enabled": False})


def test_PATH_28_a_destination_in_flight_is_409(house, queued):
    caller = queued.at(house.gateway)
    to = destination()
    caller.call(to)
    refused(caller.post(to), 409, "destination_busy")
    assert calls_of(queued) == 1


@pytest.mark.parametrize("other", ["number", "project", "variables", "user", "organization"])
def test_PATH_29_the_409_does_not_depend_on_who_calls_from_where(house, queued, other):
    caller = queued.at(house.gateway)
    to = destination()
    caller.call(to, dynamicVariables={"a": 1})
    if other == "number":
        number = queued.number(queued.trunk_id)
        queued.pool([queued.user_id], [number])
        answer = caller.post(to, fromNumber=number)
    elif other == "project":
        project, _ = queued.project(queued.account_id, [queued.user_id])
        answer = caller.post(to, projectId=project)
    elif other == "variables":
        answer = caller.post(to, dynamicVariables={"b": 2})
    elif other == "user":
        user = queued.user()
        queued.db.execute("insert into project_members values (%s, %s, %s)", queued.org_id, queued.project_id, user)
        queued.db.execute("insert into pool_members values (%s, %s, %s)", queued.org_id, user, queued.pool_id)
        answer = queued.at(house.gateway, queued.key(user)).post(to)
    else:
        answer = house.world.tenant().at(house.gateway).post(to)
    refused(answer, 409, "destination_busy")


def test_PATH_29_a_setting_narrows_the_lock_to_the_organization(gateways, world):
    gateway = gateways(CALLGATE_LOCK_PER_ORG="true")
    one, other = world.tenant(trunk={"enabled": False}), world.tenant(trunk={"enabled": False})
    to = destination()
    assert [who.at(gateway).post(to).status for who in (one, one, other, other)] == [200, 409, 200, 409]


def test_PATH_30_after_completion_the_destination_is_free_again(caller):
    to = destination(110)
    assert caller.end(caller.call(to))["state"] == "completed"
    assert caller.end(caller.call(to))["state"] == "completed"


LIVES = [100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114]


@pytest.mark.parametrize("life", LIVES)
def test_PATH_31_every_end_frees_the_destination(caller, life):
    to = destination(life)
    caller.end(caller.call(to))
    answer = caller.post(to)
    assert answer.status == 200, answer


@pytest.mark.parametrize("how", ["expired", "unknown"])
def test_PATH_31_ends_that_the_gateway_decides_free_it_too(gateways, world, how):
    """Waited too long, and a crash between the intent to dial and the provider's word. (Nothing
    in this API cancels a call; the state exists for providers that do.)"""
    tenant = world.tenant(trunk={"enabled": how != "expired"}, project={"ring_timeout_s": 80, "max_duration_s": 600})
    to = destination(111)
    gateway = gateways(CALLGATE_QUEUE_TTL_S=1, CALLGATE_LEASE_TTL_MS=1000, CALLGATE_SIMULATOR_SPEED=1)
    call = tenant.at(gateway).call(to)
    if how == "unknown":
        tenant.at(gateway).state(call, "initiated", "ringing")
        gateway.kill()
        # as if it had died before the provider's word was written down
        world.db.execute("update call_inflight set phase = 1, state = 1, ringing_at = null, provider_ref = null")
        gateway.start()
    record = tenant.at(gateway).end(call)
    assert record["outcome"]["reason"] == {"expired": "queue_expired", "unknown": "outcome_unknown"}[how]
    tenant.set_trunk(enabled=True)
    assert tenant.at(gateway).post(to).status == 200


def test_PATH_31_queued_dispatched_ringing_and_answered_calls_are_in_flight(gateways, world):
    gateway = gateways(CALLGATE_SIMULATOR_SPEED=4)
    waiting, other = world.tenant(trunk={"enabled": False}), world.tenant()
    caller = world.tenant(project={"ring_timeout_s": 80, "max_duration_s": 600}).at(gateway)
    seen = {}
    for state, who, life in (("queued", waiting.at(gateway), None), ("initiated", caller, 108),
                             ("ringing", caller, 102), ("in_progress", caller, 111)):
        to = destination(life)
        seen[to] = who, who.call(to), state
    for to, (who, call, state) in seen.items():
        who.state(call, state)
        refused(other.at(gateway).post(to), 409, "destination_busy")
        assert who.get(call)["state"] not in FINAL


@pytest.mark.tsan
@pytest.mark.parametrize("rivals", [2, 16])
def test_PATH_32_two_simultaneous_posts_one_200_one_409(house, rivals):
    tenants = [house.world.tenant(trunk={"enabled": False}) for _ in range(2)]
    callers = [tenants[i % 2].at(house.gateway) for i in range(rivals)]
    barrier = threading.Barrier(rivals)

    def race(caller, to):
        barrier.wait()
        return caller.post(to).status

    with concurrent.futures.ThreadPoolExecutor(rivals) as pool:
        for _ in range(20):
            to = destination()
            statuses = sorted(pool.map(race, callers, [to] * rivals))
            assert statuses == [200] + [409] * (rivals - 1)
    assert sum(map(calls_of, tenants)) == 20


def test_PATH_33_a_refused_request_does_not_occupy_the_destination(house, tenant, caller):
    to = destination()
    poor = house.world.tenant(credits_mc=0)
    foreign, _ = tenant.project(tenant.account_id, [])
    loose, asleep, bare = (tenant.number(tenant.trunk_id), tenant.number(tenant.trunk_id, status="inactive"),
                           tenant.number(None))
    tenant.pool([tenant.user_id], [asleep, bare])
    refused(tenant.at(house.gateway, key_text(tenant.org_id)).post(to), 401)
    refused(caller.post(to, dynamicVariables=[]), 400, "validation_failed")
    refused(caller.post(to, projectId=foreign), 403, "project_forbidden")
    refused(caller.post(to, fromNumber="+886900000002"), 404, "number_not_found")
    refused(caller.post(to, fromNumber=loose), 403, "number_forbidden")
    refused(caller.post(to, fromNumber=asleep), 400, "number_inactive")
    refused(caller.post(to, fromNumber=bare), 404, "trunk_not_configured")
    refused(poor.at(house.gateway).post(to), 402, "insufficient_credits")
    assert tenant.db.value("select count(*) from destination_locks where dest = %s", to) == 0
    assert caller.post(to).status == 200


# ── failures, and all statuses ───────────────────────────────────────────────────────────

INTERNALS = ("select", "insert", "relation", "column", "destination_locks", "api_keys", "sqlstate", "pg_", "postgres",
             "libpq", "constraint", "trigger", "plpgsql", "42p01", "/src/", ".c:", "unnest", "planted")


def is_discreet(answer):
    text = answer.body.decode().lower()
    assert not [word for word in INTERNALS if word in text], text


def poison(db, to):
    """The database refuses calls to this destination in a way nobody has foreseen."""
    db.execute("""create or replace function planted() returns trigger language plpgsql as
                  $$ begin raise exception 'planted fault in relation calls of pg_catalog'; end $$""")
    db.execute(f"""create trigger "planted {to}" before insert on calls for each row
                   when (new.to_e164 = '{to}') execute function planted()""")


def test_PATH_34_an_unexpected_failure_is_500_and_tells_nothing(house, tenant, caller):
    to = destination()
    poison(tenant.db, to)
    answer = caller.post(to, dynamicVariables={"secret": "do not repeat me"})
    refused(answer, 500, "internal_error")
    is_discreet(answer)
    assert "do not repeat me" not in answer.body.decode()
    assert calls_of(tenant) == 0
    tenant.db.execute(f'drop trigger "planted {to}" on calls')
    assert caller.post(to).status == 200


@pytest.mark.broken_books
@pytest.mark.parametrize("breakage, repair", [
    ("alter table destination_locks rename to elsewhere", "alter table elsewhere rename to destination_locks"),
    ("alter table projects rename column rate_mc to price", "alter table projects rename column price to rate_mc")])
def test_PATH_34_a_schema_in_disorder_is_500_and_mends_without_a_restart(gateways, world, breakage, repair):
    tenant = world.tenant()
    caller = tenant.at(gateways())
    caller.call()
    world.db.execute(breakage)
    answer = caller.post()
    refused(answer, 500, "internal_error")
    is_discreet(answer)
    world.db.execute(repair)
    until("calls are accepted again", lambda: caller.post().status == 200, 10)


def test_PATH_35_the_statuses_are_the_documented_ones(house, tenant, caller):
    """Each of the eight is reached, by the condition the document names for it."""
    to, bad = destination(), destination()
    poison(tenant.db, bad)
    foreign, _ = tenant.project(tenant.account_id, [])
    tenant.set_trunk(enabled=False)
    seen = [caller.post(to).status, caller.post("nobody").status, house.gateway.client().post(PATH, {}).status,
            house.world.tenant(credits_mc=0).at(house.gateway).post().status, caller.post(projectId=foreign).status,
            caller.post(fromNumber="+886900000003").status, caller.post(to).status, caller.post(bad).status]
    tenant.db.execute(f'drop trigger "planted {bad}" on calls')
    assert seen == [200, 400, 401, 402, 403, 404, 409, 500]


# ── acceptance and dispatch ──────────────────────────────────────────────────────────────

def test_PATH_36_success_is_200_with_success_true(caller):
    answer = caller.post()
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["success"] is True


def test_PATH_37_success_is_a_boolean_and_the_rest_is_additional(caller):
    answer = caller.post()
    assert set(answer.json) == {"success", "callId", "status"}
    assert answer.json["success"] is True and answer.json["status"] == "queued"
    assert str(uuid.UUID(answer.json["callId"])) == answer.json["callId"]
    assert answer.headers["location"] == f"/v1/calls/{answer.json['callId']}"


def test_PATH_38_the_answer_does_not_wait_for_the_callee(gateways, world):
    """In real time this one rings for two seconds and talks for twenty."""
    gateway = gateways(CALLGATE_SIMULATOR_SPEED=1)
    caller = world.tenant().at(gateway)
    began = time.monotonic()
    call = caller.call(destination(100))
    assert caller.get(call)["state"] in ("queued", "initiated", "ringing")
    assert time.monotonic() - began < 1.9


def test_PATH_39_an_accepted_call_is_dialed_without_another_request(caller, tenant):
    call = caller.call(destination(110))
    until("the call has ended, seen in the database", lambda: tenant.db.value(
        "select ended_at is not null from calls where org_id = %s and call_id = %s", tenant.org_id, call))
    record = caller.get(call)
    assert record["state"] == "completed" and record["timeline"]["initiatedAt"] and record["attempts"] == 1


@pytest.mark.parametrize("pause", [{"enabled": False}, {"cps_milli": 0}, {"max_concurrent": 0}], ids=lambda p: next(iter(p)))
def test_PATH_40_an_accepted_call_survives_a_crash_before_its_dispatch(gateways, world, pause):
    tenant = world.tenant(trunk=pause)
    gateway = gateways(CALLGATE_LEASE_TTL_MS=1000)
    calls = [tenant.at(gateway).call(destination(110)) for _ in range(3)]
    gateway.kill()
    assert calls_of(tenant) == 3
    gateway.start()
    assert {tenant.at(gateway).get(call)["state"] for call in calls} == {"queued"}
    tenant.set_trunk(enabled=True, cps_milli=100_000, max_concurrent=10)
    for call in calls:
        record = tenant.at(gateway).end(call)
        assert record["state"] == "completed" and record["attempts"] == 1


VARIABLES = [
    '{"customerName":"Jane Doe","orderId":"12345"}',
    '{"name":"王小明","greeting":"Grüß Gott, Łukasz 👋🏽","rtl":"שלום"}',
    '{"nested":{"list":[1,2.50,-0,1e3,true,false,null,{"deep":[[]]}],"empty":{}},"":"empty key"}',
    r'{"escapes":"\u00e9\n\t\"\\\/ \ud83d\ude00","k\u00e9y":"v"}',
    '{"big":9007199254740993,"max":9223372036854775807,"precise":0.1000000000000000055511151231257827}',
    '{"z":1,"a":2,"m":3}',
    '{"sql":"\'; drop table calls; --","pct":"%s %n","nul":"\\\\0","brace":"{}[],:"}',
]


@pytest.mark.parametrize("text", VARIABLES, ids=["plain", "scripts", "nested", "escapes", "numbers", "order", "hostile"])
def test_PATH_41_variables_are_stringified_for_the_agent_as_they_were_sent(caller, tenant, text):
    """Byte for byte, white space between tokens apart: the text that the claim hands to the
    driver with the call is this column's. The simulator has no room to put it into; that
    LiveKit's room metadata is this text is proved with the LiveKit driver."""
    spaced = text.replace('":', '" :\t ', 1).replace(",\"", " ,\n \"", 1)
    body = json.dumps(tenant.body())[:-1] + f', "dynamicVariables" :  {spaced} }}'
    answer = caller.client.post(PATH, body)
    assert answer.status == 200, answer
    call = answer.json["callId"]
    assert tenant.db.value("select variables from calls where org_id = %s and call_id = %s", tenant.org_id, call) == text
    caller.end(call)
    assert f'"dynamicVariables":{text},'.encode() in caller.client.get(f"/v1/calls/{call}").body


@pytest.mark.parametrize("text", VARIABLES, ids=["plain", "scripts", "nested", "escapes", "numbers", "order", "hostile"])
def test_PATH_42_the_stringified_variables_are_json_with_the_same_keys_and_values(caller, tenant, text):
    sent = json.loads(text)
    call = caller.call(dynamicVariables=sent)
    stored = tenant.db.value("select variables from calls where org_id = %s and call_id = %s", tenant.org_id, call)
    assert json.loads(stored) == sent
    assert list(json.loads(stored)) == list(sent)
    assert caller.get(call)["dynamicVariables"] == sent


def test_PATH_43_the_call_goes_from_its_number_through_that_numbers_trunk_to_its_destination(gateways, world, tmp_path):
    """Two numbers on two trunks, one of which is switched off: calls of the other go out."""
    ledger = tmp_path / "dials"
    gateway = gateways(CALLGATE_SIMULATOR_LEDGER=ledger)
    tenant = world.tenant()
    caller = tenant.at(gateway)
    off = tenant.trunk(enabled=False)
    number = tenant.number(off)
    tenant.pool([tenant.user_id], [number])
    to_through_off, to = destination(110), destination(110)
    waits, goes = caller.call(to_through_off, fromNumber=number), caller.call(to)
    record = caller.end(goes)
    assert (record["from"], record["to"]) == (tenant.from_number, to)
    assert ledger.read_text() == f"{goes} 1 {tenant.from_number} {to}\n"
    assert caller.get(waits)["state"] == "queued"
    world.db.execute("update trunks set enabled = true where org_id = %s and trunk_id = %s", tenant.org_id, off)
    caller.end(waits)
    assert ledger.read_text().splitlines()[1:] == [f"{waits} 1 {number} {to_through_off}"]


def test_PATH_44_the_agent_that_the_project_has_at_dispatch_handles_the_call(house, queued):
    caller = queued.at(house.gateway)
    call = caller.call(destination(110))
    assert caller.get(call)["agent"] is None
    queued.db.execute("update projects set agent = 'the-new-agent' where org_id = %s", queued.org_id)
    queued.set_trunk(enabled=True)
    assert caller.end(call)["agent"] == "the-new-agent"


def test_PATH_45_error_bodies_are_json_of_one_shape(house, tenant, caller):
    bodies = [refused(caller.post("nobody"), 400), refused(house.gateway.client().post(PATH, {}), 401),
              refused(caller.post(projectId="none"), 403), refused(caller.post(fromNumber="+886900000004"), 404),
              refused(caller.client.get("/nowhere"), 404), refused(caller.client.get(PATH), 405)]
    for body in bodies:
        assert set(body) - {"details"} == {"success", "error", "code", "requestId"}
