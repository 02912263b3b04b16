#!/usr/bin/env python3
"""ipsecd in several processes, as it is by default, while a ping every millisecond runs through the tunnel:
each process is killed, the program is replaced in all the ways there are, and nobody notices."""
import os
import random
import select
import signal
import sys
from contextlib import suppress

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.killing import SPLIT, reconnect  # noqa: E402
from tests.support.pair import OursWithOurs, Pair, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.process import break_links  # noqa: E402
from tests.support.replacing import (LOST_WITH_PLANE, NAME, Service, all_roles, kill_role, survives,  # noqa: E402
                                     takeover, upgrade)  # noqa: E402
from tests.support.suite import Suite, check_equal  # noqa: E402
from tests.support.tunnel import tunnel  # noqa: E402
from tests.support.vici import Failed  # noqa: E402

KILLS = 3
BORNE = {"helper": 0, "plane": KILLS * LOST_WITH_PLANE, "ike": 0}


def kill_again_and_again(peer, name):
    for _ in range(KILLS):
        mark = peer.log_mark()
        old = kill_role(peer, name)
        peer.wait_log(f"{name} (pid {old}) killed by SIGKILL", mark)
        reconnect(peer)
        one_of_each(peer, NAME)


def kill_at_once(peer, times=40):
    """Each new ike as soon as it is there: most of them while they take over what is kept."""
    chance, killed = random.Random(1), set()
    while len(killed) < times:
        pid = peer.roles().get("ike")
        if pid and pid not in killed:
            select.select([], [], [], chance.uniform(0.002, 0.02))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    until("a new ike", lambda: all_roles(peer) and peer.roles().get("ike", min(killed)) not in killed)
    reconnect(peer)
    one_of_each(peer, NAME)


def helper_keeps_a_secret(peer):
    try:
        peer.control.request("load-shared", {"id": "new", "type": "IKE", "data": "by a new link",
                                             "owners": ["somebody"]})
        return True
    except Failed:  # "try again"
        return False


def break_each_link(peer):
    """Between processes that live on: they have a new one soon, and all works by it."""
    roles = peer.roles()
    for name in ("plane", "helper"):
        mark = peer.log_mark()
        check_equal(break_links(peer.namespace, roles["ike"], roles[name]), 1, f"links to {name}")
        peer.wait_log(f"the link between ike and {name} broke: they have a new one", mark)
        if name == "plane":
            peer.wait_log("has its 1 tunnels and 1 CHILD_SAs; 0 differ", mark)
        else:  # which keeps the secret
            until("helper keeps a secret", lambda: helper_keeps_a_secret(peer))
    check_equal(peer.roles(), roles, "the processes")


def main():
    suite = Suite("split")
    with OursWithOurs([tunnel(NAME, 1)], ipsecd_options=SPLIT) as pair:
        logs = (pair.ours, pair.theirs)
        pair.ours.initiate(NAME)
        pair.both_up(NAME)
        pair.ping(NAME)
        for name in ("helper", "plane", "ike"):
            suite.case(f"kill -9 of {name}", survives, pair,
                       lambda name=name: kill_again_and_again(pair.ours, name), BORNE[name], logs=logs)
        suite.case("kill -9 of each new ike", survives, pair, lambda: kill_at_once(pair.ours), logs=logs)
        suite.case("links break", survives, pair, lambda: break_each_link(pair.ours), logs=logs)
        suite.case("upgrade", survives, pair, lambda: upgrade(pair.ours), logs=logs)
        suite.case("takeover", survives, pair, lambda: takeover(pair.ours))
    with Pair([tunnel(NAME, 1)], ipsecd_options=SPLIT) as pair:
        logs = (pair.ours, pair.theirs)
        pair.ours.initiate(NAME)
        pair.both_up(NAME)
        for name in ("helper", "plane", "ike"):
            suite.case(f"with charon: kill -9 of {name}", survives, pair,
                       lambda name=name: kill_again_and_again(pair.ours, name), BORNE[name], logs=logs)
        suite.case("with charon: upgrade", survives, pair, lambda: upgrade(pair.ours), logs=logs)
    with OursWithOurs([tunnel(NAME, 1)], ipsecd_options=SPLIT, setup="keep-on-stop=30s") as pair:
        pair.ours.stop()
        service = Service(pair)
        with service.manager:
            service.start()
            pair.ours.connect()
            pair.ours.load(pair.ours.ends)  # and routes into the new device
            pair.ours.initiate(NAME)
            pair.both_up(NAME)
            # 50 ms of the probe may be lost; what waits in the queues is not.
            suite.case("systemctl restart", survives, pair, service.restart, 50)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
