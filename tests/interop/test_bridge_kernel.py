#!/usr/bin/env python3
"""routed-bridge without zebra: routes go to the kernel, by `zebra no` or because FRR's version
is not known. Each case builds its own site (tests/support/bridge.py) and takes it down."""
import contextlib
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
from tests.support import netns  # noqa: E402
from tests.support.bridge import CONFIG, PREFIX, PREFIX6, Site  # noqa: E402
from tests.support.fake_vty import FakeVty  # noqa: E402
from tests.support.poll import until  # noqa: E402
from tests.support.process import Daemon  # noqa: E402
from tests.support.suite import Suite, check, check_equal  # noqa: E402

NO_ZEBRA = "zebra no\n" + CONFIG


class Lone(Site):
    """A site without FRR."""

    def __init__(self, role, config=NO_ZEBRA):
        super().__init__(role, config)

    def start(self):
        return self.start_without_zebra()

    def ours_in_kernel(self, prefix=PREFIX):
        return "proto 69" in self.kernel(prefix)

    def wait_kernel(self, *prefixes, there=True):
        for prefix in prefixes or (PREFIX, PREFIX6):
            until(f"{prefix} {'' if there else 'not '}in the kernel",
                  lambda p=prefix: self.ours_in_kernel(p) == there)

    @contextlib.contextmanager
    def watched(self, seen):
        """What the kernel tells of routes meanwhile goes to `seen`."""
        monitor = subprocess.Popen(self.ns.argv("ip", "monitor", "route"),
                                   stdout=subprocess.PIPE, text=True)
        try:
            self.poke(monitor, "192.0.2.254")
            yield
            seen.extend(self.poke(monitor, "192.0.2.255"))
        finally:
            monitor.kill()
            monitor.wait()
            monitor.stdout.close()

    @contextlib.contextmanager
    def never_without(self, prefix):
        """Some route for it is there all the time; they differ by metric."""
        def metric(line):
            return line.split(" metric ")[1].split()[0]

        there, seen = {metric(line) for line in self.kernel(prefix).splitlines()}, []
        with self.watched(seen):
            yield
        for line in seen:
            if prefix in line and line.startswith("Deleted"):
                there.discard(metric(line))
            elif prefix in line:
                there.add(metric(line))
            check(there, f"nobody had {prefix}: {seen}")

    @contextlib.contextmanager
    def never_deleted(self):
        """Whatever else happens meanwhile, no route of ours is taken away."""
        seen = []
        with self.watched(seen):
            yield
        gone = [line for line in seen if line.startswith("Deleted") and "proto 69" in line]
        check(not gone, f"routes were deleted: {gone}")


def follows_tunnel_and_device():
    with Lone("a") as s:
        s.start()
        s.vici.child_up("a-b", 1)
        s.wait_log("tunnel[a-b] up")
        check(not s.kernel(), "added while the device was DORMANT")
        s.up()
        s.wait_kernel()
        check("dev tun-ab proto 69" in s.kernel() and "metric 10" in s.kernel(), s.kernel())
        check("metric 10" in s.kernel(PREFIX6), s.kernel(PREFIX6))
        s.tuns["tun-ab"].dormant()
        s.wait_kernel(there=False)
        s.tuns["tun-ab"].up()
        s.wait_kernel()
        s.vici.child_down(1)
        s.wait_kernel(there=False)
        check_equal(s.log().count("warn"), 0, "warnings")


def withdraw_before_dormant():
    with Lone("a") as s:
        s.start()
        s.up()
        s.wait_kernel()
        s.vici.link("a-b", False, "operator")
        s.wait_kernel(there=False)
        check("state UP" in s.ns.ip("link", "show", "tun-ab"), "the device is still UP")


def set_down_and_up_at_once():
    """The kernel takes the routes of a device that is set down, however short that is."""
    with Lone("a") as s:
        s.start()
        s.up()
        s.wait_kernel()
        for _ in range(20):
            s.ns.batch(["link set dev tun-ab down", "link set dev tun-ab up"])
        s.wait_kernel()


def device_made_anew():
    with Lone("a") as s:
        s.start()
        s.up()
        s.wait_kernel()
        index = s.ns.ip("-o", "link", "show", "tun-ab").split(":")[0]
        s.tuns["tun-ab"].remove()
        s.ns.ip("link", "add", "name", "other", "index", index, "type", "bridge")
        s.ns.ip("link", "set", "other", "up")
        s.wait_kernel(there=False)
        s.tun("tun-ab", "10.9.0.0/31").up()
        s.wait_kernel()


def device_renamed():
    """While it is up, which Linux allows since 6.2: the name is the tunnel's, the device is not."""
    with Lone("a") as s:
        s.start()
        s.up()
        s.wait_kernel()
        if "busy" in s.ns.ip("link", "set", "tun-ab", "name", "other", check=False):
            return
        s.wait_kernel(there=False)
        s.ns.ip("link", "set", "other", "name", "tun-ab")
        s.wait_kernel()


def killed_and_started():
    """What a killed bridge left stays while it is wanted, and goes when it is not."""
    with Lone("a") as s:
        s.start()
        s.up()
        s.wait_kernel()
        s.stop_bridge(signal.SIGKILL)
        check(s.ours_in_kernel(), "the routes outlive a killed bridge")
        with s.never_deleted():
            s.start_bridge()
            s.wait_log("confirmed", 2)
            listings = s.vici.listings
            until("another list", lambda: s.vici.listings > listings, 10)
        s.stop_bridge(signal.SIGKILL)
        s.ns.route("10.77.0.0/16", "dev", "tun-ab", "proto", "69", "metric", "10")
        s.ns.route("10.78.0.0/16", "dev", "tun-ab", "proto", "68", "metric", "10")
        with open(f"{s.dir}/bridge.log", "w", encoding="utf-8"):
            pass
        s.vici.child_down(1)
        s.start_bridge()
        s.wait_log("3 left-over routes removed", timeout=10)
        s.wait_kernel(there=False)
        check(not s.kernel("10.77.0.0/16"), "a left-over route of ours")
        check(s.kernel("10.78.0.0/16"), "somebody else's route")
        s.up(2)
        s.wait_kernel()
        s.stop_bridge()
        check(not s.kernel(), "SIGTERM takes the routes away")


def others_routes_are_left_alone():
    with Lone("a") as s:
        s.start()
        s.ns.route(PREFIX, "dev", "lo", "metric", "10")
        s.up()
        s.wait_log("somebody else's route is there")
        s.wait_kernel(PREFIX6)
        check("dev lo" in s.kernel() and "proto 69" not in s.kernel(), s.kernel())
        s.ns.ip("route", "del", PREFIX, "dev", "lo")
        s.wait_kernel()
        s.ns.route(PREFIX, "dev", "lo", "metric", "5")
        s.vici.child_down(1)
        s.wait_kernel(there=False)
        check("dev lo" in s.kernel(), "the other one's stays")


def removed_by_somebody():
    with Lone("a") as s:
        s.start()
        s.up()
        s.wait_kernel()
        for words in (["-4", "route", "flush", "proto", "69"], ["-6", "route", "flush", "proto", "69"],
                      ["-4", "route", "del", PREFIX, "metric", "10"]):
            s.ns.ip(*words)
            s.wait_kernel()
        s.vici.child_down(1)
        s.wait_kernel(there=False)
        check("wanted 0" in s.log().splitlines()[-1], s.log().splitlines()[-1])


def one_writer():
    with Lone("a") as s:
        s.start()
        s.up()
        s.wait_kernel()
        second = f"{s.dir}/second"
        os.mkdir(second)
        with open(f"{second}/conf", "w", encoding="utf-8") as file:
            file.write(f"vici {s.vici_path}\nzserv {second}/zserv.api\n{NO_ZEBRA}")
        log = f"{second}/log"
        other = Daemon("second bridge", s.ns.argv(*s.argv()[4:6], f"{second}/conf", *s.argv()[7:]),
                       log)
        try:
            until("it says so", lambda: "another routed-bridge writes them" in
                  open(log, encoding="utf-8").read())
        finally:
            other.stop()
        check(s.ours_in_kernel(), "the first one's routes stay")


def unknown_frr():
    """An FRR that is not known gets the routes through the kernel; when a known one takes its
    place, zebra gets them, and not for a moment nobody has them."""
    with Lone("a", CONFIG) as s:
        s.frr.start("zebra")
        vty = f"{s.frr.dir}/zebra.vty"
        real = f"{s.frr.dir}/real.vty"
        os.rename(vty, real)
        server = FakeVty(vty, "FRRouting 11.2.1 (other) on Linux(6.1).\nCopyright\n")
        s.start()
        s.up()
        s.wait_kernel()
        until("it asks again and again", lambda: server.asked >= 4)
        check_equal(s.log().count("says FRR 11.2.1"), 1, "times that it is said")
        line = next(l for l in s.log().splitlines() if "says FRR 11.2.1" in l)
        check("routes go to the kernel, protocol 69" in line and "FRR 8.2 to 10.7" in line, line)
        check("connected" not in s.log(), "no connection was made")
        until("zebra learns it from the kernel", lambda: PREFIX in
              s.frr.json("real", "show ip route kernel json"))
        server.stop()
        os.unlink(vty)
        os.rename(real, vty)
        s.wait_installed(timeout=10)
        s.wait_log("left-over routes removed", timeout=10)
        until("zebra's alone is there", lambda: "nhrp" in s.kernel() and
              "proto 69" not in s.kernel())
        s.wait_installed()


def reload_between_zebra_and_kernel():
    def both():
        return s.ns.run("ip", "route", "show", "exact", PREFIX)

    with Lone("a", CONFIG) as s:
        s.frr.start("zebra")
        s.start()
        s.up()
        s.wait_installed()
        with s.never_without(PREFIX):
            s.reload(NO_ZEBRA)
            s.wait_kernel()
            until("zebra has none", lambda: not s.frr.rib(PREFIX))
            s.reload(CONFIG)
            s.wait_installed()
            until("zebra's alone is there", lambda: "proto 69" not in both())
        check("nhrp" in both(), both())


CASES = (follows_tunnel_and_device, withdraw_before_dormant, set_down_and_up_at_once,
         device_made_anew, device_renamed, killed_and_started, others_routes_are_left_alone,
         removed_by_somebody, one_writer,
         unknown_frr, reload_between_zebra_and_kernel)


def main():
    netns.remove_stale()
    suite = Suite("bridge kernel")
    for case in CASES:
        suite.case(case.__name__.replace("_", " "), case)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
