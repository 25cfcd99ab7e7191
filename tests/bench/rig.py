"""What the benchmarks are made with: databases, wrk, pgbench, the measuring programs, and
the gateway itself as a child process. Started by scripts/bench, which sets CALLGATE_BENCH_*."""

import contextlib
import datetime
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.environ["CALLGATE_BENCH_BIN"]
TOOLS = os.environ["CALLGATE_BENCH_TOOLS"]
STATE = os.environ["CALLGATE_BENCH_STATE"]
SOCKETS = os.environ["CALLGATE_BENCH_PGHOST"]
KEY = "dk_1_" + "bench" * 8
ID_BASE = 1008000000000000000   # 19 digits: the rest of the version's and the variant's digit

children = []
ROUNDS = 3              # of everything noisy, the sides taking turns


def say(text):
    print(text, file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values)


def pick(values, p):
    """A percentile of what is sorted already."""
    return values[int((len(values) - 1) * p)]


def best_of(clients, measure):
    """The sweep over client counts: (best count, {count: rate})."""
    sweep = {c: measure(c) for c in clients}
    return max(sweep, key=sweep.get), sweep


def wait_for(what, seconds, condition):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.1)


# ── databases ────────────────────────────────────────────────────────────────────────


def url(database):
    return f"postgresql://postgres@/{database}?host={urllib.parse.quote(SOCKETS, safe='/')}"


class Database:
    """A database with the schema and the tenant; psycopg2 for questions, outside of what is measured."""

    def __init__(self, name):
        self.name = name
        self.url = url(name)
        with contextlib.closing(psycopg2.connect(url("postgres"))) as admin:
            admin.autocommit = True
            with admin.cursor() as c:
                c.execute(f"drop database if exists {name} with (force)")
                c.execute(f"create database {name}")
        subprocess.run([BINARY, "migrate"], env=environment(self.url), check=True, stdout=subprocess.DEVNULL)
        self.connection = psycopg2.connect(self.url)
        self.connection.autocommit = True
        with open(os.path.join(HERE, "tenant.sql")) as f:
            self.sql(f.read())
        today = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        self.id_prefix = f"{int(today.timestamp() * 1000):012x}7"

    def sql(self, text, *args):
        with self.connection.cursor() as c:
            c.execute(text, args or None)
            return c.fetchall() if c.description else None

    def one(self, text, *args):
        return self.sql(text, *args)[0][0]

    def clear(self):
        """No call anywhere, money as at the start, and the checkpoint that this run need not pay."""
        self.sql("truncate calls, call_events, call_queue, call_schedule, call_inflight, destination_locks,"
                 " call_expiry, idempotency_keys, idempotency_refusals")
        self.sql("delete from credit_ledger where kind <> 1")
        self.sql("update credit_accounts set balance_mc = 4000000000000000, held_mc = 0")
        self.sql("checkpoint")

    def drop(self):
        self.connection.close()
        with contextlib.closing(psycopg2.connect(url("postgres"))) as admin:
            admin.autocommit = True
            with admin.cursor() as c:
                c.execute(f"drop database if exists {self.name} with (force)")

    def wal(self):
        return int(self.one("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def environment(database_url, **settings):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CALLGATE_", "PG"))}
    env["CALLGATE_DATABASE_URL"] = database_url
    env.update(settings)
    return env


# ── the tools ────────────────────────────────────────────────────────────────────────


def tool(name, *args):
    """A program of tests/bench; its last line is JSON."""
    out = subprocess.run([os.path.join(TOOLS, name), *map(str, args)], check=True, capture_output=True, text=True,
                         timeout=300)
    return json.loads(out.stdout.strip().splitlines()[-1])


def pgbench(database, script, clients, seconds, **variables):
    """Transactions per second of a script with prepared statements, without the connecting."""
    with open(os.path.join(HERE, script)) as f:
        text = f.read().replace("@PREFIX@", database.id_prefix)
    path = os.path.join(STATE, script)
    with open(path, "w") as f:
        f.write(text)
    command = ["pgbench", "-n", "-M", "prepared", "-f", path, "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(seconds)]
    for name, value in variables.items():
        command += ["-D", f"{name}={value}"]
    # The same plans as the gateway's: made once.
    env = environment(database.url, PGHOST=SOCKETS, PGUSER="postgres", PGDATABASE=database.name,
                      PGOPTIONS="-c plan_cache_mode=force_generic_plan")
    out = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds + 60)
    tps = re.search(r"^tps = ([0-9.]+)", out.stdout, re.M)
    failed = re.search(r"number of failed transactions: (\d+)", out.stdout)
    if out.returncode or not tps or (failed and int(failed.group(1))):
        raise RuntimeError(f"pgbench {script}: {out.stdout}{out.stderr}")
    return float(tps.group(1))


def fill_queue(database, calls, full=False):
    database.clear()
    tool("admit_loop", database.url, 2, 200, 0, 1, calls, *["full"] * full)
    database.sql("checkpoint")


@contextlib.contextmanager
def rates(database):
    """Prices by destination, as an organization has them that resells a carrier's list."""
    database.sql("insert into rates (org_id, prefix, rate_mc, increment_s, minimum_s)"
                 " select o, '+' || p, 600, 6, 30 from generate_series(1, 50) o, generate_series(1, 999) p")
    database.sql("insert into rates (org_id, prefix, rate_mc) select o, '+49' || lpad(p::text, 3, '0'), 600"
                 " from generate_series(1, 50) o, generate_series(0, 999) p")
    database.sql("vacuum analyze rates")
    yield
    database.sql("truncate rates")


runs = [0]


def wrk(gateway, script, connections, seconds, **variables):
    """One run of wrk on one thread (1024 connections: two). Every answer counts as bad that
    is not a success; requests_per_second is of all, so look at `bad` first."""
    runs[0] += 1
    path = os.path.join(STATE, "run-" + script)
    with open(path, "w") as f:
        for part in (script, "done.lua"):
            with open(os.path.join(HERE, part)) as source:
                f.write(source.read() + "\n")
    env = dict(os.environ, BENCH_RUN=str(runs[0] % 10000), BENCH_KEY=KEY, **{k: str(v) for k, v in variables.items()})
    out = subprocess.run(["wrk", "-t", "2" if connections >= 1024 else "1", "-c", str(connections), "-d", f"{seconds}s",
                          "--timeout", "10s", "-s", path, gateway.url], env=env, capture_output=True, text=True,
                         timeout=seconds + 60)
    line = re.search(r"^BENCH (.*)$", out.stdout, re.M)
    if not line:
        raise RuntimeError(f"wrk {script}: {out.stdout}{out.stderr}")
    r = json.loads(line.group(1))
    r["per_second"] = r["requests"] / r["seconds"]
    r["bad"] = r["bad_status"] + r["socket_errors"] + r["timeouts"]
    return r


def end(process, name):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        say(f"  ({name} did not end in 20 s and was killed)")
        process.kill()
        process.wait()
    children.remove(process)


# ── the gateway ──────────────────────────────────────────────────────────────────────


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Gateway:
    def __init__(self, database, **settings):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        env = environment(database.url, CALLGATE_LISTEN=f"127.0.0.1:{port}", CALLGATE_ACCESS_LOG="false",
                          CALLGATE_LOG_FORMAT="json", CALLGATE_DRAIN_S="0", CALLGATE_MAX_CONNECTIONS="16384")
        env.update({k if k.startswith("LIVEKIT_") else f"CALLGATE_{k}": str(v) for k, v in settings.items()})
        self.log = open(os.path.join(STATE, "gateway.log"), "ab")
        self.process = subprocess.Popen([BINARY, "serve"], env=env, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        children.append(self.process)
        self.wait_ready()

    def wait_ready(self):
        until = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=2) as r:
                    if r.status == 200:
                        return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the gateway is not ready; see {self.log.name}")
            time.sleep(0.05)

    def memory(self):
        """RSS and PSS in bytes."""
        out = {}
        with open(f"/proc/{self.process.pid}/smaps_rollup") as f:
            for line in f:
                if line.startswith(("Rss:", "Pss:")):
                    out[line[:3].lower()] = int(line.split()[1]) * 1024
        return out

    def stop(self):
        end(self.process, "the gateway")
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def place(connection, number):
    """One call, from the default project: its id, when it was asked for, and when the answer was there."""
    body = json.dumps(dict(projectId="proj_bench", fromNumber="+14155550199", toNumber=number))
    sent = time.monotonic()
    connection.request("POST", "/v1/calls/outbound", body,
                       {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    at = time.monotonic()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {text}")
    return json.loads(text)["callId"], sent, at


# ── LiveKit ──────────────────────────────────────────────────────────────────────────


class Stub:
    """tests/bench/livekit_stub.c on a port of its own, so that no connection of an earlier run is left."""

    def __init__(self, ring_ms=0):
        self.process = subprocess.Popen([os.path.join(TOOLS, "livekit_stub"), "127.0.0.1:0", str(ring_ms)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        children.append(self.process)
        self.url = f"http://127.0.0.1:{json.loads(self.process.stdout.readline())['port']}"
        # What a gateway is told of it.
        self.settings = dict(LIVEKIT_URL=self.url, LIVEKIT_API_KEY="APIbench", LIVEKIT_API_SECRET="bench" * 8)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as r:
            return json.load(r)

    def stats(self):
        return self.get("/stats")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process, "the stub")
        self.process.stdout.close()
