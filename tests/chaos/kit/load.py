"""Clients that post without pause and remember every answer.

What an answer promises about the call is one of three things:
    accepted   200: there is exactly one such call
    refused    a 4xx or 5xx that says "nothing was done", or no connection at all: there is none
    unknown    500 outcome_unknown, or the answer was lost: there may be one
"""
import collections
import random
import threading
import time
from http.client import HTTPException

from harness.client import Client
from harness.world import destination

Post = collections.namedtuple("Post", "request_id promise status code call_id to gateway")

LIVES = (101, 102, 103, 104, 105, 106, 106, 107, 108, 108, 109, 110, 111, 112, 113, 114)


class Load:
    """`callers`: (tenant, key) pairs to post as; `workers` threads of `pace` posts a second."""

    def __init__(self, gateways, callers, seed, workers=8, pace=20):
        self.gateways, self.callers = gateways, callers
        self.posts, self.missing = [], []
        self.stopping = threading.Event()
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
        clients = {}
        for n in range(1_000_000):
            if self.stopping.wait(dice.expovariate(self.pace)):
                break
            gateway = dice.choice(self.gateways)
            tenant, key = dice.choice(self.callers)
            client = clients.setdefault((gateway.url, key), Client(gateway.url, key, timeout=30))
            post = self._post(client, gateway, f"{seed}-{n}", tenant.body(self._destination(dice), dynamicVariables={"n": n}))
            self.posts.append(post)
            if post.promise == "accepted" and dice.random() < 0.05:
                self._read_back(dice.choice(self.gateways), key, post)

    def _post(self, client, gateway, request_id, body):
        try:
            answer = client.request("POST", "/v1/calls/outbound", body, {"X-Request-Id": request_id})
        except ConnectionRefusedError:
            return Post(request_id, "refused", 0, "no_connection", None, body["toNumber"], gateway.url)
        except (OSError, HTTPException):
            return Post(request_id, "unknown", 0, "no_answer", None, body["toNumber"], gateway.url)
        json = answer.json
        promise = "accepted" if answer.status == 200 else "refused"
        if json.get("code") == "outcome_unknown":
            promise = "unknown"
        return Post(request_id, promise, answer.status, json.get("code"), json.get("callId"), body["toNumber"], gateway.url)

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
        return ", ".join(f"{count} {what}" for what, count in counts.most_common())


def wait_for_posts(load, at_least, seconds=20):
    deadline = time.monotonic() + seconds
    while len(load.posts) < at_least and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(load.posts) >= at_least, f"only {len(load.posts)} posts were answered"
