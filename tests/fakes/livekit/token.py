"""Access tokens: JWT, HS256 and nothing else."""
import base64
import hashlib
import hmac
import json
import time

LEEWAY = 60

VIDEO = {"roomCreate", "roomList", "roomRecord", "roomAdmin", "roomJoin", "room", "canPublish", "canSubscribe",
         "canPublishData", "canPublishSources", "canUpdateOwnMetadata", "ingressAdmin", "hidden", "recorder",
         "agent", "canSubscribeMetrics", "canManageAgentSession", "destinationRoom"}
CLAIMS = {"iss", "sub", "nbf", "exp", "iat", "jti", "video", "sip", "agent", "inference", "observability",
          "identity", "name", "kind", "kindDetails", "roomConfig", "roomPreset", "sha256", "metadata", "attributes"}


class Refused(Exception):
    pass


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    if "=" in text or "+" in text or "/" in text:
        raise Refused("illegal base64 data")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def make(key, secret, claims, lives=300):
    now = int(time.time())
    body = {"iss": key, "nbf": now, "exp": now + lives, **claims}
    head = encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    text = f"{head}.{encode(json.dumps(body).encode())}"
    return f"{text}.{encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def parse(text):
    parts = text.split(".")
    if len(parts) != 3:
        raise Refused("compact JWS format must have three parts")
    try:
        return parts, json.loads(decode(parts[0])), json.loads(decode(parts[1])), decode(parts[2])
    except ValueError as error:
        raise Refused(f"not a token: {error}") from None


def verify(text, keys, now=None):
    """The claims; Refused says why not."""
    now = time.time() if now is None else now
    parts, head, claims, signature = parse(text)
    if head.get("alg") != "HS256":
        raise Refused(f"unexpected signature algorithm {head.get('alg')!r}")
    secret = keys.get(claims.get("iss"))
    if secret is None:
        raise Refused("invalid API key")
    wanted = hmac.new(secret.encode(), f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(wanted, signature):
        raise Refused("error in cryptographic primitive")
    if not isinstance(claims.get("exp"), int):
        raise Refused("missing expiration")
    if now > claims["exp"] + LEEWAY:
        raise Refused("token is expired (exp)")
    if now < claims.get("nbf", 0) - LEEWAY:
        raise Refused("token not valid yet (nbf)")
    if now < claims.get("iat", 0) - LEEWAY:
        raise Refused("token issued in the future (iat)")
    return claims


def odd(claims):
    """What is in a token that LiveKit has no name for."""
    found = [name for name in claims if name not in CLAIMS]
    found += [f"video.{name}" for name in claims.get("video", {}) if name not in VIDEO]
    found += [f"sip.{name}" for name in claims.get("sip", {}) if name not in ("admin", "call")]
    return found


# The grants of each call: (of video, of sip); True for "room" is: the room of the request.
GRANTS = {
    "CreateRoom": ({"roomCreate"}, set()), "DeleteRoom": ({"roomCreate"}, set()), "ListRooms": ({"roomList"}, set()),
    **{name: ({"roomAdmin", "room"}, set()) for name in (
        "ListParticipants", "GetParticipant", "RemoveParticipant", "UpdateRoomMetadata", "CreateDispatch",
        "ListDispatch", "DeleteDispatch")},
    "CreateSIPParticipant": (set(), {"call"}),
    **{name: (set(), {"admin"}) for name in (
        "ListSIPOutboundTrunk", "GetSIPOutboundTrunk", "CreateSIPOutboundTrunk", "DeleteSIPTrunk")},
}


def allowed(claims, method, room):
    video, sip = claims.get("video") or {}, claims.get("sip") or {}
    wants_video, wants_sip = GRANTS[method]
    for grant in wants_video:
        if video.get(grant) != (room if grant == "room" else True):
            return False
    return all(sip.get(grant) is True for grant in wants_sip)


def too_much(claims, method):
    """The grants that this call did not need."""
    video, sip = claims.get("video") or {}, claims.get("sip") or {}
    wants_video, wants_sip = GRANTS[method]
    return sorted([f"video.{name}" for name, value in video.items() if value and name not in wants_video] +
                  [f"sip.{name}" for name, value in sip.items() if value and name not in wants_sip])
