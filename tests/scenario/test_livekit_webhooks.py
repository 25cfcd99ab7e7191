"""What LiveKit tells of its own accord: believed when it is LiveKit's, kept once, applied in any
order by whoever follows the call, and never needed. callgate hardly looks by itself here, so what
happens in time happened because of a message."""
import contextlib
import json
import time

import pytest

from harness.judge import judge  # noqa: F401 (fixture)
from harness.livekit import KEY, SECRET, LiveKit, livekit, livekit_process, trunk  # noqa: F401 (fixtures)
from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 1000,
            "CALLGATE_LIVEKIT_POLL_MS": 120_000}
WRONGS = ("forged", "other_key", "expired", "no_exp", "wrong_sha", "changed_body", "no_auth", "not_hs256")


def door(gateway):
    return f"{gateway.url}/v1/providers/livekit/webhook"


def told(record):
    return record["state"], record["outcome"]["reason"]


@pytest.fixture
def tenant(house):
    return house.world.tenant(trunk=trunk())


@pytest.fixture
def caller(house, tenant, livekit):
    livekit.set(webhook_url=door(house.gateway), hook_speed=20)
    return tenant.at(house.gateway)


def stored(house, call):
    return house.database.value("select count(*) from provider_events where call_id = %s", call)


def talking(caller, livekit, talk=1.0):
    """A call that talks so long; returns it and its destination."""
    to = destination()
    livekit.rule(to=to, life={"talk": talk})
    call = caller.call(to)
    caller.state(call, "in_progress")
    return call, to


def about(livekit, to, event="participant_left", **more):
    """A message about a call that lives, as LiveKit would write it."""
    invite = livekit.invite(to)
    return json.dumps({"event": event, "id": f"EV_{to[1:]}", "createdAt": str(int(time.time())),
                       "room": {"sid": "RM_x", "name": invite["room"]},
                       "participant": {"sid": "PA_x", "identity": invite["identity"], "kind": "SIP",
                                       "disconnectReason": "CLIENT_INITIATED",
                                       "attributes": {"sip.callStatus": "hangup"}}, **more})


def post(gateway, body, authorization):
    headers = {"Content-Type": "application/webhook+json"}
    if authorization:
        headers["Authorization"] = authorization
    return gateway.client().request("POST", "/v1/providers/livekit/webhook", body, headers)


# ── on ───────────────────────────────────────────────────────────────────────────────────

@pytest.mark.tsan
def test_a_talk_is_over_when_livekit_says_so(caller, livekit, house):
    call, _ = talking(caller, livekit)
    record = caller.end(call, 10)
    assert told(record) == ("completed", "callee_hangup") and 0.5 <= record["durations"]["talkSeconds"] <= 5
    livekit.until_empty()
    until("all is delivered", lambda: not livekit.get("stats")["hooks_waiting"])
    assert {one["status"] for one in livekit.get("sent")} == {200}
    assert {one["event"] for one in livekit.get("sent")} >= {"room_started", "participant_joined", "participant_left",
                                                            "track_published", "room_finished"}
    assert 1 <= stored(house, call) <= 3    # only what is about the phone and its room


def test_our_side_hanging_up_is_told_apart(caller, livekit):
    to = destination(112)
    assert told(caller.end(caller.call(to), 10)) == ("completed", "agent_hangup")


@pytest.mark.parametrize("life, expected", [({"sip": 486}, ("no_answer", "no_answer")), ({"sip": 480}, ("no_answer", "no_answer")),
                                            ({"sip": 503}, ("failed", "carrier_unavailable"))], ids=["486", "480", "503"])
def test_a_fate_that_nobody_could_tell_is_told_by_a_message(caller, livekit, life, expected):
    """The answer to the dial got lost, and the leg has gone before anybody looked."""
    to = destination()
    livekit.rule(to=to, at="joined", answer={"kind": "close"}, life={"after": 0.1, "ring": 0.02, **life})
    record = caller.end(caller.call(to), 10)
    assert told(record) == expected and record["attempts"] == 1
    livekit.invite(to)


def test_a_refusal_that_came_before_it_rang_is_dialed_again(caller, livekit):
    """LiveKit's message says that the phone was still being dialed: each attempt in a room of its own."""
    to = destination()
    livekit.rule(to=to, life={"sip": 503, "ring": None})
    record = caller.end(caller.call(to), 20)
    assert told(record) == ("completed", "callee_hangup") and record["attempts"] == 2
    invites = livekit.invites(to)
    assert len(invites) == 2 == len({one["room"] for one in invites}) == len({one["identity"] for one in invites})


@pytest.mark.parametrize("order", [{}, {"delay": 4}], ids=["at once", "late"])
def test_a_refusal_that_came_after_it_rang_is_not_dialed_again(caller, livekit, order):
    to = destination()
    if order:
        livekit.order("participant_left", **order)
    livekit.rule(to=to, life={"sip": 503, "ring": 0.1, "after": 0.3})
    record = caller.end(caller.call(to), 20)
    assert told(record) == ("failed", "carrier_unavailable") and record["attempts"] == 1
    livekit.invite(to)


@pytest.mark.tsan
def test_a_gateway_that_was_away_hears_how_it_ended(gateways, world, livekit):
    """Killed while it rang, and back only after the callee has not answered."""
    gateway = gateways(**SETTINGS)
    livekit.set(webhook_url=door(gateway), hook_speed=2)
    tenant, to = world.tenant(trunk=trunk()), destination(102)
    call = tenant.at(gateway).call(to)
    livekit.until_invited(to)
    gateway.kill()
    until("it has rung out", lambda: livekit.invite(to).get("ended"))
    gateway.start()
    assert told(tenant.at(gateway).end(call, 30)) == ("no_answer", "no_answer")
    livekit.invite(to)


def test_a_message_may_reach_another_gateway(gateways, world, livekit):
    one, other = gateways(**SETTINGS), gateways(**SETTINGS)
    livekit.set(webhook_url=door(other))
    tenants = [world.tenant(trunk=trunk()) for _ in range(6)]       # of both gateways' shards
    calls = [(tenant.at(one), talking(tenant.at(one), livekit)[0]) for tenant in tenants]
    assert {told(caller.end(call, 15)) for caller, call in calls} == {("completed", "callee_hangup")}


@pytest.mark.parametrize("key", ["other-key", KEY], ids=["its own key", "the key of another"])
def test_a_livekit_of_one_tenant_is_not_believed_about_calls_of_another(gateways, world, livekit, key):
    """Whoever has a LiveKit project of his own can sign for it. Nor does what he says of calls that
    do not exist fill the database."""
    gateway = gateways(**{**SETTINGS, "LIVEKIT_OTHER_SECRET": "y" * 32})
    other = LiveKit(key, "y" * 32).start()
    try:
        config = {"url": other.url, "apiKey": key, "apiSecretEnv": "LIVEKIT_OTHER_SECRET"}
        victim = world.tenant(trunk=trunk()).at(gateway)
        culprit = world.tenant(trunk=trunk(config=json.dumps(config))).at(gateway)
        assert told(culprit.end(culprit.call(destination(486)), 30))[0] == "busy"       # his own works
        call, to = talking(victim, livekit, None)
        signed = other.sign(about(livekit, to))
        assert post(gateway, signed["body"], signed["authorization"]).status == 200
        until("it was looked at", lambda: "livekit.not_its_word" in gateway.text())
        assert victim.get(call)["state"] == "in_progress" and "ended" not in livekit.invite(to)
        signed = other.sign(about(livekit, to).replace(call.replace("-", ""), "01a1f8e0000070008000000000000000"))
        assert post(gateway, signed["body"], signed["authorization"]).status == 200
        assert world.db.value("select count(*) from provider_events where call_id = %s", "01a1f8e0-0000-7000-8000-000000000000") == 0
        livekit.leg("hangup", to=to)
        livekit.set(webhook_url=None)
        signed = livekit.sign(about(livekit, to).replace("EV_", "EV_own_"))
        assert post(gateway, signed["body"], signed["authorization"]).status == 200
        assert told(victim.end(call, 10)) == ("completed", "callee_hangup")
    finally:
        other.stop()


# ── late, twice, out of order, never ─────────────────────────────────────────────────────

def test_a_talk_is_as_long_as_it_was_however_late_its_end_is_told(caller, livekit):
    """LiveKit repeats what was not taken, and says when it was."""
    livekit.order("participant_left", delay=6)
    call, to = talking(caller, livekit)
    record = caller.end(call, 20)
    invite = livekit.invite(to)
    talked = invite["ended"] - invite["answered"]
    assert talked - 0.5 <= record["durations"]["talkSeconds"] <= talked + 1.5, (talked, record)
    assert record["money"]["billableSeconds"] <= talked + 2.5
    events = caller.client.get(f"/v1/calls/{call}/events").json
    ended = next(one for one in events["data"] if one["type"] == "call.completed")
    assert ended["at"] > record["timeline"]["endedAt"]      # the event's own time is when it was told


@pytest.mark.parametrize("order", [{"delay": 2}, {"copies": 3}, {"hold": 1}], ids=["late", "twice", "out_of_order"])
def test_messages_come_as_they_like(caller, livekit, house, order):
    livekit.order("participant_left", **order)
    call, to = talking(caller, livekit)
    record = caller.end(call, 15)
    assert told(record) == ("completed", "callee_hangup")
    until("all is delivered", lambda: not livekit.get("stats")["hooks_waiting"])
    assert stored(house, call) == house.database.value(
        "select count(distinct event_id) from provider_events where call_id = %s", call)
    assert caller.get(call) == record
    livekit.invite(to)


def test_without_a_single_message_the_call_ends_too(gateways, world, livekit):
    gateway = gateways(**{**SETTINGS, "CALLGATE_LIVEKIT_POLL_MS": 500})
    livekit.set(webhook_url=door(gateway))
    livekit.order(times=None, drop=True)
    caller = world.tenant(trunk=trunk()).at(gateway)
    assert told(caller.end(caller.call(destination()))) == ("completed", "callee_hangup")
    assert world.db.value("select count(*) from provider_events") == 0


def test_a_message_from_before_a_rejoin_does_not_end_the_talk(caller, livekit):
    """The server was away; the SIP service joins again, with all that was known of the talk forgotten."""
    call, to = talking(caller, livekit, None)
    livekit.cut()
    livekit.leg("rejoin", to=to)
    body = about(livekit, to, participant={"identity": livekit.invite(to)["identity"], "disconnectReason": "SIGNAL_CLOSE",
                                           "attributes": {"sip.callStatus": "active"}})
    assert livekit._ask("POST", "hook", {"body": body})["status"] == 200
    time.sleep(1.5)
    assert caller.get(call)["state"] == "in_progress"
    livekit.leg("hangup", to=to)
    assert told(caller.end(call, 10)) == ("completed", "callee_hangup")


def test_a_leg_that_ended_while_livekit_was_away_is_found_out(gateways, world, livekit):
    """Its row stays in LiveKit's database and says that it talks, for as long as anybody asks."""
    gateway = gateways(**{**SETTINGS, "CALLGATE_LIVEKIT_POLL_MS": 500})
    caller = world.tenant(trunk=trunk()).at(gateway)
    call, to = talking(caller, livekit, None)
    livekit.down()
    livekit.leg("stale", to=to)
    time.sleep(2)
    livekit.up()
    record = caller.end(call, 40)
    assert told(record) == ("completed", "callee_hangup") and record["outcome"]["providerCode"] == "connection_lost"
    livekit.until_empty()


# ── not LiveKit's ────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("wrong", WRONGS)
def test_what_is_not_signed_as_it_should_be_is_refused_and_changes_nothing(caller, livekit, house, wrong):
    call, to = talking(caller, livekit, None)
    before = until("the joining is stored", lambda: stored(house, call))
    signed = livekit.sign(about(livekit, to), wrong)
    answer = post(house.gateway, signed["body"], signed["authorization"])
    assert (answer.status, answer.json["code"]) == (401, "signature_invalid")
    time.sleep(0.3)
    assert caller.get(call)["state"] == "in_progress" and stored(house, call) == before
    right = livekit.sign(about(livekit, to))
    assert post(house.gateway, right["body"], f"Bearer {right['authorization']}").status == 200
    assert told(caller.end(call, 10)) == ("completed", "callee_hangup")


@pytest.mark.parametrize("body", ['{"event":"participant_left"}', '{"id":"EV_1"}', "{}", "[]", "nonsense", ""])
def test_what_is_no_event_is_malformed(house, livekit, body):
    signed = livekit.sign(body)
    answer = post(house.gateway, signed["body"], signed["authorization"])
    assert (answer.status, answer.json["code"]) == (400, "notice_malformed"), answer


def test_other_peoples_rooms_are_none_of_our_business(house, livekit):
    """200, so that LiveKit does not repeat it; and nothing is kept."""
    before = house.database.value("select count(*) from provider_events")
    for name in ("sales", "cg", "cg1-0192f0c1d2e37abc8def0123456789ab-1", "../../etc", "cg1-x-1-AAAAAAAAAAA"):
        signed = livekit.sign(json.dumps({"event": "room_finished", "id": "EV_1", "room": {"name": name}}))
        answer = post(house.gateway, signed["body"], signed["authorization"])
        assert (answer.status, answer.json) == (200, {}), answer
    assert house.database.value("select count(*) from provider_events") == before


def test_a_room_of_ours_that_was_guessed_ends_nobodys_call(caller, livekit):
    """Who may sign for a project knows the ids of calls, but not the noise in the names of rooms."""
    call, to = talking(caller, livekit, None)
    room = livekit.invite(to)["room"]
    signed = livekit.sign(about(livekit, to, room={"name": room[:-11] + "AAAAAAAAAAA"}))
    assert caller.client.request("POST", "/v1/providers/livekit/webhook", signed["body"],
                                 {"Authorization": signed["authorization"]}).status == 200
    time.sleep(1.5)
    assert caller.get(call)["state"] == "in_progress"
    livekit.leg("hangup", to=to)
    caller.end(call, 10)


def test_a_trunks_own_project_is_believed_by_gateways_that_never_used_it(gateways, world, livekit):
    """LiveKit's webhook may lead to any of the gateways."""
    settings = {**SETTINGS, "LIVEKIT_API_KEY": "nobody", "LIVEKIT_OWN_SECRET": SECRET}
    both = gateways(**settings), gateways(**settings)
    config = {"url": livekit.url, "apiKey": KEY, "apiSecretEnv": "LIVEKIT_OWN_SECRET"}
    signed = livekit.sign(json.dumps({"event": "room_finished", "id": "EV_1", "room": {"name": "sales"}}))

    def status(gateway):
        return post(gateway, signed["body"], signed["authorization"]).status

    assert [status(one) for one in both] == [401, 401]
    world.tenant(trunk=trunk(config=json.dumps(config)))
    for one in both:
        until("the trunk's project is known", lambda: status(one) == 200, 15)
    signed = livekit.sign(signed["body"], "forged")
    assert [status(one) for one in both] == [401, 401]


def test_a_trunks_own_project_signs_for_itself(gateways, world, livekit):
    gateway = gateways(**{**SETTINGS, "LIVEKIT_API_KEY": "nobody", "LIVEKIT_OWN_SECRET": SECRET})
    livekit.set(webhook_url=door(gateway))
    config = {"url": livekit.url, "apiKey": KEY, "apiSecretEnv": "LIVEKIT_OWN_SECRET"}
    caller = world.tenant(trunk=trunk(config=json.dumps(config))).at(gateway)
    call, _ = talking(caller, livekit)
    assert told(caller.end(call, 10)) == ("completed", "callee_hangup")


# ── the database ─────────────────────────────────────────────────────────────────────────

@contextlib.contextmanager
def away(cluster, database):
    """Nobody gets into that database, and nobody stays in it."""
    name = database.url.partition("?")[0].rsplit("/", 1)[1]
    database.close()
    with contextlib.closing(cluster.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute(f'alter database "{name}" allow_connections false')
        cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
        yield
        cursor.execute(f'alter database "{name}" allow_connections true')


def test_a_message_that_cannot_be_kept_is_asked_for_again(gateways, world, livekit, cluster, database):
    gateway = gateways(**SETTINGS)
    livekit.set(webhook_url=door(gateway))
    caller = world.tenant(trunk=trunk()).at(gateway)
    call, to = talking(caller, livekit, None)
    with away(cluster, database):
        livekit.leg("hangup", to=to)
        until("it was refused", lambda: [one for one in livekit.get("sent")
                                         if one["event"] == "participant_left" and one["status"] == 503])
    record = caller.end(call, 20)
    assert told(record) == ("completed", "callee_hangup")
    tries = [one["status"] for one in livekit.get("sent") if one["event"] == "participant_left"]
    assert tries[0] == 503 and tries[-1] == 200, tries


# ── another implementation's signature ───────────────────────────────────────────────────

def test_what_the_official_package_signs_is_accepted(judge, caller, livekit, house):
    call, to = talking(caller, livekit, None)
    body = about(livekit, to)
    signed = judge("sign", key=KEY, secret=SECRET, body=body)
    assert post(house.gateway, body + " ", signed["authorization"]).status == 401
    assert post(house.gateway, body, signed["authorization"]).status == 200
    assert told(caller.end(call, 10)) == ("completed", "callee_hangup")
