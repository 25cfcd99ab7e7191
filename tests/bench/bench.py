"""scripts/bench: measures callgate beside what it is compared with, in one run on one
machine. What is noisy is repeated three times, the two sides taking turns, and the median
counts; both sides of a ratio thus saw the same minute of the same machine."""

import argparse
import http.client
import json
import os
import socket
import sys
import threading
import time

import conditions
import livekit
import report
from rig import (ID_BASE, ROUNDS, STATE, Database, Gateway, best_of, children, fill_queue, median, pgbench, pick, place, rates,
                 say, tool, wait_for, wrk)

CLIENTS = (1, 8, 16, 32, 64)


class Bench:
    def __init__(self, quick):
        self.quick = quick
        self.seconds = 2 if quick else 4
        self.rows = []          # of the table
        self.results = {}       # everything, for build/bench.json
        self.database = Database("bench")

    def row(self, what, value, beside=None, ratio=None, target=None, reached=None, note="", swept=None):
        """`swept`: the ratio to the best that the reference did in the sweep before the rounds. Where it
        is another one than that of the rounds, the machine had not the same time for both."""
        if swept is not None:
            note = ", ".join(filter(None, (f"{swept:.2f} to its best in the sweep", note)))
        self.rows.append(dict(what=what, value=value, beside=beside, ratio=ratio, target=target, reached=reached, note=note))
        report.print_row(self.rows[-1])


# ── accepting ────────────────────────────────────────────────────────────────────────

inserts = [0]


def bare_insert(b, clients):
    """One-row INSERT into calls per transaction, nothing else; ids ascend as the gateway's do."""
    b.database.clear()
    inserts[0] += 1
    return pgbench(b.database, "insert.sql", clients, b.seconds, i=0, base=ID_BASE + inserts[0] * 10**12)


def admit(b, threads, batch, tenants, full=False):
    b.database.clear()
    return tool("admit_loop", b.database.url, threads, batch, b.seconds, tenants, 0, *["full"] * full)["per_second"]


def accept_http(b, gateway, connections, clear=True, script="post.lua"):
    """One wrk run, checked against the database: what was answered 200 is there."""
    if clear:
        b.database.clear()
    wal = b.database.wal()
    r = wrk(gateway, script, connections, b.seconds)
    r["rows"] = b.database.one("select count(*) from calls")
    r["wal_per_call"] = (b.database.wal() - wal) / max(r["rows"], 1)
    if r["rows"] < r["requests"] - r["bad"]:
        raise RuntimeError(f"{r['requests']} answers, {r['rows']} calls in the database")
    return r


def accept_full(b, gateway, connections):
    """The same with everything a request may carry, by an organization with 2,000 rates."""
    with rates(b.database):
        r = accept_http(b, gateway, connections, script="post_full.lua")
        # In one statement: what was under way when the clients left may still be committed meanwhile.
        rows, whole, keys = b.database.sql(
            "select count(*), count(*) filter (where metadata is not null and prio = 0 and rate_prefix is not null),"
            " (select count(*) from idempotency_keys) from calls")[0]
    if not rows == whole == keys:
        raise RuntimeError(f"{rows} calls, {whole} of them with everything, {keys} keys")
    return r


def enable_trunks(b, on):
    b.database.sql("update trunks set enabled = %s", on)


def summary(runs):
    return {"per_second": median([r["per_second"] for r in runs]), "p50_ms": median([r["p50_ms"] for r in runs]),
            "p99_ms": median([r["p99_ms"] for r in runs]), "bad": sum(r["bad"] for r in runs), "runs": runs}


def rows_full(b, http, full, single, group, insert, single_at, insert_clients):
    for c, r in full.items():
        p99 = dict(target="p99 <= 25 ms", reached=r["p99_ms"] <= 25) if c == 256 else {}
        b.row(f"accept with everything on, {c} connections",
              f"{r['per_second']:.0f}/s  p50 {r['p50_ms']:.1f} p99 {r['p99_ms']:.1f} ms",
              f"{http[c]['per_second']:.0f}/s (without)", r["per_second"] / http[c]["per_second"],
              note=f"{r['bad']} not 200", **p99)
    best = max(full, key=lambda c: full[c]["per_second"])
    rate = full[best]["per_second"]
    b.row(f"  everything on, best of these ({best}), to a bare INSERT", f"{rate:.0f}/s",
          f"{insert:.0f}/s (pgbench, {insert_clients} clients)", rate / insert, ">= 2", rate / insert >= 2)
    b.row("  everything on, to the same, one call per transaction", f"{rate:.0f}/s",
          f"{single:.0f}/s ({single_at[0]} connections, {single_at[1]} tenant{'s' * (single_at[1] > 1)})",
          rate / single, ">= 8", rate / single >= 8)
    b.row("  everything on, to the same in batches of 256, without HTTP", f"{rate:.0f}/s", f"{group:.0f}/s", rate / group)


def part_accept(b):
    insert_clients, insert_sweep = best_of(CLIENTS, lambda c: bare_insert(b, c))
    # With one tenant they wait for each other's commit at its account; with fifty they need not.
    (single_threads, single_tenants), single_sweep = best_of(
        [(c, t) for t in (1, 50) for c in CLIENTS if t == 1 or c > 1], lambda at: admit(b, at[0], 1, at[1]))
    enable_trunks(b, False)
    http = {1: [], 64: [], 256: [], 1024: []}
    insert, single, group, spread, logged = [], [], [], [], []
    full, full_single, full_group = {256: [], 1024: []}, [], []
    with Gateway(b.database) as gateway, Gateway(b.database, ACCESS_LOG="true") as logging:
        for _ in range(ROUNDS):
            insert.append(bare_insert(b, insert_clients))
            http[256].append(accept_http(b, gateway, 256))
            full[256].append(accept_full(b, gateway, 256))
            logged.append(accept_http(b, logging, 256))
            single.append(admit(b, single_threads, 1, single_tenants))
            http[64].append(accept_http(b, gateway, 64))
            group.append(admit(b, 1, 256, 1))
            spread.append(admit(b, 2, 256, 2))
            http[1024].append(accept_http(b, gateway, 1024))
            full[1024].append(accept_full(b, gateway, 1024))
            with rates(b.database):
                full_single.append(admit(b, single_threads, 1, single_tenants, full=True))
                full_group.append(admit(b, 1, 256, 1, full=True))
            http[1].append(accept_http(b, gateway, 1))
    drained, beside = [], []
    for _ in range(ROUNDS):
        enable_trunks(b, False)
        with Gateway(b.database) as gateway:
            beside.append(accept_http(b, gateway, 256)["per_second"])
        enable_trunks(b, True)
        b.database.clear()      # before the scheduler is there, which would be in the middle of something
        with Gateway(b.database, SIMULATOR_INSTANT="true") as gateway:
            drained.append(accept_http(b, gateway, 256, clear=False))
            drained[-1]["ended"] = b.database.one("select count(*) from calls where ended_at is not null")
    http = {c: summary(r) for c, r in http.items()}
    draining, logged, beside = summary(drained), summary(logged), median(beside)
    full = {c: summary(r) for c, r in full.items()}
    insert, single, group, spread = median(insert), median(single), median(group), median(spread)
    full_single, full_group = median(full_single), median(full_group)
    b.results["accept"] = dict(
        bare_insert=dict(clients=insert_clients, per_second=insert, sweep=insert_sweep),
        one_per_transaction=dict(threads=single_threads, tenants=single_tenants, per_second=single,
                                 sweep={f"{c} threads, {t} tenants": rate for (c, t), rate in single_sweep.items()}),
        batches_of_256=dict(one_tenant=group, two_tenants=spread), http=http, access_log=logged, draining=draining,
        everything=dict(http=full, one_per_transaction=full_single, batches_of_256=full_group))
    for c, r in http.items():
        p99 = dict(target="p99 <= 25 ms", reached=r["p99_ms"] <= 25) if c == 256 else {}
        b.row(f"accept over HTTP, {c} connections", f"{r['per_second']:.0f}/s  p50 {r['p50_ms']:.1f} p99 {r['p99_ms']:.1f} ms",
              note=f"{r['bad']} not 200", **p99)
    best = max(http, key=lambda c: http[c]["per_second"])
    rate = http[best]["per_second"]
    b.row(f"  best of these ({best}) to a bare INSERT per transaction", f"{rate:.0f}/s",
          f"{insert:.0f}/s (pgbench, {insert_clients} clients)", rate / insert, ">= 2", rate / insert >= 2,
          swept=rate / max(insert_sweep.values()))
    b.row("  … to the same admission, one call per transaction", f"{rate:.0f}/s",
          f"{single:.0f}/s ({single_threads} connections, {single_tenants} tenant{'s' * (single_tenants > 1)})",
          rate / single, ">= 8", rate / single >= 8, swept=rate / max(single_sweep.values()))
    b.row("  … to the same statement in batches of 256, without HTTP", f"{rate:.0f}/s",
          f"{group:.0f}/s (two committers, two tenants: {spread:.0f}/s)", rate / group)
    b.row("  256 connections, with an access log", f"{logged['per_second']:.0f}/s  p99 {logged['p99_ms']:.1f} ms",
          f"{http[256]['per_second']:.0f}/s", logged["per_second"] / http[256]["per_second"], note=f"{logged['bad']} not 200")
    rows_full(b, http, full, full_single, full_group, insert, (single_threads, single_tenants), insert_clients)
    ended = median([r["ended"] / r["rows"] for r in drained])
    b.row("  256 connections, while the queue drains", f"{draining['per_second']:.0f}/s  p99 {draining['p99_ms']:.1f} ms",
          f"{beside:.0f}/s", draining["per_second"] / beside,
          note=f"{draining['bad']} not 200; {ended:.0%} ended meanwhile")


# ── reading ──────────────────────────────────────────────────────────────────────────


def fill_calls(b, calls):
    """Ended calls with ids that wrk and pgbench can both make."""
    b.database.clear()
    b.database.sql(
        "insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s,"
        " rate_mc, hold_mc, lock_scope, from_e164, to_e164, variables, request_id, state, reason, attempts, agent,"
        " initiated_at, ringing_at, answered_at, ended_at, billed_s, charged_mc)"
        " select 1, (%s || (%s + g)::text)::uuid, 1, 1, 1, '00000000-0000-4000-8000-000000000001', 60, 600, 600, 600, 0,"
        " '+14155550199', '+49' || lpad(g::text, 13, '0'), %s, '01890a5d-ac96-774b-bcce-b302099a8057', 4, 1, 1,"
        " 'bench-agent', now(), now(), now(), now(), 20, 200 from generate_series(1, %s::bigint) g",
        b.database.id_prefix, ID_BASE, '{"customerName":"Jane Doe","reason":"follow-up"}', calls)
    b.database.sql("vacuum analyze calls")
    b.database.sql("checkpoint")


def part_get(b):
    calls = 20000 if b.quick else 200000
    fill_calls(b, calls)
    select = lambda c: pgbench(b.database, "select.sql", c, b.seconds, base=ID_BASE, calls=calls)
    clients, sweep = best_of(CLIENTS, select)
    selects, http = [], {1: [], 64: [], 256: []}
    with Gateway(b.database) as gateway:
        read = lambda c: wrk(gateway, "get.lua", c, b.seconds, BENCH_PREFIX=b.database.id_prefix, BENCH_CALLS=calls)
        for _ in range(ROUNDS):
            selects.append(select(clients))
            for connections in (256, 64, 1):
                http[connections].append(read(connections))
    http = {c: summary(r) for c, r in http.items()}
    rate = median(selects)
    b.results["get"] = dict(calls=calls, bare_select=dict(clients=clients, per_second=rate, sweep=sweep), http=http)
    for c, r in http.items():
        b.row(f"GET /v1/calls/{{id}}, {c} connections", f"{r['per_second']:.0f}/s  p50 {r['p50_ms']:.1f} p99 {r['p99_ms']:.1f} ms",
              note=f"{r['bad']} not 200")
    best = max(http, key=lambda c: http[c]["per_second"])
    ours = http[best]["per_second"]
    b.row(f"  best of these ({best}) to a one-row select by key", f"{ours:.0f}/s", f"{rate:.0f}/s (pgbench, {clients} clients)",
          ours / rate, ">= 1", ours / rate >= 1, swept=ours / max(sweep.values()))


# ── draining ─────────────────────────────────────────────────────────────────────────


def drain_gateway(b, calls, full=False):
    """From the first intent to the last end, by the database's clock."""
    fill_queue(b.database, calls, full)
    with Gateway(b.database, SIMULATOR_INSTANT="true"):
        wait_for("the drain", 120, lambda: b.database.one("select count(*) from destination_locks") == 0)
    seconds, ended = b.database.sql("select extract(epoch from max(ended_at) - min(initiated_at))::float8, count(ended_at)"
                                    " from calls")[0]
    if ended != calls:
        raise RuntimeError(f"{ended} of {calls} calls ended")
    return calls / seconds


def drain_bare(b, calls, batch):
    fill_queue(b.database, calls)
    r = tool("drain_loop", b.database.url, batch)
    if r["calls"] != calls:
        raise RuntimeError(f"the bare loop drained {r['calls']} of {calls} calls")
    return r


def part_drain(b):
    calls = 10000 if b.quick else 40000
    batch, sweep = best_of((100, 200, 400), lambda n: drain_bare(b, calls // 2, n)["per_second"])
    bare, ours, full = [], [], []
    for _ in range(ROUNDS):
        bare.append(drain_bare(b, calls, batch))
        ours.append(drain_gateway(b, calls))
        with rates(b.database):
            full.append(drain_gateway(b, calls, full=True))
    b.results["drain"] = dict(calls=calls, bare=dict(batch=batch, sweep=sweep, runs=bare), gateway=ours, everything=full)
    loop, rate = median([r["per_second"] for r in bare]), median(ours)
    b.row(f"drain of {calls} calls, instant provider", f"{rate:.0f}/s", f"{loop:.0f}/s (claim, intent, end in a loop, batches of {batch})",
          rate / loop, ">= 0.5", rate / loop >= 0.5, swept=rate / max(sweep.values()))
    full = median(full)
    b.row(f"drain of {calls} calls with everything on, three priorities", f"{full:.0f}/s", f"{loop:.0f}/s (the same bare loop)", full / loop, ">= 0.5",
          full / loop >= 0.5, note=f"{full / rate:.2f} of the drain without")


# ── the claim at depth ───────────────────────────────────────────────────────────────

CLAIMS = 20         # per run and database; the first two warm the new connection
PER_LANE = 4


class Deep:
    """A queue of a given depth over 50 lanes, half of it in one tenant's. Only the calls that
    will be claimed have their wide row; nothing else reads it."""

    def __init__(self, name, depth):
        self.database, self.depth, self.samples = Database(name), depth, []
        began = time.monotonic()
        self.put("case when g % 2 = 0 then 1 else 2 + (g / 2) % 49 end", 1, depth, min(depth, 120000))
        self.next = depth + 1
        self.database.sql("vacuum analyze call_queue, calls")
        self.database.sql("checkpoint")
        self.filled_s = time.monotonic() - began

    def put(self, lane, first, last, heads):
        ids = f"('{self.database.id_prefix}' || ({ID_BASE} + g)::text)::uuid"
        self.database.sql(f"insert into call_queue select {lane}, 1, 1, 1, {ids}, 1 from generate_series({first}, {last}) g")
        self.database.sql(
            "insert into calls (org_id, call_id, project_id, trunk_id, account_id, user_id, ring_timeout_s, max_duration_s,"
            " rate_mc, hold_mc, lock_scope, from_e164, to_e164, request_id)"
            f" select {lane}, {ids}, 1, 1, 1, '00000000-0000-4000-8000-000000000001', 60, 600, 600, 600, 0,"
            f" '+14155550199', '+49' || lpad(g::text, 13, '0'), 'bench' from generate_series({first}, {first + heads - 1}) g")

    def measure(self):
        self.samples += tool("claim_cost", self.database.url, CLAIMS + 2)["us"][2:]
        gone = self.database.one("with d as (delete from call_inflight returning 1) select count(*) from d")
        self.put("g % 50 + 1", self.next, self.next + gone - 1, gone)
        self.next += gone

    def percentiles(self):
        s = sorted(self.samples)
        return dict(depth=self.depth, claims=len(s), p50_ms=s[len(s) // 2] / 1000, p95_ms=s[len(s) * 95 // 100] / 1000,
                    fill_seconds=self.filled_s)


def part_claim(b):
    large = 1_000_000 if b.quick else 10_000_000
    shallow, deep = Deep("claims_small", 10_000), Deep("claims_large", large)
    for _ in range(10):
        shallow.measure()
        deep.measure()
    small, big = shallow.percentiles(), deep.percentiles()
    big["queue_bytes"] = deep.database.one("select pg_total_relation_size('call_queue')")
    shallow.database.drop()
    deep.database.drop()
    b.results["claim"] = dict(small=small, large=big)
    ratio = big["p50_ms"] / small["p50_ms"]
    b.row(f"claim of {50 * PER_LANE} calls over 50 lanes, {large:,} queued", f"p50 {big['p50_ms']:.2f} p95 {big['p95_ms']:.2f} ms",
          f"p50 {small['p50_ms']:.2f} p95 {small['p95_ms']:.2f} ms (10,000 queued)", ratio, "<= 1.3", ratio <= 1.3)


# ── memory ───────────────────────────────────────────────────────────────────────────


def part_memory(b):
    calls = 1000 if b.quick else 10000
    b.database.clear()
    # Fifty times slower than life: every call is still ringing when the last one is.
    with Gateway(b.database, SIMULATOR_SPEED="0.02", MAX_INFLIGHT=calls + 1000) as gateway:
        time.sleep(2)
        idle = gateway.memory()
        tool("admit_loop", b.database.url, 1, 200, 0, 1, calls)
        b.database.sql("notify callgate_queued")
        wait_for("ringing", 60, lambda: b.database.one("select count(*) from call_inflight where state = 2") == calls)
        time.sleep(1)
        busy = gateway.memory()
    per_call = (busy["pss"] - idle["pss"]) / calls
    b.results["memory"] = dict(idle=idle, ringing=busy, calls=calls, bytes_per_call=per_call)
    mb = 1024 * 1024
    b.row("memory, idle", f"RSS {idle['rss'] / mb:.1f} PSS {idle['pss'] / mb:.1f} MB", target="<= 20 MB", reached=idle["rss"] <= 20 * mb)
    b.row(f"memory, {calls} calls ringing", f"RSS {busy['rss'] / mb:.1f} PSS {busy['pss'] / mb:.1f} MB",
          f"{per_call / 1024:.1f} KB a call", target="<= 32 KB a call", reached=per_call <= 32 * 1024)


# ── idle connections ─────────────────────────────────────────────────────────────────


def open_idle(gateway, count):
    """Connections that had one answer and now say nothing."""
    request = b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n"
    sockets = []
    for at in range(0, count, 100):
        group = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(min(100, count - at))]
        for s in group:
            s.sendall(request)
        for s in group:
            if not s.recv(4096).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("an idle connection was not answered")
        sockets += group
    return sockets


def part_idle(b):
    count = 1000 if b.quick else 10000
    calls = 20000
    fill_calls(b, calls)
    enable_trunks(b, False)
    runs = {(kind, idle): [] for kind in ("GET", "POST") for idle in (0, count)}
    with Gateway(b.database, IDLE_TIMEOUT_S=600) as gateway:
        before = gateway.memory()
        for turn in range(ROUNDS):
            for idle in (0, count) if turn % 2 == 0 else (count, 0):
                sockets = open_idle(gateway, idle)
                if idle:
                    with_idle = gateway.memory()
                runs["GET", idle].append(wrk(gateway, "get.lua", 16, b.seconds, BENCH_PREFIX=b.database.id_prefix, BENCH_CALLS=calls))
                runs["POST", idle].append(wrk(gateway, "post.lua", 16, b.seconds))
                for s in sockets:
                    s.close()
                time.sleep(0.5)
    enable_trunks(b, True)
    runs = {k: summary(v) for k, v in runs.items()}
    each = (with_idle["pss"] - before["pss"]) / count
    b.results["idle_connections"] = dict(count=count, bytes_per_connection=each,
                                         **{f"{kind}_{idle}": v for (kind, idle), v in runs.items()})
    for kind in ("GET", "POST"):
        without, beside = runs[kind, 0], runs[kind, count]
        ratio = beside["p99_ms"] / without["p99_ms"]
        b.row(f"{kind} on 16 connections beside {count} idle ones", f"{beside['per_second']:.0f}/s  p99 {beside['p99_ms']:.2f} ms",
              f"{without['per_second']:.0f}/s  p99 {without['p99_ms']:.2f} ms (none idle)", ratio, "p99 unchanged (<= 1.15)", ratio <= 1.15,
              note=f"{beside['bad'] + without['bad']} not 200; {each / 1024:.1f} KB each")


# ── accept to dial ───────────────────────────────────────────────────────────────────


class Ledger(threading.Thread):
    """Notes when each dial appears in the simulator's ledger, which is written before anything
    else happens: the moment a provider would be asked."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.file, self.seen, self.over = open(path, "r"), {}, False

    def run(self):
        while not self.over:
            line = self.file.readline()
            if line:
                self.seen[line.split(" ", 1)[0]] = time.monotonic()
            else:
                time.sleep(0.0002)


def part_latency(b):
    calls = 100 if b.quick else 400
    b.database.clear()
    path = os.path.join(STATE, "ledger")
    open(path, "w").close()
    ledger = Ledger(path)
    ledger.start()
    asked = {}
    with Gateway(b.database, SIMULATOR_SPEED="1000", SIMULATOR_LEDGER=path) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
        time.sleep(1)
        for i in range(calls):
            call, _, at = place(connection, f"+4915100{i:06d}")
            asked[call] = at
            time.sleep(0.03)
        wait_for("the dials", 20, lambda: len(ledger.seen) >= calls)
    ledger.over = True
    waits = sorted((ledger.seen[c] - at) * 1000 for c, at in asked.items())
    rows = sorted(r[0] for r in b.database.sql("select (extract(epoch from initiated_at - created_at) * 1000)::float8 from calls"))
    b.results["latency"] = dict(calls=calls, answer_to_dial_ms=dict(p50=pick(waits, .5), p99=pick(waits, .99), max=waits[-1]),
                                created_to_intent_ms=dict(p50=pick(rows, .5), p99=pick(rows, .99), max=rows[-1]))
    b.row(f"200 answered -> dialed, idle, {calls} calls", f"p50 {pick(waits, .5):.1f} p99 {pick(waits, .99):.1f} ms",
          f"row to intent: p50 {pick(rows, .5):.1f} p99 {pick(rows, .99):.1f} ms", target="p99 <= 10 ms",
          reached=pick(waits, .99) <= 10)


PARTS = dict(accept=part_accept, get=part_get, drain=part_drain, claim=part_claim, memory=part_memory,
             idle=part_idle, latency=part_latency, livekit=livekit.part)


def main():
    arguments = argparse.ArgumentParser(prog="scripts/bench")
    arguments.add_argument("--only", metavar="PART,…", help="of " + ", ".join(PARTS))
    arguments.add_argument("--quick", action="store_true", help="shorter runs and smaller tables; to try the script, not to quote")
    arguments.add_argument("--out", required=True, help=argparse.SUPPRESS)
    a = arguments.parse_args()
    chosen = a.only.split(",") if a.only else list(PARTS)
    if set(chosen) - set(PARTS):
        arguments.error(f"parts are {', '.join(PARTS)}")
    busy_before = conditions.busy_processors()
    began = time.monotonic()
    b = Bench(a.quick)
    before = conditions.gather(b.database)
    report.print_conditions(before)
    problems = []
    for name in chosen:
        say(f"── {name} ──")
        try:
            enable_trunks(b, True)      # one that failed may have left them off
            PARTS[name](b)
        except Exception as e:      # one part that fails does not take the others with it
            problems.append(f"{name}: {e}")
            say(f"  {name} failed: {e}")
    problems += report.answers_not_200(b.results)
    after = conditions.counters(b.database)
    seconds = round(time.monotonic() - began)
    before["busy"] = dict(before=busy_before, after=conditions.busy_processors())
    document = dict(quick=a.quick, parts=chosen, whole=set(chosen) == set(PARTS), seconds=seconds, conditions=before,
                    during={k: after[k] - before["counters"][k] for k in after}, rows=b.rows, results=b.results,
                    problems=problems)
    with open(a.out, "w") as f:
        json.dump(document, f, indent=1, default=str)
        f.write("\n")
    report.print_table(document)
    b.database.drop()
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        for process in children:
            process.kill()
