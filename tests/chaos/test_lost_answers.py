"""Every statement of the hot path loses its connection in every way there is, one at a time,
under load; and the statements of a start and a stop too."""
import threading
import time

import pytest

from harness.wait import until
from harness.world import destination
from kit.aftermath import DATABASE_AWAY, check_dials, reckon, settle
from kit.load import Load, wait_for_posts
from kit.proxy import MODES
from kit.rig import LEASE_MS

STATEMENTS = ("admit", "claim", "intent", "progress", "finish", "retry", "promote", "adopt", "gateway_renew",
              "gateways_bury", "shards_look", "lanes_find", "limits_load", "counts_load", "overdue", "cancel", "call_edit",
              "expire_due", "cancels_find")


def lose(proxy, statement, mode, unfired):
    if not proxy.once(statement, mode).wait(8):
        unfired.append((statement, mode))


def sweep(proxy, pairs, unfired):
    for statement, mode in pairs:
        lose(proxy, statement, mode, unfired)


def test_every_statement_may_lose_its_answer(rig, tell):
    one = rig(proxied=True).start()
    pairs = [(s, m) for s in STATEMENTS for m in MODES]
    unfired = []
    with Load(one.gateways, one.callers, "sweep", workers=6) as load:
        wait_for_posts(load, 50)
        threads = [threading.Thread(target=sweep, args=(proxy, pairs[n::3], unfired))
                   for n, proxy in enumerate(one.proxies)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        one.mend()
    assert not unfired, f"these never ran, so nothing was lost: {unfired}"
    tell(reckon(one, load, DATABASE_AWAY))


def test_a_start_and_a_stop_may_lose_their_answers(rig, tell):
    one = rig(gateways=2, proxied=True).start()
    with Load(one.gateways, one.callers, "start-stop", workers=6) as load:
        for n, mode in enumerate(MODES):
            gateway, proxy = one.gateways[n % 2], one.proxies[n % 2]
            wait_for_posts(load, len(load.posts) + 20)
            fired = proxy.once("gateway_close", mode)
            gateway.stop()          # 0, although its last word may not have arrived
            assert fired.is_set()
            fired = proxy.once("gateway_open", mode)
            gateway.start()
            assert fired.is_set()
        one.mend()
    tell(reckon(one, load, DATABASE_AWAY))


def test_a_gateway_ends_cleanly_while_the_server_is_away(rig, tell, server):
    one = rig(gateways=2, CALLGATE_DRAIN_S=1).start()
    with Load(one.gateways, one.callers, "away", workers=4) as load:
        wait_for_posts(load, 80)
        with one.absence():
            server.crash()
            one.gateways[0].stop(seconds=15)
            server.resume()
        one.mend()
        wait_for_posts(load, len(load.posts) + 40)
    tell(reckon(one, load, DATABASE_AWAY))


def test_a_call_dialed_after_a_lost_intent_survives_a_lost_lease(rig):
    """The intent is lost, repeated and heard, the call is dialed, and then the gateway sleeps
    past its lease: what it remembers of the first intent must not let it dial again."""
    one = rig(gateways=1, proxied=True, CALLGATE_SIMULATOR_SPEED=1).start()
    fired = one.proxies[0].once("intent", "lost")
    one.tenants[0].at(one.gateways[0]).call()
    until("the call is dialed", lambda: one.ledger.exists() and one.ledger.read_text(), 10)
    assert fired.is_set()
    one.pause(0)
    time.sleep(LEASE_MS / 1000 + 0.3)
    one.resume(0)
    settle(one, 15)
    assert check_dials(one) == 1
    assert '"lease.lost"' in one.gateways[0].text()


def test_an_admission_that_arrives_late_does_not_undo_a_refusal(rig):
    """The client was told 409, because another call held the destination when it was asked
    again. When the first request then reaches the server, that call has ended."""
    one = rig(gateways=2, proxied=True).start()
    tenant, to = one.tenants[0], destination()
    first = tenant.at(one.gateways[1]).call(to)
    one.proxies[0].late_s = 3
    fired = one.proxies[0].once("admit", "late")
    answer = tenant.at(one.gateways[0]).post(to)
    assert fired.is_set() and answer.status == 409, answer
    settle(one, 10)
    until("the late request has arrived", lambda: one.proxies[0].late_done, 10)
    calls = one.database.rows("select call_id::text from calls where to_e164 = %s", to)
    assert calls == [(first,)], f"refused, and yet there is a call: {calls}"


def test_a_crash_between_the_admission_and_the_flush_is_not_overlooked(rig):
    """An admission commits without the disk, and is flushed before it is answered. Here the
    gateway sleeps between the two while the server crashes and comes back: the flush is
    then one of another life of the server, and the call may be gone."""
    one = rig(gateways=1, proxied=True).start()
    one.database.execute("alter system set wal_writer_delay = '10s'")
    one.database.execute("select pg_reload_conf()")
    tenant, proxy = one.tenants[0], one.proxies[0]

    def meanwhile(send):
        one.pause(0)
        send()
        one.kill_backend(0)
        one.resume(0)

    proxy.meanwhile = meanwhile
    fired = proxy.once("admit", "whole")
    answer = tenant.at(one.gateways[0]).post()
    one.database.close()
    one.database.execute("alter system reset wal_writer_delay")
    assert fired.is_set()
    found = one.database.rows("select call_id::text from calls")
    promised = [(answer.json["callId"],)] if answer.status == 200 else []
    assert found == promised, f"{answer}: {found}"
