#!/usr/bin/env python3
"""Two of our daemons with the kernel's IPsec in Debian's stock kernel, on xfrm interfaces: the
link tells the truth, ESP and nothing else is on the cable, rekeys lose nothing, two tunnels
share one pair of addresses, TCP segments are kept small; and a vti beside them."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.ipsecd import Ipsecd  # noqa: E402
from tests.support.kernel_pair import KernelPair  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.rekeying import rekey_child  # noqa: E402
from tests.support.sniffer import Sniffer  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change, tunnel  # noqa: E402

UP_SECONDS = 20


def of_kind(kind, name, n, *extra, **fields):
    return tunnel(name, n, extra=(f"interface-type={kind}", *extra), **fields)


def all_tunnels():
    first = of_kind("xfrm", "xfrm-4", 1, "mss=auto")
    second = [change(end, local=other.local, remote=other.remote)
              for end, other in zip(of_kind("xfrm", "same-addresses", 2), first)]
    return [first, tuple(second), of_kind("xfrm", "xfrm-6", 3, outer=6, inside=(4, 6)),
            of_kind("xfrm", "xfrm-udp", 4, encap=True), of_kind("vti", "vti-4", 5)]


def kind_of(peer, device):
    return peer.link(device).get("linkinfo", {}).get("info_kind")


def device_of(pair, name):
    return pair.end(name, pair.ours).device


def wait_state(pair, name, state):
    device = device_of(pair, name)
    for peer in (pair.ours, pair.theirs):
        until(f"{device} is {state}", lambda p=peer: p.operstate(device) == state, UP_SECONDS)


def device_is_there(pair, name, kind):
    for peer in (pair.ours, pair.theirs):
        check_equal(kind_of(peer, device_of(pair, name)), kind, "kind of device")
    wait_state(pair, name, "DORMANT")


def comes_up(pair, name):
    """Pings pass as ESP; while the tunnel is down nothing passes at all."""
    with Sniffer(pair.namespaces[1], "eth0") as cable:
        pair.ours.initiate(name, UP_SECONDS)
        pair.both_up(name, UP_SECONDS)
        wait_state(pair, name, "UP")
        pair.ping(name)
        pair.ping_sizes(name)
    wanted = cable.seen["ike"] - 4 if "udp" in name else cable.seen["esp"]
    check(wanted >= 20, f"on the cable: {cable.seen}")
    check(not cable.clear, f"in clear on the cable: {cable.clear[:5]}")


def clamps(peer, family):
    """Device to segment size, as another program reads our nf_tables map."""
    text = peer.namespace.run("nft", "-j", "list", "map", "inet", "ipsecd", f"mss{family}")
    maps = [part["map"] for part in json.loads(text)["nftables"] if "map" in part]
    return dict(maps[0]["elem"])


def mss_follows_the_mtu(pair, name):
    device = device_of(pair, name)
    for peer in (pair.ours, pair.theirs):
        mtu = peer.link(device)["mtu"]
        for family, headers in ((4, 40), (6, 60)):
            check_equal(clamps(peer, family), {device: mtu - headers}, "segment sizes")


def goes_down(pair, name):
    ours = pair.end(name, pair.ours)
    with Sniffer(pair.namespaces[1], "eth0") as cable:
        pair.take_down(name)
        wait_state(pair, name, "DORMANT")
        output = pair.namespaces[0].run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-I",
                                        ours.inside[0].split("/")[0], ours.ping[0], check=False)
    check(" 0 received" in output, f"ping through a tunnel that is down: {output}")
    check(not cable.clear, f"in clear on the cable: {cable.clear[:5]}")


def main():
    suite = Suite("qemu tunnel")
    tunnels = all_tunnels()
    with KernelPair(tunnels, theirs=Ipsecd) as pair:
        logs = (pair.ours, pair.theirs)
        names = [ours.name for ours, _ in tunnels]
        for name in names:
            kind = name.split("-")[0]
            suite.case(f"{name}: the device is there, dormant", device_is_there, pair, name,
                       kind if kind == "vti" else "xfrm", logs=logs)
        for name in names:
            suite.case(f"{name}: up, ESP on the cable", comes_up, pair, name, logs=logs)
        suite.case("mss=auto follows the MTU", mss_follows_the_mtu, pair, names[0], logs=logs)
        suite.case("rekeys lose nothing", rekey_child, pair, names[0], [pair.ours], logs=logs)
        for name in names:
            suite.case(f"{name}: down, nothing passes", goes_down, pair, name, logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
