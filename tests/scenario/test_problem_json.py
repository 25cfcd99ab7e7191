"""Errors as problem details (RFC 9457) for those who ask, and the documentation of every code."""
import json
import re

import pytest

from harness.postgres import TOP

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 50, "CALLGATE_DRAIN_S": 0}
PATH = "/v1/calls/outbound"
PROBLEM = "application/problem+json"
DETAILS = {"type", "title", "status", "detail"}


@pytest.fixture
def tenant(house):
    return house.world.tenant()


@pytest.fixture
def client(house, tenant):
    return house.gateway.client(tenant.key_text)


def problem(answer, status, code):
    assert answer.status == status, answer
    assert answer.headers["content-type"] == PROBLEM
    assert "accept" in answer.headers["vary"].lower()
    body = json.loads(answer.body)
    assert body["type"] == f"/problems/{code}" and body["status"] == status and body["code"] == code
    assert body["title"] and body["detail"] == body["error"]
    assert body["requestId"] == answer.headers["x-request-id"]
    return body


def plain(answer, status, code):
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["code"] == code
    assert not DETAILS & set(answer.json)


@pytest.mark.parametrize("accept", [PROBLEM, f"{PROBLEM}, application/json", f"application/json;q=0.9, {PROBLEM}",
                                    f"text/html, {PROBLEM};q=0.4, */*;q=0.1", "Application/PROBLEM+json"])
def test_who_asks_for_problem_details_gets_them(client, tenant, accept):
    body = problem(client.post(PATH, tenant.body("+1"), {"Accept": accept}), 400, "validation_failed")
    assert [one["pointer"] for one in body["details"]] == ["/toNumber"]


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/*", f"{PROBLEM};q=0",
                                    f"{PROBLEM};q=0.5, application/json", f"{PROBLEM};q=0.5, */*", "text/html", ""])
def test_everybody_else_gets_plain_json(client, tenant, accept):
    plain(client.post(PATH, tenant.body("+1"), {"Accept": accept} if accept is not None else {}), 400, "validation_failed")


def test_both_say_the_same(client, tenant):
    headers = {"X-Request-Id": "same"}
    one = client.post(PATH, tenant.body("+1"), headers).json
    other = json.loads(client.post(PATH, tenant.body("+1"), {**headers, "Accept": PROBLEM}).body)
    assert {name: value for name, value in other.items() if name not in DETAILS} == one


def test_every_way_of_refusing_knows_problem_details(house, tenant, client):
    asks = {"Accept": PROBLEM}
    problem(house.gateway.client().post(PATH, tenant.body(), asks), 401, "credentials_missing")
    problem(client.get("/nowhere", asks), 404, "route_not_found")
    problem(client.delete(PATH, asks), 405, "method_not_allowed")
    problem(client.get("/v1/calls/none", asks), 404, "call_not_found")
    problem(client.post(PATH, tenant.body(projectId="proj_none"), asks), 403, "project_forbidden")
    problem(client.post(PATH, b" " * 70000, asks), 413, "body_too_large")
    problem(client.post(PATH, tenant.body(), {**asks, "Content-Encoding": "gzip"}), 400, "encoding_unsupported")


def test_what_is_hardly_http_knows_problem_details_when_it_could_be_read(house):
    with house.gateway.client().raw() as raw:
        raw.send(f"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nAccept: {PROBLEM}\r\n\r\n")
        problem(raw.answer(), 400, "request_malformed")


def test_an_answer_that_is_no_error_stays_json(client, tenant):
    answer = client.post(PATH, tenant.body(), {"Accept": f"{PROBLEM}, application/json"})
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"


def test_a_problem_can_be_read_where_its_type_points(house, client):
    body = problem(client.get("/nowhere", {"Accept": PROBLEM}), 404, "route_not_found")
    read = house.gateway.client().get(body["type"])
    assert read.status == 200
    assert read.json == {"type": body["type"], "title": body["title"], "status": 404, "code": "route_not_found",
                         "detail": body["detail"]}
    plain(house.gateway.client().get("/problems/no_such_code"), 404, "route_not_found")


# ── docs/errors.md ───────────────────────────────────────────────────────────────────────

def documented():
    text = (TOP / "docs" / "errors.md").read_text().partition("\n## Outcomes")[0]
    return {(int(status), code) for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", text, re.M)}


def in_the_source():
    found = set()
    for path in ("src/api/errors.c", "src/http/answer.c"):
        found |= {(int(status), code) for status, code in
                  re.findall(r'\{ (\d{3}), "(\w+)", "', (TOP / path).read_text()) if int(status) >= 400}
    assert len(found) > 30, "the tables of errors have another shape"
    return found


def test_every_code_is_documented_with_its_status_and_no_other():
    assert documented() == in_the_source()


def test_every_documented_code_can_be_asked_for(house):
    client = house.gateway.client()
    for status, code in sorted(documented()):
        answer = client.get(f"/problems/{code}")
        assert answer.status == 200 and answer.json["status"] == status, answer


def test_every_reason_of_an_outcome_is_documented():
    text = (TOP / "docs" / "errors.md").read_text().partition("\n## Outcomes")[2]
    source = (TOP / "src" / "domain" / "call.c").read_text()
    table = source[source.index("[REASON_NONE]"):]
    reasons = set(re.findall(r'\[REASON_(?!NONE)\w+\]\s*=\s*\{\s*"(\w+)"', table))
    assert len(reasons) >= 19
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == reasons
