#!/usr/bin/env python3
"""The set-up of "Routing-based VPN with StrongSwan" as it is written: three routers, vti devices
made by hand beforehand (`ip tunnel add vti0 ... mode vti key 12`), `conn A-B` with `mark=`, the
line in ipsec.secrets, the sysctl, routes by hand first, then by BGP; at last the path between
A and B dies, and traffic takes the one by C.

What the page lost (addresses, the conn's lines) is from RFC 5737: a /28 to the internet and a
/28 behind each router."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.frr import Frr  # noqa: E402
from tests.support.ipsecd import IpsecdOf  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.routers import Internet, Site  # noqa: E402
from tests.support.sniffer import LinkWatch, Sniffer  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

SITES = (Site("A", "192.0.2.2", "192.0.2.1", "192.0.2.17", "192.0.2.16/28"),
         Site("B", "198.51.100.2", "198.51.100.1", "198.51.100.17", "198.51.100.16/28"),
         Site("C", "203.0.113.2", "203.0.113.1", "203.0.113.17", "203.0.113.16/28"))
# The devices of each router: (name, other router, key), as A's are on the page.
DEVICES = {"A": (("vti0", "B", 12), ("vti1", "C", 13)),
           "B": (("vti0", "A", 12), ("vti1", "C", 23)),
           "C": (("vti0", "A", 13), ("vti1", "B", 23))}
SECRETS = 'routerA routerB : PSK "supersecret"\n' \
          'routerA routerC : PSK "supersecret"\n' \
          'routerB routerC : PSK "supersecret"\n'
CONN = """
conn {here}-{there}
    left={local}
    leftid=router{here}
    leftsubnet=0.0.0.0/0
    right={remote}
    rightid=router{there}
    rightsubnet=0.0.0.0/0
    authby=secret
    dpddelay=1s
    retransmit-timeout=2s
    mark={key}
    auto=start
"""
BGP = """
router bgp {asn}
 bgp router-id {inner}
 no bgp ebgp-requires-policy
 no bgp network import-check
{neighbors}
 address-family ipv4 unicast
  network {network}
"""
NEIGHBOR = """ neighbor {there} remote-as {asn}
 neighbor {there} timers 1 3
 neighbor {there} timers connect 1"""
ASN = {"A": 65001, "B": 65002, "C": 65003}


def link_address(here, there):
    """Addresses of the links, for BGP: 10.0.KEY.1 at the first router, .2 at the other."""
    key = next(key for _, other, key in DEVICES[here] if other == there)
    return f"10.0.{key}.{1 if here < there else 2}"


def devices_by_hand(net):
    """The page's commands."""
    for here, devices in DEVICES.items():
        router, site = net.ns[here], net.sites[here]
        for device, there, key in devices:
            router.run("ip", "tunnel", "add", device, "local", site.outer,
                       "remote", net.sites[there].outer, "mode", "vti", "key", str(key))
            router.run("ip", "link", "set", "up", "dev", device)
            router.sysctl(f"net.ipv4.conf.{device}.disable_policy", 1)


def conf_of(net, here):
    return "".join(CONN.format(here=here, there=there, key=key, local=net.sites[here].outer,
                               remote=net.sites[there].outer)
                   for _, there, key in DEVICES[here])


def start(net):
    return {here: net.add(IpsecdOf(net.ns[here], net.path(here), conf_of(net, here),
                                   SECRETS)).start() for here in DEVICES}


def each_device(routers):
    return [(here, routers[here], device) for here in DEVICES for device, _, _ in DEVICES[here]]


def taken_over(net, routers, indexes):
    """No device was made, those that were there show what the tunnels do."""
    for here, daemon, device in each_device(routers):
        until(f"{device} of {here} is UP", lambda d=daemon, n=device: d.operstate(n) == "UP", 20)
        check_equal(daemon.link(device)["ifindex"], indexes[here, device], f"ifindex of {device}")
    for here in DEVICES:
        vtis = [name for name in net.ns[here].links() if name not in
                ("lo", "eth0", "eth1", "ip_vti0", "ip6_vti0", "ip6tnl0", "dummy0", "sit0")]
        check_equal(sorted(vtis), ["vti0", "vti1"], f"devices of {here}")


def static_routes(net):
    """`ip route add ... dev vti0` on each; only ESP is seen on the way."""
    for here, devices in DEVICES.items():
        for device, there, _ in devices:
            net.ns[here].ip("route", "add", net.sites[there].network, "dev", device)
    with Sniffer(net.middle, "to-A") as way, Sniffer(net.ns["A"], "vti0") as inside:
        for a, b in (("A", "B"), ("B", "A"), ("A", "C"), ("B", "C")):
            net.ping(a, b)
    check(way.seen["esp"] >= 12 and not way.clear, f"on the way: {way.seen} {way.clear[:3]}")
    for ends in ("192.0.2.17 > 198.51.100.17", "198.51.100.17 > 192.0.2.17"):
        check(any(ends in text for text in inside.clear), f"vti0 shows {ends} in clear")
    for here, devices in DEVICES.items():
        for _, there, _ in devices:
            net.ns[here].ip("route", "del", net.sites[there].network)


def start_bgp(net):
    for here, devices in DEVICES.items():
        site = net.sites[here]
        for device, there, _ in devices:
            net.ns[here].ip("address", "add", link_address(here, there), "peer",
                            link_address(there, here), "dev", device)
        neighbors = "\n".join(NEIGHBOR.format(there=link_address(there, here), asn=ASN[there])
                              for _, there, _ in devices)
        frr = Frr(net.ns[here], net.path(f"frr-{here}"))
        frr.configure("bgpd", BGP.format(asn=ASN[here], inner=site.inner, neighbors=neighbors,
                                         network=site.network))
        net.add(Stopper(frr))
        frr.start("zebra")
        frr.start("bgpd")


class Stopper:
    """net.add() wants something with stop()."""

    def __init__(self, frr):
        self.stop = frr.stop_all


def route(net, here, there):
    return net.ns[here].ip("route", "show", "exact", net.sites[there].network)


def bgp_routes(net):
    start_bgp(net)
    for here, devices in DEVICES.items():
        for device, there, _ in devices:
            until(f"{here} reaches {there} by {device}, says BGP",
                  lambda h=here, t=there, d=device: f"dev {d}" in route(net, h, t)
                  and "proto bgp" in route(net, h, t), 30)
    net.ping("A", "B")


def by_the_third(net, routers):
    """A-B dies: found out, the link goes DORMANT, and packets take A-C-B; healed, it is back."""
    with net.pinging("A", "B") as pinging, LinkWatch(net.ns["A"], "vti0") as watch:
        start_of_cut = time.monotonic()
        net.cut("A", "B")
        try:
            until("A's route to B goes by C", lambda: "dev vti1" in route(net, "A", "B"), 20)
            until("B's route to A goes by C", lambda: "dev vti1" in route(net, "B", "A"), 20)
            until("A reaches B", lambda: net.reaches("A", "B"), 20)
            print(f"      by C after {time.monotonic() - start_of_cut:.1f} s", flush=True)
            for here in "AB":
                until(f"the dead link of {here} is DORMANT",
                      lambda h=here: routers[h].operstate("vti0") == "DORMANT", 20)
        finally:
            net.heal("A", "B")
        until("A's route to B is direct", lambda: "dev vti0" in route(net, "A", "B"), 40)
        until("A reaches B", lambda: net.reaches("A", "B"), 20)
    print(f"      {pinging.lost} of {pinging.sent} pings lost, vti0: {watch.states()}")


def given_back(net, routers, indexes):
    """Devices that were there before are left behind; no process has removed them."""
    for daemon in routers.values():
        check_equal(daemon.daemon.stop(15), 0, "exit status")
        daemon.daemon = None
    for here, devices in DEVICES.items():
        for device, _, _ in devices:
            link = net.ns[here].ip("link", "show", "dev", device)
            check(link.startswith(f"{indexes[here, device]}: "), f"{device} of {here}: {link}")


def main():
    suite = Suite("seed-routing")
    with Internet(SITES) as net:
        devices_by_hand(net)
        routers = start(net)
        indexes = {(here, device): daemon.link(device)["ifindex"]
                   for here, daemon, device in each_device(routers)}
        logs = tuple(routers.values())
        suite.case("vti made by hand beforehand are taken over", taken_over, net, routers, indexes,
                   logs=logs)
        suite.case("routes by hand, only ESP on the way", static_routes, net, logs=logs)
        suite.case("routes by BGP", bgp_routes, net, logs=logs)
        suite.case("A-B dies, A-C-B serves, A-B returns", by_the_third, net, routers, logs=logs)
        suite.case("stopped: the devices stay", given_back, net, routers, indexes)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
