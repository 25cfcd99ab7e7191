"""Cancels of calls through LiveKit: the INVITE is canceled, the conversation ended, the room gone;
also while LiveKit is away, before anything was dialed, and after the gateway that promised it."""
import pytest

from harness.livekit import livekit, livekit_process, trunk  # noqa: F401 (fixtures)
from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 1500,
            "CALLGATE_LIVEKIT_POLL_MS": 500}
RINGS = {"ring": 0.1, "answer": 40}
TALKS = {"ring": 0.1, "answer": 0.3, "talk": 100}


@pytest.fixture
def caller(house):
    return house.world.tenant(trunk=trunk(), project={"ring_timeout_s": 60, "max_duration_s": 600}).at(house.gateway)


def cancel(caller, call):
    return caller.client.post(f"/v1/calls/{call}/cancel")


def test_the_invite_of_a_ringing_call_is_canceled(caller, livekit):
    to = destination()
    livekit.rule(life=RINGS)
    call = caller.call(to)
    caller.state(call, "ringing")
    answer = cancel(caller, call)
    assert answer.status == 202 and answer.json["cancelRequested"]
    record = caller.end(call)
    assert record["state"] == "canceled" and record["outcome"]["reason"] == "canceled"
    assert livekit.invite(to)["cancel"] == "ROOM_DELETED"
    livekit.until_empty()


def test_a_conversation_is_ended(caller, livekit):
    to = destination()
    livekit.rule(life=TALKS)
    call = caller.call(to)
    caller.state(call, "in_progress")
    assert cancel(caller, call).status == 202
    record = caller.end(call)
    assert record["state"] == "completed" and record["outcome"]["reason"] == "client_hangup"
    assert record["money"]["chargedMilliCents"] > 0
    assert livekit.invite(to)["bye"] == "ROOM_DELETED"
    livekit.until_empty()


def test_what_waits_for_its_agent_is_never_dialed(house, livekit):
    caller = house.world.tenant(trunk=trunk(), project={"wait_for_agent_s": 60}).at(house.gateway)
    livekit.set(agents={"*": {"never": True}})
    to = destination()
    call = caller.call(to)
    until("its room is there", lambda: livekit.get("rooms"))
    assert cancel(caller, call).status == 200
    assert caller.get(call)["state"] == "canceled"
    livekit.until_empty()
    assert not livekit.invites(to)


def test_a_room_that_was_just_being_made_does_not_stay(caller, livekit):
    to = destination()
    livekit.rule("CreateRoom", before=1)
    call = caller.call(to)
    until("the room is asked for", lambda: livekit.requests("CreateRoom"))
    assert cancel(caller, call).status == 200
    assert not livekit.get("made")
    until("the room is made", lambda: livekit.get("made"))
    livekit.until_empty(5)
    assert not livekit.invites(to)


def test_a_livekit_that_is_away_is_asked_again(caller, livekit):
    to = destination()
    livekit.rule(life=RINGS)
    call = caller.call(to)
    caller.state(call, "ringing")
    livekit.down()
    assert cancel(caller, call).status == 202
    until("it was asked in vain", lambda: caller.get(call)["state"] == "ringing")
    livekit.up()
    assert caller.end(call, seconds=30)["outcome"]["reason"] == "canceled"
    livekit.until_empty()


@pytest.mark.parametrize("life, reason", [(RINGS, "canceled"), (TALKS, "client_hangup")])
def test_the_promise_outlives_the_gateway(gateways, world, livekit, life, reason):
    first = gateways()
    caller = world.tenant(trunk=trunk(), project={"ring_timeout_s": 60, "max_duration_s": 600}).at(first)
    to = destination()
    livekit.rule(life=life)
    call = caller.call(to)
    caller.state(call, "in_progress" if "talk" in life else "ringing")
    second = gateways()
    until("both know of each other", lambda: world.db.value("select count(*) from gateways") == 2)
    first.signal(19)
    other = caller.tenant.at(second)
    assert cancel(other, call).status == 202
    first.kill()
    assert other.end(call, seconds=30)["outcome"]["reason"] == reason
    assert len(livekit.invites(to)) == 1
    livekit.until_empty()
