#!/usr/bin/env python3
"""ipsecd in several processes (--split), while a ping every millisecond runs through the tunnel:
each process is killed, the program is replaced in all the ways there are, and nobody notices."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.pair import Pair, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check_equal  # noqa: E402
from tests.support.tunnel import tunnel  # noqa: E402

SPLIT = ("--split", "--restart-pause", "0")
NAME = "net"


class OursWithOurs(Pair):
    """Our daemon at both ends."""

    def _their_daemon(self, settings, retransmit_timeout):
        return Ipsecd(self.namespaces[1], os.path.join(self.folder, "theirs"), SPLIT)


def title(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().rstrip(b"\0").decode()
    except OSError:
        return ""


def roles(peer):
    pid = peer.daemon.child.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        pids = [int(word) for word in file.read().split()]
    return {title(p)[len("ipsecd: "):]: p for p in pids if title(p).startswith("ipsecd: ")}


def all_roles(peer):
    return sorted(roles(peer)) == ["helper", "ike", "plane"]


def reconnect(peer):
    peer.control.close()
    peer.connect()


def kill_role(peer, name, times=3):
    for _ in range(times):
        mark = peer.log_mark()
        old = roles(peer)[name]
        os.kill(old, signal.SIGKILL)
        peer.wait_log(f"{name} (pid {old}) killed by SIGKILL", mark)
        until(f"a new {name}", lambda: all_roles(peer) and roles(peer)[name] != old)
        reconnect(peer)
        one_of_each(peer, NAME)


def survives(pair, what, borne=0):
    index = pair.ours.link("tun1")["ifindex"]
    with pair.pinging(NAME, "0.001") as pinging:
        what()
        pair.ping(NAME, count=10)
    print(f"      {pinging.lost} of {pinging.sent} pings lost")
    pinging.check_no_loss(borne)
    check_equal(pair.ours.link("tun1")["ifindex"], index, "the device")
    one_of_each(pair.ours, NAME)
    one_of_each(pair.theirs, NAME)


def main():
    suite = Suite("split")
    with OursWithOurs([tunnel(NAME, 1)], ipsecd_options=SPLIT) as pair:
        logs = (pair.ours, pair.theirs)
        pair.ours.initiate(NAME)
        pair.both_up(NAME)
        pair.ping(NAME)
        for name in ("helper", "plane"):
            suite.case(f"kill -9 of {name}", survives, pair,
                       lambda name=name: kill_role(pair.ours, name), logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
