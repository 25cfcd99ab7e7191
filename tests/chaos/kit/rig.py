"""Three gateways on one database, their tenants, a ledger of dials, and what may befall them."""
import contextlib
import os
import random
import signal
import time

import psycopg2

from harness.gateway import Gateway
from harness.postgres import Database
from harness.wait import until
from harness.world import World

from .proxy import Proxy

LEASE_MS = 1500
RING_S, TALK_S, MARGIN_S = 5, 2, 1
BOUND_S = RING_S + TALK_S + MARGIN_S

SETTINGS = {
    "CALLGATE_LEASE_TTL_MS": LEASE_MS,
    "CALLGATE_MARGIN_S": MARGIN_S,
    "CALLGATE_RETRY_BASE_MS": 100,
    "CALLGATE_SIMULATOR_SPEED": 10,
    "CALLGATE_DRAIN_S": 10,
    "CALLGATE_ACCESS_LOG": "false",
}


class Rig:
    def __init__(self, server, url, folder, gateways=3, proxied=False, **settings):
        self.server, self.url, self.folder = server, url, folder
        self.database = Database(url)
        self.ledger = folder / "ledger"
        self.proxies = []
        self.gateways = []
        for n in range(gateways):
            to = url
            if proxied:
                self.proxies.append(Proxy(url, folder / f"p{n}"))
                to = self.proxies[-1].url
            self.gateways.append(Gateway(to, folder / f"gateway-{n}.log",
                                         {**SETTINGS, "CALLGATE_SIMULATOR_LEDGER": self.ledger, **settings}))
        self.kills = 0
        self.absences = []      # (from, to) of the server, monotonic
        self.log_mark = len(self.server_log())
        self.callers = self._tenants()

    def _tenants(self):
        """Some with room for everything, one with a slow trunk and few channels, one that is
        nearly broke, and one whose calls cost nothing."""
        def tenant(shard, **options):
            self.database.execute("select setval(pg_get_serial_sequence('organizations', 'org_id'), %s)", shard)
            return world.tenant(project={"ring_timeout_s": RING_S, "max_duration_s": TALK_S,
                                         **options.pop("project", {})}, **options)

        world = World(self.database)
        # A joining gateway gets every n-th shard: with as many neighbours everyone has one of them.
        wides = [tenant(5 + n) for n in range(8)]
        wide = wides[0]
        slow = tenant(20, trunk={"cps_milli": 40_000, "burst": 20, "max_concurrent": 40})
        broke = tenant(35, credits_mc=40_000)
        free = tenant(55, project={"rate_mc": 0})
        self.tenants = [*wides, slow, broke, free]
        for one in (wide, wides[1], broke):
            self.database.execute("insert into rates (org_id, prefix, rate_mc, increment_s, minimum_s) values"
                                  " (%s, '+', 900, 1, 1), (%s, '+49', 600, 6, 30), (%s, '+4930', 2400, 60, 60)",
                                  one.org_id, one.org_id, one.org_id)
        second = wide.key(wide.user_id)
        return [*((t, t.key_text) for t in self.tenants), (wide, second), (wide, wide.key(wide.user_id, test=True))]

    def start(self):
        for gateway in self.gateways:
            gateway.start(ready=False)
        self.until_ready()
        return self

    def until_ready(self, seconds=30):
        for gateway in self.gateways:
            until(f"{gateway.url} is ready", gateway.ready, seconds, every=0.1)

    def mend(self):
        """The end of all faults: everything runs again and nothing is in the way."""
        for proxy in self.proxies:
            proxy.calm()
        self.server.resume()
        self.database.close()
        for n in range(len(self.gateways)):
            self.resume(n)
            self.revive(n)
        self.until_ready()

    def close(self):
        for gateway in self.gateways:
            if gateway.process is not None:
                gateway.kill()
        for proxy in self.proxies:
            proxy.close()
        self.database.close()

    def server_log(self):
        home = (self.server.folder / "pg.env").read_text().split("PG_HOME=", 1)[1].strip()
        return open(f"{home}/log", errors="replace").read()

    # ── what may befall them ──────────────────────────────────────────────────────

    def kill(self, n):
        self.kills += 1
        self.gateways[n].kill()

    def revive(self, n):
        if not self.gateways[n].running:
            self.gateways[n].start(ready=False)

    def pause(self, n):
        if self.gateways[n].running:
            self.gateways[n].pause()

    def resume(self, n):
        if self.gateways[n].running:
            self.gateways[n].resume()

    @contextlib.contextmanager
    def absence(self):
        """What happens within takes the server away; it ends when the server answers again."""
        began = time.monotonic()
        yield
        until("the server answers", self._answers, 60, every=0.05)
        self.absences.append((began, time.monotonic()))

    def _answers(self):
        try:
            self.server.connect().close()
            return True
        except psycopg2.OperationalError:
            return False

    def absent_s(self, within_s):
        """The most that the server was away within so many seconds: no call can end then."""
        return max((sum(max(0, min(to, began + within_s) - at) for at, to in self.absences if at >= began)
                    for began, _ in self.absences), default=0)

    def restart_server(self):
        with self.absence():
            self.server.restart()

    def crash_server(self):
        with self.absence():
            self.server.crash()
            self.server.resume()

    def _backends(self):
        with contextlib.closing(psycopg2.connect(self.server.url)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("select pid from pg_stat_activity where application_name like 'callgate %' order by pid")
            return [pid for pid, in cursor.fetchall()]

    def kill_backend(self, dice):
        """kill -9 of one server process: the server then throws out everybody and recovers."""
        with contextlib.suppress(psycopg2.OperationalError, ProcessLookupError):
            if backends := self._backends():
                with self.absence():
                    os.kill(random.Random(dice).choice(backends), signal.SIGKILL)
                    time.sleep(0.1)

    def terminate_backends(self, dice, share, rounds):
        choose = random.Random(dice)
        for _ in range(rounds):
            with contextlib.suppress(psycopg2.OperationalError), \
                    contextlib.closing(psycopg2.connect(self.server.url)) as connection:
                connection.autocommit = True
                pids = [pid for pid in self._backends() if choose.random() < share]
                connection.cursor().execute("select pg_terminate_backend(pid) from unnest(%s::int[]) pid", (pids,))
            time.sleep(0.05)

    def cut(self, n, dice, share, modes):
        choose = random.Random(dice)
        self.proxies[n].rule = lambda statement: choose.choice(modes) if choose.random() < share else None

    def calm(self, n):
        self.proxies[n].calm()


class Schedule:
    """What happens when: made from the seed alone before anything starts."""

    def __init__(self, seed, seconds):
        self.dice, self.seconds, self.steps = random.Random(seed), seconds, []

    def at(self, when, what, *args):
        self.steps.append((when, what, args))

    def every(self, low, high):
        """Moments until the end, `low` to `high` seconds apart."""
        when = self.dice.uniform(low, high) / 2
        while when < self.seconds:
            yield when
            when += self.dice.uniform(low, high)

    def play(self, rig):
        began = time.monotonic()
        for when, what, args in sorted(self.steps, key=lambda step: step[0]):
            time.sleep(max(0, began + min(when, self.seconds) - time.monotonic()))
            getattr(rig, what)(*args)
        time.sleep(max(0, began + self.seconds - time.monotonic()))
