#!/usr/bin/env python3
"""install-virtual-ip=yes: the addresses that the peer gives us are on the tunnel's device, or on
the one that install-virtual-ip-on names, as long as the IKE_SA has them.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.killing import SPLIT, reconnect  # noqa: E402
from tests.support.pair import Pair, answered, one_of_each  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.replacing import kill_role  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

NAME = "warrior"
POOLS = {"vp4": {"addrs": "10.9.0.0/24"}, "vp6": {"addrs": "fd09::/120"}}


def addresses(pair, device):
    """Global addresses of a device of ours."""
    words = pair.namespaces[0].ip("-o", "address", "show", "dev", device, "scope", "global").split()
    return sorted(after for word, after in zip(words, words[1:]) if word in ("inet", "inet6"))


def virtual(pair, device):
    return [a for a in addresses(pair, device) if a.startswith(("10.9.0.", "fd09::"))]


def ping(pair, source, count=3):
    """From a virtual address, as only that lies inside the selectors."""
    output = pair.namespaces[0].run("ping", "-n", "-c", str(count), "-i", "0.02", "-w", "10",
                                    "-I", source.split("/")[0],
                                    pair.end(NAME, pair.ours).ping[0], check=False)
    check(set(range(1, count + 1)) <= answered(output), f"ping: {output}")


def comes_and_goes(pair, device):
    """As a host prefix, and through rekeys."""
    check_equal(virtual(pair, device), [], "virtual addresses before")
    pair.ours.initiate(NAME)
    pair.both_up(NAME)
    until("two virtual addresses", lambda: len(virtual(pair, device)) == 2)
    got = virtual(pair, device)
    check(got[0].endswith("/32") and got[1].endswith("/128"), f"host prefixes: {got}")
    ping(pair, got[0])
    for rekey in (pair.ours.rekey_child, pair.ours.rekey_ike):
        rekey(NAME)
        one_of_each(pair.ours, NAME)
        check_equal(virtual(pair, device), got, "virtual addresses after a rekey")
        ping(pair, got[0])
    pair.theirs.terminate(NAME)
    pair.both_down(NAME)
    until("no virtual address", lambda: not virtual(pair, device))


def switched(pair, tun, other):
    """From one device to the other, and off, while the tunnel is up."""
    pair.ours.initiate(NAME)
    pair.both_up(NAME)
    until("two virtual addresses", lambda: len(virtual(pair, tun)) == 2)
    got = virtual(pair, tun)
    setup(pair, f"install-virtual-ip=yes\n    install-virtual-ip-on={other}")
    until(f"they are on {other}", lambda: (virtual(pair, tun), virtual(pair, other)) == ([], got))
    ping(pair, got[0])
    setup(pair, "install-virtual-ip=no")
    until("they are gone", lambda: not virtual(pair, other))
    setup(pair, "install-virtual-ip=yes")
    until("they are back", lambda: virtual(pair, tun) == got)
    ping(pair, got[0])
    pair.theirs.terminate(NAME)
    pair.both_down(NAME)
    until("no virtual address", lambda: not virtual(pair, tun))


def kept_over_kills(pair, other):
    """Whoever sets them is killed: they stay, and are known for ours."""
    setup(pair, f"install-virtual-ip=yes\n    install-virtual-ip-on={other}")
    pair.ours.initiate(NAME)
    pair.both_up(NAME)
    until("two virtual addresses", lambda: len(virtual(pair, other)) == 2)
    got = virtual(pair, other)
    for role in ("plane", "ike", "plane"):
        kill_role(pair.ours, role)
        reconnect(pair.ours)
        one_of_each(pair.ours, NAME)
        ping(pair, got[0])
        check_equal(virtual(pair, other), got, f"virtual addresses after a kill of {role}")
    pair.theirs.terminate(NAME)
    pair.both_down(NAME)
    until("no virtual address", lambda: not virtual(pair, other))


def ends_clean(pair, other):
    setup(pair, f"install-virtual-ip=yes\n    install-virtual-ip-on={other}")
    pair.ours.initiate(NAME)
    pair.both_up(NAME)
    until("two virtual addresses", lambda: len(virtual(pair, other)) == 2)
    check_equal(pair.ours.stop(), 0, "exit status")
    check_equal(virtual(pair, other), [], "virtual addresses at the end")


def setup(pair, lines):
    pair.ours.setup = lines
    pair.ours.load(pair.ours.ends)


def main(pair_kind=Pair, tunnel_of=tunnel):
    suite = Suite("install-virtual-ip")
    ours, theirs = tunnel_of(NAME, 1, inside=(4, 6))
    ours = change(ours, local_ts="%dynamic", inside=(), extra=("leftsourceip=%config4,%config6",))
    theirs = change(theirs, remote_ts="dynamic", extra=("pools = vp4, vp6",))
    with pair_kind([(ours, theirs)], ipsecd_options=SPLIT) as pair:
        other = pair.namespaces[0]
        other.ip("link", "add", "vips", "type", "bridge")
        other.ip("link", "set", "vips", "up")
        for name, pool in POOLS.items():
            pair.theirs.control.request("load-pool", {name: pool})
        if theirs.mark:  # it has a device, and wants to be told what is behind
            for pool in POOLS.values():
                pair.namespaces[1].route(pool["addrs"], "dev", theirs.device)
        setup(pair, "install-virtual-ip=yes")
        for title, function, *args in (
                ("on the tunnel's device", comes_and_goes, ours.device),
                ("switched while it is up", switched, ours.device, "vips"),
                ("over kills", kept_over_kills, "vips"),
                ("at the end", ends_clean, "vips")):
            suite.case(title, function, pair, *args, logs=(pair.ours, pair.theirs))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
