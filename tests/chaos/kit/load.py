"""Clients that post without pause, repeat, cancel and change what they posted, and remember
every answer.

What an answer promises about the call is one of three things:
    accepted   200: there is exactly one such call
    refused    a 4xx or 5xx that says "nothing was done", or no connection at all: there is none
    unknown    500 outcome_unknown, or the answer was lost: there may be one

Requests with one Idempotency-Key are one intention (`wish`), however often and wherever they are
sent: whatever their answers say together holds for that one call.
"""
import collections
import datetime
import json
import random
import threading
import time
from http.client import HTTPException

from harness.client import Client
from harness.world import destination

Post = collections.namedtuple("Post", "wish request_id promise status code call_id to gateway")
Asked = collections.namedtuple("Asked", "verb call_id status code state")      # of a call that was accepted

LIVES = (101, 102, 103, 104, 105, 106, 106, 107, 108, 108, 109, 110, 111, 112, 113, 114)


class Load:
    """`callers`: (tenant, key) pairs to post as; `workers` threads of `pace` posts a second."""

    def __init__(self, gateways, callers, seed, workers=8, pace=20):
        self.gateways, self.callers = gateways, callers
        self.posts, self.asked, self.missing, self.replayed = [], [], [], 0
        self.stopping = threading.Event()
        self.local = threading.local()
        self.pace = pace
        # Few enough that they meet all the time.
        self.popular = [destination() for _ in range(20)]
        self.threads = [threading.Thread(target=self._work, args=(f"{seed}-{n}",), daemon=True)
                        for n in range(workers)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads), "a client never got its answer"

    def _destination(self, dice):
        kind = dice.random()
        if kind < 0.4:
            return destination()
        if kind < 0.65:
            return dice.choice(self.popular)
        return f"+1{dice.randrange(200, 1000)}555{dice.choice(LIVES):04}"

    def _work(self, seed):
        dice = random.Random(seed)
        mine = collections.deque(maxlen=12)     # calls that were accepted, and with whose key
        for n in range(1_000_000):
            if self.stopping.wait(dice.expovariate(self.pace)):
                break
            tenant, key = dice.choice(self.callers)
            body = tenant.body(self._destination(dice), dynamicVariables={"n": n}, **self._extras(dice))
            post = self._wish(dice, key, f"{seed}-{n}", body)
            if post.promise == "accepted":
                mine.append((post.call_id, key))
                if dice.random() < 0.05:
                    self._read_back(dice.choice(self.gateways), key, post)
            if mine and dice.random() < 0.25:
                self._ask(dice, *dice.choice(mine))

    def _extras(self, dice):
        """Now and then one of the things that a request may also carry."""
        extras = {}
        if dice.random() < 0.3:
            extras["priority"] = dice.choice(["high", "normal", "low"])
        if dice.random() < 0.2:
            extras["metadata"] = {"campaign": dice.randrange(5)}
        if dice.random() < 0.15:
            extras["scheduledAt"] = soon(dice.uniform(0.5, 3))
        if dice.random() < 0.08:
            extras["expiresAt"] = soon(dice.uniform(3.5, 8))
        return extras

    def _client(self, gateway, key):
        """Of this thread, kept alive."""
        clients = self.local.__dict__.setdefault("clients", {})
        return clients.setdefault((gateway.url, key), Client(gateway.url, key, timeout=30))

    def _wish(self, dice, key, wish, body):
        """Without an Idempotency-Key it is asked for once. With one it is repeated when its answer
        was lost, sometimes without need, and sometimes two gateways hear it at the same instant."""
        if dice.random() < 0.6:
            return self._post(dice.choice(self.gateways), key, wish, wish, {}, body)
        headers = {"Idempotency-Key": dice.choice([wish, f'"{wish}"'])}
        twin = None
        if dice.random() < 0.2:
            other = dice.choice(self.gateways)
            twin = threading.Thread(target=self._post, args=(other, key, wish, f"{wish}-twin", headers, body))
            twin.start()
        for again in range(6):
            post = self._post(dice.choice(self.gateways), key, wish, f"{wish}-{again}", headers, body)
            if post.promise == "accepted" and dice.random() < 0.8:
                break
            if post.promise == "refused" and post.status not in (0, 503) and post.code != "idempotency_in_progress":
                break
            if self.stopping.wait(0.05):
                break
        if twin is not None:
            twin.join()
        return post

    def _post(self, gateway, key, wish, request_id, headers, body):
        post = self._send(self._client(gateway, key), gateway, wish, request_id, headers, body)
        self.posts.append(post)
        return post

    def _send(self, client, gateway, wish, request_id, headers, body):
        try:
            answer = client.request("POST", "/v1/calls/outbound", body, {"X-Request-Id": request_id, **headers})
        except ConnectionRefusedError:
            return Post(wish, request_id, "refused", 0, "no_connection", None, body["toNumber"], gateway.url)
        except (OSError, HTTPException):
            return Post(wish, request_id, "unknown", 0, "no_answer", None, body["toNumber"], gateway.url)
        json = answer.json
        self.replayed += "idempotent-replayed" in answer.headers
        promise = "accepted" if answer.status == 200 else "refused"
        if json.get("code") == "outcome_unknown":
            promise = "unknown"
        return Post(wish, request_id, promise, answer.status, json.get("code"), json.get("callId"), body["toNumber"],
                    gateway.url)

    def _ask(self, dice, call_id, key):
        """Cancels the call or changes it, by whatever gateway."""
        gateway = dice.choice(self.gateways)
        if dice.random() < 0.6:
            verb, request = "cancel", ("POST", f"/v1/calls/{call_id}/cancel")
        else:
            change = dice.choice([{"priority": "high"}, {"metadata": {"changed": True}}, {"scheduledAt": None},
                                  {"scheduledAt": soon(dice.uniform(0.5, 2))}, {"dynamicVariables": {"n": "changed"}}])
            verb, request = "edit", ("PATCH", f"/v1/calls/{call_id}", change)
        try:
            answer = self._client(gateway, key).request(*request)
        except (OSError, HTTPException):
            self.asked.append(Asked(verb, call_id, 0, "no_answer", None))
            return
        said = json.loads(answer.body)
        self.asked.append(Asked(verb, call_id, answer.status, said.get("code"), said.get("status")))

    def _read_back(self, gateway, key, post):
        """Whoever has the 200 may ask any gateway at once."""
        client = Client(gateway.url, key, timeout=30)
        try:
            answer = client.get(f"/v1/calls/{post.call_id}")
            if answer.status not in (200, 503):
                self.missing.append((post, answer))
        except (OSError, HTTPException):
            pass
        finally:
            client.close()

    def summary(self):
        counts = collections.Counter(f"{p.status or ''} {p.code or 'accepted'}".strip() for p in self.posts)
        asked = collections.Counter(f"{a.verb} {a.status or ''} {a.code or 'done'}" for a in self.asked)
        return ", ".join(f"{count} {what}" for what, count in [*counts.most_common(), (self.replayed, "replayed"),
                                                               *asked.most_common()])


def soon(seconds):
    """So many seconds from now, as a client writes it."""
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wait_for_posts(load, at_least, seconds=20):
    deadline = time.monotonic() + seconds
    while len(load.posts) < at_least and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(load.posts) >= at_least, f"only {len(load.posts)} posts were answered"
