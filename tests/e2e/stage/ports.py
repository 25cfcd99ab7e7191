"""Which port everything has. Every pytest process has a stack of its own, on a thousand ports of its
own; below those that harness.ports gives away."""
import os

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
BASE = 10000 + 1000 * int(WORKER.removeprefix("gw"))
REDIS, HTTP, RTC_TCP, RTC_UDP, SIP, HEALTH, HOOK, GATEWAY, NOWHERE = range(BASE + 1, BASE + 10)
CALLEES, MEDIA = BASE + 100, BASE + 200         # of SIPp: counted up from there
RTP = f"{BASE + 400}-{BASE + 999}"
