"""Calls through a LiveKit that answers at once (livekit_stub.c), over real HTTP: the drain beside
a bare libcurl loop, what a ringing call costs in memory, and how soon LiveKit is asked."""

import contextlib
import http.client
import os
import time

from rig import ROUNDS, Gateway, Stub, best_of, fill_queue, median, pick, place, tool, wait_for

TARGET_KB = 32


@contextlib.contextmanager
def over_livekit(b):
    """The tenant's trunk is one of LiveKit's for a while."""
    b.database.clear()
    b.database.sql("update trunks set driver = 'livekit', provider_ref = 'ST_bench'")
    try:
        yield
    finally:
        b.database.clear()
        b.database.sql("update trunks set driver = 'simulator', provider_ref = null")


# ── draining ─────────────────────────────────────────────────────────────────────────


def check_asked(stats, calls):
    """Each call once: a room, a dial, the room's end; and nothing that LiveKit would not know."""
    wrong = {k: stats[k] for k in ("create_room", "create_sip_participant", "delete_room") if stats[k] != calls}
    if wrong or stats["unexpected"]:
        raise RuntimeError(f"for {calls} calls LiveKit was asked {stats}")


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drain(b, calls):
    """From the first request that LiveKit got to the later of its last one and the last end that was
    stored, all by one machine's clock."""
    fill_queue(b.database, calls)
    with Stub() as stub, Gateway(b.database, **stub.settings) as gateway:
        wait_for("the drain", 120, lambda: b.database.one("select count(*) from destination_locks") == 0)
        wait_for("the last room's end", 30, lambda: stub.stats()["delete_room"] >= calls)
        stats, cpu = stub.stats(), dict(gateway=cpu_seconds(gateway.process), stub=cpu_seconds(stub.process))
    check_asked(stats, calls)
    ended_us, busy = b.database.sql(
        "select (extract(epoch from max(ended_at)) * 1000000)::int8, count(*) filter (where sip_code = 486) from calls")[0]
    if busy != calls:
        raise RuntimeError(f"{busy} of {calls} calls ended as busy")
    seconds = (max(ended_us, stats["last_us"]) - stats["first_us"]) / 1e6
    return dict(per_second=calls / seconds, seconds=seconds, cpu_seconds=cpu, asked=stats)


def loop(calls, concurrency, dials):
    with Stub() as stub:
        r = tool("curl_loop", stub.url, calls, concurrency, dials)
        check_asked(stub.stats(), calls)
    return r["per_second"]


def measure_drain(b):
    calls = 4000 if b.quick else 20000
    concurrency, sweep = best_of((16, 64, 256, 1024), lambda c: loop(calls // 2, c, "fresh"))
    bare, reusing, ours = [], [], []
    for _ in range(ROUNDS):
        bare.append(loop(calls, concurrency, "fresh"))
        ours.append(drain(b, calls))
        reusing.append(loop(calls, concurrency, "reuse"))
    rate, beside, reuse = median([r["per_second"] for r in ours]), median(bare), median(reusing)
    b.results["livekit_drain"] = dict(
        calls=calls, gateway=ours, bare=dict(concurrency=concurrency, sweep=sweep, runs=bare), bare_reusing=dict(runs=reusing))
    b.row(f"drain of {calls} calls over HTTP to a stub LiveKit", f"{rate:.0f}/s",
          f"{beside:.0f}/s (the same requests in a bare libcurl loop, {concurrency} at once)", rate / beside, ">= 0.5",
          rate / beside >= 0.5, swept=rate / max(sweep.values()), note=f"a loop that also reuses the dials' connections: {reuse:.0f}/s")


# ── memory ───────────────────────────────────────────────────────────────────────────


def measure_memory(b):
    calls = 1000 if b.quick else 10000
    b.database.clear()
    with Stub(ring_ms=80000) as stub, Gateway(b.database, MAX_INFLIGHT=calls + 1000, **stub.settings) as gateway:
        time.sleep(2)
        idle = gateway.memory()
        tool("admit_loop", b.database.url, 1, 200, 0, 1, calls)
        wait_for(f"{calls} calls ringing at once", 60, lambda: stub.stats()["ringing"] == calls)
        time.sleep(1)
        busy, ringing = gateway.memory(), stub.stats()["ringing"]
    if ringing != calls:
        raise RuntimeError(f"{ringing} of {calls} calls were ringing")
    per_call = (busy["rss"] - idle["rss"]) / calls
    b.results["livekit_memory"] = dict(idle=idle, ringing=busy, calls=calls, bytes_per_call=per_call)
    b.row(f"memory, {calls} calls ringing over HTTP", f"RSS {busy['rss'] / 2**20:.1f} MB, idle {idle['rss'] / 2**20:.1f} MB",
          f"{per_call / 1024:.1f} KB a call", target=f"<= {TARGET_KB} KB a call", reached=per_call <= TARGET_KB * 1024)


# ── accept to the first request ──────────────────────────────────────────────────────


def measure_latency(b):
    calls = 100 if b.quick else 400
    b.database.clear()
    placed = {}
    with Stub() as stub, Gateway(b.database, **stub.settings) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
        time.sleep(1)
        for i in range(calls):
            call, sent, answered = place(connection, f"+4915200{i:06d}")
            placed[call] = sent, answered
            time.sleep(0.03)
        wait_for("the last room", 20, lambda: stub.stats()["create_room"] >= calls)
        rooms = stub.get("/rooms")
    asked = {call: us / 1e6 for name, us in rooms for call in placed if call.replace("-", "") in name}
    if len(asked) != calls:
        raise RuntimeError(f"{len(asked)} of {calls} calls had a room")
    whole, after = (sorted((asked[c] - placed[c][since]) * 1000 for c in placed) for since in (0, 1))
    figures = {name: dict(p50=pick(v, .5), p99=pick(v, .99), max=v[-1])
               for name, v in (("sent_to_request_ms", whole), ("answered_to_request_ms", after))}
    b.results["livekit_latency"] = dict(calls=calls, **figures)
    # The strict way: LiveKit is sometimes asked before the client has read its 200.
    b.row(f"POST sent -> CreateRoom at LiveKit, idle, {calls} calls", f"p50 {pick(whole, .5):.1f} p99 {pick(whole, .99):.1f} ms",
          f"from the 200: p50 {pick(after, .5):.1f} p99 {pick(after, .99):.1f} ms", target="p99 <= 10 ms",
          reached=pick(whole, .99) <= 10)


def part(b):
    with over_livekit(b):
        measure_drain(b)
        measure_memory(b)
        measure_latency(b)
