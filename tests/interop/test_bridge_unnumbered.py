#!/usr/bin/env python3
"""BGP unnumbered (RFC 8950) over tunnels that have nothing but their link-local addresses: the real
bgpd finds its neighbor by router advertisements, carries IPv4 and IPv6 prefixes over one session,
and follows the tunnel as routed-bridge and its device tell."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.bridge import Site  # noqa: E402
from tests.support.fake_vici import FakeVici  # noqa: E402
from tests.support.pair import Pinging  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.suite import Suite, check  # noqa: E402
from tests.support.tun_pair import TunPair  # noqa: E402

BRANCH = "10.4.0.0/24"
BRANCH6 = "2001:db8:4::/48"


def bgp_config(mine, other):
    return f"""
router bgp 6500{mine}
 bgp router-id 192.0.2.{mine}
 no bgp ebgp-requires-policy
 neighbor {other} interface remote-as external
 neighbor {other} timers 1 3
 neighbor {other} timers connect 1
 address-family ipv4 unicast
  network 10.{mine}.0.0/24
  redistribute nhrp
 exit-address-family
 address-family ipv6 unicast
  neighbor {other} activate
  network 2001:db8:{mine}::/48
  redistribute nhrp
 exit-address-family
"""


def start(site, mine, device, config=""):
    site.config = config
    site.vici = FakeVici(site.vici_path)
    site.ns.sysctl("net.ipv4.ip_forward", 1)
    site.ns.sysctl("net.ipv6.conf.all.forwarding", 1)
    site.ns.batch(["link add name lan type bridge", "link set dev lan up",
                   f"address add 10.{mine}.0.1/24 dev lan",
                   f"address add 2001:db8:{mine}::1/48 dev lan nodad"])
    site.vici.conn("a-b", device)
    site.frr.start("zebra")
    site.frr.configure("bgpd", bgp_config(mine, device))
    site.frr.start("bgpd")
    site.start_bridge()


def nexthop(site, prefix):
    """What the kernel has for a prefix: "fe80::... dev NAME", or None."""
    found = re.search(r"via (?:inet6 )?(fe80:\S+) dev (\S+)", site.kernel(prefix))
    return f"{found[1]} dev {found[2]}" if found else None


def set_tunnel(ends, sites, up):
    for end, site in zip(ends, sites):
        if up:
            end.up()
            site.vici.link("a-b", True)
        else:
            site.vici.link("a-b", False, "test")
            end.dormant()


def both_families_over_a_link_local_session():
    with Site("a") as a, Site("b") as b:
        pair = TunPair(a.ns, "tun-ab", b.ns, "tun-ba")
        a.tuns["tun-ab"], b.tuns["tun-ba"] = pair.ends
        check("inet " not in a.ns.ip("address", "show", "tun-ab"), "no IPv4 on the tunnel")
        start(a, 1, "tun-ab", f"conn a-c\n prefix {BRANCH}\n prefix {BRANCH6}\nconn a-b\n")
        start(b, 2, "tun-ba")
        for site in (a, b):
            site.vici.child_up("a-b", 1)
        a.tun("tun-ac").up()
        a.vici.conn("a-c", "tun-ac")
        a.vici.child_up("a-c", 2)
        set_tunnel(pair.ends, (a, b), True)
        for prefix in ("10.2.0.0/24", "2001:db8:2::/48"):
            until(f"A has {prefix} over the link-local session",
                  lambda p=prefix: (nexthop(a, p) or "").endswith("dev tun-ab"), 40)
        for prefix in ("10.1.0.0/24", "2001:db8:1::/48", BRANCH, BRANCH6):
            until(f"B has {prefix}",
                  lambda p=prefix: (nexthop(b, p) or "").endswith("dev tun-ba"), 20)
        with Pinging(a.ns, "10.1.0.1", "10.2.0.1", "0.02") as pings:
            until("some pings", lambda: pings.said().count("icmp_seq=") > 10)
        pings.check_no_loss()
        a.vici.child_down(2)
        for prefix in (BRANCH, BRANCH6):
            until(f"B has lost {prefix}", lambda p=prefix: not b.kernel(p))
        check(nexthop(b, "10.1.0.0/24"), "A's own network stays")
        set_tunnel(pair.ends, (a, b), False)
        for site, prefix in ((a, "10.2.0.0/24"), (b, "10.1.0.0/24"), (a, "2001:db8:2::/48")):
            until(f"{prefix} is gone with the tunnel", lambda s=site, p=prefix: not s.kernel(p))
        set_tunnel(pair.ends, (a, b), True)
        until("it is back", lambda: nexthop(a, "10.2.0.0/24") and nexthop(b, "10.1.0.0/24"), 40)


def main():
    netns.remove_stale()
    suite = Suite("bridge unnumbered")
    suite.case("both families over a link-local session", both_families_over_a_link_local_session)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
