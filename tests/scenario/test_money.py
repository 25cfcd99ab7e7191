"""Money: what calls hold and cost, who may see it, how it is paid in, and that nobody can spend
what is not there, however many try at once. After every test the books are checked."""
import concurrent.futures
import json
import re
import threading
import urllib.parse

import pytest

from harness.gateway import command
from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 50, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0}


def rate(db, org_id, prefix, rate_mc, increment_s=1, minimum_s=1):
    db.execute("insert into rates (org_id, prefix, rate_mc, increment_s, minimum_s) values (%s, %s, %s, %s, %s)",
               org_id, prefix, rate_mc, increment_s, minimum_s)


def account(tenant):
    """(balance, held) of the tenant's account."""
    return tenant.db.row("select balance_mc, held_mc from credit_accounts where org_id = %s and account_id = %s",
                         tenant.org_id, tenant.account_id)


def all_ended(tenant, seconds=30):
    until("every call has ended", lambda: tenant.db.value(
        "select count(*) from calls where ended_at is null and org_id = %s", tenant.org_id) == 0, seconds, every=0.1)


def on(house, *args, **more):
    """Runs `callgate ARGS…` against the house's database."""
    return command(house.database.url, *args, **more)


# ── what a call costs ────────────────────────────────────────────────────────────────────

def test_the_longest_prefix_decides_and_what_was_decided_stays(house):
    tenant = house.world.tenant(project={"rate_mc": 500, "hold_s": None, "increment_s": 30, "minimum_s": 60},
                                trunk={"enabled": False})
    caller = tenant.at(house.gateway)
    for prefix, mc in (("+", 9000), ("+4", 8000), ("+49", 6000), ("+49301", 1)):
        rate(tenant.db, tenant.org_id, prefix, mc, 6, 30)
    longest, all_else = caller.call("+4930999999990"), caller.call("+886999999990")
    tenant.db.execute("delete from rates where org_id = %s", tenant.org_id)
    own = caller.call("+4930999999991")
    rates = {call: caller.get(call)["rate"] for call in (longest, all_else, own)}
    assert rates[longest] == {"prefix": "+49", "milliCentsPerMinute": 6000, "incrementSeconds": 6, "minimumSeconds": 30}
    assert rates[all_else]["prefix"] == "+" and rates[all_else]["milliCentsPerMinute"] == 9000
    assert rates[own] == {"prefix": None, "milliCentsPerMinute": 500, "incrementSeconds": 30, "minimumSeconds": 60}
    assert account(tenant) == (100_000_000, 6000 + 9000 + 500)
    tenant.set_trunk(enabled=True)
    for call in (longest, all_else, own):
        assert caller.end(call)["state"] == "completed"
        assert caller.get(call)["rate"] == rates[call], "an edit of the rates reached a call that was accepted before"
    # each talked for a moment: the minimum, at its own rate
    charged = {call: caller.get(call)["money"]["chargedMilliCents"] for call in rates}
    assert charged == {longest: 3000, all_else: 4500, own: 500}
    assert account(tenant) == (100_000_000 - 8000, 0)


def test_what_is_held_is_the_most_that_the_call_can_cost(house):
    tenant = house.world.tenant(project={"rate_mc": 600, "hold_s": None, "max_duration_s": 100, "increment_s": 60},
                                trunk={"enabled": False})
    caller = tenant.at(house.gateway)
    held = [caller.get(caller.call(**members))["money"]["heldMilliCents"]
            for members in ({}, {"maxDurationSeconds": 61}, {"maxDurationSeconds": 60}, {"maxDurationSeconds": 1})]
    assert held == [1200, 1200, 600, 600]
    assert account(tenant)[1] == sum(held)
    tenant.set_trunk(enabled=True)
    all_ended(tenant)


def test_a_call_that_nobody_answers_costs_nothing_and_a_test_key_never_does(house):
    tenant = house.world.tenant(project={"minimum_s": 60})
    rate(tenant.db, tenant.org_id, "+", 6000, 60, 60)
    caller = tenant.at(house.gateway)
    busy = caller.end(caller.call(destination(101)))
    assert busy["money"] == {"heldMilliCents": 0, "chargedMilliCents": 0, "billableSeconds": 0}
    test = tenant.at(house.gateway, tenant.key(tenant.user_id, test=True))
    answered = test.end(test.call(destination(100)))
    assert answered["timeline"]["answeredAt"] and answered["money"]["chargedMilliCents"] == 0
    assert account(tenant) == (100_000_000, 0)


# ── nobody spends what is not there ──────────────────────────────────────────────────────

def test_two_gateways_never_accept_more_than_the_balance_holds(gateways, world):
    """Each call holds 600; there is enough for 10 and a half. 64 come at once, on two gateways."""
    tenant = world.tenant(project={"rate_mc": 600, "hold_s": None, "max_duration_s": 60}, credits_mc=6300,
                          trunk={"enabled": False})
    callers = [tenant.at(gateway) for gateway in (gateways(), gateways())]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: callers[i % 2].post(destination(110)), range(64)))
    assert sorted({answer.status for answer in answers}) == [200, 402]
    assert sum(answer.status == 200 for answer in answers) == 10
    assert {answer.json["code"] for answer in answers if answer.status == 402} == {"insufficient_credits"}
    assert account(tenant) == (6300, 6000)
    tenant.set_trunk(enabled=True)
    all_ended(tenant)
    assert account(tenant)[1] == 0


def test_an_account_is_spent_to_its_end_and_never_past_it(gateways, world):
    """Calls are accepted while others end and pay, on two gateways, until nothing is left."""
    price = {"rate_mc": 6000, "hold_s": None, "max_duration_s": 10, "increment_s": 10}
    tenant = world.tenant(project=price, credits_mc=25_500)
    spare, _ = tenant.project(tenant.account_id, [tenant.user_id], **price)
    callers = [tenant.at(gateway) for gateway in (gateways(), gateways())]
    left, lock = [], threading.Lock()

    def spend(i):
        statuses = []
        for _ in range(12):
            statuses.append(callers[i % 2].post(destination(110), **({"projectId": spare} if i % 3 == 0 else {})).status)
            with lock:
                left.append(tenant.db.value("select balance_mc - held_mc from credit_accounts where org_id = %s", tenant.org_id))
        return statuses

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = [status for some in pool.map(spend, range(8)) for status in some]
    all_ended(tenant)
    assert set(statuses) == {200, 402}
    assert min(left) >= 0
    balance, held = account(tenant)
    assert held == 0
    assert balance == 25_500 - 1000 * statuses.count(200), "every call answered, and was billed one increment"
    assert balance == 500


@pytest.mark.parametrize("reference", [None, "invoice-1"])
def test_top_ups_and_calls_at_once_lose_nothing(house, reference):
    tenant = house.world.tenant(project={"rate_mc": 600, "hold_s": None, "max_duration_s": 60, "increment_s": 60}, credits_mc=3000)
    caller = tenant.at(house.gateway)
    more = ["--reference", reference] if reference else []

    def top_up(_):
        return on(house, "credits", "add", "--org", tenant.name, "--account", "account-1", "0.10", *more)

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        calls = pool.map(lambda _: caller.post(destination(110)).status, range(24))
        tops = list(pool.map(top_up, range(6)))
        accepted = list(calls).count(200)
    all_ended(tenant)
    assert all(top.returncode == 0 for top in tops)
    booked = sum(top.stdout.startswith("booked;") for top in tops)
    assert booked == (1 if reference else 6)
    assert account(tenant) == (3000 + booked * 10_000 - accepted * 600, 0)


def test_a_crash_in_flight_leaves_no_hold(gateways, world):
    settings = {"CALLGATE_LEASE_TTL_MS": 1500}
    tenant = world.tenant(project={"rate_mc": 6000, "hold_s": None, "max_duration_s": 60})
    first = gateways(**settings)
    caller = tenant.at(first)
    for life in (111, 111, 111, None, None):
        caller.call(destination(life))
    until("some are in flight", lambda: tenant.db.value("select count(*) from call_inflight where phase > 0") > 0)
    first.kill()
    assert account(tenant)[1] > 0
    gateways(**settings)
    all_ended(tenant, 60)
    assert account(tenant)[1] == 0


# ── credits over the API ─────────────────────────────────────────────────────────────────

def credits(caller, project=None, path="", **query):
    project = project or caller.tenant.project_public
    return caller.client.get(f"/v1/projects/{project}/credits{path}" + ("?" + urllib.parse.urlencode(query) if query else ""))


def test_members_see_the_credits_with_any_key(house):
    tenant = house.world.tenant(project={"rate_mc": 600, "hold_s": 60}, trunk={"enabled": False}, credits_mc=5000)
    tenant.at(house.gateway).call()
    for kind in ("dk", "kros", "sk_car", "sk"):
        answer = credits(tenant.at(house.gateway, tenant.key(tenant.user_id, kind)))
        assert answer.status == 200 and answer.json == {
            "projectId": tenant.project_public, "account": "account-1", "balanceMilliCents": 5000, "heldMilliCents": 600,
            "availableMilliCents": 4400}


def test_nobody_else_sees_them(house):
    tenant, other = house.world.tenant(), house.world.tenant()
    stranger = tenant.at(house.gateway, tenant.key(tenant.user()))
    for path in ("", "/ledger"):
        for caller, project in ((stranger, tenant.project_public), (other.at(house.gateway), tenant.project_public),
                                (tenant.at(house.gateway), "nothing"), (tenant.at(house.gateway), "%ff"),
                                (tenant.at(house.gateway), "x" * 65)):
            answer = credits(caller, project, path)
            assert (answer.status, answer.json["code"]) == (404, "project_not_found")
        assert credits(tenant.at(house.gateway, "dk_1_" + "x" * 40), path=path).status == 401
        assert tenant.at(house.gateway).client.post(f"/v1/projects/p/credits{path}", {}).status == 405


def test_the_ledger_is_read_page_by_page_and_sums_to_the_balance(house):
    tenant = house.world.tenant(project={"rate_mc": 600, "increment_s": 60})
    caller = tenant.at(house.gateway)
    calls = {caller.call(destination(110)) for _ in range(5)}
    all_ended(tenant)
    on(house, "credits", "add", "--org", tenant.name, "--project", tenant.project_public, "2.5",
       "--reference", "R 1", "--note", "März")
    on(house, "credits", "correct", "--org", tenant.name, "--account", "account-1", "-0.00001", "--note", "a rounding")
    entries, cursor, pages = [], None, 0
    while True:
        answer = credits(caller, path="/ledger", limit=3, **({"cursor": cursor} if cursor else {}))
        assert answer.status == 200
        page = answer.json
        entries += page["data"]
        pages += 1
        assert page["hasMore"] == (page["nextCursor"] is not None) == ("link" in answer.headers)
        if not page["hasMore"]:
            break
        cursor = page["nextCursor"]
        assert answer.headers["link"] == f"</v1/projects/{tenant.project_public}/credits/ledger?limit=3&cursor={cursor}>; rel=\"next\""
    assert pages == 3 and len(entries) == 8 and len({entry["id"] for entry in entries}) == 8
    assert [entry["at"] for entry in entries] == sorted((entry["at"] for entry in entries), reverse=True)
    first, second = entries[:2]
    assert (first["kind"], first["amountMilliCents"], first["note"], first["reference"]) == ("correction", -1, "a rounding", None)
    assert (second["kind"], second["amountMilliCents"], second["note"], second["reference"]) == ("top_up", 250_000, "März", "R 1")
    assert {entry["callId"] for entry in entries[2:7]} == calls and {entry["kind"] for entry in entries[2:7]} == {"call"}
    assert sum(entry["amountMilliCents"] for entry in entries) == credits(caller).json["balanceMilliCents"]


def test_a_ledger_shared_with_others_does_not_name_their_calls(house):
    tenant = house.world.tenant(project={"rate_mc": 600})
    stranger = tenant.user()
    project, _ = tenant.project(tenant.account_id, [stranger], rate_mc=600)
    tenant.at(house.gateway).end(tenant.at(house.gateway).call(destination(110)))
    theirs = credits(tenant.at(house.gateway, tenant.key(stranger)), project, "/ledger").json["data"]
    assert [entry["callId"] for entry in theirs if entry["kind"] == "call"] == [None]


def test_a_cursor_and_a_limit_have_to_be_ours(house):
    tenant, other = house.world.tenant(), house.world.tenant()
    for n in range(3):
        for each in (tenant, other):
            on(house, "credits", "add", "--org", each.name, "--account", "account-1", "1")
    caller = tenant.at(house.gateway)
    cursor = credits(caller, path="/ledger", limit=1).json["nextCursor"]
    foreign = credits(other.at(house.gateway), path="/ledger", limit=1).json["nextCursor"]
    for bad in (foreign, cursor[:-1], cursor + "A", cursor[:5] + ("B" if cursor[5] == "A" else "A") + cursor[6:], "", "é", "x" * 500):
        answer = credits(caller, path="/ledger", cursor=bad)
        assert (answer.status, answer.json["code"]) == (400, "cursor_invalid"), bad
    for bad in ("0", "101", "-1", "ten", "1e1", ""):
        answer = credits(caller, path="/ledger", limit=bad)
        assert (answer.status, answer.json["code"]) == (400, "validation_failed") and "limit" in answer.json["details"][0]["message"]
    for bad in ("colour=red", "limit=1&limit=2"):
        answer = caller.client.get(f"/v1/projects/{tenant.project_public}/credits/ledger?{bad}")
        assert (answer.status, answer.json["code"]) == (400, "validation_failed"), answer


# ── callgate credits ─────────────────────────────────────────────────────────────────────

def test_credits_are_added_once_by_reference_and_shown(house):
    tenant = house.world.tenant(credits_mc=0)
    add = ("credits", "add", "--org", tenant.name, "--account", "account-1", "12.50", "--reference", "invoice-17")
    first, again = on(house, *add), on(house, *add)
    assert first.stdout == f"booked; account 'account-1' of {tenant.name} has a balance of 12.50, of which 12.50 are available\n"
    assert again.stdout.startswith("it had been booked before; ") and " 12.50, " in again.stdout
    other = on(house, *add[:6], "12.51", *add[7:], check=False)
    assert other.returncode == 1 and "invoice-17" in other.stderr and "nothing was booked" in other.stderr
    lines = on(house, "credits", "show", "--org", tenant.name).stdout.splitlines()
    assert lines[0].split() == ["BALANCE", "HELD", "AVAILABLE", "PROJECTS", "ACCOUNT"]
    assert lines[1].split() == ["12.50", "0.00", "12.50", "1", "account-1"]


def test_a_refused_caller_may_call_once_credits_are_added(house):
    tenant = house.world.tenant(project={"rate_mc": 600, "hold_s": 60}, credits_mc=599)
    caller = tenant.at(house.gateway)
    assert caller.post().status == 402
    on(house, "credits", "add", "--org", tenant.name, "--project", tenant.project_public, "0.00001")
    assert caller.post().status == 200
    assert caller.post().status == 402
    all_ended(tenant)


@pytest.mark.parametrize("args, status, words", [
    (("add", "5"), 2, "--org"),
    (("add", "--org", "{org}", "--account", "account-1"), 2, "amount"),
    (("add", "--org", "{org}", "--account", "account-1", "-5"), 2, "no amount"),
    (("add", "--org", "{org}", "--account", "account-1", "0"), 2, "no amount"),
    (("add", "--org", "{org}", "--account", "account-1", "1.000001"), 2, "no amount"),
    (("add", "--org", "{org}", "--account", "account-1", "--project", "p", "5"), 2, "not both"),
    (("add", "--org", "{org}", "--account", "account-1", "5", "--reference", ""), 2, "--reference"),
    (("add", "--org", "{org}", "--account", "account-1", "5", "6"), 2, "'6'"),
    (("add", "--org", "{org}", "--acount", "account-1", "5"), 2, "--acount"),
    (("correct", "--org", "{org}", "--account", "account-1", "-5"), 2, "--note"),
    (("show", "--org", "{org}", "5"), 2, "alone"),
    (("spend", "--org", "{org}"), 2, "spend"),
    ((), 2, "add, correct or show"),
    (("add", "--org", "nobody", "5"), 1, "no organization 'nobody'"),
    (("add", "--org", "{org}", "--account", "x", "5"), 1, "no account 'x'"),
    (("add", "--org", "{org}", "--project", "x", "5"), 1, "no project 'x'"),
    (("show", "--org", "nobody"), 1, "no organization 'nobody'"),
])
def test_what_credits_cannot_do_it_says(house, args, status, words):
    tenant = house.world.tenant(credits_mc=7)
    done = on(house, "credits", *(arg.format(org=tenant.name) for arg in args), check=False)
    assert done.returncode == status and words in done.stderr and done.stdout == "", done
    assert account(tenant) == (7, 0)


# ── callgate apply ───────────────────────────────────────────────────────────────────────

def test_a_document_prices_calls_pays_in_and_may_be_applied_again(callgate, database):
    document = {"organizations": [{
        "name": "acme",
        "accounts": [{"name": "main", "topUps": [{"reference": "invoice-1", "amount": "50.00", "note": "March"}]},
                     {"name": "spare", "default": True}],
        "rates": [{"prefix": "+49", "ratePerMinute": "0.02", "incrementSeconds": 6, "minimumSeconds": 30},
                  {"prefix": "+", "ratePerMinute": "1"}],
        "projects": [{"id": "a", "agent": "x", "account": "main", "incrementSeconds": 60}, {"id": "b", "agent": "x"}]}]}

    def apply(check=True):
        return callgate("apply", "-", stdin=json.dumps(document), check=check)

    assert apply().stdout.splitlines()[-1] == "8 created, 0 updated, 0 unchanged"
    assert apply().stdout.splitlines()[-1] == "0 created, 0 updated, 8 unchanged"
    assert database.rows("select prefix, rate_mc, increment_s, minimum_s from rates order by 1") == [("+", 100_000, 1, 1), ("+49", 2000, 6, 30)]
    assert database.rows("select name, balance_mc from credit_accounts order by 1") == [("main", 5_000_000), ("spare", 0)]
    assert database.rows("select p.public_id, a.name, p.increment_s from projects p join credit_accounts a"
                         " using (org_id, account_id) order by 1") == [("a", "main", 60), ("b", "spare", 1)]
    acme = document["organizations"][0]
    acme["rates"] = acme["rates"][:1]
    acme["accounts"][0]["topUps"].append({"reference": "invoice-2", "amount": "1"})
    out = apply().stdout
    assert re.search(r"^updated +organization +acme$", out, re.M) and re.search(r"^created +top-up +acme / invoice-2$", out, re.M)
    assert database.rows("select prefix from rates") == [("+49",)]
    assert re.search(r"51\.00 .* main$", callgate("credits", "show", "--org", "acme").stdout, re.M)
    acme["accounts"][0]["topUps"][0]["amount"] = "60.00"
    failed = apply(check=False)
    assert failed.returncode == 1 and "/organizations/0/accounts/0/topUps/0/reference" in failed.stderr
    assert database.value("select sum(balance_mc) from credit_accounts") == 5_100_000


def test_two_documents_with_one_reference_at_once_pay_in_once(callgate, database):
    document = json.dumps({"organizations": [{"name": f"org-{n}", "accounts": [
        {"name": "a", "topUps": [{"reference": "r", "amount": "1"}]}]} for n in (1, 2)]})
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: callgate("apply", "-", stdin=document), range(4)))
    assert database.rows("select balance_mc from credit_accounts") == [(100_000,), (100_000,)]


def test_the_doctor_sees_a_project_that_left_the_default_account(callgate, database):
    document = {"organizations": [{"name": "acme", "accounts": [{"name": "a"}, {"name": "b"}], "projects": [{"id": "p", "agent": "x"}]}]}
    callgate("apply", "-", stdin=json.dumps(document))
    assert "draws on 'a', not" not in callgate("doctor").stdout
    database.execute("update organizations set default_account = 2")
    assert "acme / p: has no account of its own and draws on 'a', not" in callgate("doctor").stdout
    document["organizations"][0]["projects"][0]["account"] = None
    callgate("apply", "-", stdin=json.dumps(document))
    assert "draws on" not in callgate("doctor").stdout.replace("draws on its organization's default", "")
