#!/usr/bin/env python3
"""ipsecd's kernel plane against libreswan, vti devices on both ends: one that libreswan's
own script makes (vti-interface=), others made by hand. Every tunnel is brought up by each side in
turn; rekeys by both."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.libreswan import SCRIPT, Libreswan  # noqa: E402
from tests.support.rekeying import rekey_child, rekey_ike  # noqa: E402
from tests.support.sniffer import Sniffer  # noqa: E402
from tests.support.suite import Suite, check  # noqa: E402
from tests.support.tunnel import change  # noqa: E402

ROWS = (("aes128gcm16", {}), ("aes256gcm16", {}), ("chacha20poly1305", {}),
        ("aes128-sha256", {}), ("aes256-sha512", {}),
        ("aes128gcm16-esn", {}), ("aes256-sha256-esn", {}),
        ("6-in-4", {"inside": (6,)}), ("4-in-6", {"outer": 6}),
        ("6-in-6", {"outer": 6, "inside": (6,)}), ("udp-encap", {"encap": True}),
        ("their-script", {}))


def all_tunnels():
    for n, (name, fields) in enumerate(ROWS, 1):
        esp = name if name.startswith(("aes", "chacha")) else "aes128gcm16"
        ours, theirs = vti_tunnel(name, n, esp=esp, **fields)
        yield ours, change(theirs, extra=(SCRIPT,)) if name == "their-script" else theirs


def works(pair, name, initiator):
    with Sniffer(pair.namespaces[1], "eth0") as cable, pair.up(name, initiator):
        pair.ping_sizes(name)
    check(cable.seen["esp"] == 0 if name.startswith("udp") else cable.seen["esp"] >= 4,
          f"on the cable: {cable.seen}")
    check(not cable.clear, f"in clear on the cable: {cable.clear[:5]}")


def our_child(pair, name, peers, times):
    """pluto sends on the new SA before its answer, which has the key for that, is out: what it
    sends meanwhile can't be read by anybody. One ping each time is borne."""
    rekey_child(pair, name, peers, allowed=times, times=times)


def rekeys(pair, name, rekey, rekeyer):
    with pair.up(name, pair.ours):
        rekey(pair, name, [rekeyer], times=2)


def main():
    suite = Suite("libreswan")
    tunnels = list(all_tunnels())
    with KernelPair(tunnels, theirs=Libreswan) as pair:
        logs = (pair.ours, pair.theirs)
        for ours, _ in tunnels:
            for who, initiator in (("we initiate", pair.ours), ("they initiate", pair.theirs)):
                suite.case(f"{ours.name}, {who}", works, pair, ours.name, initiator, logs=logs)
        for name in ("aes128gcm16", "aes128-sha256"):
            for what, rekey, rekeyer in (("CHILD_SA, by us", our_child, pair.ours),
                                         ("CHILD_SA, by them, 0 lost", rekey_child, pair.theirs),
                                         ("IKE SA, by us, 0 lost", rekey_ike, pair.ours),
                                         ("IKE SA, by them, 0 lost", rekey_ike, pair.theirs)):
                suite.case(f"rekey of {name}, {what}", rekeys, pair, name, rekey, rekeyer,
                           logs=logs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
