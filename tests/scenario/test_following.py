"""Following a call: the record that GET gives, through every life the simulator can play; who may
see it; test keys; health; request ids; and what the log says and does not say."""
import datetime
import json
import re
import uuid

import pytest

from harness.gateway import Gateway, command
from harness.postgres import Database
from harness.wait import until
from harness.world import FINAL, destination, key_text

SPEED = 20
SETTINGS = {"CALLGATE_SIMULATOR_SPEED": SPEED, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 3000}
MEMBERS = {"id", "callId", "object", "projectId", "from", "to", "state", "status", "test", "dynamicVariables", "agent", "attempts",
           "ringTimeoutSeconds", "maxDurationSeconds", "timeline", "durations", "outcome", "money", "providerRef", "metadata",
           "priority", "scheduledAt", "expiresAt", "cancelRequestedAt", "waiting", "rate", "trunk", "attemptLog"}
STEPS = ("createdAt", "initiatedAt", "ringingAt", "answeredAt", "endedAt")

# state, reason, SIP code, fault, retryable, attempts, rang, talked (simulated seconds)
LIVES = {
    None: ("completed", "callee_hangup", 200, "none", False, 1, True, 20),
    100: ("completed", "callee_hangup", 200, "none", False, 1, True, 20),
    101: ("busy", "busy", 486, "callee", True, 1, False, None),
    102: ("no_answer", "no_answer", 480, "callee", True, 1, True, None),
    103: ("failed", "declined", 603, "callee", False, 1, True, None),
    104: ("failed", "invalid_number", 404, "configuration", False, 1, False, None),
    105: ("completed", "voicemail", 200, "callee", True, 1, True, 5),
    106: ("completed", "callee_hangup", 200, "none", False, 2, True, 20),
    107: ("failed", "carrier_limit", 503, "carrier", True, 3, False, None),
    108: ("completed", "callee_hangup", 200, "none", False, 1, False, 5),
    109: ("failed", "carrier_blocked", 603, "carrier", False, 1, False, None),
    110: ("completed", "callee_hangup", 200, "none", False, 1, True, 1),
    111: ("completed", "max_duration", 200, "none", False, 1, True, 30),
    112: ("completed", "callee_hangup", 200, "none", False, 1, False, 20),
    113: ("failed", "insufficient_credits", None, "policy", False, 1, False, None),
    114: ("failed", "suppressed", None, "policy", False, 1, False, None),
}
# what call_events holds: kinds in the order of seq. 32 another attempt follows, 33 uncertain
EVENTS = {None: [0, 1, 2, 3, 4], 100: [0, 1, 2, 3, 4], 101: [0, 1, 6], 102: [0, 1, 2, 5], 103: [0, 1, 2, 8], 104: [0, 1, 8],
          105: [0, 1, 2, 3, 4], 106: [0, 1, 32, 1, 2, 3, 4], 107: [0, 1, 32, 1, 32, 1, 8], 108: [0, 1, 3, 33, 4], 109: [0, 1, 8],
          110: [0, 1, 2, 3, 4], 111: [0, 1, 2, 3, 4], 112: [0, 1, 3, 4], 113: [0, 1, 8], 114: [0, 1, 8]}


def seconds(timeline, a, b):
    return (datetime.datetime.fromisoformat(timeline[b].replace("Z", "+00:00"))
            - datetime.datetime.fromisoformat(timeline[a].replace("Z", "+00:00"))).total_seconds()


@pytest.fixture
def tenant(house):
    return house.world.tenant(project={"ring_timeout_s": 5, "max_duration_s": 30})


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


@pytest.fixture(scope="module")
def lives(house):
    """All lives, lived at the same time: {life: (tenant, destination, record)}."""
    tenant = house.world.tenant(project={"ring_timeout_s": 5, "max_duration_s": 30})
    caller = tenant.at(house.gateway)
    calls = {life: (to := destination(life), caller.call(to, dynamicVariables={"n": 1})) for life in LIVES}
    return {life: (tenant, to, caller.end(call)) for life, (to, call) in calls.items()}


# ── the record ───────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("life", LIVES)
def test_a_life_is_told_as_it_was(lives, life):
    state, reason, sip, fault, retryable, attempts, rang, talked = LIVES[life]
    tenant, to, record = lives[life]
    assert set(record) == MEMBERS
    assert record["state"] == record["status"] == state
    assert (record["from"], record["to"], record["projectId"]) == (tenant.from_number, to, tenant.project_public)
    assert record["dynamicVariables"] == {"n": 1} and record["test"] is False and record["object"] == "call"
    assert (record["ringTimeoutSeconds"], record["maxDurationSeconds"]) == (5, 30)
    outcome = record["outcome"]
    assert (outcome["reason"], outcome["sipCode"], outcome["faultOwner"], outcome["retryable"]) == (reason, sip, fault, retryable)
    assert bool(outcome["sipPhrase"]) == bool(sip) and outcome["text"]
    assert record["attempts"] == attempts
    timeline = record["timeline"]
    reached = [step for step in STEPS if timeline[step]]
    assert reached == [step for step in STEPS if step not in ("ringingAt", "answeredAt")
                       or (step == "ringingAt" and rang) or (step == "answeredAt" and talked)]
    assert [timeline[step] for step in reached] == sorted(timeline[step] for step in reached)
    if talked:
        assert record["durations"]["talkSeconds"] == pytest.approx(seconds(timeline, "answeredAt", "endedAt"), abs=0.0011)
        # never shorter than it was, and not much longer on a busy machine
        assert talked / SPEED - 0.15 <= record["durations"]["talkSeconds"] <= talked / SPEED + 3
        # started seconds; the record's are rounded to milliseconds, what is billed is not
        assert -0.001 <= record["money"]["billableSeconds"] - record["durations"]["talkSeconds"] <= 1.001
        assert record["money"]["chargedMilliCents"] == record["money"]["billableSeconds"] * 1200 / 60
    else:
        assert record["durations"]["talkSeconds"] == 0
        assert record["money"]["billableSeconds"] == record["money"]["chargedMilliCents"] == 0
    assert (record["durations"]["ringSeconds"] is not None) == rang
    assert record["money"]["heldMilliCents"] == 0


@pytest.mark.parametrize("life", LIVES)
def test_the_events_of_a_life_are_each_there_once(lives, life):
    """0112 says everything twice and out of order; 0106 and 0107 have several attempts."""
    tenant, _, record = lives[life]
    rows = tenant.db.rows("select kind from call_events where org_id = %s and call_id = %s order by seq", tenant.org_id, record["id"])
    assert [kind for kind, in rows] == EVENTS[life]


def test_a_final_record_never_changes(tenant, caller):
    """0112 goes on talking after its end: until this other call has come to its own."""
    call = caller.call(destination(112))
    record = caller.end(call)
    caller.end(caller.call(destination(102)))
    assert caller.get(call) == record
    assert tenant.db.value("select count(*) from call_events where call_id = %s", call) == len(EVENTS[112])


def test_the_record_is_whole_at_every_step(house, tenant, caller):
    """Members that are not known yet are null, never missing; a step that was reached stays."""
    tenant.set_trunk(enabled=False)
    call = caller.call(destination(100))
    record = caller.get(call)
    assert set(record) == MEMBERS and record["state"] == "queued" and record["attempts"] == 0
    assert record["outcome"] is None and record["agent"] is None and record["providerRef"] is None
    assert record["money"]["heldMilliCents"] == 600          # the 30 s it may last, at 1200 a minute
    assert [record["timeline"][step] is None for step in STEPS] == [False, True, True, True, True]
    tenant.set_trunk(enabled=True)
    order = ["queued", "initiated", "ringing", "in_progress", "completed"]
    seen, timeline = [], {}
    while not seen or seen[-1] != "completed":
        record = caller.get(call)
        assert set(record) == MEMBERS
        assert {step: value for step, value in record["timeline"].items() if timeline.get(step)} == timeline
        timeline = {step: value for step, value in record["timeline"].items() if value}
        if not seen or seen[-1] != record["state"]:
            seen.append(record["state"])
    assert seen == sorted(seen, key=order.index)


def test_times_are_rfc_3339_in_utc_with_milliseconds(caller):
    timeline = caller.end(caller.call(destination(110)))["timeline"]
    for value in timeline.values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value)
    assert abs(datetime.datetime.now(datetime.timezone.utc)
               - datetime.datetime.fromisoformat(timeline["createdAt"].replace("Z", "+00:00"))) < datetime.timedelta(minutes=5)


# ── who may see it ───────────────────────────────────────────────────────────────────────

def not_found(answer):
    assert answer.status == 404 and answer.json["code"] == "call_not_found", answer


def test_another_organizations_call_is_404(house, caller):
    call = caller.call()
    stranger = house.world.tenant()
    not_found(stranger.at(house.gateway).client.get(f"/v1/calls/{call}"))
    assert caller.get(call)["id"] == call


def test_a_user_who_is_no_member_of_the_project_is_told_404(house, tenant, caller):
    call = caller.call()
    user = tenant.user("owner")
    other = tenant.at(house.gateway, tenant.key(user))
    not_found(other.client.get(f"/v1/calls/{call}"))
    tenant.db.execute("insert into project_members values (%s, %s, %s)", tenant.org_id, tenant.project_id, user)
    assert other.get(call)["id"] == call
    tenant.db.execute("delete from project_members where org_id = %s and user_id = %s", tenant.org_id, user)
    not_found(other.client.get(f"/v1/calls/{call}"))


@pytest.mark.parametrize("which", ["unknown-v7", "unknown-v4", "nil", "max", "short", "long", "text", "escaped", "quote", "dot"])
def test_an_unknown_or_malformed_id_is_404(caller, which):
    call = caller.call()
    path = {"unknown-v7": call[:-4] + ("0000" if call[-4:] != "0000" else "1111"), "unknown-v4": str(uuid.uuid4()),
            "nil": str(uuid.UUID(int=0)), "max": str(uuid.UUID(int=2**128 - 1)), "short": call[:-1], "long": call + "0", "text": "x",
            "escaped": "%20" + call, "quote": call + "'--", "dot": call + "."}[which]
    not_found(caller.client.get(f"/v1/calls/{path}"))


def test_an_id_in_capitals_is_the_same_id(caller):
    call = caller.call()
    assert caller.get(call.upper())["id"] == call


def test_reading_needs_a_good_key_and_any_kind_will_do(house, tenant, caller):
    call = caller.call()
    path = f"/v1/calls/{call}"
    assert house.gateway.client().get(path).status == 401
    assert house.gateway.client(key_text(tenant.org_id)).get(path).status == 401
    for kind in ("kros", "sk_car", "sk"):
        assert house.gateway.client(tenant.key(tenant.user_id, kind)).get(path).status == 200


# ── test keys ────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("trunk", [{"driver": "livekit"}, {"enabled": False}, {"cps_milli": 0}, {"max_concurrent": 0}], ids=lambda t: next(iter(t)))
def test_a_test_keys_call_is_simulated_whatever_its_trunk_is(house, trunk):
    tenant = house.world.tenant(trunk=trunk)
    caller = tenant.at(house.gateway, tenant.key(tenant.user_id, test=True))
    record = caller.end(caller.call(destination(110)))
    assert record["state"] == "completed" and record["test"] is True
    assert record["money"] == {"heldMilliCents": 0, "chargedMilliCents": 0, "billableSeconds": record["money"]["billableSeconds"]}


def test_a_test_key_costs_nothing_and_needs_no_credits(house):
    tenant = house.world.tenant(credits_mc=0)
    caller = tenant.at(house.gateway, tenant.key(tenant.user_id, test=True))
    caller.end(caller.call())
    assert tenant.db.row("select balance_mc, held_mc from credit_accounts where org_id = %s", tenant.org_id) == (0, 0)
    assert tenant.at(house.gateway).post().status == 402


def test_a_test_keys_call_passes_the_same_checks(house, tenant):
    caller = tenant.at(house.gateway, tenant.key(tenant.user_id, test=True))
    assert caller.post("nobody").status == 400
    assert caller.post(projectId="none").status == 403
    assert caller.post(fromNumber="+886900000001").status == 404


def test_a_test_keys_call_blocks_no_live_one(house, tenant, caller):
    test = tenant.at(house.gateway, tenant.key(tenant.user_id, test=True))
    to = destination(111)
    test.call(to)
    assert test.post(to).status == 409
    assert caller.post(to).status == 200
    stranger = house.world.tenant()
    assert stranger.at(house.gateway, stranger.key(stranger.user_id, test=True)).post(to).status == 200


def test_a_live_call_of_a_driver_that_is_not_there_fails_as_configuration(house):
    tenant = house.world.tenant(trunk={"driver": "pigeon"})
    caller = tenant.at(house.gateway)
    record = caller.end(caller.call())
    assert record["state"] == "failed" and record["outcome"]["reason"] == "configuration"
    assert record["outcome"]["faultOwner"] == "configuration" and record["money"]["chargedMilliCents"] == 0


# ── health ───────────────────────────────────────────────────────────────────────────────

def test_healthz_and_readyz_need_no_key(house):
    client = house.gateway.client()
    assert client.get("/healthz").json == {"status": "ok"}
    answer = client.get("/readyz")
    assert answer.status == 200
    assert answer.json == {"status": "ready", "database": True, "schema": True, "scheduler": True,
                           "breakers": {"open": 0, "halfOpen": 0}}


def test_readyz_follows_the_database(cluster, tmp_path):
    """Renamed away and back: what a gateway sees of a server that is gone."""
    own = cluster.create(prefix="ready")
    name = own.partition("?")[0].rsplit("/", 1)[1]
    gateway = Gateway(own, tmp_path / "log", SETTINGS)
    admin = Database(cluster.url)
    try:
        command(own, "migrate")
        gateway.start()
        admin.execute(f'alter database "{name}" allow_connections false')
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", name)
        client = gateway.client()
        answer = until("readyz is 503", lambda: (a := client.get("/readyz")).status == 503 and a, 15)
        assert answer.json["status"] == "not_ready" and answer.json["database"] is False
        assert client.get("/healthz").status == 200
        refused = client.post("/v1/calls/outbound", {}, {"Authorization": f"Bearer {key_text(1)}"})
        assert refused.status == 503 and refused.json["code"] == "database_unavailable"
        assert int(refused.headers["retry-after"]) >= 1
        admin.execute(f'alter database "{name}" allow_connections true')
        until("readyz is 200 again", lambda: client.get("/readyz").status == 200, 20)
        gateway.stop()
    finally:
        gateway.kill()
        admin.close()
        cluster.drop(own)


def test_readyz_is_503_with_a_schema_that_is_too_new(gateways, database):
    """A newer program has migrated underneath a running one. An old schema stops the start
    (test_commands.py)."""
    gateway = gateways()
    database.execute("insert into schema_migrations (version, name) select max(version) + 1, 'from the future' from schema_migrations")
    client = gateway.client()
    answer = until("readyz is 503", lambda: (a := client.get("/readyz")).status == 503 and a)
    assert answer.json["schema"] is False and answer.json["database"] is True
    database.execute("delete from schema_migrations where name = 'from the future'")
    until("readyz is 200 again", lambda: client.get("/readyz").status == 200)


def test_a_gateway_waits_for_its_database(cluster, tmp_path):
    """Started first, as in a compose file: it answers 503 until the database is there."""
    own = cluster.create(prefix="late")
    name = own.partition("?")[0].rsplit("/", 1)[1]
    admin = Database(cluster.url)
    gateway = Gateway(own, tmp_path / "log", SETTINGS)
    try:
        command(own, "migrate")
        admin.execute(f'alter database "{name}" allow_connections false')
        gateway.start(ready=False)
        client = gateway.client()

        def asked():
            try:
                return client.get("/readyz")
            except OSError:
                return None

        assert until("it answers", asked).status == 503
        assert client.get("/healthz").status == 200
        admin.execute(f'alter database "{name}" allow_connections true')
        until("readyz is 200", lambda: client.get("/readyz").status == 200, 20)
        gateway.stop()
    finally:
        gateway.kill()
        admin.close()
        cluster.drop(own)


# ── request ids ──────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("given", ["a", "req-1.2_3", "A" * 64, "a9b5c786-ac85-411a-b0be-918298b7a169"])
def test_a_request_id_comes_back_and_is_kept(tenant, caller, given):
    answer = caller.client.post("/v1/calls/outbound", tenant.body(), {"X-Request-Id": given})
    assert answer.status == 200 and answer.headers["x-request-id"] == given
    assert tenant.db.value("select request_id from calls where org_id = %s", tenant.org_id) == given
    refused = caller.client.post("/v1/calls/outbound", {}, {"X-Request-Id": given})
    assert refused.json["requestId"] == refused.headers["x-request-id"] == given


@pytest.mark.parametrize("given", [None, "", "A" * 65, "with blank", "semi;colon", "'; drop table calls; --", "ü", "<script>"])
def test_a_request_id_that_is_none_is_replaced(caller, given):
    headers = {} if given is None else {"X-Request-Id": given}
    ids = {caller.client.get("/healthz", headers).headers["x-request-id"] for _ in range(20)}
    assert len(ids) == 20 and all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", one) for one in ids)


# ── the log ──────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("form", ["json", "text"])
def test_the_log_has_no_key_no_number_and_no_variable(gateways, world, form):
    gateway = gateways(CALLGATE_LOG_LEVEL="debug", CALLGATE_LOG_FORMAT=form)
    tenant = world.tenant(project={"ring_timeout_s": 5, "max_duration_s": 30})
    caller = tenant.at(gateway)
    bad_key, secret = key_text(tenant.org_id), "s3cretVariable"
    tos = [destination(life) for life in LIVES if life not in (102, 111)]
    calls = [caller.call(to, dynamicVariables={secret: secret}) for to in tos]
    caller.post(tos[0])
    caller.post("+1 (415) 555-0100", dynamicVariables={secret: secret})
    tenant.at(gateway, bad_key).post()
    caller.client.get(f"/v1/calls/{calls[0]}?key={tenant.key_text}&to={tos[0]}")
    caller.client.get(f"/nowhere/{tenant.key_text}/{tos[0]}")
    for call in calls:
        caller.end(call)
    gateway.stop()
    text = gateway.text()
    assert "http.request" in text and calls[0] in text
    for word in (tenant.key_text, tenant.key_text[-40:], bad_key[-40:], secret, tenant.from_number, *tos, *(to[1:] for to in tos),
                 "4155550100"):
        assert word not in text, f"the log holds {word}"
    if form == "json":
        for line in text.splitlines():
            event = json.loads(line)
            assert event["event"] and event["level"] in ("debug", "info", "warn", "error"), line


def test_an_answered_request_is_one_line_of_the_log(gateways, world):
    gateway = gateways()
    caller = world.tenant().at(gateway)
    caller.client.post("/v1/calls/outbound", caller.tenant.body(), {"X-Request-Id": "follow-me"})
    lines = until("the request is logged", lambda: [line for line in gateway.text().splitlines() if "follow-me" in line])
    assert len(lines) == 1
    event = json.loads(lines[0])
    assert event["event"] == "http.request" and event["status"] == 200 and event["method"] == "POST"
