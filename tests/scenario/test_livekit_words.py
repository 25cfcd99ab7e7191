"""What is logged and shown of a LiveKit in trouble: enough to know who is, and nothing of what it
was told in confidence."""
from harness.livekit import livekit, livekit_process, trunk  # noqa: F401 (fixtures)
from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 1000,
            "CALLGATE_LOG_LEVEL": "debug", "CALLGATE_LIVEKIT_POLL_MS": 500, "CALLGATE_MAX_ATTEMPTS": 2}

TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJkZXZrZXkifQ.3pX_-a9Zk2Qw8Lr5TgYh7UjMnBvCxZaSdFgHjKlPoI0"


def test_words_of_livekit_are_logged_without_tokens_and_numbers(house, livekit):
    """It quotes both: the token that it refuses, and whom it should have called."""
    caller = house.world.tenant(trunk=trunk()).at(house.gateway)
    refused, failed, lost = (destination() for _ in range(3))
    seen = len(house.gateway.text())
    livekit.rule("CreateRoom", act=False, answer={"kind": "text", "status": 401,
                                                  "text": f"invalid token: {TOKEN}, nor may you call {refused}"})
    caller.end(caller.call(refused))
    livekit.rule(to=failed, act=False, answer={"kind": "error", "code": "invalid_argument",
                                               "msg": f"cannot call sip:{failed}@host with {TOKEN}"})
    caller.end(caller.call(failed))
    livekit.rule(to=lost, act=False, answer={"kind": "text", "status": 500, "text": f"oh, {lost} and {TOKEN}"})
    caller.call(lost)
    log = until("all is logged", lambda: (text := house.gateway.text()[seen:]) and all(
        event in text for event in ("livekit.room_refused", "livekit.dial_failed", "livekit.uncertain")) and text)
    assert "invalid token: ***" in log and "cannot call sip:***" in log
    for secret in (TOKEN[40:], TOKEN[-40:], refused, failed, lost, refused[1:], failed[1:], lost[1:]):
        assert secret not in log
