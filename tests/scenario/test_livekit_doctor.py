"""`callgate doctor` about LiveKit: every mistake one makes when setting it up is named with what to
do, nothing is created there, no phone is asked, and no token or secret is shown."""
import json
import re

import pytest

from harness.livekit import KEY, SECRET, livekit, livekit_process  # noqa: F401 (fixtures)

ASKED = {"", "ListRooms", "ListSIPOutboundTrunk"}
# What a trunk of that version has; the next one has them all and one more.
TRUNK_1_9 = {"sip_trunk_id": "ST_old", "name": "t", "address": "sip.example.org", "numbers": ["+15550100"]}
TRUNK_1_12 = {**TRUNK_1_9, "from_host": "", "created_at": None, "updated_at": None}
TRUNK_1_13 = {**TRUNK_1_12, "media": None}


@pytest.fixture
def doctor(callgate, livekit):
    """doctor(trunk members…): what it says about LiveKit, by level."""
    def run(*trunks, numbers=("+15550100",), **settings):
        organization = {"name": "acme", "trunks": [{"name": f"t{i}", "driver": "livekit", **one} for i, one in enumerate(trunks)],
                        "numbers": [{"number": one, "trunk": "t0"} for one in numbers if trunks]}
        callgate("apply", "-", stdin=json.dumps({"organizations": [organization]}))
        done = callgate("doctor", settings={**livekit.settings, **settings}, check=False)
        assert done.returncode == (1 if "FAIL" in done.stdout else 0), done
        assert not re.search(rf"{SECRET}|eyJ|wrong-secret|must not be logged", done.stdout + done.stderr), "a secret was shown"
        assert {one["method"].split("/")[-1] for one in livekit.requests()} <= ASKED
        assert not livekit.get("made") and not livekit.invites()
        return re.findall(r"^(ok|skip|warn|FAIL) +livekit +(.*)$", done.stdout, re.M)
    return run


def has(found, level, words):
    return any(one == level and words in text for one, text in found)


def answered(livekit, *items):
    livekit.rule("ListSIPOutboundTrunk", answer={"kind": "raw", "text": json.dumps({"items": items})})


def test_all_is_well(doctor, livekit):
    found = doctor({"providerRef": "ST_fake"}, numbers=())
    assert has(found, "ok", f"{livekit.url} answers and accepts the key {KEY}")
    assert has(found, "ok", "acme / t0: LiveKit has the trunk ST_fake")
    assert has(found, "skip", "livekit-sip") and not {"warn", "FAIL"} & {level for level, _ in found}


def test_without_livekit_it_says_so(callgate):
    assert re.search("^ok +livekit +not set up", callgate("doctor").stdout, re.M)


def test_a_trunk_without_a_project_is_a_fault(doctor):
    found = doctor({"providerRef": "ST_fake"}, LIVEKIT_URL="", LIVEKIT_API_KEY="", LIVEKIT_API_SECRET="")
    assert has(found, "FAIL", "acme / t0: LIVEKIT_URL is not set")


def test_nobody_answers(doctor, livekit):
    livekit.down()
    found = doctor({"providerRef": "ST_fake"})
    livekit.up()
    assert has(found, "FAIL", "no answer") and has(found, "skip", "acme / t0: not asked about")


def test_somebody_else_answers(doctor, gateways):
    found = doctor({"providerRef": "ST_fake"}, LIVEKIT_URL=gateways().url)
    assert has(found, "warn", "does not say OK") and has(found, "FAIL", "not as LiveKit does")


@pytest.mark.parametrize("settings, words", [
    ({"LIVEKIT_API_SECRET": "wrong-secret"}, f"the secret does not belong to the key {KEY}"),
    ({"LIVEKIT_API_KEY": "nokey"}, "does not know the key nokey")])
def test_a_wrong_key_and_a_wrong_secret_are_told_apart(doctor, livekit, settings, words):
    found = doctor({"providerRef": "ST_fake"}, **settings)
    assert has(found, "FAIL", words)
    assert all("401" in one for one in livekit.complaints())


@pytest.mark.parametrize("text, words", [
    ("invalid token: eyJhbGciOi, error: token signature is invalid: signature is invalid", "the secret does not belong"),
    ("invalid token: eyJhbGciOi, error: token has invalid claims: token is expired", "clock"),
    ("invalid API key: devkey", "does not know the key"),
    ("go away", "refuses the key devkey (401)")])
def test_the_words_of_newer_versions_are_understood_and_never_repeated(doctor, livekit, text, words):
    livekit.rule("ListRooms", answer={"kind": "text", "status": 401, "text": text})
    assert has(doctor(), "FAIL", words)


def test_a_token_that_is_lost_on_the_way(doctor, livekit):
    livekit.rule("ListRooms", answer={"kind": "error", "code": "unauthenticated", "msg": "permissions denied"})
    assert has(doctor(), "FAIL", "Authorization header")


def test_livekit_without_redis_has_no_sip(doctor, livekit):
    livekit.rule("ListSIPOutboundTrunk", answer={"kind": "error", "name": "no_redis"})
    assert has(doctor({"providerRef": "ST_fake"}), "FAIL", "the same redis")


def test_a_trunk_that_is_not_there(doctor):
    assert has(doctor({"providerRef": "ST_gone"}), "FAIL", "LiveKit has no outbound trunk ST_gone")


def test_numbers_that_the_trunk_does_not_list(doctor, livekit):
    answered(livekit, {**TRUNK_1_13, "numbers": ["15550100", "+15550177"]})
    found = doctor({"providerRef": "ST_old"}, numbers=("+15550100", "+14155550199"))
    assert has(found, "warn", "ST_old does not list …0199;")


@pytest.mark.parametrize("trunk, level, words", [
    (TRUNK_1_9, "FAIL", "1.9.11 is known to dial a second time"), (TRUNK_1_12, "warn", "1.10 to 1.13.1"),
    (TRUNK_1_13, "ok", "1.13.2 or newer")])
def test_the_version_is_learned_from_the_fields_of_a_trunk(doctor, livekit, trunk, level, words):
    answered(livekit, trunk)
    assert has(doctor({"providerRef": "ST_old"}), level, words)


def test_without_a_stored_trunk_the_version_stays_unknown_and_that_is_said(doctor, livekit):
    answered(livekit)
    found = doctor({"config": {"hostname": "sip.example.org"}})
    assert has(found, "ok", "LiveKit has SIP") and has(found, "skip", "its version cannot be learned")


@pytest.mark.parametrize("trunk, words", [
    ({}, "neither providerRef"),
    ({"config": {"hostname": "x", "authUsername": "u", "authPasswordEnv": "LIVEKIT_NONE"}}, "LIVEKIT_NONE is not set"),
    ({"providerRef": "ST_x", "config": {"url": "http://x", "apiKey": "k", "apiSecretEnv": "LIVEKIT_NONE"}}, "LIVEKIT_NONE is not set")])
def test_a_trunks_own_settings(doctor, trunk, words):
    assert has(doctor(trunk, numbers=()), "FAIL", f"acme / t0: {words}") or has(doctor(trunk, numbers=()), "FAIL", words)


BAD_CONFIGS = [
    ({"hostnam": "x"}, '"hostnam" is not a setting'),
    ({"waitForAgentSeconds": "5"}, "waitForAgentSeconds must be a whole number"),
    ({"url": "https://x", "apiKey": "k"}, "url, apiKey and apiSecretEnv belong together"),
    ({"url": "sip:x", "apiKey": "k", "apiSecretEnv": "LIVEKIT_X"}, "LiveKit's URL must look like"),
    ({"authPasswordEnv": "PATH", "hostname": "x"}, "must name an environment variable that begins with LIVEKIT_")]


@pytest.mark.parametrize("config, words", BAD_CONFIGS, ids=[next(iter(one)) for one, _ in BAD_CONFIGS])
def test_a_config_that_no_call_could_use_is_refused_when_it_is_applied(callgate, database, config, words):
    trunks = [{"name": "good", "driver": "livekit", "config": {"hostname": "sip.example.org"}},
              {"name": "carrier", "driver": "livekit", "config": config}]
    done = callgate("apply", "-", stdin=json.dumps({"organizations": [{"name": "acme", "trunks": trunks}]}), check=False)
    assert done.returncode == 1 and database.value("select count(*) from trunks") == 0
    assert f"/organizations/0/trunks/1/config: of the trunk 'carrier': " in done.stderr and words in done.stderr, done.stderr
    assert "1 mistake;" in done.stderr


def test_a_config_that_was_never_checked_is_found(doctor, database):
    """Written by hand, or from before `callgate apply` looked."""
    assert doctor({"config": {"hostname": "x"}})
    database.execute("""update trunks set name = 't9', config = '{"hostnam": "x"}'""")
    assert has(doctor({"config": {"hostname": "x"}}), "FAIL", 'acme / t9: "hostnam" is not a setting')


def test_a_trunk_with_a_project_of_its_own_is_asked_there(doctor, livekit):
    config = {"url": livekit.url.replace("127.0.0.1", "localhost"), "apiKey": KEY, "apiSecretEnv": "LIVEKIT_OTHER_SECRET"}
    found = doctor({"providerRef": "ST_fake", "config": config}, {"providerRef": "ST_fake", "config": config}, numbers=(),
                   LIVEKIT_URL="", LIVEKIT_API_KEY="", LIVEKIT_API_SECRET="", LIVEKIT_OTHER_SECRET=SECRET)
    assert has(found, "ok", "http://localhost:") and has(found, "ok", "acme / t1: LiveKit has the trunk")
    assert len(livekit.requests("ListRooms")) == 1, "a project is asked once"
