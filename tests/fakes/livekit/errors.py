"""Refusals: how Twirp writes them, which code belongs to which SIP status, and the whole table
of what CreateSIPParticipant in wait mode can say, each row by a name a test can ask for."""
import base64

from .http11 import Answer

HTTP = {"canceled": 408, "unknown": 500, "invalid_argument": 400, "malformed": 400, "deadline_exceeded": 408,
        "not_found": 404, "bad_route": 404, "already_exists": 409, "permission_denied": 403, "unauthenticated": 401,
        "resource_exhausted": 429, "failed_precondition": 412, "aborted": 409, "out_of_range": 400,
        "unimplemented": 501, "internal": 500, "unavailable": 503, "data_loss": 500}


class Refusal(Exception):
    def __init__(self, code, msg, meta=None):
        super().__init__(msg)
        self.code, self.msg, self.meta = code, msg, meta or {}

    def answer(self):
        body = {"code": self.code, "msg": self.msg}
        if self.meta:
            body["meta"] = self.meta
        return Answer.json(body, HTTP[self.code])


# ── SIP ──────────────────────────────────────────────────────────────────────────────────

PHRASES = {400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
           407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 428: "Use Identity Header",
           436: "Bad Identity Info", 437: "Unsupported Certificate", 438: "Invalid Identity Header",
           480: "Temporarily Unavailable", 482: "Loop Detected", 484: "Address Incomplete", 486: "Busy Here",
           487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending",
           494: "Security Agreement Required", 500: "Server Internal Error", 502: "Bad Gateway",
           503: "Service Unavailable", 504: "Server Time-out", 600: "Busy Everywhere", 603: "Decline",
           604: "Does Not Exist Anywhere", 606: "Not Acceptable", 607: "Unwanted", 608: "Rejected"}
TWIRP_OF_SIP = {"permission_denied": (401, 402, 403, 433, 470, 603, 607, 608),
                "not_found": (301, 302, 404, 410, 481, 604),
                "unauthenticated": (407, 428, 436, 437, 438, 494),
                "deadline_exceeded": (408, 504), "resource_exhausted": (440, 480, 486, 600),
                "aborted": (487, 491), "out_of_range": (416,), "failed_precondition": (409, 412, 482, 483)}


def twirp_of_sip(status):
    for code, statuses in TWIRP_OF_SIP.items():
        if status in statuses:
            return code
    return "failed_precondition" if 500 <= status < 600 and status not in (505, 513) else "invalid_argument"


def sip(status, phrase=None):
    """The trunk's final answer to an INVITE."""
    phrase = PHRASES.get(status, "") if phrase is None else phrase
    how = "unexpected status from INVITE response" if status >= 600 else "INVITE failed"
    details = base64.b64encode(f"\x08\x08\x12{phrase}".encode()).decode()
    return Refusal(twirp_of_sip(status), f"twirp error unknown: {how}: sip status: {status}: {phrase}",
                   {"sip_status_code": str(status), "sip_status": phrase, "error_details": details})


# ── the rows without a SIP status ────────────────────────────────────────────────────────

# Before the INVITE: nobody was dialed, no leg was there.
BEFORE = {
    "update_room_failed": ("internal", "twirp error unknown: update room failed: could not connect after timeout"),
    "cpu_exhausted": ("unavailable", "twirp error unknown: cpu exhausted"),
    "no_response": ("unavailable", "no response from servers"),
    "no_servers": ("unavailable", "no servers available"),
    "unknown_trunk": ("not_found", "requested sip trunk does not exist"),
    "unknown_object": ("not_found", "object cannot be found"),
    "invalid_request": ("invalid_argument", "missing sip callee number"),
    "no_numbers": ("failed_precondition", "no numbers on outbound trunk"),
    "no_redis": ("internal", "sip not connected (redis required)"),
    "rate_limited": ("resource_exhausted", "rate limit exceeded"),
}
# After it: this attempt is over.
AFTER = {
    "timed_out": ("canceled", "twirp error unknown: sip request timed out"),
    "timeout_race": ("failed_precondition", "twirp error unknown: context deadline exceeded"),
    "silent": ("canceled", "twirp error unknown: transaction failed to complete (0 intermediate responses)"),
    "no_final": ("canceled", "twirp error unknown: transaction failed to complete (1 intermediate responses)"),
    "node_stopping": ("canceled", "twirp error unknown: service shutting down"),
    "wrong_password": ("failed_precondition", "twirp error unknown: INVITE failed: max auth retry attempts reached"),
    "no_credentials": ("failed_precondition", "twirp error unknown: INVITE failed: server required auth, but no "
                                              "username or password was provided"),
    "refused": ("failed_precondition", "twirp error unknown: INVITE failed: dial tcp 192.0.2.1:5060: connect: "
                                       "connection refused"),
    "dns": ("invalid_argument", "twirp error unknown: INVITE failed: lookup trunk.invalid: no such host"),
    "no_codec": ("failed_precondition", "twirp error unknown: no common audio codec found in SDP"),
    "deadline": ("deadline_exceeded", "request timed out"),
    "internal": ("internal", "twirp error unknown: something nobody has written down"),
    "unknown": ("unknown", "twirp error unknown: a text that no version has said before"),
}


def named(name):
    return Refusal(*(BEFORE.get(name) or AFTER[name]))


def answer_of(order, usual=None):
    """What a test ordered in place of the usual answer: {"kind": …}."""
    kind = order["kind"]
    if kind == "error":
        return (named(order["name"]) if "name" in order else
                Refusal(order["code"], order.get("msg", ""), order.get("meta"))).answer()
    if kind == "html":
        status = order.get("status", 502)
        page = f"<html><head><title>{status}</title></head><body><h1>{status}</h1><hr>proxy</body></html>"
        return Answer(status, page, "text/html")
    if kind == "text":
        return Answer.text(order.get("status", 500), order.get("text", "what?"))
    if kind == "raw":
        return Answer(order.get("status", 200), order.get("text", ""), order.get("type", "application/json"))
    if kind == "cut":
        found = usual or Answer.json({"participant_id": "PA_cutcutcut", "participant_identity": "somebody"})
        return Answer(found.status, found.body, cut=len(found.body) // 2)
    if kind == "close":
        return Answer(reset=True)
    raise KeyError(f"no such answer: {kind}")
