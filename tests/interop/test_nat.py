#!/usr/bin/env python3
"""A router that masquerades between the gateways (RFC 7296 2.23, RFC 3948): either side
behind it, initiating; and from outside in, where the router forwards UDP 500 and 4500.

    inside 172.16.1.1 -- router, seen from outside as 172.16.2.254 -- outside 172.16.2.1

(or mirrored). The side behind the NAT must float to port 4500 and say nat-local, the
other nat-remote. kernel-libipsec and ipsecd both claim a NAT always, because they can do
ESP in UDP only; so what is checked beyond that is the address that each side sees.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.pair import Pair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

MASQUERADE = """
table ip nat {{
    chain post {{ type nat hook postrouting priority 100; oifname "{outside}" masquerade; }}
    chain pre {{
        type nat hook prerouting priority -100;
        iifname "{outside}" udp dport {{ 500, 4500 }} dnat to {inside_host}
    }}
}}
"""
BEHIND_OURS = {"outside": "eth2", "inside_host": "172.16.1.1"}
BEHIND_THEIRS = {"outside": "eth1", "inside_host": "172.16.2.2"}


def through(pair, name, initiator, outside_peer, router_address):
    """Up, pinged, and the side outside sees the router's address; then rekeyed."""
    with pair.up(name, initiator):
        sa = outside_peer.sas(name)[0]
        check_equal(sa["remote-host"], router_address, "peer's address as seen outside")
        check_equal(sa["local-port"], "4500", "port")
        with pair.pinging(name) as pinging:
            before = pair.ours.children(name)[0]["spi-in"]
            initiator.rekey_child(name)
            until("new SPIs",
                  lambda: [c["spi-in"] for c in pair.ours.children(name)] not in ([], [before]))
            spi = pair.ours.sas(name)[0]["initiator-spi"]
            initiator.rekey_ike(name)
            until("new IKE SA",
                  lambda: [sa["initiator-spi"] for sa in pair.ours.sas(name)] not in ([], [spi]))
        pinging.check_no_loss()
        pair.ping(name)


def remap(pair, outside_device):
    """The router loses its mappings (as they go with the masqueraded link) and makes new
    ones, from other ports."""
    rules = MASQUERADE.format(**BEHIND_THEIRS).replace(
        "masquerade;", "meta l4proto udp masquerade to :40000-40999;")
    pair.router.nft_clear()
    pair.router.nft(rules)
    for state in ("down", "up"):
        pair.router.ip("link", "set", outside_device, state)


def new_mapping(pair, name):
    """The peer inside sends from another port all of a sudden: as the side that is not
    behind the NAT we follow authenticated packets (RFC 7296 2.23), without MOBIKE."""
    with pair.up(name, pair.theirs):
        inside = pair.end(name, pair.theirs)
        remap(pair, BEHIND_THEIRS["outside"])

        def moved():
            pair.theirs.namespace.run("ping", "-n", "-c", "1", "-W", "1", "-I",
                                      inside.inside[0].split("/")[0], inside.ping[0],
                                      check=False)
            return 40000 <= int(pair.ours.sas(name)[0]["remote-port"]) < 41000
        until("our side follows to the new port", moved, 10)
        pair.ping(name)


def main():
    suite = Suite("nat")
    # Tunnel 1: we are inside, they know the router's outer address; tunnel 2 mirrored.
    ours, theirs = tunnel("ours-inside", 1)
    first = ours, change(theirs, remote="172.16.2.254")
    ours, theirs = tunnel("theirs-inside", 2)
    second = change(ours, remote="172.16.1.254"), theirs
    with Pair([first, second], routed=True) as pair:
        logs = (pair.ours, pair.theirs)
        pair.router.nft(MASQUERADE.format(**BEHIND_OURS))
        for who, initiator in (("we initiate", pair.ours), ("they initiate", pair.theirs)):
            suite.case(f"we are inside, {who}", through, pair, "ours-inside", initiator,
                       pair.theirs, "172.16.2.254", logs=logs)
        pair.router.nft_clear()
        pair.router.nft(MASQUERADE.format(**BEHIND_THEIRS))
        for who, initiator in (("they initiate", pair.theirs), ("we initiate", pair.ours)):
            suite.case(f"they are inside, {who}", through, pair, "theirs-inside", initiator,
                       pair.ours, "172.16.1.254", logs=logs)
        suite.case("they are inside, the mapping changes", new_mapping, pair, "theirs-inside",
                   logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
