"""What no decent client sends. Whatever comes in, its sender gets a clear answer or is shut out,
and nobody else feels it: after each test a good call on a new connection must be accepted."""
import http.client
import json
import socket
import struct
import time

import psycopg2
import pytest

from harness.wait import until
from harness.world import destination, key_text

SETTINGS = {"CALLGATE_SIMULATOR_SPEED": 50, "CALLGATE_DRAIN_S": 0, "CALLGATE_INTAKE_BATCHES": 1}
PATH = "/v1/calls/outbound"
BODY_MAX = 65536
VARIABLES_MAX = 16384


@pytest.fixture
def tenant(house):
    tenant = house.world.tenant()
    yield tenant
    answer = tenant.at(house.gateway).post()
    assert answer.status == 200, f"the gateway is not well after this test: {answer}"


@pytest.fixture
def raw(house):
    opened = []

    def open_one(timeout=10):
        one = house.gateway.client(timeout=timeout).raw()
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        one.close()


def head(tenant, *lines, method="POST", path=PATH, key=None, host="Host: x", kind="Content-Type: application/json"):
    key = tenant.key_text if key is None else key
    lines = [f"{method} {path} HTTP/1.1", host, kind, f"Authorization: Bearer {key}" if key else "", *lines]
    return ("\r\n".join(line for line in lines if line) + "\r\n\r\n").encode()


def request(tenant, body, *lines, **options):
    body = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return head(tenant, f"Content-Length: {len(body)}", *lines, **options) + body


def invalid(answer, pointer="", words=""):
    assert answer.status == 400, answer
    body = answer.json
    assert body["success"] is False and body["code"] == "validation_failed"
    assert any(one["pointer"] == pointer and words.lower() in one["message"].lower() for one in body["details"]), body
    return body


def calls_of(tenant):
    return tenant.db.value("select count(*) from calls where org_id = %s", tenant.org_id)


# ── bodies ───────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("lines", [(), ("Content-Length: 0",)])
def test_no_body_is_400(tenant, raw, lines):
    invalid(raw().send(head(tenant, *lines)).answer(), words="empty")


WHOLE = {
    "blank": (b" \r\n\t ", "empty"),
    "text": (b"hello", ""),
    "xml": (b"<?xml version='1.0'?><call/>", ""),
    "form": (b"projectId=a&toNumber=b", ""),
    "single-quotes": (b"{'projectId':'a'}", ""),
    "comment": (b"{/* no */}", ""),
    "trailing-comma": (b'{"a":1,}', ""),
    "nan": (b'{"a":NaN}', ""),
    "infinity": (b'{"a":-Infinity}', ""),
    "leading-zero": (b'{"a":01}', ""),
    "bare-fraction": (b'{"a":.5}', ""),
    "bom": (b'\xef\xbb\xbf{"a":1}', ""),
    "utf-16": ('{"a":1}'.encode("utf-16"), ""),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", ""),
    "array": (b"[]", "must be a json object"),
    "string": (b'"text"', "must be a json object"),
    "number": (b"17", "must be a json object"),
    "null": (b"null", "must be a json object"),
    "true": (b"true", "must be a json object"),
    "raw-newline": (b'{"a":"x\ny"}', ""),
    "nul-behind-number": (b'{"a":1\0}', "zero byte"),
    "nul-at-end": (b'{"a":1}\0', "zero byte"),
    "bad-escape": (rb'{"a":"\x41"}', ""),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_not_a_json_object_is_400(tenant, raw, name):
    body, words = WHOLE[name]
    invalid(raw().send(request(tenant, body)).answer(), words=words)


def test_a_body_cut_at_any_byte_is_400(tenant, raw):
    whole = json.dumps(tenant.body(dynamicVariables={"a": "ü\n", "n": -1.5e3}), ensure_ascii=False).encode()
    one = raw()
    for cut in range(1, len(whole)):
        invalid(one.send(request(tenant, whole[:cut])).answer())
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("tail", [b"}", b"{}", b" x", b",", b"\n\n1", b'"', b"]", b"\xff"])
def test_trailing_data_is_400(tenant, raw, tail):
    invalid(raw().send(request(tenant, json.dumps(tenant.body()).encode() + tail)).answer())


@pytest.mark.parametrize("member, where", [
    ('"toNumber": "+14155550100"', "top"), (r'"to\u004eumber": "+14155550100"', "top"), ('"extra": 1, "extra": 1', "top"),
    ('"dynamicVariables": {"a": 1, "a": 2}', "top"), (r'"dynamicVariables": {"a": {"b": 1, "\u0062": 2}}', "top")])
def test_duplicate_keys_are_400(tenant, raw, member, where):
    body = json.dumps(tenant.body())[:-1] + f", {member}}}"
    invalid(raw().send(request(tenant, body.encode())).answer(), words="twice")


# put in the place of a value anywhere: in a variable, in its key, in an unknown member
TEXTS = {
    "u0000": (rb"\u0000", "u0000"),
    "u0000-within": (rb"a\u0000b", "u0000"),
    "lone-high": (rb"\ud800", "surrogate"),
    "lone-low": (rb"\udc00", "surrogate"),
    "high-and-letter": (rb"\ud83dx", "surrogate"),
    "high-and-high": (rb"\ud83d\ud83d", "surrogate"),
    "ff": (b"\xff", "utf-8"),
    "cut-sequence": (b"\xe4\xb8", "utf-8"),
    "overlong": (b"\xc0\xaf", "utf-8"),
    "encoded-surrogate": (b"\xed\xa0\x80", "utf-8"),
    "past-10ffff": (b"\xf4\x90\x80\x80", "utf-8"),
    "latin-1": ("Grüße".encode("latin-1"), "utf-8"),
}


@pytest.mark.parametrize("place", [b'"dynamicVariables":{"v":"@"}', b'"dynamicVariables":{"@":1}', b'"unknown":"@"',
                                   b'"@":0'], ids=["value", "key", "unknown", "unknown-key"])
@pytest.mark.parametrize("name", TEXTS)
def test_text_that_is_no_text_is_400_wherever_it_stands(tenant, raw, name, place):
    text, words = TEXTS[name]
    body = json.dumps(tenant.body()).encode()[:-1] + b"," + place.replace(b"@", text) + b"}"
    invalid(raw().send(request(tenant, body)).answer(), words=words)
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("member", ["projectId", "fromNumber", "toNumber"])
@pytest.mark.parametrize("text", [rb"\u0000", rb"+4930\u00001", rb"\ud800", b"\xff"])
def test_text_that_is_no_text_is_400_in_the_required_members_too(tenant, raw, member, text):
    body = json.dumps({**tenant.body(), member: "@"}).encode().replace(b"@", text)
    invalid(raw().send(request(tenant, body)).answer())


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "1" * 400, "1e400", "-1e999"])
@pytest.mark.parametrize("place", ['"dynamicVariables":{"n":@}', '"unknown":[@]'])
def test_numbers_past_64_bits_are_400(tenant, raw, number, place):
    body = json.dumps(tenant.body())[:-1] + "," + place.replace("@", number) + "}"
    invalid(raw().send(request(tenant, body.encode())).answer(), words="64 bits")


@pytest.mark.parametrize("number", ["9223372036854775807", "-9223372036854775808", "0.000000000000000000000000001", "1e300"])
def test_numbers_of_64_bits_are_accepted_and_kept(tenant, raw, number):
    body = json.dumps(tenant.body())[:-1] + f', "dynamicVariables":{{"n":{number}}}}}'
    answer = raw().send(request(tenant, body.encode())).answer()
    assert answer.status == 200, answer
    assert tenant.db.value("select variables from calls where org_id = %s", tenant.org_id) == f'{{"n":{number}}}'


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}")])
def test_nesting_is_bounded_at_32_levels(tenant, raw, opening, closing):
    def body(levels, whole=True):
        inner = opening * levels + ("1" if whole else "") + closing * levels * whole
        return (json.dumps(tenant.body())[:-1] + f', "unknown":{inner}}}').encode()
    assert raw().send(request(tenant, body(31))).answer().status == 200
    invalid(raw().send(request(tenant, body(32))).answer(), words="nested")
    invalid(raw().send(request(tenant, body(10_000)[:60_000])).answer(), words="nested")
    invalid(raw().send(request(tenant, opening.encode() * (BODY_MAX // len(opening)))).answer(), words="nested")


def test_all_mistakes_are_told_at_once(tenant, raw):
    answer = raw().send(request(tenant, {"projectId": 7, "fromNumber": "+1 (415) 555-0100", "dynamicVariables": []})).answer()
    told = {one["pointer"]: one["message"] for one in invalid(answer, "/projectId")["details"]}
    assert set(told) == {"/projectId", "/fromNumber", "/toNumber", "/dynamicVariables"}
    assert "+14155550100" in told["/fromNumber"] and "required" in told["/toNumber"] and "number" in told["/projectId"]


def test_calling_oneself_is_400(tenant, house):
    invalid(tenant.at(house.gateway).post(tenant.from_number), "/toNumber", "differ")


@pytest.mark.parametrize("project, status", [("p" * 64, 403), ("p" * 65, 400), ("ü" * 32, 403), ("ü" * 33, 400),
                                             ("' or 1=1 --", 403), ("%s%n", 403), ("\n", 403)])
def test_a_strange_project_is_refused_and_harms_nothing(tenant, house, project, status):
    assert tenant.at(house.gateway).post(projectId=project).status == status


# ── sizes ────────────────────────────────────────────────────────────────────────────────

def variables_of(size):
    frame = len('{"v":""}')
    return {"v": "x" * (size - frame)}


@pytest.mark.parametrize("size, status", [(VARIABLES_MAX, 200), (VARIABLES_MAX + 1, 400), (40_000, 400)])
def test_variables_may_take_16_KiB(tenant, house, size, status):
    answer = tenant.at(house.gateway).post(dynamicVariables=variables_of(size))
    if status == 200:
        assert answer.status == 200, answer
        assert len(tenant.db.value("select variables from calls where org_id = %s", tenant.org_id)) == size
        assert tenant.at(house.gateway).get(answer.json["callId"])["dynamicVariables"] == variables_of(size)
    else:
        invalid(answer, "/dynamicVariables", str(VARIABLES_MAX))
        assert calls_of(tenant) == 0


def test_variables_are_measured_in_bytes_and_without_the_white_space_between_tokens(tenant, raw):
    def send(text):
        body = (json.dumps(tenant.body())[:-1] + f', "dynamicVariables":{text}}}').encode()
        return raw().send(request(tenant, body)).answer()
    assert send('{ "v":' + " " * 30_000 + '"' + "x" * (VARIABLES_MAX - 8) + '"\n}').status == 200
    assert send('{"v":"' + "ü" * ((VARIABLES_MAX - 8) // 2) + '"}').status == 200
    invalid(send('{"v":"' + "ü" * ((VARIABLES_MAX - 8) // 2 + 1) + '"}'), "/dynamicVariables")
    invalid(send('{"v":"' + " " * (VARIABLES_MAX - 7) + '"}'), "/dynamicVariables")


def test_the_largest_body_is_read_and_one_byte_more_is_413(tenant, raw):
    body = json.dumps(tenant.body()).encode()
    assert raw().send(request(tenant, body.ljust(BODY_MAX))).answer().status == 200
    one = raw()
    answer = one.send(request(tenant, body.ljust(BODY_MAX + 1))).answer()
    assert answer.status == 413 and answer.json["code"] == "body_too_large"
    assert str(BODY_MAX) in answer.json["details"][0]["message"]


@pytest.mark.parametrize("length", [1 << 20, 1 << 33, (1 << 63) - 1])
def test_a_large_body_is_413_before_it_is_read(tenant, raw, length):
    """Only the head is sent."""
    answer = raw().send(head(tenant, f"Content-Length: {length}")).answer()
    assert answer.status == 413, answer
    assert answer.json["code"] == "body_too_large"
    assert answer.headers["connection"].lower() == "close"


def test_a_client_that_sends_its_large_body_all_the_same_still_gets_the_413(tenant, raw):
    one = raw()
    body = b"x" * (1 << 20)
    try:
        one.send(request(tenant, body))
    except OSError:
        pass                            # the answer must be there nevertheless
    answer = one.answer()
    assert answer.status == 413, answer
    assert one.closed()


def test_a_large_body_without_a_key_is_401(tenant, raw):
    assert raw().send(head(tenant, "Content-Length: 1048576", key="")).answer().status == 401


@pytest.mark.parametrize("lines", [
    ("Content-Length: -1",), ("Content-Length: 99999999999999999999",), ("Content-Length: 0x10",), ("Content-Length: 5 5",),
    ("Content-Length: 5", "Content-Length: 6"), ("Content-Length: 5", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: gzip, chunked",), ("Transfer-Encoding: identity",), ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ("Content-Length : 5",)])
def test_a_length_that_two_readers_could_understand_differently_is_refused(tenant, raw, lines):
    one = raw()
    one.send(head(tenant, *lines) + b"0\r\n\r\n")
    answer = one.answer()
    assert answer.status in (400, 413, 501), answer
    assert one.closed()
    assert calls_of(tenant) == 0


# ── chunked ──────────────────────────────────────────────────────────────────────────────

def chunks(body, size):
    for i in range(0, len(body), size):
        part = body[i:i + size]
        yield f"{len(part):x}\r\n".encode() + part + b"\r\n"
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_chunked_body_is_read(tenant, raw, size):
    body = json.dumps(tenant.body(dynamicVariables={"name": "王小明"}), ensure_ascii=False).encode()
    answer = raw().send(head(tenant, "Transfer-Encoding: chunked") + b"".join(chunks(body, size))).answer()
    assert answer.status == 200, answer
    assert tenant.db.value("select variables from calls where org_id = %s", tenant.org_id) == '{"name":"王小明"}'


def test_a_chunked_body_that_grows_too_large_is_413(tenant, raw):
    one = raw()
    body = json.dumps(tenant.body()).encode().ljust(1 << 20)
    try:
        one.send(head(tenant, "Transfer-Encoding: chunked"))
        for chunk in chunks(body, 8192):
            one.send(chunk)
    except OSError:
        pass
    answer = one.answer()
    assert answer.status == 413 and answer.json["code"] == "body_too_large"
    assert one.closed()
    assert calls_of(tenant) == 0


@pytest.mark.parametrize("chunk", [b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"2\r\n{}{}\r\n0\r\n\r\n"])
def test_broken_chunks_get_no_call(tenant, raw, chunk):
    one = raw()
    one.send(head(tenant, "Transfer-Encoding: chunked") + chunk)
    try:
        assert one.answer().status in (400, 413)
    except (http.client.HTTPException, ConnectionError):
        pass                            # shut without a word: allowed for what is not HTTP
    assert calls_of(tenant) == 0


# ── heads ────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("kind", ["", "Content-Type: text/json", "Content-Type: application/json-patch+json", "Content-Type: */*"])
def test_a_wrong_or_missing_content_type_is_400(tenant, raw, kind):
    invalid(raw().send(request(tenant, tenant.body(), kind=kind)).answer(), words="Content-Type")


@pytest.mark.parametrize("lines", [
    ("X-Long: " + "x" * 100_000,), tuple(f"X-{i}: y" for i in range(2000)), ("X-" + "n" * 50_000 + ": y",),
    ("Cookie: " + "; ".join(f"c{i}=v" for i in range(2000)),), ("X-Long: " + "x" * 11_000,)],
    ids=["long", "many", "long-name", "cookies", "just-too-long"])
def test_very_long_headers_are_431(tenant, raw, lines):
    one = raw()
    try:
        one.send(request(tenant, tenant.body(), *lines))
    except OSError:
        pass
    assert one.answer().status == 431
    assert calls_of(tenant) == 0


def test_usual_headers_are_not_too_long(tenant, raw):
    lines = [f"X-Forwarded-Thing-{i}: {'v' * 60}" for i in range(40)]
    assert raw().send(request(tenant, tenant.body(), *lines)).answer().status == 200


def test_a_very_long_path_is_refused(tenant, raw):
    one = raw()
    try:
        one.send(head(tenant, method="GET", path="/" + "a" * 100_000))
    except OSError:
        pass
    assert one.answer().status in (414, 431)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/calls/", "/v1/events/", "/v1/calls/outbound/", "/v1/calls/outbound/x",
                                  "//v1/calls/outbound", "/V1/calls/outbound", "/v1/call/outbound", "/healthz/", "/favicon.ico",
                                  "/v1/calls/outbound%2f", "/..", "/v1/../healthz", "/v2/calls/outbound"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_routes_are_404(tenant, raw, method, path):
    answer = raw().send(head(tenant, method=method, path=path)).answer()
    assert answer.status == 404, answer
    assert answer.json["code"] == "route_not_found"


def test_a_query_does_not_change_the_route(tenant, raw):
    assert raw().send(request(tenant, tenant.body(), path=PATH + "?a=b&toNumber=x")).answer().status == 200


@pytest.mark.parametrize("method, path, allow", [
    ("GET", PATH, {"POST", "OPTIONS"}), ("PUT", PATH, {"POST", "OPTIONS"}), ("BREW", PATH, {"POST", "OPTIONS"}),
    ("post", PATH, {"POST", "OPTIONS"}), ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
    ("DELETE", "/readyz", {"GET", "HEAD", "OPTIONS"}), ("POST", "/v1/calls/x", {"GET", "HEAD", "PATCH", "OPTIONS"})])
def test_a_wrong_method_is_405_with_what_is_allowed(tenant, raw, method, path, allow):
    one = raw()
    answer = one.send(head(tenant, method=method, path=path)).answer()
    assert answer.status == 405 and answer.json["code"] == "method_not_allowed"
    assert set(answer.headers["allow"].replace(" ", "").split(",")) == allow
    assert one.send(head(tenant, method="GET", path="/healthz")).answer().status == 200


def test_HEAD_is_GET_without_the_body(tenant, house, raw):
    caller = tenant.at(house.gateway)
    call = caller.call()
    for path in ("/healthz", f"/v1/calls/{call}"):
        one = raw()
        answer = one.send(head(tenant, method="HEAD", path=path)).answer(method="HEAD")
        assert answer.status == 200 and answer.body == b"" and int(answer.headers["content-length"]) > 0
        assert one.send(head(tenant, method="GET", path="/healthz")).answer().json["status"] == "ok"
    for path, status in (("/nowhere", 404), (PATH, 405)):
        one = raw()
        answer = one.send(head(tenant, method="HEAD", path=path)).answer(method="HEAD")
        assert answer.status == status and answer.body == b""
        assert one.send(head(tenant, method="GET", path="/healthz")).answer().status == 200


def test_OPTIONS_is_204_with_what_is_allowed(tenant, raw):
    answer = raw().send(head(tenant, method="OPTIONS", key="")).answer()
    assert answer.status == 204 and answer.body == b""
    assert set(answer.headers["allow"].replace(" ", "").split(",")) == {"POST", "OPTIONS"}
    assert raw().send(head(tenant, method="OPTIONS", path="/nowhere")).answer().status == 404
    assert raw().send(head(tenant, method="OPTIONS", path="*")).answer().status in (200, 204, 400, 404)


def test_HTTP_1_0_is_served_and_closed(tenant, raw):
    one = raw()
    body = json.dumps(tenant.body())
    one.send(f"POST {PATH} HTTP/1.0\r\nContent-Type: application/json\r\nAuthorization: Bearer {tenant.key_text}\r\n"
             f"Content-Length: {len(body)}\r\n\r\n{body}")
    assert one.answer().status == 200
    assert one.closed()


def test_HTTP_1_1_without_a_host_is_400(tenant, raw):
    assert raw().send(request(tenant, tenant.body(), host="")).answer().status == 400


@pytest.mark.parametrize("noise", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n\r\n\r\n\r\n", b"\0" * 5000,
    b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST " + PATH.encode() + b"\r\n\r\n", b"\xff" * 20_000, b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", b": \r\n" * 4000],
    ids=["tls", "http2", "blank", "zeros", "no-path", "version", "no-version", "ff", "nul-in-path", "no-colon", "colons"])
def test_noise_is_refused_or_shut_out(tenant, raw, noise):
    one = raw(timeout=3)
    try:
        one.send(noise)
        one.socket.shutdown(socket.SHUT_WR)
        answer = one.answer()
        assert 400 <= answer.status < 600 or b"no colon" in noise, answer
    except (http.client.HTTPException, OSError):
        pass


# ── manners ──────────────────────────────────────────────────────────────────────────────

def test_expect_100_continue_is_answered_and_the_body_read(tenant, raw):
    one = raw()
    body = json.dumps(tenant.body()).encode()
    one.send(head(tenant, f"Content-Length: {len(body)}", "Expect: 100-continue"))
    interim = b""
    while not interim.endswith(b"\r\n\r\n"):
        interim += one.socket.recv(1)
    assert interim.startswith(b"HTTP/1.1 100")
    assert one.send(body).answer().status == 200


def test_expect_100_continue_of_a_refused_request_is_refused_at_once(tenant, raw):
    answer = raw().send(head(tenant, "Content-Length: 1048576", "Expect: 100-continue")).answer()
    assert answer.status == 413, answer
    answer = raw().send(head(tenant, "Content-Length: 10", "Expect: 100-continue", path="/nowhere")).answer()
    assert answer.status == 404, answer


def test_pipelined_requests_are_answered_in_order(tenant, raw):
    one = raw()
    bodies = [tenant.body(), {}, tenant.body(), "nonsense", tenant.body()]
    one.send(b"".join(request(tenant, body, f"X-Request-Id: pipe-{i}") for i, body in enumerate(bodies))
             + head(tenant, "X-Request-Id: pipe-5", method="GET", path="/healthz")
             + request(tenant, b"small", "X-Request-Id: pipe-6", path="/nowhere")
             + request(tenant, tenant.body(), "X-Request-Id: pipe-7"))
    stream = one.socket.makefile("rb")

    def answer():
        status = int(stream.readline().split()[1])
        headers = dict(line.decode().strip().lower().split(": ", 1) for line in iter(stream.readline, b"\r\n"))
        stream.read(int(headers["content-length"]))
        return status, headers["x-request-id"]

    assert [answer() for _ in range(8)] == list(zip([200, 400, 200, 400, 200, 200, 404, 200],
                                                    [f"pipe-{i}" for i in range(8)]))


def test_a_connection_goes_on_after_a_refusal(tenant, raw):
    one = raw()
    for body, key, status in (({}, None, 400), (b"{", None, 400), (tenant.body(), key_text(tenant.org_id), 401),
                              (tenant.body(fromNumber="+886900000009"), None, 404), (tenant.body(), None, 200)):
        assert one.send(request(tenant, body, key=key)).answer().status == status


def test_a_slow_sender_is_served(tenant, raw):
    one = raw()
    for byte in request(tenant, tenant.body()):
        one.send(bytes([byte]))
        time.sleep(0.001)
    assert one.answer().status == 200


def test_a_client_that_has_shut_its_sending_half_still_gets_its_answer(tenant, raw):
    one = raw()
    one.send(request(tenant, tenant.body()))
    one.socket.shutdown(socket.SHUT_WR)
    assert one.answer().status == 200


def test_clients_that_vanish_leave_nothing_behind(tenant, house, raw):
    """Reset in the head, in the body, and right after the request: the last may or may not have
    its call, but a call it has is a whole one (the books)."""
    text = request(tenant, tenant.body())
    for cut in (10, len(text) - 5, len(text)):
        for _ in range(20):
            one = raw()
            one.send(text[:cut])
            one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
    caller = tenant.at(house.gateway)
    caller.end(caller.call())


def test_slow_and_half_open_clients_are_shut_out_and_delay_nobody(gateways, world):
    gateway = gateways(CALLGATE_IDLE_TIMEOUT_S=1)
    tenant = world.tenant()
    caller = tenant.at(gateway)
    text = request(tenant, tenant.body())
    halves = [gateway.client(timeout=10).raw().send(text[:cut]) for cut in (0, 1, 40, len(text) - 1) for _ in range(25)]
    drip = gateway.client(timeout=10).raw()
    began = time.monotonic()
    sent = 0
    try:
        # One byte at a time is no way to stay for ever: the whole request has to be there in time.
        while time.monotonic() - began < 8:
            drip.send(text[sent % 20:sent % 20 + 1])
            sent += 1
            assert caller.post().status == 200
            time.sleep(0.05)
    except OSError:
        pass
    assert time.monotonic() - began < 8, "a client that drips bytes is never shut out"
    assert all(half.closed() for half in halves)
    assert time.monotonic() - began < 12
    for half in [*halves, drip]:
        half.close()
    assert caller.post().status == 200


# ── neighbours ───────────────────────────────────────────────────────────────────────────

@pytest.mark.tsan
def test_a_poisoned_batch_fails_only_the_poisoned(gateways, world):
    """While a table lock holds the first call up, 180 more gather behind it; then all of them go
    to the database as one batch. Each third is good, each third bad in a way of its own, and
    three make the database itself fail."""
    gateway = gateways(CALLGATE_INTAKE_BATCHES=1)
    tenant = world.tenant(trunk={"enabled": False})
    taken = destination()
    tenant.at(gateway).call(taken)
    foreign, _ = tenant.project(tenant.account_id, [])
    poor = world.tenant(credits_mc=0)
    world.db.execute("""create function planted() returns trigger language plpgsql as
                        $$ begin raise exception 'planted'; end $$""")
    world.db.execute("""create trigger planted before insert on calls for each row
                        when (new.variables like '%poison%') execute function planted()""")
    kinds = [
        lambda: (200, request(tenant, tenant.body())),
        lambda: (200, request(tenant, tenant.body(dynamicVariables={"n": "ok"}))),
        lambda: (409, request(tenant, tenant.body(taken))),
        lambda: (400, request(tenant, b'{"a":"\xff"}')),
        lambda: (200, request(tenant, tenant.body())),
        lambda: (401, request(tenant, tenant.body(), key=key_text(tenant.org_id))),
        lambda: (403, request(tenant, tenant.body(projectId=foreign))),
        lambda: (404, request(tenant, tenant.body(fromNumber="+886900000008"))),
        lambda: (402, request(poor, poor.body())),
        lambda: (400, request(tenant, tenant.body(dynamicVariables=variables_of(VARIABLES_MAX + 1)))),
    ]
    with psycopg2.connect(world.db.url) as lock:
        lock.cursor().execute("lock table destination_locks in exclusive mode")
        wanted = []
        for i in range(180):
            if i in (20, 90, 91):
                wanted.append((500, request(tenant, tenant.body(dynamicVariables={"is": "poison"}))))
            else:
                wanted.append(kinds[i % len(kinds)]())
        sockets = [gateway.client().raw().send(text) for _, text in wanted]
        until("the first batch waits for the lock", lambda: world.db.value(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))
        began = time.monotonic()
    lock.close()
    seen = [one.answer().status for one in sockets]
    took = time.monotonic() - began
    assert seen == [status for status, _ in wanted]
    assert calls_of(tenant) == seen.count(200) + 1
    assert took < 10
    world.db.execute("drop trigger planted on calls")
    for one in sockets:
        one.close()


@pytest.mark.tsan
def test_bad_clients_in_numbers_do_not_delay_a_good_one(house, tenant, raw):
    """300 connections with halves of requests, and bad requests all the while."""
    text = request(tenant, tenant.body())
    halves = [raw().send(text[:len(text) // 2]) for _ in range(300)]
    caller = tenant.at(house.gateway)
    bad = raw()
    began = time.monotonic()
    for _ in range(50):
        assert bad.send(request(tenant, b"{" * 100)).answer().status == 400
        assert caller.post().status == 200
    assert time.monotonic() - began < 10
    # and a half that is completed at last is a request as any other
    assert halves[0].send(text[len(text) // 2:]).answer().status == 200


def test_a_full_queue_is_503_with_retry_after_and_nothing_is_done(gateways, world):
    gateway = gateways(CALLGATE_QUEUE_LIMIT=2)
    tenant = world.tenant(trunk={"enabled": False})
    tenant.at(gateway).call()
    with psycopg2.connect(world.db.url) as lock:
        lock.cursor().execute("lock table destination_locks in exclusive mode")
        sockets = [gateway.client().raw().send(request(tenant, tenant.body())) for _ in range(30)]
        until("a connection waits for the lock", lambda: world.db.value(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))
        assert gateway.client().get("/healthz").status == 200
    lock.close()
    answers = [one.answer() for one in sockets]
    refused = [answer for answer in answers if answer.status != 200]
    assert refused and all(answer.status == 503 and answer.json["code"] == "overloaded" and int(answer.headers["retry-after"]) >= 1
                           for answer in refused)
    assert calls_of(tenant) == 1 + len(answers) - len(refused)
    for one in sockets:
        one.close()
    assert tenant.at(gateway).post().status == 200
