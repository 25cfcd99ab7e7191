"""GET /v1/calls: filters, pages, cursors, and whose calls one sees."""
import concurrent.futures
import datetime
import urllib.parse

import pytest

from harness.wait import until
from harness.world import destination

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 50, "CALLGATE_RETRY_BASE_MS": 20, "CALLGATE_DRAIN_S": 0, "CALLGATE_LEASE_TTL_MS": 3000}


@pytest.fixture
def tenant(house):
    return house.world.tenant(project={"ring_timeout_s": 5, "max_duration_s": 30})


@pytest.fixture
def caller(house, tenant):
    return tenant.at(house.gateway)


def page(caller, status=200, **arguments):
    answer = caller.client.get("/v1/calls?" + urllib.parse.urlencode(arguments))
    assert answer.status == status, answer
    return answer


def ids(caller, **arguments):
    body = page(caller, **arguments).json
    assert body["hasMore"] is False and body["nextCursor"] is None
    return [one["id"] for one in body["data"]]


def all_pages(caller, **arguments):
    """Every record, and how many pages they took."""
    found, pages, cursor = [], 0, {}
    while True:
        body = page(caller, **arguments, **cursor).json
        found += body["data"]
        pages += 1
        assert body["hasMore"] == (body["nextCursor"] is not None)
        if not body["hasMore"]:
            return found, pages
        cursor = {"cursor": body["nextCursor"]}


def wait_call(caller, **members):
    """A call that stays queued."""
    tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    return caller.call(scheduledAt=tomorrow.isoformat(), **members)


# ── what is listed ───────────────────────────────────────────────────────────────────────

def test_an_empty_list_is_a_list(caller):
    assert page(caller).json == {"data": [], "hasMore": False, "nextCursor": None}


def test_the_newest_come_first_and_are_the_same_records(caller, tenant):
    calls = [caller.call() for _ in range(3)]
    for call in calls:
        caller.end(call)
    body = page(caller).json
    assert [one["id"] for one in body["data"]] == calls[::-1]
    assert body["data"] == [caller.get(call) for call in calls[::-1]]


def test_every_filter_alone_finds_what_it_says(house, tenant, caller):
    other, other_id = tenant.project(tenant.account_id, [tenant.user_id])
    busy_to, plain_to = destination(101), destination()
    busy = caller.call(busy_to, metadata={"order": "a-17", "n": 1.5, "on": True, "none": None})
    plain = caller.call(plain_to, metadata={"order": "a-18"})
    elsewhere = caller.call(projectId=other)
    for call in (busy, plain, elsewhere):
        caller.end(call)
    queued = wait_call(caller)
    assert ids(caller, projectId=other) == [elsewhere]
    assert ids(caller, state="busy") == [busy]
    assert ids(caller, state="busy,queued") == [queued, busy]
    assert ids(caller, state="queued") == [queued]
    assert ids(caller, outcome="busy") == [busy]
    assert ids(caller, to=busy_to) == [busy]
    assert len(ids(caller, **{"from": tenant.from_number})) == 4
    assert ids(caller, metadataKey="order") == [plain, busy]
    assert ids(caller, metadataKey="order", metadataValue="a-17") == [busy]
    assert ids(caller, metadataKey="n", metadataValue="1.5") == [busy]
    assert ids(caller, metadataKey="on", metadataValue="true") == [busy]
    assert ids(caller, metadataKey="none") == [busy]
    assert ids(caller, metadataKey="none", metadataValue="") == []
    assert ids(caller, metadataKey="order", state="completed") == [plain]
    assert ids(caller, state="ringing") == []
    assert ids(caller, projectId="no-such-project") == []


def test_a_number_may_be_written_with_a_plain_plus(caller, tenant):
    to = destination()
    call = caller.call(to)
    assert [one["id"] for one in caller.client.get(f"/v1/calls?to={to}").json["data"]] == [call]


def test_times_bound_from_inside_and_before_from_outside(caller):
    first, second = caller.call(), caller.call()
    created = caller.get(second)["timeline"]["createdAt"]
    later = (datetime.datetime.fromisoformat(created.replace("Z", "+00:00")) + datetime.timedelta(milliseconds=1)).isoformat()
    assert ids(caller, createdAfter=created) == [second]
    assert ids(caller, createdBefore=created) == [first]
    assert ids(caller, createdAfter=created, createdBefore=later) == [second]
    assert ids(caller, createdAfter="2099-01-01T00:00:00Z") == []
    assert ids(caller, createdBefore="2020-01-01T00:00:00+02:00") == []


def test_calls_in_flight_are_found_by_their_state(caller):
    call = caller.call(destination(111))
    caller.state(call, "in_progress")
    assert ids(caller, state="in_progress") == [call]
    assert ids(caller, state="initiated,ringing,in_progress") == [call]
    assert ids(caller, state="in_progress,queued") == [call]
    assert ids(caller, state="ringing") == []
    assert ids(caller, state="in_progress", to="+4930999") == []
    caller.end(call)
    assert ids(caller, state="in_progress") == []


# ── whose ────────────────────────────────────────────────────────────────────────────────

def test_only_the_calls_of_ones_own_projects_are_listed(house, tenant, caller):
    mine = caller.call()
    stranger = house.world.tenant()
    theirs = stranger.at(house.gateway)
    their_call = theirs.call()
    colleague = tenant.user()
    tenant.pool([colleague], [tenant.from_number])
    secret, _ = tenant.project(tenant.account_id, [colleague])
    his = tenant.at(house.gateway, tenant.key(colleague))
    his_call = his.call(projectId=secret)
    assert ids(caller) == [mine]
    assert ids(caller, projectId=secret) == []
    assert ids(caller, projectId=stranger.project_public) == []
    assert ids(his) == [his_call]
    assert ids(theirs) == [their_call]
    for state in ("queued,initiated,ringing,in_progress", "initiated,ringing,in_progress", "completed"):
        assert their_call not in ids(caller, state=state) and his_call not in ids(caller, state=state)


@pytest.mark.parametrize("kind", ["dk", "kros", "sk_car", "sk"])
def test_every_kind_of_key_lists(house, tenant, kind):
    call = tenant.at(house.gateway).call()
    assert ids(tenant.at(house.gateway, tenant.key(tenant.user_id, kind))) == [call]


def test_without_a_good_key_nothing_is_listed(house, tenant):
    assert house.gateway.client().get("/v1/calls").status == 401
    revoked = tenant.key(tenant.user_id, revoked_at="2026-01-01T00:00:00Z")
    for query in ("", "?state=nonsense", "?cursor=x", "?state=ringing"):
        answer = house.gateway.client(revoked).get("/v1/calls" + query)
        assert (answer.status, answer.json["code"]) == (401, "credentials_invalid"), answer


# ── pages ────────────────────────────────────────────────────────────────────────────────

def test_pages_hold_every_call_once_and_lead_on(caller, tenant):
    calls = [wait_call(caller) for _ in range(7)]
    found, pages = all_pages(caller, limit=3)
    assert [one["id"] for one in found] == calls[::-1] and pages == 3
    assert page(caller, limit=7).json["hasMore"] is False
    first = page(caller, limit=3, state="queued")
    link = first.headers["link"]
    assert link.startswith("</v1/calls?") and link.endswith('>; rel="next"')
    second = caller.client.get(link[1:link.index(">")])
    assert [one["id"] for one in second.json["data"]] == calls[::-1][3:6]
    assert "link" not in page(caller, limit=7).headers


def test_pages_stay_what_they_are_while_calls_come_in(caller, tenant):
    calls = [wait_call(caller) for _ in range(4)]
    body = page(caller, limit=2).json
    caller.call()
    rest = page(caller, limit=2, cursor=body["nextCursor"]).json
    assert [one["id"] for one in body["data"] + rest["data"]] == calls[::-1]


def fill(tenant, n, state=4):
    """n calls of long ago, written straight into the database, each a millisecond after the other."""
    tenant.db.execute(
        "insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s, rate_mc,"
        " hold_mc, lock_scope, from_e164, to_e164, request_id, created_at, state, reason, ended_at, charged_mc)"
        " select %s, (left(uuid7_floor(now() - (1000000 - i) * interval '1 ms')::text, 14) || '7000-8000-' || lpad(to_hex(i), 12,"
        " '0'))::uuid, %s, 1, %s, %s, 60, 60, 0, 0, 0, %s, '+49' || (7000000000 + i), '', now() - interval '1 day', %s, 1, now(), 0 from generate_series(1, %s) i",
        tenant.org_id, tenant.project_id, tenant.account_id, tenant.user_id, tenant.from_number, state, n)
    tenant.db.execute("insert into call_events (org_id, call_id, seq, kind) select org_id, call_id, 31, state from calls"
                      " where org_id = %s", tenant.org_id)


def test_a_page_that_looked_long_enough_is_short_and_leads_on(caller, tenant):
    fill(tenant, 45_000)
    body = page(caller, to="+497000000001").json
    assert body["data"] == [] and body["hasMore"] is True
    found, pages = all_pages(caller, to="+497000000001")
    assert [one["to"] for one in found] == ["+497000000001"] and pages == 3
    found, pages = all_pages(caller, state="failed", limit=100)
    assert found == [] and pages == 3


# ── cursors ──────────────────────────────────────────────────────────────────────────────

def test_a_cursor_is_good_for_its_filter_and_organization_only(house, caller, tenant):
    for _ in range(3):
        wait_call(caller)
    cursor = page(caller, limit=1, state="queued").json["nextCursor"]
    stranger = house.world.tenant().at(house.gateway)
    assert page(caller, limit=2, state="queued", cursor=cursor).json["hasMore"] is False
    for who, arguments in ((caller, {}), (caller, {"state": "busy"}), (caller, {"state": "queued", "to": "+493012345"}),
                           (stranger, {"state": "queued"})):
        answer = page(who, 400, cursor=cursor, **arguments)
        assert answer.json["code"] == "cursor_invalid", answer
    for damaged in ("", "x", cursor[:-1], cursor + "A", cursor[:-1] + ("A" if cursor[-1] != "A" else "B"), "A" * 32, "A" * 4000,
                    "../../x", "%00", "' or 1=1 --"):
        answer = page(caller, 400, state="queued", cursor=damaged)
        assert answer.json["code"] == "cursor_invalid", answer


# ── mistakes ─────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("query, word", [
    ("stat=busy", "stat"), ("state=bussy", "state"), ("state=", "state"), ("state=busy,", "state"), ("outcome=x", "outcome"),
    ("to=12", "to"), ("from=x", "from"), ("createdAfter=yesterday", "createdAfter"), ("createdBefore=2026-01-01", "createdBefore"),
    ("createdAfter=2026-01-02T00:00:00Z&createdBefore=2026-01-01T00:00:00Z", "createdBefore"), ("limit=0", "limit"),
    ("limit=101", "limit"), ("limit=1.5", "limit"), ("limit=", "limit"), ("limit=9999999999999999999999", "limit"),
    ("metadataValue=x", "metadataValue"), ("metadataKey=", "metadataKey"), ("state=busy&state=failed", "state"),
    ("projectId=%ff", "projectId"), ("metadataKey=%ff", "metadataKey"), ("metadataKey=k&metadataValue=%c3", "metadataValue"),
    ("projectId=" + "x" * 65, "projectId"), ("a=1&b=2", "a")])
def test_a_mistake_in_the_query_is_400_with_its_name(caller, query, word):
    answer = caller.client.get("/v1/calls?" + query)
    assert (answer.status, answer.json["code"]) == (400, "validation_failed"), answer
    assert word in answer.json["details"][0]["message"], answer
    assert answer.json["details"][0]["pointer"] == ""


def test_all_mistakes_are_told_at_once(caller):
    answer = caller.client.get("/v1/calls?stat=busy&to=12&limit=0&createdAfter=x")
    assert len(answer.json["details"]) == 4, answer


def test_lists_do_not_hold_up_looking_at_a_call(caller, tenant):
    fill(tenant, 20_000)
    call = caller.call()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        lists = [pool.submit(page, caller, to="+497000000001") for _ in range(8)]
        for _ in range(5):
            caller.get(call)
        for one in lists:
            one.result()
    caller.end(call)
