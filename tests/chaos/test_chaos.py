"""Everything that may befall gateways and their database while clients post without pause.
Afterwards every 200 has its call, no call was dialed twice, every call has ended, and
nothing is left behind: kit/aftermath.py says it exactly."""
from kit.aftermath import DATABASE_AWAY
from kit.proxy import MODES
from kit.rig import LEASE_MS

LEASE_S = LEASE_MS / 1000


def kills(plan):
    for when in plan.every(0.5, 2):
        n = plan.dice.randrange(3)
        plan.at(when, "kill", n)
        plan.at(when + plan.dice.uniform(0, 2.5), "revive", n)


def pauses(plan):
    """Mostly past the lease; sometimes just about as long."""
    for when in plan.every(1.5, 3.5):
        n = plan.dice.randrange(3)
        plan.at(when, "pause", n)
        plan.at(when + plan.dice.uniform(0.7, 2.5) * LEASE_S, "resume", n)


def server_faults(plan):
    for when in plan.every(2.5, 4):
        plan.at(when, *plan.dice.choice([("restart_server",), ("crash_server",), ("kill_backend", plan.dice.random())]))


def terminations(plan):
    for when in plan.every(0.5, 1.5):
        plan.at(when, "terminate_backends", plan.dice.random(), plan.dice.choice([0.2, 0.5, 1]), plan.dice.randrange(1, 6))


def cuts(plan):
    for n in range(3):
        plan.at(0.5, "cut", n, plan.dice.random(), 0.06, MODES)


def test_gateways_are_killed_and_come_back(chaos):
    chaos("kills", kills)


def test_gateways_stop_past_their_lease_and_wake_up(chaos):
    chaos("pauses", pauses)


def test_the_server_restarts_and_crashes(chaos):
    chaos("server", server_faults, DATABASE_AWAY)


def test_backends_are_terminated_in_storms(chaos):
    chaos("backends", terminations, DATABASE_AWAY)


def test_connections_break_around_the_commit(chaos):
    rig, _ = chaos("cuts", cuts, DATABASE_AWAY, proxied=True)
    assert all(proxy.cuts for proxy in rig.proxies), "nothing was cut: this proves nothing"


def test_all_of_it_at_once(chaos):
    def plan(schedule):
        for faults in (kills, pauses, server_faults, terminations):
            faults(schedule)
        for when in schedule.every(1, 2):
            n = schedule.dice.randrange(3)
            schedule.at(when, "cut", n, schedule.dice.random(), 0.2, MODES)
            schedule.at(when + 1.5, "calm", n)

    chaos("all", plan, DATABASE_AWAY, proxied=True)
