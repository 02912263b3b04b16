#!/usr/bin/env python3
"""What operators do to tunnel devices and to the kernel's tables is noticed, obeyed or mended;
the MTU is what fits; settings of devices; a kernel that lacks an algorithm."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.kernel_pair import KernelPair, vti_tunnel  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.sniffer import Sniffer  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402
from tests.support.tunnel import change  # noqa: E402

NAME, DEVICE = "plain", "tun1"
PATH_MTU = 1500
MTUS = (("aes128gcm16", 4, False), ("aes128gcm16", 6, False), ("aes256-sha256", 4, False),
        ("aes256-sha256", 6, False), ("aes256-sha512", 4, False), ("chacha20poly1305", 4, False),
        ("aes128gcm16", 4, True), ("aes256-sha256", 4, True), ("aes128gcm16", 6, True))


def established(pair):
    pair.ours.initiate(NAME)
    pair.both_up(NAME)
    until("UP", lambda: pair.ours.operstate(DEVICE) == "UP")
    pair.ping(NAME)


def link_down(pair):
    """`ip link set down` is obeyed, and by the peer; up again, all is back."""
    established(pair)
    pair.namespaces[0].ip("link", "set", "dev", DEVICE, "down")
    pair.both_down(NAME)
    check("UP" not in pair.ours.link(DEVICE)["flags"], "it was set up against the operator's word")
    pair.namespaces[0].ip("link", "set", "dev", DEVICE, "up")
    until("UP", lambda: pair.ours.operstate(DEVICE) == "UP")
    pair.namespaces[0].route("10.2.1.0/24", "dev", DEVICE)
    pair.ping(NAME)


def operstate_changed(pair):
    """pain_08_link_state: DORMANT without an SA, UP with one, and nobody else changes that."""
    pair.take_down(NAME)
    until("DORMANT", lambda: pair.ours.operstate(DEVICE) == "DORMANT")
    pair.namespaces[0].ip("link", "set", "dev", DEVICE, "state", "up")
    until("DORMANT again", lambda: pair.ours.operstate(DEVICE) == "DORMANT")
    established(pair)


def address_removed(pair):
    """An address that the operator took away: said, and a reload brings it back."""
    mark = pair.ours.log_mark()
    address = pair.end(NAME, pair.ours).inside[0]
    pair.namespaces[0].ip("address", "del", address, "dev", DEVICE)
    print("     ", pair.ours.wait_log(f"removed the address {address}", mark))
    pair.ours.load(pair.ours.ends)
    check(address in pair.namespaces[0].ip("address", "show", "dev", DEVICE), "the address")
    pair.ping(NAME)


def link_deleted(pair):
    """The device is gone: said, and a reload makes it again for the same SAs."""
    mark = pair.ours.log_mark()
    pair.namespaces[0].ip("link", "del", "dev", DEVICE)
    line = pair.ours.wait_log(DEVICE, mark)
    print(f"      {line}")
    pair.ours.load(pair.ours.ends)
    until("UP", lambda: pair.ours.operstate(DEVICE) == "UP")
    pair.ping(NAME)


def states_flushed(pair):
    """`ip xfrm state flush` takes the SAs away under us: noticed, and the tunnel is whole again
    or down, but never up without them."""
    mark = pair.ours.log_mark()
    pair.namespaces[0].ip("xfrm", "state", "flush")
    until("it is noticed", lambda: pair.ours.log(mark).strip(), 15)

    def whole_or_down():
        if pair.ours.operstate(DEVICE) != "UP":
            return True
        return pair.namespaces[0].ip("xfrm", "state").count("proto esp") >= 2
    until("the link says what is", whole_or_down, 20)
    if not pair.ours.is_up(NAME):
        pair.take_down(NAME)
        established(pair)
    until("packets pass", lambda: pinged(pair), 30)


def policies_flushed(pair):
    mark = pair.ours.log_mark()
    pair.namespaces[0].ip("xfrm", "policy", "flush")
    until("it is noticed", lambda: pair.ours.log(mark).strip(), 15)
    until("packets pass", lambda: pinged(pair), 30)


def pinged(pair):
    end = pair.end(NAME, pair.ours)
    return " 1 received" in pair.namespaces[0].run(
        "ping", "-n", "-c", "1", "-W", "0.5", "-I", end.inside[0].split("/")[0], end.ping[0],
        check=False)


def others_untouched(pair):
    """States and policies of somebody else are left alone by all that we do."""
    ns = pair.namespaces[0]
    ns.ip("xfrm", "state", "add", "src", "172.16.1.1", "dst", "172.16.2.1", "proto", "esp", "spi",
          "0x4321", "reqid", "77", "mode", "tunnel", "aead", "rfc4106(gcm(aes))",
          "0x" + "22" * 20, "128")
    ns.ip("xfrm", "policy", "add", "src", "10.77.0.0/16", "dst", "10.78.0.0/16", "dir", "out",
          "tmpl", "src", "172.16.1.1", "dst", "172.16.2.1", "proto", "esp", "reqid", "77", "mode",
          "tunnel")
    pair.take_down(NAME)
    established(pair)
    pair.ours.load(pair.ours.ends)
    check("0x00004321" in ns.ip("xfrm", "state"), "the state is there")
    check("10.77.0.0/16" in ns.ip("xfrm", "policy"), "the policy is there")
    ns.ip("xfrm", "state", "del", "src", "172.16.1.1", "dst", "172.16.2.1", "proto", "esp", "spi",
          "0x4321")
    ns.ip("xfrm", "policy", "del", "src", "10.77.0.0/16", "dst", "10.78.0.0/16", "dir", "out")


def device_settings(pair):
    """pain_17_settings: what a vti needs is set on the device, not for the machine, and there is
    no table 220 and no default route of ours."""
    ns = pair.namespaces[0]
    values = ns.run("sysctl", "-n", f"net.ipv4.conf.{DEVICE}.disable_policy",
                    f"net.ipv4.conf.{DEVICE}.rp_filter").split()
    check_equal(values[0], "1", "disable_policy")
    check(values[1] in ("0", "2"), f"rp_filter {values[1]}")
    check("lookup 220" not in ns.ip("rule"), f"rules: {ns.ip('rule')}")
    check("default" not in ns.ip("route", "show", "table", "all").replace("default via", ""),
          "no default route")


def mtu(pair, name):
    """pain_15_mtu: a packet of the device's size fits the path in one piece, and one as large as
    the next that would fit does not exist: the ESP packet of it is above the path's 1500."""
    ours = pair.end(name, pair.ours)
    with pair.up(name, pair.ours):
        size = pair.ours.link(ours.device)["mtu"]
        with Sniffer(pair.namespaces[1], "eth0") as cable:
            pair.ping_sizes(name)
        check(not cable.clear, f"in clear: {cable.clear[:3]}")
        largest = outer_size(pair, ours, size)
        check(largest <= PATH_MTU, f"{size} inside is {largest} outside")
        # Padding goes in steps: one byte more inside must not fit, or it would be allowed.
        print(f"      {size} inside, {largest} outside")
        check(largest > PATH_MTU - 20, f"{size} inside is only {largest} outside")


def outer_size(pair, end, size):
    """The size of the packet on the cable that carries one of that size."""
    sizes = []
    with SizeSniffer(pair.namespaces[1], "eth0", sizes):
        head = 48 if ":" in end.ping[0] else 28
        pair.namespaces[0].run("ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s",
                               str(size - head), "-I", end.inside[0].split("/")[0], end.ping[0])
    return max(sizes)


class SizeSniffer(Sniffer):
    def __init__(self, namespace, device, sizes):
        super().__init__(namespace, device)
        self.sizes = sizes

    def packet(self, packet):
        self.sizes.append(len(packet))


def missing_algorithm(ours, theirs):
    """A kernel without ChaCha20-Poly1305 (its module can't be loaded): not offered, said once;
    the tunnel has what both have. A conn that has nothing else is refused with that reason."""
    hide_module("chacha20poly1305")
    proposals = "chacha20poly1305,aes128gcm16"
    with KernelPair([(change(ours, esp=proposals), change(theirs, esp=proposals)),
                     vti_tunnel("second", 2, esp=proposals)]) as pair:
        pair.ours.initiate(NAME)
        pair.both_up(NAME)
        check_equal(pair.ours.children(NAME)[0]["encr-alg"], "AES_GCM_16", "cipher")
        pair.ping(NAME)
        pair.ours.initiate("second")
        said = [line for line in pair.ours.log().splitlines() if "CHACHA20" in line.upper()
                and " debug " not in line]
        print(f"      {said[:1]}")
        check_equal(len(said), 1, f"times it is said: {said}")
        alone = vti_tunnel("alone", 3, esp="chacha20poly1305")[0]
        mark = pair.ours.log_mark()
        pair.ours.write_ends([*pair.ours.ends, alone])
        pair.ours.daemon.kill(signal.SIGHUP)
        print("     ", pair.ours.wait_log("CHACHA20_POLY1305", mark))
        check("alone" not in pair.ours.conns(), "a conn without a cipher was loaded")
        pair.ping(NAME)


def auto_takes_the_kernel(pair):
    """`--plane auto` tries, says what it took, and has the devices of the daemon before."""
    ends, mark = pair.ours.ends, pair.ours.log_mark()
    index = pair.ours.link(DEVICE)["ifindex"]
    pair.ours.stop()
    pair.ours.plane = "auto"
    pair.ours.start(ends)
    line = pair.ours.wait_log("data plane: using", mark)
    check(line.endswith("using kernel"), line)
    check_equal(pair.ours.link(DEVICE)["ifindex"], index, "ifindex")
    established(pair)


def hide_module(name):
    """From the kernel's own requests; what is loaded and unused goes."""
    with open("/etc/modprobe.d/detour-test.conf", "w", encoding="utf-8") as file:
        file.write(f"install {name} /bin/false\n")
    netns.run("rmmod", name, check=False)
    with open("/proc/modules", encoding="ascii") as modules:
        check(name not in modules.read(), f"{name} is in use")


def main():
    suite = Suite("operator")
    ours, theirs = vti_tunnel(NAME, 1)
    tunnels = [(ours, theirs)]
    for n, (esp, outer, encap) in enumerate(MTUS, 2):
        name = f"{esp}{'-udp' if encap else ''} in IPv{outer}"
        tunnels.append(vti_tunnel(name.replace(" ", "-"), n, esp=esp, outer=outer, encap=encap))
    with KernelPair(tunnels) as pair:
        logs = (pair.ours, pair.theirs)
        for name, function in (("ip link set down", link_down),
                               ("pain_17_settings", device_settings),
                               ("pain_08_link_state", operstate_changed),
                               ("ip addr del", address_removed), ("ip link del", link_deleted),
                               ("ip xfrm state flush", states_flushed),
                               ("ip xfrm policy flush", policies_flushed),
                               ("states of others", others_untouched)):
            suite.case(name, function, pair, logs=logs)
        suite.case("--plane auto", auto_takes_the_kernel, pair, logs=logs)
        for end, _ in tunnels[1:]:
            suite.case(f"pain_15_mtu: {end.name}", mtu, pair, end.name, logs=logs)
    suite.case("an algorithm that the kernel lacks", missing_algorithm, ours, theirs)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
